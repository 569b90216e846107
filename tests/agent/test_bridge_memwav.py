"""Sound in memory: a library that knows only file names reads and writes it, and no disk ever does."""

import io
import os
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from callseal.agent.sources.bridge.memwav import HEADER_BYTES, GrowingWav, create, fill, link

RATE_HZ = 8000
PAGE_BYTES = 4096
_BLOCK_BYTES = 512  # the unit of st_blocks, stat(2)
SOUND = np.random.default_rng(5).integers(-32768, 32768, 40_000).astype(np.int16)


@pytest.fixture
def fd() -> Iterator[int]:
    found = create("tap")
    yield found
    os.close(found)


@pytest.fixture
def growing() -> Iterator[tuple[GrowingWav, io.FileIO]]:
    """Give a reader, and the file as its writer has it open, by another descriptor."""
    found = create("tap")
    writer = io.FileIO(f"/proc/self/fd/{found}", "wb")
    reader = GrowingWav(found)
    with writer:
        yield reader, writer
    reader.close()


def _held_bytes(fd: int) -> int:
    return os.fstat(fd).st_blocks * _BLOCK_BYTES


def _bytes(samples: NDArray[np.int16]) -> bytes:
    return samples.astype("<i2").tobytes()


def test_a_filled_file_is_a_wav_file_to_everybody(fd: int, tmp_path: Path) -> None:
    fill(fd, SOUND, RATE_HZ)
    path = link(fd, tmp_path, "announcement-0")

    heard, rate_hz = soundfile.read(path, dtype="int16")
    with wave.open(str(path)) as file:
        assert file.getparams()[:4] == (1, 2, RATE_HZ, SOUND.size)
        assert file.readframes(SOUND.size) == _bytes(SOUND)

    assert rate_hz == RATE_HZ
    assert np.array_equal(heard, SOUND)


def test_a_filled_file_is_byte_for_byte_what_the_standard_library_writes(fd: int) -> None:
    standard = io.BytesIO()
    with wave.open(standard, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(_bytes(SOUND))

    fill(fd, SOUND, RATE_HZ)

    assert os.pread(fd, 1_000_000, 0) == standard.getvalue()


def test_what_stands_on_the_disk_is_a_link_and_no_sound(fd: int, tmp_path: Path) -> None:
    fill(fd, SOUND, RATE_HZ)

    path = link(fd, tmp_path, "announcement-0")

    assert path.name == "announcement-0.wav"
    assert path.is_symlink()
    assert path.lstat().st_size < 100
    assert [item.name for item in tmp_path.iterdir()] == ["announcement-0.wav"]


def test_a_memory_file_is_not_handed_to_other_programs(fd: int) -> None:
    assert not os.get_inheritable(fd)


def test_what_a_recorder_writes_is_read_as_it_comes(growing: tuple[GrowingWav, io.FileIO]) -> None:
    reader, writer = growing
    header = b"RIFF".ljust(HEADER_BYTES, b"\xaa")
    taken = [reader.take_new()]

    for piece in (header[:10], header[10:], _bytes(SOUND[:100]), b"", _bytes(SOUND[100:])):
        writer.write(piece)
        taken.append(reader.take_new())

    assert [samples.size for samples in taken] == [0, 0, 0, 100, 0, SOUND.size - 100]
    assert np.array_equal(np.concatenate(taken), SOUND)
    assert all(samples.dtype == np.int16 for samples in taken)


def test_header_and_sound_may_come_in_one_piece(growing: tuple[GrowingWav, io.FileIO]) -> None:
    reader, writer = growing

    writer.write(bytes(HEADER_BYTES) + _bytes(SOUND))

    assert np.array_equal(reader.take_new(), SOUND)


def test_half_a_sample_waits_for_its_other_half(growing: tuple[GrowingWav, io.FileIO]) -> None:
    reader, writer = growing
    data = bytes(HEADER_BYTES) + _bytes(SOUND[:50])
    taken = []

    for number in range(len(data)):
        writer.write(data[number : number + 1])
        taken.append(reader.take_new())

    assert np.array_equal(np.concatenate(taken), SOUND[:50])


def test_a_long_call_takes_no_more_memory_than_a_short_one(growing: tuple[GrowingWav, io.FileIO]) -> None:
    reader, writer = growing
    writer.write(bytes(HEADER_BYTES))
    held = []

    for _ in range(50):
        writer.write(_bytes(SOUND))
        held.append(_held_bytes(writer.fileno()))
        reader.take_new()
        held.append(_held_bytes(writer.fileno()))

    assert os.fstat(writer.fileno()).st_size == HEADER_BYTES + 50 * 2 * SOUND.size
    assert max(held[0::2]) <= 2 * SOUND.size + 2 * PAGE_BYTES
    assert max(held[1::2]) <= PAGE_BYTES


def test_what_was_read_is_gone_and_what_was_not_read_stays(growing: tuple[GrowingWav, io.FileIO]) -> None:
    reader, writer = growing
    writer.write(bytes(HEADER_BYTES) + _bytes(SOUND))
    reader.take_new()
    writer.write(_bytes(SOUND))

    left = Path(f"/proc/self/fd/{writer.fileno()}").read_bytes()

    kept_from = (HEADER_BYTES + 2 * SOUND.size) // PAGE_BYTES * PAGE_BYTES
    assert not any(left[:kept_from])
    assert np.array_equal(reader.take_new(), SOUND)


def test_the_header_may_be_patched_at_the_end_as_recorders_do(
    growing: tuple[GrowingWav, io.FileIO],
) -> None:
    reader, writer = growing
    writer.write(bytes(HEADER_BYTES) + _bytes(SOUND))
    reader.take_new()

    writer.seek(4)
    writer.write(b"\x01\x02\x03\x04")

    assert reader.take_new().size == 0


def test_closing_lets_the_file_go() -> None:
    fd = create("tap")

    GrowingWav(fd).close()

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
