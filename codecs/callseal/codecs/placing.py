"""Where packets of RTP streams belong on the timeline of a bank, and who may put them there.

Conventions: as in `callseal.codecs.timeline`. A packet is one of these:

    fits        of the stream's source and near its clock: written, or held while it lies beyond the ring
    a mark      no sound, so that its timestamp says nothing of the clock
    late        of the stream's clock, but its second is closed
    set aside   of another source or another clock; `decide` has it take over, wait, or refused

A packet that is read now came between the last complete reading (`low`) and now (`high`), and nothing more
is known of that. A new source is placed by the packets that were read soonest after they came; so it is
judged only when the socket has been read to its end.

Source: RFC 3550 sections 5.1 and A.1; RFC 3551 section 4.2; RFC 3389; RFC 4733.
"""

from typing import Final

import numpy as np

from callseal.codecs.arrays import Flags, Ints
from callseal.codecs.clocks import NEVER, Clocks
from callseal.codecs.packets import Batch
from callseal.codecs.ring import Ring
from callseal.codecs.rtp import MARKER
from callseal.codecs.sequences import MAX_DROPOUT, MAX_MISORDER, Sequences
from callseal.codecs.streams import Form, Kind, Mark, Tally
from callseal.codecs.waiting import Waiting

WANDER_S: Final = 2.0
"""How far a stream's clock may stand behind its packets' arrival before it is thought to be another clock."""
AHEAD_S: Final = 1.0
"""How far it may be ahead."""
LATE_S: Final = 60.0
"""What is older than this is not late, but of another clock."""
TAKEOVER_PACKETS: Final = 5
"""So many alone are no stray ones: 100 ms of usual packets."""
TAKEOVER_S: Final = 0.25
"""With a tick less than the margin, so that who waits is judged before its second is closed."""
SETTLE_S: Final = 0.3
"""So long a new stream is only listened to, that it is not placed by one packet which happened to be slow."""
ENOUGH_S: Final = 0.4
"""So much of it is enough at once: it has waited in the socket, and its first second may be due."""
STRAGGLERS: Final = 3
"""So many packets of the old source may come among the first ones of the new one."""
SNAP_S: Final = 0.03
"""A new source that seems to begin so near to where the old one ended goes on exactly there."""
MAX_ROUNDS: Final = 4
"""So many new sources a stream can have within one tick."""
MAX_WAITING_BYTES: Final = 256 * 1024
"""A row's share of what is held, and of what is set aside: 5 s of int16 at 16 kHz, with headers."""
MAX_MARKS: Final = 4096
"""Marks between two `take_marks`; more are only counted."""
MAX_MARK_BYTES: Final = 64
"""Of a mark's payload: an event has 4 bytes, comfort noise up to 11, or several of them in one packet."""


class Placer:
    """Puts the packets of `rows` streams into a ring, and counts them.

    `open_sample` is the first position that is not closed; `clocks`, `sequences`, `tally` and `first` are
    for the bank to read.
    """

    def __init__(self, *, rows: int, form: Form, ring: Ring, window: int) -> None:
        """Write at most `window` samples beyond `open_sample`."""
        self._rows = rows
        self._rate = form.rate_hz
        self._window = window
        self._ring = ring
        self._last_fit = np.full(rows, -1, np.int64)
        self._heard = np.full(rows, NEVER, np.int64)
        self._held = Waiting(rows=rows, max_bytes=MAX_WAITING_BYTES * rows)
        self._aside = Waiting(rows=rows, max_bytes=MAX_WAITING_BYTES * rows)
        self._marks: list[Mark] = []
        self.open_sample = 0
        self.clocks = Clocks(rows=rows, rate_hz=form.rate_hz)
        self.sequences = Sequences(rows)
        self.tally = np.zeros((len(Tally), rows), np.int64)
        self.first = np.full(rows, NEVER, np.int64)

    def forget(self, rows: Ints, clock_hz: Ints) -> None:
        """Begin with other streams in these rows."""
        self.clocks.forget(rows, clock_hz)
        self.sequences.forget(rows)
        self._held.drop(rows)
        self._aside.drop(rows)
        self._last_fit[rows] = -1
        self._heard[rows] = self.first[rows] = NEVER
        self.tally[:, rows] = 0
        gone = frozenset(rows.tolist())
        self._marks = [mark for mark in self._marks if mark.row not in gone]

    def count(self, name: Tally, row: Ints) -> None:
        """Count one for each item, an item a packet."""
        if len(row):
            self.tally[name] += np.bincount(row, minlength=self._rows)

    def take_marks(self) -> tuple[Mark, ...]:
        """Give what came besides sound since the last time."""
        marks, self._marks = tuple(self._marks), []
        return marks

    def move_on(self, samples: int) -> None:
        """Put the boundary of what is closed further, and write what now lies within the ring."""
        self.open_sample += samples
        held = self._held.take()
        if held is not None:
            self._write(held)

    def end(self, rows: Ints, now: int) -> None:
        """Judge what was set aside in rows that end, and give up the rest of what waits there."""
        self.decide(now, np.isin(np.arange(self._rows), rows), at_once=True)
        self.count(Tally.FOREIGN, self._aside.drop(rows))
        self.count(Tally.LATE, self._held.drop(rows))

    def place(self, batch: Batch) -> None:
        """Put packets to their places, or where they wait; rows stand together."""
        row = batch.row
        batch = batch.at(self.clocks.positions(row, batch.ts))
        same = self.clocks.known[row] & (batch.ssrc == self.clocks.ssrc[row])
        fits = same & (batch.position <= batch.high + self._samples(AHEAD_S))
        fits &= batch.position >= np.maximum(batch.low - self._samples(WANDER_S), self.open_sample)
        if fits.all() and batch.kind.max() <= Kind.COMFORT_NOISE:
            self._settle(batch)
            return
        # What is no sound bears no clock: an event's timestamp is that of its beginning.
        mute = (batch.kind == Kind.EVENT) | (batch.kind == Kind.UNKNOWN)
        good = np.where(mute, same, fits)
        if good.any():
            self._settle(batch.only(good))
        strange = mute & ~same  # gateways are known to send digits from a source of their own
        if strange.any():
            stranger = batch.only(strange)
            self._mark(stranger.at(stranger.high))
        step = self.sequences.steps(row, batch.sequence)
        behind = ((step <= 0) & (step > -MAX_DROPOUT)) | (batch.low < self.open_sample)
        late = same & ~mute & behind & self._is_past(batch.position)
        if late.any():
            self._note_late(batch.only(late))
        rest = ~(good | mute | late)
        if rest.any():
            self.count(Tally.FOREIGN, self._aside.add(batch.only(rest)))

    def decide(self, now: int, ready: Flags, *, at_once: bool = False) -> None:
        """Let those take over who were set aside and came alone, and refuse those who did not.

        ready: (rows,) where no more is queued, so that it can be judged now. The first source of a stream has
        no rival, and is only waited for to be heard well, unless it is judged `at_once`.
        """
        undecided = self._aside.take()
        stay: list[Batch] = []
        for _ in range(MAX_ROUNDS):
            if undecided is None:
                break
            row = undecided.row
            last = self._last_fit[row]
            alone = np.bincount(row[undecided.order > last], minlength=self._rows)
            silent = now - self._heard >= self._samples(TAKEOVER_S)
            starts = undecided.starts()
            heard = np.maximum.reduceat(self._spans(undecided, starts), starts)
            settled = np.full(self._rows, at_once)
            settled[row[starts]] |= now - undecided.high[starts] >= self._samples(SETTLE_S)
            settled[row[starts]] |= heard >= self._samples(ENOUGH_S)
            rival = (alone >= TAKEOVER_PACKETS) | (silent & (alone > 0))
            wins = ready & np.where(self.clocks.known, rival, settled)
            kept = undecided.order > last - 2 * STRAGGLERS
            self._refuse(undecided.only(~kept))
            stay.append(undecided.only(kept & ~wins[row]))
            winners = undecided.only(kept & wins[row])
            if len(winners):
                self._anchor(winners)
                self.place(winners)
            undecided = self._aside.take()
        if undecided is not None:
            self._refuse(undecided)
        for batch in stay:
            self.count(Tally.FOREIGN, self._aside.add(batch))

    def _anchor(self, batch: Batch) -> None:
        """Begin streams anew: no packet came after it was read, and the luckiest one just before."""
        first = batch.starts()
        rows = batch.row[first]
        span = self._spans(batch, first)
        own = span >= 0
        length = np.maximum.reduceat(np.where(own, batch.samples, 0), first)
        latest = np.minimum.reduceat(np.where(own, batch.high - batch.samples - span, -NEVER), first)
        readings = np.add.reduceat(np.append(True, batch.high[1:] != batch.high[:-1]), first, dtype=np.int64)
        # The luckiest of n has waited, on average, for the n+1st part of a packet.
        position = latest - length // (np.maximum(readings, 1) + 1)
        position = np.maximum(position, batch.low[first] - length)
        end = self.clocks.end[rows]
        begun = end != NEVER
        position = np.where(np.abs(position - end) <= self._samples(SNAP_S), end, position)
        step = self.sequences.steps(rows, batch.sequence[first])
        goes_on = begun & (batch.ssrc[first] == self.clocks.ssrc[rows])
        goes_on &= (step <= MAX_DROPOUT) & (step > -MAX_MISORDER)
        self.sequences.restart(rows[~goes_on], batch.sequence[first[~goes_on]])
        self.tally[Tally.RESTARTS, rows[begun]] += 1
        self.first[rows[~begun]] = np.maximum(position[~begun], self.open_sample)
        self.clocks.anchor(rows, batch.ssrc[first], batch.ts[first], position)

    def _settle(self, batch: Batch) -> None:
        """Count packets that have a place, and write those that are sound and have not come before."""
        again = self.sequences.note(batch.row, batch.sequence, batch.starts())
        sound = batch.kind == Kind.SOUND
        if sound.all():
            self._look(batch)
        else:
            self._mark(batch.only(~sound))
            self._look(batch.only(sound | (batch.kind == Kind.COMFORT_NOISE)))
        new = sound & ~again
        self._write(batch if new.all() else batch.only(new))

    def _write(self, batch: Batch) -> None:
        """Write sound, or hold what lies beyond the ring."""
        beyond = batch.position + batch.samples > self.open_sample + self._window
        if beyond.any():
            self.count(Tally.LATE, self._held.add(batch.only(beyond)))
            batch = batch.only(~beyond)
        if len(batch):
            self._ring.write(batch)
            self.count(Tally.PLACED, batch.row)

    def _look(self, batch: Batch) -> None:
        """Note how streams stand to the clock, which packet of each was the last, and by when it came."""
        if len(batch):
            starts = batch.starts()
            rows = batch.row[starts]
            high = np.maximum.reduceat(batch.high, starts)
            self.clocks.look(
                rows,
                end=np.maximum.reduceat(batch.position + batch.samples, starts),
                longest=np.maximum.reduceat(batch.samples, starts),
                now=high,
            )
            self._last_fit[rows] = np.maximum(self._last_fit[rows], np.maximum.reduceat(batch.order, starts))
            self._heard[rows] = np.maximum(self._heard[rows], high)

    def _mark(self, batch: Batch) -> None:
        for kind, name in (
            (Kind.COMFORT_NOISE, Tally.COMFORT_NOISE),
            (Kind.EVENT, Tally.EVENTS),
            (Kind.UNKNOWN, Tally.UNKNOWN),
        ):
            self.count(name, batch.row[batch.kind == kind])
        told = np.flatnonzero(batch.kind != Kind.UNKNOWN)[: MAX_MARKS - len(self._marks)]
        for index, at in zip(told.tolist(), batch.line(told).tolist(), strict=True):
            line, start = batch.raw[at], int(batch.start[index])
            self._marks.append(
                Mark(
                    row=int(batch.row[index]),
                    position=int(batch.position[index]),
                    kind=Kind(int(batch.kind[index])),
                    ts=int(batch.ts[index]),
                    marker=bool(line[1] & MARKER),
                    payload=line[start : start + min(int(batch.size[index]), MAX_MARK_BYTES)].tobytes(),
                )
            )

    def _refuse(self, batch: Batch) -> None:
        if len(batch):
            same = self.clocks.known[batch.row] & (batch.ssrc == self.clocks.ssrc[batch.row])
            late = same & self._is_past(self.clocks.positions(batch.row, batch.ts))
            self._note_late(batch.only(late))
            self.count(Tally.FOREIGN, batch.row[~late])

    def _note_late(self, batch: Batch) -> None:
        if len(batch):
            again = self.sequences.note(batch.row, batch.sequence, batch.starts())
            self.count(Tally.LATE, batch.row[~again])

    def _spans(self, batch: Batch, first: Ints) -> Ints:
        """Say how far behind its row's first packet each one is, by its timestamp; -1 for other sources."""
        group = np.repeat(first, np.diff(first, append=len(batch)))
        span = self.clocks.span(batch.row, batch.ts[group], batch.ts)
        own = (batch.ssrc == batch.ssrc[group]) & (span >= 0) & (span < self._samples(LATE_S))
        return np.where(own, span, -1)

    def _is_past(self, position: Ints) -> Flags:
        return (position < self.open_sample) & (position > self.open_sample - self._samples(LATE_S))

    def _samples(self, seconds: float) -> int:
        return int(seconds * self._rate)
