"""The folder as a store: whole objects only, wherever the writer dies and whatever the disk does."""

import hashlib
import os
import resource
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from callseal.seal.durable import Step
from callseal.store.directory import LEFTOVER_AGE_S, MARKER_NAME, DirectoryStore
from callseal.store.errors import StoreMissing, StoreRefused, StoreUnreachable
from support.eventually import eventually
from support.killed_child import killed_at

NAME = "recordings/dev-aaaaaaaaaaaa/2026/11/21/x/manifest.json"
DATA = b"whole" * 500_000
SHA256 = hashlib.sha256(DATA).digest()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(DATA)
    return path


def stored(root: Path) -> list[str]:
    return [item.name for item in DirectoryStore(root).list("")]


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob(".*") if path.name != MARKER_NAME]


def test_wherever_the_writer_is_killed_the_object_is_whole_or_not_there(tmp_path: Path, source: Path) -> None:
    number, killed, found = 0, True, set()
    while killed:
        root = DirectoryStore.create(tmp_path / str(number)).root

        def work(step: Step, root: Path = root) -> None:
            DirectoryStore(root, step=step).put(NAME, source, SHA256)

        killed = killed_at(number, work)

        there = stored(root)
        found.add(bool(there))
        if there:
            with DirectoryStore(root).get(NAME) as file:
                assert file.read() == DATA
        DirectoryStore(root).put(NAME, source, SHA256)
        assert stored(root) == [NAME]
        number += 1

    assert found == {True, False}
    assert number > 15


def test_a_killed_writers_leftovers_are_never_listed_and_go_when_they_are_old(
    tmp_path: Path, source: Path
) -> None:
    root = DirectoryStore.create(tmp_path / "store").root

    def work(step: Step) -> None:
        def until_link(name: str) -> None:
            if name == "link":
                step(name)

        DirectoryStore(root, step=until_link).put(NAME, source, SHA256)

    assert killed_at(0, work)
    (left,) = leftovers(root)
    age_s = left.stat().st_mtime

    assert stored(root) == []
    assert DirectoryStore(root).remove_leftovers("", now_s=age_s + LEFTOVER_AGE_S - 1) == 0
    assert DirectoryStore(root).remove_leftovers("recordings/", now_s=age_s + LEFTOVER_AGE_S + 1) == 1
    assert leftovers(root) == []


def test_a_put_leaves_no_leftovers(tmp_path: Path, source: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")

    store.put(NAME, source, SHA256)

    assert leftovers(store.root) == []


def test_objects_and_folders_are_for_their_owner_only(tmp_path: Path, source: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")

    store.put(NAME, source, SHA256)

    path = store.root / NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in path.relative_to(store.root).parents:
        assert stat.S_IMODE((store.root / folder).stat().st_mode) == 0o700


def test_the_folder_of_an_unmounted_disk_is_not_taken_for_a_store(tmp_path: Path, source: Path) -> None:
    store = DirectoryStore(tmp_path)

    with pytest.raises(StoreUnreachable, match="mounted"):
        store.put(NAME, source, SHA256)
    with pytest.raises(StoreUnreachable, match="mounted"):
        list(store.list(""))
    with pytest.raises(StoreUnreachable, match="mounted"):
        store.get(NAME)

    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_folder_may_be_made_a_store_twice(tmp_path: Path, source: Path) -> None:
    DirectoryStore.create(tmp_path / "store").put(NAME, source, SHA256)

    assert stored(DirectoryStore.create(tmp_path / "store").root) == [NAME]


@pytest.mark.parametrize("make", ["file", "nothing"])
def test_a_store_that_is_no_folder_is_unreachable_and_not_refused(
    tmp_path: Path, source: Path, make: str
) -> None:
    if make == "file":
        (tmp_path / "store").write_bytes(b"")
    store = DirectoryStore(tmp_path / "store")

    with pytest.raises(StoreUnreachable) as caught:
        store.put(NAME, source, SHA256)

    assert not caught.value.permanent
    assert caught.value.exit_code == 20


def test_a_store_can_not_be_made_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"")

    with pytest.raises(StoreUnreachable, match="store"):
        DirectoryStore.create(tmp_path / "store")


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file of this process grow beyond 100,000 bytes: the disk that is full, for root as well."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_nothing_half_and_is_tried_again(
    tmp_path: Path, source: Path, request: pytest.FixtureRequest
) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    request.getfixturevalue("small_files")

    with pytest.raises(StoreUnreachable) as caught:
        store.put(NAME, source, SHA256)

    assert not caught.value.permanent
    assert stored(store.root) == []
    assert leftovers(store.root) == []


def test_a_refusal_of_other_bytes_is_permanent(tmp_path: Path, source: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    store.put(NAME, source, SHA256)
    (tmp_path / "other").write_bytes(b"other")

    with pytest.raises(StoreRefused) as caught:
        store.put(NAME, tmp_path / "other", hashlib.sha256(b"other").digest())

    assert caught.value.permanent
    assert caught.value.exit_code == 21


def test_an_object_that_was_changed_in_the_folder_is_not_taken_for_ours(tmp_path: Path, source: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    version = store.put(NAME, source, SHA256)
    (store.root / NAME).write_bytes(b"changed")

    with pytest.raises(StoreRefused):
        store.put(NAME, source, SHA256)
    with pytest.raises(StoreMissing):
        store.get(NAME, version)


def test_links_are_neither_listed_nor_followed_out_of_the_store(tmp_path: Path, source: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    (store.root / "file").symlink_to(source)
    (store.root / "folder").symlink_to(tmp_path)

    assert stored(store.root) == []


def test_the_version_is_the_hash_of_the_bytes(tmp_path: Path, source: Path) -> None:
    assert DirectoryStore.create(tmp_path / "store").put(NAME, source, SHA256) == SHA256.hex()


def test_an_object_may_be_put_again_while_it_is_being_read(tmp_path: Path, source: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    store.put(NAME, source, SHA256)

    with store.get(NAME) as file:
        store.put(NAME, source, SHA256)

        assert file.read() == DATA


def test_a_link_or_a_pipe_under_an_objects_name_is_no_object(tmp_path: Path) -> None:
    """A link leads out of the store; a pipe would keep its reader waiting for ever."""
    store = DirectoryStore.create(tmp_path / "store")
    secret = tmp_path / "secret"
    secret.write_bytes(b"not for the store")
    (store.root / "link").symlink_to(secret)
    os.mkfifo(store.root / "pipe")

    for name in ("link", "pipe"):
        with pytest.raises(StoreMissing):
            store.get(name)


BOARD = "fleet/dev-aaaaaaaaaaaa.json"


def test_wherever_who_replaces_is_killed_the_old_or_the_new_is_there(tmp_path: Path) -> None:
    number, killed, found = 0, True, set()
    while killed:
        store = DirectoryStore.create(tmp_path / str(number))
        store.replace(BOARD, b"old")

        def work(step: Step, root: Path = store.root) -> None:
            DirectoryStore(root, step=step).replace(BOARD, b"new")

        killed = killed_at(number, work)

        with store.get(BOARD) as file:
            found.add(file.read())
        assert stored(store.root) == [BOARD]
        store.replace(BOARD, b"newer")
        number += 1

    assert found == {b"old", b"new"}
    assert number > 5


def test_any_number_may_replace_at_once(tmp_path: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    texts = [bytes([number]) * 10_000 for number in range(8)]
    failed: list[Exception] = []

    def work(data: bytes) -> None:
        try:
            for _again in range(10):
                store.replace(BOARD, data)
        except StoreUnreachable as problem:
            failed.append(problem)

    threads = [threading.Thread(target=work, args=(data,)) for data in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    with store.get(BOARD) as file:
        assert file.read() in texts
    assert leftovers(store.root) == []
    assert stored(store.root) == [BOARD]


def test_a_board_on_a_full_disk_keeps_what_it_says(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    store.replace(BOARD, b"old")
    request.getfixturevalue("small_files")

    with pytest.raises(StoreUnreachable):
        store.replace(BOARD, bytes(200_000))

    with store.get(BOARD) as file:
        assert file.read() == b"old"
    assert leftovers(store.root) == []


def test_the_version_of_an_altered_object_is_another(tmp_path: Path, source: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    version = store.put(NAME, source, SHA256)
    (store.root / NAME).write_bytes(b"changed")

    (found,) = store.versions("")

    assert found.version == hashlib.sha256(b"changed").hexdigest() != version


def test_nobody_is_told_of_what_is_only_being_written(tmp_path: Path, source: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    store.put("ledger/a/0.jsonl", source, SHA256)
    told: list[bool] = []
    folder = store.root / "ledger" / "a"

    with store.watch(lambda: told.append((folder / "2.jsonl").exists())):
        (folder / ".tmp-1").write_bytes(b"x")
        store.put("ledger/a/2.jsonl", source, SHA256)
        eventually(lambda: bool(told), "the notice")

    assert all(told)


def test_a_store_whose_disk_is_away_can_not_be_watched(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachable, match="mounted"), DirectoryStore(tmp_path).watch(lambda: None):
        pass
