"""A party's place is taken by somebody else: blind and attended transfer, and the ways in which they fail."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

from callseal.agent.sources.bridge import protocol
from support.child_room import Room, Talk, room
from support.ear import Ear
from support.sip_peer import Dialog, Message, describe
from support.sound import RATE_HZ, demo_speech, likeness

pytestmark = pytest.mark.integration

HELLO = demo_speech("zh-agent")[: 2 * RATE_HZ]


def noticed(party: Dialog) -> tuple[str, str, Message]:
    """Answer a NOTIFY; gives its status line and its Subscription-State."""
    notice = party.asked("NOTIFY")
    party.answer(200, to=notice)
    return notice.body.strip(), notice.header("Subscription-State"), notice


def noticed_until_final(party: Dialog) -> list[str]:
    lines = []
    while True:
        line, state, _notice = noticed(party)
        lines.append(line)
        if state.startswith("terminated"):
            return lines


def test_who_is_called_takes_the_referrers_place(at: Room) -> None:
    """NOTIFY 100, 180, 200; then the referrer is hung up, and the recording goes on with the newcomer."""
    agent, customer, third = (
        demo_speech("en-agent"),
        demo_speech("zh-agent"),
        demo_speech("en-agent")[::-1].copy(),
    )
    with Ear(agent) as near_ear, Ear(customer) as far_ear, Ear(third) as third_ear:
        talk = at.talk(describe(near_ear.port), describe(far_ear.port))
        taps = at.expect_taps()
        at.transfer(talk, refer_id="7")
        newcomer = at.third.taken()
        newcomer.answer(180)
        first, state, notice = noticed(talk.near)
        time.sleep(0.2)
        newcomer.take(describe(third_ear.port))
        taken_s = time.monotonic()
        later = noticed_until_final(talk.near)
        talk.near.hung_up_on()
        transferred = at.expect(protocol.Transferred)
        time.sleep(3)
        talk.far.hang_up()
        newcomer.hung_up_on()
    ended = at.expect(protocol.Ended)
    tracks = taps.all()

    assert newcomer.invite is not None
    assert newcomer.invite.header("From").startswith("<sip:6001@example.org>")
    assert first == "SIP/2.0 100 Trying"
    assert state.startswith("active;expires=")
    assert notice.header("Event") == "refer;id=7"
    assert notice.header("Content-Type") == "message/sipfrag;version=2.0"
    assert later == ["SIP/2.0 180 Ringing", "SIP/2.0 200 OK"]
    assert transferred.side == "agent"
    assert transferred.at_s - taken_s < 0.5
    assert likeness(customer, third_ear.heard[4000:20_000]) >= 0.9
    assert likeness(far_ear.heard, third[: 2 * RATE_HZ]) >= 0.9
    assert likeness(tracks[0], third[: 2 * RATE_HZ]) >= 0.9
    assert (ended.ending, ended.by) == ("hangup", "customer")


def test_a_customer_can_transfer_too(at: Room) -> None:
    talk = at.talk()
    at.expect_taps().close()
    at.transfer(talk, "customer")
    newcomer = at.third.taken()
    newcomer.take()
    assert noticed_until_final(talk.far)[-1] == "SIP/2.0 200 OK"
    talk.far.hung_up_on()
    assert at.expect(protocol.Transferred).side == "customer"
    newcomer.hang_up()
    talk.near.hung_up_on()

    assert at.expect(protocol.Ended).by == "customer"


def test_a_referrer_that_hangs_up_at_once_does_not_end_the_call(at: Room) -> None:
    """Its BYE comes together with the command; the call waits for whom it called."""
    talk = at.talk()
    at.expect_taps().close()
    at.transfer(talk)
    talk.near.ask("BYE")
    talk.near.response(200, "BYE")
    newcomer = at.third.taken()
    newcomer.answer(180)
    time.sleep(0.5)
    newcomer.take()
    at.expect(protocol.Transferred)
    assert at.nothing(protocol.Ended, 0.3)
    newcomer.hang_up()
    talk.far.hung_up_on()

    assert at.expect(protocol.Ended).by == "agent"


def test_a_transfer_that_fails_leaves_all_as_it_was(at: Room) -> None:
    talk = at.talk()
    at.expect_taps().close()
    at.transfer(talk)
    newcomer = at.third.taken()
    newcomer.answer(486)
    newcomer.asked("ACK")
    lines = noticed_until_final(talk.near)
    failed = at.expect(protocol.TransferFailed)
    assert at.nothing(protocol.Ended, 0.3)

    assert lines == ["SIP/2.0 100 Trying", "SIP/2.0 486 Busy Here"]
    assert failed.code == 486
    at.end(talk)


def test_a_transfer_that_fails_after_the_referrer_left_ends_the_call(at: Room) -> None:
    talk = at.talk()
    at.expect_taps().close()
    at.transfer(talk)
    talk.near.hang_up()
    newcomer = at.third.taken()
    newcomer.answer(603)
    newcomer.asked("ACK")
    talk.far.hung_up_on()
    assert at.expect(protocol.TransferFailed).code == 603

    assert at.expect(protocol.Ended).by == "agent"


def test_who_remains_may_hang_up_while_the_newcomer_rings(at: Room) -> None:
    talk = at.talk()
    at.expect_taps().close()
    at.transfer(talk)
    newcomer = at.third.taken()
    newcomer.answer(180)
    noticed(talk.near)
    talk.far.hang_up()
    newcomer.answer(200, to=newcomer.asked("CANCEL"))
    newcomer.answer(487)
    newcomer.asked("ACK")
    talk.near.hung_up_on()

    assert at.expect(protocol.Ended).by == "customer"


def test_a_newcomer_that_rings_for_too_long_is_given_up(at: Room) -> None:
    talk = at.talk(ring_timeout_s=1.0)
    at.expect_taps().close()
    at.transfer(talk)
    newcomer = at.third.taken()
    newcomer.answer(180)
    newcomer.answer(200, to=newcomer.asked("CANCEL"))
    newcomer.answer(487)
    newcomer.asked("ACK")
    lines = noticed_until_final(talk.near)
    at.expect(protocol.TransferFailed)

    assert lines[-1].startswith("SIP/2.0 4")
    at.end(talk)


def test_who_was_held_before_a_transfer_is_taken_back_by_it(at: Room) -> None:
    """The way telephones transfer: hold, REFER; the newcomer holds nobody."""
    talk = at.talk()
    at.expect_taps().close()
    talk.near.ask("INVITE", describe(40_000, direction="sendonly", version=2))
    talk.near.acknowledge(talk.near.response(200))
    hold = talk.far.asked("INVITE")
    talk.far.answer(200, describe(40_002, direction="recvonly", version=2), to=hold)
    talk.far.asked("ACK")
    at.expect(protocol.HoldChanged)
    at.transfer(talk)
    talk.near.hang_up()
    newcomer = at.third.taken()
    newcomer.take()
    back = talk.far.asked("INVITE")
    talk.far.answer(200, describe(40_002, version=3), to=back)
    talk.far.asked("ACK")
    released = at.expect(protocol.HoldChanged)
    newcomer.hang_up()
    talk.far.hung_up_on()
    at.expect(protocol.Ended)

    assert "a=sendonly" in hold.body
    assert "a=sendrecv" in back.body
    assert (released.side, released.held) == ("agent", False)


def test_a_transfer_of_a_call_that_is_not_answered_fails(at: Room) -> None:
    near = at.ring()
    route = at.let_through()
    far = at.pbx.taken()
    far.answer(180)
    at.transfer(Talk(route.call, route.token, near, far))
    assert at.expect(protocol.TransferFailed).code == 481
    near.cancel()
    far.answer(200, to=far.asked("CANCEL"))
    far.answer(487)
    near.acknowledge(near.response(487))

    at.expect(protocol.Ended)
    at.expect_taps().close()


@pytest.mark.parametrize("notify_code", [200, 481])
def test_two_calls_are_joined(at: Room, notify_code: int) -> None:
    """Attended transfer: both customers talk in the first call's recording, the agent's legs are hung up."""
    first_voice, second_voice = demo_speech("en-agent"), demo_speech("zh-agent")
    with Ear(first_voice) as first_ear, Ear(second_voice) as second_ear:
        first = at.talk(answer=describe(first_ear.port))
        first_taps = at.expect_taps()
        near = at.ring()
        route = at.let_through(far=at.third)
        far = at.third.taken()
        far.take(describe(second_ear.port))
        near.acknowledge(near.response(200))
        second_taps = at.expect_taps()
        at.order(protocol.Join(call=first.number, other=route.call, refer_id=""))
        notice = first.near.asked("NOTIFY")
        first.near.answer(notify_code, to=notice)
        while not notice.header("Subscription-State").startswith("terminated"):
            notice = first.near.asked("NOTIFY")
            first.near.answer(notify_code, to=notice)
        first.near.hung_up_on()
        near.hung_up_on()
        other = at.expect(protocol.Ended)
        transferred = at.expect(protocol.Transferred)
        time.sleep(3)
        first.far.hang_up()
        far.hung_up_on()
    ended = at.expect(protocol.Ended)
    tracks = first_taps.all()
    second_taps.close()

    assert (other.call, other.ending, other.by) == (route.call, "transferred", "agent")
    assert (transferred.call, transferred.side) == (first.number, "agent")
    assert (ended.call, ended.by) == (first.number, "customer")
    assert likeness(second_voice, tracks[0][-2 * RATE_HZ : -2000]) >= 0.9
    assert likeness(first_voice, tracks[1][-2 * RATE_HZ : -2000]) >= 0.9
    assert likeness(second_voice, first_ear.heard[-2 * RATE_HZ : -2000]) >= 0.9
    assert likeness(first_voice, second_ear.heard[-2 * RATE_HZ : -2000]) >= 0.9


def test_calls_may_be_joined_while_the_second_one_rings(at: Room) -> None:
    """The telephone gives its own ringing call up; whom it called rings on, for the customer."""
    first = at.talk()
    at.expect_taps().close()
    near = at.ring()
    route = at.let_through(far=at.third)
    far = at.third.taken()
    far.answer(180)
    near.response(180)
    at.order(protocol.Join(call=first.number, other=route.call, refer_id=""))
    near.acknowledge(near.final("INVITE"))
    assert at.expect(protocol.Ended).ending == "transferred"
    far.take()
    assert noticed_until_final(first.near)[-1] == "SIP/2.0 200 OK"
    first.near.hung_up_on()
    at.expect(protocol.Transferred)
    far.hang_up()
    first.far.hung_up_on()
    at.expect(protocol.Ended)
    at.expect_taps().close()


def test_a_join_with_a_call_that_is_gone_fails(at: Room) -> None:
    talk = at.talk()
    at.expect_taps().close()
    at.order(protocol.Join(call=talk.number, other=9999, refer_id=""))
    assert noticed_until_final(talk.near) == ["SIP/2.0 481 Call/Transaction Does Not Exist"]
    assert at.expect(protocol.TransferFailed).code == 481

    at.end(talk)


@pytest.fixture(scope="module")
def announcing() -> Iterator[Room]:
    with room(announcement=np.concatenate([HELLO, np.zeros(RATE_HZ // 2, np.int16)])) as made:
        yield made


@pytest.mark.parametrize("hold_talk", [False, True])
def test_whom_a_transfer_brings_hears_the_announcement(announcing: Room, *, hold_talk: bool) -> None:
    at = announcing
    agent = demo_speech("en-agent")
    with Ear(agent) as near_ear, Ear() as far_ear, Ear(agent) as third_ear:
        talk = at.talk(
            describe(near_ear.port), describe(far_ear.port), announcement="hello", hold_talk=hold_talk
        )
        taps = at.expect_taps()
        first = at.expect(protocol.Announcing)
        at.expect(protocol.Announced)
        at.transfer(talk)
        newcomer = at.third.taken()
        newcomer.take(describe(third_ear.port))
        noticed_until_final(talk.near)
        talk.near.hung_up_on()
        second = at.expect(protocol.Announcing)
        at.expect(protocol.Announced)
        talk.far.hang_up()
        newcomer.hung_up_on()
    at.expect(protocol.Ended)
    tracks = taps.all()
    at.forget()

    assert first.heard_by == second.heard_by == ["agent", "customer"]
    assert likeness(third_ear.heard, HELLO) >= 0.9  # the other party says nothing
    half = far_ear.heard.size // 2
    assert not hold_talk or likeness(far_ear.heard[half:], HELLO) >= 0.9
    assert likeness(tracks[2][: tracks.shape[1] // 2], HELLO) >= 0.9
    assert likeness(tracks[2][tracks.shape[1] // 2 :], HELLO) >= 0.9
