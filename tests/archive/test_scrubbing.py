"""What was received long ago is read again to its last byte; what rotted, or was deleted, is told."""

import random
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from callseal.archive.scrubbing import draw_count, draw_share, scrub
from callseal.store.errors import StoreUnreachable
from callseal.store.names import receipt_name
from support.custody import LIMITS, PRIMARY, Custody, custodian_of, directory, forged_receipt, office, put
from support.kept_ledgers import Sealed
from support.sealed_recordings import organisation
from support.versioned_store import VersionedStore


@pytest.fixture
def store() -> VersionedStore:
    return VersionedStore()


@pytest.fixture
def custody(store: VersionedStore, tmp_path: Path) -> Custody:
    return Custody(folder=tmp_path, stores={PRIMARY: store})


def received(custody: Custody, store: VersionedStore) -> tuple[Sealed, str]:
    sealed = office([store])[1][0]
    custody.round()
    return sealed, receipt_name(sealed.manifest.device, sealed.id)


def chance(seed: int) -> "random.Random":
    return random.Random(seed)  # noqa: S311 - a lot that repeats


def test_a_sound_recording_is_read_whole(custody: Custody, store: VersionedStore) -> None:
    sealed, name = received(custody, store)
    store.reads.clear()

    found = scrub(store, PRIMARY, name, custody.owner.trust)

    assert (found.objects, found.size_bytes) == (4, sum(map(len, sealed.files.values())))
    assert found.troubles == ()
    assert {read for read, _version in store.reads} == {
        name,
        *(sealed.prefix + last for last in sealed.files),
    }


@pytest.mark.parametrize("change", ["bit", "shorter", "longer", "gone"])
def test_every_object_that_is_not_what_was_received_is_told(
    custody: Custody, store: VersionedStore, change: str
) -> None:
    sealed, name = received(custody, store)
    receipt = custody.receipt(sealed)
    assert receipt is not None
    for item in receipt.objects:
        data = sealed.files[item.name.removeprefix(sealed.prefix)]
        changed = {"bit": bytes([data[0] ^ 1]) + data[1:], "shorter": data[:-1], "longer": data + b"\0"}
        store.damage(item.name, item.version, changed.get(change))

    found = scrub(store, PRIMARY, name, custody.owner.trust)

    assert [item.code for item in found.troubles] == ["object-gone"] * 4
    assert {item.exit_code for item in found.troubles} == {12}


def test_a_newer_version_on_top_does_not_hide_that_the_received_one_is_sound(
    custody: Custody, store: VersionedStore
) -> None:
    sealed, name = received(custody, store)
    for last in sealed.files:
        store.push(sealed.prefix + last, b"evil")
    store.push(name, b"evil")

    found = scrub(store, PRIMARY, name, custody.owner.trust)

    assert found.troubles == ()


def test_a_receipt_that_does_not_count_is_told_and_nothing_is_read(
    custody: Custody, store: VersionedStore
) -> None:
    sealed = office([])[1][0]
    name = receipt_name(sealed.manifest.device, sealed.id)
    put(store, name, forged_receipt(sealed, custodian_of(organisation("Another"))))

    found = scrub(store, PRIMARY, name, custody.owner.trust)

    assert [(item.code, item.exit_code) for item in found.troubles] == [("receipt-forged", 14)]
    assert found.objects == 0


def test_a_receipt_that_is_gone_is_told(custody: Custody, store: VersionedStore) -> None:
    sealed = office([store])[1][0]

    found = scrub(store, PRIMARY, receipt_name(sealed.manifest.device, sealed.id), custody.owner.trust)

    assert [item.code for item in found.troubles] == ["object-gone"]


def test_a_store_that_fails_is_no_finding(custody: Custody, store: VersionedStore) -> None:
    _sealed, name = received(custody, store)
    store.down = True

    with pytest.raises(StoreUnreachable):
        scrub(store, PRIMARY, name, custody.owner.trust)


def test_only_receipts_of_the_store_itself_are_drawn(store: VersionedStore) -> None:
    sealed = office([])[1][0]
    own = receipt_name(sealed.manifest.device, sealed.id)
    put(store, own, b"")
    put(store, receipt_name(sealed.manifest.device, sealed.id, "other"), b"")
    put(store, f"receipts/{sealed.manifest.device}/stray", b"")

    assert draw_share(store, 1.0, chance(1).random) == (own,)
    assert draw_count(store, 10, chance(1).random) == (own,)


def filled(store: VersionedStore, count: int) -> list[str]:
    writer, recorded = office([], calls=count)
    names = [receipt_name(writer.owner.device, sealed.id) for sealed in recorded]
    for name in names:
        put(store, name, b"")
    return names


def test_a_share_is_about_that_share_and_never_nothing(store: VersionedStore) -> None:
    filled(store, 100)

    counts = [len(draw_share(store, 0.2, chance(seed).random)) for seed in range(50)]

    # 50 draws of 100 with 0.2: the mean lies within five standard errors (0.57) of 20.
    assert abs(sum(counts) / len(counts) - 20) < 5 * 0.57
    assert len(draw_share(store, 0.000_001, chance(1).random)) == 1


@pytest.mark.parametrize("least", ["share", "count"])
def test_every_recording_is_as_likely_as_any_other(store: VersionedStore, least: str) -> None:
    names = filled(store, 10)
    drawn: Counter[str] = Counter()
    for seed in range(2000):
        draw = chance(seed).random
        drawn.update(draw_share(store, 0.0, draw) if least == "share" else draw_count(store, 1, draw))

    # Binomial, 2000 draws with p = 0.1: five standard deviations (13.4) around 200.
    assert set(drawn) == set(names)
    assert all(abs(count - 200) < 5 * 13.4 for count in drawn.values())


def test_more_than_there_are_means_all_of_them(store: VersionedStore) -> None:
    names = filled(store, 5)

    assert draw_count(store, 7, chance(3).random) == tuple(sorted(names))


def test_an_empty_store_has_nothing_to_draw(store: VersionedStore) -> None:
    assert draw_share(store, 1.0, chance(1).random) == ()
    assert draw_count(store, 3, chance(1).random) == ()


def test_the_custodian_reads_a_share_again_each_day_and_tells_what_rotted(
    store: VersionedStore, tmp_path: Path
) -> None:
    limits = type(LIMITS)(full_scan=timedelta(days=30), incomplete=timedelta(days=1), scrub_share=1.0)
    custody = Custody(folder=tmp_path, stores={PRIMARY: store}, limits=limits)
    sealed = office([store])[1][0]
    first = custody.round()
    receipt = custody.receipt(sealed)
    assert receipt is not None
    audio = next(item for item in receipt.objects if "/audio-" in item.name)
    store.damage(audio.name, audio.version, bytes(audio.size_bytes))

    custody.now += timedelta(hours=1)
    same_day = custody.round()
    custody.now += timedelta(hours=24)
    next_day = custody.round()

    assert (first.read_again, same_day.read_again, next_day.read_again) == (1, 0, 1)
    assert custody.told() == [("object-gone", 12)]


def test_in_a_folder_altered_bytes_are_found_by_reading(tmp_path: Path) -> None:
    store = directory(tmp_path)
    custody = Custody(folder=tmp_path, stores={PRIMARY: store})
    sealed = office([store])[1][0]
    custody.round()
    path = store.root / (sealed.prefix + next(last for last in sealed.files if last.startswith("audio")))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)

    found = scrub(store, PRIMARY, receipt_name(sealed.manifest.device, sealed.id), custody.owner.trust)

    assert [(item.code, item.exit_code) for item in found.troubles] == [("object-gone", 12)]
