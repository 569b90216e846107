"""Alarms as they are shown: one line each, from their beginning on, whatever is said in them."""

from datetime import UTC, datetime, timedelta

from callseal.agent.alarms import MAX_ALARMS, Alarms

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def test_an_alarm_keeps_its_beginning_and_takes_newer_words() -> None:
    times = iter([NOW, NOW + timedelta(hours=1)])
    alarms = Alarms(lambda: next(times))

    alarms.raise_("write-failed", "one")
    alarms.raise_("write-failed", "two")

    (alarm,) = alarms.standing()
    assert alarm.since == NOW
    assert alarm.detail == "two"


def test_control_characters_in_the_words_do_not_stop_an_alarm() -> None:
    """A file's name may hold anything; the alarm about it is raised all the same."""
    alarms = Alarms(lambda: NOW)

    alarms.raise_("write-failed", "file \x1b[31m\x00\x7f\udcff\nname")

    (alarm,) = alarms.standing()
    assert alarm.detail == "file [31m name"


def test_an_alarm_that_is_over_is_gone_and_more_than_the_limit_are_not_kept() -> None:
    alarms = Alarms(lambda: NOW)
    for number in range(MAX_ALARMS + 1):
        alarms.raise_(f"code-{number}", "words")

    alarms.clear("code-0")

    assert len(alarms.standing()) == MAX_ALARMS - 1
