"""Of several versions the one is read that was there first, or that a custodian vouches for."""

import hashlib
import io
from collections.abc import Iterator
from datetime import timedelta
from typing import BinaryIO
from uuid import UUID

import pytest

from callseal.cli import places
from callseal.cli.places import Days, StorePlace
from callseal.cli.versions import VersionReader, reader_of
from callseal.seal.keys import Role, TrustStore, certify, chain_der, generate_signing_key
from callseal.seal.receipt import Receipt, ReceiptObject, sign_receipt
from callseal.store.capabilities import Capabilities
from callseal.store.errors import StoreDenied, StoreMissing
from callseal.store.interface import Content, ObjectInfo, Pace, unpaced
from callseal.store.names import access_name, ledger_name, receipt_name, recording_name
from support.sealed_recordings import STARTED_AT, Organisation, organisation, recording_id

ORIGINAL, ON_TOP = b"what the device stored", b"what a thief put on top"


class Layered:
    """A store in memory that keeps every version, and counts what it is asked."""

    def __init__(self, *, versions: bool = True, may_list_versions: bool = True) -> None:
        self.capabilities = Capabilities(
            exclusive_put=False,
            versions=versions,
            lock=False,
            checked_put=True,
            max_object_size_bytes=None,
        )
        self.objects: dict[str, list[bytes]] = {}
        self.hidden: set[str] = set()
        self.asked: list[str] = []
        self._may_list_versions = may_list_versions

    def put(self, name: str, content: Content, sha256: bytes, *, pace: Pace = unpaced) -> str:
        data = content if isinstance(content, bytes) else content.read_bytes()
        assert hashlib.sha256(data).digest() == sha256
        pace(len(data))
        self.objects.setdefault(name, []).append(data)
        return str(len(self.objects[name]))

    def add(self, name: str, *versions: bytes) -> str:
        for data in versions:
            self.put(name, data, hashlib.sha256(data).digest())
        return name

    def get(self, name: str, version: str | None = None) -> BinaryIO:
        self.asked.append(f"get {name}")
        versions = self.objects.get(name)
        if versions is None or (version is None and name in self.hidden):
            raise StoreMissing(name)
        return io.BytesIO(versions[-1 if version is None else int(version) - 1])

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        self.asked.append(f"list {prefix} {after}".rstrip())
        for name in sorted(self.objects):
            if name.startswith(prefix) and name > after and name not in self.hidden:
                yield ObjectInfo(name=name, size_bytes=len(self.objects[name][-1]))

    def folders(self, prefix: str) -> Iterator[str]:
        self.asked.append(f"folders {prefix}")
        inside = (name[len(prefix) :] for name in self.objects if name.startswith(prefix))
        yield from sorted({rest.partition("/")[0] for rest in inside if "/" in rest})

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        self.asked.append(f"versions {prefix}")
        if not self._may_list_versions:
            raise StoreDenied("no right to list versions")
        for name in sorted(self.objects):
            if name.startswith(prefix):
                for number, data in enumerate(self.objects[name], start=1):
                    yield ObjectInfo(name=name, size_bytes=len(data), version=str(number))

    def replace(self, name: str, data: bytes) -> None:
        self.objects[name] = [data]


@pytest.fixture
def store() -> Layered:
    return Layered()


@pytest.fixture
def owner() -> Organisation:
    return organisation()


def reader(store: Layered, trust: TrustStore | None = None) -> VersionReader:
    found = reader_of(store, trust or TrustStore())
    assert isinstance(found, VersionReader)
    return found


def read(found: VersionReader, name: str) -> bytes:
    with found.get(name) as file:
        return file.read()


def manifest_name(owner: Organisation, recording: UUID | None = None) -> str:
    return recording_name(owner.device, STARTED_AT, recording or recording_id()).object("manifest.json")


def receipt(
    owner: Organisation, name: str, version: str, *, role: Role = Role.CUSTODIAN, number: int = 0
) -> bytes:
    key = generate_signing_key()
    begin = STARTED_AT - timedelta(days=1)
    certificate = certify(owner.root_key, owner.root, key.public_key(), role=role, now=begin, years=1)
    said = Receipt(
        id=recording_id(number),
        device=owner.device,
        site="primary",
        received_at=STARTED_AT + timedelta(hours=1),
        manifest=bytes(32),
        objects=(ReceiptObject(name=name, version=version, size_bytes=1, sha256=bytes(32)),),
    )
    return sign_receipt(said, key, chain_der([certificate]))


@pytest.mark.parametrize("kind", ["manifest", "segment", "access record"])
def test_what_was_put_on_top_does_not_count(store: Layered, owner: Organisation, kind: str) -> None:
    names = {
        "manifest": manifest_name(owner),
        "segment": ledger_name(owner.device, 0),
        "access record": access_name(STARTED_AT.date(), recording_id()),
    }
    name = store.add(names[kind], ORIGINAL, ON_TOP)
    found = reader(store)

    data = read(found, name)

    assert data == ORIGINAL
    assert found.covered == {name: 2}


def test_an_object_of_one_version_raises_no_word(store: Layered, owner: Organisation) -> None:
    name = store.add(manifest_name(owner), ORIGINAL)
    found = reader(store)

    data = read(found, name)

    assert data == ORIGINAL
    assert found.covered == {}
    assert found.newest_only is False


def test_of_a_name_that_carries_a_hash_the_version_is_read_that_has_it(
    store: Layered, owner: Organisation
) -> None:
    folder = recording_name(owner.device, STARTED_AT, recording_id())
    name = store.add(folder.object(f"audio-{hashlib.sha256(ORIGINAL).hexdigest()}.age"), ON_TOP, ORIGINAL)

    assert read(reader(store), name) == ORIGINAL


def test_the_version_is_read_that_a_trusted_custodian_vouches_for(
    store: Layered, owner: Organisation
) -> None:
    name = store.add(manifest_name(owner), ON_TOP, ORIGINAL)
    store.add(receipt_name(owner.device, recording_id()), receipt(owner, name, "2"))

    assert read(reader(store, owner.trust), name) == ORIGINAL


@pytest.mark.parametrize("flaw", ["other root", "a device", "no receipt at all", "other recording"])
def test_who_is_no_trusted_custodian_of_it_chooses_no_version(
    store: Layered, owner: Organisation, flaw: str
) -> None:
    name = store.add(manifest_name(owner), ORIGINAL, ON_TOP)
    forged = {
        "other root": receipt(organisation("Somebody Else"), name, "2"),
        "a device": receipt(owner, name, "2", role=Role.DEVICE),
        "no receipt at all": b"{}",
        "other recording": receipt(owner, name, "2", number=1),
    }
    store.add(receipt_name(owner.device, recording_id()), forged[flaw])

    assert read(reader(store, owner.trust), name) == ORIGINAL


def test_a_receipt_put_on_top_of_the_custodian_s_chooses_nothing(store: Layered, owner: Organisation) -> None:
    name = store.add(manifest_name(owner), ORIGINAL, ON_TOP)
    kept = receipt_name(owner.device, recording_id())
    store.add(kept, receipt(owner, name, "1"), receipt(owner, name, "2"))

    assert read(reader(store, owner.trust), name) == ORIGINAL


def test_an_account_that_may_not_list_versions_reads_the_newest_and_that_is_known(
    owner: Organisation,
) -> None:
    store = Layered(may_list_versions=False)
    name = store.add(manifest_name(owner), ORIGINAL, ON_TOP)
    found = reader(store)

    data = read(found, name)
    listed = [item.name for item in found.list(name.removesuffix("manifest.json"))]

    assert data == ON_TOP
    assert listed == [name]
    assert found.newest_only is True


def test_a_folder_costs_one_listing_however_many_objects_are_read(
    store: Layered, owner: Organisation
) -> None:
    names = [store.add(ledger_name(owner.device, number), ORIGINAL) for number in range(20)]
    found = reader(store)

    for name in names:
        read(found, name)

    assert [asked for asked in store.asked if not asked.startswith("get ")] == [
        f"versions ledger/{owner.device}/"
    ]


def test_an_object_that_came_after_its_folder_was_listed_is_found(
    store: Layered, owner: Organisation
) -> None:
    found = reader(store)
    read(found, store.add(ledger_name(owner.device, 0), ORIGINAL))

    data = read(found, store.add(ledger_name(owner.device, 5), ORIGINAL, ON_TOP))

    assert data == ORIGINAL


def test_what_is_not_there_is_missing(store: Layered, owner: Organisation) -> None:
    with pytest.raises(StoreMissing):
        reader(store).get(manifest_name(owner))


def test_an_access_record_that_was_hidden_is_listed_all_the_same(store: Layered) -> None:
    first, second = (
        store.add(access_name(STARTED_AT.date(), recording_id(number)), ORIGINAL) for number in (0, 1)
    )
    store.hidden.add(first)

    listed = [item.name for item in reader(store).list("access/")]
    later = [item.name for item in reader(store).list("access/", first)]

    assert listed == [first, second]
    assert later == [second]


class Walking(Layered):
    """A store that walks through folders, as some do: one comes before what is called like it and more."""

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        yield from sorted(super().versions(prefix), key=lambda item: item.name.split("/"))


def test_a_folder_that_is_called_like_the_beginning_of_a_record_hides_none() -> None:
    store = Walking()
    record = store.add(access_name(STARTED_AT.date(), recording_id()), ORIGINAL)
    folder, _, last = record.rpartition("/")
    in_front = store.add(f"{folder}/{last.partition('-')[0]}/z", ON_TOP)

    found = [item.name for item in reader(store).list("access/")]

    assert found == [in_front, record]


def test_a_store_without_versions_is_read_as_it_is() -> None:
    store = Layered(versions=False)

    assert reader_of(store, TrustStore()) is store


# --- what a search asks -------------------------------------------------------------------------------


def test_a_search_is_one_listing_and_asks_for_no_object(store: Layered, owner: Organisation) -> None:
    for number in range(5):
        store.add(manifest_name(owner, recording_id(number)), ORIGINAL)

    found = places.scan([StorePlace(name="central", store=store)])

    assert len(found.copies) == 5
    assert store.asked == ["list recordings/"]


def test_a_search_of_some_days_lists_those_and_no_others(store: Layered, owner: Organisation) -> None:
    for number in range(-5, 6):
        at = STARTED_AT + timedelta(days=number)
        folder = recording_name(owner.device, at, recording_id(number + 5))
        store.add(folder.object("manifest.json"), ORIGINAL)
    first, last = (STARTED_AT + timedelta(days=number) for number in (-1, 1))

    found = places.scan([StorePlace(name="central", store=store)], Days(first=first.date(), last=last.date()))

    assert [copy.id for copy in found.copies] == [recording_id(number) for number in (4, 5, 6)]
    assert store.asked == [
        "folders recordings/",
        f"list recordings/{owner.device}/ recordings/{owner.device}/{first:%Y/%m/%d}",
    ]


def test_a_search_of_some_days_still_finds_what_belongs_to_no_device(store: Layered) -> None:
    stranger = store.add("recordings/not-a-device/notes.txt", ORIGINAL)

    found = places.scan([StorePlace(name="central", store=store)], Days(first=STARTED_AT.date()))

    assert found.strangers == (stranger,)
