"""What the tests of stores put and read: one name, files and bytes with their hashes, parts."""

import hashlib
from pathlib import Path
from typing import Final, Protocol

from callseal.store.capabilities import MIB
from callseal.store.interface import CentralStore, Pace, Part, PartsWriter, Span, unpaced
from callseal.store.names import recording_name
from support.sealed_recordings import STARTED_AT, organisation, recording_id

OWNER: Final = organisation()
PLACE: Final = recording_name(OWNER.device, STARTED_AT, recording_id())
NAME: Final = PLACE.object("manifest.json")
PART_SIZE: Final = 5 * MIB


class StoreWithParts(CentralStore, PartsWriter, Protocol):
    """All that a store can be asked for."""


def file(folder: Path, data: bytes) -> tuple[Path, bytes]:
    path = folder / hashlib.sha256(data).hexdigest()
    path.write_bytes(data)
    return path, hashlib.sha256(data).digest()


def read(store: CentralStore, name: str, version: str | None = None) -> bytes:
    with store.get(name, version) as found:
        return found.read()


class SupportsReadInto(Protocol):
    """What a file can do besides what `BinaryIO` tells."""

    def readinto(self, buffer: bytearray, /) -> int:
        """Fill a buffer."""


def put_part(
    store: PartsWriter,
    upload: str,
    source: Path,
    number: int,
    *,
    pace: Pace = unpaced,
) -> Part:
    """Put one of the parts, of `PART_SIZE`, that a file has."""
    begin = (number - 1) * PART_SIZE
    data = source.read_bytes()[begin : begin + PART_SIZE]
    span = Span(offset_bytes=begin, size_bytes=len(data))
    sha256 = hashlib.sha256(data).digest()
    return store.put_part(NAME, upload, number, source, span=span, sha256=sha256, pace=pace)


def names(store: CentralStore, prefix: str = "", after: str = "") -> list[str]:
    return [item.name for item in store.list(prefix, after)]
