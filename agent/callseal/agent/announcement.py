"""Announcements, read from any WAV or FLAC and made ready to be played.

Conventions: prepared samples are int16 mono at the bridge's rate. A prepared announcement begins with
`LEAD_S` of silence, so that all its listeners are connected before the first word, and its parts (one a
language) are `GAP_S` apart.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from callseal.agent.errors import AnnouncementError

LEAD_S: Final = 0.2
GAP_S: Final = 0.3
TAIL_S: Final = 0.25
"""Silence behind the last word: the player says that it is through up to one file buffer (4,000 bytes,
0.25 s) too early, and talk must not be let in before the announcement has ended."""
MAX_ANNOUNCEMENT_S: Final = 60.0
MAX_ANNOUNCEMENT_BYTES: Final = 32 * 1024 * 1024
_MIN_ANNOUNCEMENT_S: Final = 0.5
_SILENT_PEAK: Final = 200  # int16 units, about -44 dBov: below it nobody hears an announcement


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """One announcement as it came from its file, at the rate that is asked for."""

    name: str
    language: str
    sha256: str
    """Of the file's bytes, hexadecimal."""
    samples: NDArray[np.int16]
    """Shape (samples,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Where one announcement lies in a programme."""

    announcement: Announcement
    start_samples: int

    @property
    def end_samples(self) -> int:
        """Position behind its last sample."""
        return self.start_samples + self.announcement.samples.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Programme:
    """Announcements one after another, as a call hears them."""

    samples: NDArray[np.int16]
    parts: tuple[Part, ...]


def read(name: str, language: str, where: str, data: bytes, rate_hz: int) -> Announcement:
    """Read one announcement's file and bring it to mono at `rate_hz`.

    where: the file's name for messages. Raises AnnouncementError: no sound file, too short or too long,
    silent.
    """
    if len(data) > MAX_ANNOUNCEMENT_BYTES:
        raise AnnouncementError(
            f"announcement {name!r}: {where} has {len(data)} bytes, more than {MAX_ANNOUNCEMENT_BYTES}"
        )
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            file_rate_hz: int = file.samplerate
            # One sample more than is allowed tells that it is too long: a small FLAC can hold hours.
            samples = file.read(int(MAX_ANNOUNCEMENT_S * file_rate_hz) + 1, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, ValueError) as error:
        raise AnnouncementError(
            f"announcement {name!r}: {where} is no WAV or FLAC file that can be read"
        ) from error
    duration_s = samples.shape[0] / file_rate_hz
    if not _MIN_ANNOUNCEMENT_S <= duration_s <= MAX_ANNOUNCEMENT_S:
        too_long = duration_s > MAX_ANNOUNCEMENT_S
        length = f"more than {MAX_ANNOUNCEMENT_S:.0f} s" if too_long else f"{duration_s:.1f} s"
        raise AnnouncementError(
            f"announcement {name!r}: {where} lasts {length}; "
            f"{_MIN_ANNOUNCEMENT_S} to {MAX_ANNOUNCEMENT_S:.0f} s are allowed"
        )
    if not np.isfinite(samples).all():
        raise AnnouncementError(f"announcement {name!r}: {where} holds samples that are no numbers")
    mono = samples.mean(axis=1)
    if file_rate_hz != rate_hz:
        mono = soxr.resample(mono, file_rate_hz, rate_hz, quality="VHQ")
    whole = np.clip(np.rint(mono * 32768.0), -32768, 32767).astype(np.int16)
    if int(np.abs(whole.astype(np.int32)).max()) < _SILENT_PEAK:
        raise AnnouncementError(f"announcement {name!r}: {where} is silent")
    return Announcement(name=name, language=language, sha256=hashlib.sha256(data).hexdigest(), samples=whole)


def prepare(names: Sequence[str], known: Mapping[str, Announcement], rate_hz: int) -> Programme:
    """Put announcements one behind the other."""
    pieces: list[NDArray[np.int16]] = [np.zeros(int(LEAD_S * rate_hz), np.int16)]
    parts: list[Part] = []
    at = pieces[0].size
    for index, name in enumerate(names):
        if index:
            pieces.append(np.zeros(int(GAP_S * rate_hz), np.int16))
            at += pieces[-1].size
        announcement = known[name]
        parts.append(Part(announcement=announcement, start_samples=at))
        pieces.append(announcement.samples)
        at += announcement.samples.size
    pieces.append(np.zeros(int(TAIL_S * rate_hz), np.int16))
    return Programme(samples=np.concatenate(pieces), parts=tuple(parts))
