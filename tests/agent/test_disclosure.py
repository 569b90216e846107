"""Disclosure: the announcement counts as told only as far as it is really in the recording."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from callseal.agent.announcement import Announcement, Programme, prepare
from callseal.agent.call import Disclosure, Side
from callseal.agent.disclosure import Follower

RATE_HZ = 8000
BOTH: tuple[Side, Side] = ("agent", "customer")
Samples = NDArray[np.int16]


def _voice(name: str, size: int) -> Announcement:
    """Noise, so that no stretch of it looks like another; its first sample is a sound, its last too."""
    samples = np.random.default_rng(size).integers(300, 20_000, size).astype(np.int16)
    return Announcement(name=name, language=f"{name}-X", sha256=name * 32, samples=samples)


KNOWN = {"zh": _voice("zh", 3000), "en": _voice("en", 2000)}
ONE = prepare(["zh"], KNOWN, RATE_HZ)
TWO = prepare(["zh", "en"], KNOWN, RATE_HZ)
BEGIN = 12_345
"""Where in the recording the player began, its lead included."""


def _track(programme: Programme, heard_samples: int | None = None, after: int = 4000) -> Samples:
    """Give the announcement's track: silence, then the programme, cut off where the player was."""
    played = programme.samples[:heard_samples]
    return np.concatenate([np.zeros(BEGIN, np.int16), played, np.zeros(after, np.int16)])


def _followed(programme: Programme, track: Samples, sizes: list[int] | None = None) -> Follower:
    follower = Follower(programme)
    position = 0
    for piece in np.split(track, np.cumsum(sizes or [])):
        follower.feed(position, piece)
        position += piece.size
    return follower


def _disclosure(programme: Programme, part: int, *, end_samples: int | None, complete: bool) -> Disclosure:
    announcement = programme.parts[part].announcement
    heard = end_samples is not None
    return Disclosure(
        name=announcement.name,
        language=announcement.language,
        sha256=announcement.sha256,
        start_samples=BEGIN + programme.parts[part].start_samples if heard else None,
        end_samples=end_samples,
        complete=complete,
        heard_by=BOTH if heard else (),
    )


def test_an_announcement_that_was_heard_whole_is_placed_to_the_sample() -> None:
    follower = _followed(ONE, _track(ONE))

    assert follower.complete
    assert follower.result(BOTH) == (
        _disclosure(ONE, 0, end_samples=BEGIN + ONE.parts[0].end_samples, complete=True),
    )


def test_each_of_several_announcements_has_its_own_place() -> None:
    follower = _followed(TWO, _track(TWO))

    assert follower.result(BOTH) == (
        _disclosure(TWO, 0, end_samples=BEGIN + TWO.parts[0].end_samples, complete=True),
        _disclosure(TWO, 1, end_samples=BEGIN + TWO.parts[1].end_samples, complete=True),
    )


@pytest.mark.parametrize("missing", [1, 100, 2999])
def test_an_announcement_that_was_cut_off_is_told_up_to_there_and_not_complete(missing: int) -> None:
    heard = ONE.parts[0].end_samples - missing

    follower = _followed(ONE, _track(ONE, heard))

    assert not follower.complete
    assert follower.heard_anything
    assert follower.result(BOTH) == (_disclosure(ONE, 0, end_samples=BEGIN + heard, complete=False),)


def test_a_hang_up_between_two_announcements_leaves_the_second_untold() -> None:
    follower = _followed(TWO, _track(TWO, TWO.parts[1].start_samples - 5))

    first, second = follower.result(BOTH)
    assert first.complete
    assert second == _disclosure(TWO, 1, end_samples=None, complete=False)


def test_a_track_that_ends_in_the_middle_of_the_announcement_is_not_complete() -> None:
    heard = ONE.parts[0].end_samples - 700

    follower = _followed(ONE, _track(ONE, heard, after=0))

    assert follower.result(BOTH) == (_disclosure(ONE, 0, end_samples=BEGIN + heard, complete=False),)


def test_a_hang_up_right_behind_the_last_word_comes_too_late_to_spoil_it() -> None:
    follower = _followed(ONE, _track(ONE, ONE.parts[0].end_samples, after=0))

    assert follower.complete
    assert follower.result(BOTH)[0].complete


def test_what_differs_from_the_announcement_ends_what_was_heard_for_good() -> None:
    track = _track(ONE)
    disturbed = BEGIN + ONE.parts[0].start_samples + 1234
    track[disturbed] += 1

    follower = _followed(ONE, track)

    assert follower.result(BOTH) == (_disclosure(ONE, 0, end_samples=disturbed, complete=False),)


def test_silence_and_foreign_sound_are_no_announcement() -> None:
    silent = _followed(ONE, np.zeros(20_000, np.int16))
    foreign = _followed(ONE, np.full(20_000, 77, np.int16))

    for follower in (silent, foreign):
        assert not follower.heard_anything
        assert not follower.complete
        assert follower.result(BOTH) == (_disclosure(ONE, 0, end_samples=None, complete=False),)


def test_an_announcement_behind_foreign_sound_is_not_believed_however_the_track_comes() -> None:
    track = _track(ONE)
    track[100] = 77

    for sizes in ([], [101], [5000]):
        assert not _followed(ONE, track, sizes).heard_anything


def test_a_recording_that_begins_with_the_announcement_places_it_at_its_beginning() -> None:
    (found,) = _followed(ONE, ONE.samples).result(BOTH)

    assert found.start_samples == ONE.parts[0].start_samples
    assert found.complete


def test_only_those_who_were_connected_have_heard_it() -> None:
    follower = _followed(ONE, _track(ONE))

    (found,) = follower.result(("agent",))

    assert found.complete
    assert found.heard_by == ("agent",)


def test_a_voice_that_begins_with_silence_is_placed_where_its_file_begins() -> None:
    samples = np.concatenate([np.zeros(160, np.int16), KNOWN["zh"].samples])
    late = Announcement(name="late", language="x", sha256="", samples=samples)
    programme = prepare(["late"], {"late": late}, RATE_HZ)

    (found,) = _followed(programme, _track(programme)).result(())

    assert found.start_samples == BEGIN + programme.parts[0].start_samples
    assert found.complete


@given(st.lists(st.integers(0, 3000), max_size=12), st.integers(0, TWO.samples.size))
def test_it_does_not_matter_in_which_pieces_the_track_comes(sizes: list[int], heard: int) -> None:
    track = _track(TWO, heard)

    whole, pieces = _followed(TWO, track), _followed(TWO, track, sizes)

    assert pieces.result(("customer",)) == whole.result(("customer",))
    assert pieces.complete is whole.complete is (heard >= TWO.parts[-1].end_samples)
