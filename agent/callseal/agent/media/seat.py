"""A recording's place in a rack: where it begins in the bank, its streams, and what is told of it.

Conventions: bank positions count from the bank's beginning, a recording's from its own first sample.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from callseal.agent.call import (
    NOW,
    Answered,
    CodecChanged,
    Digit,
    Event,
    Gap,
    Held,
    MediaLost,
    PartiesChanged,
)
from callseal.agent.media.gaps import Silence
from callseal.agent.media.lane import Lane
from callseal.codecs.errors import PayloadError
from callseal.codecs.streams import Mark
from callseal.codecs.telephone_event import Press

MAX_DIGITS: Final = 500
"""Told of one recording; what is beyond is only counted."""
MAX_EXCUSES: Final = 64
"""The last so many, for gaps that are told late."""
NOISE_BEFORE_S: Final = 0.5
"""Comfort noise may begin so long before the last sound ends: packets overtake one another."""

_HALF_TS: Final = 1 << 31


@dataclass(slots=True, kw_only=True, eq=False)
class Seat:
    """One recording in a rack."""

    recording: UUID
    slot: int
    base: int
    """The bank's position of its first sample."""
    rate_hz: int
    lanes: list[Lane]
    digits: int = 0
    held_since: dict[int, int] = field(default_factory=dict)
    """Channels on which nothing is to come, with the bank's position since when."""
    excused: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=MAX_EXCUSES))
    """Channel, beginning and end of stretches for which the other side had said that nothing comes."""

    def rows_of(self, channel: int) -> tuple[int, ...]:
        """Give the rows of a channel's streams."""
        return tuple(lane.row for lane in self.lanes if channel in lane.plan.channels)

    def lane_at(self, port: int) -> Lane | None:
        """Give the stream at one of our ports."""
        return next((lane for lane in self.lanes if lane.plan.port == port), None)

    def placed(self, event: Event, position: int) -> Event:
        """Give an event with a position of `NOW` put right; `position` is the bank's."""
        here = max(position - self.base, 0)
        match event:
            case Answered() | MediaLost() | Digit() | Held() | CodecChanged() | PartiesChanged():
                return replace(event, position_samples=here) if event.position_samples == NOW else event
            case _:
                return event

    def hold(self, channel: int, position: int) -> None:
        """Expect nothing on a channel from here on."""
        self.held_since.setdefault(channel, position)

    def resume(self, channel: int, position: int) -> bool:
        """Expect sound on a channel again; says whether none was expected."""
        since = self.held_since.pop(channel, None)
        if since is not None:
            self.excused.append((channel, since, position))
        return since is not None

    def noise(self, lane: Lane, position: int) -> None:
        """Note that a stream sends comfort noise instead of sound."""
        before = position - int(NOISE_BEFORE_S * self.rate_hz)
        for channel in lane.plan.channels:
            self.excused.append((channel, before, position))

    def gap(self, silence: Silence) -> Gap:
        """Tell of a gap, and whether it was to be expected."""
        held = self.held_since.get(silence.channel)
        is_expected = (
            not self.rows_of(silence.channel)
            or (held is not None and held <= silence.end_samples)
            or any(
                channel == silence.channel and begin <= silence.end_samples and end >= silence.start_samples
                for channel, begin, end in self.excused
            )
        )
        return Gap(
            channel=silence.channel,
            start_samples=max(silence.start_samples - self.base, 0),
            end_samples=max(silence.end_samples - self.base, 0),
            expected=is_expected,
        )

    def pressed(self, lane: Lane, mark: Mark, now_s: float) -> Iterator[Digit]:
        """Take a packet of a telephone event, and tell of the keys that were let go."""
        try:
            presses = lane.keys.put(mark.payload, ts=mark.ts, now_s=now_s)
        except PayloadError:
            lane.malformed += 1
            return
        lane.key_place = (mark.ts, mark.position)
        yield from self.told(lane, presses)

    def told(self, lane: Lane, presses: Iterable[Press]) -> Iterator[Digit]:
        """Tell of keys that were let go, as far as the limit allows; placed by the last packet."""
        known_ts, known = lane.key_place
        for press in presses:
            lane.digits += 1
            self.digits += 1
            if self.digits > MAX_DIGITS:
                continue
            ago_ts = (known_ts - press.ts + _HALF_TS) % (2 * _HALF_TS) - _HALF_TS
            position = known - ago_ts * self.rate_hz // lane.clock_hz - self.base
            for channel in lane.plan.channels:
                yield Digit(
                    channel=channel,
                    position_samples=max(position, 0),
                    duration_ms=press.duration_ts * 1000 // lane.clock_hz,
                )
