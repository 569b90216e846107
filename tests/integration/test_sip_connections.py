"""Connections by TCP: bytes in any pieces, peers that stall, and how much of the recorder they may take."""

import socket
from collections.abc import Iterator

import pytest

from callseal.agent.sip.transport_limits import TransportLimits
from support.eventually import eventually
from support.sip_service import Service, service
from support.sip_wire import PONG, SIPREC_OFFER, Caller, Wire, asks, call

pytestmark = pytest.mark.integration

SHORT_S = 0.5
"""Of what lasts minutes otherwise."""


@pytest.fixture(scope="module")
def server() -> Iterator[Service]:
    with service() as running:
        yield running
        assert running.counters.bugs == 0


@pytest.fixture
def wire(server: Service) -> Iterator[Wire]:
    with Wire.open("TCP", server.address) as opened:
        yield opened


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_a_message_comes_in_pieces(wire: Wire, size: int) -> None:
    caller = Caller(wire)
    data = caller.compose("INVITE", SIPREC_OFFER, number=1)

    for start in range(0, len(data), size):
        wire.send(data[start : start + size])
    answer = wire.answer(caller.call_id, "INVITE")
    caller.acknowledge(answer)

    assert answer.code == 200
    assert caller.number == 0


def test_several_messages_come_at_once(wire: Wire) -> None:
    callers = [Caller(wire) for _ in range(20)]

    wire.send("\r\n\r\n".join(caller.compose("OPTIONS", number=1) for caller in callers))
    answers = [wire.answer(caller.call_id, "OPTIONS").code for caller in callers]

    assert answers == [200] * 20
    eventually(lambda: wire.pending().count(PONG) == 19, "19 pongs")


def test_an_end_and_a_beginning_come_at_once(wire: Wire) -> None:
    first, second, third = Caller(wire), Caller(wire), Caller(wire)
    data = "".join(caller.compose("OPTIONS", number=1) for caller in (first, second, third))
    middle = len(data) // 2

    wire.send(data[:middle])
    begun = wire.answer(first.call_id, "OPTIONS")
    wire.send(data[middle:])
    ended = [wire.answer(caller.call_id, "OPTIONS").code for caller in (second, third)]

    assert begun.code == 200
    assert ended == [200, 200]


def test_a_burst_of_keep_alives_does_not_hold_up_what_follows(wire: Wire) -> None:
    wire.send("\r\n" * 50_000)

    answer = asks(wire)

    assert answer.code == 200


def test_malformed_bytes_end_their_connection_and_no_other(server: Service, wire: Wire) -> None:
    with call(wire), Wire.open("TCP", server.address) as web:
        web.send("GET / HTTP/1.0\r\n\r\n")

        assert web.ends()
        assert asks(wire).code == 200


def test_what_came_before_malformed_bytes_is_answered(wire: Wire) -> None:
    caller = Caller(wire)

    wire.send(caller.compose("OPTIONS", number=1) + "GET / HTTP/1.0\r\n\r\n")
    answer = wire.answer(caller.call_id, "OPTIONS")

    assert answer.code == 200
    assert wire.ends()


@pytest.mark.parametrize("head", ["O", "OPTIONS sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP", "\r\nX"])
def test_half_a_message_is_not_waited_for_for_ever(head: str) -> None:
    with service(limits=TransportLimits(half_message_s=SHORT_S)) as server:
        with Wire.open("TCP", server.address) as wire:
            wire.send(head)

            assert wire.ends()
        server.counts(lambda c: c.half_messages == 1, "the end of half a message")


def test_half_a_body_is_not_waited_for_for_ever() -> None:
    with service(limits=TransportLimits(half_message_s=SHORT_S)) as server:
        with Wire.open("TCP", server.address) as wire:
            wire.send(Caller(wire).compose("INVITE", SIPREC_OFFER, number=1)[:-1])

            assert wire.ends()
        server.counts(lambda c: c.half_messages == 1, "the end of half a message")


def test_a_message_that_comes_byte_by_byte_has_no_longer_than_another() -> None:
    """Who looks at the last byte only is kept busy for ever by a byte now and then."""
    limits = TransportLimits(half_message_s=SHORT_S)
    with service(limits=limits) as server, Wire.open("TCP", server.address) as wire:
        wire.send("OPTIONS sip:a@127.0.0.1 SIP/2.0\r\nX: ")

        def is_cut_off() -> bool:
            try:
                wire.send("a")
            except OSError:
                return True
            return wire.ends(0.02)

        eventually(is_cut_off, "the end of a message that never ends")
        server.counts(lambda c: c.half_messages == 1, "the end of half a message")


def test_whole_messages_one_after_the_other_are_no_half_message() -> None:
    """Where one always begins with the end of the one before it, time counts from its own beginning."""
    limits = TransportLimits(half_message_s=3.0)
    left = ""
    codes = []
    with service(limits=limits) as server, Wire.open("TCP", server.address) as wire:
        for _ in range(45):
            caller = Caller(wire)
            data = left + caller.compose("OPTIONS", number=1)
            after = Caller(wire).compose("OPTIONS", number=1)
            wire.send(data + after[:40])
            left = after[40:]
            codes.append(wire.answer(caller.call_id, "OPTIONS").code)
            assert not wire.ends(0.1)

    assert codes == [200] * 45


def test_an_idle_connection_is_closed_unless_a_call_stands_on_it() -> None:
    with service(limits=TransportLimits(idle_s=SHORT_S)) as server:
        with Wire.open("TCP", server.address) as idle, Wire.open("TCP", server.address) as busy:
            with call(busy):
                assert idle.ends()
                assert not busy.is_ended
            assert busy.ends()
        server.counts(lambda c: c.idle == 2, "two idle connections")


def test_who_does_not_read_is_cut_off() -> None:
    with service(limits=TransportLimits(unread_bytes=64 * 1024)) as server:
        with Wire.open("TCP", server.address) as other, socket.socket() as deaf, call(other):
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(server.address)
            deaf.settimeout(10)
            caller = Caller(Wire("TCP", deaf))
            requests = "".join(Caller(caller.wire).compose("OPTIONS", number=1) for _ in range(100)).encode()

            def is_cut_off() -> bool:
                try:
                    deaf.sendall(requests)
                except OSError:
                    return True
                return False

            eventually(is_cut_off, "the end of who does not read")

            assert asks(other).code == 200
        server.counts(lambda c: c.slow_readers == 1 and c.connections == 0, "one slow reader")


def test_who_does_not_read_the_last_words_is_cut_off_as_well() -> None:
    limits = TransportLimits(closing_s=SHORT_S, unread_bytes=1 << 30)
    with service(limits=limits) as server, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(server.address)
        wire = Wire("TCP", deaf)
        requests = "".join(Caller(wire).compose("OPTIONS", number=1) for _ in range(6000))
        wire.send(f"{requests}GET / HTTP/1.0\r\n\r\n")

        server.counts(lambda c: c.malformed == 1, "the end")
        server.counts(lambda c: c.connections == 0, "a connection that is cut")


def test_one_address_gets_no_more_than_its_share_of_connections() -> None:
    with service(limits=TransportLimits(connections_per_address=5)) as server:
        wires = [Wire.open("TCP", server.address) for _ in range(5)]
        with Wire.open("TCP", server.address) as one_too_many:
            assert one_too_many.ends()
        codes = [asks(wire).code for wire in wires]
        wires.pop().close()
        server.counts(lambda c: c.connections == 4, "a place")
        with Wire.open("TCP", server.address) as in_its_place:
            codes.append(asks(in_its_place).code)
        for wire in wires:
            wire.close()

        assert codes == [200] * 6
        assert server.counters.crowded_out == 1


def test_a_flood_of_connections_ends_at_the_limit_and_leaves_those_before_alone() -> None:
    with service(limits=TransportLimits(connections=20)) as server:
        with (
            Wire.open("TCP", server.address) as wire,
            Wire.open("UDP", server.address) as datagrams,
            call(wire) as caller,
        ):
            flood = [Wire.open("TCP", server.address) for _ in range(100)]
            server.counts(lambda c: c.crowded_out == 81, "81 of 101 that are too many")
            update = caller.ask("UPDATE")
            by_datagram = asks(datagrams)
            for each in flood:
                each.close()

        assert update.code == by_datagram.code == 200


def test_a_peer_that_vanishes_leaves_its_call_alone(server: Service) -> None:
    """The connection's end is not the call's: the gateway comes back, or the session timer ends it."""
    with Wire.open("TCP", server.address) as wire:
        caller = Caller(wire)
        caller.invite()
    server.counts(lambda c: c.connections == 0, "the end of the connection")

    with Wire.open("TCP", server.address) as back:
        caller.wire = back
        goodbye = caller.ask("BYE")

    assert goodbye.code == 200
