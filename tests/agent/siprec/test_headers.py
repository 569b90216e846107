"""What an INVITE's headers say of the recorded call, kept as attributes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.sip.message import Headers, Request
from callseal.agent.siprec.headers import MAX_HEADER_ATTRIBUTES, headers_of
from callseal.agent.siprec.model import Attribute
from support.siprec_roles import invite


@pytest.mark.parametrize(
    ("name", "value", "attributes"),
    [
        (
            "cisco_guid",
            "2432917800-1464078823-2314850559-1455670872",
            [("cisco:guid", "91036128574411e789f9d0ff56c3c658")],
        ),
        ("cisco_guid", "odd", [("cisco:guid", "odd")]),
        ("session_id", "a1b2c3d4;remote=0", [("sip:session-id", "a1b2c3d4;remote=0")]),
        (
            "user_to_user",
            "00FA080019001038F725B3;encoding=hex",
            [
                ("avaya:ucid", "00025000160955721139"),
                ("sip:user-to-user", "00FA080019001038F725B3;encoding=hex"),
            ],
        ),
        (
            "user_to_user",
            "56a390f3d2b7310023a2;encoding=hex",
            [("sip:user-to-user", "56a390f3d2b7310023a2;encoding=hex")],
        ),
        (
            "x_ucid",
            "00025000160955721139",
            [("avaya:ucid", "00025000160955721139"), ("header:x-ucid", "00025000160955721139")],
        ),
        (
            "p_asserted_identity",
            '"Wang" <sip:13800138000@h>',
            [("sip:p-asserted-identity", '"Wang" <sip:13800138000@h>')],
        ),
        (
            "p_charging_vector",
            'icid-value="AyretyU0dm+6O2IrT5tAFrbHLso="; icid-generated-at=10.1.0.9',
            [("sip:icid", "AyretyU0dm+6O2IrT5tAFrbHLso=")],
        ),
        ("x_genesys_calluuid", "4BOKLLA3VH66", [("header:x-genesys-calluuid", "4BOKLLA3VH66")]),
        ("x_call_direction", "incoming", [("header:x-call-direction", "incoming")]),
        ("user_agent", "Mediant SBC/7.40A", [("sip:user-agent", "Mediant SBC/7.40A")]),
        ("x_name", "a  b\tc", [("header:x-name", "a b c")]),
    ],
)
def test_what_a_header_says_can_be_searched(name: str, value: str, attributes: list[Attribute]) -> None:
    assert headers_of(invite(**{name: value})) == tuple(attributes)


@pytest.mark.parametrize(
    "name",
    ["via", "call_id", "authorization", "proxy_authorization", "x_auth", "x_api_key", "x_session_token"],
)
def test_what_is_none_of_a_recorders_business_is_left_out(name: str) -> None:
    assert headers_of(invite(**{name: "value"})) == ()


def test_headers_beyond_the_limit_are_left_out() -> None:
    many = Headers(fields=tuple((f"x-number-{number}", "1") for number in range(500)))

    told = headers_of(Request(method="INVITE", uri="sip:r@h", headers=many))

    assert len(told) == MAX_HEADER_ATTRIBUTES


def test_bytes_that_are_no_text_do_not_get_into_attributes() -> None:
    value = b"caf\xe9".decode("utf-8", errors="surrogateescape")

    assert headers_of(invite(x_place=value)) == (("header:x-place", "caf?"),)


@given(
    st.lists(
        st.tuples(st.sampled_from(["x-a", "user-to-user", "cisco-guid", "diversion"]), st.text(max_size=50))
    )
)
def test_any_value_is_taken_without_an_error(fields: list[tuple[str, str]]) -> None:
    told = headers_of(Request(method="INVITE", uri="sip:r@h", headers=Headers(fields=tuple(fields))))

    assert all(name.isascii() and len(value) <= 100 for name, value in told)
