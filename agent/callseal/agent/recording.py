"""A recording in the making: what the recorder holds of it, and its place in the call.

A call whose disk fails goes on as another recording. Its sources know nothing of that: positions that they
give count from the call's first sample, those in a recording from its own. `first_sample` is the difference.
"""

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Final
from uuid import UUID

import numpy as np

from callseal.agent.call import Answered, AudioFormat, Call, Event
from callseal.agent.happenings import Happenings, moved
from callseal.codecs import au, g711
from callseal.codecs.level import Frames, Gauge, LevelMeter, clip_threshold
from callseal.seal.spool import OpenBundle, Spool
from callseal.seal.state import Continues
from callseal.seal.writer import SealedFile

CHANNELS: Final = 2


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
    meter: LevelMeter | None = None
    samples: int = 0
    """How many samples of the call have come."""
    first_sample: int = 0
    """Which of them is this recording's first."""
    continues: Continues | None = None
    earlier: tuple[UUID, ...] = ()
    """The recordings of this call's beginning, on disks that failed."""
    ahead: bytes = field(default=b"", repr=False)
    """What came last and may still change: bytes of the inner file behind all that has been written of it."""
    flushed_s: float = 0.0
    is_unsafe: bool = True
    """Whether something has come since then."""
    events: Happenings = field(default_factory=Happenings)
    broken: bool = False
    described: bool = False
    """Whether its metadata lie on the disk already, of some moment."""
    describe_at_s: float = math.inf
    """When they are to be written anew, by the monotonic clock."""
    described_s: float = -math.inf

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
        return tuple(moved(event, -self.first_sample) for event in self.events)

    def go_on_as(self, fresh: "Recording") -> None:
        """Become the recording that goes on with the call, keeping what the call itself brought."""
        self.earlier = (*self.earlier, self.id)
        self.id = fresh.id
        self.spool = fresh.spool
        self.bundle = fresh.bundle
        self.opened_at = fresh.opened_at
        self.writer = fresh.writer
        self.meter = fresh.meter
        self.samples = fresh.samples
        self.first_sample = fresh.first_sample
        self.continues = fresh.continues
        self.broken = False
        self.described = fresh.described

    def measure(self, frames: Frames) -> None:
        """Count samples of the call, and measure them; shape (samples, 2)."""
        if self.meter is not None:
            self.meter.feed(frames)
        self.samples += frames.shape[0]

    def measure_first(self, frames: Frames) -> None:
        """Measure what this recording begins with: its last second is whole, its first may be shorter."""
        if self.meter is not None and self.format is not None:
            shorter = frames.shape[0] % self.format.rate_hz
            self.meter.feed(frames[:shorter])
            self.meter.end_second()
            self.meter.feed(frames[shorter:])
        self.samples += frames.shape[0]

    def take_second(self, level: bytes) -> None:
        """Count a second of the call that was measured already."""
        if self.meter is None or self.format is None:
            return
        # Whole seconds come from now on: what came before them is a second of its own, a shorter one.
        self.meter.end_second()
        self.meter.take(level)
        self.samples += self.format.rate_hz

    @property
    def takes_seconds(self) -> bool:
        """Whether a second's sound that comes now is a second of its own."""
        return self.meter is not None and (not self.meter.waits or not self.meter.seconds)


@cache
def gauge_of(law: g711.Law | None) -> Gauge:
    """Return what measures recordings of this law, or linear ones."""
    return Gauge(law, clip_threshold(_largest(law)))


def new_meter(form: AudioFormat) -> LevelMeter:
    """Return what measures one recording."""
    return LevelMeter(form.rate_hz, gauge_of(form.encoding.law), CHANNELS)


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


def frames_of(form: AudioFormat, inner: bytes) -> Frames:
    """Return the whole frames in bytes of an inner file behind its header, shape (samples, 2)."""
    header = au.AuHeader(encoding=form.encoding, rate_hz=form.rate_hz, channels=CHANNELS)
    return au.to_frames(inner, header)


def _largest(law: g711.Law | None) -> int:
    """Give the largest magnitude that a party's coding can express.

    Linear recordings hold what came in two laws: the one that reaches less far counts for both.
    """
    laws = tuple(g711.Law) if law is None else (law,)
    return min(int(g711.decode(np.arange(256, dtype=np.uint8), each).max()) for each in laws)
