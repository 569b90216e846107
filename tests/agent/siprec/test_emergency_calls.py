"""A call for help that a gateway copies goes out, however it is told of: so it stays unrecorded."""

import pytest

from callseal.agent.siprec.built_in_bridge import bridge_of, parties_of_bridge
from support.siprec_bodies import CUSTOMER, complete
from support.siprec_roles import NUMBERING, invite, roles

CISCO = {"user_agent": "Cisco-SIPGateway/IOS-17"}


def call(*numbers: str) -> bytes:
    """Write a document of these participants, in this order."""
    return complete(
        *(
            f'<participant participant_id="p{index}"><nameID aor="sip:{number}@h"/></participant>'
            for index, number in enumerate(numbers)
        )
    )


@pytest.mark.parametrize(
    "fields", [{}, CISCO, {"from": "<sip:6001@h>;tag=1"}, {"x_call_direction": "internal"}]
)
@pytest.mark.parametrize("help_number", ["110", "120", "010110", "+86110"])
@pytest.mark.parametrize("own", ["6001", "li.wei", "+8675595099000"])
@pytest.mark.parametrize("order", [1, -1])
def test_a_call_for_help_is_no_call_between_extensions(
    own: str, help_number: str, fields: dict[str, str], order: int
) -> None:
    numbers = (own, help_number)[::order]

    told = roles(call(*numbers), fields=fields)

    assert told.direction == "outbound"
    assert told.agent.number == NUMBERING.normalise(own)
    assert NUMBERING.is_emergency(told.customer.number)


def test_a_wide_pattern_of_the_house_does_not_make_it_one_of_the_house() -> None:
    told = roles(call("6001", "110"), inside=("*",))

    assert (told.direction, told.customer.number) == ("outbound", "110")


def test_an_extension_that_the_settings_name_to_the_digit_stays_one() -> None:
    told = roles(call("6001", "120"), inside=("6???", "120"))

    assert told.direction == "internal"


def test_who_is_said_to_be_called_by_such_a_number_is_called() -> None:
    told = roles(call("110", "6001"), fields={"from": "<sip:110@h>;tag=1"})

    assert (told.direction, told.agent.number) == ("inbound", "6001")


def test_ordinary_calls_are_told_as_before() -> None:
    told = roles(call(CUSTOMER, "6001"))

    assert (told.direction, told.agent.number, told.customer.number) == ("inbound", "6001", CUSTOMER)


def test_a_telephone_that_copies_its_own_calls_tells_it_too() -> None:
    bridge = bridge_of(invite(**{"from": "<sip:8001@h;x-nearend;x-refci=7;x-farendaddr=110>;tag=1"}))
    assert bridge is not None

    told = parties_of_bridge(bridge, numbering=NUMBERING, inside=("*",))

    assert told.direction == "outbound"
    assert told.customer.number == "110"
