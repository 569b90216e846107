"""One recording: what its device sealed, and standing where it should.

A recording is a folder of objects, in the spool or in a store. Checked are, each as findings of its own: the
manifest (there, well formed), its signature, the signer's trust at the time of the call, the folder's name
against the manifest, every object (there, its size, its SHA-256), the tail of a recovered one, and that
nothing lies there besides. Then its place in the device's ledger, and the receipts of custodians.

A result other than ok is no fault here: a recording that was recovered after a crash is what it says.

The key of a revoked signer counts for what was demonstrably there before: by a receipt, or by a time stamp
on a checkpoint that covers the recording's end.

Later additions (``add-*``) are not part of this version; where they exist the report says so.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from callseal.seal.age import CHUNK_SIZE_BYTES
from callseal.seal.errors import ManifestError, SignatureError, UntrustedSigner
from callseal.seal.keys import Role, Signer, TrustStore, leaf_public_key
from callseal.seal.manifest import (
    MANIFEST_NAME,
    MAX_SIZE_BYTES,
    SIGNATURE_NAME,
    SIGNATURE_SIZE_BYTES,
    Manifest,
    ManifestObject,
    parse,
    verify_signature,
)
from callseal.seal.timestamp import write_time
from callseal.seal.verify.findings import (
    ALTERED,
    BAD_SIGNATURE,
    UNTRUSTED,
    Check,
    Finding,
    failed,
    gravest,
    unchecked,
    well,
)
from callseal.seal.verify.ledger import DeviceLedger, Standing, standing
from callseal.seal.verify.reading import ObjectReader, fetch, hash_up_to, why
from callseal.seal.verify.receipts import Recorded, Stored, check_receipt

MAX_LISTED: Final = 10_000

TAIL_WITHOUT_KEY: Final = "altered: a tail, and not the one key that opens it"
TAIL_MISPLACED: Final = (
    "altered: a tail goes on behind whole chunks of the sealed file, and this one does not"
)

_AUDIO: Final = "audio"
_TAIL: Final = "tail"
_TAIL_KEY: Final = "tailkey"
_ADDITION_PATTERN: Final = re.compile(r"add-[0-9]{1,9}(-[0-9a-f]{64}\.age|\.json|\.sig)")


class Evidence(Protocol):
    """What is at hand besides the recording's own folder."""

    def ledger(self, device: str) -> DeviceLedger | None:
        """Return the device's ledger, None if it is not at hand."""

    def receipts(self, device: str, recording: UUID) -> Iterable[Stored]:
        """Yield the receipts for a recording. Raises OSError."""


class _Nothing:
    """Nothing is at hand."""

    def ledger(self, _device: str) -> None:
        return None

    def receipts(self, _device: str, _recording: UUID) -> tuple[Stored, ...]:
        return ()


NOTHING: Final[Evidence] = _Nothing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that was found; `manifest` and `signer` are there as far as they could be read and trusted."""

    folder: str
    findings: tuple[Finding, ...]
    manifest: Manifest | None
    signer: Signer | None

    @property
    def exit_code(self) -> int:
        """The gravest of all findings, 0 if everything was checked and is well."""
        return gravest(self.findings)

    @property
    def ok(self) -> bool:
        """Whether everything was checked, and somebody trusted vouches for it."""
        return self.exit_code == 0

    @property
    def intact(self) -> bool:
        """Whether the folder is well in itself, whatever ledger and receipts say or don't."""
        outside = {Check.LEDGER, Check.RECEIPT}
        return gravest(finding for finding in self.findings if finding.check not in outside) == 0


def verify_recording(
    reader: ObjectReader, prefix: str, trust: TrustStore, evidence: Evidence = NOTHING
) -> Report:
    """Check the recording under `prefix`, which ends with its folder's name and a slash.

    `prefix` is ``recordings/<device>/<yyyy>/<mm>/<dd>/<id>/`` in a store, ``<id>/`` elsewhere. Without
    evidence from outside its folder no recording is ever ok: nobody can say that it was not exchanged.
    """
    return _Verification(reader, prefix if prefix.endswith("/") else f"{prefix}/", trust, evidence).run()


def folder_of(manifest: Manifest) -> str:
    """Return the folder of a recording in a store, ended by a slash."""
    day = write_time(manifest.started_at)[: len("yyyy-mm-dd")].replace("-", "/")
    return f"recordings/{manifest.device}/{day}/{manifest.id}/"


class _Verification:
    """One run: collects findings."""

    def __init__(self, reader: ObjectReader, prefix: str, trust: TrustStore, evidence: Evidence) -> None:
        self._reader = reader
        self._prefix = prefix
        self._trust = trust
        self._evidence = evidence
        self._folder = prefix.rstrip("/").rpartition("/")[2]
        self._findings: list[Finding] = []

    def run(self) -> Report:
        listed = self._list()
        manifest, signer = None, None
        if listed is not None:
            data = self._fetch(listed, MANIFEST_NAME, MAX_SIZE_BYTES, Check.MANIFEST, ALTERED)
            manifest = None if data is None else self._parse(data)
            if data is not None and manifest is not None:
                signer = self._recording(listed, data, manifest)
            else:
                words = "without a manifest nothing can be compared"
                self._findings.append(unchecked(self._folder, Check.OBJECT, words))
        return Report(folder=self._folder, findings=tuple(self._findings), manifest=manifest, signer=signer)

    def _recording(self, listed: dict[str, int], data: bytes, manifest: Manifest) -> Signer | None:
        signature = self._signature(listed, data, manifest)
        sha256 = hashlib.sha256(data).digest()
        ledger = self._evidence.ledger(manifest.device)
        place = standing(manifest, sha256, ledger)
        received, receipts = self._receipts(listed, manifest, sha256, signature)
        signer = self._signer(manifest, _anchor(ledger, place, received))
        self._place(manifest)
        for item in manifest.objects:
            self._object(listed, item)
        self._tail(manifest)
        self._extras(listed, manifest)
        self._findings += [place.finding, *receipts]
        return signer if signature is not None else None

    def _list(self) -> dict[str, int] | None:
        listed: dict[str, int] = {}
        try:
            for item in self._reader.list(self._prefix):
                listed[item.name.removeprefix(self._prefix)] = item.size_bytes
                if len(listed) > MAX_LISTED:
                    words = f"more than {MAX_LISTED} objects in the folder of one recording"
                    self._findings.append(failed(self._folder, Check.EXTRA, words))
                    return None
        except OSError as problem:
            words = f"the folder can't be read: {why(problem)}"
            self._findings.append(unchecked(self._folder, Check.MANIFEST, words))
            return None
        return listed

    def _fetch(
        self, listed: dict[str, int], name: str, limit_bytes: int, check: Check, missing: int
    ) -> bytes | None:
        """Return up to one byte more than the limit, which the caller's parser then refuses."""
        if name not in listed:
            self._findings.append(failed(name, check, "missing", missing))
            return None
        try:
            return fetch(self._reader, self._prefix + name, limit_bytes)
        except OSError as problem:
            self._findings.append(unchecked(name, check, f"can't be read: {why(problem)}"))
            return None

    def _parse(self, data: bytes) -> Manifest | None:
        try:
            manifest = parse(data)
        except ManifestError as problem:
            self._findings.append(failed(MANIFEST_NAME, Check.MANIFEST, str(problem)))
            return None
        self._findings.append(well(MANIFEST_NAME, Check.MANIFEST, "well formed"))
        return manifest

    def _signature(self, listed: dict[str, int], data: bytes, manifest: Manifest) -> bytes | None:
        """Return the signature if it fits."""
        signature = self._fetch(listed, SIGNATURE_NAME, SIGNATURE_SIZE_BYTES, Check.SIGNATURE, BAD_SIGNATURE)
        if signature is None:
            return None
        try:
            verify_signature(data, signature, leaf_public_key(manifest.x5c))
        except (SignatureError, UntrustedSigner) as problem:
            self._findings.append(failed(SIGNATURE_NAME, Check.SIGNATURE, str(problem), BAD_SIGNATURE))
            return None
        self._findings.append(well(SIGNATURE_NAME, Check.SIGNATURE, "fits the manifest"))
        return signature

    def _receipts(
        self, listed: dict[str, int], manifest: Manifest, sha256: bytes, signature: bytes | None
    ) -> tuple[list[datetime], list[Finding]]:
        files: dict[str, tuple[int | None, bytes]] = {
            item.name: (item.size_bytes, item.sha256) for item in manifest.objects
        }
        files[MANIFEST_NAME] = None, sha256
        if signature is not None:
            files[SIGNATURE_NAME] = len(signature), hashlib.sha256(signature).digest()
        recorded = Recorded(
            manifest=manifest,
            sha256=sha256,
            folder=folder_of(manifest),
            files=files,
            listed=frozenset(listed),
        )
        times: list[datetime] = []
        findings: list[Finding] = []
        try:
            for item in self._evidence.receipts(manifest.device, manifest.id):
                finding, received_at = check_receipt(
                    item.name, item.data, recorded, self._trust, stored_at=item.stored_at
                )
                findings.append(finding)
                times += [] if received_at is None else [received_at]
        except OSError as problem:
            words = f"the receipts can't be read: {why(problem)}"
            findings.append(unchecked(self._folder, Check.RECEIPT, words))
        return times, findings

    def _signer(self, manifest: Manifest, anchored_at: datetime | None) -> Signer | None:
        try:
            signer = self._trust.check(
                manifest.x5c, at=manifest.started_at, role=Role.DEVICE, anchored_before=anchored_at
            )
        except UntrustedSigner as problem:
            words = f"signer untrusted: {problem}"
            self._findings.append(failed(MANIFEST_NAME, Check.SIGNER, words, UNTRUSTED))
            return None
        if signer.device_id != manifest.device:
            words = (
                f"signer untrusted: {signer.device_id} signed, and the manifest is that of {manifest.device}"
            )
            self._findings.append(failed(MANIFEST_NAME, Check.SIGNER, words, UNTRUSTED))
            return None
        words = f"{signer.device_id}, vouched for by {signer.root.subject.rfc4514_string()}"
        if signer.revoked_since is not None and anchored_at is not None:
            words += (
                f"; revoked since {write_time(signer.revoked_since)}, and this was there at"
                f" {write_time(anchored_at)}"
            )
        self._findings.append(well(MANIFEST_NAME, Check.SIGNER, words))
        return signer

    def _place(self, manifest: Manifest) -> None:
        there, expected = self._prefix.rstrip("/"), folder_of(manifest).rstrip("/")
        if "/" not in there:
            expected = str(manifest.id)
        if there == expected:
            self._findings.append(well(self._folder, Check.FOLDER, "the folder is the manifest's own"))
        else:
            words = f"the folder is not the manifest's own, which would be {expected}"
            self._findings.append(failed(self._folder, Check.FOLDER, words))

    def _object(self, listed: dict[str, int], item: ManifestObject) -> None:
        if item.name not in listed:
            self._findings.append(failed(item.name, Check.OBJECT, "missing"))
            return
        try:
            with contextlib.closing(self._reader.get(self._prefix + item.name)) as file:
                size_bytes, sha256 = hash_up_to(file, item.size_bytes)
        except OSError as problem:
            self._findings.append(unchecked(item.name, Check.OBJECT, f"can't be read: {why(problem)}"))
            return
        if size_bytes != item.size_bytes:
            words = f"altered: more or fewer than the {item.size_bytes} bytes that the manifest says"
            self._findings.append(failed(item.name, Check.OBJECT, words))
        elif sha256 != item.sha256:
            words = "altered: its SHA-256 is not the one in the manifest"
            self._findings.append(failed(item.name, Check.OBJECT, words))
        else:
            words = f"{size_bytes} bytes, SHA-256 as in the manifest"
            self._findings.append(well(item.name, Check.OBJECT, words))

    def _tail(self, manifest: Manifest) -> None:
        """Check the last part of a recovered recording: of use only behind whole chunks, and with its key."""
        kinds = [item.kind for item in manifest.objects]
        tails = [item for item in manifest.objects if item.kind == _TAIL or item.plaintext_offset is not None]
        for item in tails:
            if kinds.count(_TAIL) != 1 or kinds.count(_TAIL_KEY) != 1:
                self._findings.append(failed(item.name, Check.OBJECT, TAIL_WITHOUT_KEY))
            offset = item.plaintext_offset
            if item.kind != _TAIL or _AUDIO not in kinds or offset is None or offset % CHUNK_SIZE_BYTES:
                self._findings.append(failed(item.name, Check.OBJECT, TAIL_MISPLACED))

    def _extras(self, listed: dict[str, int], manifest: Manifest) -> None:
        known = {MANIFEST_NAME, SIGNATURE_NAME, *(item.name for item in manifest.objects)}
        for name in sorted(listed.keys() - known):
            if _ADDITION_PATTERN.fullmatch(name):
                words = "a later addition; this version does not check those"
                self._findings.append(unchecked(name, Check.EXTRA, words))
            else:
                words = "lies in the folder, and the manifest does not know it"
                self._findings.append(failed(name, Check.EXTRA, words))


def _anchor(ledger: DeviceLedger | None, place: Standing, received: list[datetime]) -> datetime | None:
    """Return the earliest time at which somebody else says that this recording was there."""
    stamped = None if ledger is None or place.sequence is None else ledger.anchored(place.sequence)
    return min([*received, *([] if stamped is None else [stamped.at])], default=None)
