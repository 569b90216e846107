"""Random bytes and spoilt messages at real sockets, beside a call that runs: 5 s, in a soak 10 minutes."""

import contextlib
import os
import random
import time
from pathlib import Path

import pytest

from callseal.agent.sip.transport_limits import TransportLimits
from support.sip_beside import Beside, beside
from support.sip_spoilt import some_bytes

pytestmark = [pytest.mark.integration, pytest.mark.soak]

SOAK = bool(os.environ.get("CALLSEAL_SOAK"))
DURATION_S = 200.0 if SOAK else 1.7
"""For each of three transports."""
BETWEEN_CHECKS = 100
AT_A_TIME = 20
"""Spoilt messages by one connection; most end it earlier."""
LIMITS = TransportLimits(half_message_s=1.0)


def throw(dice: random.Random, at: Beside) -> None:
    """Throw things until the connection ends, in pieces or at once, and read what comes back, or not."""
    with at.open() as wire, contextlib.suppress(OSError):
        for _ in range(AT_A_TIME):
            data = some_bytes(dice, wire)
            cut = (
                dice.randrange(len(data) + 1) if wire.transport != "UDP" and dice.randrange(2) else len(data)
            )
            for piece in (data[:cut], data[cut:]):
                if piece:
                    wire.send(piece)
            if dice.randrange(4):
                wire.pending()
            if wire.is_ended:
                break


@pytest.mark.parametrize("transport", ["UDP", "TCP", "TLS"])
def test_nothing_that_is_sent_stops_the_server_or_the_call_beside(transport: str, tmp_path: Path) -> None:
    seed = random.randrange(2**32) if SOAK else 20261122  # noqa: S311 - a seed
    print(f"seed {seed}")  # noqa: T201 - so that a failing run can be repeated
    dice = random.Random(seed)  # noqa: S311 - noise, and repeatable
    with beside(transport, tmp_path, LIMITS) as at:
        thrown = 0
        deadline_s = time.monotonic() + DURATION_S
        while time.monotonic() < deadline_s:
            throw(dice, at)
            thrown += 1
            if not thrown % BETWEEN_CHECKS:
                at.check()

        at.check()
        at.server.counts(lambda c: c.connections <= 1, "the end of all connections but the call's")
        counters = at.server.counters

    print(thrown, counters)  # noqa: T201 - how much was tried
    assert counters.malformed > thrown // 10
    assert counters.bugs == 0
