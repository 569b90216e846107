"""Numbers as people dial them: their E.164 form, and calls for help."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.numbering import MAX_NUMBER_CHARS, Numbering, matches

EMERGENCY = ("110", "119", "120", "122")
PLAIN = Numbering(region="CN", outside_prefix="", emergency=EMERGENCY)
NINE = Numbering(region="CN", outside_prefix="9", emergency=EMERGENCY)
ZERO = Numbering(region="CN", outside_prefix="0", emergency=EMERGENCY)


@pytest.mark.parametrize(
    ("dialled", "number"),
    [
        ("13800138000", "+8613800138000"),
        ("+8613800138000", "+8613800138000"),
        ("008613800138000", "+8613800138000"),
        ("013800138000", "+8613800138000"),
        ("010-6555 1234", "+861065551234"),
        ("(021) 6555.1234", "+862165551234"),
        ("4008888888", "+864008888888"),
        ("00442079460958", "+442079460958"),
        ("+86 138 0013 8000", "+8613800138000"),
        ("%2B8613800138000", "+8613800138000"),
        ("+8613800138000;phone-context=cn", "+8613800138000"),
        ("１３８００１３８０００", "+8613800138000"),
    ],
)
def test_a_number_of_the_numbering_plan_becomes_e164(dialled: str, number: str) -> None:
    assert PLAIN.normalise(dialled) == number


@pytest.mark.parametrize("dialled", ["8001", "60001", "95511", "110", "62345678", "0", "*98", "#31#"])
def test_extensions_and_short_numbers_stay_as_they_are(dialled: str) -> None:
    assert PLAIN.normalise(dialled) == dialled


@pytest.mark.parametrize("name", ["anonymous", "li.wei", "", "6001a", "+", "李伟"])
def test_what_is_no_number_stays_as_it_is(name: str) -> None:
    assert PLAIN.normalise(name) == name


@pytest.mark.parametrize(
    ("numbering", "dialled", "number"),
    [
        (NINE, "913800138000", "+8613800138000"),
        (NINE, "901065551234", "+861065551234"),
        (NINE, "90044 20 7946 0958", "+442079460958"),
        (NINE, "13800138000", "+8613800138000"),
        (NINE, "8001", "8001"),
        (ZERO, "013800138000", "+8613800138000"),
        (ZERO, "001065551234", "+861065551234"),
        (ZERO, "02165551234", "+862165551234"),
    ],
)
def test_the_digit_for_an_outside_line_is_no_part_of_the_number(
    numbering: Numbering, dialled: str, number: str
) -> None:
    assert numbering.normalise(dialled) == number


@pytest.mark.parametrize("number", EMERGENCY)
@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "+86{}",
        "86{}",
        "0086{}",
        " {} ",
        "{};user=phone",
        "%20{}",
        "+86-{}",
        "+86 {}",
        "{}#",
        "010{}",
        "0755{}",
    ],
)
def test_a_call_for_help_is_recognised_however_it_is_dialled(form: str, number: str) -> None:
    dialled = form.format(number)

    assert PLAIN.is_emergency(dialled)
    assert NINE.is_emergency(dialled)
    assert NINE.is_emergency(f"9{dialled.strip()}")
    assert PLAIN.is_emergency("-".join(number))


@pytest.mark.parametrize(
    "dialled",
    [
        "1101",
        "11012345",
        "11000138000",
        "12000138000",
        "13800110120",
        "01011012345",
        "02161101101",
        "+861101234567",
        "8110",
        "95119",
        "12345",
        "010",
        "11",
        "",
        "110a",
        "police110",
        "anonymous",
        "110" + "-" * MAX_NUMBER_CHARS + "12345678",
    ],
)
def test_an_ordinary_number_that_holds_the_digits_is_no_call_for_help(dialled: str) -> None:
    assert not PLAIN.is_emergency(dialled)


def test_a_number_behind_the_digit_for_an_outside_line_needs_that_digit() -> None:
    assert NINE.is_emergency("9110")
    assert not PLAIN.is_emergency("9110")


def test_the_emergency_numbers_of_the_region_count_even_when_nobody_listed_them() -> None:
    hong_kong = Numbering(region="HK", outside_prefix="9", emergency=EMERGENCY)

    assert hong_kong.is_emergency("999")
    assert hong_kong.is_emergency("9999")
    assert not hong_kong.is_emergency("99912345")


def test_a_number_that_was_normalised_is_still_recognised() -> None:
    assert all(NINE.is_emergency(NINE.normalise(f"9{number}")) for number in EMERGENCY)


@given(st.one_of(st.text(max_size=100), st.text(alphabet="0123456789+-;% ", max_size=30)))
def test_a_form_does_not_change_when_it_is_normalised_again(text: str) -> None:
    once = NINE.normalise(text)

    assert NINE.normalise(once) == once


@given(st.text(max_size=100))
def test_any_text_is_judged_without_an_error(text: str) -> None:
    assert NINE.is_emergency(text) in {True, False}


@pytest.mark.parametrize(
    ("glob", "number", "fits"),
    [
        ("*", "+8613800138000", True),
        ("*", "", True),
        ("+861*", "+8613800138000", True),
        ("+861*", "+8621655512", False),
        ("8???", "8001", True),
        ("8???", "80011", False),
        ("[2-4]*", "3001", True),
        ("8001", "", False),
        ("li*", "Li", False),
    ],
)
def test_a_glob_stands_for_the_whole_number(glob: str, number: str, *, fits: bool) -> None:
    assert matches(glob, number) is fits
