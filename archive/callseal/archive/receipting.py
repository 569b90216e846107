"""Receipts in a store: read as everybody reads them, given once, never written over.

A receipt that lies there already was given by another custodian, or by this one before it died: if it counts,
the work is done. If it does not, somebody put it there who may not; it stays, is told, and nothing is put
over it: a second one would make it hard to see which came first.

A custodian's key that was revoked counts for the receipts that the store had before that, by its own clock;
in a folder anybody who may write sets the times, so that nothing proves it there.

Conventions: a receipt counts if its signature fits, a root of ours lets its signer be a custodian at that
time, and it is about this device, recording and site, with the objects in the recording's one folder.
Where a store has versions the oldest that counts is read; the others are told, but for one that says the
same: where a store does not refuse a name that is taken, two custodians may come at once.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from callseal.archive.bundles import read_version
from callseal.archive.errors import NotCustodian
from callseal.archive.identity import CustodianIdentity
from callseal.archive.troubles import Code, Trouble, trouble
from callseal.seal.durable import Step, no_step
from callseal.seal.errors import ReceiptError, RemoteError, UntrustedSigner
from callseal.seal.keys import Role, TrustStore
from callseal.seal.manifest import MANIFEST_NAME, SIGNATURE_NAME, Manifest
from callseal.seal.receipt import MAX_SIZE_BYTES, Receipt, ReceiptObject, open_receipt, sign_receipt
from callseal.seal.timestamp import to_milliseconds
from callseal.store.errors import StoreDenied, StoreMissing, StoreRefused
from callseal.store.interface import Store
from callseal.store.names import RecordingName, parse_recording_name, receipt_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A receipt that counts: what it says, its exact bytes, and the folder that it is about."""

    receipt: Receipt
    data: bytes
    folder: RecordingName

    def objects(self) -> Mapping[str, ReceiptObject]:
        """Return the objects by their last part."""
        return {item.name.removeprefix(self.folder.prefix): item for item in self.receipt.objects}

    def version(self, last: str) -> str:
        """Return the version of one object; it is one of `objects`."""
        return self.objects()[last].version

    def says_the_same(self, other: "Given") -> bool:
        """Tell whether both vouch for the same bytes in the same place, whoever signed them and when."""
        return replace(self.receipt, received_at=other.receipt.received_at) == other.receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What lies in a store under a receipt's name: one that counts, if there is one, and what else.

    `new` says that it was put there just now.
    """

    given: Given | None
    troubles: tuple[Trouble, ...] = ()
    new: bool = False

    @property
    def free(self) -> bool:
        """Whether nothing at all lies there."""
        return self.given is None and not self.troubles


class Receipts:
    """The receipts in one store, whose name in the settings is `site`."""

    def __init__(
        self,
        store: Store,
        site: str,
        trust: TrustStore,
        *,
        step: Step = no_step,
    ) -> None:
        self._store = store
        self._site = site
        self._trust = trust
        self._step = step

    def read(self, device: str, recording: UUID, about: str = "") -> Kept:
        """Return what lies there for a recording; `about` is another store that it is to be about.

        Raises StoreError.
        """
        name = receipt_name(device, recording, about)
        given: Given | None = None
        troubles: list[Trouble] = []
        for version, stored_at in self._versions(name):
            try:
                data = read_version(self._store, name, version, MAX_SIZE_BYTES)
            except StoreMissing:
                continue
            try:
                found = check(data, device, recording, about or self._site, self._trust, stored_at=stored_at)
            except RemoteError as problem:
                troubles.append(trouble(Code.FORGED, f"{name}: {problem}", problem.exit_code))
                continue
            if given is None:
                given = found
            elif not found.says_the_same(given):
                words = f"{name}: a second receipt, besides the first one that counts"
                troubles.append(trouble(Code.FORGED, words))
        return Kept(given=given, troubles=tuple(troubles))

    def give(
        self,
        identity: CustodianIdentity,
        manifest: Manifest,
        manifest_sha256: bytes,
        objects: tuple[ReceiptObject, ...],
        *,
        now: Callable[[], datetime],
    ) -> Kept:
        """Vouch for a recording that was read back; return what lies there then.

        Raises StoreError; NotCustodian where nobody would believe it; SealError for one that can't be made.
        """
        at = to_milliseconds(now())
        try:
            self._trust.check(identity.chain, at=at, role=Role.CUSTODIAN)
        except UntrustedSigner as problem:
            # It would stand there for as long as its lock, and no other one could be put in its place.
            words = f"this custodian can give no receipts any more: {problem}"
            raise NotCustodian(words) from problem
        receipt = Receipt(
            id=manifest.id,
            device=manifest.device,
            site=self._site,
            received_at=at,
            manifest=manifest_sha256,
            objects=objects,
        )
        data = sign_receipt(receipt, identity.key, identity.chain)
        if not self._put(receipt_name(manifest.device, manifest.id), data):
            # Another custodian was faster, or this one before it died.
            return self.read(manifest.device, manifest.id)
        return Kept(given=check(data, manifest.device, manifest.id, self._site, self._trust), new=True)

    def pass_on(self, given: Given) -> Kept:
        """Put a receipt about another store here, where the device can read it; return what lies there then.

        The bytes are those that lie in that store, so that it does not matter who does it, or how often.
        """
        receipt = given.receipt
        name = receipt_name(receipt.device, receipt.id, receipt.site)
        if not self._put(name, given.data):
            return self.read(receipt.device, receipt.id, receipt.site)
        return Kept(given=given)

    def _put(self, name: str, data: bytes) -> bool:
        """Put a receipt; tell whether it is there now and is this one."""
        self._step("put receipt")
        try:
            self._store.put(name, data, hashlib.sha256(data).digest())
        except StoreDenied:
            raise
        except StoreRefused:
            return False
        return True

    def _versions(self, name: str) -> list[tuple[str, datetime | None]]:
        """Return the versions, the oldest first, and when the store took each, where that proves anything."""
        if not self._store.capabilities.versions:
            return [("", None)]
        there = self._store.versions(name)
        return [(item.version, item.modified_at) for item in there if item.name == name]


def check(
    data: bytes,
    device: str,
    recording: UUID,
    site: str,
    trust: TrustStore,
    *,
    stored_at: datetime | None = None,
) -> Given:
    """Return what a receipt's bytes say, if they count; `stored_at` is when a store took them, by its clock.

    Raises ReceiptError, SignatureError, UntrustedSigner.
    """
    receipt, chain = open_receipt(data)
    trust.check(chain, at=receipt.received_at, role=Role.CUSTODIAN, anchored_before=stored_at)
    if (receipt.device, receipt.id) != (device, recording):
        raise ReceiptError("the receipt of another recording")
    if receipt.site != site:
        raise ReceiptError(f"a receipt about the store {receipt.site}, and not about {site}")
    folders: set[RecordingName | None] = set()
    lasts: set[str] = set()
    for item in receipt.objects:
        parsed = parse_recording_name(item.name)
        folders.add(None if parsed is None else parsed[0])
        lasts.add("" if parsed is None else parsed[1])
    folder = next(iter(folders))
    if folder is None or len(folders) != 1 or (folder.device, folder.id) != (device, recording):
        raise ReceiptError("it names objects that are not in the recording's folder")
    if not {MANIFEST_NAME, SIGNATURE_NAME} <= lasts:
        raise ReceiptError(f"it does not vouch for {MANIFEST_NAME} and {SIGNATURE_NAME}")
    return Given(receipt=receipt, data=data, folder=folder)
