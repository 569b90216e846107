"""Recovery: what an agent that died left open is completed with what was safe, by public keys alone.

::

    manifest there, and fits    ─────────────▶ what was begun is carried on
    state says discard          ─────────────▶ audio destroyed, exempt
    audio.age, tail             ── cut, cut out ──▶ degraded: recovered (failed, where there is no sound)
    opened in the ledger, nothing there ─────▶ failed: recovered

Nothing is decrypted: the sealed file is cut behind its last whole chunk, and the whole slot of the tail by
which it goes on farthest becomes an object of its own; where that slot begins earlier, the file is cut there.
A recording that has no metadata yet gets a vCon that says so. Every step may be the last: run again, recovery
carries on and doubles nothing.

Conventions: called at an agent's start, before the first call, with the spool locked and the ledger open; or
later, for recordings whose process has ended, and for these alone.
What can't be recovered for now stays where it is and is told, and stops no other recording. A file without a
single byte counts as none: a power cut leaves it of what was not yet on the disk, where a bank is synced.
"""

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

from cryptography.exceptions import InvalidSignature

from callseal.codecs import au
from callseal.seal import durable
from callseal.seal import manifest as mf
from callseal.seal.age import CHUNK_SIZE_BYTES, SEALED_CHUNK_SIZE_BYTES, Recipient, fingerprint, read_header
from callseal.seal.device import DeviceSigner
from callseal.seal.durable import Step, no_step
from callseal.seal.errors import ManifestError, RemoteError, SealError, SpoolError
from callseal.seal.ledger.entry import Kind
from callseal.seal.manifest import (
    MANIFEST_NAME,
    SIGNATURE_NAME,
    SIGNATURE_SIZE_BYTES,
    Direction,
    LedgerPlace,
    Manifest,
    ManifestObject,
    Origin,
    Result,
    object_name,
)
from callseal.seal.reasons import FAILURES
from callseal.seal.spool import (
    TAIL_KEY_NAME,
    TAIL_NAME,
    TAIL_OBJECT_NAME,
    VCON_NAME,
    WORKING_NAMES,
    Bundle,
    OpenBundle,
    Spool,
)
from callseal.seal.state import MAX_SIZE_BYTES, STATE_NAME, Purpose, RecordingState, parse_state
from callseal.seal.tail import MAX_TAIL_BYTES, Slot, choose_slot, read_slots
from callseal.seal.vcon import Dialog, DialogType, Party, Vcon, sign_vcon
from callseal.seal.writer import seal_bytes

RECOVERED: Final = "recovered"
_NONCE_SIZE_BYTES: Final = 16
_BLOCK_SIZE_BYTES: Final = 1024 * 1024
_FRAME_SIZE_BYTES: Final = {1: 2, 27: 2, 3: 4}
_AU_HEADER_SIZE_BYTES: Final = au.HEADER_BYTES
_UNKNOWN: Final = "unknown"


class Ledger(Protocol):
    """What recovery needs of the device's ledger."""

    @property
    def place(self) -> LedgerPlace | None:
        """The newest entry."""

    def is_open(self, recording: UUID) -> bool:
        """Tell whether a recording was opened and has no end."""

    def open_recordings(self) -> Iterable[UUID]:
        """Return the recordings that were opened and have no end."""

    def is_discarded(self, recording: UUID) -> bool:
        """Tell whether a recording's sound was to be destroyed."""

    def manifest_of(self, recording: UUID) -> bytes | None:
        """Return the hash of the manifest that the recording's last end names, None without one."""

    def note(
        self,
        kind: Kind,
        *,
        recording: UUID | None = None,
        manifest: bytes | None = None,
        result: str | None = None,
        reasons: Sequence[str] = (),
    ) -> None:
        """Add an entry, durable when this returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What became of one recording."""

    id: UUID
    result: Result
    duration_s: float
    carried_on: bool
    """Whether it had been complete already and only had to be put in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRecovered:
    """A recording that stays in ``open/`` for now, and why."""

    id: UUID
    problem: SealError


class Recovery:
    """Recovers what is unfinished in some spools of one device."""

    def __init__(
        self,
        *,
        spools: Sequence[Spool],
        recipients: Sequence[Recipient],
        signer: DeviceSigner,
        ledger: Ledger,
        site: str,
        stores: Sequence[str],
        software: str,
        now: Callable[[], datetime],
        whole: bool = True,
        reasons: Sequence[str] = (),
        step: Step = no_step,
    ) -> None:
        """`site`, `stores` and `software` stand in for what a recording without a state does not tell.

        Not `whole` means that the device has another spool, which is not at hand: a recording of which only
        the ledger knows may lie there, and is left to a later start. `reasons` say why recordings were cut
        off, where that is known.
        """
        self._spools = tuple(spools)
        self._recipients = tuple(recipients)
        self._signer = signer
        self._ledger = ledger
        self._site = site
        self._stores = tuple(stores)
        self._software = software
        self._now = now
        self._whole = whole
        self._reasons = (RECOVERED, *reasons)
        self._step = step

    def run(self, only: Collection[UUID] | None = None) -> list[Recovered | NotRecovered]:
        """Recover everything, or these recordings alone, and say what became of each."""
        found = [
            self._try(bundle.id, partial(self._recover, bundle, spool))
            for spool in self._spools
            for bundle in spool.unfinished()
            if only is None or bundle.id in only
        ]
        ready = {bundle.id: bundle for spool in self._spools for bundle in spool.ready()}
        stuck = {item.id for item in found if isinstance(item, NotRecovered)}
        for recording in sorted(set(self._ledger.open_recordings()) - stuck):
            if only is not None and recording not in only:
                continue
            if recording in ready:
                found.append(self._try(recording, partial(self._note_ready, ready[recording])))
            elif self._whole:
                found.append(self._try(recording, partial(self._begin_again, recording)))
        return [item for item in found if item is not None]

    def _try(self, recording: UUID, act: Callable[[], Recovered | None]) -> Recovered | NotRecovered | None:
        try:
            return act()
        except SealError as problem:
            return NotRecovered(id=recording, problem=problem)
        except OSError as problem:
            words = f"{problem.filename or recording}: {problem.strerror}"
            return NotRecovered(id=recording, problem=SpoolError(words))

    def _begin_again(self, recording: UUID) -> Recovered:
        """Leave the trace of a recording of which only the ledger knows."""
        spool = self._spools[0]
        return self._recover(spool.begin(recording, step=self._step), spool)

    def _note_ready(self, bundle: Bundle) -> None:
        """Tell a ledger that could not be told then how a recording ended."""
        self._note(mf.parse(bundle.manifest_bytes()))

    def _recover(self, bundle: OpenBundle, spool: Spool) -> Recovered:
        manifest = self._bound(bundle)
        carried_on = manifest is not None
        if manifest is None:
            bundle.unbind(step=self._step)
            try:
                manifest = self._manifest(bundle, spool)
            except (ValueError, OverflowError) as problem:
                raise ManifestError(f"{bundle.path / STATE_NAME}: fits no manifest: {problem}") from problem
        bundle.bind(manifest, self._signer.sign(manifest), step=self._step)
        self._note(manifest)
        bundle.release(step=self._step)
        rate_hz = manifest.rate_hz or 1
        return Recovered(
            id=bundle.id,
            result=manifest.result,
            duration_s=manifest.duration_samples / rate_hz,
            carried_on=carried_on,
        )

    def _note(self, manifest: Manifest) -> None:
        digest = hashlib.sha256(manifest.to_bytes()).digest()
        if self._ledger.manifest_of(manifest.id) == digest:
            return
        self._step("ledger")
        self._ledger.note(
            end_kind(
                manifest,
                opened=self._ledger.is_open(manifest.id) or self._ledger.is_discarded(manifest.id),
            ),
            recording=manifest.id,
            manifest=digest,
            result=manifest.result.value,
            reasons=manifest.reasons,
        )

    # --- a recording that was being finished --------------------------------------------------------

    def _bound(self, bundle: OpenBundle) -> Manifest | None:
        """Return the manifest that lies there, if it is ours and everything fits it."""
        data = bundle.read(MANIFEST_NAME, mf.MAX_SIZE_BYTES)
        signature = bundle.read(SIGNATURE_NAME, SIGNATURE_SIZE_BYTES)
        if data is None or signature is None:
            return None
        try:
            manifest = mf.parse(data)
            self._signer.key.public_key().verify(signature, data)
        except (ManifestError, InvalidSignature):
            return None
        fits = manifest.id == bundle.id and manifest.to_bytes() == data
        return manifest if fits and all(_is_there(bundle.path, item) for item in manifest.objects) else None

    # --- one that was cut off -----------------------------------------------------------------------

    def _manifest(self, bundle: OpenBundle, spool: Spool) -> Manifest:
        state = self._state(bundle)
        if self._ledger.is_discarded(bundle.id):
            # The disk could not take that note when it was made; the ledger is elsewhere, or came later.
            state = replace(state, purpose=Purpose.DISCARD, reasons=state.reasons or (RECOVERED,))
        objects: list[ManifestObject] = []
        plaintext_bytes = 0
        if state.purpose is Purpose.DISCARD:
            bundle.discard_audio(step=self._step)
        else:
            objects, plaintext_bytes = self._audio(bundle, spool)
        frame_bytes = _FRAME_SIZE_BYTES.get(state.encoding or 0, 2)
        samples = max(0, plaintext_bytes - _AU_HEADER_SIZE_BYTES) // frame_bytes
        result = Result.DEGRADED
        reasons = self._reasons
        if state.purpose is Purpose.DISCARD:
            reasons = state.reasons or (RECOVERED,)
            result = Result.FAILED if FAILURES & set(reasons) else Result.EXEMPT
        elif not samples:
            result = Result.FAILED
            for item in objects:
                name = WORKING_NAMES[item.kind]
                self._step(f"remove {name}")
                (bundle.path / name).unlink()
            objects = []
        if state.continues is not None:
            reasons = (*reasons, "disk-changed")
        if not _holds_anything(bundle.path / VCON_NAME):
            self._seal_bare_vcon(bundle, state)
        objects.append(self._described(bundle.path / VCON_NAME, "call"))
        sound = samples > 0 and state.rate_hz is not None
        lasted = timedelta(seconds=samples / state.rate_hz) if sound and state.rate_hz else timedelta()
        return Manifest(
            id=bundle.id,
            device=self._signer.device,
            site=state.site,
            source=state.source,
            origin=state.origin,
            direction=state.direction,
            started_at=state.started_at,
            ended_at=max(state.started_at, state.opened_at + lasted),
            duration_samples=samples if sound else 0,
            rate_hz=state.rate_hz if sound else None,
            encoding=state.encoding if sound else None,
            business_type=state.business_type,
            retention_class=state.retention_class,
            stores=state.stores,
            result=result,
            reasons=reasons,
            recipients=state.recipients,
            objects=tuple(objects),
            ledger=self._ledger.place,
            software=state.software,
            x5c=self._signer.chain,
        )

    def _state(self, bundle: OpenBundle) -> RecordingState:
        data = bundle.read(STATE_NAME, MAX_SIZE_BYTES)
        if data:
            state = parse_state(data)
            if state.id == bundle.id:
                return state
        # The agent died before it could write one, so that there is no audio either: the id tells the time.
        began = _time_of(bundle.id)
        return RecordingState(
            id=bundle.id,
            device=self._signer.device,
            site=self._site,
            source=_UNKNOWN,
            origin=Origin.LIVE,
            direction=Direction.UNKNOWN,
            started_at=began,
            opened_at=began,
            rate_hz=None,
            encoding=None,
            business_type=None,
            retention_class=None,
            stores=self._stores,
            recipients=tuple(fingerprint(recipient) for recipient in self._recipients),
            software=self._software,
        )

    def _audio(self, bundle: OpenBundle, spool: Spool) -> tuple[list[ManifestObject], int]:
        """Cut the sealed file and cut out the tail; return the objects, and how much plaintext they hold."""
        path = bundle.audio_path
        if not path.exists():
            return [], 0
        chunks = self._cut(path)
        if chunks is None and not (_holds_anything(path) and (bundle.path / TAIL_NAME).exists()):
            # The agent died while it made the file; the tail follows, and only then any sound.
            self._step(f"remove {path.name}")
            path.unlink()
            return [], 0
        if chunks is None:
            # Its header was on the disk before any sound was taken: a disk has lost it. Nothing can be read
            # without it, but that is not for this program to decide.
            spool.quarantine_file(path, step=self._step)
            return [], 0
        slot = self._slot(bundle, chunks)
        key = bundle.path / TAIL_KEY_NAME
        if slot is None or not _holds_anything(key):
            return [self._described(path, "audio")], chunks * CHUNK_SIZE_BYTES
        if slot.chunk < chunks:
            # What was kept ahead reaches farther than what came to stay: it is whole, and on the disk.
            self._cut(path, slot.chunk)
        objects = [self._described(path, "audio")]
        tail = bundle.path / TAIL_OBJECT_NAME
        durable.replace_file(tail, slot.age_file, step=self._step)
        offset = slot.chunk * CHUNK_SIZE_BYTES
        objects += [self._described(tail, "tail", offset=offset), self._described(key, "tailkey")]
        return objects, slot.end_bytes

    def _cut(self, path: Path, most_chunks: int | None = None) -> int | None:
        """Cut a sealed file behind its last whole chunk and return how many it has; None without a header.

        Of more than `most_chunks` so many are left.
        """
        with path.open("r+b") as file:
            # What a killed agent handed to the kernel is brought to the disk; what the kernel holds and could
            # not bring there must not be taken for the file's content: it is read again from the disk.
            self._step("sync audio")
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            try:
                payload_start = len(read_header(file).raw) + _NONCE_SIZE_BYTES
            except RemoteError:
                return None
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes < payload_start:
                return None
            chunks = (size_bytes - payload_start) // SEALED_CHUNK_SIZE_BYTES
            if most_chunks is not None:
                chunks = min(chunks, most_chunks)
            end = payload_start + chunks * SEALED_CHUNK_SIZE_BYTES
            if end != size_bytes:
                self._step("cut audio")
                os.ftruncate(file.fileno(), end)
                self._step("sync cut audio")
                os.fsync(file.fileno())
        return chunks

    def _slot(self, bundle: OpenBundle, chunks: int) -> Slot | None:
        path = bundle.path / TAIL_NAME
        if not path.exists():
            return None
        with path.open("rb") as file:
            self._step("sync tail")
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return choose_slot(read_slots(file.read(MAX_TAIL_BYTES)), chunks)

    def _seal_bare_vcon(self, bundle: OpenBundle, state: RecordingState) -> None:
        vcon = Vcon(
            uuid=bundle.id,
            created_at=self._now(),
            parties=(Party(name=f"callseal {self._signer.device}"),),
            dialog=(Dialog(type=DialogType.RECORDING, start=state.started_at),),
        )
        signed = sign_vcon(vcon, self._signer.key, self._signer.chain)
        seal_bytes(bundle.vcon_path, signed, self._recipients, step=self._step)

    def _described(self, path: Path, kind: str, *, offset: int | None = None) -> ManifestObject:
        digest, size_bytes = hashlib.sha256(), 0
        with path.open("rb") as file:
            self._step(f"sync {path.name}")
            os.fsync(file.fileno())
            while block := file.read(_BLOCK_SIZE_BYTES):
                digest.update(block)
                size_bytes += len(block)
        sha256 = digest.digest()
        return ManifestObject(
            name=object_name(kind, sha256),
            size_bytes=size_bytes,
            sha256=sha256,
            plaintext_sha512=None,
            plaintext_offset=offset,
        )


def _time_of(recording: UUID) -> datetime:
    try:
        return datetime.fromtimestamp((recording.int >> 80) / 1000, UTC)
    except (ValueError, OverflowError) as problem:
        raise ManifestError(f"recording {recording}: its id tells no time, and it has no state") from problem


def end_kind(manifest: Manifest, *, opened: bool) -> Kind:
    """Return the kind of the ledger entry by which a recording with this manifest ends."""
    if manifest.result is Result.EXEMPT:
        return Kind.DISCARDED if opened else Kind.EXEMPT
    if RECOVERED in manifest.reasons:
        return Kind.RECOVERED
    return Kind.FAILED if manifest.result is Result.FAILED else Kind.CLOSED


def _is_there(folder: Path, item: ManifestObject) -> bool:
    for name in (item.name, WORKING_NAMES.get(item.kind, item.name)):
        path = folder / name
        if path.exists() and path.stat().st_size == item.size_bytes:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").digest() == item.sha256
    return False


def _holds_anything(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
