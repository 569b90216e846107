"""What an answer means: nothing counts as stored on hope, and nothing that is ours is blamed on others."""

import itertools

import pytest

from callseal.store import errors
from callseal.store.errors import (
    NameTaken,
    SourceAltered,
    StoreDenied,
    StoreError,
    StoreMissing,
    StoreRefused,
    StoreUnreachable,
    UploadGone,
)
from callseal.uploader.outcome import TABLE, Event, RowState, Sign, event_of, verdict


def test_the_table_answers_everything() -> None:
    assert set(TABLE) == set(itertools.product(Event, (False, True)))


@pytest.mark.parametrize(
    ("problem", "ending", "event"),
    [
        (UploadGone(""), False, Event.PART_GONE),
        (UploadGone(""), True, Event.END_GONE),
        (StoreUnreachable(""), True, Event.UNREACHABLE),
        (NameTaken(""), True, Event.TAKEN),
        (StoreDenied(""), False, Event.DENIED),
        (StoreRefused(""), False, Event.REFUSED),
        (SourceAltered(""), False, Event.ALTERED),
        (StoreMissing(""), False, Event.REFUSED),
    ],
)
def test_each_error_of_a_store_is_one_event(problem: StoreError, *, ending: bool, event: Event) -> None:
    assert event_of(problem, ending=ending) is event


def test_no_error_of_a_store_is_forgotten() -> None:
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, StoreError)]

    assert {event_of(kind(""), ending=True) for kind in kinds} == set(Event) - {Event.STORED, Event.PART_GONE}


def test_a_name_that_is_taken_is_ours_only_after_an_attempt_of_ours() -> None:
    assert verdict(Event.TAKEN, attempted=True).state is RowState.STORED
    assert verdict(Event.TAKEN, attempted=False).state is RowState.DOUBT


def test_only_the_store_itself_makes_a_thing_stored() -> None:
    stored = {key for key, found in TABLE.items() if found.state is RowState.STORED}

    assert stored == {(Event.STORED, False), (Event.STORED, True), (Event.TAKEN, True)}


def test_an_undertaking_that_is_gone_before_its_end_was_tried_is_begun_again() -> None:
    found = verdict(Event.END_GONE, attempted=False)

    assert (found.state, found.restart, found.unchanged) == (RowState.WAITING, True, True)


def test_an_undertaking_that_is_gone_after_its_end_was_tried_is_in_doubt() -> None:
    assert verdict(Event.END_GONE, attempted=True).state is RowState.DOUBT


def test_a_lost_answer_is_never_taken_for_a_no() -> None:
    assert not verdict(Event.UNREACHABLE, attempted=False).unchanged


def test_a_lost_answer_keeps_the_parts_that_arrived() -> None:
    assert not verdict(Event.UNREACHABLE, attempted=False).restart


def test_a_denied_account_blames_no_object() -> None:
    found = verdict(Event.DENIED, attempted=False)

    assert (found.state, found.sign) == (RowState.WAITING, Sign.DENIED)


def test_a_refused_object_blames_no_site() -> None:
    found = verdict(Event.REFUSED, attempted=False)

    assert (found.state, found.sign) == (RowState.REFUSED, Sign.REACHED)
