"""Whom a custodian believes, and what a revocation does to what was received and to what still comes."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from callseal.archive import identity
from callseal.archive.errors import NotCustodian
from callseal.archive.memory import Memory
from callseal.archive.scrubbing import scrub
from callseal.archive.store_clock import StoreClock
from callseal.seal.errors import UntrustedSigner
from callseal.seal.keys import (
    Role,
    TrustStore,
    certify,
    generate_signing_key,
    write_certificates,
    write_signing_key,
)
from callseal.seal.receipt import open_receipt, sign_receipt
from callseal.seal.revocation import revoke, write_pem
from callseal.store.names import receipt_name
from support.custody import (
    NOW,
    PRIMARY,
    Custody,
    content,
    custodian_of,
    directory,
    forged_receipt,
    office,
    put,
)
from support.sealed_recordings import STARTED_AT, Organisation, organisation
from support.versioned_store import VersionedStore

YEAR = timedelta(days=365)


def without(owner: Organisation, certificate: bytes, since: datetime, folder: Path) -> TrustStore:
    """Return the organisation's trust after it took a certificate back."""
    leaf = x509.load_der_x509_certificate(certificate)
    listed = revoke(
        owner.root_key,
        owner.root,
        [],
        [leaf],
        since=since,
        reason=x509.ReasonFlags.key_compromise,
        now=NOW,
    )
    path = folder / "revoked.pem"
    write_certificates(folder / "trust.pem", [owner.root])
    path.write_bytes(write_pem([listed]))
    return TrustStore.from_files(folder / "trust.pem", path)


def made(folder: Path, *, at: datetime, role: Role = Role.CUSTODIAN) -> tuple[Path, Path]:
    """Write a custodian's key, and a certificate of one year for it."""
    owner, key = organisation(), generate_signing_key()
    leaf = certify(owner.root_key, owner.root, key.public_key(), role=role, now=at, years=1)
    write_signing_key(folder / "custodian.key", key)
    write_certificates(folder / "custodian.pem", [leaf])
    return folder / "custodian.key", folder / "custodian.pem"


def test_a_certified_custodian_is_who_its_key_says(tmp_path: Path) -> None:
    found = identity.load(*made(tmp_path, at=NOW), organisation().trust, NOW, env={})

    signer = organisation().trust.check(found.chain, at=NOW, role=Role.CUSTODIAN)
    assert found.name == signer.device_id
    assert "key" not in repr(found)


@pytest.mark.parametrize("later", [-YEAR, 2 * YEAR])
def test_a_certificate_that_does_not_hold_today_is_refused(tmp_path: Path, later: timedelta) -> None:
    files = made(tmp_path, at=NOW)

    with pytest.raises(UntrustedSigner, match="does not hold"):
        identity.load(*files, organisation().trust, NOW + later, env={})


def test_a_custodian_of_an_unknown_root_does_not_start(tmp_path: Path) -> None:
    files = made(tmp_path, at=NOW)

    with pytest.raises(UntrustedSigner, match="no trusted root"):
        identity.load(*files, organisation("Another").trust, NOW, env={})


def test_a_revoked_custodian_does_not_start(tmp_path: Path) -> None:
    files = made(tmp_path, at=NOW)
    trust = without(organisation(), custodian_of(organisation()).chain[0], NOW, tmp_path)
    theirs = custodian_of(organisation())
    write_certificates(tmp_path / "theirs.pem", [x509.load_der_x509_certificate(theirs.chain[0])])
    write_signing_key(tmp_path / "theirs.key", theirs.key)

    own = identity.load(*files, trust, NOW, env={})
    with pytest.raises(UntrustedSigner, match="revoked"):
        identity.load(tmp_path / "theirs.key", tmp_path / "theirs.pem", trust, NOW, env={})

    assert own.name != theirs.name


def test_what_a_revoked_device_brings_is_refused_and_what_was_received_before_stays(tmp_path: Path) -> None:
    store = directory(tmp_path)
    custody = Custody(folder=tmp_path, stores={PRIMARY: store})
    first = office([store])[1][0]
    custody.round()
    late = Custody(
        folder=tmp_path / "late",
        stores={PRIMARY: directory(tmp_path / "late")},
        trust=without(organisation(), organisation().chain[0], STARTED_AT, tmp_path),
    )
    second = office([late.stores[PRIMARY]])[1][0]

    late.round()
    custody.trust = late.trust
    custody.now += timedelta(hours=25)
    custody.round()

    assert (late.receipt(second), late.told()) == (None, [("recording-untrusted", 14)])
    assert custody.receipt(first) is not None
    assert custody.told() == []


@pytest.mark.parametrize(("since", "told"), [(NOW, []), (STARTED_AT, [("receipt-forged", 14)])])
def test_a_receipt_that_the_store_had_before_its_custodian_was_revoked_counts(
    tmp_path: Path, since: datetime, told: list[tuple[str, int]]
) -> None:
    """By the store's own clock, which no custodian sets."""
    store = VersionedStore()
    custody = Custody(folder=tmp_path, stores={PRIMARY: store})
    sealed = office([store])[1][0]
    custody.round()
    other = custody.another()
    other.trust = without(organisation(), custody.identity.chain[0], since, tmp_path)

    other.round()
    drilled = scrub(store, PRIMARY, receipt_name(sealed.manifest.device, sealed.id), other.trust)

    assert other.told() == told
    assert [one.exit_code for one in drilled.troubles] == [code for _name, code in told]


def test_a_receipt_that_a_revoked_custodian_dates_back_does_not_count(tmp_path: Path) -> None:
    """Its own time is before the revocation, the store's is not."""
    store = VersionedStore()
    custody = Custody(folder=tmp_path, stores={PRIMARY: store})
    sealed = office([store])[1][0]
    since = store.clock + timedelta(minutes=1)
    store.clock += timedelta(hours=1)
    theirs = forged_receipt(sealed, custody.identity)
    put(store, receipt_name(sealed.manifest.device, sealed.id), theirs)
    other = custody.another()
    other.trust = without(organisation(), custody.identity.chain[0], since, tmp_path)

    other.round()

    assert open_receipt(theirs)[0].received_at < since + timedelta(hours=3)
    assert other.told() == [("receipt-forged", 14)]


def test_a_custodian_that_was_revoked_while_it_worked_signs_nothing_more(tmp_path: Path) -> None:
    store = VersionedStore()
    custody = Custody(folder=tmp_path, stores={PRIMARY: store})
    sealed = office([store])[1][0]
    custody.trust = without(organisation(), custody.identity.chain[0], NOW, tmp_path)

    with pytest.raises(NotCustodian, match="revoked"):
        custody.round()

    assert custody.receipt(sealed) is None


def test_a_custodian_whose_certificate_ended_while_it_worked_signs_nothing_more(tmp_path: Path) -> None:
    """What it would put stood there, for as long as its lock, in the place of a receipt that counts."""
    store = VersionedStore()
    custody = Custody(folder=tmp_path, stores={PRIMARY: store})
    sealed = office([store])[1][0]
    custody.now += 20 * YEAR

    with pytest.raises(NotCustodian, match="does not hold"):
        custody.round()

    assert custody.receipt(sealed) is None


def test_where_our_clock_and_the_stores_differ_no_receipt_is_dated(tmp_path: Path) -> None:
    store = VersionedStore()
    custody = Custody(folder=tmp_path, stores={PRIMARY: store})
    sealed = office([store])[1][0]
    right = custody.now
    custody.now += YEAR

    with Memory(custody.memory_folder) as memory:
        custody.lane(PRIMARY, memory, clock=StoreClock(store)).round()
    told, given = custody.told(), custody.receipt(sealed)
    custody.now = right
    with Memory(custody.memory_folder) as memory:
        custody.lane(PRIMARY, memory, clock=StoreClock(store)).round()

    assert (told, given) == ([("clocks-differ", 15)], None)
    assert custody.receipt(sealed) is not None


def test_two_receipts_by_custodians_that_came_at_once_are_no_attack(tmp_path: Path) -> None:
    """Where a store does not refuse a name that is taken."""
    store = VersionedStore()
    custody = Custody(folder=tmp_path, stores={PRIMARY: store})
    sealed = office([store])[1][0]
    custody.round()
    name = receipt_name(sealed.manifest.device, sealed.id)
    first, chain = open_receipt(content(store, name))
    assert chain
    second = replace(first, received_at=first.received_at + timedelta(seconds=3))
    other = custody.another()
    store.push(name, sign_receipt(second, other.identity.key, other.identity.chain))
    false = replace(second, manifest=bytes(32))
    store.push(name, sign_receipt(false, other.identity.key, other.identity.chain))

    other.round()

    assert other.told() == [("receipt-forged", 12)]
    assert "second receipt" in other.words()


def test_the_receipts_of_a_revoked_custodian_in_a_folder_count_no_more(tmp_path: Path) -> None:
    store = directory(tmp_path)
    custody = Custody(folder=tmp_path, stores={PRIMARY: store})
    office([store])
    custody.round()
    other = custody.another()
    other.trust = without(organisation(), custody.identity.chain[0], STARTED_AT, tmp_path)

    other.round()

    assert other.told() == [("receipt-forged", 14)]
    assert "revoked" in other.words()
