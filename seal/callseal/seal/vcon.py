"""The vCon: who spoke with whom, what was recorded, and what was found out about it. Personal data.

It leaves this module signed (`sign_vcon`) and lies on a disk only sealed with age, beside the audio.

Conventions, where the draft leaves a choice or we deviate:

- `uuid` is the recording's id, a version 7 UUID (the draft asks for version 8, as a SHOULD: the one id
  that manifest, folder and vCon share is worth more). `vcon` is left out: deprecated.
- A stereo recording has one item a channel in `parties`: agent, customer. `originator` is always written
  where the first of them did not call.
- The audio stands outside, without `url`: where it will lie is not known yet, and nothing fetches from
  an address in a document. `filename` is its object's name; `content_hash` is ``sha512-`` and the
  base64url of the SHA-512 of the *plaintext* inner file, so that it still holds after a new sealing.
- `mediatype` is ``audio/basic``, which operating systems give to a Sun/NeXT ``.au`` file. Strictly
  (RFC 2046, section 4.3) that type is headerless one-channel µ-law; an ``.au`` has no type of its own.
- A call that was not answered is a dialog of type ``incomplete`` with a `disposition` and no content. One
  that was answered and not recorded is a ``recording`` without content, as in a placeholder dialog.
- Announcements, checks, result and tags are attachments and analyses with a JSON body, `encoding` ``json``
  (the value itself, not a text of it). They come from the recorder, which is a party of its own: the draft
  wants the contributor among the parties, and it is none of the two who spoke.
- What signalling brought is kept as it came, in attachments too: a text as it stands, the rest in base64url.
- JWS as in `jws`: EdDSA where the draft's SHOULD is RS256, and `x5c` in the protected header where the
  draft says unprotected, since what is not signed can be altered (see there).

Source: draft-ietf-vcon-vcon-core-04, sections 2 to 5.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callseal.seal.errors import SealError, VconError
from callseal.seal.fields import JsonObject, JsonValue, read_object
from callseal.seal.jws import MAX_SIZE_BYTES, encode, open_jws, sign_jws
from callseal.seal.timestamp import write_time

MEDIATYPE_AUDIO: Final = "audio/basic"
MEDIATYPE_JSON: Final = "application/json"
VENDOR: Final = "callseal"

MAX_PARTIES: Final = 64
MAX_ITEMS: Final = 4096

_CONTENT_TYPE: Final = "application/vcon"
_SHA512_SIZE_BYTES: Final = 64


class DialogType(StrEnum):
    """What a dialog is (section 4.3.1); the draft's other types are not written here."""

    RECORDING = "recording"
    INCOMPLETE = "incomplete"


class Disposition(StrEnum):
    """Why a call did not come about (section 4.3.11)."""

    NO_ANSWER = "no-answer"
    CONGESTION = "congestion"
    FAILED = "failed"
    BUSY = "busy"
    HUNG_UP = "hung-up"
    VOICEMAIL_NO_MESSAGE = "voicemail-no-message"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Somebody in the conversation (section 4.2); every field may be missing."""

    tel: str | None = None
    sip: str | None = None
    name: str | None = None
    validation: str | None = None
    uuid: UUID | None = None

    def to_json(self) -> JsonObject:
        """Return the Party Object."""
        return _without_none(
            tel=self.tel,
            sip=self.sip,
            name=self.name,
            validation=self.validation,
            uuid=None if self.uuid is None else str(self.uuid),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialog:
    """A recording, or a call that did not come about (section 4.3).

    `parties` are indices into the vCon's parties, one a channel, None for a channel that nobody is on.
    """

    type: DialogType
    start: datetime
    duration_s: float | None = None
    parties: tuple[int | None, ...] = ()
    originator: int | None = None
    mediatype: str | None = None
    filename: str | None = None
    content_hash: str | None = None
    disposition: Disposition | None = None

    def __post_init__(self) -> None:
        incomplete = self.type is DialogType.INCOMPLETE
        if incomplete and (self.mediatype or self.filename or self.content_hash):
            raise ValueError("an incomplete dialog has no content")
        if incomplete == (self.disposition is None):
            raise ValueError("an incomplete dialog has a disposition, and no other has one")
        if self.duration_s is not None and not 0 <= self.duration_s < float("inf"):
            raise ValueError("duration_s must be 0 or more")

    def to_json(self) -> JsonObject:
        """Return the Dialog Object."""
        return _without_none(
            type=self.type.value,
            start=write_time(self.start),
            duration=self.duration_s,
            parties=list(self.parties) or None,
            # "The originator parameter is only provided if the first party of the dialog Object parties
            # list is NOT the originator" (section 4.3.5).
            originator=None if self.parties[:1] == (self.originator,) else self.originator,
            mediatype=self.mediatype,
            filename=self.filename,
            content_hash=self.content_hash,
            disposition=None if self.disposition is None else self.disposition.value,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Something found out from a dialog (section 4.5): checks, result. `schema` names the body's form."""

    type: str
    schema: str
    body: JsonValue
    dialog: int | None = 0
    product: str | None = None

    def to_json(self) -> JsonObject:
        """Return the Analysis Object."""
        return _without_none(
            type=self.type,
            dialog=self.dialog,
            mediatype=MEDIATYPE_JSON,
            vendor=VENDOR,
            product=self.product,
            schema=self.schema,
            encoding="json",
        ) | {"body": self.body}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """Something that belongs to a dialog (section 4.4): announcement facts, tags, documents as they came.

    `encoding` as in section 2.3: "json" for a value, "none" for a text, "base64url" for bytes, which the body
    then holds as such a text.
    """

    purpose: str
    start: datetime
    party: int
    body: JsonValue
    dialog: int = 0
    mediatype: str = MEDIATYPE_JSON
    encoding: Literal["json", "none", "base64url"] = "json"
    is_cut: bool = False
    """Whether the body is only the beginning of what there was; written as `cut`, where it is so."""

    def to_json(self) -> JsonObject:
        """Return the Attachment Object."""
        return _without_none(
            purpose=self.purpose,
            start=write_time(self.start),
            party=self.party,
            dialog=self.dialog,
            mediatype=self.mediatype,
            encoding=self.encoding,
            cut=self.is_cut or None,
        ) | {"body": self.body}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vcon:
    """A vCon; ValueError where an index points at nothing."""

    uuid: UUID
    created_at: datetime
    parties: tuple[Party, ...]
    dialog: tuple[Dialog, ...]
    analysis: tuple[Analysis, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    subject: str | None = None

    def __post_init__(self) -> None:
        if len(self.parties) > MAX_PARTIES:
            raise ValueError(f"at most {MAX_PARTIES} parties")
        if max(map(len, (self.dialog, self.analysis, self.attachments))) > MAX_ITEMS:
            raise ValueError(f"at most {MAX_ITEMS} of a kind")
        parties: set[int | None] = {None, *range(len(self.parties))}
        dialogs: set[int | None] = {None, *range(len(self.dialog))}
        for dialog in self.dialog:
            if not {*dialog.parties, dialog.originator} <= parties:
                raise ValueError("a dialog names a party that is not there")
        named = {item.dialog for item in self.analysis} | {item.dialog for item in self.attachments}
        if not named <= dialogs:
            raise ValueError("an analysis or attachment names a dialog that is not there")
        if not {item.party for item in self.attachments} <= parties:
            raise ValueError("an attachment names a party that is not there")

    def to_json(self) -> JsonObject:
        """Return the unsigned form (section 4)."""
        return _without_none(
            uuid=str(self.uuid), created_at=write_time(self.created_at), subject=self.subject
        ) | {
            "parties": [item.to_json() for item in self.parties],
            "dialog": [item.to_json() for item in self.dialog],
            "analysis": [item.to_json() for item in self.analysis],
            "attachments": [item.to_json() for item in self.attachments],
        }


def content_hash(plaintext_sha512: bytes) -> str:
    """Return the ContentHash (section 2.2) of the inner file; ValueError for another hash length."""
    if len(plaintext_sha512) != _SHA512_SIZE_BYTES:
        raise ValueError(f"a SHA-512 has {_SHA512_SIZE_BYTES} bytes")
    return "sha512-" + encode(plaintext_sha512)


def sign_vcon(vcon: Vcon, key: Ed25519PrivateKey, chain: Sequence[bytes]) -> bytes:
    """Return the signed form (section 5.2); `chain` is the signer's certificate in DER, leaf first.

    SealError if the chain belongs to another key or the vCon is too large.
    """
    try:
        payload = json.dumps(
            vcon.to_json(), ensure_ascii=False, separators=(",", ":"), allow_nan=False
        ).encode()
    except ValueError as problem:
        raise SealError("a vCon can't hold NaN, Infinity or half a surrogate pair") from problem
    return sign_jws(payload, key, chain, {"cty": _CONTENT_TYPE, "uuid": str(vcon.uuid)})


def open_vcon(data: bytes) -> tuple[JsonObject, tuple[bytes, ...]]:
    """Return the vCon in a signed form, and the signer's certificate chain (DER, leaf first).

    Raises VconError and SignatureError. The signature is checked; whether to trust the signer is for
    `keys.TrustStore.check` to say, and whether this is the vCon of that recording for who compares its
    `uuid` with the manifest's.
    """
    opened = open_jws(data, error=VconError)
    document = read_object(opened.payload, what="vCon", limit_bytes=MAX_SIZE_BYTES, error=VconError)
    uuid = document.get("uuid")
    if not isinstance(uuid, str) or opened.header.get("uuid", uuid) != uuid:
        raise VconError("vCon: uuid: missing, or another than the one in the protected header")
    for key in ("parties", "dialog", "analysis", "attachments"):
        items = document.get(key, [])
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise VconError(f"vCon: {key}: a list of objects expected")
        if len(items) > MAX_ITEMS:
            raise VconError(f"vCon: {key}: more than the {MAX_ITEMS} allowed")
    return document, opened.chain


def _without_none(**values: JsonValue) -> JsonObject:
    return {key: value for key, value in values.items() if value is not None}
