"""Tones in the codings that a decoder is there for, made by FFmpeg's encoders."""

from fractions import Fraction

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

LEVEL = 8000
TONE_HZ = 440


def tone(rate_hz: int, *, seconds: float = 1.0, hz: float = TONE_HZ) -> NDArray[np.int16]:
    """Give a sine of `LEVEL`, int16, shape (samples,)."""
    at = np.arange(int(rate_hz * seconds)) / rate_hz
    return (LEVEL * np.sin(2 * np.pi * hz * at)).astype(np.int16)


def coded(encoder: str, samples: NDArray[np.int16], *, rate_hz: int, bits_per_s: int = 0) -> list[bytes]:
    """Give the frames of 20 ms that an encoder makes of samples."""
    context = AudioCodecContext.create(encoder, "w")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate = rate_hz
    context.layout = "mono"
    context.format = "s16"
    context.time_base = Fraction(1, rate_hz)
    if bits_per_s:
        context.bit_rate = bits_per_s
    context.open()
    size = rate_hz // 50
    frames = []
    for start in range(0, len(samples) - size + 1, size):
        frame = av.AudioFrame.from_ndarray(
            samples[None, start : start + size].copy(), format="s16", layout="mono"
        )
        frame.sample_rate = rate_hz
        frame.pts = start
        frames += [bytes(packet) for packet in context.encode(frame)]
    return frames


def strongest_hz(samples: NDArray[np.int16], rate_hz: int) -> float:
    """Give the frequency of the strongest part of a sound."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * rate_hz / len(samples))


def level(samples: NDArray[np.int16]) -> float:
    """Give the amplitude that a sine of this power has."""
    return float(np.sqrt(2 * np.mean(samples.astype(np.float64) ** 2)))
