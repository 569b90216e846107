"""Stretches for which nothing came, found in what a bank received."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from callseal.agent.media.gaps import END_GRACE_MS, MAX_GAPS, GapFinder, Silence

RATE_HZ = 8000
CELL = 80
SLOT = np.array([3])


def seen(finder: GapFinder, cells: NDArray[np.bool_], *, pieces: int = 100) -> list[Silence]:
    """Let a finder see channel 0 of one recording, piece by piece; channel 1 is always there."""
    found: list[Silence] = []
    for begin in range(0, len(cells), pieces):
        part = cells[begin : begin + pieces]
        present = np.stack((part, np.ones_like(part)))[np.newaxis]
        found += finder.see(SLOT, begin * CELL, present)
    return found + finder.end(3, len(cells) * CELL)


def finder() -> GapFinder:
    made = GapFinder(8, RATE_HZ)
    made.begin(3, 0)
    return made


def test_a_whole_recording_has_no_gaps() -> None:
    assert not seen(finder(), np.ones(1000, np.bool_))


def test_a_gap_over_several_seconds_is_one() -> None:
    cells = np.ones(1000, np.bool_)
    cells[150:620] = False

    assert seen(finder(), cells) == [
        Silence(slot=3, channel=0, start_samples=150 * CELL, end_samples=620 * CELL)
    ]


def test_single_lost_packets_are_no_gaps() -> None:
    cells = np.ones(1000, np.bool_)
    cells[10::7] = False

    assert not seen(finder(), cells)


def test_gaps_with_a_moment_of_sound_between_them_are_one() -> None:
    cells = np.ones(1000, np.bool_)
    cells[200:300] = False
    cells[305:400] = False

    (gap,) = seen(finder(), cells)

    assert (gap.start_samples, gap.end_samples) == (200 * CELL, 400 * CELL)


def test_silence_before_the_first_packet_is_a_gap_only_when_it_is_long() -> None:
    soon, late = np.ones(1000, np.bool_), np.ones(1000, np.bool_)
    soon[:250] = False
    late[:350] = False

    assert not seen(finder(), soon)
    assert [gap.start_samples for gap in seen(finder(), late)] == [0]


def test_silence_at_the_end_is_a_gap_only_when_it_is_long() -> None:
    soon, late = np.ones(1000, np.bool_), np.ones(1000, np.bool_)
    soon[-(END_GRACE_MS // 10) + 1 :] = False
    late[-(END_GRACE_MS // 10) :] = False

    assert not seen(finder(), soon)
    assert [gap.end_samples for gap in seen(finder(), late)] == [1000 * CELL]


def test_no_more_gaps_are_told_than_the_limit() -> None:
    cells = np.ones(60_000, np.bool_)
    for begin in range(500, 59_000, 100):
        cells[begin : begin + 50] = False

    assert len(seen(finder(), cells)) == MAX_GAPS


def test_a_slot_that_is_taken_again_knows_nothing_of_the_recording_before() -> None:
    made = finder()
    seen(made, np.zeros(100, np.bool_))

    made.begin(3, 100 * CELL)
    present = np.ones((1, 2, 100), np.bool_)

    assert not made.see(SLOT, 100 * CELL, present)
    assert not made.end(3, 200 * CELL)


@given(st.lists(st.booleans(), min_size=1, max_size=400), st.sampled_from([7, 50, 100, 400]))
def test_gaps_are_the_same_however_the_sound_is_cut(pattern: list[bool], pieces: int) -> None:
    cells = np.repeat(np.array(pattern), 9)

    assert seen(finder(), cells, pieces=pieces) == seen(finder(), cells, pieces=len(cells))


@given(st.lists(st.booleans(), min_size=1, max_size=100))
def test_gaps_follow_one_another_and_lie_where_nothing_came(pattern: list[bool]) -> None:
    cells = np.repeat(np.array(pattern), 30)

    gaps = seen(finder(), cells)

    edges = [edge for gap in gaps for edge in (gap.start_samples, gap.end_samples)]
    assert edges == sorted(edges)
    for gap in gaps:
        within = cells[gap.start_samples // CELL : gap.end_samples // CELL]
        assert not within[0]
        assert not within[-1]
