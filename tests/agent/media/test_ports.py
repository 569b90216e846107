"""UDP ports for sound: even ones, in turn, rested."""

import socket

import pytest

from callseal.agent.call import Ending
from callseal.agent.errors import PortsExhausted, SourceError
from callseal.agent.media.commands import AddPorts, Release, Shut
from callseal.agent.media.ports import PORT_REST_S, PortTurns
from support.media_room import media_room


def test_ports_are_even_and_come_in_turn() -> None:
    turns = PortTurns(20001, 20007)

    taken = [turns.take(0.0) for _ in range(turns.total)]

    assert taken == [20002, 20004, 20006]


def test_the_last_port_needs_a_neighbour_for_rtcp() -> None:
    assert PortTurns(20000, 20002).total == 1


def test_a_port_that_was_given_back_rests() -> None:
    turns = PortTurns(20000, 20001)
    port = turns.take(0.0)
    turns.give_back(port, 10.0)

    with pytest.raises(PortsExhausted):
        turns.take(10.0 + PORT_REST_S - 0.1)

    assert turns.take(10.0 + PORT_REST_S) == port


def test_when_all_ports_are_in_use_a_call_is_told_so_and_none_is_lost() -> None:
    with media_room(ports=(23000, 23007)) as room:
        first = room.reserve(3)

        with pytest.raises(PortsExhausted):
            room.reserve(2)

        assert set(room.reserve(1).ports).isdisjoint(first.ports)


def test_a_port_that_another_program_holds_is_passed_over() -> None:
    with media_room(ports=(23100, 23107)) as room, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 23101))

        reserved = room.reserve(2)

        assert reserved.ports == (23102, 23104)


def test_ports_of_a_call_that_came_to_nothing_are_free_again() -> None:
    with media_room(ports=(23200, 23203)) as room:
        reserved = room.reserve(2)

        room.execute(Release(reservation=reserved.id))

        room.now_s += PORT_REST_S
        assert room.reserve(2).ports == reserved.ports


def test_ports_of_a_call_that_has_ended_are_free_again() -> None:
    with media_room(ports=(23300, 23303)) as room:
        reserved = room.reserve(2)
        room.open(reserved)

        room.close(reserved)

        room.now_s += PORT_REST_S
        assert room.reserve(2).ports == reserved.ports


def test_a_call_that_is_recorded_is_closed_and_not_released() -> None:
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)

        with pytest.raises(SourceError):
            room.execute(Release(reservation=reserved.id))

        room.close(reserved)
        end = room.kept(recording).end
        assert end is not None
        assert end.ending is Ending.HANGUP


def test_a_call_gets_more_ports_and_only_the_new_ones_are_told() -> None:
    with media_room() as room:
        reserved = room.reserve(1)

        more = room.execute(AddPorts(reservation=reserved.id, streams=2))

        assert getattr(more, "id", None) == reserved.id
        assert not set(getattr(more, "ports", ())) & set(reserved.ports)


def test_a_call_can_not_have_streams_without_end() -> None:
    with media_room() as room:
        reserved = room.reserve(60)

        with pytest.raises(SourceError):
            room.execute(AddPorts(reservation=reserved.id, streams=5))


def test_a_reservation_that_is_over_is_told_so() -> None:
    with media_room() as room:
        reserved = room.reserve()
        room.close(reserved)

        with pytest.raises(SourceError):
            room.close(reserved)


def test_at_the_end_all_ports_are_given_back() -> None:
    with media_room(ports=(23400, 23403)) as room:
        reserved = room.reserve()
        recording = room.open(reserved)

        ended = room.execute(Shut())

        assert ended == (recording,)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", reserved.ports[0]))
