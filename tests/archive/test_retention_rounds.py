"""Many recordings, round by round: what is due does not wait, and what takes too long is told."""

from collections.abc import Iterable
from uuid import UUID

import pytest

from callseal.archive.retention import SURVEY_EVERY, Outcome
from support import protected_central
from support.protected_central import DAYS, DUE, NOW, Central
from support.received import receive

central = protected_central.central


def test_a_first_survey_of_many_recordings_is_spread_over_rounds(
    central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callseal.archive.retention.LOOKS_A_ROUND", 4)
    receipts = [receive(central.store, number)[0] for number in range(10)]
    retention = central.retention()
    central.at(DUE)
    rounds = [_recordings(retention.renew(DUE)) for _round in range(6)]

    assert max(len(one) for one in rounds) <= 4
    assert set().union(*rounds) == {one.id for one in receipts}
    assert central.recordings.surveyed_at == DUE.replace(microsecond=DUE.microsecond // 1000 * 1000)


def test_what_is_due_does_not_wait_for_a_long_survey(
    central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = receive(central.store)[0]
    list(central.retention().renew(central.at(NOW)))
    for number in range(1, 20):
        receive(central.store, number)
    monkeypatch.setattr("callseal.archive.retention.LOOKS_A_ROUND", 4)

    first = _recordings(central.retention().renew(central.at(DUE)))

    assert known.id in first
    assert len(first) == 4


def test_a_survey_that_only_passes_over_names_is_bounded_too(
    central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        receive(central.store, number)
    list(central.retention().renew(central.at(NOW)))
    monkeypatch.setattr("callseal.archive.retention.NAMES_A_ROUND", 2)
    retention = central.retention()
    later = central.at(NOW + 2 * SURVEY_EVERY)
    surveyed = []

    for _round in range(5):
        surveyed.append(central.recordings.surveyed_at)
        assert list(retention.renew(later)) == []

    assert surveyed[1:4] == [surveyed[0]] * 3
    assert central.recordings.surveyed_at != surveyed[0]


def test_that_recordings_are_renewed_too_slowly_is_told(
    central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        receive(central.store, number)
    list(central.retention().renew(central.at(NOW)))
    monkeypatch.setattr("callseal.archive.retention.LOOKS_A_ROUND", 4)
    late = NOW + 380 * DAYS
    retention = central.retention()

    told = [list(retention.renew(central.at(late)))[-1].outcome for _round in range(2)]
    done = list(retention.renew(late))

    assert told == [Outcome.LATE] * 2
    assert {one.outcome for one in done} == {Outcome.EXTENDED}


def _recordings(renewals: Iterable[object]) -> set[UUID]:
    ids = {getattr(one, "recording", None) for one in renewals}
    return {one for one in ids if isinstance(one, UUID)}
