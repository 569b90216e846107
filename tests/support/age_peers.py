"""Other people's age: the C2SP test vectors, Debian's `age`, npm's `age-encryption` (typage).

What is not installed is a skip with the command that installs it; where `CI` is set it is a failure, so that
missing peers cannot pass for agreeing ones.
"""

import json
import os
import shutil
import subprocess
import zlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

PEERS = Path(__file__).resolve().parent.parent / "peers"
VECTOR_COUNT = 143
_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """One test vector: what to open, with what, and what must come of it."""

    file: bytes
    expect: str
    payload_sha256: str | None
    identities: tuple[str, ...]
    passphrases: tuple[str, ...]
    armored: bool


def need(program: str, install: str) -> str:
    """Return the path of a program; skip (or fail, in CI) if it is not installed."""
    path = shutil.which(program)
    if path is None:
        _missing(f"{program} is not installed: {install}")
    return path


def vector_names() -> tuple[str, ...]:
    """Return the names of all vectors, none if they are not installed."""
    return tuple(_vector_files()) if _installed("cctv-age") else ()


def vector(name: str) -> Vector:
    """Return one vector; skip (or fail, in CI) if they are not installed."""
    _need_package("cctv-age")
    head, _, body = _vector_files()[name].partition(b"\n\n")
    keys: dict[str, list[str]] = {}
    for line in head.decode().splitlines():
        key, _, value = line.partition(": ")
        keys.setdefault(key.removesuffix(":"), []).append(value)
    return Vector(
        file=zlib.decompress(body) if keys.get("compressed") == ["zlib"] else body,
        expect=keys["expect"][0],
        payload_sha256=keys["payload"][0] if "payload" in keys else None,
        identities=tuple(keys.get("identity", [])),
        passphrases=tuple(keys.get("passphrase", [])),
        armored=keys.get("armored") == ["yes"],
    )


def typage_encrypt(recipients: Sequence[str], plaintexts: Sequence[bytes]) -> list[bytes]:
    """Seal each text with typage."""
    return _typage({"do": "encrypt", "recipients": list(recipients)}, plaintexts)


def typage_decrypt(identity: str, files: Sequence[bytes]) -> list[bytes]:
    """Open each file with typage."""
    return _typage({"do": "decrypt", "identity": identity}, files)


def typage_recipient(identity: str) -> str:
    """Return the recipient string that typage derives from an identity."""
    _need_package("age-encryption")
    return _typage({"do": "recipient", "identity": identity}, [])[0].decode()


def _typage(job: dict[str, object], files: Sequence[bytes]) -> list[bytes]:
    _need_package("age-encryption")
    job["files"] = [b64encode(file).decode() for file in files]
    answer = json.loads(_node("typage.mjs", json.dumps(job).encode()))
    return [b64decode(item) for item in answer]


@cache
def _vector_files() -> dict[str, bytes]:
    return {name: b64decode(text) for name, text in json.loads(_node("cctv.mjs", b"")).items()}


def _node(script: str, stdin: bytes) -> bytes:
    return subprocess.run(
        [need("node", "apt-get install nodejs"), PEERS / script],
        input=stdin,
        stdout=subprocess.PIPE,
        check=True,
        timeout=_TIMEOUT_S,
    ).stdout


def _installed(package: str) -> bool:
    return (PEERS / "node_modules" / package).is_dir() and shutil.which("node") is not None


def _need_package(package: str) -> None:
    if not _installed(package):
        _missing(f"{package} is not installed: npm install --prefix tests/peers")


def _missing(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
