"""SIP messages that are spoilt in places, by a dice that can be repeated."""

import random

from support.sip_wire import OFFER, SIPREC_OFFER, Caller, Wire

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
