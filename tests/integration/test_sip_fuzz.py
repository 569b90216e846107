"""Random bytes and spoilt messages at real sockets, beside a call that runs: 5 s, in a soak 10 minutes."""

import contextlib
import os
import random
import time
from pathlib import Path

import pytest

from callseal.agent.sip.transport_limits import TransportLimits
from support.sip_beside import Beside, beside
from support.sip_wire import OFFER, SIPREC_OFFER, Caller, Wire

pytestmark = [pytest.mark.integration, pytest.mark.soak]

SOAK = bool(os.environ.get("CALLSEAL_SOAK"))
DURATION_S = 200.0 if SOAK else 1.7
"""For each of three transports."""
BETWEEN_CHECKS = 100
AT_A_TIME = 20
"""Spoilt messages by one connection; most end it earlier."""
LIMITS = TransportLimits(half_message_s=1.0)
SPICES = (
    b"\r\n",
    b"\r\n\r\n",
    b"\n ",
    b"\0",
    b'"',
    b"<",
    b">",
    b";",
    b",",
    b":",
    b"@",
    b"%",
    b"\\",
    b"[::",
    b"99999999999999999999",
    b"-1",
    b"\xff\xfe",
    "²".encode(),
    b"SIP/2.0",
    b"z9hG4bK",
    b"Via: SIP/2.0/UDP a:99999999\r\n",
    b"Content-Length: 4294967296\r\n",
    b"Require: siprec, x\r\n",
    b"Record-Route: <sip:127.0.0.1:0;lr>\r\n",
    b"Session-Expires: 1\r\n",
    b"--b\r\n",
)
METHODS = ("OPTIONS", "BYE", "CANCEL", "ACK", "UPDATE", "INFO", "PRACK", "REGISTER", "INVITE", "INVITE")
USERS = ("recorder", "busy", "busy", "busy")  # nobody who leaves calls waiting: their number has a limit
TAGS = ("", "", "unknown")


def some_message(dice: random.Random, wire: Wire) -> bytes:
    """Write a sound message of some kind."""
    method = dice.choice(METHODS)
    caller = Caller(
        wire,
        user=dice.choice(USERS),
        call_id=f"{dice.getrandbits(12):x}@fuzz",
        number=dice.randrange(4),
        to_tag=dice.choice(TAGS),
    )
    body = dice.choice(("", OFFER, SIPREC_OFFER))
    text = caller.compose(method, body, via=f"z9hG4bK{dice.getrandbits(16):x}")
    if not dice.randrange(8):
        text = f"SIP/2.0 {dice.randrange(100, 700)} OK\r\n{text.partition(chr(10))[2]}"
    return text.encode("latin-1")


def spoilt(dice: random.Random, data: bytes, other: bytes) -> bytes:
    """Change a message in one to six places."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 6)):
        where = dice.randrange(len(changed) + 1)
        length = dice.choice((1, 1, 2, 8, 60, 400))
        kind = dice.randrange(7)
        if kind == 0:
            changed[where : where + length] = dice.randbytes(length)
        elif kind == 1:
            changed[where:where] = dice.choice(SPICES) * dice.choice((1, 1, 1, 50))
        elif kind == 2:
            del changed[where : where + length]
        elif kind == 3:
            changed[where:where] = changed[where : where + length] * dice.choice((1, 2, 30))
        elif kind == 4:
            changed[where : where + length] = other[where : where + length]
        elif kind == 5 and where < len(changed):
            changed[where] ^= 1 << dice.randrange(8)
        elif kind == 6 and not dice.randrange(8):
            del changed[where:]
    return bytes(changed[:60_000])


def some_bytes(dice: random.Random, wire: Wire) -> bytes:
    """Make what to throw at the server: mostly a spoilt message, sometimes a sound one or plain noise."""
    kind = dice.randrange(10)
    if kind == 0:
        return dice.randbytes(dice.randrange(1, 2000))
    if kind == 1:
        return some_message(dice, wire)
    return spoilt(dice, some_message(dice, wire), some_message(dice, wire))


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
