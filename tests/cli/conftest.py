"""What the tests of the command line share: an office with recordings, and a way to run commands."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.bundle import Archive, make_archive
from support.commands import Commands


@pytest.fixture(scope="session")
def whole_archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Return the archive that tests read and never change."""
    return make_archive(tmp_path_factory.mktemp("office"))


@pytest.fixture
def archive(whole_archive: Archive, tmp_path: Path) -> Archive:
    """Return an archive of the test's own."""
    return whole_archive.copied(tmp_path / "office")


@pytest.fixture
def callseal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Commands]:
    """Return the command line, with a home folder of its own, English, in UTC."""
    home = tmp_path / "home"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield Commands(home, capsys, patch)
    time.tzset()
