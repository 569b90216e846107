"""The last seconds of many streams: a ring of samples for each, and which of them were received.

Conventions: positions count samples since the bank began, the same for all rows; a ring of C columns holds
C samples of each row, the one of position p in column p % C. A sample is one byte (a G.711 code) or two
(int16, as the machine has it). Receipt is kept in cells of 10 ms. The ring never writes outside the rows it
is told, whatever the sizes: the caller gives positions, the ring wraps them.

Packets of the most usual shape are written by one assignment through overlapping windows of the flat memory;
what is odd, or crosses the ring's end, goes sample by sample, which is several times dearer but still one
operation for all.
"""

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import as_strided

from callseal.codecs.arrays import Bytes, Flags, Ints, Samples
from callseal.codecs.packets import Batch
from callseal.codecs.streams import Form

CELLS_A_SECOND: Final = 100

_DTYPES: Final = {1: np.uint8, 2: np.int16}
_ACROSS: Final = -1
_MIN_ALIKE: Final = 64
"""From so many packets of the same shape on, a window of their own is cheaper."""
_CHUNK_BYTES: Final = 1 << 18
"""How much is written sample by sample at a time: each byte needs some 50 of indices."""
_MAX_WINDOWS: Final = 64
"""Views kept for the next time; who sends packets of every size would make thousands."""


class Ring:
    """Samples and receipts of `rows` streams for `seconds` seconds."""

    def __init__(self, *, rows: int, seconds: int, form: Form) -> None:
        self._bytes = form.sample_bytes
        self._columns = seconds * form.rate_hz
        self._row_bytes = self._columns * self._bytes
        self._cell = form.rate_hz // CELLS_A_SECOND
        self._cells = seconds * CELLS_A_SECOND
        self._silence = np.zeros(rows, np.uint8)
        self._flat = np.zeros(rows * self._row_bytes, np.uint8)
        self._samples: Samples = self._flat.view(_DTYPES[self._bytes]).reshape(rows, -1)
        self._received = np.zeros((rows, self._cells), np.bool_)
        self._flat_received = self._received.reshape(-1)
        self._windows: dict[int, Bytes] = {}

    def clear(self, rows: Ints, silence: Bytes) -> None:
        """Empty whole rows, and let each have its own silence from now on."""
        self._silence[rows] = silence
        self._samples[rows] = self._silence[rows, None]
        self._received[rows] = False

    def empty(self, start: int, samples: int, rows: int) -> None:
        """Make a stretch, in one piece in the ring, silent and unreceived in the first `rows` rows."""
        column = start % self._columns
        silence = self._silence[:rows]
        stretch = self._samples[:rows, column : column + samples]
        if rows and (silence == silence[0]).all():
            stretch[:] = silence[0]
        else:
            stretch[:] = silence[:, None]
        cell = column // self._cell
        self._received[:rows, cell : cell + samples // self._cell] = False

    def view(self, start: int, samples: int, rows: int) -> Samples:
        """Show a stretch of the first `rows` rows that lies within the ring in one piece; (rows, samples)."""
        column = start % self._columns
        found = self._samples[:rows, column : column + samples].view()
        found.flags.writeable = False
        return found

    def receipts(self, start: int, samples: int, rows: int) -> Flags:
        """Show which cells of such a stretch were received; (rows, cells)."""
        cell = start % self._columns // self._cell
        found = self._received[:rows, cell : cell + samples // self._cell].view()
        found.flags.writeable = False
        return found

    def copy(self, start: int, samples: int, rows: Ints | slice) -> Samples:
        """Copy a stretch of some rows, wherever it lies; (rows, samples)."""
        column = start % self._columns
        first: Samples = self._samples[rows, column : column + samples]
        rest = samples - first.shape[1]
        if not rest:
            return first.copy()
        whole: Samples = np.empty_like(first, shape=(len(first), samples))
        whole[:, : samples - rest] = first
        whole[:, samples - rest :] = self._samples[rows, :rest]
        return whole

    def copy_receipts(self, start: int, samples: int, rows: Ints) -> Flags:
        """Copy which cells of such a stretch were received; (rows, cells)."""
        cells = (start // self._cell + np.arange(samples // self._cell)) % self._cells
        return self._received[rows[:, None], cells]

    def write(self, batch: Batch) -> None:
        """Write the payloads of packets at their positions.

        Each is whole samples, at least one and no more than the ring holds.
        """
        column = batch.position % self._columns
        offset = column * self._bytes
        across = offset + batch.size > self._row_bytes
        shape = np.where(across, _ACROSS, batch.start << 32 | batch.size)
        first = int(shape[0])
        if first != _ACROSS and (shape == first).all():
            self._write_alike(batch, slice(None), batch.row * self._row_bytes + offset, first)
        else:
            shapes, counts = np.unique(shape, return_counts=True)
            for alike in shapes[(counts >= _MIN_ALIKE) & (shapes != _ACROSS)].tolist():
                which = np.flatnonzero(shape == alike)
                self._write_alike(batch, which, batch.row[which] * self._row_bytes + offset[which], alike)
            rare = shapes[(counts < _MIN_ALIKE) | (shapes == _ACROSS)]
            self._write_odd(batch, offset, np.flatnonzero(np.isin(shape, rare)))
        self._note(batch.row, column, batch.samples)

    def _write_alike(self, batch: Batch, which: Ints | slice, target: Ints, shape: int) -> None:
        """Write some payloads of one shape, each to a place in the flat memory."""
        start, size = shape >> 32, shape & 0xFFFFFFFF
        window = self._windows.get(size)
        if window is None:
            if len(self._windows) >= _MAX_WINDOWS:
                self._windows.clear()
            window = as_strided(self._flat, (self._flat.size - size + 1, size), (1, 1))
            self._windows[size] = window
        lines = which if batch.lines is None else batch.lines[which]
        window[target] = batch.raw[lines, start : start + size]

    def _write_odd(self, batch: Batch, offset: Ints, which: Ints) -> None:
        """Write some payloads byte by byte, around the ring's end where need be."""
        ends = np.cumsum(batch.size[which])
        total = int(ends[-1]) if len(which) else 0
        cuts = np.searchsorted(ends, np.arange(_CHUNK_BYTES, total, _CHUNK_BYTES))
        for part in np.split(which, cuts.tolist()):
            size = batch.size[part]
            item = np.repeat(part, size)
            within = np.arange(len(item)) - np.repeat(np.cumsum(size) - size, size)
            target = batch.row[item] * self._row_bytes + (offset[item] + within) % self._row_bytes
            self._flat[target] = batch.raw[batch.line(item), batch.start[item] + within]

    def _note(self, row: Ints, column: Ints, samples: Ints) -> None:
        """Note as many cells as a packet fills: of packets that stand end to end, none is left out."""
        cell = column // self._cell
        cells = (column + samples) // self._cell - cell
        base = row * self._cells
        fewest = int(cells.min())
        for index in range(int(cells.max())):
            where = base + (cell + index) % self._cells
            self._flat_received[where if index < fewest else where[cells > index]] = True
