"""The custodian put together from the settings: its stores, and what works on each of them.

Conventions: a lane is made in the thread that runs it; what it keeps on the disk is not for several threads.
In ``[custodian] path`` lie ``memory.sqlite3`` (`memory`), ``ledgers/<store>/`` (`continuity`),
``retention-<store>.sqlite3`` (`lock_memory`), ``evidence-<store>.sqlite3`` (`evidence_memory`) and
``status/``; sealed bytes on their way from one store to another are in files that begin with ``.copy-``.
"""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from cryptography import x509

from callseal.archive.continuity import Continuity
from callseal.archive.copying import remove_leftovers
from callseal.archive.evidence_locks import EvidenceLocks, EvidenceRenewal
from callseal.archive.evidence_memory import EvidenceMemory
from callseal.archive.fleet import FleetWriter
from callseal.archive.identity import CustodianIdentity
from callseal.archive.lane import Lane
from callseal.archive.lock_memory import LockMemory
from callseal.archive.memory import Memory
from callseal.archive.retention import Renewal, Retention
from callseal.archive.store_clock import StoreClock
from callseal.archive.term import periods_of
from callseal.archive.tools import Limits, Site, Tools
from callseal.archive.troubles import Trouble, of_retention
from callseal.config.central import Custodian, Store
from callseal.config.terms import shipped_terms
from callseal.seal.keys import TrustStore
from callseal.seal.manifest import Manifest
from callseal.seal.receipt import Receipt
from callseal.store.opening import open_store

LEDGERS_FOLDER: Final = "ledgers"

_CHANCE: Final = random.SystemRandom()
_LOG: Final[structlog.typing.FilteringBoundLogger] = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """Whom the custodian believes: the organisation, and time-stamping authorities."""

    trust: TrustStore
    stamp_roots: Sequence[x509.Certificate] = ()


class RetentionKeeper:
    """Protects what is received in one store; logs what was done, and hands on what is wrong."""

    def __init__(self, retention: Retention, evidence: EvidenceLocks, store: str) -> None:
        self._retention = retention
        self._evidence = evidence
        self._store = store

    def received(self, receipt: Receipt, manifest: Manifest) -> tuple[Trouble, ...]:
        """Take note of a recording that was received just now."""
        return self._told(self._retention.received(receipt, manifest))

    def renew(self, now: datetime) -> tuple[Trouble, ...]:
        """Extend what is due, as much as one round may: of recordings, and of what proves them."""
        return (*self._told(self._retention.renew(now)), *self._told(self._evidence.renew(now)))

    def _told(self, renewals: Iterable[Renewal | EvidenceRenewal]) -> tuple[Trouble, ...]:
        found = []
        for renewal in renewals:
            log = _LOG.warning if renewal.exit_code else _LOG.info
            log(renewal.event, store=self._store, **renewal.fields())
            if renewal.exit_code:
                found.append(of_retention(renewal.event, renewal.fields(), renewal.exit_code))
        return tuple(found)


class Workshop:
    """What is needed to make lanes: the settings' stores, opened, and what all lanes share."""

    def __init__(
        self,
        custodian: Custodian,
        stores: Sequence[Store],
        identity: CustodianIdentity,
        *,
        trusted: Trusted,
        memory: Memory,
        stopped: Callable[[], bool],
    ) -> None:
        """Open the stores; ScratchFailed where the custodian's folder can't be used."""
        self._custodian = custodian
        self._settings = {item.name: item for item in stores}
        self._trusted = trusted
        self.sites = tuple(
            Site(name=item.name, store=open_store(item), filled=item.filled_by == "custodian")
            for item in stores
        )
        self._tools = Tools(
            identity=identity,
            trust=trusted.trust,
            memory=memory,
            scratch=custodian.path,
            limits=limits_of(custodian),
            now=now,
            chance=_CHANCE.random,
            stopped=stopped,
        )
        remove_leftovers(custodian.path, now_s=time.time())

    def lane(self, site: Site) -> Lane:
        """Return what works on one store; for the thread that runs it."""
        custodian, settings = self._custodian, self._settings[site.name]
        continuity = Continuity(
            site.store,
            site.name,
            self._trusted.trust,
            custodian.path / LEDGERS_FOLDER,
            now,
            late_after=timedelta(seconds=custodian.heartbeat_late_s),
            tsa_roots=self._trusted.stamp_roots,
        )
        recordings, periods = LockMemory.for_store(custodian.path, site.name), periods_of(settings, custodian)
        clock = StoreClock(site.store)
        retention = Retention(
            site.store,
            self._trusted.trust,
            shipped_terms(),
            periods=periods,
            now=now,
            memory=recordings,
            clock=clock,
            stopped=self._tools.stopped,
        )
        evidence = EvidenceLocks(
            site.store,
            recordings,
            periods=periods,
            memory=EvidenceMemory.for_store(custodian.path, site.name),
            clock=clock,
            stopped=self._tools.stopped,
        )
        fleet = FleetWriter(site.store, self._tools.identity.key, self._tools.identity.chain, now)
        keeper = RetentionKeeper(retention, evidence, site.name)
        return Lane(site, self.sites, continuity, self._tools, keeper=keeper, board=fleet, clock=clock)


def limits_of(custodian: Custodian) -> Limits:
    """Return what the settings say about rounds."""
    return Limits(
        full_scan=timedelta(hours=custodian.full_scan_h),
        incomplete=timedelta(hours=custodian.incomplete_h),
        scrub_share=custodian.scrub_share,
    )


def now() -> datetime:
    """Return the time by this machine's clock."""
    return datetime.now(UTC)
