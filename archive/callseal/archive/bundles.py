"""What lies in a store: recordings as a listing shows them, and one of them with every version.

"The newest version of a name" is what an attacker chooses who may add and nothing else: he puts other bytes
on top, or a delete marker. So nothing here is ever read by its name alone where a store has versions: `look`
lists all of them, who judges picks, and `Pinned` reads what was picked.

Conventions: names are full ones; a recording's objects are told apart by their last part. In a store without
versions a name has one, called "".
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import BinaryIO, Final
from uuid import UUID

from callseal.seal.manifest import MANIFEST_NAME
from callseal.seal.verify.reading import hash_up_to, read_up_to, why
from callseal.store.errors import StoreDenied, StoreError, StoreUnreachable
from callseal.store.interface import ObjectInfo, Store
from callseal.store.names import (
    RECEIPTS,
    RECORDINGS,
    RecordingName,
    device_prefix,
    parse_receipt_name,
    parse_recording_name,
)
from callseal.store.probe_names import is_probe_name

MAX_VERSIONS: Final = 10_000
"""How many versions of objects one recording's folder may have: more are an attack on whoever looks."""
_FOLDER_PARTS: Final = 6  # recordings/<device>/<yyyy>/<mm>/<dd>/<id>


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A recording as a listing shows it: enough to tell whether there is something to do.

    `count` is that of the names listed, or of the versions where every version was listed. `newest_at` is
    when the store took the newest of them, by its own clock.
    """

    name: RecordingName
    complete: bool
    count: int
    newest_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """Something among a device's recordings that belongs to none."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lying:
    """One recording as it lies there: for each object's last part its versions, the oldest first.

    `hidden` are those that a delete marker hides. `crowded` says that there is more than anybody may put, and
    that not all was looked at.
    """

    name: RecordingName
    versions: Mapping[str, tuple[ObjectInfo, ...]]
    hidden: frozenset[str]
    crowded: bool = False

    @property
    def names(self) -> int:
        """How many names a plain listing shows."""
        return len(self.versions) - len(self.hidden)

    @property
    def count(self) -> int:
        """How many versions there are."""
        return sum(map(len, self.versions.values()))

    @property
    def newest_at(self) -> datetime | None:
        """When the store took the newest version of all."""
        return _newest(item for row in self.versions.values() for item in row)


class Pinned:
    """Reads chosen versions, and shows nothing else; a reader for `seal.verify`.

    `failure` is what the store itself failed with, if it did: then what was found says nothing.
    """

    def __init__(self, store: Store, pins: Mapping[str, ObjectInfo]) -> None:
        """`pins` are the chosen versions by their full names."""
        self._store = store
        self._pins = pins
        self.failure: StoreError | None = None

    def get(self, name: str) -> BinaryIO:
        """Open the chosen version; OSError for a name of which none was chosen."""
        if name not in self._pins:
            raise FileNotFoundError(f"{name}: no version of it was chosen")
        try:
            return self._store.get(name, self._pins[name].version or None)
        except (StoreUnreachable, StoreDenied) as problem:
            self.failure = problem
            raise

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield what was chosen."""
        yield from (item for name, item in sorted(self._pins.items()) if name.startswith(prefix))


def devices_in(store: Store, *, full: bool = False) -> Iterator[str]:
    """Yield the devices that have recordings in a store, or, where all is looked through, had some."""
    names = set(store.folders(RECORDINGS))
    if full:
        names.update(store.folders(RECEIPTS))
    for name in sorted(names):
        with contextlib.suppress(ValueError):
            device_prefix(name)
            yield name


def receipted_in(store: Store, device: str) -> frozenset[UUID]:
    """Return the recordings of a device for which something lies there as a receipt."""
    parsed = (parse_receipt_name(item.name) for item in store.list(f"{RECEIPTS}{device}/"))
    return frozenset(one[1] for one in parsed if one is not None)


def found_in(store: Store, device: str, *, since: date | None) -> Iterator[Found | Stray]:
    """Yield a device's recordings, sorted by day and id: those from the day `since` on, or all.

    A recent one is listed by name alone, which is cheap; all are listed with every version, where there are
    versions, so that what a delete marker hides is seen too.
    """
    prefix = device_prefix(device)
    if since is not None:
        listed = store.list(prefix, after=f"{prefix}{since:%Y/%m/%d}")
    else:
        listed = _all_versions(store, prefix)
    for name, items in groupby(listed, lambda item: _folder(item.name)):
        if name is None:
            yield from (Stray(name=item.name) for item in items if not is_probe_name(item.name))
            continue
        yield _found(name, items)


def look(store: Store, name: RecordingName) -> Lying:
    """Return all that lies in a recording's folder; raises StoreError."""
    versions: dict[str, list[ObjectInfo]] = {}
    crowded = False
    for count, item in enumerate(_all_versions(store, name.prefix)):
        if count >= MAX_VERSIONS:
            crowded = True
            break
        versions.setdefault(item.name.removeprefix(name.prefix), []).append(item)
    hidden: frozenset[str] = frozenset()
    if store.capabilities.versions and not crowded:
        # Listed later: what had a version then and is not shown now has a delete marker on top.
        shown = {item.name.removeprefix(name.prefix) for item in store.list(name.prefix)}
        hidden = frozenset(versions.keys() - shown)
    rows = {last: tuple(row) for last, row in versions.items()}
    return Lying(name=name, versions=rows, hidden=hidden, crowded=crowded)


def read_version(store: Store, name: str, version: str, limit_bytes: int) -> bytes:
    """Return a version's bytes, up to one more than the limit, which their parser then refuses.

    Raises StoreError; what the disk says while it is read is StoreUnreachable.
    """
    with _reading(name), contextlib.closing(store.get(name, version or None)) as file:
        return read_up_to(file, limit_bytes + 1)


def hash_version(store: Store, name: str, version: str, size_bytes: int) -> tuple[int, bytes]:
    """Return how many bytes a version has, counted to one more than expected, and their SHA-256.

    Raises StoreError as `read_version`.
    """
    with _reading(name), contextlib.closing(store.get(name, version or None)) as file:
        return hash_up_to(file, size_bytes)


@contextlib.contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except OSError as problem:
        raise StoreUnreachable(f"{name}: can't be read: {why(problem)}") from problem


def _found(name: RecordingName, items: Iterable[ObjectInfo]) -> Found:
    """Count as it is listed: somebody may have put very many there."""
    complete, count, newest_at = False, 0, None
    for item in items:
        count += 1
        complete = complete or item.name == name.prefix + MANIFEST_NAME
        newest_at = _newest_of(newest_at, item.modified_at)
    return Found(name=name, complete=complete, count=count, newest_at=newest_at)


def _all_versions(store: Store, prefix: str) -> Iterator[ObjectInfo]:
    # Without versions a store would make some up, by reading every byte.
    return store.versions(prefix) if store.capabilities.versions else store.list(prefix)


def _folder(name: str) -> RecordingName | None:
    """Return whose folder an object lies in, directly or further down."""
    parts = name.split("/", _FOLDER_PARTS)
    if len(parts) <= _FOLDER_PARTS:
        return None
    parsed = parse_recording_name("/".join(parts[:_FOLDER_PARTS]) + "/")
    return None if parsed is None else parsed[0]


def _newest_of(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((at for at in (one, other) if at is not None), default=None)


def _newest(items: Iterable[ObjectInfo]) -> datetime | None:
    return max((item.modified_at for item in items if item.modified_at is not None), default=None)
