"""What the demo's people say, as a telephone line carries it.

Conventions: A-law, one byte a sample, 8,000 a second; ValueError for a file that is not mono at that rate.
"""

import wave
from importlib.resources import files
from typing import Final

import numpy as np

from callseal.codecs import g711

_RATE_HZ: Final = 8000


def on_the_line(name: str) -> bytes:
    """Give a speech of the demo's by its name, such as "en-agent"."""
    path = files("callseal.cli.demo").joinpath("speech", f"{name}.wav")
    with path.open("rb") as file, wave.open(file) as sound:
        if (sound.getnchannels(), sound.getframerate()) != (1, _RATE_HZ):
            raise ValueError(f"{name}: not mono at {_RATE_HZ} Hz")
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.int16)
    return g711.encode(samples, g711.Law.A).tobytes()
