"""A thief with the right to add, or a little more: what he puts is told, counts for nothing, stops nobody."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from callseal.archive.bundles import MAX_VERSIONS
from callseal.archive.examining import MAX_CANDIDATES
from callseal.archive.identity import CustodianIdentity
from callseal.seal.keys import Role, chain_der, generate_signing_key, self_signed
from callseal.seal.manifest import MANIFEST_NAME, SIGNATURE_NAME
from callseal.seal.receipt import ReceiptObject
from callseal.store.names import receipt_name
from support.custody import (
    NOW,
    PRIMARY,
    SECOND,
    Custody,
    bring,
    bring_ledger,
    content,
    custodian_of,
    directory,
    forged_receipt,
    office,
    put,
)
from support.kept_ledgers import Sealed, Writer, seal
from support.sealed_recordings import STARTED_AT, organisation
from support.versioned_store import VersionedStore


@pytest.fixture
def store() -> VersionedStore:
    return VersionedStore()


@pytest.fixture
def custody(store: VersionedStore, tmp_path: Path) -> Custody:
    return Custody(folder=tmp_path, stores={PRIMARY: store})


def brought(store: VersionedStore, sealed: Sealed, writer: Writer) -> dict[str, str]:
    bring_ledger(store, writer)
    return dict(bring(store, sealed))


def recorded() -> tuple[Writer, Sealed]:
    return one_of(office([]))


def one_of(made: tuple[Writer, list[Sealed]]) -> tuple[Writer, Sealed]:
    return made[0], made[1][0]


def named(sealed: Sealed, kind: str) -> str:
    return sealed.prefix + next(last for last in sealed.files if last.startswith(kind))


def objects_of(custody: Custody, sealed: Sealed) -> dict[str, ReceiptObject]:
    receipt = custody.receipt(sealed)
    assert receipt is not None
    return {item.name: item for item in receipt.objects}


@pytest.mark.parametrize("kind", ["audio", "call", SIGNATURE_NAME, MANIFEST_NAME])
@pytest.mark.parametrize("junk", [b"", b"another", None])
def test_a_newer_version_neither_counts_nor_keeps_the_honest_one_from_its_receipt(
    custody: Custody, store: VersionedStore, kind: str, junk: bytes | None
) -> None:
    writer, sealed = recorded()
    versions = brought(store, sealed, writer)
    name = named(sealed, kind)
    same_size = bytes(len(sealed.files[name.removeprefix(sealed.prefix)]))
    store.push(name, same_size if junk is None else junk)

    custody.round()

    assert {item.name: item.version for item in objects_of(custody, sealed).values()} == versions
    assert custody.told() == [("extra-version", 12)]
    assert versions[name] in custody.words()


@pytest.mark.parametrize("kind", ["audio", "call", SIGNATURE_NAME, MANIFEST_NAME])
def test_what_a_thief_put_first_does_not_count_either(
    custody: Custody, store: VersionedStore, kind: str
) -> None:
    writer, sealed = recorded()
    name = named(sealed, kind)
    theirs = store.push(name, b"was here before")
    bring_ledger(store, writer)
    for last, data in sealed.files.items():
        store.push(sealed.prefix + last, data)

    custody.round()

    assert theirs not in {item.version for item in objects_of(custody, sealed).values()}
    assert custody.told() == [("extra-version", 12)]


def test_the_same_bytes_put_twice_are_an_answer_that_was_lost_and_no_attack(
    custody: Custody, store: VersionedStore
) -> None:
    writer, sealed = recorded()
    versions = brought(store, sealed, writer)
    name = named(sealed, "audio")
    store.push(name, sealed.files[name.removeprefix(sealed.prefix)])

    custody.round()

    assert objects_of(custody, sealed)[name].version == versions[name]
    assert custody.told() == []


def test_a_manifest_that_a_stolen_device_key_signed_later_is_not_the_recording(
    custody: Custody, store: VersionedStore
) -> None:
    """The ledger pins the first one; the second is told."""
    writer, sealed = recorded()
    versions = brought(store, sealed, writer)
    theirs = seal(replace(sealed.manifest, duration_samples=1), organisation())
    for last in (MANIFEST_NAME, SIGNATURE_NAME):
        store.push(sealed.prefix + last, theirs.files[last])

    custody.round()

    assert {item.name: item.version for item in objects_of(custody, sealed).values()} == versions
    assert {code for code, _exit_code in custody.told()} == {"extra-version"}


def test_a_second_manifest_that_came_first_does_not_win_against_the_ledger(
    custody: Custody, store: VersionedStore
) -> None:
    writer, sealed = recorded()
    theirs = seal(replace(sealed.manifest, duration_samples=1), organisation())
    bring_ledger(store, writer)
    for files in (theirs.files, sealed.files):
        for last, data in files.items():
            store.push(sealed.prefix + last, data)

    custody.round()

    receipt = custody.receipt(sealed)
    assert receipt is not None
    assert receipt.manifest == sealed.sha256


def test_another_recordings_manifest_under_this_ones_name_is_told(
    custody: Custody, store: VersionedStore
) -> None:
    writer, (sealed, other) = office([], calls=2)
    versions = brought(store, sealed, writer)
    for last in (MANIFEST_NAME, SIGNATURE_NAME):
        store.push(sealed.prefix + last, other.files[last])

    custody.round()

    assert {item.name: item.version for item in objects_of(custody, sealed).values()} == versions
    assert len(custody.told()) == 2


@pytest.mark.parametrize("last", ["audio-" + "0" * 64 + ".age", "evil.bin", "sub/evil.bin", "add-1.json"])
def test_an_object_more_is_told_and_is_in_no_receipt(
    custody: Custody, store: VersionedStore, last: str
) -> None:
    writer, sealed = recorded()
    versions = brought(store, sealed, writer)
    put(store, sealed.prefix + last, b"evil")

    custody.round()

    assert objects_of(custody, sealed).keys() == versions.keys()
    assert custody.told() == [("extra-object", 12)]
    assert last in custody.words()


@pytest.mark.parametrize("kind", ["audio", SIGNATURE_NAME, MANIFEST_NAME])
def test_a_delete_marker_hides_nothing_from_the_full_scan(
    custody: Custody, store: VersionedStore, kind: str
) -> None:
    writer, sealed = recorded()
    versions = brought(store, sealed, writer)
    store.hide(named(sealed, kind))

    custody.round()

    assert {item.name: item.version for item in objects_of(custody, sealed).values()} == versions
    assert custody.told() == [("object-hidden", 12)]


@pytest.mark.parametrize("full", [False, True])
def test_what_is_put_after_the_receipt_is_told_too(
    custody: Custody, store: VersionedStore, *, full: bool
) -> None:
    writer, sealed = recorded()
    brought(store, sealed, writer)
    custody.round()
    before = custody.told()
    store.push(named(sealed, "audio"), b"another")
    put(store, sealed.prefix + "evil.bin", b"evil")

    custody.now += timedelta(hours=25) if full else timedelta(minutes=1)
    custody.round()

    assert before == []
    assert sorted(custody.told()) == [("extra-object", 12), ("extra-version", 12)]
    assert custody.totals() == {"received": 1}


def test_a_receipt_whose_object_is_gone_is_told(custody: Custody, store: VersionedStore) -> None:
    writer, sealed = recorded()
    versions = brought(store, sealed, writer)
    custody.round()
    name = named(sealed, "audio")
    store.damage(name, versions[name], None)

    custody.now += timedelta(hours=25)
    custody.round()

    assert custody.told() == [("object-gone", 12)]


def test_a_received_recording_whose_whole_folder_is_gone_is_told(
    custody: Custody, store: VersionedStore
) -> None:
    writer, sealed = recorded()
    versions = brought(store, sealed, writer)
    custody.round()
    for name, version in versions.items():
        store.damage(name, version, None)

    custody.now += timedelta(hours=25)
    custody.round()

    assert custody.told() == [("object-gone", 12)]
    assert str(sealed.id) in custody.words()


def test_a_receipt_that_somebody_deleted_is_given_again(tmp_path: Path) -> None:
    """Otherwise the desk would keep its copy for ever."""
    store = directory(tmp_path)
    custody = Custody(folder=tmp_path, stores={PRIMARY: store})
    sealed = one_of(office([store]))[1]
    custody.round()
    (store.root / receipt_name(sealed.manifest.device, sealed.id)).unlink()

    custody.now += timedelta(hours=25)
    done = custody.round()

    assert (done.received, custody.told()) == (1, [])
    assert custody.receipt(sealed) is not None


def test_a_thousand_versions_of_a_manifest_cost_a_bounded_reading(
    custody: Custody, store: VersionedStore
) -> None:
    writer, sealed = recorded()
    brought(store, sealed, writer)
    for _number in range(200):
        store.push(sealed.prefix + MANIFEST_NAME, b"{}" + bytes(100))
    store.reads.clear()

    custody.round()

    read = [name for name, _version in store.reads if name.endswith(MANIFEST_NAME)]
    assert custody.receipt(sealed) is not None
    assert len(read) <= 2 * MAX_CANDIDATES


def test_a_folder_that_is_filled_up_is_told_and_not_gone_through(
    custody: Custody, store: VersionedStore
) -> None:
    writer, sealed = recorded()
    brought(store, sealed, writer)
    for number in range(MAX_VERSIONS):
        put(store, f"{sealed.prefix}evil-{number}", b"evil")

    custody.round()

    assert custody.receipt(sealed) is None
    assert custody.told() == [("extra-object", 12)]


def test_what_belongs_to_no_recording_is_told_by_the_full_scan(
    custody: Custody, store: VersionedStore
) -> None:
    writer, sealed = recorded()
    brought(store, sealed, writer)
    device = sealed.manifest.device
    for name in (f"recordings/{device}/evil", f"recordings/{device}/2026/13/99/{sealed.id}/audio"):
        put(store, name, b"evil")

    custody.round()

    assert custody.receipt(sealed) is not None
    assert custody.told() == [("extra-object", 12)]
    assert "2 objects" in custody.words()


def strangers(sealed: Sealed) -> dict[str, bytes]:
    """Return what a thief may put in a receipt's place."""
    owner = organisation()
    key = generate_signing_key()
    chain = chain_der([self_signed(key, role=Role.CUSTODIAN, now=STARTED_AT, years=5)])
    device = CustodianIdentity(name=owner.device, key=owner.device_key, chain=owner.chain)
    honest = forged_receipt(sealed, custodian_of(owner))
    return {
        "nothing": b"",
        "self-signed": forged_receipt(sealed, CustodianIdentity(name="x", key=key, chain=chain)),
        "a device": forged_receipt(sealed, device),
        "another organisation": forged_receipt(sealed, custodian_of(organisation("Another"))),
        "another store": forged_receipt(sealed, custodian_of(owner), site=SECOND),
        "altered": honest[:200] + bytes([honest[200] ^ 1]) + honest[201:],
    }


@pytest.mark.parametrize(
    "kind", ["nothing", "self-signed", "a device", "another organisation", "another store", "altered"]
)
def test_a_forged_receipt_is_told_is_never_written_over_and_vouches_for_nothing(
    custody: Custody, store: VersionedStore, kind: str
) -> None:
    writer, sealed = recorded()
    brought(store, sealed, writer)
    name = receipt_name(sealed.manifest.device, sealed.id)
    theirs = strangers(sealed)[kind]
    put(store, name, theirs)

    custody.round()

    assert content(store, name) == theirs
    assert [item.name for item in store.versions(name)] == [name]
    assert [code for code, _exit_code in custody.told()] == ["receipt-forged"]
    assert custody.totals() == {"refused": 1}


def test_a_forged_receipt_on_top_of_the_honest_one_is_told_and_the_honest_one_counts(
    custody: Custody, store: VersionedStore
) -> None:
    writer, sealed = recorded()
    brought(store, sealed, writer)
    custody.round()
    store.push(receipt_name(sealed.manifest.device, sealed.id), strangers(sealed)["self-signed"])
    for path in custody.memory_folder.iterdir():
        path.unlink()

    custody.round()

    assert custody.told() == [("receipt-forged", 14)]
    assert custody.totals() == {"received": 1}


def test_the_receipt_of_another_recording_is_none_of_this_one(
    custody: Custody, store: VersionedStore
) -> None:
    writer, (sealed, other) = office([], calls=2)
    brought(store, sealed, writer)
    theirs = forged_receipt(other, custodian_of(organisation()))
    put(store, receipt_name(sealed.manifest.device, sealed.id), theirs)

    custody.round()

    assert custody.told() == [("receipt-forged", 12)]


def test_a_copy_of_a_received_recording_under_another_day_is_told(
    custody: Custody, store: VersionedStore
) -> None:
    writer, sealed = recorded()
    brought(store, sealed, writer)
    custody.round()
    elsewhere = sealed.prefix.replace("2026/11/21", "2026/11/20")
    for last, data in sealed.files.items():
        put(store, elsewhere + last, data)

    custody.now += timedelta(hours=25)
    custody.round()

    assert custody.totals() == {"received": 1, "refused": 1}
    assert custody.told() == [("extra-object", 12)]


def test_in_a_folder_an_object_more_is_told_and_the_honest_ones_are_received(tmp_path: Path) -> None:
    store = directory(tmp_path)
    custody = Custody(folder=tmp_path, stores={PRIMARY: store})
    _writer, (sealed,) = office([store])
    put(store, sealed.prefix + "evil.bin", b"evil")

    custody.round()

    assert custody.receipt(sealed) is not None
    assert custody.told() == [("extra-object", 12)]


def test_words_about_a_thiefs_names_fit_one_line_of_a_terminal(
    custody: Custody, store: VersionedStore
) -> None:
    writer, sealed = recorded()
    brought(store, sealed, writer)
    store.push(sealed.prefix + "\x1b[2J\nevil" + "x" * 900, b"evil")

    custody.round()

    assert custody.receipt(sealed) is not None
    assert len(custody.words().splitlines()) == 1
    assert custody.words().isprintable()
    assert custody.now == NOW
