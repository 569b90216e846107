"""A recording leaves the spool whole: wherever its removal is killed, no reader sees half of one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from callseal.seal.durable import Step
from callseal.seal.errors import SpoolError
from callseal.seal.removal import UPLOADER, finish, remove
from callseal.seal.spool import Bundle, Spool
from support.killed_child import killed_at
from support.sealed_recordings import check_folder, make_ready, organisation, recording_id

OWNER = organisation()
FILES = 4


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    found = with_recordings(tmp_path / "spool")
    with found.lock(UPLOADER):
        yield found


def with_recordings(root: Path) -> Spool:
    """Make a spool with two finished recordings."""
    spool = Spool.create(root)
    with spool.lock():
        for number in range(2):
            make_ready(spool, OWNER, number)
    return spool


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def bundle(spool: Spool, number: int = 0) -> Bundle:
    return list(spool.ready())[number]


def test_a_removed_recording_is_gone_and_no_other_is_touched(spool: Spool) -> None:
    remove(spool, bundle(spool))

    (left,) = spool.ready()
    assert left.id == recording_id(1)
    check_folder(left.path, OWNER)
    assert names(spool.removing_path) == []


def test_wherever_the_removal_is_killed_a_recording_is_whole_or_out_of_sight_and_goes_in_the_end(
    tmp_path: Path,
) -> None:
    number, killed, seen = 0, True, set()
    while killed:
        spool = with_recordings(tmp_path / str(number))

        def work(step: Step, spool: Spool = spool) -> None:
            with spool.lock(UPLOADER):
                remove(spool, bundle(spool), step=step)

        killed = killed_at(number, work)

        for ready in spool.ready():
            check_folder(ready.path, OWNER)
        in_sight = len(names(spool.ready_path)) == 2
        with spool.lock(UPLOADER):
            left = finish(spool)
            if in_sight:
                remove(spool, bundle(spool))
        seen.add((in_sight, bool(left)))
        assert names(spool.ready_path) == [str(recording_id(1))]
        assert names(spool.removing_path) == []
        number += 1

    assert number == FILES + 6
    assert seen == {(True, False), (False, True), (False, False)}


def test_finishing_may_be_killed_at_any_point_and_done_again(tmp_path: Path) -> None:
    number, killed = 0, True
    while killed:
        spool = with_recordings(tmp_path / str(number))
        for one in list(spool.ready()):
            one.path.rename(spool.removing_path / str(one.id))

        def work(step: Step, spool: Spool = spool) -> None:
            with spool.lock(UPLOADER):
                finish(spool, step=step)

        killed = killed_at(number, work)

        with spool.lock(UPLOADER):
            finish(spool)
        assert names(spool.removing_path) == []
        number += 1

    assert number == 1 + 2 * (FILES + 3) + 1


def test_finishing_says_what_it_deleted_and_has_nothing_to_do_the_second_time(spool: Spool) -> None:
    one = bundle(spool)
    one.path.rename(spool.removing_path / str(one.id))

    assert finish(spool) == [one.id]
    assert finish(spool) == []


def test_what_lies_among_the_removed_and_is_no_recording_is_left_alone(spool: Spool) -> None:
    (spool.removing_path / "notes").mkdir()

    finish(spool)

    assert names(spool.removing_path) == ["notes"]


def test_one_that_can_not_be_deleted_is_told_and_keeps_no_other(spool: Spool) -> None:
    stuck, other = (spool.removing_path / str(bundle(spool, number).id) for number in range(2))
    for one in (stuck, other):
        (spool.ready_path / one.name).rename(one)
    (stuck / "folder").mkdir()

    with pytest.raises(SpoolError, match=stuck.name):
        finish(spool)

    assert names(spool.removing_path) == [stuck.name]


def test_nothing_is_removed_without_the_uploaders_lock(tmp_path: Path) -> None:
    spool = with_recordings(tmp_path / "spool")

    with spool.lock():
        with pytest.raises(SpoolError, match="lock"):
            remove(spool, bundle(spool))
        with pytest.raises(SpoolError, match="lock"):
            finish(spool)

    assert len(names(spool.ready_path)) == 2


def test_a_recording_that_is_not_there_is_told_and_nothing_else_goes(spool: Spool) -> None:
    missing = Bundle(id=recording_id(7), path=spool.ready_path / str(recording_id(7)))

    with pytest.raises(SpoolError, match=str(missing.id)):
        remove(spool, missing)

    assert len(names(spool.ready_path)) == 2


def test_only_what_lies_in_ready_is_ever_removed(spool: Spool, tmp_path: Path) -> None:
    """Whatever folder a bundle names: what is moved is that of its id in this spool."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_bytes(b"kept")

    remove(spool, Bundle(id=recording_id(0), path=elsewhere))

    assert (elsewhere / "kept").read_bytes() == b"kept"
    assert names(spool.ready_path) == [str(recording_id(1))]


def test_an_id_that_is_being_removed_is_not_used_again(spool: Spool) -> None:
    (spool.removing_path / str(recording_id(3))).mkdir()

    with spool.lock(), pytest.raises(SpoolError, match=str(recording_id(3))):
        spool.begin(recording_id(3))


def test_what_a_link_leads_to_is_never_deleted(spool: Spool, tmp_path: Path) -> None:
    """A recording that somebody moved elsewhere, and left a link to, is whole there and stays so."""
    one, elsewhere = bundle(spool), tmp_path / "elsewhere"
    one.path.rename(elsewhere)
    one.path.symlink_to(elsewhere)
    before = names(elsewhere)

    with pytest.raises(SpoolError, match="link"):
        remove(spool, one)
    one.path.rename(spool.removing_path / one.path.name)
    finish(spool)

    assert names(elsewhere) == before != []
    assert names(spool.removing_path) == []
