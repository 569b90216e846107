"""The sound of an announcement: one of the shipped voices, or a file of the customer's own.

Shipped voices are WAV, 16 kHz, mono, PCM16, at most 9 s (`announcements/README.md` says how they
were made). A file of one's own may be anything that libsndfile reads; whoever plays it decodes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from callseal.config.errors import AnnouncementError, Problem

__all__ = ["BUILTIN_VOICES", "MAX_ANNOUNCEMENT_BYTES", "Builtin", "read_announcement"]

# Voice and the language that it speaks; announced in this order when the settings name none.
BUILTIN_VOICES: Mapping[str, str] = MappingProxyType({"zh": "zh-CN", "en": "en"})
# A minute of stereo at 48 kHz in 32 bits fits; nobody listens to a longer announcement.
MAX_ANNOUNCEMENT_BYTES = 32 * 1024 * 1024
_PREFIX = "builtin:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Builtin:
    """A voice that comes with the package, written `builtin:zh`."""

    name: str

    @classmethod
    def parse(cls, text: str) -> "Builtin | None":
        """Read `builtin:NAME`; None when the text is a path instead; raises ValueError."""
        if not text.startswith(_PREFIX):
            return None
        name = text.removeprefix(_PREFIX)
        if name not in BUILTIN_VOICES:
            allowed = ", ".join(f'"{_PREFIX}{voice}"' for voice in BUILTIN_VOICES)
            raise ValueError(f"no such voice is shipped; must be one of {allowed}, or the path of a file")
        return cls(name=name)

    def __str__(self) -> str:
        return _PREFIX + self.name


def read_announcement(source: Builtin | Path) -> bytes:
    """Read the bytes of an announcement's audio file; raises AnnouncementError."""
    if isinstance(source, Builtin):
        return files("callseal.config").joinpath("announcements", f"{source.name}.wav").read_bytes()
    try:
        with source.open("rb") as file:
            data = file.read(MAX_ANNOUNCEMENT_BYTES + 1)
    except OSError as error:
        raise _refused(source, f"can't be read: {error.strerror}") from error
    if len(data) > MAX_ANNOUNCEMENT_BYTES:
        raise _refused(source, f"is larger than {MAX_ANNOUNCEMENT_BYTES} bytes; take a shorter announcement")
    return data


def _refused(path: Path, reason: str) -> AnnouncementError:
    allowed = f"{reason} (an [[announcement]] of the settings names this file)"
    return AnnouncementError(Problem(file=str(path), key="", value=None, allowed=allowed))
