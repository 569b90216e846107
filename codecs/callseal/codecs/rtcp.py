"""RTCP: what a sender tells of its stream.

::

    V 2, P 1, count 5 | type 8 | length 16 | …        one after the other in a datagram

Conventions: read are sender and receiver reports, names and farewells; whatever else is there is passed over.
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
_DESCRIPTION: Final = 202
_BYE: Final = 203
_CANONICAL_NAME: Final = 1
_SENDER_INFO: Final = struct.Struct("!QIII")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderReport:
    """How a source's clock stands to the time of day."""

    ssrc: int
    ntp_s: float
    """Seconds since 1900, by the sender's clock."""
    ts: int
    """The RTP timestamp of that moment."""
    packets: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """What one datagram told."""

    senders: tuple[SenderReport, ...] = ()
    blocks: tuple[ReportBlock, ...] = ()
    names: tuple[tuple[int, str], ...] = ()
    """SSRC and canonical name."""
    left: tuple[int, ...] = ()
    """SSRCs that say good-bye."""


def parse_reports(datagram: bytes) -> Reports:
    """Read a compound RTCP packet; raises RtcpError, and nothing else, for what is none."""
    senders: list[SenderReport] = []
    blocks: list[ReportBlock] = []
    names: list[tuple[int, str]] = []
    left: list[int] = []
    position = 0
    for _ in range(MAX_PACKETS):
        kind, count, body, position = _packet(datagram, position)
        if kind in {_SENDER_REPORT, _RECEIVER_REPORT}:
            if kind == _SENDER_REPORT:
                senders.append(_sender(body))
            blocks += _blocks(body, count, _SSRC_BYTES + (kind == _SENDER_REPORT) * _SENDER_INFO.size)
        elif kind == _DESCRIPTION:
            names += _names(body, count)
        elif kind == _BYE:
            if len(body) < _SSRC_BYTES * count:
                raise RtcpError("a farewell is cut short")
            left += struct.unpack_from(f"!{count}I", body)
        if position == len(datagram):
            return Reports(senders=tuple(senders), blocks=tuple(blocks), names=tuple(names), left=tuple(left))
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


def _sender(body: bytes) -> SenderReport:
    if len(body) < _SSRC_BYTES + _SENDER_INFO.size:
        raise RtcpError("a sender report is cut short")
    (ssrc,) = struct.unpack_from("!I", body)
    ntp, ts, packets, size_bytes = _SENDER_INFO.unpack_from(body, _SSRC_BYTES)
    return SenderReport(ssrc=ssrc, ntp_s=ntp / 2**32, ts=ts, packets=packets, size_bytes=size_bytes)


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


def _names(body: bytes, count: int) -> list[tuple[int, str]]:
    """Read the chunks of a source description (RFC 3550 section 6.5); only canonical names are kept."""
    found = []
    position = 0
    for _ in range(count):
        if len(body) < position + _SSRC_BYTES:
            raise RtcpError("a source description is cut short")
        (ssrc,) = struct.unpack_from("!I", body, position)
        position += _SSRC_BYTES
        while position < len(body) and body[position]:
            if len(body) < position + 2 or len(body) < position + 2 + body[position + 1]:
                raise RtcpError("a source description is cut short")
            kind, size = body[position], body[position + 1]
            if kind == _CANONICAL_NAME:
                found.append((ssrc, body[position + 2 : position + 2 + size].decode("utf-8", "replace")))
            position += 2 + size
        position += 4 - position % 4  # at least one zero ends a chunk, and it ends where a word does
    return found
