"""What the two people on a call hear, and when."""

from pathlib import Path

import numpy as np
import pytest

from callseal.agent.announcement import read
from callseal.config.announcement import Builtin, read_announcement
from support.calls import place
from support.desk import Desk, Recorded, desk
from support.ear import Ear
from support.sipp import Callee, Caller, pause
from support.sound import RATE_HZ, Samples, demo_speech, human_speech, likeness, locate

pytestmark = pytest.mark.integration

SPOKEN = read("en", "en", "en.wav", read_announcement(Builtin(name="en")), RATE_HZ).samples


def talk(folder: Path, at: Desk, near: Ear, far: Ear, seconds: float) -> Recorded:
    """Let two people talk from the answer on; gives the recording."""
    caller, callee = Caller(rtp_port=near.port), Callee(rtp_port=far.port)
    place(
        folder,
        at,
        [caller.invite(), caller.answered(), pause(seconds), caller.hang_up()],
        [callee.invited(), *callee.answers(), callee.hung_up_on()],
    )
    (recording,) = at.wait_for(1)
    return recording


def test_talk_is_held_until_the_announcement_has_ended(tmp_path: Path) -> None:
    """Both hear the announcement alone, then each other; the recording has all of it."""
    agent, customer = demo_speech("en-agent"), demo_speech("en-customer")[: 6 * RATE_HZ]
    with desk(tmp_path / "desk") as at, Ear(agent) as near, Ear(customer) as far:
        recording = talk(tmp_path, at, near, far, 11)

    assert recording.manifest.result.value == "ok", recording.call
    for ear in (near.heard, far.heard):
        start, score = locate(ear, SPOKEN)
        assert score >= 0.99, "the announcement was not heard alone"
        assert loudness(ear[:start]) < 50, "something was heard before the announcement"
    after = far.heard[locate(far.heard, SPOKEN)[0] + SPOKEN.size :]
    assert likeness(after, agent[5 * RATE_HZ :]) >= 0.95
    # What the agent said meanwhile is recorded: their speech begins before the announcement has ended.
    begins = locate(recording.audio[0], agent[6 * RATE_HZ :])[0] - 6 * RATE_HZ
    assert begins < recording.disclosures[0]["start_sample"] + RATE_HZ


def test_talk_passes_at_once_where_the_settings_do_not_hold_it(tmp_path: Path) -> None:
    """With hold_talk = false people hear each other beside the announcement."""
    agent = demo_speech("en-agent")
    edit = (("hold_talk = true", "hold_talk = false"),)
    with desk(tmp_path / "desk", edit=edit) as at, Ear(agent) as near, Ear() as far:
        recording = talk(tmp_path, at, near, far, 7)

    assert recording.manifest.result.value == "ok", recording.call
    assert locate(far.heard, agent[: 3 * RATE_HZ])[1] >= 0.4
    assert locate(far.heard, SPOKEN)[1] >= 0.4


def loudness(samples: Samples) -> float:
    """Give the root mean square, in int16 units."""
    return float((samples.astype(float) ** 2).mean() ** 0.5) if samples.size else 0.0


def test_human_voices_are_recorded_as_they_were_spoken(tmp_path: Path) -> None:
    """Two readings by a human voice, one on each side: each on its own channel, and heard by the other."""
    silence = np.zeros(6 * RATE_HZ, np.int16)  # until the announcement is over
    agent, customer = human_speech("0880"), human_speech("0890")
    with (
        desk(tmp_path / "desk") as at,
        Ear(np.concatenate([silence, agent])) as near,
        Ear(np.concatenate([silence, customer])) as far,
    ):
        recording = talk(tmp_path, at, near, far, 13)

    assert recording.manifest.result.value == "ok", recording.call
    assert recording.checks["outcome"] == "pass"
    speech = recording.audio[:, recording.disclosures[0]["end_sample"] :]
    for channel, own, other in ((speech[0], agent, customer), (speech[1], customer, agent)):
        assert likeness(channel, own) >= 0.95
        assert abs(locate(channel, other)[1]) <= 0.15
    assert likeness(near.heard, customer) >= 0.95
    assert likeness(far.heard, agent) >= 0.95
