"""The contract of a store that protects objects from deletion, and of one that can't."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from callseal.store.errors import StoreMissing, StoreRefused
from callseal.store.interface import CentralStore
from support.stored import NAME, PLACE

pytest_plugins = ["support.contract_stores"]


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
