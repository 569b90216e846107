"""Two sites: what is important goes to both, and one that is away for a whole day costs nothing but time."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from callseal.seal.keys import Role
from callseal.seal.receipt import open_receipt
from callseal.store.names import RECEIPTS, RECORDINGS, parse_receipt_name, parse_recording_name
from support.central import CUSTODIAN, UPLOADER, Service, said, write_central, write_desk
from support.filled_spool import FilledSpool
from support.sealed_recordings import organisation
from support.seaweed import ADMIN, S3Server, serving

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("seaweed")]

OWNER = organisation()
LIMIT_S = 90.0
BOTH = ("first", "second")


@dataclass(frozen=True, kw_only=True)
class Sites:
    """Two stores with a bucket each, and who works with them."""

    folder: Path
    first: S3Server
    second: S3Server
    buckets: tuple[str, str]
    uploader: Service
    custodian: Service

    def stored(self, number: int) -> set[UUID]:
        """Give the recordings that are complete in a site."""
        return {
            parsed[0].id
            for key in self._keys(number, RECORDINGS)
            if (parsed := parse_recording_name(key)) and parsed[1] == "manifest.json"
        }

    def received(self, number: int) -> set[UUID]:
        """Give the recordings for which a site has receipts that hold."""
        found = set()
        client = (self.first, self.second)[number].client()
        for key in self._keys(number, RECEIPTS):
            parsed = parse_receipt_name(key)
            if parsed is None:
                continue  # what was found in another store
            data = client.get_object(Bucket=self.buckets[number], Key=key)["Body"].read()
            receipt, chain = open_receipt(data)
            OWNER.trust.check(chain, at=receipt.received_at, role=Role.CUSTODIAN)
            assert receipt.site == BOTH[number]
            found.add(receipt.id)
        return found

    def alarms(self) -> set[str]:
        """Give the uploader's alarms."""
        reading = said(self.folder / "desk/spool", UPLOADER)
        return set() if reading is None else {alarm.code for alarm in reading.status.alarms}

    def wait(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        deadline_s = time.monotonic() + LIMIT_S
        while not holds():
            for service in (self.uploader, self.custodian):
                assert service.is_running, service.tail()
            assert time.monotonic() < deadline_s, self.uploader.tail() + "\n" + self.custodian.tail()
            time.sleep(0.2)

    def _keys(self, number: int, prefix: str) -> list[str]:
        client = (self.first, self.second)[number].client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.buckets[number], Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]


def _table(server: S3Server, bucket: str, name: str, filled_by: str) -> str:
    return (
        f'[[store]]\nname = "{name}"\ntype = "s3"\nendpoint = "{server.endpoint}"\nbucket = "{bucket}"\n'
        f'profile = "{ADMIN}-{name}"\nfilled_by = "{filled_by}"\n'
    )


@contextmanager
def _sites(folder: Path, *, second_filled_by: str) -> Iterator[Sites]:
    with serving(folder / "first") as first, serving(folder / "second") as second:
        buckets = first.bucket(), second.bucket()
        credentials = folder / "credentials"
        credentials.write_text(
            "".join(
                server.credentials_file.read_text().replace("[admin]", f"[{ADMIN}-{name}]")
                for name, server in zip(BOTH, (first, second), strict=True)
            )
        )
        environment = {**first.environment(), "AWS_SHARED_CREDENTIALS_FILE": str(credentials)}
        stores = _table(first, buckets[0], "first", "uploader")
        stores += _table(second, buckets[1], "second", second_filled_by)
        sites = Sites(
            folder=folder,
            first=first,
            second=second,
            buckets=buckets,
            uploader=Service(UPLOADER, write_desk(folder / "desk", OWNER, stores), environment),
            custodian=Service(CUSTODIAN, write_central(folder / "central", OWNER, stores), environment),
        )
        try:
            yield sites
        finally:
            sites.uploader.kill()
            sites.custodian.kill()


@pytest.mark.parametrize("second_filled_by", ["uploader", "custodian"])
def test_a_site_that_comes_back_gets_all_that_it_missed(tmp_path: Path, second_filled_by: str) -> None:
    """Meanwhile the other one takes everything, and copies that belong in both stay where they were made."""
    dice = random.Random(second_filled_by)  # noqa: S311 - any bytes will do
    with (
        _sites(tmp_path, second_filled_by=second_filled_by) as sites,
        FilledSpool(tmp_path / "desk/spool", OWNER, dice) as filled,
    ):
        ready = filled.spool.ready_path
        important = {filled.record(size, BOTH) for size in (1_000, 70_000, 9_000_000)}
        others = {filled.record(size, ["first"]) for size in (2_000, 80_000)}
        filled.publish()
        sites.second.seaweed.kill()

        sites.uploader.start()
        sites.custodian.start()
        sites.wait(lambda: sites.received(0) == important | others)
        sites.wait(lambda: {UUID(path.name) for path in ready.iterdir()} == important)
        alarms_meanwhile = sites.alarms()
        sites.second.seaweed.start()
        sites.wait(lambda: not list(ready.iterdir()))

        assert sites.stored(0) == important | others
        assert sites.stored(1) == sites.received(1) == important
        assert second_filled_by == "custodian" or "store-unreachable" in alarms_meanwhile
