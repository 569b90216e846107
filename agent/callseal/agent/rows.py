"""The rows of a block: which recordings they belong to, whether they fit them, and how loud they are. Pure.

A row that does not fit its recording (a step back, another format, a recording that is not open) is refused
and harms no other. Whole seconds are measured all at once.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from callseal.agent.call import AudioFormat, Block
from callseal.agent.errors import RecorderError
from callseal.agent.recording import CHANNELS, Recording, gauge_of
from callseal.codecs.level import Frames

MAX_GAP_S: Final = 3600
"""The longest jump ahead that is filled with silence; a longer one is a source's mistake."""


class Rows:
    """A block, row by row, beside the recordings that it belongs to."""

    def __init__(self, block: Block, opened: Mapping[UUID, Recording]) -> None:
        """Take a block apart; RecorderError where it is none, whatever the recordings."""
        rows, samples = block.payload.shape[:2]
        if block.payload.shape[2:] != (CHANNELS,) or len(block.recordings) != rows:
            raise RecorderError("a block has a row of two channels for each recording")
        if block.start_samples.shape != (rows,) or not 0 <= block.tentative_samples <= samples:
            raise RecorderError("a block has a start for each row, and some of its samples are tentative")
        if len(set(block.recordings)) != rows:
            raise RecorderError("a block has one row of a recording")
        self.final_samples = samples - block.tentative_samples
        self.refused: list[str] = []
        """In words, what is wrong with the rows that are passed over."""
        self._block = block
        self.entries: list[tuple[int, Recording]] = []
        """The rows that fit, by their number, and their recordings."""
        found = [opened.get(recording) for recording in block.recordings]
        self.gaps: list[int] = (
            block.start_samples - np.array([0 if one is None else one.samples for one in found], np.int64)
        ).tolist()
        """How many samples are missing before each row."""
        for index, entry in enumerate(found):
            if entry is None:
                self.refused.append(f"recording {block.recordings[index]} is not open")
            elif wrong := self._wrong(entry, self.gaps[index], int(block.start_samples[index])):
                self.refused.append(f"recording {block.recordings[index]}: {wrong}")
            else:
                self.entries.append((index, entry))

    def levels(self) -> dict[int, bytes]:
        """Return how loud both channels are, by row, where what stays is just the row's next second."""
        alike: dict[AudioFormat, list[int]] = {}
        for index, entry in self.entries:
            form = entry.format
            whole = form is not None and form.rate_hz == self.final_samples
            if form is not None and whole and entry.takes_seconds and not self.gaps[index]:
                alike.setdefault(form, []).append(index)
        levels: dict[int, bytes] = {}
        for form, rows in alike.items():
            every = len(rows) == self._block.payload.shape[0]
            frames: Frames = self._block.payload if every else self._block.payload[rows]
            found = gauge_of(form.encoding.law).measure(frames[:, : self.final_samples])
            packed, size = found.tobytes(), found.dtype.itemsize * CHANNELS
            levels |= {row: packed[at * size : at * size + size] for at, row in enumerate(rows)}
        return levels

    def frames(self, index: int) -> Frames:
        """Return what has come to stay of a row, shape (samples, 2)."""
        return self._block.payload[index, : self.final_samples]

    def inner(self) -> NDArray[np.uint8]:
        """Return the bytes of all rows as they stand in the inner files, shape (rows, bytes)."""
        payload = self._block.payload
        coded = payload if payload.dtype == np.uint8 else payload.astype(">i2")
        return np.ascontiguousarray(coded).view(np.uint8).reshape(payload.shape[0], -1)

    def _wrong(self, entry: Recording, gap: int, start: int) -> str:
        if entry.format is None:
            return "it has no audio"
        if not 0 <= gap <= MAX_GAP_S * entry.format.rate_hz:
            return f"audio for sample {start}, but {entry.samples} is the next"
        wanted = np.int16 if entry.format.encoding.law is None else np.uint8
        if self._block.payload.dtype != wanted:
            return f"samples are {self._block.payload.dtype}, its format has {wanted.__name__}"
        return ""


def refusal(refused: Sequence[str]) -> RecorderError:
    """Return the error for rows that were passed over."""
    more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
    return RecorderError(refused[0] + more)
