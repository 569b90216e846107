"""What kills a careless process that uses pjsua2, done to the bridge's child: it lives, and leaves in order.

Each test has a child of its own, which must end with status 0: an abort of the library is none.
"""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from callseal.agent.sources.bridge import protocol
from support.child_room import Room, Talk, room
from support.eventually import eventually
from support.process import descriptors, resident_bytes
from support.sip_peer import Dialog, describe
from support.sound import RATE_HZ, demo_speech

pytestmark = pytest.mark.integration

SOAK = bool(os.environ.get("CALLSEAL_SOAK"))
CALLS = 320 if SOAK else 20
SETTLED = 210 if SOAK else 5
"""After so many calls everything that is kept for the next one has been made."""
MAX_GROWTH_BYTES = 6_000_000
_CHILD = "from callseal.agent.sources.bridge import child"
COLLECTING = f"""
import gc, threading, time
{_CHILD}
def litter():
    while True:
        ring = [[] for _ in range(200)]
        ring[0].append(ring)
        del ring
        gc.collect()
        time.sleep(0.005)
threading.Thread(target=litter, daemon=True).start()
child.main()
"""
"""A foreign thread that allocates, and collects whatever garbage there is."""


def failing(where: str, after: int) -> tuple[str, ...]:
    """Give a child in which a callback's work raises, from its so-many-th time on."""
    return (
        "-c",
        f"""
{_CHILD}
from callseal.agent.sources.bridge.session import Session
done, real = [], Session.{where}
def broken(self, *arguments, **named):
    done.append(1)
    if len(done) == {after}:
        raise ValueError
    return real(self, *arguments, **named)
Session.{where} = broken
child.main()
""",
    )


def held(talk: Talk) -> None:
    talk.near.ask("INVITE", describe(40_000, direction="sendonly", version=2))
    talk.near.acknowledge(talk.near.response(200))
    offer = talk.far.asked("INVITE")
    talk.far.answer(200, describe(40_002, direction="recvonly", version=2), to=offer)
    talk.far.asked("ACK")


@pytest.mark.parametrize("state", ["invited", "ringing", "talking", "held", "transferring", "announcing"])
@pytest.mark.parametrize("how", ["stopped", "left alone"])
def test_the_child_leaves_in_order_whatever_goes_on(state: str, how: str) -> None:
    """No call, player or recorder outlives the library; the parties that answer get a BYE first."""
    with room(announcement=demo_speech("zh-agent")) as at:
        if state == "invited":
            at.ring()
            at.expect(protocol.Invited)
        elif state == "ringing":
            at.ring()
            at.let_through()
            at.pbx.taken().answer(180)
        else:
            talk = at.talk(announcement="hello" if state == "announcing" else "")
            if state == "held":
                held(talk)
            elif state == "transferring":
                at.transfer(talk)
                at.third.taken().answer(180)
            else:
                time.sleep(0.3)
        if how == "stopped":
            at.order(protocol.Stop())
        else:
            at.channel.close()

        assert at.process.wait(10) == 0


@pytest.mark.parametrize(
    ("where", "after"),
    [
        ("leg_state", 1),
        ("leg_state", 3),
        ("leg_media", 1),
        ("leg_media", 2),
        ("tick", 5),
        ("route", 1),
        ("_dial", 1),
    ],
)
def test_an_error_in_our_own_code_is_told_and_costs_one_call(where: str, after: int) -> None:
    """Nothing crosses into the library; the next call is as any other."""
    with room(program=failing(where, after)) as at:
        at.ring()
        at.let_through()
        if at.pbx.pending("INVITE", 0.5):
            at.pbx.taken().answer(200, describe(40_002))
        fault = at.expect(protocol.Fault)
        talk = at.talk()
        at.end(talk)

        assert fault.detail == "ValueError"


@pytest.mark.parametrize("target", ["sip:", "not a target", "sips:a@127.0.0.1"])
def test_a_target_that_cannot_be_dialled_ends_the_call(target: str) -> None:
    """No hang-up is tried on a call that was never made."""
    with room() as at:
        near = at.ring()
        at.let_through(target=target)
        near.acknowledge(near.response(503))
        ended = at.expect(protocol.Ended)
        at.expect_taps().close()
        talk = at.talk()
        at.end(talk)

        assert (ended.ending, ended.code) == ("unreachable", 503)


def test_a_refer_that_reaches_the_child_calls_nobody() -> None:
    """Left alone the library would place the call that it asks for."""
    with room() as at:
        talk = at.talk()
        talk.far.ask("REFER", extra=f"Refer-To: <sip:6009@127.0.0.1:{at.third.port}>\r\n")
        refusal = talk.far.final("REFER")
        rung = at.third.pending("INVITE", 0.3)
        at.end(talk)

        assert refusal.code == 603
        assert not rung


def test_a_fifth_leg_is_refused_and_both_calls_go_on() -> None:
    """The library has room for four."""
    with room() as at:
        first, second = at.talk(), at.talk()
        at.transfer(first)
        failed = at.expect(protocol.TransferFailed)
        notice = first.near.asked("NOTIFY")
        first.near.answer(200, to=notice)
        at.end(first)
        at.end(second)

        assert failed.code == 503
        assert notice.body.startswith("SIP/2.0 503")


def test_the_terminals_signals_are_the_services_business() -> None:
    with room() as at:
        talk = at.talk()
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(at.pid, number)
        time.sleep(0.5)

        assert at.process.poll() is None
        at.end(talk)


def test_an_address_that_is_not_this_machines_is_told(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="where='start'"), room(host="192.0.2.1"):
        raise RuntimeError("a child began to listen elsewhere")


@pytest.mark.soak
@pytest.mark.timeout(1500)
def test_many_calls_beside_a_foreign_thread_leave_nothing_behind() -> None:
    """Short calls, holds and transfers mixed, while a thread collects: descriptors and memory stay level."""
    seed = random.randrange(2**32) if SOAK else 2015  # noqa: S311 - a seed
    print(f"seed {seed}")  # noqa: T201 - so that a failing run can be repeated
    dice = random.Random(seed)  # noqa: S311 - noise, and repeatable
    with room(program=("-c", COLLECTING), announcement=demo_speech("zh-agent")[:RATE_HZ]) as at:
        settled = (0, 0)
        for number in range(CALLS):
            dice.choice((plain, plain, cancelled, busy, held_call, transferred, deserted))(at, dice)
            at.expect_taps().close()
            at.forget()
            if number == SETTLED:
                settled = descriptors(at.pid), resident_bytes(at.pid)
        eventually(lambda: descriptors(at.pid) <= settled[0], "the child's descriptors are closed")
        grown = resident_bytes(at.pid) - settled[1]

        assert grown < MAX_GROWTH_BYTES


def both(at: Room, near: Dialog, far: Dialog, dice: random.Random) -> None:
    """Hang up on either side, or on both at once."""
    first, second = (near, far) if dice.random() < 0.5 else (far, near)
    first.ask("BYE")
    if dice.random() < 0.3:
        second.ask("BYE")
        second.final("BYE")
        first.final("BYE")
    else:
        first.final("BYE")
        second.hung_up_on()
    at.expect(protocol.Ended)


def plain(at: Room, dice: random.Random) -> None:
    talk = at.talk(announcement="hello" if dice.random() < 0.5 else "")
    time.sleep(dice.random() * 0.3)
    both(at, talk.near, talk.far, dice)


def cancelled(at: Room, dice: random.Random) -> None:
    near = at.ring()
    at.let_through()
    far = at.pbx.taken()
    far.answer(dice.choice((180, 183)), describe(40_002))
    near.cancel()
    far.answer(200, to=far.asked("CANCEL"))
    far.answer(487)
    near.acknowledge(near.response(487))
    at.expect(protocol.Ended)


def busy(at: Room, dice: random.Random) -> None:
    near = at.ring()
    at.let_through()
    far = at.pbx.taken()
    far.answer(dice.choice((486, 404, 302, 407, 603)))
    far.asked("ACK")
    near.acknowledge(near.final("INVITE"))
    at.expect(protocol.Ended)


def held_call(at: Room, dice: random.Random) -> None:
    talk = at.talk()
    held(talk)
    both(at, talk.near, talk.far, dice)


def transferred(at: Room, dice: random.Random) -> None:
    talk = at.talk(announcement="hello")
    at.transfer(talk)
    newcomer = at.third.taken()
    newcomer.take()
    for _ in range(2):
        talk.near.answer(200, to=talk.near.asked("NOTIFY"))
    talk.near.hung_up_on()
    at.expect(protocol.Transferred)
    both(at, newcomer, talk.far, dice)


def deserted(at: Room, dice: random.Random) -> None:
    """Who transfers leaves at once; whom it calls does not want to."""
    talk = at.talk()
    at.transfer(talk)
    talk.near.ask("BYE")
    talk.near.response(200, "BYE")
    newcomer = at.third.taken()
    newcomer.answer(dice.choice((486, 480, 603)))
    newcomer.asked("ACK")
    talk.far.hung_up_on()
    at.expect(protocol.Ended)
