"""The recorder's own offer, where the gateway leaves it to the recorder to make one."""

import pytest

from callseal.agent.sdp.answer import accepted, answer, offer, offer_again
from callseal.agent.sdp.origin import OwnSession
from callseal.agent.sdp.parsing import parse_session
from callseal.agent.sdp.policy import AnswerPolicy
from callseal.agent.sdp.session import Direction, Session
from callseal.agent.sdp.writing import bytes_of

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"
PLAIN = AnswerPolicy(max_streams=2)
RICH = AnswerPolicy(
    max_streams=2, codecs=frozenset({"PCMU", "PCMA", "G722", "G729", "OPUS", "AMR", "AMR-WB", "ILBC"})
)
OWN = OwnSession(session_id=5)


def _offer(*, policy: AnswerPolicy = PLAIN, labels: tuple[str, ...] = ()) -> Session:
    return offer(ports=(30000, 30002), address="192.0.2.9", own=OWN, policy=policy, labels=labels)


def _answer(text: str) -> Session:
    return parse_session(("v=0\nc=IN IP4 192.0.2.1\n" + text).encode())


def test_g711_is_offered_to_be_received_and_keys_that_are_pressed() -> None:
    ours = _offer(labels=("near",))

    assert [media.port for media in ours.media] == [30000, 30002]
    assert [media.label for media in ours.media] == ["near", ""]
    assert {media.direction for media in ours.media} == {Direction.RECVONLY}
    assert ours.media[0].payload_types == ("0", "8", "101")


def test_what_this_machine_can_decode_is_offered_behind_g711() -> None:
    ours = parse_session(bytes_of(_offer(policy=RICH)))

    names = [known.name for known in ours.media[0].formats]
    assert names == ["PCMU", "PCMA", "G722", "G729", "OPUS", "AMR-WB", "AMR", "ILBC", "TELEPHONE-EVENT"]
    assert len(set(ours.media[0].payload_types)) == len(names)


def test_an_offer_that_is_made_again_keeps_its_version() -> None:
    first = _offer()

    again = offer(ports=(30000, 30002), address="192.0.2.9", own=OWN.after(first), policy=PLAIN)
    other = offer(ports=(30000,), address="192.0.2.9", own=OWN.after(first), policy=PLAIN)

    assert again == first
    assert other.session_version == first.session_version + 1


def test_the_answer_to_it_says_what_comes() -> None:
    theirs = _answer(
        "m=audio 4000 RTP/AVP 8 101\na=rtpmap:101 telephone-event/8000\na=sendonly\nm=audio 0 RTP/AVP 0"
    )

    (stream,) = accepted(_offer(labels=("near", "far")), theirs, PLAIN)

    assert (stream.index, stream.label, stream.port, stream.sending) == (0, "near", 30000, True)
    assert [known.name for known in stream.formats] == ["PCMA", "TELEPHONE-EVENT"]
    assert (stream.address, stream.remote_port) == ("192.0.2.1", 4000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m=video 4000 RTP/AVP 96",
        "m=audio 0 RTP/AVP 0",
        "m=audio 4000 RTP/SAVP 0",
        "m=audio 4000 RTP/AVP 3",
    ],
)
def test_an_answer_that_agrees_to_nothing_gives_no_stream(text: str) -> None:
    assert accepted(_offer(), _answer(text), PLAIN) == ()


def test_more_streams_than_were_offered_are_passed_over() -> None:
    theirs = _answer("\n".join(["m=audio 4000 RTP/AVP 0"] * 3))

    assert [stream.port for stream in accepted(_offer(), theirs, PLAIN)] == [30000, 30002]


def test_an_answer_that_sends_nothing_yet_is_kept_as_one() -> None:
    (stream,) = accepted(_offer(), _answer("m=audio 4000 RTP/AVP 0\na=inactive"), PLAIN)

    assert not stream.sending


def test_an_odd_port_is_the_callers_fault() -> None:
    with pytest.raises(ValueError, match="even"):
        offer(ports=(30001,), address="::1", own=OWN, policy=PLAIN)


def test_what_was_agreed_is_offered_again_line_by_line() -> None:
    theirs = _answer(
        "m=audio 4000 RTP/AVP 8\na=inactive\nm=video 4002 RTP/AVP 96\n"
        f"m=audio 4004 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"
    )
    ports = {0: 30000, 2: 30002}
    said = answer(theirs, ports=ports, address="192.0.2.9", own=OWN, policy=PLAIN, random=bytes).session

    again = offer_again(OWN.after(said))

    assert again is not None
    assert [media.port for media in again.media] == [30000, 0, 30002]
    assert [media.direction for media in again.media[::2]] == [Direction.RECVONLY] * 2
    assert again.media[2].crypto == said.media[2].crypto
    assert again.session_version == said.session_version + 1


def test_an_answer_to_an_encrypted_offer_brings_the_senders_key() -> None:
    secure = f"m=audio 4004 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"
    said = answer(
        _answer(secure), ports={0: 30000}, address="192.0.2.9", own=OWN, policy=PLAIN, random=bytes
    ).session

    (stream,) = accepted(said, _answer(secure), PLAIN)

    assert stream.crypto_in is not None
    assert stream.crypto_in.key_and_salt == bytes(range(30))
    assert accepted(said, _answer("m=audio 4004 RTP/AVP 0"), PLAIN) == ()


def test_who_has_said_nothing_yet_has_nothing_to_offer_again() -> None:
    assert offer_again(OWN) is None
