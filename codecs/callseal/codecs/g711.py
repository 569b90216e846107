"""G.711 µ-law and A-law, by table.

Conventions: linear samples are int16 at full scale (G.711's 14- and 13-bit values are left-aligned in
16 bits, as every RTP stack does); coded samples are uint8, one byte a sample. Decoding and encoding
again gives the same byte, save µ-law's two zeros (0x7F and 0xFF), of which 0xFF is written.

Source: ITU-T G.711 (11/88), tables 1 and 2; RFC 3551 section 4.5.14 for the payload's bit order.
"""

from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

_ULAW_BIAS: Final = 0x84  # G.711 table 2a: the decision value added before the segment is found
_ULAW_CLIP: Final = 32635  # the largest magnitude that the biased code can hold


class Law(Enum):
    """One of G.711's two companding laws; the value is the RTP encoding name (RFC 3551)."""

    MU = "PCMU"
    A = "PCMA"


def _ulaw_decode_table() -> NDArray[np.int16]:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + _ULAW_BIAS) << ((code & 0x70) >> 4)
    return np.where(code & 0x80, _ULAW_BIAS - magnitude, magnitude - _ULAW_BIAS).astype(np.int16)


def _alaw_decode_table() -> NDArray[np.int16]:
    code = np.arange(256, dtype=np.int32) ^ 0x55  # even bits are inverted on the line
    mantissa = (code & 0x0F) << 4
    segment = (code & 0x70) >> 4
    magnitude = np.where(segment == 0, mantissa + 8, (mantissa + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _ulaw_encode_table() -> NDArray[np.uint8]:
    sample = np.arange(-32768, 32768, dtype=np.int32)
    magnitude = np.minimum(np.abs(sample), _ULAW_CLIP) + _ULAW_BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    sign = np.where(sample < 0, 0x80, 0)
    code: NDArray[np.int32] = ~(sign | (exponent << 4) | mantissa) & 0xFF
    return code.astype(np.uint8)


def _alaw_encode_table() -> NDArray[np.uint8]:
    sample = np.arange(-32768, 32768, dtype=np.int32)
    # Negative values are ones-complemented, so that -1 … -16 and 0 … 15 fall into mirrored intervals.
    magnitude = np.where(sample < 0, ~sample, sample) >> 4
    # Segments 0 and 1 have the same step; from there on each doubles it.
    segment = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 3, 0)
    mantissa = (magnitude >> np.maximum(segment - 1, 0)) & 0x0F
    sign = np.where(sample < 0, 0, 0x80)
    code: NDArray[np.int32] = (sign | (segment << 4) | mantissa) ^ 0x55
    return code.astype(np.uint8)


_DECODE: Final = {Law.MU: _ulaw_decode_table(), Law.A: _alaw_decode_table()}
# Indexed by the sample's unsigned 16-bit pattern, so that encoding is one look-up without an addition.
_ENCODE: Final = {
    Law.MU: np.roll(_ulaw_encode_table(), 32768),
    Law.A: np.roll(_alaw_encode_table(), 32768),
}


def decode(payload: NDArray[np.uint8], law: Law) -> NDArray[np.int16]:
    """Give the linear samples of coded ones; any shape, kept.

    payload: uint8. Result: int16 of the same shape.
    """
    return _DECODE[law][payload]


def encode(samples: NDArray[np.int16], law: Law) -> NDArray[np.uint8]:
    """Give the coded samples of linear ones; any shape, kept.

    samples: int16. Result: uint8 of the same shape.
    """
    return _ENCODE[law][samples.view(np.uint16)]


def silence(law: Law) -> int:
    """Give the code of the sample value nearest to zero, the one that idle lines send."""
    return 0xFF if law is Law.MU else 0xD5
