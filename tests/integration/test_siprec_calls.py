"""A gateway copies calls to the recorder: what it sends is in the recordings, byte for byte."""

import pytest

from callseal.seal.manifest import Direction, Result
from support.recording_server import (
    Copies,
    RecordingServer,
    channels_of,
    metadata,
    multipart,
    session,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def test_a_call_is_recorded_byte_for_byte_on_its_channels(server: RecordingServer, gateway: Copies) -> None:
    before = len(server.recordings())
    copy = gateway.copy()

    sounds = gateway.talk(copy, 3.0)
    copy.bye()

    recorded = server.wait_for(before + 1)[-1]
    agent, customer = channels_of(recorded.inner)
    assert sounds[0] in agent
    assert sounds[1] in customer
    assert recorded.manifest.source == "siprec"
    assert recorded.manifest.direction is Direction.OUTBOUND
    assert recorded.manifest.business_type == "sales"
    assert recorded.manifest.result is Result.OK, recorded.manifest.reasons
    assert [party.get("tel") or party.get("sip") for party in recorded.vcon["parties"][:2]] == [
        "sip:6001@house.example",
        "+8613800138000",
    ]
    assert recorded.call["conversation"] == "g-7f3a90cc5d1e"


def test_who_has_the_second_stream_may_be_the_agent(server: RecordingServer, gateway: Copies) -> None:
    before = len(server.recordings())
    body, headers = multipart(session(), metadata(agent="+8613800138000", customer="6002"))
    copy = gateway.copy(body, headers)

    sounds = gateway.talk(copy, 1.5)
    copy.bye()

    agent, customer = channels_of(server.wait_for(before + 1)[-1].inner)
    assert sounds[0] in customer
    assert sounds[1] in agent


def test_a_call_shorter_than_the_wait_for_metadata_is_recorded(
    server: RecordingServer, gateway: Copies
) -> None:
    before = len(server.recordings())
    copy = gateway.copy(session(), "Content-Type: application/sdp\r\n")

    sounds = gateway.talk(copy, 0.4)
    copy.bye()

    # Nobody said who they are: the first stream is the caller's, and who was called the agent.
    agent, customer = channels_of(server.wait_for(before + 1)[-1].inner)
    assert sounds[0] in customer
    assert sounds[1] in agent


def test_a_number_that_is_never_recorded_leaves_a_trace_without_sound(
    server: RecordingServer, gateway: Copies
) -> None:
    before = len(server.recordings())
    body, headers = multipart(session(), metadata(agent="9999"))
    copy = gateway.copy(body, headers)

    gateway.talk(copy, 0.5)
    copy.bye()

    recorded = server.wait_for(before + 1)[-1]
    assert copy.answer.body.count("a=inactive") == len(copy.ports)
    assert recorded.manifest.result is Result.EXEMPT
    assert recorded.manifest.reasons == ("rule-never",)
    assert recorded.inner == b""
