"""What places hold to prove recordings by: ledgers, time stamps, receipts.

Conventions: a store holds them under the names of `store.names`. A folder that is no store may be a copy of a
ledger that somebody kept: segments (``<first>.jsonl``) in it or in ``ledger/``, also one folder further down,
time stamps in ``stamps/<device>/``, and single checkpoints, files that begin with ``callseal.ledger/``.
What can't be read is an OSError. This module touches files.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from callseal.cli.counting import EVERY, Counted, unseen
from callseal.cli.versions import VersionReader
from callseal.seal.errors import LedgerError
from callseal.seal.ledger.checkpoint import MAX_NOTE_BYTES, parse_checkpoint
from callseal.seal.ledger.recovery import MAX_SEGMENT_BYTES
from callseal.seal.receipt import MAX_SIZE_BYTES as MAX_RECEIPT_BYTES
from callseal.seal.stamp import MAX_STAMP_BYTES
from callseal.seal.verify import LedgerCopy, ObjectReader
from callseal.seal.verify.reading import ListedObject, fetch, open_file, read_up_to
from callseal.seal.verify.segments import device_of
from callseal.store.interface import ObjectInfo
from callseal.store.names import (
    LEDGER,
    RECEIPTS,
    STAMPS,
    ledger_name,
    parse_ledger_name,
    parse_receipt_site,
    parse_stamp_name,
    stamp_name,
)
from callseal.store.probe_names import is_probe_name

_SEGMENT: Final = re.compile(r"(0|[1-9][0-9]{0,15})\.jsonl")
_STAMP: Final = re.compile(r"([1-9][0-9]{0,15})\.tsr")
_NOTE_PREFIX: Final = b"callseal.ledger/"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """A recording whose proofs are wanted."""

    device: str
    recording: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs:
    """What one place holds; `strangers` are names that are none of the kind."""

    ledgers: Mapping[str, Sequence[LedgerCopy]] = field(default_factory=dict)
    receipts: Mapping[tuple[str, UUID], "Receipt"] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A receipt that lies in a store; `stored_at` as in `seal.verify.receipts.Stored`."""

    name: str
    reader: ObjectReader
    stored_at: datetime | None = None

    def read(self) -> bytes:
        """Return its bytes, up to one more than the limit, which its reader then refuses."""
        return fetch(self.reader, self.name, MAX_RECEIPT_BYTES)


@dataclass(slots=True, kw_only=True)
class StoredLedger:
    """A device's ledger in a store."""

    place: str
    device: str
    reader: ObjectReader
    keeps_all: bool = True
    numbers: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def firsts(self) -> Sequence[int]:
        """Return the numbers of the segments, sorted."""
        return self.numbers

    def segment(self, first: int) -> bytes:
        """Return a segment's bytes."""
        return fetch(self.reader, ledger_name(self.device, first), MAX_SEGMENT_BYTES)

    def stamp_sizes(self) -> Sequence[int]:
        """Return the sizes for which there is a time stamp, sorted."""
        return self.sizes

    def stamp(self, size: int) -> bytes:
        """Return a time stamp's bytes."""
        return fetch(self.reader, stamp_name(self.device, size), MAX_STAMP_BYTES)

    def notes(self) -> Iterable[bytes]:
        """Return nothing: a store keeps checkpoints in segments only."""
        return ()


@dataclass(slots=True, kw_only=True)
class FolderLedger:
    """A device's ledger in folders on this machine."""

    place: str
    keeps_all: bool = False
    segments: dict[int, Path] = field(default_factory=dict)
    stamps: dict[int, Path] = field(default_factory=dict)
    checkpoints: list[bytes] = field(default_factory=list)

    def firsts(self) -> Sequence[int]:
        """Return the numbers of the segments, sorted."""
        return sorted(self.segments)

    def segment(self, first: int) -> bytes:
        """Return a segment's bytes."""
        return _read(self.segments[first], MAX_SEGMENT_BYTES)

    def stamp_sizes(self) -> Sequence[int]:
        """Return the sizes for which there is a time stamp, sorted."""
        return sorted(self.stamps)

    def stamp(self, size: int) -> bytes:
        """Return a time stamp's bytes."""
        return _read(self.stamps[size], MAX_STAMP_BYTES)

    def notes(self) -> Iterable[bytes]:
        """Return the checkpoints that were kept by themselves."""
        return self.checkpoints


def in_store(
    reader: ObjectReader, place: str, about: Sequence[About] | None = None, progress: Counted = unseen
) -> Proofs:
    """Look through a store, or only for what some recordings are proved by; StoreError if it can't be listed.

    `progress` hears how many objects were seen.
    """
    ledgers: dict[str, StoredLedger] = {}
    receipts: dict[tuple[str, UUID], Receipt] = {}
    strangers: list[str] = []
    for number, item in enumerate(_proving(reader, about)):
        name = item.name
        if number % EVERY == 0:
            progress(place, number)
        segment, stamp, receipt = parse_ledger_name(name), parse_stamp_name(name), parse_receipt_site(name)
        if segment is not None:
            _stored(ledgers, segment[0], reader, place).numbers.append(segment[1])
        elif stamp is not None:
            _stored(ledgers, stamp[0], reader, place).sizes.append(stamp[1])
        elif receipt is None:
            strangers += [] if is_probe_name(name) else [name]
        elif not receipt[2]:
            # One that names a site is about what lies in another store.
            receipts[receipt[:2]] = Receipt(name=name, reader=reader, stored_at=_stored_at(reader, item))
    for ledger in ledgers.values():
        # A listing is in the order of the names, not of the numbers.
        ledger.numbers.sort()
        ledger.sizes.sort()
    copies = {device: (ledger,) for device, ledger in ledgers.items()}
    return Proofs(ledgers=copies, receipts=receipts, strangers=tuple(strangers))


def _proving(reader: ObjectReader, about: Sequence[About] | None) -> Iterator[ListedObject]:
    """Yield what proves recordings, as it is listed."""
    if about is None:
        prefixes: Iterable[str] = (LEDGER, STAMPS, RECEIPTS)
    else:
        devices = sorted({one.device for one in about})
        prefixes = (
            *(f"{kind}{device}/" for kind in (LEDGER, STAMPS) for device in devices),
            *sorted({f"{RECEIPTS}{one.device}/{one.recording}." for one in about}),
        )
    for prefix in prefixes:
        yield from reader.list(prefix)


def _stored_at(reader: ObjectReader, item: ListedObject) -> datetime | None:
    """Return when a store took a receipt, None where anybody else could have set that time, as in a folder.

    Of several versions it is the newest one's: the one that is read is as old at least.
    """
    if not isinstance(reader, VersionReader) or not isinstance(item, ObjectInfo):
        return None
    return item.modified_at


def in_spool(folder: Path, place: str) -> Proofs:
    """Look through the folder in which an agent's ledger grows; one that was never made holds nothing."""
    if not folder.exists():
        return Proofs()
    ledgers: dict[str, list[LedgerCopy]] = {}
    _take_segments(ledgers, folder, place)
    return Proofs(ledgers=ledgers)


def in_folder(path: Path, place: str) -> Proofs:
    """Look through a folder that is no store, or take a single file for a checkpoint."""
    ledgers: dict[str, list[LedgerCopy]] = {}
    if path.is_file():
        _take_note(ledgers, path, place)
        return Proofs(ledgers=ledgers)
    for folder in _folders(path, "ledger"):
        _take_segments(ledgers, folder, place)
    for folder in _folders(path, "stamps"):
        stamps = _numbered(folder, _STAMP)
        if stamps:
            ledgers.setdefault(folder.name, []).append(FolderLedger(place=place, stamps=stamps))
    for item in sorted(path.iterdir()):
        if item.is_file() and _SEGMENT.fullmatch(item.name) is None:
            _take_note(ledgers, item, place)
    return Proofs(ledgers=ledgers)


def _take_segments(ledgers: dict[str, list[LedgerCopy]], folder: Path, place: str) -> None:
    segments = _numbered(folder, _SEGMENT)
    device = _device(segments)
    if device is not None:
        ledgers.setdefault(device, []).append(FolderLedger(place=place, segments=segments))


def _stored(ledgers: dict[str, StoredLedger], device: str, reader: ObjectReader, place: str) -> StoredLedger:
    return ledgers.setdefault(device, StoredLedger(place=place, device=device, reader=reader))


def _numbered(folder: Path, pattern: re.Pattern[str]) -> dict[int, Path]:
    found = ((pattern.fullmatch(item.name), item) for item in folder.iterdir())
    return {int(match[1]): item for match, item in found if match is not None}


def _folders(path: Path, name: str) -> Iterator[Path]:
    for folder in (path, path / name):
        if folder.is_dir():
            yield folder
            yield from sorted(item for item in folder.iterdir() if item.is_dir())


def _device(segments: Mapping[int, Path]) -> str | None:
    """Return whose ledger some segments are, by the first of them that can be told."""
    for first in sorted(segments):
        device = device_of(_read(segments[first], MAX_SEGMENT_BYTES))
        if device is not None:
            return device
    return None


def _take_note(ledgers: dict[str, list[LedgerCopy]], path: Path, place: str) -> None:
    with path.open("rb") as file:
        if file.read(len(_NOTE_PREFIX)) != _NOTE_PREFIX:
            return
    note = _read(path, MAX_NOTE_BYTES)
    try:
        device = parse_checkpoint(note).origin.removeprefix(_NOTE_PREFIX.decode())
    except LedgerError:
        return
    ledgers.setdefault(device, []).append(FolderLedger(place=place, checkpoints=[note]))


def _read(path: Path, limit_bytes: int) -> bytes:
    """Return a file's bytes, up to one more than the limit, which its reader then refuses."""
    with open_file(path) as file:
        return read_up_to(file, limit_bytes + 1)
