"""Is what was recorded what was said? Every frame of every call is compared, byte by byte.

Conventions: a channel is µ-law, shape (samples,); it begins in silence until the first frame, and the frames lie
behind one another from there to the last. A frame that is silence instead is missing; all that is neither what
was said at that place nor silence is wrong.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtp_programs import FRAME_BYTES, SILENCE, sound


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What came of some frames."""

    frames: int = 0
    missing: int = 0
    wrong: int = 0
    reported: int = 0
    """Packets that the recorder itself says are lost."""
    unequal: int = 0
    """Streams of which it says another number than what is missing, or another place."""

    def __add__(self, other: "Heard") -> "Heard":
        return Heard(
            frames=self.frames + other.frames,
            missing=self.missing + other.missing,
            wrong=self.wrong + other.wrong,
            reported=self.reported + other.reported,
            unequal=self.unequal + other.unequal,
        )

    @property
    def is_as_reported(self) -> bool:
        """Whether all is there but for what was said to be lost."""
        return not self.wrong and not self.unequal and self.missing == self.reported

    def words(self) -> str:
        """Tell it in a line."""
        if not self.missing and not self.wrong and not self.unequal:
            return f"all {self.frames:,} frames there, byte for byte"
        return (
            f"{self.frames:,} frames: {self.missing:,} missing, {self.reported:,} of them reported; "
            f"{self.wrong:,} wrong; {self.unequal:,} streams reported wrongly"
        )


def compare(
    channel: NDArray[np.uint8],
    stream: int,
    frames: int,
    *,
    lost: int,
    gaps: Iterable[tuple[int, int]] | None = None,
) -> Heard:
    """Compare a channel with what its stream said.

    `lost` and `gaps` (first sample and the one behind the last) are what the recorder says of the stream;
    without gaps only the number is compared.
    """
    said = sound(stream, frames)
    spoken = np.flatnonzero(channel != SILENCE)
    if not len(spoken):
        return Heard(frames=frames, missing=frames, reported=lost, unequal=int(lost != frames))
    start, rows = _place(channel, int(spoken[0]), said)
    right = (rows == said).all(axis=1)
    silent = (rows == SILENCE).all(axis=1)
    missing = int((silent & ~right).sum())
    outside = int((spoken < start).sum() + (spoken >= start + said.size).sum())
    wrong = frames - int((right | silent).sum()) + -(-outside // FRAME_BYTES)
    told = _told(gaps, start, frames)
    is_equal = lost == missing and (told is None or bool((told == silent).all()))
    return Heard(frames=frames, missing=missing, wrong=wrong, reported=lost, unequal=int(not is_equal))


def _place(
    channel: NDArray[np.uint8], first: int, said: NDArray[np.uint8]
) -> tuple[int, NDArray[np.uint8]]:
    """Find where frame 0 lies, or would; give that and the frames from there, shape (frames, FRAME_BYTES)."""
    best = (-1, 0, np.zeros_like(said))
    # The first that came need not be the first that was sent.
    for number in np.flatnonzero(said[:, 0] == channel[first])[:64].tolist():
        start = first - number * FRAME_BYTES
        rows = np.full(said.size, SILENCE, np.uint8)
        piece = channel[max(start, 0) : start + said.size]
        rows[max(-start, 0) : max(-start, 0) + len(piece)] = piece
        rows = rows.reshape(said.shape)
        right = int((rows == said).all(axis=1).sum())
        if right > best[0]:
            best = (right, start, rows)
        if right > len(said) // 2:
            break
    return best[1], best[2]


def _told(gaps: Iterable[tuple[int, int]] | None, start: int, frames: int) -> NDArray[np.bool_] | None:
    """Give which frames the gaps cover wholly."""
    if gaps is None:
        return None
    covered = np.zeros(frames * FRAME_BYTES, np.bool_)
    for begin, end in gaps:
        covered[max(begin - start, 0) : max(end - start, 0)] = True
    whole: NDArray[np.bool_] = covered.reshape(frames, FRAME_BYTES).all(axis=1)
    return whole
