"""The SIP edge of a desk under messages that no standard allows: at each face it goes on passing calls.

A call runs beside, from before the first message until after the last.
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import pytest

from callseal.cli.demo.office import AGENT
from callseal.seal.manifest import Result
from support.desk import Recorded
from support.desk_hearing import agent_voice, customer_voice, goes_on, over_and_over
from support.desk_room import AGENT_USER, CUSTOMER, SECOND, Room, room
from support.ear import Ear
from support.sip_malformed import BROKEN, NO_SIP, ODD, changed
from support.sip_peer import Dialog, Message, Peer, describe
from support.sip_spoilt import some_message, spoilt
from support.sip_wire import Caller, Wire, branch
from support.sound import RATE_HZ

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180), pytest.mark.xdist_group("desk-3")]

SOAK = bool(os.environ.get("CALLSEAL_SOAK"))
END_S = 2.5
END = round(END_S * RATE_HZ)
SPOILT = 4_000 if SOAK else 150
UNANSWERED_S = 33.0
"""A proxy keeps what nobody answers for 32 s (RFC 3261 timers B and F), and has room for a limited number."""
Face = Literal["phone", "pbx"]

OFFERS = {
    "no description": "",
    "no description at all in it": "garbage",
    "a port of letters": describe().replace("m=audio 40000", "m=audio xx"),
    "a port that there is not": describe().replace("m=audio 40000", "m=audio 99999"),
    "port 0": describe(0),
    "nothing but video": describe().replace("m=audio", "m=video"),
    "no address": describe().replace("c=IN IP4 127.0.0.1\r\n", ""),
    "an address elsewhere": describe().replace("c=IN IP4 127.0.0.1", "c=IN IP4 999.1.2.3"),
    "a description without end": describe(extra="a=x:" + "y" * 50_000 + "\r\n"),
    "a thousand streams": describe() + "m=audio 4 RTP/AVP 0\r\n" * 1_000,
    "a codec without number": describe(formats="x"),
    "IPv6": describe().replace("IP4 127.0.0.1", "IP6 ::1"),
}


@dataclass
class Target:
    """One face of the edge, by one transport, and a call that runs beside."""

    house: Room
    face: Face
    transport: str
    near: Dialog
    near_ear: Ear
    far_ear: Ear

    @property
    def port(self) -> int:
        return self.house.desk_port if self.face == "phone" else self.house.pbx_face

    @contextmanager
    def wire(self) -> Iterator[Wire]:
        with Wire.open(self.transport, ("127.0.0.1", self.port)) as opened:
            yield opened

    def answers(self) -> bool:
        """Say whether the edge has room for a request."""
        with self.wire() as wire:
            asked = Caller(wire, number=1)
            wire.send(to_the_edge(asked.compose("OPTIONS", via=branch()), self.port))
            return wire.answer(asked.call_id, "OPTIONS").code == 200

    def said(self, wire: Wire, data: str | bytes) -> list[int]:
        """Send something; give the codes of what is said to it until the edge has gone on or hung up."""
        marker = Caller(wire)
        try:
            wire.send(data)
            marker.number += 1
            wire.send(to_the_edge(marker.compose("OPTIONS", via=branch()), self.port))
            assert wire.answer(marker.call_id, "OPTIONS", limit_s=5).code == 200
        except (AssertionError, OSError):
            assert self.transport != "UDP", "one datagram stopped the edge"
            with self.wire() as another:
                asked = Caller(another, number=1)
                another.send(to_the_edge(asked.compose("OPTIONS", via=branch()), self.port))
                assert another.answer(asked.call_id, "OPTIONS").code == 200
        return [int(first.split(" ")[1]) for first in wire.pending() if first.startswith("SIP/2.0 ")]


def recorded(house: Room, before: int) -> Recorded:
    """Give the one call that was recorded, behind the first bundles; strangers' calls left only traces."""
    deadline_s = time.monotonic() + 15
    while True:
        found = [one for one in house.at.recordings()[before:] if one.manifest.result is Result.OK]
        if found:
            (talked,) = found
            return talked
        assert time.monotonic() < deadline_s, house.log
        time.sleep(0.1)


def to_the_edge(text: str, port: int) -> str:
    """Ask the edge itself: a URI without a user."""
    return text.replace("OPTIONS sip:recorder@127.0.0.1 ", f"OPTIONS sip:127.0.0.1:{port} ")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    folder = tmp_path_factory.mktemp("torture")
    with room(folder, phone_registers=False, challenges_calls=False, may_complain=True) as running:
        yield running


@pytest.fixture(
    scope="module",
    params=[("phone", "UDP"), ("phone", "TCP"), ("pbx", "UDP"), ("pbx", "TCP")],
    ids="-".join,
)
def target(request: pytest.FixtureRequest, house: Room) -> Iterator[Target]:
    """Lend a face while a call runs; in the end the call's sound must be whole, and the child the same."""
    child, before = house.child, house.count()
    with (
        Ear(over_and_over(agent_voice(), 100)) as near_ear,
        Ear(over_and_over(customer_voice(), 100)) as far_ear,
        Peer(house.at.phone_port, house.desk_port) as phone,
        house.person("callee", far_ear) as person,
    ):
        near = phone.call(CUSTOMER)
        near.ask("INVITE", describe(near_ear.port))
        near.acknowledge(near.response(200, limit_s=10))
        face, transport = request.param
        yield Target(house, face, transport, near=near, near_ear=near_ear, far_ear=far_ear)
        phone.forget()  # strangers' INVITEs may have rung here
        time.sleep(END_S + 1)
        near.hang_up()
        person.finish()
        goes_on(near_ear.heard[-END:], customer_voice())
        goes_on(far_ear.heard[-END:], agent_voice())
    talked = recorded(house, before)
    # The last moments lie between the end of speech and the BYE.
    goes_on(talked.audio[0][-END - RATE_HZ // 2 : -RATE_HZ // 2], agent_voice())
    goes_on(talked.audio[1][-END - RATE_HZ // 2 : -RATE_HZ // 2], customer_voice())
    assert house.child == child
    assert "Traceback" not in house.log
    assert house.at.office.process(AGENT).poll() is None


def test_what_is_odd_is_answered_or_refused_once(target: Target) -> None:
    """What can be understood is treated as a proxy treats it; the edge and the call beside live on."""
    for name, change in ODD.items():
        with target.wire() as wire:
            codes = target.said(wire, changed(Caller(wire).compose("OPTIONS", number=1), change))
        assert len(codes) <= 1, (name, codes)


def test_what_is_broken_is_refused_or_passed_over(target: Target) -> None:
    for name, change in BROKEN.items():
        with target.wire() as wire:
            codes = target.said(wire, changed(Caller(wire).compose("OPTIONS", number=1), change))
        assert all(400 <= code < 600 for code in codes), (name, codes)
        assert len(codes) <= 1, (name, codes)


def test_what_is_no_sip_is_passed_over(target: Target) -> None:
    for name, data in NO_SIP.items():
        with target.wire() as wire:
            codes = target.said(wire, data)
        assert codes == [], (name, codes)


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
def test_an_invite_with_a_bad_description_costs_only_itself(target: Target, offer: str) -> None:
    """It is refused, or rings and is given up; nothing hangs."""
    number = AGENT_USER if target.face == "pbx" else SECOND
    with target.wire() as wire:
        caller = Caller(wire, user=number)
        caller.send("INVITE", offer, kind="application/sdp")
        text = caller.compose("CANCEL", number=1, via=caller.invited)
        wire.send(text)
        refusal = wire.answer(caller.call_id, "INVITE", limit_s=10)
        caller.acknowledge(refusal)

    assert 400 <= refusal.code < 700


def test_repeated_and_crossing_messages_are_taken_once(target: Target) -> None:
    """A MESSAGE that comes three times arrives once at the other side, with one answer for each."""
    other = target.house.outside[SECOND]
    if target.face == "pbx" or target.transport == "TCP":
        pytest.skip("by UDP from the telephone's side only are messages repeated to somebody we can watch")
    with target.wire() as wire, Peer(other, target.house.pbx.port) as receiver:
        asking = Caller(wire, user=SECOND)
        asking.number = 1
        text = asking.compose("MESSAGE", "once", kind="text/plain", via=branch())
        text = text.replace("gateway@gateway.example", f"{AGENT_USER}@127.0.0.1")
        for _ in range(3):
            wire.send(text)
        came = receiver.request("MESSAGE")
        answer(receiver, came)
        wire.answer(asking.call_id, "MESSAGE")
        wire.send(text)
        wire.answer(asking.call_id, "MESSAGE")
        with pytest.raises(AssertionError):
            receiver.request("MESSAGE", 0.3)


def answer(receiver: Peer, request: Message) -> None:
    vias = "".join(f"Via: {value}\r\n" for value in request.headers("Via"))
    receiver.send(
        f"SIP/2.0 200 OK\r\n{vias}From: {request.header('From')}\r\nTo: {request.header('To')};tag=once\r\n"
        f"Call-ID: {request.header('Call-ID')}\r\nCSeq: {request.header('CSeq')}\r\nContent-Length: 0\r\n\r\n"
    )


def test_spoilt_messages_cost_nobody_a_call(target: Target) -> None:
    """Seeded noise in sound messages of all kinds; a run that fails can be repeated."""
    seed = random.randrange(2**32) if SOAK else 20261122  # noqa: S311 - a seed
    print(f"seed {seed}")  # noqa: T201 - so that a failing run can be repeated
    dice = random.Random(seed)  # noqa: S311 - noise, and repeatable
    wire = Wire.open(target.transport, ("127.0.0.1", target.port))
    try:
        for _ in range(SPOILT):
            data = spoilt(dice, some_message(dice, wire), some_message(dice, wire))
            try:
                wire.send(data)
            except OSError:
                wire.is_ended = True
            wire.pending()
            target.near.peer.forget()  # what gets through rings at the telephone, which has no time for it
            if wire.is_ended:
                wire.close()
                wire = Wire.open(target.transport, ("127.0.0.1", target.port))
    finally:
        wire.close()
    if SOAK:
        time.sleep(UNANSWERED_S)
    assert target.answers()


def test_connections_that_say_nothing_do_not_keep_others_out(target: Target) -> None:
    if target.transport == "UDP":
        pytest.skip("there are no connections")
    idle = [Wire.open("TCP", ("127.0.0.1", target.port)) for _ in range(40)]
    try:
        with target.wire() as wire:
            assert target.said(wire, b"\r\n\r\n") == []
    finally:
        for opened in idle:
            opened.close()
