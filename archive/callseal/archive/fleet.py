"""Fleet records: written by the custodian for every device, read by whoever watches over them.

A record is written anew when what it says has changed, and otherwise every `REPLACE_EVERY`, so that its time
tells whether a custodian still looks. Several custodians may write: the newest word counts.

Conventions: `tell` raises StoreError; readers get what can't be read, or is not signed by a custodian that
they trust, as such, and never as a state.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callseal.archive.continuity import DeviceState
from callseal.seal.errors import FleetError, RemoteError
from callseal.seal.fleet import (
    MAX_FINDINGS,
    MAX_SIZE_BYTES,
    NO_RECORDINGS,
    Counts,
    FleetFinding,
    FleetRecord,
    NewestEntry,
    fit_detail,
    fit_site,
    open_fleet,
    sign_fleet,
)
from callseal.seal.keys import Role, TrustStore
from callseal.seal.verify.findings import Finding
from callseal.seal.verify.reading import read_up_to, why
from callseal.store.errors import StoreError, StoreMissing
from callseal.store.interface import StoreBoard, StoreReader
from callseal.store.names import FLEET, fleet_name, parse_fleet_name

REPLACE_EVERY: Final = timedelta(minutes=5)

_MAX_JWS_BYTES: Final = 2 * MAX_SIZE_BYTES
_MORE: Final = "more-findings"


class Ledgers(Protocol):
    """What is known of the devices by their ledgers: `continuity.Continuity` is one."""

    def devices(self) -> Iterable[str]:
        """Return the devices."""

    def state(self, device: str) -> DeviceState:
        """Return how far a device's ledger goes."""

    def findings(self, device: str) -> Iterable[Finding]:
        """Return what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a custodian knows of a device besides its ledger; `findings` are codes and words."""

    site: str | None = None
    counts: Counts = NO_RECORDINGS
    findings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetEntry:
    """What lies in a store about a device: a record that counts, or why it does not."""

    device: str
    record: FleetRecord | None = None
    problem: RemoteError | StoreError | None = None


class FleetWriter:
    """Writes the records of one store's devices."""

    def __init__(
        self,
        board: StoreBoard,
        key: Ed25519PrivateKey,
        chain: tuple[bytes, ...],
        now: Callable[[], datetime],
    ) -> None:
        """`key` and `chain` are the custodian's."""
        self._board = board
        self._key = key
        self._chain = chain
        self._now = now
        self._written: dict[str, FleetRecord] = {}

    def tell(self, ledgers: Ledgers, told: Callable[[str], Told]) -> int:
        """Write what has changed, or was written long ago; return how many records. Raises StoreError."""
        written = 0
        for device in ledgers.devices():
            record = record_of(ledgers, device, told(device), self._now())
            before = self._written.get(device)
            if before is not None and record.at - before.at < REPLACE_EVERY and _same(before, record):
                continue
            self._board.replace(fleet_name(device), sign_fleet(record, self._key, self._chain))
            self._written[device] = record
            written += 1
        return written


def record_of(ledgers: Ledgers, device: str, told: Told, at: datetime) -> FleetRecord:
    """Return what there is to say of a device; of very many findings the first."""
    state = ledgers.state(device)
    newest = None
    if state.size and state.newest_at is not None:
        newest = NewestEntry(sequence=state.size - 1, at=state.newest_at)
    found = [
        *((item.code or item.check.value, item.words) for item in ledgers.findings(device) if item.exit_code),
        *told.findings,
    ]
    first = found if len(found) <= MAX_FINDINGS else found[: MAX_FINDINGS - 1]
    findings = [FleetFinding(code=code, detail=fit_detail(words)) for code, words in first]
    if (rest := len(found) - len(findings)) > 0:
        findings.append(FleetFinding(code=_MORE, detail=f"and {rest} more"))
    return FleetRecord(
        device=device,
        at=at,
        site=fit_site(told.site),
        newest_entry=newest,
        newest_heartbeat_at=state.heartbeat_at,
        open=state.open,
        arrived_at=state.arrived_at,
        software=state.software,
        recordings=told.counts,
        findings=tuple(findings),
    )


def read_fleet(store: StoreReader, trust: TrustStore) -> Iterator[FleetEntry]:
    """Yield what lies in a store, by device. Raises StoreError where it can't be listed."""
    for item in store.list(FLEET):
        device = parse_fleet_name(item.name)
        if device is None:
            continue
        try:
            with closing(store.get(item.name)) as file:
                data = read_up_to(file, _MAX_JWS_BYTES + 1)
            yield FleetEntry(device=device, record=_open(device, data, trust))
        except StoreMissing:
            continue  # taken away since it was listed
        except (RemoteError, StoreError) as problem:
            yield FleetEntry(device=device, problem=problem)
        except OSError as problem:
            yield FleetEntry(device=device, problem=StoreError(f"{item.name}: can't be read: {why(problem)}"))


def _open(device: str, data: bytes, trust: TrustStore) -> FleetRecord:
    record, chain = open_fleet(data)
    trust.check(chain, at=record.at, role=Role.CUSTODIAN)
    if record.device != device:
        raise FleetError(f"{fleet_name(device)}: it speaks of another device")
    return record


def _same(one: FleetRecord, other: FleetRecord) -> bool:
    return replace(one, at=other.at) == other
