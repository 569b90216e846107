"""The recorder's answer: which streams it takes, and what it says of each."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.errors import SdpError
from callseal.agent.sdp.answer import Answer, answer
from callseal.agent.sdp.origin import OwnSession
from callseal.agent.sdp.parsing import parse_session
from callseal.agent.sdp.policy import AnswerPolicy, recordable
from callseal.agent.sdp.session import Direction, Session
from callseal.agent.sdp.writing import bytes_of

KEY = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
CRYPTO = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"
OWN = OwnSession(session_id=77)
POLICY = AnswerPolicy(max_streams=8)
RICH = AnswerPolicy(max_streams=8, codecs=frozenset({"PCMU", "PCMA", "G722", "G729", "OPUS", "AMR", "ILBC"}))


def _offer(*streams: str, head: str = "v=0\nc=IN IP4 192.0.2.1") -> Session:
    return parse_session("\n".join((head, *streams)).encode())


def _answer(offer: Session, *, own: OwnSession = OWN, policy: AnswerPolicy = POLICY, seed: int = 1) -> Answer:
    ports = {index: 30000 + 2 * index for index in recordable(offer, policy)}
    return answer(
        offer,
        ports=ports,
        address="192.0.2.9",
        own=own,
        policy=policy,
        random=random.Random(seed).randbytes,  # noqa: S311 - a key in a test
    )


def _lines(offer: Session, *, policy: AnswerPolicy = POLICY) -> list[str]:
    return bytes_of(_answer(offer, policy=policy).session).decode().split("\r\n")


def test_the_usual_offer_of_two_streams_gets_the_usual_answer() -> None:
    offer = _offer(
        "m=audio 4000 RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15",
        "a=sendonly\na=label:1\na=ptime:20",
        "m=audio 4002 RTP/AVP 0 8\na=sendonly\na=label:2",
    )

    lines = _lines(offer)

    assert lines == [
        "v=0",
        "o=callseal 77 1 IN IP4 192.0.2.9",
        "s=-",
        "c=IN IP4 192.0.2.9",
        "t=0 0",
        "m=audio 30000 RTP/AVP 0 8 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=recvonly",
        "a=label:1",
        "m=audio 30002 RTP/AVP 0 8",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=recvonly",
        "a=label:2",
        "",
    ]


def test_what_was_agreed_is_told_stream_by_stream() -> None:
    offer = _offer("m=video 4000 RTP/AVP 96", "m=audio 4002 RTP/AVP 8 13\na=label:x\na=rtcp-mux")

    (stream,) = _answer(offer).streams

    assert (stream.index, stream.label, stream.port) == (1, "x", 30002)
    assert [known.name for known in stream.formats] == ["PCMA", "CN"]
    assert (stream.address, stream.remote_port, stream.rtcp_mux) == ("192.0.2.1", 4002, True)
    assert (stream.sending, stream.crypto_in, stream.crypto_out) == (True, None, None)


@pytest.mark.parametrize(
    "refused",
    [
        "m=video 4000 RTP/AVP 96\na=rtpmap:96 H264/90000",
        "m=image 4000 udptl t38",
        "m=application 4000 UDP/BFCP *",
        "m=audio 4000 UDP/TLS/RTP/SAVP 0\na=fingerprint:sha-256 00\na=setup:actpass",
        "m=audio 4000 RTP/SAVP 0\na=fingerprint:sha-256 00",
        "m=audio 4000 RTP/SAVP 0",
        f"m=audio 4000 RTP/SAVP 0\na=crypto:1 F8_128_HMAC_SHA1_80 inline:{KEY}",
        f"m=audio 4000 RTP/SAVP 0\n{CRYPTO} UNENCRYPTED_SRTP",
        "m=audio 4000 RTP/AVP 3",
        "m=audio 4000 RTP/AVP 101\na=rtpmap:101 telephone-event/8000",
        "m=audio 4000 RTP/AVP 9",
        "m=audio 4000 RTP/AVP 97\na=rtpmap:97 PCMU/16000",
        "m=audio 4000 TCP/RTP/AVP 0",
        "m=audio 4000",
        "m=audio 0 RTP/AVP 0",
    ],
)
def test_what_can_not_be_recorded_is_refused_in_its_place_and_the_rest_is_taken(refused: str) -> None:
    offer = _offer(f"{refused}\na=label:no", "m=audio 4002 RTP/AVP 0\na=label:yes")

    given_answer = _answer(offer)

    assert [media.port for media in given_answer.session.media] == [0, 30002]
    assert [media.kind for media in given_answer.session.media] == [media.kind for media in offer.media]
    assert [media.protocol for media in given_answer.session.media] == [
        media.protocol for media in offer.media
    ]
    assert given_answer.session.media[0].payload_types == offer.media[0].payload_types
    assert [stream.label for stream in given_answer.streams] == ["yes"]


def test_streams_beyond_the_limit_are_refused() -> None:
    offer = _offer(*[f"m=audio {4000 + 2 * number} RTP/AVP 0" for number in range(5)])

    given_answer = _answer(offer, policy=AnswerPolicy(max_streams=2))

    assert [media.port for media in given_answer.session.media] == [30000, 30002, 0, 0, 0]


def test_a_stream_that_has_no_port_of_ours_is_refused() -> None:
    offer = _offer("m=audio 4000 RTP/AVP 0", "m=audio 4002 RTP/AVP 0")

    given_answer = answer(offer, ports={1: 30000}, address="::1", own=OWN, policy=POLICY, random=bytes)

    assert [media.port for media in given_answer.session.media] == [0, 30000]


def test_nothing_that_can_be_taken_is_an_answer_without_streams() -> None:
    assert _answer(_offer("m=video 4000 RTP/AVP 96")).streams == ()


def test_an_odd_port_is_the_callers_fault() -> None:
    with pytest.raises(ValueError, match="even"):
        answer(_offer(), ports={0: 30001}, address="::1", own=OWN, policy=POLICY, random=bytes)


@pytest.mark.parametrize(
    ("direction", "answered", "sending"),
    [
        ("sendonly", Direction.RECVONLY, True),
        ("sendrecv", Direction.RECVONLY, True),
        ("", Direction.RECVONLY, True),
        ("inactive", Direction.INACTIVE, False),
        ("recvonly", Direction.INACTIVE, False),
    ],
)
def test_the_recorder_receives_or_does_nothing(
    direction: str,
    answered: Direction,
    sending: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    given_answer = _answer(_offer("m=audio 4000 RTP/AVP 0", f"a={direction}"))

    assert given_answer.session.media[0].direction is answered
    assert given_answer.streams[0].sending is sending


def test_a_stream_that_was_inactive_is_received_again_when_it_is_sent_again() -> None:
    own, directions, versions = OWN, [], []

    for direction in ("sendonly", "inactive", "inactive", "sendonly"):
        given_answer = _answer(_offer("m=audio 4000 RTP/AVP 0", f"a={direction}"), own=own)
        own = own.after(given_answer.session)
        directions.append(given_answer.session.media[0].direction.value)
        versions.append(given_answer.session.session_version)

    assert directions == ["recvonly", "inactive", "inactive", "recvonly"]
    assert versions == [1, 2, 2, 3]


def test_the_version_is_raised_only_when_something_else_is_said() -> None:
    offer = _offer(f"m=audio 4000 RTP/SAVP 0\n{CRYPTO}", head="v=0\no=a 1 1 IN IP4 192.0.2.1")
    refreshed = replace(offer, session_version=9)
    grown = _offer(f"m=audio 4000 RTP/SAVP 0\n{CRYPTO}", "m=audio 4002 RTP/AVP 0")
    first = _answer(offer)

    again = _answer(refreshed, own=OWN.after(first.session), seed=2)
    more = _answer(grown, own=OWN.after(again.session), seed=3)

    assert bytes_of(again.session) == bytes_of(first.session)
    assert more.session.session_version == 2
    assert more.session.session_id == first.session.session_id


def test_encrypted_sound_is_answered_encrypted_with_a_key_of_our_own_and_plain_sound_beside_it_plainly() -> (
    None
):
    offer = _offer(f"m=audio 4000 RTP/SAVP 0\n{CRYPTO}", "m=audio 4002 RTP/AVP 0")

    secure, plain = _answer(offer).streams
    media = _answer(offer).session.media

    assert [one.protocol for one in media] == ["RTP/SAVP", "RTP/AVP"]
    assert secure.crypto_in == offer.media[0].crypto[0]
    assert media[0].crypto == (secure.crypto_out,)
    assert secure.crypto_out is not None
    assert secure.crypto_out.key_and_salt != offer.media[0].crypto[0].key_and_salt
    assert (plain.crypto_in, plain.crypto_out, media[1].crypto) == (None, None, ())


def test_profiles_with_feedback_are_answered_as_they_are() -> None:
    offer = _offer(f"m=audio 4000 RTP/SAVPF 0\n{CRYPTO}", "m=audio 4002 RTP/AVPF 0")

    assert [media.protocol for media in _answer(offer).session.media] == ["RTP/SAVPF", "RTP/AVPF"]


def test_a_key_beside_plain_sound_is_passed_over() -> None:
    media = _answer(_offer(f"m=audio 4000 RTP/AVP 0\n{CRYPTO}")).session.media[0]

    assert (media.protocol, media.crypto) == ("RTP/AVP", ())


def test_of_one_stream_offered_encrypted_and_plain_the_encrypted_one_is_taken() -> None:
    offer = _offer(
        f"m=audio 4000 RTP/SAVP 0\n{CRYPTO}\na=label:1",
        "m=audio 4000 RTP/AVP 0\na=label:1",
        "m=audio 4002 RTP/AVP 0\na=label:2",
    )

    assert [stream.index for stream in _answer(offer).streams] == [0, 2]


def test_two_streams_with_one_label_are_two_streams_all_the_same() -> None:
    offer = _offer("m=audio 4000 RTP/AVP 0\na=label:1", "m=audio 4002 RTP/AVP 0\na=label:1")

    assert len(_answer(offer).streams) == 2


def test_everything_that_can_be_decoded_is_taken_in_the_offers_order() -> None:
    offer = _offer(
        "m=audio 4000 RTP/AVP 18 96 9 97 98 99 0 3 13 101",
        "a=rtpmap:96 opus/48000/2\na=rtpmap:97 AMR/8000\na=fmtp:97 octet-align=1",
        "a=rtpmap:98 AMR/8000\na=fmtp:98 crc=1\na=rtpmap:99 AMR-WB/16000",
        "a=rtpmap:101 telephone-event/48000",
    )

    (stream,) = _answer(offer, policy=RICH).streams

    names = [known.name for known in stream.formats]
    assert names == ["G729", "OPUS", "G722", "AMR", "PCMU", "CN", "TELEPHONE-EVENT"]
    assert [known.fmtp for known in stream.formats if known.name == "AMR"] == ["octet-align=1"]


def test_where_reports_go_is_said_to_who_says_it() -> None:
    apart = _lines(_offer("m=audio 4000 RTP/AVP 0\na=rtcp:4001"))
    together = _lines(_offer("m=audio 4000 RTP/AVP 0\na=rtcp:4000\na=rtcp-mux"))

    assert "a=rtcp:30001" in apart
    assert "a=rtcp:30000" in together
    assert "a=rtcp-mux" in together


def test_how_long_packets_are_is_repeated() -> None:
    lines = _lines(_offer("m=audio 4000 RTP/AVP 0\na=ptime:40\na=maxptime:60"))

    assert "a=ptime:40" in lines
    assert "a=maxptime:60" in lines


@pytest.mark.parametrize("nowhere", ["0.0.0.0", "::"])  # noqa: S104 - what a peer may write
def test_an_address_that_is_none_is_no_hint(nowhere: str) -> None:
    offer = _offer("m=audio 4000 RTP/AVP 0", head=f"v=0\nc=IN IP4 {nowhere}")

    assert _answer(offer).streams[0].address == ""


_STREAMS = st.sampled_from(
    [
        "m=audio 4000 RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000",
        f"m=audio 4000 RTP/SAVP 0\n{CRYPTO}|2^20|1:4",
        "m=audio 4000 RTP/SAVPF 0",
        "m=video 4000 RTP/AVP 96\na=rtpmap:96 H264/90000",
        "m=audio 0 RTP/AVP 0",
        "m=image 4000 udptl t38",
        "m=audio 4000 RTP/AVP 99",
        "m=audio",
    ]
)
_DETAILS = st.sampled_from(
    ["a=label:1", "a=inactive", "a=sendonly", "a=rtcp-mux", "a=ptime:30", "c=IN IP6 ::2"]
)


@given(st.lists(st.tuples(_STREAMS, st.lists(_DETAILS, max_size=3)), max_size=10))
def test_an_answer_always_has_the_offers_streams_in_their_order_and_can_be_read(
    streams: list[tuple[str, list[str]]],
) -> None:
    try:
        offer = _offer(*["\n".join((stream, *details)) for stream, details in streams])
    except SdpError:
        return

    given_answer = _answer(offer)

    read = parse_session(bytes_of(given_answer.session))
    assert [media.kind for media in read.media] == [media.kind for media in offer.media]
    assert [media.protocol for media in read.media] == [media.protocol for media in offer.media]
    assert [media.label for media in read.media] == [media.label for media in offer.media]
    taken = {stream.index for stream in given_answer.streams}
    assert all((media.port != 0) == (index in taken) for index, media in enumerate(read.media))
    assert all(media.port % 2 == 0 for media in read.media)
