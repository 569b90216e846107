"""Programs that connect and say nothing keep nobody else out for long."""

import contextlib
from collections.abc import Iterator

import pytest

from callseal.agent.sip.transport_limits import TransportLimits
from support.eventually import eventually
from support.sip_faces import Faces, faces
from support.sip_text import request_text
from support.sip_wire import Wire

REQUEST = request_text("OPTIONS", more=("Content-Length: 0",))
MOST = 4
SHORT_S = 0.2


@pytest.fixture
def process() -> Iterator[Faces]:
    with faces() as running:
        yield running


def test_who_has_said_nothing_for_long_makes_room(process: Faces) -> None:
    face = process.open("phone", limits=TransportLimits(connections_per_address=MOST, silent_s=SHORT_S))
    with contextlib.ExitStack() as opened:
        speaks, *silent = [opened.enter_context(Wire.open("TCP", face.address)) for _ in range(MOST)]
        speaks.send(REQUEST)
        face.taken()
        with Wire.open("TCP", face.address) as too_early:
            assert too_early.ends()
        eventually(lambda: admitted(face.address), "room")

        speaks.send(REQUEST)
        face.taken(2)
        assert silent[0].ends()
    eventually(lambda: face.counters.connections == 0, "the end of all")


def admitted(address: tuple[str, int]) -> bool:
    """Say whether one more connection is let in, and stays."""
    with Wire.open("TCP", address) as late:
        late.send("\r\n\r\n")
        return not late.ends(SHORT_S)


def test_who_has_spoken_once_stays(process: Faces) -> None:
    face = process.open("phone", limits=TransportLimits(connections_per_address=MOST, silent_s=0.0))
    with contextlib.ExitStack() as opened:
        wires = [opened.enter_context(Wire.open("TCP", face.address)) for _ in range(MOST)]
        for wire in wires:
            wire.send(REQUEST)
        face.taken(MOST)

        with Wire.open("TCP", face.address) as one_too_many:
            assert one_too_many.ends()

        for wire in wires:
            wire.send(REQUEST)
        face.taken(2 * MOST)
        assert face.counters.crowded_out == 1
