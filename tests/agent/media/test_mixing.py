"""Streams to the two channels of recordings."""

import numpy as np
import pytest

from callseal.agent.media.mixing import added, interleave
from callseal.codecs import g711


@pytest.mark.parametrize("kind", [np.uint8, np.int16])
@pytest.mark.parametrize("left", [[0, 2, 4], [4, 0, 2], [1, 1, 1], [5, 3, 1], [0, 1, 3]])
def test_each_channel_is_its_row(kind: type[np.uint8], left: list[int]) -> None:
    random = np.random.default_rng(1)
    limits = np.iinfo(kind)
    parts = [random.integers(limits.min, limits.max, (6, size)).astype(kind) for size in (40, 7)]
    right = [1, 3, 5]

    found = interleave(parts, np.array(left), np.array(right), np.empty(4096, np.uint8))

    whole = np.concatenate(parts, axis=1)
    assert found.dtype == kind
    assert np.array_equal(found, np.stack((whole[left], whole[right]), axis=2))


def test_one_recording_is_put_together_too() -> None:
    matrix = np.arange(20, dtype=np.uint8).reshape(2, 10)

    found = interleave([matrix], np.array([1]), np.array([0]), np.empty(64, np.uint8))

    assert found[0, :, 0].tolist() == list(range(10, 20))
    assert found[0, :, 1].tolist() == list(range(10))


@pytest.mark.parametrize("law", list(g711.Law))
def test_added_codes_are_the_sum_of_their_samples(law: g711.Law) -> None:
    one = g711.encode(np.array([1000, -1000, 0, 20000], np.int16), law)
    other = g711.encode(np.array([500, 500, 0, 20000], np.int16), law)

    found = g711.decode(added([one, other], law).astype(np.uint8), law)

    expected = g711.decode(one, law).astype(int) + g711.decode(other, law)
    assert np.abs(found - np.clip(expected, -32124, 32124)).max() <= 640
    assert found[3] > 31000


def test_added_samples_are_clipped_and_never_wrap() -> None:
    loud = np.array([30000, -30000], np.int16)

    found = added([loud, loud, loud], None)

    assert found.tolist() == [32767, -32768]


@pytest.mark.parametrize("law", list(g711.Law))
def test_silence_adds_nothing(law: g711.Law) -> None:
    speech = np.arange(256, dtype=np.uint8)
    silence = np.full(256, g711.silence(law), np.uint8)

    found = added([speech, silence], law)

    assert np.array_equal(g711.decode(found.astype(np.uint8), law), g711.decode(speech, law))
