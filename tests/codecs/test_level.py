"""Levels: closed forms first, then speech against an independent computation."""

import io
import math

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from callseal.codecs.g711 import Law, decode, encode
from callseal.codecs.level import FLOOR_DBOV, LEVEL, Gauge, LevelMeter, Second, clip_threshold, dbov
from callseal.config.announcement import Builtin, read_announcement

RATE_HZ = 8000
NEVER = 40_000
"""A clipping threshold that no sample reaches."""


def _meter(clip_at: int = NEVER, rate_hz: int = RATE_HZ) -> LevelMeter:
    return LevelMeter(rate_hz, Gauge(None, clip_at), channels=1)


def _measured(samples: NDArray[np.int16], clip_at: int = NEVER) -> tuple[Second, ...]:
    meter = _meter(clip_at)
    meter.feed(samples[:, np.newaxis])
    return meter.finish()[0]


def _sine(amplitude: float, frequency_hz: int) -> NDArray[np.int16]:
    phase = 2 * np.pi * frequency_hz * np.arange(RATE_HZ) / RATE_HZ
    return np.rint(amplitude * np.sin(phase)).astype(np.int16)


@pytest.mark.parametrize("frequency_hz", [100, 440, 997, 3000])
def test_a_full_scale_sine_is_3_01_db_below_overload(frequency_hz: int) -> None:
    (second,) = _measured(_sine(32767, frequency_hz))

    # A whole number of periods has the mean square a²/2. Rounding adds at most half a step a sample, which
    # at this level is 20·log10(1 + 0.5·√2/32767), or 0.0002 dB; that 32767 is not 32768 takes 0.0003.
    assert second.rms_dbov == pytest.approx(20 * math.log10(1 / math.sqrt(2)), abs=0.0006)
    assert second.samples == RATE_HZ


@pytest.mark.parametrize("below_db", [10.0, 20.0, 35.0, 60.0])
def test_a_sine_so_much_quieter_is_measured_so_much_lower(below_db: float) -> None:
    amplitude = 32768 * 10 ** (-below_db / 20)
    (second,) = _measured(_sine(amplitude, 997))

    # Rounding is noise of at most half a step beside an effective value of amplitude/√2.
    tolerance_db = 20 * math.log10(1 + 0.5 * math.sqrt(2) / amplitude)
    assert second.rms_dbov == pytest.approx(-3.0103 - below_db, abs=tolerance_db)


def test_a_full_scale_square_wave_is_the_overload_point() -> None:
    square = np.tile(np.array([32767] * 4 + [-32768] * 4, np.int16), RATE_HZ // 8)

    (second,) = _measured(square)

    # Half of the samples are one step below full scale: 10·log10((1 + (32767/32768)²)/2).
    assert second.rms_dbov == pytest.approx(0.0, abs=0.0002)
    assert second.peak_dbov == 0.0


@pytest.mark.parametrize("value", [1, -1, 100, -32768])
def test_a_constant_has_the_level_of_its_magnitude(value: int) -> None:
    (second,) = _measured(np.full(RATE_HZ, value, np.int16))

    expected = 20 * math.log10(abs(value) / 32768)
    assert [second.rms_dbov, second.peak_dbov] == pytest.approx([expected, expected])


def test_silence_stands_on_the_floor_and_says_that_it_is_digital() -> None:
    (second,) = _measured(np.zeros(RATE_HZ, np.int16))

    assert (second.rms_dbov, second.peak_dbov) == (FLOOR_DBOV, FLOOR_DBOV)
    assert second.is_digital_silence


def test_one_sample_that_is_not_zero_ends_the_digital_silence_and_not_the_floor() -> None:
    samples = np.zeros(RATE_HZ, np.int16)
    samples[77] = -1

    (second,) = _measured(samples)

    assert not second.is_digital_silence
    assert second.rms_dbov == FLOOR_DBOV
    assert second.peak_dbov == pytest.approx(20 * math.log10(1 / 32768))


@given(st.floats(min_value=0.0, max_value=32768.0**2))
def test_no_level_is_below_the_floor_or_above_overload(mean_square: float) -> None:
    assert FLOOR_DBOV <= dbov(mean_square) <= 0.0


def test_clipped_samples_are_counted_at_both_ends() -> None:
    samples = np.array([32734, 32733, -32734, -32733, -32768, 32767, 0], np.int16)

    (second,) = _measured(samples, clip_threshold(32767))

    assert clip_threshold(32767) == 32734
    assert second.clipped_samples == 4


@pytest.mark.parametrize("law", Law)
def test_of_a_coded_channel_only_the_outermost_codes_count_as_clipped(law: Law) -> None:
    every = decode(np.arange(256, dtype=np.uint8), law)

    (second,) = _measured(every, clip_threshold(int(every.max())))

    assert second.clipped_samples == 2


@pytest.mark.parametrize(("first", "second"), [(Law.MU, Law.A), (Law.A, Law.MU)])
def test_what_was_clipped_still_counts_after_transcoding(first: Law, second: Law) -> None:
    loudest = decode(encode(np.array([32767, -32768], np.int16), first), first)
    transcoded = decode(encode(loudest, second), second)
    largest = int(decode(np.arange(256, dtype=np.uint8), second).max())

    (measured,) = _measured(transcoded, clip_threshold(largest))

    assert measured.clipped_samples == 2


def test_the_last_second_may_be_shorter_and_is_measured_by_itself() -> None:
    samples = np.concatenate([np.full(2 * RATE_HZ, 1000, np.int16), np.full(100, -4000, np.int16)])

    first, second, rest = _measured(samples)

    assert [s.samples for s in (first, second, rest)] == [RATE_HZ, RATE_HZ, 100]
    assert rest.rms_dbov - first.rms_dbov == pytest.approx(20 * math.log10(4))
    assert first == second


def test_nothing_at_all_measures_nothing() -> None:
    meter = _meter()
    meter.feed(np.zeros((0, 1), np.int16))

    assert meter.finish() == ((),)


def test_asking_twice_gives_the_same_answer() -> None:
    meter = _meter()
    meter.feed(np.full((RATE_HZ + 5, 1), 7, np.int16))

    first = meter.finish()

    assert meter.finish() == first
    assert len(first[0]) == 2


@given(st.lists(st.integers(0, 300), max_size=20), st.integers(0, 2**32 - 1))
def test_it_does_not_matter_in_which_pieces_the_samples_come(sizes: list[int], seed: int) -> None:
    rate_hz = 100
    samples = np.random.default_rng(seed).integers(-32768, 32768, (sum(sizes), 1)).astype(np.int16)
    whole, pieces = _meter(30_000, rate_hz), _meter(30_000, rate_hz)

    whole.feed(samples)
    for piece in np.split(samples, np.cumsum(sizes)):
        pieces.feed(piece)

    assert pieces.finish() == whole.finish()


def test_speech_has_the_levels_that_another_computation_gives_it() -> None:
    speech, rate_hz = soundfile.read(io.BytesIO(read_announcement(Builtin(name="zh"))), dtype="int16")
    meter = _meter(rate_hz=rate_hz)
    meter.feed(speech[:, np.newaxis])

    (measured,) = meter.finish()

    parts = [speech[at : at + rate_hz] / 32768.0 for at in range(0, speech.size, rate_hz)]
    expected = [10 * math.log10(float(part @ part) / part.size + 1e-12) for part in parts]
    assert len(measured) == len(expected) > 3
    assert [second.rms_dbov for second in measured] == pytest.approx(expected, abs=1e-3)


BANK = np.random.default_rng(4)


def _coded_bank(law: Law, rows: int, samples: int) -> NDArray[np.uint8]:
    """Give calls of all loudnesses: silent, quiet, loud, overdriven."""
    loudness = np.geomspace(1, 60_000, rows)[:, np.newaxis, np.newaxis]
    noise = BANK.normal(0, loudness, (rows, samples, 2)).clip(-32768, 32767)
    return encode(np.rint(noise).astype(np.int16), law)


@pytest.mark.parametrize("law", Law)
@pytest.mark.parametrize(("rows", "samples"), [(1, 1), (3, 160), (9, 8000), (20, 8001), (8, 16_000)])
def test_codes_measure_as_the_samples_do_that_they_stand_for(law: Law, rows: int, samples: int) -> None:
    """Without being decoded, of whatever length, and however many calls there are."""
    codes = _coded_bank(law, rows, samples)
    clip_at = clip_threshold(int(decode(np.arange(256, dtype=np.uint8), law).max()))

    of_codes = Gauge(law, clip_at).measure(codes)
    of_samples = Gauge(None, clip_at).measure(decode(codes, law))

    assert of_codes["mean_square"] == pytest.approx(of_samples["mean_square"], rel=1e-5)
    assert np.array_equal(of_codes["peak"], of_samples["peak"])
    assert np.array_equal(of_codes["clipped"], of_samples["clipped"])
    assert of_codes["clipped"].any() == (samples > 1)


@pytest.mark.parametrize("law", Law)
def test_of_a_part_of_a_block_only_that_part_is_measured(law: Law) -> None:
    codes = _coded_bank(law, 5, 9_000)
    gauge = Gauge(law, NEVER)

    assert np.array_equal(gauge.measure(codes[:, :8_000]), gauge.measure(codes[:, :8_000].copy()))
    assert np.array_equal(gauge.measure(codes[1::2]), gauge.measure(codes)[1::2])


def test_idle_lines_are_digitally_silent_where_the_law_has_a_zero() -> None:
    codes = np.full((1, RATE_HZ, 2), 0xFF, np.uint8)
    codes[0, ::2, 1] = 0x7F  # the other zero
    meter = LevelMeter(RATE_HZ, Gauge(Law.MU, NEVER))

    meter.feed(codes[0])

    ((agent,), (customer,)) = meter.finish()
    assert agent.is_digital_silence
    assert customer.is_digital_silence


@given(st.lists(st.binary(min_size=2, max_size=2), min_size=1, max_size=200), st.sampled_from(Law))
def test_whatever_codes_come_both_channels_are_measured_each_by_itself(pairs: list[bytes], law: Law) -> None:
    codes = np.frombuffer(b"".join(pairs), np.uint8).reshape(1, -1, 2)
    linear = decode(codes, law).astype(np.float64)

    (found,) = Gauge(law, NEVER).measure(codes)

    assert found["mean_square"] == pytest.approx(np.mean(linear**2, axis=(0, 1)), rel=1e-5)
    assert found["peak"].tolist() == np.abs(linear).max(axis=(0, 1)).tolist()


def test_what_a_bank_measured_stands_beside_what_was_measured_here() -> None:
    codes = _coded_bank(Law.MU, 1, 3 * RATE_HZ)[0]
    gauge = Gauge(Law.MU, NEVER)
    here, mixed = LevelMeter(RATE_HZ, gauge), LevelMeter(RATE_HZ, gauge)
    here.feed(codes)

    mixed.feed(codes[:RATE_HZ])
    mixed.take(gauge.measure(codes[np.newaxis, RATE_HZ : 2 * RATE_HZ]).tobytes())
    mixed.feed(codes[2 * RATE_HZ :])

    assert mixed.finish() == here.finish()


def test_a_second_may_be_ended_before_it_is_whole() -> None:
    meter = _meter()
    meter.feed(np.full((300, 1), 5, np.int16))

    meter.end_second()
    meter.feed(np.full((RATE_HZ, 1), 5, np.int16))

    (seconds,) = meter.finish()
    assert [second.samples for second in seconds] == [300, RATE_HZ]
    assert seconds[0].rms_dbov == seconds[1].rms_dbov


def test_an_hour_of_a_call_is_kept_in_less_than_64_kilobytes() -> None:
    assert 3600 * 2 * LEVEL.itemsize < 64 * 1024
