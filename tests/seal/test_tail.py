"""The tail: the newest whole slot is found whatever was torn, and the one that is safe is never risked."""

import hashlib
import io
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.age import CHUNK_SIZE_BYTES, ScryptIdentity, X25519Identity, decrypt
from callseal.seal.errors import KeyFileError
from callseal.seal.tail import (
    MAX_TAIL_BYTES,
    SLOT_SIZE_BYTES,
    SLOTS,
    Slot,
    TailFile,
    choose_slot,
    open_passphrase,
    read_slots,
)

IDENTITY = X25519Identity.generate()
RECIPIENTS = [IDENTITY.recipient]
HEADER_SIZE_BYTES = 64


def made(folder: Path) -> TailFile:
    folder.mkdir(exist_ok=True)
    return TailFile(folder, RECIPIENTS)


def slots(folder: Path) -> tuple[Slot, ...]:
    return read_slots((folder / "tail").read_bytes())


def passphrase(folder: Path) -> ScryptIdentity:
    plaintext = b"".join(decrypt(io.BytesIO((folder / "tail-key.age").read_bytes()), [IDENTITY]))
    return ScryptIdentity(passphrase=open_passphrase(plaintext))


def content(slot: Slot, key: ScryptIdentity) -> bytes:
    return b"".join(decrypt(io.BytesIO(slot.age_file), [key]))


@pytest.mark.parametrize("size_bytes", [0, 1, 4000, CHUNK_SIZE_BYTES])
def test_what_was_put_is_opened_by_the_passphrase_that_lies_beside_it(
    tmp_path: Path, size_bytes: int
) -> None:
    plaintext = os.urandom(size_bytes)
    tail = made(tmp_path)

    tail.put(7, plaintext)
    tail.release()

    (slot,) = slots(tmp_path)
    assert (slot.number, slot.chunk) == (1, 7)
    assert content(slot, passphrase(tmp_path)) == plaintext


def test_the_newest_comes_first_and_as_many_are_kept_as_there_are_slots(tmp_path: Path) -> None:
    tail = made(tmp_path)

    for number in range(10):
        tail.put(number // 4, bytes([number]))
        tail.sync()
    tail.release()

    numbers = [slot.number for slot in slots(tmp_path)]
    assert numbers[0] == 10
    assert len(numbers) >= 2
    assert content(slots(tmp_path)[0], passphrase(tmp_path)) == bytes([9])


def test_no_two_writings_share_a_file_key(tmp_path: Path) -> None:
    tail = made(tmp_path)

    tail.put(0, b"the same")
    tail.put(0, b"the same")
    tail.release()

    first, second = (slot.age_file for slot in slots(tmp_path))
    assert first[-24:] != second[-24:]


def test_the_header_is_as_the_format_page_says(tmp_path: Path) -> None:
    tail = made(tmp_path)

    tail.put(3, b"hello")
    tail.release()

    magic, number, chunk, size_bytes = struct.unpack_from(">8sQQQ", (tmp_path / "tail").read_bytes())
    age_file = (tmp_path / "tail").read_bytes()[HEADER_SIZE_BYTES : HEADER_SIZE_BYTES + size_bytes]
    assert (magic, number, chunk) == (b"csltail1", 1, 3)
    assert age_file.splitlines()[:2][1].startswith(b"-> scrypt ")
    assert age_file.splitlines()[1].endswith(b" 1")
    assert SLOT_SIZE_BYTES == 69_632


def test_the_slot_that_is_on_the_disk_is_not_written_over_before_another_is(tmp_path: Path) -> None:
    """A power cut in the middle of any later writing finds it as it was."""
    tail = made(tmp_path)
    tail.put(0, b"safe")
    tail.sync()

    for number in range(7):
        tail.put(0, bytes([number]))

        assert 1 in [slot.number for slot in slots(tmp_path)]
    tail.release()


def test_the_newest_slot_is_never_the_one_that_is_written(tmp_path: Path) -> None:
    """A kill in the middle of a writing costs this writing, and not the one before it."""
    tail = made(tmp_path)
    before = (tmp_path / "tail").read_bytes()

    for number in range(1, 12):
        tail.put(0, bytes([number]))
        if number % 3 == 0:
            tail.synced(number)
        after = (tmp_path / "tail").read_bytes()
        changed = [
            index
            for index in range(SLOTS)
            if before[index * SLOT_SIZE_BYTES : (index + 1) * SLOT_SIZE_BYTES]
            != after[index * SLOT_SIZE_BYTES : (index + 1) * SLOT_SIZE_BYTES]
        ]

        assert len(changed) == 1
        newest = read_slots(before)[:1]
        for slot in newest:
            assert slot in read_slots(after)
        before = after
    tail.release()


def test_a_sync_that_lasted_longer_than_its_slot_proves_nothing(tmp_path: Path) -> None:
    tail = made(tmp_path)
    tail.put(0, b"safe")
    tail.sync()
    tail.put(0, b"staged")
    staged = tail.newest
    for _ in range(2):
        tail.put(0, b"while the sync went on")

    tail.synced(staged)

    for number in range(4):
        tail.put(0, bytes([number]))
        assert 1 in [slot.number for slot in slots(tmp_path)]
    tail.release()


@pytest.mark.parametrize("size_bytes", [1, HEADER_SIZE_BYTES, 4096, 20_000])
def test_a_torn_writing_is_passed_over(tmp_path: Path, size_bytes: int) -> None:
    tail = made(tmp_path)
    tail.put(0, b"whole")
    tail.sync()
    before = (tmp_path / "tail").read_bytes()
    tail.put(0, os.urandom(30_000))
    tail.release()
    after = (tmp_path / "tail").read_bytes()
    start = next(at for at in range(0, len(after), SLOT_SIZE_BYTES) if before[at:][:8] != after[at:][:8])

    torn = after[: start + size_bytes] + before[start + size_bytes :]

    assert [slot.number for slot in read_slots(torn)] == [1]


def test_any_altered_byte_of_a_slot_makes_it_none(tmp_path: Path) -> None:
    tail = made(tmp_path)
    tail.put(0, b"hello")
    tail.release()
    data = (tmp_path / "tail").read_bytes()
    (slot,) = read_slots(data)

    for offset in range(HEADER_SIZE_BYTES + len(slot.age_file)):
        altered = bytearray(data)
        altered[offset] ^= 1

        assert read_slots(bytes(altered)) == ()


@given(st.binary(max_size=300))
def test_nothing_can_be_read_from_noise(data: bytes) -> None:
    assert read_slots(data) == ()
    assert read_slots(b"csltail1" + data) == ()


@given(st.binary(max_size=300))
def test_what_is_whole_and_no_age_file_is_passed_over(data: bytes) -> None:
    head = struct.pack(">8sQQQ", b"csltail1", 1, 0, len(data))

    assert read_slots(head + hashlib.sha256(head + data).digest() + data) == ()


def test_a_tail_that_was_cut_off_gives_the_slots_that_are_whole(tmp_path: Path) -> None:
    tail = made(tmp_path)
    for number in range(SLOTS):
        tail.put(number, b"x")
    tail.release()
    data = (tmp_path / "tail").read_bytes()

    counts = [len(read_slots(data[:size])) for size in range(0, len(data) + 1, SLOT_SIZE_BYTES // 2)]

    assert counts == [0, 1, 1, 2, 2, 3, 3]


def slot(number: int, chunk: int, size_bytes: int = 100) -> Slot:
    return Slot(number=number, chunk=chunk, age_file=b"", size_bytes=size_bytes)


@pytest.mark.parametrize(
    ("there", "chunks", "number"),
    [
        ([slot(3, 1), slot(2, 1), slot(1, 0)], 1, 3),
        ([slot(3, 1), slot(2, 0), slot(1, 0)], 0, 2),
        ([slot(3, 1), slot(2, 1), slot(1, 0)], 2, None),
        ([slot(3, 2), slot(2, 2)], 1, 3),
        ([slot(3, 1, 70_000)], 2, 3),
        ([slot(3, 1, CHUNK_SIZE_BYTES)], 2, None),
        ([slot(4, 2, 10), slot(3, 1, 70_000)], 2, 3),
        ([slot(4, 2, 9_000), slot(3, 1, 70_000)], 2, 4),
        ([slot(4, 1, 70_000), slot(3, 1, 70_000)], 2, 4),
        ([slot(4, 3, 70_000), slot(3, 1, 70_000)], 2, 3),
        ([slot(3, 0, 3 * CHUNK_SIZE_BYTES)], 2, 3),
        ([], 0, None),
    ],
)
def test_the_slot_chosen_is_the_one_by_which_the_sealed_file_goes_on_farthest(
    there: list[Slot], chunks: int, number: int | None
) -> None:
    chosen = choose_slot(there, chunks)

    assert (None if chosen is None else chosen.number) == number


def test_in_a_bank_the_file_is_as_long_as_what_was_put(tmp_path: Path) -> None:
    tail = TailFile(tmp_path, RECIPIENTS, banked=True)
    empty = (tmp_path / "tail").stat().st_size

    written = tail.put(0, b"x")
    tail.release()

    assert empty == 0
    assert (tmp_path / "tail").stat().st_size == written


@pytest.mark.parametrize(("ahead_bytes", "banked"), [(12_000, True), (48_000, True), (12_000, False)])
@pytest.mark.parametrize("held_bytes", [0, 100, CHUNK_SIZE_BYTES - 1, CHUNK_SIZE_BYTES])
def test_what_is_ahead_is_kept_behind_the_chunk(
    tmp_path: Path,
    held_bytes: int,
    ahead_bytes: int,
    banked: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    held, ahead = os.urandom(held_bytes), os.urandom(ahead_bytes)
    tail = TailFile(tmp_path, RECIPIENTS, banked=banked, ahead_bytes=ahead_bytes)

    for _ in range(SLOTS):
        tail.put(5, held, ahead)
    tail.release()

    found = slots(tmp_path)
    assert [slot.number for slot in found] == [3, 2, 1]
    assert {content(slot, passphrase(tmp_path)) for slot in found} == {held + ahead}
    assert {slot.size_bytes for slot in found} == {held_bytes + ahead_bytes}
    assert {slot.end_bytes for slot in found} == {5 * CHUNK_SIZE_BYTES + held_bytes + ahead_bytes}


def test_of_what_is_ahead_as_much_is_kept_as_there_is_room_for(tmp_path: Path) -> None:
    """Whoever wrote more than was agreed harms no other slot."""
    held, ahead = os.urandom(CHUNK_SIZE_BYTES), os.urandom(100_000)
    tail = TailFile(tmp_path, RECIPIENTS, ahead_bytes=8_192)

    for _ in range(SLOTS):
        tail.put(0, held, ahead)
    tail.release()

    found = slots(tmp_path)
    kept = content(found[0], passphrase(tmp_path))
    assert len(found) == SLOTS
    assert (held + ahead).startswith(kept)
    assert len(kept) >= len(held) + 8_192


def test_a_tail_is_never_larger_than_a_reader_reads(tmp_path: Path) -> None:
    tail = TailFile(tmp_path, RECIPIENTS, ahead_bytes=1 << 40)
    tail.release()

    assert (tmp_path / "tail").stat().st_size <= MAX_TAIL_BYTES


@pytest.mark.parametrize("plaintext", [b"", b"\n", b"\xff\xfe", b"a" * (CHUNK_SIZE_BYTES + 1)])
def test_what_is_no_passphrase_is_refused(plaintext: bytes) -> None:
    with pytest.raises(KeyFileError):
        open_passphrase(plaintext)
