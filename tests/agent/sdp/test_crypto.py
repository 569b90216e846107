"""Keys in session descriptions (RFC 4568): read, chosen, answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.sdp.crypto import answered, chosen, crypto_value, parse_crypto
from callseal.agent.sdp.session import Crypto

KEY = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
"""30 bytes, from the example of RFC 4568 section 4.1."""


def _read(value: str) -> Crypto:
    crypto = parse_crypto(value)
    assert crypto is not None
    return crypto


def _counted(size_bytes: int) -> bytes:
    return bytes(range(size_bytes))


def test_a_line_with_all_that_may_be_in_it() -> None:
    crypto = _read(f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4 WSH=128 -X")

    assert (crypto.tag, crypto.suite) == (1, "AES_CM_128_HMAC_SHA1_80")
    assert (len(crypto.key_and_salt), crypto.lifetime) == (30, "2^20")
    assert (crypto.mki, crypto.parameters) == (b"\0\0\0\1", "WSH=128 -X")


def test_a_key_without_its_padding_is_read_all_the_same() -> None:
    whole = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKis="

    assert _read(f"1 AEAD_AES_256_GCM inline:{whole[:-1]}") == _read(f"1 AEAD_AES_256_GCM inline:{whole}")


def test_the_index_of_a_key_may_stand_without_a_lifetime() -> None:
    assert _read(f"7 AES_CM_128_HMAC_SHA1_32 inline:{KEY}|15:1").mki == b"\x0f"


def test_of_several_keys_in_one_line_the_first_counts() -> None:
    several = _read(f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4;inline:{KEY[::-1]}|2^20|2:4")

    assert several == _read(f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1",
        f"x AES_CM_128_HMAC_SHA1_80 inline:{KEY}",
        f"1 AES_CM_128_HMAC_SHA1_80 outline:{KEY}",
        "1 AES_CM_128_HMAC_SHA1_80 inline:=",
        "1 AES_CM_128_HMAC_SHA1_80 inline:A",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|for ever",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|256:1",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:0",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:129",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|soon",
    ],
)
def test_a_line_that_can_not_be_understood_is_as_good_as_none(value: str) -> None:
    crypto = parse_crypto(value)

    assert crypto is None or chosen((crypto,)) is None


@given(
    st.text(max_size=120) | st.text(max_size=60).map(lambda rest: f"1 AES_CM_128_HMAC_SHA1_80 inline:{rest}")
)
def test_no_line_raises_anything(value: str) -> None:
    crypto = parse_crypto(value)

    assert crypto is None or parse_crypto(crypto_value(crypto)) == crypto


@given(
    st.builds(
        Crypto,
        tag=st.integers(0, 999_999_999),
        suite=st.sampled_from(["AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM", "F8_128_HMAC_SHA1_80"]),
        key_and_salt=st.binary(min_size=1, max_size=64),
        mki=st.binary(max_size=8),
        lifetime=st.sampled_from(["", "2^48", "1048576"]),
        parameters=st.sampled_from(["", "WSH=64", "UNENCRYPTED_SRTP FEC_ORDER=SRTP_FEC"]),
    )
)
def test_what_is_written_is_read_again(crypto: Crypto) -> None:
    assert parse_crypto(crypto_value(crypto)) == crypto


def test_the_first_suite_that_can_be_received_is_chosen_in_the_offers_order() -> None:
    offered = (
        _read(f"1 F8_128_HMAC_SHA1_80 inline:{KEY}"),
        _read(f"2 AES_CM_128_HMAC_SHA1_32 inline:{KEY}"),
        _read(f"3 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
    )

    assert chosen(offered) == offered[1]


@pytest.mark.parametrize(
    ("parameters", "is_taken"),
    [
        ("", True),
        ("WSH=64", True),
        ("KDR=0", True),
        ("-UNKNOWN=1", True),
        ("KDR=4", False),
        ("UNENCRYPTED_SRTP", False),
        ("UNENCRYPTED_SRTCP", False),
        ("UNAUTHENTICATED_SRTP", False),
        ("wsh=64 unencrypted_srtp", False),
        ("FEC_ORDER=FEC_SRTP", False),
        ("SOMETHING_NEW", False),
    ],
)
def test_sound_that_is_to_go_in_the_clear_is_refused_and_what_is_not_known_too(
    parameters: str,
    is_taken: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    crypto = _read(f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} {parameters}")

    assert (chosen((crypto,)) is not None) == is_taken


def test_a_key_of_the_wrong_length_is_refused() -> None:
    assert chosen((_read(f"1 AES_256_CM_HMAC_SHA1_80 inline:{KEY}"),)) is None


def test_the_answer_has_the_offers_tag_suite_lifetime_and_index_but_a_key_of_its_own() -> None:
    offered = _read(f"42 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^31|1:1 WSH=64")

    ours = answered(offered, previous=(), random=_counted)

    assert (
        crypto_value(ours)
        == "42 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd|2^31|1:1"
    )


def test_our_key_stays_for_as_long_as_the_same_line_is_chosen() -> None:
    offered = _read(f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}")
    first = answered(offered, previous=(), random=_counted)

    again = answered(offered, previous=(first,), random=bytes)
    other = answered(_read(f"2 AES_CM_128_HMAC_SHA1_32 inline:{KEY}"), previous=(first,), random=bytes)

    assert again == first
    assert other.key_and_salt == bytes(30)
