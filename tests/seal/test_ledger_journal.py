"""The journal writes a ledger without fault, and its next process goes on with it."""

import stat
from pathlib import Path

import pytest

from callseal.seal.errors import SpoolError
from callseal.seal.ledger import Code, Journal, Kind, entry_hash, split_line
from callseal.seal.ledger.journal import PUBLISH_INTERVAL_MS
from callseal.seal.ledger.recovery import MAX_SEGMENT_ENTRIES
from callseal.seal.ledger.state import MAX_ENDS
from support.journals import call, check, journal, start
from support.ledgers import Time, device, device_key, manifest, recording


def test_what_the_journal_writes_is_a_ledger_without_fault(tmp_path: Path) -> None:
    time = Time()
    ledger = journal(tmp_path / "ledger", time=time)
    start(ledger)
    for number in range(5):
        time.passed_s += 60
        call(ledger, number)
        ledger.append(Kind.HEARTBEAT, open_=0)
        ledger.publish()
    ledger.append(Kind.STOPPED, code="signal")
    last = ledger.publish()
    ledger.close()

    chain = check(tmp_path / "ledger")

    assert chain.findings == ()
    assert chain.head == ledger.place
    assert last == tmp_path / "ledger" / "16.jsonl"
    names = sorted(path.name for path in (tmp_path / "ledger").iterdir())
    assert names == ["0.jsonl", "10.jsonl", "13.jsonl", "16.jsonl", "4.jsonl", "7.jsonl", "head.json"]


def test_only_the_service_can_read_the_ledger(tmp_path: Path) -> None:
    ledger = journal(tmp_path / "ledger")
    start(ledger)
    ledger.publish()
    start(ledger)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "ledger").iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE((tmp_path / "ledger").stat().st_mode) == 0o700


def test_an_entrys_place_is_its_number_and_its_hash(tmp_path: Path) -> None:
    ledger = journal(tmp_path)
    assert ledger.place is None

    place = ledger.append(Kind.HEARTBEAT, open_=0)

    line = (tmp_path / "open.jsonl").read_bytes()
    assert (place.sequence, place.head) == (0, entry_hash(split_line(line)[0]))
    assert ledger.place == place


def test_the_next_process_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    first = journal(tmp_path)
    start(first)
    call(first, 1)
    first.publish()
    first.append(Kind.OPENED, recording=recording(2))
    first.close()

    second = journal(tmp_path)
    assert second.place == first.place
    assert list(second.open_recordings) == [recording(2)]
    assert second.end_of(recording(1)) == (Kind.CLOSED, manifest(1))
    assert second.end_of(recording(2)) is None
    second.append(
        Kind.RECOVERED, recording=recording(2), manifest=manifest(2), result="degraded", reasons=["recovered"]
    )
    second.publish()

    assert not second.open_recordings
    assert check(tmp_path).findings == ()


def test_checkpoints_come_every_minute_and_every_hundred_entries(tmp_path: Path) -> None:
    time = Time()
    ledger = journal(tmp_path, time=time)

    assert not ledger.publish_due()
    assert ledger.publish() is None
    ledger.append(Kind.HEARTBEAT, open_=0)
    time.passed_s += PUBLISH_INTERVAL_MS / 1000 - 0.001
    assert not ledger.publish_due()
    time.passed_s += 0.001
    assert ledger.publish_due()
    assert ledger.publish() == tmp_path / "0.jsonl"
    assert not ledger.publish_due()
    for _ in range(MAX_SEGMENT_ENTRIES):
        ledger.append(Kind.HEARTBEAT, open_=0)

    assert (tmp_path / "1.jsonl").exists()
    assert not (tmp_path / "open.jsonl").exists()


def test_what_an_earlier_process_left_unpublished_is_due_at_once(tmp_path: Path) -> None:
    first = journal(tmp_path)
    start(first)
    first.close()

    assert journal(tmp_path).publish_due()


def test_a_step_of_the_clock_is_told_before_the_next_entry(tmp_path: Path) -> None:
    time = Time()
    ledger = journal(tmp_path, time=time)
    start(ledger)
    time.wrong_s = -3600

    place = ledger.append(Kind.HEARTBEAT, open_=0)
    ledger.publish()

    assert place.sequence == 2
    assert b'"kind":"clock-stepped","by_ms":-3600000}' in (tmp_path / "0.jsonl").read_bytes()
    assert [(finding.code, finding.exit_code) for finding in check(tmp_path).findings] == [
        (Code.CLOCK_BACK, 0)
    ]


def test_a_step_of_the_clock_between_two_processes_is_told(tmp_path: Path) -> None:
    first = journal(tmp_path)
    start(first)
    first.publish()
    first.close()

    second = journal(tmp_path, time=Time(passed_s=60, wrong_s=7200))
    start(second)

    assert b'"by_ms":7200000' in (tmp_path / "open.jsonl").read_bytes()


def test_steps_of_the_clock_are_the_journals_own_business(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="itself"):
        journal(tmp_path).append(Kind.CLOCK_STEPPED)


def test_fields_of_another_kind_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    ledger = journal(tmp_path)

    with pytest.raises(ValueError, match="open"):
        ledger.append(Kind.STOPPED, code="signal", open_=3)

    assert ledger.place is None
    assert not (tmp_path / "open.jsonl").exists()


def test_a_key_of_another_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not that of"):
        Journal([tmp_path], device=device("another"), key=device_key(), clocks=Time())
    with pytest.raises(ValueError, match="folder"):
        Journal([], device=device(), key=device_key(), clocks=Time())


def test_a_closed_journal_takes_nothing_more(tmp_path: Path) -> None:
    ledger = journal(tmp_path)
    start(ledger)
    ledger.close()

    with pytest.raises(SpoolError, match="closed"):
        start(ledger)


def test_only_the_newest_ends_are_remembered(tmp_path: Path) -> None:
    ledger = journal(tmp_path)
    for number in range(MAX_ENDS + 1):
        ledger.append(
            Kind.EXEMPT, recording=recording(number), manifest=manifest(number), result="exempt", reasons=[]
        )
    ledger.close()

    again = journal(tmp_path)

    for reader in (ledger, again):
        assert reader.end_of(recording(0)) is None
        assert reader.end_of(recording(1)) == (Kind.EXEMPT, manifest(1))


@pytest.mark.parametrize("rebuilt", [False, True], ids=["from head.json", "from the segments"])
def test_sound_that_is_to_be_destroyed_is_remembered_until_it_is(tmp_path: Path, *, rebuilt: bool) -> None:
    """Its disk may come back months and thousands of calls later."""
    folder = tmp_path / "ledger"
    ledger = journal(folder)
    ledger.append(Kind.OPENED, recording=recording(9_000))
    ledger.append(Kind.DISCARDED, recording=recording(9_000), result="exempt", reasons=["refused"])
    for number in range(MAX_ENDS + 10):
        call(ledger, number)
    ledger.publish()
    ledger.close()
    if rebuilt:
        (folder / "head.json").unlink()

    again = journal(folder)

    assert again.end_of(recording(9_000)) == (Kind.DISCARDED, None)
    assert again.end_of(recording(0)) is None
    assert again.end_of(recording(MAX_ENDS + 9)) == (Kind.CLOSED, manifest(MAX_ENDS + 9))
