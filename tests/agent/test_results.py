"""Results of calls from a gateway: who was not heard is named, and what nobody did wrong is no fault."""

from dataclasses import replace

import pytest

from callseal.agent.call import Call, Disclosure, Event, Gap, Held, StreamReport
from callseal.agent.checks import Verdict
from callseal.agent.results import FEW_PACKETS, reasons_of, result_of
from callseal.seal.manifest import Result
from callseal.seal.reasons import HARMLESS, REASONS
from support.recorded_calls import CALL, HANGUP, QUIET, answered
from support.stream_reports import REPORT

AGENT, CUSTOMER = REPORT, replace(REPORT, channel=1)
NOTHING = {"packets": 0, "placed": 0}
TOLD = Disclosure(
    name="zh",
    language="zh-CN",
    sha256="ab" * 32,
    start_samples=100,
    end_samples=4000,
    complete=True,
    heard_by=("agent", "customer"),
)
BY_GATEWAY = replace(CALL, announced_by="gateway")
SILENT = Verdict(outcome="fail", reasons=("silent-agent", "silent-customer"), channels=())


def _reasons(*events: Event, call: Call = QUIET, verdict: Verdict | None = None) -> tuple[str, ...]:
    found = reasons_of(call, (answered(), *events), HANGUP, verdict, continues=False)
    assert set(found) <= set(REASONS)
    return found


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ((AGENT, CUSTOMER), ()),
        ((replace(AGENT, placed=0, packets=0), CUSTOMER), ("no-media-agent",)),
        ((AGENT, replace(CUSTOMER, placed=0, packets=0)), ("no-media-customer",)),
        ((AGENT, replace(CUSTOMER, placed=0, unauthentic=3000)), ("no-media-customer",)),
        ((AGENT,), ("no-media-customer",)),
        ((replace(AGENT, placed=0), replace(CUSTOMER, placed=0)), ("no-media",)),
        ((AGENT, replace(CUSTOMER, placed=0), replace(CUSTOMER, label="c")), ()),
        ((), ()),
    ],
)
def test_a_side_whose_streams_brought_no_sound_is_named(
    reports: tuple[StreamReport, ...], expected: tuple[str, ...]
) -> None:
    found = _reasons(*reports)

    assert found == expected
    assert result_of(found) is (Result.DEGRADED if expected else Result.OK)


def test_of_a_side_that_is_missing_it_is_not_said_that_it_is_silent() -> None:
    one = _reasons(AGENT, replace(CUSTOMER, placed=0), verdict=replace(SILENT, reasons=("silent-customer",)))
    both = _reasons(replace(AGENT, placed=0), replace(CUSTOMER, placed=0), verdict=SILENT)
    none = _reasons(AGENT, CUSTOMER, verdict=SILENT)

    assert (one, both) == (("no-media-customer",), ("no-media",))
    assert none == ("silent-agent", "silent-customer")


def test_one_stream_with_both_sides_in_it_is_said_and_is_no_fault() -> None:
    found = _reasons(AGENT, call=replace(QUIET, is_mixed=True))

    assert found == ("one-stream",)
    assert result_of(found) is Result.OK


def test_a_mixed_stream_that_brought_nothing_is_a_call_without_sound() -> None:
    found = _reasons(replace(AGENT, placed=0), call=replace(QUIET, is_mixed=True))

    assert found == ("no-media", "one-stream")
    assert result_of(found) is Result.DEGRADED


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"lost": 0}, False),
        ({"lost": 30}, False),
        ({"lost": 31}, True),
        ({"lost": 16, "late": 15}, True),
        ({"dropped_by_kernel": 40}, True),
        ({"placed": 100, "lost": FEW_PACKETS - 1}, False),
        ({"placed": 100, "lost": FEW_PACKETS}, True),
        ({"duplicates": 500, "reordered": 500, "comfort_noise": 900, "unreceived_samples": 99_999}, False),
    ],
)
def test_more_than_one_packet_in_a_hundred_is_lost_sound(changes: dict[str, int], lost: bool) -> None:  # noqa: FBT001 - a parameter of the test
    report = replace(AGENT, **{"placed": 2_970, **changes})  # type: ignore[arg-type]

    found = _reasons(report, CUSTOMER)

    assert found == (("media-lost",) if lost else ())


def test_hold_and_silence_that_is_not_sent_are_no_fault() -> None:
    hold = Held(channel=1, position_samples=0, held=True)
    gap = Gap(channel=1, start_samples=0, end_samples=80_000, expected=True)

    assert _reasons(hold, gap, AGENT, CUSTOMER) == ()


def test_an_announcement_by_the_gateway_is_said_to_be_unchecked_and_is_no_fault() -> None:
    unchecked = _reasons(call=BY_GATEWAY)
    heard = _reasons(TOLD, call=BY_GATEWAY)
    broken_off = _reasons(replace(TOLD, complete=False), call=BY_GATEWAY)

    assert unchecked == ("disclosure-not-checked",)
    assert result_of(unchecked) is Result.OK
    assert (heard, broken_off) == ((), ("disclosure-incomplete",))


def test_a_call_that_owes_no_announcement_is_not_said_to_be_unchecked() -> None:
    assert _reasons(call=replace(BY_GATEWAY, announcements=())) == ()


def test_the_call_ended_by_the_gateways_silence_is_degraded() -> None:
    end = replace(HANGUP, reasons=("session-expired",))

    found = reasons_of(QUIET, (answered(), AGENT, CUSTOMER), end, None, continues=False)

    assert found == ("session-expired",)
    assert result_of(found) is Result.DEGRADED


def test_every_harmless_reason_has_words_and_takes_nothing_from_a_recording() -> None:
    assert set(REASONS) >= HARMLESS
    assert result_of(sorted(HARMLESS)) is Result.OK
    assert result_of(("one-stream", "media-lost")) is Result.DEGRADED


@pytest.mark.parametrize("came", ["malformed", "unauthentic", "strangers"])
@pytest.mark.parametrize(
    ("useless", "expected", "lost"),
    [(1_000, False, True), (1_000, True, False), (100, False, False), (FEW_PACKETS - 1, False, False)],
)
def test_sound_that_came_and_could_not_be_recorded_is_lost_where_it_left_a_gap(
    came: str,
    useless: int,
    expected: bool,  # noqa: FBT001 - a parameter of the test
    lost: bool,  # noqa: FBT001 - likewise
) -> None:
    gap = Gap(channel=0, start_samples=80_000, end_samples=160_000, expected=expected)
    report = replace(AGENT, **{"placed": 1_000, "lost": 0, came: useless})  # type: ignore[arg-type]

    found = _reasons(gap, report, CUSTOMER)

    assert found == (("media-lost",) if lost else ())


def test_strangers_who_leave_no_gap_take_nothing_away() -> None:
    report = replace(AGENT, placed=1_000, lost=0, strangers=5_000)

    assert _reasons(report, CUSTOMER) == ()
