"""A ledger beside what lies elsewhere: what its own signatures can't tell.

Whoever holds the device's key, or its whole machine, can cut a chain short, or write another one that fits
in itself. Neither survives a comparison:

- with **checkpoints kept elsewhere**, in a second store or by a witness: more entries there than here means
  cut off, another root at the same size means rewritten;
- with **time stamps from outside** (RFC 3161) on checkpoints: the entries that one covers were there at that
  time, so that none of them can be younger. That the ones behind it are not much older holds as far as
  checkpoints are stamped soon: an entry that claims to be older by more than `STAMP_DELAY` was back-dated, or
  reached the store late. Which of the two, a stamp can't tell, and the finding says so: "not checked";
- with **another copy of the chain**: two entries with one number, each signed, are a fork. That is what a
  machine leaves behind that was set back to an older copy of itself.

Conventions: findings as in `chain`; the first place of each kind that matters is named. Chains are whole
ones: ValueError for one that begins behind a snapshot. Pure.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from callseal.seal.errors import RemoteError
from callseal.seal.ledger import checkpoint
from callseal.seal.ledger.chain import Chain
from callseal.seal.ledger.clock import from_milliseconds, milliseconds
from callseal.seal.ledger.findings import ALTERED, NOT_CHECKED, NOTE, Code, Finding, Findings
from callseal.seal.ledger.merkle import CompactRange, first_difference
from callseal.seal.ledger.walk import MISSING, NO_TIME
from callseal.seal.timestamp import write_time

# By how much a device's clock may be ahead of the time stamping authority's.
CLOCK_TOLERANCE: Final = timedelta(minutes=5)
# How long the newest checkpoint may wait for its stamp: they are fetched every hour.
STAMP_DELAY: Final = timedelta(hours=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """A time stamp from outside, checked already: the note with this SHA-256 was there at that time."""

    size: int
    note_sha256: bytes
    at: datetime


def compare_checkpoints(chain: Chain, notes: Iterable[bytes]) -> tuple[Finding, ...]:
    """Compare a ledger with checkpoints of it that were kept elsewhere, in any order."""
    _check_whole(chain)
    findings = Findings()
    known: list[tuple[checkpoint.Checkpoint, bytes]] = []
    for note in notes:
        try:
            known.append((checkpoint.parse_checkpoint(note), note))
        except RemoteError as problem:
            _unusable(findings, problem)
    known.sort(key=lambda item: item[0].size)
    roots = _roots(chain, {said.size for said, _ in known if said.size <= chain.size})
    # One that agrees proves nothing new: only those that disagree have to be the device's own.
    beyond = [(said.size, note) for said, note in known if said.size > chain.size]
    unlike = [(said.size, note) for said, note in known if roots.get(said.size, said.root) != said.root]
    if (size := _first_genuine(chain, beyond[::-1], findings)) is not None:
        words = (
            f"the newest {size - chain.size} entries are missing: elsewhere there is a checkpoint of {size}"
        )
        findings.add(Code.CUT_OFF, words, sequence=chain.size, exit_code=ALTERED)
    if (size := _first_genuine(chain, unlike, findings)) is not None:
        same = max((said.size for said, _ in known if said.size < size), default=0)
        words = f"entries {same} to {size - 1} are others than those of a checkpoint that was kept elsewhere"
        findings.add(Code.REWRITTEN, words, sequence=same, exit_code=ALTERED)
    return findings.all()


def check_times(chain: Chain, stamps: Sequence[Stamp]) -> tuple[Finding, ...]:
    """Compare the times that a ledger claims with time stamps from outside, in any order."""
    _check_whole(chain)
    findings = Findings()
    fitting = sorted(
        (stamp for stamp in stamps if _fits(chain, stamp, findings)), key=lambda stamp: stamp.size
    )
    for number in range(len(fitting) + 1):
        begin = fitting[number - 1].size if number else 0
        end = fitting[number].size if number < len(fitting) else chain.size
        latest = min((stamp.at for stamp in fitting[number:]), default=None)
        earliest = max((stamp.at for stamp in fitting[:number]), default=None)
        if latest is not None:
            _not_younger(chain, range(begin, end), latest, findings)
        if earliest is not None:
            _not_older(chain, range(begin, end), earliest, findings)
    return findings.all()


def compare_copies(chain: Chain, other: Chain) -> tuple[Finding, ...]:
    """Compare two copies of one device's ledger; ValueError for those of two devices."""
    if chain.device != other.device:
        raise ValueError(f"the ledgers of {chain.device} and {other.device} have nothing to compare")
    _check_whole(chain)
    _check_whole(other)
    findings = Findings()
    for sequence in _differences(chain, other):
        words = f"there are two entries with the number {sequence}, and the device signed both"
        findings.add(Code.FORK, words, sequence=sequence, exit_code=ALTERED)
    if more := other.size - chain.size:
        words = (
            f"the newest {more} entries are missing, which the other copy has"
            if more > 0
            else f"the other copy ends {-more} entries earlier"
        )
        exit_code = ALTERED if more > 0 else NOTE
        findings.add(Code.CUT_OFF, words, sequence=min(chain.size, other.size), exit_code=exit_code)
    return findings.all()


def _check_whole(chain: Chain) -> None:
    if chain.base:
        raise ValueError(f"the ledger of {chain.device} is here from entry {chain.base} on only")


def _first_genuine(chain: Chain, notes: list[tuple[int, bytes]], findings: Findings) -> int | None:
    for size, note in notes:
        try:
            checkpoint.open_checkpoint(note, chain.public_key, chain.device)
        except RemoteError as problem:
            _unusable(findings, problem)
        else:
            return size
    return None


def _unusable(findings: Findings, problem: RemoteError) -> None:
    words = f"a checkpoint that was kept elsewhere can't be used: {problem}"
    findings.add(Code.NOT_CHECKED, words, sequence=None, exit_code=NOT_CHECKED)


def _roots(chain: Chain, sizes: set[int]) -> dict[int, bytes]:
    """Return the roots at these sizes; those at which the chain has no checkpoint in one go."""
    roots = {size: root for size in sizes if (root := chain.checkpoint_root(size)) is not None}
    tree = CompactRange()
    for size in sorted(sizes - roots.keys()):
        while tree.size < size:
            tree.append(chain.leaves[tree.size])
        roots[size] = tree.root()
    return roots


def _fits(chain: Chain, stamp: Stamp, findings: Findings) -> bool:
    """Tell whether a stamp is about this history."""
    at = write_time(stamp.at)
    if stamp.size > chain.size:
        words = f"{stamp.size - chain.size} entries are missing at the end, which were time-stamped at {at}"
        findings.add(Code.CUT_OFF, words, sequence=chain.size, exit_code=ALTERED)
        return False
    if chain.note_sha256(stamp.size) != stamp.note_sha256:
        words = f"the checkpoint of {stamp.size} entries that was time-stamped at {at} is not the one here"
        findings.add(Code.REWRITTEN, words, sequence=max(stamp.size - 1, 0), exit_code=ALTERED)
        return False
    return True


def _not_younger(chain: Chain, entries: range, latest: datetime, findings: Findings) -> None:
    limit_ms = milliseconds(latest + CLOCK_TOLERANCE)
    times_ms = chain.times_ms[entries.start : entries.stop]
    if not times_ms or max(times_ms) <= limit_ms:
        return
    sequence = entries.start + next(n for n, at_ms in enumerate(times_ms) if at_ms > limit_ms)
    words = f"entry {sequence} claims to be {_claim(chain, sequence)}, and was there at {write_time(latest)}"
    findings.add(Code.BACKDATED, words, sequence=sequence, exit_code=ALTERED)


def _not_older(chain: Chain, entries: range, earliest: datetime, findings: Findings) -> None:
    limit_ms = milliseconds(earliest - STAMP_DELAY)
    times_ms = chain.times_ms[entries.start : entries.stop]
    if not times_ms or min(times_ms) >= limit_ms:
        return
    for sequence, at_ms in zip(entries, times_ms, strict=True):
        if NO_TIME < at_ms < limit_ms:
            words = (
                f"entry {sequence} claims to be {_claim(chain, sequence)}, and stands behind entries that"
                f" were time-stamped at {write_time(earliest)}: back-dated, or late in reaching the store"
            )
            findings.add(Code.BACKDATED, words, sequence=sequence, exit_code=NOT_CHECKED)
            return


def _claim(chain: Chain, sequence: int) -> str:
    return f"of {write_time(from_milliseconds(chain.times_ms[sequence]))}"


def _differences(chain: Chain, other: Chain) -> Iterator[int]:
    """Yield the numbers under which each copy has an entry of its own, with the device's signature."""
    first = first_difference(chain.hashes, other.hashes)
    if first is None:
        return
    for sequence in range(first, min(chain.size, other.size)):
        there = chain.hashes[sequence], other.hashes[sequence]
        signed = chain.authentic(sequence) and other.authentic(sequence)
        if there[0] != there[1] and signed and MISSING not in there:
            yield sequence
