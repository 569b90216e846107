"""Key strings are read exactly or refused, and a refusal never repeats them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal import bech32
from callseal.seal.errors import KeyFileError

# BIP 173, "Test vectors".
VALID = [
    ("A12UEL5L", "A", ""),
    ("a12uel5l", "a", ""),
    (
        "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
        "abcdef",
        "00443214c74254b635cf84653a56d7c675be77df",
    ),
    ("?1ezyfcl", "?", ""),
]
INVALID = [
    " 1nwldj5",  # prefix not printable
    "\x7f1axkwrx",
    "\x801eym55h",
    "pzry9x0s0muk",  # no separator
    "1pzry9x0s0muk",  # no prefix
    "x1b4n0q5v",  # character that does not occur
    "li1dgmt3",  # checksum too short
    "de1lg7wt\xff",
    "A1G7SGD8",  # checksum made for the other case
    "10a06t8",
    "1qzzfhee",
    "A12uEL5L",  # mixed case
    "",
]


@pytest.mark.parametrize(("text", "prefix", "data"), VALID)
def test_a_right_string_is_read_with_its_prefix_as_written(text: str, prefix: str, data: str) -> None:
    read = bech32.decode(text)

    assert read == (prefix, bytes.fromhex(data))


@pytest.mark.parametrize("text", INVALID)
def test_a_wrong_string_is_refused(text: str) -> None:
    with pytest.raises(KeyFileError):
        bech32.decode(text)


@given(data=st.binary(max_size=1300), prefix=st.sampled_from(["age", "age1pq", "AGE-SECRET-KEY-"]))
def test_what_was_written_is_read_back(data: bytes, prefix: str) -> None:
    text = bech32.encode(prefix, data)

    assert bech32.decode(text) == (prefix, data)


@given(text=st.text(max_size=100) | st.text(alphabet="qpzry9x8gf2tvdw0s3jn54khce6mua7l1AGE", max_size=100))
def test_any_text_at_all_is_read_or_refused(text: str) -> None:
    try:
        prefix, data = bech32.decode(text)
    except KeyFileError:
        return

    assert bech32.encode(prefix, data).lower() == text.lower()


def test_every_single_slip_of_the_pen_is_found() -> None:
    text = bech32.encode("age", bytes(range(32)))

    for position in range(len("age1"), len(text)):
        slip = "q" if text[position] != "q" else "p"
        with pytest.raises(KeyFileError):
            bech32.decode(text[:position] + slip + text[position + 1 :])


def test_a_refusal_does_not_repeat_the_key() -> None:
    text = bech32.encode("AGE-SECRET-KEY-", bytes(range(32)))
    slip = text[:30] + ("Q" if text[30] != "Q" else "P") + text[31:]

    with pytest.raises(KeyFileError) as caught:
        bech32.decode(slip)

    assert slip[20:30] not in str(caught.value)


def test_a_string_longer_than_any_key_is_refused() -> None:
    text = bech32.encode("age", bytes(bech32.TEXT_LIMIT_CHARS))

    with pytest.raises(KeyFileError, match="longer than"):
        bech32.decode(text)
