"""Desk calls between baresip and baresip, as people place and take them."""

from pathlib import Path

import numpy as np
import pytest

from support.baresip import Baresip
from support.desk import desk
from support.programs import free_udp_port
from support.sound import RATE_HZ, demo_speech, likeness, locate

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("inbound", [False, True])
def test_a_call_between_baresips_is_recorded_on_both_channels(tmp_path: Path, *, inbound: bool) -> None:
    """Each side's speech stands on its own channel."""
    agent, customer = demo_speech("en-agent"), demo_speech("en-customer")
    # baresip begins its file at the answer; nothing is compared that the announcement may have covered.
    lead = np.zeros(6 * RATE_HZ, np.int16)
    with desk(tmp_path / "desk") as at:
        dial_out = "" if inbound else f"sip:13800138000@{at.bridge}"
        dial_in = f"sip:6001@{at.bridge}" if inbound else ""
        with (
            Baresip.start(
                tmp_path,
                "13800138000",
                port=at.pbx_port,
                rtp=free_udp_port(12),
                says=np.concatenate([lead, customer]),
                call=dial_in,
                quit_after_s=20 if inbound else 22,
            ) as far,
            Baresip.start(
                tmp_path,
                "6001",
                port=at.phone_port,
                rtp=free_udp_port(12),
                says=np.concatenate([lead, agent]),
                call=dial_out,
                quit_after_s=22 if inbound else 20,
            ) as near,
        ):
            near.finish(40)
            far.finish(40)
        (recording,) = at.wait_for(1)

    assert recording.manifest.result.value == "ok", recording.call
    assert recording.manifest.direction.value == ("inbound" if inbound else "outbound")
    (told,) = recording.disclosures
    assert told["complete"]
    talk = recording.audio[:, told["end_sample"] :]
    assert likeness(talk[0], agent) >= 0.95
    assert likeness(talk[1], customer) >= 0.95
    assert abs(locate(talk[0], customer)[1]) <= 0.15
    assert abs(locate(talk[1], agent)[1]) <= 0.15
