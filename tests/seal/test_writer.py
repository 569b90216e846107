"""The sealed writer: no plaintext on the disk, true hashes, and no second try after the disk refused."""

import hashlib
import io
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from callseal.seal.age import X25519Identity, decrypt
from callseal.seal.errors import SpoolError
from callseal.seal.writer import SealedFile, SealedObject, SealedWriter, seal_bytes
from support.recovered import open_unfinished

IDENTITY = X25519Identity.generate()
OTHER = X25519Identity.generate()
RECIPIENTS = [IDENTITY.recipient, OTHER.recipient]
MARKER = b"the customer says"
CHUNK_SIZE_BYTES = 64 * 1024


def opened(path: Path, identity: X25519Identity = IDENTITY) -> bytes:
    return b"".join(decrypt(io.BytesIO(path.read_bytes()), [identity]))


def sealed(path: Path, *parts: bytes) -> SealedObject:
    writer: SealedWriter = SealedFile(path, RECIPIENTS)
    for part in parts:
        writer.write(part)
    return writer.close()


@pytest.mark.parametrize(
    "size_bytes", [0, 1, 160, CHUNK_SIZE_BYTES, CHUNK_SIZE_BYTES + 1, 3 * CHUNK_SIZE_BYTES]
)
def test_every_recipient_gets_back_what_was_written(tmp_path: Path, size_bytes: int) -> None:
    path, plaintext = tmp_path / "audio.age", os.urandom(size_bytes)

    sealed(path, plaintext)

    assert opened(path) == opened(path, OTHER) == plaintext


def test_it_does_not_matter_in_which_pieces_it_was_written(tmp_path: Path) -> None:
    path, plaintext = tmp_path / "audio.age", os.urandom(CHUNK_SIZE_BYTES + 5)

    sealed(path, plaintext[:7], b"", plaintext[7:70_000], plaintext[70_000:])

    assert opened(path) == plaintext


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_may_be_written(tmp_path: Path, kind: type[bytes]) -> None:
    path = tmp_path / "audio.age"

    found = sealed(path, kind(b"hello"))

    assert opened(path) == b"hello"
    assert found.plaintext_size_bytes == 5


def test_closing_says_size_and_hashes_of_both_sides(tmp_path: Path) -> None:
    path, plaintext = tmp_path / "audio.age", os.urandom(100_000)

    found = sealed(path, plaintext)

    data = path.read_bytes()
    assert found == SealedObject(
        size_bytes=len(data),
        sha256=hashlib.sha256(data).digest(),
        plaintext_sha512=hashlib.sha512(plaintext).digest(),
        plaintext_size_bytes=100_000,
    )


def test_the_header_lies_on_the_disk_before_the_first_word_is_spoken(tmp_path: Path) -> None:
    path = tmp_path / "audio.age"

    writer = SealedFile(path, RECIPIENTS)

    assert path.read_bytes().startswith(b"age-encryption.org/v1\n")
    assert writer.size_bytes == path.stat().st_size
    writer.abandon()


def test_no_plaintext_reaches_the_disk_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "audio.age"
    writer = SealedFile(path, RECIPIENTS)

    for _ in range(20):
        writer.write(MARKER * 600)
        writer.flush()

        assert not any(MARKER in item.read_bytes() for item in tmp_path.iterdir())
    writer.close()
    assert not any(MARKER in item.read_bytes() for item in tmp_path.iterdir())


def test_whole_chunks_are_in_the_file_after_a_flush(tmp_path: Path) -> None:
    path, plaintext = tmp_path / "audio.age", os.urandom(2 * CHUNK_SIZE_BYTES + 1)
    writer = SealedFile(path, RECIPIENTS)

    writer.write(plaintext)
    writer.flush()

    assert path.stat().st_size == writer.size_bytes >= 2 * CHUNK_SIZE_BYTES
    writer.abandon()


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    sealed(tmp_path / "audio.age", b"x")

    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_file_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "audio.age"
    path.write_bytes(b"precious")

    with pytest.raises(SpoolError, match=r"audio\.age"):
        SealedFile(path, RECIPIENTS)

    assert path.read_bytes() == b"precious"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "audio.age"
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(SpoolError):
        SealedFile(path, RECIPIENTS)

    assert not (tmp_path / "elsewhere").exists()


@pytest.fixture
def small_files() -> Iterator[int]:
    """Let no file of this process grow beyond 250,000 bytes: the disk that is full, for root as well."""
    limit_bytes = 250_000
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    yield limit_bytes
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_after_the_disk_refused_the_writer_stays_dead(tmp_path: Path, small_files: int) -> None:
    path = tmp_path / "audio.age"
    writer = SealedFile(path, RECIPIENTS)

    with pytest.raises(SpoolError, match="refused"):
        writer.write(os.urandom(5 * CHUNK_SIZE_BYTES))

    for again in (lambda: writer.write(b"x"), writer.flush, writer.close):
        with pytest.raises(SpoolError, match="dead"):
            again()
    assert path.stat().st_size == small_files


def test_what_was_written_before_the_disk_refused_is_still_good(tmp_path: Path, small_files: int) -> None:
    path, first = tmp_path / "audio.age", os.urandom(CHUNK_SIZE_BYTES + 1)
    writer = SealedFile(path, RECIPIENTS)
    writer.write(first)
    writer.flush()

    with pytest.raises(SpoolError):
        writer.write(os.urandom(4 * CHUNK_SIZE_BYTES))

    reader = decrypt(io.BytesIO(path.read_bytes()), [IDENTITY])
    assert next(reader) == first[:CHUNK_SIZE_BYTES]


def test_what_the_disk_never_confirmed_is_given_out_for_another_disk(
    tmp_path: Path, small_files: int
) -> None:
    safe, lost = os.urandom(CHUNK_SIZE_BYTES + 1), os.urandom(4 * CHUNK_SIZE_BYTES)
    writer = SealedFile(tmp_path / "audio.age", RECIPIENTS)
    writer.write(safe)
    writer.flush()
    with pytest.raises(SpoolError):
        writer.write(lost)

    rescue = writer.rescue()

    assert rescue.start_bytes == CHUNK_SIZE_BYTES
    assert rescue.plaintext == (safe + lost)[CHUNK_SIZE_BYTES:]
    assert rescue.plaintext[:20].hex() not in repr(rescue)


def test_what_was_only_staged_is_not_yet_confirmed(tmp_path: Path) -> None:
    plaintext = os.urandom(2 * CHUNK_SIZE_BYTES + 1)
    writer = SealedFile(tmp_path / "audio.age", RECIPIENTS, banked=True)
    writer.write(plaintext)

    writer.stage()
    staged_only = writer.rescue()
    writer.synced(writer.stage())
    synced = writer.rescue()

    writer.abandon()
    assert (staged_only.start_bytes, staged_only.plaintext) == (0, plaintext)
    assert (synced.start_bytes, synced.plaintext) == (2 * CHUNK_SIZE_BYTES, plaintext[-1:])


def test_news_of_an_older_sync_takes_nothing_back(tmp_path: Path) -> None:
    plaintext = os.urandom(3 * CHUNK_SIZE_BYTES + 1)
    writer = SealedFile(tmp_path / "audio.age", RECIPIENTS)
    writer.write(plaintext[: CHUNK_SIZE_BYTES + 1])
    older = writer.stage()
    writer.write(plaintext[CHUNK_SIZE_BYTES + 1 :])
    writer.flush()

    writer.synced(older)
    rescue = writer.rescue()

    writer.abandon()
    assert (rescue.start_bytes, rescue.plaintext) == (3 * CHUNK_SIZE_BYTES, plaintext[-1:])


@pytest.mark.parametrize("banked", [True, False])
@pytest.mark.parametrize("size_bytes", [1, 4000, CHUNK_SIZE_BYTES - 1, CHUNK_SIZE_BYTES])
def test_after_each_flush_everything_so_far_can_be_opened(
    tmp_path: Path,
    size_bytes: int,
    banked: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    writer = SealedFile(tmp_path / "audio.age", RECIPIENTS, banked=banked)
    plaintext = b""

    for number in range(6):
        piece = os.urandom(size_bytes)
        plaintext += piece
        writer.write(piece)
        if number % 2:
            writer.flush()
        else:
            writer.stage()

        assert open_unfinished(tmp_path, OTHER) == plaintext
    writer.abandon()


AHEAD_BYTES = 20_000


@pytest.mark.parametrize("banked", [True, False])
@pytest.mark.parametrize("size_bytes", [1, 16_000, CHUNK_SIZE_BYTES - 1, CHUNK_SIZE_BYTES])
def test_what_may_still_change_is_kept_safe_with_all_that_was_written(
    tmp_path: Path,
    size_bytes: int,
    banked: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """After each flush, and also after the next writing: there it is what was written that counts."""
    writer = SealedFile(tmp_path / "audio.age", RECIPIENTS, banked=banked, ahead_bytes=AHEAD_BYTES)
    plaintext = b""

    for _ in range(7):
        ahead = os.urandom(AHEAD_BYTES)
        writer.stage(ahead) if banked else writer.flush(ahead)
        assert open_unfinished(tmp_path, OTHER) == plaintext + ahead
        piece = ahead[:size_bytes] + os.urandom(max(0, size_bytes - AHEAD_BYTES))
        plaintext += piece
        writer.write(piece)

        safe = open_unfinished(tmp_path, OTHER)
        assert safe[: len(plaintext)] == plaintext[: len(safe)]
        assert len(safe) >= len(plaintext) - size_bytes + AHEAD_BYTES
    writer.abandon()


def test_what_may_still_change_is_no_part_of_the_finished_file(tmp_path: Path) -> None:
    path = tmp_path / "audio.age"
    writer = SealedFile(path, RECIPIENTS, ahead_bytes=AHEAD_BYTES)
    writer.write(b"said")
    writer.flush(b"maybe")
    writer.write(b", and said again")

    found = writer.close()

    assert opened(path) == b"said, and said again"
    assert found.plaintext_sha512 == hashlib.sha512(b"said, and said again").digest()


def test_what_changed_ahead_is_made_safe_anew_and_what_did_not_is_not(tmp_path: Path) -> None:
    steps: list[str] = []
    writer = SealedFile(tmp_path / "audio.age", RECIPIENTS, ahead_bytes=AHEAD_BYTES, step=steps.append)
    writer.write(b"x")
    writer.flush(b"one")
    steps.clear()

    writer.flush(b"one")
    unchanged = list(steps)
    writer.flush(b"two")

    assert unchanged == []
    assert steps == ["write tail", "sync tail"]
    assert open_unfinished(tmp_path, IDENTITY) == b"xtwo"
    writer.abandon()


def test_in_a_bank_nothing_is_synced_file_by_file_before_the_end(tmp_path: Path) -> None:
    steps: list[str] = []
    writer = SealedFile(tmp_path / "audio.age", RECIPIENTS, banked=True, step=steps.append)
    for _ in range(3):
        writer.write(os.urandom(CHUNK_SIZE_BYTES))
        writer.synced(writer.stage(b"ahead"))
    before = [step for step in steps if step.startswith("sync")]

    writer.close()

    assert before == []
    assert [step for step in steps if step.startswith("sync")] == ["sync sealed file"]


def test_a_flush_without_news_writes_nothing(tmp_path: Path) -> None:
    steps: list[str] = []
    writer = SealedFile(tmp_path / "audio.age", RECIPIENTS, step=steps.append)
    writer.write(b"x")
    writer.flush()
    steps.clear()

    writer.flush()
    writer.stage()

    writer.abandon()
    assert steps == []


def test_closing_twice_is_refused(tmp_path: Path) -> None:
    writer = SealedFile(tmp_path / "audio.age", RECIPIENTS)
    writer.close()

    with pytest.raises(SpoolError, match="closed"):
        writer.close()


def test_a_sealed_vcon_replaces_the_last_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "call.vcon.age"
    seal_bytes(path, b"first", RECIPIENTS)
    before = path.read_bytes()

    found = seal_bytes(path, b"second", RECIPIENTS)

    assert opened(path) == b"second"
    assert found.sha256 == hashlib.sha256(path.read_bytes()).digest()
    assert found.plaintext_sha512 == hashlib.sha512(b"second").digest()
    assert (found.size_bytes, found.plaintext_size_bytes) == (len(path.read_bytes()), 6)
    assert before[:200] != path.read_bytes()[:200], "one file key for two files"
    assert [item.name for item in tmp_path.iterdir()] == ["call.vcon.age"]


def test_a_sealed_vcon_that_does_not_fit_on_the_disk_leaves_the_last_one(
    tmp_path: Path, small_files: int
) -> None:
    path = tmp_path / "call.vcon.age"
    seal_bytes(path, b"first", RECIPIENTS)

    with pytest.raises(SpoolError, match="refused"):
        seal_bytes(path, os.urandom(small_files), RECIPIENTS)

    assert opened(path) == b"first"
    assert [item.name for item in tmp_path.iterdir()] == ["call.vcon.age"]


def test_a_half_written_vcon_of_a_killed_agent_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "call.vcon.age"
    (tmp_path / "call.vcon.age.tmp").write_bytes(b"half")

    seal_bytes(path, b"whole", RECIPIENTS)

    assert opened(path) == b"whole"
    assert [item.name for item in tmp_path.iterdir()] == ["call.vcon.age"]
