"""What a check found: codes for programs, words for people.

Conventions: `object` is the name of the file, folder or entry that it is about. `code` is the ledger's own,
where the ledger told (`seal.ledger.findings.Code`). Codes never change their meaning.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from callseal.seal.errors import RemoteError

ALTERED: Final = 12
BAD_SIGNATURE: Final = 13
UNTRUSTED: Final = 14
NOT_CHECKED: Final = 15


class Check(StrEnum):
    """What was looked at."""

    MANIFEST = "manifest"
    SIGNATURE = "signature"
    SIGNER = "signer"
    FOLDER = "folder"
    OBJECT = "object"
    EXTRA = "extra"
    LEDGER = "ledger"
    RECEIPT = "receipt"
    STAMP = "stamp"
    COPY = "copy"
    PRESENCE = "presence"


class Outcome(StrEnum):
    """What came of it."""

    OK = "ok"
    FAILED = "failed"
    NOT_CHECKED = "not-checked"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found."""

    object: str
    check: Check
    outcome: Outcome
    words: str
    exit_code: int
    code: str | None = None


def well(name: str, check: Check, words: str) -> Finding:
    """Return the finding that something was checked and is well."""
    return Finding(object=name, check=check, outcome=Outcome.OK, words=words, exit_code=0)


def note(name: str, check: Check, words: str, code: str | None = None) -> Finding:
    """Return what is only worth knowing."""
    return Finding(object=name, check=check, outcome=Outcome.NOTE, words=words, exit_code=0, code=code)


def failed(name: str, check: Check, words: str, exit_code: int = ALTERED, code: str | None = None) -> Finding:
    """Return the finding that something is wrong."""
    return Finding(
        object=name, check=check, outcome=Outcome.FAILED, words=words, exit_code=exit_code, code=code
    )


def unchecked(name: str, check: Check, words: str, code: str | None = None) -> Finding:
    """Return the finding that something could not be checked."""
    return Finding(
        object=name,
        check=check,
        outcome=Outcome.NOT_CHECKED,
        words=words,
        exit_code=NOT_CHECKED,
        code=code,
    )


def refused(name: str, check: Check, problem: RemoteError, words: str | None = None) -> Finding:
    """Return the finding that a reader refused some bytes; its exit code is the error's own."""
    words = str(problem) if words is None else words
    return (
        unchecked(name, check, words)
        if problem.exit_code == NOT_CHECKED
        else failed(name, check, words, problem.exit_code)
    )


def gravest(findings: Iterable[Finding]) -> int:
    """Return the gravest exit code, 0 if everything was checked and is well."""
    return min((finding.exit_code for finding in findings if finding.exit_code), default=0)
