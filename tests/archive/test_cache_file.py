"""What the custodian remembers in files: for its account alone, and begun anew where it is of no use."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from callseal.archive.cache_file import CacheFile
from callseal.archive.errors import ScratchFailed

SCHEMA = "CREATE TABLE IF NOT EXISTS thing (name TEXT PRIMARY KEY);"


def _open(path: Path, version: int = 1) -> CacheFile:
    return CacheFile(path, version=version, schema=SCHEMA)


def _add(cache: CacheFile, name: str) -> None:
    with cache.use() as database:
        database.execute("INSERT INTO thing VALUES (?)", (name,))


def _names(cache: CacheFile) -> list[str]:
    with cache.use() as database:
        return [row[0] for row in database.execute("SELECT name FROM thing ORDER BY name")]


def test_nobody_else_can_read_it_whatever_the_folder_allows(tmp_path: Path) -> None:
    """Which recordings are kept how long is nobody's business, and folders are made by people too."""
    tmp_path.chmod(0o755)

    with closing(_open(tmp_path / "cache.sqlite3")) as cache:
        _add(cache, "one")

        modes = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.iterdir()}

    assert set(modes) >= {"cache.sqlite3", "cache.sqlite3-wal"}
    assert set(modes.values()) == {0}


def test_what_was_noted_is_there_the_next_time(tmp_path: Path) -> None:
    with closing(_open(tmp_path / "cache.sqlite3")) as cache:
        _add(cache, "one")

    with closing(_open(tmp_path / "cache.sqlite3")) as again:
        assert _names(again) == ["one"]


def test_a_change_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    with closing(_open(tmp_path / "cache.sqlite3")) as cache:
        _add(cache, "one")

        with pytest.raises(ScratchFailed), cache.use() as database:
            database.executemany("INSERT INTO thing VALUES (?)", [("two",), ("one",)])

        assert _names(cache) == ["one"]


@pytest.mark.parametrize("damage", ["garbage", "another version"])
def test_one_that_is_of_no_use_is_begun_anew(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "cache.sqlite3"
    with closing(_open(path, version=2)) as cache:
        _add(cache, "one")
    if damage == "garbage":
        path.write_bytes(b"\xff" * 4096)

    with closing(_open(path)) as cache:
        assert _names(cache) == []


def test_one_that_somebody_holds_is_not_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cache.sqlite3"
    with closing(_open(path)) as cache:
        _add(cache, "one")
    monkeypatch.setattr("callseal.archive.cache_file.BUSY_S", 0.1)

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ScratchFailed, match=str(path)):
            _open(path)

    with closing(_open(path)) as cache:
        assert _names(cache) == ["one"]


def test_a_folder_that_can_not_be_made_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ScratchFailed, match="file"):
        _open(tmp_path / "file" / "cache.sqlite3")
