"""Cisco telephones' built-in bridge: known by its From, its halves brought together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.siprec.built_in_bridge import BuiltInBridge, bridge_of, parties_of_bridge
from support.siprec_roles import NUMBERING, invite

CLUSTER = "x-nearendclusterid=Shenzhen;x-nearenddevice=SEP2834A28318CE;x-nearendaddr=8001"
FAR = "x-farendrefci=27298699;x-farendclusterid=Shenzhen;x-farenddevice=Trunk;x-farendaddr=913800138000"
NEAR_FROM = f'"Li Wei" <sip:8001@10.1.0.12;x-nearend;x-refci=27298698;{CLUSTER};{FAR}>;tag=1~a-1'
FAR_FROM = f'"Li Wei" <sip:8001@10.1.0.12;x-farend;x-refci=27298698;{CLUSTER};{FAR}>;tag=2~b-2'


def half(written: str) -> BuiltInBridge:
    """Read a From of a built-in bridge."""
    bridge = bridge_of(invite(**{"from": written}))
    assert bridge is not None
    return bridge


NEAR_HALF = half(NEAR_FROM)
FAR_HALF = half(FAR_FROM)


def other_call(number: int, *, side: str = "near") -> BuiltInBridge:
    """Make a half of another call."""
    return half(f"<sip:8001@h;x-{side}end;x-refci={number};{CLUSTER}>;tag=1")


def test_both_halves_of_a_call_are_known_to_belong_together() -> None:
    assert NEAR_HALF.key == FAR_HALF.key == ("shenzhen", "sep2834a28318ce", "27298698")
    assert (NEAR_HALF.is_near, FAR_HALF.is_near) == (True, False)
    assert (NEAR_HALF.channel, FAR_HALF.channel) == (0, 1)


def test_what_the_parameters_say_can_be_searched() -> None:
    assert {
        ("cisco:x-refci", "27298698"),
        ("cisco:x-nearenddevice", "SEP2834A28318CE"),
        ("cisco:x-farendaddr", "913800138000"),
    } <= set(NEAR_HALF.attributes)


def test_the_near_end_is_the_agent_and_the_far_end_the_customer() -> None:
    told = parties_of_bridge(FAR_HALF, numbering=NUMBERING, inside=())

    assert (told.agent.number, told.agent.name) == ("8001", "Li Wei")
    assert told.customer.number == "913800138000"
    assert told.channels == ((0,), (1,))
    assert told.direction == "unknown"


def test_a_far_end_of_the_house_makes_the_call_internal() -> None:
    written = "<sip:8001@h;x-nearend;x-refci=1;x-farendaddr=8002>;tag=1"

    assert parties_of_bridge(half(written), numbering=NUMBERING, inside=("800?",)).direction == "internal"


def test_older_call_managers_tell_less_and_are_known_as_well() -> None:
    bridge = half("<sip:2000@cm;x-farend;x-refci=27298698>;tag=1")

    assert (bridge.near_address, bridge.far_address, bridge.near_device) == ("2000", "", "")
    assert parties_of_bridge(bridge, numbering=NUMBERING, inside=()).customer.number == ""


def test_parameters_behind_the_brackets_count_as_well() -> None:
    assert half("<sip:2000@cm>;x-nearend;x-refci=7;tag=1").is_near


@pytest.mark.parametrize(
    "written",
    [
        "<sip:8001@h>;tag=1",
        "<sip:8001@h;x-nearend>;tag=1",
        "<sip:8001@h;x-refci=1>;tag=1",
        "<sip:8001@h;x-nearend;x-farend;x-refci=1>;tag=1",
        "x-nearend",
        "<sip:8001@h:99999999;x-nearend;x-refci=1>",
        "",
    ],
)
def test_an_invite_of_anybody_else_is_none_of_a_built_in_bridge(written: str) -> None:
    assert bridge_of(invite(**{"from": written})) is None


@given(st.text(max_size=40), st.text(alphabet='x-nearfd;=<>@:sip12 "', max_size=60))
def test_any_from_is_read_without_an_error(before: str, after: str) -> None:
    bridge = bridge_of(invite(**{"from": f"{before}x-nearend;x-refci={after}"}))

    assert bridge is None or bridge.key[2]
