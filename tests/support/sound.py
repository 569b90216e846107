"""Speech for tests, and numeric listening.

Speech comes with the demo, or is a human reading from a Debian package; mono, 8 kHz, int16.
"""

import wave
from importlib.resources import files
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from callseal.codecs import g711
from support.programs import missing

RATE_HZ = 8000
_HUMAN = Path("/usr/share/pocketsphinx/test/data/librivox")
Samples = NDArray[np.int16]


def demo_speech(name: str) -> Samples:
    """Give one of the demo's voices, such as "en-agent", without its pauses at the ends."""
    speech = files("callseal.cli.demo").joinpath("speech", f"{name}.wav")
    with speech.open("rb") as file, wave.open(file) as wav:
        samples = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").astype(np.int16)
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 100)
    return samples[loud[0] : loud[-1] + 1]


def human_speech(number: str) -> Samples:
    """Give a piece of a reading by a human voice, such as "0880", from Debian's pocketsphinx-testdata."""
    path = _HUMAN / f"sense_and_sensibility_01_austen_64kb-{number}.wav"
    if not path.exists():
        missing("real speech is not installed", "pocketsphinx-testdata")
    samples, rate_hz = soundfile.read(path, dtype="float32")
    telephone: NDArray[np.float32] = soxr.resample(samples, rate_hz, RATE_HZ, quality="HQ")
    return np.clip(telephone * 32768, -32768, 32767).astype(np.int16)


def write_wav(path: Path, samples: Samples) -> Path:
    """Write a mono WAV file at 8 kHz."""
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE_HZ)
        wav.writeframes(samples.astype("<i2").tobytes())
    return path


def write_ulaw(path: Path, samples: Samples, law: g711.Law = g711.Law.MU) -> Path:
    """Write headerless G.711, as sipp streams it."""
    path.write_bytes(g711.encode(samples, law).tobytes())
    return path


def locate(track: Samples, source: Samples) -> tuple[int, float]:
    """Find `source` in `track`: the best position, and the normalised correlation there (-1 to 1)."""
    long, short = track.astype(np.float64), source.astype(np.float64)
    size = 1 << int(np.ceil(np.log2(long.size + short.size)))
    product = np.fft.irfft(np.fft.rfft(long, size) * np.conj(np.fft.rfft(short, size)), size)
    position = int(np.argmax(product[: long.size]))
    heard = long[position : position + short.size]
    said = short[: heard.size]
    power = float((heard @ heard) * (said @ said))
    return position, float(heard @ said) / power**0.5 if power else 0.0


def likeness(track: Samples, source: Samples) -> float:
    """Say how much of `source` is in `track`, by pieces of a quarter second (0 to 1).

    A jitter buffer drops or repeats 20 ms where the sender or the machine stumbled; what follows is then the
    same speech a little earlier or later. So each piece is looked for within 100 ms of where the whole was
    found, and the lower quartile of what they score is given: three quarters of all are at least so alike.
    """
    position, _whole = locate(track, source)
    piece, slack = RATE_HZ // 4, RATE_HZ // 10
    scores = []
    for start in range(0, source.size - piece + 1, piece):
        part = source[start : start + piece]
        if np.sqrt(np.mean(np.square(part, dtype=np.float64))) < 300:
            continue
        begin = max(0, position + start - slack)
        near = track[begin : begin + piece + 2 * slack]
        scores.append(_likest(near, part))
    return float(np.quantile(scores, 0.25)) if scores else 0.0


def _likest(track: Samples, source: Samples) -> float:
    """Give the normalised correlation of `source` with the stretch of `track` that is most like it.

    `locate` looks for the largest product, which a loud stretch has beside a quiet one that is like it.
    """
    missing = max(0, source.size - track.size)
    long, short = np.pad(track.astype(np.float64), (0, missing)), source.astype(np.float64)
    sums = np.concatenate(([0.0], np.cumsum(np.square(long))))
    power = (sums[short.size :] - sums[: -short.size]) * (short @ short)
    products = np.correlate(long, short, "valid")
    return float(np.max(products / np.sqrt(np.maximum(power, 1.0))))
