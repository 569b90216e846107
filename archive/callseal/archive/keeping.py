"""How one recording is kept in one store: what it is, what was decided about it, what protects its objects.

What belongs to a recording is what its receipt names, by version, the receipt itself, what receipts about
other stores lie beside it, and the decisions about it: proof without the thing, or the thing without its
proof, would be worth little.

Conventions: nothing is done here, everything is read when it is asked for. A receipt counts if a custodian
whom we trust signed it; of several versions the oldest that does. The manifest is the one that the receipt
names. Receipts about other stores are not judged: where they lie, only custodians may put.
"""

import hashlib
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final
from uuid import UUID

from callseal.archive.decisions import Decided, Decisions
from callseal.archive.holds import Object
from callseal.archive.term import Term, term_of
from callseal.config.terms import Terms
from callseal.seal import manifest as mf
from callseal.seal.errors import ManifestError, ReceiptError, RemoteError
from callseal.seal.jws import MAX_SIZE_BYTES
from callseal.seal.keys import Role, TrustStore
from callseal.seal.manifest import MANIFEST_NAME, Manifest
from callseal.seal.receipt import Receipt, open_receipt
from callseal.seal.verify.reading import read_up_to
from callseal.store.errors import StoreMissing
from callseal.store.interface import CentralStore, ObjectInfo
from callseal.store.names import parse_receipt_site, parse_recording_name, receipt_name

MAX_BESIDE: Final = 100
"""Versions of receipts about other stores that are kept with one recording: more is no custodian's work."""


class NotReceived(ReceiptError):  # noqa: N818 - says what is wrong better than "...Error" would
    """No custodian has received the recording in this store yet: nobody vouches for its objects."""

    exit_code: ClassVar[int] = 10
    permanent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How a recording is kept.

    `objects` are all that belongs to it; `receipts` is how many versions of receipts lie there. `locks` are
    those whose protection the store told, with its end (None: none); it is empty where the store protects
    nothing. `missing` are those that are gone.
    """

    receipt: Receipt
    manifest: Manifest
    decided: Decided
    term: Term
    objects: tuple[Object, ...]
    receipts: int
    locks: tuple[tuple[Object, datetime | None], ...]
    missing: tuple[Object, ...]

    @property
    def locked_until(self) -> datetime | None:
        """The earliest end of a protection; None where an object has none."""
        return earliest(until for _object, until in self.locks)

    @property
    def destroyable_from(self) -> datetime | None:
        """From when on it could be destroyed: the term is over, and no object is protected any more."""
        last = max((until for _object, until in self.locks if until is not None), default=None)
        return self.term.destroyable_from(last)


class Keeping:
    """Reads how recordings are kept in one store; `protects` says whether it protects objects at all."""

    def __init__(self, store: CentralStore, trust: TrustStore, terms: Terms, *, protects: bool) -> None:
        self._store = store
        self._trust = trust
        self._terms = terms
        self._protects = protects
        self.decisions = Decisions(store, trust)

    def look(self, device: str, recording: UUID, manifest: Manifest | None = None) -> Kept:
        """Return how a recording is kept, by what the store says now; `manifest` spares reading it.

        Raises NotReceived, RemoteError (its receipt or manifest is not to be believed) and StoreError.
        """
        there = self._store.versions(receipts_prefix(device, recording))
        listed = [item for item in there if parse_receipt_site(item.name) is not None]
        receipt, own = self._receipt(device, recording, listed)
        if manifest is None:
            manifest = self._manifest(receipt)
        decided = self.decisions.of(device, recording)
        named = ((item.name, item.version) for item in receipt.objects)
        other = [item for item in listed if item.name != receipt_name(device, recording)]
        beside = ((item.name, item.version) for item in other[:MAX_BESIDE])
        objects = (*named, own, *beside, *decided.objects)
        locks: list[tuple[Object, datetime | None]] = []
        missing: list[Object] = []
        for one in objects if self._protects else ():
            try:
                locks.append((one, self._store.locked_until(*one)))
            except StoreMissing:
                missing.append(one)
        return Kept(
            receipt=receipt,
            manifest=manifest,
            decided=decided,
            term=self.term(decided, manifest),
            objects=objects,
            receipts=len(listed),
            locks=tuple(locks),
            missing=tuple(missing),
        )

    def term(self, decided: Decided, manifest: Manifest) -> Term:
        """Return the term that follows from what was decided about a recording."""
        return term_of(
            self._terms,
            decided.state,
            manifest_class=manifest.retention_class,
            ended_at=manifest.ended_at,
        )

    def _receipt(self, device: str, recording: UUID, listed: Iterable[ObjectInfo]) -> tuple[Receipt, Object]:
        """Return the receipt, and where it lies."""
        name = receipt_name(device, recording)
        wrong: RemoteError | None = None
        for item in listed:
            if item.name != name:
                continue
            try:
                return self._read_receipt(item, device, recording), (item.name, item.version)
            except StoreMissing:
                continue  # hidden or removed since it was listed
            except RemoteError as problem:
                wrong = wrong or problem
        raise wrong or NotReceived(f"{recording}: no custodian has received it in this store yet")

    def _read_receipt(self, item: ObjectInfo, device: str, recording: UUID) -> Receipt:
        with closing(self._store.get(item.name, item.version)) as file:
            receipt, chain = open_receipt(read_up_to(file, MAX_SIZE_BYTES + 1))
        # The store's own clock proves that it was there before its signer may have been revoked.
        self._trust.check(
            chain, at=receipt.received_at, role=Role.CUSTODIAN, anchored_before=item.modified_at
        )
        _check_receipt(receipt, device, recording)
        return receipt

    def _manifest(self, receipt: Receipt) -> Manifest:
        found = (item for item in receipt.objects if item.name.endswith(f"/{MANIFEST_NAME}"))
        item = next(found)
        with closing(self._store.get(item.name, item.version or None)) as file:
            data = read_up_to(file, mf.MAX_SIZE_BYTES + 1)
        if hashlib.sha256(data).digest() != receipt.manifest:
            raise ManifestError(f"{item.name}: not the bytes that the custodian received")
        return mf.parse(data)


def receipts_prefix(device: str, recording: UUID) -> str:
    """Return what the names of a recording's receipts begin with, and no others."""
    return receipt_name(device, recording).removesuffix("json")


def earliest(ends: Iterable[datetime | None]) -> datetime | None:
    """Return the earliest of the ends of protections; None where one is none, or there are none."""
    found = tuple(ends)
    known = [until for until in found if until is not None]
    return min(known) if known and len(known) == len(found) else None


def _check_receipt(receipt: Receipt, device: str, recording: UUID) -> None:
    """Raise ReceiptError for a receipt of another recording, or one that vouches for anything else."""
    if (receipt.device, receipt.id) != (device, recording):
        raise ReceiptError(f"{recording}: the receipt of another recording lies here")
    parsed = [parse_recording_name(item.name) for item in receipt.objects]
    if not all(one is not None and (one[0].device, one[0].id) == (device, recording) for one in parsed):
        raise ReceiptError(f"{recording}: its receipt names objects of something else")
    if not any(one is not None and one[1] == MANIFEST_NAME for one in parsed):
        raise ReceiptError(f"{recording}: its receipt does not name its {MANIFEST_NAME}")
