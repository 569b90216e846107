"""The desk bridge while its processes stand still, are killed or told to stop; and many short calls."""

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from callseal.agent.sources.bridge.child_process import SILENT_S
from support.desk import ENGLISH, NO_ANNOUNCEMENT, desk
from support.ear import Ear
from support.eventually import eventually
from support.line import LIBRARY_BUFFER_S, NUMBER, ONLY_SOAK, SOAK, TICKS_S, Line, seconds
from support.process import descriptors
from support.sip_peer import Peer, describe
from support.sound import RATE_HZ, demo_speech, likeness

pytestmark = pytest.mark.integration


def start(folder: Path, act: Callable[[Line], None], *, rules: str = NO_ANNOUNCEMENT) -> None:
    """Run a desk of its own for a test that does not leave it whole."""
    with (
        desk(folder / "desk", rules=rules) as at,
        Peer(at.phone_port, at.bridge_port) as phone,
        Peer(at.pbx_port, at.bridge_port) as pbx,
    ):
        line = Line(at, phone, pbx)
        act(line)
        assert NUMBER not in line.log


def scratch_of(agent: int) -> Path:
    """Give the folder of an agent's bridge: the agent holds a lock in it."""
    targets = [entry.readlink() for entry in Path(f"/proc/{agent}/fd").iterdir()]
    (lock,) = [target for target in targets if target.parent.name.startswith("callseal-bridge-")]
    return lock.parent


@pytest.mark.parametrize("stopped_s", [pytest.param(4.0, marks=ONLY_SOAK), 6.5])
def test_an_agent_that_stood_still_has_lost_nothing(tmp_path: Path, stopped_s: float) -> None:
    """The taps are memory files: what the child recorded meanwhile is there when the agent goes on."""
    speech = demo_speech("en-agent")

    def act(line: Line) -> None:
        with Ear(speech) as near_ear, Ear() as far_ear:
            near, far = line.talk(near_ear.port, far_ear.port)
            talking_s = time.monotonic()
            time.sleep(0.3)
            os.kill(line.agent, signal.SIGSTOP)
            time.sleep(stopped_s)
            os.kill(line.agent, signal.SIGCONT)
            time.sleep(0.7)
            ending_s = time.monotonic()
            line.end(near, far)
        recording = line.left(0)

        assert recording.manifest.result.value == "ok"
        assert seconds(recording) >= ending_s - talking_s - TICKS_S
        assert likeness(recording.audio[0], speech[: round(stopped_s) * RATE_HZ]) >= 0.9

    start(tmp_path, act)


def test_a_disk_that_stands_still_under_the_status_keeps_no_caller_waiting(tmp_path: Path) -> None:
    def act(line: Line) -> None:
        status = line.at.office.spool / "status" / "agent.json"
        pipe = status.with_name("agent.json.tmp")

        def in_the_way() -> bool:
            with contextlib.suppress(FileExistsError):
                os.mkfifo(pipe)
            return pipe.is_fifo()

        eventually(in_the_way, "who writes the status waits for a reader")
        time.sleep(1.5)  # it is written every second
        called_s = time.monotonic()
        near, far = line.talk()
        waited_s = time.monotonic() - called_s
        line.end(near, far)
        with pipe.open("rb") as reader:
            reader.read()
        eventually(status.is_file, "the status is written again")
        recording = line.left(0)

        assert waited_s < 1.5
        assert recording.manifest.result.value == "ok"

    start(tmp_path, act)


def test_a_child_that_stood_still_for_a_while_says_what_is_missing(tmp_path: Path) -> None:
    """Less than 3 s: the call goes on, and its recording is not called whole."""

    def act(line: Line) -> None:
        near, far = line.talk()
        time.sleep(0.3)
        child = line.child
        os.kill(child, signal.SIGSTOP)
        time.sleep(2.0)
        os.kill(child, signal.SIGCONT)
        time.sleep(0.5)
        line.end(near, far)
        recording = line.left(0)

        assert line.child == child
        assert recording.manifest.result.value == "degraded"
        assert recording.manifest.reasons == ("media-lost",)

    start(tmp_path, act)


def test_a_child_that_stands_still_is_replaced_and_its_call_kept(tmp_path: Path) -> None:
    """After 3 s without a sign: both are told, the recording is degraded, the agent starts another child."""

    def act(line: Line) -> None:
        child = line.child
        near, far = line.talk()
        talking_s = time.monotonic()
        time.sleep(1.0)
        stopped_s = time.monotonic()
        os.kill(child, signal.SIGSTOP)
        near.hung_up_on(SILENT_S + 2)
        far.hung_up_on(2)
        recording = line.left(0)
        eventually(lambda: line.at.office.wait_ready("agent", 1), "another child")

        assert line.child != child
        assert line.at.office.process("agent").poll() is None
        assert recording.manifest.result.value == "degraded"
        assert "bridge-died" in recording.manifest.reasons
        assert seconds(recording) >= stopped_s - talking_s - LIBRARY_BUFFER_S - TICKS_S
        assert not Path(f"/proc/{child}").exists()
        assert "has not answered for" in line.log
        near, far = line.talk()
        line.end(near, far)
        assert line.left(1).manifest.result.value == "ok"

    start(tmp_path, act)


def test_a_second_signal_ends_the_call_properly_though_nobody_answers(tmp_path: Path) -> None:
    """New calls get 503, the running one goes on; the second SIGTERM ends it, recorded as a hang-up."""

    def act(line: Line) -> None:
        process = line.at.office.process("agent")
        near, far = line.talk()
        process.terminate()
        eventually(lambda: "agent.draining" in line.log, "the agent drains")
        late = line.ring()
        late.acknowledge(late.response(503))
        assert process.poll() is None
        process.terminate()
        near.asked("BYE")
        far.asked("BYE")  # neither is answered
        code = process.wait(10)
        recordings = line.at.wait_for(2)

        assert code == 0
        reasons = {recording.manifest.reasons for recording in recordings}
        results = {recording.manifest.result.value for recording in recordings}
        assert results == {"ok", "exempt"}
        assert ("bridge-died",) not in reasons

    start(tmp_path, act)


@pytest.mark.parametrize("child_too", [False, True])
def test_a_killed_agent_leaves_no_process_and_no_folder(tmp_path: Path, *, child_too: bool) -> None:
    """The child tells both parties within 3 s, leaves and clears up.

    Where it was killed as well, the next start clears up, and the next agent tells whoever says something.
    """

    def act(line: Line) -> None:
        child = line.child
        scratch = scratch_of(line.agent)
        near, far = line.talk()
        time.sleep(1.5)  # a second of sound is put on the disk at a time
        agent = line.at.office.process("agent")
        agent.kill()
        if child_too:
            os.kill(child, signal.SIGKILL)
        agent.wait()
        if not child_too:
            near.answer(200, to=near.asked("BYE", 3))
            far.hung_up_on(3)
        deadline_s = time.monotonic() + 3
        while Path(f"/proc/{child}/exe").exists() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert not Path(f"/proc/{child}/exe").exists()
        assert scratch.exists() == child_too
        line.at.office.start("agent")
        assert line.at.office.wait_ready("agent", 20)

        assert not scratch.exists()
        if child_too:
            for dialog in (near, far):
                dialog.ask("BYE")
                assert dialog.final("BYE").code == 481
        (recording,) = line.at.wait_for(1)
        assert recording.manifest.result.value == "degraded"

    start(tmp_path, act)


def test_the_announcement_may_be_held_through(tmp_path: Path) -> None:
    """A hold while it plays breaks nothing, and the recording says what was heard."""

    def act(line: Line) -> None:
        near, far = line.talk()
        talking_s = time.monotonic()
        time.sleep(1.0)
        for version, wanted in ((2, "sendonly"), (3, "sendrecv")):
            far.ask("INVITE", describe(40_002, direction=wanted, version=version))
            far.acknowledge(far.response(200))
            time.sleep(1.0)
        time.sleep(2.5)
        ending_s = time.monotonic()
        line.end(near, far)
        recording = line.left(0)

        assert seconds(recording) >= ending_s - talking_s - TICKS_S
        (told,) = recording.disclosures
        assert told["start_sample"] is not None

    start(tmp_path, act, rules=ENGLISH)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_short_calls_in_a_row_leave_one_bundle_each_and_nothing_open(tmp_path: Path) -> None:
    """Hung up on either side at any moment from the INVITE on; the seed is printed."""
    calls = 200 if SOAK else 12
    seed = random.randrange(2**32) if SOAK else 4733  # noqa: S311 - a seed
    print(f"seed {seed}")  # noqa: T201 - so that a failing run can be repeated
    dice = random.Random(seed)  # noqa: S311 - noise, and repeatable

    def act(line: Line) -> None:
        held = descriptors(line.agent), descriptors(line.child)
        for number in range(calls):
            line.phone.forget()
            line.pbx.forget()
            short_call(line, dice)
            line.left(number)

        assert line.count() == calls
        assert list((line.at.office.spool / "open").iterdir()) == []
        eventually(lambda: descriptors(line.child) <= held[1], "the child's descriptors are closed")
        # The recorder's thread is made with the first call.
        eventually(lambda: descriptors(line.agent) <= held[0] + 1, "the agent's descriptors are closed")
        events = [json.loads(row)["event"] for row in line.log.splitlines() if row.startswith("{")]
        assert "bridge.fault" not in events

    start(tmp_path, act)


def short_call(line: Line, dice: random.Random) -> None:
    near = line.ring()
    if dice.random() < 0.2:
        time.sleep(dice.random() * 0.15)
        near.cancel()
        final = near.final("INVITE")
        near.acknowledge(final)
        if line.pbx.pending("INVITE", 0.15):
            far = line.pbx.taken()
            far.answer(180)  # no CANCEL before a provisional response (RFC 3261 section 9.1)
            far.answer(200, to=far.asked("CANCEL"))
            far.answer(487)
            far.asked("ACK")
        return
    far = line.pbx.taken()
    if dice.random() < 0.2:
        far.answer(dice.choice((486, 404, 603, 480, 500)))
        far.asked("ACK")
        near.acknowledge(near.final("INVITE"))
        return
    if dice.random() < 0.5:
        far.answer(180)
    far.take()
    near.acknowledge(near.response(200))
    time.sleep(dice.random() * (0.5 if dice.random() < 0.5 else 0.02))
    first, second = (near, far) if dice.random() < 0.5 else (far, near)
    first.ask("BYE")
    if dice.random() < 0.3:
        second.ask("BYE")  # both at once
        second.final("BYE")
        first.final("BYE")
    else:
        first.final("BYE")
        second.hung_up_on()
