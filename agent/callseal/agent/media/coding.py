"""What the payload types of a stream stand for, and sound in another coding turned into the recording's.

G.711 in the recording's own law passes untouched. The other law goes through a table of 256 codes. Everything
else becomes linear samples, by table or by a decoder, and codes again where the recording is G.711.

Conventions: packets are rows of bytes, as received; those of one batch are converted at once. Rows for a
linear bank are written anew: a plain header, the timestamp as it was, then int16 in the machine's byte order.
Source: RFC 3550 section 5.1; RFC 3551 section 4.1 and 6 (G.722's clock of 8000 Hz).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from callseal.agent.call import AudioFormat
from callseal.agent.sdp.session import Format
from callseal.codecs import g711
from callseal.codecs.packets import read_headers
from callseal.codecs.rtp import HEADER_BYTES, VERSION

PAYLOAD_TYPES: Final = 128
MAX_PACKET_MS: Final = 120
"""The longest packet of sound that is taken (RFC 6716: Opus)."""
NARROW_HZ: Final = 8000
COMFORT_NOISE_TYPE: Final = 13
"""RFC 3551 section 6: gateways send it unasked. It stands for this unless something else was agreed on."""

_LAWS: Final = {"PCMU": g711.Law.MU, "PCMA": g711.Law.A}
_CODES: Final = np.arange(256, dtype=np.uint8)
_TO_LAW: Final = {
    g711.Law.MU: g711.encode(g711.decode(_CODES, g711.Law.A), g711.Law.MU),
    g711.Law.A: g711.encode(g711.decode(_CODES, g711.Law.MU), g711.Law.A),
}
"""Codes of the other law in this one, by code."""


class Kind(IntEnum):
    """What is to be done with a packet, by its payload type."""

    UNKNOWN = 0
    """Nothing that was agreed on: counted, not recorded."""
    AS_IS = 1
    FROM_MU = 2
    FROM_A = 3
    DECODED = 4
    COMFORT_NOISE = 5
    TELEPHONE_EVENT = 6


SOUND: Final = (Kind.AS_IS, Kind.FROM_MU, Kind.FROM_A, Kind.DECODED)

Kinds = NDArray[np.uint8]
"""A `Kind` for each payload type, shape (PAYLOAD_TYPES,)."""


def kinds_of(formats: Sequence[Format], into: AudioFormat) -> Kinds:
    """Say what each payload type of a stream stands for in a recording of that form."""
    kinds = np.full(PAYLOAD_TYPES, Kind.UNKNOWN, np.uint8)
    kinds[COMFORT_NOISE_TYPE] = Kind.COMFORT_NOISE
    for item in reversed(formats):  # so that of two with one number the preferred one counts
        if 0 <= item.payload_type < PAYLOAD_TYPES:
            kinds[item.payload_type] = _kind(item, into)
    return kinds


def _kind(item: Format, into: AudioFormat) -> Kind:
    if item.name == "CN":
        return Kind.COMFORT_NOISE
    if item.name == "TELEPHONE-EVENT":
        return Kind.TELEPHONE_EVENT
    law = _LAWS.get(item.name)
    if law is None:
        return Kind.DECODED
    if law is into.encoding.law:
        return Kind.AS_IS
    return Kind.FROM_MU if law is g711.Law.MU else Kind.FROM_A


@dataclass(frozen=True, slots=True, kw_only=True)
class Packets:
    """Some packets: uint8 rows, shape (packets, bytes), and how many bytes of each count, int64."""

    rows: NDArray[np.uint8]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)

    def where(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> "Packets":
        """Give some of them."""
        return Packets(rows=self.rows[which], lengths=self.lengths[which])


def plain(packets: Packets) -> Packets:
    """Take CSRC lists, header extensions and padding out; what is no packet is left as it is.

    Only when a packet has any of these are the packets copied and written anew.
    """
    headers = read_headers(packets.rows, packets.lengths)
    odd = headers.valid & ((headers.start != HEADER_BYTES) | (headers.size + HEADER_BYTES != packets.lengths))
    if not odd.any():
        return packets
    rows, width = packets.rows.copy(), packets.rows.shape[1]
    for start in np.unique(headers.start[odd]).tolist():
        which = odd & (headers.start == start)
        rows[which, HEADER_BYTES : width - start + HEADER_BYTES] = packets.rows[which, start:]
        rows[which, 0] = VERSION << 6
    return Packets(rows=rows, lengths=np.where(odd, HEADER_BYTES + headers.size, packets.lengths))


def to_law(rows: NDArray[np.uint8], size: int, law: g711.Law) -> None:
    """Turn plain packets of the other law into this one, in place; `size` is their longest length."""
    rows[:, HEADER_BYTES:size] = _TO_LAW[law][rows[:, HEADER_BYTES:size]]


def linear_rows(packets: Packets, law: g711.Law, rate_hz: int) -> Packets:
    """Turn plain packets of G.711 into linear ones at 8 or 16 kHz; what is too long becomes empty."""
    factor = rate_hz // NARROW_HZ
    most = NARROW_HZ * MAX_PACKET_MS // 1000
    samples = packets.lengths - HEADER_BYTES
    samples = np.where((samples >= 0) & (samples <= most), samples, 0)
    longest = int(samples.max(initial=0))
    linear = g711.decode(packets.rows[:, HEADER_BYTES : HEADER_BYTES + longest], law)
    if factor > 1 and longest:
        linear = _doubled(linear)
    rows = np.empty((len(packets), HEADER_BYTES + linear.shape[1] * 2), np.uint8)
    rows[:, :HEADER_BYTES] = packets.rows[:, :HEADER_BYTES]
    rows[:, HEADER_BYTES:] = np.ascontiguousarray(linear).view(np.uint8)
    return Packets(rows=rows, lengths=HEADER_BYTES + samples * factor * 2)


def _doubled(linear: NDArray[np.int16]) -> NDArray[np.int16]:
    """Give twice as many samples, each new one between its neighbours; shape (packets, samples)."""
    out = np.repeat(linear, 2, axis=1)
    out[:, 1:-1:2] = ((linear[:, :-1].astype(np.int32) + linear[:, 1:]) >> 1).astype(np.int16)
    return out


def sources(rows: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Give the SSRCs of packets, shape (packets,)."""
    return np.ascontiguousarray(rows[:, 8:12]).view(">u4")[:, 0].astype(np.uint32)
