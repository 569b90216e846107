"""What the legs speak: codings and SRTP."""

import base64
from collections.abc import Iterator

import pytest

from callseal.agent.sources.bridge import protocol
from support.child_room import Face, Room, room
from support.sip_peer import describe

pytestmark = pytest.mark.integration

KEY = base64.b64encode(bytes(range(30))).decode()
CRYPTO = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n"


def formats(body: str) -> list[str]:
    line = next(line for line in body.split("\r\n") if line.startswith("m=audio"))
    mapped = dict(
        row.removeprefix("a=rtpmap:").split(" ")[:2]
        for row in body.split("\r\n")
        if row.startswith("a=rtpmap:")
    )
    return [mapped[number].split("/")[0] for number in line.split(" ")[3:]]


def bodies(at: Room, offer: str, answer: str, *, by: Face = "phone") -> tuple[str, str, protocol.Media]:
    """Place a call; gives the child's offer, its answer, and what it tells of the sound."""
    near = at.ring(offer, by=by)
    at.let_through(by=by)
    far = (at.pbx if by == "phone" else at.phone).taken()
    assert far.invite is not None
    far.answer(180)
    near.response(180)
    far.take(answer)
    said = near.response(200)
    near.acknowledge(said)
    at.expect(protocol.Answered)
    media = at.expect(protocol.Media)
    near.hang_up()
    far.hung_up_on()
    at.expect(protocol.Ended)
    at.expect_taps().close()
    return far.invite.body, said.body, media


@pytest.fixture(scope="module")
def wide() -> Iterator[Room]:
    with room(rate_hz=16_000) as made:
        yield made


@pytest.mark.parametrize(
    ("offer", "answer", "offered", "answered"),
    [
        ("0 8", "0", ["PCMU", "PCMA"], "PCMU"),
        ("0 8", "8", ["PCMU", "PCMA"], "PCMA"),
        ("8 0", "0", ["PCMA", "PCMU"], "PCMU"),
        ("8", "8", ["PCMA", "PCMU"], "PCMA"),
        ("0", "0", ["PCMU", "PCMA"], "PCMU"),
    ],
)
def test_both_legs_speak_the_same_coding(
    at: Room, offer: str, answer: str, offered: list[str], answered: str
) -> None:
    """The called side is offered the caller's codings first, and its choice is the answer to the caller."""
    ours, answer_body, media = bodies(at, describe(formats=offer), describe(40_002, formats=answer))

    assert formats(ours) == [*offered, "telephone-event"]
    assert [name for name in formats(answer_body) if name != "telephone-event"] == [answered]
    assert (media.agent_codec, media.customer_codec) == (answered, answered)


@pytest.mark.parametrize(
    ("offer", "answer", "offered", "answered"),
    [
        ("9 0 8", "9", ["G722", "PCMU", "PCMA"], "G722"),
        ("9 0 8", "0", ["G722", "PCMU", "PCMA"], "PCMU"),
        ("0 8 9", "9", ["PCMU", "PCMA", "G722"], "G722"),
        ("0 8", "8", ["PCMU", "PCMA"], "PCMA"),
        ("9", "9", ["G722", "PCMU", "PCMA"], "G722"),
        ("8", "8", ["PCMA", "PCMU"], "PCMA"),
    ],
)
def test_wideband_is_spoken_where_both_have_it(
    wide: Room, offer: str, answer: str, offered: list[str], answered: str
) -> None:
    ours, answer_body, media = bodies(wide, describe(formats=offer), describe(40_002, formats=answer))

    assert formats(ours) == [*offered, "telephone-event"]
    assert [name for name in formats(answer_body) if name != "telephone-event"] == [answered]
    assert (media.agent_codec, media.customer_codec) == (answered, answered)


@pytest.mark.parametrize(
    ("offer", "answer", "answered", "customer"),
    [("0", "8", "PCMU", "PCMA"), ("8", "0", "PCMA", "PCMU")],
)
def test_legs_without_a_common_coding_are_bridged_all_the_same(
    at: Room, offer: str, answer: str, answered: str, customer: str
) -> None:
    """The caller is answered in what it offered, the called side spoken to in what it chose."""
    _ours, answer_body, media = bodies(at, describe(formats=offer), describe(40_002, formats=answer))

    assert [name for name in formats(answer_body) if name != "telephone-event"] == [answered]
    assert (media.agent_codec, media.customer_codec) == (answered, customer)


@pytest.mark.parametrize(
    ("offer", "answer", "answered", "customer"), [("9", "8", "G722", "PCMA"), ("0 9", "8", "PCMU", "PCMA")]
)
def test_legs_without_a_common_coding_are_bridged_at_a_wide_clock_too(
    wide: Room, offer: str, answer: str, answered: str, customer: str
) -> None:
    _ours, answer_body, media = bodies(wide, describe(formats=offer), describe(40_002, formats=answer))

    assert formats(answer_body)[0] == answered
    assert (media.agent_codec, media.customer_codec) == (answered, customer)


def test_wideband_is_not_spoken_at_a_narrow_clock(at: Room) -> None:
    near = at.ring(describe(formats="9"))
    near.acknowledge(near.response(488))


@pytest.fixture(scope="module", params=["optional", "required"])
def secured(request: pytest.FixtureRequest) -> Iterator[tuple[Room, protocol.PhoneSrtp]]:
    with room(phone_srtp=request.param) as made:
        yield made, request.param


def test_the_telephones_offer_of_srtp_is_taken(secured: tuple[Room, str]) -> None:
    """SRTP on the telephone's leg, plain RTP towards the telephone system."""
    offer = describe(extra=CRYPTO).replace("RTP/AVP", "RTP/SAVP")
    ours, answer, _media = bodies(secured[0], offer, describe(40_002))

    assert "RTP/AVP" in ours
    assert "a=crypto" not in ours
    assert "RTP/SAVP" in answer
    assert "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" in answer
    assert KEY not in answer


def test_srtp_is_offered_to_the_telephone(secured: tuple[Room, str]) -> None:
    at, wanted = secured
    profile = "RTP/SAVP" if wanted == "required" else "RTP/AVP"
    near = at.ring(by="pbx")
    at.let_through(by="pbx")
    far = at.phone.taken()
    assert far.invite is not None
    ours = far.invite.body
    (suite,) = [line for line in ours.split("\r\n") if "AES_CM_128_HMAC_SHA1_80" in line]
    crypto = f"{suite.partition('inline:')[0]}inline:{KEY}\r\n"
    far.take(describe(40_002, extra=crypto).replace("RTP/AVP", profile))
    near.acknowledge(near.response(200))
    at.expect(protocol.Media)
    near.hang_up()
    far.hung_up_on()
    at.expect(protocol.Ended)
    at.expect_taps().close()

    assert f"m=audio {ours.partition('m=audio ')[2].split(' ')[0]} {profile} 0" in ours
    assert "a=crypto" in ours


def test_plain_rtp_is_taken_only_where_srtp_is_optional(secured: tuple[Room, str]) -> None:
    at, wanted = secured
    if wanted == "optional":
        _ours, answer, _media = bodies(at, describe(), describe(40_002))
        assert "RTP/AVP" in answer
        assert "a=crypto" not in answer
    else:
        near = at.ring(describe())
        near.acknowledge(near.response(488))


def test_a_coding_that_changes_is_told(at: Room) -> None:
    talk = at.talk(describe(formats="0 8"), describe(40_002, formats="0"))
    at.expect_taps().close()
    at.expect(protocol.Media)
    talk.far.ask("INVITE", describe(40_002, formats="8", version=2))
    talk.far.acknowledge(talk.far.response(200))
    recoded = at.expect(protocol.Recoded)
    at.end(talk)

    assert (recoded.side, recoded.codec) == ("customer", "PCMA")
