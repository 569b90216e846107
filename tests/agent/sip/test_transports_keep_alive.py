"""Connections of ours are kept alive, and given up once their peer is gone (RFC 5626 section 4.4.1)."""

from collections.abc import Iterator

import pytest

from callseal.agent.sip.flow import Transport
from callseal.agent.sip.pings import Pings
from callseal.agent.sip.transport_limits import TransportLimits
from support.eventually import eventually
from support.sip_faces import Face, Faces, Listening, faces
from support.sip_text import request_text
from support.sip_wire import PONG, Wire

INTERVAL_S = 0.1
PONG_S = 0.3
REQUEST = request_text("OPTIONS", more=("Content-Length: 0",))
QUICK = TransportLimits(keep_alive_s=INTERVAL_S, pong_s=PONG_S, idle_s=0.2)
"""Pings come before a pong is missing: what counts is that nothing has come since."""
SLOW = TransportLimits(keep_alive_s=INTERVAL_S * 6, pong_s=INTERVAL_S)


@pytest.fixture
def process() -> Iterator[Faces]:
    with faces() as running:
        yield running


@pytest.fixture
def pbx() -> Iterator[Listening]:
    with Listening() as listening:
        yield listening


def wait_for_ping(wire: Wire) -> None:
    """Take a ping, which is two blank lines."""
    for _ in range(2):
        wire.wait(lambda m: m.first == PONG, "half a ping")


def connected(face: Face, pbx: Listening) -> Wire:
    assert face.connect(Transport.TCP, pbx.address)
    return pbx.accept()


def test_a_peer_that_answers_is_asked_again_and_again(process: Faces, pbx: Listening) -> None:
    """Nothing else comes for longer than other connections may be idle."""
    face = process.open(limits=QUICK)
    with connected(face, pbx) as wire:
        for _ in range(8):
            wait_for_ping(wire)
            wire.send("\r\n")

        assert face.told.losses == []
        assert wire.pending() == [], "an answer is not answered"
    assert face.counters.missing_pongs == face.counters.idle == 0


def test_a_peer_that_has_answered_and_answers_no_more_is_given_up(process: Faces, pbx: Listening) -> None:
    face = process.open(limits=SLOW)
    with connected(face, pbx) as wire:
        wait_for_ping(wire)
        wire.send("\r\n")
        wait_for_ping(wire)

        assert wire.ends()
    assert face.lost()[1] == "no pong"
    assert face.counters.missing_pongs == 1
    assert face.told.said == [("sip.no_pong", ""), ("sip.connection_lost", "no pong")]


def test_that_a_peer_answers_is_known_for_its_next_connection(process: Faces, pbx: Listening) -> None:
    face = process.open(limits=SLOW)
    with connected(face, pbx) as wire:
        wait_for_ping(wire)
        wire.send("\r\n")
        wait_for_ping(wire)
    face.lost()

    with connected(face, pbx) as wire:
        assert wire.ends()
    assert face.lost(2)[1] == "no pong"


def test_a_peer_that_has_never_answered_is_kept(process: Faces, pbx: Listening) -> None:
    face = process.open(limits=SLOW)
    with connected(face, pbx) as wire:
        for _ in range(3):
            wait_for_ping(wire)
        wire.send(REQUEST)

        assert len(face.taken()) == 1
        assert not wire.is_ended


def test_a_message_is_a_sign_of_life_too(process: Faces, pbx: Listening) -> None:
    face = process.open(limits=SLOW)
    with connected(face, pbx) as wire:
        wait_for_ping(wire)
        wire.send("\r\n")
        for _ in range(2):
            wait_for_ping(wire)
            wire.send(REQUEST)

        assert len(face.taken(2)) == 2
        assert not wire.is_ended
    assert face.counters.missing_pongs == 0


@pytest.mark.parametrize("noise", [REQUEST + b"\r\n", b"\r\n\r\n"])
def test_blank_lines_that_are_no_answer_do_not_count_as_one(
    process: Faces, pbx: Listening, noise: bytes
) -> None:
    """There are peers that end messages with one, or send keep-alives themselves, and answer no ping."""
    face = process.open(limits=SLOW)
    with connected(face, pbx) as wire:
        wait_for_ping(wire)
        wire.send(noise)
        for _ in range(3):
            wait_for_ping(wire)

        assert not wire.ends(SLOW.pong_s * 2)
    assert face.counters.missing_pongs == 0


def test_a_peer_s_own_keep_alive_is_answered(process: Faces, pbx: Listening) -> None:
    face = process.open(limits=TransportLimits())
    with connected(face, pbx) as wire:
        wire.send("\r\n\r\n")

        wire.wait(lambda m: m.first == PONG, "a pong")
        assert wire.pending() == []
    eventually(lambda: face.counters.keep_alives == 1, "one keep-alive")


def test_connections_of_peers_are_theirs_to_keep_alive(process: Faces) -> None:
    face = process.open(limits=QUICK)
    with Wire.open("TCP", face.address) as wire:
        assert wire.ends()
        assert wire.pending() == []
    eventually(lambda: face.counters.idle == 1, "an idle connection")


def test_where_the_interval_is_nought_none_are_sent(process: Faces, pbx: Listening) -> None:
    face = process.open(limits=TransportLimits(keep_alive_s=0, idle_s=0.2))
    with connected(face, pbx) as wire:
        assert wire.ends()
        assert wire.pending() == []
    assert face.lost()[1] == "idle"


def test_a_ping_is_due_after_each_interval() -> None:
    pings = Pings(interval_s=30, pong_s=10, answers=False, now_s=100)

    assert not pings.is_due(129.9)
    assert pings.is_due(130)
    pings.sent(130)
    assert not pings.is_due(159.9)
    assert pings.is_due(160)


@pytest.mark.parametrize(("answers", "expected"), [(True, True), (False, False)])
def test_a_pong_is_missed_only_of_who_has_answered_before(*, answers: bool, expected: bool) -> None:
    pings = Pings(interval_s=30, pong_s=10, answers=answers, now_s=100)
    pings.sent(130)

    assert not pings.is_missing(140)
    assert pings.is_missing(140.1) is expected


def test_what_comes_too_late_for_a_pong_is_none() -> None:
    """Some peer may send a blank line now and then by itself."""
    pings = Pings(interval_s=30, pong_s=10, answers=False, now_s=100)
    pings.sent(130)

    pings.ponged(140.1)
    assert not pings.answers
    pings.sent(160)
    pings.ponged(170)
    assert pings.answers
    pings.ponged(199)
    assert pings.answers


def test_whatever_came_meanwhile_nothing_is_missing() -> None:
    pings = Pings(interval_s=30, pong_s=10, answers=True, now_s=100)
    pings.sent(130)
    pings.heard()

    assert not pings.is_missing(150)
    pings.sent(160)
    assert pings.is_missing(171)
