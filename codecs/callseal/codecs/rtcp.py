"""RTCP: what the other side tells of the streams that it receives.

::

    V 2, P 1, count 5 | type 8 | length 16 | …        one after the other in a datagram

Conventions: read are the report blocks of sender and receiver reports; whatever else is there is passed over.
The first packet of a datagram need not be a report, though RFC 3550 section 6.1 asks for it (RFC 5506). The
jitter of a report block is what the *other* side saw of *our* packets, of which there are none: it is the
gateway's word on what it gets itself, if it says anything.

Source: RFC 3550 section 6.
"""

import struct
from dataclasses import dataclass
from typing import Final

from callseal.codecs.errors import RtcpError

MAX_PACKETS: Final = 32
"""Packets in one datagram."""

_VERSION: Final = 2
_HEADER_BYTES: Final = 4
_SENDER_REPORT: Final = 200
_RECEIVER_REPORT: Final = 201
_SENDER_INFO_BYTES: Final = 20
_BLOCK: Final = struct.Struct("!IIIIII")
_SSRC_BYTES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBlock:
    """What somebody received of one source (RFC 3550 section 6.4.1)."""

    ssrc: int
    fraction_lost: float
    """Since the report before, 0 to 1."""
    lost: int
    """In all; negative where packets came twice."""
    highest: int
    """Sequence number, extended by its cycles."""
    jitter_ts: int
    """In units of the source's clock."""


def parse_reports(datagram: bytes) -> tuple[ReportBlock, ...]:
    """Read a compound RTCP packet; raises RtcpError, and nothing else, for what is none."""
    blocks: list[ReportBlock] = []
    position = 0
    for _ in range(MAX_PACKETS):
        kind, count, body, position = _packet(datagram, position)
        if kind in {_SENDER_REPORT, _RECEIVER_REPORT}:
            blocks += _blocks(body, count, _SSRC_BYTES + (kind == _SENDER_REPORT) * _SENDER_INFO_BYTES)
        if position == len(datagram):
            return tuple(blocks)
    raise RtcpError("too many packets in one datagram")


def _packet(datagram: bytes, position: int) -> tuple[int, int, bytes, int]:
    """Give type, count, body without padding, and where the next packet begins."""
    if len(datagram) < position + _HEADER_BYTES or datagram[position] >> 6 != _VERSION:
        raise RtcpError("this is no RTCP packet")
    first, kind, words = struct.unpack_from("!BBH", datagram, position)
    end = position + _HEADER_BYTES + 4 * words
    if end > len(datagram):
        raise RtcpError("an RTCP packet is cut short")
    body = datagram[position + _HEADER_BYTES : end]
    if first & 0x20:
        padding = body[-1] if body else 0
        if not 0 < padding <= len(body):
            raise RtcpError("the padding of an RTCP packet is longer than the packet")
        body = body[:-padding]
    return kind, first & 0x1F, body, end


def _blocks(body: bytes, count: int, start: int) -> list[ReportBlock]:
    if len(body) < start + count * _BLOCK.size:
        raise RtcpError("a report is cut short")
    found = []
    for number in range(count):
        ssrc, loss, highest, jitter_ts, _, _ = _BLOCK.unpack_from(body, start + number * _BLOCK.size)
        lost = loss & 0xFFFFFF
        found.append(
            ReportBlock(
                ssrc=ssrc,
                fraction_lost=(loss >> 24) / 256,
                lost=lost - (1 << 24) if lost & 0x800000 else lost,
                highest=highest,
                jitter_ts=jitter_ts,
            )
        )
    return found
