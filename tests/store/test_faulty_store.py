"""The store that fails by a script: each moment leaves what that moment of a network leaves."""

import hashlib
import os
from pathlib import Path

import pytest

from callseal.store.directory import DirectoryStore
from callseal.store.errors import NameTaken, StoreDenied, StoreUnreachable
from support.faulty_store import FaultyStore, Moment

NAME = "ledger/a/0.jsonl"
DATA = os.urandom(3_000_000)
SHA256 = hashlib.sha256(DATA).digest()


@pytest.fixture
def store(tmp_path: Path) -> FaultyStore:
    return FaultyStore(DirectoryStore.create(tmp_path / "store"))


def names(store: FaultyStore) -> list[str]:
    return [item.name for item in store.list("")]


@pytest.mark.parametrize(("moment", "left"), [(Moment.BEFORE, []), (Moment.HALF, []), (Moment.AFTER, [NAME])])
def test_a_put_fails_once_at_its_moment_and_then_goes_well(
    store: FaultyStore, moment: Moment, left: list[str]
) -> None:
    store.fail("put", moment)

    with pytest.raises(StoreUnreachable):
        store.put(NAME, DATA, SHA256)
    assert names(store) == left
    store.put(NAME, DATA, SHA256)

    assert names(store) == [NAME]
    assert store.asked("put") == [NAME, NAME]


def test_a_script_lets_some_go_well_and_names_its_errors(store: FaultyStore) -> None:
    store.fail("put", None)
    store.fail("put", Moment.BEFORE, error=StoreDenied("no"))

    store.put(NAME, DATA, SHA256)
    with pytest.raises(StoreDenied):
        store.put(NAME, DATA, SHA256)


def test_a_body_breaks_in_the_middle(store: FaultyStore) -> None:
    store.put(NAME, DATA, SHA256)
    store.fail("get", Moment.HALF)

    with store.get(NAME) as file, pytest.raises(StoreUnreachable):
        file.read()


def test_a_listing_breaks_in_the_middle(store: FaultyStore) -> None:
    for number in range(4):
        store.put(f"ledger/a/{number}.jsonl", DATA, SHA256)
    store.fail("list", Moment.HALF)
    found = store.list("")

    assert [next(found).name for _ in range(2)] == ["ledger/a/0.jsonl", "ledger/a/1.jsonl"]
    with pytest.raises(StoreUnreachable):
        next(found)


def test_a_blind_one_says_only_that_a_name_is_taken(tmp_path: Path) -> None:
    store = FaultyStore(DirectoryStore.create(tmp_path / "store"), blind=True)
    store.put(NAME, DATA, SHA256)

    with pytest.raises(NameTaken):
        store.put(NAME, DATA, SHA256)


def test_a_mended_one_fails_no_more(store: FaultyStore) -> None:
    store.fail("put", Moment.BEFORE, Moment.BEFORE)

    store.mend()
    store.put(NAME, DATA, SHA256)

    assert names(store) == [NAME]
