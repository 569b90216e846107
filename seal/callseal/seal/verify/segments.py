"""The copies of one ledger that are at hand, read as one.

A store may lag behind the spool, and a spool may have let go of what is stored: together they are the ledger.
What several copies hold in the same bytes is read once; where they differ both are handed on, so that who
checks the chain meets two entries with one number.

Conventions: segments come sorted by the number of their first entry. What can't be read is an OSError.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callseal.seal.errors import LedgerError, UntrustedSigner
from callseal.seal.keys import device_id, leaf_public_key
from callseal.seal.ledger.checkpoint import LINE_PREFIX, read_line
from callseal.seal.ledger.entry import Kind, parse_entry, split_line

_STARTED: Final = b'"kind":"started"'


class LedgerCopy(Protocol):
    """What one place holds of a device's ledger. Raises OSError for what can't be read."""

    @property
    def place(self) -> str:
        """What the place is called."""

    @property
    def keeps_all(self) -> bool:
        """Whether nothing may be missing there but the newest: so in a store, and not in a spool."""

    def firsts(self) -> Sequence[int]:
        """Return the numbers of the segments, sorted."""

    def segment(self, first: int) -> bytes:
        """Return a segment's bytes."""

    def stamp_sizes(self) -> Sequence[int]:
        """Return the sizes for which there is a time stamp, sorted."""

    def stamp(self, size: int) -> bytes:
        """Return a time stamp's bytes."""

    def notes(self) -> Iterable[bytes]:
        """Yield the checkpoints that are kept there by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """An entry that says that the agent began, and by whom it is vouched for."""

    sequence: int
    at: datetime
    x5c: tuple[bytes, ...]


class LedgerReader:
    """Reads the copies, and keeps on the way what else is of use."""

    def __init__(self, copies: Sequence[LedgerCopy], note_sizes: Iterable[int] = ()) -> None:
        """`note_sizes` are those of which the checkpoints themselves will be needed."""
        self._copies = tuple(copies)
        self._wanted = frozenset(note_sizes)
        self.started: list[Started] = []
        self.notes: dict[int, list[bytes]] = {}
        self.differing: list[tuple[int, str, str]] = []
        """First entry of a segment, and two places that hold different bytes of it."""

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Yield every segment: its first entry's number and its bytes."""
        rows = [[(first, number) for first in copy.firsts()] for number, copy in enumerate(self._copies)]
        for first, row in groupby(merge(*rows), itemgetter(0)):
            there: dict[bytes, str] = {}
            for _first, number in row:
                copy = self._copies[number]
                data = copy.segment(first)
                if data in there:
                    continue
                if there:
                    self.differing.append((first, next(iter(there.values())), copy.place))
                there[data] = copy.place
                self._look(data)
                yield first, data

    def _look(self, data: bytes) -> None:
        if _STARTED in data:
            self.started += started_in(data)
        if self._wanted:
            self._keep_note(data)

    def _keep_note(self, data: bytes) -> None:
        line = newest_line(data)
        parts = line.split(b"\\n", 2)
        if not line.startswith(LINE_PREFIX) or not parts[1:] or not parts[1].isdigit():
            return
        size = int(parts[1][:20])
        if size in self._wanted:
            try:
                self.notes.setdefault(size, []).append(read_line(line))
            except LedgerError:
                return  # told by the check of the chain


def newest_line(data: bytes) -> bytes:
    """Return a segment's last whole line, line feed included: its checkpoint, if it is finished."""
    whole = data.rpartition(b"\n")[0]
    return whole.rpartition(b"\n")[2] + b"\n"


def started_in(data: bytes) -> Iterator[Started]:
    """Yield what a segment says of the agent's beginnings; malformed lines are for the chain's check."""
    for line in data.splitlines(keepends=True):
        if _STARTED not in line:
            continue
        try:
            said = parse_entry(split_line(line)[0])
        except LedgerError:
            continue
        if said.kind is Kind.STARTED:
            yield Started(sequence=said.sequence, at=said.at, x5c=said.x5c)


def device_of(data: bytes) -> str | None:
    """Return the device that a segment's first readable entry names; whether it wrote it is not checked."""
    for line in data.splitlines(keepends=True):
        try:
            return parse_entry(split_line(line)[0]).device
        except LedgerError:
            continue
    return None


def key_of(device: str, copies: Sequence[LedgerCopy]) -> Ed25519PublicKey | None:
    """Return the device's public key, as its ledger gives it; it is the key by which the device is named.

    None where no entry gives one. Whether anybody vouches for it is another matter. Raises OSError.
    """
    for copy in copies:
        for first in copy.firsts():
            data = copy.segment(first)
            if _STARTED not in data:
                continue
            for started in started_in(data):
                try:
                    key = leaf_public_key(started.x5c)
                except UntrustedSigner:
                    continue
                if device_id(key) == device:
                    return key
    return None
