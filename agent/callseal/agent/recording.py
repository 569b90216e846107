"""A recording in the making: what the recorder holds of it, and its place in the call.

A call whose disk fails goes on as another recording. Its sources know nothing of that: positions that they
give count from the call's first sample, those in a recording from its own. `first_sample` is the difference.
"""

import dataclasses
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from callseal.agent.call import Answered, AudioFormat, Call, Disclosure, Event, MediaLost
from callseal.codecs import au, g711
from callseal.codecs.level import LevelMeter, clip_threshold
from callseal.seal.spool import OpenBundle, Spool
from callseal.seal.state import Continues
from callseal.seal.writer import SealedFile

CHANNELS: Final = 2

Frames = NDArray[np.uint8] | NDArray[np.int16]
"""Shape (samples, 2): G.711 codes or linear samples."""


@dataclass(slots=True, kw_only=True)
class Recording:
    """A recording in the making."""

    id: UUID
    spool: Spool
    bundle: OpenBundle
    call: Call
    opened_at: datetime
    format: AudioFormat | None = None
    writer: SealedFile | None = None
    meters: tuple[LevelMeter, ...] = ()
    samples: int = 0
    """How many samples of the call have come."""
    first_sample: int = 0
    """Which of them is this recording's first."""
    continues: Continues | None = None
    earlier: tuple[UUID, ...] = ()
    """The recordings of this call's beginning, on disks that failed."""
    flushed_s: float = 0.0
    events: list[Event] = field(default_factory=list)
    broken: bool = False

    @property
    def own_samples(self) -> int:
        """How long this recording is."""
        return self.samples - self.first_sample

    @property
    def audio_start(self) -> datetime:
        """Wall time of this recording's first sample, by the answer where there is one."""
        if self.format is None:
            return self.opened_at
        for event in self.events:
            if isinstance(event, Answered):
                before = event.position_samples - self.first_sample
                return event.at - timedelta(seconds=before / self.format.rate_hz)
        return self.opened_at

    def time_of(self, sample: int) -> datetime:
        """Return the wall time of a sample of the call."""
        rate_hz = 1 if self.format is None else self.format.rate_hz
        return self.audio_start + timedelta(seconds=(sample - self.first_sample) / rate_hz)

    def place_of(self, sample: int) -> Continues:
        """Return where in this recording a sample of the call is."""
        return Continues(id=self.id, sample=sample - self.first_sample)

    def own_events(self) -> tuple[Event, ...]:
        """Return the events with positions in this recording; what was before its beginning is negative."""
        return tuple(_moved(event, -self.first_sample) for event in self.events)

    def go_on_as(self, fresh: "Recording") -> None:
        """Become the recording that goes on with the call, keeping what the call itself brought."""
        self.earlier = (*self.earlier, self.id)
        self.id = fresh.id
        self.spool = fresh.spool
        self.bundle = fresh.bundle
        self.opened_at = fresh.opened_at
        self.writer = fresh.writer
        self.meters = fresh.meters
        self.samples = fresh.samples
        self.first_sample = fresh.first_sample
        self.continues = fresh.continues
        self.broken = False

    def measure(self, frames: Frames) -> None:
        """Count samples of the call, and measure them."""
        law = None if self.format is None else self.format.encoding.law
        samples = frames if law is None else g711.decode(frames.astype(np.uint8, copy=False), law)
        for channel, meter in enumerate(self.meters):
            meter.feed(samples[:, channel].astype(np.int16, copy=False))
        self.samples += frames.shape[0]


def new_meters(form: AudioFormat) -> tuple[LevelMeter, ...]:
    """Return a meter for each channel."""
    clip_at = clip_threshold(_largest(form.encoding.law))
    return tuple(LevelMeter(form.rate_hz, clip_at) for _ in range(CHANNELS))


def silence(form: AudioFormat, samples: int) -> Frames:
    """Return silence on both channels."""
    law = form.encoding.law
    if law is None:
        return np.zeros((samples, CHANNELS), np.int16)
    return np.full((samples, CHANNELS), g711.silence(law), np.uint8)


def inner_header(form: AudioFormat) -> bytes:
    """Return what the inner file begins with."""
    return bytes(au.AuHeader(encoding=form.encoding, rate_hz=form.rate_hz, channels=CHANNELS))


def frames_before(form: AudioFormat, inner_bytes: int) -> int:
    """Return how many frames the first `inner_bytes` of an inner file hold."""
    header = au.AuHeader(encoding=form.encoding, rate_hz=form.rate_hz, channels=CHANNELS)
    return max(0, inner_bytes - au.HEADER_BYTES) // header.frame_bytes


def _largest(law: g711.Law | None) -> int:
    """Give the largest magnitude that a party's coding can express.

    Linear recordings hold what came in two laws: the one that reaches less far counts for both.
    """
    laws = tuple(g711.Law) if law is None else (law,)
    return min(int(g711.decode(np.arange(256, dtype=np.uint8), each).max()) for each in laws)


def _moved(event: Event, by: int) -> Event:
    if isinstance(event, Answered | MediaLost):
        return dataclasses.replace(event, position_samples=event.position_samples + by)
    if isinstance(event, Disclosure):
        start, end = event.start_samples, event.end_samples
        return dataclasses.replace(
            event,
            start_samples=None if start is None else start + by,
            end_samples=None if end is None else end + by,
        )
    return event
