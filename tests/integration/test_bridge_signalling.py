"""The desk bridge against telephones that break the rules of SIP, or stretch them."""

import time

import pytest

from support.line import NUMBER, ONLY_SOAK, TICKS_S, Line, seconds
from support.sip_peer import describe

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("talk_s", [0.3, 0.8])
def test_a_recording_holds_the_talk_up_to_the_hang_up(line: Line, talk_s: float) -> None:
    """The last half second is not lost in the library's buffers."""
    before = line.count()
    called_s = time.monotonic()
    near, far = line.talk()
    talking_s = time.monotonic()
    time.sleep(talk_s)
    ending_s = time.monotonic()
    line.end(near, far)
    ended_s = time.monotonic()
    recording = line.left(before)

    assert ending_s - talking_s - TICKS_S <= seconds(recording) <= ended_s - called_s + TICKS_S
    assert recording.manifest.result.value == "ok"


def test_a_cancel_that_crosses_the_answer_ends_in_a_call_that_can_be_hung_up(line: Line) -> None:
    """200 won, so the call stands until its BYE, and is recorded as what it was."""
    before = line.count()
    near = line.ring()
    far = line.pbx.taken()
    far.answer(180)
    near.response(180)
    far.answer(200, describe(40_002))
    near.cancel()
    near.final("CANCEL")
    final = near.final("INVITE")
    near.acknowledge(final)
    far.asked("ACK")
    if final.code == 200:
        near.hang_up()
    far.hung_up_on()
    recording = line.left(before)

    assert final.code in (200, 487)
    assert recording.manifest.result.value in ("ok", "exempt")


def test_an_answer_that_crosses_the_cancel_is_hung_up_on(line: Line) -> None:
    """The caller has 487; the called side, which took the call too late, gets ACK and BYE."""
    before = line.count()
    near = line.ring()
    far = line.pbx.taken()
    far.answer(180)
    near.response(180)
    near.cancel()
    far.answer(200, describe(40_002))
    near.acknowledge(near.response(487))
    far.asked("ACK")
    far.hung_up_on()

    assert line.left(before).manifest.reasons == ("unanswered-cancelled",)


def test_a_bye_without_an_ack_ends_the_call(line: Line) -> None:
    before = line.count()
    near = line.ring()
    line_far = line.pbx.taken()
    line_far.take()
    answer = near.response(200)
    near.remote, near.target = answer.header("To"), answer.header("Contact").strip("<>")
    near.hang_up()
    line_far.hung_up_on()

    assert line.left(before).manifest.result.value == "ok"


@pytest.mark.parametrize("after_s", [0.0, 0.05])
def test_who_gives_up_before_the_second_leg_is_dialled_rings_nobody(line: Line, after_s: float) -> None:
    """The 100 ms in which the taps are synchronised: 487 for the caller, no INVITE for the called side."""
    before = line.count()
    near = line.ring()
    if after_s:
        near.response(100)
    near.cancel()
    near.acknowledge(near.response(487))

    assert line.left(before).manifest.reasons == ("unanswered-cancelled",)
    with pytest.raises(AssertionError):
        line.pbx.taken(0.3)


def test_ringing_may_turn_into_early_media_and_back(line: Line) -> None:
    before = line.count()
    near = line.ring()
    far = line.pbx.taken()
    for code in (180, 183, 180, 183):
        far.answer(code, describe(40_002) if code == 183 else "")
    far.take()
    near.response(180)
    near.response(183)
    near.acknowledge(near.response(200))
    line.end(near, far)

    assert line.left(before).manifest.result.value == "ok"


@pytest.mark.parametrize(
    "answer",
    ["", "v=0\r\ngarbage"],
    ids=["none", "garbage"],
)
def test_an_answer_without_a_usable_description_ends_both_legs(line: Line, answer: str) -> None:
    """The called side gets ACK and BYE, the caller a refusal, and a trace is left."""
    before = line.count()
    near = line.ring()
    far = line.pbx.taken()
    far.take(answer)
    far.hung_up_on()
    refusal = near.final("INVITE")
    near.acknowledge(refusal)

    assert 400 <= refusal.code < 700
    assert line.left(before).manifest.result.value == "exempt"


@pytest.mark.parametrize(
    "answer",
    [
        describe(40_002, formats="9"),
        describe(0),
        describe(40_002, direction="inactive"),
    ],
    ids=["no-common-codec", "port-0", "inactive"],
)
def test_a_call_without_sound_says_so(line: Line, answer: str) -> None:
    before = line.count()
    near = line.ring()
    far = line.pbx.taken()
    far.take(answer)
    near.acknowledge(near.response(200))
    line.end(near, far)

    assert "no-media" in line.left(before).manifest.reasons


def test_an_invite_without_a_description_is_answered_with_one(line: Line) -> None:
    """Delayed offer (RFC 3261 section 13.2.1): our offer is in the 200, the caller's answer in the ACK."""
    before = line.count()
    near = line.ring("")
    far = line.pbx.taken()
    far.take()
    answer = near.response(200)
    near.remote, near.target = answer.header("To"), answer.header("Contact").strip("<>")
    line.phone.send(near.compose("ACK", describe(), number=1))
    time.sleep(0.3)
    line.end(near, far)

    assert "m=audio" in answer.body
    assert line.left(before).manifest.result.value == "ok"


@pytest.mark.parametrize(
    ("offer", "extra", "code"),
    [
        (describe(formats="9"), "", 488),
        (describe(formats="96", extra="a=rtpmap:96 opus/48000/2\r\n"), "", 488),
        (describe().replace("RTP/AVP", "RTP/SAVP"), "", 488),
        (describe(0), "", 488),
        (describe(), "Require: siprec\r\n", 420),
        (describe(), "Replaces: none;to-tag=1;from-tag=2\r\n", 481),
    ],
    ids=["g722", "opus", "srtp", "port-0", "siprec", "replaces-nothing"],
)
def test_what_cannot_be_bridged_is_refused_and_rings_nobody(
    line: Line, offer: str, extra: str, code: int
) -> None:
    near = line.ring(offer, extra)
    near.acknowledge(near.response(code))

    with pytest.raises(AssertionError):
        line.pbx.taken(0.2)


def test_a_request_of_an_unknown_dialog_is_refused(line: Line) -> None:
    near = line.phone.call(NUMBER)
    near.remote += ";tag=nobody"
    near.ask("INVITE", describe())

    near.acknowledge(near.response(481))


def test_a_repeated_invite_rings_once(line: Line) -> None:
    before = line.count()
    near = line.phone.call(NUMBER)
    text = near.ask("INVITE", describe())
    for _ in range(3):
        line.phone.send(text)
    far = line.pbx.taken()
    line.phone.send(text)
    with pytest.raises(AssertionError):
        line.pbx.taken(0.2)
    far.take()
    near.acknowledge(near.response(200))
    line.end(near, far)

    assert line.left(before).manifest.result.value == "ok"


@pytest.mark.parametrize("from_far", [pytest.param(False, marks=ONLY_SOAK), True])
@pytest.mark.parametrize(
    ("method", "body", "extra"),
    [
        ("REFER", "", "Refer-To: <sip:elsewhere@127.0.0.1:{port}>\r\n"),
        ("INFO", "Signal=5\r\nDuration=100\r\n", "Content-Type: application/dtmf-relay\r\n"),
        ("UPDATE", describe(40_000, version=2, direction="sendonly"), ""),
        ("MESSAGE", "hello", "Content-Type: text/plain\r\n"),
        ("OPTIONS", "", ""),
        ("NOTIFY", "", "Event: refer\r\nSubscription-State: active\r\n"),
        ("SUBSCRIBE", "", "Event: presence\r\nExpires: 60\r\n"),
        ("NONSENSE", "", ""),
    ],
)
def test_other_requests_in_a_call_are_answered_and_the_call_goes_on(
    line: Line, method: str, body: str, extra: str, *, from_far: bool
) -> None:
    """None of them moves the call: least of all REFER, which would lead it past the rules."""
    before = line.count()
    near, far = line.talk()
    party = far if from_far else near
    party.ask(method, body, extra.format(port=line.phone.port))
    answer = party.final(method)
    for peer in (line.phone, line.pbx):
        with pytest.raises(AssertionError):
            peer.taken(0.1)
    line.end(near, far)

    assert line.left(before).manifest.result.value == "ok"
    assert answer.code not in (202, 408, 481)


def test_a_call_cannot_be_taken_over_by_replaces(line: Line) -> None:
    """An INVITE that names a standing dialog is refused, and the dialog stands."""
    before = line.count()
    near, far = line.talk()
    tags = (near.remote.partition("tag=")[2], near.local.partition("tag=")[2])
    thief = line.ring(extra=f"Replaces: {near.call_id};to-tag={tags[0]};from-tag={tags[1]}\r\n")
    refusal = thief.final("INVITE")
    thief.acknowledge(refusal)
    line.end(near, far)

    assert 400 <= refusal.code < 700
    assert line.left(before).manifest.result.value == "ok"


def test_a_party_that_answers_no_bye_does_not_prolong_the_recording(line: Line) -> None:
    """The recording ends with the first hang-up; the other leg may take its 32 s to give up."""
    before = line.count()
    called_s = time.monotonic()
    near, far = line.talk()
    time.sleep(0.5)
    near.hang_up()
    ended_s = time.monotonic()
    recording = line.left(before)
    far.hung_up_on()

    assert seconds(recording) <= ended_s - called_s + TICKS_S
    assert recording.call["ended_by"] == "agent"
