"""The rule until when a recording is kept, and what it asks of the protection of its objects, as tables."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.archive.term import Periods, Term, look_again_at, periods_of, protection, term_of
from callseal.config.central import Custodian, DirectoryStore, S3Store
from callseal.config.terms import Event, shipped_terms
from callseal.seal.retention import (
    ContractEnd,
    Decision,
    DisputeSettled,
    Hold,
    Release,
    RetentionRecord,
    SetClass,
    State,
    fold,
    record_id,
)
from support.sealed_recordings import organisation, recording_id

TERMS: Final = shipped_terms()
ENDED_AT: Final = datetime(2026, 11, 21, 23, 59, 31, tzinfo=UTC)
NOW: Final = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
DAYS: Final = timedelta(days=1)
PERIODS: Final = Periods(lock=400 * DAYS, renew=60 * DAYS)
END: Final = ContractEnd(day=date(2030, 6, 30))


def state(*decisions: Decision) -> State:
    return fold(
        RetentionRecord(
            record=record_id(NOW + timedelta(minutes=number), bytes(10)),
            id=recording_id(),
            device=organisation().device,
            by="archivist",
            reason="test",
            decision=decision,
        )
        for number, decision in enumerate(decisions)
    )


def kept(manifest_class: str | None, *decisions: Decision) -> Term:
    return term_of(TERMS, state(*decisions), manifest_class=manifest_class, ended_at=ENDED_AT)


@pytest.mark.parametrize(
    ("manifest_class", "decisions", "until", "waits_for"),
    [
        # Contracts: open until their end is known, then so many years after that day.
        ("sales-long", (), None, Event.CONTRACT_END),
        ("sales-long", (END,), "2040-07-01", None),
        ("sales-short", (END,), "2035-07-01", None),
        ("sales", (END,), "2040-07-01", None),
        ("contract-short", (END,), "2035-07-01", None),
        ("unclassified", (), None, Event.CONTRACT_END),
        # What somebody decided counts more than what the device thought.
        ("service", (SetClass(retention_class="sales-short"),), None, Event.CONTRACT_END),
        ("sales", (SetClass(retention_class="sales-short"), END), "2035-07-01", None),
        ("sales", (END, SetClass(retention_class="sales-short")), "2035-07-01", None),
        ("sales", (SetClass(retention_class="service"), END), "2029-11-22", None),
        # The newest counts, also where it is earlier.
        ("sales", (END, ContractEnd(day=date(2028, 6, 30))), "2038-07-01", None),
        # Other calls count from the call.
        ("service", (), "2029-11-22", None),
        ("service", (END,), "2029-11-22", None),
        # Disputes.
        ("dispute", (), None, Event.DISPUTE_SETTLED),
        ("dispute", (END,), None, Event.DISPUTE_SETTLED),
        ("dispute", (DisputeSettled(day=date(2028, 1, 31)),), "2030-02-01", None),
        # A settled dispute makes a term longer and never shorter.
        ("service", (DisputeSettled(day=date(2028, 1, 31)),), "2030-02-01", None),
        ("service", (DisputeSettled(day=date(2026, 12, 1)),), "2029-11-22", None),
        ("sales-short", (END, DisputeSettled(day=date(2034, 1, 1))), "2036-01-02", None),
        ("sales-short", (END, DisputeSettled(day=date(2031, 1, 1))), "2035-07-01", None),
        ("sales-long", (DisputeSettled(day=date(2028, 1, 1)),), None, Event.CONTRACT_END),
        # A class that nobody knows, and none at all: as the longest.
        ("gold", (), None, Event.CONTRACT_END),
        ("gold", (END,), "2040-07-01", None),
        (None, (END,), "2040-07-01", None),
    ],
)
def test_a_term_follows_from_class_and_dates(
    manifest_class: str | None, decisions: tuple[Decision, ...], until: str | None, waits_for: Event | None
) -> None:
    term = kept(manifest_class, *decisions)

    assert (None if term.until is None else term.until.date().isoformat()) == until
    assert term.waits_for is waits_for


def test_a_class_that_is_not_listed_is_told() -> None:
    assert kept("sales").is_listed
    assert not kept("gold").is_listed
    assert not kept(None).is_listed


@pytest.mark.parametrize(
    ("decisions", "locked", "destroyable"),
    [
        ((), "2027-12-26", None),
        ((END,), None, "2040-07-01"),
        ((END,), "2027-12-26", "2040-07-01"),
        ((END,), "2045-01-01", "2045-01-01"),
        ((END, Hold(name="a")), "2027-12-26", None),
        ((END, Hold(name="a"), Release(name="a")), "2027-12-26", "2040-07-01"),
    ],
)
def test_nothing_is_destroyable_before_term_protection_and_holds_are_over(
    decisions: tuple[Decision, ...], locked: str | None, destroyable: str | None
) -> None:
    locked_until = None if locked is None else datetime.fromisoformat(locked).replace(tzinfo=UTC)

    found = kept("sales-long", *decisions).destroyable_from(locked_until)

    assert (None if found is None else found.date().isoformat()) == destroyable


@pytest.mark.parametrize(
    ("decisions", "left_days", "at_once", "wanted_days"),
    [
        # Open: renewed once it is about to end, and for a while.
        ((), 61, False, None),
        ((), 60, False, 400),
        ((), 1, True, 400),
        ((), 61, True, None),
        ((), -5, False, 400),
        ((), None, False, 400),
        ((), 500, True, None),
        # Known: to its end, at once after a decision, else when it is due.
        ((END,), 300, True, "term"),
        ((END,), 300, False, None),
        ((END,), 60, False, "term"),
        ((END,), None, False, "term"),
        ((END,), 9000, True, None),
        # Over: nothing more to protect.
        ((ContractEnd(day=date(1999, 1, 1)),), 300, True, None),
        ((ContractEnd(day=date(1999, 1, 1)),), None, True, None),
    ],
)
def test_a_protection_is_extended_when_the_term_asks_for_it(
    decisions: tuple[Decision, ...],
    left_days: int | None,
    at_once: bool,  # noqa: FBT001 - a column of the table
    wanted_days: int | str | None,
) -> None:
    term = kept("sales-long", *decisions)
    locked_until = None if left_days is None else NOW + left_days * DAYS

    found = protection(term, locked_until=locked_until, now=NOW, periods=PERIODS, at_once=at_once)

    assert found == (
        term.until if wanted_days == "term" else None if wanted_days is None else NOW + wanted_days * DAYS  # type: ignore[operator]
    )


MOMENTS: Final = st.datetimes(
    datetime(2020, 1, 1),  # noqa: DTZ001 - Hypothesis adds the zone
    datetime(2060, 1, 1),  # noqa: DTZ001 - as above
    timezones=st.just(UTC),
)


@given(st.none() | MOMENTS, st.none() | MOMENTS, MOMENTS, st.booleans())
def test_a_protection_is_never_shortened_and_done_again_does_nothing(
    until: datetime | None,
    locked_until: datetime | None,
    now: datetime,
    at_once: bool,  # noqa: FBT001 - Hypothesis fills it
) -> None:
    term = replace(kept("sales-long"), until=until)

    found = protection(term, locked_until=locked_until, now=now, periods=PERIODS, at_once=at_once)

    if found is not None:
        assert found > now
        assert locked_until is None or found > locked_until
        assert found.microsecond == 0
        assert protection(term, locked_until=found, now=now, periods=PERIODS, at_once=at_once) is None


@given(st.none() | MOMENTS, st.none() | MOMENTS, MOMENTS)
def test_who_looks_again_when_told_never_finds_an_open_protection_ended(
    until: datetime | None, locked_until: datetime | None, now: datetime
) -> None:
    term = replace(kept("sales-long"), until=until)

    again = look_again_at(term, locked_until=locked_until, now=now, periods=PERIODS)

    if again is None:
        assert until is not None
        assert until <= now or (locked_until is not None and locked_until >= until)
    else:
        assert again <= (locked_until or now)


def test_a_renewal_is_not_due_again_at_once_where_protections_are_short() -> None:
    periods = Periods(lock=10 * DAYS, renew=60 * DAYS)

    assert periods.window == 5 * DAYS


@pytest.mark.parametrize(("lock", "renew"), [(0, 1), (1, 0), (-1, 1)])
def test_a_protection_lasts(lock: int, renew: int) -> None:
    with pytest.raises(ValueError, match="lasts"):
        Periods(lock=lock * DAYS, renew=renew * DAYS)


def test_the_settings_say_how_a_store_protects() -> None:
    custodian = Custodian(renew_days=30)
    s3 = S3Store.model_validate(
        {"name": "central", "type": "s3", "endpoint": "https://s3.example", "bucket": "recordings"}
    )
    folder = DirectoryStore.model_validate({"name": "folder", "type": "directory", "path": "/srv"})

    assert periods_of(s3, custodian) == Periods(lock=400 * DAYS, renew=30 * DAYS)
    assert periods_of(s3.model_copy(update={"lock": "none"}), custodian) is None
    assert periods_of(folder, custodian) is None
