"""One face by UDP and TCP: what comes and goes, whom it connects to, and what it is told when it can't."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from callseal.agent.errors import SourceError
from callseal.agent.sip.dialling import MAX_WAITING
from callseal.agent.sip.flow import Flow, Outgoing, Transport
from callseal.agent.sip.message import Request
from callseal.agent.sip.peers import Peers
from callseal.agent.sip.transport_limits import TransportLimits
from callseal.agent.sip.transports import Transports
from support.eventually import eventually
from support.sip_faces import Face, Faces, Listening, Told, faces
from support.sip_text import request_text
from support.sip_wire import Caller, Wire

SHORT_S = 0.3
"""Of what lasts seconds otherwise."""
REQUEST = request_text("OPTIONS", more=("Content-Length: 0",))


@pytest.fixture
def process() -> Iterator[Faces]:
    with faces() as running:
        yield running


@pytest.fixture
def face(process: Faces) -> Face:
    return process.open("pbx")


@pytest.fixture
def pbx() -> Iterator[Listening]:
    with Listening() as listening:
        yield listening


def is_request(wire: Wire) -> bool:
    return wire.wait(lambda m: m.method == "OPTIONS", "OPTIONS").first.startswith("OPTIONS")


def unused() -> tuple[str, int]:
    """Give an address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        host, port = taken.getsockname()
        return host, port


# UDP.


def test_a_datagram_comes_with_its_face_and_is_answered_there(face: Face) -> None:
    with Wire.open("UDP", face.address) as peer:
        peer.send(REQUEST)
        _, flow = face.taken()[0]
        face.send(REQUEST, flow.remote, on=flow)

        assert flow == Flow(transport=Transport.UDP, local=face.address, remote=peer.local, face="pbx")
        assert is_request(peer)
    assert (face.counters.received, face.counters.sent) == (1, 1)


@pytest.mark.parametrize("destination", [("pbx.example.com", 5060), ("127.0.0.1", 0), ("::1", 5060)])
def test_a_datagram_that_can_go_nowhere_is_told(face: Face, destination: tuple[str, int]) -> None:
    face.send(REQUEST, destination, by=Transport.UDP, key="a branch")

    assert face.undelivered() == ["a branch"]
    assert face.counters.unsent == 1
    assert not face.told.was_told_within_send


def test_a_datagram_that_nobody_takes_is_not_told_and_hurts_no_other(face: Face) -> None:
    """That a port is closed comes back without the message, and a transaction sends again by itself."""
    with Wire.open("UDP", face.address) as peer:
        face.send(REQUEST, unused(), by=Transport.UDP)
        face.send(REQUEST, peer.local, by=Transport.UDP)

        assert is_request(peer)
    assert face.told.undelivered_keys == []


def test_without_tcp_only_datagrams_come_in(process: Faces) -> None:
    line = process.open("line", tcp=False)

    with pytest.raises(ConnectionRefusedError):
        Wire.open("TCP", line.address)
    with Wire.open("UDP", line.address) as peer:
        peer.send(REQUEST)

        assert len(line.taken()) == 1


def test_a_udp_address_that_is_taken_is_said_in_words(process: Faces) -> None:
    taken = process.open(tcp=False).address

    with pytest.raises(SourceError, match=rf"cannot listen at 127\.0\.0\.1:{taken[1]} \(UDP\)"):
        process.open(listen=taken, tcp=False)


# Connections of ours.


def test_a_message_for_a_peer_by_tcp_makes_a_connection_that_later_ones_use(
    face: Face, pbx: Listening
) -> None:
    face.send(REQUEST, pbx.address)
    with pbx.accept() as wire:
        assert is_request(wire)
        face.send(REQUEST, pbx.address)

        assert is_request(wire)
        assert not pbx.is_called(0.1)
    assert face.counters.sent == 2
    assert face.counters.dialled == 1


def test_messages_that_wait_for_a_connection_go_in_their_order_on_one(face: Face, pbx: Listening) -> None:
    messages = [request_text("OPTIONS", more=(f"X-Number: {n}", "Content-Length: 0")) for n in range(20)]

    def send_all() -> None:
        for message in messages:
            face.send_now(message, pbx.address)

    face.ask(send_all)
    with pbx.accept() as wire:
        numbers = [wire.wait(lambda m: m.method == "OPTIONS", "OPTIONS").header("X-Number") for _ in messages]

        assert not pbx.is_called(0.1)
    assert numbers == [str(number) for number in range(20)]


def test_what_a_peer_sends_on_our_connection_comes_from_that_and_is_answered_there(
    face: Face, pbx: Listening
) -> None:
    face.connect(Transport.TCP, pbx.address)
    with pbx.accept() as wire:
        wire.send(REQUEST)
        message, flow = face.taken()[0]
        face.send(REQUEST, flow.remote, on=flow)

        assert isinstance(message, Request)
        assert flow == face.connected()
        assert (flow.face, flow.remote, flow.transport) == ("pbx", pbx.address, Transport.TCP)
        assert is_request(wire)


def test_a_connection_can_be_made_before_there_is_a_message_and_its_address_is_known(
    face: Face, pbx: Listening
) -> None:
    """A Contact has to name it."""
    assert face.local_of(Transport.TCP, pbx.address) is None

    assert face.connect(Transport.TCP, pbx.address)
    assert face.connect(Transport.TCP, pbx.address)
    flow = face.connected()
    with pbx.accept():
        local = face.local_of(Transport.TCP, pbx.address)

        assert local == flow.local == pbx.caller
        assert face.connect(Transport.TCP, pbx.address)
        assert not pbx.is_called(0.1)


def test_by_udp_the_address_is_that_of_the_face(process: Faces) -> None:
    everywhere = process.open(listen=("0.0.0.0", 0))  # noqa: S104 - listening everywhere is what is tried

    local = everywhere.local_of(Transport.UDP, ("127.0.0.1", 5060))

    assert local == ("127.0.0.1", everywhere.address[1])


def test_a_peer_that_refuses_is_told_at_once_for_each_message(face: Face) -> None:
    destination = unused()

    def send_all() -> None:
        for key in ("first", "second"):
            face.send_now(REQUEST, destination, key=key)

    face.ask(send_all)

    assert face.undelivered(2) == ["first", "second"]
    assert face.lost()[1] == "ECONNREFUSED"
    assert face.lost()[0].remote == destination
    assert face.told.said == [("sip.unreachable", "ECONNREFUSED")]
    assert face.counters.undialled == 1
    assert not face.told.was_told_within_send


@contextlib.contextmanager
def full() -> Iterator[tuple[str, int]]:
    """Give the address of a peer whose system answers no more: its queue is full."""
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        host, port = listening.getsockname()
        for each in (first, second):  # the one that could be accepted, and the one that waits to be
            each.setblocking(False)
            each.connect_ex((host, port))
        yield host, port


def test_a_peer_that_does_not_answer_is_given_up(process: Faces) -> None:
    """What comes meanwhile waits for the same attempt."""
    face = process.open(limits=TransportLimits(connect_s=SHORT_S, unacknowledged_s=60))
    with full() as silent:
        for key in ("first", "second"):
            face.send(REQUEST, silent, key=key)

        assert face.undelivered(2) == ["first", "second"]
    assert face.lost()[1] == "TimeoutError"
    assert face.counters.undialled == 1


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system does not watch for that")
def test_the_system_itself_gives_up_a_peer_that_acknowledges_nothing(process: Faces) -> None:
    face = process.open(limits=TransportLimits(connect_s=60, unacknowledged_s=1))
    with full() as silent:
        face.send(REQUEST, silent, key="a branch")

        assert face.undelivered() == ["a branch"]


def test_who_is_no_peer_is_not_connected_to(process: Faces) -> None:
    face = process.open(peers=Peers(["127.0.0.1"]))
    with Listening(host="127.0.0.2") as stranger:
        face.send(REQUEST, stranger.address, key="a branch")

        assert face.undelivered() == ["a branch"]
        assert not face.connect(Transport.TCP, stranger.address)
        assert not stranger.is_called(0.1)
    assert not face.told.was_told_within_send


@pytest.mark.parametrize("destination", [("pbx.example.com", 5060), ("127.0.0.1", 99_999), ("127.0.0.1", 0)])
def test_what_is_no_address_is_not_connected_to(face: Face, destination: tuple[str, int]) -> None:
    face.send(REQUEST, destination, key="a branch")

    assert face.undelivered() == ["a branch"]
    assert face.counters.connections == 0


def test_what_waits_for_a_connection_is_limited(process: Faces) -> None:
    face = process.open(limits=TransportLimits(unread_bytes=3 * len(REQUEST)))
    destination = unused()

    def send_all() -> None:
        for number in range(5):
            face.send_now(REQUEST, destination, key=str(number))

    face.ask(send_all)

    assert face.undelivered(5) == ["3", "4", "0", "1", "2"]


def test_so_is_how_many_wait(face: Face) -> None:
    destination = unused()

    def send_all() -> None:
        for number in range(MAX_WAITING + 1):
            face.send_now(REQUEST, destination, key=str(number))

    face.ask(send_all)

    assert face.undelivered(MAX_WAITING + 1)[0] == str(MAX_WAITING)


def test_so_is_how_many_peers_are_connected_to(process: Faces, pbx: Listening) -> None:
    face = process.open(limits=TransportLimits(own_connections=1))
    with Listening() as other:
        face.send(REQUEST, pbx.address)
        face.connected()
        face.send(REQUEST, other.address, key="one too many")

        assert face.undelivered() == ["one too many"]
        with pbx.accept():
            pass
        face.lost()
        face.send(REQUEST, other.address)
        with other.accept() as wire:
            assert is_request(wire)


def test_a_peer_that_ends_a_connection_is_connected_to_again(face: Face, pbx: Listening) -> None:
    face.send(REQUEST, pbx.address)
    with pbx.accept() as wire:
        assert is_request(wire)
    flow, why = face.lost()
    face.send(REQUEST, pbx.address)
    with pbx.accept() as wire:
        again = face.connected(2)

        assert is_request(wire)
    assert why == "closed"
    assert again.connection != flow.connection


def test_a_peer_that_has_restarted_resets_a_connection_which_is_told(face: Face, pbx: Listening) -> None:
    face.send(REQUEST, pbx.address)
    pbx.reset()

    assert face.lost() == (face.connected(), "ECONNRESET")


def test_bytes_that_are_no_sip_end_a_connection_of_ours(face: Face, pbx: Listening) -> None:
    face.connect(Transport.TCP, pbx.address)
    with pbx.accept() as wire:
        wire.send("HTTP/1.0 200 OK\r\n\r\n")

        assert wire.ends()
    assert face.lost()[1] == "malformed"
    assert len(face.told.refused) == face.counters.malformed == 1


def test_an_answer_is_brought_back_where_our_connection_is_gone(face: Face, pbx: Listening) -> None:
    face.connect(Transport.TCP, pbx.address)
    with pbx.accept() as wire:
        wire.send(REQUEST)
        flow = face.taken()[0][1]
    face.lost()
    face.send(REQUEST, flow.remote, on=flow)

    with pbx.accept() as wire:
        assert is_request(wire)


def test_nobody_is_connected_to_at_the_other_end_of_a_connection_of_his_own(face: Face) -> None:
    """Nobody listens at the port that he connected from."""
    with Wire.open("TCP", face.address) as peer:
        peer.send(REQUEST)
        flow = face.taken()[0][1]
    eventually(lambda: face.counters.connections == 0, "the end of the connection")
    face.send(REQUEST, flow.remote, on=flow, key="an answer")

    assert face.undelivered() == ["an answer"]
    assert face.counters.undialled == 0
    assert face.told.losses == [], "of connections of peers nothing is told"


def test_a_request_does_not_go_on_a_connection_that_somebody_else_at_the_peer_s_address_has_made(
    face: Face, pbx: Listening
) -> None:
    with Wire.open("TCP", face.address) as somebody:
        somebody.send(REQUEST)
        face.taken()
        face.send(REQUEST, pbx.address)
        with pbx.accept() as wire:
            assert is_request(wire)
        assert somebody.pending() == []


# Faces.


def test_two_faces_keep_their_peers_addresses_and_connections_apart(process: Faces, pbx: Listening) -> None:
    inner = process.open("phone")
    outer = process.open("pbx")
    with Wire.open("TCP", inner.address) as phone, Wire.open("UDP", outer.address) as datagrams:
        phone.send(REQUEST)
        datagrams.send(REQUEST)
        outer.send(REQUEST, pbx.address)
        with pbx.accept() as wire:
            wire.send(REQUEST)
            flows = [flow for _, flow in [*inner.taken(), *outer.taken(2)]]

            assert inner.local_of(Transport.TCP, pbx.address) is None
    assert [flow.face for flow in flows] == ["phone", "pbx", "pbx"]
    assert inner.address != outer.address
    assert (inner.counters.received, outer.counters.received) == (1, 2)
    assert inner.told.connections == []


def test_a_face_s_peers_may_change_while_it_runs(process: Faces) -> None:
    face = process.open(peers=Peers(["192.0.2.0/24"]))
    with Wire.open("UDP", face.address) as peer:
        peer.send(REQUEST)
        eventually(lambda: face.counters.strangers == 1, "a stranger")
        face.admit(Peers(["127.0.0.1"]))
        peer.send(REQUEST)

        assert len(face.taken()) == 1
    with Wire.open("TCP", face.address) as peer:
        peer.send(Caller(peer).compose("OPTIONS", number=1))

        assert len(face.taken(2)) == 2


# The end.


def _sockets() -> int:
    """Count this process's sockets."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            found += os.readlink(descriptor).startswith("socket:")  # noqa: PTH115 - no path, a kind and a number
        except OSError:  # the one by which the folder was read
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="sockets are counted by /proc")
def test_the_end_leaves_no_socket_and_no_task() -> None:
    """Listening, connected, waiting to be: all are gone when `stop` returns."""
    told = Told()

    async def holds(wanted: Callable[[], bool]) -> None:
        await asyncio.to_thread(eventually, wanted, "what the test waits for")

    async def run() -> tuple[int, int]:
        tasks = len(asyncio.all_tasks())
        with Listening() as pbx, full() as silent:
            sockets = _sockets()
            limits = TransportLimits(connect_s=60, closing_s=1)
            transports = Transports(told, face="pbx", peers=Peers(), limits=limits)
            await transports.start(("127.0.0.1", 0))
            transports.connect(Transport.TCP, pbx.address)
            await holds(lambda: told.connections != [])
            with Wire.open("TCP", transports.address) as peer:
                peer.send(REQUEST)
                await holds(lambda: told.taken != [])
                for destination in (silent, unused()):
                    flow = Flow(transport=Transport.TCP, local=transports.address, remote=destination)
                    transports.send(Outgoing(data=REQUEST, flow=flow, destination=destination))
                await transports.stop()
                return _sockets() - sockets - 1, len(asyncio.all_tasks()) - tasks

    left = asyncio.run(run())

    assert left == (0, 0)
    assert (told.undelivered_keys, told.losses, told.bugs) == ([], [], [])
