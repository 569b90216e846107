"""A service that makes its recordings durable all at once, as a gateway does, with a real call."""

import os
import signal
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from callseal.config.settings import BANK_FLUSH_S, Seal
from support.calls import calling
from support.desk import NO_ANNOUNCEMENT, Desk, desk
from support.line import LIBRARY_BUFFER_S
from support.programs import needed, refused
from support.sipp import Callee, Caller, play
from support.sound import RATE_HZ, demo_speech, write_ulaw

pytestmark = pytest.mark.integration

SYNC_S = Seal().sync_s
TALK_S = 2.5 * SYNC_S
LOST_S = BANK_FLUSH_S + 0.25 + LIBRARY_BUFFER_S
"""A flush, the block that had not come to it, and what the telephone library had not handed over."""


def _wait_for_sound(at: Desk) -> None:
    deadline_s = time.monotonic() + 10
    while not list((at.office.spool / "open").glob("*/audio.age")):
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


def test_a_banked_service_syncs_the_whole_spool_and_survives_a_kill(tmp_path: Path) -> None:
    """The kernel is asked for syncfs every few seconds of a call; the killed call is recovered."""
    strace = needed("strace", "strace")
    path = write_ulaw(tmp_path / "agent.ul", np.tile(demo_speech("en-agent"), 4))
    trace = tmp_path / "trace"
    with desk(
        tmp_path / "desk",
        rules=NO_ANNOUNCEMENT,
        edit=(('durability = "auto"', 'durability = "bank"'),),
    ) as at:
        caller, callee = Caller(), Callee()
        steps = [caller.invite(), caller.answered(), play(path), caller.hung_up_on()]
        taken = [callee.invited(), *callee.answers(), callee.hung_up_on()]
        with calling(tmp_path, at, steps, taken) as (placed, _called):
            _wait_for_sound(at)
            process = at.office.process("agent")
            tracer = subprocess.Popen(
                [strace, "-f", "-qq", "-e", "trace=syncfs", "-o", str(trace), "-p", str(process.pid)],
                stderr=subprocess.PIPE,
                text=True,
            )
            time.sleep(TALK_S)
            denied = tracer.poll() is not None
            tracer.send_signal(signal.SIGINT)
            _, words = tracer.communicate(timeout=10)
            killed_at = datetime.now(UTC)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            placed.finish(10)
        if denied:
            refused(f"strace may not trace: {words}")
        at.office.start("agent")
        assert at.office.wait_ready("agent", 20)
        (recording,) = at.wait_for(1)

    syncs = [line for line in trace.read_text().splitlines() if "syncfs(" in line and line.endswith("= 0")]
    began_at = datetime.fromisoformat(recording.vcon["dialog"][0]["start"])
    lasted_s = recording.audio.shape[1] / RATE_HZ
    assert len(syncs) >= 2
    assert recording.manifest.reasons == ("recovered",)
    assert lasted_s >= TALK_S - LOST_S
    assert (killed_at - began_at).total_seconds() - lasted_s <= LOST_S
