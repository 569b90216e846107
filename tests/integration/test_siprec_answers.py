"""What the recorder answers to a gateway's description, and that what it promised is what it records."""

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from callseal.cli.demo.office import AGENT
from callseal.codecs.srtp_protector import Protector
from callseal.codecs.srtp_suite import Suite
from support.recording_server import (
    Copies,
    Copy,
    Datagram,
    RecordingServer,
    channels_of,
    metadata,
    multipart,
    session,
)
from support.rtp_sender import Stream, codes
from support.sdp_lines import lines_of, origin_of

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("siprec"),
]

TALK_S = 0.4
MAX_STREAMS = 8
SDP = "Content-Type: application/sdp\r\n"
REFRESHED_BY_US = (
    "Supported: timer\r\nSession-Expires: 90;refresher=uas\r\nAllow: INVITE,ACK,BYE,CANCEL,UPDATE\r\n"
)
REFRESHED_AFTER_S = 45.0


@dataclass(frozen=True)
class Refreshed:
    """Two calls that the recorder is to refresh, begun before anything else here."""

    gateway: Copies
    lost: Copy
    kept: Copy
    begun_s: float


@pytest.fixture(scope="module", autouse=True)
def refreshed(server: RecordingServer) -> Iterator[Refreshed]:
    with server.gateway() as gateway:
        body, headers = multipart(session(), metadata())
        lost, kept = (gateway.copy(body, headers + REFRESHED_BY_US) for _ in range(2))
        yield Refreshed(gateway, lost, kept, time.monotonic())


def offer_of(*media: str, version: int = 1) -> str:
    """Write an offer of these m-lines."""
    head = f"v=0\r\no=gw 7 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    return head + "".join(f"{one}\r\n" for one in media)


# --- m-lines ----------------------------------------------------------------------------------------------


def test_the_answer_has_the_m_lines_of_the_offer_in_their_order(gateway: Copies) -> None:
    offer = offer_of(
        "m=audio 40000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendonly\r\na=label:late",
        "m=video 40002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=sendonly\r\na=label:picture",
        "m=audio 40004 RTP/AVP 18\r\na=sendonly\r\na=label:early\r\na=ptime:30",
        "m=image 40006 udptl t38",
    )

    copy = gateway.copy(offer, SDP)
    copy.bye()

    first, video, second, fax = lines_of(copy.answer)
    assert copy.answer.header("Content-Type") == "application/sdp"
    assert [line.kind for line in (first, video, second, fax)] == ["audio", "video", "audio", "image"]
    assert [line.value("label") for line in (first, video, second)] == ["late", "picture", "early"]
    assert [line.direction for line in (first, second)] == ["recvonly", "recvonly"]
    assert [line.port for line in (video, fax)] == [0, 0]
    assert first.formats == ("8", "0", "101")
    assert fax.formats == ("t38",)
    assert second.value("ptime") == "30"
    ports = {first.port, second.port}
    assert len(ports) == 2
    assert all(port and port % 2 == 0 for port in ports)


def test_streams_beyond_the_limit_are_refused_and_the_others_recorded(
    server: RecordingServer, gateway: Copies
) -> None:
    labels = [str(number) for number in range(1, MAX_STREAMS + 3)]
    copy = gateway.copy(*multipart(session(labels=labels), metadata()))

    sounds = gateway.talk(copy, TALK_S)
    copy.bye()

    recorded = server.of(copy)[0]
    assert [bool(line.port) for line in lines_of(copy.answer)] == [True] * MAX_STREAMS + [False] * 2
    assert [line.value("label") for line in lines_of(copy.answer)] == labels
    assert len(recorded.streams["streams"]) == MAX_STREAMS
    assert all(one["placed"] == len(sounds[0]) // 160 for one in recorded.streams["streams"])


def test_an_offer_without_sound_is_refused_and_the_next_call_is_taken(
    server: RecordingServer, gateway: Copies
) -> None:
    video = offer_of("m=video 40002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=sendonly")

    refused = gateway.copy(video, SDP)
    taken = gateway.copy()
    taken.bye()

    assert refused.answer.code == 488
    assert server.of(taken)[0].inner


# --- what flows, and what does not ------------------------------------------------------------------------


def test_hold_and_resume_are_answered_and_marked(server: RecordingServer, gateway: Copies) -> None:
    copy = gateway.copy(*multipart(session(), metadata()))
    before = gateway.talk(copy, TALK_S)

    held = copy.again(session(direction="inactive", version=2), SDP)
    resumed = copy.again(session(direction="sendonly", version=3), SDP, "UPDATE")
    after = gateway.talk(copy, TALK_S, seed=2)
    copy.bye()

    recorded = server.of(copy)[0]
    agent, customer = channels_of(recorded.inner)
    answers = (copy.answer, held, resumed)
    assert [{line.direction for line in lines_of(one)} for one in answers] == [
        {"recvonly"},
        {"inactive"},
        {"recvonly"},
    ]
    assert [[line.port for line in lines_of(one)] for one in answers] == [copy.ports] * 3
    assert 0 <= agent.find(before[0]) < agent.find(after[0])
    assert 0 <= customer.find(before[1]) < customer.find(after[1])
    assert [(one["channel"], one["held"]) for one in recorded.streams["holds"]] == [
        (0, True),
        (1, True),
        (0, False),
        (1, False),
    ]


def test_one_side_alone_can_be_on_hold(server: RecordingServer, gateway: Copies) -> None:
    copy = gateway.copy(*multipart(session(), metadata()))
    first, second = session(version=2).split("m=audio 40002")

    held = copy.again(f"{first}m=audio 40002{second.replace('sendonly', 'inactive')}", SDP)
    copy.bye()

    recorded = server.of(copy)[0]
    assert [line.direction for line in lines_of(held)] == ["recvonly", "inactive"]
    assert [(one["channel"], one["held"]) for one in recorded.streams["holds"]] == [(1, True)]


def test_a_call_that_begins_on_hold_is_recorded_once_it_speaks(
    server: RecordingServer, gateway: Copies
) -> None:
    copy = gateway.copy(*multipart(session(direction="inactive"), metadata()))

    resumed = copy.again(*multipart(session(version=2), metadata()))
    sounds = gateway.talk(copy, TALK_S)
    copy.bye()

    agent, customer = channels_of(server.of(copy)[0].inner)
    assert {line.direction for line in lines_of(copy.answer)} == {"inactive"}
    assert {line.direction for line in lines_of(resumed)} == {"recvonly"}
    assert sounds[0] in agent
    assert sounds[1] in customer


def test_the_version_is_raised_by_what_is_new_and_by_nothing_else(gateway: Copies) -> None:
    copy = gateway.copy(*multipart(session(), metadata()))

    answers = [
        copy.answer,
        copy.again(session(version=1), SDP),
        copy.again(session(direction="inactive", version=2), SDP),
        copy.again(session(direction="inactive", version=2), SDP, "UPDATE"),
        copy.again(session(version=3), SDP),
    ]
    copy.bye()

    identity, first = origin_of(copy.answer)
    assert [origin_of(one) for one in answers] == [(identity, first + raised) for raised in (0, 0, 1, 1, 2)]


def test_an_offer_that_cant_be_taken_leaves_the_session_as_it_was(
    server: RecordingServer, gateway: Copies
) -> None:
    copy = gateway.copy(*multipart(session(), metadata()))

    broken = copy.again(offer_of("m=audio 99999999 RTP/AVP 0", version=2), SDP)
    sounds = gateway.talk(copy, TALK_S)
    copy.bye()

    agent, customer = channels_of(server.of(copy)[0].inner)
    assert broken.code == 488
    assert sounds[0] in agent
    assert sounds[1] in customer


def test_who_asks_for_an_offer_is_offered_what_was_agreed(server: RecordingServer, gateway: Copies) -> None:
    suite = Suite.AES_128_CM_80
    video = "m=video 40006 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=sendonly"
    lines = (plain(0), video, secure(1, suite))
    copy = gateway.copy(*multipart(offer_of(*lines), metadata()))
    refused = video.replace("40006", "0")
    fresh = secure(1, suite, key=key_of(suite, 6))

    offered = copy.again(answering=lambda _offered: offer_of(plain(0), refused, fresh, version=2))
    sounds = [codes(number, 3200).tobytes() for number in (61, 62)]
    gateway.play(
        [
            *(Datagram(at_s, data, copy.ports[0]) for at_s, data in stream_of(copy.ports[0], sounds[0])),
            *sealed(Stream(port=copy.ports[2], sound=sounds[1], ssrc=62), suite, key_of(suite, 6)),
        ]
    )
    copy.bye()

    agent, customer = channels_of(server.of(copy)[0].inner)
    assert lines_of(offered) == lines_of(copy.answer)
    assert [bool(port) for port in copy.ports] == [True, False, True]
    assert sounds[0] in agent
    assert sounds[1] in customer


# --- encrypted sound --------------------------------------------------------------------------------------


def key_of(suite: Suite, number: int) -> bytes:
    """Give a gateway's key for a stream."""
    return bytes((number * 41 + place) & 0xFF for place in range(suite.key_and_salt_bytes))


def secure(number: int, suite: Suite, *, port: int = 40_000, key: bytes | None = None) -> str:
    """Offer an encrypted stream."""
    inline = base64.b64encode(key or key_of(suite, number)).decode()
    return (
        f"m=audio {port + 2 * number} RTP/SAVP 0\r\na=sendonly\r\na=label:{number + 1}\r\n"
        f"a=crypto:7 {suite.value} inline:{inline}"
    )


def plain(number: int) -> str:
    """Offer a stream that is not."""
    return f"m=audio {40_000 + 2 * number} RTP/AVP 0\r\na=sendonly\r\na=label:{number + 1}"


def sealed(stream: Stream, suite: Suite, key: bytes) -> Iterator[Datagram]:
    """Encrypt a stream's packets."""
    protector = Protector(suite, key)
    for at_s, data in stream.packets():
        yield Datagram(at_s, protector.protect(data), stream.port)


@pytest.mark.parametrize("suite", list(Suite), ids=[suite.value for suite in Suite])
def test_encrypted_sound_is_recorded_as_it_was_before(
    server: RecordingServer, gateway: Copies, suite: Suite
) -> None:
    offer = offer_of(secure(0, suite), secure(1, suite))
    copy = gateway.copy(*multipart(offer, metadata()))
    sounds = [codes(number, 3200).tobytes() for number in (31, 32)]

    gateway.play(
        datagram
        for number, sound in enumerate(sounds)
        for datagram in sealed(
            Stream(port=copy.ports[number], sound=sound, ssrc=number), suite, key_of(suite, number)
        )
    )
    copy.bye()

    recorded = server.of(copy)[0]
    agent, customer = channels_of(recorded.inner)
    lines = lines_of(copy.answer)
    keys = [base64.b64decode(line.value("crypto").partition("inline:")[2]) for line in lines]
    assert [line.protocol for line in lines] == ["RTP/SAVP"] * 2
    assert [line.value("crypto").split(" ")[:2] for line in lines] == [["7", suite.value]] * 2
    assert {len(key) for key in keys} == {suite.key_and_salt_bytes}
    assert len({*keys, key_of(suite, 0), key_of(suite, 1)}) == 4
    assert sounds[0] in agent
    assert sounds[1] in customer
    assert [one["encrypted"] for one in recorded.streams["streams"]] == [True, True]
    assert base64.b64encode(keys[0]).decode() not in server.office.log_tail(AGENT, 1000)


def test_plain_and_encrypted_streams_go_together_and_a_forgery_is_counted(
    server: RecordingServer, gateway: Copies
) -> None:
    suite = Suite.AES_128_CM_80
    copy = gateway.copy(*multipart(offer_of(plain(0), secure(1, suite)), metadata()))
    open_sound, secret_sound = codes(41, 3200).tobytes(), codes(42, 3200).tobytes()
    forged = Stream(port=copy.ports[1], sound=codes(43, 1600).tobytes(), ssrc=43)

    gateway.play(
        [
            *(Datagram(at_s, data, copy.ports[0]) for at_s, data in stream_of(copy.ports[0], open_sound)),
            *sealed(Stream(port=copy.ports[1], sound=secret_sound, ssrc=42), suite, key_of(suite, 1)),
            *sealed(forged, suite, key_of(suite, 9)),
        ]
    )
    copy.bye()

    recorded = server.of(copy)[0]
    agent, customer = channels_of(recorded.inner)
    assert [line.protocol for line in lines_of(copy.answer)] == ["RTP/AVP", "RTP/SAVP"]
    assert open_sound in agent
    assert secret_sound in customer
    assert forged.sound[:160] not in customer
    assert [one["encrypted"] for one in recorded.streams["streams"]] == [False, True]
    assert [one["unauthentic"] for one in recorded.streams["streams"]] == [0, 10]


def stream_of(port: int, sound: bytes) -> Iterator[tuple[float, bytes]]:
    """Give the packets of a plain stream."""
    return Stream(port=port, sound=sound, ssrc=41).packets()


def test_a_new_key_is_taken_and_costs_no_sound(server: RecordingServer, gateway: Copies) -> None:
    suite = Suite.AES_128_CM_80
    copy = gateway.copy(*multipart(offer_of(secure(0, suite), plain(1)), metadata()))
    first, second = codes(51, 3200).tobytes(), codes(52, 3200).tobytes()
    gateway.play(sealed(Stream(port=copy.ports[0], sound=first, ssrc=5), suite, key_of(suite, 0)))
    fresh = secure(0, suite, key=key_of(suite, 5))

    changed = copy.again(offer_of(fresh, plain(1), version=2), SDP)
    later = Stream(port=copy.ports[0], sound=second, ssrc=5, sequence=65520, ts=2**32 - 800)
    gateway.play(sealed(later, suite, key_of(suite, 5)))
    copy.bye()

    recorded = server.of(copy)[0]
    agent, _ = channels_of(recorded.inner)
    assert changed.code == 200
    assert first in agent
    assert second in agent
    assert recorded.streams["streams"][0]["unauthentic"] == 0


# --- sessions that end ------------------------------------------------------------------------------------


def test_a_session_that_the_gateway_does_not_know_any_more_is_ended_and_one_that_it_knows_goes_on(
    server: RecordingServer, refreshed: Refreshed
) -> None:
    left_s = REFRESHED_AFTER_S + 15 - (time.monotonic() - refreshed.begun_s)

    asked = [refreshed.gateway.peer.request("UPDATE", max(left_s, 5.0)) for _ in range(2)]
    for request in asked:
        is_lost = request.header("Call-ID") == refreshed.lost.call_id
        dialog = (refreshed.lost if is_lost else refreshed.kept).dialog
        timer = "Session-Expires: 90;refresher=uac\r\nRequire: timer\r\n"
        dialog.answer(481 if is_lost else 200, to=request, extra="" if is_lost else timer)
    lost = server.of(refreshed.lost)[0]
    sounds = refreshed.gateway.talk(refreshed.kept, TALK_S)
    refreshed.kept.bye()

    kept = server.of(refreshed.kept)[0]
    assert "session-expired" in lost.manifest.reasons
    assert "session-expired" not in kept.manifest.reasons
    assert sounds[0] in channels_of(kept.inner)[0]
