"""Announcements: any WAV or FLAC becomes the sound that a caller hears, or is refused with the reason."""

import hashlib
import io
import tracemalloc

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from callseal.agent.announcement import (
    GAP_S,
    LEAD_S,
    MAX_ANNOUNCEMENT_BYTES,
    MAX_ANNOUNCEMENT_S,
    TAIL_S,
    Announcement,
    prepare,
    read,
)
from callseal.agent.errors import AnnouncementError
from callseal.config.announcement import BUILTIN_VOICES, Builtin, read_announcement

RATE_HZ = 8000


def _tone(rate_hz: int, duration_s: float = 1.0, amplitude: float = 0.5) -> NDArray[np.float64]:
    return amplitude * np.sin(2 * np.pi * 440 * np.arange(int(rate_hz * duration_s)) / rate_hz)


def _file(
    sound: NDArray[np.float64], rate_hz: int = RATE_HZ, container: str = "WAV", subtype: str = "PCM_16"
) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sound, rate_hz, format=container, subtype=subtype)
    return file.getvalue()


def _read(data: bytes) -> Announcement:
    return read("zh", "zh-CN", "/etc/callseal/zh.wav", data, RATE_HZ)


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_a_file_at_the_bridges_rate_is_played_sample_by_sample(container: str) -> None:
    data = _file(_tone(RATE_HZ), container=container)

    announcement = _read(data)

    stored, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    assert np.array_equal(announcement.samples, stored)
    assert (announcement.name, announcement.language) == ("zh", "zh-CN")
    assert announcement.sha256 == hashlib.sha256(data).hexdigest()


def test_stereo_becomes_the_mean_of_both_channels() -> None:
    data = _file(np.stack([_tone(RATE_HZ, amplitude=0.4), np.full(RATE_HZ, 0.2)], axis=1))

    announcement = _read(data)

    stored, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    assert announcement.samples.shape == (RATE_HZ,)
    assert np.abs(announcement.samples - stored.mean(axis=1)).max() <= 0.5


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
def test_another_rate_is_resampled_without_changing_length_or_sound(rate_hz: int) -> None:
    announcement = _read(_file(_tone(rate_hz, 2.0), rate_hz, subtype="PCM_24"))

    samples = announcement.samples.astype(np.float64)
    assert samples.size == pytest.approx(2 * RATE_HZ, abs=1)
    # Away from both ends, where the filter rings: 1 in 16,384 is -84 dB, and rounding alone makes 0.5.
    middle = slice(RATE_HZ // 2, 3 * RATE_HZ // 2)
    assert np.abs(samples - 32768 * _tone(RATE_HZ, 2.0)[: samples.size])[middle].max() < 2.0


def test_sound_beyond_full_scale_is_cut_and_does_not_wrap() -> None:
    announcement = _read(_file(_tone(RATE_HZ, amplitude=1.5), subtype="FLOAT"))

    assert (announcement.samples.max(), announcement.samples.min()) == (32767, -32768)
    assert np.array_equal(np.sign(announcement.samples), np.sign(np.rint(_tone(RATE_HZ) * 10_000)))


@pytest.mark.parametrize("voice", BUILTIN_VOICES)
def test_the_shipped_voices_can_be_played(voice: str) -> None:
    announcement = _read(read_announcement(Builtin(name=voice)))

    assert 1.0 < announcement.samples.size / RATE_HZ < 10.0


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no WAV or FLAC file"),
        (b"RIFF\x24\0\0\0WAVE", "no WAV or FLAC file"),
        (b"<html>not found</html>" * 50, "no WAV or FLAC file"),
        (_file(np.zeros(0)), "lasts 0.0 s"),
        (_file(_tone(RATE_HZ, 0.4)), "lasts 0.4 s"),
        (_file(_tone(RATE_HZ, 60.1)), "lasts more than 60 s"),
        (_file(np.zeros(RATE_HZ)), "is silent"),
        (_file(_tone(RATE_HZ, amplitude=0.005)), "is silent"),
        (_file(np.stack([_tone(RATE_HZ), -_tone(RATE_HZ)], axis=1)), "is silent"),
        (_file(np.full(RATE_HZ, np.nan), subtype="FLOAT"), "no numbers"),
        (_file(np.full(RATE_HZ, np.inf), subtype="DOUBLE"), "no numbers"),
        (bytes(MAX_ANNOUNCEMENT_BYTES + 1), "more than 33554432"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)}-bytes",
)
def test_a_file_that_nobody_could_hear_is_refused_with_name_and_reason(data: bytes, words: str) -> None:
    with pytest.raises(AnnouncementError, match=words) as caught:
        _read(data)

    assert "'zh'" in str(caught.value)
    assert "/etc/callseal/zh.wav" in str(caught.value)


def test_hours_in_a_small_file_are_refused_without_decoding_them() -> None:
    hour = _file(np.zeros(60 * 60 * RATE_HZ), container="FLAC")

    tracemalloc.start()
    try:
        with pytest.raises(AnnouncementError, match="lasts more than 60 s"):
            _read(hour)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(hour) < 1_000_000
    assert most_bytes < 10 * MAX_ANNOUNCEMENT_S * RATE_HZ


@pytest.mark.parametrize("duration_s", [0.5, MAX_ANNOUNCEMENT_S])
def test_half_a_second_and_a_minute_are_allowed(duration_s: float) -> None:
    announcement = _read(_file(_tone(RATE_HZ, duration_s)))

    assert announcement.samples.size == duration_s * RATE_HZ


@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 40_000))
def test_any_damage_to_a_file_raises_only_the_error_of_announcements(
    noise: bytes, at: int, size: int
) -> None:
    data = _file(_tone(RATE_HZ), container="FLAC" if size % 2 else "WAV")

    try:
        announcement = _read((data[:at] + noise + data[at + len(noise) :])[:size])
    except AnnouncementError:
        return

    assert announcement.samples.dtype == np.int16
    assert announcement.samples.size > 0


def _known(**sizes: int) -> dict[str, Announcement]:
    return {
        name: Announcement(name=name, language="x", sha256="", samples=np.full(size, 1000 + size, np.int16))
        for name, size in sizes.items()
    }


def test_a_programme_is_the_announcements_in_their_order_with_silence_around_and_between() -> None:
    programme = prepare(["en", "zh"], _known(zh=4000, en=5000), RATE_HZ)

    lead, gap, tail = (int(each_s * RATE_HZ) for each_s in (LEAD_S, GAP_S, TAIL_S))
    expected = [np.zeros(lead), np.full(5000, 6000), np.zeros(gap), np.full(4000, 5000), np.zeros(tail)]
    assert np.array_equal(programme.samples, np.concatenate(expected))
    assert programme.samples.dtype == np.int16
    assert [(part.announcement.name, part.start_samples, part.end_samples) for part in programme.parts] == [
        ("en", lead, lead + 5000),
        ("zh", lead + 5000 + gap, lead + 5000 + gap + 4000),
    ]


def test_one_announcement_may_be_played_twice() -> None:
    programme = prepare(["zh", "zh"], _known(zh=4000), RATE_HZ)

    for part in programme.parts:
        assert np.all(programme.samples[part.start_samples : part.end_samples] == 5000)
    assert programme.samples.size == programme.parts[1].end_samples + int(TAIL_S * RATE_HZ)
