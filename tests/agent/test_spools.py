"""Which spool takes a recording: the first that is trusted and has room."""

import errno
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from callseal.agent.spools import Spools, take
from callseal.seal.disk import Disk
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


HUNDRED_GIB = 100 << 30


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> dict[str, int | None]:
    """Say how many percent of each spool's disk are used, by its name; None: it does not answer."""
    percent: dict[str, int | None] = {"first": 0, "second": 0}

    def of(folder: Path) -> Disk:
        share = percent[folder.name]
        if share is None:
            raise SpoolError(f"{folder}: no answer")
        used_bytes = HUNDRED_GIB * share // 100
        return Disk(used_bytes=used_bytes, free_bytes=HUNDRED_GIB - used_bytes)

    monkeypatch.setattr(Disk, "of", of)
    return percent


@pytest.fixture
def limited(tmp_path: Path, alarms: dict[str, str]) -> Spools:
    return Spools(
        [Spool(tmp_path / "first"), Spool(tmp_path / "second")],
        min_free_bytes=HUNDRED_GIB // 100,
        warn_percent=80,
        full_percent=95,
        alarm=alarms.__setitem__,
        clear=lambda code: alarms.pop(code, None),
    )


def names(spools: Spools, *, other_than: Spool | None = None, with_sound: bool = True) -> list[str]:
    return [spool.root.name for spool in spools.usable(other_than=other_than, with_sound=with_sound)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """How full two disks are, which of them take recordings then, and which alarms stand."""

    first: int | None
    second: int | None
    takes: list[str]
    alarms: frozenset[str]


@pytest.mark.parametrize(
    "filled",
    [
        Filled(first=80, second=0, takes=["first", "second"], alarms=frozenset()),
        Filled(first=81, second=0, takes=["first", "second"], alarms=frozenset({"spool-filling"})),
        Filled(first=95, second=0, takes=["first", "second"], alarms=frozenset({"spool-filling"})),
        Filled(
            first=96, second=0, takes=["second"], alarms=frozenset({"spool-filling", "second-spool-used"})
        ),
        Filled(first=0, second=96, takes=["first"], alarms=frozenset({"spool-filling"})),
        Filled(first=None, second=0, takes=["second"], alarms=frozenset({"second-spool-used"})),
        Filled(first=None, second=None, takes=[], alarms=frozenset()),
    ],
)
def test_a_disk_is_warned_of_above_one_limit_and_takes_no_recording_above_the_other(
    limited: Spools, used: dict[str, int | None], alarms: dict[str, str], filled: Filled
) -> None:
    used.update(first=filled.first, second=filled.second)

    reason = limited.why_not()

    assert names(limited) == filled.takes
    assert reason == (None if filled.takes else "spool-full")
    assert set(alarms) == filled.alarms


def test_disks_that_count_as_full_are_full_and_take_what_has_no_sound(
    limited: Spools, used: dict[str, int | None]
) -> None:
    used.update(first=96, second=97)

    reason = limited.why_not()

    assert reason == "spool-full"
    assert names(limited) == []
    assert names(limited, with_sound=False) == ["first", "second"]


def test_the_alarm_names_the_folder_and_the_share_and_ends_when_there_is_room_again(
    limited: Spools, used: dict[str, int | None], alarms: dict[str, str]
) -> None:
    used.update(first=83)
    limited.why_not()
    words = alarms["spool-filling"]

    used.update(first=79)
    limited.why_not()

    assert f"{limited.first.root}: 83 %" in words
    assert "95 %" in words
    assert alarms == {}


@pytest.mark.parametrize(("second", "goes"), [(96, ["second"]), (99, ["second"]), (100, [])])
def test_a_running_call_leaves_a_broken_disk_for_one_on_which_none_may_begin(
    limited: Spools, used: dict[str, int | None], second: int, goes: list[str]
) -> None:
    """Only what is kept free for the traces of calls is not taken by it."""
    used.update(first=50, second=second)

    found = names(limited, other_than=limited.first)

    assert found == goes


def test_without_limits_in_percent_only_the_room_counts(
    spools: Spools, used: dict[str, int | None], alarms: dict[str, str]
) -> None:
    used.update(first=100, second=100)

    assert spools.why_not() is None
    assert names(spools) == ["first", "second"]
    assert alarms == {}
