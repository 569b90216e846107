"""A telephone that speaks TCP: its calls go to it and to no other program of this machine."""

from collections.abc import Iterator

import pytest

from callseal.agent.sip.flow import Transport
from callseal.agent.sources.bridge.edge.faces import PHONE, Faces, Reach
from support.eventually import eventually
from support.sip_faces import Face, Listening, faces
from support.sip_text import request_text
from support.sip_wire import Wire

REQUEST = request_text("OPTIONS", more=("Content-Length: 0",))


@pytest.fixture
def face() -> Iterator[Face]:
    with faces() as running:
        yield running.open(PHONE)


def ended(face: Face) -> int:
    """Have a program connect and go again; gives which connection that was."""
    with Wire.open("TCP", face.address) as program:
        program.send(REQUEST)
        number = face.taken()[-1][1].connection
    eventually(lambda: face.counters.connections == 0, "the end of the connection")
    return number


def test_a_telephone_whose_connection_is_gone_is_connected_to_at_its_contact(face: Face) -> None:
    number = ended(face)
    with Listening() as contact, Wire.open("TCP", face.address) as stranger:
        stranger.send(REQUEST)
        face.taken(2)
        hop = Faces(phone=face.address).to_phone(
            Reach(transport=Transport.TCP, address=contact.address, connection=number)
        )
        face.send(REQUEST, hop.destination, on=hop.flow)

        with contact.accept() as telephone:
            telephone.wait(lambda message: message.method == "OPTIONS", "OPTIONS")
        assert stranger.pending() == []


def test_an_answer_for_a_program_that_is_gone_goes_to_no_other(face: Face) -> None:
    number = ended(face)
    with Wire.open("TCP", face.address) as stranger:
        stranger.send(REQUEST)
        flow = face.taken(2)[0][1]
        assert flow.connection == number
        face.send("SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", flow.remote, on=flow, key="an answer")

        assert face.undelivered() == ["an answer"]
        assert stranger.pending() == []


def test_a_telephone_with_a_connection_is_reached_on_it(face: Face) -> None:
    with Wire.open("TCP", face.address) as telephone, Listening() as contact:
        telephone.send(REQUEST)
        number = face.taken()[0][1].connection
        hop = Faces(phone=face.address).to_phone(
            Reach(transport=Transport.TCP, address=contact.address, connection=number)
        )
        face.send(REQUEST, hop.destination, on=hop.flow)

        telephone.wait(lambda message: message.method == "OPTIONS", "OPTIONS")
        assert not contact.is_called(0.1)
