"""The contract of a store as a program: every store runs these tests and passes them all.

A store joins by a fixture of its own in `STORES`: a function that takes an empty folder and returns a store
which is both writer and reader.
"""

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from callseal.seal.verify import verify_recording
from callseal.store.capabilities import Capabilities
from callseal.store.directory import DirectoryStore
from callseal.store.errors import SourceAltered, StoreMissing, StoreRefused
from callseal.store.interface import StoreReader, StoreWriter
from callseal.store.names import recording_name
from support.sealed_recordings import STARTED_AT, organisation, recording_id, write_folder


class Store(StoreWriter, StoreReader, Protocol):
    """Both halves at once."""


STORES: dict[str, Callable[[Path], Store]] = {
    "directory": lambda folder: DirectoryStore.create(folder / "store"),
}
OWNER = organisation()
PLACE = recording_name(OWNER.device, STARTED_AT, recording_id())
NAME = PLACE.object("manifest.json")


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return STORES[request.param](tmp_path)


def file(folder: Path, data: bytes) -> tuple[Path, bytes]:
    path = folder / hashlib.sha256(data).hexdigest()
    path.write_bytes(data)
    return path, hashlib.sha256(data).digest()


def read(store: Store, name: str, version: str | None = None) -> bytes:
    with store.get(name, version) as found:
        return found.read()


def names(store: Store, prefix: str = "", after: str = "") -> list[str]:
    return [item.name for item in store.list(prefix, after)]


def test_it_says_what_it_can_do(store: Store) -> None:
    assert isinstance(store.capabilities, Capabilities)


@pytest.mark.parametrize("size_bytes", [0, 1, 5_000_000])
def test_what_was_put_can_be_got(store: Store, tmp_path: Path, size_bytes: int) -> None:
    data = os.urandom(size_bytes)

    version = store.put(NAME, *file(tmp_path, data))

    assert read(store, NAME) == data
    assert read(store, NAME, version) == data
    assert [(item.name, item.size_bytes) for item in store.list("")] == [(NAME, size_bytes)]


def test_the_file_that_was_put_stays_where_it_is(store: Store, tmp_path: Path) -> None:
    source, sha256 = file(tmp_path, b"data")

    store.put(NAME, source, sha256)

    assert source.read_bytes() == b"data"


def test_the_same_bytes_again_are_a_success(store: Store, tmp_path: Path) -> None:
    first = store.put(NAME, *file(tmp_path, b"data"))

    assert store.put(NAME, *file(tmp_path, b"data")) == first
    assert names(store) == [NAME]


def test_other_bytes_under_the_same_name_are_refused_and_change_nothing(store: Store, tmp_path: Path) -> None:
    store.put(NAME, *file(tmp_path, b"data"))

    with pytest.raises(StoreRefused, match="other bytes"):
        store.put(NAME, *file(tmp_path, b"more data"))

    assert read(store, NAME) == b"data"
    assert names(store) == [NAME]


def test_a_file_that_is_not_what_its_hash_says_is_not_stored(store: Store, tmp_path: Path) -> None:
    source, sha256 = file(tmp_path, b"data")
    source.write_bytes(b"DATA")

    with pytest.raises(SourceAltered, match=source.name):
        store.put(NAME, source, sha256)

    assert names(store) == []


def test_a_file_that_is_not_there_is_not_stored(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SourceAltered, match="gone"):
        store.put(NAME, tmp_path / "gone", bytes(32))

    assert names(store) == []


@pytest.mark.parametrize("racers", [8])
def test_of_many_who_put_different_bytes_at_once_one_wins(store: Store, tmp_path: Path, racers: int) -> None:
    sources = [file(tmp_path, bytes([number]) * 100_000) for number in range(racers)]
    won: list[bytes] = []
    start = threading.Barrier(racers)

    def race(source: Path, sha256: bytes) -> None:
        start.wait()
        try:
            store.put(NAME, source, sha256)
        except StoreRefused:
            return
        won.append(sha256)

    threads = [threading.Thread(target=race, args=source) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert won == [hashlib.sha256(read(store, NAME)).digest()]


def test_many_may_put_the_same_bytes_at_once(store: Store, tmp_path: Path) -> None:
    source = file(tmp_path, os.urandom(100_000))
    done: list[str] = []
    threads = [threading.Thread(target=lambda: done.append(store.put(NAME, *source))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(done) == 8
    assert names(store) == [NAME]


def test_an_object_that_is_not_there_is_missing(store: Store, tmp_path: Path) -> None:
    store.put(NAME, *file(tmp_path, b"data"))

    for name in (PLACE.object("manifest.sig"), NAME + "/x", PLACE.prefix.rstrip("/"), "recordings"):
        with pytest.raises(StoreMissing):
            store.get(name)


def test_a_version_that_is_not_there_is_missing(store: Store, tmp_path: Path) -> None:
    version = store.put(NAME, *file(tmp_path, b"data"))

    with pytest.raises(StoreMissing):
        store.get(NAME, version[:-1] + ("0" if version[-1] != "0" else "1"))


def test_names_are_listed_in_the_order_of_their_bytes(store: Store, tmp_path: Path) -> None:
    put = ["a/b/c", "a/b-c", "a/b.c", "a/b0", "a/B", "a-1", "a0", "b", "a/b/a"]
    for name in put:
        store.put(name, *file(tmp_path, b"x"))

    assert names(store) == sorted(put)


@pytest.mark.parametrize(
    "prefix", ["", "a", "a/", "a/b", "a/b/", "a/b/c", "a/b-", "b", "c", "a/c/", "a/b/c/d/", "aa"]
)
@pytest.mark.parametrize("after", ["", "a", "a/b", "a/b-c", "a/b/a", "a/b/c", "a/b0", "a/~", "b", "z"])
def test_a_listing_is_what_begins_with_the_prefix_and_comes_after(
    store: Store, tmp_path: Path, prefix: str, after: str
) -> None:
    put = ["a/b/c", "a/b-c", "a/b0", "a/B", "a0", "b", "a/b/a"]
    for name in put:
        store.put(name, *file(tmp_path, b"x"))

    expected = sorted(name for name in put if name.startswith(prefix) and name > after)
    assert names(store, prefix, after) == expected


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "/",
            "/etc/passwd",
            "a/",
            "/a",
            "a//b",
            "..",
            "../a",
            "a/../b",
            "a/..",
            ".",
            "a/./b",
            ".hidden",
        ),
        *("a/.tmp-1", ".callseal-store", "a\\b", "a b", "a\x00b", "a\nb", "ä", "a:b", "~", "a/" * 600 + "a"),
        "a" * 241,
    ],
)
def test_a_name_that_could_lead_elsewhere_is_refused(store: Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreRefused):
        store.put(name, *file(tmp_path, b"x"))
    with pytest.raises(StoreRefused):
        store.get(name)


@pytest.mark.parametrize("prefix", ["/", "../", "a/../", ".", "a//", "a/.tmp"])
def test_a_prefix_that_could_lead_elsewhere_is_refused(store: Store, prefix: str) -> None:
    with pytest.raises(StoreRefused):
        list(store.list(prefix))


def test_a_recording_in_the_store_verifies_there(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    write_folder(folder, OWNER)
    for path in folder.iterdir():
        store.put(PLACE.object(path.name), path, hashlib.sha256(path.read_bytes()).digest())

    report = verify_recording(store, PLACE.prefix, OWNER.trust)

    assert report.intact, report.findings
