"""Which voices come in which stream of a call, and so to which channels it belongs.

A stream is the metadata's stream of the same label (RFC 4574), else the one in the same place. Its voices
are those who send it; where only those are told who receive it, the other one of two. A stream of which
nothing is known belongs to the side that no other stream has, or to the caller if it is the first.

Conventions: a *line* is an audio m-line; channels are those of `callseal.agent.call`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from callseal.agent.call import AGENT, CUSTOMER
from callseal.agent.siprec.model import StreamInfo

Channels = tuple[int, ...]

BOTH: Final[Channels] = (AGENT, CUSTOMER)

_PAIR: Final = 2

_ONE_SENDER: Final = "both streams name one and the same sender; the second was taken for the other party's"
_NO_STREAM: Final = "the metadata does not tell whose voice a stream carries; its place among them did"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """What the lines of a call carry, in their order."""

    channels: tuple[Channels, ...]
    voices: tuple[tuple[str, ...], ...]
    """Ids of participants."""
    oddities: tuple[str, ...] = ()


def lines_of(
    labels: tuple[str, ...],
    streams: tuple[StreamInfo, ...],
    channel_of: Mapping[str, int],
    callers_channel: int,
) -> Lines:
    """Tell what each line carries; `channel_of` gives the channel of everybody who takes part."""
    found = [_stream_of(position, labels, streams) for position in range(len(labels))]
    voices = [_voices(stream, channel_of) for stream in found]
    oddities = [] if all(voices) or len(labels) < _PAIR else [_NO_STREAM]
    if len(labels) == 1:
        is_one_voice = (
            len(voices[0]) == 1 and not _is_both(found[0]) and max(len(streams), len(channel_of)) > 1
        )
        channels = [(channel_of[voices[0][0]],)] if is_one_voice else [BOTH]
        return Lines(channels=tuple(channels), voices=tuple(voices))
    sides: list[Channels] = [
        BOTH if stream is not None and stream.is_mixed else tuple(sorted({channel_of[who] for who in said}))
        for stream, said in zip(found, voices, strict=True)
    ]
    _fill(sides, callers_channel)
    if len(sides) == _PAIR and sides[0] == sides[1] != BOTH:
        oddities.append(_ONE_SENDER)
        sides[1] = _other(sides[0])
    if {(AGENT,), (CUSTOMER,)} <= set(sides):  # then a mixture brings nothing that is not there already
        sides = [() if side == BOTH else side for side in sides]
    return Lines(channels=tuple(sides), voices=tuple(voices), oddities=tuple(oddities))


def _stream_of(position: int, labels: tuple[str, ...], streams: tuple[StreamInfo, ...]) -> StreamInfo | None:
    """Find what the metadata says of a line."""
    label = labels[position]
    named = next((stream for stream in streams if stream.label == label and label), None)
    if named is not None or position >= len(streams):
        return named
    in_its_place = streams[position]
    return None if in_its_place.label and in_its_place.label in labels else in_its_place


def _voices(stream: StreamInfo | None, channel_of: Mapping[str, int]) -> tuple[str, ...]:
    """Give who is heard in a stream."""
    if stream is None:
        return ()
    sent_by = tuple(who for who in stream.sent_by if who in channel_of)
    if sent_by or len(channel_of) != _PAIR:
        return sent_by
    others = tuple(who for who in channel_of if who not in stream.received_by)
    return others if len(others) == 1 else ()


def _is_both(stream: StreamInfo | None) -> bool:
    """Say whether one stream carries everybody: who receives what it sends hears the others in it."""
    return stream is not None and (stream.is_mixed or bool(set(stream.sent_by) & set(stream.received_by)))


def _fill(sides: list[Channels], callers_channel: int) -> None:
    """Give a channel to the lines of which nothing is known."""
    known = {side for side in sides if side and side != BOTH}
    for position, side in enumerate(sides):
        if side:
            continue
        by_place = (callers_channel,) if position % _PAIR == 0 else _other((callers_channel,))
        sides[position] = _other(next(iter(known))) if len(known) == 1 else by_place


def _other(side: Channels) -> Channels:
    return (CUSTOMER,) if side == (AGENT,) else (AGENT,)
