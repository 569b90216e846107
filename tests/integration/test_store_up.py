"""The S3 store that stays, for who wants to try things out: `make store-up` and `make store-down`."""

import subprocess
import sys
from pathlib import Path

import pytest

from callseal.config.load import read_settings
from callseal.store.errors import StoreDenied, StoreUnreachable
from callseal.store.names import RECORDINGS
from callseal.store.opening import open_store
from support.seaweed import serving

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("seaweed")]

DEVICE = "dev-abcdefghijkl"
OTHER = "dev-aaaaaaaaaaab"
EMPTY_SHA256 = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
HEAD = 'schema = 1\n[device]\nsite = "bj"\n'


def _store_up(*words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "callseal.cli.demo.store_up", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


def _table(printed: str) -> str:
    """Take the table for the settings out of what was printed."""
    return "[[store]]\n" + printed.partition("\n[[store]]\n")[2].partition("\n\n")[0] + "\n"


def test_it_stays_gives_each_his_rights_and_goes_when_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is printed works as it stands; a second start starts nothing; after the end nobody answers."""
    with serving(tmp_path / "probe"):
        pass  # skipped here where there is no SeaweedFS
    folder = tmp_path / "store"
    try:
        up = _store_up("up", folder, DEVICE)
        again = _store_up("up", folder, DEVICE)
        for line in (folder / "environment").read_text().splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            monkeypatch.setenv(name, value)
        settings = read_settings((HEAD + _table(up.stdout)).encode(), tmp_path / "callseal.toml")
        store = open_store(settings.stores[0])
        store.put(f"{RECORDINGS}{DEVICE}/probe", b"", EMPTY_SHA256)
        with pytest.raises(StoreDenied):
            store.put(f"{RECORDINGS}{OTHER}/probe", b"", EMPTY_SHA256)
        pid = int((folder / "weed.pid").read_text())
    finally:
        down = _store_up("down", folder)

    assert (up.returncode, again.returncode, down.returncode) == (0, 0, 0), up.stderr
    assert "it runs already" in again.stdout
    assert "secret" not in up.stdout.lower()
    with pytest.raises(StoreUnreachable):
        store.put(f"{RECORDINGS}{DEVICE}/other", b"", EMPTY_SHA256)
    assert b"weed" not in _command_line(pid)


def _command_line(pid: int) -> bytes:
    """Give the words of a process that may be gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_words_that_it_does_not_know_are_a_usage_error() -> None:
    ran = _store_up("sideways")

    assert ran.returncode == 2
    assert "store_up up FOLDER" in ran.stderr
