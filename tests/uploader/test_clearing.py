"""Clearing: a local copy goes only when every store's custodian vouches for it and its days are over."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from callseal.seal.durable import Step
from callseal.seal.errors import ManifestError, SpoolError
from callseal.seal.manifest import MANIFEST_NAME
from callseal.seal.removal import UPLOADER
from callseal.seal.spool import Bundle, Spool
from callseal.uploader.clearing import (
    Copy,
    CustodianTime,
    Receipted,
    Verdict,
    clear,
    finish,
    gone,
    look,
    verdict,
)
from support.killed_child import killed_at
from support.sealed_recordings import (
    check_folder,
    make_ready,
    organisation,
    recording_id,
    rewrite_manifest,
)

OWNER = organisation()
DAY = timedelta(days=1)
READY_AT = datetime(2026, 11, 22, 0, 0, 30, tzinfo=UTC)
RECEIVED_AT = READY_AT + timedelta(minutes=5)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    found = Spool.create(tmp_path / "spool")
    with found.lock(), found.lock(UPLOADER):
        yield found


@pytest.fixture
def bundle(spool: Spool) -> Bundle:
    return make_ready(spool, OWNER)


@pytest.fixture
def copy(bundle: Bundle) -> Copy:
    """Return a copy that is meant for two stores."""
    found = look(bundle)
    return replace(found, manifest=replace(found.manifest, stores=("near", "far")), ready_at=READY_AT)


def receipts(copy: Copy, *stores: str, received_at: datetime = RECEIVED_AT) -> dict[str, Receipted]:
    return {store: Receipted(received_at=received_at, manifest=copy.sha256) for store in stores}


def for_bundle(bundle: Bundle, received_at: datetime = RECEIVED_AT) -> dict[str, Receipted]:
    return receipts(look(bundle), "primary", received_at=received_at)


def judged(
    copy: Copy, found: Mapping[str, Receipted], *, keep_days: float = 0.0, now: datetime | None = None
) -> Verdict:
    return verdict(copy, found, keep_days=keep_days, now=now)


def test_a_copy_goes_when_all_stores_of_its_manifest_have_receipts(copy: Copy) -> None:
    assert judged(copy, receipts(copy, "near", "far")) is Verdict.DUE


@pytest.mark.parametrize("stores", [(), ("near",), ("far",), ("near", "another")])
def test_a_copy_stays_while_any_store_lacks_a_receipt(copy: Copy, stores: tuple[str, ...]) -> None:
    assert judged(copy, receipts(copy, *stores), now=RECEIVED_AT + 4000 * DAY) is Verdict.NO_RECEIPT


def test_a_store_that_the_settings_do_not_name_any_more_keeps_its_copies_for_ever(copy: Copy) -> None:
    """What counts is the manifest, which was signed when the call ended."""
    found = judged(copy, receipts(copy, "near", "new"), now=RECEIVED_AT + 4000 * DAY)

    assert found is Verdict.NO_RECEIPT


def test_a_recording_that_is_meant_for_no_store_is_never_deleted(copy: Copy) -> None:
    alone = replace(copy, manifest=replace(copy.manifest, stores=()))

    assert judged(alone, {}, now=RECEIVED_AT + 4000 * DAY) is Verdict.NO_STORE
    assert judged(alone, receipts(copy, "near"), now=RECEIVED_AT + 4000 * DAY) is Verdict.NO_STORE


def test_receipts_on_another_manifest_than_the_one_that_lies_here_count_for_nothing(copy: Copy) -> None:
    found = receipts(copy, "near", "far")
    found["far"] = replace(found["far"], manifest=bytes(32))

    assert judged(copy, found) is Verdict.OTHER_MANIFEST


def test_what_nobody_vouched_for_keeps_the_whole_folder(copy: Copy) -> None:
    more = replace(copy, names=copy.names | {"add-1.json"})

    assert judged(more, receipts(copy, "near", "far")) is Verdict.SURPLUS


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (timedelta(), Verdict.KEPT),
        (7 * DAY - timedelta(milliseconds=1), Verdict.KEPT),
        (7 * DAY, Verdict.DUE),
        (-400 * DAY, Verdict.KEPT),
    ],
)
def test_a_copy_stays_for_its_days_from_the_last_receipt_on(
    copy: Copy, after: timedelta, expected: Verdict
) -> None:
    found = receipts(copy, "near") | receipts(copy, "far", received_at=RECEIVED_AT + DAY)

    assert judged(copy, found, keep_days=7, now=RECEIVED_AT + DAY + after) is expected


def test_days_are_counted_from_when_it_became_ready_if_that_was_later(copy: Copy) -> None:
    late = replace(copy, ready_at=RECEIVED_AT + 3 * DAY)

    found = judged(late, receipts(copy, "near", "far"), keep_days=7, now=RECEIVED_AT + 9 * DAY)

    assert found is Verdict.KEPT


def test_a_part_of_a_day_counts_and_no_days_ask_no_clock(copy: Copy) -> None:
    found = receipts(copy, "near", "far")

    assert judged(copy, found, keep_days=0.5, now=RECEIVED_AT + DAY / 2) is Verdict.DUE
    assert judged(copy, found, keep_days=0.5, now=RECEIVED_AT + DAY / 3) is Verdict.KEPT
    assert judged(copy, found, keep_days=0.0, now=None) is Verdict.DUE


def test_without_any_time_to_trust_a_copy_that_has_days_stays(copy: Copy) -> None:
    assert judged(copy, receipts(copy, "near", "far"), keep_days=0.01, now=None) is Verdict.KEPT


@pytest.mark.parametrize("at", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_times_at_the_ends_of_the_calendar_clear_nothing_early(copy: Copy, at: datetime) -> None:
    odd = replace(copy, ready_at=at)

    found = judged(odd, receipts(copy, "near", "far"), keep_days=3650, now=RECEIVED_AT + DAY)

    assert found is Verdict.KEPT


@dataclass(slots=True)
class Clock:
    """A clock that never goes back."""

    elapsed_s: float = 0.0

    def __call__(self) -> float:
        return self.elapsed_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_clock_that_is_set_forward_by_years_makes_no_copy_older(clock: Clock) -> None:
    surely = CustodianTime(clock=clock)
    surely.learn(RECEIVED_AT)
    clock.elapsed_s = 3600

    found = surely.at_most(RECEIVED_AT + 3650 * DAY)

    assert found == RECEIVED_AT + timedelta(hours=1)


def test_a_clock_that_is_right_is_believed_up_to_what_surely_went_by(clock: Clock) -> None:
    surely = CustodianTime(clock=clock)
    surely.learn(RECEIVED_AT)
    clock.elapsed_s = 8 * DAY.total_seconds()

    assert surely.at_most(RECEIVED_AT + 7 * DAY) == RECEIVED_AT + 7 * DAY


def test_a_clock_that_was_set_back_keeps_copies_longer(clock: Clock) -> None:
    surely = CustodianTime(clock=clock)
    surely.learn(RECEIVED_AT)

    assert surely.at_most(RECEIVED_AT - 400 * DAY) == RECEIVED_AT - 400 * DAY


def test_each_newer_receipt_moves_the_time_on_and_an_older_one_never_back(clock: Clock) -> None:
    surely = CustodianTime(clock=clock)
    surely.learn(RECEIVED_AT)
    surely.learn(RECEIVED_AT + 30 * DAY)
    surely.learn(RECEIVED_AT + 2 * DAY)

    assert surely.at_most(RECEIVED_AT + 3650 * DAY) == RECEIVED_AT + 30 * DAY


def test_a_receipt_that_comes_late_does_not_take_back_what_went_by_since_the_last(clock: Clock) -> None:
    surely = CustodianTime(clock=clock)
    surely.learn(RECEIVED_AT)
    clock.elapsed_s = DAY.total_seconds()
    surely.learn(RECEIVED_AT + timedelta(hours=2))

    assert surely.at_most(RECEIVED_AT + 3650 * DAY) == RECEIVED_AT + DAY


def test_before_the_first_receipt_no_time_is_sure(clock: Clock) -> None:
    assert CustodianTime(clock=clock).at_most(RECEIVED_AT) is None


def test_the_end_of_the_calendar_is_a_time_like_any_other(clock: Clock) -> None:
    surely = CustodianTime(clock=clock)
    surely.learn(datetime.max.replace(tzinfo=UTC))
    clock.elapsed_s = 1e12

    assert surely.at_most(RECEIVED_AT) == RECEIVED_AT


def test_a_copy_that_is_due_is_gone_and_no_other(spool: Spool, bundle: Bundle) -> None:
    make_ready(spool, OWNER, 1)

    found = clear(spool, bundle, for_bundle(bundle), keep_days=0, now=None)

    assert found is Verdict.DUE
    assert [one.id for one in spool.ready()] == [recording_id(1)]
    assert list(spool.removing_path.iterdir()) == []


def test_a_copy_that_is_not_due_stays_whole(spool: Spool, bundle: Bundle) -> None:
    found = clear(spool, bundle, {}, keep_days=0, now=None)

    assert found is Verdict.NO_RECEIPT
    check_folder(bundle.path, OWNER)


def test_a_copy_whose_manifest_changed_since_its_receipt_stays(spool: Spool, bundle: Bundle) -> None:
    """Also where its new manifest is signed by the device: the receipt was on another one."""
    before = for_bundle(bundle)
    rewrite_manifest(bundle.path, OWNER, look(bundle).manifest, site="elsewhere")

    found = clear(spool, bundle, before, keep_days=0, now=None)

    assert found is Verdict.OTHER_MANIFEST
    check_folder(bundle.path, OWNER)


def test_a_manifest_whose_stores_were_made_fewer_lets_nothing_go(spool: Spool, bundle: Bundle) -> None:
    rewrite_manifest(bundle.path, OWNER, look(bundle).manifest, stores=("primary", "far"))
    before = for_bundle(bundle)
    rewrite_manifest(bundle.path, OWNER, look(bundle).manifest, stores=("primary",))

    assert clear(spool, bundle, before, keep_days=0, now=None) is Verdict.OTHER_MANIFEST


def test_what_somebody_laid_into_a_recordings_folder_is_not_deleted_with_it(
    spool: Spool, bundle: Bundle
) -> None:
    (bundle.path / "notes.txt").write_bytes(b"look at this")

    assert clear(spool, bundle, for_bundle(bundle), keep_days=0, now=None) is Verdict.SURPLUS
    assert (bundle.path / "notes.txt").read_bytes() == b"look at this"


@pytest.mark.parametrize("damage", [b"", b"{}", b"\x00" * 100])
def test_what_is_no_recording_is_not_deleted(spool: Spool, bundle: Bundle, damage: bytes) -> None:
    found = for_bundle(bundle)
    (bundle.path / MANIFEST_NAME).write_bytes(damage)

    with pytest.raises(ManifestError):
        clear(spool, bundle, found, keep_days=0, now=None)

    assert len(list(bundle.path.iterdir())) == 4


def test_the_manifest_of_another_recording_lets_nothing_go(spool: Spool, bundle: Bundle) -> None:
    other = make_ready(spool, OWNER, 1)
    (bundle.path / MANIFEST_NAME).write_bytes(other.manifest_bytes())

    with pytest.raises(ManifestError, match="another recording"):
        clear(spool, bundle, for_bundle(other), keep_days=0, now=None)


def test_a_recording_that_left_meanwhile_is_told(spool: Spool, bundle: Bundle) -> None:
    found = for_bundle(bundle)
    clear(spool, bundle, found, keep_days=0, now=None)

    with pytest.raises(SpoolError, match=str(bundle.id)):
        clear(spool, bundle, found, keep_days=0, now=None)


def test_when_it_became_ready_is_read_from_the_disk(bundle: Bundle) -> None:
    assert look(bundle).ready_at == datetime.fromtimestamp(bundle.path.stat().st_mtime, UTC)


def test_wherever_clearing_is_killed_the_copy_is_whole_or_gone_and_the_next_start_carries_on(
    tmp_path: Path,
) -> None:
    number, killed, whole = 0, True, set()
    while killed:
        spool = Spool.create(tmp_path / str(number))
        with spool.lock():
            bundle = make_ready(spool, OWNER)
        found = for_bundle(bundle)

        def work(step: Step, bundle: Bundle = bundle, root: Path = spool.root) -> None:
            again = Spool.existing(root)
            with again.lock(UPLOADER):
                clear(again, bundle, for_bundle(bundle), keep_days=0, now=None, step=step)

        killed = killed_at(number, work)

        with spool.lock(UPLOADER):
            finish(spool)
            left = list(spool.ready())
            whole.add(bool(left))
            for one in left:
                check_folder(one.path, OWNER)
                assert clear(spool, one, found, keep_days=0, now=None) is Verdict.DUE
            assert gone(spool, [bundle.id]) == [bundle.id]
        assert list(spool.removing_path.iterdir()) == []
        number += 1

    assert number > 8
    assert whole == {True, False}


def test_rows_of_recordings_that_are_not_here_any_more_are_found(spool: Spool, bundle: Bundle) -> None:
    known = [recording_id(5), bundle.id, recording_id(6)]

    assert gone(spool, known) == [recording_id(5), recording_id(6)]


def test_a_spool_that_can_not_be_read_drops_no_rows(spool: Spool, bundle: Bundle) -> None:
    spool.ready_path.rename(spool.root / "away")

    with pytest.raises(SpoolError):
        gone(spool, [bundle.id])
