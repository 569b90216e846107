"""The contract of a store as a program: every store runs these tests and passes them all.

Which stores there are stands in `support.contract_stores`; what only some can do is in the files beside this.
"""

import hashlib
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from callseal.seal.verify import verify_recording
from callseal.store.capabilities import Capabilities
from callseal.store.errors import SourceAltered, StoreMissing, StoreRefused
from callseal.store.interface import CentralStore
from callseal.store.opening import notices_of, parts_of
from support.eventually import eventually
from support.sealed_recordings import write_folder
from support.stored import NAME, OWNER, PLACE, SupportsReadInto, file, names, read

pytest_plugins = ["support.contract_stores"]


def test_it_says_what_it_can_do(store: CentralStore) -> None:
    found = store.capabilities

    assert isinstance(found, Capabilities)
    assert (parts_of(store) is not None) is (found.parts is not None)
    assert (notices_of(store) is not None) is found.notices
    assert found.exclusive_put
    assert found.checked_put


@pytest.mark.parametrize("size_bytes", [0, 1, 5_000_000])
def test_what_was_put_can_be_got(store: CentralStore, tmp_path: Path, size_bytes: int) -> None:
    data = os.urandom(size_bytes)

    version = store.put(NAME, *file(tmp_path, data))

    assert read(store, NAME) == data
    assert read(store, NAME, version) == data
    assert [(item.name, item.size_bytes) for item in store.list("")] == [(NAME, size_bytes)]


def test_the_file_that_was_put_stays_where_it_is(store: CentralStore, tmp_path: Path) -> None:
    source, sha256 = file(tmp_path, b"data")

    store.put(NAME, source, sha256)

    assert source.read_bytes() == b"data"


def test_the_same_bytes_again_are_a_success(store: CentralStore, tmp_path: Path) -> None:
    first = store.put(NAME, *file(tmp_path, b"data"))

    assert store.put(NAME, *file(tmp_path, b"data")) == first
    assert names(store) == [NAME]


def test_other_bytes_under_the_same_name_are_refused_and_change_nothing(
    store: CentralStore, tmp_path: Path
) -> None:
    store.put(NAME, *file(tmp_path, b"data"))

    with pytest.raises(StoreRefused, match="other bytes"):
        store.put(NAME, *file(tmp_path, b"more data"))

    assert read(store, NAME) == b"data"
    assert names(store) == [NAME]


def test_a_file_that_is_not_what_its_hash_says_is_not_stored(store: CentralStore, tmp_path: Path) -> None:
    source, sha256 = file(tmp_path, b"data")
    source.write_bytes(b"DATA")

    with pytest.raises(SourceAltered, match=source.name):
        store.put(NAME, source, sha256)

    assert names(store) == []


def test_a_file_that_is_not_there_is_not_stored(store: CentralStore, tmp_path: Path) -> None:
    with pytest.raises(SourceAltered, match="gone"):
        store.put(NAME, tmp_path / "gone", bytes(32))

    assert names(store) == []


@pytest.mark.parametrize("racers", [8])
def test_of_many_who_put_different_bytes_at_once_one_wins(
    store: CentralStore, tmp_path: Path, racers: int
) -> None:
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


def test_many_may_put_the_same_bytes_at_once(store: CentralStore, tmp_path: Path) -> None:
    source = file(tmp_path, os.urandom(100_000))
    done: list[str] = []
    threads = [threading.Thread(target=lambda: done.append(store.put(NAME, *source))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(done) == 8
    assert names(store) == [NAME]


def test_an_object_that_is_not_there_is_missing(store: CentralStore, tmp_path: Path) -> None:
    store.put(NAME, *file(tmp_path, b"data"))

    for name in (PLACE.object("manifest.sig"), NAME + "/x", PLACE.prefix.rstrip("/"), "recordings"):
        with pytest.raises(StoreMissing):
            store.get(name)


def test_a_version_that_is_not_there_is_missing(store: CentralStore, tmp_path: Path) -> None:
    version = store.put(NAME, *file(tmp_path, b"data"))

    with pytest.raises(StoreMissing):
        store.get(NAME, version[:-1] + ("0" if version[-1] != "0" else "1"))


def test_names_are_listed_in_the_order_of_their_bytes(store: CentralStore, tmp_path: Path) -> None:
    put = ["a/b/c", "a/b-c", "a/b.c", "a/b0", "a/B", "a-1", "a0", "b", "a/b/a"]
    for name in put:
        store.put(name, *file(tmp_path, b"x"))

    assert names(store) == sorted(put)


@pytest.mark.parametrize(
    "prefix", ["", "a", "a/", "a/b", "a/b/", "a/b/c", "a/b-", "b", "c", "a/c/", "a/b/c/d/", "aa"]
)
@pytest.mark.parametrize("after", ["", "a", "a/b", "a/b-c", "a/b/a", "a/b/c", "a/b0", "a/~", "b", "z"])
def test_a_listing_is_what_begins_with_the_prefix_and_comes_after(
    store: CentralStore, tmp_path: Path, prefix: str, after: str
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
def test_a_name_that_could_lead_elsewhere_is_refused(store: CentralStore, tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreRefused):
        store.put(name, *file(tmp_path, b"x"))
    with pytest.raises(StoreRefused):
        store.get(name)


@pytest.mark.parametrize("prefix", ["/", "../", "a/../", ".", "a//", "a/.tmp"])
def test_a_prefix_that_could_lead_elsewhere_is_refused(store: CentralStore, prefix: str) -> None:
    with pytest.raises(StoreRefused):
        list(store.list(prefix))


def test_bytes_need_no_file(store: CentralStore) -> None:
    data = os.urandom(200_000)

    version = store.put(NAME, data, hashlib.sha256(data).digest())

    assert read(store, NAME, version) == data


def test_bytes_that_are_not_what_their_hash_says_are_not_stored(store: CentralStore) -> None:
    for data in (b"", b"data", os.urandom(200_000)):
        with pytest.raises(SourceAltered):
            store.put(NAME, data, bytes(32))

    assert names(store) == []


@pytest.mark.parametrize("size_bytes", [1, 65_536, 65_537, 262_145, 3_000_000])
def test_pace_is_told_of_every_byte_once(store: CentralStore, tmp_path: Path, size_bytes: int) -> None:
    told: list[int] = []

    store.put(NAME, *file(tmp_path, os.urandom(size_bytes)), pace=told.append)

    assert sum(told) == size_bytes
    assert max(told) <= 1024 * 1024


class Enough(Exception):  # noqa: N818 - what a pace says that has enough
    """Of the test's own, so that nobody can know it."""


@pytest.mark.parametrize("size_bytes", [1, 65_537, 262_145, 3_000_000])
def test_a_put_that_pace_ends_leaves_nothing(store: CentralStore, tmp_path: Path, size_bytes: int) -> None:
    left = [size_bytes // 2]

    def pace(more: int) -> None:
        left[0] -= more
        if left[0] < 0:
            raise Enough

    source = file(tmp_path, os.urandom(size_bytes))
    with pytest.raises(Enough):
        store.put(NAME, *source, pace=pace)

    assert names(store) == []
    store.put(NAME, *source)
    assert names(store) == [NAME]


@pytest.mark.parametrize("size_bytes", [60_000, 200_000, 3_000_000])
def test_a_file_that_changed_since_it_was_hashed_is_not_stored(
    store: CentralStore, tmp_path: Path, size_bytes: int
) -> None:
    for other in (b"short", bytes(size_bytes)):
        source, sha256 = file(tmp_path, os.urandom(size_bytes))
        source.write_bytes(other)

        with pytest.raises(SourceAltered, match=source.name):
            store.put(NAME, source, sha256)

    assert names(store) == []


@pytest.mark.parametrize("size_bytes", [3_000_000, 9_000_000])
def test_a_file_that_changes_while_it_is_sent_is_not_stored(
    store: CentralStore, tmp_path: Path, size_bytes: int
) -> None:
    for keep_bytes in (size_bytes, size_bytes - 1):
        source, sha256 = file(tmp_path, os.urandom(size_bytes))

        def pace(_more: int, source: Path = source, keep_bytes: int = keep_bytes) -> None:
            with source.open("r+b") as changed:
                changed.truncate(keep_bytes)
                changed.seek(keep_bytes - 1)
                changed.write(b"\x00" if keep_bytes < size_bytes else b"changed")

        with pytest.raises(SourceAltered, match=source.name):
            store.put(NAME, source, sha256, pace=pace)

    assert names(store) == []


def test_folders_are_what_stands_before_the_next_slash(store: CentralStore) -> None:
    for name in ("recordings/b/1", "recordings/b/2", "recordings/a/x/y", "recordings/c", "ledger/a/0"):
        store.put(name, b"x", hashlib.sha256(b"x").digest())

    assert list(store.folders("")) == ["ledger", "recordings"]
    assert list(store.folders("recordings/")) == ["a", "b"]
    assert list(store.folders("recordings/a/x/")) == []
    assert list(store.folders("nothing/")) == []


def test_a_folder_ends_with_a_slash(store: CentralStore) -> None:
    with pytest.raises(StoreRefused):
        list(store.folders("recordings"))


def test_every_version_is_told_with_the_name_by_which_it_can_be_read(store: CentralStore) -> None:
    put = {f"ledger/{number}": b"x" * number for number in range(1, 4)}
    version = {name: store.put(name, data, hashlib.sha256(data).digest()) for name, data in put.items()}

    found = list(store.versions("ledger/"))

    assert [(item.name, item.version) for item in found] == list(version.items())
    assert [read(store, item.name, item.version) for item in found] == list(put.values())
    assert [item.size_bytes for item in found] == [1, 2, 3]
    assert list(store.versions("recordings/")) == []


def test_a_listing_says_when_the_store_took_an_object(store: CentralStore, tmp_path: Path) -> None:
    store.put(NAME, *file(tmp_path, b"data"))

    for item in (*store.list(""), *store.versions("")):
        assert item.modified_at is not None
        assert abs(datetime.now(UTC) - item.modified_at) < timedelta(hours=1)


def test_the_board_is_replaced_all_the_time(store: CentralStore) -> None:
    name = f"fleet/{OWNER.device}.json"

    store.replace(name, b"first")
    store.replace(name, b"second")

    assert read(store, name) == b"second"
    assert names(store, "fleet/") == names(store) == [name]
    assert list(store.folders("")) == ["fleet"]


def test_nothing_but_the_board_is_replaced(store: CentralStore, tmp_path: Path) -> None:
    store.put(NAME, *file(tmp_path, b"data"))

    with pytest.raises(StoreRefused):
        store.replace(NAME, b"other")

    assert read(store, NAME) == b"data"


def test_a_file_is_read_like_any_other(store: CentralStore, tmp_path: Path) -> None:
    data = os.urandom(700_000)
    store.put(NAME, *file(tmp_path, data))

    with store.get(NAME) as found:
        beginning = found.read(10)
        buffer = bytearray(1_000)
        middle = bytes(buffer[: cast("SupportsReadInto", found).readinto(buffer)])
        rest = found.read()
        assert found.read(1) == b""

    assert beginning + middle + rest == data
    assert found.closed


def test_a_file_need_not_be_read_to_its_end(store: CentralStore, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    store.put(NAME, *file(tmp_path, data))

    for _again in range(20):
        with store.get(NAME) as found:
            assert found.read(100) == data[:100]

    assert read(store, NAME) == data


def test_who_watches_is_told_of_what_is_new(noticing: CentralStore) -> None:
    watched = notices_of(noticing)
    assert watched is not None
    told = threading.Event()

    with watched.watch(told.set):
        noticing.put(NAME, b"data", hashlib.sha256(b"data").digest())
        eventually(told.is_set, "the notice")


def test_a_recording_in_the_store_verifies_there(store: CentralStore, tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    write_folder(folder, OWNER)
    for path in folder.iterdir():
        store.put(PLACE.object(path.name), path, hashlib.sha256(path.read_bytes()).digest())

    report = verify_recording(store, PLACE.prefix, OWNER.trust)

    assert report.intact, report.findings
