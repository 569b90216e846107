"""One call as the service sees it: turns the child's reports and taps into a recording.

Its methods run on the recorder's one thread; nothing here waits.
"""

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from callseal.agent.announcement import Programme
from callseal.agent.call import (
    AGENT,
    CELL_MS,
    CUSTOMER,
    SIDES,
    Answered,
    AudioFormat,
    Block,
    CodecChanged,
    Digit,
    Disclosure,
    DisclosureFailed,
    Ending,
    EndReason,
    Event,
    Held,
    MediaLost,
    PartiesChanged,
    Party,
    Recorder,
    Side,
)
from callseal.agent.disclosure import Follower
from callseal.agent.errors import ProtocolError
from callseal.agent.sources.bridge import protocol
from callseal.agent.sources.bridge.memwav import GrowingWav
from callseal.agent.sources.bridge.routing import Plan
from callseal.agent.sources.bridge.tracks import TRACKS, Tracks
from callseal.codecs import g711
from callseal.codecs.au import Encoding

_ANNOUNCEMENT: Final = 2
_EARLY_S: Final = 0.04
"""The child's clock reading and the sample that was recorded then are at most two ticks apart."""
G711_HZ: Final = 8000
_STANDSTILL_S: Final = 1.0
"""The audio clock catches up after shorter stumbles; what it doesn't catch up was not recorded."""
_ENCODINGS: Final = {("PCMU", "PCMU"): Encoding.ULAW, ("PCMA", "PCMA"): Encoding.ALAW}

_BY_NAME: Final = {ending.value: ending for ending in Ending}
_MAX_OWED: Final = 64
"""What may happen before a recording begins, keys that are pressed at a machine that answers early."""
EventAt = Callable[[int], Event]
"""An event, by its position."""
_UNANSWERED: Final = {
    Ending.BUSY: "unanswered-busy",
    Ending.CANCELLED: "unanswered-cancelled",
    Ending.REJECTED: "unanswered-rejected",
    Ending.UNREACHABLE: "unanswered-unreachable",
    Ending.NO_ANSWER: "unanswered-timeout",
    Ending.REFUSED_BY_US: "refused-by-settings",
    Ending.TRANSFERRED: "transferred",
}


class Line:
    """Follows one call from its route to its end."""

    def __init__(
        self,
        plan: Plan,
        programme: Programme | None,
        rate_hz: int,
        wall_time: Callable[[float], datetime],
    ) -> None:
        """`wall_time` turns the child's clock readings into UTC."""
        if plan.call is None:
            raise ValueError("a line needs a call")
        self._plan = plan
        self._call = plan.call
        self._agent, self._customer = plan.call.agent, plan.call.customer
        self._successor: tuple[Side, Party] | None = None
        self._rate_hz = rate_hz
        self._wall_time = wall_time
        self._tracks = Tracks()
        self._taps: list[GrowingWav] = []
        self._tapped_s = 0.0
        self._recording: UUID | None = None
        self._refused = False
        self._encoding = Encoding.PCM16
        self._written = 0
        self._start = 0
        self._programme = programme
        self._follower = Follower(programme) if programme is not None else None
        self._heard_by: tuple[Side, ...] = ()
        self._answered_s: float | None = None
        self._ended_s: float | None = None
        self._failure: str | None = None
        self._has_announced = False
        self._owed: list[tuple[float, EventAt]] = []

    def dialled(self, report: protocol.Dialled) -> None:
        """Note the second leg's Call-ID: the telephone system's call records know only that one."""
        ids = (*self._call.sip_call_ids, report.sip_call_id)
        self._call = dataclasses.replace(self._call, sip_call_ids=ids)

    def tapped(self, report: protocol.Tapped, fds: list[int]) -> None:
        """Take over the taps; raises ProtocolError when they are not one a track, or come twice."""
        taps = [GrowingWav(fd) for fd in fds]
        if self._taps or len(taps) != TRACKS:
            _close(taps)
            raise ProtocolError(f"the bridge's child gave {len(taps)} taps, or gave them twice")
        self._taps = taps
        self._tapped_s = report.at_s

    def media(self, report: protocol.Media, recorder: Recorder) -> None:
        """Open the recording: from now on both parties' sound flows."""
        if self._recording is not None or not self._taps:
            return
        codecs = (report.agent_codec, report.customer_codec)
        if self._rate_hz == G711_HZ:  # else it was resampled on its way, and coding it again would lose more
            self._encoding = _ENCODINGS.get(codecs, Encoding.PCM16)
        self._refused = True  # by the disk, unless `open` returns
        self._recording = recorder.open(
            self._call, AudioFormat(encoding=self._encoding, rate_hz=self._rate_hz)
        )
        self._refused = False
        self._start = max(0, self._position(report.at_s - _EARLY_S))
        self._tracks.start_at(self._start)
        if self._answered_s is not None:
            self._note_answer(recorder, self._answered_s)
        if self._failure is not None:
            recorder.event(self._recording, DisclosureFailed(detail=self._failure))
        owed, self._owed = self._owed, []
        for at_s, event_at in owed:
            self._note(recorder, at_s, event_at)

    def answered(self, report: protocol.Answered, recorder: Recorder) -> None:
        """Note that the called side took the call."""
        self._answered_s = report.at_s
        if self._recording is not None:
            self._note_answer(recorder, report.at_s)

    def announcing(self, report: protocol.Announcing, recorder: Recorder) -> None:
        """Follow the announcement, and note who hears it; it plays again to whom a transfer brings."""
        if self._has_announced:
            self._disclose(recorder, final=True)
            self._follower = Follower(self._programme) if self._programme is not None else None
        self._has_announced = True
        self._heard_by = tuple(side for side in SIDES if side in report.heard_by)

    def announced(self, recorder: Recorder) -> None:
        """Take what the taps have by the player's end: what was heard is told once they have delivered it."""
        self.pump(recorder)

    def announcement_failed(self, report: protocol.AnnouncementFailed, recorder: Recorder) -> None:
        """Note that no announcement can be played."""
        self._failure = report.detail
        self._follower = None
        if self._recording is not None:
            recorder.event(self._recording, DisclosureFailed(detail=report.detail))

    def recoded(self, report: protocol.Recoded, recorder: Recorder) -> None:
        """Note that a side's sound goes on in another coding."""
        channel = SIDES.index(report.side)
        self._note(
            recorder,
            report.at_s,
            lambda at: CodecChanged(channel=channel, position_samples=at, codec=report.codec),
        )

    def hold_changed(self, report: protocol.HoldChanged, recorder: Recorder) -> None:
        """Note that a side put the other on hold, whose sound it then doesn't hear, or took it back."""
        channel = SIDES.index(report.side)
        self._note(
            recorder, report.at_s, lambda at: Held(channel=channel, position_samples=at, held=report.held)
        )

    def pressed(self, report: protocol.Pressed, recorder: Recorder) -> None:
        """Note that a key was pressed."""
        channel = SIDES.index(report.side)
        self._note(
            recorder,
            report.at_s,
            lambda at: Digit(channel=channel, position_samples=at, duration_ms=report.duration_ms),
        )

    def transferring(self, party: Party, side: Side) -> None:
        """Remember who is about to take a side's place."""
        self._successor = (side, party)

    def transferred(self, report: protocol.Transferred, recorder: Recorder) -> None:
        """Note who takes part from now on."""
        if self._successor is not None and self._successor[0] == report.side:
            self.parties_changed(report.at_s, report.side, self._successor[1], recorder)
        self._successor = None

    def transfer_failed(self) -> None:
        """Forget who was about to take a side's place."""
        self._successor = None

    def parties_changed(self, at_s: float, side: Side, party: Party, recorder: Recorder) -> None:
        """Note that somebody else is at a side, as the telephone system or a transfer says."""
        before = (self._agent, self._customer)
        if side == "agent":
            self._agent = party
        else:
            self._customer = party
        agent, customer = self._agent, self._customer
        if (agent, customer) != before:
            self._note(
                recorder,
                at_s,
                lambda at: PartiesChanged(position_samples=at, agent=agent, customer=customer),
            )

    def pump(self, recorder: Recorder, *, last: bool = False) -> None:
        """Bring what the taps hold into the recording."""
        for track, tap in enumerate(self._taps):
            self._tracks.feed(track, tap.take_new())
        if self._recording is None:
            return
        samples = self._tracks.take(last=last)
        if samples is not None:
            if self._follower is not None:
                self._follower.feed(self._written, samples[_ANNOUNCEMENT])
            self._write(recorder, self._recording, samples)
            self._disclose(recorder, final=False)

    def ended(self, report: protocol.Ended, recorder: Recorder) -> None:
        """Close the recording, or leave the trace of a call that was not recorded."""
        by: Side | None = "agent" if report.by == "agent" else "customer" if report.by == "customer" else None
        # A child that gives an end which nobody knows is not to be believed: what it recorded is saved.
        ending = _BY_NAME.get(report.ending, Ending.SOURCE_DIED)
        self._ended_s = report.at_s
        self._finish(recorder, ending, by, report.code or None, self._wall_time(report.at_s))

    @property
    def is_answered(self) -> bool:
        """Whether the called side has taken the call."""
        return self._answered_s is not None

    @property
    def was_only_tried(self) -> bool:
        """Whether nobody has taken the call, and nothing of it is recorded."""
        return self._recording is None and self._answered_s is None

    def forget(self) -> None:
        """Leave no trace: the telephone system asked who calls, and the telephone calls again to say so."""
        _close(self._taps)
        self._taps = []

    def lost(self, at: datetime, recorder: Recorder) -> None:
        """Save what the taps hold: the child is gone."""
        self._finish(recorder, Ending.SOURCE_DIED, None, None, at)

    # --- inside -------------------------------------------------------------------------------------

    def _finish(
        self, recorder: Recorder, ending: Ending, by: Side | None, code: int | None, at: datetime
    ) -> None:
        try:
            self.pump(recorder, last=True)
            self._close_recording(recorder, ending, by, code, at)
        finally:
            _close(self._taps)
            self._taps = []

    def _close_recording(
        self, recorder: Recorder, ending: Ending, by: Side | None, code: int | None, at: datetime
    ) -> None:
        answered = self._answered_s is not None
        reasons: list[str] = []
        if ending is Ending.SOURCE_DIED:
            reasons.append("bridge-died")
        elif not answered:
            reasons.append(_UNANSWERED.get(ending, "unanswered-cancelled"))
        if self._recording is not None:
            self._disclose(recorder, final=True)
            if not self._tracks.proven:
                lost = MediaLost(position_samples=0, detail="the channels could not be aligned exactly")
                recorder.event(self._recording, lost)
            else:
                self._note_standstill(recorder, self._recording)
            end = EndReason(ending=ending, at=at, by=by, sip_code=code, reasons=tuple(reasons))
            recorder.close(self._recording, end)
        else:
            if self._plan.exempt_reason:
                reasons.insert(0, self._plan.exempt_reason)
            elif self._failure is not None:
                reasons.insert(0, "disclosure-failed")
            elif self._refused:
                reasons.insert(0, "write-failed")
            elif answered and ending is not Ending.SOURCE_DIED:
                reasons.insert(0, "no-media")
            end = EndReason(ending=ending, at=at, by=by, sip_code=code, reasons=tuple(reasons))
            taken = [] if self._answered_s is None else [self._wall_time(self._answered_s)]
            recorder.exempt(self._call, end, [Answered(at=at, position_samples=0) for at in taken])

    def _note_standstill(self, recorder: Recorder, recording: UUID) -> None:
        """Say that sound is missing, when the taps hold less than the time between beginning and end."""
        if self._ended_s is None:
            return
        missing = self._position(self._ended_s) - self._start - self._written
        if missing > _STANDSTILL_S * self._rate_hz:
            detail = f"the bridge stood still for {missing / self._rate_hz:.1f} s of the call"
            recorder.event(recording, MediaLost(position_samples=self._written, detail=detail))

    def _position(self, at_s: float) -> int:
        return round((at_s - self._tapped_s) * self._rate_hz)

    def _note(self, recorder: Recorder, at_s: float, event_at: "EventAt") -> None:
        """Tell of what happened at a time, at once or when the recording begins."""
        if self._recording is None:
            if len(self._owed) < _MAX_OWED:
                self._owed.append((at_s, event_at))
            return
        recorder.event(self._recording, event_at(max(0, self._position(at_s) - self._start)))

    def _note_answer(self, recorder: Recorder, at_s: float) -> None:
        if self._recording is not None:
            position = max(0, self._position(at_s) - self._start)
            recorder.event(self._recording, Answered(at=self._wall_time(at_s), position_samples=position))

    def _disclose(self, recorder: Recorder, *, final: bool) -> None:
        follower, recording = self._follower, self._recording
        if follower is None or recording is None:
            return
        # Whoever hung up before the answer was owed no announcement.
        if follower.complete or (final and self._answered_s is not None):
            self._follower = None
            results: tuple[Disclosure, ...] = follower.result(self._heard_by)
            for result in results:
                recorder.event(recording, result)

    def _write(self, recorder: Recorder, recording: UUID, samples: NDArray[np.int16]) -> None:
        frames = np.ascontiguousarray(samples[[AGENT, CUSTOMER]].T)
        law = self._encoding.law
        payload: NDArray[np.uint8] | NDArray[np.int16] = frames if law is None else g711.encode(frames, law)
        cells = -(-frames.shape[0] // (self._rate_hz * CELL_MS // 1000))
        recorder.write(
            Block(
                recordings=(recording,),
                start_samples=np.array([self._written], np.int64),
                payload=payload[np.newaxis],
                present=np.ones((1, 2, cells), np.bool_),
            )
        )
        self._written += frames.shape[0]


def _close(taps: list[GrowingWav]) -> None:
    for tap in taps:
        tap.close()


def wall_clock(now: datetime, monotonic_s: float) -> Callable[[float], datetime]:
    """Give the wall time of CLOCK_MONOTONIC readings, from one pair of readings."""
    return lambda at_s: now + timedelta(seconds=at_s - monotonic_s)
