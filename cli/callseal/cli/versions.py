"""Which version of an object is read where a store keeps several: never simply the newest.

Whoever has stolen the right to add can put a newer version on top of anything that its device ever stored,
and a plain read gives the newest one. So a version is chosen:

1. the only one;
2. of a recording's object, the one that a trusted custodian's receipt names;
3. of an object whose name carries its SHA-256, the oldest whose bytes have it;
4. the oldest: what was there first was put by its author, and nobody can slip in something before it.

What is read is checked all the same, by hash, signature and ledger. The choice decides whether an attack is
an alarm or nothing at all.

Conventions: a folder's versions are listed once and remembered for a few folders, so that no object costs a
request of its own but the receipts, which nobody reads in great numbers. Where the account may not list
versions the newest is read and `newest_only` says so: then somebody's newer version is found, as an
alteration, and not avoided.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import attrgetter
from typing import BinaryIO, Final, Protocol, runtime_checkable

from callseal.seal.errors import RemoteError
from callseal.seal.keys import Role, TrustStore
from callseal.seal.receipt import MAX_SIZE_BYTES as MAX_RECEIPT_BYTES
from callseal.seal.receipt import open_receipt
from callseal.seal.verify.reading import hash_up_to, read_up_to
from callseal.store.errors import StoreDenied, StoreMissing
from callseal.store.interface import ObjectInfo, Store
from callseal.store.names import ACCESS, RECEIPTS, RecordingName, parse_recording_name, receipt_name

MAX_FOLDERS: Final = 8
"""How many folders' versions are remembered; a ledger's folder is the largest, some 20 MB for a year."""
MAX_TRIED: Final = 16
"""How many versions of one object are read in search of the one that its name promises."""
MAX_TOLD: Final = 1000

_NAMED_BY_HASH: Final = re.compile(r"[a-z0-9-]+-(?P<sha256>[0-9a-f]{64})\.age")


@runtime_checkable
class Reader(Protocol):
    """What a place's objects are read by."""

    def get(self, name: str) -> BinaryIO:
        """Open an object; raises as a store's `get`."""

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """Yield objects; raises as a store's `list`."""

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield folders; raises as a store's `folders`."""


def reader_of(store: Store, trust: TrustStore) -> Reader:
    """Return what reads a store's objects; `trust` says whose receipts are believed."""
    return VersionReader(store, trust) if store.capabilities.versions else store


class VersionReader:
    """Reads a store that keeps several versions of a name."""

    def __init__(self, store: Store, trust: TrustStore) -> None:
        self._store = store
        self._trust = trust
        self._folders: OrderedDict[str, dict[str, tuple[ObjectInfo, ...]]] = OrderedDict()
        self._covered: dict[str, int] = {}
        self._newest_only = False

    @property
    def covered(self) -> Mapping[str, int]:
        """What was read that has more than one version, and how many: the first `MAX_TOLD` of them."""
        return self._covered

    @property
    def newest_only(self) -> bool:
        """Whether versions could not be listed, so that the newest of each object was read."""
        return self._newest_only

    def get(self, name: str) -> BinaryIO:
        """Open the version of an object that counts."""
        chosen = self._chosen(name)
        return self._store.get(name) if chosen is None else self._store.get(name, chosen.version)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """Yield objects; in a recording's own folder, and of access records, removed ones too."""
        if prefix.startswith(ACCESS) and not self._newest_only:
            try:
                yield from self._all(prefix, after)
            except StoreDenied:
                self._newest_only = True
            else:
                return
        parsed = parse_recording_name(prefix)
        versions = None if parsed is None or parsed[1] or after else self._versions(prefix)
        if versions is None:
            yield from self._store.list(prefix, after)
            return
        for name in sorted(versions):
            chosen = self._chosen(name)
            if chosen is not None:
                yield chosen

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield folders."""
        return self._store.folders(prefix)

    def _all(self, prefix: str, after: str) -> Iterator[ObjectInfo]:
        """Yield the oldest version of whatever was ever there: hiding a record undoes no access."""
        # A store's order is not always that of the names: only that the versions of a name stand together.
        for name, versions in groupby(self._store.versions(prefix), attrgetter("name")):
            if name > after:
                yield next(versions)

    def _chosen(self, name: str) -> ObjectInfo | None:
        """Return the version to read; None where none is known, so that a plain read tells what is wrong."""
        folder = name if name.startswith(RECEIPTS) else name[: name.rfind("/") + 1]
        remembered = folder in self._folders
        versions = self._versions(folder)
        if versions is not None and name not in versions and remembered:
            del self._folders[folder]  # it may have come since
            versions = self._versions(folder)
        found = () if versions is None else versions.get(name, ())
        if not found or versions is None:
            return None
        if len(found) > 1:
            if len(self._covered) < MAX_TOLD:
                self._covered[name] = len(found)
            versions[name] = found = (self._choose(name, found),)
        return found[0]

    def _versions(self, folder: str) -> dict[str, tuple[ObjectInfo, ...]] | None:
        """Return the versions of all objects in a folder, the oldest first; None if they may not be seen."""
        if self._newest_only:
            return None
        if folder in self._folders:
            self._folders.move_to_end(folder)
            return self._folders[folder]
        found: dict[str, tuple[ObjectInfo, ...]] = {}
        try:
            for item in self._store.versions(folder):
                found[item.name] = (*found.get(item.name, ()), item)
        except StoreDenied:
            self._newest_only = True
            return None
        self._folders[folder] = found
        while len(self._folders) > MAX_FOLDERS:
            self._folders.popitem(last=False)
        return found

    def _choose(self, name: str, versions: tuple[ObjectInfo, ...]) -> ObjectInfo:
        parsed = parse_recording_name(name)
        if parsed is not None:
            received = self._received(parsed[0]).get(name)
            for version in versions:
                if version.version == received:
                    return version
        promised = _NAMED_BY_HASH.fullmatch(name.rpartition("/")[2])
        if promised is not None:
            for version in versions[:MAX_TRIED]:
                with self._store.get(name, version.version) as file:
                    _count, sha256 = hash_up_to(file, version.size_bytes)
                if sha256.hex() == promised["sha256"]:
                    return version
        return versions[0]

    def _received(self, recording: RecordingName) -> dict[str, str]:
        """Return the versions that a trusted custodian vouches for, by name; none without such a receipt."""
        name = receipt_name(recording.device, recording.id)
        chosen = self._chosen(name)
        try:
            with self._store.get(name, None if chosen is None else chosen.version) as file:
                data = read_up_to(file, MAX_RECEIPT_BYTES + 1)
            receipt, chain = open_receipt(data)
            self._trust.check(
                chain,
                at=receipt.received_at,
                role=Role.CUSTODIAN,
                anchored_before=None if chosen is None else chosen.modified_at,
            )
        except (StoreMissing, StoreDenied, RemoteError):
            return {}
        if (receipt.id, receipt.device) != (recording.id, recording.device):
            return {}
        return {item.name: item.version for item in receipt.objects}
