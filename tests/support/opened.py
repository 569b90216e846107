"""Opens what lies in a finished recording's folder, a recovered one's too; checks nothing besides."""

import io
from collections.abc import Sequence
from pathlib import Path

from callseal.seal.age import Identity, ScryptIdentity, decrypt
from callseal.seal.errors import PayloadError
from callseal.seal.manifest import Manifest
from callseal.seal.tail import open_passphrase


def open_objects(folder: Path, manifest: Manifest, identities: Sequence[Identity]) -> dict[str, bytes]:
    """Give the plaintext of each object by its kind; `audio` is the whole inner file, its tail included."""
    plain: dict[str, bytes] = {}
    objects = {item.kind: item for item in manifest.objects}
    for kind, item in objects.items():
        if kind != "tail":
            cut = kind == "audio" and item.plaintext_sha512 is None
            plain[kind] = unsealed(folder / item.name, identities, cut=cut)
    if "tail" in objects:
        tail = objects["tail"]
        key = ScryptIdentity(passphrase=open_passphrase(plain["tailkey"]))
        plain["tail"] = unsealed(folder / tail.name, [key])
        plain["audio"] = plain["audio"][: tail.plaintext_offset] + plain["tail"]
    return plain


def unsealed(path: Path, identities: Sequence[Identity], *, cut: bool = False) -> bytes:
    """Decrypt one sealed file; `cut` lets it end behind any whole chunk."""
    plain = b""
    try:
        for piece in decrypt(io.BytesIO(path.read_bytes()), identities):
            plain += piece
    except PayloadError as problem:
        if not (cut and problem.truncated):
            raise
    return plain
