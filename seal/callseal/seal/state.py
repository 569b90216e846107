"""What a recording in the making is, for who finds it after a crash: public, no personal data, no key needed.

``state`` lies beside the audio from before its first byte. It holds what the manifest will say as far as it
is known, so that recovery can write one, and what is being done with the recording: an audio that is to be
destroyed must not be saved by a recovery.

Conventions: those of the manifest.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from callseal.seal.errors import ManifestError
from callseal.seal.fields import Fields, JsonValue, read_object, write_object
from callseal.seal.manifest import Direction, Origin
from callseal.seal.timestamp import write_time

STATE_NAME: Final = "state"
TYPE: Final = "callseal-state/1"
MAX_SIZE_BYTES: Final = 64 * 1024

_TYPE_PATTERN: Final = re.compile(re.escape(TYPE))
_UUID_PATTERN: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TEXT_PATTERN: Final = re.compile(r"[^\x00-\x1f\x7f]{0,128}")
_MAX_LIST: Final = 64


class Purpose(StrEnum):
    """What is being done with the recording."""

    RECORD = "record"
    DISCARD = "discard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Continues:
    """The recording that this one goes on from, and at which of its samples."""

    id: UUID
    sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingState:
    """What ``state`` says."""

    id: UUID
    device: str
    site: str
    source: str
    origin: Origin
    direction: Direction
    started_at: datetime
    opened_at: datetime
    rate_hz: int | None
    encoding: int | None
    business_type: str | None
    retention_class: str | None
    stores: tuple[str, ...]
    recipients: tuple[str, ...]
    software: str
    purpose: Purpose = Purpose.RECORD
    reasons: tuple[str, ...] = ()
    continues: Continues | None = None

    def to_bytes(self) -> bytes:
        """Return the file's bytes."""
        values: dict[str, JsonValue] = {
            "type": TYPE,
            "id": str(self.id),
            "device": self.device,
            "site": self.site,
            "source": self.source,
            "origin": self.origin.value,
            "direction": self.direction.value,
            "started_at": write_time(self.started_at),
            "opened_at": write_time(self.opened_at),
            "rate_hz": self.rate_hz,
            "encoding": self.encoding,
            "business_type": self.business_type,
            "retention_class": self.retention_class,
            "stores": list(self.stores),
            "recipients": list(self.recipients),
            "software": self.software,
            "purpose": self.purpose.value,
            "reasons": list(self.reasons),
            "continues": (
                None
                if self.continues is None
                else {"id": str(self.continues.id), "sample": self.continues.sample}
            ),
        }
        return write_object(values)


def parse_state(data: bytes) -> RecordingState:
    """Return what the bytes of a ``state`` say; raises only ManifestError.

    Whether the values may stand in a manifest is for `Manifest` to say.
    """
    values = read_object(data, what=STATE_NAME, limit_bytes=MAX_SIZE_BYTES, error=ManifestError)
    fields = Fields(values, where=STATE_NAME, error=ManifestError)
    fields.text("type", _TYPE_PATTERN)
    return RecordingState(
        id=UUID(fields.text("id", _UUID_PATTERN)),
        device=fields.text("device", _TEXT_PATTERN),
        site=fields.text("site", _TEXT_PATTERN),
        source=fields.text("source", _TEXT_PATTERN),
        origin=fields.choice("origin", Origin),
        direction=fields.choice("direction", Direction),
        started_at=fields.time("started_at"),
        opened_at=fields.time("opened_at"),
        rate_hz=None if fields.is_null("rate_hz") else fields.integer("rate_hz", low=1),
        encoding=None if fields.is_null("encoding") else fields.integer("encoding", low=1),
        business_type=_optional_text(fields, "business_type"),
        retention_class=_optional_text(fields, "retention_class"),
        stores=fields.texts("stores", _TEXT_PATTERN, limit=_MAX_LIST),
        recipients=fields.texts("recipients", _TEXT_PATTERN, limit=_MAX_LIST),
        software=fields.text("software", _TEXT_PATTERN),
        purpose=fields.choice("purpose", Purpose),
        reasons=fields.texts("reasons", _TEXT_PATTERN, limit=_MAX_LIST),
        continues=None if fields.is_null("continues") else _read_continues(fields.child("continues")),
    )


def _optional_text(fields: Fields, key: str) -> str | None:
    return None if fields.is_null(key) else fields.text(key, _TEXT_PATTERN)


def _read_continues(fields: Fields) -> Continues:
    return Continues(id=UUID(fields.text("id", _UUID_PATTERN)), sample=fields.integer("sample"))
