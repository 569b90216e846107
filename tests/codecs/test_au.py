"""The inner file: what is written is what the format says, and any player reads it, also when it is cut."""

import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from callseal.codecs import g711
from callseal.codecs.au import HEADER_BYTES, AuHeader, Encoding, parse, to_bytes, to_samples
from callseal.codecs.errors import AuError
from support.programs import needed

HEADERS = {
    Encoding.ULAW: "2e736e64 00000020 ffffffff 00000001 00001f40 00000002 0000000000000000",
    Encoding.PCM16: "2e736e64 00000020 ffffffff 00000003 00001f40 00000002 0000000000000000",
    Encoding.ALAW: "2e736e64 00000020 ffffffff 0000001b 00001f40 00000002 0000000000000000",
}
LEAST_BYTES = 24


def _header(encoding: Encoding) -> AuHeader:
    return AuHeader(encoding=encoding, rate_hz=8000, channels=2)


def _words(magic: bytes, *words: int) -> bytes:
    return magic + b"".join(word.to_bytes(4, "big") for word in words)


def _frames(encoding: Encoding) -> "NDArray[np.uint8] | NDArray[np.int16]":
    """Two seconds of all that the encoding can say, each channel in an order of its own."""
    seed = np.random.default_rng(encoding.value)
    if encoding is Encoding.PCM16:
        return seed.integers(-32768, 32768, (16_000, 2)).astype(np.int16)
    return seed.integers(0, 256, (16_000, 2)).astype(np.uint8)


def _heard(frames: "NDArray[np.uint8] | NDArray[np.int16]", encoding: Encoding) -> NDArray[np.int16]:
    """Give what a player must hear, shape (samples, channels)."""
    if encoding.law is None:
        return frames.astype(np.int16)
    return g711.decode(frames.astype(np.uint8), encoding.law)


@pytest.mark.parametrize("encoding", Encoding)
def test_the_header_is_written_and_read_as_the_format_says(encoding: Encoding) -> None:
    data = bytes.fromhex(HEADERS[encoding])

    assert bytes(_header(encoding)) == data
    assert parse(data) == _header(encoding)
    assert parse(data + b"samples") == _header(encoding)


def test_a_header_that_is_cut_anywhere_is_refused_until_all_its_words_are_there() -> None:
    data = bytes(_header(Encoding.ALAW))

    for size in range(LEAST_BYTES):
        with pytest.raises(AuError, match=f"here are {size}"):
            parse(data[:size])
    for size in range(LEAST_BYTES, HEADER_BYTES + 1):
        assert parse(data[:size]) == _header(Encoding.ALAW)


def test_a_header_with_an_annotation_says_where_the_samples_begin() -> None:
    data = _words(b".snd", 56, 4, 3, 16_000, 1) + b"annotation".ljust(32, b"\0") + b"\1\2\3\4"

    header = parse(data)

    assert header == AuHeader(encoding=Encoding.PCM16, rate_hz=16_000, channels=1, data_offset_bytes=56)
    assert to_samples(data[header.data_offset_bytes :], header).tolist() == [[0x0102, 0x0304]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (_words(b"RIFF", 32, 0, 1, 8000, 2), "begins with b'RIFF'"),
        (_words(b"dns.", 32, 0, 1, 8000, 2), "begins with"),
        (_words(b".snd", 23, 0, 1, 8000, 2), "offset 23 is outside 24 to 4120"),
        (_words(b".snd", 4121, 0, 1, 8000, 2), "offset 4121 is outside 24 to 4120"),
        (_words(b".snd", 32, 0, 2, 8000, 2), "encoding 2 is none of"),
        (_words(b".snd", 32, 0, 0, 8000, 2), "encoding 0 is none of"),
        (_words(b".snd", 32, 0, 1, 0, 2), "0 Hz"),
        (_words(b".snd", 32, 0, 1, 192_001, 2), "192001 Hz"),
        (_words(b".snd", 32, 0, 1, 8000, 0), "0 channels"),
        (_words(b".snd", 32, 0, 1, 8000, 9), "9 channels"),
    ],
)
def test_a_header_that_callseal_never_writes_is_refused_with_the_reason(data: bytes, words: str) -> None:
    with pytest.raises(AuError, match=words):
        parse(data)


@given(
    st.binary(max_size=64)
    | st.lists(st.integers(0, 2**32 - 1), min_size=5).map(lambda w: _words(b".snd", *w))
)
def test_any_bytes_are_a_header_or_raise_only_the_error_of_this_format(data: bytes) -> None:
    try:
        header = parse(data)
    except AuError:
        return

    assert header.frame_bytes == header.encoding.sample_bytes * header.channels
    assert to_samples(b"\0" * (header.frame_bytes * 2 - 1), header).shape == (header.channels, 1)


@pytest.mark.parametrize("encoding", Encoding)
def test_samples_come_back_by_channel_as_they_were_written(encoding: Encoding) -> None:
    frames = _frames(encoding)

    samples = to_samples(to_bytes(frames), _header(encoding))

    assert samples.dtype == np.int16
    assert np.array_equal(samples, _heard(frames, encoding).T)


@pytest.mark.parametrize("encoding", Encoding)
def test_a_file_that_was_cut_short_gives_every_whole_frame(encoding: Encoding) -> None:
    header, frames = _header(encoding), _frames(encoding)[:5]
    data = to_bytes(frames)

    for size in range(len(data) + 1):
        samples = to_samples(data[:size], header)
        assert np.array_equal(samples, _heard(frames, encoding)[: size // header.frame_bytes].T)


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("lost_bytes", [0, 1, 3])
def test_libsndfile_reads_a_file_without_length_also_when_it_is_cut(
    encoding: Encoding, lost_bytes: int
) -> None:
    frames = _frames(encoding)
    data = bytes(_header(encoding)) + to_bytes(frames)

    heard, rate_hz = soundfile.read(io.BytesIO(data[: len(data) - lost_bytes]), dtype="int16")

    whole = (len(data) - lost_bytes - HEADER_BYTES) // _header(encoding).frame_bytes
    assert rate_hz == 8000
    assert np.array_equal(heard, _heard(frames, encoding)[:whole])


@pytest.mark.integration
@pytest.mark.parametrize("encoding", Encoding)
def test_sox_knows_the_file_and_hears_every_sample(encoding: Encoding, tmp_path: Path) -> None:
    soxi, sox = needed("soxi", "sox"), needed("sox", "sox")
    frames = _frames(encoding)
    path = tmp_path / "inner.au"
    path.write_bytes(bytes(_header(encoding)) + to_bytes(frames))

    facts = subprocess.run([soxi, path], check=True, capture_output=True, text=True).stdout
    raw = subprocess.run(
        [sox, "-D", path, "-t", "raw", "-b", "16", "-e", "signed", "-L", "-"], check=True, capture_output=True
    ).stdout

    assert "Channels       : 2" in facts
    assert "Sample Rate    : 8000" in facts
    assert np.array_equal(np.frombuffer(raw, "<i2").reshape(-1, 2), _heard(frames, encoding))


@pytest.mark.integration
@pytest.mark.parametrize("encoding", Encoding)
def test_ffmpeg_hears_every_sample(encoding: Encoding, tmp_path: Path) -> None:
    ffmpeg = needed("ffmpeg", "ffmpeg")
    frames = _frames(encoding)
    path = tmp_path / "inner.au"
    path.write_bytes(bytes(_header(encoding)) + to_bytes(frames))

    raw = subprocess.run(
        [ffmpeg, "-v", "error", "-i", path, "-f", "s16le", "-"],
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    ).stdout

    assert np.array_equal(np.frombuffer(raw, "<i2").reshape(-1, 2), _heard(frames, encoding))
