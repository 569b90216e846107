"""A custodian, its stores and what devices bring there, for tests of what it receives and refuses."""

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

from callseal.archive.continuity import DeviceState
from callseal.archive.identity import CustodianIdentity
from callseal.archive.lane import Keeper, Lane
from callseal.archive.memory import Memory
from callseal.archive.store_clock import Clock
from callseal.archive.tools import Done, Limits, Site, Tools
from callseal.seal.durable import Step, no_step
from callseal.seal.keys import (
    Role,
    TrustStore,
    certify,
    chain_der,
    device_id,
    generate_signing_key,
)
from callseal.seal.manifest import MANIFEST_NAME, SIGNATURE_NAME
from callseal.seal.receipt import Receipt, ReceiptObject, open_receipt, sign_receipt
from callseal.seal.verify import DeviceLedger, Finding, verify_device
from callseal.store.directory import DirectoryStore
from callseal.store.errors import StoreMissing
from callseal.store.interface import CentralStore
from callseal.store.names import LEDGER, RecordingName, ledger_name, parse_ledger_name, receipt_name
from support.kept_ledgers import KeptLedger, Sealed, Writer
from support.sealed_recordings import STARTED_AT, Organisation, organisation

NOW: Final = STARTED_AT + timedelta(hours=2)
LIMITS: Final = Limits(full_scan=timedelta(hours=24), incomplete=timedelta(hours=24), scrub_share=0.0)
PRIMARY: Final = "primary"
SECOND: Final = "second"


@cache
def custodian_of(owner: Organisation, number: int = 0, role: Role = Role.CUSTODIAN) -> CustodianIdentity:
    """Return a custodian whom the organisation's root certified; the same one each time."""
    del number
    key = generate_signing_key()
    made_at = STARTED_AT - timedelta(days=30)
    leaf = certify(owner.root_key, owner.root, key.public_key(), role=role, now=made_at, years=20)
    return CustodianIdentity(name=device_id(key.public_key()), key=key, chain=chain_der([leaf]))


class WholeLedgers:
    """The ledgers in a store, each gone through as a whole in every round."""

    def __init__(self, store: CentralStore, trust: TrustStore) -> None:
        self._store = store
        self._trust = trust
        self._ledgers: dict[str, DeviceLedger | None] = {}

    def refresh(self) -> None:
        self._ledgers = {}
        for device in self._store.folders(LEDGER):
            segments = {}
            for item in self._store.list(f"{LEDGER}{device}/"):
                parsed = parse_ledger_name(item.name)
                if parsed is not None:
                    segments[parsed[1]] = content(self._store, item.name)
            kept = KeptLedger(segments=segments)
            self._ledgers[device] = verify_device(device, [kept], self._trust).ledger

    def devices(self) -> Sequence[str]:
        return sorted(self._ledgers)

    def ledger(self, device: str, pinned: int | None = None) -> DeviceLedger | None:
        del pinned
        return self._ledgers.get(device)

    def whole(self, device: str) -> DeviceLedger | None:
        return self._ledgers.get(device)

    def state(self, device: str) -> DeviceState:
        return DeviceState(device=device)

    def findings(self, _device: str) -> Sequence[Finding]:
        return ()


@dataclass(slots=True, kw_only=True)
class Custody:
    """Stores by name, and one custodian with a memory of its own."""

    folder: Path
    stores: dict[str, CentralStore]
    filled: frozenset[str] = frozenset()
    owner: Organisation = field(default_factory=organisation)
    now: datetime = NOW
    limits: Limits = LIMITS
    number: int = 0
    trust: TrustStore | None = None
    seed: int = 7

    @property
    def identity(self) -> CustodianIdentity:
        return custodian_of(self.owner, self.number)

    @property
    def memory_folder(self) -> Path:
        return self.folder / f"custodian-{self.number}"

    def sites(self) -> list[Site]:
        return [Site(name=name, store=one, filled=name in self.filled) for name, one in self.stores.items()]

    def another(self) -> "Custody":
        """Return another custodian for the same stores, with its own key and memory."""
        return replace(self, number=self.number + 1)

    def round(self, name: str = PRIMARY, *, step: Step = no_step, memory: Memory | None = None) -> Done:
        """Let the custodian do one round of one store, as after a restart."""
        if memory is not None:
            return self.lane(name, memory, step).round()
        with Memory(self.memory_folder) as opened:
            return self.lane(name, opened, step).round()

    def rounds(self, *, step: Step = no_step) -> None:
        """Do a round of every store."""
        for name in self.stores:
            self.round(name, step=step)

    def lane(
        self,
        name: str,
        memory: Memory,
        step: Step = no_step,
        *,
        keeper: Keeper | None = None,
        clock: Clock | None = None,
    ) -> Lane:
        trust = self.owner.trust if self.trust is None else self.trust
        sites = self.sites()
        site = next(one for one in sites if one.name == name)
        tools = Tools(
            identity=self.identity,
            trust=trust,
            memory=memory,
            scratch=self.memory_folder,
            limits=self.limits,
            now=lambda: self.now,
            chance=random.Random(self.seed).random,  # noqa: S311 - a lot that repeats
            step=step,
        )
        ledgers = WholeLedgers(site.store, trust)
        return Lane(site, sites, ledgers, tools, keeper=keeper, clock=clock)

    def told(self, name: str = PRIMARY) -> list[tuple[str, int]]:
        """Return the codes and exit codes of all that is wrong in a store."""
        with Memory(self.memory_folder) as memory:
            return [(one.trouble.code, one.trouble.exit_code) for one in memory.troubles(name)]

    def words(self, name: str = PRIMARY) -> str:
        with Memory(self.memory_folder) as memory:
            return "\n".join(one.trouble.words for one in memory.troubles(name))

    def totals(self, name: str = PRIMARY) -> dict[str, int]:
        """Return how many recordings are in which state, without those that nothing is in."""
        with Memory(self.memory_folder) as memory:
            return {state.value: count for state, count in memory.totals(name).items() if count}

    def receipt(self, sealed: Sealed, name: str = PRIMARY, about: str = "") -> Receipt | None:
        """Return the receipt for a recording, its signature checked; None if there is none."""
        try:
            data = content(self.stores[name], receipt_name(sealed.manifest.device, sealed.id, about))
        except StoreMissing:
            return None
        return open_receipt(data)[0]


def directory(folder: Path, name: str = PRIMARY) -> DirectoryStore:
    return DirectoryStore.create(folder / name)


def put(store: CentralStore, name: str, data: bytes) -> str:
    return store.put(name, data, hashlib.sha256(data).digest())


def content(store: CentralStore, name: str, version: str | None = None) -> bytes:
    with store.get(name, version) as file:
        return file.read()


def bring(store: CentralStore, sealed: Sealed, *, without: Sequence[str] = ()) -> Mapping[str, str]:
    """Put a recording as an uploader does, the manifest last; return the versions by full name."""
    order = sorted(
        sealed.files, key=lambda last: (last in {SIGNATURE_NAME, MANIFEST_NAME}, last == MANIFEST_NAME)
    )
    return {
        sealed.prefix + last: put(store, sealed.prefix + last, sealed.files[last])
        for last in order
        if last not in without
    }


def bring_ledger(store: CentralStore, writer: Writer) -> None:
    for first, data in writer.kept.segments.items():
        put(store, ledger_name(writer.owner.device, first), data)


def office(
    stores: Iterable[CentralStore], *, calls: int = 1, stores_named: tuple[str, ...] = (PRIMARY,)
) -> tuple[Writer, list[Sealed]]:
    """Let a device record some calls, and bring them and its ledger to the stores."""
    writer = Writer(organisation())
    writer.start()
    recorded = [writer.record(number, stores=stores_named) for number in range(calls)]
    writer.publish()
    for store in stores:
        bring_ledger(store, writer)
        for sealed in recorded:
            bring(store, sealed)
    return writer, recorded


def place(sealed: Sealed) -> RecordingName:
    manifest = sealed.manifest
    return RecordingName(device=manifest.device, day=manifest.started_at.date(), id=manifest.id)


def forged_receipt(sealed: Sealed, identity: CustodianIdentity, site: str = PRIMARY) -> bytes:
    """Return a receipt for a recording, signed by whoever that is."""
    objects = tuple(
        ReceiptObject(
            name=sealed.prefix + last,
            version=hashlib.sha256(data).hexdigest(),
            size_bytes=len(data),
            sha256=hashlib.sha256(data).digest(),
        )
        for last, data in sealed.files.items()
    )
    receipt = Receipt(
        id=sealed.id,
        device=sealed.manifest.device,
        site=site,
        received_at=NOW,
        manifest=hashlib.sha256(sealed.files[MANIFEST_NAME]).digest(),
        objects=objects,
    )
    return sign_receipt(receipt, identity.key, identity.chain)
