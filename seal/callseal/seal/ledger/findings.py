"""What a check of a ledger found, in codes that stay the same and words that a person reads.

Conventions: a finding's exit code is the part's own, 12 (altered), 13 (bad signature), 15 (not everything
could be checked), or 0 for what is only worth knowing. `sequence` is the entry that it is about, or the
first of those, None where it is about none. Codes never change their meaning.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

ALTERED: Final = 12
BAD_SIGNATURE: Final = 13
NOT_CHECKED: Final = 15
NOTE: Final = 0

# A ledger that is wrong in one place is often wrong in all that follow: who reads it needs the first ones.
MAX_FINDINGS_A_CODE: Final = 100


class Code(StrEnum):
    """What was found."""

    ALTERED = "altered"  # an entry, a line or a checkpoint is not what was written
    BAD_SIGNATURE = "bad-signature"
    GAP = "gap"  # entries are missing
    FORK = "fork"  # two entries with one number
    CUT_OFF = "cut-off"  # entries that were vouched for elsewhere are missing at the end
    REWRITTEN = "rewritten"  # the history is not the one that was vouched for elsewhere
    CLOCK_BACK = "clock-back"  # an entry claims to be older than the one before it
    CLOCK_STEPPED = "clock-stepped"  # the two clocks went apart, and the ledger does not own up to it
    BACKDATED = "backdated"  # an entry's time does not go with a time stamp from outside
    OPEN_WITHOUT_END = "open-without-end"  # begun, and never told what became of it
    STILL_OPEN = "still-open"
    END_WITHOUT_OPEN = "end-without-open"
    REPLACED = "replaced"  # two ends of one recording name two manifests
    SILENCE = "silence"  # the heart stopped beating for a while
    NOT_COVERED = "not-covered"  # no checkpoint covers the newest entries yet
    BEFORE_BASE = "before-base"  # about what was before the snapshot that the check began with
    NOT_CHECKED = "not-checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found."""

    code: Code
    words: str
    sequence: int | None
    exit_code: int


class Findings:
    """Findings as they come, at most `MAX_FINDINGS_A_CODE` of each code; the rest is counted."""

    __slots__ = ("_counts", "_findings")

    def __init__(self) -> None:
        self._findings: list[Finding] = []
        self._counts: dict[tuple[Code, int], int] = {}

    @classmethod
    def of(cls, findings: Iterable[Finding], counts: Mapping[tuple[Code, int], int]) -> Self:
        """Return these findings to go on with; `counts` are how many there were by code and exit code."""
        known = cls()
        known._findings = list(findings)
        known._counts = dict(counts)
        return known

    def faults(self) -> tuple[tuple[Finding, ...], dict[tuple[Code, int], int]]:
        """Return those that are more than notes, and how many there were of each."""
        found = tuple(finding for finding in self._findings if finding.exit_code)
        return found, {key: count for key, count in self._counts.items() if key[1]}

    def add(self, code: Code, words: str, *, sequence: int | None, exit_code: int) -> None:
        """Take note of a finding."""
        count = self._counts.get((code, exit_code), 0) + 1
        self._counts[code, exit_code] = count
        if count <= MAX_FINDINGS_A_CODE:
            self._findings.append(Finding(code=code, words=words, sequence=sequence, exit_code=exit_code))

    def all(self) -> tuple[Finding, ...]:
        """Return what was found, in the order in which it was."""
        more = [
            Finding(
                code=code,
                words=f"and {count - MAX_FINDINGS_A_CODE} more of these",
                sequence=None,
                exit_code=exit_code,
            )
            for (code, exit_code), count in self._counts.items()
            if count > MAX_FINDINGS_A_CODE
        ]
        return (*self._findings, *more)
