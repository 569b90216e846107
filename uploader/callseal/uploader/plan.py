"""What has to be put where, in which order, and in how many pieces. Pure.

The audio goes first, being the largest and the most precious; then the call's vCon, the tail and whatever
else the manifest lists; then the signature; the manifest last. It is the commit: a reader who finds it
finds everything that it speaks of, whenever the uploader or the network died.

Conventions: parts are numbered from 1 and all but the last are of one size, so that where a part begins
follows from its number.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from callseal.seal.manifest import MANIFEST_NAME, SIGNATURE_NAME, Manifest
from callseal.store.capabilities import MIB, Capabilities
from callseal.store.errors import StoreRefused
from callseal.store.interface import Span
from callseal.store.names import recording_name

PART_SIZE_BYTES: Final = 8 * MIB
"""What is lost at most when a line breaks: 8 MiB are a minute on a line of 1 Mbit/s."""
WHOLE_LIMIT_BYTES: Final = 2 * PART_SIZE_BYTES
"""An object up to this goes in one request: a quarter of an hour of sound, which is nearly every call."""

_ORDER: Final = ("audio", "call", "tail")


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """One object to be stored: its file in the bundle, its name in the store, its size and SHA-256."""

    file: str
    name: str
    size_bytes: int
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPlan:
    """How an object is cut."""

    size_bytes: int
    part_size_bytes: int

    @property
    def count(self) -> int:
        """How many parts there are."""
        return -(-self.size_bytes // self.part_size_bytes)

    def spans(self) -> Iterator[Span]:
        """Yield the parts, the first one first: together they are the object."""
        for offset in range(0, self.size_bytes, self.part_size_bytes):
            size = min(self.part_size_bytes, self.size_bytes - offset)
            yield Span(offset_bytes=offset, size_bytes=size)


def plan_puts(manifest: Manifest, manifest_bytes: bytes, signature: bytes) -> tuple[Put, ...]:
    """Return the puts for a recording, in the order in which they must be made."""
    place = recording_name(manifest.device, manifest.started_at, manifest.id)
    listed = sorted(manifest.objects, key=lambda item: _rank(item.kind))
    puts = [
        Put(file=item.name, name=place.object(item.name), size_bytes=item.size_bytes, sha256=item.sha256)
        for item in listed
    ]
    for name, data in ((SIGNATURE_NAME, signature), (MANIFEST_NAME, manifest_bytes)):
        sha256 = hashlib.sha256(data).digest()
        puts.append(Put(file=name, name=place.object(name), size_bytes=len(data), sha256=sha256))
    return tuple(puts)


def plan_parts(size_bytes: int, capabilities: Capabilities) -> PartPlan | None:
    """Return how an object of this size is cut for a store; None where it goes in one request.

    StoreRefused for one that the store can't take at all.
    """
    limits, largest = capabilities.parts, capabilities.max_object_size_bytes
    if limits is None:
        if largest is not None and size_bytes > largest:
            raise StoreRefused(f"{size_bytes} bytes: the store takes objects of at most {largest}")
        return None
    if size_bytes <= min(WHOLE_LIMIT_BYTES, largest or WHOLE_LIMIT_BYTES):
        return None
    needed = -(-size_bytes // limits.max_count)
    part_size = max(PART_SIZE_BYTES, limits.min_size_bytes, -(-needed // MIB) * MIB)
    if part_size > limits.max_size_bytes:
        raise StoreRefused(
            f"{size_bytes} bytes: more than {limits.max_count} parts of {limits.max_size_bytes} bytes"
        )
    return PartPlan(size_bytes=size_bytes, part_size_bytes=part_size)


def _rank(kind: str) -> tuple[int, str]:
    return (_ORDER.index(kind) if kind in _ORDER else len(_ORDER), kind)
