"""Recordings that a custodian received, in a store: what comes after that is kept, held, and renewed."""

import hashlib
import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509

from callseal.archive.decisions import make_records
from callseal.archive.identity import CustodianIdentity
from callseal.seal.keys import (
    Role,
    certify,
    chain_der,
    device_id,
    generate_signing_key,
    write_certificates,
    write_signing_key,
)
from callseal.seal.manifest import MANIFEST_NAME, SIGNATURE_NAME, Manifest, sign
from callseal.seal.receipt import Receipt, ReceiptObject, sign_receipt
from callseal.seal.retention import Decision, RetentionRecord, State
from callseal.store.interface import StoreReader, StoreWriter
from callseal.store.names import parse_recording_name, receipt_name, recording_name, retention_name
from support.sealed_recordings import (
    AUDIO,
    CALL,
    STARTED_AT,
    Organisation,
    manifest_of,
    organisation,
    sealed_object,
)

RECEIVED_AT = STARTED_AT + timedelta(hours=1)
OTHERS = "Another"
"""An organisation that nobody here trusts."""
_RANDOM = itertools.count()


@cache
def custodian(name: str | None = None) -> CustodianIdentity:
    """Return the custodian of an organisation (None: ours), the same one each time."""
    owner, key = _organisation(name), generate_signing_key()
    now = STARTED_AT - timedelta(days=30)
    leaf = certify(owner.root_key, owner.root, key.public_key(), role=Role.CUSTODIAN, now=now, years=20)
    return CustodianIdentity(name=device_id(key.public_key()), key=key, chain=chain_der([leaf]))


def receive(
    store: StoreWriter,
    number: int = 0,
    *,
    retention_class: str | None = "sales-long",
    signer: CustodianIdentity | None = None,
) -> tuple[Receipt, Manifest]:
    """Put recording `number` into a store, and the custodian's receipt for it."""
    receipt, manifest = put_recording(store, number, retention_class=retention_class)
    put_receipt(store, receipt, signer or custodian())
    return receipt, manifest


def put_recording(
    store: StoreWriter, number: int = 0, *, retention_class: str | None = "sales-long"
) -> tuple[Receipt, Manifest]:
    """Put a recording into a store; return what its receipt would say."""
    owner: Organisation = organisation()
    audio, call = sealed_object("audio", AUDIO), sealed_object("call", CALL)
    manifest = replace(manifest_of(owner, audio, call, number=number), retention_class=retention_class)
    data = manifest.to_bytes()
    where = recording_name(owner.device, manifest.started_at, manifest.id)
    objects = []
    for name, content in (
        (audio.name, AUDIO),
        (call.name, CALL),
        (SIGNATURE_NAME, sign(data, owner.device_key)),
        (MANIFEST_NAME, data),
    ):
        sha256 = hashlib.sha256(content).digest()
        version = store.put(where.object(name), content, sha256)
        objects.append(
            ReceiptObject(name=where.object(name), version=version, size_bytes=len(content), sha256=sha256)
        )
    receipt = Receipt(
        id=manifest.id,
        device=owner.device,
        site="central",
        received_at=RECEIVED_AT,
        manifest=hashlib.sha256(data).digest(),
        objects=tuple(objects),
    )
    return receipt, manifest


def receive_stored(store: StoreReader, writer: StoreWriter, prefix: str) -> Receipt:
    """Put a receipt for a recording that lies in a store already; its objects' versions are as they are."""
    parsed = parse_recording_name(prefix)
    assert parsed is not None
    objects = []
    for item in store.versions(prefix):
        with store.get(item.name, item.version) as file:
            data = file.read()
        objects.append(
            ReceiptObject(
                name=item.name,
                version=item.version,
                size_bytes=len(data),
                sha256=hashlib.sha256(data).digest(),
            )
        )
    manifest = next(item for item in objects if item.name.endswith(MANIFEST_NAME))
    receipt = Receipt(
        id=parsed[0].id,
        device=parsed[0].device,
        site="central",
        received_at=RECEIVED_AT,
        manifest=manifest.sha256,
        objects=tuple(objects),
    )
    put_receipt(writer, receipt, custodian())
    return receipt


def write_custodian(folder: Path) -> str:
    """Write the custodian's key and certificate into a folder; return the table for the settings."""
    signer = custodian()
    write_signing_key(folder / "custodian.key", signer.key)
    certificates = [x509.load_der_x509_certificate(item) for item in signer.chain]
    write_certificates(folder / "custodian.pem", certificates)
    return '[custodian]\npath = "custodian"\n'


def put_receipt(store: StoreWriter, receipt: Receipt, signer: CustodianIdentity) -> str:
    """Put a receipt into a store; return its name."""
    data = sign_receipt(receipt, signer.key, signer.chain)
    name = receipt_name(receipt.device, receipt.id)
    store.put(name, data, hashlib.sha256(data).digest())
    return name


def decide(
    store: StoreWriter,
    receipt: Receipt,
    *decisions: Decision,
    at: datetime,
    signer: CustodianIdentity | None = None,
    after: State | None = None,
) -> list[RetentionRecord]:
    """Put decisions about a recording into a store; a signer given is one of `OTHERS`."""
    made = make_records(
        decisions,
        device=receipt.device,
        recording=receipt.id,
        by="archivist @ central",
        reason="as the customer's file says",
        signer=signer or custodian(),
        trust=_organisation(None if signer is None else OTHERS).trust,
        after=[] if after is None else [after],
        now=at,
        random=[next(_RANDOM).to_bytes(10, "big") for _decision in decisions],
    )
    for record, data in made:
        name = retention_name(record.device, record.id, record.record)
        store.put(name, data, hashlib.sha256(data).digest())
    return [record for record, _data in made]


def _organisation(name: str | None) -> Organisation:
    return organisation() if name is None else organisation(name)
