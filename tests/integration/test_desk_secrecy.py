"""During a call and after it: no plaintext in any file on a disk, no customer's number outside the seal."""

import time
from pathlib import Path

import numpy as np
import pytest

from callseal.codecs import g711
from support.calls import calling
from support.desk import desk
from support.ear import Ear
from support.process import children, files_below, is_in_memory, open_files
from support.sipp import Callee, Caller, pause
from support.sound import RATE_HZ, demo_speech

pytestmark = pytest.mark.integration

NUMBER = "13900139000"
MARKER_SAMPLES = 40


def markers() -> list[bytes]:
    """Give pieces of the agent's speech as they would lie in a file: µ-law, PCM16 of both orders, stereo."""
    speech = demo_speech("en-agent")
    pieces = []
    for start in range(0, speech.size - MARKER_SAMPLES, RATE_HZ // 20):
        part = speech[start : start + MARKER_SAMPLES]
        if np.abs(part.astype(np.int32)).mean() < 500:
            continue
        coded = g711.encode(part, g711.Law.MU)
        heard = g711.decode(coded, g711.Law.MU)
        silent = np.full_like(coded, g711.silence(g711.Law.MU))
        pieces += [
            coded.tobytes(),
            heard.astype("<i2").tobytes(),
            heard.astype(">i2").tobytes(),
            np.column_stack([coded, silent]).tobytes(),
        ]
    return pieces


def test_no_plaintext_on_a_disk_and_no_number_outside_the_seal(tmp_path: Path) -> None:
    """While the agent speaks, every file of spool, scratch, logs and both processes is searched."""
    speech, pieces = demo_speech("en-agent"), markers()
    found_in_memory: set[bytes] = set()
    with desk(tmp_path / "desk", uploader=True) as at, Ear(speech) as near, Ear() as far:
        agent = at.office.process("agent").pid
        (child,) = children(agent)
        caller, callee = Caller(rtp_port=near.port), Callee(rtp_port=far.port)
        steps = [caller.invite(), caller.answered(), pause(8), caller.hang_up()]
        taken = [callee.invited(), *callee.answers(), callee.hung_up_on()]
        with calling(tmp_path, at, steps, taken, number=NUMBER) as (placed, called):
            while placed.process.poll() is None:
                on_disk = files_below(at.office.root)
                for pid in (agent, child):
                    for target, data in open_files(pid).items():
                        if is_in_memory(target):
                            found_in_memory |= {marker for marker in pieces if marker in data}
                        else:
                            on_disk[target] = data
                for path, data in on_disk.items():
                    assert not any(marker in data for marker in pieces), f"plaintext in {path}"
                time.sleep(0.2)
            placed.finish()
            called.finish()
        (recording,) = at.wait_for(1)
        deadline_s = time.monotonic() + 15
        while not list(at.office.store_path.rglob("manifest.json")):
            assert time.monotonic() < deadline_s, at.office.log_tail("uploader")
            time.sleep(0.1)
        after = files_below(at.office.root)

    # What was searched for was really there to be found: in memory during the call, and inside the seal.
    assert found_in_memory
    kept = g711.encode(recording.audio[0], g711.Law.MU).tobytes()
    assert any(marker in kept for marker in pieces)
    for path, data in after.items():
        assert not any(marker in data for marker in pieces), f"plaintext in {path}"
        assert NUMBER.encode() not in data, f"the customer's number is in {path}"
        assert NUMBER not in str(path)
