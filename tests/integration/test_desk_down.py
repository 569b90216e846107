"""Calls that come while the bridge has no child: they wait for the next one, or go by `when_down`."""

import os
import signal
import time
from pathlib import Path

import pytest

from callseal.agent.sources.bridge.deaths import MANY, PAUSE_S
from callseal.agent.sources.bridge.desk_calls import STARTING_S
from callseal.agent.sources.bridge.edge.waiting import WAIT_S
from support.desk import Recorded
from support.desk_deaths import try_next_call
from support.desk_hearing import agent_voice, customer_voice, is_heard, over_and_over
from support.desk_scene import NUMBER, THIRD, Scene, scene
from support.sip_peer import describe
from support.sip_wire import Caller, Wire
from support.sound import RATE_HZ
from support.timed import until
from support.watchful_leg import Leg

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

EMERGENCY = "110"


def trace_of(at: Scene, before: int) -> Recorded:
    """Give what a call has left that was not recorded."""
    recording = at.at.wait_for(before + 1)[before]
    assert recording.manifest.result.value == "exempt"
    assert recording.inner == b""
    return recording


def let_fail(at: Scene) -> None:
    """Let children die until calls do not wait any more."""
    for _death in range(MANY):
        at.kill_child()
    until(lambda: at.is_told("bridge-failing"), "the bridge fails")
    assert at.is_alarmed("bridge-failing")


def recovers(at: Scene) -> None:
    """Check that the bridge comes back by itself, and calls are recorded again."""
    until(lambda: not at.is_told("bridge-failing"), "the bridge is back", PAUSE_S + 5)
    assert not at.is_alarmed("bridge-failing")
    assert at.at.office.wait_ready("agent", 5)
    try_next_call(at)


def passes(at: Scene, called: str) -> Leg:
    """Check that a call goes straight from one party to the other, with their own sound; gives it."""
    at.settle()
    near = at.call(called)
    far = at.wait_called()
    until(lambda: near.final == 200, "an answer")
    assert far.invite is not None
    assert near.said is not None
    assert far.invite.media[1] == near.ear.port
    assert near.said.media[1] == far.ear.port
    near.ear.speak_to(far.ear.port)
    far.ear.speak_to(near.ear.port)
    time.sleep(1.5)
    is_heard(over_and_over(agent_voice(), 2), far.ear.heard[-RATE_HZ:])
    is_heard(over_and_over(customer_voice(), 2), near.ear.heard[-RATE_HZ:])
    return near


def is_over(at: Scene, leg: Leg) -> None:
    """Hang up; nothing is left hanging."""
    leg.hang_up()
    until(lambda: not at.unfinished(), "the call ends")
    assert at.complaints() == []


def test_a_call_waits_for_the_child_that_is_being_started(tmp_path: Path) -> None:
    """By UDP and by TCP: nobody is told anything for a moment, then the call is as any other."""
    with scene(tmp_path) as at, Wire.open("TCP", ("127.0.0.1", at.at.bridge_port)) as wire:
        child = at.next_child_stopped()
        near, other = at.call(), Caller(wire, user=THIRD)
        other.send("INVITE", describe(40_004), kind="application/sdp")
        time.sleep(1.2)  # by UDP the INVITE has been sent three times now
        assert near.codes == []
        assert wire.pending() == []
        os.kill(child, signal.SIGCONT)
        until(lambda: near.final == 200, "the call by UDP is taken")
        taken = wire.answer(other.call_id, "INVITE")
        assert taken.code == 200
        other.acknowledge(taken)
        time.sleep(1.0)
        assert len(at.pbx.legs) == 2
        assert other.ask("BYE").code == 200
        is_over(at, near)
        recordings = at.at.wait_for(2)

        assert [recording.manifest.result.value for recording in recordings] == ["ok", "ok"]


def test_a_call_that_is_given_up_while_it_waits_is_over_at_once(tmp_path: Path) -> None:
    with scene(tmp_path) as at:
        child = at.next_child_stopped()
        leg = at.call()
        time.sleep(0.2)
        leg.cancel()
        until(lambda: leg.end == "refused", "the INVITE is answered", 1.0)
        assert leg.codes == [487]
        os.kill(child, signal.SIGCONT)
        at.at.office.wait_ready("agent", 5)
        time.sleep(0.7)  # were it sent again, it would come by now
        assert at.pbx.legs == []
        assert at.unfinished() == []
        try_next_call(at)


def test_a_call_does_not_wait_for_a_child_that_does_not_get_ready(tmp_path: Path) -> None:
    """It is refused as if there were none, so that the telephone can try its second way."""
    with scene(tmp_path) as at:
        child = at.next_child_stopped()
        leg = at.call()
        until(lambda: leg.end == "refused", "the INVITE is answered", STARTING_S + WAIT_S + 1)
        assert leg.codes == [503]
        os.kill(child, signal.SIGCONT)
        trace = trace_of(at, 0)
        assert trace.manifest.reasons == ("bridge-down",)
        assert at.at.office.wait_ready("agent", 5)
        try_next_call(at)


def test_an_emergency_call_does_not_wait(tmp_path: Path) -> None:
    """It goes past the bridge, and leaves its trace."""
    with scene(tmp_path) as at:
        child = at.next_child_stopped()
        leg = passes(at, EMERGENCY)
        os.kill(child, signal.SIGCONT)
        at.at.office.wait_ready("agent", 5)
        is_over(at, leg)
        trace = trace_of(at, 0)

        assert trace.manifest.reasons == ("emergency",)
        assert trace.call["answered_at"] is not None


def test_after_five_deaths_in_a_minute_calls_are_refused_until_a_child_lives(tmp_path: Path) -> None:
    """With 503 and Retry-After, either way, also those who waited; each leaves a trace. No emergency is."""
    with scene(tmp_path) as at:
        for _death in range(MANY - 2):
            at.kill_child()
        at.next_child_stopped()  # the last but one has died by this
        waiting = at.call()
        time.sleep(0.2)
        at.kill_child()
        until(lambda: waiting.end == "refused", "who waited is told", 1.0)
        until(lambda: at.is_told("bridge-failing"), "the bridge fails")
        assert at.is_alarmed("bridge-failing")
        out, into = at.call(), at.pbx.call("6001", user=NUMBER)
        until(lambda: bool(out.end and into.end), "both are refused", 1.0)
        for leg in (waiting, out, into):
            assert leg.codes == [503]
            assert leg.said is not None
            assert leg.said.header("Retry-After") != ""
        assert at.pbx.legs == [into]
        assert {trace.manifest.reasons for trace in at.at.wait_for(3)} == {("bridge-down",)}
        is_over(at, passes(at, EMERGENCY))
        assert trace_of(at, 3).manifest.reasons == ("emergency",)
        recovers(at)


def test_or_they_are_let_past_the_bridge(tmp_path: Path) -> None:
    """Their sound is their own, each leaves a trace with its facts, and goes on when the bridge is back."""
    with scene(tmp_path, when_down="pass") as at:
        let_fail(at)
        is_over(at, passes(at, EMERGENCY))
        assert trace_of(at, 0).manifest.reasons == ("emergency",)
        leg = passes(at, NUMBER)
        until(lambda: not at.is_told("bridge-failing"), "the bridge is back", PAUSE_S + 5)
        time.sleep(0.5)
        is_heard(over_and_over(agent_voice(), 2), at.pbx.legs[0].ear.heard[-RATE_HZ:])
        is_over(at, leg)
        trace = trace_of(at, 1)

        assert trace.manifest.reasons == ("bridge-down",)
        assert trace.call["answered_at"] is not None
        assert trace.call["ended_by"] == "agent"
        recovers(at)
