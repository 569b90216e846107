"""Writing a session description (RFC 8866), in the order of lines that it asks for.

Conventions: what was parsed and is written again says the same, though not in the same words.
"""

from collections.abc import Iterator
from re import compile as compile_pattern
from typing import Final

from callseal.agent.sdp.crypto import crypto_value
from callseal.agent.sdp.payload_types import spelt
from callseal.agent.sdp.session import Format, Media, Session

CONTENT_TYPE: Final = "application/sdp"

_CONTROL: Final = compile_pattern(r"[\x00-\x1f\x7f]")
_NO_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - what RFC 3264 section 8.4 writes for "nowhere"; nothing is bound


def bytes_of(session: Session) -> bytes:
    """Write a session description; ValueError for a value with a line's end or another control character."""
    lines = list(_lines(session))
    if any(_CONTROL.search(line) for line in lines):
        raise ValueError("a value of the session description holds a control character")
    return "".join(f"{line}\r\n" for line in lines).encode()


def _lines(session: Session) -> Iterator[str]:
    address = _connection(session.address or _NO_ADDRESS)
    yield "v=0"
    yield f"o={session.username or '-'} {session.session_id} {session.session_version} {address}"
    yield f"s={session.name or '-'}"
    yield f"c={address}"
    yield "t=0 0"
    yield from (_attribute(*attribute) for attribute in session.attributes)
    for media in session.media:
        yield from _media_lines(media, session.address)


def _media_lines(media: Media, address: str) -> Iterator[str]:
    fields = (media.kind, str(media.port), media.protocol, *media.payload_types)
    yield f"m={' '.join(part for part in fields if part)}"
    if media.address and media.address != address:
        yield f"c={_connection(media.address)}"
    for known in media.formats:
        yield from _format_lines(known)
    if media.ptime_ms is not None:
        yield f"a=ptime:{media.ptime_ms}"
    yield f"a={media.direction.value}"
    if media.label:
        yield f"a=label:{media.label}"
    if media.rtcp_port is not None:
        yield f"a=rtcp:{media.rtcp_port}"
    if media.rtcp_mux:
        yield "a=rtcp-mux"
    yield from (f"a=crypto:{crypto_value(crypto)}" for crypto in media.crypto)
    yield from (_attribute(*attribute) for attribute in media.attributes)


def _format_lines(known: Format) -> Iterator[str]:
    channels = f"/{known.channels}" if known.channels > 1 else ""
    yield f"a=rtpmap:{known.payload_type} {spelt(known.name)}/{known.clock_hz}{channels}"
    if known.fmtp:
        yield f"a=fmtp:{known.payload_type} {known.fmtp}"


def _connection(address: str) -> str:
    return f"IN {'IP6' if ':' in address else 'IP4'} {address}"


def _attribute(name: str, value: str) -> str:
    return f"a={name}:{value}" if value else f"a={name}"
