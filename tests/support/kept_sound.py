"""A recorder that keeps in memory what it is given, and insists on the contract of `Recorder`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from callseal.agent.call import AudioFormat, Block, Call, EndReason, Event
from callseal.seal.errors import SpoolError

E = TypeVar("E")


@dataclass
class Kept:
    """One recording."""

    format: AudioFormat
    parts: list[NDArray[np.generic]] = field(default_factory=list)
    present: list[NDArray[np.bool_]] = field(default_factory=list)
    samples: int = 0
    tentative: NDArray[np.generic] | None = None
    events: list[Event] = field(default_factory=list)
    end: EndReason | None = None
    is_discarded: bool = False

    @property
    def sound(self) -> NDArray[np.generic]:
        """What is kept for good, shape (samples, 2)."""
        return np.concatenate(self.parts) if self.parts else np.zeros((0, 2), np.uint8)

    def of(self, kind: type[E]) -> list[E]:
        """Give the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]


class SoundKeeper:
    """Keeps all recordings."""

    def __init__(self) -> None:
        self.kept: dict[UUID, Kept] = {}
        self.blocks = 0
        self.is_full = False
        self.refuses: set[UUID] = set()
        self.traces: list[EndReason] = []

    def open(self, call: Call, format: AudioFormat) -> UUID:  # noqa: A002 - the word of the contract
        del call
        if self.is_full:
            raise SpoolError("the disk is full")
        recording = UUID(int=len(self.kept) + 1)
        self.kept[recording] = Kept(format=format)
        return recording

    def write(self, block: Block) -> None:
        if self.refuses & set(block.recordings):
            raise ValueError("this recorder has a mistake")
        self.blocks += 1
        assert block.payload.shape[0] == len(block.recordings) == len(set(block.recordings))
        for index, recording in enumerate(block.recordings):
            kept = self.kept[recording]
            assert kept.end is None
            assert block.start_samples[index] == kept.samples
            wanted = np.int16 if kept.format.encoding.law is None else np.uint8
            assert block.payload.dtype == wanted
            sure = block.payload.shape[1] - block.tentative_samples
            kept.parts.append(block.payload[index, :sure].copy())
            kept.tentative = block.payload[index, sure:].copy()
            kept.present.append(block.present[index].copy())
            kept.samples += sure
            assert block.present.shape[1:] == (2, sure // (kept.format.rate_hz // 100))

    def event(self, recording: UUID, event: Event) -> None:
        assert self.kept[recording].end is None
        self.kept[recording].events.append(event)

    def close(self, recording: UUID, end: EndReason) -> None:
        assert self.kept[recording].end is None
        self.kept[recording].end = end

    def exempt(self, call: Call, end: EndReason, events: Sequence[Event] = ()) -> UUID:
        del call, events
        self.traces.append(end)
        return UUID(int=1 << 64)

    def discard(self, recording: UUID, end: EndReason) -> None:
        self.close(recording, end)
        self.kept[recording].is_discarded = True
