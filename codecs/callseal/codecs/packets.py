"""The headers of many RTP packets, read at once.

Conventions: a batch is arrays of the same length k, one item a packet, in the order of arrival within each
row (a stream's place in its bank); packets of one row stand together. `raw` is (k, R) uint8, one packet a
line, header first; a line's bytes behind the packet's length mean nothing. Positions are samples since the
bank began. Nothing here loops over packets: who sends odd ones must not be able to make them expensive.

Source: RFC 3550 section 5.1 and 5.3.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final, Self

import numpy as np

from callseal.codecs.arrays import Bytes, Flags, Ints, Sequences16, Stamps
from callseal.codecs.rtp import HEADER_BYTES

_FIELDS: Final = np.dtype(
    [("flags", "u1"), ("kind", "u1"), ("sequence", ">u2"), ("ts", ">u4"), ("ssrc", ">u4")]
)
_VERSION_2: Final = 0x80  # alone: no padding, no extension, no contributing source
_EXTENDED: Final = 0x10
_PADDED: Final = 0x20


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """What the headers say, before anything is known of the streams."""

    valid: Flags
    """Whether it is a packet at all; where not, the other fields mean nothing."""
    payload_type: Bytes
    sequence: Sequences16
    ts: Stamps
    ssrc: Stamps
    start: Ints
    """Where the payload begins in the line."""
    size: Ints
    """Bytes of the payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Packets with all that placing them needs."""

    raw: Bytes
    """Shape (lines, R): the packets, and others."""
    lines: Ints | None = None
    """Which lines of `raw` the packets are; None for all of them as they stand."""
    row: Ints
    kind: Bytes
    """What the payload is: a `Kind` of the timeline."""
    sequence: Sequences16
    ts: Stamps
    ssrc: Stamps
    start: Ints
    """Where the payload begins in its line."""
    size: Ints
    """Bytes of the payload."""
    low: Ints
    """It arrived after this position …"""
    high: Ints
    """… and not after this one."""
    order: Ints
    """Counts arrivals: greater is later, within a row."""
    position: Ints
    """Where the payload begins, as far as its stream's clock is known."""
    samples: Ints
    """How many samples of sound it holds; none where it is no sound."""

    def __len__(self) -> int:
        """Count the packets."""
        return len(self.row)

    def only(self, which: Flags | Ints) -> Self:
        """Give the packets of a mask, or in the order of indices."""
        columns = {name: getattr(self, name)[which] for name in _COLUMNS}
        lines = np.arange(len(self))[which] if self.lines is None else self.lines[which]
        return type(self)(raw=self.raw, lines=lines, **columns)

    def starts(self) -> Ints:
        """Give the index of each row's first packet."""
        return np.flatnonzero(np.append(True, self.row[1:] != self.row[:-1]))

    def at(self, position: Ints) -> Self:
        """Give the same packets with other positions."""
        return replace(self, position=position)

    def line(self, index: Ints) -> Ints:
        """Give the lines of some packets."""
        return index if self.lines is None else self.lines[index]

    def kept(self) -> Self:
        """Give the same in memory of its own, with lines no longer than the longest packet."""
        width = max(int((self.start + self.size).max(initial=0)), HEADER_BYTES)
        raw = self.raw[:, :width].copy() if self.lines is None else self.raw[self.lines, :width]
        return type(self)(raw=raw, **{name: getattr(self, name) for name in _COLUMNS})


_COLUMNS: Final = tuple(field.name for field in fields(Batch) if field.name not in {"raw", "lines"})


def join(batches: Sequence[Batch]) -> Batch:
    """Give one batch of several that are kept, rows together and in the order of arrival."""
    width = max(batch.raw.shape[1] for batch in batches)
    raw = np.zeros((sum(map(len, batches)), width), np.uint8)
    line = 0
    for batch in batches:
        raw[line : line + len(batch), : batch.raw.shape[1]] = batch.raw
        line += len(batch)
    columns = {name: np.concatenate([getattr(batch, name) for batch in batches]) for name in _COLUMNS}
    joined = Batch(raw=raw, **columns)
    return joined.only(np.lexsort((joined.order, joined.row)))


def read_headers(raw: Bytes, lengths: Ints) -> Headers:
    """Read the headers of packets; raw: (k, R) uint8, R at least 12, lengths: (k,) bytes, any value."""
    head = raw[:, :HEADER_BYTES].copy().view(_FIELDS)[:, 0]
    flags = head["flags"]
    valid = (lengths >= HEADER_BYTES) & (lengths <= raw.shape[1]) & (flags & 0xC0 == _VERSION_2)
    start = np.full(len(raw), HEADER_BYTES, np.int64)
    size = lengths - HEADER_BYTES
    odd = np.flatnonzero(valid & (flags != _VERSION_2))
    if len(odd):
        valid[odd], start[odd], size[odd] = _unfold(raw, lengths, flags[odd], odd)
    return Headers(
        valid=valid,
        payload_type=(head["kind"] & 0x7F).astype(np.uint8),
        sequence=head["sequence"].astype(np.uint16),
        ts=head["ts"].astype(np.uint32),
        ssrc=head["ssrc"].astype(np.uint32),
        start=start,
        size=size,
    )


def _unfold(raw: Bytes, lengths: Ints, flags: Bytes, odd: Ints) -> tuple[Flags, Ints, Ints]:
    """Find the payload behind contributing sources and extension and before padding."""
    last = raw.shape[1] - 1
    end = lengths[odd]
    start = HEADER_BYTES + 4 * (flags & 0x0F).astype(np.int64)
    extended = flags & _EXTENDED != 0
    high = raw[odd, np.minimum(start + 2, last)].astype(np.int64)
    low = raw[odd, np.minimum(start + 3, last)].astype(np.int64)
    valid = ~extended | (start + 4 <= end)
    start = start + np.where(extended, 4 + 4 * (high << 8 | low), 0)
    padded = flags & _PADDED != 0
    padding = np.where(padded, raw[odd, end - 1].astype(np.int64), 0)
    size = end - padding - start
    return valid & (size >= 0) & (~padded | (padding > 0)), start, size
