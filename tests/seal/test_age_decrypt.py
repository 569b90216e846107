"""Nothing that was altered or cut off is taken for whole, and nothing unauthenticated is handed out."""

import io
import tracemalloc
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.age import (
    CHUNK_SIZE_BYTES,
    SEALED_CHUNK_SIZE_BYTES,
    Encryptor,
    HybridIdentity,
    Identity,
    ScryptIdentity,
    X25519Identity,
    armor,
    dearmor,
    decrypt,
    open_age,
    read_header,
)
from callseal.seal.errors import (
    ArmorError,
    HeaderError,
    NoIdentityMatch,
    PayloadError,
    RemoteError,
)
from callseal.seal.secret import Secret

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CLASSIC = X25519Identity.generate()
HYBRID = HybridIdentity.generate()
BOTH = pytest.mark.parametrize("identity", [CLASSIC, HYBRID], ids=["classic", "hybrid"])
VERSION = b"age-encryption.org/v1\n"


class Pipe(io.RawIOBase):
    """A source that hands out one byte at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        byte = self._data.read(1)
        memoryview(buffer)[: len(byte)] = byte
        return len(byte)


class Endless(io.RawIOBase):
    """A sealed file of any length that never stands in memory."""

    def __init__(self, chunks: int) -> None:
        encryptor = Encryptor([CLASSIC.recipient])
        self._pieces = self._make(encryptor, chunks)
        self._rest = b""

    @staticmethod
    def _make(encryptor: Encryptor, chunks: int) -> Iterator[bytes]:
        yield encryptor.header()
        for _ in range(chunks):
            yield encryptor.update(bytes(CHUNK_SIZE_BYTES))
        yield encryptor.finish()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        into = memoryview(buffer)
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        size = min(len(into), len(self._rest))
        into[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def pattern(size_bytes: int) -> bytes:
    return (bytes(range(251)) * (size_bytes // 251 + 1))[:size_bytes]


def seal(identity: Identity, plaintext: bytes) -> bytes:
    encryptor = Encryptor([identity.recipient])
    return encryptor.header() + encryptor.update(plaintext) + encryptor.finish()


def read_until_error(file: bytes, identity: Identity) -> tuple[bytes, RemoteError | None]:
    """Return what was handed out, and what the reading ended with."""
    out = bytearray()
    try:
        for chunk in decrypt(io.BytesIO(file), [identity]):
            out += chunk
    except RemoteError as error:
        return bytes(out), error
    return bytes(out), None


@BOTH
def test_a_small_file_cut_at_any_length_fails_and_gives_nothing(identity: Identity) -> None:
    file = seal(identity, b"hello, this is the agent")

    for length in range(len(file)):
        out, error = read_until_error(file[:length], identity)

        assert error is not None, length
        assert out == b"", length


@pytest.mark.parametrize("last_bytes", [1, 1000, CHUNK_SIZE_BYTES])
@pytest.mark.parametrize("offset_bytes", [-1, 0, 1, 15, 16])
@pytest.mark.parametrize("chunks", [0, 1, 2, 3])
def test_a_large_file_cut_at_a_chunk_border_gives_whole_chunks_then_fails(
    chunks: int, offset_bytes: int, last_bytes: int
) -> None:
    plaintext = pattern(3 * CHUNK_SIZE_BYTES + last_bytes)
    file = seal(CLASSIC, plaintext)
    payload_start = len(file) - len(plaintext) - 4 * 16
    cut = payload_start + chunks * SEALED_CHUNK_SIZE_BYTES + offset_bytes

    out, error = read_until_error(file[:cut], CLASSIC)

    whole = max(cut - payload_start, 0) // SEALED_CHUNK_SIZE_BYTES
    assert isinstance(error, PayloadError if cut >= payload_start else HeaderError)
    assert out == plaintext[: whole * CHUNK_SIZE_BYTES]


def test_a_file_cut_behind_a_whole_chunk_is_told_apart_from_an_altered_one() -> None:
    file = seal(CLASSIC, pattern(2 * CHUNK_SIZE_BYTES + 1))
    border = len(file) - 17

    _, cut_off = read_until_error(file[:border], CLASSIC)
    _, altered = read_until_error(file[: border - 1] + b"?" + file[border:], CLASSIC)

    assert isinstance(cut_off, PayloadError)
    assert isinstance(altered, PayloadError)
    assert (cut_off.chunk, cut_off.truncated) == (2, True)
    assert (altered.chunk, altered.truncated) == (1, False)


@BOTH
def test_an_altered_byte_anywhere_is_found(identity: Identity) -> None:
    file = seal(identity, b"hello, this is the agent")

    for position in range(len(file)):
        altered = bytearray(file)
        altered[position] ^= 1
        out, error = read_until_error(bytes(altered), identity)

        assert error is not None, position
        assert out == b"", position


def test_chunks_that_change_places_are_found() -> None:
    file = seal(CLASSIC, pattern(3 * CHUNK_SIZE_BYTES))
    start = len(file) - 3 * SEALED_CHUNK_SIZE_BYTES
    first, second = (
        file[start + index * SEALED_CHUNK_SIZE_BYTES : start + (index + 1) * SEALED_CHUNK_SIZE_BYTES]
        for index in range(2)
    )

    out, error = read_until_error(
        file[:start] + second + first + file[start + 2 * SEALED_CHUNK_SIZE_BYTES :], CLASSIC
    )

    assert isinstance(error, PayloadError)
    assert out == b""


@pytest.mark.parametrize("size_bytes", [0, 5, CHUNK_SIZE_BYTES, CHUNK_SIZE_BYTES + 5])
@pytest.mark.parametrize("surplus", [b"\0", bytes(SEALED_CHUNK_SIZE_BYTES)])
def test_data_after_the_end_is_found(size_bytes: int, surplus: bytes) -> None:
    plaintext = pattern(size_bytes)

    out, error = read_until_error(seal(CLASSIC, plaintext) + surplus, CLASSIC)

    assert isinstance(error, PayloadError)
    assert plaintext.startswith(out)


def test_a_reader_that_failed_stays_failed() -> None:
    file = seal(CLASSIC, pattern(2 * CHUNK_SIZE_BYTES))
    chunks = decrypt(io.BytesIO(file[:-1]), [CLASSIC])
    next(chunks)

    for _ in range(3):
        with pytest.raises(PayloadError):
            next(chunks)


def test_a_source_that_fails_once_is_not_read_on() -> None:
    file = seal(CLASSIC, pattern(2 * CHUNK_SIZE_BYTES))

    class Flaky(io.BytesIO):
        broken = False

        def read(self, size: int | None = -1, /) -> bytes:
            if self.broken:
                raise OSError("input/output error")
            return super().read(size)

    source = Flaky(file)
    chunks = decrypt(source, [CLASSIC])
    next(chunks)
    source.broken = True
    with pytest.raises(OSError, match="input"):
        next(chunks)
    source.broken = False

    with pytest.raises(OSError, match="input"):
        next(chunks)


def test_a_reader_at_its_end_stays_there_without_its_source() -> None:
    source = io.BytesIO(seal(CLASSIC, b"call"))
    chunks = decrypt(source, [CLASSIC])
    read = list(chunks)

    source.close()

    assert read == [b"call"]
    assert list(chunks) == []


def test_a_source_that_gives_a_byte_at_a_time_is_read_whole() -> None:
    plaintext = pattern(CHUNK_SIZE_BYTES + 10)

    read = b"".join(decrypt(Pipe(seal(CLASSIC, plaintext)), [CLASSIC]))  # type: ignore[arg-type]  # raw, on purpose

    assert read == plaintext


def test_memory_stays_flat_however_long_the_file() -> None:
    source = io.BufferedReader(Endless(chunks=256))
    read_bytes = 0

    tracemalloc.start()
    try:
        for chunk in decrypt(source, [CLASSIC]):
            read_bytes += len(chunk)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert read_bytes == 256 * CHUNK_SIZE_BYTES
    assert peak_bytes < 16 * CHUNK_SIZE_BYTES


@pytest.mark.parametrize("identities", [[], [X25519Identity.generate()], [HYBRID]])
def test_a_file_for_somebody_else_says_for_which_kind_of_key(identities: list[Identity]) -> None:
    file = seal(CLASSIC, b"call")

    with pytest.raises(NoIdentityMatch, match="X25519"):
        decrypt(io.BytesIO(file), identities)


def test_one_fitting_key_among_many_is_enough() -> None:
    file = seal(CLASSIC, b"call")
    others: list[Identity] = [X25519Identity.generate(), HYBRID, ScryptIdentity(passphrase=Secret("x"))]

    assert b"".join(decrypt(io.BytesIO(file), [*others, CLASSIC])) == b"call"


def test_the_header_is_read_to_its_end_and_no_further() -> None:
    source = io.BytesIO(seal(HYBRID, b"call"))

    header = read_header(source)

    assert header.kinds == ("mlkem768x25519",)
    assert source.tell() == len(header.raw)


@pytest.mark.parametrize(
    ("header", "limit"),
    [
        (VERSION + b"-> X " + b"a" * 20_000, "line"),
        (VERSION + b"-> X\n\n" * 129, "stanzas"),
        (VERSION + (b"-> X " + b"a" * 16_000 + b"\n\n") * 20, "longer"),
        (VERSION + b"-> X\n" + b"A" * 64 + b"\n" + (b"A" * 64 + b"\n") * 5_000, "longer"),
    ],
    ids=["line", "stanzas", "size", "endless body"],
)
def test_a_peer_cannot_make_us_read_a_header_without_end(header: bytes, limit: str) -> None:
    with pytest.raises(HeaderError, match=limit):
        read_header(io.BytesIO(header))


def test_a_peer_cannot_make_us_spend_more_than_the_work_limit() -> None:
    salt = b"AAAAAAAAAAAAAAAAAAAAAA"
    header = VERSION + b"-> scrypt " + salt + b" 21\n" + b"A" * 43 + b"\n--- " + b"A" * 43 + b"\n"

    with pytest.raises(HeaderError, match="work factor"):
        decrypt(io.BytesIO(header), [ScryptIdentity(passphrase=Secret("x"))])


@given(data=st.binary(max_size=2000))
def test_any_bytes_at_all_raise_only_the_remote_error(data: bytes) -> None:
    with pytest.raises(RemoteError):
        list(decrypt(io.BytesIO(data), [CLASSIC, HYBRID]))


HEADER_PIECES = st.sampled_from(
    [
        VERSION,
        b"-> X25519 ",
        b"-> mlkem768x25519 ",
        b"-> scrypt AAAAAAAAAAAAAAAAAAAAAA 1\n",
        b"-> a b\n",
        b"A" * 43,
        b"A" * 64,
        b"A" * 43 + b"\n" + b"A" * 43,
        b"-" * 3,
        b" ",
        b"\n",
        b"\r\n",
        b"=",
    ]
)


@given(pieces=st.lists(HEADER_PIECES | st.binary(max_size=8), max_size=12))
def test_anything_that_looks_like_a_header_raises_only_the_remote_error(pieces: list[bytes]) -> None:
    with pytest.raises(RemoteError):
        list(decrypt(io.BytesIO(VERSION + b"".join(pieces)), [CLASSIC, HYBRID]))


@given(position=st.integers(0, 10_000), piece=st.binary(min_size=1, max_size=8), drop=st.integers(0, 8))
def test_a_file_with_a_piece_replaced_opens_only_if_nothing_changed(
    position: int, piece: bytes, drop: int
) -> None:
    position %= len(SEALED)
    changed = SEALED[:position] + piece + SEALED[position + drop :]

    out, error = read_until_error(changed, CLASSIC)

    assert (error is None) == (changed == SEALED)
    assert out in (b"", PLAINTEXT)


PLAINTEXT = b"hello, this is the agent"
SEALED = seal(CLASSIC, PLAINTEXT)
ARMORED = armor(SEALED)


@pytest.mark.parametrize(
    "text",
    [
        ARMORED,
        ARMORED.replace(b"\n", b"\r\n"),
        ARMORED.removesuffix(b"\n"),
        b" \r\n\t\n" + ARMORED + b"\n \t\r\n",
    ],
    ids=["plain", "crlf", "no last newline", "white space around"],
)
def test_armor_comes_off(text: bytes) -> None:
    assert b"".join(decrypt(dearmor(io.BytesIO(text)), [CLASSIC])) == PLAINTEXT
    assert b"".join(decrypt(open_age(io.BytesIO(text)), [CLASSIC])) == PLAINTEXT


def test_a_file_without_armor_passes_untouched() -> None:
    assert open_age(io.BytesIO(SEALED)).read() == SEALED


def test_armor_cut_at_any_length_fails_and_gives_nothing() -> None:
    whole = len(ARMORED) - 1  # the last newline may be missing

    for length in range(whole):
        with pytest.raises(ArmorError):
            dearmor(io.BytesIO(ARMORED[:length])).read()


@pytest.mark.parametrize("where", ["before", "after"])
def test_armor_lost_in_white_space_is_refused(where: str) -> None:
    space = b" \n" * 1000
    text = space + ARMORED if where == "before" else ARMORED + space

    with pytest.raises(ArmorError, match="white space"):
        dearmor(io.BytesIO(text)).read()


def test_armor_that_failed_stays_failed() -> None:
    stream = dearmor(io.BytesIO(ARMORED.replace(b"END", b"end")))

    for _ in range(3):
        with pytest.raises(ArmorError):
            stream.read()


@given(data=st.binary(max_size=500) | st.text(alphabet="-BEGIN AYCRPTDFL\r\n=", max_size=200).map(str.encode))
def test_any_text_at_all_in_armor_raises_only_the_remote_error(data: bytes) -> None:
    with pytest.raises(RemoteError):
        list(decrypt(dearmor(io.BytesIO(data)), [CLASSIC]))
    with pytest.raises(RemoteError):
        list(decrypt(open_age(io.BytesIO(data)), [CLASSIC]))


@given(data=st.binary(max_size=1000))
def test_armor_put_on_comes_off_again(data: bytes) -> None:
    assert dearmor(io.BytesIO(armor(data))).read() == data
