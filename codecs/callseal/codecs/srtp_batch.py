"""The packets of one batch of SRTP, read as far as they are not encrypted.

Conventions: one entry a packet in every array; nothing beyond a packet's length is believed. Source: RFC 3711
section 3.1; RFC 3550 section 5.1; RFC 7714 section 5.3 for where GCM has its tag.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

MAX_TAG_BYTES: Final = 16
NONE: Final = -1
"""A context that is not known yet."""

_HEADER_BYTES: Final = 12
_LEAST_ROW_BYTES: Final = 16
_VERSION: Final = 2

_Rows = NDArray[np.uint8]
_Ints = NDArray[np.int64]
_Bools = NDArray[np.bool_]


@dataclass(slots=True)
class Batch:
    """What is known of the packets."""

    rows: _Rows
    streams: _Ints
    ends: _Ints
    """Where what is authenticated ends: behind the payload."""
    headers: _Ints
    """How long the header is."""
    ssrcs: _Ints
    sequences: _Ints
    sound: _Bools
    """Whether it looks like a packet at all."""
    tags: _Rows
    """Shape (packets, 16)."""
    contexts: _Ints
    """Which source of which stream; found by the bank."""
    indexes: _Ints
    """Roll-over counter and sequence number; estimated by the bank."""


def read_batch(
    rows: _Rows, streams: _Ints, lengths: _Ints, *, tag_bytes: _Ints, mki_bytes: _Ints, is_gcm: _Bools
) -> Batch:
    """Take the headers apart; rows: (packets, row bytes), all else: (packets,)."""
    width = rows.shape[1]
    if width < _LEAST_ROW_BYTES:
        raise ValueError("a row is too short for any packet")
    at = np.arange(len(rows))
    lengths = np.clip(lengths, 0, width)
    ends = lengths - tag_bytes - mki_bytes
    headers = _HEADER_BYTES + 4 * (rows[:, 0] & 0x0F).astype(np.int64)
    extended = (rows[:, 0] & 0x10) != 0
    if extended.any():
        words_at = np.minimum(headers + 2, width - 2)
        words = rows[at, words_at].astype(np.int64) << 8 | rows[at, words_at + 1]
        headers = np.where(extended, headers + 4 + 4 * words, headers)
    # With GCM the tag stands before the MKI, as a part of what is encrypted.
    tags_at = np.where(is_gcm, ends, lengths - tag_bytes)[:, None]
    ssrcs = rows[:, 8:12].astype(np.int64)
    return Batch(
        rows=rows,
        streams=streams,
        ends=np.maximum(ends, 0),
        headers=headers,
        ssrcs=ssrcs[:, 0] << 24 | ssrcs[:, 1] << 16 | ssrcs[:, 2] << 8 | ssrcs[:, 3],
        sequences=rows[:, 2].astype(np.int64) << 8 | rows[:, 3],
        sound=(rows[:, 0] >> 6 == _VERSION) & (headers <= ends),
        tags=rows[at[:, None], np.clip(tags_at + np.arange(MAX_TAG_BYTES), 0, width - 1)],
        contexts=np.full(len(rows), NONE),
        indexes=np.zeros(len(rows), np.int64),
    )
