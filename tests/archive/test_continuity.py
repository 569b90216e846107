"""What a custodian knows of ledgers: it reads what is new, and tells what does not go on."""

import hashlib
from pathlib import Path

import pytest

from callseal.archive.continuity import MAX_READ, MOST_UNREACHABLE, Continuity
from callseal.seal.keys import TrustStore
from callseal.seal.verify.ledger import standing
from callseal.store.directory import DirectoryStore
from callseal.store.errors import StoreUnreachable
from callseal.store.names import ledger_name
from support import ledger_watch
from support.kept_ledgers import Writer
from support.ledger_watch import DAY, HOUR, OWNER, Watch, outcome
from support.sealed_recordings import STARTED_AT, organisation
from support.shelf import Desk, Shelf, desk

shelf, watch, honest = ledger_watch.shelf, ledger_watch.watch, ledger_watch.honest


def test_an_honest_device_has_nothing_to_be_told(watch: Watch, honest: Desk) -> None:
    for _round in range(5):
        honest.minutes(3)
        watch.look(honest.now)

    assert watch.continuity.devices() == (OWNER.device,)
    assert watch.continuity.findings(OWNER.device) == ()
    state = watch.continuity.state(OWNER.device)
    assert (state.size, state.newest_at, state.heartbeat_at) == (16, honest.now, honest.now)
    assert (state.open, state.arrived_at, state.software) == (0, honest.now, "callseal/test")


def test_a_recording_finds_its_entries_in_the_ledger_as_soon_as_they_are_here(
    watch: Watch, honest: Desk
) -> None:
    watch.look(honest.now)
    sealed = honest.writer.record()
    honest.writer.publish()
    before = outcome(watch, sealed)
    honest.bring()
    watch.look(honest.now)

    assert before[0] == 15
    assert outcome(watch, sealed) == (0, None)


def test_each_segment_is_read_once(watch: Watch, honest: Desk, shelf: Shelf) -> None:
    honest.minutes(30)
    watch.look(honest.now)
    read = shelf.asked["get"]
    for _round in range(5):
        honest.minutes(1)
        watch.look(honest.now)
    watch.look(honest.now)

    assert shelf.asked["get"] == read + 5


def test_numbers_that_grow_by_a_digit_are_followed(watch: Watch, honest: Desk) -> None:
    for _round in range(22):
        honest.minutes(50)
        watch.look(honest.now)

    assert watch.continuity.state(OWNER.device).size == 1101
    assert watch.wrong() == []


def test_a_recording_that_was_left_open_by_an_agent_that_began_again_is_told(
    watch: Watch, honest: Desk
) -> None:
    honest.writer.record(end=None)
    honest.writer.start()
    honest.writer.publish()
    honest.bring()
    watch.look(honest.now)

    assert watch.wrong() == [("open-without-end", 12)]


def test_a_recording_of_which_nothing_was_told_for_a_day_is_told(watch: Watch, honest: Desk) -> None:
    honest.writer.record(end=None)
    honest.minutes(1)
    watch.look(honest.now)
    running = watch.codes()
    watch.look(honest.now + DAY + HOUR)

    assert running == set()
    assert ("never-ended", 15) in watch.wrong()


def test_a_device_that_no_root_vouches_for_is_told(honest: Desk, shelf: Shelf, tmp_path: Path) -> None:
    stranger = Watch(shelf, tmp_path, TrustStore([organisation("Another").root]))
    stranger.look(honest.now)

    assert stranger.wrong() == [("signer-untrusted", 14)]


def test_a_device_whose_segments_cant_be_read_is_not_checked_and_the_others_are(
    watch: Watch, honest: Desk, shelf: Shelf
) -> None:
    other = desk(shelf, Writer(organisation("Another")))
    shelf.broken = (honest.name(0),)
    watch.look(honest.now)

    assert watch.wrong() == [("not-read", 15)]
    assert watch.continuity.ledger(OWNER.device) is None
    assert watch.continuity.ledger(other.device) is not None


def test_a_segment_that_can_be_read_again_is_taken_in_the_next_round(
    watch: Watch, honest: Desk, shelf: Shelf
) -> None:
    honest.minutes(5)
    shelf.broken = (honest.name(3),)
    watch.look(honest.now)
    shelf.broken = ()
    watch.look(honest.now)

    assert watch.wrong() == []
    assert watch.continuity.state(OWNER.device).size == 6


def test_a_store_that_is_down_ends_the_round_with_its_error(watch: Watch, shelf: Shelf) -> None:
    shelf.down = True

    with pytest.raises(StoreUnreachable):
        watch.look(STARTED_AT)


def test_a_ledger_without_a_certificate_of_its_device_is_not_checked(watch: Watch, shelf: Shelf) -> None:
    writer = Writer(OWNER)
    writer.beat(3)
    writer.publish()
    Desk(writer, shelf).bring()
    watch.look(writer.now)

    assert watch.wrong() == [("not-read", 15)]
    assert watch.continuity.ledger(OWNER.device) is None


def test_a_backlog_that_is_too_long_for_one_round_is_gone_on_with_in_the_next(
    watch: Watch, honest: Desk
) -> None:
    honest.minutes(MAX_READ + 5)
    watch.look(honest.now)
    first = watch.codes()
    watch.look(honest.now)

    assert first == {"not-caught-up"}
    assert watch.wrong() == []
    assert watch.continuity.state(OWNER.device).size == MAX_READ + 6


def test_a_folder_is_watched_as_any_store(tmp_path: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    writer = Writer(OWNER)
    writer.start()
    sealed = writer.record()
    writer.publish()
    for first, data in writer.kept.segments.items():
        store.put(ledger_name(OWNER.device, first), data, hashlib.sha256(data).digest())
    continuity = Continuity(store, "primary", OWNER.trust, tmp_path / "memory", lambda: writer.now)

    continuity.refresh()

    ledger = continuity.ledger(OWNER.device)
    assert standing(sealed.manifest, sealed.sha256, ledger).finding.exit_code == 0


def test_the_round_ends_once_the_store_fails_for_device_after_device(watch: Watch, shelf: Shelf) -> None:
    desks = [desk(shelf, Writer(organisation(f"Example {n}"))) for n in range(MOST_UNREACHABLE + 1)]
    watch.look(desks[0].now)
    for item in desks:
        item.minutes(1)
    shelf.silent = True

    with pytest.raises(StoreUnreachable):
        watch.look(desks[0].now)
