"""The sound of announcements: the shipped voices, and files of one's own."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from callseal.config.announcement import (
    BUILTIN_VOICES,
    MAX_ANNOUNCEMENT_BYTES,
    Builtin,
    read_announcement,
)
from callseal.config.errors import AnnouncementError
from support.settings_text import LEAST, settings_of

RATE_HZ = 16_000
LONGEST_S = 9.0


def _samples(name: str) -> NDArray[np.float64]:
    with wave.open(io.BytesIO(read_announcement(Builtin(name=name)))) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, RATE_HZ)
        pcm = sound.readframes(sound.getnframes())
    return np.frombuffer(pcm, "<i2") / 32768.0


def _level_dbov(samples: NDArray[np.float64]) -> float:
    """Level of the frames of 20 ms that lie within 25 dB of the loudest: close to P.56 for clean speech."""
    frames = samples[: samples.size // 320 * 320].reshape(-1, 320)
    power = np.mean(frames**2, axis=1)
    return float(10 * np.log10(np.mean(power[power > power.max() * 10**-2.5])))


@pytest.mark.parametrize("name", BUILTIN_VOICES)
def test_a_shipped_voice_is_short_mono_telephone_sound(name: str) -> None:
    samples = _samples(name)

    assert 2.0 < samples.size / RATE_HZ <= LONGEST_S


@pytest.mark.parametrize("name", BUILTIN_VOICES)
def test_a_shipped_voice_is_as_loud_as_a_caller_and_never_clipped(name: str) -> None:
    samples = _samples(name)

    assert np.abs(samples).max() <= 10 ** (-3 / 20)
    assert _level_dbov(samples) == pytest.approx(-20.0, abs=1.5)


@pytest.mark.parametrize("name", BUILTIN_VOICES)
def test_a_shipped_voice_begins_and_ends_in_silence_so_that_no_word_is_cut(name: str) -> None:
    samples = _samples(name)

    assert np.abs(samples[: RATE_HZ // 10]).max() < 0.001
    assert np.abs(samples[-RATE_HZ // 10 :]).max() < 0.001


def test_the_defaults_announce_in_both_languages() -> None:
    announcements = settings_of(LEAST).announcements

    assert [(one.language, str(one.file)) for one in announcements] == [
        ("zh-CN", "builtin:zh"),
        ("en", "builtin:en"),
    ]
    assert all(read_announcement(one.file).startswith(b"RIFF") for one in announcements)


def test_a_file_of_ones_own_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "own.wav"
    path.write_bytes(b"RIFF....")

    assert read_announcement(path) == b"RIFF...."


def test_a_missing_file_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    with pytest.raises(AnnouncementError, match="can't be read: No such file or directory") as caught:
        read_announcement(tmp_path / "gone.wav")

    assert caught.value.exit_code == 78
    assert caught.value.problems[0].file == str(tmp_path / "gone.wav")


def test_a_file_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "endless.wav"
    with path.open("wb") as file:
        file.truncate(MAX_ANNOUNCEMENT_BYTES + 1)

    with pytest.raises(AnnouncementError, match="larger than"):
        read_announcement(path)
