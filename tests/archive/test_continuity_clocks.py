"""A device is late or silent, or its clock is wrong: it is told; honest devices are accused of nothing."""

from datetime import timedelta

from callseal.seal.ledger import Kind
from support import ledger_watch
from support.kept_ledgers import MINUTE
from support.ledger_watch import DAY, HOUR, OWNER, Watch
from support.shelf import Desk

shelf, watch, honest = ledger_watch.shelf, ledger_watch.watch, ledger_watch.honest


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
