"""AMR payloads: both ways of packing give the same frames."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.codecs.amr import MAX_FRAMES, frames
from callseal.codecs.errors import PayloadError
from support.coded_speech import coded, tone

BITS = {
    "AMR": (95, 103, 118, 134, 148, 159, 204, 244, 39),
    "AMR-WB": (132, 177, 253, 285, 317, 365, 397, 461, 477, 40),
}


def _bytes(bits: str) -> bytes:
    padded = bits + "0" * (-len(bits) % 8)
    return bytes(int(padded[start : start + 8], 2) for start in range(0, len(padded), 8))


def _packed(kinds: list[int], speech: list[str], *, octet_aligned: bool) -> bytes:
    """Put frames, as texts of bits, into a payload, as RFC 4867 sections 4.3 and 4.4 show it."""
    entries = [f"{number < len(kinds) - 1:d}{kind:04b}1" for number, kind in enumerate(kinds)]
    if octet_aligned:
        return b"".join(_bytes(part) for part in ["11110000", *entries, *speech])
    return _bytes("".join(["1111", *entries, *speech]))


@st.composite
def _some_frames(draw: st.DrawFn) -> tuple[str, list[int], list[str]]:
    encoding = draw(st.sampled_from(sorted(BITS)))
    kinds = draw(st.lists(st.integers(0, len(BITS[encoding]) - 1), min_size=1, max_size=4))
    speech = [
        "".join(draw(st.lists(st.sampled_from("01"), min_size=size, max_size=size)))
        for size in (BITS[encoding][kind] for kind in kinds)
    ]
    return encoding, kinds, speech


@given(_some_frames())
def test_both_ways_of_packing_give_each_frame_with_its_table_of_contents(
    content: tuple[str, list[int], list[str]],
) -> None:
    encoding, kinds, speech = content

    found = [
        frames(_packed(kinds, speech, octet_aligned=aligned), encoding=encoding, octet_aligned=aligned)
        for aligned in (True, False)
    ]

    expected = [bytes((kind << 3 | 4,)) + _bytes(bits) for kind, bits in zip(kinds, speech, strict=True)]
    assert found == [expected, expected]


def test_a_frame_of_an_encoder_survives_the_packing() -> None:
    (frame, *_) = coded("libopencore_amrnb", tone(8000), rate_hz=8000, bits_per_s=12200)
    bits = "".join(f"{byte:08b}" for byte in frame[1:])[:244]

    packed = _packed([frame[0] >> 3], [bits], octet_aligned=False)

    assert frames(packed, encoding="AMR", octet_aligned=False) == [frame]


@pytest.mark.parametrize("encoding", BITS)
def test_frames_without_data_are_told_as_such(encoding: str) -> None:
    assert frames(b"\xf0\xfc\x7c", encoding=encoding, octet_aligned=True) == [b"", b""]


@pytest.mark.parametrize(
    ("payload", "octet_aligned"),
    [
        (b"", True),
        (b"\xf0", True),
        (b"\xf0\x3c" + bytes(30), True),
        (b"\xf0\x64", True),
        (b"\xf0" + b"\xfc" * (MAX_FRAMES + 1), True),
        (b"\xf3", False),
        (b"\xff" * 100, False),
    ],
)
def test_what_is_cut_or_of_no_known_kind_is_refused(
    payload: bytes,
    octet_aligned: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    with pytest.raises(PayloadError):
        frames(payload, encoding="AMR", octet_aligned=octet_aligned)


@given(st.binary(max_size=200), st.sampled_from(sorted(BITS)), st.booleans())
def test_whatever_comes_only_the_remote_error_is_raised(
    payload: bytes,
    encoding: str,
    octet_aligned: bool,  # noqa: FBT001 - drawn at random
) -> None:
    try:
        found = frames(payload, encoding=encoding, octet_aligned=octet_aligned)
    except PayloadError:
        return

    assert len(found) <= MAX_FRAMES
