"""While a call is recorded, strangers throw all they have at the recorder: the call's sound is whole.

Every message that no standard allows, transactions in every wrong order, spoilt messages and noise, at the
ports for SIP and for the sound, from sockets that are not the gateway's. 5 s, in a soak 10 minutes.
"""

import contextlib
import os
import random
import struct
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from callseal.cli.demo.office import AGENT
from callseal.seal.manifest import Result
from support.eventually import eventually
from support.recorder_life import alarms, is_there, status
from support.recording_server import Copy, RecordingServer, channels_of, recording_server
from support.rtp_sender import Gateway, packet
from support.sip_malformed import BROKEN, NO_SIP, ODD, options
from support.sip_spoilt import some_bytes
from support.sip_wire import SIPREC_OFFER, Caller, Wire

if TYPE_CHECKING:
    import socket

pytestmark = [
    pytest.mark.integration,
    pytest.mark.soak,
    pytest.mark.timeout(1200),
    pytest.mark.xdist_group("siprec"),
]

SOAK = bool(os.environ.get("CALLSEAL_SOAK"))
DURATION_S = 600.0 if SOAK else 5.0
AFTER_S = 1.0
ELSEWHERE = "127.0.0.2"
NO_NUMBER = 4_294_967_295
BABBLE_EVERY_S = 0.005
"""Eight strange packets for one of the gateway's: what a buffer has room for. More would cost the gateway's
own, which no receiver of UDP can help, and which the recording would tell."""
READ_S = 0.5
Case = Callable[[Caller], None]


def _again(caller: Caller) -> None:
    text = caller.send("INVITE", SIPREC_OFFER)
    for _ in range(3):
        caller.wire.send(text)
    caller.acknowledge(caller.wire.answer(caller.call_id, "INVITE"))
    text = caller.send("BYE")
    caller.wire.send(text)


def _taken_back(caller: Caller) -> None:
    caller.send("INVITE", SIPREC_OFFER)
    caller.wire.send(caller.compose("CANCEL", via=caller.invited))


def _over_before_it_began(caller: Caller) -> None:
    caller.send("INVITE", SIPREC_OFFER)
    caller.send("BYE")


def _never_acknowledged(caller: Caller) -> None:
    caller.send("INVITE", SIPREC_OFFER)
    caller.wire.answer(caller.call_id, "INVITE")


def _two_ways(caller: Caller) -> None:
    caller.send("INVITE", SIPREC_OFFER)
    caller.wire.send(caller.compose("INVITE", SIPREC_OFFER))


def _of_no_call(caller: Caller) -> None:
    caller.to_tag = "unknown"
    for method in ("BYE", "UPDATE", "INFO", "PRACK", "ACK", "CANCEL"):
        caller.send(method)


def _numbers_go_back(caller: Caller) -> None:
    caller.invite()
    for number in (0, 1, NO_NUMBER):
        caller.wire.send(caller.compose("UPDATE", SIPREC_OFFER, number=number))
    caller.send("BYE")


def _changes_cross(caller: Caller) -> None:
    caller.invite()
    for _ in range(5):
        caller.send("INVITE", SIPREC_OFFER)
        caller.send("UPDATE", SIPREC_OFFER)
    caller.send("BYE")


def _sound_nowhere(caller: Caller) -> None:
    caller.invite("v=0\r\nm=audio 99999999 RTP/AVP 0\r\n")


def _unknown_methods(caller: Caller) -> None:
    for method in ("REGISTER", "SUBSCRIBE", "REFER", "FOO", "invite"):
        caller.send(method)


def _answers_to_nothing(caller: Caller) -> None:
    for first in ("SIP/2.0 200 OK", "SIP/2.0 100 Trying", "SIP/2.0 699 What"):
        caller.wire.send(f"{first}\r\n{caller.compose('BYE').partition(chr(10))[2]}")


CASES: tuple[Case, ...] = (
    _again,
    _taken_back,
    _over_before_it_began,
    _never_acknowledged,
    _two_ways,
    _of_no_call,
    _numbers_go_back,
    _changes_cross,
    _sound_nowhere,
    _unknown_methods,
    _answers_to_nothing,
)


class Crowd:
    """Strangers, and how much they have sent."""

    def __init__(self, server: RecordingServer, copy: Copy, sound: Gateway, dice: random.Random) -> None:
        self._address = ("127.0.0.1", server.port)
        self._ports = copy.ports
        self._sound = sound
        self._dice = dice
        self._sources: list[socket.socket] = [sound.source(ELSEWHERE), sound.source()]
        self._babbled_s = 0.0
        self.thrown = 0
        self.datagrams = dict.fromkeys(copy.ports, 0)
        """How many went to each port for sound."""

    def rage(self, until_s: float) -> None:
        """Go on until then, at least once through everything."""
        turns = [*self._malformed(), *self._cases()]
        self._dice.shuffle(turns)
        while turns or time.monotonic() < until_s:
            (turns.pop() if turns else self._noise)()
            self._babble()
            if not turns and SOAK and not self._dice.randrange(200):
                turns = self._cases()

    def _malformed(self) -> list[Callable[[], None]]:
        changes: tuple[tuple[str, str] | bytes, ...] = (*ODD.values(), *BROKEN.values(), *NO_SIP.values())
        return [partial(self._send, how, what) for how in ("UDP", "TCP") for what in changes]

    def _cases(self) -> list[Callable[[], None]]:
        return [partial(self._call, case) for case in CASES]

    def _send(self, transport: str, what: tuple[str, str] | bytes) -> None:
        with self._wire(transport) as wire, contextlib.suppress(OSError):
            wire.send(what if isinstance(what, bytes) else options(wire, what))
        self.thrown += 1

    def _call(self, case: Case) -> None:
        for transport in ("UDP", "TCP"):
            with self._wire(transport) as wire, contextlib.suppress(OSError, AssertionError):
                case(Caller(wire))
            self.thrown += 1

    def _noise(self) -> None:
        """Throw some, and see to it that it was read: a full buffer would keep it away from the server."""
        with self._wire(self._dice.choice(("UDP", "TCP"))) as wire, contextlib.suppress(OSError):
            for _ in range(20):
                wire.send(some_bytes(self._dice, wire))
                self.thrown += 1
        with self._wire("UDP") as wire, contextlib.suppress(OSError, AssertionError):
            last = Caller(wire)
            last.send("OPTIONS")
            wire.answer(last.call_id, "OPTIONS", limit_s=READ_S)

    def _wire(self, transport: str) -> Wire:
        return Wire.open(transport, self._address)

    def _babble(self) -> None:
        """Send to the ports for sound what looks like it, or does not."""
        if time.monotonic() - self._babbled_s < BABBLE_EVERY_S:
            return
        self._babbled_s = time.monotonic()
        for port in self._ports:
            for _ in range(2):
                self._sound.send(self._datagram(), port, self._dice.choice(self._sources))
                self.datagrams[port] += 1
            self._sound.send(self._report(), port + 1, self._dice.choice(self._sources))

    def _datagram(self) -> bytes:
        dice = self._dice
        if not dice.randrange(2):
            return dice.randbytes(dice.randrange(0, 1400))
        return packet(
            dice.randbytes(160),
            sequence=dice.randrange(1 << 16),
            ts=dice.randrange(1 << 32),
            ssrc=dice.randrange(1 << 32),
            payload_type=dice.choice((0, 8, 13, 101, 127)),
            flags=dice.choice((0x80, 0x90, 0xA0, 0xBF)),
        )

    def _report(self) -> bytes:
        """Half of an RTCP report, or a goodbye in somebody else's name."""
        kind = self._dice.choice((200, 201, 202, 203, 204))
        return struct.pack("!BBHI", 0x81, kind, self._dice.randrange(20), self._dice.randrange(300)) + (
            self._dice.randbytes(self._dice.randrange(80))
        )


def test_whatever_is_thrown_at_the_recorder_a_call_is_recorded_byte_for_byte(tmp_path: Path) -> None:
    seed = random.randrange(2**32) if SOAK else 20261122  # noqa: S311 - a seed
    print(f"seed {seed}")  # noqa: T201 - so that a failing run can be repeated
    with recording_server(tmp_path, source="drain_s = 0.0") as server, server.gateway() as gateway:
        copy = gateway.copy()
        talking = gateway.talking(copy, DURATION_S + AFTER_S)
        # The first source is learned, and strangers are strangers from then on.
        eventually(lambda: status(server).counters.get("media_packets", 0) > 0, "the first sound")
        crowd = Crowd(server, copy, gateway.sound, random.Random(seed))  # noqa: S311 - noise

        crowd.rage(time.monotonic() + DURATION_S - 2.0)
        sounds = talking.over()
        update = copy.again(method="UPDATE")
        goodbye = copy.bye()

        (recorded,) = server.of(copy)
        is_alive = is_there(server, 5.0) and server.office.process(AGENT).poll() is None
        raised, counters = alarms(server), status(server).counters

    told = sorted(recorded.streams["streams"], key=lambda one: int(one["channel"]))
    print(crowd.thrown, crowd.datagrams, counters)  # noqa: T201 - how much was tried
    assert is_alive
    assert (update.code, goodbye.code) == (200, 200)
    assert recorded.manifest.result is Result.OK, recorded.manifest.reasons
    for sound, channel, stream in zip(sounds, channels_of(recorded.inner), told, strict=True):
        assert sound in channel
        assert stream["lost"] == 0
        assert stream["strangers"] == crowd.datagrams[copy.ports[int(stream["channel"])]]
    assert counters["sip_bugs"] == counters["media_faults"] == 0
    assert counters["sip_malformed"] > len(BROKEN)
    assert not raised & {"agent-faulty", "media-fault"}
