"""A rack: the recordings that share a bank, from their sockets to the recorder.

A tick reads all sockets, places what came and, every other time, closes the seconds that are due and hands
on one block for all recordings, with what has come since as tentative sound. Reading comes first, then
placing, then closing, and a second is closed by what has been read and never by the clock: so a thread that
was stopped for seconds takes up where it was.

Conventions: positions are the bank's unless they are a recording's own. Every recording begins at a boundary
of a second of its bank.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final
from uuid import UUID

import numpy as np

from callseal.agent.call import CELL_MS, AudioFormat, Block, CodecChanged, Event, Held, Recorder
from callseal.agent.errors import RecorderError, SourceError
from callseal.agent.media.gaps import GapFinder, Silence
from callseal.agent.media.lane import Lane
from callseal.agent.media.lanes import Changed, Lanes
from callseal.agent.media.layout import Layout
from callseal.agent.media.mixing import Samples
from callseal.agent.media.plans import RecordingPlan, StreamPlan
from callseal.agent.media.scratch import Scratch
from callseal.agent.media.seat import Seat
from callseal.agent.media.sockets import Inbox, SocketPair
from callseal.agent.media.statistics import Statistics
from callseal.codecs import g711
from callseal.codecs.streams import Form, Kind, Stream, Stretch
from callseal.codecs.telephone_event import Press
from callseal.codecs.timeline import Bank

ROWS: Final = 256
"""Streams of a rack for which recordings are opened: enough to share the cost of each step, few enough for
the processor's cache."""
SPARE_ROWS: Final = 32
"""For streams that are added while a recording runs, which have to come into the same bank."""
LEAD_S: Final = 0.2
"""What a packet holds was said before it came; 200 ms is the longest one (RFC 3551 section 4.2)."""
TICKS_PER_WRITE: Final = 2
OVERDUE_S: Final = 2.6
"""So much may be open before a block is due out of turn: the bank has room for three seconds."""


class Rack:
    """Recordings of one form."""

    def __init__(
        self,
        *,
        form: AudioFormat,
        recorder: Recorder,
        scratch: Scratch,
        phase: int,
        started_s: float,
        monotonic: Callable[[], float],
        fault: Callable[[str, Exception], None],
    ) -> None:
        """`phase` says on which ticks blocks are written, so that not all racks do it on the same.

        `started_s` is when the ports of the first recording were reserved.
        """
        self.form = form
        self._recorder = recorder
        self._scratch = scratch
        self._ticks = phase
        self._monotonic = monotonic
        self._fault = fault
        shape = Form(rate_hz=form.rate_hz, sample_bytes=form.encoding.sample_bytes)
        self._bank = Bank(rows=ROWS + SPARE_ROWS, form=shape, started_s=started_s - LEAD_S)
        law = form.encoding.law
        silence = 0 if law is None else g711.silence(law)
        blank = Stream(sound=(), clock_hz=form.rate_hz, silence=silence)
        self._blank = self._bank.take([blank])[0]
        self._lanes = Lanes(self._bank, form, monotonic)
        self._gaps = GapFinder(ROWS, form.rate_hz)
        self._free_slots = set(range(ROWS))
        self._seats: dict[UUID, Seat] = {}
        self._by_slot: dict[int, Seat] = {}
        self._layout: Layout | None = None
        self._dropped = 0

    # --- recordings ---------------------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Whether no recording runs here."""
        return not self._seats

    def has_room_for(self, plan: RecordingPlan) -> bool:
        """Say whether a recording can be opened here."""
        is_free = len(self._lanes) + max(len(plan.streams), 1) <= ROWS - 1 and self._free_slots
        return plan.format == self.form and bool(is_free)

    def open(
        self, recording: UUID, plan: RecordingPlan, pairs: Mapping[int, SocketPair], reserved_s: float
    ) -> None:
        """Begin a recording: with the second in which its ports were reserved, or the first that is open.

        What has waited in the sockets since then finds its place in it. SourceError where a key is of no use.
        """
        second = self.form.rate_hz
        begin = self._bank.position_at(reserved_s - LEAD_S) // second * second
        base = max(begin, self._bank.open_sample)
        lanes = self._lanes.add(recording, plan.streams, pairs)
        slot = min(self._free_slots)
        self._free_slots.remove(slot)
        seat = Seat(recording=recording, slot=slot, base=base, rate_hz=second, lanes=lanes)
        self._seats[recording] = self._by_slot[slot] = seat
        self._gaps.begin(slot, base)
        for lane in lanes:
            if not lane.plan.sending:
                self._hold(seat, lane, base)
        self._layout = None

    def change(
        self,
        recording: UUID,
        streams: tuple[StreamPlan, ...],
        pairs: Mapping[int, SocketPair],
        inbox: Inbox,
    ) -> None:
        """Take other streams for a recording; from those that are not named nothing more is expected.

        SourceError where there is no room for more, or a key is of no use: then the streams before it have
        changed.
        """
        seat = self._seats[recording]
        # What came before is of the old keys and formats.
        self._tell_changes(self._lanes.read(inbox, seat.lanes))
        here = self._bank.position_at(self._monotonic())
        new = [plan for plan in streams if seat.lane_at(plan.port) is None]
        if len(new) > self._bank.free_rows:
            raise SourceError("there is no room for another stream beside this recording's others")
        named = {plan.port: plan for plan in streams}
        try:
            for lane in seat.lanes:
                was_sending = lane.plan.sending
                self._lanes.change(lane, named.get(lane.plan.port, replace(lane.plan, sending=False)))
                if was_sending and not lane.plan.sending:
                    self._hold(seat, lane, here)
                elif lane.plan.sending and not was_sending:
                    self._resume(seat, lane, here)
            added = self._lanes.add(recording, new, pairs)
            seat.lanes += added
            for lane in added:
                (self._resume if lane.plan.sending else self._hold)(seat, lane, here)
        finally:
            self._layout = None

    def note(self, recording: UUID, event: Event, now_s: float) -> None:
        """Note an event; a position of `NOW` is where the clock stands."""
        self._recorder.event(recording, self._seats[recording].placed(event, self._bank.position_at(now_s)))

    def end(self, recording: UUID, inbox: Inbox) -> None:
        """End a recording: what has arrived is written, and what came is told of; it can be closed then."""
        seat = self._seats[recording]
        try:
            self._finish(seat, inbox)
        except Exception as problem:  # noqa: BLE001 - it ends all the same, with what there is
            self._fault("finish", problem)
        finally:
            self._let_go(seat)

    def drop(self, recording: UUID) -> None:
        """End a recording of which nothing more is wanted."""
        self._let_go(self._seats[recording])

    def _let_go(self, seat: Seat) -> None:
        del self._seats[seat.recording], self._by_slot[seat.slot]
        self._free_slots.add(seat.slot)
        self._lanes.remove(seat.lanes)
        self._layout = None

    def _finish(self, seat: Seat, inbox: Inbox) -> None:
        self._tell_changes(self._lanes.read(inbox, seat.lanes))
        now_s = self._monotonic()
        self._tell_marks(now_s)
        rows = [self._blank, *(lane.row for lane in seat.lanes)]
        rest = self._bank.finish(rows, now_s)
        end = rest.start_sample + rest.payload.shape[1]
        if end > seat.base:
            self._hand_on(Layout.of([seat], self._blank).among(rows), rest, None)
        for lane in seat.lanes:
            self._tell_digits(seat, lane, lane.keys.finish())
        self._tell_gaps(self._gaps.end(seat.slot, end))
        for lane in seat.lanes:
            report = lane.report(self._bank.counts(lane.row), max(end - seat.base, 0))
            self._dropped += report.dropped_by_kernel
            self._recorder.event(seat.recording, report)

    def _tell_digits(self, seat: Seat, lane: Lane, presses: Iterable[Press]) -> None:
        for digit in seat.told(lane, presses):
            self._recorder.event(seat.recording, digit)

    def _hold(self, seat: Seat, lane: Lane, position: int) -> None:
        for channel in lane.plan.channels:
            if not any(one.plan.sending for one in seat.lanes if channel in one.plan.channels):
                seat.hold(channel, position)
                self._tell_held(seat, channel, position, held=True)

    def _resume(self, seat: Seat, lane: Lane, position: int) -> None:
        for channel in lane.plan.channels:
            if seat.resume(channel, position):
                self._tell_held(seat, channel, position, held=False)

    def _tell_held(self, seat: Seat, channel: int, position: int, *, held: bool) -> None:
        at = max(position - seat.base, 0)
        self._recorder.event(seat.recording, Held(channel=channel, position_samples=at, held=held))

    def _arranged(self) -> Layout:
        """Give the layout of all recordings; it is made anew when one has come, gone or changed."""
        if self._layout is None:
            self._layout = Layout.of(tuple(self._seats.values()), self._blank)
        return self._layout

    # --- the clock ----------------------------------------------------------------------------------------

    def tick(self, inbox: Inbox) -> None:
        """Read what has come, place it, and hand on what is due."""
        begun_s = self._monotonic()
        changed = self._lanes.read(inbox)
        self._bank.drained(begun_s)
        self._tell_changes(changed)
        self._tell_marks(begun_s)
        self._ticks += 1
        open_samples = self._bank.position_at(begun_s) - self._bank.open_sample
        if self._ticks % TICKS_PER_WRITE == 0 or open_samples > OVERDUE_S * self.form.rate_hz:
            self._write(begun_s)

    def silent(self, since_s: float) -> tuple[UUID, ...]:
        """Give the recordings of which nothing has come since then, by the monotonic clock."""
        return tuple(
            seat.recording
            for seat in self._seats.values()
            if seat.lanes and self._lanes.are_silent(seat.lanes, since_s)
        )

    def read_rtcp(self, inbox: Inbox) -> None:
        """Read the reports of the senders, and let go of keys whose end was lost."""
        self._lanes.read_rtcp(inbox)
        now_s = self._monotonic()
        for seat in self._seats.values():
            for lane in seat.lanes:
                self._tell_digits(seat, lane, lane.keys.expired(now_s))

    def add_to(self, counted: Statistics) -> Statistics:
        """Add what runs here and what was."""
        return replace(
            counted,
            recordings=counted.recordings + len(self._seats),
            streams=counted.streams + len(self._lanes),
            packets=counted.packets + self._lanes.packets,
            strangers=counted.strangers + self._lanes.strangers,
            dropped_by_kernel=counted.dropped_by_kernel + self._dropped,
        )

    def _write(self, now_s: float) -> None:
        """Close what is due, and hand it on with what is open behind it."""
        stretch = None
        while self._bank.is_due:
            if stretch is not None:
                self._hand_on(self._arranged(), stretch, None)
            # A view of what was closed is good until the next one is.
            stretch = self._bank.close()
        self._hand_on(self._arranged(), stretch, self._bank.ahead(now_s))

    def _hand_on(self, layout: Layout, stretch: Stretch | None, ahead: Samples | None) -> None:
        """Give the recorder what is closed, and what may still change; those that begin later have less."""
        start = self._bank.open_sample if stretch is None else stretch.start_sample
        begins = np.maximum(layout.bases, start)
        for base in np.unique(begins).tolist():
            self._write_block(layout.where(begins == base), base, base - start, stretch, ahead)

    def _write_block(
        self, layout: Layout, base: int, skipped: int, stretch: Stretch | None, ahead: Samples | None
    ) -> None:
        """Hand on the sound of recordings from a position on, which leaves out the first samples."""
        parts: list[Samples] = []
        present = np.zeros((len(layout), 2, 0), np.bool_)
        if stretch is not None:
            parts.append(stretch.payload[:, skipped:])
            present = layout.present(stretch)[:, :, skipped * 1000 // (self.form.rate_hz * CELL_MS) :]
            skipped = max(skipped - stretch.payload.shape[1], 0)
        tentative = 0
        if ahead is not None:
            parts.append(ahead[:, skipped:])
            tentative = parts[-1].shape[1]
        parts = [part for part in parts if part.shape[1]]
        if not parts:
            return
        samples = sum(part.shape[1] for part in parts)
        out = self._scratch.take(len(layout) * samples * 2 * self.form.encoding.sample_bytes)
        self._give(
            Block(
                recordings=layout.recordings,
                start_samples=base - layout.bases,
                payload=layout.payload(parts, self.form, out),
                present=present,
                tentative_samples=tentative,
            )
        )
        self._tell_gaps(self._gaps.see(layout.slots, base, present))

    def _give(self, block: Block) -> None:
        """Write a block; a mistake of the recorder's in one recording costs no other its sound."""
        try:
            self._recorder.write(block)
        except RecorderError as problem:  # of one recording: it has taken the others
            self._fault("write", problem)
        except Exception as problem:  # noqa: BLE001 - a mistake in one recording must not end all of them
            self._fault("write", problem)
            for index in range(len(block.recordings)):
                one = slice(index, index + 1)
                # Those that it had taken before it refuses, as they would go back.
                with contextlib.suppress(Exception):
                    self._recorder.write(
                        replace(
                            block,
                            recordings=block.recordings[one],
                            start_samples=block.start_samples[one],
                            payload=block.payload[one],
                            present=block.present[one],
                        )
                    )

    # --- what is told -------------------------------------------------------------------------------------

    def _tell_changes(self, changed: Iterable[Changed]) -> None:
        here = self._bank.position_at(self._monotonic())
        for change in changed:
            seat = self._seats[change.lane.recording]
            for channel in change.lane.plan.channels:
                at = max(here - seat.base, 0)
                event = CodecChanged(channel=channel, position_samples=at, codec=change.codec)
                self._recorder.event(seat.recording, event)

    def _tell_marks(self, now_s: float) -> None:
        for mark in self._bank.take_marks():
            lane = self._lanes[mark.row]
            seat = self._seats[lane.recording]
            if mark.kind is Kind.COMFORT_NOISE:
                seat.noise(lane, mark.position)
            else:
                for digit in seat.pressed(lane, mark, now_s):
                    self._recorder.event(seat.recording, digit)

    def _tell_gaps(self, silences: Iterable[Silence]) -> None:
        for silence in silences:
            seat = self._by_slot[silence.slot]
            self._recorder.event(seat.recording, seat.gap(silence))
