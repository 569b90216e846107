"""The fleet as the custodian tells it: written when something changed, believed only as his word."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from callseal.archive.continuity import Continuity, DeviceState
from callseal.archive.fleet import REPLACE_EVERY, FleetWriter, Told, read_fleet, record_of
from callseal.seal.errors import FleetError, UntrustedSigner
from callseal.seal.fleet import MAX_FINDINGS, Counts, FleetFinding, FleetRecord, sign_fleet
from callseal.seal.keys import Role, TrustStore, certify, chain_der, generate_signing_key
from callseal.seal.verify import Check, Finding, Outcome
from callseal.store.directory import DirectoryStore
from callseal.store.errors import StoreError
from callseal.store.names import fleet_name
from support.kept_ledgers import Writer
from support.sealed_recordings import STARTED_AT, organisation
from support.shelf import LONG_AGO, Desk, Shelf, desk

OWNER = organisation()
OTHER = organisation("Another")
KEY = generate_signing_key()
CHAIN = chain_der(
    [certify(OWNER.root_key, OWNER.root, KEY.public_key(), role=Role.CUSTODIAN, now=STARTED_AT, years=1)]
)
NOW = STARTED_AT + timedelta(hours=1)


def finding(words: str, code: str | None = "gap", exit_code: int = 12) -> Finding:
    return Finding(
        object="ledger",
        check=Check.LEDGER,
        outcome=Outcome.FAILED if exit_code else Outcome.NOTE,
        words=words,
        exit_code=exit_code,
        code=code,
    )


@dataclass
class Ledgers:
    """What is known of devices, said by the test."""

    states: dict[str, DeviceState] = field(default_factory=dict)
    wrong: dict[str, tuple[Finding, ...]] = field(default_factory=dict)

    def devices(self) -> list[str]:
        return sorted(self.states)

    def state(self, device: str) -> DeviceState:
        return self.states[device]

    def findings(self, device: str) -> tuple[Finding, ...]:
        return self.wrong.get(device, ())


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def ledgers() -> Ledgers:
    return Ledgers({OWNER.device: DeviceState(device=OWNER.device, size=4, newest_at=NOW)})


def nothing(_device: str) -> Told:
    return Told()


def records(shelf: Shelf, trust: TrustStore | None = None) -> list[FleetRecord | None]:
    return [entry.record for entry in read_fleet(shelf, OWNER.trust if trust is None else trust)]


def test_what_is_known_of_a_device_is_what_its_record_says(tmp_path: Path, shelf: Shelf) -> None:
    device: Desk = desk(shelf, Writer(OWNER))
    device.minutes(3)
    continuity = Continuity(shelf, "primary", OWNER.trust, tmp_path, lambda: device.now)
    continuity.refresh()
    counts = Counts(received=7, incomplete=1, refused=2)
    extra = (("recording-refused", "two were refused"),)

    told = Told(site="bj", counts=counts, findings=extra)
    written = FleetWriter(shelf, KEY, CHAIN, lambda: device.now).tell(continuity, lambda _device: told)

    (record,) = records(shelf)
    assert written == 1
    assert record is not None
    assert record.newest_entry is not None
    assert (record.device, record.site, record.at) == (OWNER.device, "bj", device.now)
    assert (record.newest_entry.sequence, record.newest_entry.at) == (3, device.now)
    assert (record.newest_heartbeat_at, record.open, record.arrived_at) == (device.now, 0, device.now)
    assert (record.software, record.recordings) == ("callseal/test", counts)
    assert record.findings == (FleetFinding(code="recording-refused", detail="two were refused"),)


def test_a_record_is_replaced_when_what_it_says_has_changed(shelf: Shelf, ledgers: Ledgers) -> None:
    clock = Clock()
    writer = FleetWriter(shelf, KEY, CHAIN, clock)
    first = writer.tell(ledgers, nothing)
    clock.now += timedelta(minutes=1)
    same = writer.tell(ledgers, nothing)
    ledgers.wrong[OWNER.device] = (finding("a hole"),)

    changed = writer.tell(ledgers, nothing)

    assert (first, same, changed) == (1, 0, 1)
    (record,) = records(shelf)
    assert record is not None
    assert (record.at, record.findings) == (clock.now, (FleetFinding(code="gap", detail="a hole"),))


def test_a_record_that_says_the_same_is_renewed_after_a_while(shelf: Shelf, ledgers: Ledgers) -> None:
    clock = Clock()
    writer = FleetWriter(shelf, KEY, CHAIN, clock)
    writer.tell(ledgers, nothing)
    clock.now += REPLACE_EVERY

    assert writer.tell(ledgers, nothing) == 1
    assert [record.at for record in records(shelf) if record is not None] == [clock.now]


def test_what_is_only_worth_knowing_is_not_told_of_the_fleet(ledgers: Ledgers) -> None:
    ledgers.wrong[OWNER.device] = (finding("it was silent", "silence", 0),)

    assert record_of(ledgers, OWNER.device, Told(), NOW).findings == ()


def test_very_many_findings_are_cut_and_counted(ledgers: Ledgers) -> None:
    ledgers.wrong[OWNER.device] = tuple(finding(f"hole {number}") for number in range(MAX_FINDINGS + 50))

    found = record_of(ledgers, OWNER.device, Told(), NOW).findings

    assert len(found) == MAX_FINDINGS
    assert found[-1] == FleetFinding(code="more-findings", detail="and 51 more")


def test_as_many_findings_as_there_is_room_for_are_all_told(ledgers: Ledgers) -> None:
    ledgers.wrong[OWNER.device] = tuple(finding(f"hole {number}") for number in range(MAX_FINDINGS))

    found = record_of(ledgers, OWNER.device, Told(), NOW).findings

    assert [item.detail for item in found] == [f"hole {number}" for number in range(MAX_FINDINGS)]


def test_words_and_sites_of_strangers_are_made_fit_for_a_record(ledgers: Ledgers) -> None:
    ledgers.wrong[OWNER.device] = (finding("a\x1b[2J\nb", None),)

    record = record_of(ledgers, OWNER.device, Told(site="b\u202ej"), NOW)

    assert record.site == "b\ufffdj"
    assert record.findings == (FleetFinding(code="ledger", detail="a\ufffd[2J\ufffdb"),)


def test_a_record_that_a_device_signed_is_not_believed(shelf: Shelf) -> None:
    record = FleetRecord(device=OWNER.device, at=NOW)
    shelf.replace(fleet_name(OWNER.device), sign_fleet(record, OWNER.device_key, OWNER.chain))

    (entry,) = read_fleet(shelf, OWNER.trust)

    assert (entry.device, entry.record) == (OWNER.device, None)
    assert isinstance(entry.problem, UntrustedSigner)


def test_a_record_of_one_device_under_the_name_of_another_is_not_believed(shelf: Shelf) -> None:
    record = FleetRecord(device=OWNER.device, at=NOW)
    shelf.replace(fleet_name(OTHER.device), sign_fleet(record, KEY, CHAIN))

    (entry,) = read_fleet(shelf, OWNER.trust)

    assert (entry.device, entry.record) == (OTHER.device, None)
    assert isinstance(entry.problem, FleetError)


@pytest.mark.parametrize("data", [b"", b"{}", b"x" * 2_000_000])
def test_what_is_no_record_is_told_and_stops_no_other(shelf: Shelf, data: bytes) -> None:
    broken, sound = sorted([OWNER.device, OTHER.device])
    shelf.replace(fleet_name(broken), data)
    shelf.replace(fleet_name(sound), sign_fleet(FleetRecord(device=sound, at=NOW), KEY, CHAIN))

    entries = list(read_fleet(shelf, OWNER.trust))

    assert [(entry.device, entry.record is None) for entry in entries] == [(broken, True), (sound, False)]
    assert isinstance(entries[0].problem, FleetError)


def test_a_record_that_cant_be_read_is_told(shelf: Shelf) -> None:
    shelf.replace(fleet_name(OWNER.device), b"")
    shelf.broken = ("fleet/",)

    (entry,) = read_fleet(shelf, OWNER.trust)

    assert isinstance(entry.problem, StoreError)


def test_names_that_are_none_of_a_record_are_passed_over(shelf: Shelf) -> None:
    shelf.add("fleet/readme.txt", b"", LONG_AGO)

    assert records(shelf) == []


def test_a_folder_holds_a_fleet_as_any_store(tmp_path: Path, ledgers: Ledgers) -> None:
    store = DirectoryStore.create(tmp_path)
    clock = Clock()
    writer = FleetWriter(store, KEY, CHAIN, clock)
    writer.tell(ledgers, nothing)
    clock.now += REPLACE_EVERY
    writer.tell(ledgers, nothing)

    (entry,) = read_fleet(store, OWNER.trust)

    assert entry.record is not None
    assert entry.record.at == clock.now
