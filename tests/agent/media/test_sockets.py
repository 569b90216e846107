"""Datagrams read many at a time, or one by one where the system can do no better."""

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from callseal.agent.media.learning import packed
from callseal.agent.media.sockets import (
    BATCH,
    ROW_BYTES,
    Inbox,
    SocketPair,
    bind_pair,
    family_of,
)
from support.rtp_sender import Gateway


@pytest.fixture(params=["127.0.0.1", "::1"])
def address(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def gateway(address: str) -> Iterator[Gateway]:
    made = Gateway(address)
    yield made
    made.close()


@pytest.fixture
def pairs(address: str) -> Iterator[list[SocketPair]]:
    with ExitStack() as stack:
        found: list[SocketPair] = []
        for port in range(24000, 24998, 2):  # tests beside this one hold some of them
            pair = bind_pair(address, port) if len(found) < 3 else None
            if pair is not None:
                stack.callback(pair.close)
                found.append(pair)
        yield found


@pytest.fixture(params=["many", "one by one"])
def inbox(request: pytest.FixtureRequest, address: str) -> Inbox:
    family = family_of(address)
    return Inbox(family) if request.param == "many" else Inbox(family, receive=None)


def test_datagrams_come_in_order_grouped_by_socket(
    pairs: list[SocketPair], gateway: Gateway, inbox: Inbox
) -> None:
    for number in range(3):
        gateway.send(bytes([number]) * (20 + number), pairs[0].port)
        gateway.send(bytes([100 + number]) * 30, pairs[2].port)

    drained = inbox.read(*_of(pairs), 0)

    assert drained.sockets == [0, 2]
    assert drained.counts == [3, 3]
    assert inbox.lengths(6).tolist() == [20, 21, 22, 30, 30, 30]
    assert inbox.rows[:6, 0].tolist() == [0, 1, 2, 100, 101, 102]


def test_a_batch_is_no_longer_than_its_limit_and_the_rest_comes_next(
    pairs: list[SocketPair], gateway: Gateway, inbox: Inbox
) -> None:
    for number in range(BATCH + 5):
        gateway.send(bytes([number]), pairs[1].port)

    first = inbox.read(*_of(pairs), 0)
    second = inbox.read(*_of(pairs), 0)

    assert (first.counts, second.counts) == ([BATCH], [5])


def test_a_datagram_that_does_not_fit_is_known_by_its_length(
    pairs: list[SocketPair], gateway: Gateway, inbox: Inbox
) -> None:
    gateway.send(bytes(ROW_BYTES + 100), pairs[0].port)
    gateway.send(b"next", pairs[0].port)

    inbox.read(*_of(pairs), 0)

    assert inbox.lengths(2)[0] > ROW_BYTES
    assert inbox.rows[1, :4].tobytes() == b"next"


def test_sources_are_told_apart_by_address_and_port(
    pairs: list[SocketPair], gateway: Gateway, inbox: Inbox
) -> None:
    one, other = gateway.source(), gateway.source()
    for source in (one, other, one):
        gateway.send(b"x" * 12, pairs[0].port, source)

    inbox.read(*_of(pairs), 0)

    keys = inbox.keys(3)
    assert (keys[0] == keys[2]).all()
    assert (keys[0] != keys[1]).any()
    assert packed(gateway.address) in keys[0].tobytes()


def test_both_ways_of_reading_name_a_source_alike(
    pairs: list[SocketPair], gateway: Gateway, address: str
) -> None:
    many, single = Inbox(family_of(address)), Inbox(family_of(address), receive=None)
    gateway.send(b"x" * 12, pairs[0].port)
    many.read(*_of(pairs), 0)
    gateway.send(b"x" * 12, pairs[0].port)
    single.read(*_of(pairs), 0)

    assert many.keys(1).tobytes() == single.keys(1).tobytes()


def test_a_pair_is_not_bound_where_either_port_is_taken(address: str) -> None:
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as other:
        other.bind((address, 0))
        taken = other.getsockname()[1]

        assert bind_pair(address, taken) is None
        assert bind_pair(address, taken - 1) is None


@pytest.mark.skipif(sys.platform != "linux", reason="other systems don't tell")
def test_what_the_kernel_had_no_room_for_is_counted(pairs: list[SocketPair], gateway: Gateway) -> None:
    pairs[0].rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sent = 300
    for _ in range(sent):
        gateway.send(bytes(172), pairs[0].port)
    received = 0
    try:
        while True:
            pairs[0].rtp.recv(2048)
            received += 1
    except BlockingIOError:
        pass

    assert pairs[0].dropped() == sent - received > 0


def _of(pairs: list[SocketPair]) -> tuple[list[socket.socket], list[int]]:
    return [pair.rtp for pair in pairs], [pair.rtp.fileno() for pair in pairs]
