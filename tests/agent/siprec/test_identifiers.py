"""Identifiers of telephone systems: one spelling each, whatever they came in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.siprec.identifiers import guid_of, session_ids_of, ucid_of

UCID = "00025000160955721139"


@pytest.mark.parametrize(
    "text",
    [
        UCID,
        "0019001038F725B3",
        "00FA080019001038F725B3;encoding=hex",
        "00FA080019001038F725B3 ; encoding=hex;purpose=isdn-uui",
        "FA080019001038F725B3",
        "00C80401020304FA080019001038f725b3",
    ],
)
def test_a_ucid_is_the_twenty_digits_that_avaya_shows(text: str) -> None:
    assert ucid_of(text) == UCID


@pytest.mark.parametrize(
    "text", ["", "00FA0800", "00FA07001900103", "hello", "C0934BE72BF711D6800285D16359919A", "0" * 9]
)
def test_what_is_no_ucid_gives_none(text: str) -> None:
    assert ucid_of(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "91036128574411E789F9D0FF56C3C658",
        "91036128574411e789f9d0ff56c3c658",
        "2432917800-1464078823-2314850559-1455670872",
        " 2432917800-1464078823-2314850559-1455670872 ",
    ],
)
def test_a_guid_is_the_same_in_hexadecimal_and_in_decimal(text: str) -> None:
    assert guid_of(text) == "91036128574411e789f9d0ff56c3c658"


@pytest.mark.parametrize("text", ["", "0" * 32, "0-0-0-0", "9999999999-1-1-1", "1-2-3", "xyz"])
def test_what_is_no_guid_gives_none(text: str) -> None:
    assert guid_of(text) == ""


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (
            "A1B2C3D4E5F60718293A4B5C6D7E8F90;remote=0f1e2d3c4b5a69788796a5b4c3d2e1f0",
            ("a1b2c3d4e5f60718293a4b5c6d7e8f90", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
        ),
        ("a1b2c3d4e5f60718293a4b5c6d7e8f90;remote=" + "0" * 32, ("a1b2c3d4e5f60718293a4b5c6d7e8f90",)),
        ("a1b2c3d4e5f60718293a4b5c6d7e8f90", ("a1b2c3d4e5f60718293a4b5c6d7e8f90",)),
        ("2d8abbf0-0769@10.1.0.9;remote=77@pbx", ("2d8abbf0-0769@10.1.0.9", "77@pbx")),
        ("", ()),
        (";remote=", ()),
    ],
)
def test_a_session_identifier_has_two_ends_of_which_one_may_be_unknown(
    text: str, ids: tuple[str, ...]
) -> None:
    assert session_ids_of(text) == ids


@given(st.text(max_size=80) | st.binary(max_size=40).map(bytes.hex))
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert len(ucid_of(text)) in {0, 20}
    assert len(guid_of(text)) in {0, 32}
    assert len(session_ids_of(text)) <= 2
