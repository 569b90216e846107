"""Ids sort by the time of the call, and are what RFC 9562 says."""

import os
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.uuid7 import MAX_TIME_MS, RANDOM_SIZE_BYTES, time_ms, uuid7

TIMES = st.integers(min_value=0, max_value=MAX_TIME_MS)
RANDOM = st.binary(min_size=RANDOM_SIZE_BYTES, max_size=RANDOM_SIZE_BYTES)


def test_the_example_of_rfc_9562_appendix_a_6_comes_out() -> None:
    random = bytes.fromhex("0cc3") + bytes.fromhex("18c4dc0c0c07398f")

    assert uuid7(0x017F22E279B0, random) == UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")


@given(TIMES, RANDOM)
def test_version_variant_and_time_can_be_read_back(now_ms: int, random: bytes) -> None:
    value = uuid7(now_ms, random)

    assert value.version == 7
    assert value.variant == "specified in RFC 4122"
    assert time_ms(value) == now_ms


@given(TIMES, TIMES, RANDOM, RANDOM)
def test_a_later_call_sorts_after_an_earlier_one(first: int, second: int, a: bytes, b: bytes) -> None:
    if first != second:
        assert (str(uuid7(first, a)) < str(uuid7(second, b))) == (first < second)


def test_all_the_randomness_given_is_used_where_there_is_room() -> None:
    zeros, ones = uuid7(0, bytes(10)).int, uuid7(0, b"\xff" * 10).int

    assert (zeros ^ ones).bit_count() == 74


@pytest.mark.parametrize(("now_ms", "random"), [(-1, bytes(10)), (MAX_TIME_MS + 1, bytes(10)), (0, bytes(9))])
def test_what_fits_in_no_id_is_refused(now_ms: int, random: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        uuid7(now_ms, random)


def test_an_id_of_another_version_has_no_time() -> None:
    assert time_ms(UUID(bytes=os.urandom(16), version=4)) is None
