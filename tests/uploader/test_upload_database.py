"""The queue's file: durable, private; damaged, it is set aside; memory stands in for a disk that refuses."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from callseal.seal.durable import Step
from callseal.uploader.database import MAX_SET_ASIDE, RETURN_AFTER_S, Database
from callseal.uploader.errors import QueueNewer
from support.killed_child import killed_at


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "upload" / "queue.sqlite3"


class Disk:
    """Makes connections; while it is full, the file can't grow."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.full = False
        self.opened: list[sqlite3.Connection] = []

    def connect(self, name: str, **options: object) -> sqlite3.Connection:
        if self.full and name != ":memory:":
            with sqlite3.connect("/nowhere/at/all"):
                pass
        connection: sqlite3.Connection = sqlite3.connect(name, **options)  # type: ignore[call-overload]
        self.opened.append(connection)
        return connection

    def fill(self) -> None:
        """Let no more pages be had, as a disk without room."""
        self.full = True
        connection = self.opened[-1]
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def database(path: Path, disk: Disk) -> Iterator[Database]:
    found = Database(path, clock=lambda: disk.now_s, connect=disk.connect)
    yield found
    found.close()


def note(name: str, value: str = "") -> Callable[[sqlite3.Cursor], object]:
    return lambda cursor: cursor.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (name, value))


def notes(database: Database) -> list[str]:
    return database.read(
        lambda cursor: [row[0] for row in cursor.execute("SELECT name FROM note ORDER BY 1")]
    )


def test_folder_and_files_are_open_to_nobody_else(database: Database, path: Path) -> None:
    database.write(note("a"))

    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(item.stat().st_mode) for item in path.parent.iterdir()} == {0o600}


def test_every_commit_is_synced(database: Database) -> None:
    found = database.read(
        lambda cursor: [
            cursor.execute("PRAGMA journal_mode").fetchone(),
            cursor.execute("PRAGMA synchronous").fetchone(),
        ]
    )

    assert found == [("wal",), (2,)]


def test_what_was_written_is_there_after_a_kill(path: Path) -> None:
    def work(step: Step) -> None:
        database = Database(path, step=step)
        for name in "abc":
            database.write(note(name))

    number, seen = 0, set()
    while killed_at(number, work):
        database = Database(path)
        seen.add("".join(notes(database)))
        database.write(lambda cursor: cursor.execute("DELETE FROM note"))
        database.close()
        number += 1

    assert seen == {"", "a", "ab", "abc"}


def test_what_many_threads_write_is_all_there(database: Database) -> None:
    def work(first: int) -> None:
        for number in range(first, first + 50):
            database.write(note(f"{number:04}"))

    threads = [threading.Thread(target=work, args=(50 * number,)) for number in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert notes(database) == [f"{number:04}" for number in range(400)]


def test_a_piece_that_fails_is_undone_and_fails_alone(database: Database) -> None:
    def broken(cursor: sqlite3.Cursor) -> None:
        cursor.execute("INSERT INTO note VALUES ('half', '')")
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        database.write(broken)
    database.write(note("whole"))

    assert notes(database) == ["whole"]


def test_one_of_a_newer_version_is_not_touched(path: Path) -> None:
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()

    with pytest.raises(QueueNewer, match="newer version"):
        Database(path)

    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["no database", "a torn page", "other tables", "tables missing"])
def test_a_damaged_one_is_set_aside_and_an_empty_one_takes_its_place(path: Path, damage: str) -> None:
    before = Database(path)
    before.write(note("a"))
    before.close()
    if damage == "no database":
        path.write_bytes(b"not a database at all" * 1000)
    elif damage == "a torn page":
        data = bytearray(path.read_bytes())
        data[100:4096] = bytes(3996)
        path.write_bytes(data)
    else:
        path.unlink()
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE note (other TEXT)")
            connection.execute(f"PRAGMA user_version = {1 if damage == 'tables missing' else 0}")

    database = Database(path)

    assert notes(database) == []
    assert "queue.sqlite3.broken-1" in database.damaged
    assert path.with_name("queue.sqlite3.broken-1").is_file()
    assert not database.refused
    database.write(note("b"))
    database.close()
    assert notes(Database(path)) == ["b"]


def test_damage_that_comes_to_light_later_is_told_by_the_generation(path: Path) -> None:
    database = Database(path)
    for number in range(300):
        database.write(note(f"{number:04}", "x" * 1000))
    database.close()
    data = bytearray(path.read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096 : page * 4096 + 4096] = b"\xff" * 4096
    path.write_bytes(data)
    database = Database(path)
    before = database.generation

    found = notes(database)

    assert found == []
    assert database.generation == before + 1
    assert "broken-1" in database.damaged


def test_damaged_ones_do_not_fill_the_disk(path: Path) -> None:
    for _ in range(MAX_SET_ASIDE + 2):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"not a database at all" * 1000)
        database = Database(path)
        database.close()

    assert len(list(path.parent.glob("*.broken-*"))) == MAX_SET_ASIDE
    assert "damaged ones lie beside it" in database.refused


def test_a_full_disk_sends_everything_into_memory_and_back_once_there_is_room(
    database: Database, disk: Disk, path: Path
) -> None:
    database.write(note("before"))
    disk.fill()
    for number in range(200):
        database.write(note(f"{number:03}", "x" * 1000))
    refused = database.refused
    early = database.come_back()
    disk.now_s += RETURN_AFTER_S
    still = database.come_back()
    disk.full = False
    disk.now_s += RETURN_AFTER_S

    back = database.come_back()

    assert "full" in refused
    assert (early, still, back) == (False, False, True)
    assert database.refused == ""
    assert len(notes(database)) == 201
    database.close()
    assert len(notes(Database(path))) == 201


def test_without_room_at_the_start_it_begins_in_memory(path: Path, disk: Disk) -> None:
    disk.full = True

    database = Database(path, clock=lambda: disk.now_s, connect=disk.connect)
    database.write(note("a"))

    assert database.refused
    assert notes(database) == ["a"]


PROGRAM = """
import resource, signal, sqlite3, sys
from pathlib import Path
from callseal.uploader.database import Database
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
database = Database(Path(sys.argv[1]))
put = lambda n: database.write(lambda c: c.execute("INSERT INTO note VALUES (?, ?)", (str(n), "x" * 4000)))
put(0)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
for number in range(1, 300):
    put(number)
print(bool(database.refused), database.read(lambda c: c.execute("SELECT count(*) FROM note").fetchone()[0]))
"""


def test_a_kernel_that_refuses_to_write_more_loses_nothing_while_the_process_lives(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, path], capture_output=True, text=True, check=True, env=os.environ
    )

    assert done.stdout.split() == ["True", "300"]
