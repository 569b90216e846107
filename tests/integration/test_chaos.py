"""A network that misbehaves, and an uploader, a custodian and a store that are killed at random.

Whatever happens, in the end every recording is in the store exactly once, byte for byte; each has a receipt
that holds; and its local copy went only then. One seed, in a soak ten, each with up to a gigabyte.

One thing only the store can do: when it is killed while it takes an object, SeaweedFS may have the bytes and
not know it, take them again, and then show both. So an object may have as many more versions as the store
owed answers about it, and not one else; all are the same bytes, and the receipt names the oldest.
"""

import contextlib
import hashlib
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self
from uuid import UUID

import pytest

from callseal.seal.keys import Role
from callseal.seal.receipt import Receipt, open_receipt
from callseal.store.names import RECEIPTS, RECORDINGS, parse_receipt_name, recording_name
from support.central import CUSTODIAN, UPLOADER, Service, said, write_central, write_desk
from support.chaos_proxy import chaos
from support.filled_spool import FilledSpool
from support.sealed_recordings import organisation
from support.seaweed import S3Server, serving

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("disks"), pytest.mark.timeout(900)]

SOAK = bool(os.environ.get("CALLSEAL_SOAK"))
SEEDS = 10 if SOAK else 1
RECORDINGS_EACH = 200
SMALLEST_BYTES = 1024
LARGEST_BYTES = 100_000_000
MOST_BYTES = 1_000_000_000 if SOAK else 250_000_000
CHAOS_S = 60.0 if SOAK else 40.0
LIMIT_S = 600.0
OWNER = organisation()


def sizes(dice: random.Random) -> list[int]:
    """Draw sizes from a kilobyte to the largest, evenly by their logarithm; the largest is among them."""
    drawn = [LARGEST_BYTES]
    left = MOST_BYTES - LARGEST_BYTES
    for _ in range(RECORDINGS_EACH - 1):
        size = int(SMALLEST_BYTES * (LARGEST_BYTES / SMALLEST_BYTES) ** dice.random())
        size = size if size <= left // 4 else SMALLEST_BYTES + size % 65_536
        left -= size
        drawn.append(size)
    dice.shuffle(drawn)
    return drawn


class Vanished:
    """Notes when each recording's local copy went."""

    def __init__(self, ready: Path) -> None:
        self.at: dict[UUID, datetime] = {}
        self._ready = ready
        self._known: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_reason: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.02):
            there = {path.name for path in self._ready.iterdir()}
            for name in self._known - there:
                self.at.setdefault(UUID(name), datetime.now(UTC))
            self._known |= there


def _stores(port: int, bucket: str, profile: str) -> str:
    return (
        f'[[store]]\nname = "primary"\ntype = "s3"\nendpoint = "http://127.0.0.1:{port}"\n'
        f'bucket = "{bucket}"\nprofile = "{profile}"\n'
    )


@contextlib.contextmanager
def _running(*services: Service) -> Iterator[None]:
    for service in services:
        service.start()
    try:
        yield
    finally:
        for service in services:
            service.kill()


def _disturb(dice: random.Random, server: S3Server, uploader: Service, custodian: Service) -> str:
    """Kill one of the three, and start it again after a while."""
    what = dice.choice(["uploader", "uploader", "custodian", "store"])
    if what == "store":
        server.seaweed.kill()
        time.sleep(dice.uniform(0, 1))
        server.seaweed.start()
    else:
        service = uploader if what == "uploader" else custodian
        service.kill()
        time.sleep(dice.uniform(0, 0.5))
        service.start()
    return what


def _versions(client: "S3Client", bucket: str, prefix: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        assert not page.get("DeleteMarkers")
        for item in page.get("Versions", []):
            found.setdefault(item["Key"], []).append(item["VersionId"])
    return found


def _receipts(client: "S3Client", bucket: str) -> dict[UUID, Receipt]:
    receipts = {}
    for key in _versions(client, bucket, RECEIPTS):
        parsed = parse_receipt_name(key)
        assert parsed is not None, key
        receipt, chain = open_receipt(client.get_object(Bucket=bucket, Key=key)["Body"].read())
        OWNER.trust.check(chain, at=receipt.received_at, role=Role.CUSTODIAN)
        assert (receipt.device, receipt.id) == parsed
        receipts[receipt.id] = receipt
    return receipts


def _sha256(client: "S3Client", bucket: str, key: str, version: str) -> bytes:
    body = client.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"]
    digest = hashlib.sha256()
    for block in body.iter_chunks(1 << 20):
        digest.update(block)
    return digest.digest()


def _check(
    client: "S3Client", bucket: str, filled: FilledSpool, vanished: Vanished, unanswered: Counter[str]
) -> None:
    there = _versions(client, bucket, RECORDINGS)
    receipts = _receipts(client, bucket)
    expected = {}
    for recording, manifest in filled.manifests.items():
        place = recording_name(manifest.device, manifest.started_at, recording)
        data = manifest.to_bytes()
        expected.update({place.object(item.name): item.sha256 for item in manifest.objects})
        expected[place.object("manifest.json")] = hashlib.sha256(data).digest()
    signatures = {key for key in there if key.endswith("/manifest.sig")}
    assert there.keys() - signatures == expected.keys()
    assert len(signatures) == len(filled.manifests)
    owed = {key: unanswered[f"{bucket}/{key}"] for key in there}
    assert {key: versions for key, versions in there.items() if len(versions) > 1 + owed[key]} == {}
    for key, versions in there.items():
        found = {_sha256(client, bucket, key, version) for version in versions}
        assert found == {expected.get(key, next(iter(found)))}, key
    assert receipts.keys() == filled.manifests.keys()
    for recording, receipt in receipts.items():
        for item in receipt.objects:
            assert item.version == there[item.name][-1]
            assert expected.get(item.name, item.sha256) == item.sha256
        assert receipt.received_at <= vanished.at[recording]


def _one_run(folder: Path, seed: int) -> Counter[str]:
    dice = random.Random(seed)  # noqa: S311 - noise, and repeatable
    done: Counter[str] = Counter()
    with serving(folder / "seaweed") as server, FilledSpool(folder / "desk/spool", OWNER, dice) as filled:
        bucket = server.bucket()
        own = filled.spool.ready_path
        # What each may do is tried elsewhere; here both have the keys to everything.
        with (
            chaos(server.seaweed.port_of("s3"), dice.randrange(2**32)) as network,
            Vanished(own) as vanished,
        ):
            desk = write_desk(
                folder / "desk", OWNER, _stores(network.port, bucket, "admin"), uploader="connections = 4\n"
            )
            central = write_central(folder / "central", OWNER, _stores(network.port, bucket, "admin"))
            uploader = Service(UPLOADER, desk, server.environment())
            custodian = Service(CUSTODIAN, central, server.environment())
            planned = sizes(dice)
            for size in planned[: RECORDINGS_EACH // 2]:
                filled.record(size)
            filled.publish()
            with _running(uploader, custodian):
                rest = planned[RECORDINGS_EACH // 2 :]
                began_s = time.monotonic()
                while time.monotonic() - began_s < CHAOS_S or rest:
                    for size in rest[:5]:
                        filled.record(size)
                    rest = rest[5:]
                    filled.publish()
                    time.sleep(dice.uniform(0.3, 2.0))
                    done[_disturb(dice, server, uploader, custodian)] += 1
                network.calm = True
                _wait_until_empty(own, folder, uploader, custodian)
            done.update({f"network {name}": count for name, count in network.counts.items()})
            _check(server.client(), bucket, filled, vanished, network.unanswered)
    return done


def _wait_until_empty(ready: Path, folder: Path, uploader: Service, custodian: Service) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while left := list(ready.iterdir()):
        assert uploader.is_running, uploader.tail()
        assert custodian.is_running, custodian.tail()
        if time.monotonic() > deadline_s:
            words = f"{len(left)} recordings are still here\n{said(folder / 'desk/spool', UPLOADER)}\n"
            raise AssertionError(words + uploader.tail() + "\n" + custodian.tail())
        time.sleep(0.2)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(SEEDS))
def test_every_recording_arrives_exactly_once_whatever_dies(tmp_path: Path, number: int) -> None:
    seed = random.randrange(2**32) if SOAK else 20261122 + number  # noqa: S311 - a seed
    print(f"seed {seed}")  # noqa: T201 - so that a failing run can be repeated

    done = _one_run(tmp_path, seed)

    print(dict(done))  # noqa: T201 - what was done to them
    killed = ("uploader", "custodian", "store")
    faults = ("cut", "swallow", "delay", "error_500", "error_503", "lie")
    assert min(done[name] for name in (*killed, *(f"network {name}" for name in faults))) > 0
