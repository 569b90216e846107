"""The recorder: owns a call from its first sample to a bundle that is ready to be sent.

Shell: it writes the spool, through the sealed writer; no plaintext leaves this process. All its methods
are called from one thread. A disk that refuses does not stop a call: what can't be written is alarmed at
once; a recording whose sound can't be written ends as `failed`. Only `open` and `exempt` raise SpoolError,
where not even the recording's folder can be made.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import numpy as np
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from callseal.agent import metadata
from callseal.agent.call import (
    Answered,
    AudioFormat,
    Block,
    Call,
    Disclosure,
    DisclosureFailed,
    EndReason,
    Event,
    MediaLost,
)
from callseal.agent.checks import Limits, Verdict, judge
from callseal.agent.errors import RecorderError
from callseal.codecs import au, g711
from callseal.codecs.level import LevelMeter, clip_threshold
from callseal.seal import manifest as mf
from callseal.seal.age import Recipient, fingerprint
from callseal.seal.errors import SealError, SpoolError
from callseal.seal.manifest import Direction, Manifest, ManifestObject, Origin, Result, object_name
from callseal.seal.spool import AUDIO_NAME, VCON_NAME, OpenBundle, Spool
from callseal.seal.uuid7 import uuid7
from callseal.seal.vcon import sign_vcon
from callseal.seal.writer import SealedFile, SealedObject, seal_bytes

CHANNELS: Final = 2
MAX_GAP_S: Final = 3600
"""The longest jump ahead that is filled with silence; a longer one is a source's mistake."""

Frames = NDArray[np.uint8] | NDArray[np.int16]
"""Shape (samples, 2): G.711 codes or linear samples."""

_FAILURES: Final = frozenset({"write-failed", "no-media", "bridge-died"})

log = structlog.get_logger("callseal.recorder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """This device's name and key, and the certificates that vouch for it (DER, leaf first)."""

    device: str
    key: Ed25519PrivateKey
    chain: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the settings say that concerns every recording."""

    site: str
    stores: tuple[str, ...]
    flush_s: float
    limits: Limits
    software: str


@dataclass(slots=True, kw_only=True)
class _Recording:
    """A recording in the making."""

    bundle: OpenBundle
    call: Call
    opened_at: datetime
    format: AudioFormat | None = None
    writer: SealedFile | None = None
    meters: tuple[LevelMeter, ...] = ()
    samples: int = 0
    flushed_s: float = 0.0
    events: list[Event] = field(default_factory=list)
    broken: bool = False

    @property
    def audio_start(self) -> datetime:
        """Wall time of the first sample, by the answer where there is one."""
        for event in self.events:
            if isinstance(event, Answered) and self.format is not None:
                return event.at - timedelta(seconds=event.position_samples / self.format.rate_hz)
        return self.opened_at


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What became of a recording."""

    end: EndReason
    result: Result
    reasons: tuple[str, ...]
    audio: SealedObject | None = None
    verdict: Verdict | None = None


class SpoolRecorder:
    """Recordings into a spool."""

    def __init__(
        self,
        *,
        spool: Spool,
        recipients: Sequence[Recipient],
        signer: Signer,
        policy: Policy,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        random: Callable[[int], bytes],
        alarm: Callable[[str, str], None],
        finished: Callable[[Result], None],
    ) -> None:
        """`alarm` takes a code and words; `finished` hears of every result."""
        self._spool = spool
        self._recipients = tuple(recipients)
        self._signer = signer
        self._policy = policy
        self._now = now
        self._monotonic = monotonic
        self._random = random
        self._alarm = alarm
        self._finished = finished
        self._open: dict[UUID, _Recording] = {}

    # --- the interface of sources -------------------------------------------------------------------

    def open(self, call: Call, format: AudioFormat) -> UUID:  # noqa: A002 - the word of the contract
        """Begin a recording; its bundle stands in the spool when this returns."""
        recording, entry = self._begin(call)
        entry.format = format
        clip_at = clip_threshold(_largest(format.encoding.law))
        entry.meters = tuple(LevelMeter(format.rate_hz, clip_at) for _ in range(CHANNELS))
        entry.flushed_s = self._monotonic()
        with self._disk(entry):
            entry.writer = SealedFile(entry.bundle.audio_path, self._recipients)
            header = au.AuHeader(encoding=format.encoding, rate_hz=format.rate_hz, channels=CHANNELS)
            entry.writer.write(bytes(header))
        self._save_metadata(recording, entry)
        log.info("recording.opened", recording=str(recording), direction=call.direction)
        return recording

    def write(self, block: Block) -> None:
        """Take audio; a jump ahead becomes silence, a step back or another format raises RecorderError."""
        for index, recording in enumerate(block.recordings):
            entry = self._entry(recording)
            if entry.format is None:
                raise RecorderError(f"recording {recording} has no audio")
            gap = int(block.start_samples[index]) - entry.samples
            if not 0 <= gap <= MAX_GAP_S * entry.format.rate_hz:
                raise RecorderError(
                    f"recording {recording}: audio for sample {int(block.start_samples[index])}, "
                    f"but {entry.samples} is the next"
                )
            wanted = np.int16 if entry.format.encoding.law is None else np.uint8
            if block.payload.dtype != wanted:
                raise RecorderError(
                    f"recording {recording}: samples are {block.payload.dtype}, "
                    f"its format has {wanted.__name__}"
                )
            if gap:
                self._append(entry, _silence(entry.format, gap))
            self._append(entry, block.payload[index])

    def event(self, recording: UUID, event: Event) -> None:
        """Note what happened in the call."""
        entry = self._entry(recording)
        entry.events.append(event)
        self._save_metadata(recording, entry)

    def close(self, recording: UUID, end: EndReason) -> None:
        """End a recording; its bundle is complete and ready for the uploader when this returns."""
        entry = self._entry(recording)
        del self._open[recording]
        audio: SealedObject | None = None
        with self._disk(entry):
            if entry.writer is not None and not entry.broken:
                audio = entry.writer.close()
        verdict = self._judge(entry)
        reasons = list(end.reasons)
        reasons += _disclosure_faults(entry)
        reasons += list(verdict.reasons) if verdict is not None else []
        if any(isinstance(event, MediaLost) for event in entry.events):
            reasons.append("media-lost")
        if audio is None:
            reasons.insert(0, "write-failed")
        harmless = [reason for reason in reasons if reason.startswith("unanswered-")]
        result = Result.OK if len(harmless) == len(reasons) else Result.DEGRADED
        if audio is None:
            result = Result.FAILED
        found = _Outcome(
            end=end, result=result, reasons=tuple(dict.fromkeys(reasons)), audio=audio, verdict=verdict
        )
        self._complete(recording, entry, found)

    def exempt(self, call: Call, end: EndReason, events: Sequence[Event] = ()) -> UUID:
        """Leave the trace of a call that is not recorded: a bundle without audio.

        One that should have been recorded, by its reasons, is `failed` and not `exempt`.
        """
        recording, entry = self._begin(call)
        del self._open[recording]
        entry.events += events
        result = Result.FAILED if _FAILURES & set(end.reasons) else Result.EXEMPT
        self._complete(recording, entry, _Outcome(end=end, result=result, reasons=end.reasons))
        return recording

    def discard(self, recording: UUID, end: EndReason) -> None:
        """Turn an open recording into an exempt one: its audio is destroyed."""
        entry = self._entry(recording)
        del self._open[recording]
        if entry.writer is not None:
            entry.writer.abandon()
        # Audio that can't be removed keeps the bundle out of ready/: `complete` knows no such object.
        with self._disk(entry):
            entry.bundle.discard_audio()
        entry.format, entry.samples = None, 0
        self._complete(recording, entry, _Outcome(end=end, result=Result.EXEMPT, reasons=end.reasons))

    # --- inside -------------------------------------------------------------------------------------

    def _begin(self, call: Call) -> tuple[UUID, _Recording]:
        now = self._now()
        recording = uuid7(int(now.timestamp() * 1000), self._random(10))
        entry = _Recording(bundle=self._spool.begin(recording), call=call, opened_at=now)
        self._open[recording] = entry
        return recording, entry

    def _entry(self, recording: UUID) -> _Recording:
        try:
            return self._open[recording]
        except KeyError:
            raise RecorderError(f"recording {recording} is not open") from None

    def _append(self, entry: _Recording, frames: Frames) -> None:
        if entry.format is None:
            return
        law = entry.format.encoding.law
        samples = frames if law is None else g711.decode(frames.astype(np.uint8, copy=False), law)
        for channel, meter in enumerate(entry.meters):
            meter.feed(samples[:, channel].astype(np.int16, copy=False))
        entry.samples += frames.shape[0]
        if entry.writer is None or entry.broken:
            return
        with self._disk(entry):
            entry.writer.write(au.to_bytes(frames))
            now_s = self._monotonic()
            if now_s - entry.flushed_s >= self._policy.flush_s:
                entry.flushed_s = now_s
                entry.writer.flush()

    def _disk(self, entry: _Recording) -> "_Guard":
        return _Guard(self, entry)

    def disk_failed(self, entry: _Recording, error: SpoolError) -> None:
        """Note that a recording's file can't be written any more, and say so at once."""
        entry.broken = True
        log.error("recording.write.failed", recording=str(entry.bundle.id), detail=str(error))
        self._alarm("write-failed", f"recording {entry.bundle.id}: {error}")

    def _save_metadata(self, recording: UUID, entry: _Recording) -> None:
        if entry.broken:
            return
        try:
            self._seal_vcon(self._facts(recording, entry), entry)
        except SealError as error:
            # The sound goes on: the vCon is sealed anew at the next change, and at the end.
            log.error("recording.metadata.failed", recording=str(recording), detail=str(error))  # noqa: TRY400
            self._alarm("write-failed", f"recording {recording}: {error}")

    def _facts(self, recording: UUID, entry: _Recording) -> metadata.Facts:
        audio = None
        if entry.format is not None:
            audio = metadata.Audio(
                start=entry.audio_start, duration_samples=entry.samples, rate_hz=entry.format.rate_hz
            )
        return metadata.Facts(
            recording=recording,
            created_at=self._now(),
            device=self._signer.device,
            site=self._policy.site,
            call=entry.call,
            events=tuple(entry.events),
            audio=audio,
            end=None,
            result="",
            reasons=(),
            verdict=None,
        )

    def _seal_vcon(self, facts: metadata.Facts, entry: _Recording) -> SealedObject:
        signed = sign_vcon(metadata.describe(facts), self._signer.key, self._signer.chain)
        return seal_bytes(entry.bundle.vcon_path, signed, self._recipients)

    def _judge(self, entry: _Recording) -> Verdict | None:
        if entry.format is None:
            return None
        answered = next((e.position_samples for e in entry.events if isinstance(e, Answered)), None)
        announced = [
            (event.start_samples, event.end_samples)
            for event in entry.events
            if isinstance(event, Disclosure)
            and event.start_samples is not None
            and event.end_samples is not None
        ]
        return judge(
            [meter.finish() for meter in entry.meters],
            rate_hz=entry.format.rate_hz,
            answered_samples=answered,
            announced=announced,
            limits=self._policy.limits,
        )

    def _complete(self, recording: UUID, entry: _Recording, found: _Outcome) -> None:
        audio, result = found.audio, found.result
        facts = dataclasses.replace(
            self._facts(recording, entry),
            end=found.end,
            result=result.value,
            reasons=found.reasons,
            verdict=found.verdict,
        )
        objects: list[ManifestObject] = []
        names: dict[str, str] = {}
        if audio is not None and facts.audio is not None:
            name = object_name("audio", audio.sha256)
            described = dataclasses.replace(
                facts.audio, object_name=name, plaintext_sha512=audio.plaintext_sha512
            )
            facts = dataclasses.replace(facts, audio=described)
            objects.append(_object(name, audio))
            names[AUDIO_NAME] = name
        try:
            sealed = self._seal_vcon(facts, entry)
            if audio is None and entry.writer is not None and result is Result.FAILED:
                # What was written has no end and no hash: it stays where recovery will look for it.
                self._incomplete(recording, "its sound could not be finished; it stays in open/")
            else:
                name = object_name("call", sealed.sha256)
                objects.append(_object(name, sealed))
                names[VCON_NAME] = name
                manifest = self._manifest(recording, entry, found, tuple(objects))
                signature = mf.sign(manifest.to_bytes(), self._signer.key)
                entry.bundle.complete(manifest, signature, names)
        except SealError as error:
            self._incomplete(recording, str(error))
            result = Result.FAILED
        self._finished(result)
        log.info(
            "recording.closed", recording=str(recording), result=result.value, reasons=list(found.reasons)
        )

    def _incomplete(self, recording: UUID, words: str) -> None:
        log.error("recording.incomplete", recording=str(recording), detail=words)
        self._alarm("write-failed", f"recording {recording}: {words}")

    def _manifest(
        self,
        recording: UUID,
        entry: _Recording,
        found: _Outcome,
        objects: tuple[ManifestObject, ...],
    ) -> Manifest:
        call, form = entry.call, entry.format
        return Manifest(
            id=recording,
            device=self._signer.device,
            site=self._policy.site,
            source=call.source,
            origin=Origin.LIVE,
            direction=Direction(call.direction),
            started_at=call.started_at,
            ended_at=max(found.end.at, call.started_at),
            duration_samples=entry.samples,
            rate_hz=None if form is None else form.rate_hz,
            encoding=None if form is None else form.encoding.value,
            business_type=call.business,
            retention_class=call.retention_class or None,
            stores=self._policy.stores,
            result=found.result,
            reasons=found.reasons,
            recipients=tuple(fingerprint(recipient) for recipient in self._recipients),
            objects=objects,
            ledger=None,
            software=self._policy.software,
            x5c=self._signer.chain,
        )


class _Guard:
    """Turns an error of the spool into a broken recording, once."""

    def __init__(self, recorder: SpoolRecorder, entry: _Recording) -> None:
        self._recorder = recorder
        self._entry = entry

    def __enter__(self) -> None:
        """Begin to touch the disk."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, SpoolError):
            self._recorder.disk_failed(self._entry, error)
            return True
        return False


def _object(name: str, sealed: SealedObject) -> ManifestObject:
    return ManifestObject(
        name=name,
        size_bytes=sealed.size_bytes,
        sha256=sealed.sha256,
        plaintext_sha512=sealed.plaintext_sha512,
    )


def _largest(law: g711.Law | None) -> int:
    """Give the largest magnitude that a party's coding can express.

    Linear recordings hold what came in two laws: the one that reaches less far counts for both.
    """
    laws = tuple(g711.Law) if law is None else (law,)
    return min(int(g711.decode(np.arange(256, dtype=np.uint8), each).max()) for each in laws)


def _silence(form: AudioFormat, samples: int) -> Frames:
    law = form.encoding.law
    if law is None:
        return np.zeros((samples, CHANNELS), np.int16)
    return np.full((samples, CHANNELS), g711.silence(law), np.uint8)


def _disclosure_faults(entry: _Recording) -> list[str]:
    """Say what is wrong with the announcements of an answered call that owed some."""
    answered = any(isinstance(event, Answered) for event in entry.events)
    if not answered or not entry.call.announcements:
        return []
    if any(isinstance(event, DisclosureFailed) for event in entry.events):
        return ["disclosure-failed"]
    heard = [event for event in entry.events if isinstance(event, Disclosure)]
    whole = {event.name for event in heard if event.complete and len(event.heard_by) == CHANNELS}
    if whole >= set(entry.call.announcements):
        return []
    begun = any(event.start_samples is not None for event in heard)
    return ["disclosure-incomplete" if begun else "disclosure-missing"]
