"""G.711: the recommendation's own values, and nothing lost in passing through."""

import numpy as np
import pytest
from numpy.typing import NDArray

from callseal.codecs.g711 import Law, decode, encode, silence

ALL_CODES = np.arange(256, dtype=np.uint8)
ALL_SAMPLES = np.arange(-32768, 32768, dtype=np.int16)


def _decoded(law: Law, *codes: int) -> list[int]:
    return [int(sample) for sample in decode(np.array(codes, np.uint8), law)]


def test_mu_law_decodes_to_the_output_values_of_table_2() -> None:
    """ITU-T G.711 table 2a, column 8: values at 14 bits, four int16 units each; segments' last codes."""
    values = [8031, 4191, 2079, 1023, 495, 231, 99, 33, 2, 0]
    codes = [0x80, 0x8F, 0x9F, 0xAF, 0xBF, 0xCF, 0xDF, 0xEF, 0xFE, 0xFF]

    assert _decoded(Law.MU, *codes) == [4 * value for value in values]
    assert _decoded(Law.MU, *(code & 0x7F for code in codes)) == [-4 * value for value in values]


def test_a_law_decodes_to_the_output_values_of_table_1() -> None:
    """ITU-T G.711 table 1a, column 8: values at 13 bits, eight int16 units each; even bits inverted."""
    values = [4032, 2112, 1056, 528, 264, 132, 66, 33, 1]
    codes = [0xFF, 0xF0, 0xE0, 0xD0, 0xC0, 0xB0, 0xA0, 0x90, 0x80]

    assert _decoded(Law.A, *(code ^ 0x55 for code in codes)) == [8 * value for value in values]
    assert _decoded(Law.A, *(code & 0x7F ^ 0x55 for code in codes)) == [-8 * value for value in values]


@pytest.mark.parametrize(
    ("law", "period", "full_scale", "overload_dbm0"),
    [
        (Law.A, "34 21 21 34 B4 A1 A1 B4", 32768.0, 3.14),
        (Law.MU, "1E 0B 0B 1E 9E 8B 8B 9E", 4 * 8159.0, 3.17),
    ],
)
def test_the_reference_tone_has_the_level_that_the_recommendation_gives_it(
    law: Law, period: str, full_scale: float, overload_dbm0: float
) -> None:
    """Tables 5 and 6: this sequence is a sine at 0 dBm0, and the largest sine is at 3.14 or 3.17 dBm0."""
    samples = decode(np.frombuffer(bytes.fromhex(period), np.uint8), law).astype(np.float64)

    level_db = 10 * np.log10(np.mean(samples**2) / (full_scale**2 / 2))

    # Eight values of up to half a step's error: 512 in 16,000 is 0.3 dB at the very worst.
    assert level_db + overload_dbm0 == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("law", Law)
def test_every_code_comes_back_the_same_save_the_second_zero_of_mu_law(law: Law) -> None:
    again = encode(decode(ALL_CODES, law), law)

    changed = {int(code) for code in ALL_CODES[again != ALL_CODES]}
    assert changed == ({0x7F} if law is Law.MU else set())
    if law is Law.MU:
        assert again[0x7F] == 0xFF


def _half_step(law: Law, codes: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Half of the interval that a code stands for: segments as in tables 1 and 2."""
    plain = (~codes if law is Law.MU else codes ^ 0x55).astype(np.int32)
    segment = (plain >> 4) & 7
    return 4 << segment if law is Law.MU else 8 << np.maximum(segment - 1, 0)


@pytest.mark.parametrize(("law", "largest"), [(Law.MU, 4 * 8159), (Law.A, 8 * 4096)])
def test_no_sample_is_moved_by_more_than_half_a_quantising_step(law: Law, largest: int) -> None:
    codes = encode(ALL_SAMPLES, law)

    # Beyond the virtual decision value (8159 and 4096 of the tables) everything is the largest code.
    reachable = np.clip(ALL_SAMPLES.astype(np.int32), -largest, largest)
    error = np.abs(decode(codes, law).astype(np.int32) - reachable)
    assert np.all(error <= _half_step(law, codes))


@pytest.mark.parametrize("law", Law)
def test_louder_samples_are_never_decoded_to_quieter_ones(law: Law) -> None:
    heard = decode(encode(ALL_SAMPLES, law), law).astype(np.int32)

    assert np.all(np.diff(heard) >= 0)


@pytest.mark.parametrize("law", Law)
def test_the_form_of_the_array_is_kept_also_where_it_is_a_view(law: Law) -> None:
    samples = np.arange(-600, 600, dtype=np.int16).reshape(100, 3, 4)[::2, :, 1:3]

    codes = encode(samples, law)
    heard = decode(codes, law)

    assert codes.shape == heard.shape == samples.shape
    assert codes.dtype == np.uint8
    assert heard.dtype == np.int16
    assert np.array_equal(codes, encode(samples.copy(), law))


@pytest.mark.parametrize(("law", "code"), [(Law.MU, 0xFF), (Law.A, 0xD5)])
def test_silence_is_what_idle_lines_send(law: Law, code: int) -> None:
    assert silence(law) == code
    assert abs(_decoded(law, silence(law))[0]) == np.abs(decode(ALL_CODES, law).astype(np.int32)).min()
    assert int(encode(np.zeros(1, np.int16), law)[0]) == code
