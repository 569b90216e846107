"""What the device's ledger says of one recording, and the proof that it says so.

An entry proves itself by its signature; the checkpoint, with the hashes of an inclusion proof, proves that it
stands in the one history that the device vouched for at that size. Of all checkpoints that cover every entry
about the recording the earliest with a time stamp that somebody vouches for is taken, then the earliest with
any, then the earliest.

Conventions: the whole ledger is checked on the way, since a proof needs all of its leaves. A ledger that
contradicts the manifest is an `AlteredObject`: what its own ledger denies is no evidence. Everything that is
merely missing is a gap.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callseal.cli.errors import AlteredObject
from callseal.cli.evidence.gaps import Code, Gap, gap
from callseal.cli.evidence.witnesses import Stamps
from callseal.cli.i18n import _
from callseal.seal.errors import LedgerError, RemoteError, SealError
from callseal.seal.ledger import (
    Chain,
    Checkpoint,
    Entry,
    inclusion_proof,
    leaf_hash,
    open_checkpoint,
    parse_entry,
    root_from_inclusion,
    split_line,
    verify_chain,
)
from callseal.seal.ledger.checkpoint import parse_checkpoint, read_line
from callseal.seal.ledger.entry import entry_hash, verify_signature
from callseal.seal.manifest import MANIFEST_NAME, Manifest
from callseal.seal.verify import DeviceLedger, LedgerCopy, Outcome
from callseal.seal.verify.ledger import standing
from callseal.seal.verify.segments import LedgerReader, newest_line

MAX_ENTRIES: Final = 256
"""About one recording: an ordinary one has two."""
MAX_FAULTS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One hash of an inclusion proof, from the leaf upwards; `left` says on which side it stands."""

    hash: bytes
    left: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """An entry: its exact bytes, its signature, and its place under the checkpoint."""

    data: bytes
    signature: bytes
    entry: Entry
    proof: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What the ledger says of a recording.

    `end` is the number of the entry that ends it, `pinned` of the one that the manifest names (None where it
    is not among `entries`). `note` is the checkpoint that the proofs lead to, and `size` how many entries
    there are in all the ledger that was checked.
    """

    entries: tuple[Proved, ...]
    end: int
    pinned: int | None
    note: bytes
    checkpoint: Checkpoint
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The history, as far as there is one, and what it lacks."""

    history: History | None
    gaps: tuple[Gap, ...]


def find_history(
    ledgers: Sequence[LedgerCopy],
    manifest: Manifest,
    manifest_sha256: bytes,
    key: Ed25519PublicKey,
    *,
    stamps: Stamps,
    progress: Callable[[int], None],
) -> Found:
    """Read a ledger, all copies of it as one, and return what it says of the recording.

    `progress` hears how many entries were read. Raises AlteredObject, and OSError for what can't be read.
    """
    older = manifest.ledger is None
    if not any(copy.firsts() for copy in ledgers):
        return Found(history=None, gaps=(gap(Code.LEDGER_OLDER if older else Code.NO_LEDGER),))
    reader = LedgerReader(ledgers, stamps.sizes)
    collector = _Collector(manifest)
    chain = verify_chain(collector.watched(reader), device=manifest.device, public_key=key, progress=progress)
    there = standing(manifest, manifest_sha256, DeviceLedger(chain=chain))
    if there.finding.outcome is Outcome.FAILED:
        words = _("{where}: ALTERED, nothing of it is given out: {why}")
        raise AlteredObject(
            words.format(where=MANIFEST_NAME, why=there.finding.words), object_name=MANIFEST_NAME
        )
    gaps = _faults(chain)
    end = there.sequence
    if end is None:
        code = Code.LEDGER_OLDER if older else Code.LEDGER_WITHOUT_END
        return Found(history=None, gaps=(*gaps, gap(code, size=str(chain.size))))
    if there.finding.outcome is Outcome.NOT_CHECKED:
        # The entry is there and names this manifest; something else about it does not agree.
        gaps = (gap(Code.LEDGER_DOUBTFUL, why=there.finding.words), *gaps)
    about = _authentic(collector.entries.values(), chain, key)
    if all(one.entry.sequence != end for one in about):
        # A checkpoint vouches for it, and its own signature does not: it can't be shown by itself.
        return Found(history=None, gaps=(*gaps, gap(Code.NO_PROOF)))
    for note in _by_rank([*collector.notes, *reader.notes.items()], end + 1, stamps):
        try:
            checkpoint = open_checkpoint(note, key, manifest.device)
            proved = tuple(_prove(one, chain, checkpoint) for one in about)
        except (RemoteError, ValueError):
            continue  # of another history, or damaged: the faults say what was found
        place = -1 if manifest.ledger is None else manifest.ledger.sequence
        history = History(
            entries=proved,
            end=end,
            pinned=place if any(one.entry.sequence == place for one in proved) else None,
            note=note,
            checkpoint=checkpoint,
            size=chain.size,
        )
        return Found(history=history, gaps=gaps)
    return Found(history=None, gaps=(*gaps, gap(Code.NO_PROOF)))


class _Collector:
    """Takes out of the segments, as they pass, the lines that matter for one recording."""

    def __init__(self, manifest: Manifest) -> None:
        self._recording = manifest.id
        self._pinned = -1 if manifest.ledger is None else manifest.ledger.sequence
        self._signs = str(manifest.id).encode(), b'"sequence":%d,' % self._pinned
        self.entries: dict[int, bytes] = {}
        self.notes: list[tuple[int, list[bytes]]] = []

    def watched(self, segments: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        """Yield the segments as they come."""
        for first, data in segments:
            if any(sign in data for sign in self._signs):
                self._take_entries(data)
                self._take_note(data)
            yield first, data

    def _take_entries(self, data: bytes) -> None:
        for line in data.splitlines(keepends=True):
            try:
                entry = parse_entry(split_line(line)[0])
            except LedgerError:
                continue  # the checkpoint, or what the check of the chain will speak of
            if entry.recording != self._recording and entry.sequence != self._pinned:
                continue
            if len(self.entries) < MAX_ENTRIES:
                self.entries.setdefault(entry.sequence, line)

    def _take_note(self, data: bytes) -> None:
        """Take the checkpoint that stands at the end of a segment: it covers all entries in it."""
        with contextlib.suppress(LedgerError):
            note = read_line(newest_line(data))
            self.notes.append((parse_checkpoint(note).size, [note]))


def _by_rank(notes: Iterable[tuple[int, list[bytes]]], least: int, stamps: Stamps) -> list[bytes]:
    """Return the checkpoints over so many entries or more, the best one first."""
    fitting = {(size, note) for size, several in notes for note in several if size >= least}
    return [note for _size, note in sorted(fitting, key=lambda one: (stamps.rank(*one), one))]


def _authentic(lines: Iterable[bytes], chain: Chain, key: Ed25519PublicKey) -> list[Proved]:
    """Return the entries whose signatures fit, and which stand in this chain under their numbers."""
    found = []
    for line in lines:
        data, signature = split_line(line)
        entry = parse_entry(data)
        try:
            verify_signature(data, signature, key)
        except SealError:
            continue
        if chain.entry_hash(entry.sequence) == entry_hash(data):
            found.append(Proved(data=data, signature=signature, entry=entry, proof=()))
    return sorted(found, key=lambda one: one.entry.sequence)


def _faults(chain: Chain) -> tuple[Gap, ...]:
    faults = [finding for finding in chain.findings if finding.exit_code]
    if not faults:
        return ()
    words = "; ".join(finding.words for finding in faults[:MAX_FAULTS])
    return (gap(Code.LEDGER_FAULTY, count=str(len(faults)), words=words),)


def _prove(one: Proved, chain: Chain, checkpoint: Checkpoint) -> Proved:
    """Return an entry with its proof; LedgerError or ValueError if it is not under this checkpoint."""
    index, size = one.entry.sequence, checkpoint.size
    hashes = inclusion_proof(chain.leaves, index, size)
    if root_from_inclusion(leaf_hash(one.data), index, size, hashes) != checkpoint.root:
        raise LedgerError("the checkpoint is not that of these entries")
    steps = tuple(Step(hash=item, left=left) for item, left in zip(hashes, _sides(index, size), strict=True))
    return Proved(data=one.data, signature=one.signature, entry=one.entry, proof=steps)


def _sides(index: int, size: int) -> list[bool]:
    """Return on which side the hashes of a proof stand, from the leaf upwards (RFC 9162, 2.1.3.1)."""
    sides = []
    while size > 1:
        half = 1 << (size - 1).bit_length() - 1
        left = index >= half
        sides.append(left)
        index, size = (index - half, size - half) if left else (index, half)
    return sides[::-1]
