"""What the custodian remembers, how it waits, and what it raises as an alarm."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from callseal.archive.custodian import State
from callseal.archive.errors import MemoryFailed
from callseal.archive.memory import LAST_AGAIN, MAX_AGAIN, Memory, Told, again_after
from callseal.archive.service import alarms_of
from callseal.archive.troubles import MAX_WORDS, Code, Trouble, trouble
from callseal.seal.status import MAX_DETAIL
from callseal.store.names import RecordingName

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
STORE = "primary"


def name(number: int = 0) -> RecordingName:
    return RecordingName(device="dev-aaaaaaaaaaaa", day=date(2026, 11, 21), id=UUID(int=number + 1))


def settle(memory: Memory, state: State, *troubles: Trouble, now: datetime = NOW, number: int = 0) -> None:
    memory.settle(STORE, name(number), state, troubles, names=4, versions=4, newest_at=NOW, now=now)


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "own")


@pytest.mark.parametrize("state", [State.WAITING, State.INCOMPLETE, State.REFUSED])
def test_what_is_not_received_is_looked_at_again_later_each_time_but_never_given_up(
    memory: Memory, state: State
) -> None:
    now, waits = NOW, []
    for _number in range(20):
        settle(memory, state, now=now)
        due = now
        while not memory.due(STORE, due, 1):
            due += timedelta(seconds=30)
        waits.append(due - now)
        now = due

    assert waits == sorted(waits)
    assert waits[0] < waits[-1] == LAST_AGAIN[state]


def test_what_was_received_is_not_looked_at_again(memory: Memory) -> None:
    settle(memory, State.RECEIVED)

    assert memory.due(STORE, NOW + timedelta(days=400), 1) == []


def test_a_clock_that_is_set_back_keeps_nothing_waiting(memory: Memory) -> None:
    settle(memory, State.WAITING, now=NOW + timedelta(days=3650))

    assert memory.due(STORE, NOW, 1) == [name()]


def test_a_change_of_state_begins_with_a_short_wait_again(memory: Memory) -> None:
    for _number in range(10):
        settle(memory, State.REFUSED)
    settle(memory, State.WAITING)

    assert memory.due(STORE, NOW + again_after(State.WAITING, 0), 1) == [name()]


def test_no_wait_is_longer_than_a_day() -> None:
    assert max(again_after(state, tries) for state in State for tries in range(100)) == MAX_AGAIN


def test_a_trouble_keeps_its_beginning_for_as_long_as_it_stands(memory: Memory) -> None:
    late = NOW + timedelta(hours=5)
    settle(memory, State.REFUSED, trouble(Code.ALTERED, "first words"))
    settle(memory, State.REFUSED, trouble(Code.ALTERED, "other words"), now=late)

    (told,) = memory.troubles(STORE)

    assert (told.since, told.trouble.words) == (NOW, "other words")


def test_a_trouble_that_is_over_is_forgotten(memory: Memory) -> None:
    settle(memory, State.REFUSED, trouble(Code.ALTERED, "words"))

    settle(memory, State.RECEIVED)

    assert memory.troubles(STORE) == []


def test_only_what_is_newly_wrong_is_handed_back_to_be_logged(memory: Memory) -> None:
    altered, extra = trouble(Code.ALTERED, "words"), trouble(Code.EXTRA_OBJECT, "words")
    first = memory.tell(STORE, "", "subject", [altered], now=NOW)
    again = memory.tell(STORE, "", "subject", [altered, extra], now=NOW)

    assert (first, again) == ((altered,), (extra,))


def test_one_store_knows_nothing_of_another(memory: Memory) -> None:
    settle(memory, State.REFUSED, trouble(Code.ALTERED, "words"))

    assert memory.known("other", name()) is None
    assert memory.troubles("other") == []
    assert set(memory.totals("other").values()) == {0}


def test_what_is_remembered_is_there_after_a_restart(tmp_path: Path) -> None:
    with Memory(tmp_path) as memory:
        settle(memory, State.RECEIVED)
        memory.want_copy("second", name(1))

    with Memory(tmp_path) as memory:
        known = memory.known(STORE, name())
        assert known is not None
        assert known.state is State.RECEIVED
        assert memory.copies_due("second", NOW, 5) == [name(1)]


def test_only_this_account_can_read_it(tmp_path: Path) -> None:
    Memory(tmp_path / "own").close()

    assert (tmp_path / "own").stat().st_mode & 0o077 == 0
    assert (tmp_path / "own" / "memory.sqlite3").stat().st_mode & 0o077 == 0


def test_a_folder_that_can_not_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(MemoryFailed, match="file"):
        Memory(tmp_path / "file" / "own")


def told(code: Code, words: str, since: datetime = NOW) -> Told:
    return Told(device="dev-aaaaaaaaaaaa", subject="x", trouble=trouble(code, words), since=since)


def test_a_thousand_troubles_of_one_kind_are_one_alarm() -> None:
    many = [told(Code.ALTERED, f"number {number}") for number in range(1000)]

    (alarm,) = alarms_of(STORE, many, NOW)

    assert (alarm.code, alarm.since) == ("recording-altered", NOW)
    assert "1000" in alarm.detail
    assert "number 0" in alarm.detail


def test_what_only_waits_is_an_alarm_once_it_waits_for_long() -> None:
    waiting = [told(Code.WAITING, "not here yet")]

    assert alarms_of(STORE, waiting, NOW - timedelta(hours=24)) == []
    assert [alarm.code for alarm in alarms_of(STORE, waiting, NOW + timedelta(seconds=1))] == [
        "recording-waiting"
    ]


def test_words_fit_an_alarm_whatever_a_stranger_called_his_object() -> None:
    one = told(Code.EXTRA_OBJECT, "evil\n\x1b[2J\u202e" + "x" * 5000)

    (alarm,) = alarms_of("s" * 64, [one], NOW)

    assert len(one.trouble.words) == MAX_WORDS
    assert alarm.detail.isprintable()
    assert len(alarm.detail) <= MAX_DETAIL
