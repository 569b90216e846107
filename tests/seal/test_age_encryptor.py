"""What is sealed is the same file however the plaintext arrives, and opens for its recipients alone."""

import io
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.age import (
    CHUNK_SIZE_BYTES,
    SEALED_CHUNK_SIZE_BYTES,
    Encryptor,
    HybridIdentity,
    Identity,
    Recipient,
    ScryptIdentity,
    ScryptRecipient,
    X25519Identity,
    decrypt,
    read_header,
)
from callseal.seal.errors import KeyFileError, SealError
from callseal.seal.secret import Secret

CLASSIC = X25519Identity.generate()
HYBRID = HybridIdentity.generate()
PASSPHRASE = Secret("correct horse")
EDGES = [0, 1, 65_535, 65_536, 65_537, 131_072, 131_073]


def fixed(size_bytes: int) -> bytes:
    return bytes(range(size_bytes))


def pattern(size_bytes: int) -> bytes:
    return (bytes(range(251)) * (size_bytes // 251 + 1))[:size_bytes]


def seal(recipients: Iterable[Recipient], pieces: Iterable[bytes]) -> bytes:
    encryptor = Encryptor(recipients)
    return encryptor.header() + b"".join(map(encryptor.update, pieces)) + encryptor.finish()


def opened(file: bytes, *identities: Identity) -> bytes:
    return b"".join(decrypt(io.BytesIO(file), identities))


def payload_of(pieces: Iterable[bytes]) -> bytes:
    """Return the sealed payload for one fixed file key and nonce."""
    encryptor = Encryptor([CLASSIC.recipient], random=fixed)
    encryptor.header()
    return b"".join(map(encryptor.update, pieces)) + encryptor.finish()


@pytest.mark.parametrize("size_bytes", EDGES)
@pytest.mark.parametrize("identity", [CLASSIC, HYBRID], ids=["classic", "hybrid"])
def test_sealed_bytes_open_to_the_same_bytes(identity: Identity, size_bytes: int) -> None:
    plaintext = pattern(size_bytes)

    file = seal([identity.recipient], [plaintext])

    assert opened(file, identity) == plaintext


def test_a_passphrase_opens_what_it_sealed() -> None:
    file = seal([ScryptRecipient(passphrase=PASSPHRASE, work_factor=4)], [b"key"])

    assert opened(file, ScryptIdentity(passphrase=PASSPHRASE)) == b"key"


def test_each_of_several_recipients_opens_the_file() -> None:
    other = X25519Identity.generate()

    file = seal([CLASSIC.recipient, other.recipient], [b"call"])

    assert opened(file, CLASSIC) == opened(file, other) == b"call"
    assert read_header(io.BytesIO(file)).kinds == ("X25519", "X25519")


@pytest.mark.parametrize("size_bytes", EDGES)
@pytest.mark.parametrize("piece_bytes", [160, 1_600, 65_535, 65_536, 65_537, 100_000])
def test_pieces_of_any_size_give_the_same_file(size_bytes: int, piece_bytes: int) -> None:
    plaintext = pattern(size_bytes)

    pieces = [plaintext[start : start + piece_bytes] for start in range(0, size_bytes, piece_bytes)]

    assert payload_of(pieces) == payload_of([plaintext])


def test_byte_by_byte_gives_the_same_file() -> None:
    plaintext = pattern(CHUNK_SIZE_BYTES + 1)

    sealed = payload_of(plaintext[index : index + 1] for index in range(len(plaintext)))

    assert sealed == payload_of([plaintext])


@given(sizes=st.lists(st.integers(0, 3 * CHUNK_SIZE_BYTES) | st.sampled_from(EDGES), max_size=6))
def test_odd_pieces_give_the_same_file(sizes: list[int]) -> None:
    plaintext = pattern(sum(sizes))
    view = memoryview(plaintext)
    starts = [sum(sizes[:index]) for index in range(len(sizes))]

    sealed = payload_of(bytes(view[start : start + size]) for start, size in zip(starts, sizes, strict=True))

    assert sealed == payload_of([plaintext])


def test_a_full_chunk_is_kept_back_until_it_cannot_be_the_last() -> None:
    encryptor = Encryptor([CLASSIC.recipient])
    encryptor.header()

    at_the_border = encryptor.update(pattern(CHUNK_SIZE_BYTES))
    past_it = encryptor.update(b"x")

    assert at_the_border == b""
    assert len(past_it) == SEALED_CHUNK_SIZE_BYTES


@pytest.mark.parametrize("shape", [(4, 40_000, 2), (10, 2), (0, 2)])
def test_arrays_of_samples_are_sealed_as_their_bytes(shape: tuple[int, ...]) -> None:
    samples = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    encryptor = Encryptor([CLASSIC.recipient])

    file = encryptor.header() + encryptor.update(samples.data) + encryptor.finish()

    assert opened(file, CLASSIC) == samples.tobytes()


def test_the_callers_buffer_is_free_again_at_once() -> None:
    buffer = bytearray(b"first")
    encryptor = Encryptor([CLASSIC.recipient])
    file = encryptor.header() + encryptor.update(buffer)

    buffer[:] = b"other and longer"

    assert opened(file + encryptor.finish(), CLASSIC) == b"first"


def test_two_files_never_share_a_key_or_nonce() -> None:
    first, second = (seal([CLASSIC.recipient], [bytes(1000)]) for _ in range(2))

    assert not {first[-1016:], first[-1032:-1016]} & {second[-1016:], second[-1032:-1016]}


def test_sealing_for_nobody_is_refused() -> None:
    with pytest.raises(KeyFileError, match="no recipient"):
        Encryptor([])


def test_post_quantum_and_classic_recipients_are_not_mixed() -> None:
    with pytest.raises(KeyFileError, match="cannot be mixed"):
        Encryptor([CLASSIC.recipient, HYBRID.recipient])


@pytest.mark.parametrize(
    "other", [CLASSIC.recipient, HYBRID.recipient, ScryptRecipient(passphrase=PASSPHRASE)]
)
def test_a_passphrase_stands_alone(other: Recipient) -> None:
    with pytest.raises(KeyFileError, match="passphrase"):
        Encryptor([ScryptRecipient(passphrase=PASSPHRASE), other])


def test_no_file_is_sealed_to_more_recipients_than_a_reader_takes() -> None:
    most = seal([CLASSIC.recipient] * 128, [b"call"])

    assert opened(most, CLASSIC) == b"call"
    with pytest.raises(KeyFileError, match="more than 128"):
        Encryptor([CLASSIC.recipient] * 129)


def test_the_most_post_quantum_recipients_fit_a_readers_limits() -> None:
    most = seal([HYBRID.recipient] * 128, [b"call"])

    assert opened(most, HYBRID) == b"call"


@pytest.mark.parametrize(
    "misuse", ["update first", "finish first", "header twice", "update after", "finish after"]
)
def test_a_step_out_of_order_is_refused(misuse: str) -> None:
    encryptor = Encryptor([CLASSIC.recipient])
    if misuse.endswith(("twice", "after")):
        encryptor.header()
    if misuse.endswith("after"):
        encryptor.finish()

    with pytest.raises(SealError) as caught:
        {"update": lambda: encryptor.update(b"x"), "finish": encryptor.finish, "header": encryptor.header}[
            misuse.split(maxsplit=1)[0]
        ]()

    assert caught.value.exit_code == 1


def test_a_source_of_randomness_that_runs_dry_seals_nothing() -> None:
    with pytest.raises(SealError, match="randomness"):
        Encryptor([CLASSIC.recipient], random=lambda _size_bytes: b"")
