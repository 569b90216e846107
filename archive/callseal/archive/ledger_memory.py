"""What is remembered of one device's ledger, so that it is not read from its first entry each time.

::

    <folder>/<device>/<size>.json    what was known of the first <size> entries; the highest is the base
                      tail           the segments from the base on, as they were read
                      listed.json    when all names were last looked through, and what was wrong with them

The base stays some days behind, for recordings that arrive late; the older ones are milestones, the further
back the fewer, from which a check begins for a recording that comes later still.

All of it is a memory and no more: lost, torn or written by another version, it is read from the store
again. So the tail is appended to without waiting for the disk, and each of its segments carries its hash.
Whoever can write here makes the custodian believe what he likes: the folder is ``0700``.

Conventions: this module touches files; a disk that refuses is ScratchFailed. One process a folder.
"""

import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callseal.archive.errors import ScratchFailed
from callseal.seal import durable
from callseal.seal.errors import LedgerError
from callseal.seal.fields import MAX_INTEGER, Fields, JsonValue, read_object, write_object
from callseal.seal.keys import device_id
from callseal.seal.ledger import Snapshot, read_snapshot
from callseal.seal.ledger.clock import from_milliseconds, milliseconds
from callseal.seal.ledger.recovery import MAX_SEGMENT_BYTES
from callseal.seal.ledger.snapshot import MAX_SIZE_BYTES as MAX_SNAPSHOT_BYTES
from callseal.seal.manifest import MAX_CERTIFICATE_BYTES, MAX_CERTIFICATES
from callseal.seal.timestamp import write_time

BASE_TYPE: Final = "callseal-ledger-base/1"
LISTED_TYPE: Final = "callseal-ledger-listed/1"
MAX_MILESTONES: Final = 12
MAX_WRONG: Final = 100

_FOLDER_MODE: Final = 0o700
_TAIL: Final = "tail"
_LISTED: Final = "listed.json"
_BASE: Final = re.compile(r"([1-9][0-9]{0,15})\.json")
_HEAD: Final = re.compile(rb"(0|[1-9][0-9]{0,15}) (-|[0-9]{1,15}) ([1-9][0-9]{0,8}) ([0-9a-f]{64})\n")
_MAX_HEAD_BYTES: Final = 128
_MAX_BASE_BYTES: Final = 2 * MAX_SNAPSHOT_BYTES
_MAX_LISTED_BYTES: Final = 1024 * 1024
_KEY_SIZE_BYTES: Final = 32
_ANYTHING: Final = re.compile(r"(?s).*")
_CODE: Final = re.compile(r"[a-z][a-z-]{0,63}")
_LINE: Final = re.compile(r"[^\x00-\x1f\x7f]{1,2000}")
_WHERE: Final = "base"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """An entry by which an agent began: when, what vouches for it, its software."""

    sequence: int
    at: datetime
    x5c: tuple[bytes, ...]
    software: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A heartbeat: when, and how many recordings were in the making."""

    sequence: int
    at: datetime
    open: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What was known of a ledger's first entries.

    `segments` is how many segments they lie in. `beginning` and `beat` are the newest of their kind.
    """

    snapshot: Snapshot
    key: Ed25519PublicKey
    segments: int
    beginning: Beginning | None
    beat: Beat | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A segment as it was read."""

    first: int
    data: bytes
    arrived_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """What is wrong with the names that lie in a store."""

    code: str
    words: str
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedThrough:
    """When all names were looked through, and what was wrong with them."""

    at: datetime
    wrong: tuple[Wrong, ...] = ()


class LedgerMemory:
    """The memory of one device's ledger."""

    def __init__(self, folder: Path, device: str) -> None:
        self._folder = folder / device

    def base(self) -> Base | None:
        """Return the newest base that can be read."""
        for size in reversed(self._sizes()):
            if (found := self.milestone(size)) is not None:
                return found
        return None

    def milestone(self, at_most: int) -> Base | None:
        """Return the newest that is not above this size, None where there is none."""
        for size in reversed(self._sizes()):
            if size <= at_most:
                try:
                    return _read_base(_read(self._folder / f"{size}.json", _MAX_BASE_BYTES), size)
                except LedgerError:
                    continue
        return None

    def tail(self, size: int) -> list[Kept]:
        """Return the segments from entry `size` on, as far as they are sound; what is not is cut off."""
        found: list[Kept] = []
        try:
            with (self._folder / _TAIL).open("r+b") as file:
                sound = 0
                while (kept := _read_record(file)) is not None:
                    sound = file.tell()
                    if kept.first >= size:
                        found.append(kept)
                file.truncate(sound)
        except FileNotFoundError:
            return []
        except OSError as problem:
            raise _refused(problem, self._folder) from problem
        return found

    def append(self, segments: Iterable[Kept]) -> None:
        """Put segments behind the tail."""
        try:
            self._make_folder()
            with (self._folder / _TAIL).open("ab") as file:
                for segment in segments:
                    file.write(_record(segment))
        except OSError as problem:
            raise _refused(problem, self._folder) from problem

    def move(self, base: Base, tail: Iterable[Kept]) -> None:
        """Go on from another base, and keep the one so far as a milestone."""
        try:
            self._make_folder()
            durable.replace_file(self._folder / f"{base.snapshot.size}.json", _write_base(base))
        except OSError as problem:
            raise _refused(problem, self._folder) from problem
        # Dying here leaves a tail that begins too early, which is passed over.
        self.rewrite(tail)
        for size in thinned(self._sizes()):
            (self._folder / f"{size}.json").unlink(missing_ok=True)

    def rewrite(self, tail: Iterable[Kept]) -> None:
        """Put another tail in place of the one that is there."""
        try:
            self._make_folder()
            durable.replace_file(self._folder / _TAIL, b"".join(map(_record, tail)))
        except OSError as problem:
            raise _refused(problem, self._folder) from problem

    def looked_through(self) -> LookedThrough | None:
        """Return what the last look through all names found."""
        try:
            data = _read(self._folder / _LISTED, _MAX_LISTED_BYTES)
            values = read_object(data, what=_LISTED, limit_bytes=_MAX_LISTED_BYTES, error=LedgerError)
            fields = Fields(values, where=_LISTED, error=LedgerError)
            fields.text("type", re.compile(re.escape(LISTED_TYPE)))
            wrong = (
                Wrong(
                    code=item.text("code", _CODE),
                    words=item.text("words", _LINE),
                    exit_code=item.integer("exit_code", low=1, high=255),
                )
                for item in fields.children("wrong", limit=MAX_WRONG)
            )
            return LookedThrough(at=fields.time("at"), wrong=tuple(wrong))
        except LedgerError:
            return None

    def note_looked_through(self, look: LookedThrough) -> None:
        """Remember it."""
        values: dict[str, JsonValue] = {
            "type": LISTED_TYPE,
            "at": write_time(look.at),
            "wrong": [
                {"code": item.code, "words": item.words, "exit_code": item.exit_code}
                for item in look.wrong[:MAX_WRONG]
            ],
        }
        try:
            self._make_folder()
            durable.replace_file(self._folder / _LISTED, write_object(values))
        except OSError as problem:
            raise _refused(problem, self._folder) from problem

    def forget(self) -> None:
        """Remember nothing any more."""
        try:
            shutil.rmtree(self._folder)
        except FileNotFoundError:
            return
        except OSError as problem:
            raise _refused(problem, self._folder) from problem

    def _sizes(self) -> list[int]:
        """Return the sizes of the bases, smallest first."""
        try:
            names = [path.name for path in self._folder.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as problem:
            raise _refused(problem, self._folder) from problem
        return sorted(int(match[1]) for match in map(_BASE.fullmatch, names) if match is not None)

    def _make_folder(self) -> None:
        self._folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)


def remembered(folder: Path) -> list[str]:
    """Return the devices of which something is remembered in a folder."""
    try:
        return sorted(path.name for path in folder.iterdir() if path.is_dir())
    except FileNotFoundError:
        return []
    except OSError as problem:
        raise _refused(problem, folder) from problem


def thinned(sizes: Sequence[int]) -> list[int]:
    """Return which milestones to let go of: those whose neighbours stand closest, for their age."""
    kept, gone = sorted(sizes), list[int]()
    while len(kept) > MAX_MILESTONES:
        newest = kept[-1]
        index = min(
            range(1, len(kept) - 1),
            key=lambda n: (kept[n + 1] - kept[n - 1]) / (newest - kept[n - 1]),
        )
        gone.append(kept.pop(index))
    return gone


def _read_record(file: BinaryIO) -> Kept | None:
    head = _HEAD.fullmatch(file.readline(_MAX_HEAD_BYTES))
    if head is None or (length := int(head[3])) > MAX_SEGMENT_BYTES + 1:
        return None
    data = file.read(length)
    if sha256(data).hexdigest().encode() != head[4]:
        return None
    arrived_at = None if head[2] == b"-" else from_milliseconds(int(head[2]))
    return Kept(first=int(head[1]), data=data, arrived_at=arrived_at)


def _record(segment: Kept) -> bytes:
    arrived = b"-"
    if segment.arrived_at is not None and (at_ms := milliseconds(segment.arrived_at)) >= 0:
        arrived = b"%d" % at_ms
    digest = sha256(segment.data).hexdigest().encode()
    return b"%d %b %d %b\n%b" % (segment.first, arrived, len(segment.data), digest, segment.data)


def _write_base(base: Base) -> bytes:
    beginning, beat = base.beginning, base.beat
    said = None if beginning is None else _write_beginning(beginning)
    values: dict[str, JsonValue] = {
        "type": BASE_TYPE,
        "key": base.key.public_bytes_raw().hex(),
        "segments": base.segments,
        "beginning": said,
        "beat": None
        if beat is None
        else {"sequence": beat.sequence, "at": write_time(beat.at), "open": beat.open},
        "snapshot": base.snapshot.to_bytes().decode(),
    }
    return write_object(values)


def _write_beginning(beginning: Beginning) -> JsonValue:
    return {
        "sequence": beginning.sequence,
        "at": write_time(beginning.at),
        "x5c": [item.hex() for item in beginning.x5c],
        "software": beginning.software,
    }


def _read_base(data: bytes, size: int) -> Base:
    values = read_object(data, what=_WHERE, limit_bytes=_MAX_BASE_BYTES, error=LedgerError)
    fields = Fields(values, where=_WHERE, error=LedgerError)
    fields.text("type", re.compile(re.escape(BASE_TYPE)))
    snapshot = read_snapshot(fields.text("snapshot", _ANYTHING).encode())
    key = Ed25519PublicKey.from_public_bytes(fields.hexadecimal("key", size_bytes=_KEY_SIZE_BYTES))
    if snapshot.size != size or device_id(key) != snapshot.device:
        raise LedgerError(f"{_WHERE}: size and key are not those of its snapshot")
    beginning = None if fields.is_null("beginning") else _read_beginning(fields.child("beginning"))
    beat = None if fields.is_null("beat") else fields.child("beat")
    return Base(
        snapshot=snapshot,
        key=key,
        segments=fields.integer("segments", high=MAX_INTEGER),
        beginning=beginning,
        beat=None
        if beat is None
        else Beat(sequence=beat.integer("sequence"), at=beat.time("at"), open=beat.integer("open")),
    )


def _read_beginning(fields: Fields) -> Beginning:
    certificates = fields.texts(
        "x5c", re.compile(rf"(?:[0-9a-f]{{2}}){{1,{MAX_CERTIFICATE_BYTES}}}"), limit=MAX_CERTIFICATES
    )
    return Beginning(
        sequence=fields.integer("sequence"),
        at=fields.time("at"),
        x5c=tuple(map(bytes.fromhex, certificates)),
        software=fields.text("software", _LINE),
    )


def _read(path: Path, limit_bytes: int) -> bytes:
    """Return a file's bytes; nothing of one that is missing, which is then no JSON."""
    try:
        with path.open("rb") as file:
            return file.read(limit_bytes + 1)
    except FileNotFoundError:
        return b""
    except OSError as problem:
        raise _refused(problem, path) from problem


def _refused(problem: OSError, folder: Path) -> ScratchFailed:
    return ScratchFailed(f"{problem.filename or folder}: the disk refused: {problem.strerror}")
