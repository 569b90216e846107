"""One device's segments as they lie in a store: found, and read.

Names sort as texts and not as numbers (``100.jsonl`` stands before ``99.jsonl``), and a year has half a
million of them, so that nobody lists them all every minute. What comes next is known: a segment is named by
its first entry, which is the number of entries so far. `newer` lists only the names around it, those with the
same digits but the last two; `everything` is for the rare look at what is missing or too much.

Where the store keeps versions, each name may have several: whoever may add can put another one over the
device's, and the newest is what a plain reading gives. `read` gives the device's own, judged by its key, and
counts what others put, for the caller to tell.

Conventions: everything is read with a limit, and one byte more, for its reader to refuse. What the store
raises is let through (StoreError, an OSError); an object's own reading may raise any OSError.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callseal.seal.errors import LedgerError, RemoteError
from callseal.seal.ledger.checkpoint import LINE_PREFIX, open_checkpoint, read_line
from callseal.seal.ledger.entry import split_line, verify_signature
from callseal.seal.ledger.quick import read_said
from callseal.seal.ledger.recovery import MAX_SEGMENT_BYTES, MAX_SEGMENT_ENTRIES
from callseal.seal.stamp import MAX_STAMP_BYTES
from callseal.seal.verify.reading import read_up_to
from callseal.store.interface import StoreReader, StoreWriter
from callseal.store.names import (
    LEDGER,
    MAX_NUMBER,
    STAMPS,
    ledger_name,
    parse_ledger_name,
    parse_stamp_name,
    stamp_name,
)

MAX_VERSIONS: Final = 100
"""Of one name; that somebody puts more of them is told, and those are not read."""

_NEAR_DIGITS: Final = 2  # up to a hundred names: one answer of any store


class Shelf(StoreReader, StoreWriter, Protocol):
    """What is read here: a reader, and what it can do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A segment in a listing: each of its versions, oldest first, None where the store has no versions."""

    first: int
    versions: tuple[str | None, ...]
    arrived_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A segment that was read: the device's bytes, more than one only of a fork, and how many are others'."""

    first: int
    data: tuple[bytes, ...]
    arrived_at: datetime | None
    others: int = 0


class LedgerShelf:
    """A device's ledger in a store."""

    def __init__(self, store: Shelf, device: str) -> None:
        self._store = store
        self._device = device
        self._prefix = f"{LEDGER}{device}/"

    def newer(self, size: int) -> Iterator[Listed]:
        """Yield the segments from entry `size` on, as far as they follow one another closely."""
        begin = size
        while True:
            near = str(begin)[:-_NEAR_DIGITS]
            end = (int(near or "0") + 1) * 10**_NEAR_DIGITS
            # Longer numbers that begin alike are passed over: their turn comes.
            listed = self._list(f"{self._prefix}{near}", range(begin, end))
            found = [item for item in listed if isinstance(item, Listed)]
            if not found:
                return
            yield from sorted(found, key=lambda item: item.first)
            begin = end

    def everything(self) -> Iterator[Listed | str]:
        """Yield all that lies there, in the order of the names; a name that is no segment's as it is."""
        return self._list(self._prefix, range(MAX_NUMBER + 1))

    def read(self, listed: Listed, key: Ed25519PublicKey | None) -> Found:
        """Return a segment's bytes, each different ones once, the oldest first.

        With the device's key they are those only of which the device signed something under that number:
        where there are several, those that it signed line by line.
        """
        name = ledger_name(self._device, listed.first)
        texts: list[bytes] = []
        for version in listed.versions[:MAX_VERSIONS]:
            data = self._bytes(name, version, MAX_SEGMENT_BYTES)
            if data not in texts:
                texts.append(data)
        taken = texts
        if key is not None:
            touched = [data for data in texts if is_signed_in(data, key, self._device, listed.first)]
            own = [data for data in touched if is_own(data, key, self._device)] if touched[1:] else []
            taken = own or touched[:1]
        more = len(listed.versions) - MAX_VERSIONS
        return Found(
            first=listed.first,
            data=tuple(taken),
            arrived_at=listed.arrived_at,
            others=len(texts) - len(taken) + max(0, more),
        )

    def stamp_sizes(self) -> Sequence[int]:
        """Return the sizes for which there is a time stamp, sorted."""
        names = (parse_stamp_name(item.name) for item in self._store.list(f"{STAMPS}{self._device}/"))
        return sorted(parsed[1] for parsed in names if parsed is not None)

    def stamp(self, size: int) -> bytes:
        """Return a time stamp's bytes."""
        return self._bytes(stamp_name(self._device, size), None, MAX_STAMP_BYTES)

    def _list(self, prefix: str, wanted: range) -> Iterator[Listed | str]:
        keeps = self._store.capabilities.versions
        listing = self._store.versions(prefix) if keeps else self._store.list(prefix)
        for name, group in groupby(listing, key=attrgetter("name")):
            parsed = parse_ledger_name(name)
            if parsed is None:
                yield name
            elif parsed[1] in wanted:
                items = list(group)
                versions = tuple(item.version if keeps else None for item in items)
                yield Listed(first=parsed[1], versions=versions, arrived_at=items[0].modified_at)

    def _bytes(self, name: str, version: str | None, limit_bytes: int) -> bytes:
        with closing(self._store.get(name, version)) as file:
            return read_up_to(file, limit_bytes + 1)


@dataclass(slots=True, kw_only=True)
class WholeCopy:
    """All of a device's ledger in a store, for `seal.verify.verify_device`."""

    place: str
    shelf: LedgerShelf
    key: Ed25519PublicKey | None
    keeps_all: bool = True
    _at: dict[int, Listed] = field(default_factory=dict)

    def __post_init__(self) -> None:
        there = (item for item in self.shelf.everything() if isinstance(item, Listed))
        self._at = {item.first: item for item in sorted(there, key=lambda item: item.first)}

    def firsts(self) -> Sequence[int]:
        """Return the numbers of the segments, sorted."""
        return list(self._at)

    def segment(self, first: int) -> bytes:
        """Return a segment's bytes, as they lie there if nothing of them is the device's own."""
        listed = self._at[first]
        found = self.shelf.read(listed, self.key)
        return next(iter(found.data or self.shelf.read(listed, None).data), b"")

    def stamp_sizes(self) -> Sequence[int]:
        """Return the sizes for which there is a time stamp, sorted."""
        return self.shelf.stamp_sizes()

    def stamp(self, size: int) -> bytes:
        """Return a time stamp's bytes."""
        return self.shelf.stamp(size)

    def notes(self) -> Iterable[bytes]:
        """Return nothing: a store keeps checkpoints in segments only."""
        return ()


def is_signed_in(data: bytes, key: Ed25519PublicKey, device: str, first: int) -> bool:
    """Tell whether the device signed any line that belongs into the segment with this first number.

    Nearly always the first line tells; where it was altered the others are looked at.
    """
    for line in data.splitlines(keepends=True):
        try:
            if line.startswith(LINE_PREFIX):
                sequence = open_checkpoint(read_line(line), key, device).size - 1
            else:
                sequence = read_said(line).sequence
                verify_signature(*split_line(line), key)
        except RemoteError:
            continue
        if first <= sequence < first + MAX_SEGMENT_ENTRIES:
            return True
    return False


def is_own(data: bytes, key: Ed25519PublicKey, device: str) -> bool:
    """Tell whether the device signed every line of a segment, and a checkpoint ends it."""
    *lines, newest = data.splitlines(keepends=True) or [b""]
    if not newest.startswith(LINE_PREFIX):
        return False
    try:
        open_checkpoint(read_line(newest), key, device)
        for line in lines:
            verify_signature(*_split(line), key)
    except RemoteError:
        return False
    return True


def _split(line: bytes) -> tuple[bytes, bytes]:
    if line.startswith(LINE_PREFIX):
        raise LedgerError("a checkpoint stands before the end")
    return split_line(line)
