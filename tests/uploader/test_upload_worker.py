"""Sending one recording: all of it, the manifest last, the marker after that, however often it is tried."""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from callseal.seal.durable import Step
from callseal.seal.spool import Bundle, Spool
from callseal.seal.verify import verify_recording
from callseal.store.capabilities import Capabilities
from callseal.store.directory import DirectoryStore
from callseal.store.errors import StoreRefused, StoreUnreachable
from callseal.uploader.errors import BundleBroken, UploadError
from callseal.uploader.worker import Target, marker_path, send
from support.killed_child import killed_at
from support.sealed_recordings import make_ready, organisation, recording_id

OWNER = organisation()
NOW = datetime(2026, 11, 22, 0, 5, tzinfo=UTC)
PREFIX = f"recordings/{OWNER.device}/2026/11/21/{recording_id()}/"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    found = Spool.create(tmp_path / "spool")
    with found.lock():
        yield found


@pytest.fixture
def bundle(spool: Spool) -> Bundle:
    return make_ready(spool, OWNER)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(name="primary", writer=DirectoryStore.create(tmp_path / "store"))


def store_of(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


class Counting:
    """A store that remembers what was put, and fails from a given put on."""

    capabilities = Capabilities(
        exclusive_put=True, versions=False, lock=False, checked_put=True, max_object_size_bytes=None
    )

    def __init__(self, fails_at: int = 1000) -> None:
        self.names: list[str] = []
        self.fails_at = fails_at

    def put(self, name: str, source: Path, sha256: bytes) -> str:
        assert hashlib.sha256(source.read_bytes()).digest() == sha256
        if len(self.names) == self.fails_at:
            raise StoreUnreachable("the network is gone")
        self.names.append(name)
        return sha256.hex()


def test_a_sent_recording_verifies_in_the_store(
    spool: Spool, bundle: Bundle, target: Target, tmp_path: Path
) -> None:
    send(spool, bundle, target, now=NOW)

    report = verify_recording(store_of(tmp_path), PREFIX, OWNER.trust)
    assert report.intact, report.findings


def test_the_marker_says_what_was_sent_where_and_when(spool: Spool, bundle: Bundle, target: Target) -> None:
    send(spool, bundle, target, now=NOW)

    marker = json.loads(marker_path(spool, "primary", bundle.id).read_bytes())
    assert marker["type"] == "callseal-sent/1"
    assert marker["id"] == str(bundle.id)
    assert marker["store"] == "primary"
    assert marker["sent_at"] == "2026-11-22T00:05:00.000Z"
    assert [item["name"] for item in marker["objects"]][-1] == PREFIX + "manifest.json"
    for item in marker["objects"]:
        data = (bundle.path / item["name"].removeprefix(PREFIX)).read_bytes()
        assert item["sha256"] == item["version"] == hashlib.sha256(data).hexdigest()


def test_sending_deletes_nothing(spool: Spool, bundle: Bundle, target: Target) -> None:
    before = {path.name: path.read_bytes() for path in bundle.path.iterdir()}

    send(spool, bundle, target, now=NOW)

    assert {path.name: path.read_bytes() for path in bundle.path.iterdir()} == before


def test_sending_twice_is_sending_once(spool: Spool, bundle: Bundle, target: Target, tmp_path: Path) -> None:
    send(spool, bundle, target, now=NOW)
    first = [(item.name, item.size_bytes) for item in store_of(tmp_path).list("")]

    send(spool, bundle, target, now=NOW)

    assert [(item.name, item.size_bytes) for item in store_of(tmp_path).list("")] == first


@pytest.mark.parametrize("fails_at", range(4))
def test_a_marker_is_written_only_after_the_last_put(spool: Spool, bundle: Bundle, fails_at: int) -> None:
    store = Counting(fails_at)

    with pytest.raises(StoreUnreachable):
        send(spool, bundle, Target(name="primary", writer=store), now=NOW)

    assert len(store.names) == fails_at
    assert PREFIX + "manifest.json" not in store.names
    assert not marker_path(spool, "primary", bundle.id).exists()


def test_wherever_the_uploader_is_killed_a_marker_means_that_the_store_has_it_all(
    spool: Spool, bundle: Bundle, tmp_path: Path
) -> None:
    number, killed, outcomes = 0, True, set()
    while killed:
        root, name = DirectoryStore.create(tmp_path / f"store-{number}").root, f"store-{number}"

        def work(step: Step, root: Path = root, name: str = name) -> None:
            target = Target(name=name, writer=DirectoryStore(root, step=step))
            send(spool, bundle, target, now=NOW, step=step)

        killed = killed_at(number, work)

        store, marker = DirectoryStore(root), marker_path(spool, name, bundle.id)
        committed = any(item.name.endswith("/manifest.json") for item in store.list(""))
        if marker.exists():
            assert committed
        if committed:
            assert verify_recording(store, PREFIX, OWNER.trust).intact
        outcomes.add((committed, marker.exists()))
        send(spool, bundle, Target(name=name, writer=store), now=NOW)
        assert verify_recording(store, PREFIX, OWNER.trust).intact
        assert marker.exists()
        number += 1

    assert outcomes == {(False, False), (True, False), (True, True)}


@pytest.mark.parametrize(
    "damage", ["no manifest", "no manifest at all", "another's manifest", "no object", "altered"]
)
def test_a_bundle_that_is_no_whole_recording_is_not_sent_as_one(
    spool: Spool, bundle: Bundle, target: Target, tmp_path: Path, damage: str
) -> None:
    path = bundle.path / "manifest.json"
    if damage == "no manifest":
        path.write_bytes(b"{}")
    elif damage == "no manifest at all":
        path.unlink()
    elif damage == "another's manifest":
        path.write_bytes(make_ready(spool, OWNER, 1).manifest_bytes())
    elif damage == "no object":
        next(bundle.path.glob("call-*")).unlink()
    else:
        next(bundle.path.glob("call-*")).write_bytes(b"altered")

    with pytest.raises(BundleBroken, match=str(bundle.id)):
        send(spool, bundle, target, now=NOW)

    assert not any(item.name.endswith("manifest.json") for item in store_of(tmp_path).list(""))
    assert not marker_path(spool, "primary", bundle.id).exists()


def test_other_bytes_in_the_store_are_never_written_over(
    spool: Spool, bundle: Bundle, target: Target, tmp_path: Path
) -> None:
    source = tmp_path / "other"
    source.write_bytes(b"{}")
    store_of(tmp_path).put(PREFIX + "manifest.json", source, hashlib.sha256(b"{}").digest())

    with pytest.raises(StoreRefused):
        send(spool, bundle, target, now=NOW)

    assert not marker_path(spool, "primary", bundle.id).exists()


@pytest.mark.parametrize("name", ["", "..", "a/b", "Primary", "a" * 65])
def test_a_store_needs_a_name_that_a_folder_can_have(name: str) -> None:
    with pytest.raises(UploadError, match="name"):
        Target(name=name, writer=Counting())
