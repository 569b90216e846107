"""RTCP: what senders tell is read, what is none is refused."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.codecs.errors import RtcpError
from callseal.codecs.rtcp import MAX_PACKETS, ReportBlock, Reports, SenderReport, parse_reports

BLOCK = struct.pack("!IIIIII", 0x99, 0x40FFFFFE, 70000, 160, 0, 0)
SENDER = struct.pack("!IQIII", 0x11, 3_900_000_000 << 32 | 1 << 31, 8000, 50, 8000)


def _packet(kind: int, body: bytes, *, count: int = 0, padding: int = 0) -> bytes:
    padded = body + (bytes(padding - 1) + bytes((padding,)) if padding else b"")
    return struct.pack("!BBH", 0x80 | bool(padding) << 5 | count, kind, len(padded) // 4) + padded


def test_a_sender_tells_how_its_clock_stands_and_what_it_received() -> None:
    reports = parse_reports(_packet(200, SENDER + BLOCK, count=1))

    assert reports == Reports(
        senders=(SenderReport(ssrc=0x11, ntp_s=3_900_000_000.5, ts=8000, packets=50, size_bytes=8000),),
        blocks=(ReportBlock(ssrc=0x99, fraction_lost=0.25, lost=-2, highest=70000, jitter_ts=160),),
    )


def test_a_receiver_tells_what_it_received() -> None:
    reports = parse_reports(_packet(201, struct.pack("!I", 0x11) + BLOCK + BLOCK, count=2))

    assert [block.jitter_ts for block in reports.blocks] == [160, 160]


def test_names_farewells_and_things_unknown_may_follow_in_one_datagram() -> None:
    description = struct.pack("!IBB", 0x11, 1, 5) + b"a@b.c" + bytes((2, 1)) + b"x" + bytes(2)
    datagram = (
        _packet(201, struct.pack("!I", 0x11))
        + _packet(202, description + struct.pack("!IBB", 0x12, 1, 1) + b"z" + bytes(1), count=2)
        + _packet(207, bytes(8))
        + _packet(203, struct.pack("!II", 0x11, 0x12), count=2, padding=4)
    )

    reports = parse_reports(datagram)

    assert reports.names == ((0x11, "a@b.c"), (0x12, "z"))
    assert reports.left == (0x11, 0x12)


def test_a_farewell_may_come_alone_with_its_reason() -> None:
    assert parse_reports(_packet(203, struct.pack("!IB", 7, 3) + b"bye", count=1)).left == (7,)


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
        _packet(203, bytes(4), count=2),
        _packet(202, bytes((0, 0, 0, 1, 1, 200, 65, 65)), count=1),
        _packet(202, b"", count=1),
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
        reports = parse_reports(datagram)
    except RtcpError:
        return

    assert len(reports.blocks) <= 31 * MAX_PACKETS
