"""What has to be put where, and in which order, for one recording. Pure.

The audio goes first, being the largest and the most precious; then the call's vCon, the tail and whatever
else the manifest lists; then the signature; the manifest last. It is the commit: a reader who finds it
finds everything that it speaks of, whenever the uploader or the network died.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from callseal.seal.manifest import MANIFEST_NAME, SIGNATURE_NAME, Manifest
from callseal.store.names import recording_name

_ORDER: Final = ("audio", "call", "tail")


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """One object to be stored: its file in the bundle, its name in the store, the SHA-256 of its bytes."""

    file: str
    name: str
    sha256: bytes


def plan_puts(manifest: Manifest, manifest_bytes: bytes, signature: bytes) -> tuple[Put, ...]:
    """Return the puts for a recording, in the order in which they must be made."""
    place = recording_name(manifest.device, manifest.started_at, manifest.id)
    files = [(item.name, item.sha256) for item in sorted(manifest.objects, key=lambda item: _rank(item.kind))]
    files.append((SIGNATURE_NAME, hashlib.sha256(signature).digest()))
    files.append((MANIFEST_NAME, hashlib.sha256(manifest_bytes).digest()))
    return tuple(Put(file=file, name=place.object(file), sha256=sha256) for file, sha256 in files)


def _rank(kind: str) -> tuple[int, str]:
    return (_ORDER.index(kind) if kind in _ORDER else len(_ORDER), kind)
