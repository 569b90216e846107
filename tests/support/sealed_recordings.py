"""An organisation, its device, and recordings sealed by it, for tests of whatever comes after sealing.

The objects hold bytes that nobody can decrypt: what comes after sealing never tries.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callseal.seal.keys import (
    Role,
    TrustStore,
    certify,
    chain_der,
    create_root,
    device_id,
    generate_signing_key,
)
from callseal.seal.manifest import (
    MANIFEST_NAME,
    SIGNATURE_NAME,
    Direction,
    Manifest,
    ManifestObject,
    Origin,
    Result,
    object_name,
    parse,
    sign,
    verify_signature,
)
from callseal.seal.spool import Bundle, Spool
from callseal.seal.uuid7 import uuid7

STARTED_AT = datetime(2026, 11, 21, 23, 58, 30, 250_000, tzinfo=UTC)
AUDIO = hashlib.shake_128(b"audio").digest(70_000)
CALL = hashlib.shake_128(b"call").digest(1_500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """A root, and a device that it certified."""

    root_key: Ed25519PrivateKey
    root: x509.Certificate
    device_key: Ed25519PrivateKey
    chain: tuple[bytes, ...]

    @property
    def device(self) -> str:
        return device_id(self.device_key.public_key())

    @property
    def trust(self) -> TrustStore:
        return TrustStore([self.root])


@cache
def organisation(name: str = "Example Insurance") -> Organisation:
    """Return the organisation of this name, the same one each time."""
    now = STARTED_AT - timedelta(days=30)
    root_key, root = create_root(name, now=now, years=20)
    device_key = generate_signing_key()
    leaf = certify(root_key, root, device_key.public_key(), role=Role.DEVICE, now=now, years=20)
    return Organisation(root_key=root_key, root=root, device_key=device_key, chain=chain_der([leaf]))


def recording_id(number: int = 0) -> UUID:
    """Return the id of the recording that starts `number` minutes after the first."""
    random = number.to_bytes(10, "big")
    return uuid7(int(STARTED_AT.timestamp() * 1000) + number * 60_000, random)


def sealed_object(kind: str, data: bytes) -> ManifestObject:
    """Return what a manifest says of these bytes."""
    sha256 = hashlib.sha256(data).digest()
    return ManifestObject(
        name=object_name(kind, sha256),
        size_bytes=len(data),
        sha256=sha256,
        plaintext_sha512=hashlib.sha512(data).digest(),
    )


def manifest_of(owner: Organisation, *objects: ManifestObject, number: int = 0) -> Manifest:
    """Return the manifest of recording `number`."""
    return Manifest(
        id=recording_id(number),
        device=owner.device,
        site="北京",
        source="bridge",
        origin=Origin.LIVE,
        direction=Direction.OUTBOUND,
        started_at=STARTED_AT + timedelta(minutes=number),
        ended_at=STARTED_AT + timedelta(minutes=number, seconds=61),
        duration_samples=488_000,
        rate_hz=8000,
        encoding=27,
        business_type="sales",
        retention_class="sales-long",
        stores=("primary",),
        result=Result.OK,
        reasons=(),
        recipients=("age1-1f2e3d", "age1-9a8b7c"),
        objects=objects,
        ledger=None,
        software="callseal 0.1.0",
        x5c=owner.chain,
    )


def write_folder(folder: Path, owner: Organisation, number: int = 0) -> Manifest:
    """Write a finished recording into a new folder; return its manifest."""
    folder.mkdir(parents=True)
    audio, call = sealed_object("audio", AUDIO), sealed_object("call", CALL)
    manifest = manifest_of(owner, audio, call, number=number)
    (folder / audio.name).write_bytes(AUDIO)
    (folder / call.name).write_bytes(CALL)
    rewrite_manifest(folder, owner, manifest)
    return manifest


def rewrite_manifest(folder: Path, owner: Organisation, manifest: Manifest, **changes: object) -> None:
    """Write a manifest and its signature, in place of what may be there."""
    data = replace(manifest, **changes).to_bytes()  # type: ignore[arg-type]
    (folder / MANIFEST_NAME).write_bytes(data)
    (folder / SIGNATURE_NAME).write_bytes(sign(data, owner.device_key))


def check_folder(folder: Path, owner: Organisation) -> Manifest:
    """Return the manifest of a finished recording, after checking that all is there, unaltered and signed."""
    data = (folder / MANIFEST_NAME).read_bytes()
    verify_signature(data, (folder / SIGNATURE_NAME).read_bytes(), owner.device_key.public_key())
    manifest = parse(data)
    assert str(manifest.id) == folder.name
    assert manifest.to_bytes() == data
    for item in manifest.objects:
        content = (folder / item.name).read_bytes()
        assert (len(content), hashlib.sha256(content).digest()) == (item.size_bytes, item.sha256)
    expected = {item.name for item in manifest.objects} | {MANIFEST_NAME, SIGNATURE_NAME}
    assert {path.name for path in folder.iterdir()} == expected
    return manifest


def make_ready(spool: Spool, owner: Organisation, number: int = 0) -> Bundle:
    """Record, as an agent that holds the spool's lock would, until the recording is in ``ready/``."""
    audio, call = sealed_object("audio", AUDIO), sealed_object("call", CALL)
    manifest = manifest_of(owner, audio, call, number=number)
    bundle = spool.begin(manifest.id)
    bundle.audio_path.write_bytes(AUDIO)
    bundle.put_vcon(CALL)
    bundle.bind(manifest, sign(manifest.to_bytes(), owner.device_key))
    return bundle.release()
