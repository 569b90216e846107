"""One recording, judged: which versions are what its device sealed, and what else lies there.

The manifest is the oldest version that verifies, with the version of `manifest.sig` that fits it; each object
is the oldest version whose bytes are the manifest's. Those are checked as everybody checks them
(`seal.verify.verify_recording`) through a reader that shows nothing else, so that what a thief put on top, or
beside them, neither counts nor keeps the honest ones from being received. It is told, each thing by itself.

Conventions: `Examined.exit_code` is that of the check: 0 received, 15 something is not here yet, else
refused. `troubles` beside a 0 are about what lies there besides. Raises StoreError where the store fails.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from callseal.archive.bundles import Lying, Pinned, hash_version, read_version
from callseal.archive.troubles import Code, Trouble, of_exit_code, trouble
from callseal.seal.errors import RemoteError
from callseal.seal.keys import TrustStore, leaf_public_key
from callseal.seal.manifest import (
    MANIFEST_NAME,
    MAX_SIZE_BYTES,
    SIGNATURE_NAME,
    SIGNATURE_SIZE_BYTES,
    Manifest,
    parse,
    verify_signature,
)
from callseal.seal.receipt import ReceiptObject
from callseal.seal.verify import ALTERED, NOT_CHECKED, UNTRUSTED, DeviceLedger, Report, verify_recording
from callseal.seal.verify.receipts import Stored
from callseal.store.interface import ObjectInfo, Store

MAX_CANDIDATES: Final = 16
"""How many versions of a manifest, and of its signature, are read: the oldest. The device puts one."""
MAX_TOLD: Final = 20
"""How many things that do not belong there are told one by one of each recording."""

CROWDED: Final = "more versions of objects lie in its folder than are looked at: somebody fills it"


class Ledgers(Protocol):
    """The devices' ledgers in one store, checked; both may raise StoreError."""

    def ledger(self, device: str, pinned: int | None = None) -> DeviceLedger | None:
        """Return a device's ledger, None if it is not at hand.

        It reaches back to entry `pinned`: -1 is its beginning.
        """

    def whole(self, device: str) -> DeviceLedger | None:
        """Return a device's ledger from its first entry on, with its time stamps; slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _AtHand:
    """What a recording is checked by: a ledger. Receipts are what is made here."""

    kept: DeviceLedger | None

    def ledger(self, device: str) -> DeviceLedger | None:
        return self.kept if self.kept is not None and self.kept.chain.device == device else None

    def receipts(self, _device: str, _recording: UUID) -> tuple[Stored, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What became of it; `manifest` and `objects` are there where the exit code is 0."""

    exit_code: int
    troubles: tuple[Trouble, ...]
    manifest: Manifest | None = None
    manifest_sha256: bytes = b""
    objects: tuple[ReceiptObject, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A manifest and a signature that fit each other."""

    info: ObjectInfo
    data: bytes
    manifest: Manifest
    signature_info: ObjectInfo
    signature: bytes


def examine(store: Store, lying: Lying, trust: TrustStore, ledgers: Ledgers) -> Examined:
    """Judge a recording that has a manifest."""
    if lying.crowded:
        return Examined(exit_code=ALTERED, troubles=(trouble(Code.EXTRA_OBJECT, CROWDED),))
    best: Report | None = None
    for candidate in _candidates(store, lying):
        pins = _pins(store, lying, candidate)
        report = _judge(store, lying, candidate.manifest, pins, trust=trust, ledgers=ledgers)
        if report.exit_code == 0:
            return _well(store, lying, candidate, pins)
        # What may still turn out well is worth more than what can't.
        if best is None or (report.exit_code == NOT_CHECKED != best.exit_code):
            best = report
    if best is None:
        # None fits any signature: say of the oldest what is wrong with it.
        oldest = {lying.name.prefix + last: row[0] for last, row in lying.versions.items()}
        best = _verify(store, lying, oldest, trust, None)
    return Examined(
        exit_code=best.exit_code,
        troubles=(_told(best), *_besides(lying, frozenset(lying.versions), {})),
    )


def compare(store: Store, lying: Lying, objects: Mapping[str, ReceiptObject]) -> tuple[Trouble, ...]:
    """Return what lies otherwise than a receipt says; `objects` are the receipt's, by their last part.

    Nothing is read where a store has versions: bytes of a version never change, and reading them now and then
    is another task (`scrubbing`). Without versions the sizes are compared.
    """
    if lying.crowded:
        return (trouble(Code.EXTRA_OBJECT, CROWDED),)
    found: list[Trouble] = []
    pins: dict[str, str] = {}
    for last, item in objects.items():
        row = lying.versions.get(last, ())
        there = [one for one in row if not store.capabilities.versions or one.version == item.version]
        if not there:
            found.append(trouble(Code.GONE, f"{item.name}: what was received is there no more"))
        elif there[0].size_bytes != item.size_bytes:
            found.append(trouble(Code.GONE, f"{item.name}: has another size than what was received"))
        else:
            pins[item.name] = there[0].version
    hashes = {last: item.sha256 for last, item in objects.items()}
    found += _besides(lying, frozenset(objects), pins)
    found += _other_versions(store, lying, pins, hashes)
    return tuple(found)


def _candidates(store: Store, lying: Lying) -> Iterator[_Candidate]:
    """Yield the manifests that are well formed and signed by the key that they name, the oldest first."""
    prefix = lying.name.prefix
    signatures = [
        (item, read_version(store, item.name, item.version, SIGNATURE_SIZE_BYTES))
        for item in lying.versions.get(SIGNATURE_NAME, ())[:MAX_CANDIDATES]
    ]
    for info in lying.versions.get(MANIFEST_NAME, ())[:MAX_CANDIDATES]:
        data = read_version(store, prefix + MANIFEST_NAME, info.version, MAX_SIZE_BYTES)
        try:
            manifest = parse(data)
            key = leaf_public_key(manifest.x5c)
        except RemoteError:
            continue
        if (manifest.id, manifest.device) != (lying.name.id, lying.name.device):
            continue
        for signature_info, signature in signatures:
            try:
                verify_signature(data, signature, key)
            except RemoteError:
                continue
            yield _Candidate(
                info=info,
                data=data,
                manifest=manifest,
                signature_info=signature_info,
                signature=signature,
            )
            break


def _pins(store: Store, lying: Lying, candidate: _Candidate) -> dict[str, ObjectInfo]:
    """Choose a version of each object that the manifest names; what is missing stays missing."""
    prefix = lying.name.prefix
    pins = {prefix + MANIFEST_NAME: candidate.info, prefix + SIGNATURE_NAME: candidate.signature_info}
    for item in candidate.manifest.objects:
        row = lying.versions.get(item.name, ())
        if not row:
            continue
        pins[prefix + item.name] = next(
            (
                one
                for one in row
                # One version alone is read, and judged, by the check itself.
                if len(row) == 1
                or (
                    one.size_bytes == item.size_bytes
                    and hash_version(store, one.name, one.version, item.size_bytes)
                    == (item.size_bytes, item.sha256)
                )
            ),
            row[0],
        )
    return pins


def _judge(
    store: Store,
    lying: Lying,
    manifest: Manifest,
    pins: Mapping[str, ObjectInfo],
    *,
    trust: TrustStore,
    ledgers: Ledgers,
) -> Report:
    pinned = -1 if manifest.ledger is None else manifest.ledger.sequence
    report = _verify(store, lying, pins, trust, ledgers.ledger(manifest.device, pinned))
    if report.exit_code != UNTRUSTED:
        return report
    # A revoked device counts for what a time stamp proves to be older: those come with the whole ledger.
    whole = ledgers.whole(manifest.device)
    if whole is None or not whole.anchors:
        return report
    return _verify(store, lying, pins, trust, whole)


def _verify(
    store: Store,
    lying: Lying,
    pins: Mapping[str, ObjectInfo],
    trust: TrustStore,
    ledger: DeviceLedger | None,
) -> Report:
    reader = Pinned(store, pins)
    report = verify_recording(reader, lying.name.prefix, trust, _AtHand(kept=ledger))
    if reader.failure is not None:
        raise reader.failure
    return report


def _well(store: Store, lying: Lying, candidate: _Candidate, pins: Mapping[str, ObjectInfo]) -> Examined:
    prefix, manifest = lying.name.prefix, candidate.manifest
    sha256 = hashlib.sha256(candidate.data).digest()
    contents = [
        *((item.name, item.size_bytes, item.sha256) for item in manifest.objects),
        (SIGNATURE_NAME, len(candidate.signature), hashlib.sha256(candidate.signature).digest()),
        (MANIFEST_NAME, len(candidate.data), sha256),
    ]
    versioned = store.capabilities.versions
    objects = tuple(
        ReceiptObject(
            name=prefix + last,
            version=pins[prefix + last].version if versioned else digest.hex(),
            size_bytes=size_bytes,
            sha256=digest,
        )
        for last, size_bytes, digest in contents
    )
    chosen = {name: item.version for name, item in pins.items()}
    hashes = {last: digest for last, _size, digest in contents}
    besides = _besides(lying, frozenset(hashes), chosen)
    return Examined(
        exit_code=0,
        troubles=(*besides, *_other_versions(store, lying, chosen, hashes)),
        manifest=manifest,
        manifest_sha256=sha256,
        objects=objects,
    )


def _besides(lying: Lying, known: frozenset[str], pins: Mapping[str, str]) -> tuple[Trouble, ...]:
    """Tell what nobody sealed, and what a delete marker hides; with `pins`, for what the marker is over."""
    extra = sorted(lying.versions.keys() - known)
    found = [
        trouble(Code.EXTRA_OBJECT, f"{lying.name.prefix}{last}: the manifest does not know it")
        for last in extra[:MAX_TOLD]
    ]
    if len(extra) > MAX_TOLD:
        words = (
            f"{lying.name.prefix}: and {len(extra) - MAX_TOLD} more objects that the manifest does not know"
        )
        found.append(trouble(Code.EXTRA_OBJECT, words))
    for last in sorted(lying.hidden & known)[:MAX_TOLD]:
        name = lying.name.prefix + last
        words = "what was received is still there" if name in pins else "its versions are still there"
        found.append(trouble(Code.HIDDEN, f"{name}: hidden by a delete marker; {words}"))
    return tuple(found)


def _other_versions(
    store: Store, lying: Lying, pins: Mapping[str, str], hashes: Mapping[str, bytes]
) -> Iterator[Trouble]:
    """Tell of versions that hold other bytes; the same bytes put twice are an answer that was lost."""
    for last, sha256 in hashes.items():
        name, row = lying.name.prefix + last, lying.versions.get(last, ())
        if name not in pins or len(row) < 2:  # noqa: PLR2004 - one besides the chosen one
            continue
        size_bytes = next(item.size_bytes for item in row if item.version == pins[name])
        other = [item for item in row if item.version != pins[name]]
        strange = [
            item
            for item in other[:MAX_TOLD]
            if item.size_bytes != size_bytes
            or hash_version(store, name, item.version, size_bytes) != (size_bytes, sha256)
        ]
        if strange or len(other) > MAX_TOLD:
            words = f"{name}: of its {len(row)} versions only {pins[name]} is what was sealed"
            yield trouble(Code.EXTRA_VERSION, words)


def _told(report: Report) -> Trouble:
    """Return the gravest of what a check found, in words."""
    wrong = [finding for finding in report.findings if finding.exit_code == report.exit_code]
    words = f"{wrong[0].object}: {wrong[0].words}"
    if len(wrong) > 1:
        words += f" (and {len(wrong) - 1} more)"
    return of_exit_code(report.exit_code, words)
