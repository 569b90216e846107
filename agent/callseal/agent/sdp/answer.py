"""The recorder's answer to an offer, or its own offer where the gateway makes none.

Conventions: the recorder only receives. Its answer has the m-lines of the offer, in their order; what it does
not take has port 0. Ports are even, RTCP is the next one. Pure: ports, versions and randomness are arguments.

Source: RFC 3264; RFC 7866 section 7; RFC 4568 section 5.1.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from callseal.agent.sdp.crypto import answered, chosen
from callseal.agent.sdp.origin import OwnSession
from callseal.agent.sdp.payload_types import FIRST_DYNAMIC, TELEPHONE_EVENT, static_format
from callseal.agent.sdp.policy import ALWAYS, AnswerPolicy, recordable, records, taken_formats
from callseal.agent.sdp.session import Crypto, Direction, Format, Media, Session
from callseal.codecs.payload import OFFERED

NOWHERE: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - what peers write; nothing is bound to it
_SENDING: Final = frozenset({Direction.SENDRECV, Direction.SENDONLY})
_EVENT_TYPE: Final = 101
"""What nearly everybody uses for telephone events, though it is dynamic."""
_ALL_KEYS: Final = "0-15"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredStream:
    """A stream that was agreed upon."""

    index: int
    """Of its m-line."""
    label: str
    formats: tuple[Format, ...]
    """What may come, the one for sound that is preferred first among them; CN and TELEPHONE-EVENT too."""
    port: int
    """Ours."""
    sending: bool
    """Whether the other side says that it sends."""
    address: str = ""
    """Where the other side would take packets, and probably sends from; empty where it says none."""
    remote_port: int = 0
    rtcp_mux: bool = False
    crypto_in: Crypto | None = None
    """Their key, which what comes is encrypted with; None for plain RTP."""
    crypto_out: Crypto | None = None
    """Ours, with which nothing is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer, and what was agreed by it; no streams at all means that nothing could be taken."""

    session: Session
    streams: tuple[AnsweredStream, ...]


def answer(
    offer: Session,
    *,
    ports: Mapping[int, int],
    address: str,
    own: OwnSession,
    policy: AnswerPolicy,
    random: Callable[[int], bytes],
) -> Answer:
    """Answer an offer.

    `ports` has ours for the index of each m-line that is to be taken: those of `recordable`, or fewer, and
    the rest is refused. `random` gives that many random bytes. Raises ValueError for an odd port.
    """
    _check(ports.values())
    taken = set(recordable(offer, policy)) & set(ports)
    before = own.last.media if own.last else ()
    media, streams = [], []
    for index, offered in enumerate(offer.media):
        if index not in taken:
            media.append(_refused(offered, address))
            continue
        previous = before[index].crypto if index < len(before) else ()
        theirs = chosen(offered.crypto) if offered.is_secure else None
        stream = AnsweredStream(
            index=index,
            label=offered.label,
            formats=taken_formats(offered, policy),
            port=ports[index],
            sending=offered.direction in _SENDING,
            address=_hint(offered.address),
            remote_port=offered.port,
            rtcp_mux=offered.rtcp_mux,
            crypto_in=theirs,
            crypto_out=answered(theirs, previous=previous, random=random) if theirs else None,
        )
        media.append(_taken(offered, stream, address))
        streams.append(stream)
    session = own.describe(address=address, media=tuple(media))
    return Answer(session=session, streams=tuple(streams))


def offer(
    *,
    ports: Sequence[int],
    address: str,
    own: OwnSession,
    policy: AnswerPolicy,
    labels: Sequence[str] = (),
) -> Session:
    """Make an offer of ours, one stream a port, for a gateway whose INVITE had none (RFC 3264 section 5).

    Plain RTP: there is no way to ask whether the gateway could encrypt. Raises ValueError for an odd port.
    """
    _check(ports)
    formats = _offered_formats(policy)
    names = [*labels, *[""] * len(ports)]
    media = tuple(
        Media(
            kind="audio",
            port=port,
            protocol="RTP/AVP",
            formats=formats,
            payload_types=tuple(str(known.payload_type) for known in formats),
            address=address,
            direction=Direction.RECVONLY,
            label=label,
        )
        for port, label in zip(ports, names, strict=False)
    )
    return own.describe(address=address, media=media)


def offer_again(own: OwnSession, *, direction: Direction = Direction.RECVONLY) -> Session | None:
    """Offer what was said before, for a gateway that asks for an offer within a session; None for the first.

    Its m-lines have to stay, refused ones too (RFC 3264 section 8), and so do encryption and our keys. Those
    that were taken get this direction.
    """
    if own.last is None:
        return None
    media = tuple(replace(one, direction=direction) if one.port else one for one in own.last.media)
    return own.describe(address=own.last.address, media=media)


def accepted(own_offer: Session, their_answer: Session, policy: AnswerPolicy) -> tuple[AnsweredStream, ...]:
    """Give what was agreed by their answer to an offer of ours.

    M-lines that are missing in it count as refused, further ones are passed over, and so is one that is
    encrypted where that was not offered, or the other way round.
    """
    streams = []
    pairs = zip(own_offer.media, their_answer.media, strict=False)
    for index, (ours, theirs) in enumerate(pairs):
        formats = taken_formats(theirs, policy)
        key = chosen(theirs.crypto) if theirs.is_secure else None
        is_agreed = theirs.is_secure == ours.is_secure == (key is not None)
        if theirs.kind != "audio" or not (ours.port and theirs.port) or not is_agreed or not formats:
            continue
        streams.append(
            AnsweredStream(
                index=index,
                label=theirs.label or ours.label,
                formats=formats,
                port=ours.port,
                sending=theirs.direction in _SENDING,
                address=_hint(theirs.address),
                remote_port=theirs.port,
                rtcp_mux=ours.rtcp_mux and theirs.rtcp_mux,
                crypto_in=key,
                crypto_out=next(iter(ours.crypto), None),
            )
        )
    return tuple(streams)


def _taken(offered: Media, stream: AnsweredStream, address: str) -> Media:
    longest = offered.attribute("maxptime")
    return Media(
        kind=offered.kind,
        port=stream.port,
        protocol=offered.protocol,
        formats=stream.formats,
        payload_types=tuple(str(known.payload_type) for known in stream.formats),
        address=address,
        direction=Direction.RECVONLY if stream.sending else Direction.INACTIVE,
        label=offered.label,
        ptime_ms=offered.ptime_ms,
        # Needs no saying where it is the next port, but who says it may want to hear it (RFC 3605).
        rtcp_port=stream.port + (not offered.rtcp_mux) if offered.rtcp_port else None,
        rtcp_mux=offered.rtcp_mux,
        crypto=(stream.crypto_out,) if stream.crypto_out else (),
        attributes=(("maxptime", longest),) if longest else (),
    )


def _refused(offered: Media, address: str) -> Media:
    """Refuse an m-line: as it was, with port 0 (RFC 3264 section 6)."""
    return Media(
        kind=offered.kind,
        port=0,
        protocol=offered.protocol,
        formats=(),
        payload_types=offered.payload_types,
        address=address,
        direction=Direction.INACTIVE,
        label=offered.label,
    )


def _offered_formats(policy: AnswerPolicy) -> tuple[Format, ...]:
    plain = [known for number in (0, 8) if (known := static_format(number)) is not None]
    dynamic = iter(number for number in range(FIRST_DYNAMIC, 128) if number != _EVENT_TYPE)
    for name in OFFERED:
        if name.encoding not in policy.codecs - ALWAYS:
            continue
        number = name.static_type if name.static_type is not None else next(dynamic)
        plain.append(
            Format(
                payload_type=number,
                name=name.encoding,
                clock_hz=name.clock_hz,
                channels=name.channels,
                fmtp=name.fmtp,
            )
        )
    events = Format(payload_type=_EVENT_TYPE, name=TELEPHONE_EVENT, clock_hz=8000, fmtp=_ALL_KEYS)
    return (*(known for known in plain if records(known, policy)), events)


def _hint(address: str) -> str:
    return "" if address in NOWHERE else address


def _check(ports: Iterable[int]) -> None:
    if any(port % 2 for port in ports):
        raise ValueError("a port for sound has to be even")
