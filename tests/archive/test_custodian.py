"""The custodian vouches for what it read back and checked itself, once, and for nothing else."""

import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from callseal.seal.keys import Role
from callseal.seal.manifest import MANIFEST_NAME, SIGNATURE_NAME
from callseal.seal.receipt import open_receipt
from callseal.store.directory import DirectoryStore
from callseal.store.names import receipt_name
from support.custody import (
    NOW,
    PRIMARY,
    Custody,
    bring,
    bring_ledger,
    content,
    directory,
    office,
    put,
)
from support.kept_ledgers import MINUTE, Writer, seal
from support.sealed_recordings import organisation


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return directory(tmp_path)


@pytest.fixture
def custody(store: DirectoryStore, tmp_path: Path) -> Custody:
    return Custody(folder=tmp_path, stores={PRIMARY: store})


def test_a_whole_recording_is_received_with_every_object_and_its_version(
    custody: Custody, store: DirectoryStore
) -> None:
    _writer, (sealed,) = office([store])

    done = custody.round()

    receipt = custody.receipt(sealed)
    assert receipt is not None
    assert (receipt.site, receipt.device, receipt.received_at) == (PRIMARY, sealed.manifest.device, NOW)
    assert receipt.manifest == sealed.sha256
    assert {(one.name, one.version, one.size_bytes) for one in receipt.objects} == {
        (sealed.prefix + last, hashlib.sha256(data).hexdigest(), len(data))
        for last, data in sealed.files.items()
    }
    assert (done.received, custody.totals(), custody.told()) == (1, {"received": 1}, [])


def test_the_receipt_is_signed_by_a_custodian_whom_the_root_certified(
    custody: Custody, store: DirectoryStore
) -> None:
    _writer, (sealed,) = office([store])

    custody.round()

    _receipt, chain = open_receipt(content(store, receipt_name(sealed.manifest.device, sealed.id)))
    signer = custody.owner.trust.check(chain, at=NOW, role=Role.CUSTODIAN)
    assert signer.device_id == custody.identity.name


def test_doing_it_again_does_nothing_again(custody: Custody, store: DirectoryStore) -> None:
    _writer, (sealed,) = office([store])
    custody.round()
    first = content(store, receipt_name(sealed.manifest.device, sealed.id))

    custody.now += timedelta(hours=30)
    done = custody.round()

    assert (done.received, done.full) == (0, True)
    assert content(store, receipt_name(sealed.manifest.device, sealed.id)) == first


def test_a_lost_memory_is_filled_again_from_the_receipts(custody: Custody, store: DirectoryStore) -> None:
    _writer, (sealed,) = office([store])
    custody.round()
    first = content(store, receipt_name(sealed.manifest.device, sealed.id))
    for path in custody.memory_folder.iterdir():
        path.unlink()

    custody.now += MINUTE
    done = custody.round()

    assert (done.received, custody.totals(), custody.told()) == (0, {"received": 1}, [])
    assert content(store, receipt_name(sealed.manifest.device, sealed.id)) == first


def test_a_recording_without_its_manifest_is_incomplete_and_received_once_it_comes(
    custody: Custody, store: DirectoryStore
) -> None:
    writer = Writer(organisation())
    writer.start()
    sealed = writer.record()
    writer.publish()
    bring_ledger(store, writer)
    bring(store, sealed, without=[MANIFEST_NAME])

    custody.round()
    before = custody.totals()
    put(store, sealed.prefix + MANIFEST_NAME, sealed.files[MANIFEST_NAME])
    custody.round()

    assert before == {"incomplete": 1}
    assert custody.totals() == {"received": 1}


def test_a_recording_that_never_completes_is_told_after_the_time_in_the_settings(
    custody: Custody, store: DirectoryStore
) -> None:
    """By the store's own clock: that of whoever brings it may say anything."""
    _writer, (sealed,) = office([store])
    (store.root / (sealed.prefix + MANIFEST_NAME)).unlink()
    taken_at = next(iter(store.list(sealed.prefix))).modified_at
    assert taken_at is not None
    custody.now = taken_at + timedelta(hours=23)
    custody.round()
    before = custody.told()

    custody.now = taken_at + timedelta(hours=25)
    custody.round()

    assert before == []
    assert custody.told() == [("recording-incomplete", 15)]


def test_a_recording_waits_for_its_ledger_and_is_received_once_that_comes(
    custody: Custody, store: DirectoryStore
) -> None:
    writer = Writer(organisation())
    writer.start()
    sealed = writer.record()
    writer.publish()
    bring(store, sealed)
    custody.round()
    before = custody.totals(), custody.told()

    bring_ledger(store, writer)
    custody.now += MINUTE
    custody.round()

    assert before == ({"waiting": 1}, [("recording-waiting", 15)])
    assert (custody.totals(), custody.told()) == ({"received": 1}, [])


def test_old_days_that_come_late_are_found_by_the_full_scan(custody: Custody, store: DirectoryStore) -> None:
    custody.now = NOW + timedelta(days=9)
    custody.round()
    _writer, (sealed,) = office([store])

    custody.now += timedelta(hours=1)
    custody.round()
    before = custody.receipt(sealed)
    custody.now += timedelta(hours=24)
    custody.round()

    assert before is None
    assert custody.receipt(sealed) is not None


@pytest.mark.parametrize("kind", ["audio", "call", MANIFEST_NAME, SIGNATURE_NAME])
def test_an_altered_byte_anywhere_is_refused_and_told(
    custody: Custody, store: DirectoryStore, kind: str
) -> None:
    _writer, (sealed,) = office([store])
    last = next(last for last in sealed.files if last.startswith(kind))
    path = store.root / (sealed.prefix + last)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    custody.round()

    assert custody.receipt(sealed) is None
    assert custody.totals() == {"refused": 1}
    ((code, exit_code),) = custody.told()
    assert (code, exit_code) in {("recording-altered", 12), ("recording-bad-signature", 13)}


@pytest.mark.parametrize("kind", ["audio", "call", SIGNATURE_NAME])
def test_a_missing_object_is_refused_until_it_is_there(
    custody: Custody, store: DirectoryStore, kind: str
) -> None:
    _writer, (sealed,) = office([store])
    last = next(last for last in sealed.files if last.startswith(kind))
    (store.root / (sealed.prefix + last)).unlink()
    custody.round()
    before = custody.totals()

    put(store, sealed.prefix + last, sealed.files[last])
    custody.round()

    assert before == {"refused": 1}
    assert custody.totals() == {"received": 1}


def test_an_untrusted_device_gets_no_receipt(custody: Custody, store: DirectoryStore) -> None:
    custody.trust = organisation("Another").trust
    custody.owner = organisation()
    _writer, (sealed,) = office([store])

    custody.round()

    assert custody.receipt(sealed) is None
    assert custody.told() == [("recording-untrusted", 14)]


def test_what_the_ledger_says_otherwise_is_refused(custody: Custody, store: DirectoryStore) -> None:
    """A device key in wrong hands signs another recording in the first one's place."""
    writer = Writer(organisation())
    writer.start()
    sealed = writer.record()
    writer.publish()
    bring_ledger(store, writer)
    other = replace(sealed.manifest, duration_samples=1, ledger=None)
    bring(store, seal(other, organisation()))

    custody.round()

    assert custody.receipt(sealed) is None
    assert custody.told() == [("recording-altered", 12)]
