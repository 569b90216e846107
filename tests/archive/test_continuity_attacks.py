"""Somebody takes from a ledger, alters it or adds to it: it is told, and keeps no honest device out."""

import hashlib
from datetime import timedelta

from callseal.archive.continuity import MOVE_AFTER
from callseal.seal.ledger import Kind
from support import ledger_watch
from support.kept_ledgers import MINUTE
from support.ledger_watch import DAY, HOUR, OWNER, Watch, aged
from support.shelf import Desk, Shelf

shelf, watch, honest = ledger_watch.shelf, ledger_watch.watch, ledger_watch.honest


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
