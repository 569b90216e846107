"""A device's ledger and its recordings in memory, for tests of whoever judges them.

Nothing here checks anything: an attacker with the device's key could have written all of it.
"""

import errno
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import BinaryIO
from uuid import UUID

from callseal.seal.ledger.checkpoint import sign_checkpoint, write_line
from callseal.seal.ledger.clock import Clocks
from callseal.seal.ledger.entry import ENDS, Entry, Kind, entry_hash, first_previous, sign_line
from callseal.seal.ledger.merkle import CompactRange, leaf_hash
from callseal.seal.manifest import (
    MANIFEST_NAME,
    SIGNATURE_NAME,
    LedgerPlace,
    Manifest,
    ManifestObject,
    sign,
)
from callseal.seal.verify import DeviceLedger, ListedObject, verify_device
from callseal.seal.verify.receipts import Stored
from support.sealed_recordings import AUDIO, CALL, STARTED_AT, Organisation, manifest_of, sealed_object

BOOT = "0123456789abcdef"
MINUTE = timedelta(minutes=1)
SETTINGS = hashlib.sha256(b"settings").digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What a listing says of an object."""

    name: str
    size_bytes: int


class Memory:
    """A reader of objects in memory; those of the names in `unreadable` can't be read."""

    def __init__(self, objects: dict[str, bytes], unreadable: tuple[str, ...] = ()) -> None:
        self.objects = objects
        self.unreadable = unreadable

    def get(self, name: str) -> BinaryIO:
        if any(part in name for part in self.unreadable):
            raise OSError(errno.EIO, "Input/output error")
        return io.BytesIO(self.objects[name])

    def list(self, prefix: str) -> Iterator[ListedObject]:
        if "list" in self.unreadable:
            raise OSError(errno.EIO, "Input/output error")
        for name, data in self.objects.items():
            if name.startswith(prefix):
                yield Listed(name=name, size_bytes=len(data))


@dataclass(slots=True, kw_only=True)
class KeptLedger:
    """A copy of a ledger."""

    place: str = "here"
    keeps_all: bool = True
    segments: dict[int, bytes] = field(default_factory=dict)
    stamps: dict[int, bytes] = field(default_factory=dict)
    checkpoints: list[bytes] = field(default_factory=list)
    unreadable: bool = False

    def firsts(self) -> Sequence[int]:
        return sorted(self.segments)

    def segment(self, first: int) -> bytes:
        if self.unreadable:
            raise OSError(errno.EIO, "Input/output error")
        return self.segments[first]

    def stamp_sizes(self) -> Sequence[int]:
        return sorted(self.stamps)

    def stamp(self, size: int) -> bytes:
        return self.stamps[size]

    def notes(self) -> Iterable[bytes]:
        return self.checkpoints

    def copied(self, place: str) -> "KeptLedger":
        """Return a copy that goes its own way."""
        return KeptLedger(
            place=place, keeps_all=self.keeps_all, segments=dict(self.segments), stamps=dict(self.stamps)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A recording: its manifest, and its files by name."""

    manifest: Manifest
    files: Mapping[str, bytes]

    @property
    def id(self) -> UUID:
        return self.manifest.id

    @property
    def prefix(self) -> str:
        """Its folder in a store."""
        day = self.manifest.started_at
        return f"recordings/{self.manifest.device}/{day:%Y/%m/%d}/{self.manifest.id}/"

    @property
    def reader(self) -> Memory:
        """A store that holds it."""
        return Memory({self.prefix + name: data for name, data in self.files.items()})

    @property
    def sha256(self) -> bytes:
        """The hash of its manifest."""
        return hashlib.sha256(self.files[MANIFEST_NAME]).digest()


class Writer:
    """Whoever holds a device's key: writes its ledger and seals recordings, at any time that is wanted."""

    def __init__(self, owner: Organisation, now: datetime = STARTED_AT - MINUTE) -> None:
        self.owner = owner
        self.signing_key = owner.device_key
        self.now = now
        self.began = now
        self.entries: list[bytes] = []
        self.kept = KeptLedger()
        self.notes: list[bytes] = []
        """The checkpoints so far."""
        self._open: list[bytes] = []
        self._tree = CompactRange()
        self._previous = first_previous(owner.device)

    def copied(self) -> "Writer":
        """Return a writer that goes on from here by itself: a machine set back to an older copy."""
        other = Writer(self.owner, self.now)
        for data in self.entries:
            other._tree.append(leaf_hash(data))
        other.began, other.entries = self.began, list(self.entries)
        other.kept, other.notes = self.kept.copied(self.kept.place), list(self.notes)
        other._open, other._previous = list(self._open), self._previous
        return other

    @property
    def place(self) -> LedgerPlace | None:
        """The newest entry."""
        if not self.entries:
            return None
        return LedgerPlace(sequence=len(self.entries) - 1, head=self._previous)

    def add(self, kind: Kind, *, after: timedelta = MINUTE, **fields: object) -> int:
        """Write an entry, a while after the one before; return its number."""
        self.now += after
        uptime_ms = 1_000_000 + int((self.now - self.began) / timedelta(milliseconds=1))
        said = Entry(
            device=self.owner.device,
            sequence=len(self.entries),
            previous=self._previous,
            clocks=Clocks(at=self.now, boot=BOOT, uptime_ms=uptime_ms),
            kind=kind,
            **fields,  # type: ignore[arg-type]
        )
        data = said.to_bytes()
        self.entries.append(data)
        self._open.append(sign_line(data, self.signing_key))
        self._previous = entry_hash(data)
        self._tree.append(leaf_hash(data))
        return said.sequence

    def start(self) -> int:
        """Write that the agent begins."""
        return self.add(Kind.STARTED, software="callseal/test", settings=SETTINGS, x5c=self.owner.chain)

    def beat(self, count: int) -> None:
        """Write heartbeats."""
        for _number in range(count):
            self.add(Kind.HEARTBEAT, open=0)

    def publish(self) -> bytes:
        """Finish the segment; return its checkpoint."""
        size = len(self.entries)
        note = sign_checkpoint(self.owner.device, size, self._tree.root(), self.signing_key)
        self.kept.segments[size - len(self._open)] = b"".join(self._open) + write_line(note)
        self._open = []
        self.notes.append(note.encode())
        return note.encode()

    def record(
        self, number: int = 0, *, end: Kind | None = Kind.CLOSED, opened: bool = True, **changes: object
    ) -> Sealed:
        """Record a call: opened, sealed, and with its end in the ledger."""
        audio, call = sealed_object("audio", AUDIO), sealed_object("call", CALL)
        manifest = replace(
            manifest_of(self.owner, audio, call, number=number),
            **changes,  # type: ignore[arg-type]
        )
        if opened:
            self.add(Kind.OPENED, recording=manifest.id)
        if "ledger" not in changes:
            manifest = replace(manifest, ledger=self.place)
        sealed = seal(manifest, self.owner)
        if end is not None:
            self.tell(sealed, end)
        return sealed

    def tell(self, sealed: Sealed, kind: Kind = Kind.CLOSED) -> int:
        """Write a recording's end."""
        assert kind in ENDS
        manifest = sealed.manifest
        return self.add(
            kind,
            recording=manifest.id,
            manifest=sealed.sha256,
            result=manifest.result.value,
            reasons=manifest.reasons,
        )

    def checked(self) -> DeviceLedger:
        """Return the published ledger as `verify_device` finds it."""
        found = verify_device(self.owner.device, [self.kept], self.owner.trust).ledger
        assert found is not None
        return found


def seal(manifest: Manifest, owner: Organisation, objects: Mapping[str, bytes] | None = None) -> Sealed:
    """Sign a manifest, and put the usual objects beside it."""
    usual = {sealed_object(kind, data).name: data for kind, data in (("audio", AUDIO), ("call", CALL))}
    data = manifest.to_bytes()
    files = {MANIFEST_NAME: data, SIGNATURE_NAME: sign(data, owner.device_key)}
    return Sealed(manifest=manifest, files=files | dict(usual if objects is None else objects))


def recovered_object(kind: str, data: bytes, offset: int | None = None) -> ManifestObject:
    """Return what the manifest of a recovered recording says of these bytes: nothing of what is inside."""
    return replace(sealed_object(kind, data), plaintext_sha512=None, plaintext_offset=offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtHand:
    """Evidence: a ledger, and receipts by recording."""

    kept: DeviceLedger | None = None
    received: Mapping[UUID, Sequence[bytes]] = field(default_factory=dict)
    unreadable: bool = False
    stored_at: datetime | None = None

    def ledger(self, device: str) -> DeviceLedger | None:
        return self.kept if self.kept is not None and self.kept.chain.device == device else None

    def receipts(self, device: str, recording: UUID) -> Iterator[Stored]:
        if self.unreadable:
            raise OSError(errno.EIO, "Input/output error")
        for data in self.received.get(recording, ()):
            name = f"receipts/{device}/{recording}.json"
            yield Stored(name=name, data=data, stored_at=self.stored_at)
