"""The child's part of a call: two accounts, two legs, the edge between them and everybody else."""

import os
import select
import signal
import socket
import time

import pytest

from callseal.agent.sources.bridge import protocol
from support.child_room import NUMBER, Face, Room, room
from support.ear import Ear
from support.sip_peer import describe
from support.sound import demo_speech, likeness

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("by", ["phone", "pbx"])
def test_each_party_is_spoken_to_on_its_own_side(at: Room, by: Face) -> None:
    """The INVITE's header decides the side, the sound stands at that side's address."""
    near = at.ring(by=by)
    route = at.let_through(by=by)
    far = (at.pbx if by == "phone" else at.phone).taken()
    far.take()
    answer = near.response(200)
    near.acknowledge(answer)
    at.expect(protocol.Answered)
    near.hang_up()
    far.hung_up_on()
    ended = at.expect(protocol.Ended)
    at.expect_taps().close()
    sent = at.relay.from_child
    invite = next(text for text in reversed(sent) if text.startswith("INVITE"))

    assert far.invite is not None
    bodies = {by: answer.body, "pbx" if by == "phone" else "phone": far.invite.body}
    assert "c=IN IP4 127.0.0.1" in bodies["phone"]
    assert "c=IN IP4 127.0.0.2" in bodies["pbx"]
    contacts = {by: answer.header("Contact"), "far": far.invite.header("Contact")}
    assert f"sip:callseal-line@127.0.0.1:{at.relay.child[1]}" in contacts["far" if by == "phone" else "pbx"]
    assert f"X-Callseal-Call: {route.token}" in invite
    assert f"X-Callseal-To: {'pbx' if by == 'phone' else 'phone'}" in invite
    assert far.invite.header("From").startswith("<sip:6001@example.org>;tag=")
    assert (ended.ending, ended.by) == ("hangup", "agent" if by == "phone" else "customer")


def test_both_parties_are_heard_and_recorded(at: Room) -> None:
    agent, customer = demo_speech("en-agent"), demo_speech("zh-agent")
    with Ear(agent) as near_ear, Ear(customer) as far_ear:
        talk = at.talk(describe(near_ear.port), describe(far_ear.port))
        taps = at.expect_taps()
        time.sleep(3)
        at.end(talk)
    tracks = taps.all()

    assert likeness(far_ear.heard, agent[:16000]) >= 0.9
    assert likeness(near_ear.heard, customer[:16000]) >= 0.9
    assert likeness(tracks[0], agent[:16000]) >= 0.9
    assert likeness(tracks[1], customer[:16000]) >= 0.9
    assert not tracks[2][8000:].any()


def test_an_invite_that_is_none_of_the_edges_has_no_token(at: Room) -> None:
    near = at.phone.call(NUMBER)
    text = near.compose("INVITE", describe(), number=1)
    at.phone.send_to(text.encode(), at.relay.child)
    invited = at.expect(protocol.Invited)
    at.order(protocol.Refuse(call=invited.call, code=403))
    refusal = near.response(403)
    near.number = 1

    assert invited.token == ""
    assert refusal.code == 403
    at.expect(protocol.Ended)


@pytest.mark.parametrize("code", [302, 401, 407, 404, 486, 503, 603])
def test_the_called_sides_refusal_is_the_callers(at: Room, code: int) -> None:
    near = at.ring()
    at.let_through()
    far = at.pbx.taken()
    far.answer(code, extra='WWW-Authenticate: Digest realm="r", nonce="n"\r\n' if code == 401 else "")
    far.asked("ACK")
    near.acknowledge(near.response(code))
    ended = at.expect(protocol.Ended)
    at.expect_taps().close()

    assert ended.code == code
    assert ended.ending == ("busy" if code == 486 else "rejected")


def test_early_media_passes_both_ways(at: Room) -> None:
    agent, customer = demo_speech("en-agent"), demo_speech("zh-agent")
    with Ear(agent) as near_ear, Ear(customer) as far_ear:
        near = at.ring(describe(near_ear.port))
        at.let_through()
        far = at.pbx.taken()
        far.answer(183, describe(far_ear.port))
        progress = near.response(183)
        time.sleep(3)
        near.cancel()
        far.answer(200, to=far.asked("CANCEL"))
        far.answer(487)
        near.acknowledge(near.response(487))
    taps = at.expect_taps()
    ended = at.expect(protocol.Ended)

    assert "m=audio" in progress.body
    assert likeness(far_ear.heard, agent[:16000]) >= 0.9
    assert likeness(near_ear.heard, customer[:16000]) >= 0.9
    assert likeness(taps.all()[1], customer[:16000]) >= 0.9
    assert ended.ending == "cancelled"


def test_a_call_that_is_answered_after_it_was_given_up_was_never_taken(at: Room) -> None:
    """Both within one turn of a child that is slow: the caller has 487, the called side is hung up on."""
    near = at.ring()
    at.let_through()
    far = at.pbx.taken()
    far.answer(180)
    near.response(180)
    os.kill(at.pid, signal.SIGSTOP)
    near.cancel()
    far.answer(200, describe(40_002))
    time.sleep(0.2)
    os.kill(at.pid, signal.SIGCONT)
    near.acknowledge(near.response(487))
    far.asked("ACK")
    far.hung_up_on()
    ended = at.expect(protocol.Ended)
    at.expect_taps().close()

    assert (ended.ending, ended.by) == ("cancelled", "agent")
    assert at.nothing(protocol.Answered, 0.1)


@pytest.mark.parametrize(
    ("offer", "extra", "code"),
    [
        (describe().replace("RTP/AVP", "RTP/SAVP"), "", 488),
        (describe(), "Session-Expires: 10\r\nSupported: timer\r\n", 422),
    ],
    ids=["srtp-without-a-key", "session-too-short"],
)
def test_what_the_library_refuses_is_refused_by_us(offer: str, extra: str, code: int) -> None:
    """Nobody has given up, and nobody is called."""
    with room(phone_srtp="optional") as at:
        near = at.ring(offer, extra=extra)
        near.acknowledge(near.final("INVITE"))
        ended = at.expect(protocol.Ended)

        assert (ended.ending, ended.by, ended.code) == ("refused", "", code)
        assert at.nothing(protocol.Dialled, 0.2)


def test_an_invite_of_more_than_1300_bytes_stays_on_udp(at: Room) -> None:
    """In and out; who listens by TCP hears nothing. What is over 4000 bytes the library cuts off."""
    extra = "".join(f"X-Padding-{number}: {'y' * 90}\r\n" for number in range(25))
    with socket.create_server(("127.0.0.1", at.relay.port)) as listener:
        talk = at.talk(extra=extra, from_uri=f'"{"z" * 900}" <sip:6001@example.org>')
        asked = select.select([listener], [], [], 0.2)[0]
    at.expect_taps().close()
    sent = [text for text in at.relay.from_child if text.startswith("INVITE")][-1]
    at.end(talk)

    assert len(sent) > 1300
    assert not asked


def test_the_child_answers_at_once_also_when_it_was_idle(at: Room) -> None:
    """It waits for its socket, not for its next turn."""
    waits_s = []
    for _ in range(3):
        began_s = time.monotonic()
        near = at.ring()
        invited = at.expect(protocol.Invited)
        waits_s.append(time.monotonic() - began_s)
        at.order(protocol.Refuse(call=invited.call, code=403))
        near.acknowledge(near.final("INVITE"))
        at.expect(protocol.Ended)
        time.sleep(0.1)

    assert min(waits_s) < 0.1


def test_two_calls_at_once_each_with_its_own_recording(at: Room) -> None:
    first = at.talk()
    taps = [at.expect_taps()]
    second = at.talk()
    taps.append(at.expect_taps())
    refused = at.ring()
    final = refused.final("INVITE")
    refused.acknowledge(final)
    time.sleep(0.3)
    at.end(second)
    at.end(first)

    assert final.code == 486
    assert all(one.all().shape[1] > 0 for one in taps)


def test_a_second_leg_that_says_nothing_is_given_up(at: Room) -> None:
    near = at.ring()
    at.let_through(response_timeout_s=0.5)
    far = at.pbx.taken()
    near.acknowledge(near.response(503))
    far.answer(100)
    far.answer(200, to=far.asked("CANCEL"))
    far.answer(487)
    at.expect_taps().close()

    assert at.expect(protocol.Ended).ending == "unreachable"


def test_heartbeats_come_faster_while_there_are_calls(at: Room) -> None:
    talk = at.talk()
    at.expect_taps().close()
    at.expect(protocol.Beat)
    busy = at.expect(protocol.Beat, 0.6)
    at.end(talk)

    assert busy.calls == 1


def test_a_second_call_may_begin_while_the_first_is_held(at: Room) -> None:
    first = at.talk()
    at.expect_taps().close()
    first.near.ask("INVITE", describe(40_000, direction="sendonly", version=2))
    first.near.acknowledge(first.near.response(200))
    offer = first.far.asked("INVITE")
    first.far.answer(200, describe(40_002, direction="recvonly", version=2), to=offer)
    first.far.asked("ACK")
    held = at.expect(protocol.HoldChanged)
    second = at.talk()
    at.expect_taps().close()
    at.end(second)
    first.near.ask("INVITE", describe(40_000, version=3))
    first.near.acknowledge(first.near.response(200))
    offer = first.far.asked("INVITE")
    first.far.answer(200, describe(40_002, version=3), to=offer)
    first.far.asked("ACK")
    resumed = at.expect(protocol.HoldChanged)
    at.end(first)

    assert (held.call, held.held) == (first.number, True)
    assert (resumed.call, resumed.held) == (first.number, False)


def test_an_invite_without_a_description_is_answered_with_one(at: Room) -> None:
    """Delayed offer (RFC 3261 section 13.2.1): the child's offer is in the 200, the answer in the ACK."""
    near = at.ring("")
    at.let_through()
    far = at.pbx.taken()
    far.take()
    answer = near.response(200)
    near.acknowledge(answer, describe())
    at.expect(protocol.Answered)
    media = at.expect(protocol.Media)
    near.hang_up()
    far.hung_up_on()
    at.expect(protocol.Ended)
    at.expect_taps().close()

    assert "m=audio" in answer.body
    assert media.agent_codec == "PCMU"


def test_an_answer_with_two_codings_is_settled_on_one(at: Room) -> None:
    """Else the party could change at any packet: the child asks again with the first of them alone."""
    talk = at.talk(describe(formats="0 8"), describe(40_002, formats="0 8"))
    at.expect_taps().close()
    again = talk.far.asked("INVITE")
    talk.far.answer(200, describe(40_002, formats="0", version=2), to=again)
    talk.far.asked("ACK")
    media = at.expect(protocol.Media)
    at.end(talk)

    assert "RTP/AVP 0\r\n" in again.body or "RTP/AVP 0 120\r\n" in again.body
    assert media.customer_codec == "PCMU"


@pytest.mark.soak
@pytest.mark.skipif(not os.environ.get("CALLSEAL_SOAK"), reason="takes 45 s")
def test_a_session_is_refreshed_in_time(at: Room) -> None:
    """RFC 4028 section 7.2: after half of what was agreed; nothing changes by it."""
    talk = at.talk(extra="Session-Expires: 90;refresher=uas\r\nSupported: timer\r\nMin-SE: 90\r\n")
    at.expect_taps().close()
    began_s = time.monotonic()
    refresh = talk.near.asked("INVITE", 60)
    waited_s = time.monotonic() - began_s
    talk.near.answer(
        200, describe(version=2), to=refresh, extra="Session-Expires: 90;refresher=uac\r\nRequire: timer\r\n"
    )
    talk.near.asked("ACK")
    quiet = at.nothing(protocol.HoldChanged, 0.5)
    at.end(talk)

    assert 40 <= waited_s <= 50
    assert quiet
