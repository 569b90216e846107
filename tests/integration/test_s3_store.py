"""The S3 store against a real one, SeaweedFS: an account that may only add, thieves, kills, changed keys."""

import hashlib
import os
import socket
import threading
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from callseal.cli.demo.seaweed import GRPC_OFFSET
from callseal.config import central
from callseal.store.capabilities import MIB
from callseal.store.errors import (
    NameTaken,
    StoreDenied,
    StoreError,
    StoreMissing,
    StoreRefused,
    StoreUnreachable,
)
from callseal.store.interface import ObjectInfo, Span
from callseal.store.s3 import S3Store
from callseal.store.s3_client import LOOK_S
from support.eventually import eventually
from support.seaweed import S3Server, serving

pytest_plugins = ["support.seaweed_fixture"]
pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("seaweed")]

DEVICE = "dev-aaaaaaaaaaaa"
NAME = f"recordings/{DEVICE}/2026/11/21/x/manifest.json"
DATA = b"the manifest"
SHA256 = hashlib.sha256(DATA).digest()


def policy(bucket: str, *actions: str) -> dict[str, object]:
    """Give a policy that allows some actions on all objects of a bucket."""
    resource = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": [f"s3:{action}" for action in actions], "Resource": resource}
        ],
    }


ADD_ONLY = ("PutObject", "AbortMultipartUpload", "ListMultipartUploadParts")


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> str:
    name = s3_server.bucket()
    s3_server.allow("agent", policy(name, *ADD_ONLY))
    return name


@pytest.fixture
def settings(s3_server: S3Server, bucket: str, tmp_path: Path) -> central.S3Store:
    return s3_server.settings(bucket, prefix=f"{tmp_path.name}/")


@pytest.fixture
def store(settings: central.S3Store) -> S3Store:
    """Give the store as an administrator has it."""
    return S3Store(settings)


@pytest.fixture
def agent(settings: central.S3Store) -> S3Store:
    """Give the store as an agent has it, which may add and nothing else."""
    return S3Store(settings, profile="agent")


def listeners() -> list[tuple[str, int]]:
    """Give the addresses and ports on which this machine listens (Linux, proc(5): /proc/net/tcp)."""
    found = []
    for table, is_wide in (("tcp", False), ("tcp6", True)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].split(":")
            if fields[3] == "0A":  # LISTEN
                text = "some IPv6 address" if is_wide else socket.inet_ntoa(bytes.fromhex(address)[::-1])
                found.append((text, int(port, 16)))
    return found


def names(store: S3Store) -> list[str]:
    return [item.name for item in store.list("recordings/")]


def test_who_may_only_add_adds_and_does_nothing_else(agent: S3Store, store: S3Store) -> None:
    agent.put(NAME, DATA, SHA256)

    for attempt in (
        lambda: agent.get(NAME),
        lambda: list(agent.list("recordings/")),
        lambda: list(agent.versions("recordings/")),
        lambda: list(agent.folders("recordings/")),
        lambda: agent.replace(f"fleet/{DEVICE}.json", DATA),
        lambda: agent.lock_until(NAME, "null", datetime.now(UTC) + timedelta(days=1)),
        lambda: agent.hold(NAME, "null", on=True),
    ):
        with pytest.raises(StoreDenied):
            attempt()
    assert names(store) == [NAME]


def test_who_may_not_read_is_told_only_that_the_name_is_taken(agent: S3Store, store: S3Store) -> None:
    version = agent.put(NAME, DATA, SHA256)

    for data in (DATA, b"other"):
        with pytest.raises(NameTaken):
            agent.put(NAME, data, hashlib.sha256(data).digest())

    assert [item.version for item in store.versions("recordings/")] == [version]


def test_a_large_object_under_a_taken_name_is_refused_and_not_taken_for_a_broken_network(
    agent: S3Store, tmp_path: Path
) -> None:
    data = os.urandom(20 * MIB)
    (tmp_path / "source").write_bytes(data)
    agent.put(NAME, DATA, SHA256)

    for _again in range(3):
        with pytest.raises(NameTaken):
            agent.put(NAME, tmp_path / "source", hashlib.sha256(data).digest())


def test_who_may_only_add_adds_in_parts_too(agent: S3Store, store: S3Store, tmp_path: Path) -> None:
    data = os.urandom(12 * MIB)
    source = tmp_path / "source"
    source.write_bytes(data)

    upload = agent.begin_parts(NAME)
    parts = []
    for number, begin in enumerate(range(0, len(data), 5 * MIB), start=1):
        piece = data[begin : begin + 5 * MIB]
        span = Span(offset_bytes=begin, size_bytes=len(piece))
        sha256 = hashlib.sha256(piece).digest()
        parts.append(agent.put_part(NAME, upload, number, source, span=span, sha256=sha256))
    version = agent.end_parts(NAME, upload, parts)

    with store.get(NAME, version) as file:
        assert file.read() == data


def test_what_a_thief_puts_on_top_is_seen_and_what_was_there_can_be_read(
    s3_server: S3Server, agent: S3Store, store: S3Store, bucket: str, tmp_path: Path
) -> None:
    """Who may add may add another version: without our condition, with any client."""
    first = agent.put(NAME, DATA, SHA256)
    thief = s3_server.client("agent")
    key = f"{tmp_path.name}/{NAME}"

    second = thief.put_object(Bucket=bucket, Key=key, Body=b"forged")["VersionId"]
    s3_server.client().delete_object(Bucket=bucket, Key=key)

    found = list(store.versions("recordings/"))
    assert [(item.name, item.version, item.size_bytes) for item in found] == [
        (NAME, first, len(DATA)),
        (NAME, second, len(b"forged")),
    ]
    assert names(store) == []
    with pytest.raises(StoreMissing):
        store.get(NAME)
    with store.get(NAME, first) as file:
        assert file.read() == DATA


def test_many_versions_of_many_names_come_in_order_over_many_pages(
    s3_server: S3Server, store: S3Store, bucket: str, tmp_path: Path
) -> None:
    client = s3_server.client()
    put = [
        (
            f"ledger/{DEVICE}/{number}.jsonl",
            client.put_object(
                Bucket=bucket, Key=f"{tmp_path.name}/ledger/{DEVICE}/{number}.jsonl", Body=b"x" * again
            )["VersionId"],
        )
        for again in range(3)
        for number in range(400)
    ]

    found = [(item.name, item.version) for item in store.versions("ledger/")]
    listed = [item.name for item in store.list("ledger/")]

    assert found == sorted(put, key=lambda one: one[0])
    assert listed == sorted({name for name, _ in put})
    middle = listed[200]
    assert [item.name for item in store.list("ledger/", middle)] == listed[201:]


def test_a_listing_goes_on_behind_a_day(store: S3Store) -> None:
    days = [f"recordings/{DEVICE}/2026/11/{day:02}/x/manifest.json" for day in range(1, 31)]
    for name in days:
        store.put(name, DATA, SHA256)

    found = [item.name for item in store.list(f"recordings/{DEVICE}/", f"recordings/{DEVICE}/2026/11/20")]

    assert found == days[19:]


def test_two_who_put_the_same_name_at_once_make_one_object(settings: central.S3Store, store: S3Store) -> None:
    stores = [S3Store(settings, profile="agent") for _ in range(8)]
    start = threading.Barrier(len(stores))
    won: list[bytes] = []

    def race(own: S3Store, data: bytes) -> None:
        start.wait()
        try:
            own.put(NAME, data, hashlib.sha256(data).digest())
        except NameTaken:
            return
        won.append(data)

    threads = [
        threading.Thread(target=race, args=(own, bytes([number]) * 50_000))
        for number, own in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(list(store.versions("recordings/"))) == len(won) == 1


def test_what_is_locked_stays_whoever_asks(
    s3_server: S3Server, store: S3Store, bucket: str, tmp_path: Path
) -> None:
    version = store.put(NAME, DATA, SHA256)
    store.lock_until(NAME, version, datetime.now(UTC) + timedelta(days=1))
    admin = s3_server.client()

    with pytest.raises(ClientError):
        admin.delete_object(
            Bucket=bucket, Key=f"{tmp_path.name}/{NAME}", VersionId=version, BypassGovernanceRetention=True
        )
    weaker = S3Store(s3_server.settings(bucket, prefix=f"{tmp_path.name}/", lock="governance"))
    weaker.lock_until(NAME, version, datetime.now(UTC) + timedelta(days=2))

    key = f"{tmp_path.name}/{NAME}"
    held = admin.get_object_retention(Bucket=bucket, Key=key, VersionId=version)["Retention"]
    assert held["Mode"] == "COMPLIANCE"
    with store.get(NAME, version) as file:
        assert file.read() == DATA


def test_a_bucket_without_lock_protects_nothing_and_says_so(s3_server: S3Server) -> None:
    plain = S3Store(s3_server.settings(s3_server.bucket(lock=False)))
    version = plain.put(NAME, DATA, SHA256)

    assert plain.locked_until(NAME, version) is None
    assert not plain.is_held(NAME, version)
    with pytest.raises(StoreError):
        plain.lock_until(NAME, version, datetime.now(UTC) + timedelta(days=1))
    assert [item.version for item in plain.versions("")] == [version]


def test_a_bucket_that_is_not_there_is_told_in_words(s3_server: S3Server) -> None:
    nowhere = S3Store(s3_server.settings("nowhere-at-all", profile="agent"))

    with pytest.raises(StoreDenied):
        nowhere.put(NAME, DATA, SHA256)


def test_keys_that_are_changed_are_taken_while_it_runs(
    s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    """Old key out, new key in, in the file and at the service: no start in between."""
    now_s = [0.0]
    s3_server.allow("rotated", policy(bucket, *ADD_ONLY))
    settings = s3_server.settings(bucket, prefix=f"{tmp_path.name}/", profile="rotated")
    store = S3Store(settings, clock=lambda: now_s[0])
    store.put("ledger/a/0.jsonl", DATA, SHA256)

    s3_server.forbid("rotated")
    with pytest.raises(StoreDenied):
        store.put("ledger/a/1.jsonl", DATA, SHA256)
    s3_server.allow("rotated", policy(bucket, *ADD_ONLY))
    now_s[0] += LOOK_S
    store.put("ledger/a/1.jsonl", DATA, SHA256)

    assert [item.name for item in S3Store(settings, profile="admin").list("ledger/")] == [
        "ledger/a/0.jsonl",
        "ledger/a/1.jsonl",
    ]


def test_a_store_that_is_killed_is_unreachable_and_then_there_again(
    s3_server: S3Server, agent: S3Store, store: S3Store, tmp_path: Path
) -> None:
    """What it had acknowledged is there; an upload in parts goes on where it was."""
    data = os.urandom(5 * MIB)
    source = tmp_path / "source"
    source.write_bytes(data)
    span = Span(offset_bytes=0, size_bytes=len(data))
    sha256 = hashlib.sha256(data).digest()
    agent.put(f"ledger/{DEVICE}/0.jsonl", DATA, SHA256)
    upload = agent.begin_parts(NAME)
    part = agent.put_part(NAME, upload, 1, source, span=span, sha256=sha256)

    s3_server.seaweed.kill()
    for attempt in (
        lambda: agent.put(f"ledger/{DEVICE}/1.jsonl", DATA, SHA256),
        lambda: agent.end_parts(NAME, upload, [part]),
        lambda: list(store.list("ledger/")),
    ):
        with pytest.raises(StoreUnreachable):
            attempt()
    s3_server.seaweed.start()

    agent.put(f"ledger/{DEVICE}/1.jsonl", DATA, SHA256)
    agent.end_parts(NAME, upload, [part])
    assert [item.name for item in store.list("ledger/")] == [f"ledger/{DEVICE}/{n}.jsonl" for n in range(2)]
    with store.get(NAME) as file:
        assert file.read() == data


def test_a_store_killed_in_the_middle_of_a_body_leaves_nothing(
    s3_server: S3Server, agent: S3Store, store: S3Store, tmp_path: Path
) -> None:
    data = os.urandom(8 * MIB)
    source = tmp_path / "source"
    source.write_bytes(data)
    told = [0]

    def kill_at_half(more: int) -> None:
        told[0] += more
        if told[0] >= len(data) // 2 and s3_server.seaweed.is_running:
            s3_server.seaweed.kill()

    with pytest.raises(StoreUnreachable):
        agent.put(NAME, source, hashlib.sha256(data).digest(), pace=kill_at_half)
    s3_server.seaweed.start()

    assert names(store) == []
    agent.put(NAME, source, hashlib.sha256(data).digest())
    assert names(store) == [NAME]


def test_a_body_that_the_store_dies_of_is_never_taken_for_the_whole(
    s3_server: S3Server, store: S3Store
) -> None:
    data = os.urandom(64 * MIB)
    store.put(NAME, data, hashlib.sha256(data).digest())

    with store.get(NAME) as file:
        file.read(10)
        s3_server.seaweed.kill()
        with pytest.raises(StoreUnreachable):
            file.read()
    s3_server.seaweed.start()

    with store.get(NAME) as file:
        assert file.read() == data


def test_an_object_of_nobody_is_listed_and_is_no_way_out(
    s3_server: S3Server, store: S3Store, bucket: str, tmp_path: Path
) -> None:
    """Whoever may add may add rubbish; it is shown, and reading it is refused."""
    client = s3_server.client("agent")
    for name in ("recordings/a b", "recordings/ä", "recordings/x~"):
        client.put_object(Bucket=bucket, Key=f"{tmp_path.name}/{name}", Body=b"rubbish")

    found: list[ObjectInfo] = list(store.list("recordings/"))

    assert len(found) == 3
    for item in found:
        with pytest.raises(StoreRefused):
            store.get(item.name)


def test_the_store_for_trying_out_listens_on_loopback_only_and_its_inner_doors_are_shut(
    s3_server: S3Server, store: S3Store, bucket: str, tmp_path: Path
) -> None:
    """Whoever reaches the filer's port could otherwise delete what object lock protects."""
    store.put(NAME, DATA, SHA256)
    seaweed = s3_server.seaweed
    url = f"http://127.0.0.1:{seaweed.port_of('filer')}/buckets/{bucket}/{tmp_path.name}?recursive=true"
    request = urllib.request.Request(url, method="DELETE")

    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=5)  # noqa: S310 - the same
    caught.value.close()

    assert caught.value.code == 401
    assert names(store) == [NAME]
    ports = [seaweed.port_of(server) for server in ("master", "volume", "filer", "s3", "admin")]
    listening = {
        address for address, port in listeners() if port in {*ports, *(port + GRPC_OFFSET for port in ports)}
    }
    assert listening == {"127.0.0.1"}


def test_the_store_for_trying_out_leaves_no_process_behind(tmp_path: Path) -> None:
    with serving(tmp_path / "other") as server:
        pid = server.seaweed.pid
        assert Path(f"/proc/{pid}").exists()

    eventually(lambda: not Path(f"/proc/{pid}").exists(), "the process is gone")
    left = f"seaweedfs-*-{server.seaweed.port_of('s3') + GRPC_OFFSET}.sock"
    assert not list(Path("/tmp").glob(left))  # noqa: S108 - where SeaweedFS puts them, unasked
