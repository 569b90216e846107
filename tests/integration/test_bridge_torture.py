"""The desk bridge against holds, garbage and malformed messages."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.desk import NO_ANNOUNCEMENT, Desk, desk
from support.ear import Ear
from support.eventually import eventually
from support.line import NUMBER, ONLY_SOAK, SOAK, Line, seconds
from support.sip_peer import Peer, describe
from support.sound import RATE_HZ, demo_speech, likeness

pytestmark = pytest.mark.integration

KEPT_S = 2.0
"""Room is kept for an INVITE for 1 s, if the child says nothing to it: it passes over what it cannot read."""


@pytest.mark.parametrize(
    ("direction", "from_far"),
    [
        ("inactive", False),
        ("sendonly", True),
        pytest.param("inactive", True, marks=ONLY_SOAK),
        pytest.param("sendonly", False, marks=ONLY_SOAK),
    ],
)
def test_sound_comes_back_after_a_hold(line: Line, direction: str, *, from_far: bool) -> None:
    """Held and resumed from either side: time goes on, and both parties are heard and recorded again."""
    before = line.count()
    agent, customer = demo_speech("en-agent"), demo_speech("zh-agent")
    held_s = 0.6
    with Ear(agent) as near_ear, Ear(customer) as far_ear:
        began_s = time.monotonic()
        near, far = line.talk(near_ear.port, far_ear.port)
        party, ear = (far, far_ear) if from_far else (near, near_ear)
        time.sleep(0.3)
        for version, wanted in ((2, direction), (3, "sendrecv")):
            party.ask("INVITE", describe(ear.port, direction=wanted, version=version))
            party.acknowledge(party.response(200))
            time.sleep(held_s if version == 2 else 3.0)
        lasted_s = time.monotonic() - began_s
        line.end(near, far)
    recording = line.left(before)

    assert abs(seconds(recording) - lasted_s) <= 0.3
    after = round((0.3 + held_s + 0.5) * RATE_HZ)
    for ear, said in ((near_ear, customer), (far_ear, agent)):
        heard = ear.heard
        assert likeness(said, heard[heard.size - 2 * RATE_HZ : heard.size - RATE_HZ // 4]) >= 0.9
    for channel, said in enumerate((agent, customer)):
        assert likeness(said, recording.audio[channel][after : after + 2 * RATE_HZ]) >= 0.9


def test_garbage_on_the_media_port_is_not_recorded(line: Line) -> None:
    """Runts, giants and what is no RTP: the call goes on, its sound is the party's own."""
    before = line.count()
    speech = demo_speech("en-agent")
    dice = random.Random(20261121)  # noqa: S311 - noise, and repeatable
    with Ear(speech) as near_ear, Ear() as far_ear:
        near = line.ring(describe(near_ear.port))
        far = line.pbx.taken()
        far.take(describe(far_ear.port))
        answer = near.response(200)
        near.acknowledge(answer)
        deadline_s = time.monotonic() + 3
        while time.monotonic() < deadline_s:
            for packet in (
                b"",
                dice.randbytes(7),
                b"\x00" + dice.randbytes(1400),
                b"\xc0" + dice.randbytes(171),
            ):
                line.phone.send_to(packet, answer.media)
            time.sleep(0.02)
        line.end(near, far)
    recording = line.left(before)

    assert likeness(recording.audio[0], speech[: 2 * RATE_HZ]) >= 0.9
    assert likeness(far_ear.heard, speech[: 2 * RATE_HZ]) >= 0.9


def malformed(peer: Peer) -> Iterator[str | bytes]:
    """Give the classics; each is an INVITE with one thing wrong."""

    def invite() -> str:
        dialog = peer.call(NUMBER)
        dialog.number = 1
        return dialog.compose("INVITE", describe())

    own = f"127.0.0.1:{peer.port}"
    yield invite().replace(f"UDP {own}", "UDP 127.0.0.1:99999999")
    yield invite().replace(f"UDP {own}", "UDP [::1]:-1")
    yield invite().replace("Via:", "Via: SIP/2.0/UDP 127.0.0.1:1;branch=z9hG4bKx\r\n" * 500 + "Via:", 1)
    yield invite().replace("v=0", "v=0" + "x" * 60_000)
    yield invite().replace("Max-Forwards: 70", "Subject: " + "y" * 60_000)
    yield invite().replace("<sip:6001", '"\xff\xfe\xc3\x28" <sip:60\xff01')
    yield invite().replace("6001", "60\x0001")
    yield invite().replace("CSeq: 1", "CSeq: 99999999999999")
    yield invite().replace("Content-Length: ", "Content-Length: -")
    yield invite().replace("Content-Length: ", "Content-Length: 9999999")
    yield invite().replace("application/sdp", "multipart/mixed")
    yield invite().replace(f"peer@{own}", "peer@127.0.0.1:99999999")
    yield invite().replace(f"<sip:6001@{own}>", "<>")
    yield invite().replace("m=audio 40000", "m=audio 99999")
    yield invite().replace("Max-F", "Session-Expires: 4294967296;refresher=x\r\nRequire: timer\r\nMax-F")
    for name in ("Via", "From", "To", "Call-ID", "CSeq", "Contact", "Max-Forwards"):
        yield "\r\n".join(row for row in invite().split("\r\n") if not row.startswith(f"{name}:"))
    yield "SIP/2.0 200 OK\r\n\r\n"
    yield "INVITE sip:a@b SIP/2.0\r\n\r\n"
    yield b"\r\n\r\n"
    yield b""
    yield bytes(1400)


def refuse_calls(pbx: Peer, limit_s: float) -> set[str]:
    """Be busy to whoever has called, or calls in time; gives what names the calls."""
    called = set()
    while pbx.pending("INVITE", limit_s):
        far = pbx.taken()
        far.answer(486)
        called.add(far.call_id)
    return called


def talk_soon(line: Line) -> None:
    """Place a call as soon as the line is free, and end it."""
    deadline_s = time.monotonic() + KEPT_S
    near = line.ring()
    while not line.pbx.pending("INVITE", 0.5):
        refusal = near.final("INVITE")
        near.acknowledge(refusal)
        assert refusal.code in (486, 503)
        assert time.monotonic() < deadline_s, "the line stays busy"
        near = line.ring()
    far = line.pbx.taken()
    far.take()
    near.acknowledge(near.response(200))
    line.end(near, far)


def counted(at: Desk) -> Counter[str]:
    """Give how many bundles have been left for each reason; "ok" are those of recordings without one."""
    bundles = (bundle.manifest for bundle in at.recordings())
    return Counter(",".join(bundle.reasons) or bundle.result.value for bundle in bundles)


def test_malformed_messages_cost_nobody_a_call(tmp_path: Path) -> None:
    """Classics and seeded noise: edge and child live, one bundle a call that got through, no number in a log.

    The next call is taken, within `KEPT_S`.
    """
    seed = random.randrange(2**32) if SOAK else 20261121  # noqa: S311 - a seed
    print(f"seed {seed}")  # noqa: T201 - so that a failing run can be repeated
    dice = random.Random(seed)  # noqa: S311 - noise, and repeatable
    with (
        desk(tmp_path / "desk", rules=NO_ANNOUNCEMENT) as at,
        Peer(at.phone_port, at.bridge_port) as phone,
        Peer(at.pbx_port, at.bridge_port) as pbx,
    ):
        line = Line(at, phone, pbx)
        child = line.child
        called = set()
        for message in malformed(phone):
            phone.send(message)
            called |= refuse_calls(pbx, 0.0)
        for _ in range(2000 if SOAK else 100):
            dialog = phone.call(NUMBER)
            dialog.number = 1
            data = bytearray(dialog.compose("INVITE", describe()).encode())
            for _ in range(dice.randrange(1, 30)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            phone.send(bytes(data[: dice.randrange(1, len(data) + 1)]))
            called |= refuse_calls(pbx, 0.005)
            phone.forget()  # else its socket is full of refusals, and takes no answer any more

        asked = phone.call(NUMBER)
        asked.target = f"sip:127.0.0.1:{at.bridge_port}"
        asked.ask("OPTIONS")
        asked.response(200, "OPTIONS")
        called |= refuse_calls(pbx, 1.0)
        phone.forget()
        talk_soon(line)
        eventually(lambda: counted(at)["ok"] == 1, "the recording of the call that was taken")

        assert called
        assert counted(at)["unanswered-busy"] == len(called)
        assert line.child == child
        assert NUMBER not in line.log


def test_a_folded_header_still_names_the_customer(line: Line) -> None:
    """RFC 3261 section 7.3.1: a header may go on in the next line."""
    before = line.count()
    near = line.pbx.call("6001", user=NUMBER)
    near.number = 1
    near.branch = "z9hG4bKfolded"
    line.pbx.send(near.compose("INVITE", describe(), branch=near.branch).replace("From: ", "From:\r\n "))
    far = line.phone.taken()
    far.answer(486)
    far.asked("ACK")
    near.acknowledge(near.response(486))

    assert line.left(before).vcon["parties"][1]["tel"] == f"+86{NUMBER}"
