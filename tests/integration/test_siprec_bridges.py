"""Telephones that copy their own calls, and gateways that leave the offer to the recorder."""

import itertools
from collections.abc import Callable

import pytest

from support.recording_server import (
    REQUIRE,
    Copies,
    Copy,
    RecordingServer,
    channels_of,
    metadata,
    ports_of,
)
from support.sip_peer import Message

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("siprec-media"),
]

TALK_S = 0.4
BEGUN_S = 1.6
"""After that a recording has begun, though the other half did not come."""
METADATA = "Content-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session\r\n"
_legs = itertools.count(27298698)


@pytest.fixture
def leg() -> str:
    """Name the call leg of a telephone."""
    return str(next(_legs))


def half(leg: str, end: str, *, far: str = "13800138000") -> Callable[[str], str]:
    """Make an INVITE that of a call manager, for one end of a call that telephone 2000 copies."""
    parameters = (
        f";x-{end};x-refci={leg};x-nearendclusterid=StandAloneCluster;x-nearenddevice=SEP2893FE12A7C4"
        f";x-nearendaddr=2000;x-farendrefci={leg}9;x-farendclusterid=StandAloneCluster"
        f";x-farenddevice=trunk-1;x-farendaddr={far}"
    )

    def edit(invite: str) -> str:
        head, sip, rest = invite.partition("From: <sip:")
        address, _, rest = rest.partition(">")
        return f"{head}{sip}{address}{parameters}>{rest}".replace(REQUIRE, "")

    return edit


def takes_all(offered: Message) -> str:
    """Answer an offer: each stream will be sent, in G.711."""
    text = "v=0\r\no=cm 9 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    for number, _line in enumerate(line for line in offered.body.split("\r\n") if line.startswith("m=")):
        text += f"m=audio {41_000 + 2 * number} RTP/AVP 0\r\na=sendonly\r\n"
    return text


def begin(gateway: Copies, edit: Callable[[str], str]) -> Copy:
    """Send one half's INVITE, which has no body, and answer the recorder's offer."""
    return gateway.copy("", edit=edit, answering=takes_all)


@pytest.mark.parametrize("first", ["nearend", "farend"])
def test_both_halves_of_a_call_are_one_stereo_recording(
    server: RecordingServer, gateway: Copies, leg: str, first: str
) -> None:
    second = "farend" if first == "nearend" else "nearend"
    ends = {end: begin(gateway, half(leg, end)) for end in (first, second)}
    near, far = ends["nearend"], ends["farend"]

    ((near_says,), (far_says,)) = gateway.talk_in([near, far], TALK_S)
    near.bye()
    far.bye()

    recorded = server.of(near)[0]
    agent, customer = channels_of(recorded.inner)
    assert near_says in agent
    assert far_says in customer
    assert server.all_of(far) == [recorded]
    assert [party.get("tel") or party["sip"] for party in recorded.vcon["parties"][:2]] == [
        "2000",
        "+8613800138000",
    ]
    assert recorded.call["attributes"]["cisco:x-refci"] == leg
    assert recorded.call["attributes"]["cisco:x-nearenddevice"] == "SEP2893FE12A7C4"


def test_a_half_that_comes_when_the_other_is_being_recorded_joins_it(
    server: RecordingServer, gateway: Copies, leg: str
) -> None:
    near = begin(gateway, half(leg, "nearend"))
    (early,) = gateway.talk(near, BEGUN_S)

    far = begin(gateway, half(leg, "farend"))
    ((near_says,), (far_says,)) = gateway.talk_in([near, far], TALK_S, seed=2)
    far.bye()
    (late,) = gateway.talk(near, TALK_S, seed=3)
    near.bye()

    recorded = server.of(near)[0]
    agent, customer = channels_of(recorded.inner)
    assert 0 <= agent.find(early) < agent.find(near_says) < agent.find(late)
    assert far_says in customer
    assert len(server.all_of(near)) == 1


def test_a_half_that_stays_alone_is_recorded_alone(
    server: RecordingServer, gateway: Copies, leg: str
) -> None:
    near = begin(gateway, half(leg, "nearend"))

    (near_says,) = gateway.talk(near, 1.5)
    near.bye()

    recorded = server.of(near)[0]
    agent, customer = channels_of(recorded.inner)
    assert near_says in agent
    assert set(customer) == {0xFF}
    assert recorded.manifest.result.value == "degraded"
    assert "no-media-customer" in recorded.manifest.reasons


def test_calls_of_two_telephones_at_once_are_not_mixed_up(server: RecordingServer, gateway: Copies) -> None:
    legs = [str(next(_legs)) for _ in range(2)]
    numbers = ("13800138001", "13800138002")
    nears = [begin(gateway, half(leg, "nearend", far=far)) for leg, far in zip(legs, numbers, strict=True)]
    fars = [begin(gateway, half(leg, "farend", far=far)) for leg, far in zip(legs, numbers, strict=True)]

    said = gateway.talk_in([*nears, *fars], TALK_S)
    for copy in (*nears, *fars):
        copy.bye()

    for number, recorded in enumerate(server.of(*nears)):
        agent, customer = channels_of(recorded.inner)
        assert said[number][0] in agent
        assert said[number + 2][0] in customer
        assert recorded.vcon["parties"][1]["tel"] == f"+86{numbers[number]}"


def test_the_next_call_of_a_telephone_is_a_recording_of_its_own(
    server: RecordingServer, gateway: Copies
) -> None:
    calls = []
    for _ in range(2):
        leg = str(next(_legs))
        calls.append([begin(gateway, half(leg, end)) for end in ("nearend", "farend")])
        gateway.talk_in(calls[-1], 0.2)
        for copy in calls[-1]:
            copy.bye()

    first, second = (server.of(near)[0] for near, _far in calls)

    assert first.path != second.path


def test_a_gateway_that_leaves_the_offer_to_the_recorder_is_recorded(
    server: RecordingServer, gateway: Copies
) -> None:
    copy = gateway.copy(metadata(), METADATA, answering=takes_all)

    sounds = gateway.talk(copy, TALK_S)
    copy.bye()

    recorded = server.of(copy)[0]
    agent, customer = channels_of(recorded.inner)
    offered = copy.answer.body
    assert [line for line in offered.split("\r\n") if line.startswith("a=label:")] == [
        "a=label:1",
        "a=label:2",
    ]
    assert offered.count("a=recvonly") == 2
    assert sounds[0] in agent
    assert sounds[1] in customer


def test_hold_and_resume_without_an_offer_keep_the_recording(
    server: RecordingServer, gateway: Copies, leg: str
) -> None:
    near, far = (begin(gateway, half(leg, end)) for end in ("nearend", "farend"))
    before = gateway.talk_in([near, far], BEGUN_S)

    held = near.again(answering=lambda offered: takes_all(offered).replace("sendonly", "inactive"))
    resumed = near.again(answering=takes_all)
    after = gateway.talk_in([near, far], TALK_S, seed=2)
    near.bye()
    far.bye()

    recorded = server.of(near)[0]
    agent, customer = channels_of(recorded.inner)
    assert ports_of(held) == ports_of(near.answer)
    assert resumed.body.count("a=recvonly") == 1
    assert 0 <= agent.find(before[0][0]) < agent.find(after[0][0])
    assert 0 <= customer.find(before[1][0]) < customer.find(after[1][0])
    # Nothing more comes from a half that has hung up either.
    holds = [(one["channel"], one["held"]) for one in recorded.streams["holds"]]
    assert holds == [(0, True), (0, False), (0, True)]
