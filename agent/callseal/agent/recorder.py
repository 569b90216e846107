"""The recorder: owns a call from its first sample to a bundle that is ready to be sent.

Shell: it writes spool and ledger; no plaintext leaves this process. A disk that refuses does not stop a call:
it gets nothing more to keep, an alarm is raised at once, and the call goes on as another recording in the
next spool, with what the first disk never confirmed. Where there is none, the call goes on unrecorded from
there, and what was safe is recovered at the next start. Only `open` and `exempt` raise SpoolError, where no
spool takes the recording at all.

What is known of a call is sealed anew when it changes: at a desk at once, at a gateway a moment later, with
whatever else has come by then, and not more often than every few seconds.

Conventions: a source calls from one thread, the service's clock from another; the methods wait for each
other. A gateway's source may open and close its calls in further threads: what that does on the disk, and it
does much, keeps nobody waiting who writes. Of one recording nothing is called while it is opened or closed.
"""

import contextlib
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from callseal.agent import results
from callseal.agent.binding import Binder, Outcome, Policy
from callseal.agent.call import (
    AudioFormat,
    Block,
    Call,
    CodecChanged,
    Digit,
    EndReason,
    Event,
    Gap,
    Held,
    StreamReport,
)
from callseal.agent.chronicle import Ledger
from callseal.agent.errors import RecorderError
from callseal.agent.recording import (
    Recording,
    frames_before,
    frames_of,
    inner_header,
    new_meter,
    silence,
)
from callseal.agent.rows import Rows, refusal
from callseal.agent.serial import serial
from callseal.agent.spools import Spools
from callseal.codecs import au
from callseal.seal.age import Recipient
from callseal.seal.device import DeviceSigner
from callseal.seal.errors import SealError, SpoolError
from callseal.seal.ledger.entry import Kind
from callseal.seal.manifest import Result
from callseal.seal.reasons import FAILURES
from callseal.seal.spool import Spool
from callseal.seal.state import Purpose
from callseal.seal.uuid7 import uuid7
from callseal.seal.writer import Buffer, Rescue, SealedFile, SealedObject, Staged

SOON_S: Final = 0.5
"""At a gateway: how long news of a call wait for what comes with them, an answer and documents for one."""
AGAIN_S: Final = 3.0
"""At a gateway: how long after one sealing of what is known the next one comes at the earliest."""
LATER_S: Final = 30.0
"""How long such news wait as come all the time, and of which the sound itself tells most."""
DESCRIBING_S: Final = 0.05
"""How long news are sealed in one tick, of some hundred calls: a source waits for it."""

_PASSING: Final = (Gap, Digit, Held, CodecChanged, StreamReport)
_DISK_CHANGED: Final = "disk-changed"
_WRITE_FAILED: Final = "write-failed"

log = structlog.get_logger("callseal.recorder")


class SpoolRecorder:
    """Recordings into the spools of a device."""

    def __init__(
        self,
        *,
        spools: Spools,
        ledger: Ledger,
        recipients: Sequence[Recipient],
        signer: DeviceSigner,
        policy: Policy,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        random: Callable[[int], bytes],
        alarm: Callable[[str, str], None],
        finished: Callable[[Result], None],
    ) -> None:
        """`alarm` takes a code and words; `finished` hears of every result."""
        self.lock = threading.RLock()
        self._spools = spools
        self._ledger = ledger
        self._recipients = tuple(recipients)
        self._policy = policy
        self._binder = Binder(recipients=recipients, signer=signer, policy=policy, ledger=ledger, now=now)
        self._now = now
        self._monotonic = monotonic
        self._random = random
        self._alarm = alarm
        self._finished = finished
        self._open: dict[UUID, Recording] = {}
        self._staged: dict[SealedFile, tuple[Spool, Staged]] = {}

    # --- the interface of sources -------------------------------------------------------------------

    def open(self, call: Call, format: AudioFormat) -> UUID:  # noqa: A002 - the word of the contract
        """Begin a recording; its bundle stands in the spool when this returns."""
        entry = self._begin(call, format)
        with self.lock:
            self._open[entry.id] = entry
            if self._policy.banked:
                self._describe_within(entry, SOON_S)
            else:
                self._save_metadata(entry)
        log.info("recording.opened", recording=str(entry.id), direction=call.direction)
        return entry.id

    @serial
    def write(self, block: Block) -> None:
        """Take audio; a jump ahead becomes silence, a step back or another format raises RecorderError.

        What is wrong with one recording harms no other: the rest of the block is taken, and then it raises.
        """
        if not block.recordings:
            return
        rows, now_s = Rows(block, self._open), self._monotonic()
        levels, inner = rows.levels(), rows.inner()
        end_bytes = inner.shape[1] // max(1, block.payload.shape[1]) * rows.final_samples
        for index, entry in rows.entries:
            if gap := rows.gaps[index]:
                self._take_silence(entry, gap)
            level = levels.get(index)
            if level is not None:
                entry.take_second(level)
            else:
                entry.measure(rows.frames(index))
            row = inner[index].data
            entry.ahead = bytes(row[end_bytes:])
            self._append(entry, row[:end_bytes])
            entry.is_unsafe = True
            self._flush_if_due(entry, now_s, self._patience_s)
        if rows.refused:
            raise refusal(rows.refused)

    @serial
    def event(self, recording: UUID, event: Event) -> None:
        """Note what happened in the call."""
        entry = self._entry(recording)
        entry.events.add(event)
        if isinstance(event, _PASSING):
            self._describe_within(entry, LATER_S)
        elif self._policy.banked:
            self._describe_within(entry, SOON_S)
        else:
            self._save_metadata(entry)

    def close(self, recording: UUID, end: EndReason) -> None:
        """End a recording; its bundle is complete and ready for the uploader when this returns."""
        with self.lock:
            entry = self._entry(recording)
            # From here on it is nobody else's.
            del self._open[recording]
            if entry.writer is not None:
                self._staged.pop(entry.writer, None)
        audio = self._finish_audio(entry)
        events = entry.own_events()
        verdict = None
        if entry.format is not None and entry.meter is not None:
            verdict = results.check(entry.meter.finish(), events, entry.format, self._policy.limits)
        reasons = results.reasons_of(entry.call, events, end, verdict, continues=entry.continues is not None)
        if audio is None:
            self._lost(entry, end, (_WRITE_FAILED, *reasons))
            return
        result = results.result_of(reasons)
        found = Outcome(end=end, result=result, reasons=reasons, audio=audio, verdict=verdict)
        self._complete(entry, found)

    def exempt(self, call: Call, end: EndReason, events: Sequence[Event] = ()) -> UUID:
        """Leave the trace of a call that is not recorded: a bundle without audio.

        One that should have been recorded, by its reasons, is `failed` and not `exempt`.
        """
        entry = self._begin(call, None, reasons=end.reasons)
        for event in events:
            entry.events.add(event)
        result = Result.FAILED if FAILURES & set(end.reasons) else Result.EXEMPT
        self._complete(entry, Outcome(end=end, result=result, reasons=end.reasons))
        return entry.id

    @serial
    def discard(self, recording: UUID, end: EndReason) -> None:
        """Turn an open recording into an exempt one: its audio is destroyed."""
        entry = self._entry(recording)
        del self._open[recording]
        if entry.writer is not None:
            entry.writer.abandon()
            self._staged.pop(entry.writer, None)
        for earlier in entry.earlier:
            # What an earlier disk has of the call is destroyed when it is there again.
            self._note_discarded(earlier, end)
        try:
            self._destroy(entry, end)
        except SpoolError as error:
            self._alarm(_WRITE_FAILED, f"recording {entry.id}: {error}")
            self._spools.distrust(entry.spool, error)
            self._note_discarded(entry.id, end)
            self._incomplete(entry, "its sound could not be destroyed; that is done at the next start")
            self._tell_finished(Result.FAILED)
            return
        entry.format, entry.samples, entry.first_sample, entry.ahead = None, 0, 0, b""
        self._complete(entry, Outcome(end=end, result=Result.EXEMPT, reasons=end.reasons))

    def _destroy(self, entry: Recording, end: EndReason) -> None:
        try:
            # First what is wanted, then the deed: a crash in between must not bring the sound back.
            self._binder.put_state(entry, Purpose.DISCARD, end.reasons)
        except SpoolError as error:
            if not error.full:
                raise
            # There is room for it once the sound is gone.
            entry.bundle.discard_audio()
            self._binder.put_state(entry, Purpose.DISCARD, end.reasons)
        else:
            entry.bundle.discard_audio()

    # --- the clock ----------------------------------------------------------------------------------

    @serial
    def tick(self) -> None:
        """Make safe what waits for it; called several times a second, as a source may fall silent."""
        now_s = self._monotonic()
        for entry in list(self._open.values()):
            self._flush_if_due(entry, now_s, self._policy.flush_s)
        for entry in [entry for entry in self._open.values() if entry.describe_at_s <= now_s]:
            if self._monotonic() > now_s + DESCRIBING_S:
                break
            self._save_metadata(entry)

    @serial
    def staged(self, spool: Spool) -> Mapping[SealedFile, Staged]:
        """Return how far the recordings in a spool have come: what a sync that begins now will make safe."""
        return {writer: how_far for writer, (where, how_far) in self._staged.items() if where is spool}

    @serial
    def synced(self, staged: Mapping[SealedFile, Staged]) -> None:
        """Note that a sync of all that was staged has ended well."""
        for writer, how_far in staged.items():
            if writer in self._staged:
                writer.synced(how_far)

    @serial
    def sync_failed(self, spool: Spool, error: SpoolError) -> None:
        """Take all recordings away from a spool whose sync failed."""
        for entry in [entry for entry in self._open.values() if entry.spool is spool]:
            if entry.writer is not None:
                entry.writer.abandon()
            self._disk_failed(entry, error)

    @property
    def running(self) -> int:
        """How many recordings are in the making."""
        return len(self._open)

    # --- beginning ----------------------------------------------------------------------------------

    def _begin(self, call: Call, form: AudioFormat | None, *, reasons: Sequence[str] = ()) -> Recording:
        """Begin in the first spool that takes it; SpoolError if none does."""
        refused: SpoolError | None = None
        for spool in self._spools.usable(with_sound=form is not None):
            recording = self._new_id()
            try:
                return self._begin_in(spool, recording, call, form, reasons=reasons)
            except SpoolError as error:
                if form is not None:
                    self._note_failed(recording, (_WRITE_FAILED,))
                log.error("recording.begin.failed", spool=str(spool.root), detail=str(error))  # noqa: TRY400
                self._alarm(_WRITE_FAILED, f"{spool.root}: {error}")
                self._spools.distrust(spool, error)
                refused = error
        raise refused or SpoolError("no spool takes a recording: each is full, or its disk has failed")

    def _new_id(self) -> UUID:
        return uuid7(int(self._now().timestamp() * 1000), self._random(10))

    def _begin_in(
        self,
        spool: Spool,
        recording: UUID,
        call: Call,
        form: AudioFormat | None,
        *,
        reasons: Sequence[str] = (),
        going_on: Recording | None = None,
        first_sample: int = 0,
    ) -> Recording:
        if form is not None:
            # Before anything of the call is on the disk: who takes away the rest can't take away this.
            self._ledger.note(Kind.OPENED, recording=recording)
        entry = Recording(
            id=recording,
            spool=spool,
            bundle=spool.begin(recording),
            call=call,
            opened_at=self._now() if going_on is None else going_on.time_of(first_sample),
            format=form,
            samples=first_sample,
            first_sample=first_sample,
            flushed_s=self._monotonic(),
            continues=None if going_on is None else going_on.place_of(first_sample),
        )
        self._binder.put_state(entry, Purpose.RECORD if form else Purpose.DISCARD, reasons)
        if form is not None:
            entry.meter = new_meter(form)
            entry.writer = SealedFile(
                entry.bundle.audio_path,
                self._recipients,
                banked=self._policy.banked,
                ahead_bytes=self._policy.ahead_bytes(form),
            )
            entry.writer.write(inner_header(form))
        return entry

    def _entry(self, recording: UUID) -> Recording:
        try:
            return self._open[recording]
        except KeyError:
            raise RecorderError(f"recording {recording} is not open") from None

    # --- sound --------------------------------------------------------------------------------------

    def _take_silence(self, entry: Recording, samples: int) -> None:
        if entry.format is not None:
            frames = silence(entry.format, samples)
            entry.measure(frames)
            entry.ahead = b""
            self._append(entry, au.to_bytes(frames))

    def _append(self, entry: Recording, inner: Buffer) -> None:
        """Write on in a recording's inner file; what is ahead is known already."""
        if entry.writer is None or entry.broken or not len(inner):
            return
        try:
            entry.writer.write(inner)
        except SpoolError as error:
            self._disk_failed(entry, error)

    @property
    def _patience_s(self) -> float:
        """How long what has come now may have to wait: blocks of a bank are as far apart as its flushes.

        One that came a little early would have to wait for the next, and be two blocks old by then.
        """
        return self._policy.flush_s / 2 if self._policy.banked else self._policy.flush_s

    def _flush_if_due(self, entry: Recording, now_s: float, after_s: float) -> None:
        if now_s - entry.flushed_s < after_s or entry.writer is None or entry.broken:
            return
        if not entry.is_unsafe:
            return
        entry.flushed_s, entry.is_unsafe = now_s, False
        try:
            if self._policy.banked:
                self._staged[entry.writer] = entry.spool, entry.writer.stage(entry.ahead)
            else:
                entry.writer.flush(entry.ahead)
        except SpoolError as error:
            self._disk_failed(entry, error)

    def _finish_audio(self, entry: Recording) -> SealedObject | None:
        """Close the sealed file; where its disk refuses, another one is tried once.

        What might have changed still, and has not come again, is as it is now.
        """
        if entry.ahead and entry.format is not None:
            last, entry.ahead = entry.ahead, b""
            entry.measure(frames_of(entry.format, last))
            self._append(entry, last)
        for _ in self._spools.all:
            if entry.writer is None or entry.broken:
                return None
            try:
                return entry.writer.close()
            except SpoolError as error:
                self._disk_failed(entry, error)
        return None

    # --- a disk that fails --------------------------------------------------------------------------

    def _disk_failed(self, entry: Recording, error: SpoolError) -> None:
        """Leave a recording whose disk refused as it is, say so, and go on in another spool if any is."""
        log.error("recording.write.failed", recording=str(entry.id), detail=str(error))
        self._alarm(_WRITE_FAILED, f"recording {entry.id}: {error}")
        self._spools.distrust(entry.spool, error)
        entry.broken = True
        if entry.writer is None or entry.format is None:
            return
        entry.writer.abandon()
        self._staged.pop(entry.writer, None)
        for spool in self._spools.usable(other_than=entry.spool):
            recording = self._new_id()
            try:
                self._go_on(entry, entry.format, entry.writer.rescue(), spool, recording)
            except SpoolError as second:
                self._note_failed(recording, (_WRITE_FAILED,))
                # Some of the sound may lie there: whoever destroys the call's sound means that too.
                entry.earlier = (*entry.earlier, recording)
                log.error("recording.go-on.failed", recording=str(entry.id), detail=str(second))  # noqa: TRY400
                self._alarm(_WRITE_FAILED, f"recording {entry.id}: {second}")
                self._spools.distrust(spool, second)
            else:
                return

    def _go_on(
        self, entry: Recording, form: AudioFormat, rescue: Rescue, spool: Spool, recording: UUID
    ) -> None:
        """Turn a broken recording into one that goes on in another spool; its sources notice nothing."""
        first = entry.first_sample + frames_before(form, rescue.start_bytes)
        fresh = self._begin_in(spool, recording, entry.call, form, going_on=entry, first_sample=first)
        inner = rescue.plaintext[au.HEADER_BYTES :] if rescue.start_bytes == 0 else rescue.plaintext
        fresh.measure_first(frames_of(form, inner))
        fresh.events = entry.events
        with contextlib.ExitStack() as undo:
            if fresh.writer is not None:
                undo.callback(fresh.writer.abandon)
                fresh.writer.write(inner)
                fresh.writer.flush(entry.ahead)
            self._binder.save_metadata(fresh)
            fresh.described = True
            undo.pop_all()
        self._note_failed(entry.id, (_WRITE_FAILED,))
        log.warning("recording.goes-on", recording=str(entry.id), as_=str(fresh.id), spool=str(spool.root))
        entry.go_on_as(fresh)

    def _lost(self, entry: Recording, end: EndReason, reasons: tuple[str, ...]) -> None:
        """End a recording that can't be completed now: what was written stays for the next recovery."""
        reasons = tuple(dict.fromkeys(reasons))
        self._note_failed(entry.id, reasons)
        with contextlib.suppress(SealError):  # the disk may well refuse this too
            self._binder.describe(entry, Outcome(end=end, result=Result.FAILED, reasons=reasons))
        self._incomplete(entry, "not finished; it stays in open/ and is recovered at the next start")
        self._tell_finished(Result.FAILED)
        log.info("recording.closed", recording=str(entry.id), result="failed", reasons=list(reasons))

    def _note_discarded(self, recording: UUID, end: EndReason) -> None:
        """Tell the ledger that no recovery may bring the sound of a recording back."""
        self._ledger.note(
            Kind.DISCARDED, recording=recording, result=Result.EXEMPT.value, reasons=end.reasons
        )

    def _note_failed(self, recording: UUID, reasons: tuple[str, ...]) -> None:
        self._ledger.note(Kind.FAILED, recording=recording, result=Result.FAILED.value, reasons=reasons)

    # --- words and papers ---------------------------------------------------------------------------

    def _describe_within(self, entry: Recording, seconds: float) -> None:
        at_s = max(self._monotonic() + seconds, entry.described_s + AGAIN_S)
        entry.describe_at_s = min(entry.describe_at_s, at_s)

    def _save_metadata(self, entry: Recording) -> None:
        entry.describe_at_s, entry.described_s = math.inf, self._monotonic()
        if entry.broken:
            return
        try:
            # A power cut may take what is first written at a gateway, as it takes the sound of that moment.
            self._binder.save_metadata(entry, sync=entry.described or not self._policy.banked)
            entry.described = True
        except SealError as error:
            if isinstance(error, SpoolError) and next(self._spools.usable(other_than=entry.spool), None):
                self._disk_failed(entry, error)
                return
            # The sound goes on: the vCon is sealed anew at the next change, and at the end.
            log.error("recording.metadata.failed", recording=str(entry.id), detail=str(error))  # noqa: TRY400
            self._alarm(_WRITE_FAILED, f"recording {entry.id}: {error}")

    def _complete(self, entry: Recording, found: Outcome) -> None:
        result = found.result
        try:
            self._binder.complete(entry, found)
        except SealError as error:
            if isinstance(error, SpoolError):
                self._spools.distrust(entry.spool, error)
            self._incomplete(entry, f"{error}; what was begun is carried on at the next start")
            result = Result.FAILED
        self._tell_finished(result)
        log.info(
            "recording.closed", recording=str(entry.id), result=result.value, reasons=list(found.reasons)
        )

    def _tell_finished(self, result: Result) -> None:
        with self.lock:
            self._finished(result)

    def _incomplete(self, entry: Recording, words: str) -> None:
        log.error("recording.incomplete", recording=str(entry.id), detail=words)
        self._alarm(_WRITE_FAILED, f"recording {entry.id}: {words}")
