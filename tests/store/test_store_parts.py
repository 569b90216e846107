"""The contract of a store that takes objects in parts, over as many processes and days as it takes."""

import hashlib
import os
from pathlib import Path

import pytest

from callseal.store.errors import NameTaken, SourceAltered, StoreError, StoreRefused, UploadGone
from callseal.store.interface import Part, Span
from support.stored import NAME, PART_SIZE, StoreWithParts, file, names, put_part, read

pytest_plugins = ["support.contract_stores"]


def test_an_object_in_parts_is_one_object(in_parts: StoreWithParts, tmp_path: Path) -> None:
    data = os.urandom(2 * PART_SIZE + 1_000)
    source, _ = file(tmp_path, data)

    upload = in_parts.begin_parts(NAME)
    parts = [put_part(in_parts, upload, source, number) for number in (3, 1, 2)]
    assert names(in_parts) == []
    version = in_parts.end_parts(NAME, upload, parts)

    assert read(in_parts, NAME, version) == read(in_parts, NAME) == data
    assert [(item.name, item.size_bytes) for item in in_parts.list("")] == [(NAME, len(data))]
    assert [item.version for item in in_parts.versions("")] == [version]


def test_parts_are_resumed_by_another_process_that_knows_numbers_only(
    in_parts: StoreWithParts, tmp_path: Path
) -> None:
    data = os.urandom(PART_SIZE + 5)
    source, _ = file(tmp_path, data)
    upload = in_parts.begin_parts(NAME)
    first = put_part(in_parts, upload, source, 1)

    put_part(in_parts, upload, source, 2)
    second = put_part(in_parts, upload, source, 2)
    remembered = [
        Part(number=part.number, tag=part.tag, sha256=part.sha256, size_bytes=part.size_bytes)
        for part in (first, second)
    ]
    in_parts.end_parts(NAME, upload, remembered)

    assert read(in_parts, NAME) == data


def test_a_part_that_is_not_what_its_hash_says_is_not_taken(in_parts: StoreWithParts, tmp_path: Path) -> None:
    source, _ = file(tmp_path, os.urandom(PART_SIZE))
    upload = in_parts.begin_parts(NAME)

    for span in (Span(offset_bytes=0, size_bytes=PART_SIZE), Span(offset_bytes=5, size_bytes=100)):
        with pytest.raises(SourceAltered, match=source.name):
            in_parts.put_part(NAME, upload, 1, source, span=span, sha256=bytes(32))


def test_a_part_beyond_the_end_of_its_file_is_not_taken(in_parts: StoreWithParts, tmp_path: Path) -> None:
    data = os.urandom(1_000)
    source, sha256 = file(tmp_path, data)
    upload = in_parts.begin_parts(NAME)

    for size_bytes in (1_001, 300_000):
        with pytest.raises(SourceAltered, match=source.name):
            in_parts.put_part(
                NAME, upload, 1, source, span=Span(offset_bytes=0, size_bytes=size_bytes), sha256=sha256
            )


def test_pace_is_told_of_every_byte_of_a_part(in_parts: StoreWithParts, tmp_path: Path) -> None:
    source, _ = file(tmp_path, os.urandom(PART_SIZE + 70_000))
    upload = in_parts.begin_parts(NAME)
    told: list[int] = []

    put_part(in_parts, upload, source, 1, pace=told.append)
    put_part(in_parts, upload, source, 2, pace=told.append)

    assert sum(told) == PART_SIZE + 70_000
    assert max(told) <= 65_536


def test_an_object_with_a_part_missing_or_altered_is_not_made(
    in_parts: StoreWithParts, tmp_path: Path
) -> None:
    source, _ = file(tmp_path, os.urandom(2 * PART_SIZE + 1))
    upload = in_parts.begin_parts(NAME)
    parts = [put_part(in_parts, upload, source, number) for number in (1, 2)]
    never_put = Part(number=3, tag=parts[0].tag, sha256=bytes(32), size_bytes=1)

    with pytest.raises(StoreError):
        in_parts.end_parts(NAME, upload, [*parts, never_put])
    with pytest.raises(StoreRefused):
        in_parts.end_parts(NAME, upload, [])

    assert names(in_parts) == []


def test_ending_an_upload_twice_makes_no_second_object(in_parts: StoreWithParts, tmp_path: Path) -> None:
    source, _ = file(tmp_path, b"short")
    upload = in_parts.begin_parts(NAME)
    parts = [put_part(in_parts, upload, source, 1)]
    version = in_parts.end_parts(NAME, upload, parts)

    with pytest.raises((UploadGone, NameTaken)):
        in_parts.end_parts(NAME, upload, parts)

    assert [item.version for item in in_parts.versions("")] == [version]


def test_an_upload_that_the_store_does_not_know_is_gone(in_parts: StoreWithParts, tmp_path: Path) -> None:
    source, _ = file(tmp_path, b"data")
    upload = in_parts.begin_parts(NAME)
    part = put_part(in_parts, upload, source, 1)

    in_parts.abandon_parts(NAME, upload)
    in_parts.abandon_parts(NAME, upload)

    with pytest.raises(UploadGone):
        put_part(in_parts, upload, source, 1)
    with pytest.raises(UploadGone):
        in_parts.end_parts(NAME, upload, [part])
    assert names(in_parts) == []


def test_an_object_in_parts_does_not_replace_one_that_is_there(
    in_parts: StoreWithParts, tmp_path: Path
) -> None:
    source, _ = file(tmp_path, b"data")
    upload = in_parts.begin_parts(NAME)
    part = put_part(in_parts, upload, source, 1)
    version = in_parts.put(NAME, b"first", hashlib.sha256(b"first").digest())

    with pytest.raises(NameTaken):
        in_parts.end_parts(NAME, upload, [part])

    assert read(in_parts, NAME) == b"first"
    assert [item.version for item in in_parts.versions("")] == [version]


def test_what_was_put_in_parts_may_be_put_again(in_parts: StoreWithParts, tmp_path: Path) -> None:
    """Whoever may read finds out that it is the same, whatever way it came."""
    source, sha256 = file(tmp_path, os.urandom(PART_SIZE + 1))
    upload = in_parts.begin_parts(NAME)
    parts = [put_part(in_parts, upload, source, number) for number in (1, 2)]
    version = in_parts.end_parts(NAME, upload, parts)

    assert in_parts.put(NAME, source, sha256) == version
    with pytest.raises(StoreRefused, match="other bytes"):
        in_parts.put(NAME, b"other", hashlib.sha256(b"other").digest())


def test_names_that_lead_elsewhere_are_refused_for_parts_too(in_parts: StoreWithParts) -> None:
    for name in ("../a", "fleet/dev-aaaaaaaaaaaa.json"):
        with pytest.raises(StoreRefused):
            in_parts.begin_parts(name)
