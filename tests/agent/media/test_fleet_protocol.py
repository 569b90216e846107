"""What the agent and its workers say to each other arrives as it was said, or not at all."""

import asyncio
import pickle
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from callseal.agent.call import Document, Linked
from callseal.agent.call import Link as Bond
from callseal.agent.errors import PortsExhausted, ProtocolError, SourceError
from callseal.agent.media import worker_protocol
from callseal.agent.media.plans import RecordingPlan, Reservation
from callseal.agent.media.worker_protocol import (
    Alarm,
    Answer,
    Ask,
    Beat,
    Failed,
    Finished,
    Message,
    NoteEntry,
    Ready,
    Share,
    Start,
    Stop,
    frame,
    read,
    receive,
)
from callseal.agent.sdp.session import Crypto
from callseal.config.load import read_settings
from callseal.seal.errors import SpoolError
from callseal.seal.ledger.entry import Kind
from callseal.seal.manifest import Result
from support.media_room import CALL, END, NOON, ULAW, plan

RECORDING = UUID("01a2008c-156a-7f82-82d9-cfeb0fa321d7")
KEY = Crypto(tag=1, suite="AES_CM_128_HMAC_SHA1_80", key_and_salt=bytes(30))
SETTINGS = read_settings(
    b'schema = 1\n[device]\nsite = "bj"\n[spool]\npath = "spool"\n[[source]]\ntype = "siprec"\nworkers = 2\n'
    b'[[store]]\nname = "a"\ntype = "directory"\npath = "/srv/a"\n',
    Path("/etc/callseal/callseal.toml"),
)
MESSAGES: tuple[Message, ...] = (
    Start(
        share=Share(address="127.0.0.1", first_port=20000, last_port=20999, max_calls=50),
        settings=SETTINGS,
        spools=((Path("/var/spool/callseal"), 7),),
        recipients=("age1",),
        device="device",
        key=bytes(32),
        chain=(b"der",),
    ),
    Ask(
        number=1,
        method="open",
        arguments=(1, (RecordingPlan(call=CALL, format=ULAW, streams=(plan(20000, 0, crypto=KEY),)),)),
    ),
    Ask(
        number=2,
        method="note",
        arguments=(RECORDING, Linked(link=Bond(relation="same-call", recording=RECORDING))),
    ),
    Stop(end=END),
    Ready(capacity=50, unprotected=("words",)),
    Answer(number=1, value=Reservation(id=1, ports=(20000, 20002))),
    Beat(ticks=3, counters={"packets": 1}, failed=frozenset({Path("/var/spool/callseal")})),
    Alarm(code="media-fault", words="words"),
    Finished(result=Result.OK),
    NoteEntry(kind=Kind.CLOSED, recording=RECORDING, manifest=bytes(32), result="ok", reasons=("recovered",)),
)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def _send_slowly(channel: socket.socket, data: bytes) -> None:
    for at in range(len(data)):
        channel.sendall(data[at : at + 1])


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: type(one).__name__)
def test_a_message_arrives_as_it_was_said(
    message: Message, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    data = frame(message)
    sending = threading.Thread(target=_send_slowly, args=(ours, data))
    sending.start()

    assert receive(theirs) == message
    sending.join()


def test_a_long_document_arrives(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    document = Document(at=NOON, kind="sip-message", content_type="message/sip", body=bytes(3_000_000))
    ask = Ask(number=1, method="note", arguments=(RECORDING, document))
    sending = threading.Thread(target=ours.sendall, args=(frame(ask),))
    sending.start()

    assert receive(theirs) == ask
    sending.join()


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 20])
def test_the_end_of_the_other_process_is_seen_wherever_it_stopped(
    size: int, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    ours.sendall(frame(Stop(end=END))[:size])
    ours.close()

    assert receive(theirs) is None


def test_an_event_loop_sees_it_too(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ours.sendall(frame(Stop(end=END)) + frame(Stop(end=END))[:-1])
    ours.close()

    async def said() -> list[Message | None]:
        reader, writer = await asyncio.open_connection(sock=theirs)
        found = [await read(reader), await read(reader)]
        writer.close()
        return found

    assert asyncio.run(said()) == [Stop(end=END), None]


def test_a_frame_beyond_the_limit_is_refused_on_both_sides(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = pair
    monkeypatch.setattr(worker_protocol, "MAX_FRAME_BYTES", 10)
    ours.sendall(struct.pack(">I", 11))

    with pytest.raises(ProtocolError):
        receive(theirs)
    with pytest.raises(ProtocolError):
        frame(Stop(end=END))


def test_what_is_no_message_is_refused(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    data = pickle.dumps("hello")
    ours.sendall(struct.pack(">I", len(data)) + data)

    with pytest.raises(ProtocolError):
        receive(theirs)


@pytest.mark.parametrize("problem", [PortsExhausted("none"), SpoolError("full"), SourceError("other")])
def test_an_error_is_the_same_kind_of_error_on_the_other_side(problem: Exception) -> None:
    error = Failed.of(1, problem).error()

    assert type(error) is type(problem)
    assert str(error) == str(problem)


def test_the_device_key_shows_in_no_representation() -> None:
    start = MESSAGES[0]

    assert "key=" not in repr(start)
