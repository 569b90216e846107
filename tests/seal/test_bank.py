"""The bank: one sync for all files of a file system, and an error that says whose."""

from pathlib import Path

import pytest

from callseal.seal.bank import Bank
from callseal.seal.errors import SpoolError


def test_syncing_is_announced_and_may_be_done_again(tmp_path: Path) -> None:
    steps: list[str] = []
    bank = Bank(tmp_path, step=steps.append)
    (tmp_path / "file").write_bytes(b"x")

    bank.sync()
    bank.sync()
    bank.close()

    assert steps == ["sync bank", "sync bank"]


def test_a_folder_that_is_not_there_is_the_disks_error(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="gone"):
        Bank(tmp_path / "gone")


def test_a_sync_that_fails_says_which_folder(tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    bank.close()

    with pytest.raises(SpoolError, match=tmp_path.name) as failed:
        bank.sync()

    assert not failed.value.full
