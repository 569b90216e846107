"""Keys pass through the child, and nobody is told which."""

import socket
import time
from collections.abc import Iterator
from typing import Self

import pytest

from callseal.agent.sources.bridge import protocol
from support.child_room import Room, Talk
from support.sip_peer import Address, describe

pytestmark = pytest.mark.integration

OURS = 120
"""What the child calls telephone-events where it is the one that offers."""
THEIRS = 101


def events(payload_type: int) -> str:
    return f"a=rtpmap:{payload_type} telephone-event/8000\r\na=fmtp:{payload_type} 0-16\r\n"


_KEYS = "0123456789*#ABCD"


class Keypad:
    """An RTP port that sends telephone-events (RFC 4733) and collects those that come."""

    def __init__(self, payload_type: int) -> None:
        self._type = payload_type
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self._sequence = 0
        self.port: int = self._socket.getsockname()[1]

    def press(self, key: str, to: Address, *, duration_ms: int = 100, end: bool = True) -> None:
        """Send one key: a packet each 20 ms, the last one three times with the end bit."""
        stamp = round(time.monotonic() * 8000) & 0xFFFFFFFF
        steps = duration_ms // 20
        for step in range(1, steps + 1):
            last = end and step == steps
            for _ in range(3 if last else 1):
                self._sequence += 1
                head = bytes([0x80, self._type | (0x80 if step == 1 else 0)])
                event = bytes([_KEYS.index(key), (0x80 if last else 0) | 10])
                packet = head + self._sequence.to_bytes(2, "big") + stamp.to_bytes(4, "big") + b"keys" + event
                self._socket.sendto(packet + (step * 160).to_bytes(2, "big"), to)
            time.sleep(0.02)

    def heard(self, limit_s: float) -> str:
        """Give the keys that came in this time, each once."""
        keys: dict[int, str] = {}
        deadline_s = time.monotonic() + limit_s
        while time.monotonic() < deadline_s:
            try:
                packet = self._socket.recv(2048)
            except TimeoutError:
                continue
            if packet[1] & 0x7F == self._type:
                keys[int.from_bytes(packet[4:8], "big")] = _KEYS[packet[12]]
        return "".join(keys.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()


@pytest.fixture
def pads() -> Iterator[tuple[Keypad, Keypad]]:
    with Keypad(THEIRS) as near, Keypad(OURS) as far:
        yield near, far


def call(
    at: Room, pads: tuple[Keypad, Keypad], *, far_takes_events: bool = True
) -> tuple[Talk, Address, Address]:
    """Give the call, and where near and far side send their sound."""
    near = at.ring(describe(pads[0].port, formats=f"0 {THEIRS}", extra=events(THEIRS)))
    route = at.let_through()
    far = at.pbx.taken()
    assert far.invite is not None
    with_events = describe(pads[1].port, formats=f"0 {OURS}", extra=events(OURS))
    far.take(with_events if far_takes_events else describe(pads[1].port))
    answer = near.response(200)
    near.acknowledge(answer)
    at.expect(protocol.Answered)
    at.expect_taps().close()
    far_media = far.invite.media[1]
    return Talk(route.call, route.token, near, far), answer.media, ("127.0.0.2", far_media)


def test_keys_pass_both_ways_and_only_their_time_is_told(at: Room, pads: tuple[Keypad, Keypad]) -> None:
    talk, near_media, far_media = call(at, pads)
    for key in "19":
        pads[0].press(key, near_media, duration_ms=120)
        time.sleep(0.2)
    at_far = pads[1].heard(0.6)
    pads[1].press("#", far_media, duration_ms=300)
    at_near = pads[0].heard(0.6)
    pressed = [at.expect(protocol.Pressed) for _ in range(3)]
    at.end(talk)

    assert (at_far, at_near) == ("19", "#")
    assert [one.side for one in pressed] == ["agent", "agent", "customer"]
    assert all(
        abs(one.duration_ms - length) <= 40 for one, length in zip(pressed, (120, 120, 300), strict=True)
    )
    assert set(protocol.Pressed.__slots__) == {"call", "at_s", "side", "duration_ms"}


def test_a_key_whose_end_was_lost_is_told_all_the_same(at: Room, pads: tuple[Keypad, Keypad]) -> None:
    talk, near_media, _ = call(at, pads)
    pads[0].press("5", near_media, end=False)
    pressed = at.expect(protocol.Pressed, 3)
    at.end(talk)

    assert pressed.duration_ms >= 60


def test_a_key_that_comes_as_info_goes_on_in_the_sound(at: Room, pads: tuple[Keypad, Keypad]) -> None:
    talk, _, _ = call(at, pads)
    info = "Signal=7\r\nDuration=160\r\n"
    talk.near.ask("INFO", info, "Content-Type: application/dtmf-relay\r\n")
    answer = talk.near.final("INFO")
    at_far = pads[1].heard(0.8)
    pressed = at.expect(protocol.Pressed)
    at.end(talk)

    assert answer.code == 200
    assert at_far == "7"
    assert pressed.side == "agent"


def test_whoever_takes_no_telephone_events_gets_info(at: Room, pads: tuple[Keypad, Keypad]) -> None:
    talk, near_media, _ = call(at, pads, far_takes_events=False)
    pads[0].press("4", near_media)
    info = talk.far.asked("INFO")
    talk.far.answer(200, to=info)
    at.expect(protocol.Pressed)
    at.end(talk)

    assert "Signal=4" in info.body
