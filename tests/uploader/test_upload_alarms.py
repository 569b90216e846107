"""The board of alarms: each stands from its beginning to its end, says what is now, and hides no other."""

from datetime import timedelta
from itertools import count

import pytest

from callseal.seal.status import MAX_ALARMS
from callseal.uploader.alarms import Board
from support.sealed_recordings import STARTED_AT


@pytest.fixture
def board() -> Board:
    seconds = count()
    return Board(lambda: STARTED_AT + timedelta(seconds=next(seconds)))


def test_an_alarm_keeps_its_beginning_and_says_what_is_now(board: Board) -> None:
    board.replace("spool-filling", {"disk": "81 percent full"})

    board.replace("spool-filling", {"disk": "94 percent full"})

    ((since, detail),) = [(alarm.since, alarm.detail) for alarm in board.alarms()]
    assert since == STARTED_AT
    assert detail == "disk: 94 percent full"


def test_the_same_words_again_are_no_news(board: Board) -> None:
    board.put("store-unreachable", "primary", "no answer")
    before = board.changes

    board.put("store-unreachable", "primary", "no answer")

    assert board.changes == before


def test_many_alarms_of_one_kind_hide_no_other(board: Board) -> None:
    for number in range(2 * MAX_ALARMS):
        board.put("bundle-broken", str(number), "broken")
    board.put("store-denied", "primary", "the key is no longer good")

    alarms = board.alarms()

    assert len(alarms) == MAX_ALARMS
    assert "store-denied" in {alarm.code for alarm in alarms}
    assert alarms[0].detail == "0: broken"
    assert [alarm.since for alarm in alarms] == sorted(alarm.since for alarm in alarms)
