"""What evidence is made of besides a recording: a call that a crash cut off, stamps, receipts, revocations.

All of it is for the office of `bundle`, and is real: the sealed file that stops, the recovery, what a
custodian signs, openssl's time stamps.
"""

import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from cryptography import x509

from callseal.codecs.au import AuHeader, Encoding
from callseal.seal.age import fingerprint
from callseal.seal.device import DeviceSigner
from callseal.seal.keys import Role, certify, chain_der, generate_signing_key
from callseal.seal.ledger import Kind
from callseal.seal.ledger.checkpoint import parse_checkpoint, read_line
from callseal.seal.manifest import Direction, Origin, parse
from callseal.seal.receipt import Receipt, ReceiptObject, sign_receipt
from callseal.seal.recovery import NotRecovered, Recovery
from callseal.seal.revocation import revoke, write_pem
from callseal.seal.spool import Spool
from callseal.seal.stamp import request
from callseal.seal.state import RecordingState
from callseal.seal.uuid7 import uuid7
from callseal.seal.vcon import Dialog, DialogType, Party, Vcon, sign_vcon
from callseal.seal.writer import SealedFile, seal_bytes
from callseal.store.names import receipt_name, recording_name, stamp_name
from support.bundle import RATE_HZ, STORE_NAME, Office, sound
from support.chronicles import chronicle, clocks_of
from support.sealed_recordings import STARTED_AT
from support.tsa import StampingAuthority

CHUNK: Final = 65_536
HEADER: Final = bytes(AuHeader(encoding=Encoding.ALAW, rate_hz=RATE_HZ, channels=2))


def cut_off(
    office: Office, number: int, *, size_bytes: int, lost_chunks: int = 0, ended: bool = False
) -> tuple[UUID, bytes]:
    """Let the recorder die when the inner file has this size, and recover; give the recording and that file.

    `lost_chunks` is how many of the newest whole chunks the disk loses besides. With `ended` it dies when the
    sealed file has its last chunk, and there is no manifest yet.
    """
    owner, spool = office.organisation, Spool(office.spool_path)
    now = STARTED_AT + timedelta(minutes=number)
    recording = uuid7(int(now.timestamp() * 1000), bytes(9) + bytes([number]))
    recipients = [office.reader.recipient, office.recovery.recipient]
    signer = DeviceSigner(device=owner.device, key=owner.device_key, chain=owner.chain)
    inner = (HEADER + sound(size_bytes / RATE_HZ).tobytes())[:size_bytes]
    ledger = chronicle([spool.ledger_path], owner.device_key, clocks_of(lambda: now, lambda: number * 60.0))
    with spool.lock():
        ledger.started("callseal/test", hashlib.sha256(b"settings").digest(), owner.chain)
        ledger.note(Kind.OPENED, recording=recording)
        bundle = spool.begin(recording)
        bundle.put_state(
            RecordingState(
                id=recording,
                device=owner.device,
                site="bj",
                source="bridge",
                origin=Origin.LIVE,
                direction=Direction.OUTBOUND,
                started_at=now,
                opened_at=now,
                rate_hz=RATE_HZ,
                encoding=Encoding.ALAW.value,
                business_type="sales",
                retention_class="sales",
                stores=(STORE_NAME,),
                recipients=tuple(fingerprint(one) for one in recipients),
                software="callseal/test",
            )
        )
        vcon = Vcon(
            uuid=recording,
            created_at=now,
            parties=(Party(name="Wang Fang"), Party(tel="+8613800138000")),
            dialog=(Dialog(type=DialogType.RECORDING, start=now),),
        )
        seal_bytes(bundle.vcon_path, sign_vcon(vcon, owner.device_key, owner.chain), recipients)
        writer = SealedFile(bundle.audio_path, recipients)
        writer.write(inner)
        if ended:
            writer.close()
        else:
            writer.flush()
            writer.abandon()
        if lost_chunks:
            data = bundle.audio_path.read_bytes()
            bundle.audio_path.write_bytes(data[: len(data) - lost_chunks * (CHUNK + 16)])
        recovery = Recovery(
            spools=[spool],
            recipients=recipients,
            signer=signer,
            ledger=ledger,
            site="bj",
            stores=(STORE_NAME,),
            software="callseal/test",
            now=lambda: now + timedelta(minutes=1),
        )
        (found,) = recovery.run()
        if isinstance(found, NotRecovered):
            raise found.problem
        ledger.stopped(0)
    return recording, inner


def notes(office: Office) -> dict[int, bytes]:
    """Give the checkpoints of the device's ledger in the store, by their sizes."""
    folder = office.store_path / "ledger" / office.organisation.device
    lines = (path.read_bytes().splitlines(keepends=True)[-1] for path in folder.glob("*.jsonl"))
    return {parse_checkpoint(note).size: note for note in map(read_line, lines)}


def stamp(office: Office, authority: StampingAuthority, size: int | None = None) -> int:
    """Have the checkpoint of a size stamped, the newest one if none is named; give its size."""
    found = notes(office)
    chosen = max(found) if size is None else size
    path = office.store_path / stamp_name(office.organisation.device, chosen)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(authority.answer(request(found[chosen], nonce=chosen)))
    return chosen


def give_receipt(
    office: Office, recording: UUID, *, received_at: datetime, manifest: bytes | None = None
) -> Path:
    """Let a custodian whom the root certified vouch for a stored recording."""
    owner, folder = office.organisation, office.stored(recording)
    key = generate_signing_key()
    leaf = certify(
        owner.root_key,
        owner.root,
        key.public_key(),
        role=Role.CUSTODIAN,
        now=STARTED_AT - timedelta(days=1),
        years=2,
    )
    data = (folder / "manifest.json").read_bytes()
    said = parse(data)
    prefix = recording_name(said.device, said.started_at, said.id).prefix
    receipt = Receipt(
        id=recording,
        device=owner.device,
        site=STORE_NAME,
        received_at=received_at,
        manifest=hashlib.sha256(data).digest() if manifest is None else manifest,
        objects=tuple(
            ReceiptObject(name=prefix + one.name, version="", size_bytes=one.size_bytes, sha256=one.sha256)
            for one in said.objects
        ),
    )
    path = office.store_path / receipt_name(owner.device, recording)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sign_receipt(receipt, key, chain_der([leaf])))
    return path


def write_revocations(office: Office, path: Path, *, now: datetime, since: datetime | None = None) -> Path:
    """Write the root's list: empty, or with the device's key revoked since a time."""
    owner = office.organisation
    leaf = x509.load_der_x509_certificate(owner.chain[0])
    listed = revoke(
        owner.root_key,
        owner.root,
        [],
        [] if since is None else [leaf],
        since=now if since is None else since,
        reason=x509.ReasonFlags.key_compromise,
        now=now,
    )
    path.write_bytes(write_pem([listed]))
    return path
