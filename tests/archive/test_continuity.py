"""What a custodian knows of ledgers: it reads what is new, and tells what does not go on."""

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from callseal.archive.continuity import LAG, MAX_READ, MOST_UNREACHABLE, MOVE_AFTER, Continuity
from callseal.archive.errors import ScratchFailed
from callseal.seal.keys import TrustStore
from callseal.seal.ledger import Kind
from callseal.seal.verify.ledger import standing
from callseal.store.directory import DirectoryStore
from callseal.store.errors import StoreUnreachable
from callseal.store.names import ledger_name
from support.kept_ledgers import MINUTE, Sealed, Writer
from support.sealed_recordings import STARTED_AT, organisation
from support.shelf import Desk, Shelf, desk

OWNER = organisation()
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


class Watch:
    """A custodian's look at a shelf, by a clock that is set by hand."""

    def __init__(self, shelf: Shelf, memory: Path, trust: TrustStore | None = None) -> None:
        self.shelf = shelf
        self.memory = memory
        self.trust = OWNER.trust if trust is None else trust
        self.now = STARTED_AT
        self.continuity = self.anew()

    def anew(self) -> Continuity:
        """Begin again with what is remembered."""
        self.continuity = Continuity(
            self.shelf, "primary", self.trust, self.memory, lambda: self.now, late_after=timedelta(minutes=15)
        )
        return self.continuity

    def look(self, at: datetime) -> None:
        """Do a round."""
        self.now = at
        self.continuity.refresh()

    def wrong(self, device: str = OWNER.device) -> list[tuple[str | None, int]]:
        """Return what is more than worth knowing: codes, exit codes."""
        return [(item.code, item.exit_code) for item in self.continuity.findings(device) if item.exit_code]

    def codes(self, device: str = OWNER.device) -> set[str | None]:
        return {code for code, _exit_code in self.wrong(device)}


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def watch(shelf: Shelf, tmp_path: Path) -> Watch:
    return Watch(shelf, tmp_path)


@pytest.fixture
def honest(shelf: Shelf) -> Desk:
    return desk(shelf, Writer(OWNER))


def outcome(watch: Watch, sealed: Sealed, pinned: int | None = None) -> tuple[int, str | None]:
    """Return what the ledger that is at hand says of a recording."""
    ledger = watch.continuity.ledger(OWNER.device, pinned)
    found = standing(sealed.manifest, sealed.sha256, ledger).finding
    return found.exit_code, found.code


def test_an_honest_device_has_nothing_to_be_told(watch: Watch, honest: Desk) -> None:
    for _round in range(5):
        honest.minutes(3)
        watch.look(honest.now)

    assert watch.continuity.devices() == (OWNER.device,)
    assert watch.continuity.findings(OWNER.device) == ()
    state = watch.continuity.state(OWNER.device)
    assert (state.size, state.newest_at, state.heartbeat_at) == (16, honest.now, honest.now)
    assert (state.open, state.arrived_at, state.software) == (0, honest.now, "callseal/test")


def test_a_recording_finds_its_entries_in_the_ledger_as_soon_as_they_are_here(
    watch: Watch, honest: Desk
) -> None:
    watch.look(honest.now)
    sealed = honest.writer.record()
    honest.writer.publish()
    before = outcome(watch, sealed)
    honest.bring()
    watch.look(honest.now)

    assert before[0] == 15
    assert outcome(watch, sealed) == (0, None)


def test_each_segment_is_read_once(watch: Watch, honest: Desk, shelf: Shelf) -> None:
    honest.minutes(30)
    watch.look(honest.now)
    read = shelf.asked["get"]
    for _round in range(5):
        honest.minutes(1)
        watch.look(honest.now)
    watch.look(honest.now)

    assert shelf.asked["get"] == read + 5


def test_numbers_that_grow_by_a_digit_are_followed(watch: Watch, honest: Desk) -> None:
    for _round in range(22):
        honest.minutes(50)
        watch.look(honest.now)

    assert watch.continuity.state(OWNER.device).size == 1101
    assert watch.wrong() == []


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


def aged(watch: Watch, honest: Desk) -> None:
    """Let the base move up: months of minutes, looked at days later."""
    honest.minutes(MOVE_AFTER + 100)
    watch.look(honest.now)
    honest.writer.now += LAG + HOUR
    honest.minutes(2)
    watch.look(honest.now)


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


def test_a_hole_is_found_where_names_are_near(watch: Watch, honest: Desk, shelf: Shelf) -> None:
    honest.minutes(10)
    del shelf.objects[honest.name(5)]
    watch.look(honest.now)

    assert watch.codes() == {"gap"}
    assert watch.continuity.state(OWNER.device).size == 11


def test_a_hole_of_hundreds_is_found_once_the_device_seems_silent(
    watch: Watch, honest: Desk, shelf: Shelf
) -> None:
    honest.minutes(150)
    watch.look(honest.now)
    honest.minutes(300)
    for first in range(151, 440):
        del shelf.objects[honest.name(first)]
    watch.look(honest.now)
    silent = watch.codes()
    watch.look(honest.now + HOUR)

    assert silent == {"heartbeat-late"}
    assert "gap" in watch.codes()
    assert watch.continuity.state(OWNER.device).size == 451


def test_a_hole_is_told_ever_after(watch: Watch, honest: Desk, shelf: Shelf) -> None:
    honest.minutes(10)
    del shelf.objects[honest.name(5)]
    watch.look(honest.now)
    aged(watch, honest)
    watch.anew()
    watch.look(honest.now)

    assert watch.continuity.state(OWNER.device).base > 10
    assert watch.codes() == {"gap"}


def test_what_was_read_and_is_gone_is_told_the_next_day(watch: Watch, honest: Desk, shelf: Shelf) -> None:
    aged(watch, honest)
    watch.look(honest.now + DAY)
    del shelf.objects[honest.name(7)]
    del shelf.objects[honest.name(MOVE_AFTER + 102)]
    watch.look(honest.now + 2 * DAY + HOUR)

    gone = [item.words for item in watch.continuity.findings(OWNER.device) if item.code == "gap"]
    assert gone == [
        f"1 segments before entry {MOVE_AFTER + 101}, which had been read, are gone",
        f"the segment from entry {MOVE_AFTER + 102}, which had been read, is gone",
    ]


def test_a_whole_ledger_that_is_gone_is_told(watch: Watch, honest: Desk, shelf: Shelf) -> None:
    honest.minutes(5)
    watch.look(honest.now)
    shelf.objects.clear()
    watch.anew()
    watch.look(honest.now)

    assert ("gap", 12) in watch.wrong()


def test_an_altered_entry_is_told(watch: Watch, honest: Desk, shelf: Shelf) -> None:
    honest.minutes(5)
    name = honest.name(4)
    data, at = shelf.objects[name][0]
    shelf.objects[name] = [(data.replace(b'"open":0', b'"open":1'), at)]
    watch.look(honest.now)

    assert watch.codes() == {"altered", "bad-signature"}


def test_a_segment_that_the_device_wrote_anew_is_told_as_rewritten(
    watch: Watch, honest: Desk, shelf: Shelf
) -> None:
    honest.minutes(5)
    other = Desk(honest.writer.copied(), shelf)
    honest.minutes(3)
    watch.look(honest.now)
    other.writer.add(Kind.SETTINGS, settings=hashlib.sha256(b"others").digest())
    other.writer.publish()
    other.writer.beat(2)
    other.writer.publish()
    other.brought = set(honest.brought)
    other.minutes(2)
    watch.look(other.now)

    assert "rewritten" in watch.codes()


def test_a_machine_set_back_to_an_older_copy_leaves_a_fork_that_is_found(
    watch: Watch, honest: Desk, shelf: Shelf
) -> None:
    honest.minutes(5)
    older = Desk(honest.writer.copied(), shelf)
    honest.minutes(10)
    watch.look(honest.now)
    older.writer.add(Kind.SETTINGS, settings=hashlib.sha256(b"others").digest())
    older.writer.beat(2)
    older.writer.publish()
    shelf.add(older.name(6), older.writer.kept.segments[6], older.now)
    watch.look(honest.now + DAY)

    assert "fork" in watch.codes()


def test_a_version_that_somebody_else_puts_over_a_segment_is_told_and_not_believed(
    watch: Watch, honest: Desk, shelf: Shelf
) -> None:
    honest.minutes(2)
    watch.look(honest.now)
    honest.minutes(1)
    shelf.add(honest.name(3), b"no segment at all\n", honest.now)
    honest.minutes(1)
    watch.look(honest.now)

    assert watch.wrong() == [("extra-version", 12)]
    assert watch.continuity.state(OWNER.device).size == 5


def test_who_takes_a_segments_name_first_does_not_keep_the_device_out(
    watch: Watch, honest: Desk, shelf: Shelf
) -> None:
    honest.minutes(2)
    shelf.add(honest.name(3), b"no segment at all\n", honest.now)
    honest.minutes(2)
    watch.look(honest.now)

    assert watch.codes() == {"extra-version"}
    assert watch.continuity.state(OWNER.device).size == 5


def test_what_a_stranger_puts_where_the_next_segment_belongs_is_told_and_does_no_more(
    watch: Watch, honest: Desk, shelf: Shelf
) -> None:
    honest.minutes(2)
    shelf.add(honest.name(3), b"no segment at all\n", honest.now)
    shelf.add(honest.name(900_000), b"no segment at all\n" * 1000, honest.now)
    watch.look(honest.now)
    watch.look(honest.now + MINUTE)
    alone = watch.wrong()
    honest.minutes(2)
    watch.look(honest.now)

    assert alone == [("extra-version", 12)] * 2
    assert watch.continuity.state(OWNER.device).size == 5
    assert watch.wrong() == alone


def test_a_segment_of_the_devices_own_under_another_number_is_told_and_does_no_more(
    watch: Watch, honest: Desk, shelf: Shelf
) -> None:
    honest.minutes(5)
    shelf.add(honest.name(300), shelf.objects[honest.name(2)][0][0], honest.now)
    watch.look(honest.now)
    shelf.add(honest.name(4), shelf.objects[honest.name(2)][0][0], honest.now)
    watch.anew()
    watch.look(honest.now + DAY)

    assert watch.codes() == {"extra-version", "heartbeat-late"}
    assert watch.continuity.state(OWNER.device).size == 6


def test_a_segment_whose_name_was_taken_first_for_good_is_missing_and_the_rest_goes_on(
    watch: Watch, honest: Desk, shelf: Shelf
) -> None:
    honest.minutes(2)
    honest.brought.add(3)
    shelf.add(honest.name(3), b"no segment at all\n", honest.now)
    honest.minutes(5)
    watch.look(honest.now)

    assert watch.codes() == {"extra-version", "gap"}
    assert watch.continuity.state(OWNER.device).size == 8


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


def test_a_segment_that_was_put_twice_is_no_fault(watch: Watch, honest: Desk, shelf: Shelf) -> None:
    honest.minutes(5)
    name = honest.name(3)
    shelf.add(name, shelf.objects[name][0][0], honest.now)
    watch.look(honest.now)
    watch.look(honest.now + timedelta(minutes=1))

    assert watch.wrong() == []


def test_names_of_no_segment_are_told(watch: Watch, honest: Desk, shelf: Shelf) -> None:
    shelf.add(f"ledger/{OWNER.device}/07.jsonl", b"", honest.now)
    watch.look(honest.now)

    assert watch.wrong() == [("extra-object", 15)]


def test_a_device_is_late_by_our_clock_and_not_a_moment_before(watch: Watch, honest: Desk) -> None:
    honest.minutes(5)
    watch.look(honest.now + timedelta(minutes=15))
    in_time = watch.codes()
    watch.look(honest.now + timedelta(minutes=15, milliseconds=1))

    assert in_time == set()
    assert watch.wrong() == [("heartbeat-late", 15)]


def test_an_agent_that_ended_in_order_is_not_late(watch: Watch, honest: Desk) -> None:
    honest.minutes(5)
    honest.writer.add(Kind.STOPPED, code="signal")
    honest.writer.publish()
    honest.bring()
    watch.look(honest.now + DAY)

    assert watch.codes() == set()
    assert watch.continuity.state(OWNER.device).stopped


def test_a_silence_inside_the_ledger_is_worth_knowing(watch: Watch, honest: Desk) -> None:
    honest.minutes(5)
    honest.writer.now += HOUR
    honest.minutes(1)
    watch.look(honest.now)

    assert [(item.code, item.exit_code) for item in watch.continuity.findings(OWNER.device)] == [
        ("silence", 0)
    ]


def test_a_desk_that_was_away_and_brings_a_backlog_is_accused_of_nothing(watch: Watch, honest: Desk) -> None:
    honest.minutes(5)
    watch.look(honest.now)
    honest.writer.beat(1)
    for _minute in range(600):
        honest.writer.publish()
        honest.writer.beat(1)
    honest.writer.publish()
    honest.bring(honest.now + timedelta(seconds=20))
    watch.look(honest.now + timedelta(seconds=30))
    honest.minutes(20)
    watch.look(honest.now)

    assert watch.wrong() == []


def test_a_clock_that_is_behind_is_found_while_entries_come_live(watch: Watch, honest: Desk) -> None:
    honest.minutes(30, behind=2 * HOUR)
    watch.look(honest.now + 2 * HOUR)

    assert watch.wrong() == [("clock-behind", 15)]  # and it is not called late: it is heard


def test_a_clock_that_was_behind_for_a_while_is_told_with_the_time(watch: Watch, honest: Desk) -> None:
    honest.minutes(5)
    honest.minutes(30, behind=2 * HOUR)
    honest.writer.now += 2 * HOUR
    honest.minutes(30)
    watch.look(honest.now)

    told = [item.words for item in watch.continuity.findings(OWNER.device) if item.code == "clock-behind"]
    assert len(told) == 1
    assert "7200 s or more after they say" in told[0]


def test_a_clock_that_is_ahead_is_found(watch: Watch, honest: Desk) -> None:
    honest.minutes(5, behind=-10 * MINUTE)
    watch.look(honest.now)

    assert watch.wrong() == [("clock-ahead", 15)]


def test_a_few_minutes_between_the_clocks_are_no_fault(watch: Watch, honest: Desk) -> None:
    honest.minutes(30, behind=-4 * MINUTE)
    honest.minutes(30, behind=4 * MINUTE)
    watch.look(honest.now + 4 * MINUTE)

    assert watch.wrong() == []


def test_a_recording_that_was_left_open_by_an_agent_that_began_again_is_told(
    watch: Watch, honest: Desk
) -> None:
    honest.writer.record(end=None)
    honest.writer.start()
    honest.writer.publish()
    honest.bring()
    watch.look(honest.now)

    assert watch.wrong() == [("open-without-end", 12)]


def test_a_recording_of_which_nothing_was_told_for_a_day_is_told(watch: Watch, honest: Desk) -> None:
    honest.writer.record(end=None)
    honest.minutes(1)
    watch.look(honest.now)
    running = watch.codes()
    watch.look(honest.now + DAY + HOUR)

    assert running == set()
    assert ("never-ended", 15) in watch.wrong()


def test_a_device_that_no_root_vouches_for_is_told(honest: Desk, shelf: Shelf, tmp_path: Path) -> None:
    stranger = Watch(shelf, tmp_path, TrustStore([organisation("Another").root]))
    stranger.look(honest.now)

    assert stranger.wrong() == [("signer-untrusted", 14)]


def test_a_device_whose_segments_cant_be_read_is_not_checked_and_the_others_are(
    watch: Watch, honest: Desk, shelf: Shelf
) -> None:
    other = desk(shelf, Writer(organisation("Another")))
    shelf.broken = (honest.name(0),)
    watch.look(honest.now)

    assert watch.wrong() == [("not-read", 15)]
    assert watch.continuity.ledger(OWNER.device) is None
    assert watch.continuity.ledger(other.device) is not None


def test_a_segment_that_can_be_read_again_is_taken_in_the_next_round(
    watch: Watch, honest: Desk, shelf: Shelf
) -> None:
    honest.minutes(5)
    shelf.broken = (honest.name(3),)
    watch.look(honest.now)
    shelf.broken = ()
    watch.look(honest.now)

    assert watch.wrong() == []
    assert watch.continuity.state(OWNER.device).size == 6


def test_a_store_that_is_down_ends_the_round_with_its_error(watch: Watch, shelf: Shelf) -> None:
    shelf.down = True

    with pytest.raises(StoreUnreachable):
        watch.look(STARTED_AT)


def test_a_ledger_without_a_certificate_of_its_device_is_not_checked(watch: Watch, shelf: Shelf) -> None:
    writer = Writer(OWNER)
    writer.beat(3)
    writer.publish()
    Desk(writer, shelf).bring()
    watch.look(writer.now)

    assert watch.wrong() == [("not-read", 15)]
    assert watch.continuity.ledger(OWNER.device) is None


def test_a_backlog_that_is_too_long_for_one_round_is_gone_on_with_in_the_next(
    watch: Watch, honest: Desk
) -> None:
    honest.minutes(MAX_READ + 5)
    watch.look(honest.now)
    first = watch.codes()
    watch.look(honest.now)

    assert first == {"not-caught-up"}
    assert watch.wrong() == []
    assert watch.continuity.state(OWNER.device).size == MAX_READ + 6


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


def test_a_folder_is_watched_as_any_store(tmp_path: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    writer = Writer(OWNER)
    writer.start()
    sealed = writer.record()
    writer.publish()
    for first, data in writer.kept.segments.items():
        store.put(ledger_name(OWNER.device, first), data, hashlib.sha256(data).digest())
    continuity = Continuity(store, "primary", OWNER.trust, tmp_path / "memory", lambda: writer.now)

    continuity.refresh()

    ledger = continuity.ledger(OWNER.device)
    assert standing(sealed.manifest, sealed.sha256, ledger).finding.exit_code == 0


def test_the_round_ends_once_the_store_fails_for_device_after_device(watch: Watch, shelf: Shelf) -> None:
    desks = [desk(shelf, Writer(organisation(f"Example {n}"))) for n in range(MOST_UNREACHABLE + 1)]
    watch.look(desks[0].now)
    for item in desks:
        item.minutes(1)
    shelf.silent = True

    with pytest.raises(StoreUnreachable):
        watch.look(desks[0].now)
