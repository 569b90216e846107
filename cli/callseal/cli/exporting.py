"""Writes the sound of an opened recording into a file: WAV or FLAC with whole headers, or the inner .au.

Conventions: this is the one place of the command line where plaintext sound reaches a disk, because a person
asked for it. The file is ``0600``; it grows under a temporary name beside its own, which is taken away
whatever goes wrong, and gets its name once the last hash fits: a file of that name is whole and vouched for.
Samples are int16, shape (samples, channels): channel 0 the agent, 1 the customer.
"""

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from callseal.cli.disk import is_there, writable
from callseal.cli.errors import UsageFault
from callseal.cli.i18n import _
from callseal.codecs import au
from callseal.codecs.au import AuHeader
from callseal.seal import durable

TEMPORARY_PREFIX: Final = ".callseal-"
_SUBTYPE: Final = "PCM_16"
_HEADER_LIMIT_BYTES: Final = 8192  # more than any header that au.parse accepts


class Form(StrEnum):
    """What is written; the values are libsndfile's names, but for the inner file itself."""

    WAV = "WAV"
    FLAC = "FLAC"
    AU = "AU"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A file that was written."""

    path: Path
    form: Form
    header: AuHeader
    samples: int

    @property
    def duration_s(self) -> float:
        """How long it plays."""
        return self.samples / self.header.rate_hz


def form_of(path: Path, *, raw: bool) -> Form:
    """Return what to write into a file of this name; UsageFault for a name that says nothing known."""
    if raw:
        return Form.AU
    form = {".wav": Form.WAV, ".flac": Form.FLAC}.get(path.suffix.lower())
    if form is None:
        raise UsageFault(
            _("{path}: give a name that ends in .wav or .flac, or --raw for the inner .au file").format(
                path=path
            )
        )
    return form


def refuse_taken(path: Path, *, replace: bool) -> None:
    """Raise UsageFault if a file is there already and may not be replaced."""
    if is_there(path) and not replace:
        raise UsageFault(_("{path}: is there already; --force replaces it").format(path=path))


def export(pieces: Iterable[bytes], path: Path, form: Form, *, replace: bool) -> Exported:
    """Write the inner file that `pieces` make up into `path`.

    UsageFault if the file is there already and may not be replaced, or if its folder can't be written; what
    the pieces raise goes through, and nothing is left behind.
    """
    refuse_taken(path, replace=replace)
    with _new_file(path) as file:
        if form is Form.AU:
            return _write_raw(pieces, path, file)
        return _write_sound(pieces, path, form, file)


def _write_raw(pieces: Iterable[bytes], path: Path, file: BinaryIO) -> Exported:
    def kept() -> Iterator[bytes]:
        for piece in pieces:
            with writable(path):
                file.write(piece)
            yield piece

    header, blocks = _decoded(kept())
    samples = sum(block.shape[0] for block in blocks)
    return Exported(path=path, form=Form.AU, header=header, samples=samples)


def _write_sound(pieces: Iterable[bytes], path: Path, form: Form, file: BinaryIO) -> Exported:
    header, blocks = _decoded(iter(pieces))
    samples = 0
    # By its descriptor: errors of a Python file would be lost in libsndfile's callbacks.
    with soundfile.SoundFile(
        file.fileno(),
        "w",
        header.rate_hz,
        header.channels,
        subtype=_SUBTYPE,
        format=form.value,
        closefd=False,
    ) as sound:
        for block in blocks:
            with _encodable(path):
                sound.write(block)
            samples += block.shape[0]
    return Exported(path=path, form=form, header=header, samples=samples)


def _decoded(pieces: Iterator[bytes]) -> tuple[AuHeader, Iterator[NDArray[np.int16]]]:
    """Return the header, and the samples in blocks of shape (samples, channels)."""
    head = bytearray()
    for piece in pieces:
        head += piece
        if len(head) >= _HEADER_LIMIT_BYTES:
            break
    header = au.parse(bytes(head))
    return header, _blocks(header, bytes(head[header.data_offset_bytes :]), pieces)


def _blocks(header: AuHeader, rest: bytes, pieces: Iterator[bytes]) -> Iterator[NDArray[np.int16]]:
    waiting = rest
    while True:
        whole = len(waiting) // header.frame_bytes * header.frame_bytes
        if whole:
            yield np.ascontiguousarray(au.to_samples(waiting[:whole], header).T)
        piece = next(pieces, None)
        if piece is None:
            return
        waiting = waiting[whole:] + piece


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.tmp")
    with writable(path):
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, durable.FILE_MODE)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            with writable(path):
                file.flush()
                os.fsync(file.fileno())
        with writable(path):
            temporary.replace(path)
            durable.sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _encodable(path: Path) -> Iterator[None]:
    try:
        yield
    except (soundfile.SoundFileError, AssertionError) as problem:  # it asserts that all was written
        raise UsageFault(_("{path}: can't be written: is the disk full?").format(path=path)) from problem
