"""The inner file: Sun/NeXT `.au`, the form in which audio lies inside the seal.

Conventions: interleaved samples, channel 0 first; 16-bit samples big-endian, as the format demands.
The data size is always written as 0xFFFFFFFF ("unknown"), so a header is never patched and a file that
was cut short still plays up to the cut.

Source: the .au header of Sun Microsystems' audio(7) and of NeXTSTEP's sound structure: six big-endian
32-bit words (magic ".snd", data offset, data size, encoding, sample rate, channels), then an annotation
that fills the space up to the data offset.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from callseal.codecs import g711
from callseal.codecs.errors import AuError

_MAGIC: Final = b".snd"
_WORDS: Final = struct.Struct(">4s5I")
_UNKNOWN_SIZE: Final = 0xFFFFFFFF
_MAX_ANNOTATION_BYTES: Final = 4096
_MAX_CHANNELS: Final = 8
_MAX_RATE_HZ: Final = 192_000

HEADER_BYTES: Final = _WORDS.size + 8
"""Length of a header as written here: the annotation is 8 zero bytes, which also ends it for old readers."""


class Encoding(IntEnum):
    """The .au encodings that are used; the value is the number in the header."""

    ULAW = 1
    PCM16 = 3
    ALAW = 27

    @property
    def sample_bytes(self) -> int:
        """Bytes that one sample of one channel takes."""
        return 2 if self is Encoding.PCM16 else 1

    @property
    def law(self) -> g711.Law | None:
        """The companding law, or None for linear samples."""
        return {Encoding.ULAW: g711.Law.MU, Encoding.ALAW: g711.Law.A}.get(self)


_CODES: Final = frozenset(encoding.value for encoding in Encoding)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuHeader:
    """What an inner file says of itself."""

    encoding: Encoding
    rate_hz: int
    channels: int
    data_offset_bytes: int = HEADER_BYTES

    def __bytes__(self) -> bytes:
        """Give the header as it is written: data size unknown, annotation empty."""
        words = _WORDS.pack(
            _MAGIC, HEADER_BYTES, _UNKNOWN_SIZE, self.encoding.value, self.rate_hz, self.channels
        )
        return words.ljust(HEADER_BYTES, b"\0")

    @property
    def frame_bytes(self) -> int:
        """Bytes that one sample of all channels takes."""
        return self.encoding.sample_bytes * self.channels


def parse(data: bytes) -> AuHeader:
    """Read the header at the beginning of `data`; bytes behind it are left alone.

    Raises AuError: too short, another magic, or values that Callseal never writes.
    """
    if len(data) < _WORDS.size:
        raise AuError(f"an .au header has {_WORDS.size} bytes at least, here are {len(data)}")
    magic, offset, _size, code, rate_hz, channels = _WORDS.unpack_from(data)
    if magic != _MAGIC:
        raise AuError(f"not an .au file: it begins with {bytes(magic)!r}")
    if not _WORDS.size <= offset <= _WORDS.size + _MAX_ANNOTATION_BYTES:
        raise AuError(
            f"the .au data offset {offset} is outside {_WORDS.size} to {_WORDS.size + _MAX_ANNOTATION_BYTES}"
        )
    if code not in _CODES:
        raise AuError(f"the .au encoding {code} is none of {sorted(_CODES)}")
    if not 1 <= rate_hz <= _MAX_RATE_HZ or not 1 <= channels <= _MAX_CHANNELS:
        raise AuError(f"the .au header says {rate_hz} Hz and {channels} channels")
    return AuHeader(encoding=Encoding(code), rate_hz=rate_hz, channels=channels, data_offset_bytes=offset)


def to_bytes(frames: NDArray[np.uint8] | NDArray[np.int16]) -> bytes:
    """Give the file's bytes of interleaved samples: uint8 codes as they are, int16 big-endian.

    frames: uint8 or int16, shape (samples, channels).
    """
    if frames.dtype == np.uint8:
        return frames.tobytes()
    return frames.astype(">i2").tobytes()


def to_frames(data: bytes, header: AuHeader) -> NDArray[np.uint8] | NDArray[np.int16]:
    """Give whole frames of the file's data as `to_bytes` takes them; an incomplete last frame is left out.

    Result: uint8 codes, or int16 for linear samples, shape (samples, channels).
    """
    whole = len(data) // header.frame_bytes * header.frame_bytes
    if header.encoding.law is None:
        return np.frombuffer(data, ">i2", whole // 2).astype(np.int16).reshape(-1, header.channels)
    return np.frombuffer(data, np.uint8, whole).reshape(-1, header.channels)


def to_samples(data: bytes, header: AuHeader) -> NDArray[np.int16]:
    """Decode whole frames of the file's data; an incomplete last frame is left out.

    Result: int16, shape (channels, samples).
    """
    whole = len(data) // header.frame_bytes * header.frame_bytes
    law = header.encoding.law
    if law is None:
        flat = np.frombuffer(data, ">i2", whole // 2).astype(np.int16)
    else:
        flat = g711.decode(np.frombuffer(data, np.uint8, whole), law)
    return flat.reshape(-1, header.channels).T
