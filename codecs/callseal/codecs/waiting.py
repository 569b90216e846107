"""Packets that wait: for room, or for what comes next.

Conventions: as in `callseal.codecs.packets`. What waits is a copy, and is limited for each row and in all.
"""

from typing import Final

import numpy as np

from callseal.codecs.arrays import Ints
from callseal.codecs.packets import Batch, join

MAX_PACKETS: Final = 1024
"""Of one row: 20 s of packets of 20 ms; a socket's buffer holds less."""


class Waiting:
    """Batches that wait until they are taken, all of them at once."""

    def __init__(self, *, rows: int, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._count = np.zeros(rows, np.int64)
        self._batches: list[Batch] = []
        self._bytes = 0

    def add(self, batch: Batch) -> Ints:
        """Keep packets, and give the rows of those for which there was no room, a row a packet."""
        if not len(batch):
            return batch.row
        starts = batch.starts()
        rank = np.arange(len(batch)) - np.repeat(starts, np.diff(starts, append=len(batch)))
        fits = self._count[batch.row] + rank < MAX_PACKETS
        kept = (batch if fits.all() else batch.only(fits)).kept()
        if self._bytes + kept.raw.nbytes > self._max_bytes:
            return batch.row
        self._count += np.bincount(kept.row, minlength=len(self._count))
        self._bytes += kept.raw.nbytes
        self._batches.append(kept)
        return batch.row[~fits]

    def take(self) -> Batch | None:
        """Give all that waits, rows together and in the order of arrival; None when nothing does."""
        batches, self._batches = [batch for batch in self._batches if len(batch)], []
        self._bytes = 0
        self._count[:] = 0
        return join(batches) if batches else None

    def drop(self, rows: Ints) -> Ints:
        """Forget what waits for some rows, and give the row of each packet that did."""
        gone = [batch.row[np.isin(batch.row, rows)] for batch in self._batches]
        if not any(len(row) for row in gone):
            return np.empty(0, np.int64)
        self._batches = [batch.only(~np.isin(batch.row, rows)).kept() for batch in self._batches]
        self._bytes = sum(batch.raw.nbytes for batch in self._batches)
        self._count[rows] = 0
        return np.concatenate(gone)
