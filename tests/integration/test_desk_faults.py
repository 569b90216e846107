"""What goes wrong at a desk: each fault is said, and costs nobody a call that could have been held."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from callseal.cli.demo.office import UPLOADER
from callseal.seal.spool import Spool
from support.calls import be_refused, calling, hold_call
from support.desk import NO_ANNOUNCEMENT, Desk, Recorded, desk
from support.line import LIBRARY_BUFFER_S, TICKS_S
from support.process import children
from support.sipp import Callee, Caller, pause, play
from support.sound import RATE_HZ, demo_speech, likeness, write_ulaw

pytestmark = pytest.mark.integration


def alarms(at: Desk) -> set[str]:
    """Give the codes of the agent's alarms."""
    reading = at.office.status("agent")
    assert reading is not None
    return {alarm.code for alarm in reading.status.alarms}


def wait_for_alarm(at: Desk, code: str) -> None:
    """Wait until an alarm stands."""
    deadline_s = time.monotonic() + 10
    while code not in alarms(at):
        assert time.monotonic() < deadline_s, alarms(at)
        time.sleep(0.1)


def fill(ballast: Path) -> None:
    """Write a file until its disk is full."""
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def take_away_announcements(at: Desk) -> None:
    """Do what an over-eager cleaner of temporary files does: remove the links in the bridge's folder."""
    links = list(at.office.scratch.glob("callseal-bridge-*/announcement-*"))
    assert links
    for link in links:
        link.unlink()


@pytest.mark.parametrize("policy", ["record", "no-record", "refuse-call"])
def test_an_announcement_that_cannot_be_played_is_decided_by_the_settings(
    tmp_path: Path, policy: str
) -> None:
    """record: degraded; no-record: exempt, without sound; refuse-call: 503 before anybody is rung."""
    edit = (('on_failure = "record"', f'on_failure = "{policy}"'),)
    with desk(tmp_path / "desk", edit=edit) as at:
        take_away_announcements(at)
        if policy == "refuse-call":
            be_refused(tmp_path, at, 503)
        else:
            hold_call(tmp_path, at, 2)
        (recording,) = at.wait_for(1)

    result, reasons = recording.manifest.result.value, recording.manifest.reasons
    assert "disclosure-failed" in reasons
    assert result == ("degraded" if policy == "record" else "exempt")
    assert bool(recording.inner) == (policy == "record")


@pytest.mark.parametrize("policy", ["refuse-call", "pass"])
def test_a_full_spool_is_an_alarm_and_the_settings_decide_about_calls(tmp_path: Path, policy: str) -> None:
    """refuse-call: 503; pass: the call is held and leaves an exempt bundle."""
    edit = (
        ("min_free_mb = 512", "min_free_mb = 1000000"),  # more than this disk has: it counts as full
        ('on_full = "refuse-call"', f'on_full = "{policy}"'),
    )
    if shutil.disk_usage(tmp_path).free > 1_000_000 * 2**20:
        pytest.skip("this disk has more than 1 TB free")
    with desk(tmp_path / "desk", edit=edit, ready=False) as at:
        if policy == "refuse-call":
            be_refused(tmp_path, at, 503)
        else:
            hold_call(tmp_path, at, 1)
        (recording,) = at.wait_for(1)
        wait_for_alarm(at, "spool-full")
        reading = at.office.status("agent")

    assert reading is not None
    assert "spool-full" in reading.status.reasons
    assert recording.manifest.result.value == "exempt"
    assert "spool-full" in recording.manifest.reasons
    assert recording.inner == b""


def test_a_disk_that_fills_up_during_a_call_is_alarmed_and_the_call_goes_on(tmp_path: Path) -> None:
    """Both sides talk to the end; the alarm comes during the call, not after it."""
    root = tmp_path / "desk"
    small = root / "spool"
    small.mkdir(parents=True, mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m,mode=0700", "tmpfs", str(small)], check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount the small file system that this needs")
    try:
        with desk(root, edit=(("min_free_mb = 512", "min_free_mb = 16"),)) as at:
            caller, callee = Caller(), Callee()
            steps = [caller.invite(), caller.answered(), pause(14), caller.hang_up()]
            taken = [callee.invited(), *callee.answers(), callee.hung_up_on()]
            with calling(tmp_path, at, steps, taken) as (placed, called):
                deadline_s = time.monotonic() + 10
                while not list((small / "open").glob("*/audio.age")):
                    assert time.monotonic() < deadline_s
                    time.sleep(0.1)
                ballast = small / "ballast"
                fill(ballast)
                # A status can't be written to a full disk either: the journal is where it is said.
                deadline_s = time.monotonic() + 10
                while "recording.write.failed" not in at.office.log_tail("agent", 100):
                    assert time.monotonic() < deadline_s, at.office.log_tail("agent", 20)
                    time.sleep(0.1)
                assert placed.process.poll() is None, "the call had ended before the alarm"
                placed.finish()
                called.finish()
            ballast.unlink()
            wait_for_alarm(at, "write-failed")
            reading = at.office.status("agent")
            assert reading is not None
            assert reading.status.counters.get("recordings_failed") == 1
            hold_call(tmp_path, at, 5, name="next")
            recording = at.wait_for(1)[-1]
            assert recording.manifest.result.value == "ok"
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_store_that_cannot_be_written_keeps_the_recording_waiting(tmp_path: Path) -> None:
    """The bundle stays in ready/ with an alarm, and is sent once the store is back."""
    with desk(tmp_path / "desk", uploader=True) as at:
        gone = at.office.store_path.with_name("store-is-away")
        at.office.store_path.rename(gone)
        hold_call(tmp_path, at, 5)
        at.wait_for(1)
        deadline_s = time.monotonic() + 20
        while True:
            reading = at.office.status(UPLOADER)
            assert reading is not None
            if "store-unreachable" in {alarm.code for alarm in reading.status.alarms}:
                break
            assert time.monotonic() < deadline_s, reading
            time.sleep(0.2)
        assert not at.office.store_path.exists(), "something was written where no store is"

        gone.rename(at.office.store_path)

        deadline_s = time.monotonic() + 60
        while not list(at.office.store_path.rglob("manifest.json")):
            assert time.monotonic() < deadline_s, at.office.log_tail(UPLOADER)
            time.sleep(0.2)
        assert len(at.recordings()) == 1, "the local copy must stay"


def test_a_killed_agent_loses_at_most_a_second_of_its_call(tmp_path: Path) -> None:
    """At the next start the recording is complete, degraded, with what was safe; and an alarm says so."""
    path = write_ulaw(tmp_path / "agent.ul", np.tile(demo_speech("en-agent"), 4))
    with desk(tmp_path / "desk", rules=NO_ANNOUNCEMENT, uploader=True) as at:
        caller, callee = Caller(), Callee()
        steps = [caller.invite(), caller.answered(), play(path), caller.hung_up_on()]
        taken = [callee.invited(), *callee.answers(), callee.hung_up_on()]
        with calling(tmp_path, at, steps, taken) as (placed, _called):
            deadline_s = time.monotonic() + 10
            while not list((at.office.spool / "open").glob("*/audio.age")):
                assert time.monotonic() < deadline_s
                time.sleep(0.1)
            time.sleep(7.3)
            process = at.office.process("agent")
            killed_at = datetime.now(UTC)
            process.send_signal(signal.SIGKILL)
            process.wait()
            # The bridge's child sees that the service is gone, and ends both legs properly.
            placed.finish(10)

        at.office.start("agent")
        assert at.office.wait_ready("agent", 20)

        (recording,) = at.wait_for(1)
        assert "recovered" in alarms(at)
        at.office.stop("agent")
        deadline_s = time.monotonic() + 20
        while at.office.ledger_waits() or not list(at.office.store_path.rglob("manifest.json")):
            assert time.monotonic() < deadline_s, at.office.log_tail(UPLOADER)
            time.sleep(0.1)
        verify = [sys.executable, "-m", "callseal.cli", "verify", "--config", str(at.office.config_file)]
        verified = subprocess.run(verify, capture_output=True, check=False, text=True)
        assert verified.returncode == 0, verified.stdout + verified.stderr

    manifest = recording.manifest
    began_at = datetime.fromisoformat(recording.vcon["dialog"][0]["start"])
    lasted_s = manifest.duration_samples / RATE_HZ
    lost_s = (killed_at - began_at).total_seconds() - lasted_s
    assert (manifest.result.value, manifest.reasons) == ("degraded", ("recovered",))
    assert recording.audio.shape[1] == manifest.duration_samples
    assert lasted_s > 6
    assert lost_s <= 1.0
    assert (recording.call["result"], recording.call["complete"]) == ("recording", False)
    assert recording.checks["outcome"] == "not-checked"


def test_a_killed_bridge_child_loses_at_most_half_a_second(tmp_path: Path) -> None:
    """The service holds the taps open too: the recording ends degraded, with what was heard so far.

    Both parties are hung up on, another child takes the next call within 2 s, and that one is ok.
    """
    speech = demo_speech("en-agent")
    path = write_ulaw(tmp_path / "agent.ul", speech)
    with desk(tmp_path / "desk") as at:
        agent = at.office.process("agent")
        caller, callee = Caller(), Callee()
        steps = [caller.invite(), caller.answered(), pause(5), play(path), caller.hung_up_on()]
        taken = [callee.invited(), *callee.answers(), callee.hung_up_on()]
        with calling(tmp_path, at, steps, taken) as (placed, called):
            deadline_s = time.monotonic() + 10
            while not list((at.office.spool / "open").glob("*/audio.age")):
                assert time.monotonic() < deadline_s
                time.sleep(0.1)
            began_s = time.monotonic()
            time.sleep(8)  # the length of talk that must not be lost
            (child,) = children(agent.pid)
            lasted_s = time.monotonic() - began_s
            os.kill(child, signal.SIGKILL)
            killed_s = time.monotonic()
            placed.finish(5)
            called.finish(5)
            recording: Recorded = at.wait_for(1)[0]
        while not (successor := set(children(agent.pid)) - {child}):
            assert time.monotonic() - killed_s < 2
            time.sleep(0.02)
        hold_call(tmp_path, at, 6, name="next")
        following = at.wait_for(2)[-1]

        assert agent.poll() is None
        assert set(children(agent.pid)) == successor

    assert recording.manifest.result.value == "degraded"
    assert "bridge-died" in recording.manifest.reasons
    assert recording.audio.shape[1] / RATE_HZ >= lasted_s - LIBRARY_BUFFER_S - TICKS_S
    assert likeness(recording.audio[0], speech[: 2 * RATE_HZ]) >= 0.95
    assert following.manifest.result.value == "ok", (
        "a service that cannot record must not stay as if it could"
    )


def test_a_second_agent_in_the_same_spool_is_refused(tmp_path: Path) -> None:
    """It says which spool, and the first one goes on."""
    with desk(tmp_path / "desk") as at:
        first = at.office.process("agent")
        at.office.start("agent")
        second = at.office.process("agent")

        code = second.wait(15)

        assert code == 30
        assert "another agent works in this spool" in at.office.log_tail("agent")
        assert first.poll() is None
        first.terminate()
        assert first.wait(15) == 0


def test_a_port_that_is_taken_is_said_with_its_number(tmp_path: Path) -> None:
    """The agent ends with the source's code and names the address; the first one goes on."""
    with desk(tmp_path / "desk") as at:
        other = Spool.create(tmp_path / "other-spool").root
        text = at.office.config_file.read_text().replace(str(at.office.spool), str(other))
        at.office.config_file.write_text(text)
        first = at.office.process("agent")
        at.office.start("agent")
        second = at.office.process("agent")

        code = second.wait(30)
        said = at.office.log_tail("agent", 20)
        first.terminate()

        assert first.wait(15) == 0
        assert code == 40
        assert f"cannot listen at {at.bridge} (TCP): Address already in use" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('file = "builtin:zh"', 'file = "gone.wav"'), "gone.wav"),
        (('file = "builtin:zh"', 'file = "recipients.txt"'), "no WAV or FLAC file that can be read"),
        (('on_full = "refuse-call"', 'on_full = "maybe"'), 'spool.on_full = "maybe"'),
        (('listen = "127.0.0.1:', 'listen = "0.0.0.0:'), "must be a loopback address"),
    ],
)
def test_an_agent_that_could_not_do_its_work_does_not_start(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    """It ends with a code of its own, and says which file, key or address is at fault."""
    with pytest.raises(AssertionError, match="did not get ready") as refused, desk(tmp_path, edit=(change,)):
        pass

    assert words in str(refused.value)
    assert "Traceback" not in str(refused.value)
