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
from callseal.agent.opener import WRITE_FAILED, Opener
from callseal.agent.recording import Recording
from callseal.agent.rows import Rows, refusal
from callseal.agent.serial import serial
from callseal.agent.sound_keeper import SoundKeeper
from callseal.agent.spools import Spools
from callseal.seal.age import Recipient
from callseal.seal.device import DeviceSigner
from callseal.seal.errors import SealError, SpoolError
from callseal.seal.ledger.entry import Kind
from callseal.seal.manifest import Result
from callseal.seal.reasons import FAILURES
from callseal.seal.spool import Spool
from callseal.seal.state import Purpose
from callseal.seal.writer import SealedFile, Staged

SOON_S: Final = 0.5
"""At a gateway: how long news of a call wait for what comes with them, an answer and documents for one."""
AGAIN_S: Final = 3.0
"""At a gateway: how long after one sealing of what is known the next one comes at the earliest."""
LATER_S: Final = 30.0
"""How long such news wait as come all the time, and of which the sound itself tells most."""
DESCRIBING_S: Final = 0.05
"""How long news are sealed in one tick, of some hundred calls: a source waits for it."""

_PASSING: Final = (Gap, Digit, Held, CodecChanged, StreamReport)

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
        self._policy = policy
        self._binder = Binder(recipients=recipients, signer=signer, policy=policy, ledger=ledger, now=now)
        self._opener = Opener(
            spools=spools,
            ledger=ledger,
            binder=self._binder,
            recipients=recipients,
            policy=policy,
            now=now,
            monotonic=monotonic,
            random=random,
            alarm=alarm,
        )
        self._sound = SoundKeeper(
            spools=spools, opener=self._opener, binder=self._binder, policy=policy, alarm=alarm
        )
        self._monotonic = monotonic
        self._alarm = alarm
        self._finished = finished
        self._open: dict[UUID, Recording] = {}

    # --- the interface of sources -------------------------------------------------------------------

    def open(self, call: Call, format: AudioFormat) -> UUID:  # noqa: A002 - the word of the contract
        """Begin a recording; its bundle stands in the spool when this returns."""
        entry = self._opener.open(call, format)
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
                self._sound.append_silence(entry, gap)
            level = levels.get(index)
            if level is not None:
                entry.take_second(level)
            else:
                entry.measure(rows.frames(index))
            row = inner[index].data
            entry.ahead = bytes(row[end_bytes:])
            self._sound.append(entry, row[:end_bytes])
            entry.is_unsafe = True
            self._sound.flush_if_due(entry, now_s, self._sound.patience_s)
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
            self._sound.unstage(entry)
        audio = self._sound.finish(entry)
        events = entry.own_events()
        verdict = None
        if entry.format is not None and entry.meter is not None:
            verdict = results.check(entry.meter.finish(), events, entry.format, self._policy.limits)
        reasons = results.reasons_of(entry.call, events, end, verdict, continues=entry.continues is not None)
        if audio is None:
            self._lost(entry, end, (WRITE_FAILED, *reasons))
            return
        result = results.result_of(reasons)
        found = Outcome(end=end, result=result, reasons=reasons, audio=audio, verdict=verdict)
        self._complete(entry, found)

    def exempt(self, call: Call, end: EndReason, events: Sequence[Event] = ()) -> UUID:
        """Leave the trace of a call that is not recorded: a bundle without audio.

        One that should have been recorded, by its reasons, is `failed` and not `exempt`.
        """
        entry = self._opener.open(call, None, reasons=end.reasons)
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
            self._sound.unstage(entry)
        for earlier in entry.earlier:
            # What an earlier disk has of the call is destroyed when it is there again.
            self._note_discarded(earlier, end)
        try:
            self._destroy(entry, end)
        except SpoolError as error:
            self._alarm(WRITE_FAILED, f"recording {entry.id}: {error}")
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
            self._sound.flush_if_due(entry, now_s, self._policy.flush_s)
        for entry in [entry for entry in self._open.values() if entry.describe_at_s <= now_s]:
            if self._monotonic() > now_s + DESCRIBING_S:
                break
            self._save_metadata(entry)

    @serial
    def staged(self, spool: Spool) -> Mapping[SealedFile, Staged]:
        """Return how far the recordings in a spool have come: what a sync that begins now will make safe."""
        return self._sound.staged(spool)

    @serial
    def synced(self, staged: Mapping[SealedFile, Staged]) -> None:
        """Note that a sync of all that was staged has ended well."""
        self._sound.synced(staged)

    @serial
    def sync_failed(self, spool: Spool, error: SpoolError) -> None:
        """Take all recordings away from a spool whose sync failed."""
        for entry in [entry for entry in self._open.values() if entry.spool is spool]:
            if entry.writer is not None:
                entry.writer.abandon()
            self._sound.disk_failed(entry, error)

    @property
    def running(self) -> int:
        """How many recordings are in the making."""
        return len(self._open)

    def _entry(self, recording: UUID) -> Recording:
        try:
            return self._open[recording]
        except KeyError:
            raise RecorderError(f"recording {recording} is not open") from None

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
                self._sound.disk_failed(entry, error)
                return
            # The sound goes on: the vCon is sealed anew at the next change, and at the end.
            log.error("recording.metadata.failed", recording=str(entry.id), detail=str(error))  # noqa: TRY400
            self._alarm(WRITE_FAILED, f"recording {entry.id}: {error}")

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

    def _lost(self, entry: Recording, end: EndReason, reasons: tuple[str, ...]) -> None:
        """End a recording that can't be completed now: what was written stays for the next recovery."""
        reasons = tuple(dict.fromkeys(reasons))
        self._opener.note_failed(entry.id, reasons)
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

    def _tell_finished(self, result: Result) -> None:
        with self.lock:
            self._finished(result)

    def _incomplete(self, entry: Recording, words: str) -> None:
        log.error("recording.incomplete", recording=str(entry.id), detail=words)
        self._alarm(WRITE_FAILED, f"recording {entry.id}: {words}")
