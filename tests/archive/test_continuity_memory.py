"""What a custodian remembers of ledgers: enough to go on, and to judge what comes late; it may be lost."""

import pytest

from callseal.archive.continuity import LAG, MOVE_AFTER
from callseal.archive.errors import ScratchFailed
from support import ledger_watch
from support.kept_ledgers import MINUTE
from support.ledger_watch import HOUR, OWNER, Watch, aged, outcome
from support.shelf import Desk, Shelf

shelf, watch, honest = ledger_watch.shelf, ledger_watch.watch, ledger_watch.honest


def test_what_is_remembered_is_not_read_again(watch: Watch, honest: Desk, shelf: Shelf) -> None:
    honest.minutes(20)
    watch.look(honest.now)
    before = watch.continuity.state(OWNER.device)
    read = shelf.asked["get"]
    watch.anew()
    watch.look(honest.now)

    assert shelf.asked["get"] == read
    assert watch.continuity.state(OWNER.device) == before


def test_a_memory_that_was_torn_is_read_from_the_store_again(watch: Watch, honest: Desk) -> None:
    honest.minutes(20)
    watch.look(honest.now)
    tail = watch.memory / "primary" / OWNER.device / "tail"
    tail.write_bytes(tail.read_bytes()[:-100] + b"torn")
    watch.anew()
    watch.look(honest.now)

    assert watch.continuity.state(OWNER.device).size == 21
    assert watch.wrong() == []


def test_the_base_moves_up_and_nothing_is_found_otherwise(watch: Watch, honest: Desk) -> None:
    aged(watch, honest)
    honest.minutes(5)
    watch.look(honest.now)

    state = watch.continuity.state(OWNER.device)
    assert (state.base, state.size) == (MOVE_AFTER + 101, MOVE_AFTER + 108)
    ledger = watch.continuity.ledger(OWNER.device)
    assert ledger is not None
    assert ledger.chain.base in {0, state.base}
    watch.anew()
    watch.look(honest.now)
    again = watch.continuity.ledger(OWNER.device)
    assert again is not None
    assert again.chain.base == state.base
    assert watch.wrong() == []


def test_a_recording_that_comes_days_late_is_checked_against_what_lies_below_the_base(
    watch: Watch, honest: Desk
) -> None:
    honest.minutes(10)
    late = honest.writer.record()
    honest.writer.publish()
    honest.bring()
    aged(watch, honest)
    watch.anew()
    watch.look(honest.now)
    assert late.manifest.ledger is not None

    pinned = late.manifest.ledger.sequence

    assert outcome(watch, late) == (15, "before-base")
    assert outcome(watch, late, pinned) == (0, None)


def test_a_late_recording_is_checked_from_a_milestone_on_and_not_from_the_first_entry(
    watch: Watch, honest: Desk, shelf: Shelf
) -> None:
    aged(watch, honest)
    late = honest.writer.record(started_at=honest.now, ended_at=honest.now + 2 * MINUTE)
    honest.writer.publish()
    honest.bring()
    aged(watch, honest)
    watch.anew()
    watch.look(honest.now)
    first = honest.name(0)
    shelf.broken = (first,)
    assert late.manifest.ledger is not None

    found = outcome(watch, late, late.manifest.ledger.sequence)

    assert watch.continuity.state(OWNER.device).base > late.manifest.ledger.sequence
    assert found == (0, None)


def test_a_recording_that_pins_nothing_asks_for_the_whole_ledger(watch: Watch, honest: Desk) -> None:
    aged(watch, honest)
    watch.anew()
    watch.look(honest.now)

    whole = watch.continuity.ledger(OWNER.device, -1)

    assert whole is not None
    assert whole.chain.base == 0
    assert watch.continuity.ledger(OWNER.device, -1) is whole


def test_dying_between_the_new_base_and_its_tail_loses_nothing(watch: Watch, honest: Desk) -> None:
    honest.minutes(MOVE_AFTER + 100)
    watch.look(honest.now)
    tail = watch.memory / "primary" / OWNER.device / "tail"
    before = tail.read_bytes()
    honest.writer.now += LAG + HOUR
    honest.minutes(2)
    watch.look(honest.now)
    moved = watch.continuity.state(OWNER.device)
    tail.write_bytes(before)
    watch.anew()
    watch.look(honest.now)

    assert moved.base > 0
    assert watch.continuity.state(OWNER.device) == moved
    assert watch.wrong() == []


@pytest.mark.parametrize("name", ["tail", "listed.json", "base"])
@pytest.mark.parametrize("data", [b"", b"{}", b"\x00" * 5000])
def test_whatever_the_memory_holds_the_store_is_believed(
    watch: Watch, honest: Desk, name: str, data: bytes
) -> None:
    aged(watch, honest)
    known = watch.continuity.state(OWNER.device)
    folder = watch.memory / "primary" / OWNER.device
    (folder / (f"{known.base}.json" if name == "base" else name)).write_bytes(data)
    watch.anew()
    watch.look(honest.now)

    assert watch.continuity.state(OWNER.device).size == known.size
    assert watch.wrong() == []


def test_a_memory_that_cant_be_written_is_told_as_its_disks_fault(watch: Watch, honest: Desk) -> None:
    watch.memory.joinpath("primary").write_bytes(b"a file where a folder belongs")

    with pytest.raises(ScratchFailed, match="primary"):
        watch.look(honest.now)


@pytest.mark.parametrize("number", [1, 5])
def test_a_recording_that_ends_anew_long_after_is_not_missed(watch: Watch, honest: Desk, number: int) -> None:
    sealed = [honest.writer.record(index) for index in range(300)]
    honest.writer.publish()
    honest.bring()
    aged(watch, honest)
    honest.writer.tell(honest.writer.record(number, opened=False, business_type="other", end=None))
    honest.writer.publish()
    honest.bring()
    watch.look(honest.now)

    assert sealed[number].id == honest.writer.record(number, opened=False, end=None).id
    assert ("replaced", 12) in watch.wrong()
