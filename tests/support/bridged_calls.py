"""A recorder that only writes down, and the taps of a bridge's child, for tests of what lies between."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from callseal.agent.call import AudioFormat, Block, Call, EndReason, Event
from callseal.agent.sources.bridge.tracks import ramp
from callseal.codecs import g711
from callseal.seal.errors import SpoolError

RATE_HZ = 8000
TICK = 160
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NOW_S = 5000.0
"""The child's clock at `NOW`; the taps begin then."""
MEDIA_S = NOW_S + 0.5
EARLY = int(0.04 * RATE_HZ)
"""How much the recording begins before the child's reading."""
START = int(0.5 * RATE_HZ) - EARLY
HEADER = bytes(44)
RECORDING = UUID("019a1ff8-e9d7-79c9-9dd8-dd37220d739c")
Samples = NDArray[np.int16]


@dataclass
class Notebook:
    """A recorder that writes down what it is told."""

    refuse: bool = False
    opened: list[tuple[Call, AudioFormat]] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    closed: list[EndReason] = field(default_factory=list)
    exempted: list[tuple[Call, EndReason]] = field(default_factory=list)

    def open(self, call: Call, format: AudioFormat) -> UUID:  # noqa: A002 - the word of the contract
        if self.refuse:
            raise SpoolError("the disk refused")
        self.opened.append((call, format))
        return RECORDING

    def write(self, block: Block) -> None:
        self.blocks.append(block)

    def event(self, recording: UUID, event: Event) -> None:
        assert recording == RECORDING
        self.events.append(event)

    def close(self, recording: UUID, end: EndReason) -> None:
        assert recording == RECORDING
        self.closed.append(end)

    def exempt(self, call: Call, end: EndReason, events: Sequence[Event] = ()) -> UUID:
        if self.refuse:
            raise SpoolError("the disk refused")
        self.exempted.append((call, end))
        self.events += events
        return RECORDING

    def discard(self, recording: UUID, end: EndReason) -> None:
        raise NotImplementedError

    @property
    def payload(self) -> "NDArray[np.uint8] | NDArray[np.int16]":
        """Give all that was written, shape (samples, 2)."""
        return np.concatenate([block.payload[0] for block in self.blocks])

    def all_of(self, kind: type[Event]) -> list[Event]:
        """Give the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


class Child:
    """The three taps as the child's library writes them."""

    def __init__(self) -> None:
        self._writers = [os.memfd_create(f"tap-{track}") for track in range(3)]
        self.fds = [os.dup(fd) for fd in self._writers]
        for fd in self._writers:
            os.write(fd, HEADER)

    def write(self, tracks: Sequence[Samples]) -> None:
        """Append to each tap."""
        for fd, samples in zip(self._writers, tracks, strict=True):
            os.write(fd, samples.astype("<i2").tobytes())

    def leave(self) -> None:
        """Close the taps, as an end or a death does."""
        for fd in self._writers:
            os.close(fd)


def sound(samples: int, seed: int) -> Samples:
    """Give sound that G.711 holds exactly, so that what comes out can be compared with what went in."""
    noise = np.random.default_rng(seed).integers(-8000, 8000, samples).astype(np.int16)
    return g711.decode(g711.encode(noise, g711.Law.MU), g711.Law.MU)


def tap_tracks(talk_samples: int = 8000, announced: Samples | None = None) -> list[Samples]:
    """Give what the taps hold from the ramp's beginning on; the talk begins with the recording."""
    tracks = []
    for track in range(3):
        samples = np.zeros(START + talk_samples, np.int16)
        samples[: 5 * TICK] = ramp()[: 5 * TICK]
        if track < 2:
            samples[START:] = sound(talk_samples, track)
        elif announced is not None:
            samples[START : START + announced.size] = announced
        tracks.append(samples)
    return tracks
