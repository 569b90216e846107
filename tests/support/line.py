"""A running desk with a raw SIP peer on either side: for calls that no well-behaved telephone would place."""

import os
from dataclasses import dataclass

import pytest

from support.desk import Desk, Recorded
from support.process import children
from support.sip_peer import Dialog, Peer, describe
from support.sound import RATE_HZ

NUMBER = "13900139000"
SOAK = bool(os.environ.get("CALLSEAL_SOAK"))
ONLY_SOAK = (pytest.mark.soak, pytest.mark.skipif(not SOAK, reason="one of each runs by default"))
TICKS_S = 0.06
"""Three ticks of the bridge's clock: what a recording's ends may be off the moments of its signalling."""
LIBRARY_BUFFER_S = (4000 + 4096) / 16_000
"""What pjmedia and the C library keep of a tap before they write it, and take with them when they die."""


@dataclass
class Line:
    """A running desk, its telephone and its telephone system."""

    at: Desk
    phone: Peer
    pbx: Peer

    @property
    def agent(self) -> int:
        return self.at.office.process("agent").pid

    @property
    def child(self) -> int:
        (child,) = children(self.agent)
        return child

    @property
    def log(self) -> str:
        return (self.at.office.root / "logs" / "agent.log").read_text()

    def count(self) -> int:
        return len(list((self.at.office.spool / "ready").iterdir()))

    def ring(self, offer: str | None = None, extra: str = "") -> Dialog:
        near = self.phone.call(NUMBER)
        near.ask("INVITE", describe() if offer is None else offer, extra)
        return near

    def talk(self, near_port: int = 40_000, far_port: int = 40_002) -> tuple[Dialog, Dialog]:
        near = self.ring(describe(near_port))
        far = self.pbx.taken()
        far.take(describe(far_port))
        near.acknowledge(near.response(200))
        return near, far

    def end(self, near: Dialog, far: Dialog) -> None:
        near.hang_up()
        far.hung_up_on()

    def left(self, before: int) -> Recorded:
        """Wait for the one bundle that a call leaves."""
        recordings = self.at.wait_for(before + 1)
        assert len(recordings) == before + 1
        return recordings[-1]


def seconds(recording: Recorded) -> float:
    return (recording.manifest.duration_samples or 0) / RATE_HZ
