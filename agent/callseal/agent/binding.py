"""Binds a recording: describes it as a vCon, seals that, writes the manifest, and tells the ledger.

Shell: it writes the spool. All methods raise SealError, most of them SpoolError: what that means for the call
is the recorder's to say.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from callseal.agent import metadata
from callseal.agent.call import AudioFormat, Call, EndReason
from callseal.agent.checks import Limits, Verdict
from callseal.agent.chronicle import Ledger
from callseal.agent.recording import CHANNELS, Recording
from callseal.seal.age import Recipient, fingerprint
from callseal.seal.device import DeviceSigner
from callseal.seal.manifest import Direction, Manifest, ManifestObject, Origin, Result, object_name
from callseal.seal.recovery import end_kind
from callseal.seal.state import Purpose, RecordingState
from callseal.seal.vcon import sign_vcon
from callseal.seal.writer import SealedObject, seal_bytes

AUDIO: Final = "audio"
CALL: Final = "call"
TENTATIVE_S: Final = 3
"""The most sound in a bank that may still change: a second, how late it is closed, how seldom one looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the settings say that concerns every recording."""

    site: str
    stores: Callable[[Call, Result], tuple[str, ...]]
    """Which stores a recording of this call, with this result, is meant for."""
    flush_s: float
    limits: Limits
    software: str
    banked: bool = False
    """Whether all recordings are synced at once, by who calls `staged` and `synced`, not each by itself."""
    tentative_s: float | None = None
    """How much sound may still change as it is handed in; None: none at a desk, `TENTATIVE_S` in a bank."""

    def ahead_bytes(self, form: AudioFormat) -> int:
        """Return how many bytes of the inner file that are."""
        seconds = self.tentative_s
        if seconds is None:
            seconds = TENTATIVE_S if self.banked else 0
        return round(seconds * form.rate_hz) * form.encoding.sample_bytes * CHANNELS


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a recording."""

    end: EndReason
    result: Result
    reasons: tuple[str, ...]
    audio: SealedObject | None = None
    verdict: Verdict | None = None


class Binder:
    """Writes what belongs to a recording besides its sound."""

    def __init__(
        self,
        *,
        recipients: Sequence[Recipient],
        signer: DeviceSigner,
        policy: Policy,
        ledger: Ledger,
        now: Callable[[], datetime],
    ) -> None:
        self._recipients = tuple(recipients)
        self._signer = signer
        self._policy = policy
        self._ledger = ledger
        self._now = now
        # A post-quantum recipient has two thousand characters: at each call that would be most of the work.
        self._fingerprints = tuple(map(fingerprint, recipients))

    def put_state(
        self, entry: Recording, purpose: Purpose = Purpose.RECORD, reasons: Sequence[str] = ()
    ) -> None:
        """Write down what a recovery would have to know."""
        call, form = entry.call, entry.format
        entry.bundle.put_state(
            RecordingState(
                id=entry.id,
                device=self._signer.device,
                site=self._policy.site,
                source=call.source,
                origin=Origin.LIVE,
                direction=Direction(call.direction),
                started_at=call.started_at,
                opened_at=entry.audio_start,
                rate_hz=None if form is None else form.rate_hz,
                encoding=None if form is None else form.encoding.value,
                business_type=call.business,
                retention_class=call.retention_class or None,
                # What a crash leaves is at best degraded.
                stores=self._policy.stores(call, Result.DEGRADED),
                recipients=self._fingerprints,
                software=self._policy.software,
                purpose=purpose,
                reasons=tuple(reasons),
                continues=entry.continues,
            )
        )

    def save_metadata(self, entry: Recording, *, sync: bool = True) -> None:
        """Seal what is known so far, in place of what was known; `sync` as in `durable.replace_file`."""
        self._seal_vcon(entry, self._facts(entry), sync=sync)

    def describe(self, entry: Recording, found: Outcome) -> SealedObject:
        """Seal what the recording came to, in place of what was known before."""
        facts = dataclasses.replace(
            self._facts(entry),
            end=found.end,
            result=found.result.value,
            reasons=found.reasons,
            verdict=found.verdict,
        )
        if found.audio is not None and facts.audio is not None:
            described = dataclasses.replace(
                facts.audio,
                object_name=_object(AUDIO, found.audio).name,
                plaintext_sha512=found.audio.plaintext_sha512,
            )
            facts = dataclasses.replace(facts, audio=described)
        return self._seal_vcon(entry, facts)

    def complete(self, entry: Recording, found: Outcome) -> None:
        """Make the recording complete, note its end, and move it to ``ready/``.

        Whatever ends this early, a power cut too, is carried on by the next recovery.
        """
        objects = [] if found.audio is None else [_object(AUDIO, found.audio)]
        objects.append(_object(CALL, self.describe(entry, found)))
        manifest = self._manifest(entry, found, tuple(objects))
        entry.bundle.bind(manifest, self._signer.sign(manifest))
        self._ledger.note(
            end_kind(manifest, opened=self._ledger.is_open(entry.id)),
            recording=entry.id,
            manifest=hashlib.sha256(manifest.to_bytes()).digest(),
            result=manifest.result.value,
            reasons=manifest.reasons,
        )
        entry.bundle.release()

    def _facts(self, entry: Recording) -> metadata.Facts:
        audio = None
        if entry.format is not None:
            audio = metadata.Audio(
                start=entry.audio_start, duration_samples=entry.own_samples, rate_hz=entry.format.rate_hz
            )
        return metadata.Facts(
            recording=entry.id,
            created_at=self._now(),
            device=self._signer.device,
            site=self._policy.site,
            call=entry.call,
            events=entry.own_events(),
            unlisted=entry.events.unlisted,
            audio=audio,
            end=None,
            result="",
            reasons=(),
            verdict=None,
            continues=entry.continues,
        )

    def _seal_vcon(self, entry: Recording, facts: metadata.Facts, *, sync: bool = True) -> SealedObject:
        signed = sign_vcon(metadata.describe(facts), self._signer.key, self._signer.chain)
        return seal_bytes(entry.bundle.vcon_path, signed, self._recipients, sync=sync)

    def _manifest(self, entry: Recording, found: Outcome, objects: tuple[ManifestObject, ...]) -> Manifest:
        call, form = entry.call, entry.format
        return Manifest(
            id=entry.id,
            device=self._signer.device,
            site=self._policy.site,
            source=call.source,
            origin=Origin.LIVE,
            direction=Direction(call.direction),
            started_at=call.started_at,
            ended_at=max(found.end.at, call.started_at),
            duration_samples=entry.own_samples,
            rate_hz=None if form is None else form.rate_hz,
            encoding=None if form is None else form.encoding.value,
            business_type=call.business,
            retention_class=call.retention_class or None,
            stores=self._policy.stores(call, found.result),
            result=found.result,
            reasons=found.reasons,
            recipients=self._fingerprints,
            objects=objects,
            ledger=self._ledger.place,
            software=self._policy.software,
            x5c=self._signer.chain,
        )


def _object(kind: str, sealed: SealedObject) -> ManifestObject:
    return ManifestObject(
        name=object_name(kind, sealed.sha256),
        size_bytes=sealed.size_bytes,
        sha256=sealed.sha256,
        plaintext_sha512=sealed.plaintext_sha512,
    )
