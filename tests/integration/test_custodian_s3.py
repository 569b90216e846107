"""The custodian on a real S3 store: versions and delete markers by thieves with real credentials."""

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from botocore.exceptions import ClientError

from callseal.archive.scrubbing import scrub
from callseal.seal.keys import write_certificates, write_signing_key
from callseal.seal.manifest import MANIFEST_NAME, SIGNATURE_NAME
from callseal.store.interface import CentralStore
from callseal.store.names import receipt_name
from callseal.store.opening import open_store
from callseal.store.policies import Role as Policy
from callseal.store.policies import place_of, policies
from support.commands import PROGRAM
from support.custody import (
    PRIMARY,
    SECOND,
    Custody,
    bring,
    content,
    custodian_of,
    forged_receipt,
    office,
    put,
)
from support.eventually import eventually
from support.kept_ledgers import Sealed
from support.sealed_recordings import organisation
from support.seaweed import S3Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytest_plugins = ("support.seaweed_fixture",)
pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("seaweed")]

DEVICE: Final = "thief"
CUSTODIAN: Final = "custodian"
LIMIT_S: Final = 60.0


class Central:
    """A bucket, a custodian with the custodian's rights, and a thief with those of the device."""

    def __init__(self, server: S3Server, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.bucket = server.bucket()
        place = place_of(server.settings(self.bucket))
        rights = policies(place, organisation().device)
        server.allow(DEVICE, dict(rights[Policy.DEVICE]))
        server.allow(CUSTODIAN, dict(rights[Policy.CUSTODIAN]))
        self.desk = self._open(DEVICE)
        self.store = self._open(CUSTODIAN)
        self.custody = Custody(folder=folder, stores={PRIMARY: self.store})

    def _open(self, profile: str) -> CentralStore:
        return open_store(self.server.settings(self.bucket, profile=profile, name=PRIMARY))

    @property
    def thief(self) -> "S3Client":
        """The device's credentials in wrong hands; what they may do is the store's business."""
        return self.server.client(DEVICE)

    def over(self, name: str, data: bytes) -> str:
        """Put another version over a name, as who may add can do where nobody asks for If-None-Match."""
        return self.thief.put_object(Bucket=self.bucket, Key=name, Body=data)["VersionId"]


@pytest.fixture
def central(s3_server: S3Server, tmp_path: Path) -> Central:
    return Central(s3_server, tmp_path)


def named(sealed: Sealed, kind: str) -> str:
    return sealed.prefix + next(last for last in sealed.files if last.startswith(kind))


def brought(central: Central, stores: Sequence[str] = (PRIMARY,)) -> tuple[Sealed, dict[str, str]]:
    """Let the device record a call and bring it with its own rights; give the versions by name."""
    writer, (sealed,) = office([], stores_named=tuple(stores))
    for first, data in writer.kept.segments.items():
        put(central.desk, f"ledger/{writer.owner.device}/{first}.jsonl", data)
    return sealed, dict(bring(central.desk, sealed))


def test_what_a_desk_brings_with_its_own_rights_is_received_by_version(central: Central) -> None:
    sealed, versions = brought(central)

    central.custody.round()

    receipt = central.custody.receipt(sealed)
    assert receipt is not None
    assert {item.name: item.version for item in receipt.objects} == versions
    assert (central.custody.told(), central.custody.totals()) == ([], {"received": 1})
    assert content(central.desk, receipt_name(sealed.manifest.device, sealed.id))


def test_doing_it_again_leaves_one_version_of_one_receipt(central: Central) -> None:
    sealed, _versions = brought(central)
    custody = central.custody

    custody.round()
    custody.another().round()
    custody.now += timedelta(hours=30)
    custody.round()

    (receipt,) = central.store.versions("receipts/")
    assert receipt.name == receipt_name(sealed.manifest.device, sealed.id)


@pytest.mark.parametrize("kind", ["audio", MANIFEST_NAME, SIGNATURE_NAME])
@pytest.mark.parametrize("when", ["before", "after"])
def test_versions_that_a_stolen_device_credential_puts_on_top_are_told_and_count_for_nothing(
    central: Central, kind: str, when: str
) -> None:
    sealed, versions = brought(central)
    if when == "after":
        central.custody.round()
    theirs = central.over(named(sealed, kind), b"evil")

    central.custody.now += timedelta(hours=30)
    central.custody.round()

    receipt = central.custody.receipt(sealed)
    assert receipt is not None
    assert {item.name: item.version for item in receipt.objects} == versions
    assert theirs not in versions.values()
    assert central.custody.told() == [("extra-version", 12)]


def test_an_object_more_by_a_stolen_device_credential_is_told_and_in_no_receipt(central: Central) -> None:
    sealed, versions = brought(central)
    central.over(sealed.prefix + "evil.bin", b"evil")

    central.custody.round()

    receipt = central.custody.receipt(sealed)
    assert receipt is not None
    assert {item.name for item in receipt.objects} == set(versions)
    assert central.custody.told() == [("extra-object", 12)]


def test_a_thief_can_neither_forge_a_receipt_nor_hide_or_delete_anything(central: Central) -> None:
    sealed, versions = brought(central)
    name = receipt_name(sealed.manifest.device, sealed.id)
    audio = named(sealed, "audio")
    tries = (
        lambda: central.over(name, forged_receipt(sealed, custodian_of(organisation()))),
        lambda: central.thief.delete_object(Bucket=central.bucket, Key=audio),
        lambda: central.thief.delete_object(Bucket=central.bucket, Key=audio, VersionId=versions[audio]),
    )

    for one in tries:
        with pytest.raises(ClientError, match="AccessDenied"):
            one()
    central.custody.round()

    assert central.custody.told() == []


@pytest.mark.parametrize("kind", ["audio", MANIFEST_NAME])
def test_a_delete_marker_by_whoever_may_is_told_and_hides_nothing(central: Central, kind: str) -> None:
    sealed, versions = brought(central)
    central.server.client().delete_object(Bucket=central.bucket, Key=named(sealed, kind))

    central.custody.round()

    receipt = central.custody.receipt(sealed)
    assert receipt is not None
    assert {item.name: item.version for item in receipt.objects} == versions
    assert central.custody.told() == [("object-hidden", 12)]


def test_a_forged_receipt_by_whoever_may_put_there_is_told_and_left(central: Central) -> None:
    sealed, _versions = brought(central)
    name = receipt_name(sealed.manifest.device, sealed.id)
    forged = forged_receipt(sealed, custodian_of(organisation("Another")))
    central.server.client().put_object(Bucket=central.bucket, Key=name, Body=forged)

    central.custody.round()

    assert content(central.store, name) == forged
    assert len(list(central.store.versions(name))) == 1
    assert central.custody.told() == [("receipt-forged", 14)]


def test_a_drill_reads_the_received_versions_whatever_lies_on_top(central: Central) -> None:
    sealed, _versions = brought(central)
    central.custody.round()
    for last in sealed.files:
        central.over(sealed.prefix + last, b"evil")

    name = receipt_name(sealed.manifest.device, sealed.id)
    found = scrub(central.store, PRIMARY, name, organisation().trust)

    assert (found.troubles, found.size_bytes) == ((), sum(map(len, sealed.files.values())))


def test_another_bucket_is_filled_from_the_first_and_the_desk_reads_both_receipts(
    s3_server: S3Server, central: Central, tmp_path: Path
) -> None:
    other = s3_server.bucket()
    target = open_store(s3_server.settings(other, name=SECOND))
    custody = Custody(
        folder=tmp_path / "two",
        stores={PRIMARY: central.store, SECOND: target},
        filled=frozenset({SECOND}),
    )
    sealed, _versions = brought(central, (PRIMARY, SECOND))

    custody.rounds()

    own = custody.receipt(sealed, SECOND)
    assert own is not None
    there = {item.name: item.version for item in target.versions(sealed.prefix)}
    assert {item.name: item.version for item in own.objects} == there
    assert content(central.desk, receipt_name(sealed.manifest.device, sealed.id, SECOND)) == content(
        target, receipt_name(sealed.manifest.device, sealed.id)
    )
    assert (custody.told(PRIMARY), custody.told(SECOND)) == ([], [])


def test_without_the_right_to_list_the_round_fails_as_denied(s3_server: S3Server, central: Central) -> None:
    central.custody.stores[PRIMARY] = central.desk

    with pytest.raises(OSError, match="AccessDenied") as raised:
        central.custody.round()

    assert getattr(raised.value, "exit_code", None) == 21


def test_the_installed_service_receives_over_s3_and_lives_through_a_server_that_dies(
    s3_server: S3Server, tmp_path: Path
) -> None:
    central = Central(s3_server, tmp_path / "central")
    owner = organisation()
    identity = custodian_of(owner)
    write_certificates(tmp_path / "trust.pem", [owner.root])
    write_signing_key(tmp_path / "custodian.key", identity.key)
    (tmp_path / "custodian.pem").write_bytes(_pem(identity.chain[0]))
    store = s3_server.settings_text(central.bucket, profile=CUSTODIAN, name=PRIMARY)
    config = tmp_path / "callseal.toml"
    config.write_text(
        f'schema = 1\n[device]\nsite = "hq"\n[custodian]\npath = "{tmp_path / "own"}"\nscan_s = 1.0\n{store}'
    )

    with subprocess.Popen(
        [PROGRAM, "custodian", "--config", config], env=os.environ, stderr=subprocess.PIPE
    ) as service:
        try:
            sealed, _versions = brought(central)
            eventually(lambda: central.custody.receipt(sealed) is not None, "a receipt")
            s3_server.seaweed.kill()
            eventually(lambda: "store-unreachable" in _alarms(tmp_path / "own"), "an alarm")
            s3_server.seaweed.start()
            eventually(lambda: "store-unreachable" not in _alarms(tmp_path / "own"), "the alarm's end")
        finally:
            service.send_signal(signal.SIGTERM)
        _out, log = service.communicate(timeout=LIMIT_S)

    assert service.returncode == 0, log.decode()
    assert b"Traceback" not in log


def _pem(der: bytes) -> bytes:
    from cryptography import x509  # noqa: PLC0415 - only here
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def _alarms(folder: Path) -> set[str]:
    path = folder / "status" / "custodian.json"
    return {one["code"] for one in json.loads(path.read_text())["alarms"]} if path.exists() else set()
