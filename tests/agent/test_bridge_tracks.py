"""The three taps of a call: aligned to the sample by the ramp, and no sample of talk lost or moved."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from callseal.agent.sources.bridge.tracks import RAMP_SAMPLES, TRACKS, Tracks, ramp

TICK = 160
"""20 ms at 8 kHz, the step in which the library connects."""
PLAYED = 5 * TICK
"""How much of the ramp is played before it is taken away."""
START = 7 * TICK + 3
LENGTH = 40 * TICK
Samples = NDArray[np.int16]


def _line(track: int, length: int = LENGTH) -> Samples:
    """Give what happened on a track, position by position: ramp, silence, then sound of its own."""
    sound = np.random.default_rng(track).integers(1000, 20_000, length).astype(np.int16)
    sound[: START + TICK] = 0
    sound[:PLAYED] = ramp()[:PLAYED]
    return sound


def _tap(track: int, begin: int, length: int = LENGTH) -> Samples:
    """Give what a tap delivers that was connected at a position; before 0 there was silence."""
    line = _line(track, length)
    return np.concatenate([np.zeros(-begin, np.int16), line]) if begin < 0 else line[begin:]


def _expected(length: int = LENGTH) -> Samples:
    lines = np.stack([_line(track, length) for track in range(TRACKS)])
    return lines[:, START:]


def _fed(taps: list[Samples]) -> Tracks:
    tracks = Tracks()
    for track, samples in enumerate(taps):
        tracks.feed(track, samples)
    return tracks


def _taken(tracks: Tracks, *, last: bool = True) -> Samples:
    block = tracks.take(last=last)
    assert block is not None
    return block


def test_the_ramp_counts_its_samples_from_one() -> None:
    assert ramp().tolist() == list(range(1, RAMP_SAMPLES + 1))
    assert ramp().dtype == np.int16


@pytest.mark.parametrize("begins", [(0, 0, 0), (0, TICK, 2 * TICK), (3 * TICK, -TICK, 17), (-5, -1, 0)])
def test_taps_that_were_connected_at_different_moments_come_out_aligned(begins: tuple[int, ...]) -> None:
    tracks = _fed([_tap(track, begin) for track, begin in enumerate(begins)])
    tracks.start_at(START)

    block = _taken(tracks, last=False)

    assert block.dtype == np.int16
    assert np.array_equal(block, _expected())
    assert tracks.proven


def test_nothing_of_the_ramp_is_left_even_where_the_recording_begins_in_it() -> None:
    tracks = _fed([_tap(track, track * TICK) for track in range(TRACKS)])
    tracks.start_at(0)

    block = _taken(tracks, last=False)

    assert not block[:, : START + TICK].any()
    assert np.array_equal(block[:, START:], _expected())


def test_talk_right_behind_the_ramp_loses_no_sample() -> None:
    talk = np.full(1000, 5, np.int16)
    tap = np.concatenate([ramp()[:PLAYED], talk])
    tracks = _fed([tap] * TRACKS)
    tracks.start_at(0)

    block = _taken(tracks, last=False)

    assert not block[:, :PLAYED].any()
    assert np.array_equal(block[:, PLAYED:], np.stack([talk] * TRACKS))


def test_a_tap_that_joined_behind_the_start_is_filled_with_silence_up_to_there() -> None:
    tracks = _fed([_tap(0, 0), _tap(1, 3 * TICK), _tap(2, 0)])
    tracks.start_at(TICK)

    block = _taken(tracks, last=False)

    assert not block[1, : 2 * TICK].any()
    assert np.array_equal(block[:, START - TICK :], _expected())
    assert tracks.proven


def test_until_the_start_is_known_nothing_is_given() -> None:
    tracks = _fed([_tap(track, 0) for track in range(TRACKS)])

    assert tracks.take() is None
    assert tracks.take(last=True) is None

    tracks.start_at(START)
    assert np.array_equal(_taken(tracks), _expected())


def test_what_one_tap_has_not_delivered_yet_is_waited_for() -> None:
    tracks = _fed([_tap(0, 0), _tap(1, 0), _tap(2, 0)[: START + 100]])
    tracks.start_at(START)

    first = _taken(tracks, last=False)
    waiting = tracks.take()
    tracks.feed(2, _tap(2, 0)[START + 100 :])
    rest = _taken(tracks, last=False)

    assert first.shape == (TRACKS, 100)
    assert waiting is None
    assert np.array_equal(np.concatenate([first, rest], axis=1), _expected())


def test_a_start_ahead_of_what_was_delivered_is_waited_for() -> None:
    tracks = _fed([_tap(track, 0)[:PLAYED] for track in range(TRACKS)])
    tracks.start_at(START)

    assert tracks.take() is None

    for track in range(TRACKS):
        tracks.feed(track, _tap(track, 0)[PLAYED:])
    assert np.array_equal(_taken(tracks, last=False), _expected())


def test_at_the_end_shorter_tracks_are_filled_with_silence() -> None:
    tracks = _fed([_tap(0, 0), _tap(1, 0)[: START + 1000], _tap(2, 0)[: START - 1]])
    tracks.start_at(START)

    block = _taken(tracks)

    expected = _expected()
    assert np.array_equal(block[0], expected[0])
    assert np.array_equal(block[1, :1000], expected[1, :1000])
    assert not block[1, 1000:].any()
    assert not block[2].any()
    assert tracks.take(last=True) is None


def test_a_call_that_ended_before_its_start_gives_nothing() -> None:
    tracks = _fed([_tap(track, 0)[: 2 * TICK] for track in range(TRACKS)])
    tracks.start_at(START)

    assert tracks.take(last=True) is None


def test_a_tap_that_heard_sound_without_the_ramp_is_unproven_and_taken_from_the_ramps_beginning() -> None:
    late = _tap(1, 0)
    late[:PLAYED] = 0

    tracks = _fed([_tap(0, 0), late, _tap(2, 0)])
    tracks.start_at(START)
    block = _taken(tracks, last=False)

    assert not tracks.proven
    assert np.array_equal(block, _expected())


def test_a_tap_that_stayed_silent_does_not_hold_up_the_others_for_long() -> None:
    length = 3 * RAMP_SAMPLES
    tracks = _fed([_tap(0, 0, length), _tap(1, 0, length)])
    tracks.start_at(START)

    tracks.feed(2, np.zeros(RAMP_SAMPLES, np.int16))
    early = tracks.take()
    tracks.feed(2, np.zeros(length - RAMP_SAMPLES, np.int16))
    block = _taken(tracks, last=False)

    assert early is None
    assert not tracks.proven
    assert np.array_equal(block[:2], _expected(length)[:2])
    assert not block[2].any()


def test_at_the_end_a_tap_without_any_sound_is_silence_and_unproven() -> None:
    tracks = _fed([_tap(0, 0), _tap(1, 0), np.zeros(10, np.int16)])
    tracks.start_at(START)

    block = _taken(tracks)

    assert not tracks.proven
    assert np.array_equal(block[:2], _expected()[:2])
    assert not block[2].any()


def test_a_phone_that_rings_for_minutes_is_forgotten_up_to_the_last_ones() -> None:
    minute = 60 * 50 * TICK
    tracks = _fed([_tap(track, track * TICK, PLAYED) for track in range(TRACKS)])
    tracemalloc.start()
    for _ in range(3):
        for track in range(TRACKS):
            tracks.feed(track, np.zeros(minute, np.int16))
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    talk = np.arange(1, 1001, dtype=np.int16)
    start = PLAYED + 3 * minute
    for track in range(TRACKS):
        tracks.feed(track, talk)
    tracks.start_at(start)

    block = _taken(tracks, last=False)

    assert np.array_equal(block, np.stack([talk] * TRACKS))
    assert tracks.proven
    assert kept_bytes < 1.1 * TRACKS * 2 * minute


@st.composite
def _feeding(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Give steps of feeding, each a track and how many samples more of it."""
    return draw(st.lists(st.tuples(st.integers(0, TRACKS - 1), st.integers(0, 1500)), max_size=30))


@given(
    st.tuples(*[st.integers(-3 * TICK, 4 * TICK)] * TRACKS),
    _feeding(),
    st.integers(0, 30),
    st.integers(0, 4 * TICK),
)
def test_it_does_not_matter_in_which_pieces_the_taps_deliver(
    begins: tuple[int, ...], steps: list[tuple[int, int]], started_after: int, start: int
) -> None:
    taps = [_tap(track, begin) for track, begin in enumerate(begins)]
    whole, pieces = _fed(taps), Tracks()
    whole.start_at(start)
    fed = [0] * TRACKS
    taken = []

    for number, (track, size) in enumerate(steps):
        if number == started_after:
            pieces.start_at(start)
        pieces.feed(track, taps[track][fed[track] : fed[track] + size])
        fed[track] += size
        block = pieces.take()
        taken += [] if block is None else [block]
    for track, tap in enumerate(taps):
        pieces.feed(track, tap[fed[track] :])
    if not taken:
        pieces.start_at(start)
    taken.append(_taken(pieces))

    assert np.array_equal(np.concatenate(taken, axis=1), _taken(whole))
    assert pieces.proven
    assert whole.proven
