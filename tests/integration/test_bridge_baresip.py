"""Desk calls between baresip and baresip: what people hear, and what is recorded of it."""

from pathlib import Path

import pytest
import soundfile

from callseal.agent.announcement import read
from callseal.config.announcement import Builtin, read_announcement
from support.baresip import Baresip
from support.desk import desk
from support.programs import free_udp_port
from support.sound import RATE_HZ, Samples, demo_speech, likeness, locate

pytestmark = pytest.mark.integration


def heard(path: Path) -> Samples:
    """Read what a telephone kept."""
    samples, rate_hz = soundfile.read(path, dtype="int16")
    assert rate_hz == RATE_HZ
    return samples


def test_both_people_hear_the_announcement_first_and_then_each_other(tmp_path: Path) -> None:
    """Talk is held until the announcement has ended, and recorded all the while."""
    agent, customer = demo_speech("en-agent"), demo_speech("en-customer")
    spoken = read("en", "en", "en.wav", read_announcement(Builtin(name="en")), RATE_HZ).samples
    with desk(tmp_path / "desk") as at:
        with (
            Baresip.start(
                tmp_path, "customer", port=at.pbx_port, rtp=free_udp_port(), says=customer, quit_after_s=18
            ) as far,
            Baresip.start(
                tmp_path,
                "6001",
                port=at.phone_port,
                rtp=free_udp_port(),
                says=agent,
                call=f"sip:13800138000@{at.bridge}",
                quit_after_s=15,
            ) as near,
        ):
            near.finish(30)
            far.finish(30)
        (recording,) = at.wait_for(1)

    assert recording.manifest.result.value == "ok", recording.call
    for telephone, other in ((near, customer), (far, agent)):
        ear = heard(telephone.hears)
        start, score = locate(ear, spoken)
        assert score >= 0.9, telephone.log.read_text(errors="replace")[-2000:]
        # Both speak from the answer on; nothing of it gets through before the announcement's end.
        before = ear[: start + spoken.size - RATE_HZ // 10]
        assert abs(locate(before, other[: RATE_HZ * 2])[1]) <= 0.3
        assert likeness(ear[start + spoken.size :], other[RATE_HZ * 6 :]) >= 0.9
    # The recording has what they said during the announcement too.
    assert likeness(recording.audio[0], agent[RATE_HZ * 5 :]) >= 0.9
