"""A store in memory with versions and delete markers, for attackers who may add, or a little more.

Where its capabilities say so it protects versions, as S3 with Object Lock in compliance mode: nothing is
shortened.
"""

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

from callseal.store.capabilities import Capabilities
from callseal.store.errors import NameTaken, SourceAltered, StoreMissing, StoreRefused, StoreUnreachable
from callseal.store.interface import Content, ObjectInfo, Pace, unpaced
from callseal.store.names import check_name
from support.sealed_recordings import STARTED_AT

CAPABILITIES: Final = Capabilities(
    exclusive_put=True, versions=True, lock=False, checked_put=True, max_object_size_bytes=None
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    version: str
    data: bytes | None
    """None is a delete marker."""
    at: datetime


@dataclass(slots=True)
class VersionedStore:
    """The store; `down` lets every call fail, `reads` tells what was read.

    `lock` is what the bucket protects new objects for; `looks` tells whose protection was asked for. One that
    is `deaf` takes every order to protect and does nothing; one that is `timeless` lists no times.

    `torn` are names whose versions it has and does not know of until another one is put: those that it was
    taking when it was killed. SeaweedFS 4.48 does that: a version's file is there, and its folder not yet.
    """

    capabilities: Capabilities = CAPABILITIES
    clock: datetime = STARTED_AT
    down: bool = False
    reads: list[tuple[str, str]] = field(default_factory=list)
    lock: timedelta | None = None
    locks: dict[tuple[str, str], datetime] = field(default_factory=dict)
    looks: list[tuple[str, str]] = field(default_factory=list)
    deaf: bool = False
    timeless: bool = False
    torn: set[str] = field(default_factory=set)
    _rows: dict[str, list[_Version]] = field(default_factory=dict)
    _number: int = 0

    def put(self, name: str, content: Content, sha256: bytes, *, pace: Pace = unpaced) -> str:
        self._check()
        check_name(name)
        data = content.read_bytes() if isinstance(content, Path) else content
        pace(len(data))
        if hashlib.sha256(data).digest() != sha256:
            raise SourceAltered(f"{name}: not those bytes")
        row = self._known().get(name, [])
        if row and row[-1].data is not None:
            raise NameTaken(f"{name}: something stands there")
        self.torn.discard(name)
        return self.push(name, data)

    def push(self, name: str, data: bytes | None) -> str:
        """Put another version on top, as a store allows that does not enforce its conditions."""
        self._number += 1
        self.clock += timedelta(seconds=1)
        version = f"v{self._number}"
        self._rows.setdefault(name, []).append(_Version(version=version, data=data, at=self.clock))
        if self.lock is not None and data is not None:
            self.locks[name, version] = (self.clock + self.lock).replace(microsecond=0)
        return version

    def hide(self, name: str) -> str:
        """Put a delete marker on top."""
        return self.push(name, None)

    def damage(self, name: str, version: str, data: bytes | None) -> None:
        """Change, or remove, what a version holds: the disks' own fault, or their owner's."""
        row = self._rows[name]
        self._rows[name] = [
            _Version(version=item.version, data=data, at=item.at) if item.version == version else item
            for item in row
            if item.version != version or data is not None
        ]

    def get(self, name: str, version: str | None = None) -> BinaryIO:
        self._check()
        check_name(name)
        row = self._known().get(name, [])
        if version is None:
            found = row[-1] if row else None
        else:
            found = next((item for item in row if item.version == version), None)
        if found is None or found.data is None:
            raise StoreMissing(f"{name}: no such object")
        self.reads.append((name, found.version))
        return io.BytesIO(found.data)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        self._check()
        for name, row in sorted(self._known().items()):
            newest = row[-1] if row else None
            if name.startswith(prefix) and name > after and newest is not None and newest.data is not None:
                at = None if self.timeless else newest.at
                yield ObjectInfo(name=name, size_bytes=len(newest.data), modified_at=at)

    def folders(self, prefix: str) -> Iterator[str]:
        names = (item.name.removeprefix(prefix) for item in self.list(prefix))
        yield from sorted({name.partition("/")[0] for name in names if "/" in name})

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        self._check()
        for name, row in sorted(self._known().items()):
            for item in row:
                if name.startswith(prefix) and item.data is not None:
                    yield ObjectInfo(
                        name=name, size_bytes=len(item.data), version=item.version, modified_at=item.at
                    )

    def replace(self, name: str, data: bytes) -> None:
        self._check()
        self._rows[name] = []
        self.push(name, data)
        self.locks = {one: until for one, until in self.locks.items() if one[0] != name}

    def locked_until(self, name: str, version: str) -> datetime | None:
        self._check()
        self.looks.append((name, version))
        return self.locks.get((name, version))

    def lock_until(self, name: str, version: str, until: datetime) -> None:
        self._check()
        if not self.capabilities.lock:
            raise StoreRefused(f"{name}: nothing is protected here")
        before = self.locks.get((name, version))
        if before is not None and until < before:
            raise StoreRefused(f"{name}: a protection is never shortened")
        if not self.deaf:
            self.locks[name, version] = until.replace(microsecond=0)

    def is_held(self, _name: str, _version: str) -> bool:
        return False

    def hold(self, name: str, _version: str, *, on: bool) -> None:
        raise StoreRefused(f"{name}: nothing is {'held' if on else 'released'} here")

    def _known(self) -> Mapping[str, Sequence[_Version]]:
        return {name: row for name, row in self._rows.items() if name not in self.torn}

    def _check(self) -> None:
        if self.down:
            raise StoreUnreachable("the store is down")
