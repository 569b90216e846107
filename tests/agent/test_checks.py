"""The sound check: what is faulty is named with its side, and what can't be judged is not judged."""

import math
from dataclasses import replace

import pytest

from callseal.agent.call import Side
from callseal.agent.checks import MARGIN_DB, Limits, Verdict, judge
from callseal.codecs.level import FLOOR_DBOV, Second
from callseal.seal.reasons import REASONS

RATE_HZ = 8000
LIMITS = Limits(min_level_dbov=-35.0, max_clipped_ratio=0.001, silent_channel_dbov=-60.0, silent_s=10.0)
SIDES: tuple[Side, Side] = ("agent", "customer")


def _second(level_dbov: float, clipped_samples: int = 0, samples: int = RATE_HZ) -> Second:
    return Second(
        samples=samples,
        rms_dbov=level_dbov,
        peak_dbov=min(0.0, level_dbov + 12),
        clipped_samples=clipped_samples,
    )


GOOD = _second(-25.0)
SILENT = Second(
    samples=RATE_HZ,
    rms_dbov=FLOOR_DBOV,
    peak_dbov=FLOOR_DBOV,
    clipped_samples=0,
)


def _verdict(
    agent: list[Second],
    customer: list[Second],
    *,
    answered_samples: int | None = 0,
    announced: tuple[tuple[int, int], ...] = (),
    limits: Limits = LIMITS,
) -> Verdict:
    return judge(
        [agent, customer],
        rate_hz=RATE_HZ,
        answered_samples=answered_samples,
        announced=announced,
        limits=limits,
    )


def _of(side: Side, seconds: list[Second]) -> tuple[list[Second], list[Second]]:
    other = [GOOD] * len(seconds)
    return (seconds, other) if side == "agent" else (other, seconds)


def test_a_call_that_both_sides_can_be_heard_in_passes() -> None:
    verdict = _verdict([GOOD] * 20, [_second(-30.0)] * 20)

    assert (verdict.outcome, verdict.reasons) == ("pass", ())
    assert [channel.side for channel in verdict.channels] == ["agent", "customer"]
    assert [channel.level_dbov for channel in verdict.channels] == pytest.approx([-25.0, -30.0])
    assert [channel.judged_s for channel in verdict.channels] == [20.0, 20.0]


@pytest.mark.parametrize("side", SIDES)
def test_a_side_below_the_least_level_is_too_quiet(side: Side) -> None:
    just_enough = _verdict(*_of(side, [_second(-34.9)] * 20))
    too_quiet = _verdict(*_of(side, [_second(-35.1)] * 20))

    assert just_enough.outcome == "pass"
    assert (too_quiet.outcome, too_quiet.reasons) == ("fail", (f"too-quiet-{side}",))


@pytest.mark.parametrize("side", SIDES)
def test_a_side_with_too_many_clipped_samples_is_distorted(side: Side) -> None:
    # 10 seconds at 8000 Hz, one in a thousand allowed: 80 samples.
    allowed = _verdict(*_of(side, [_second(-20.0, 80)] + [_second(-20.0)] * 9))
    too_many = _verdict(*_of(side, [_second(-20.0, 81)] + [_second(-20.0)] * 9))

    assert allowed.outcome == "pass"
    assert (too_many.outcome, too_many.reasons) == ("fail", (f"clipped-{side}",))
    assert too_many.channels[SIDES.index(side)].clipped_ratio == pytest.approx(81 / 80_000)


@pytest.mark.parametrize("side", SIDES)
def test_a_side_that_is_never_above_the_silence_is_silent_and_not_also_too_quiet(side: Side) -> None:
    verdict = _verdict(*_of(side, [SILENT] * 10))

    assert (verdict.outcome, verdict.reasons) == ("fail", (f"silent-{side}",))
    assert verdict.channels[SIDES.index(side)].level_dbov == pytest.approx(FLOOR_DBOV)


def test_a_peak_on_the_threshold_itself_is_still_silence() -> None:
    on_it, above = _second(-72.0), _second(-71.9)

    assert on_it.peak_dbov == LIMITS.silent_channel_dbov
    assert _verdict([GOOD] * 10, [on_it] * 10).reasons == ("silent-customer",)
    assert _verdict([GOOD] * 10, [above] * 10).reasons == ("too-quiet-customer",)


def test_who_only_listens_for_a_few_seconds_is_not_silent() -> None:
    verdict = _verdict([GOOD] * 9, [SILENT] * 9)

    assert verdict.outcome == "pass"


def test_one_word_in_a_long_call_ends_the_silence() -> None:
    verdict = _verdict([GOOD] * 60, [SILENT] * 59 + [_second(-25.0)])

    assert verdict.outcome == "pass"


def test_all_faults_of_both_sides_are_named() -> None:
    verdict = _verdict([_second(-40.0, 100)] * 20, [SILENT] * 20)

    assert verdict.reasons == ("too-quiet-agent", "clipped-agent", "silent-customer")


def test_the_active_level_is_the_mean_power_of_the_seconds_near_the_loudest() -> None:
    """Pauses (more than P.56's margin below the loudest second) do not make a speaker quiet."""
    seconds = [_second(-20.0), _second(-23.0), _second(-20.0 - MARGIN_DB - 0.1), SILENT]

    verdict = _verdict(seconds, [GOOD] * 4)

    mean_power = (10 ** (-20.0 / 10) + 10 ** (-23.0 / 10)) / 2
    assert verdict.channels[0].level_dbov == pytest.approx(10 * math.log10(mean_power))
    assert verdict.channels[0].peak_dbov == pytest.approx(-8.0)


def test_ringing_before_the_answer_is_not_judged() -> None:
    loud = [_second(-3.0, 8000)]

    verdict = _verdict(loud * 5 + [GOOD] * 20, loud * 5 + [GOOD] * 20, answered_samples=5 * RATE_HZ)

    assert verdict.outcome == "pass"
    assert verdict.channels[0].judged_s == 20.0


def test_a_second_that_began_before_the_answer_does_not_count() -> None:
    verdict = _verdict([GOOD] * 10, [GOOD] * 10, answered_samples=5 * RATE_HZ + 1)

    assert verdict.channels[0].judged_s == 4.0


def test_seconds_with_an_announcement_in_them_are_not_judged() -> None:
    loud, quiet = _second(-3.0, 8000), _second(-30.0)
    seconds = [quiet, loud, loud, quiet, loud, quiet]

    verdict = _verdict(
        seconds,
        seconds,
        announced=((RATE_HZ + 1, 3 * RATE_HZ), (4 * RATE_HZ, 4 * RATE_HZ + 1)),
    )

    assert verdict.outcome == "pass"
    assert verdict.channels[1].level_dbov == pytest.approx(-30.0)
    assert verdict.channels[1].judged_s == 3.0


@pytest.mark.parametrize(
    ("seconds", "answered_samples", "announced"),
    [
        ([], 0, ()),
        ([_second(-25.0)] * 5, None, ()),
        ([_second(-25.0)] * 5, 4 * RATE_HZ + 1, ()),
        ([_second(-25.0)] * 5, 0, ((0, 5 * RATE_HZ),)),
        ([_second(-70.0, samples=RATE_HZ - 1)], 0, ()),
        ([_second(-25.0)] * 5 + [_second(-25.0, samples=100)], 5 * RATE_HZ, ()),
    ],
    ids=["no sound", "no answer", "late answer", "announced throughout", "short", "short after answer"],
)
def test_a_call_without_a_whole_second_of_talk_is_not_judged(
    seconds: list[Second], answered_samples: int | None, announced: tuple[tuple[int, int], ...]
) -> None:
    verdict = _verdict(seconds, seconds, answered_samples=answered_samples, announced=announced)

    assert (verdict.outcome, verdict.reasons) == ("not-checked", ())
    assert [channel.judged_s for channel in verdict.channels] == [0.0, 0.0]
    assert verdict.channels[0].seconds == tuple(seconds)


def test_one_whole_second_of_talk_is_enough_to_be_judged() -> None:
    assert _verdict([_second(-40.0)], [GOOD]).reasons == ("too-quiet-agent",)


def test_other_limits_judge_otherwise() -> None:
    strict = replace(LIMITS, min_level_dbov=-20.0)

    assert _verdict([GOOD] * 20, [GOOD] * 20, limits=strict).reasons == (
        "too-quiet-agent",
        "too-quiet-customer",
    )


def test_every_reason_that_can_be_given_has_words_for_people() -> None:
    given = {
        *_verdict([_second(-40.0, 100)] * 20, [_second(-40.0, 100)] * 20).reasons,
        *_verdict([SILENT] * 20, [SILENT] * 20).reasons,
    }

    assert len(given) == 6
    assert given <= set(REASONS)
