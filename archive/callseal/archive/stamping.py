"""Stamps for the ledgers in a store: an authority outside says that they were there by now.

For each device the newest checkpoint is looked at, the last line of its newest segment. If it has no stamp
yet, the authority is asked for one, and its answer is checked and put as ``stamps/<device>/<size>.tsr``. A
stamp on a checkpoint covers all entries before it, so the older checkpoints need none.

Conventions: doing it again does nothing again. What is wrong with one device stops no other; after
`MOST_FAILURES` failures in a row to reach the authority it is not asked any more, so that a night's run
over a fleet ends. A stamp whose time is more than `CLOCK_TOLERANCE` from this machine's clock is not kept:
one of the two is wrong, and a stamp, once stored, can't be replaced. Without roots an authority's answer is
kept where all else fits, and it is said to be *not checked*; `verify` can check it later. Segments whose
checkpoint the device did not sign are passed over, and said.

Names in the store that are no segment's are passed over.
"""

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import BinaryIO, Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callseal.archive.errors import ArchiveError, AuthorityRefused, AuthorityUnreachable
from callseal.seal.errors import LedgerError, RemoteError, SealError, UntrustedSigner
from callseal.seal.keys import device_id, leaf_public_key
from callseal.seal.ledger.checkpoint import open_checkpoint, origin_of, parse_checkpoint, read_line
from callseal.seal.stamp import MAX_STAMP_BYTES, Stamp, open_stamp, read_stamp, request
from callseal.seal.verify.segments import started_in
from callseal.store.errors import StoreError, StoreMissing, StoreRefused, StoreUnreachable
from callseal.store.interface import ObjectInfo, StoreReader, StoreWriter
from callseal.store.names import LEDGER, MAX_NUMBER, ledger_name, parse_ledger_name, stamp_name

MAX_SEGMENT_BYTES: Final = 16 * 1024 * 1024
"""A segment has at most 100 entries (docs/format.md) of at most 64 KiB."""
CLOCK_TOLERANCE: Final = timedelta(minutes=10)
MOST_FAILURES: Final = 3
MAX_CANDIDATES: Final = 100
"""How many of a device's newest segments are looked at for one that is its own."""

NOT_CHECKED: Final = 15


class Store(StoreReader, StoreWriter, Protocol):
    """What is stamped: both halves of a store."""


class Reader(Protocol):
    """What the ledgers are read by, where that is not the store itself: it chooses among versions."""

    def get(self, name: str) -> BinaryIO:
        """Open an object; raises as a store's `get`."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield objects; raises as a store's `list`."""


class Asked(Protocol):
    """An authority."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    def ask(self, question: bytes) -> bytes:
        """Return the answer's bytes. Raises AuthorityUnreachable and AuthorityRefused."""


class Outcome(StrEnum):
    """What came of a device."""

    STAMPED = "stamped"
    ALREADY = "already"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStamp:
    """What came of one device.

    `size` is that of its newest checkpoint that is its own, as far as one could be read; `stamp` is there
    unless it failed, `problem` if it did or if newer segments were passed over. `checked` says that one of
    the roots vouches for the authority.
    """

    device: str
    size: int | None
    outcome: Outcome
    stamp: Stamp | None = None
    checked: bool = False
    problem: SealError | StoreError | ArchiveError | None = None

    @property
    def exit_code(self) -> int:
        """0; 15 where something could not be read or checked; 20 and 21 for authority and store."""
        if self.problem is None:
            return 0 if self.checked else NOT_CHECKED
        # An altered segment or stamp is for `verify` to judge: here it is one that could not be stamped.
        own = isinstance(self.problem, ArchiveError | StoreError) and self.problem.exit_code > NOT_CHECKED
        return self.problem.exit_code if own else NOT_CHECKED


class Stamper:
    """Stamps what lies in one store. `nonce` gives a new random number of at most 64 bits, never 0.

    `reader` reads it, if not the store itself, which gives the newest version of what has several.
    """

    def __init__(
        self,
        store: Store,
        authority: Asked,
        roots: Sequence[x509.Certificate],
        *,
        now: Callable[[], datetime],
        nonce: Callable[[], int],
        reader: Reader | None = None,
    ) -> None:
        self._store = store
        self._reader: Reader = reader or store
        self._authority = authority
        self._roots = tuple(roots)
        self._now = now
        self._nonce = nonce
        self._failures = 0

    def run(self) -> Iterator[DeviceStamp]:
        """Yield what came of each device, sorted by device. StoreError where the store can't be listed."""
        found: dict[str, _Firsts] = defaultdict(_Firsts)
        for item in self._reader.list(LEDGER):
            parsed = parse_ledger_name(item.name)
            if parsed is not None:
                device, first = parsed
                found[device].add(first)
        for device, firsts in sorted(found.items()):
            yield self._device(device, firsts)

    def _device(self, device: str, firsts: "_Firsts") -> DeviceStamp:
        size = None
        try:
            size, note, doubt = self._newest(device, firsts)
            there = self._stored(device, size, note)
            if there is not None:
                return self._done(device, size, Outcome.ALREADY, there, doubt)
            answer, stamp = self._ask(note)
            try:
                self._store.put(stamp_name(device, size), answer, hashlib.sha256(answer).digest())
            except StoreRefused:
                # Somebody else stamped it meanwhile: theirs is as good, if it is one.
                there = self._stored(device, size, note)
                if there is None:
                    raise
                return self._done(device, size, Outcome.ALREADY, there, doubt)
            return self._done(device, size, Outcome.STAMPED, stamp, doubt)
        except (SealError, StoreError, ArchiveError) as problem:
            return DeviceStamp(device=device, size=size, outcome=Outcome.FAILED, problem=problem)

    def _done(
        self, device: str, size: int, outcome: Outcome, stamp: Stamp, doubt: RemoteError | None
    ) -> DeviceStamp:
        return DeviceStamp(
            device=device, size=size, outcome=outcome, stamp=stamp, checked=bool(self._roots), problem=doubt
        )

    def _newest(self, device: str, firsts: "_Firsts") -> tuple[int, bytes, RemoteError | None]:
        """Return size and bytes of the newest checkpoint that the device signed, and what was passed over.

        Who has no more than the right to add could put a segment of his own behind the device's: stamping
        that one would leave the ledger itself without a stamp from then on.
        """
        key = self._key(device, firsts)
        doubt: RemoteError | None = None
        for first in firsts.newest():
            try:
                size, note = self._checkpoint(device, first)
                open_checkpoint(note, key, device)
            except RemoteError as problem:
                doubt = doubt or LedgerError(f"{ledger_name(device, first)}: passed over: {problem}")
            else:
                return size, note, doubt
        raise doubt or LedgerError(f"{device}: no segment of its ledger is there")

    def _key(self, device: str, firsts: "_Firsts") -> Ed25519PublicKey:
        """Return the device's public key; it is the key by which the device is named."""
        for first in (firsts.oldest, *firsts.newest()):
            for started in started_in(self._read(ledger_name(device, first), MAX_SEGMENT_BYTES)):
                with suppress(UntrustedSigner):
                    key = leaf_public_key(started.x5c)
                    if device_id(key) == device:
                        return key
        oldest = ledger_name(device, firsts.oldest)
        raise LedgerError(f"{oldest}, and those behind it: none has the certificate of {device}")

    def _checkpoint(self, device: str, first: int) -> tuple[int, bytes]:
        """Return the size and the exact bytes of the checkpoint at the end of a segment."""
        name = ledger_name(device, first)
        data = self._read(name, MAX_SEGMENT_BYTES)
        if len(data) > MAX_SEGMENT_BYTES:
            raise LedgerError(f"{name}: more than the {MAX_SEGMENT_BYTES} bytes allowed")
        lines, end, rest = data.rpartition(b"\n")
        if not end or rest:
            raise LedgerError(f"{name}: does not end with a whole line")
        try:
            note = read_line(lines.rpartition(b"\n")[2] + b"\n")
            checkpoint = parse_checkpoint(note)
        except LedgerError as problem:
            raise LedgerError(f"{name}: its last line is no checkpoint: {problem}") from problem
        if checkpoint.origin != origin_of(device) or checkpoint.size <= first:
            raise LedgerError(f"{name}: its checkpoint is another device's, or over too few entries")
        return checkpoint.size, note

    def _stored(self, device: str, size: int, note: bytes) -> Stamp | None:
        """Return the stamp that the store has already, None if it has none."""
        name = stamp_name(device, size)
        try:
            data = self._read(name, MAX_STAMP_BYTES)
        except StoreMissing:
            return None
        try:
            return self._check(data, note, None)
        except RemoteError as problem:
            raise type(problem)(f"{name}: {problem}") from problem

    def _ask(self, note: bytes) -> tuple[bytes, Stamp]:
        name = self._authority.name
        if self._failures >= MOST_FAILURES:
            raise AuthorityUnreachable(f"{name}: not asked: it failed {self._failures} times in a row")
        nonce = self._nonce()
        try:
            answer = self._authority.ask(request(note, nonce=nonce))
        except AuthorityUnreachable:
            self._failures += 1
            raise
        self._failures = 0
        try:
            stamp = self._check(answer, note, nonce)
        except RemoteError as problem:
            raise AuthorityRefused(f"{name}: {problem}; nothing was kept") from problem
        ahead_s = (stamp.at - self._now()).total_seconds()
        if abs(ahead_s) > CLOCK_TOLERANCE.total_seconds():
            way = "ahead of" if ahead_s > 0 else "behind"
            raise AuthorityRefused(
                f"{name}: its clock is {abs(ahead_s):.0f} s {way} this machine's: one of the two is wrong;"
                " nothing was kept"
            )
        return answer, stamp

    def _check(self, data: bytes, note: bytes, nonce: int | None) -> Stamp:
        if not self._roots:
            return open_stamp(data, note, nonce=nonce)
        return read_stamp(data, note, self._roots, nonce=nonce)

    def _read(self, name: str, limit_bytes: int) -> bytes:
        """Return up to one byte more than the limit, for the caller to refuse."""
        data = bytearray()
        try:
            with self._reader.get(name) as file:
                while len(data) <= limit_bytes and (block := file.read(limit_bytes + 1 - len(data))):
                    data += block
        except StoreError:
            raise
        except OSError as problem:
            raise StoreUnreachable(f"{name}: can't be read: {problem.strerror}") from problem
        return bytes(data)


class _Firsts:
    """The first entries of a device's segments: the oldest, and as many of the newest as are worth a look."""

    def __init__(self) -> None:
        self.oldest = MAX_NUMBER
        self._newest: list[int] = []

    def add(self, first: int) -> None:
        self.oldest = min(self.oldest, first)
        if len(self._newest) < MAX_CANDIDATES:
            heapq.heappush(self._newest, first)
        else:
            heapq.heappushpop(self._newest, first)

    def newest(self) -> list[int]:
        """Return them, the newest first."""
        return sorted(self._newest, reverse=True)
