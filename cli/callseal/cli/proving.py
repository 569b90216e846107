"""Proves recordings by all that is at hand, device by device.

A ledger is gone through when the first of its recordings asks for it, and let go of when another device's
turn comes: a year of one takes some 100 MiB.

Conventions: nothing is printed here. A place that can't be read is among the failures and stops no other.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from cryptography import x509

from callseal.cli.counting import Counted, counting
from callseal.cli.i18n import mark
from callseal.cli.ledgers import About, Proofs, Receipt, StoredLedger
from callseal.cli.places import Copy, Place, Scope
from callseal.seal.errors import ManifestError, SpoolError
from callseal.seal.keys import TrustStore
from callseal.seal.manifest import MANIFEST_NAME, MAX_SIZE_BYTES, parse
from callseal.seal.verify import (
    Check,
    DeviceLedger,
    DeviceReport,
    Finding,
    LedgerCopy,
    ObjectReader,
    Report,
    Vouched,
    gravest,
    verify_device,
    verify_presence,
    verify_recording,
)
from callseal.seal.verify.findings import unchecked
from callseal.seal.verify.presence import ARRIVAL
from callseal.seal.verify.reading import fetch, why
from callseal.seal.verify.receipts import Stored
from callseal.store.errors import StoreError
from callseal.store.names import parse_recording_name

INCOMPLETE: Final = mark("no manifest: still being brought to the store, or taken away")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What several places hold to prove recordings by."""

    ledgers: Mapping[str, Sequence[LedgerCopy]]
    receipts: Mapping[tuple[str, UUID], Sequence[Receipt]]
    strangers: tuple[str, ...]
    failures: tuple[StoreError | SpoolError, ...]

    @property
    def devices(self) -> set[str]:
        """The devices of which there is anything."""
        return {*self.ledgers, *(device for device, _recording in self.receipts)}


def gather(places: Iterable[Place], about: Sequence[About] | None = None) -> Gathered:
    """Look through places for what recordings are proved by: all, or at least those that `about` names."""
    with counting() as progress:
        return _gather(places, about, progress)


def _gather(places: Iterable[Place], about: Sequence[About] | None, progress: Counted) -> Gathered:
    ledgers: dict[str, list[LedgerCopy]] = {}
    receipts: dict[tuple[str, UUID], list[Receipt]] = {}
    strangers: list[str] = []
    failures: list[StoreError | SpoolError] = []
    for place in places:
        try:
            found: Proofs = place.proofs(about, progress)
        except (StoreError, SpoolError) as problem:
            failures.append(problem)
            continue
        for device, copies in found.ledgers.items():
            ledgers.setdefault(device, []).extend(copies)
        for name, receipt in found.receipts.items():
            receipts.setdefault(name, []).append(receipt)
        strangers += found.strangers
    return Gathered(ledgers=ledgers, receipts=receipts, strangers=tuple(strangers), failures=tuple(failures))


def no_progress(_device: str, _entries: int, /) -> None:
    """Take no notice of how far the check of a ledger has come."""


@dataclass(slots=True, kw_only=True)
class Proof:
    """The evidence for one device's recordings after another's; it is one for `verify_recording`."""

    trust: TrustStore
    gathered: Gathered
    tsa_roots: Sequence[x509.Certificate] = ()
    against: Gathered | None = None
    every_signature: bool = False
    progress: Callable[[str, int], None] = no_progress
    _expected: dict[tuple[str, str], ObjectReader] = field(default_factory=dict, init=False)
    _newest: DeviceReport | None = field(default=None, init=False)

    @classmethod
    def of(cls, scope: Scope) -> "Proof":
        """Return the evidence that a command's places hold."""
        return cls(trust=scope.trust, gathered=gather(scope.places), tsa_roots=scope.stamp_roots)

    def expect(self, copies: Iterable[Copy]) -> None:
        """Expect a ledger in each store that holds recordings of its device."""
        for copy in copies:
            parsed = parse_recording_name(copy.prefix)
            if parsed is not None:
                self._expected[copy.place, parsed[0].device] = copy.reader

    def device(self, device: str) -> DeviceReport:
        """Return what is found of a device's ledger; it is kept until another is asked for."""
        if self._newest is None or self._newest.device != device:
            self._newest = None  # two at a time would take twice the memory
            self._newest = verify_device(
                device,
                self._copies(device),
                self.trust,
                tsa_roots=self.tsa_roots,
                against=None if self.against is None else self.against.ledgers.get(device, ()),
                every_signature=self.every_signature,
                progress=lambda entries: self.progress(device, entries),
            )
        return self._newest

    def _copies(self, device: str) -> Sequence[LedgerCopy]:
        copies = list(self.gathered.ledgers.get(device, ()))
        there = {copy.place for copy in copies}
        for (place, whose), reader in self._expected.items():
            if whose == device and place not in there:
                copies.append(StoredLedger(place=place, device=device, reader=reader))
        return copies

    def ledger(self, device: str) -> DeviceLedger | None:
        """Return a device's ledger, None if it is not at hand."""
        return self.device(device).ledger if self.gathered.ledgers.get(device) else None

    def receipts(self, device: str, recording: UUID) -> Iterator[Stored]:
        """Yield the receipts for a recording. Raises OSError."""
        for receipt in self.gathered.receipts.get((device, recording), ()):
            yield Stored(name=receipt.name, data=receipt.read(), stored_at=receipt.stored_at)

    def recording(self, copy: Copy, *, named: bool) -> Report:
        """Return what is found of one copy of a recording."""
        # A recording that is just being brought to the store has no manifest yet: among all of them that is
        # nothing to raise an alarm over. Who names one wants to know.
        if copy.complete or named:
            return verify_recording(copy.reader, copy.prefix, self.trust, self)
        folder = copy.prefix.rstrip("/").rpartition("/")[2]
        finding = unchecked(folder, Check.MANIFEST, INCOMPLETE)
        return Report(folder=folder, findings=(finding,), manifest=None, signer=None)

    def presence(self, device: str, here: AbstractSet[UUID], *, now: datetime) -> tuple[Finding, ...]:
        """Return what is missing of a device's recordings."""
        vouched: list[Vouched] = []
        unread: list[Finding] = []
        for (whose, recording), receipts in self.gathered.receipts.items():
            if whose != device or recording in here:
                continue
            for receipt in receipts:
                try:
                    data, stored_at = receipt.read(), receipt.stored_at
                    vouched.append(Vouched(id=recording, name=receipt.name, data=data, stored_at=stored_at))
                except OSError as problem:
                    unread.append(unchecked(receipt.name, Check.RECEIPT, f"can't be read: {why(problem)}"))
        found = verify_presence(self.ledger(device), vouched, here, self.trust, settled_before=now - ARRIVAL)
        return (*found, *unread)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceResult:
    """What was found of a device, its recordings apart; its ledger is let go of."""

    report: DeviceReport
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """The gravest of its findings."""
        return gravest(self.findings)


def device_of(copy: Copy) -> str | None:
    """Return the device that a copy is said to be of, None if nothing tells."""
    parsed = parse_recording_name(copy.prefix)
    if parsed is not None:
        return parsed[0].device
    try:
        return parse(fetch(copy.reader, copy.prefix + MANIFEST_NAME, MAX_SIZE_BYTES)).device
    except (ManifestError, OSError):
        return None


def by_device(copies: Iterable[Copy]) -> dict[str | None, list[Copy]]:
    """Return copies by the device that they are said to be of."""
    found: dict[str | None, list[Copy]] = {}
    for copy in copies:
        found.setdefault(device_of(copy), []).append(copy)
    return found


def concerning_one(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return what of a device's findings concerns whoever asks for one recording: not the other ones."""
    return tuple(finding for finding in findings if finding.check is not Check.PRESENCE)
