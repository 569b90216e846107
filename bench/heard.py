"""Is what was recorded what was said? Every frame of every call is compared, byte by byte.

Conventions: a channel is µ-law, shape (samples,); it begins in silence until the first frame, and the
frames lie behind one another from there to the last. A frame that is silence instead is missing; one that
was written over when the recorder moved the stream by a frame, to keep it in step with the clock, is
slipped; all that is neither what was said at that place nor silence is wrong.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rtp_programs import FRAME_BYTES, SILENCE, sound

MAX_MOVES: Final = 8
"""Of a stream: what moves more often is wrong."""
CLEAR_FRAMES: Final = 10
"""So many frames tell whether a stream was moved by a step."""
STEPS: Final = (-FRAME_BYTES, FRAME_BYTES, -2 * FRAME_BYTES, 2 * FRAME_BYTES)
"""By which a recorder moves a stream at a time, in samples."""
GAP_FRAMES: Final = 12
"""Fewer missing in a row are lost packets to the recorder, not a gap."""
MERGED_FRAMES: Final = 10
"""So many between two gaps do not part them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the recorder says of a stream."""

    lost: int
    """Packets that never came, or too late to be placed."""
    slips: int
    """By how many steps it was moved; one behind the last frame changes nothing."""
    gaps: tuple[tuple[int, int], ...] | None = None
    """Each from its first sample to the one behind its last; None where it was not asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What became of some frames, or of all of several streams."""

    frames: int = 0
    compared: int = 0
    """Frames that were looked at, not only counted."""
    missing: int = 0
    slipped: int = 0
    wrong: int = 0
    reported: int = 0
    """Packets that the recorder itself says are lost."""
    unequal: int = 0
    """Streams of which it tells something else than what there is: another number, or another place."""

    def __add__(self, other: "Heard") -> "Heard":
        sums = {one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(Heard)}
        return Heard(**sums)

    @property
    def is_whole(self) -> bool:
        """Whether every frame is there."""
        return not self.missing and not self.slipped and self.is_as_reported

    @property
    def is_as_reported(self) -> bool:
        """Whether all is there but for what was said to be lost."""
        return not self.wrong and not self.unequal

    def words(self) -> str:
        """Tell it in a line."""
        if self.is_whole:
            return f"all {self.frames:,} frames {'byte for byte' if self.compared else 'counted'}"
        return (
            f"{self.frames:,} frames: {self.missing:,} missing, {self.reported:,} reported lost; "
            f"{self.slipped:,} slipped; {self.wrong:,} wrong; {self.unequal:,} streams not as reported"
        )


def counted(frames: int, found: int) -> Heard:
    """Compare numbers only."""
    return Heard(frames=frames, missing=max(frames - found, 0), wrong=max(found - frames, 0))


def compare(channel: NDArray[np.uint8], stream: int, frames: int, told: Told) -> Heard:
    """Compare a channel with what its stream said."""
    said = sound(stream, frames)
    spoken = np.flatnonzero(channel != SILENCE)
    if not len(spoken):
        unequal = int(told.lost != frames)
        return Heard(frames=frames, compared=frames, missing=frames, reported=told.lost, unequal=unequal)
    begin, moves = _begin(channel, int(spoken[0]), said), 0
    places = begin + FRAME_BYTES * np.arange(frames)
    rows = _at(channel, places)
    while moves < MAX_MOVES:
        moved = _moved(channel, places, rows, said)
        if moved is None:
            break
        places, moves = moved, moves + 1
        rows = _at(channel, places)
    right, silent = (rows == said).all(1), (rows == SILENCE).all(1)
    over = ~right & ~silent & _covered(places)
    outside = int((spoken < begin).sum() + (spoken >= places[-1] + FRAME_BYTES).sum())
    missing = int((silent & ~right).sum())
    is_equal = told.lost == missing and moves <= told.slips and _is_told(told, places, silent)
    return Heard(
        frames=frames,
        compared=frames,
        missing=missing,
        slipped=int(over.sum()),
        wrong=int((~right & ~silent & ~over).sum()) - (-outside // FRAME_BYTES),
        reported=told.lost,
        unequal=int(not is_equal),
    )


def _at(channel: NDArray[np.uint8], places: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return what lies at these places, shape (frames, FRAME_BYTES); silence beyond the channel's ends."""
    before = max(0, -int(places.min()))
    behind = max(0, int(places.max()) + FRAME_BYTES - len(channel))
    padded = np.pad(channel, (before, behind), constant_values=SILENCE)
    rows: NDArray[np.uint8] = padded[before + places[:, None] + np.arange(FRAME_BYTES)]
    return rows


def _begin(channel: NDArray[np.uint8], first: int, said: NDArray[np.uint8]) -> int:
    """Find where frame 0 lies, or would lie: the first that came need not be the first that was sent."""
    best, found = -1, first
    for number in np.flatnonzero(said[:, 0] == channel[first])[:64].tolist():
        several = said[number : number + CLEAR_FRAMES]
        right = int((_at(channel, first + FRAME_BYTES * np.arange(len(several))) == several).all(1).sum())
        if right > best:
            best, found = right, first - number * FRAME_BYTES
    return found


def _moved(
    channel: NDArray[np.uint8],
    places: NDArray[np.int64],
    rows: NDArray[np.uint8],
    said: NDArray[np.uint8],
) -> NDArray[np.int64] | None:
    """Find the first step by which the stream was moved; give where its frames lie then, None without one."""
    silent = (rows == SILENCE).all(1)
    other, known = np.flatnonzero(~(rows == said).all(1) & ~silent), _covered(places)
    for number in other.tolist():
        if known[number]:
            continue
        since = number
        while since > 0 and silent[since - 1]:
            since -= 1
        some = slice(number + 2, number + 2 + CLEAR_FRAMES)
        for step in STEPS:
            again = _at(channel, places[some] + step) if len(places[some]) else rows[:0]
            if len(again) and (again == said[some]).all():
                moved = places.copy()
                moved[since:] += step
                return moved
        return None
    return None


def _covered(places: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell of frames whether they lie where frames before them lie: these were written over, or they were."""
    return places < np.maximum.accumulate(np.append(places[0] - 1, places[:-1])) + FRAME_BYTES


def _is_told(told: Told, places: NDArray[np.int64], silent: NDArray[np.bool_]) -> bool:
    """Tell whether there are gaps where frames are missing, and nowhere else among the frames."""
    if told.gaps is None:
        return True
    first = int(places[0])
    covered = np.zeros(int(places[-1]) + FRAME_BYTES - first, np.bool_)
    for begin, end in told.gaps:
        covered[max(begin - first, 0) : max(end - first, 0)] = True
    in_gap = covered[places - first + FRAME_BYTES // 2]
    too_much = int((in_gap & ~silent).sum())
    return bool(in_gap[_long(silent)].all()) and too_much <= MERGED_FRAMES * len(told.gaps)


def _long(silent: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Give which frames are missing in a row that is long enough to be told as a gap."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], silent, [False])).astype(np.int8)))
    long = np.zeros(len(silent), np.bool_)
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        long[begin:end] = end - begin >= GAP_FRAMES
    return long


def sum_of(parts: Iterable[Heard]) -> Heard:
    """Put together what was heard of many streams."""
    return sum(parts, Heard())
