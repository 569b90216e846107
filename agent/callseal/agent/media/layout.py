"""How the recordings of a bank are put together from its rows.

Conventions: arrays have one item a recording, in the order of their first rows, so that most banks are two
even stretches of the matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from callseal.agent.call import AGENT, CUSTOMER, AudioFormat
from callseal.agent.media.mixing import Samples, added, interleave
from callseal.agent.media.seat import Seat
from callseal.codecs.streams import Stretch


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """A channel that several rows are added for."""

    index: int
    channel: int
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The recordings of a bank, or some of them."""

    recordings: tuple[UUID, ...]
    slots: NDArray[np.int64]
    bases: NDArray[np.int64]
    """Where in the bank each one's first sample is."""
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    mixes: tuple[Mix, ...]

    @classmethod
    def of(cls, seats: Sequence[Seat], blank: int) -> "Layout":
        """Lay out recordings; `blank` is a row that nothing ever comes in."""
        seats = sorted(seats, key=lambda seat: min((lane.row for lane in seat.lanes), default=blank))
        rows = [(seat.rows_of(AGENT), seat.rows_of(CUSTOMER)) for seat in seats]
        return cls(
            recordings=tuple(seat.recording for seat in seats),
            slots=np.array([seat.slot for seat in seats], np.int64),
            bases=np.array([seat.base for seat in seats], np.int64),
            left=np.array([(agent or (blank,))[0] for agent, _ in rows], np.int64),
            right=np.array([(customer or (blank,))[0] for _, customer in rows], np.int64),
            mixes=tuple(
                Mix(index=index, channel=channel, rows=some)
                for index, both in enumerate(rows)
                for channel, some in enumerate(both)
                if len(some) > 1
            ),
        )

    def __len__(self) -> int:
        """Count the recordings."""
        return len(self.recordings)

    def payload(self, parts: Sequence[Samples], form: AudioFormat, out: NDArray[np.uint8]) -> Samples:
        """Give the sound of all, (recordings, samples, 2), of rows of sound that follow one another.

        parts: shape (rows, samples) each. The result lies in `out`.
        """
        found = interleave(parts, self.left, self.right, out)
        for mix in self.mixes:
            at = 0
            for part in parts:
                found[mix.index, at : at + part.shape[1], mix.channel] = added(
                    [part[row] for row in mix.rows], form.encoding.law
                )
                at += part.shape[1]
        return found

    def present(self, stretch: Stretch) -> NDArray[np.bool_]:
        """Give which cells of a stretch were received, (recordings, 2, cells)."""
        found = np.stack((stretch.present[self.left], stretch.present[self.right]), axis=1)
        for mix in self.mixes:
            found[mix.index, mix.channel] = stretch.present[list(mix.rows)].any(0)
        return found

    def among(self, rows: Sequence[int]) -> "Layout":
        """Give the same for a matrix that has these rows alone, in this order."""
        place = {row: index for index, row in enumerate(rows)}
        return replace(
            self,
            left=np.array([place[row] for row in self.left.tolist()], np.int64),
            right=np.array([place[row] for row in self.right.tolist()], np.int64),
            mixes=tuple(replace(mix, rows=tuple(place[row] for row in mix.rows)) for mix in self.mixes),
        )

    def where(self, which: NDArray[np.bool_]) -> "Layout":
        """Give some of the recordings."""
        if which.all():
            return self
        kept = np.flatnonzero(which)
        new = {int(old): index for index, old in enumerate(kept)}
        return Layout(
            recordings=tuple(self.recordings[index] for index in kept),
            slots=self.slots[kept],
            bases=self.bases[kept],
            left=self.left[kept],
            right=self.right[kept],
            mixes=tuple(
                Mix(index=new[mix.index], channel=mix.channel, rows=mix.rows)
                for mix in self.mixes
                if mix.index in new
            ),
        )
