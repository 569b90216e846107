"""Which spool takes a recording: the first that is trusted and has room."""

import errno
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from callseal.agent.spools import Spools, take
from callseal.seal.errors import SpoolError
from callseal.seal.spool import Spool, SpoolInUse


def failed(number: int) -> SpoolError:
    """Give the error of a disk that refused."""
    error = SpoolError("a disk refused")
    error.__cause__ = OSError(number, os.strerror(number))
    return error


@pytest.fixture
def alarms() -> dict[str, str]:
    return {}


@pytest.fixture
def spools(tmp_path: Path, alarms: dict[str, str]) -> Spools:
    return Spools(
        [Spool(tmp_path / "first"), Spool(tmp_path / "second")],
        min_free_bytes=0,
        alarm=alarms.__setitem__,
        clear=lambda code: alarms.pop(code, None),
    )


def test_the_first_spool_is_used_while_nothing_speaks_against_it(
    spools: Spools, alarms: dict[str, str]
) -> None:
    assert next(spools.usable()) is spools.first
    assert spools.why_not() is None
    assert alarms == {}


def test_a_spool_whose_disk_failed_is_not_used_again_and_that_is_said(
    spools: Spools, alarms: dict[str, str]
) -> None:
    spools.distrust(spools.first, failed(errno.EIO))

    assert [spool.root.name for spool in spools.usable()] == ["second"]
    assert spools.why_not() is None
    assert set(alarms) == {"spool-failed", "second-spool-used"}


def test_a_spool_that_was_only_full_is_asked_again(spools: Spools, alarms: dict[str, str]) -> None:
    spools.distrust(spools.first, failed(errno.ENOSPC))

    assert next(spools.usable()) is spools.first
    assert alarms == {}


def test_without_any_spool_the_reason_says_whether_it_is_the_disk_or_the_room(tmp_path: Path) -> None:
    too_much = 1 << 60
    full = Spools(
        [Spool(tmp_path / "full")],
        min_free_bytes=too_much,
        alarm=lambda _code, _words: None,
        clear=lambda _code: None,
    )
    broken = Spools(
        [Spool(tmp_path / "broken")],
        min_free_bytes=0,
        alarm=lambda _code, _words: None,
        clear=lambda _code: None,
    )
    broken.distrust(broken.first, failed(errno.EIO))

    assert list(full.usable()) == []
    assert list(full.usable(with_sound=False)) == [full.first]
    assert list(broken.usable(with_sound=False)) == []
    assert full.why_not() == "spool-full"
    assert broken.why_not() == "spool-failed"


@pytest.fixture
def two_folders(tmp_path: Path) -> tuple[Path, Path]:
    first, second = tmp_path / "one", tmp_path / "other"
    for folder in (first, second):
        Spool.create(folder)
    return first, second


def test_a_second_folder_that_can_only_be_read_keeps_no_agent_from_starting(
    two_folders: tuple[Path, Path],
) -> None:
    """Its recordings wait, its ledger is read all the same: what stands there must not be written twice."""
    first, second = two_folders
    (second / "agent.lock").mkdir()  # a lock that nobody can take, not even root

    with ExitStack() as locks:
        found = take([first, second], locks)

        assert [spool.root for spool in found.spools] == [first]
        assert found.ledgers == (first / "ledger", second / "ledger")
        assert str(second) in found.missing


def test_a_second_folder_that_is_not_there_keeps_no_agent_from_starting(
    two_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    first, _second = two_folders

    with ExitStack() as locks:
        found = take([first, tmp_path / "unmounted"], locks)

        assert [spool.root for spool in found.spools] == [first]
        assert "unmounted" in found.missing


def test_another_agent_in_either_folder_and_a_bad_first_one_are_refused(
    two_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    first, second = two_folders

    with Spool.existing(second).lock(), ExitStack() as locks, pytest.raises(SpoolInUse):
        take([first, second], locks)
    with ExitStack() as locks, pytest.raises(SpoolError, match="not a spool"):
        take([tmp_path / "unmounted", second], locks)
