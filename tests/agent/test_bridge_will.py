"""An agent that is killed leaves word for both parties of its calls."""

import os
import socket
from collections.abc import Iterator

import pytest

from callseal.agent.sources.bridge import will
from callseal.agent.sources.bridge.will import Bequest

BYE = b"BYE sip:8001@127.0.0.1:5070 SIP/2.0\r\n\r\n"


@pytest.fixture
def fd() -> Iterator[int]:
    made = will.create()
    yield made
    os.close(made)


def test_a_new_will_has_nothing(fd: int) -> None:
    assert will.read(fd) == []
    assert will.execute(fd) == 0


def test_what_was_written_last_is_read(fd: int) -> None:
    first = [Bequest(datagram=BYE * 9, destination=("127.0.0.1", 5070))]
    second = [Bequest(datagram=BYE, destination=("192.0.2.1", 5060))]

    will.write(fd, first)
    will.write(fd, second)

    assert will.read(fd) == second


@pytest.mark.parametrize("damage", [b"\x00" * 4, b"\xff" * 4, b"\x02\0\0\0{]", b"\x03\0\0\0[1]"])
def test_a_will_that_is_not_whole_has_nothing(fd: int, damage: bytes) -> None:
    will.write(fd, [Bequest(datagram=BYE, destination=("127.0.0.1", 5070))])

    os.pwrite(fd, damage, 0)

    assert will.read(fd) == []


def test_more_than_there_is_room_for_is_left_out_from_the_end(fd: int) -> None:
    many = [Bequest(datagram=bytes(60_000), destination=("127.0.0.1", port)) for port in range(5070, 5080)]

    will.write(fd, many)

    kept = will.read(fd)
    assert 0 < len(kept) < len(many)
    assert kept == many[: len(kept)]


def test_it_is_carried_out_by_datagrams_that_come_several_times(fd: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as party:
        party.bind(("127.0.0.1", 0))
        party.settimeout(2)
        nobody = Bequest(datagram=BYE, destination=("127.0.0.1", 0))
        will.write(fd, [nobody, Bequest(datagram=BYE, destination=party.getsockname())])

        sent = will.execute(fd)

        assert sent == 2
        assert [party.recv(4096) for _ in range(will.TIMES)] == [BYE] * will.TIMES
