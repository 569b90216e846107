import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.codecs.errors import RtpError
from callseal.codecs.packets import read_headers
from callseal.codecs.rtp import Extension, Packet

# Put together by hand from the figure in RFC 3550 section 5.1: version, padding, extension and two
# contributing sources; marker, payload type 8; an extension of one word; 3 bytes, 2 of padding.
BY_HAND = bytes.fromhex("b2 88 1234 89abcdef 11223344 00000001 00000002 bede 0001 aabbccdd d5d5d5 0002")
READ = Packet(
    payload_type=8,
    sequence=0x1234,
    ts=0x89ABCDEF,
    ssrc=0x11223344,
    payload=b"\xd5\xd5\xd5",
    marker=True,
    csrc=(1, 2),
    extension=Extension(profile=0xBEDE, data=bytes.fromhex("aabbccdd")),
    padding_bytes=2,
)
PACKETS = st.builds(
    Packet,
    payload_type=st.integers(0, 127),
    sequence=st.integers(0, 0xFFFF),
    ts=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    payload=st.binary(max_size=40),
    marker=st.booleans(),
    csrc=st.lists(st.integers(0, 0xFFFFFFFF), max_size=15).map(tuple),
    extension=st.none()
    | st.builds(
        Extension, profile=st.integers(0, 0xFFFF), data=st.binary(max_size=5).map(lambda data: data * 4)
    ),
    padding_bytes=st.integers(0, 255),
)
# Random bytes are hardly ever of version 2: half of them are given it.
DATAGRAMS = st.binary(max_size=80) | st.binary(min_size=1, max_size=80).map(
    lambda data: bytes((0x80 | data[0] & 0x3F,)) + data[1:]
)


def test_a_packet_with_everything_is_read() -> None:
    packet = Packet.parse(BY_HAND)

    assert packet == READ


def test_a_packet_with_everything_is_written() -> None:
    data = bytes(READ)

    assert data == BY_HAND


@given(PACKETS)
def test_what_is_written_reads_the_same(packet: Packet) -> None:
    read = Packet.parse(bytes(packet))

    assert read == packet


@pytest.mark.parametrize("length", range(len(BY_HAND)))
def test_a_packet_that_was_cut_is_refused_where_its_header_or_padding_tells(length: int) -> None:
    data = BY_HAND[:length]

    # Cut behind the header it is whole again if the last byte happens to be a fitting padding; none here is.
    with pytest.raises(RtpError):
        Packet.parse(data)


@pytest.mark.parametrize("first", [0x00, 0x40, 0xC0])
def test_another_version_is_no_packet(first: int) -> None:
    data = bytes((first,)) + bytes(30)

    with pytest.raises(RtpError, match="version"):
        Packet.parse(data)


@pytest.mark.parametrize(
    "field",
    [
        {"payload_type": 128},
        {"sequence": 1 << 16},
        {"ts": -1},
        {"ssrc": 1 << 32},
        {"csrc": (1,) * 16},
        {"csrc": (-1,)},
        {"padding_bytes": 256},
    ],
)
def test_a_packet_that_could_not_be_written_is_not_made(field: dict[str, Any]) -> None:
    fields = {"payload_type": 0, "sequence": 0, "ts": 0, "ssrc": 0, **field}

    with pytest.raises(ValueError, match="out of its range"):
        Packet(**fields)


@pytest.mark.parametrize("size", [1, 3, 4 * 0x10000])
def test_an_extension_that_could_not_be_written_is_not_made(size: int) -> None:
    with pytest.raises(ValueError, match="whole words"):
        Extension(profile=1, data=bytes(size))


@given(DATAGRAMS)
def test_any_bytes_give_a_packet_or_that_error(data: bytes) -> None:
    with contextlib.suppress(RtpError):
        Packet.parse(data)


@given(st.lists(DATAGRAMS | PACKETS.map(bytes), min_size=1, max_size=8))
def test_many_packets_at_once_are_read_as_each_alone(datagrams: list[bytes]) -> None:
    raw = np.random.default_rng(1).integers(0, 255, (len(datagrams), 512)).astype(np.uint8)
    for line, data in zip(raw, datagrams, strict=True):
        line[: len(data)] = np.frombuffer(data, np.uint8)[:512]
    lengths = np.array([len(data) for data in datagrams], np.int64)

    headers = read_headers(raw, lengths)

    for index, data in enumerate(datagrams):
        if len(data) > raw.shape[1] or not _is_packet(data):
            assert not headers.valid[index]
        else:
            packet = Packet.parse(data)
            start, size = int(headers.start[index]), int(headers.size[index])
            assert headers.valid[index]
            assert headers.payload_type[index] == packet.payload_type
            assert headers.sequence[index] == packet.sequence
            assert headers.ts[index] == packet.ts
            assert headers.ssrc[index] == packet.ssrc
            assert data[start : start + size] == packet.payload


@pytest.mark.parametrize("length", [-1, 0, 11, 513, 1 << 40])
def test_a_length_that_lies_is_no_packet(length: int) -> None:
    raw = np.zeros((1, 512), np.uint8)
    raw[0, 0] = 0x80

    headers = read_headers(raw, np.array([length], np.int64))

    assert not headers.valid[0]


def _is_packet(data: bytes) -> bool:
    try:
        Packet.parse(data)
    except RtpError:
        return False
    return True
