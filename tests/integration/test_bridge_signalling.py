"""The desk bridge against telephones that break the rules of SIP, or stretch them."""

import contextlib
import time

import pytest

from support.desk_hearing import holds_of
from support.line import NUMBER, ONLY_SOAK, TICKS_S, Line, seconds
from support.sip_peer import Dialog, Message, describe

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
    ("offer", "extra", "code", "left"),
    [
        (describe(formats="9"), "", 488, []),
        (describe(formats="96", extra="a=rtpmap:96 opus/48000/2\r\n"), "", 488, []),
        (describe().replace("RTP/AVP", "RTP/SAVP"), "", 488, ["refused-by-settings"]),
        (describe(0), "", 488, []),
        (describe(), "Require: siprec\r\n", 420, []),
        (describe(), "Session-Expires: 10\r\nSupported: timer\r\n", 422, []),
        (describe(), "Replaces: none;to-tag=1;from-tag=2\r\n", 481, []),
    ],
    ids=["g722", "opus", "srtp", "port-0", "siprec", "short-session", "replaces-nothing"],
)
def test_what_cannot_be_bridged_is_refused_and_rings_nobody(
    line: Line, offer: str, extra: str, code: int, left: list[str]
) -> None:
    """What the library has looked into leaves a trace besides: not that somebody has given up."""
    before = line.count()
    near = line.ring(offer, extra)
    near.acknowledge(near.response(code))

    with pytest.raises(AssertionError):
        line.pbx.taken(0.2)
    traces = line.at.wait_for(before + len(left))[before:]
    assert [reason for trace in traces for reason in trace.manifest.reasons] == left


def test_what_is_refused_leaves_room_for_the_next_call(line: Line) -> None:
    """A telephone that tries several descriptions is not told that the line is busy."""
    before = line.count()
    for offer in (describe().replace("RTP/AVP", "RTP/SAVP"), describe(formats="9"), describe(0)):
        refused = line.ring(offer)
        refused.acknowledge(refused.response(488))
    near, far = line.talk()
    line.end(near, far)
    left = line.at.wait_for(before + 2)[before:]

    assert sorted(recording.manifest.result.value for recording in left) == ["exempt", "ok"]


@pytest.mark.parametrize("method", ["INVITE", "BYE", "UPDATE"])
def test_a_request_of_an_unknown_call_is_refused(line: Line, method: str) -> None:
    """One that a route of ours leads to the bridge, as after its restart: nobody else hears of it."""
    near = line.phone.call(NUMBER)
    near.remote += ";tag=nobody"
    near.routes = [f"<sip:127.0.0.1:{line.at.bridge_port};lr;cs=line>"]
    near.ask(method, "" if method == "BYE" else describe())
    refusal = near.response(481, method)
    if method == "INVITE":
        near.acknowledge(refusal)

    with pytest.raises(AssertionError):
        line.pbx.wait(lambda message: message.header("Call-ID") == near.call_id, "anything of it", 0.2)


def test_what_goes_on_elsewhere_is_the_telephone_systems_to_refuse(line: Line) -> None:
    """Of a dialog that the bridge has no part in the telephone system hears as it is; nobody rings."""
    near = line.phone.call(NUMBER)
    near.remote += ";tag=nobody"
    near.ask("UPDATE", describe())
    asked = line.pbx.taken(method="UPDATE")
    asked.local = near.remote
    asked.answer(481)
    near.response(481, "UPDATE")

    assert asked.invite is not None
    assert asked.invite.header("To").endswith(";tag=nobody")
    assert further_calls(line, near, asked) == []


def test_an_invite_that_pretends_to_go_on_in_a_call_reaches_nobody(line: Line) -> None:
    """A telephone system that took it would make a call past rules and recorder."""
    near = line.phone.call(NUMBER)
    near.remote += ";tag=nobody"
    near.ask("INVITE", describe())
    near.acknowledge(near.response(481))

    with pytest.raises(AssertionError):
        line.pbx.wait(lambda message: message.header("Call-ID") == near.call_id, "anything of it", 0.2)


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
        ("INFO", "Signal=5\r\nDuration=100\r\n", "Content-Type: application/dtmf-relay\r\n"),
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
    """None of them moves the call."""
    before = line.count()
    near, far = line.talk()
    party = far if from_far else near
    party.ask(method, body, extra)
    answer = party.final(method)
    assert further_calls(line, near, far) == []
    line.end(near, far)

    assert line.left(before).manifest.result.value == "ok"
    assert answer.code not in (202, 408, 481)


@pytest.mark.parametrize("from_far", [False, True])
def test_a_refer_calls_by_the_telephone_system_alone(line: Line, *, from_far: bool) -> None:
    """It does not lead the call past the rules: who is named is never called where the REFER says it is."""
    before = line.count()
    near, far = line.talk()
    party = far if from_far else near
    party.ask("REFER", "", f"Refer-To: <sip:elsewhere@127.0.0.1:{line.phone.port}>\r\n")
    party.response(202, "REFER")
    third = line.pbx.taken()
    assert further_calls(line, near, far, third.invite) == []
    third.answer(486)
    third.asked("ACK")
    told = ""
    while "486" not in told:
        notice = party.asked("NOTIFY")
        party.answer(200, to=notice)
        told = notice.body
    line.end(near, far)

    assert third.invite is not None
    assert third.invite.first.startswith("INVITE sip:elsewhere@")
    recording = line.left(before)
    assert recording.manifest.result.value == "ok"
    assert recording.call["ended_by"] == "agent"


@pytest.mark.parametrize("from_far", [pytest.param(False, marks=ONLY_SOAK), True])
def test_a_hold_by_update_is_passed_on(line: Line, *, from_far: bool) -> None:
    """RFC 3311: held and taken back; the other party is told within its own call, and nobody is called."""
    before = line.count()
    near, far = line.talk()
    party, other, port = (far, near, 40_002) if from_far else (near, far, 40_000)
    invites, answered = [], []
    for version, direction, reply in ((2, "sendonly", "recvonly"), (3, "sendrecv", "sendrecv")):
        party.ask("UPDATE", describe(port, version=version, direction=direction))
        answered.append(directions(party.response(200, "UPDATE")))
        invite = other.asked("INVITE")
        other.answer(200, describe(direction=reply, version=version), to=invite)
        other.asked("ACK")
        invites.append(invite)
    assert further_calls(line, near, far, *invites) == []
    line.end(near, far)

    recording = line.left(before)
    assert answered == [["recvonly"], ["sendrecv"]]
    assert [directions(invite) for invite in invites] == [["sendonly"], ["sendrecv"]]
    assert recording.manifest.result.value == "ok"
    channel = 1 if from_far else 0
    assert [(who, held) for who, held, _ in holds_of(recording)] == [(channel, True), (channel, False)]


def further_calls(line: Line, near: Dialog, far: Dialog, *known: Message | None) -> list[str]:
    """Give the INVITEs besides these that begin a call, or go on in this one.

    A slow machine may have sent one again, and one that nobody answered in an earlier call still comes.
    """
    texts = {invite.text for invite in (far.invite, *known) if invite is not None}

    def is_new(message: Message) -> bool:
        begins = "tag=" not in message.header("To") or message.header("Call-ID") in (
            near.call_id,
            far.call_id,
        )
        return not message.code and message.method == "INVITE" and begins and message.text not in texts

    found = []
    for peer in (line.phone, line.pbx):
        with contextlib.suppress(AssertionError):
            found.append(peer.wait(is_new, "", 0.1).first)
    return found


def directions(message: Message) -> list[str]:
    """Give the directions that a session description names."""
    names = ("sendrecv", "sendonly", "recvonly", "inactive")
    return [name for row in message.body.split("\r\n") for name in names if row == f"a={name}"]


@pytest.mark.parametrize("from_far", [False, True])
def test_a_call_cannot_be_taken_over_by_replaces(line: Line, *, from_far: bool) -> None:
    """An INVITE that names a standing dialog is refused, whoever sends it; the dialog stands."""
    before = line.count()
    near, far = line.talk()
    party = far if from_far else near
    tags = (party.remote.partition("tag=")[2], party.local.partition("tag=")[2])
    thief = line.pbx.call("6001", user=NUMBER) if from_far else line.phone.call(NUMBER)
    extra = f"Replaces: {party.call_id};to-tag={tags[0]};from-tag={tags[1]}\r\n"
    thief.ask("INVITE", describe(), extra)
    refusal = thief.final("INVITE")
    thief.acknowledge(refusal)
    assert further_calls(line, near, far) == []
    line.end(near, far)

    assert refusal.code == 603
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
