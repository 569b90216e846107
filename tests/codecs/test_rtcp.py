"""RTCP: what the other side received is read, what is no RTCP is refused."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.codecs.errors import RtcpError
from callseal.codecs.rtcp import MAX_PACKETS, ReportBlock, parse_reports

BLOCK = struct.pack("!IIIIII", 0x99, 0x40FFFFFE, 70000, 160, 0, 0)
SENDER = struct.pack("!IQIII", 0x11, 3_900_000_000 << 32 | 1 << 31, 8000, 50, 8000)


def _packet(kind: int, body: bytes, *, count: int = 0, padding: int = 0) -> bytes:
    padded = body + (bytes(padding - 1) + bytes((padding,)) if padding else b"")
    return struct.pack("!BBH", 0x80 | bool(padding) << 5 | count, kind, len(padded) // 4) + padded


def test_a_sender_tells_what_it_received() -> None:
    blocks = parse_reports(_packet(200, SENDER + BLOCK, count=1))

    assert blocks == (ReportBlock(ssrc=0x99, fraction_lost=0.25, lost=-2, highest=70000, jitter_ts=160),)


def test_a_receiver_tells_what_it_received() -> None:
    blocks = parse_reports(_packet(201, struct.pack("!I", 0x11) + BLOCK + BLOCK, count=2))

    assert [block.jitter_ts for block in blocks] == [160, 160]


def test_names_farewells_and_things_unknown_may_stand_around_a_report_in_one_datagram() -> None:
    datagram = (
        _packet(202, struct.pack("!IBB", 0x11, 1, 5) + b"a@b.c" + bytes(1), count=1)
        + _packet(207, bytes(8))
        + _packet(201, struct.pack("!I", 0x11) + BLOCK, count=1)
        + _packet(203, struct.pack("!II", 0x11, 0x12), count=2, padding=4)
    )

    blocks = parse_reports(datagram)

    assert [block.ssrc for block in blocks] == [0x99]


def test_a_farewell_may_come_alone_with_its_reason() -> None:
    assert parse_reports(_packet(203, struct.pack("!IB", 7, 3) + b"bye", count=1)) == ()


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x80\xc8",
        b"\x40\xc9\x00\x01" + bytes(4),
        _packet(200, SENDER)[:-1],
        _packet(200, SENDER[:-4]),
        _packet(200, SENDER + BLOCK[:-4], count=1),
        _packet(201, b""[:0], count=1),
        b"\xa0\xc9\x00\x00",
        b"\xa0\xc9\x00\x01\x00\x00\x00\xff",
        b"\xa0\xc9\x00\x01\x00\x00\x00\x00",
        _packet(201, bytes(4)) * (MAX_PACKETS + 1),
        _packet(201, bytes(4)) + b"\x00",
    ],
)
def test_what_is_no_report_is_refused(datagram: bytes) -> None:
    with pytest.raises(RtcpError):
        parse_reports(datagram)


@given(
    st.binary(max_size=120)
    | st.builds(
        lambda kind, count, words, body: struct.pack("!BBH", 0x80 | count, kind, words) + body,
        st.integers(199, 208),
        st.integers(0, 63),
        st.integers(0, 12),
        st.binary(max_size=60),
    )
)
def test_whatever_comes_only_the_remote_error_is_raised(datagram: bytes) -> None:
    try:
        blocks = parse_reports(datagram)
    except RtcpError:
        return

    assert len(blocks) <= 31 * MAX_PACKETS
