"""What a manifest names and no uploader brings is copied by the custodian, checked, and vouched for."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from callseal.store.names import ledger_name, receipt_name
from support.custody import PRIMARY, SECOND, Custody, content, directory, office, put
from support.kept_ledgers import MINUTE, Sealed, Writer
from support.sealed_recordings import organisation
from support.versioned_store import VersionedStore

BOTH = (PRIMARY, SECOND)


@pytest.fixture
def first() -> VersionedStore:
    return VersionedStore()


@pytest.fixture
def second() -> VersionedStore:
    return VersionedStore()


@pytest.fixture
def custody(first: VersionedStore, second: VersionedStore, tmp_path: Path) -> Custody:
    return Custody(folder=tmp_path, stores={PRIMARY: first, SECOND: second}, filled=frozenset({SECOND}))


def one(store: VersionedStore, stores_named: tuple[str, ...] = BOTH) -> Sealed:
    return office([store], stores_named=stores_named)[1][0]


def names(store: VersionedStore, prefix: str) -> list[str]:
    return [item.name for item in store.list(prefix)]


def test_a_recording_is_copied_received_and_its_receipt_put_where_the_desk_reads_it(
    custody: Custody, first: VersionedStore, second: VersionedStore
) -> None:
    sealed = one(first)

    custody.rounds()

    for last, data in sealed.files.items():
        assert content(second, sealed.prefix + last) == data
    own = content(second, receipt_name(sealed.manifest.device, sealed.id))
    assert own == content(first, receipt_name(sealed.manifest.device, sealed.id, SECOND))
    receipt = custody.receipt(sealed, SECOND)
    assert receipt is not None
    there = {item.name: item.version for item in second.versions(sealed.prefix)}
    assert (receipt.site, {item.name: item.version for item in receipt.objects}) == (SECOND, there)
    assert (custody.told(PRIMARY), custody.told(SECOND)) == ([], [])


def test_the_manifest_is_copied_last(custody: Custody, first: VersionedStore, second: VersionedStore) -> None:
    sealed = one(first)

    custody.rounds()

    taken = sorted(second.versions(sealed.prefix), key=lambda item: int(item.version[1:]))
    assert [item.name.removeprefix(sealed.prefix) for item in taken][-2:] == ["manifest.sig", "manifest.json"]


def test_what_the_manifest_does_not_name_is_not_copied(
    custody: Custody, first: VersionedStore, second: VersionedStore
) -> None:
    one(first, stores_named=(PRIMARY,))

    custody.rounds()

    assert names(second, "recordings/") == []


def test_the_ledger_is_copied_segment_by_segment_as_it_grows(
    custody: Custody, first: VersionedStore, second: VersionedStore
) -> None:
    writer = Writer(organisation())
    writer.start()
    for _number in range(12):
        writer.publish()
        writer.beat(3)
    for number, (entry, data) in enumerate(writer.kept.segments.items()):
        put(first, ledger_name(writer.owner.device, entry), data)
        if number % 5 == 0:
            custody.rounds()

    custody.rounds()

    assert names(second, "ledger/") == names(first, "ledger/")
    assert all(content(second, name) == content(first, name) for name in names(first, "ledger/"))


@pytest.mark.parametrize("where", ["first", "next"])
def test_what_a_thief_put_under_a_segments_name_before_the_device_did_stops_no_copy(
    custody: Custody, first: VersionedStore, second: VersionedStore, where: str
) -> None:
    """Where a store does not refuse a name that is taken; he needs no key, and knows the next name."""
    writer, device = Writer(organisation()), organisation().device
    if where == "first":
        first.push(ledger_name(device, 0), b"junk")
    writer.start()
    writer.publish()
    first.push(ledger_name(device, 0), writer.kept.segments[0])
    custody.rounds()
    following = len(writer.entries)
    if where == "next":
        first.push(ledger_name(device, following), b"junk")
    writer.beat(2)
    writer.publish()
    first.push(ledger_name(device, following), writer.kept.segments[following])

    custody.rounds()

    there = {name: content(second, name) for name in names(second, "ledger/")}
    assert there == {ledger_name(device, one): data for one, data in writer.kept.segments.items()}


def test_a_lost_memory_goes_on_with_the_ledger_where_the_copy_ends(
    custody: Custody, first: VersionedStore, second: VersionedStore
) -> None:
    one(first)
    custody.rounds()
    for path in custody.memory_folder.iterdir():
        path.unlink()
    second.reads.clear()

    custody.rounds()

    assert (custody.told(SECOND), custody.totals(SECOND)) == ([], {"received": 1})
    assert len(names(second, "ledger/")) == 1


@pytest.mark.parametrize("kind", ["junk", "another device's", "under another number"])
def test_a_segment_that_is_not_the_devices_own_is_told_and_not_copied(
    custody: Custody, first: VersionedStore, second: VersionedStore, kind: str
) -> None:
    sealed = one(first)
    custody.rounds()
    before = names(second, "ledger/")
    device = sealed.manifest.device
    (segment,) = names(first, "ledger/")
    size = 4  # started, opened, closed: the next segment begins with entry 3
    other = Writer(organisation("Another"))
    other.start()
    other.publish()
    theirs = {
        "junk": b"junk\n",
        "another device's": other.kept.segments[0],
        "under another number": content(first, segment),
    }[kind]
    put(first, ledger_name(device, size - 1), theirs)

    custody.rounds()

    assert names(second, "ledger/") == before
    assert [code for code, _exit_code in custody.told(SECOND)] == ["ledger-not-copied"]


def test_while_the_source_is_down_the_copy_waits_and_is_done_later(
    custody: Custody, first: VersionedStore, second: VersionedStore
) -> None:
    sealed = one(first)
    custody.round(PRIMARY)
    first.down = True
    custody.round(SECOND)
    before = custody.receipt(sealed, SECOND), custody.told(SECOND)

    first.down = False
    custody.now += MINUTE
    custody.rounds()

    assert before == (None, [("copy-failed", 15)])
    assert custody.receipt(sealed, SECOND) is not None
    assert custody.told(SECOND) == []


def test_while_the_target_is_down_the_other_store_is_served(
    custody: Custody, first: VersionedStore, second: VersionedStore
) -> None:
    sealed = one(first)
    second.down = True

    custody.round(PRIMARY)

    assert custody.receipt(sealed, PRIMARY) is not None


def test_what_was_altered_in_the_source_since_its_receipt_is_told_and_not_copied(
    custody: Custody, first: VersionedStore, second: VersionedStore
) -> None:
    sealed = one(first)
    custody.round(PRIMARY)
    receipt = custody.receipt(sealed)
    assert receipt is not None
    audio = next(item for item in receipt.objects if "/audio-" in item.name)
    first.damage(audio.name, audio.version, bytes(audio.size_bytes))

    custody.round(SECOND)

    assert names(second, audio.name) == []
    assert custody.told(SECOND) == [("copy-failed", 12)]


def test_it_is_copied_from_the_first_store_that_has_it_whole(
    first: VersionedStore, second: VersionedStore, tmp_path: Path
) -> None:
    third = VersionedStore()
    stores = {PRIMARY: first, "third": third, SECOND: second}
    custody = Custody(folder=tmp_path, stores=stores, filled=frozenset({SECOND}))  # type: ignore[arg-type]
    sealed = office([first, third], stores_named=(PRIMARY, "third", SECOND))[1][0]
    custody.round(PRIMARY)
    custody.round("third")
    receipt = custody.receipt(sealed)
    assert receipt is not None
    audio = next(item for item in receipt.objects if "/audio-" in item.name)
    first.damage(audio.name, audio.version, bytes(audio.size_bytes))

    custody.round(SECOND)

    assert custody.receipt(sealed, SECOND) is not None
    for store in (first, third):
        assert content(store, receipt_name(sealed.manifest.device, sealed.id, SECOND))


def test_other_bytes_that_stand_in_the_target_are_never_vouched_for(
    custody: Custody, first: VersionedStore, second: VersionedStore
) -> None:
    sealed = one(first)
    audio = next(last for last in sealed.files if last.startswith("audio"))
    put(second, sealed.prefix + audio, bytes(len(sealed.files[audio])))

    custody.rounds()

    assert custody.receipt(sealed, SECOND) is None
    assert custody.receipt(sealed, PRIMARY, about=SECOND) is None
    assert sorted(custody.told(SECOND)) == [("copy-failed", 15), ("recording-altered", 12)]


def test_a_forged_receipt_about_the_other_store_is_told_and_left(
    custody: Custody, first: VersionedStore
) -> None:
    sealed = one(first)
    name = receipt_name(sealed.manifest.device, sealed.id, SECOND)
    put(first, name, b"forged")

    custody.rounds()

    assert content(first, name) == b"forged"
    assert custody.told(SECOND) == [("receipt-forged", 12)]


def test_two_custodians_with_memories_of_their_own_agree_on_one_receipt_in_each_place(
    custody: Custody, first: VersionedStore, second: VersionedStore
) -> None:
    sealed = one(first)
    other = custody.another()

    custody.round(PRIMARY)
    other.rounds()
    custody.rounds()
    other.now += timedelta(hours=30)
    other.rounds()

    assert len(names(first, "receipts/")) == 2
    assert len(names(second, "receipts/")) == 1
    assert custody.receipt(sealed, SECOND) == custody.receipt(sealed, PRIMARY, about=SECOND)
    assert (custody.told(SECOND), other.told(SECOND)) == ([], [])


def test_between_folders_a_copy_leaves_nothing_of_its_own_behind(tmp_path: Path) -> None:
    stores = {PRIMARY: directory(tmp_path), SECOND: directory(tmp_path, SECOND)}
    custody = Custody(folder=tmp_path, stores=stores, filled=frozenset({SECOND}))  # type: ignore[arg-type]
    sealed = office([stores[PRIMARY]], stores_named=BOTH)[1][0]

    custody.rounds()

    assert custody.receipt(sealed, SECOND) is not None
    assert list(custody.memory_folder.glob(".copy-*")) == []


def test_a_store_that_the_settings_do_not_have_is_nobodys_to_fill_here_and_is_told(
    custody: Custody, first: VersionedStore
) -> None:
    sealed = one(first, stores_named=(PRIMARY, "elsewhere"))

    custody.rounds()

    assert custody.receipt(sealed, PRIMARY) is not None
    assert replace(custody).told(PRIMARY) == [("store-unknown", 15)]
    assert "elsewhere" in custody.words()
