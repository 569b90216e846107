"""What can be recorded of what is offered.

Conventions: pure; which decoders this machine has is told by the caller, in `AnswerPolicy.codecs`.
"""

from dataclasses import dataclass
from typing import Final

from callseal.agent.sdp.crypto import chosen
from callseal.agent.sdp.payload_types import COMFORT_NOISE, TELEPHONE_EVENT
from callseal.agent.sdp.session import Format, Media, Session
from callseal.codecs.payload import Payload

PLAIN_PROTOCOLS: Final = frozenset({"RTP/AVP", "RTP/AVPF"})
SECURE_PROTOCOLS: Final = frozenset({"RTP/SAVP", "RTP/SAVPF"})
"""With keys in the description; those with DTLS ("UDP/TLS/RTP/SAVPF", RFC 5764) are refused."""
ALWAYS: Final = frozenset({"PCMU", "PCMA"})
"""Need no decoder."""

_BESIDE_SOUND: Final = frozenset({TELEPHONE_EVENT, COMFORT_NOISE})


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPolicy:
    """How much of an offer is taken."""

    max_streams: int
    """Streams of one call; further ones are refused."""
    codecs: frozenset[str] = ALWAYS
    """Encodings, in upper case, that this machine can decode: `callseal.codecs.decoder.available()`."""


def recordable(offer: Session, policy: AnswerPolicy) -> tuple[int, ...]:
    """Give the m-lines that will be taken, by their index, in their order: so many ports are needed."""
    fitting = [index for index, media in enumerate(offer.media) if _is_recordable(media, policy)]
    # Where SRTP is merely preferred, some gateways offer one stream twice: encrypted, and plain beside it.
    secure = {offer.media[index].label for index in fitting if offer.media[index].is_secure} - {""}
    alone = [
        index for index in fitting if offer.media[index].is_secure or offer.media[index].label not in secure
    ]
    return tuple(alone[: policy.max_streams])


def taken_formats(media: Media, policy: AnswerPolicy) -> tuple[Format, ...]:
    """Give the formats of an m-line that can be recorded, or told apart from sound, in the offer's order.

    Empty where there is none for sound.
    """
    taken = tuple(known for known in media.formats if known.name in _BESIDE_SOUND or records(known, policy))
    return taken if any(known.name not in _BESIDE_SOUND for known in taken) else ()


def records(known: Format, policy: AnswerPolicy) -> bool:
    """Say whether sound in this format can be recorded on this machine."""
    if known.name in ALWAYS:
        return known.clock_hz == 8000 and known.channels == 1  # noqa: PLR2004 - G.711's only rate
    if known.name not in policy.codecs:
        return False
    return (
        Payload.of(known.name, clock_hz=known.clock_hz, channels=known.channels, fmtp=known.fmtp) is not None
    )


def _is_recordable(media: Media, policy: AnswerPolicy) -> bool:
    if media.kind != "audio" or media.port == 0:
        return False
    if media.protocol in SECURE_PROTOCOLS:
        if chosen(media.crypto) is None:
            return False
    elif media.protocol not in PLAIN_PROTOCOLS:
        return False
    return bool(taken_formats(media, policy))
