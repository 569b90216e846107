"""Samples at another rate: the same sound, exactly as long, and nothing that was not there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.codecs.resampling import Resampler
from support.coded_speech import LEVEL, level, strongest_hz, tone

RATES = pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(8000, 16000), (16000, 8000), (48000, 16000), (48000, 8000), (16000, 48000)]
)


@RATES
@pytest.mark.parametrize("hz", [100, 1000, 3000])
def test_a_tone_keeps_its_frequency_and_its_level(from_hz: int, to_hz: int, hz: int) -> None:
    converted = Resampler(from_hz, to_hz).convert(tone(from_hz, hz=hz))[to_hz // 4 : to_hz * 3 // 4]

    assert strongest_hz(converted, to_hz) == pytest.approx(hz, abs=2)
    # 0.2 dB is less than anybody hears and any of these codings keeps.
    assert level(converted) == pytest.approx(LEVEL, rel=0.024)


@RATES
def test_packet_by_packet_is_the_same_as_all_at_once(from_hz: int, to_hz: int) -> None:
    samples = tone(from_hz)
    resampler = Resampler(from_hz, to_hz)

    pieces = [resampler.convert(piece) for piece in np.split(samples, 50)]

    assert {len(piece) for piece in pieces} == {to_hz // 50}
    assert np.array_equal(np.concatenate(pieces), Resampler(from_hz, to_hz).convert(samples))


@pytest.mark.parametrize(
    ("from_hz", "to_hz", "hz"), [(16000, 8000, 5000), (48000, 16000, 10000), (48000, 8000, 7000)]
)
def test_what_the_lower_rate_can_not_hold_is_gone_and_not_folded_down(
    from_hz: int, to_hz: int, hz: int
) -> None:
    converted = Resampler(from_hz, to_hz).convert(tone(from_hz, hz=hz))[to_hz // 4 :]

    assert level(converted) < LEVEL / 1000  # 60 dB


@RATES
@given(st.lists(st.sampled_from([-32768, -1, 0, 32767]), min_size=12, max_size=12))
def test_the_loudest_sound_is_cut_off_and_does_not_wrap_around(
    from_hz: int, to_hz: int, loud: list[int]
) -> None:
    samples = np.repeat(np.array(loud, np.int16), 96)

    converted = Resampler(from_hz, to_hz).convert(samples)

    smallest, largest = min(0, *loud), max(0, *loud)  # what went before was silence
    # A filter overshoots at an edge by less than a fifth of the step.
    assert converted.max() <= largest + (largest - smallest) / 5
    assert converted.min() >= smallest - (largest - smallest) / 5


def test_silence_stays_silent() -> None:
    assert not Resampler(48000, 16000).convert(np.zeros(960, np.int16)).any()
