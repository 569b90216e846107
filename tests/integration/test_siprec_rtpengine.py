"""A real rtpengine copies the sound, as it does beside a SIP proxy; the session around it is the test's."""

import re
import time
from pathlib import Path

import pytest

from support.recording_server import (
    SECOND_SAMPLES,
    channels_of,
    metadata,
    multipart,
    recording_server,
)
from support.rtp_sender import Gateway, Stream, codes
from support.rtpengine import RtpEngine, description, rtpengine, tag

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

TELEPHONE = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
)
CALL = "call-1"


def relayed(relay: RtpEngine, agent: int, customer: int) -> tuple[int, int]:
    """Let a call of two telephones at these ports go through the relay; gives where each sends to."""
    offered = relay.ask(
        "offer", call_id=CALL, from_tag="agent", ICE="remove", sdp=TELEPHONE.format(port=agent)
    )
    answered = relay.ask(
        "answer",
        call_id=CALL,
        from_tag="agent",
        to_tag="customer",
        ICE="remove",
        sdp=TELEPHONE.format(port=customer),
    )
    to_customer, to_agent = (
        int(re.findall(r"m=audio (\d+) ", description(one))[0]) for one in (offered, answered)
    )
    return to_agent, to_customer


def test_what_rtpengine_copies_is_recorded_byte_for_byte(tmp_path: Path) -> None:
    """Its offer for a SIPREC session, with labels of its own, is answered, and it sends to our ports."""
    with recording_server(tmp_path / "server") as server, rtpengine(tmp_path) as relay:
        telephones = Gateway()
        agent, customer = telephones.source(), telephones.source()
        to_agent, to_customer = relayed(relay, agent.getsockname()[1], customer.getsockname()[1])
        asked = relay.ask("subscribe request", call_id=CALL, flags=["all", "SIPREC"])
        labels = re.findall(r"a=label:(\w+)", description(asked))
        told = metadata()
        for number, label in enumerate(labels, 1):
            told = told.replace(f"<label>{number}</label>", f"<label>new-{label}</label>")
        body, headers = multipart(description(asked), told.replace("new-", ""))

        with server.gateway() as gateway:
            copy = gateway.copy(body, headers)
            relay.ask("subscribe answer", call_id=CALL, to_tag=tag(asked), sdp=copy.answer.body)
            sounds = [codes(seed, 3 * SECOND_SAMPLES).tobytes() for seed in (1, 2)]
            gateway.send(
                Stream(port=to_agent, sound=sounds[0], ssrc=1, payload_type=8, source=agent),
                Stream(port=to_customer, sound=sounds[1], ssrc=2, payload_type=8, source=customer),
            )
            time.sleep(0.1)
            copy.bye()

        telephones.close()
        (recorded,) = server.of(copy)
        channels = channels_of(recorded.inner)
        assert labels
        assert sounds[0] in channels[0]
        assert sounds[1] in channels[1]
