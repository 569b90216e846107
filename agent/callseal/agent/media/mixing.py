"""Streams to the two channels of recordings: interleaved as they are, or added where several share a channel.

Conventions: a *row* is a stream's samples, uint8 G.711 codes or int16, in a matrix of shape (rows, samples).
A recording's payload has shape (recordings, samples, 2), as in `Block`.
"""

import sys
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from callseal.codecs import g711

Samples = NDArray[np.uint8] | NDArray[np.int16]


def _samples(law: g711.Law) -> NDArray[np.int16]:
    samples = g711.decode(np.arange(256, dtype=np.uint8), law)
    samples[g711.silence(law)] = 0  # A-law has no zero: the code of silence would add 8 to who speaks
    return samples


_SAMPLES: Final = {law: _samples(law) for law in g711.Law}


def interleave(
    parts: Sequence[Samples], left: NDArray[np.int64], right: NDArray[np.int64], out: NDArray[np.uint8]
) -> Samples:
    """Give the payload of recordings whose channels are these rows, of matrices that follow one another.

    parts: at least one, of one type; left, right: shape (recordings,). The result lies in `out`, a flat array
    of at least as many bytes.
    """
    kind = parts[0].dtype
    narrow, wide = (np.uint8, np.uint16) if kind.itemsize == 1 else (np.uint16, np.uint32)
    samples = sum(part.shape[1] for part in parts)
    size = len(left) * samples * 2 * kind.itemsize
    pairs = out[:size].view(wide).reshape(len(left), samples)
    at = 0
    for part in parts:
        low, high = _rows(part, left).view(narrow), _rows(part, right).view(narrow)
        if sys.byteorder == "big":
            low, high = high, low
        # Two samples make one number of twice the width: a multiplication and an addition, no strided copy.
        stretch = pairs[:, at : at + part.shape[1]]
        np.multiply(high, wide(1 << kind.itemsize * 8), out=stretch, dtype=wide)
        np.add(stretch, low, out=stretch)
        at += part.shape[1]
    return pairs.view(kind).reshape(len(left), samples, 2)


def _rows(matrix: Samples, rows: NDArray[np.int64]) -> Samples:
    """Give rows of a matrix, shape (len(rows), samples); a view where they lie at even distances."""
    steps = np.diff(rows)
    if len(steps) and steps[0] > 0 and (steps == steps[0]).all():
        return matrix[int(rows[0]) : int(rows[-1]) + 1 : int(steps[0])]
    return matrix[rows]


def added(rows: Sequence[Samples], law: g711.Law | None) -> Samples:
    """Add streams of one channel, clipped at full scale.

    rows: shape (samples,) each, of one type, which is the result's. law: that of uint8 codes.
    """
    total = np.zeros(rows[0].shape, np.int32)
    for row in rows:
        total += row if law is None else _SAMPLES[law][row]
    linear = np.clip(total, np.iinfo(np.int16).min, np.iinfo(np.int16).max).astype(np.int16)
    return g711.encode(linear, law) if law is not None else linear
