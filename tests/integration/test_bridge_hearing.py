"""What the two people on a call hear, and when."""

from pathlib import Path

import pytest

from callseal.agent.announcement import read
from callseal.config.announcement import Builtin, read_announcement
from support.calls import place
from support.desk import Desk, Recorded, desk
from support.ear import Ear
from support.sipp import Callee, Caller, pause
from support.sound import RATE_HZ, Samples, demo_speech, likeness, locate

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
