"""Session timers: what both sides agree on, by RFC 4028's own tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.sip.message import Headers, Request
from callseal.agent.sip.session_timer import (
    MAX_INTERVAL_S,
    MIN_SE_S,
    SessionTimer,
    agree,
    is_too_short,
    raised,
    read_answer,
)

UPDATES = ("allow", "UPDATE")
KNOWS = ("supported", "timer")


def asked(*fields: tuple[str, str], method: str = "INVITE") -> Request:
    return Request(method=method, uri="sip:srs@192.0.2.1", headers=Headers(fields=fields))


def timer(interval_s: int, *, is_ours: bool) -> SessionTimer:
    return SessionTimer(interval_s=interval_s, is_ours=is_ours, requires=not is_ours)


@pytest.mark.parametrize(
    ("knows", "refresher", "is_ours"),
    [
        (False, "", True),  # RFC 4028 table 2, line by line; "uas or uac" leaves the choice to us
        (False, ";refresher=uas", True),
        (True, "", False),
        (True, ";refresher=uac", False),
        (True, ";refresher=uas", True),
    ],
)
def test_the_refresher_is_who_the_table_says(*, knows: bool, refresher: str, is_ours: bool) -> None:
    fields = [UPDATES, ("session-expires", f"600{refresher}")]

    agreed = agree(asked(*fields, *([KNOWS] if knows else [])), wanted_s=1800)

    assert agreed == timer(600, is_ours=is_ours)


@pytest.mark.parametrize(
    ("expires", "least", "wanted_s", "interval_s"),
    [
        ("1800", "", 1800, 1800),
        ("3600", "", 1800, 1800),  # we may shorten it
        ("3600", "2400", 1800, 2400),  # but not below what the peer can do
        ("600", "", 1800, 600),  # and never lengthen it
        ("3600", "", 0, 3600),
        ("600", "90", 60, 90),
        ("99999999999999", "", 0, None),
        ("4000000000", "", 0, MAX_INTERVAL_S),
        ("-5", "", 0, None),
        ("soon", "", 0, None),
        ("600", "never", 1800, 600),
    ],
)
def test_the_interval_is_as_long_as_both_can_do(
    expires: str, least: str, wanted_s: int, interval_s: int | None
) -> None:
    fields = [KNOWS, ("session-expires", expires), *([("min-se", least)] if least else [])]

    agreed = agree(asked(*fields), wanted_s=wanted_s)

    assert (agreed.interval_s if agreed else None) == interval_s


def test_nothing_is_asked_of_a_peer_when_timers_are_left_to_it() -> None:
    assert agree(asked(KNOWS), wanted_s=0) is None


def test_a_peer_that_takes_no_update_is_not_promised_any() -> None:
    assert agree(asked(("session-expires", "600")), wanted_s=1800) is None


def test_a_peer_that_sends_update_takes_it() -> None:
    agreed = agree(asked(("session-expires", "600"), method="UPDATE"), wanted_s=1800)

    assert agreed == timer(600, is_ours=True)


@pytest.mark.parametrize(
    ("fields", "too_short"),
    [
        ([KNOWS, ("session-expires", "89")], True),
        ([("require", "timer"), ("session-expires", "89")], True),
        ([KNOWS, ("session-expires", "90")], False),
        ([("session-expires", "89")], False),  # a proxy put it there: the caller would not understand
        ([KNOWS], False),
    ],
)
def test_only_who_can_change_it_is_told_that_an_interval_is_too_short(
    fields: list[tuple[str, str]],
    too_short: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    assert is_too_short(Headers(fields=tuple(fields))) is too_short


def test_a_peer_that_refreshes_is_required_to() -> None:
    assert timer(600, is_ours=False).answer_headers() == (
        ("session-expires", "600;refresher=uac"),
        ("require", "timer"),
    )
    assert timer(600, is_ours=True).answer_headers() == (("session-expires", "600;refresher=uas"),)


def test_an_answer_to_our_refresh_says_how_it_goes_on() -> None:
    assert read_answer(Headers(fields=())) is None
    ours = read_answer(Headers(fields=(("session-expires", "600;refresher=uac"),)))
    assert ours == SessionTimer(interval_s=600, is_ours=True)
    theirs = read_answer(Headers(fields=(("session-expires", "5 ; Refresher = UAS"),)))
    assert theirs == SessionTimer(interval_s=MIN_SE_S, is_ours=False)


def test_an_interval_is_raised_as_far_as_the_peer_demands_and_no_further() -> None:
    before = timer(600, is_ours=True)

    assert raised(before, Headers(fields=(("min-se", "900"),))) == SessionTimer(interval_s=900, is_ours=True)
    assert raised(before, Headers(fields=(("min-se", "600"),))) is None
    assert raised(before, Headers(fields=())) is None


@given(st.text(), st.text(), st.integers(0, 10**6))
def test_whatever_the_headers_say_an_interval_is_one(expires: str, least: str, wanted_s: int) -> None:
    fields = (KNOWS, ("session-expires", expires), ("min-se", least))

    agreed = agree(asked(*fields), wanted_s=wanted_s)

    assert agreed is None or MIN_SE_S <= agreed.interval_s <= max(MAX_INTERVAL_S, wanted_s)
