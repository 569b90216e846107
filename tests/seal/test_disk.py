"""How full a disk is: as an ordinary account may use it, and as df tells."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from callseal.seal.disk import Disk
from callseal.seal.errors import SpoolError

GIB = 1 << 30
DISK = Disk(used_bytes=80 * GIB, free_bytes=20 * GIB)


def test_the_share_that_is_used_is_what_df_says(tmp_path: Path) -> None:
    ran = subprocess.run(["df", "--output=pcent", tmp_path], capture_output=True, text=True, check=True)

    found = Disk.of(tmp_path)

    assert abs(found.used_percent - int(ran.stdout.split()[1].rstrip("%"))) <= 1  # it may fill meanwhile


def test_what_is_free_is_what_an_ordinary_account_may_write(tmp_path: Path) -> None:
    figures = os.statvfs(tmp_path)

    found = Disk.of(tmp_path)

    assert abs(found.free_bytes - figures.f_bavail * figures.f_frsize) < GIB


def test_a_disk_that_does_not_answer_is_an_error_with_the_folders_name(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="nothing"):
        Disk.of(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("used", "free", "percent"),
    [(0, 10, 0), (1, 999, 1), (80, 20, 80), (801, 199, 81), (10, 0, 100), (0, 0, 100)],
)
def test_a_share_is_rounded_up_so_that_a_full_disk_is_never_said_to_have_room(
    used: int, free: int, percent: int
) -> None:
    assert Disk(used_bytes=used, free_bytes=free).used_percent == percent


def test_fuller_than_a_share_begins_with_the_first_byte_above_it() -> None:
    assert not DISK.is_fuller_than(80)
    assert replace(DISK, used_bytes=DISK.used_bytes + 1, free_bytes=DISK.free_bytes - 1).is_fuller_than(80)
    assert not Disk(used_bytes=GIB, free_bytes=0).is_fuller_than(100)


def test_the_room_that_is_left_ends_at_whichever_limit_comes_first() -> None:
    assert DISK.room_bytes(full_percent=95, min_free_bytes=0) == 15 * GIB
    assert DISK.room_bytes(full_percent=100, min_free_bytes=8 * GIB) == 12 * GIB
    assert DISK.room_bytes(full_percent=95, min_free_bytes=8 * GIB) == 12 * GIB
    assert DISK.room_bytes(full_percent=70, min_free_bytes=0) == 0
    assert DISK.room_bytes(full_percent=100, min_free_bytes=30 * GIB) == 0
