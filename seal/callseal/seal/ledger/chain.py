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
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, Self
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callseal.seal.ledger.clock import Clocks, from_milliseconds
from callseal.seal.ledger.entry import Kind
from callseal.seal.ledger.findings import Finding
from callseal.seal.ledger.merkle import CompactRange, PackedHashes, root_at
from callseal.seal.ledger.recordings import Event, Recordings
from callseal.seal.ledger.snapshot import Snapshot, Track
from callseal.seal.ledger.walk import MISSING, NO_TIME, Walk
from callseal.seal.manifest import LedgerPlace

PROGRESS_ENTRIES: Final = 10_000


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

    `size` counts the entries, missing ones too, and `head` is the newest. `base` is 0, or the entry behind
    the snapshot that the check began with: nothing is known of single entries below it. `leaves` are the
    hashes for proofs of inclusion, `hashes` those that the next entry and the manifests name; `times_ms` are
    the entries' wall clocks. All three begin with entry `base`. Both rows of hashes have zeros, and
    `times_ms` has `walk.NO_TIME`, for an entry that is missing. `snapshot` is the newest of those asked for.
    """

    device: str
    public_key: Ed25519PublicKey
    findings: tuple[Finding, ...]
    base: int
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
    _recordings: Recordings
    _restarted: int
    _carried_ms: Mapping[int, int]
    _after: Snapshot | None
    snapshot: Snapshot | None = None

    @classmethod
    def of(cls, walk: Walk, after: Snapshot | None = None, snapshot: Snapshot | None = None) -> Self:
        """Return the ledger that a finished walk went along, from `after` on."""
        size = walk.size
        return cls(
            device=walk.device,
            public_key=walk.public_key,
            findings=walk.findings.all(),
            base=walk.base,
            size=size,
            head=LedgerPlace(sequence=size - 1, head=walk.head) if size else None,
            clocks=walk.clocks,
            leaves=walk.leaves,
            hashes=walk.hashes,
            times_ms=walk.times_ms,
            _authentic=bytes(walk.authentic),
            _covered=walk.covered,
            _checkpoint_sizes=walk.checkpoint_sizes,
            _checkpoint_roots=walk.checkpoint_roots,
            _checkpoint_notes=walk.checkpoint_notes,
            _recordings=walk.recordings,
            _restarted=max(walk.started, walk.stopped),
            _carried_ms=walk.carried_ms,
            _after=after,
            snapshot=snapshot,
        )

    def end(self, recording: UUID) -> End | None:
        """Return what became of a recording by the last entry about it, None if nothing is told."""
        event = self._recordings.ends.get(recording.bytes)
        return None if event is None else self._end(event)

    def opened(self, recording: UUID) -> int | None:
        """Return the entry that says that the recording was begun."""
        return self._recordings.opened.get(recording.bytes)

    def opened_at(self, recording: UUID) -> datetime | None:
        """Return when that was, also where it lies below the base."""
        opened = self.opened(recording)
        return None if opened is None else self._time(opened)

    def doubtful(self, recording: UUID) -> bool:
        """Tell whether entries below the base may speak of a recording too that newer ones speak of."""
        return recording.bytes in self._recordings.doubtful

    def open_recordings(self) -> tuple[UUID, ...]:
        """Return the recordings that were opened and have no end, oldest first."""
        return tuple(UUID(bytes=recording) for recording in self._recordings.open)

    def running(self) -> Iterator[tuple[UUID, int]]:
        """Yield those of them that may still go on, by all that is told, and the entries that opened them."""
        for recording, sequence in self._recordings.open.items():
            if sequence > self._restarted:
                yield UUID(bytes=recording), sequence

    def newest_ends(self, limit: int) -> list[tuple[UUID, End]]:
        """Return the newest ends, at most `limit`, oldest of them first."""
        newest = list(islice(reversed(self._recordings.ends.items()), limit))[::-1]
        return [(UUID(bytes=recording), self._end(event)) for recording, event in newest]

    def entry_hash(self, sequence: int) -> bytes | None:
        """Return the SHA-256 of an entry, None if it is not there."""
        if not self.base <= sequence < self.size:
            return None
        there = self.hashes[sequence - self.base]
        return None if there == MISSING else there

    def at(self, sequence: int) -> datetime | None:
        """Return when an entry says that it was written, None if it is not there."""
        return self._time(sequence) if sequence >= self.base else None

    def authentic(self, sequence: int) -> bool:
        """Tell whether the device vouches for an entry, by its signature or by a checkpoint over it."""
        return self.base <= sequence < self.size and bool(self._authentic[sequence - self.base])

    def root_at(self, size: int) -> bytes | None:
        """Return the root over the first `size` entries as they are here, None if that is not known."""
        if not self.base <= size <= self.size:
            return None
        if (root := self.checkpoint_root(size)) is not None:
            return root
        if self._after is None:
            return root_at(self.leaves, size)
        if self._after.track is not Track.INTACT:
            return None
        tree = CompactRange.from_peaks(self.base, self._after.peaks)
        for index in range(size - self.base):
            tree.append(self.leaves[index])
        return tree.root()

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

    def _time(self, sequence: int) -> datetime | None:
        """Return the time of an entry, also of one below the base that a recording's story speaks of."""
        at_ms = self._time_ms(sequence)
        return None if at_ms == NO_TIME else from_milliseconds(at_ms)

    def _time_ms(self, sequence: int) -> int:
        if self.base <= sequence < self.size:
            return self.times_ms[sequence - self.base]
        return self._carried_ms.get(sequence, NO_TIME)

    def _end(self, event: Event) -> End:
        replaced, crashed = self._recordings.replaced.get(event.recording, (None, False))
        return End(
            kind=event.kind,
            sequence=event.sequence,
            at=from_milliseconds(self._time_ms(event.sequence)),
            manifest=event.manifest,
            result=event.result or "",
            started_at=self._time(event.started),
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
    after: Snapshot | None = None,
    snapshots_at: Container[int] = (),
) -> Chain:
    """Check a ledger, given as the first number and the bytes of each segment, sorted by these numbers.

    Only the last of them may be unfinished. `progress` hears now and then how many entries are behind us.
    With `after` the segments are those behind that snapshot; ValueError for that of another device.
    `snapshots_at` are sizes at which a snapshot is wanted: `Chain.snapshot` is the newest that there is.
    """
    if after is None:
        walk = Walk(device, public_key, every_signature=every_signature)
    elif after.device == device:
        walk = Walk.after(after, public_key, every_signature=every_signature)
    else:
        raise ValueError(f"the snapshot is one of {after.device}")
    told = walk.size
    taken: Snapshot | None = None
    previous: tuple[int, bytes] | None = None
    for segment in segments:
        if previous is not None:
            taken = _go_on(walk, previous, taken, snapshots_at, last=False)
        previous = segment
        if walk.size - told >= PROGRESS_ENTRIES:
            told = walk.size
            progress(told)
    if previous is not None:
        taken = _go_on(walk, previous, taken, snapshots_at, last=True)
    walk.finish()
    progress(walk.size)
    return Chain.of(walk, after, taken)


def _go_on(
    walk: Walk, segment: tuple[int, bytes], taken: Snapshot | None, wanted: Container[int], *, last: bool
) -> Snapshot | None:
    """Go on by a segment; return the newest snapshot that then holds."""
    first, data = segment
    walk.take(first, data, last=last)
    if taken is not None and first < taken.size:
        taken = None  # it was not taken behind all segments of these entries
    return (walk.snapshot() if walk.size in wanted else None) or taken
