"""A folder as a store that protects objects: a stand-in for S3 with Object Lock in compliance mode.

What lies in it is a directory store's. Protections and holds are a file beside it, so that they outlive a
child that is killed. It keeps S3's rules: nothing is shortened, times are whole seconds, versions that are
not there can't be protected. `step` is told before each change.
"""

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from callseal.seal.durable import Step, no_step
from callseal.store.capabilities import Capabilities
from callseal.store.directory import DirectoryStore
from callseal.store.errors import StoreMissing, StoreRefused
from callseal.store.interface import Content, ObjectInfo, Pace, unpaced


class LockingStore:
    """A store in `root` whose bucket protects every new object for `lock`."""

    def __init__(
        self, root: Path, *, now: datetime, lock: timedelta | None = timedelta(days=400), holds: bool = True
    ) -> None:
        self._folder = DirectoryStore.create(root)
        self._notes = root.with_name(root.name + ".locks.json")
        self.now = now
        self.lock = lock
        self.step: Step = no_step
        self.deaf = False
        """Whether it takes every order to protect and does nothing."""
        self._holds = holds
        if not self._notes.exists():
            self._notes.write_text("{}")

    @property
    def capabilities(self) -> Capabilities:
        return dataclasses.replace(self._folder.capabilities, lock=True, holds=self._holds, versions=True)

    @property
    def root(self) -> Path:
        return self._folder.root

    def put(self, name: str, content: Content, sha256: bytes, *, pace: Pace = unpaced) -> str:
        self.step(f"put {name}")
        version = self._folder.put(name, content, sha256, pace=pace)
        if self.lock is not None:
            self._change(name, until=self.now + self.lock)
        return version

    def get(self, name: str, version: str | None = None) -> BinaryIO:
        return self._folder.get(name, version)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        return self._folder.list(prefix, after)

    def folders(self, prefix: str) -> Iterator[str]:
        return self._folder.folders(prefix)

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        for item in self._folder.versions(prefix):
            yield dataclasses.replace(item, modified_at=self.now)

    def replace(self, name: str, data: bytes) -> None:
        self._folder.replace(name, data)

    def locked_until(self, name: str, version: str) -> datetime | None:
        text = self._noted(name, version).get("until")
        return None if text is None else datetime.fromisoformat(str(text))

    def lock_until(self, name: str, version: str, until: datetime) -> None:
        before = self.locked_until(name, version)
        if before is not None and until < before:
            raise StoreRefused(f"{name}: a protection is never shortened")
        self.step(f"lock {name}")
        if not self.deaf:
            self._change(name, until=until)

    def is_held(self, name: str, version: str) -> bool:
        return bool(self._noted(name, version).get("held"))

    def hold(self, name: str, version: str, *, on: bool) -> None:
        self._noted(name, version)
        self.step(f"{'hold' if on else 'release'} {name}")
        self._change(name, held=on)

    def unlock(self, name: str) -> None:
        """Let time, or whoever owns the disks, end a protection."""
        self._change(name, until=None)

    def _noted(self, name: str, version: str) -> dict[str, object]:
        with self._folder.get(name, version):
            found: dict[str, object] = json.loads(self._notes.read_text()).get(name, {})
        return found

    def _change(self, name: str, **changes: datetime | bool | None) -> None:
        notes = json.loads(self._notes.read_text())
        for key, value in changes.items():
            notes.setdefault(name, {})[key] = _written(value)
        self._notes.write_text(json.dumps(notes))


def _written(value: datetime | bool | None) -> str | bool | None:  # noqa: FBT001 - a value, not a switch
    if isinstance(value, datetime):
        return value.replace(microsecond=0).astimezone(UTC).isoformat()
    return value


def gone(store: LockingStore, name: str) -> None:
    """Let an object vanish, as no store should."""
    (store.root / name).unlink()
    try:
        store.get(name)
    except StoreMissing:
        return
    raise RuntimeError(f"{name} is still there")
