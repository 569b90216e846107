"""Which stream goes to which recording and channel, and how its sound lies there. Pure.

A recording has two channels, the agent's and the customer's. With two streams each has its own. A single
stream that carries both parties stands on both channels. Of more streams those of one side are mixed, or,
where the settings say so, each further one becomes a recording of its own, linked with the first.

What has begun stays together: a stream goes to the recording that it has been in, whichever others come and
go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from callseal.agent.call import AGENT, CUSTOMER, AudioFormat, Call
from callseal.agent.media.plans import RecordingPlan, StreamPlan
from callseal.agent.sdp.answer import AnsweredStream
from callseal.agent.sdp.session import Format
from callseal.codecs.au import Encoding
from callseal.codecs.payload import NARROW_HZ, WIDE_HZ, Payload

MoreParties = Literal["mix", "link"]

_LAWS: Final = {"PCMU": Encoding.ULAW, "PCMA": Encoding.ALAW}
_NO_SOUND: Final = frozenset({"CN", "TELEPHONE-EVENT"})
_BOTH: Final = (AGENT, CUSTOMER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """How the streams of a call are recorded."""

    recordings: tuple[tuple[StreamPlan, ...], ...]
    format: AudioFormat
    is_mixed: bool
    """Whether both channels hold the same."""
    places: Mapping[int, int] = field(default_factory=dict)
    """Of each port that has ever been in a recording: in which one of them."""

    @property
    def channels(self) -> Mapping[int, tuple[int, ...]]:
        """The channels of the ports that are in a recording now."""
        return {stream.port: stream.channels for streams in self.recordings for stream in streams}

    def has_moved(self, before: "Arrangement") -> bool:
        """Say whether a stream stands on another channel than it did before."""
        known = before.channels
        return any(known.get(port, where) != where for port, where in self.channels.items())

    def begun(self, count: int) -> "Arrangement | None":
        """Return what of it holds where so many recordings have begun: None for none."""
        places = {port: place for port, place in self.places.items() if place < count}
        return replace(self, recordings=self.recordings[:count], places=places) if count else None

    def plans(self, call: Call) -> tuple[RecordingPlan, ...]:
        """Return what is to be recorded of a call."""
        return tuple(
            RecordingPlan(call=call, format=self.format, streams=streams) for streams in self.recordings
        )


def arrange(
    streams: Sequence[AnsweredStream],
    *,
    channels: Sequence[tuple[int, ...]],
    more_parties: MoreParties,
    before: Arrangement | None = None,
) -> Arrangement:
    """Arrange the streams of a call.

    `channels` has those of each stream, () for one that only mixes what others bring. `before` is what holds
    where recordings have begun already: their format stays, and so do their streams.
    """
    planned = [_planned(stream, where) for stream, where in zip(streams, channels, strict=True) if where]
    recordings = [tuple(planned)] if more_parties == "mix" else _linked(planned, before)
    places = {stream.port: index for index, some in enumerate(recordings) for stream in some}
    return Arrangement(
        recordings=tuple(recordings),
        format=format_of(streams) if before is None else before.format,
        is_mixed=bool(channels) and all(where == _BOTH for where in channels),
        places=places if before is None else {**before.places, **places},
    )


def format_of(streams: Sequence[AnsweredStream]) -> AudioFormat:
    """Return how sound is kept: as it comes where all streams begin in one law of G.711, else as samples."""
    first = [sound for stream in streams if (sound := sound_of(stream)) is not None]
    names = {one.name for one in first}
    if len(names) == 1 and names <= _LAWS.keys():
        return AudioFormat(encoding=_LAWS[names.pop()], rate_hz=NARROW_HZ)
    if not names:
        return AudioFormat(encoding=Encoding.ULAW, rate_hz=NARROW_HZ)
    is_wide = any(_rate_hz(one) > NARROW_HZ for one in first)
    return AudioFormat(encoding=Encoding.PCM16, rate_hz=WIDE_HZ if is_wide else NARROW_HZ)


def sound_of(stream: AnsweredStream) -> Format | None:
    """Return the format for sound that a stream prefers."""
    return next((one for one in stream.formats if one.name not in _NO_SOUND), None)


def _rate_hz(one: Format) -> int:
    payload = Payload.of(one.name, clock_hz=one.clock_hz, channels=one.channels, fmtp=one.fmtp)
    return NARROW_HZ if payload is None else payload.rate_hz


def _planned(stream: AnsweredStream, channels: tuple[int, ...]) -> StreamPlan:
    return StreamPlan(
        port=stream.port,
        label=stream.label,
        channels=channels,
        formats=stream.formats,
        address=stream.address,
        crypto=stream.crypto_in,
        sending=stream.sending,
    )


def _linked(planned: Sequence[StreamPlan], before: Arrangement | None) -> list[tuple[StreamPlan, ...]]:
    """Give each side's first stream to the first recording, and each further one a recording of its own."""
    places = {} if before is None else before.places
    found: list[list[StreamPlan]] = [[]] if before is None else [[] for _ in before.recordings]
    for stream in planned:
        if stream.port in places:
            found[places[stream.port]].append(stream)
    for stream in planned:
        if stream.port in places:
            continue
        if any(stream.channels[0] == other.channels[0] for other in found[0]):
            found.append([stream])
        else:
            found[0].append(stream)
    return [tuple(streams) for streams in found]
