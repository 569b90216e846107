"""Copies to a store that the custodian fills, from one that has it: recordings, ledgers, time stamps.

A recording is copied only where a receipt vouches for it in the other store, by the versions in that receipt,
its hashes compared on the way, the manifest last. It is received there as everywhere: read back and checked
(`custodian`). Sealed bytes pass through a file in `scratch`; nobody here could open them.

A ledger is copied segment by segment from its beginning: each is the device's own by its checkpoint, and the
size that this tells is the next one's name. So nothing is listed, and what a thief put among them, before or
over them, who has no device key, is not taken over. A stamp is copied if it is on the checkpoint at the end
of a segment there.

Conventions: doing it again does nothing again; several may do it at once. A StoreError is the target's; the
source's is SourceFailed. CopyRefused says that what lies in the source is not what it should be.
"""

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callseal.archive.bundles import read_version
from callseal.archive.errors import CopyRefused, ScratchFailed, SourceFailed
from callseal.archive.ledger_judging import key_in
from callseal.archive.ledger_shelf import MAX_VERSIONS, is_signed_in
from callseal.archive.receipting import Given
from callseal.seal.durable import Step, no_step
from callseal.seal.errors import RemoteError
from callseal.seal.keys import device_id, leaf_public_key
from callseal.seal.ledger.checkpoint import LINE_PREFIX, open_checkpoint, read_line
from callseal.seal.ledger.recovery import MAX_SEGMENT_BYTES
from callseal.seal.manifest import MANIFEST_NAME, SIGNATURE_NAME
from callseal.seal.receipt import ReceiptObject
from callseal.seal.stamp import MAX_STAMP_BYTES, open_stamp
from callseal.seal.verify.reading import why
from callseal.seal.verify.segments import newest_line, started_in
from callseal.store.errors import StoreDenied, StoreError, StoreMissing, StoreRefused, StoreUnreachable
from callseal.store.interface import Store
from callseal.store.names import (
    LEDGER,
    STAMPS,
    ledger_name,
    parse_ledger_name,
    parse_stamp_name,
    stamp_name,
)

LEFTOVER_AGE_S: Final = 24 * 3600.0

_SCRATCH_PREFIX: Final = ".copy-"
_BLOCK_SIZE_BYTES: Final = 1024 * 1024
_LAST: Final = {SIGNATURE_NAME: 1, MANIFEST_NAME: 2}
"""What is put behind everything else, and in which order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a ledger is copied: the next segment's first entry, and how many were copied now."""

    following: int
    copied: int


class Copier:
    """Copies from one store to another; `scratch` is a folder on this machine for sealed bytes."""

    def __init__(self, source: Store, target: Store, scratch: Path, *, step: Step = no_step) -> None:
        self._source = source
        self._target = target
        self._scratch = scratch
        self._step = step

    def recording(self, given: Given) -> None:
        """Copy what a receipt of the source vouches for; what is there already stays."""
        objects = given.objects()
        for last in sorted(objects, key=lambda last: (_LAST.get(last, 0), last)):
            self._object(objects[last])

    def ledger(self, device: str, following: int | None) -> Progress:
        """Copy the segments that are new; `following` is where the last run ended, None if unknown."""
        key: Ed25519PublicKey | None = None
        if following is None:
            following = self._resume(device)
        copied = 0
        while (data := self._source_segment(device, following, key)) is not None:
            if key is None:
                key = self._key(device, data if following == 0 else None)
                data = self._source_segment(device, following, key) or data
            size = _size_of(data, device, following, key)
            self._step("copy segment")
            self._put_bytes(ledger_name(device, following), data)
            following, copied = size, copied + 1
        return Progress(following=following, copied=copied)

    def stamps(self, device: str) -> int:
        """Copy the time stamps that are new and fit a segment there; return how many."""
        here = set(_sizes(self._target, device))
        with _source_fails():
            missing = [size for size in _sizes(self._source, device) if size not in here]
        if not missing:
            return 0
        firsts = sorted(_firsts(self._target, device))
        copied = 0
        for size in missing:
            before = [first for first in firsts if first < size]
            segment = self._segment(self._target, device, before[-1], None) if before else None
            if segment is None:
                continue  # its segment is still to come
            name = stamp_name(device, size)
            with _source_fails():
                data = read_version(self._source, name, self._oldest(self._source, name), MAX_STAMP_BYTES)
            try:
                open_stamp(data, read_line(newest_line(segment)))
            except RemoteError as problem:
                raise CopyRefused(f"{name}: not copied: {problem}", problem.exit_code) from problem
            self._step("copy stamp")
            self._put_bytes(name, data)
            copied += 1
        return copied

    def _object(self, item: ReceiptObject) -> None:
        if self._is_there(item):
            return
        self._step("copy object")
        with self._fetched(item) as path:
            try:
                self._target.put(item.name, path, item.sha256)
            except StoreDenied:
                raise
            except StoreRefused:
                # Something stands there: what it is is found when it is read back.
                return

    def _is_there(self, item: ReceiptObject) -> bool:
        """Tell whether something of this name and size is there; whether it is the same is found later."""
        return any(
            one.name == item.name and one.size_bytes == item.size_bytes
            for one in self._target.list(item.name)
        )

    @contextlib.contextmanager
    def _fetched(self, item: ReceiptObject) -> Iterator[Path]:
        """Bring an object's bytes here, compared with the receipt; they are removed afterwards."""
        version = item.version if self._source.capabilities.versions else ""
        with _scratch_file(self._scratch) as (path, write):
            digest, count = hashlib.sha256(), 0
            with _source_fails(), contextlib.closing(self._source.get(item.name, version or None)) as file:
                while block := _read(file.read, item.name):
                    digest.update(block)
                    count += len(block)
                    if count > item.size_bytes:
                        break
                    write(block)
            if (count, digest.digest()) != (item.size_bytes, item.sha256):
                raise CopyRefused(f"{item.name}: not copied: its bytes are not those that were received")
            yield path

    def _put_bytes(self, name: str, data: bytes) -> None:
        """Put a small object; the same bytes may be there already."""
        try:
            self._target.put(name, data, hashlib.sha256(data).digest())
        except StoreDenied:
            raise
        except StoreRefused as problem:
            there = read_version(self._target, name, self._oldest(self._target, name), len(data))
            if there != data:
                raise CopyRefused(f"{name}: not copied: other bytes stand there") from problem

    def _segment(self, store: Store, device: str, first: int, key: Ed25519PublicKey | None) -> bytes | None:
        """Return a segment: the oldest that the device signed, or else the oldest, which is then refused."""
        name = ledger_name(device, first)
        oldest: bytes | None = None
        for version in self._versions(store, name)[:MAX_VERSIONS]:
            try:
                data = read_version(store, name, version, MAX_SEGMENT_BYTES)
            except StoreMissing:
                continue
            if _is_of(data, device, first, key):
                oldest = data
                break
            oldest = data if oldest is None else oldest
        if oldest is not None and len(oldest) > MAX_SEGMENT_BYTES:
            raise CopyRefused(f"{name}: not copied: more than the {MAX_SEGMENT_BYTES} bytes allowed")
        return oldest

    def _source_segment(self, device: str, first: int, key: Ed25519PublicKey | None = None) -> bytes | None:
        with _source_fails():
            return self._segment(self._source, device, first, key)

    def _versions(self, store: Store, name: str) -> list[str]:
        if not store.capabilities.versions:
            return [""]
        return [item.version for item in store.versions(name) if item.name == name]

    def _oldest(self, store: Store, name: str) -> str:
        """Return the version that was there first: the device puts one, and a thief the others."""
        return next(iter(self._versions(store, name)), "")

    def _resume(self, device: str) -> int:
        """Return where the copy in the target ends."""
        newest = max(_firsts(self._target, device), default=None)
        if newest is None:
            return 0
        data = self._segment(self._target, device, newest, None)
        if data is None:
            return 0
        return _size_of(data, device, newest, self._key(device, None))

    def _key(self, device: str, first_segment: bytes | None) -> Ed25519PublicKey:
        """Return the device's public key, by which it is named; the ledger's first segment carries it."""
        data = self._source_segment(device, 0) if first_segment is None else first_segment
        for started in started_in(data or b""):
            with contextlib.suppress(RemoteError):
                key = leaf_public_key(started.x5c)
                if device_id(key) == device:
                    return key
        name = ledger_name(device, 0)
        raise CopyRefused(f"{name}: not copied: it does not have the certificate of {device}")


def remove_leftovers(scratch: Path, *, now_s: float) -> None:
    """Remove what copiers left behind that died a day ago or earlier; ScratchFailed where the disk refuses.

    `now_s` is seconds since 1970, by the clock that gives files their times.
    """
    try:
        for path in scratch.glob(f"{_SCRATCH_PREFIX}*"):
            if now_s - path.lstat().st_mtime > LEFTOVER_AGE_S:
                path.unlink(missing_ok=True)
    except OSError as problem:
        raise ScratchFailed(f"{scratch}: {problem.strerror}") from problem


@contextlib.contextmanager
def _source_fails() -> Iterator[None]:
    """Tell the failures of the store that is copied from apart from those of the other."""
    try:
        yield
    except StoreError as problem:
        raise SourceFailed(str(problem)) from problem


def _is_of(data: bytes, device: str, first: int, key: Ed25519PublicKey | None) -> bool:
    """Tell whether a segment is the device's; without its key, whether it says which that is."""
    if key is None:
        return key_in(device, data) is not None
    return is_signed_in(data, key, device, first)


def _size_of(data: bytes, device: str, first: int, key: Ed25519PublicKey) -> int:
    """Return the ledger's size at the end of a segment that the device signed; CopyRefused for any other."""
    name = ledger_name(device, first)
    try:
        checkpoint = open_checkpoint(read_line(newest_line(data)), key, device)
    except RemoteError as problem:
        raise CopyRefused(f"{name}: not copied: {problem}", problem.exit_code) from problem
    entries = sum(not line.startswith(LINE_PREFIX) for line in data.splitlines())
    if not entries or checkpoint.size != first + entries:
        raise CopyRefused(
            f"{name}: not copied: it has {entries} entries, and its checkpoint is over {checkpoint.size}"
        )
    return checkpoint.size


def _firsts(store: Store, device: str) -> Iterator[int]:
    for item in store.list(f"{LEDGER}{device}/"):
        parsed = parse_ledger_name(item.name)
        if parsed is not None:
            yield parsed[1]


def _sizes(store: Store, device: str) -> Iterator[int]:
    for item in store.list(f"{STAMPS}{device}/"):
        parsed = parse_stamp_name(item.name)
        if parsed is not None:
            yield parsed[1]


def _read(read: Callable[[int], bytes], name: str) -> bytes:
    try:
        return read(_BLOCK_SIZE_BYTES)
    except StoreError:
        raise
    except OSError as problem:
        raise StoreUnreachable(f"{name}: can't be read: {why(problem)}") from problem


@contextlib.contextmanager
def _scratch_file(folder: Path) -> Iterator[tuple[Path, Callable[[bytes], object]]]:
    """Give a file that is removed afterwards; ScratchFailed where the disk refuses.

    It is open while it is read by another name, so every write goes straight to it.
    """
    try:
        file = tempfile.NamedTemporaryFile(dir=folder, prefix=_SCRATCH_PREFIX, buffering=0)  # noqa: SIM115 - below
    except OSError as problem:
        raise ScratchFailed(f"{folder}: {problem.strerror}") from problem
    with file:

        def write(block: bytes) -> None:
            rest = memoryview(block)
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError as problem:
                raise ScratchFailed(f"{folder}: {problem.strerror}") from problem

        yield Path(file.name), write
