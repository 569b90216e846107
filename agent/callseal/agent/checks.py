"""The thin check at the end of a call: is each side there, loud enough and undistorted? Pure.

Conventions: levels in dBov (see `callseal.codecs.level`). Judged are whole seconds of talk: from the
answer on, and outside the announcement, which is louder than people. The *active level* of a channel is
the mean power of its seconds that lie within `MARGIN_DB` of its loudest one; ITU-T P.56, which does this
properly, will replace it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from callseal.agent.call import SIDES, Side
from callseal.codecs.level import FLOOR_DBOV, Second

MARGIN_DB: Final = 15.9
"""P.56's margin between active level and threshold (ITU-T P.56 (12/11) section 6.1)."""

Outcome = Literal["pass", "fail", "not-checked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a channel fails; from the settings' table `checks`."""

    min_level_dbov: float
    max_clipped_ratio: float
    silent_channel_dbov: float
    silent_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """What one side's channel measured."""

    side: Side
    seconds: tuple[Second, ...]
    judged_s: float
    level_dbov: float
    peak_dbov: float
    clipped_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is thought of a recording's sound; reasons are codes."""

    outcome: Outcome
    reasons: tuple[str, ...]
    channels: tuple[Channel, ...]


def judge(
    seconds: Sequence[Sequence[Second]],
    *,
    rate_hz: int,
    answered_samples: int | None,
    announced: Sequence[tuple[int, int]],
    limits: Limits,
) -> Verdict:
    """Judge the channels of a recording, given in the order of `SIDES`.

    answered_samples: position of the answer, None when there was none. announced: start and end of what
    was heard of each announcement. A call without a whole second of talk is not judged.
    """
    channels = tuple(
        _measure(side, tuple(of_side), rate_hz, answered_samples, announced)
        for side, of_side in zip(SIDES, seconds, strict=True)
    )
    if answered_samples is None or any(channel.judged_s < 1 for channel in channels):
        return Verdict(outcome="not-checked", reasons=(), channels=channels)
    reasons = tuple(reason for channel in channels for reason in _faults(channel, limits))
    return Verdict(outcome="fail" if reasons else "pass", reasons=reasons, channels=channels)


def _measure(
    side: Side,
    seconds: tuple[Second, ...],
    rate_hz: int,
    answered: int | None,
    announced: Sequence[tuple[int, int]],
) -> Channel:
    talk: list[Second] = []
    position = 0
    for second in seconds:
        end = position + second.samples
        heard = any(position < to and begin < end for begin, to in announced)
        if answered is not None and position >= answered and not heard and second.samples == rate_hz:
            talk.append(second)
        position = end
    samples = sum(second.samples for second in talk)
    loudest = max((second.rms_dbov for second in talk), default=FLOOR_DBOV)
    powers = [10 ** (s.rms_dbov / 10) for s in talk if s.rms_dbov >= loudest - MARGIN_DB]
    return Channel(
        side=side,
        seconds=seconds,
        judged_s=samples / rate_hz,
        level_dbov=10 * math.log10(sum(powers) / len(powers)) if powers else FLOOR_DBOV,
        peak_dbov=max((second.peak_dbov for second in talk), default=FLOOR_DBOV),
        clipped_ratio=sum(second.clipped_samples for second in talk) / samples if samples else 0.0,
    )


def _faults(channel: Channel, limits: Limits) -> list[str]:
    loudest = max(channel.peak_dbov, channel.level_dbov)
    if loudest <= limits.silent_channel_dbov:
        # Who listens for a few seconds is not missing; and what is silent is not also too quiet.
        return [f"silent-{channel.side}"] if channel.judged_s >= limits.silent_s else []
    faults = []
    if channel.level_dbov < limits.min_level_dbov:
        faults.append(f"too-quiet-{channel.side}")
    if channel.clipped_ratio > limits.max_clipped_ratio:
        faults.append(f"clipped-{channel.side}")
    return faults
