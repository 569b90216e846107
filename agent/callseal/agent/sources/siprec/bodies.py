"""What a request of a gateway brought: a description of streams, a document of metadata, or both. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from callseal.agent.call import Document
from callseal.agent.errors import MetadataError
from callseal.agent.sip.message import Request
from callseal.agent.siprec.multipart import metadata_of, parts_of, sdp_of

Kind = Literal["sip-message", "rs-metadata"]

MESSAGE_TYPE: Final = "message/sip"
METADATA_TYPE: Final = "application/rs-metadata+xml"

MAX_KEPT_BYTES: Final = 64 * 1024
"""Of one message or document; what is longer is cut, and said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The parts of a request's body that mean something here; None for what is not there."""

    sdp: bytes | None = None
    metadata: tuple[bytes, ...] = ()
    problem: str = ""
    """Why nothing could be read, in words."""


def body_of(request: Request) -> Body:
    """Take a request's body apart; what can't be is told in `problem`.

    A body of parts says itself where it ends: one whose Content-Length is too short is read to its end.
    """
    has_parts = request.content_type.lower().startswith("multipart/")
    body = request.body + request.rest if has_parts else request.body
    try:
        parts = parts_of(request.content_type, body)
    except MetadataError as error:
        return Body(problem=str(error))
    return Body(sdp=sdp_of(parts), metadata=metadata_of(parts))


def documents_of(request: Request, body: Body, at: datetime) -> tuple[Document, ...]:
    """Return what of a request is kept: the message as it came, and its metadata once more by themselves."""
    message = _document("sip-message", MESSAGE_TYPE, request.raw, at)
    return (message, *(_document("rs-metadata", METADATA_TYPE, one, at) for one in body.metadata))


def _document(kind: Kind, content_type: str, data: bytes, at: datetime) -> Document:
    return Document(
        at=at,
        kind=kind,
        content_type=content_type,
        body=data[:MAX_KEPT_BYTES],
        is_cut=len(data) > MAX_KEPT_BYTES,
    )
