"""A folder as a store that takes objects in parts, and says no more than an S3 store to who may only add.

What was begun lies in files, so that it outlives the process that began it. A taken name is NameTaken.
"""

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

from callseal.store.capabilities import Capabilities, PartLimits
from callseal.store.directory import DirectoryStore
from callseal.store.errors import NameTaken, SourceAltered, UploadGone
from callseal.store.interface import ObjectInfo, Pace, Part, Span, unpaced

_BLOCK: Final = 1024 * 1024


class PartsStore:
    """A store in ``root/store``; what is under way lies in ``root/uploads/<upload>/``."""

    capabilities: Final = Capabilities(
        exclusive_put=True,
        versions=False,
        lock=False,
        checked_put=True,
        max_object_size_bytes=None,
        parts=PartLimits(),
    )

    def __init__(self, root: Path) -> None:
        self._store = DirectoryStore.create(root / "store")
        self.uploads: Final = root / "uploads"
        self.uploads.mkdir(exist_ok=True)

    def put(self, name: str, content: Path | bytes, sha256: bytes, *, pace: Pace = unpaced) -> str:
        self._refuse_taken(name)
        return self._store.put(name, content, sha256, pace=pace)

    def begin_parts(self, name: str) -> str:
        upload = secrets.token_hex(8)
        (self.uploads / upload).mkdir()
        (self.uploads / upload / "name").write_text(name)
        return upload

    def put_part(
        self,
        name: str,
        upload: str,
        number: int,
        source: Path,
        *,
        span: Span,
        sha256: bytes,
        pace: Pace = unpaced,
    ) -> Part:
        folder = self._folder(name, upload)
        with source.open("rb") as file:
            file.seek(span.offset_bytes)
            data = file.read(span.size_bytes)
        for offset in range(0, len(data), _BLOCK):
            pace(len(data[offset : offset + _BLOCK]))
        if hashlib.sha256(data).digest() != sha256:
            raise SourceAltered(f"{source}: not the bytes that its SHA-256 was taken of")
        (folder / str(number)).write_bytes(data)
        return Part(number=number, tag=sha256.hex()[:16], sha256=sha256, size_bytes=len(data))

    def end_parts(self, name: str, upload: str, parts: Sequence[Part]) -> str:
        folder = self._folder(name, upload)
        self._refuse_taken(name)
        data = b"".join((folder / str(part.number)).read_bytes() for part in parts)
        version = self._store.put(name, data, hashlib.sha256(data).digest())
        self.abandon_parts(name, upload)
        return version

    def abandon_parts(self, _name: str, upload: str) -> None:
        folder = self.uploads / upload
        if folder.is_dir():
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()

    def get(self, name: str, version: str | None = None) -> BinaryIO:
        return self._store.get(name, version)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        return self._store.list(prefix, after)

    def folders(self, prefix: str) -> Iterator[str]:
        return self._store.folders(prefix)

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        return self._store.versions(prefix)

    def replace(self, name: str, data: bytes) -> None:
        self._store.replace(name, data)

    def locked_until(self, name: str, version: str) -> datetime | None:
        return self._store.locked_until(name, version)

    def lock_until(self, name: str, version: str, until: datetime) -> None:
        self._store.lock_until(name, version, until)

    def is_held(self, name: str, version: str) -> bool:
        return self._store.is_held(name, version)

    def hold(self, name: str, version: str, *, on: bool) -> None:
        self._store.hold(name, version, on=on)

    def _folder(self, name: str, upload: str) -> Path:
        folder = self.uploads / upload
        if not folder.is_dir() or (folder / "name").read_text() != name:
            raise UploadGone(f"{name}: no such upload")
        return folder

    def _refuse_taken(self, name: str) -> None:
        if (self._store.root / name).exists():
            raise NameTaken(f"{name}: something stands under this name")
