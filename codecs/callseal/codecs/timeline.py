"""A bank of RTP streams on one timeline: packets go in as they come, whole seconds of sound come out.

::

       closed   |   open …                                     |  beyond: held
    ------------+----------------+------------+----------------+-----------> samples since the bank began
            open_sample        since         now      open_sample + 3 s

Conventions: a row is one stream's place in the bank. Positions are samples since the bank began, the same
for all rows; times are seconds of the caller's clock, which never goes back. The caller works in ticks:

    put …           what was read, as often as it likes
    drained         what had arrived by then has been read
    close           as long as `is_due`
    take_marks      comfort noise and telephone events

A packet's place is that of its timestamp, counted from its stream's *anchor*: the packet by which the stream
began, which is placed by when it came. `since` is the last moment until which everything was read, save of
floods. A second is closed `MARGIN_S` after `since` has passed its end, never by the clock: after a stall the
clock would close what is still to be read, and everything would be late for ever after. Who does not fit the
stream's source and clock is set aside until it is plain which of the two goes on, so that two who send by
turns don't tear the recording to pieces.

Each leg is held to the wall clock: every `CHECK_BLOCKS` the packet that came earliest says how far the leg
has drifted. That is seen to the millisecond when ticks, in milliseconds, have no divisor in common with the
length of packets: a tick of 373 is good, one of 400 meets all packets at the same age.

All is done for all packets at once; nothing odd has a path of its own on which many would be slow. A Python
loop a packet, met by a storm of odd ones after a stall, never catches up.

Source: RFC 3550 sections 5.1, 6.4.1 and A.1.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from callseal.codecs.arrays import Bytes, Flags, Ints, Samples
from callseal.codecs.clocks import NEVER
from callseal.codecs.errors import BankFullError
from callseal.codecs.packets import Batch, read_headers
from callseal.codecs.placing import Placer
from callseal.codecs.ring import CELLS_A_SECOND, Ring
from callseal.codecs.streams import Counts, Form, Kind, Mark, Stream, Stretch, Tally

__all__ = ["Bank", "Counts", "Form", "Kind", "Mark", "Stream", "Stretch"]

MARGIN_S: Final = 0.75
"""How long a second stays open after its end: late packets find their place until then."""
WINDOW_BLOCKS: Final = 3
"""Seconds that are open: the one to be closed, the margin and what a tick reads at once."""
CHECK_BLOCKS: Final = 10
MAX_PACKET_S: Final = 0.2
"""RFC 3551 section 4.2: a receiver should accept packets of up to 200 ms."""
PATIENCE_S: Final = 2.0
"""So long a socket that is never empty may hold back its bank without catching up; then it is a flood."""

_PAYLOAD_TYPES: Final = 128


class Bank:
    """The streams of some calls, up to `rows` of them, that come and go while it runs."""

    def __init__(self, *, rows: int, form: Form, started_s: float) -> None:
        self.form = form
        self.rows = rows
        self._started_s = started_s
        self._second = form.rate_hz
        self._cell = form.rate_hz // CELLS_A_SECOND
        self._window = WINDOW_BLOCKS * form.rate_hz
        self._most_bytes = int(MAX_PACKET_S * form.rate_hz) * form.sample_bytes
        # One second more than is open: what was closed last may still be looked at.
        self._ring = Ring(rows=rows, seconds=WINDOW_BLOCKS + 1, form=form)
        self._placer = Placer(rows=rows, form=form, ring=self._ring, window=self._window)
        self._kinds = np.full((rows, _PAYLOAD_TYPES), Kind.UNKNOWN, np.uint8)
        self._taken = np.zeros(rows, np.bool_)
        self._top = 0
        self._order = 0
        self._blocks = 0
        self._since = 0
        self._read_to = np.full(rows, NEVER, np.int64)
        self._queued = np.zeros(rows, np.bool_)
        self._queued_since = np.full(rows, NEVER, np.int64)
        self._queued_lag = np.zeros(rows, np.int64)

    @property
    def free_rows(self) -> int:
        """How many places are free; several streams need as many that stand together."""
        return self.rows - int(self._taken.sum())

    @property
    def open_sample(self) -> int:
        """The first position that is not closed: where a recording that begins now has its first sample."""
        return self._placer.open_sample

    @property
    def is_due(self) -> bool:
        """Whether a second can be closed."""
        return self._since >= self.open_sample + self._second + int(MARGIN_S * self._second)

    def position_at(self, now_s: float) -> int:
        """Give the position that stands for a moment."""
        return int((now_s - self._started_s) * self._second)

    def take(self, streams: Sequence[Stream]) -> tuple[int, ...]:
        """Give a clean place to each of some streams: one behind the other, several from an even row on.

        Raises BankFullError where so many are not free together.
        """
        count = len(streams)
        starts = range(0, self.rows - count + 1, 1 if count == 1 else 2)
        first = next((start for start in starts if not self._taken[start : start + count].any()), None)
        if first is None:
            raise BankFullError(f"no {count} places are free together in a bank of {self.rows}")
        rows = np.arange(first, first + count)
        self._taken[rows] = True
        self._top = max(self._top, first + count)
        self._clean(rows, streams)
        return tuple(rows.tolist())

    def change(self, row: int, stream: Stream) -> None:
        """Expect something else in a row from now on; another clock begins with a new anchor.

        `silence` stays what it was.
        """
        self._expect(row, stream)
        if stream.clock_hz != self._placer.clocks.hz(row):
            self._placer.clocks.change(np.array([row]), np.array([stream.clock_hz]))

    def free(self, rows: Sequence[int]) -> None:
        """Give places back; what was in them is gone."""
        which = np.array(rows, np.int64)
        self._clean(which, [Stream(sound=(), clock_hz=self._second)] * len(rows))
        self._taken[which] = False
        self._top = int(np.flatnonzero(self._taken).max(initial=-1)) + 1

    def put(
        self,
        raw: Bytes,
        lengths: Ints,
        rows: Ints,
        counts: Ints,
        *,
        now_s: float,
        queued: Flags | None = None,
    ) -> None:
        """Take packets that were read just now.

        raw: (k, R) a datagram a line, R at least 12; lengths: (k,) their bytes (more than R: cut off).
        rows: (g,) the rows they belong to, each once; counts: (g,) how many packets of each stand one behind
        the other in `raw`, at least 1; queued: (g,) whether more of that row may wait to be read.
        """
        if not len(raw):
            return
        if queued is not None:
            self._queued[rows] = queued
        row = np.repeat(rows, counts)
        headers = read_headers(raw, lengths)
        kind = self._kinds[row, headers.payload_type]
        sound = kind == Kind.SOUND
        size = np.where(sound, headers.size - headers.size % self.form.sample_bytes, headers.size)
        valid = headers.valid & (~sound | ((size > 0) & (size <= self._most_bytes)))
        batch = Batch(
            raw=raw,
            row=row,
            kind=kind,
            sequence=headers.sequence,
            ts=headers.ts,
            ssrc=headers.ssrc,
            start=headers.start,
            size=size,
            low=self._read_to[row],
            high=np.full(len(row), self.position_at(now_s)),
            order=np.arange(self._order, self._order + len(row)),
            position=np.full(len(row), NEVER),
            samples=np.where(sound, size // self.form.sample_bytes, 0),
        )
        self._order += len(row)
        self._placer.tally[Tally.PACKETS, rows] += counts
        if not valid.all():
            self._placer.count(Tally.MALFORMED, row[~valid])
            batch = batch.only(valid)
        if len(batch):
            self._placer.place(batch)

    def drained(self, now_s: float) -> None:
        """Note that all that had arrived by now was put, but for the rows that were said to be queued."""
        now = self.position_at(now_s)
        known = self._placer.clocks.known
        lag = np.where(known, now - self._placer.clocks.end, 0)
        begins = self._queued & (self._queued_since == NEVER)
        self._queued_since[begins] = now
        self._queued_lag[begins] = lag[begins]
        self._queued_since[~self._queued] = NEVER
        # Who catches up may hold back the others for as long as that takes; who does not is a flood.
        burden = now - self._queued_since + 2 * (lag - self._queued_lag)
        patient = self._queued & (burden < int(PATIENCE_S * self._second))
        self._placer.decide(now, ~patient)
        reached = np.minimum(np.where(known, self._placer.clocks.end, NEVER), now)
        self._read_to = np.where(self._queued, np.maximum(self._read_to, reached), now)
        # A stream without an anchor yet says nothing of how far it was read.
        since = self._read_to[patient & known].min(initial=now)
        self._since = max(self._since, int(since))
        self._queued[:] = False

    def close(self) -> Stretch:
        """Close the first open second, and show it for all rows up to the last one that is taken.

        What is returned are views, good until the next `close`; of a row that is freed it shows silence.
        """
        start, top = self.open_sample, self._top
        stretch = Stretch(
            start_sample=start,
            payload=self._ring.view(start, self._second, top),
            present=self._ring.receipts(start, self._second, top),
        )
        self._placer.tally[Tally.COVERED_SAMPLES, :top] += self._covered(stretch)
        self._blocks += 1
        self._placer.clocks.move_origin()
        if self._blocks % CHECK_BLOCKS == 0:
            self._placer.tally[Tally.SLIPS, self._placer.clocks.slip()] += 1
        self._ring.empty(start + self._window, self._second, top)
        self._placer.move_on(self._second)
        return stretch

    def ahead(self, now_s: float) -> Samples:
        """Copy what stands between the last closed second and now, and may still change; (rows, samples)."""
        samples = min(max(self.position_at(now_s) - self.open_sample, 0), self._window)
        return self._ring.copy(self.open_sample, samples, slice(0, self._top))

    def finish(self, rows: Sequence[int], now_s: float) -> Stretch:
        """Give the rest of streams that end, from the last closed second on, in the order of `rows`.

        It reaches to now, or to the end of what was received, in whole cells. Close what is due before;
        read `counts` and free the rows afterwards. Who else is in the bank notices nothing.
        """
        which, now = np.array(rows, np.int64), self.position_at(now_s)
        self._placer.end(which, now)
        end = max(now, int(self._placer.clocks.end[which].max(initial=NEVER)), self.open_sample)
        samples = min(-(-(end - self.open_sample) // self._cell) * self._cell, self._window)
        stretch = Stretch(
            start_sample=self.open_sample,
            payload=self._ring.copy(self.open_sample, samples, which),
            present=self._ring.copy_receipts(self.open_sample, samples, which),
        )
        self._placer.tally[Tally.COVERED_SAMPLES, which] += self._covered(stretch)
        return stretch

    def take_marks(self) -> tuple[Mark, ...]:
        """Give what came besides sound since the last time."""
        return self._placer.take_marks()

    def counts(self, row: int) -> Counts:
        """Give what came in a row so far."""
        tally = {name.name.lower(): int(self._placer.tally[name, row]) for name in Tally}
        first = int(self._placer.first[row])
        return Counts(
            **tally,
            lost=self._placer.sequences.lost(row),
            duplicates=int(self._placer.sequences.duplicates[row]),
            reordered=int(self._placer.sequences.reordered[row]),
            first_sample=None if first == NEVER else first,
        )

    def _clean(self, rows: Ints, streams: Sequence[Stream]) -> None:
        self._ring.clear(rows, np.array([stream.silence for stream in streams], np.uint8))
        self._placer.forget(rows, np.array([stream.clock_hz for stream in streams], np.int64))
        self._read_to[rows] = self._queued_since[rows] = NEVER
        self._queued[rows] = False
        for row, stream in zip(rows.tolist(), streams, strict=True):
            self._expect(row, stream)

    def _expect(self, row: int, stream: Stream) -> None:
        self._kinds[row] = Kind.UNKNOWN
        self._kinds[row, list(stream.events)] = Kind.EVENT
        self._kinds[row, list(stream.comfort_noise)] = Kind.COMFORT_NOISE
        self._kinds[row, list(stream.sound)] = Kind.SOUND

    def _covered(self, stretch: Stretch) -> Ints:
        cells: Ints = np.count_nonzero(stretch.present, axis=1)
        return cells * self._cell
