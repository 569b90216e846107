"""The contract of a store as a program: every store runs these tests and passes them all.

A store joins by a line in `STORES`, which says how it is made and what it can do; what it can't do it is not
asked for. The S3 store here is a real one, SeaweedFS; each test has a prefix of its own in one bucket.
"""

import hashlib
import itertools
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol, cast

import pytest

from callseal.seal.verify import verify_recording
from callseal.store.capabilities import MIB, Capabilities
from callseal.store.directory import DirectoryStore
from callseal.store.errors import (
    NameTaken,
    SourceAltered,
    StoreError,
    StoreMissing,
    StoreRefused,
    UploadGone,
)
from callseal.store.interface import CentralStore, Part, PartsWriter, Span
from callseal.store.names import recording_name
from callseal.store.opening import notices_of, open_store, parts_of
from support.eventually import eventually
from support.faulty_store import FaultyStore
from support.sealed_recordings import STARTED_AT, organisation, recording_id, write_folder
from support.seaweed import S3Server

pytest_plugins = ["support.seaweed_fixture"]


class Store(CentralStore, PartsWriter, Protocol):
    """All that a store can be asked for."""


@dataclass(frozen=True)
class Kind:
    """How a store is made, and what it promises."""

    make: Callable[[Path, pytest.FixtureRequest], CentralStore]
    parts: bool = False
    lock: bool = False
    notices: bool = False
    is_remote: bool = False


def directory(folder: Path, _request: pytest.FixtureRequest) -> CentralStore:
    return DirectoryStore.create(folder / "store")


def faulty(folder: Path, request: pytest.FixtureRequest) -> CentralStore:
    return FaultyStore(directory(folder, request))


PREFIXES = (f"t{number}/" for number in itertools.count())


def s3(_folder: Path, request: pytest.FixtureRequest) -> CentralStore:
    server = cast("S3Server", request.getfixturevalue("s3_server"))
    bucket = cast("str", request.getfixturevalue("bucket"))
    return open_store(server.settings(bucket, prefix=next(PREFIXES), lock="governance"))


STORES = {
    "directory": Kind(make=directory, notices=True),
    "faulty": Kind(make=faulty, notices=True),
    "s3": Kind(make=s3, parts=True, lock=True, is_remote=True),
}
REMOTE = [pytest.mark.integration, pytest.mark.xdist_group("seaweed")]
OWNER = organisation()
PLACE = recording_name(OWNER.device, STARTED_AT, recording_id())
NAME = PLACE.object("manifest.json")
PART_SIZE = 5 * MIB


def kinds(wanted: Callable[[Kind], bool]) -> list[object]:
    return [
        pytest.param(name, marks=REMOTE if kind.is_remote else [])
        for name, kind in STORES.items()
        if wanted(kind)
    ]


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> str:
    return s3_server.bucket()


@pytest.fixture(params=kinds(lambda _kind: True))
def kind(request: pytest.FixtureRequest) -> Kind:
    return STORES[request.param]


@pytest.fixture
def store(kind: Kind, request: pytest.FixtureRequest, tmp_path: Path) -> CentralStore:
    return kind.make(tmp_path, request)


@pytest.fixture(params=kinds(lambda kind: kind.parts))
def in_parts(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return cast("Store", STORES[request.param].make(tmp_path, request))


@pytest.fixture(params=kinds(lambda kind: kind.lock))
def locking(request: pytest.FixtureRequest, tmp_path: Path) -> CentralStore:
    return STORES[request.param].make(tmp_path, request)


@pytest.fixture(params=kinds(lambda kind: not kind.lock))
def unlocking(request: pytest.FixtureRequest, tmp_path: Path) -> CentralStore:
    return STORES[request.param].make(tmp_path, request)


def file(folder: Path, data: bytes) -> tuple[Path, bytes]:
    path = folder / hashlib.sha256(data).hexdigest()
    path.write_bytes(data)
    return path, hashlib.sha256(data).digest()


def read(store: CentralStore, name: str, version: str | None = None) -> bytes:
    with store.get(name, version) as found:
        return found.read()


class SupportsReadInto(Protocol):
    """What a file can do besides what `BinaryIO` tells."""

    def readinto(self, buffer: bytearray, /) -> int:
        """Fill a buffer."""


def put_part(
    store: Store, upload: str, source: Path, number: int, *, pace: Callable[[int], None] = lambda _size: None
) -> Part:
    """Put one of the parts, of `PART_SIZE`, that a file has."""
    begin = (number - 1) * PART_SIZE
    data = source.read_bytes()[begin : begin + PART_SIZE]
    span = Span(offset_bytes=begin, size_bytes=len(data))
    sha256 = hashlib.sha256(data).digest()
    return store.put_part(NAME, upload, number, source, span=span, sha256=sha256, pace=pace)


def names(store: CentralStore, prefix: str = "", after: str = "") -> list[str]:
    return [item.name for item in store.list(prefix, after)]


def test_it_says_what_it_can_do(store: CentralStore, kind: Kind) -> None:
    assert isinstance(store.capabilities, Capabilities)
    assert (parts_of(store) is not None) is kind.parts
    assert (notices_of(store) is not None) is kind.notices
    assert store.capabilities.lock is kind.lock
    assert store.capabilities.exclusive_put
    assert store.capabilities.checked_put


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


@pytest.mark.parametrize("size_bytes", [200_000, 3_000_000])
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


def test_an_object_in_parts_is_one_object(in_parts: Store, tmp_path: Path) -> None:
    data = os.urandom(2 * PART_SIZE + 1_000)
    source, _ = file(tmp_path, data)

    upload = in_parts.begin_parts(NAME)
    parts = [put_part(in_parts, upload, source, number) for number in (3, 1, 2)]
    assert names(in_parts) == []
    version = in_parts.end_parts(NAME, upload, parts)

    assert read(in_parts, NAME, version) == read(in_parts, NAME) == data
    assert [(item.name, item.size_bytes) for item in in_parts.list("")] == [(NAME, len(data))]
    assert [item.version for item in in_parts.versions("")] == [version]


def test_parts_are_resumed_by_another_process_that_knows_numbers_only(
    in_parts: Store, tmp_path: Path
) -> None:
    data = os.urandom(PART_SIZE + 5)
    source, _ = file(tmp_path, data)
    upload = in_parts.begin_parts(NAME)
    first = put_part(in_parts, upload, source, 1)

    put_part(in_parts, upload, source, 2)
    second = put_part(in_parts, upload, source, 2)
    remembered = [
        Part(number=part.number, tag=part.tag, sha256=part.sha256, size_bytes=part.size_bytes)
        for part in (first, second)
    ]
    in_parts.end_parts(NAME, upload, remembered)

    assert read(in_parts, NAME) == data


def test_a_part_that_is_not_what_its_hash_says_is_not_taken(in_parts: Store, tmp_path: Path) -> None:
    source, _ = file(tmp_path, os.urandom(PART_SIZE))
    upload = in_parts.begin_parts(NAME)

    for span in (Span(offset_bytes=0, size_bytes=PART_SIZE), Span(offset_bytes=5, size_bytes=100)):
        with pytest.raises(SourceAltered, match=source.name):
            in_parts.put_part(NAME, upload, 1, source, span=span, sha256=bytes(32))


def test_a_part_beyond_the_end_of_its_file_is_not_taken(in_parts: Store, tmp_path: Path) -> None:
    data = os.urandom(1_000)
    source, sha256 = file(tmp_path, data)
    upload = in_parts.begin_parts(NAME)

    for size_bytes in (1_001, 300_000):
        with pytest.raises(SourceAltered, match=source.name):
            in_parts.put_part(
                NAME, upload, 1, source, span=Span(offset_bytes=0, size_bytes=size_bytes), sha256=sha256
            )


def test_pace_is_told_of_every_byte_of_a_part(in_parts: Store, tmp_path: Path) -> None:
    source, _ = file(tmp_path, os.urandom(PART_SIZE + 70_000))
    upload = in_parts.begin_parts(NAME)
    told: list[int] = []

    put_part(in_parts, upload, source, 1, pace=told.append)
    put_part(in_parts, upload, source, 2, pace=told.append)

    assert sum(told) == PART_SIZE + 70_000
    assert max(told) <= 65_536


def test_an_object_with_a_part_missing_or_altered_is_not_made(in_parts: Store, tmp_path: Path) -> None:
    source, _ = file(tmp_path, os.urandom(2 * PART_SIZE + 1))
    upload = in_parts.begin_parts(NAME)
    parts = [put_part(in_parts, upload, source, number) for number in (1, 2)]
    never_put = Part(number=3, tag=parts[0].tag, sha256=bytes(32), size_bytes=1)

    with pytest.raises(StoreError):
        in_parts.end_parts(NAME, upload, [*parts, never_put])
    with pytest.raises(StoreRefused):
        in_parts.end_parts(NAME, upload, [])

    assert names(in_parts) == []


def test_ending_an_upload_twice_makes_no_second_object(in_parts: Store, tmp_path: Path) -> None:
    source, _ = file(tmp_path, b"short")
    upload = in_parts.begin_parts(NAME)
    parts = [put_part(in_parts, upload, source, 1)]
    version = in_parts.end_parts(NAME, upload, parts)

    with pytest.raises((UploadGone, NameTaken)):
        in_parts.end_parts(NAME, upload, parts)

    assert [item.version for item in in_parts.versions("")] == [version]


def test_an_upload_that_the_store_does_not_know_is_gone(in_parts: Store, tmp_path: Path) -> None:
    source, _ = file(tmp_path, b"data")
    upload = in_parts.begin_parts(NAME)
    part = put_part(in_parts, upload, source, 1)

    in_parts.abandon_parts(NAME, upload)
    in_parts.abandon_parts(NAME, upload)

    with pytest.raises(UploadGone):
        put_part(in_parts, upload, source, 1)
    with pytest.raises(UploadGone):
        in_parts.end_parts(NAME, upload, [part])
    assert names(in_parts) == []


def test_an_object_in_parts_does_not_replace_one_that_is_there(in_parts: Store, tmp_path: Path) -> None:
    source, _ = file(tmp_path, b"data")
    upload = in_parts.begin_parts(NAME)
    part = put_part(in_parts, upload, source, 1)
    version = in_parts.put(NAME, b"first", hashlib.sha256(b"first").digest())

    with pytest.raises(NameTaken):
        in_parts.end_parts(NAME, upload, [part])

    assert read(in_parts, NAME) == b"first"
    assert [item.version for item in in_parts.versions("")] == [version]


def test_what_was_put_in_parts_may_be_put_again(in_parts: Store, tmp_path: Path) -> None:
    """Whoever may read finds out that it is the same, whatever way it came."""
    source, sha256 = file(tmp_path, os.urandom(PART_SIZE + 1))
    upload = in_parts.begin_parts(NAME)
    parts = [put_part(in_parts, upload, source, number) for number in (1, 2)]
    version = in_parts.end_parts(NAME, upload, parts)

    assert in_parts.put(NAME, source, sha256) == version
    with pytest.raises(StoreRefused, match="other bytes"):
        in_parts.put(NAME, b"other", hashlib.sha256(b"other").digest())


def test_names_that_lead_elsewhere_are_refused_for_parts_too(in_parts: Store) -> None:
    for name in ("../a", "fleet/dev-aaaaaaaaaaaa.json"):
        with pytest.raises(StoreRefused):
            in_parts.begin_parts(name)


def test_a_lock_holds_and_is_extended_and_never_shortened(locking: CentralStore) -> None:
    version = locking.put(NAME, b"data", hashlib.sha256(b"data").digest())
    now = datetime.now(UTC).replace(microsecond=0)
    assert locking.locked_until(NAME, version) is None

    locking.lock_until(NAME, version, now + timedelta(days=2))
    assert locking.locked_until(NAME, version) == now + timedelta(days=2)
    locking.lock_until(NAME, version, now + timedelta(days=3))
    locking.lock_until(NAME, version, now + timedelta(days=3))
    with pytest.raises(StoreRefused, match="never shortened"):
        locking.lock_until(NAME, version, now + timedelta(days=2))

    assert locking.locked_until(NAME, version) == now + timedelta(days=3)


def test_a_lock_never_ends_before_the_time_that_was_asked_for(locking: CentralStore) -> None:
    version = locking.put(NAME, b"data", hashlib.sha256(b"data").digest())
    until = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=1)

    locking.lock_until(NAME, version, until)

    found = locking.locked_until(NAME, version)
    assert found is not None
    assert until <= found < until + timedelta(seconds=1)


def test_a_time_without_a_zone_locks_nothing(locking: CentralStore) -> None:
    version = locking.put(NAME, b"data", hashlib.sha256(b"data").digest())

    with pytest.raises(StoreRefused, match="zone"):
        locking.lock_until(NAME, version, datetime(2040, 1, 1))  # noqa: DTZ001 - that is the mistake

    assert locking.locked_until(NAME, version) is None


def test_a_hold_is_put_on_and_lifted(locking: CentralStore) -> None:
    version = locking.put(NAME, b"data", hashlib.sha256(b"data").digest())

    states = [locking.is_held(NAME, version)]
    for on in (True, True, False):
        locking.hold(NAME, version, on=on)
        states.append(locking.is_held(NAME, version))

    assert states == [False, True, True, False]
    assert locking.locked_until(NAME, version) is None


def test_what_is_not_there_can_not_be_protected(locking: CentralStore) -> None:
    version = locking.put(NAME, b"data", hashlib.sha256(b"data").digest())
    name = PLACE.object("manifest.sig")

    with pytest.raises(StoreMissing):
        locking.locked_until(name, version)
    with pytest.raises(StoreMissing):
        locking.lock_until(name, version, datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(StoreMissing):
        locking.hold(name, version, on=True)


def test_a_store_that_protects_nothing_says_so(unlocking: CentralStore) -> None:
    version = unlocking.put(NAME, b"data", hashlib.sha256(b"data").digest())

    assert unlocking.locked_until(NAME, version) is None
    assert not unlocking.is_held(NAME, version)
    with pytest.raises(StoreRefused):
        unlocking.lock_until(NAME, version, datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(StoreRefused):
        unlocking.hold(NAME, version, on=True)


@pytest.mark.parametrize("name", [name for name, kind in STORES.items() if kind.notices])
def test_who_watches_is_told_of_what_is_new(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    store = STORES[name].make(tmp_path, request)
    watched = notices_of(store)
    assert watched is not None
    told = threading.Event()

    with watched.watch(told.set):
        store.put(NAME, b"data", hashlib.sha256(b"data").digest())
        eventually(told.is_set, "the notice")


def test_a_recording_in_the_store_verifies_there(store: CentralStore, tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    write_folder(folder, OWNER)
    for path in folder.iterdir():
        store.put(PLACE.object(path.name), path, hashlib.sha256(path.read_bytes()).digest())

    report = verify_recording(store, PLACE.prefix, OWNER.trust)

    assert report.intact, report.findings
