"""A ledger, read and judged: whether it is the chain that its device wrote, and what it says.

`verify_chain` takes the bytes of all segments and the device's public key, which somebody trusted has
vouched for, and finds: entries altered, missing, exchanged, put in or signed by another key; checkpoints that
do not fit; clocks that were set; recordings that were opened and have no end; times without a sign of life.
What a chain can't tell by itself, since whoever holds the key can write another one that fits as well, is
told by comparing it with what lies elsewhere: see `comparison`.

Conventions: findings instead of errors. Which signatures are checked, and why not every single one has to
be, is told in `walk`. Sequence numbers count from 0, a size is a number of entries. Pure.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, Self
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callseal.seal.ledger.clock import Clocks, from_milliseconds
from callseal.seal.ledger.entry import ENDS, Kind
from callseal.seal.ledger.findings import ALTERED, NOT_CHECKED, NOTE, Code, Finding
from callseal.seal.ledger.merkle import PackedHashes, root_at
from callseal.seal.ledger.walk import MISSING, NO_TIME, Event, Walk
from callseal.seal.manifest import LedgerPlace, Result

PROGRESS_ENTRIES: Final = 10_000

# An exempt recording may never have been opened, a failed one may have failed at that.
_NEEDS_OPENED: Final = ENDS - {Kind.EXEMPT, Kind.FAILED}


def no_progress(_entries: int, /) -> None:
    """Take no notice of how far the check has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What became of a recording, by the ledger; `at` is when the entry was written.

    `started_at` is when the agent that wrote it had begun, None where that is not told. `replaced` is an
    earlier end of the same recording that names another manifest, `crashed` whether a crash can have brought
    that about.
    """

    kind: Kind
    sequence: int
    at: datetime
    manifest: bytes | None
    result: str
    started_at: datetime | None = None
    replaced: int | None = None
    crashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chain:
    """A ledger as it was found.

    `size` counts the entries, missing ones too, and `head` is the newest. `leaves` are the hashes for proofs
    of inclusion, `hashes` those that the next entry and the manifests name; `times_ms` are the entries' wall
    clocks. Both rows of hashes have zeros, and `times_ms` has `walk.NO_TIME`, for an entry that is missing.
    """

    device: str
    public_key: Ed25519PublicKey
    findings: tuple[Finding, ...]
    size: int
    head: LedgerPlace | None
    clocks: Clocks | None
    leaves: PackedHashes
    hashes: PackedHashes
    times_ms: Sequence[int]
    _authentic: bytes
    _covered: int
    _checkpoint_sizes: Sequence[int]
    _checkpoint_roots: PackedHashes
    _checkpoint_notes: PackedHashes
    _opened: dict[bytes, int]
    _ends: dict[bytes, Event]
    _replaced: dict[bytes, tuple[int, bool]]
    _open: dict[bytes, int]
    _restarted: int

    @classmethod
    def of(cls, walk: Walk) -> Self:
        """Return the ledger that a finished walk went along."""
        told = [event for event in walk.events if walk.authentic[event.sequence]]
        opened: dict[bytes, int] = {}
        ends: dict[bytes, Event] = {}
        sealed: dict[bytes, Event] = {}
        replaced: dict[bytes, tuple[int, bool]] = {}
        still_open: dict[bytes, int] = {}
        for event in told:
            if event.kind is Kind.OPENED:
                opened.setdefault(event.recording, event.sequence)
                still_open[event.recording] = event.sequence
            else:
                if event.kind in _NEEDS_OPENED and event.recording not in opened:
                    words = f"recording {UUID(bytes=event.recording)} ended and was never opened"
                    sequence = event.sequence
                    walk.findings.add(Code.END_WITHOUT_OPEN, words, sequence=sequence, exit_code=NOTE)
                still_open.pop(event.recording, None)
                before = sealed.get(event.recording)
                if before is not None and before.manifest != event.manifest:
                    crashed = _can_be_a_crash(before, event)
                    replaced[event.recording] = before.sequence, crashed
                    _tell_replaced(walk, before, event, crashed=crashed)
                if event.manifest is not None:
                    sealed[event.recording] = event
                ends.pop(event.recording, None)  # so that the newest ends stand last
                ends[event.recording] = event
        _find_open(walk, still_open)
        size = walk.size
        return cls(
            device=walk.device,
            public_key=walk.public_key,
            findings=walk.findings.all(),
            size=size,
            head=LedgerPlace(sequence=size - 1, head=walk.hashes[size - 1]) if size else None,
            clocks=walk.clocks,
            leaves=walk.leaves,
            hashes=walk.hashes,
            times_ms=walk.times_ms,
            _authentic=bytes(walk.authentic),
            _covered=walk.covered,
            _checkpoint_sizes=walk.checkpoint_sizes,
            _checkpoint_roots=walk.checkpoint_roots,
            _checkpoint_notes=walk.checkpoint_notes,
            _opened=opened,
            _ends=ends,
            _replaced=replaced,
            _open=still_open,
            _restarted=max(walk.started, walk.stopped),
        )

    def end(self, recording: UUID) -> End | None:
        """Return what became of a recording by the last entry about it, None if nothing is told."""
        event = self._ends.get(recording.bytes)
        return None if event is None else self._end(event)

    def opened(self, recording: UUID) -> int | None:
        """Return the entry that says that the recording was begun."""
        return self._opened.get(recording.bytes)

    def open_recordings(self) -> tuple[UUID, ...]:
        """Return the recordings that were opened and have no end, oldest first."""
        return tuple(UUID(bytes=recording) for recording in self._open)

    def running(self) -> Iterator[tuple[UUID, int]]:
        """Yield those of them that may still go on, by all that is told, and the entries that opened them."""
        for recording, sequence in self._open.items():
            if sequence > self._restarted:
                yield UUID(bytes=recording), sequence

    def newest_ends(self, limit: int) -> list[tuple[UUID, End]]:
        """Return the newest ends, at most `limit`, oldest of them first."""
        newest = list(islice(reversed(self._ends.items()), limit))[::-1]
        return [(UUID(bytes=recording), self._end(event)) for recording, event in newest]

    def entry_hash(self, sequence: int) -> bytes | None:
        """Return the SHA-256 of an entry, None if it is not there."""
        if not 0 <= sequence < self.size or self.hashes[sequence] == MISSING:
            return None
        return self.hashes[sequence]

    def at(self, sequence: int) -> datetime | None:
        """Return when an entry says that it was written, None if it is not there."""
        if not 0 <= sequence < self.size or self.times_ms[sequence] == NO_TIME:
            return None
        return from_milliseconds(self.times_ms[sequence])

    def authentic(self, sequence: int) -> bool:
        """Tell whether the device vouches for an entry, by its signature or by a checkpoint over it."""
        return 0 <= sequence < self.size and bool(self._authentic[sequence])

    def root_at(self, size: int) -> bytes | None:
        """Return the root over the first `size` entries as they are here, None if there are fewer."""
        if not 0 <= size <= self.size:
            return None
        return self.checkpoint_root(size) or root_at(self.leaves, size)

    def checkpoint_root(self, size: int) -> bytes | None:
        """Return the same root where a checkpoint over `size` entries is here, and fits them; else None."""
        index = self._checkpoint(size) if size <= self._covered else None
        return None if index is None else self._checkpoint_roots[index]

    def note_sha256(self, size: int) -> bytes | None:
        """Return the SHA-256 of the checkpoint over `size` entries that the segments carry, if they do."""
        index = self._checkpoint(size)
        return None if index is None else self._checkpoint_notes[index]

    def checkpoint_sizes(self) -> Iterator[int]:
        """Yield the sizes at which there is a checkpoint, smallest first."""
        return iter(self._checkpoint_sizes)

    def _checkpoint(self, size: int) -> int | None:
        index = bisect_left(self._checkpoint_sizes, size)
        there = index < len(self._checkpoint_sizes) and self._checkpoint_sizes[index] == size
        return index if there else None

    def _end(self, event: Event) -> End:
        replaced, crashed = self._replaced.get(event.recording, (None, False))
        return End(
            kind=event.kind,
            sequence=event.sequence,
            at=from_milliseconds(self.times_ms[event.sequence]),
            manifest=event.manifest,
            result=event.result or "",
            started_at=self.at(event.started),
            replaced=replaced,
            crashed=crashed,
        )


def verify_chain(
    segments: Iterable[tuple[int, bytes]],
    *,
    device: str,
    public_key: Ed25519PublicKey,
    every_signature: bool = False,
    progress: Callable[[int], None] = no_progress,
) -> Chain:
    """Check a ledger, given as the first number and the bytes of each segment, sorted by these numbers.

    Only the last of them may be unfinished. `progress` hears now and then how many entries are behind us.
    """
    walk = Walk(device, public_key, every_signature=every_signature)
    told = 0
    previous: tuple[int, bytes] | None = None
    for segment in segments:
        if previous is not None:
            walk.take(*previous, last=False)
        previous = segment
        if walk.size - told >= PROGRESS_ENTRIES:
            told = walk.size
            progress(told)
    if previous is not None:
        walk.take(*previous, last=True)
    walk.finish()
    progress(walk.size)
    return Chain.of(walk)


def _can_be_a_crash(before: Event, event: Event) -> bool:
    """Tell whether a crash can make a recording that was sealed end once more, as something else.

    A disk can lose what it had promised to keep: then the recording is recovered, or what was to be discarded
    is discarded anew.
    """
    exempt = Result.EXEMPT.value
    return event.kind is Kind.RECOVERED or before.result == event.result == exempt


def _tell_replaced(walk: Walk, before: Event, event: Event, *, crashed: bool) -> None:
    name = UUID(bytes=event.recording)
    words = f"recording {name} ended by entry {before.sequence}, and otherwise by entry {event.sequence}"
    exit_code = NOT_CHECKED if crashed else ALTERED
    walk.findings.add(Code.REPLACED, words, sequence=event.sequence, exit_code=exit_code)


def _find_open(walk: Walk, still_open: dict[bytes, int]) -> None:
    for recording, sequence in still_open.items():
        name = UUID(bytes=recording)
        if max(walk.started, walk.stopped) > sequence:
            words = f"recording {name} was opened, and what became of it was never told"
            walk.findings.add(Code.OPEN_WITHOUT_END, words, sequence=sequence, exit_code=ALTERED)
        else:
            words = f"recording {name} is still open"
            walk.findings.add(Code.STILL_OPEN, words, sequence=sequence, exit_code=NOTE)
