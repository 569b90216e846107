"""Makes an evidence folder: collects, checks, writes, and gives the folder its name last.

Conventions: the folder is ``0700`` and grows under a temporary name beside its own, which is taken away
whatever goes wrong: a folder of that name is whole. What is public is judged before anything is opened. The
whole of it is an error where the recording is altered or contradicted; what is merely missing is a gap, told
in the statement and to the person.
"""

import hashlib
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from callseal.cli import opening
from callseal.cli.disk import is_there, readable, writable
from callseal.cli.errors import Untrusted, UsageFault
from callseal.cli.evidence import layout
from callseal.cli.evidence.case import Case, Proofs
from callseal.cli.evidence.contents import Contents, copy_sealed, make, write, write_contents, write_document
from callseal.cli.evidence.gaps import Code, Gap, gap
from callseal.cli.evidence.history import Found, History, find_history
from callseal.cli.evidence.sources import Sources
from callseal.cli.evidence.statement import script, write_statement
from callseal.cli.evidence.steps import plan
from callseal.cli.evidence.witnesses import ReceiptFound, StampFound, Stamps, find_receipt
from callseal.cli.exporting import TEMPORARY_PREFIX
from callseal.cli.i18n import _
from callseal.cli.opening import AUDIO, TAIL, Sealed
from callseal.seal import durable
from callseal.seal.age import Identity
from callseal.seal.errors import UntrustedSigner
from callseal.seal.keys import Role, Signer, TrustStore, leaf_public_key
from callseal.seal.ledger import signature_of
from callseal.seal.manifest import MANIFEST_NAME, SIGNATURE_NAME
from callseal.seal.reasons import Language
from callseal.seal.revocation import CRL, Revocations
from callseal.seal.timestamp import write_time
from callseal.seal.verify.receipts import Recorded
from callseal.store.names import recording_name

FOLDER_MODE: Final = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """Whose word is taken: the organisation's roots with their revocations, and those of time stamps."""

    trust: TrustStore
    stamp_roots: tuple[x509.Certificate, ...]
    strict: bool
    """Whether a signer whom nobody vouches for is an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A folder that was made; `sums_sha256` is the hash to note where it is handed over."""

    folder: Path
    sums_sha256: bytes
    case: Case


def refuse_taken(folder: Path) -> None:
    """Raise UsageFault unless there is nothing of that name, or an empty folder."""
    if not is_there(folder):
        return
    with readable(folder):
        if not folder.is_dir() or any(folder.iterdir()):
            words = _("{path}: is there already: name a new or an empty folder for the evidence")
            raise UsageFault(words.format(path=folder))


def export(
    sealed: Sealed,
    identities: Sequence[Identity],
    folder: Path,
    *,
    sources: Sources,
    believed: Believed,
    software: str,
    now: datetime,
    progress: Callable[[int], None],
) -> Exported:
    """Write the evidence for a recording into a new folder.

    `progress` hears how many entries of the ledger were read. Raises what `opening` raises, Untrusted, and
    UsageFault where the folder is taken or the disk refuses.
    """
    refuse_taken(folder)
    with _new_folder(folder) as temporary:
        copy = copy_sealed(temporary, sealed)
        proofs = _prove(copy, sources, believed, now=now, progress=progress)
        contents = write_contents(temporary, copy, identities, now=now)
        proofs = replace(proofs, gaps=(*_lost(copy, contents), *proofs.gaps))
        case = Case(sealed=copy, proofs=proofs, contents=contents, made_at=now, software=software)
        _write_certificates(temporary, case)
        if proofs.history is not None:
            _write_history(temporary / layout.LEDGER, temporary, proofs.history, proofs.stamp)
        if proofs.receipt is not None:
            names = layout.RECEIPT_DOCUMENT, layout.RECEIPT_PAYLOAD, layout.RECEIPT_SIGNATURE
            write_document(temporary / layout.RECEIPT, proofs.receipt.data, names=names)
        steps = plan(case)
        write(temporary / layout.STEPS, [script(steps).encode()])
        for name, language in (
            (layout.STATEMENT_ENGLISH, Language.ENGLISH),
            (layout.STATEMENT_CHINESE, Language.CHINESE),
        ):
            write(temporary / name, [write_statement(case, steps, temporary, language).encode()])
        sums = _sums(temporary)
        write(temporary / layout.SUMS, [sums])
    return Exported(folder=folder, sums_sha256=hashlib.sha256(sums).digest(), case=case)


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    path = folder.absolute()
    temporary = path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.tmp"
    with writable(folder):
        temporary.mkdir(mode=FOLDER_MODE)
    try:
        yield temporary
        with writable(folder):
            for inner in (*(one for one in temporary.rglob("*") if one.is_dir()), temporary):
                durable.sync_folder(inner)
            temporary.rename(path)
            durable.sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


# --- what is public -----------------------------------------------------------------------------------


def _prove(
    sealed: Sealed,
    sources: Sources,
    believed: Believed,
    *,
    now: datetime,
    progress: Callable[[int], None],
) -> Proofs:
    manifest = sealed.manifest
    data, signature = opening.manifest_files(sealed.copy)
    sha256 = hashlib.sha256(data).digest()
    stamps = Stamps(sources.stamps(), believed.stamp_roots)
    found = _history(sealed, sha256, sources, stamps, progress)
    stamp, stamp_gaps = _stamp(found.history, stamps)
    files = {item.name: (item.size_bytes, item.sha256) for item in manifest.objects} | {
        MANIFEST_NAME: (len(data), sha256),
        SIGNATURE_NAME: (len(signature), hashlib.sha256(signature).digest()),
    }
    recorded = Recorded(
        manifest=manifest,
        sha256=sha256,
        folder=recording_name(manifest.device, manifest.started_at, manifest.id).prefix,
        files=files,
        listed=frozenset(files),
    )
    receipt, receipt_gaps = find_receipt(sources.receipts, recorded, believed.trust)
    signer, signer_gaps = _signer(sealed, believed, stamp, receipt)
    revocations, revocation_gaps = _revocations(believed.trust, signer, now)
    return Proofs(
        manifest_sha256=sha256,
        signer=signer,
        revocations=revocations,
        history=found.history,
        stamp=stamp,
        receipt=receipt,
        gaps=(
            *_sound_gaps(sealed),
            *signer_gaps,
            *revocation_gaps,
            *found.gaps,
            *stamp_gaps,
            *receipt_gaps,
            *(gap(Code.PLACE_UNREAD, why=problem) for problem in sources.failures),
        ),
    )


def _sound_gaps(sealed: Sealed) -> Iterator[Gap]:
    audio = sealed.object(AUDIO)
    if audio is None:
        yield gap(Code.NO_SOUND)
    elif audio.plaintext_sha512 is None:
        yield gap(Code.NO_CONTENT_HASH)


def _lost(sealed: Sealed, contents: Contents) -> Iterator[Gap]:
    """Yield what is missing between the sealed audio and its tail."""
    lost = 0 if contents.sound is None else contents.sound.lost_bytes(sealed.object(TAIL))
    if lost:
        yield gap(Code.SOUND_LOST, size=str(lost))


def _history(
    sealed: Sealed, sha256: bytes, sources: Sources, stamps: Stamps, progress: Callable[[int], None]
) -> Found:
    manifest = sealed.manifest
    try:
        return find_history(
            sources.ledgers,
            manifest,
            sha256,
            leaf_public_key(manifest.x5c),
            stamps=stamps,
            progress=progress,
        )
    except OSError as problem:
        return Found(history=None, gaps=(gap(Code.NO_LEDGER), gap(Code.PLACE_UNREAD, why=str(problem))))


def _stamp(history: History | None, stamps: Stamps) -> tuple[StampFound | None, tuple[Gap, ...]]:
    if history is None:
        return None, ()
    return stamps.find(history.checkpoint.size, history.note)


def _signer(
    sealed: Sealed, believed: Believed, stamp: StampFound | None, receipt: ReceiptFound | None
) -> tuple[Signer | None, tuple[Gap, ...]]:
    """Return the signer if somebody vouches for it; one that was revoked by what was there before."""
    if sealed.signer is not None:
        return sealed.signer, ()
    anchors = []
    if stamp is not None and stamp.root is not None:
        anchors.append(stamp.stamp.at)
    if receipt is not None and receipt.signer is not None:
        anchors.append(receipt.receipt.received_at)
    manifest, doubt = sealed.manifest, sealed.doubt
    try:
        signer = believed.trust.check(
            manifest.x5c,
            at=manifest.started_at,
            role=Role.DEVICE,
            anchored_before=min(anchors, default=None),
        )
        if signer.device_id == manifest.device:
            return signer, (gap(Code.SIGNER_REVOKED),)
    except UntrustedSigner as problem:
        doubt = str(problem)
    if believed.strict:
        raise Untrusted(f"{manifest.id}: " + _("signer untrusted: {doubt}").format(doubt=doubt))
    return None, (gap(Code.SIGNER_UNTRUSTED, why=doubt),)


def _revocations(
    trust: TrustStore, signer: Signer | None, now: datetime
) -> tuple[CRL | None, tuple[Gap, ...]]:
    """Return the list of the signer's root: the one that names it, if one does."""
    if signer is None:
        return None, ()
    lists = trust.revocations.by_root(signer.root)
    if not lists:
        return None, (gap(Code.NO_REVOCATIONS),)
    naming = [one for one in lists if Revocations([one]).since(signer.certificate) is not None]
    chosen = (naming or list(lists))[0]
    due = chosen.next_update_utc
    if due is not None and due < now:
        return chosen, (gap(Code.REVOCATIONS_STALE, due=write_time(due)),)
    return chosen, ()


# --- what is written ----------------------------------------------------------------------------------


def _write_certificates(folder: Path, case: Case) -> None:
    proofs = case.proofs
    make(folder / layout.CERTIFICATES)
    found = {layout.DEVICE_CERTIFICATE: x509.load_der_x509_certificate(case.manifest.x5c[0])}
    if proofs.signer is not None:
        found[layout.ROOT_CERTIFICATE] = proofs.signer.root
    if proofs.receipt is not None:
        found[layout.CUSTODIAN_CERTIFICATE] = x509.load_der_x509_certificate(proofs.receipt.certificate)
        if proofs.receipt.signer is not None:
            found[layout.CUSTODIAN_ROOT] = proofs.receipt.signer.root
    if proofs.stamp is not None and proofs.stamp.root is not None:
        found[layout.AUTHORITY_ROOT] = proofs.stamp.root
    for name, certificate in found.items():
        write(folder / name, [certificate.public_bytes(Encoding.PEM)])
    if proofs.revocations is not None:
        write(folder / layout.REVOCATIONS, [proofs.revocations.public_bytes(Encoding.PEM)])


def _write_history(target: Path, folder: Path, history: History, stamp: StampFound | None) -> None:
    make(target)
    for one in history.entries:
        sequence = one.entry.sequence
        write(folder / layout.entry(sequence), [one.data])
        write(folder / layout.entry_signature(sequence), [one.signature])
        make((folder / layout.proof(sequence, 1, left=True)).parent)
        for number, step in enumerate(one.proof, start=1):
            write(folder / layout.proof(sequence, number, left=step.left), [step.hash])
    write(folder / layout.CHECKPOINT, [history.note])
    write(folder / layout.CHECKPOINT_SIGNATURE, [signature_of(history.note)])
    if stamp is not None:
        write(folder / layout.STAMP, [stamp.data])


def _sums(folder: Path) -> bytes:
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with readable(path), path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    return "".join(lines).encode()
