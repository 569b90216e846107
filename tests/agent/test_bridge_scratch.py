"""The folder of a bridge's links: in use it stays, abandoned it goes."""

import tempfile
from pathlib import Path

import pytest

from callseal.agent.sources.bridge.scratch import PREFIX, scratch, sweep


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the system's folder for temporary files one of this test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def abandoned(temporary: Path) -> Path:
    folder = temporary / f"{PREFIX}abandoned"
    folder.mkdir()
    (folder / "lock").touch()
    (folder / "silence.wav").symlink_to("/proc/self/fd/9")
    return folder


def test_a_folder_in_use_is_not_swept_and_goes_when_it_is_left(temporary: Path) -> None:
    with scratch() as folder:
        swept = sweep()

        assert swept == 0
        assert folder.parent == temporary
        assert folder.exists()
    assert not folder.exists()


def test_a_new_agent_removes_what_a_dead_one_left(temporary: Path) -> None:
    left = abandoned(temporary)

    with scratch() as folder:
        assert folder.exists()
        assert not left.exists()


def test_what_is_not_an_agents_folder_stays(temporary: Path) -> None:
    """A link to a folder elsewhere, a file, and a folder without a lock are nobody's leavings."""
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    (temporary / f"{PREFIX}link").symlink_to(elsewhere)
    (temporary / f"{PREFIX}file").touch()
    (temporary / f"{PREFIX}unlocked").mkdir()

    swept = sweep()

    assert swept == 0
    assert (elsewhere / "lock").exists()
    assert (temporary / f"{PREFIX}unlocked").exists()
