"""``callseal retention`` and ``callseal hold``: what people decide is signed, kept, shown, and done once."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from callseal.seal.retention import open_record
from callseal.store.directory import DirectoryStore
from callseal.store.names import receipt_name
from support.bundle import Archive
from support.commands import Commands, Ran
from support.received import custodian, put_receipt, put_recording, receive_stored, write_custodian
from support.sealed_recordings import organisation

TODAY = datetime.now(UTC).date()
FAR = ("--contract-end", "2031-05-31", "--reason", "policy ends")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """An office with a custodian, whose first recording was received."""

    archive: Archive
    callseal: Commands

    @property
    def store(self) -> DirectoryStore:
        return DirectoryStore(self.archive.office.store_path)

    @property
    def received(self) -> UUID:
        return self.archive.recordings[0]

    @property
    def not_received(self) -> UUID:
        return self.archive.recordings[1]

    def __call__(self, *arguments: str | Path) -> Ran:
        return self.callseal(*arguments)

    def records(self, recording: UUID) -> list[Path]:
        return sorted(self.archive.office.store_path.glob(f"retention/*/{recording}/*.json"))

    def shown(self, recording: UUID) -> dict[str, object]:
        ran = self("retention", "show", str(recording), "--json")
        document: dict[str, object] = json.loads(ran.out)
        return document

    def in_store(self, recording: UUID) -> dict[str, object]:
        stores = self.shown(recording)["stores"]
        assert isinstance(stores, list)
        (one,) = stores
        assert isinstance(one, dict)
        return one


@pytest.fixture
def desk(callseal: Commands, archive: Archive) -> Desk:
    office = archive.office
    table = write_custodian(office.root)
    office.config_file.write_text(office.config_file.read_text() + table)
    callseal.use(office.config_file)
    store = DirectoryStore(office.store_path)
    prefix = f"{office.stored(archive.recordings[0]).relative_to(office.store_path)}/"
    receive_stored(store, store, prefix)
    return Desk(archive=archive, callseal=callseal)


def test_an_open_term_is_shown_with_what_it_waits_for(desk: Desk) -> None:
    ran = desk("retention", "show", str(desk.received))

    assert ran.code == 0
    assert "open, until the contract's end is known" in ran.out
    assert "Insurance Law" in ran.err
    assert "does not protect objects" in ran.err


def test_a_contracts_end_is_signed_kept_and_gives_the_term_its_end(desk: Desk) -> None:
    ran = desk("retention", "set", desk.received.hex[-8:], "--class", "sales-short", *FAR)

    assert ran.code == 0, ran.err
    assert "2036-06-01" in ran.out
    records = [open_record(path.read_bytes()) for path in desk.records(desk.received)]
    assert [chain for _record, chain in records] == [custodian().chain] * 2
    assert [str(record.record) for record, _chain in records] == [
        path.stem for path in desk.records(desk.received)
    ]
    assert all(record.reason == "policy ends" and " @ " in record.by for record, _chain in records)


def test_show_says_the_same_as_json(desk: Desk) -> None:
    desk("retention", "set", str(desk.received), *FAR)

    document = desk.shown(desk.received)

    assert list(document) == ["type", "exit_code", "recording", "device", "stores", "records"]
    assert (document["type"], document["exit_code"]) == ("callseal-kept/1", 0)
    assert document["recording"] == str(desk.received)
    assert desk.in_store(desk.received) == {
        "store": "primary",
        "received": True,
        "class": "sales",
        "listed": True,
        "contract_end": "2031-05-31",
        "settled": None,
        "waits_for": None,
        "kept_until": "2041-06-01T12:00:00.000Z",
        "holds": [],
        "protects": False,
        "protected_until": None,
        "objects": 6,
        "destroyable_from": "2041-06-01T12:00:00.000Z",
    }
    assert isinstance(document["records"], list)
    (record,) = document["records"]
    assert (record["action"], record["value"]) == ("contract-end", "2031-05-31")


def test_set_as_json_tells_what_was_extended(desk: Desk) -> None:
    ran = desk("retention", "set", str(desk.received), *FAR, "--json")

    assert json.loads(ran.out)["extended"] == []


def test_a_dispute_that_was_settled_keeps_a_recording_longer(desk: Desk) -> None:
    words = ("--class", "service", "--dispute-settled", TODAY.isoformat(), "--reason", "settled")

    ran = desk("retention", "set", str(desk.received), *words)

    assert ran.code == 0, ran.err
    assert desk.in_store(desk.received)["settled"] == TODAY.isoformat()
    assert "two years" in ran.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "nothing to set"),
        (("--contract-end", "31.05.2031"), "not a day"),
        (("--contract-end", "2031-02-29"), "not a day"),
        (("--contract-end", "2301-05-31"), "after the year 2200"),
        (("--contract-end", "2013-05-31"), "before the call"),
        (("--dispute-settled", "2025-01-01"), "before the call"),
        (("--dispute-settled", (TODAY + timedelta(days=9)).isoformat()), "callseal hold add"),
        (("--class", "sales-lang"), "sales-long"),
    ],
)
def test_what_can_not_be_meant_is_refused_and_nothing_is_noted(
    desk: Desk, options: tuple[str, ...], words: str
) -> None:
    ran = desk("retention", "set", str(desk.received), *options, "--reason", "typo")

    assert ran.code == 2
    assert words in ran.err
    assert desk.records(desk.received) == []


@pytest.mark.parametrize("reason", ["", "   ", "two\nlines", "x" * 501])
def test_a_reason_is_one_line_that_says_something(desk: Desk, reason: str) -> None:
    ran = desk("hold", "add", str(desk.received), "--name", "a", "--reason", reason)

    assert ran.code == 2
    assert "reason is one line" in ran.err
    assert desk.records(desk.received) == []


def test_a_hold_is_kept_until_it_is_lifted_by_its_name(desk: Desk) -> None:
    recording = str(desk.received)

    first = desk("hold", "add", recording, "--name", "case-17", "--reason", "lawsuit")
    desk("hold", "add", recording, "--name", "audit", "--reason", "audit")
    both = desk.in_store(desk.received)["holds"]
    lifted = desk("hold", "remove", recording, "--name", "case-17", "--reason", "settled")

    assert (first.code, lifted.code) == (0, 0)
    assert both == ["case-17", "audit"]
    assert desk.in_store(desk.received)["holds"] == ["audit"]
    assert desk.in_store(desk.received)["destroyable_from"] is None


def test_a_folder_says_that_it_stops_nobody(desk: Desk) -> None:
    ran = desk("hold", "add", str(desk.received), "--name", "case-17", "--reason", "lawsuit")

    assert "whoever may write there can delete them" in ran.err


def test_the_same_hold_again_notes_nothing_new(desk: Desk) -> None:
    command = ("hold", "add", str(desk.received), "--name", "case-17", "--reason", "lawsuit")
    desk(*command)

    again = desk(*command)

    assert again.code == 0
    assert "already" in again.err
    assert len(desk.records(desk.received)) == 1


def test_a_hold_that_is_lifted_already_is_no_fault_and_an_unknown_one_is(desk: Desk) -> None:
    recording = str(desk.received)
    desk("hold", "add", recording, "--name", "case-17", "--reason", "lawsuit")
    desk("hold", "remove", recording, "--name", "case-17", "--reason", "settled")

    again = desk("hold", "remove", recording, "--name", "case-17", "--reason", "settled")
    unknown = desk("hold", "remove", recording, "--name", "case-18", "--reason", "settled")

    assert (again.code, unknown.code) == (0, 10)
    assert len(desk.records(desk.received)) == 2
    assert "case-18" not in unknown.out


def test_a_name_that_no_hold_can_have_is_refused(desk: Desk) -> None:
    ran = desk("hold", "add", str(desk.received), "--name", "Case 17", "--reason", "lawsuit")

    assert ran.code == 2
    assert "lower-case" in ran.err


def test_what_was_not_received_yet_can_be_held_and_that_is_told(desk: Desk) -> None:
    ran = desk("hold", "add", str(desk.not_received), "--name", "case-17", "--reason", "lawsuit")

    assert ran.code == 0
    assert "has not received it there yet" in ran.err
    assert desk.in_store(desk.not_received)["holds"] == ["case-17"]


def test_all_holds_are_listed(desk: Desk) -> None:
    none = desk("hold", "list")
    desk("hold", "add", str(desk.received), "--name", "case-17", "--reason", "lawsuit")
    desk("hold", "add", str(desk.not_received), "--name", "audit", "--reason", "audit")
    desk("hold", "remove", str(desk.not_received), "--name", "audit", "--reason", "done")

    table = desk("hold", "list")
    document = json.loads(desk("hold", "list", "--json").out)

    assert (none.code, none.out) == (0, "")
    assert "no recording is on hold" in none.err
    (row,) = table.out.splitlines()[1:]
    assert row.startswith(str(desk.received))
    assert row.endswith("lawsuit  primary")
    assert (document["type"], document["exit_code"]) == ("callseal-holds/1", 0)
    (hold,) = document["holds"]
    assert list(hold) == ["recording", "device", "hold", "stores", "record", "at", "by", "reason"]
    assert (hold["hold"], hold["stores"]) == ("case-17", ["primary"])


def test_a_forged_decision_is_told_and_counts_for_nothing(desk: Desk) -> None:
    desk("hold", "add", str(desk.received), "--name", "case-17", "--reason", "lawsuit")
    (path,) = desk.records(desk.received)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b'"payload":"', b'"payload":"A', 1))

    shown = desk("retention", "show", str(desk.received))
    listed = desk("hold", "list")

    assert (shown.code, listed.code) == (12, 12)
    assert "counts for nothing" in shown.err
    assert path.name in listed.err


def test_a_recording_that_somebody_put_under_the_same_id_is_not_taken_for_it(desk: Desk) -> None:
    office = desk.archive.office
    genuine = office.stored(desk.received)
    device = genuine.parents[3].name
    forged = Path(str(genuine).replace(device, "dev-222222222222"))
    forged.mkdir(parents=True)
    (forged / "manifest.json").write_bytes((genuine / "manifest.json").read_bytes())

    ran = desk("hold", "add", str(desk.received), "--name", "case-17", "--reason", "lawsuit")

    assert ran.code == 0, ran.err
    assert "something else lies under the same id" in ran.err
    assert [path.parts[-3] for path in desk.records(desk.received)] == [device]


def test_without_a_receipt_nobody_says_which_of_two_is_meant(desk: Desk) -> None:
    office = desk.archive.office
    genuine = office.stored(desk.not_received)
    forged = Path(str(genuine).replace(genuine.parents[3].name, "dev-222222222222"))
    forged.mkdir(parents=True)
    (forged / "manifest.json").write_bytes((genuine / "manifest.json").read_bytes())

    ran = desk("hold", "add", str(desk.not_received), "--name", "case-17", "--reason", "lawsuit")

    assert ran.code == 10
    assert "several devices" in ran.err
    assert desk.records(desk.not_received) == []


def test_a_receipt_that_is_not_to_be_believed_is_told(desk: Desk) -> None:
    store = desk.store
    receipt, _manifest = put_recording(store, 40)
    name = put_receipt(store, receipt, custodian("Another"))

    ran = desk("retention", "show", str(receipt.id))

    assert name == receipt_name(organisation().device, receipt.id)
    assert ran.code == 14
    assert "no trusted root issued its certificate" in ran.err


def test_a_store_that_is_away_is_told_and_the_other_keeps_the_decision(desk: Desk, tmp_path: Path) -> None:
    config = desk.archive.office.config_file
    away = f'[[store]]\nname = "second"\ntype = "directory"\npath = "{tmp_path / "away"}"\n'
    config.write_text(config.read_text() + away)

    ran = desk("hold", "add", str(desk.received), "--name", "case-17", "--reason", "lawsuit")

    assert ran.code == 20
    assert "second" in ran.err
    assert len(desk.records(desk.received)) == 1


def test_two_stores_keep_the_same_decision(desk: Desk, tmp_path: Path) -> None:
    office = desk.archive.office
    second = DirectoryStore.create(tmp_path / "second")
    for path in office.stored(desk.received).iterdir():
        target = second.root / path.relative_to(office.store_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    table = f'[[store]]\nname = "second"\ntype = "directory"\npath = "{second.root}"\n'
    office.config_file.write_text(office.config_file.read_text() + table)

    ran = desk("hold", "add", str(desk.received), "--name", "case-17", "--reason", "lawsuit")

    (one,), (other,) = desk.records(desk.received), list(second.root.glob("retention/*/*/*.json"))
    assert ran.code == 0
    assert one.name == other.name
    assert one.read_bytes() == other.read_bytes()
    assert "do not hold the same decisions" not in ran.err


def test_stores_that_disagree_are_told(desk: Desk, tmp_path: Path) -> None:
    test_two_stores_keep_the_same_decision(desk, tmp_path)
    (path,) = desk.records(desk.received)
    path.unlink()

    ran = desk("retention", "show", str(desk.received))

    assert "do not hold the same decisions" in ran.err


def test_without_a_custodian_in_the_settings_it_is_told(callseal: Commands, archive: Archive) -> None:
    callseal.use(archive.office.config_file)

    ran = callseal("retention", "show", str(archive.recordings[0]))

    assert ran.code == 78
    assert "custodian" in ran.err


def test_a_key_without_a_custodians_certificate_decides_nothing(desk: Desk) -> None:
    office = desk.archive.office
    (office.root / "custodian.pem").unlink()

    ran = desk("hold", "add", str(desk.received), "--name", "case-17", "--reason", "lawsuit")

    assert ran.code == 78
    assert "keys certify --role custodian" in ran.err
    assert desk.records(desk.received) == []


def test_a_recording_that_is_not_there_is_told(desk: Desk) -> None:
    assert desk("retention", "show", "ffffffff").code == 10
    assert desk("hold", "add", "ffffffff", "--name", "a", "--reason", "b").code == 10
