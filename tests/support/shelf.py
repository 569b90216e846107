"""A store in memory for tests of what reads ledgers: arrival times by hand, versions, and what was asked."""

import errno
import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from callseal.store.capabilities import Capabilities
from callseal.store.errors import StoreMissing, StoreUnreachable
from callseal.store.interface import Content, ObjectInfo, Pace, unpaced
from callseal.store.names import ledger_name
from support.kept_ledgers import Writer

VERSIONED = Capabilities(
    exclusive_put=False, versions=True, lock=False, checked_put=True, max_object_size_bytes=None
)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Shelf:
    """Objects by name, each a row of versions; those whose names begin with `broken` can't be read."""

    capabilities = VERSIONED

    def __init__(self) -> None:
        self.objects: dict[str, list[tuple[bytes, datetime]]] = {}
        self.broken: tuple[str, ...] = ()
        self.down = False
        self.silent = False
        """Whether it still lists, and gives nothing out."""
        self.asked: Counter[str] = Counter()

    def add(self, name: str, data: bytes, at: datetime) -> None:
        """Put a version, at a time."""
        self.objects.setdefault(name, []).append((data, at))

    def put(self, name: str, content: Content, sha256: bytes, *, pace: Pace = unpaced) -> str:
        raise NotImplementedError

    def replace(self, name: str, data: bytes) -> None:
        """Put `data` in place of what is there."""
        self.asked["replace"] += 1
        self.objects[name] = [(data, LONG_AGO)]

    def get(self, name: str, version: str | None = None) -> BinaryIO:
        self.asked["get"] += 1
        if self.down or self.silent:
            raise StoreUnreachable("the store does not answer")
        if name.startswith(self.broken or ("-",)):
            raise OSError(errno.EIO, "Input/output error")
        rows = self.objects.get(name, [])
        for data, _at in reversed(rows):
            if version in {None, hashlib.sha256(data).hexdigest()}:
                return io.BytesIO(data)
        raise StoreMissing(f"{name}: no such object")

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        for name in sorted(self.objects):
            if name.startswith(prefix) and name > after:
                data, at = self.objects[name][-1]
                yield ObjectInfo(name=name, size_bytes=len(data), modified_at=at)

    def folders(self, prefix: str) -> Iterator[str]:
        if self.down:
            raise StoreUnreachable("the store does not answer")
        names = (name.removeprefix(prefix) for name in self.objects if name.startswith(prefix))
        yield from sorted({name.partition("/")[0] for name in names if "/" in name})

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        for name in sorted(self.objects):
            for data, at in self.objects[name] if name.startswith(prefix) else ():
                self.asked["listed"] += 1
                version = hashlib.sha256(data).hexdigest()
                yield ObjectInfo(name=name, size_bytes=len(data), version=version, modified_at=at)


class Desk:
    """A device that brings its segments to a shelf, at once or when it is told to."""

    def __init__(self, writer: Writer, shelf: Shelf) -> None:
        self.writer = writer
        self.shelf = shelf
        self.brought: set[int] = set()

    @property
    def device(self) -> str:
        return self.writer.owner.device

    @property
    def now(self) -> datetime:
        """The device's clock."""
        return self.writer.now

    def name(self, first: int) -> str:
        """Return the name of a segment."""
        return ledger_name(self.device, first)

    def bring(self, at: datetime | None = None) -> None:
        """Bring what was published and not brought yet."""
        for first, data in sorted(self.writer.kept.segments.items()):
            if first not in self.brought:
                self.brought.add(first)
                self.shelf.add(self.name(first), data, self.now if at is None else at)

    def minutes(self, count: int, *, behind: timedelta = timedelta(0)) -> None:
        """Beat for so many minutes, a segment each, brought as it is written; `behind` is its clock."""
        for _minute in range(count):
            self.writer.beat(1)
            self.writer.publish()
            self.bring(self.now + behind)


def desk(shelf: Shelf, writer: Writer) -> Desk:
    """Return a device that has begun."""
    found = Desk(writer, shelf)
    writer.start()
    writer.publish()
    found.bring()
    return found
