"""Fifty calls in a row through one agent: all recorded, nothing left behind."""

from pathlib import Path

import numpy as np
import pytest

from support.calls import place
from support.desk import Desk, desk
from support.process import children, descriptors, resident_bytes
from support.sipp import Callee, Caller, pause, play
from support.sound import RATE_HZ, demo_speech, write_ulaw, write_wav

pytestmark = [pytest.mark.integration, pytest.mark.longest, pytest.mark.timeout(600)]

MEBIBYTE = 1024 * 1024


def hold_calls(folder: Path, at: Desk, name: str, count: int) -> None:
    """Let calls of two seconds take place, one after another."""
    caller, callee = Caller(), Callee()
    speech = write_ulaw(folder / "speech.ul", demo_speech("en-agent")[: RATE_HZ * 2])
    place(
        folder,
        at,
        [caller.invite(), caller.answered(), play(speech), pause(2.2), caller.hang_up()],
        [callee.invited(), *callee.answers(), play(speech), callee.hung_up_on()],
        name=f"{name}-",
        count=count,
    )


def test_fifty_calls_leave_fifty_recordings_and_no_trace_in_memory(tmp_path: Path) -> None:
    """All are ok; no descriptor more than after ten calls, and at most 5 MB more memory."""
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ * 6 // 10) / RATE_HZ)).astype(np.int16)
    write_wav(tmp_path / "short.wav", tone)
    rules = f"""
[[announcement]]
name = "short"
language = "en"
file = "{tmp_path}/short.wav"

[[rule]]
called = "*"
announcements = ["short"]
business = "sales"
"""
    with desk(tmp_path / "desk", rules=rules) as at:
        agent = at.office.process("agent").pid
        (child,) = children(agent)
        hold_calls(tmp_path, at, "first", 10)
        at.wait_for(10)
        before = {pid: (descriptors(pid), resident_bytes(pid)) for pid in (agent, child)}
        hold_calls(tmp_path, at, "then", 40)
        recordings = at.wait_for(50)
        after = {pid: (descriptors(pid), resident_bytes(pid)) for pid in (agent, child)}

    assert [recording.manifest.result.value for recording in recordings] == ["ok"] * 50
    for pid in (agent, child):
        assert after[pid][0] <= before[pid][0]
    grown = sum(after[pid][1] - before[pid][1] for pid in (agent, child))
    assert grown <= 5 * MEBIBYTE, f"{grown / MEBIBYTE:.1f} MiB more"
