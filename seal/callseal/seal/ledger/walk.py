"""One walk along a ledger, to its newest entry: what `chain` knows comes from here.

It begins at the first entry, or behind a `snapshot` that an earlier walk took: then it knows the entries from
there on, and of those before them what the snapshot tells.

**Which signatures are checked.** The newest checkpoint that fits, signed by the device and with the same root
as the entries have, vouches for every entry before it: the root is a hash over the exact bytes of all of
them, so whoever signed it has signed them. So are checked: one checkpoint in some thousand entries, the
newest one, and each entry that no such checkpoint covers. Where a checkpoint does not fit, every entry that
it should have covered is checked by its own signature. `every_signature` checks each and every one.

Conventions: rows of hashes and times begin with entry `base`. A hash of zeros stands for an entry that is
missing. An entry counts for what it says of a recording only if its signature, or a checkpoint, vouches for
it. Nothing is raised for what is found. Pure.
"""

import base64
import re
from array import array
from bisect import bisect_left
from hashlib import sha256
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callseal.seal.errors import LedgerError, RemoteError, SignatureError
from callseal.seal.ledger import checkpoint, entry
from callseal.seal.ledger.clock import STEP_MS, Clocks, from_milliseconds
from callseal.seal.ledger.entry import ENDS, Kind
from callseal.seal.ledger.findings import ALTERED, BAD_SIGNATURE, NOT_CHECKED, NOTE, Code, Findings
from callseal.seal.ledger.merkle import HASH_SIZE_BYTES, CompactRange, PackedHashes, leaf_hash
from callseal.seal.ledger.quick import Said, read_said
from callseal.seal.ledger.recordings import Event, Recordings
from callseal.seal.ledger.snapshot import MAX_ENDS, MAX_TOLD, Snapshot, Track
from callseal.seal.timestamp import write_time

SILENCE_MS: Final = 3 * 60_000  # three heartbeats
MAX_UNVERIFIED: Final = 4096
MAX_GAP: Final = 1_000_000  # more than a year of entries; a number beyond it is no number of this ledger
MISSING: Final = bytes(HASH_SIZE_BYTES)
NO_TIME: Final = -(1 << 62)

_SIGNATURE: Final = re.compile(rb"[A-Za-z0-9+/]{91}=")
_SIGNATURE_LENGTH: Final = 92  # 4 bytes of key hash and 64 of signature
_HASH_LENGTH: Final = 5  # characters of base64 that the key hash alone decides
_LINE_END: Final = b'\\n"}\n'


class Walk:
    """The entries so far; `take` goes on by a segment, `finish` comes last."""

    __slots__ = (
        "_clocks",
        "_device",
        "_every_signature",
        "_head",
        "_intact",
        "_last_kind",
        "_line_middle",
        "_missing",
        "_note",
        "_note_middle",
        "_origin",
        "_previous",
        "_tree",
        "_unverified",
        "_vouched",
        "authentic",
        "base",
        "carried_ms",
        "checkpoint_notes",
        "checkpoint_roots",
        "checkpoint_sizes",
        "covered",
        "device",
        "events",
        "findings",
        "hashes",
        "leaves",
        "public_key",
        "recordings",
        "started",
        "stopped",
        "times_ms",
    )

    def __init__(self, device: str, public_key: Ed25519PublicKey, *, every_signature: bool) -> None:
        self.device = device
        self.base = 0
        self.carried_ms: dict[int, int] = {}  # times of entries below the base that are still spoken of
        self.findings = Findings()
        self.recordings = Recordings()
        self.hashes = PackedHashes()
        self.leaves = PackedHashes()
        self.times_ms = array("q")
        self.authentic = bytearray()  # 1 for each entry that a signature vouches for
        self.checkpoint_sizes = array("q")
        self.checkpoint_roots = PackedHashes()
        self.checkpoint_notes = PackedHashes()  # SHA-256 of each checkpoint's note
        self.events: list[Event] = []  # not taken by `recordings` yet
        self.started = -1  # the newest entry that says so
        self.stopped = -1
        self._device = device.encode()
        self.public_key = public_key
        self._every_signature = every_signature
        self._head = MISSING  # of the entry before the base
        self._tree = CompactRange()
        self._intact = True  # the tree has every entry so far, unaltered as far as the chain can tell
        self._previous: bytes | None = entry.first_previous(device).hex().encode()
        self._clocks: Said | None = None
        self._last_kind: Kind | None = Kind.STOPPED
        self._unverified: list[tuple[int, bytes]] = []
        self._missing = 0  # how many entries are
        self.covered = 0  # how many entries a fitting checkpoint covers
        self._vouched: tuple[int, bytes] | None = None  # how many of these the newest fitting note covers
        self._note: bytes | None = None  # the checkpoint over exactly the entries so far, if it was last
        origin = checkpoint.origin_of(device).encode()
        name = base64.b64encode(checkpoint.key_hash(origin.decode(), public_key))[:_HASH_LENGTH]
        self._origin = origin
        self._note_middle = b"\n\n\xe2\x80\x94 " + origin + b" "
        self._line_middle = b"\\n\\n\xe2\x80\x94 " + origin + b" " + name

    @classmethod
    def after(cls, snapshot: Snapshot, public_key: Ed25519PublicKey, *, every_signature: bool) -> Self:
        """Return a walk that goes on from there."""
        walk = cls(snapshot.device, public_key, every_signature=every_signature)
        intact = snapshot.track is Track.INTACT
        walk.base = snapshot.size
        walk.carried_ms = dict(snapshot.times_ms)
        walk.findings = Findings.of(snapshot.faults, snapshot.counts)
        walk.recordings.restore(snapshot.told, snapshot.forgotten)
        walk.started, walk.stopped = snapshot.started, snapshot.stopped
        walk._tree = CompactRange.from_peaks(snapshot.size, snapshot.peaks) if intact else CompactRange()
        walk._intact = intact
        walk._previous = None if snapshot.track is Track.LOST else snapshot.head.hex().encode()
        walk._clocks = None if snapshot.clocks is None else _said_of(snapshot.clocks)
        walk._last_kind = snapshot.last_kind
        walk._missing = snapshot.missing
        walk._head = snapshot.head
        walk.covered = snapshot.size if intact else 0
        return walk

    @property
    def size(self) -> int:
        """How many entries there are, missing ones among them."""
        return self.base + len(self.hashes)

    @property
    def head(self) -> bytes:
        """The hash of the newest entry; zeros where there is none."""
        return self.hashes[len(self.hashes) - 1] if len(self.hashes) else self._head

    @property
    def clocks(self) -> Clocks | None:
        """What the newest entry says of the clocks."""
        said = self._clocks
        if said is None:
            return None
        return Clocks(at=from_milliseconds(said.at_ms), boot=said.boot.decode(), uptime_ms=said.uptime_ms)

    def take(self, first: int, data: bytes, *, last: bool) -> None:
        """Go on by the segment that is called `first`; only the last one may be unfinished."""
        *lines, rest = data.split(b"\n")
        if rest:
            # The newest one may be read while it is being written.
            words = f"segment {first} ends in the middle of a line"
            if last:
                self.findings.add(Code.NOT_COVERED, words, sequence=self.size, exit_code=NOTE)
            else:
                self._altered(words, first)
        kinds = [line.startswith(checkpoint.LINE_PREFIX) for line in lines]
        if True in kinds[:-1]:
            self._altered(f"segment {first} goes on behind its checkpoint", first)
        if False not in kinds and not (rest and last):
            self._altered(f"segment {first} has no entries", first)
        if not last and True not in kinds:
            self._altered(f"segment {first} has no checkpoint", first)
        newest, size = -1, self.size
        self._note = None
        for text, is_checkpoint in zip(lines, kinds, strict=True):
            line = text + b"\n"
            if is_checkpoint:
                self._take_checkpoint(line, first, again=newest >= 0 and self.size == size)
            elif (said := self._read(line, first)) is not None:
                self._check_place(said.sequence, newest, first)
                newest = max(newest, said.sequence)
                self._take_entry(said, line)

    def snapshot(self) -> Snapshot | None:
        """Return what is known by now; None unless a checkpoint that the device signed was the last thing.

        None too where a recording is in doubt, or too many have no end.
        """
        if self._note is None or not self.size > self.base:
            return None
        try:
            checkpoint.open_checkpoint(self._note, self.public_key, self.device)
        except RemoteError:
            return None
        self._settle()
        self.take_events()
        told, forgotten = self.recordings.told(MAX_ENDS)
        if self.recordings.doubtful or len(told) > MAX_TOLD or self.head == MISSING:
            return None
        named = {self.started}.union(*(item.sequences() for item in told))
        times_ms = {sequence: at_ms for sequence in named if (at_ms := self.time_ms(sequence)) != NO_TIME}
        faults, counts = self.findings.faults()
        track = Track.LOST if self._previous is None else Track.INTACT if self._intact else Track.FOLLOWED
        return Snapshot(
            device=self.device,
            size=self.size,
            head=self.head,
            track=track,
            peaks=self._tree.peaks if self._intact else (),
            clocks=self.clocks,
            last_kind=self._last_kind,
            started=self.started,
            stopped=self.stopped,
            missing=self._missing,
            told=told,
            times_ms=times_ms,
            forgotten=forgotten,
            faults=faults,
            counts=counts,
        )

    def time_ms(self, sequence: int) -> int:
        """Return the wall clock of an entry, also of one below the base that is spoken of; else `NO_TIME`."""
        if self.base <= sequence < self.size:
            return self.times_ms[sequence - self.base]
        return self.carried_ms.get(sequence, NO_TIME)

    def take_events(self) -> None:
        """Take what entries say of recordings, as far as the device vouches for them; all are settled."""
        for event in self.events:
            if self.authentic[event.sequence - self.base]:
                self.recordings.take(event, self.findings)
        self.events = []

    def finish(self) -> None:
        """Settle what is not verified yet, and tell which recordings have no end."""
        uncovered = self.size - self.covered
        if uncovered and self._intact:
            self.findings.add(
                Code.NOT_COVERED,
                f"no checkpoint covers the newest {uncovered} entries yet",
                sequence=self.size - uncovered,
                exit_code=NOTE,
            )
        self._settle()
        self.take_events()
        self.recordings.tell_open(self.findings, max(self.started, self.stopped))

    def _read(self, line: bytes, first: int) -> Said | None:
        try:
            return read_said(line)
        except LedgerError as problem:
            self._altered(f"segment {first}: {problem}", first)
            self._lose_track()
            return None

    def _check_place(self, sequence: int, newest: int, first: int) -> None:
        """Find an entry that stands where it does not belong in its segment, behind its entry `newest`."""
        if newest < 0 and sequence != first:
            self._altered(f"segment {first} begins with entry {sequence}", sequence)
        elif sequence <= newest:
            self._altered(f"segment {first} has entry {sequence} behind entry {newest}", first)

    def _take_entry(self, said: Said, line: bytes) -> None:
        if said.device != self._device:
            self._altered(f"entry {said.sequence} is another device's", said.sequence)
            self._lose_track()
            return
        data = said.data
        digest = sha256(data).digest()
        if said.sequence < self.size:
            self._take_again(said.sequence, digest)
            return
        if said.sequence > self.size and not self._take_gap(said.sequence):
            return
        sequence = said.sequence
        self._note = None
        if self._previous is not None and said.previous != self._previous:
            about = max(sequence - 1, 0)
            self._altered(broken_link(about), about)
            self._intact = False
        self._previous = digest.hex().encode()
        leaf = leaf_hash(data)
        self._tree.append(leaf)
        self.hashes.append(digest)
        self.leaves.append(leaf)
        self.times_ms.append(said.at_ms)
        self.authentic.append(0)
        self._check_clocks(said)
        if said.kind is not Kind.HEARTBEAT:
            self._take_event(said)
        self._clocks, self._last_kind = said, said.kind
        self._unverified.append((sequence, line))
        if self._every_signature or len(self._unverified) >= MAX_UNVERIFIED * 2:
            self._settle()

    def _take_event(self, said: Said) -> None:
        sequence, kind = said.sequence, said.kind
        if kind is None:
            words = f"entry {sequence} is of a kind that this version does not know"
            self.findings.add(Code.NOT_CHECKED, words, sequence=sequence, exit_code=NOT_CHECKED)
        elif kind is Kind.STARTED:
            self.started = sequence
        elif kind is Kind.STOPPED:
            self.stopped = sequence
        elif said.recording is not None and (kind is Kind.OPENED or kind in ENDS):
            event = Event(sequence, kind, said.recording, said.manifest, said.result, self.started)
            self.events.append(event)

    def _take_again(self, sequence: int, digest: bytes) -> None:
        if sequence < self.base:
            words = f"entry {sequence} is older than what the check began with: only the whole ledger tells"
            self.findings.add(Code.BEFORE_BASE, words, sequence=sequence, exit_code=NOT_CHECKED)
            return
        there = self.hashes[sequence - self.base]
        if there == MISSING:
            self._altered(f"entry {sequence} stands behind entry {self.size - 1}", sequence)
        elif there != digest:
            words = f"there are two entries with the number {sequence}"
            self.findings.add(Code.FORK, words, sequence=sequence, exit_code=ALTERED)

    def _take_gap(self, sequence: int) -> bool:
        begin, count = self.size, sequence - self.size
        self._missing += count
        if self._missing > MAX_GAP:
            self._missing -= count
            self._altered(f"entry {sequence} can't follow entry {begin - 1}", begin)
            return False
        words = (
            f"entry {begin} is missing" if count == 1 else f"entries {begin} to {sequence - 1} are missing"
        )
        self.findings.add(Code.GAP, words, sequence=begin, exit_code=ALTERED)
        self.hashes.extend(MISSING * count)
        self.leaves.extend(MISSING * count)
        self.times_ms.extend([NO_TIME] * count)
        self.authentic.extend(bytes(count))
        self._lose_track()
        return True

    def _lose_track(self) -> None:
        """Go on behind something that could not be taken: what follows is not compared with it."""
        self._intact = False
        self._previous = None
        self._clocks = None
        self._note = None

    def _check_clocks(self, said: Said) -> None:
        before = self._clocks
        if before is None:
            return
        wall_ms, same_boot = said.at_ms - before.at_ms, said.boot == before.boot
        passed_ms = said.uptime_ms - before.uptime_ms if same_boot else wall_ms
        step_ms = wall_ms - passed_ms
        if abs(step_ms) < STEP_MS:
            step_ms = 0
        told = said.by_ms is not None and said.by_ms == step_ms
        if (step_ms or said.by_ms is not None) and not told:
            words = f"before entry {said.sequence} the clock was set by {step_ms} ms, and no entry says so"
            self.findings.add(Code.CLOCK_STEPPED, words, sequence=said.sequence, exit_code=ALTERED)
        if wall_ms <= -STEP_MS:
            at = write_time(from_milliseconds(said.at_ms))
            words = f"entry {said.sequence} says {at}, {-wall_ms / 1000:.0f} s before the one before it"
            exit_code = ALTERED if same_boot and not told else NOTE
            self.findings.add(Code.CLOCK_BACK, words, sequence=said.sequence, exit_code=exit_code)
        if passed_ms > SILENCE_MS and self._last_kind is not Kind.STOPPED:
            since, until = (write_time(from_milliseconds(item.at_ms)) for item in (before, said))
            words = f"no sign of life from {since} to {until}"
            self.findings.add(Code.SILENCE, words, sequence=said.sequence, exit_code=NOTE)

    def _take_checkpoint(self, line: bytes, first: int, *, again: bool) -> None:
        size, root = self.size, self._tree.root()
        root_text = base64.b64encode(root)
        expected = b'{"checkpoint":"%b\\n%d\\n%b%b' % (self._origin, size, root_text, self._line_middle)
        begin = len(expected) - _HASH_LENGTH
        end = begin + _SIGNATURE_LENGTH
        if (
            self._intact
            and line.startswith(expected)
            and line[end:] == _LINE_END
            and _SIGNATURE.fullmatch(line, begin, end)
        ):
            note = b"%b\n%d\n%b%b%b\n" % (
                self._origin,
                size,
                root_text,
                self._note_middle,
                line[begin:end],
            )
            self._keep(size, root, note)
        else:
            self._take_checkpoint_slowly(line, first, root, again=again)

    def _take_checkpoint_slowly(self, line: bytes, first: int, root: bytes, *, again: bool) -> None:
        try:
            note = checkpoint.read_line(line)
            said = checkpoint.parse_checkpoint(note)
        except LedgerError as problem:
            self._altered(f"segment {first}: {problem}", first)
            return
        if said.origin.encode() != self._origin:
            self._altered(f"segment {first}: the checkpoint is another ledger's", first)
        elif said.size != self.size:
            if not (again and self._known(said)):
                self._altered(
                    f"segment {first}: a checkpoint of {said.size} entries behind {self.size}", first
                )
        elif not self._intact:
            # It can't fit, and why is told already; that it was there may matter to a time stamp.
            self._remember(said.size, said.root, note)
            self._note = note
        elif said.root != root:
            self._altered(
                f"segment {first}: the checkpoint of {said.size} entries is not that of these entries", first
            )
            self._intact = False
            self._remember(said.size, said.root, note)
            self._note = note
        else:
            self._keep(said.size, said.root, note)

    def _known(self, said: checkpoint.Checkpoint) -> bool:
        """Tell whether this checkpoint was met before: that of a segment that is given twice was."""
        index = bisect_left(self.checkpoint_sizes, said.size)
        there = index < len(self.checkpoint_sizes) and self.checkpoint_sizes[index] == said.size
        return there and self.checkpoint_roots[index] == said.root

    def _keep(self, size: int, root: bytes, note: bytes) -> None:
        self._remember(size, root, note)
        self._note = note
        self.covered = size
        self._vouched = len(self._unverified), note
        if self._every_signature or len(self._unverified) >= MAX_UNVERIFIED:
            self._settle()

    def _remember(self, size: int, root: bytes, note: bytes) -> None:
        if not self.checkpoint_sizes or self.checkpoint_sizes[-1] < size:
            self.checkpoint_sizes.append(size)
            self.checkpoint_roots.append(root)
            self.checkpoint_notes.append(sha256(note).digest())

    def _settle(self) -> None:
        """Verify what is not verified yet: by the newest checkpoint that covers it, or one by one."""
        begin = 0
        if self._vouched is not None:
            begin, note = self._vouched
            try:
                checkpoint.open_checkpoint(note, self.public_key, self.device)
            except RemoteError as problem:
                words = f"{problem}: it stands behind entry {self.covered - 1}"
                newest = self.covered - 1
                self.findings.add(Code.BAD_SIGNATURE, words, sequence=newest, exit_code=BAD_SIGNATURE)
                begin = 0
        for sequence, _ in self._unverified[:begin]:
            self.authentic[sequence - self.base] = 1
        for sequence, line in self._unverified[begin:]:
            self._verify(sequence, line)
        self._unverified, self._vouched = [], None

    def _verify(self, sequence: int, line: bytes) -> None:
        try:
            data, signature = entry.split_line(line)
            entry.verify_signature(data, signature, self.public_key)
        except (LedgerError, SignatureError) as problem:
            words = f"entry {sequence}: {problem}"
            self.findings.add(Code.BAD_SIGNATURE, words, sequence=sequence, exit_code=BAD_SIGNATURE)
        else:
            self.authentic[sequence - self.base] = 1

    def _altered(self, words: str, sequence: int | None) -> None:
        self.findings.add(Code.ALTERED, words, sequence=sequence, exit_code=ALTERED)


def broken_link(sequence: int) -> str:
    """Return what is told of an entry whose successor was written behind another one."""
    return f"entry {sequence} is not the one that entry {sequence + 1} was written behind"


def _said_of(clocks: Clocks) -> Said:
    """Return the clocks of an entry of which nothing else is known any more."""
    return Said(b"", b"", 0, b"", clocks.at_ms, clocks.boot.encode(), clocks.uptime_ms, None)
