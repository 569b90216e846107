"""One small recording and its recovery, done step by step: for tests that end the process at any step.

`record` is what a desk's recorder does with the parts of the seal, in the same order; `discard` the same for
a call that must not be recorded after all; `recover` is what an agent does at its start. Each tells `step` of
every writing before it is done. How far the sound came is told to `Progress`, which lives in memory that
parent and child share.
"""

import dataclasses
import hashlib
import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from callseal.agent.chronicle import Chronicle
from callseal.codecs import au
from callseal.seal.age import Recipient, X25519Identity, fingerprint
from callseal.seal.bank import Bank
from callseal.seal.device import DeviceSigner
from callseal.seal.durable import Step, no_step
from callseal.seal.ledger.clock import Clocks
from callseal.seal.ledger.entry import Entry, Kind, entry_hash, first_previous, split_line, verify_line
from callseal.seal.ledger.journal import Journal
from callseal.seal.manifest import Direction, Manifest, ManifestObject, Origin, Result, object_name
from callseal.seal.recovery import NotRecovered, Recovered, Recovery, end_kind
from callseal.seal.spool import OpenBundle, Spool
from callseal.seal.state import Purpose, RecordingState
from callseal.seal.writer import SealedFile, SealedObject, seal_bytes
from support.sealed_recordings import STARTED_AT, organisation, recording_id

OWNER: Final = organisation()
READER: Final = X25519Identity.generate()
RECIPIENTS: Final[tuple[Recipient, ...]] = (READER.recipient, X25519Identity.generate().recipient)
SIGNER: Final = DeviceSigner(device=OWNER.device, key=OWNER.device_key, chain=OWNER.chain)
RECORDING: Final = recording_id()
STATE: Final = RecordingState(
    id=RECORDING,
    device=OWNER.device,
    site="bj",
    source="bridge",
    origin=Origin.LIVE,
    direction=Direction.OUTBOUND,
    started_at=STARTED_AT,
    opened_at=STARTED_AT,
    rate_hz=8000,
    encoding=au.Encoding.ULAW.value,
    business_type="sales",
    retention_class="sales-long",
    stores=("primary",),
    recipients=tuple(map(fingerprint, RECIPIENTS)),
    software="callseal/0.0.0",
)
HEADER: Final = bytes(au.AuHeader(encoding=au.Encoding.ULAW, rate_hz=8000, channels=2))
PIECES: Final = tuple(
    hashlib.shake_128(f"piece {number}".encode()).digest(size_bytes)
    for number, size_bytes in enumerate((8_000, 50_000, 20_000, 65_536, 2_000))
)
"""What is said between two flushes: chunks of 64 KiB end in the third and the fourth."""
SOUND: Final = HEADER + b"".join(PIECES)
AHEAD_BYTES: Final = 12_000
"""What of the following pieces is known already, where it may still change."""

_COUNTS = struct.Struct(">QQ")


class Progress:
    """How much plaintext a child had given to the writer, and how much of it a flush had made safe."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _COUNTS.size)

    def tell(self, written_bytes: int, safe_bytes: int) -> None:
        self._memory[:] = _COUNTS.pack(written_bytes, safe_bytes)

    @property
    def written_bytes(self) -> int:
        return int(_COUNTS.unpack(self._memory[:])[0])

    @property
    def safe_bytes(self) -> int:
        return int(_COUNTS.unpack(self._memory[:])[1])


def open_ledger(spool: Spool, step: Step = no_step, *, elapsed_s: float = 0.0) -> Chronicle:
    """Open the ledger of a spool as an agent does; any failure ends the test."""
    clocks = Clocks(
        at=STARTED_AT + timedelta(seconds=elapsed_s), boot="0" * 16, uptime_ms=round(elapsed_s * 1000)
    )
    return Chronicle(
        lambda: Journal(
            [spool.ledger_path],
            device=OWNER.device,
            key=OWNER.device_key,
            clocks=lambda: clocks,
            step=step,
        ),
        clocks=lambda: clocks,
        heartbeat_s=60.0,
        publish_s=60.0,
        alarm=_no_alarm,
        clear=lambda _code: None,
    )


def record(
    root: Path,
    step: Step = no_step,
    progress: Progress | None = None,
    *,
    banked: bool = False,
    ahead_bytes: int = 0,
) -> None:
    """Make a whole recording, from its first entry in the ledger to ``ready/``.

    With `banked` as at a gateway: what is safe from the death of the process is brought to the disk at once.
    So much as `ahead_bytes` of what comes next is given to each flush beforehand.
    """
    told = Progress() if progress is None else progress
    spool = Spool(root)
    with spool.lock():
        ledger = open_ledger(spool, step)
        bundle, writer = _begin(spool, ledger, step, banked=banked, ahead_bytes=ahead_bytes)
        bank = Bank(spool.root, step=step) if banked else None
        written = _speak(writer, told, bank, ahead_bytes)
        seal_bytes(bundle.vcon_path, b"answered", RECIPIENTS, step=step)
        audio = writer.close()
        told.tell(written, written)
        call = seal_bytes(bundle.vcon_path, b"ended", RECIPIENTS, step=step)
        manifest = _manifest(ledger, (_object("audio", audio), _object("call", call)))
        _finish(bundle, ledger, manifest, step)
        ledger.publish()


def discard(root: Path, step: Step = no_step) -> None:
    """Begin a recording and destroy its sound: step names after "destroy" are those of the destruction."""
    spool = Spool(root)
    with spool.lock():
        ledger = open_ledger(spool, step)
        bundle, writer = _begin(spool, ledger, step)
        _speak(writer, Progress(), None)
        writer.abandon()
        state = dataclasses.replace(STATE, purpose=Purpose.DISCARD, reasons=("emergency",))
        bundle.put_state(state, step=step)
        step("destroy")
        bundle.discard_audio(step=step)
        call = seal_bytes(bundle.vcon_path, b"discarded", RECIPIENTS, step=step)
        manifest = dataclasses.replace(
            _manifest(ledger, (_object("call", call),)),
            result=Result.EXEMPT,
            reasons=("emergency",),
            duration_samples=0,
            rate_hz=None,
            encoding=None,
        )
        _finish(bundle, ledger, manifest, step)


def recovery_of(
    spools: Sequence[Spool], ledger: Chronicle, step: Step = no_step, *, whole: bool = True
) -> Recovery:
    """Give the recovery of an agent that starts; not `whole`: another of its spools is not at hand."""
    return Recovery(
        spools=spools,
        recipients=RECIPIENTS,
        signer=SIGNER,
        ledger=ledger,
        site="bj",
        stores=("primary",),
        software="callseal/0.0.0",
        now=lambda: STARTED_AT + timedelta(minutes=5),
        whole=whole,
        step=step,
    )


def recover(root: Path, step: Step = no_step) -> list[Recovered | NotRecovered]:
    """Start anew and recover what there is."""
    spool = Spool(root)
    with spool.lock():
        ledger = open_ledger(spool, step, elapsed_s=300.0)
        found = recovery_of([spool], ledger, step).run()
        ledger.publish()
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the ledger tells, its chain and its signatures checked."""

    entries: tuple[Entry, ...] = field(repr=False)

    def of(self, recording: UUID) -> list[Kind]:
        """Return what it tells of one recording, in order."""
        return [entry.kind for entry in self.entries if entry.recording == recording]

    def manifests(self, recording: UUID) -> list[bytes | None]:
        """Return the manifests that the recording's ends name."""
        return [
            entry.manifest
            for entry in self.entries
            if entry.recording == recording and entry.kind is not Kind.OPENED
        ]


def read_ledger(root: Path) -> Told:
    """Read every line of the ledger; a torn last one is none."""
    folder = root / "ledger"
    paths = sorted(folder.glob("[0-9]*.jsonl"), key=lambda path: int(path.stem))
    data = b"".join(path.read_bytes() for path in [*paths, *folder.glob("open.jsonl")])
    entries: list[Entry] = []
    previous = first_previous(OWNER.device)
    for line in data.splitlines(keepends=True):
        if line.startswith(b'{"checkpoint"') or not line.endswith(b"\n"):
            continue
        entry = verify_line(line, OWNER.device_key.public_key())
        assert (entry.sequence, entry.previous) == (len(entries), previous)
        entries.append(entry)
        previous = entry_hash(split_line(line)[0])
    return Told(entries=tuple(entries))


def _begin(
    spool: Spool, ledger: Chronicle, step: Step, *, banked: bool = False, ahead_bytes: int = 0
) -> tuple[OpenBundle, SealedFile]:
    ledger.note(Kind.OPENED, recording=RECORDING)
    bundle = spool.begin(RECORDING, step=step)
    bundle.put_state(STATE, step=step)
    writer = SealedFile(bundle.audio_path, RECIPIENTS, banked=banked, ahead_bytes=ahead_bytes, step=step)
    writer.write(HEADER)
    seal_bytes(bundle.vcon_path, b"begun", RECIPIENTS, step=step)
    return bundle, writer


def _speak(writer: SealedFile, told: Progress, bank: Bank | None, ahead_bytes: int = 0) -> int:
    written, safe = len(HEADER), 0
    for number, piece in enumerate(PIECES):
        written += len(piece)
        ahead = SOUND[written : written + ahead_bytes]
        told.tell(written + len(ahead), safe)
        writer.write(piece)
        if bank is None:
            writer.flush(ahead)
        else:
            staged = writer.stage(ahead)
        safe = written + len(ahead)
        told.tell(safe, safe)
        if bank is not None and number % 2:
            bank.sync()
            writer.synced(staged)
    return written


def _finish(bundle: OpenBundle, ledger: Chronicle, manifest: Manifest, step: Step) -> None:
    bundle.bind(manifest, SIGNER.sign(manifest), step=step)
    ledger.note(
        end_kind(manifest, opened=ledger.is_open(manifest.id)),
        recording=manifest.id,
        manifest=hashlib.sha256(manifest.to_bytes()).digest(),
        result=manifest.result.value,
        reasons=manifest.reasons,
    )
    bundle.release(step=step)


def _manifest(ledger: Chronicle, objects: tuple[ManifestObject, ...]) -> Manifest:
    return Manifest(
        id=RECORDING,
        device=OWNER.device,
        site=STATE.site,
        source=STATE.source,
        origin=STATE.origin,
        direction=STATE.direction,
        started_at=STARTED_AT,
        ended_at=STARTED_AT + timedelta(minutes=1),
        duration_samples=(len(SOUND) - len(HEADER)) // 2,
        rate_hz=STATE.rate_hz,
        encoding=STATE.encoding,
        business_type=STATE.business_type,
        retention_class=STATE.retention_class,
        stores=STATE.stores,
        result=Result.OK,
        reasons=(),
        recipients=STATE.recipients,
        objects=objects,
        ledger=ledger.place,
        software=STATE.software,
        x5c=OWNER.chain,
    )


def _object(kind: str, sealed: SealedObject) -> ManifestObject:
    return ManifestObject(
        name=object_name(kind, sealed.sha256),
        size_bytes=sealed.size_bytes,
        sha256=sealed.sha256,
        plaintext_sha512=sealed.plaintext_sha512,
    )


def _no_alarm(code: str, words: str) -> None:
    raise RuntimeError(f"{code}: {words}")
