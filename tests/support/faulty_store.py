"""A store that fails by a script: wraps any other, does what it does, and says when it went wrong.

::

    store = FaultyStore(DirectoryStore.create(folder))
    store.fail("put", Moment.BEFORE, Moment.AFTER)      # the first put and the second; the third goes well
    store.fail("end_parts", Moment.AFTER, error=StoreUnreachable("cut off"))
    store.fail("put", None, Moment.HALF)                # one that goes well, then one cut off in the middle

The three moments are those of a network: the request never arrived; it arrived and was done, but the answer
was lost; the connection broke in the middle. Each operation has a script of its own, used up in order by
whichever thread comes first; with no script left, all goes well. `calls` tells what was asked for.

With `blind`, `put` says NameTaken for every name that is taken, as an S3 store does to who may not read.
"""

import io
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TypeVar, cast

from callseal.store.capabilities import Capabilities
from callseal.store.errors import NameTaken, StoreError, StoreUnreachable
from callseal.store.interface import (
    CentralStore,
    Content,
    ObjectInfo,
    Pace,
    Part,
    PartsWriter,
    Span,
    Watched,
    unpaced,
)

SCRIPTED: Final = "as the script says"
T = TypeVar("T")


class Moment(Enum):
    """When it goes wrong."""

    BEFORE = "nothing was done"
    AFTER = "all was done, and the answer was lost"
    HALF = "it broke in the middle"


class _WholeStore(CentralStore, PartsWriter, Watched, Protocol):
    """All that a store can be asked for."""


class FaultyStore:
    """A store in front of `store` that fails as scripted; has all methods that `store` has."""

    def __init__(self, store: CentralStore, *, blind: bool = False) -> None:
        self._store = cast("_WholeStore", store)
        self._blind = blind
        self._scripts: dict[str, deque[tuple[Moment | None, StoreError]]] = defaultdict(deque)
        self._lock = threading.Lock()
        self.calls: list[tuple[str, str]] = []

    @property
    def capabilities(self) -> Capabilities:
        return self._store.capabilities

    def fail(self, operation: str, *moments: Moment | None, error: StoreError | None = None) -> None:
        """Let the next calls of an operation fail at these moments; None lets one go well."""
        with self._lock:
            for moment in moments:
                self._scripts[operation].append((moment, error or StoreUnreachable(SCRIPTED)))

    def mend(self) -> None:
        """Forget what is left of the scripts."""
        with self._lock:
            self._scripts.clear()

    def asked(self, operation: str) -> list[str]:
        """Give the names that an operation was asked about, in order."""
        with self._lock:
            return [name for done, name in self.calls if done == operation]

    def put(self, name: str, content: Content, sha256: bytes, *, pace: Pace = unpaced) -> str:
        size_bytes = len(content) if isinstance(content, bytes) else _size(content)
        return self._paced("put", name, size_bytes, pace, lambda slow: self._put(name, content, sha256, slow))

    def begin_parts(self, name: str) -> str:
        return self._run("begin_parts", name, lambda: self._store.begin_parts(name))

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
        def work(slow: Pace) -> Part:
            return self._store.put_part(name, upload, number, source, span=span, sha256=sha256, pace=slow)

        return self._paced("put_part", name, span.size_bytes, pace, work)

    def end_parts(self, name: str, upload: str, parts: Sequence[Part]) -> str:
        return self._run("end_parts", name, lambda: self._store.end_parts(name, upload, parts))

    def abandon_parts(self, name: str, upload: str) -> None:
        self._run("abandon_parts", name, lambda: self._store.abandon_parts(name, upload))

    def get(self, name: str, version: str | None = None) -> BinaryIO:
        moment, error = self._next("get", name)
        if moment in {Moment.BEFORE, Moment.AFTER}:
            raise error
        file = self._store.get(name, version)
        return file if moment is None else _broken(file, error)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        return self._iterate("list", prefix, lambda: self._store.list(prefix, after))

    def folders(self, prefix: str) -> Iterator[str]:
        return self._iterate("folders", prefix, lambda: self._store.folders(prefix))

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        return self._iterate("versions", prefix, lambda: self._store.versions(prefix))

    def replace(self, name: str, data: bytes) -> None:
        self._run("replace", name, lambda: self._store.replace(name, data))

    def locked_until(self, name: str, version: str) -> datetime | None:
        return self._run("locked_until", name, lambda: self._store.locked_until(name, version))

    def lock_until(self, name: str, version: str, until: datetime) -> None:
        self._run("lock_until", name, lambda: self._store.lock_until(name, version, until))

    def is_held(self, name: str, version: str) -> bool:
        return self._run("is_held", name, lambda: self._store.is_held(name, version))

    def hold(self, name: str, version: str, *, on: bool) -> None:
        self._run("hold", name, lambda: self._store.hold(name, version, on=on))

    def watch(self, wake: Callable[[], None]) -> AbstractContextManager[None]:
        moment, error = self._next("watch", "")
        if moment is not None:
            raise error
        return self._store.watch(wake)

    def _put(self, name: str, content: Content, sha256: bytes, pace: Pace) -> str:
        if self._blind and any(item.name == name for item in self._store.list(name)):
            raise NameTaken(f"{name}: something stands under this name")
        return self._store.put(name, content, sha256, pace=pace)

    def _next(self, operation: str, name: str) -> tuple[Moment | None, StoreError]:
        with self._lock:
            self.calls.append((operation, name))
            script = self._scripts[operation]
            return script.popleft() if script else (None, StoreUnreachable(SCRIPTED))

    def _run(self, operation: str, name: str, work: Callable[[], T]) -> T:
        return self._paced(operation, name, 0, unpaced, lambda _pace: work())

    def _paced(self, operation: str, name: str, size_bytes: int, pace: Pace, work: Callable[[Pace], T]) -> T:
        moment, error = self._next(operation, name)
        if moment is None:
            return work(pace)
        if moment is Moment.BEFORE or (moment is Moment.HALF and not size_bytes):
            raise error
        sent_bytes = 0

        def break_off(more_bytes: int) -> None:
            nonlocal sent_bytes
            sent_bytes += more_bytes
            if 2 * sent_bytes >= size_bytes:
                raise error
            pace(more_bytes)

        work(break_off if moment is Moment.HALF else pace)
        raise error

    def _iterate(self, operation: str, prefix: str, work: Callable[[], Iterator[T]]) -> Iterator[T]:
        moment, error = self._next(operation, prefix)
        if moment is Moment.BEFORE:
            raise error
        found = list(work())
        shown = found[: len(found) // 2] if moment is Moment.HALF else found
        yield from shown
        if moment is not None:
            raise error


class _Broken(io.RawIOBase):
    """The first half of a file, and then the error."""

    def __init__(self, data: bytes, error: StoreError) -> None:
        self._rest = io.BytesIO(data[: len(data) // 2])
        self._error = error

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed: any buffer
        count = self._rest.readinto(buffer)
        if not count:
            raise self._error
        return count


def _broken(file: BinaryIO, error: StoreError) -> BinaryIO:
    with file:
        return io.BufferedReader(_Broken(file.read(), error))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
