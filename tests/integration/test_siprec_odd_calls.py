"""Gateways that behave oddly, and bad luck: what was recorded is whole, and what was not says so."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from callseal.cli.demo.office import AGENT
from callseal.seal.manifest import Result
from support.desk import Recorded
from support.eventually import eventually
from support.process import descriptors
from support.recording_server import (
    REQUIRE,
    Copies,
    Datagram,
    RecordingServer,
    channels_of,
    metadata,
    multipart,
    recording_server,
    session,
)
from support.rtp_sender import Stream, codes, packet

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

PLAIN = "Content-Type: application/sdp\r\n"
DOCUMENT = "Content-Type: application/rs-metadata+xml\r\n"
SECOND = 8000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordingServer]:
    with recording_server(tmp_path_factory.mktemp("odd"), source="max_streams = 32") as running:
        yield running
        assert counted(running)["media_faults"] == 0
        assert "agent-faulty" not in alarms(running)


def counted(server: RecordingServer) -> dict[str, int]:
    """Give the agent's counters."""
    reading = server.office.status(AGENT)
    assert reading is not None
    return dict(reading.status.counters)


def alarms(server: RecordingServer) -> set[str]:
    """Give the codes of the agent's alarms."""
    reading = server.office.status(AGENT)
    assert reading is not None
    return {alarm.code for alarm in reading.status.alarms}


def test_a_goodbye_before_the_confirmation_ends_the_recording(
    server: RecordingServer, gateway: Copies
) -> None:
    dialog = gateway.peer.call("srs")
    body, headers = multipart(session(), metadata())
    dialog.ask("INVITE", body, f"{REQUIRE}{headers}")
    answer = dialog.response(200)
    dialog.remote = answer.header("To")

    dialog.ask("BYE")
    goodbye = dialog.final("BYE")

    (recorded,) = wait_for_call(server, dialog.call_id)
    assert goodbye.code == 200
    assert recorded.manifest.result is Result.DEGRADED
    assert "no-media" in recorded.manifest.reasons


def wait_for_call(server: RecordingServer, call_id: str) -> list[Recorded]:
    """Wait for the recordings of a call."""
    found: list[Recorded] = []

    def look() -> bool:
        found[:] = [one for one in server.recordings() if call_id in one.call["sip_call_ids"]]
        return bool(found)

    eventually(look, "a recording of the call")
    return found


def test_a_call_that_turns_out_to_be_never_recorded_leaves_one_trace_and_no_sound(
    server: RecordingServer, gateway: Copies
) -> None:
    copy = gateway.copy()
    gateway.talk(copy, 1.0)

    told = copy.again(metadata(agent="9999"), DOCUMENT, "UPDATE")
    gateway.talk(copy, 0.5)
    copy.bye()

    (recorded,) = server.all_of(copy)
    assert told.code == 200
    assert recorded.manifest.result is Result.EXEMPT
    assert recorded.manifest.reasons == ("rule-never",)
    assert recorded.inner == b""
    assert "agent-faulty" not in alarms(server)


def test_sound_in_a_coding_that_was_not_agreed_on_is_said_to_be_lost(
    server: RecordingServer, gateway: Copies
) -> None:
    copy = gateway.copy()
    speech = codes(5, 6 * SECOND).tobytes()

    gateway.send(
        Stream(port=copy.ports[0], sound=speech, ssrc=1),
        Stream(port=copy.ports[1], sound=speech[: 2 * SECOND], ssrc=2, sequence=100, ts=0),
        Stream(
            port=copy.ports[1],
            sound=speech[2 * SECOND :],
            ssrc=2,
            payload_type=18,
            begins_s=2.0,
            sequence=200,
            ts=2 * SECOND,
        ),
    )
    copy.bye()

    (recorded,) = server.all_of(copy)
    assert recorded.manifest.result is Result.DEGRADED
    assert "media-lost" in recorded.manifest.reasons


def test_sound_from_elsewhere_is_not_recorded_and_said_to_be_missing(
    server: RecordingServer, gateway: Copies
) -> None:
    copy = gateway.copy()
    speech = codes(6, 6 * SECOND).tobytes()
    gateway.sound.source()  # the usual one
    elsewhere = gateway.sound.source("127.0.0.2")

    gateway.send(
        Stream(port=copy.ports[0], sound=speech, ssrc=1),
        Stream(port=copy.ports[1], sound=speech[: 2 * SECOND], ssrc=2, sequence=100, ts=0),
        Stream(
            port=copy.ports[1],
            sound=speech[2 * SECOND :],
            ssrc=2,
            begins_s=2.0,
            sequence=200,
            ts=2 * SECOND,
            source=elsewhere,
        ),
    )
    copy.bye()

    (recorded,) = server.all_of(copy)
    assert recorded.manifest.result is Result.DEGRADED
    assert "media-lost" in recorded.manifest.reasons


def test_an_invite_with_thirty_two_streams_is_recorded(server: RecordingServer, gateway: Copies) -> None:
    offer = session(labels=[str(number) for number in range(32)])
    copy = gateway.copy(*multipart(offer, metadata()))

    sounds = gateway.talk(copy, 1.0)
    copy.bye()

    (recorded,) = server.all_of(copy)
    assert copy.answer.code == 200
    assert len(sounds) == 32
    assert recorded.manifest.duration_samples >= SECOND


def test_a_stream_that_stays_alone_is_heard_on_its_channel_and_on_no_other(
    server: RecordingServer, gateway: Copies
) -> None:
    copy = gateway.copy(session(), PLAIN)
    gateway.talk(copy, 1.5)
    ports = list(copy.ports)
    gone = session(version=2).replace("m=audio 40002 ", "m=audio 0 ")

    copy.again(gone, PLAIN)
    alone = codes(9, SECOND).tobytes()
    gateway.send(Stream(port=ports[0], sound=alone, ssrc=100, sequence=40, ts=2**31))
    copy.bye()

    agent, customer = channels_of(server.all_of(copy)[0].inner)
    assert alone in customer
    assert alone not in agent


def test_two_calls_of_one_call_id_are_two_recordings(server: RecordingServer, gateway: Copies) -> None:
    first = gateway.copy()
    name = first.call_id

    second = gateway.peer.call("srs")
    second.call_id = name
    body, headers = multipart(session(), metadata())
    second.ask("INVITE", body, f"{REQUIRE}{headers}")
    answer = gateway.peer.wait(
        lambda m: m.code >= 200 and f"tag={second.local.partition('tag=')[2]}" in m.header("From"), "200", 10
    )
    second.acknowledge(answer)
    gateway.talk(first, 0.5)
    first.bye()
    second.ask("BYE")

    found = server.all_of(first, 2)
    assert answer.code == 200
    assert len({one.manifest.id for one in found}) == 2


def test_a_storm_of_keys_is_counted_and_costs_no_sound(server: RecordingServer, gateway: Copies) -> None:
    copy = gateway.copy()
    sound = codes(11, 2 * SECOND).tobytes()
    keys = gateway.sound.source()
    speech = Stream(port=copy.ports[0], sound=sound, ssrc=7, source=keys)
    sent = list(speech.packets())
    events = []
    for number in range(3000):
        payload = bytes([number % 16, 0x80, 0, 160])
        events.append(
            Datagram(
                at_s=2 * number / 3000,
                data=packet(payload, sequence=number, ts=number * 800, ssrc=8, payload_type=101),
                port=copy.ports[0],
                source=keys,
            )
        )
    gateway.play(
        [*(Datagram(at_s=at, data=data, port=copy.ports[0], source=keys) for at, data in sent), *events]
    )
    copy.bye()

    (recorded,) = server.all_of(copy)
    agent, _ = channels_of(recorded.inner)
    assert sound in agent


def test_files_are_given_back_after_many_short_calls(server: RecordingServer, gateway: Copies) -> None:
    reading = server.office.status(AGENT)
    assert reading is not None
    pid = reading.status.pid

    def open_files() -> int:
        return descriptors(pid)

    for _ in range(10):
        gateway.copy().bye()
    eventually(lambda: counted(server)["siprec_running"] == 0, "the end of all calls")
    before = open_files()
    for _ in range(60):
        copy = gateway.copy()
        if copy.answer.code == 200:
            copy.bye()

    eventually(lambda: open_files() <= before, "as many open files as before")


def test_a_worker_keeps_the_ports_of_what_must_not_be_recorded_and_gives_them_back(tmp_path: Path) -> None:
    with recording_server(tmp_path, source="workers = 2") as server, server.gateway() as gateway:
        copies = [gateway.copy() for _ in range(4)]
        for copy in copies:
            copy.again(metadata(agent="9999"), DOCUMENT, "UPDATE")
            copy.bye()

        found = [one for copy in copies for one in server.all_of(copy)]
        eventually(lambda: counted(server)["siprec_running"] == 0, "the end of all calls")
        next_one = gateway.copy()
        next_one.bye()
        server.all_of(next_one)

        assert [one.manifest.result for one in found] == [Result.EXEMPT] * 4
        assert len(server.recordings()) == 5
        assert not {"agent-faulty", "media-fault"} & alarms(server)
