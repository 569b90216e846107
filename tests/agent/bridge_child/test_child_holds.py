"""Hold and resume pass through the child, from either side, from both, and when they cross."""

import time

import pytest

from callseal.agent.sources.bridge import protocol
from support.child_room import Room, Talk
from support.ear import Ear
from support.sip_peer import Dialog, Message, describe
from support.sound import demo_speech, likeness

pytestmark = pytest.mark.integration


def ask(party: Dialog, port: int, direction: str, version: int, body: str = "") -> Message:
    party.ask("INVITE", body or describe(port, direction=direction, version=version))
    answer = party.final("INVITE")
    party.acknowledge(answer)
    return answer


def follow(party: Dialog, port: int, direction: str, version: int) -> str:
    """Answer the child's re-INVITE; gives the direction that it wanted."""
    offer = party.asked("INVITE")
    party.answer(200, describe(port, direction=direction, version=version), to=offer)
    party.asked("ACK")
    return wanted(offer.body)


def wanted(body: str) -> str:
    lines = body.split("\r\n")
    return next(line for line in ("sendrecv", "sendonly", "recvonly", "inactive") if f"a={line}" in lines)


def sides(talk: Talk, *, far_first: bool) -> tuple[Dialog, Dialog]:
    return (talk.far, talk.near) if far_first else (talk.near, talk.far)


@pytest.mark.parametrize("from_far", [False, True])
@pytest.mark.parametrize("how", ["sendonly", "inactive", "nowhere"])
def test_a_hold_is_passed_on_and_taken_back(at: Room, how: str, *, from_far: bool) -> None:
    talk = at.talk()
    taps = at.expect_taps()
    party, other = sides(talk, far_first=from_far)
    side = "customer" if from_far else "agent"
    began_s = time.monotonic()
    body = describe(40_000, version=2).replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0")  # as before RFC 3264
    ask(party, 40_000, how, 2, body if how == "nowhere" else "")
    held_as = follow(other, 40_002, "recvonly", 2)
    held = at.expect(protocol.HoldChanged)
    time.sleep(0.5)
    ask(party, 40_000, "sendrecv", 3)
    resumed_as = follow(other, 40_002, "sendrecv", 3)
    resumed = at.expect(protocol.HoldChanged)
    time.sleep(0.3)
    lasted_s = time.monotonic() - began_s
    at.end(talk)

    assert (held_as, resumed_as) == ("sendonly", "sendrecv")
    assert (held.side, held.held) == (side, True)
    assert (resumed.side, resumed.held) == (side, False)
    assert taps.all().shape[1] / 8000 >= lasted_s


def test_both_sides_may_hold_at_once(at: Room) -> None:
    """Who resumes first is still held by the other; the second one to resume brings both back."""
    talk = at.talk()
    at.expect_taps().close()
    ask(talk.near, 40_000, "sendonly", 2)
    follow(talk.far, 40_002, "recvonly", 2)
    assert at.expect(protocol.HoldChanged).side == "agent"
    answer = ask(talk.far, 40_002, "inactive", 3)
    follow(talk.near, 40_000, "inactive", 3)
    assert at.expect(protocol.HoldChanged).side == "customer"
    assert wanted(answer.body) == "inactive"
    ask(talk.near, 40_000, "sendrecv", 4)
    far_as = follow(talk.far, 40_002, "inactive", 4)
    released = at.expect(protocol.HoldChanged)
    ask(talk.far, 40_002, "sendrecv", 5)
    near_as = follow(talk.near, 40_000, "sendrecv", 5)
    at.expect(protocol.HoldChanged)
    at.end(talk)

    assert (released.side, released.held) == ("agent", False)
    assert (far_as, near_as) == ("sendrecv", "sendrecv")


def test_a_party_that_answers_a_hold_with_inactive_holds_nobody_itself(at: Room) -> None:
    talk = at.talk()
    at.expect_taps().close()
    ask(talk.near, 40_000, "sendonly", 2)
    follow(talk.far, 40_002, "inactive", 2)
    at.expect(protocol.HoldChanged)

    assert at.nothing(protocol.HoldChanged, 0.5)
    assert not at.phone.pending("INVITE", 0.2)
    at.end(talk)


@pytest.mark.parametrize("times", [1, 2])
def test_a_hold_that_crosses_another_offer_is_tried_again(at: Room, times: int) -> None:
    """491, after the time that RFC 3261 section 14.1 gives who owns the Call-ID."""
    talk = at.talk()
    at.expect_taps().close()
    ask(talk.near, 40_000, "sendonly", 2)
    at.expect(protocol.HoldChanged)
    for _ in range(times):
        offer = talk.far.asked("INVITE")
        refused_s = time.monotonic()
        talk.far.answer(491, to=offer)
        talk.far.asked("ACK")
    held_as = follow(talk.far, 40_002, "recvonly", 2)
    waited_s = time.monotonic() - refused_s
    at.end(talk)

    assert held_as == "sendonly"
    assert 2.0 <= waited_s <= 4.5


def test_an_offer_that_crosses_ours_is_refused_and_the_hold_goes_on(at: Room) -> None:
    talk = at.talk()
    at.expect_taps().close()
    ask(talk.near, 40_000, "sendonly", 2)
    at.expect(protocol.HoldChanged)
    ours = talk.far.asked("INVITE")
    talk.far.ask("INVITE", describe(40_002, version=2))
    refusal = talk.far.final("INVITE")
    talk.far.acknowledge(refusal)
    talk.far.answer(200, describe(40_002, direction="recvonly", version=3), to=ours)
    talk.far.asked("ACK")
    ask(talk.near, 40_000, "sendrecv", 3)
    resumed_as = follow(talk.far, 40_002, "sendrecv", 4)
    at.end(talk)

    assert refusal.code == 491
    assert resumed_as == "sendrecv"


def test_music_on_hold_is_heard_and_recorded(at: Room) -> None:
    """Who holds with "sendonly" may play something: it goes to whom is held."""
    music = demo_speech("zh-agent")
    with Ear() as near_ear, Ear(music) as far_ear:
        talk = at.talk(describe(near_ear.port), describe(far_ear.port))
        taps = at.expect_taps()
        time.sleep(0.3)  # an ear speaks to whom it has heard
        ask(talk.far, far_ear.port, "sendonly", 2)
        follow(talk.near, near_ear.port, "recvonly", 2)
        time.sleep(3)
        at.end(talk)

    assert likeness(near_ear.heard, music[8000:20000]) >= 0.9
    assert likeness(taps.all()[1], music[8000:20000]) >= 0.9


def test_sound_comes_back_after_a_hold(at: Room) -> None:
    agent, customer = demo_speech("en-agent"), demo_speech("zh-agent")
    with Ear(agent) as near_ear, Ear(customer) as far_ear:
        talk = at.talk(describe(near_ear.port), describe(far_ear.port))
        taps = at.expect_taps()
        time.sleep(0.3)  # an ear speaks to whom it has heard
        ask(talk.near, near_ear.port, "inactive", 2)
        follow(talk.far, far_ear.port, "recvonly", 2)
        time.sleep(0.5)
        ask(talk.near, near_ear.port, "sendrecv", 3)
        follow(talk.far, far_ear.port, "sendrecv", 3)
        time.sleep(3)
        at.end(talk)
    tracks = taps.all()

    for ear, said in ((near_ear, customer), (far_ear, agent)):
        heard = ear.heard
        assert likeness(said, heard[heard.size - 16_000 : heard.size - 2000]) >= 0.9
    for track, said in enumerate((agent, customer)):
        assert likeness(said, tracks[track][-16_000:-2000]) >= 0.9


def test_an_update_holds_as_a_reinvite_does(at: Room) -> None:
    """RFC 3311."""
    talk = at.talk()
    at.expect_taps().close()
    talk.far.ask("UPDATE", describe(40_002, direction="sendonly", version=2))
    talk.far.response(200, "UPDATE")
    held_as = follow(talk.near, 40_000, "recvonly", 2)
    held = at.expect(protocol.HoldChanged)
    at.end(talk)

    assert held_as == "sendonly"
    assert held.side == "customer"


def test_a_refused_hold_is_left_at_that(at: Room) -> None:
    talk = at.talk()
    at.expect_taps().close()
    ask(talk.near, 40_000, "sendonly", 2)
    talk.far.answer(488, to=talk.far.asked("INVITE"))
    talk.far.asked("ACK")

    assert not at.pbx.pending("INVITE", 1.0)
    at.end(talk)
