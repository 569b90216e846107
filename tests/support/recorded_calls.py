"""A recorder on a spool of its own, the calls that it gets, and what is found in the spool afterwards."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray

from callseal.agent.binding import Policy
from callseal.agent.call import Answered, AudioFormat, Block, Call, Ending, EndReason, Event, Party
from callseal.agent.checks import Limits
from callseal.agent.chronicle import Chronicle
from callseal.agent.recorder import SpoolRecorder
from callseal.agent.spools import Spools
from callseal.codecs import au, g711
from callseal.codecs.au import Encoding
from callseal.seal.age import HybridIdentity, Identity, Recipient, X25519Identity
from callseal.seal.device import DeviceSigner
from callseal.seal.durable import Step, no_step
from callseal.seal.fields import JsonObject
from callseal.seal.manifest import Manifest, Result, parse
from callseal.seal.recovery import Recovery
from callseal.seal.spool import Spool
from callseal.seal.vcon import open_vcon
from support import opened
from support.chronicles import chronicle, clocks_of
from support.opened import open_objects
from support.sealed_recordings import STARTED_AT, organisation

RATE_HZ = 8000
OWNER = organisation()
CUSTOMER_NUMBER = "+8613800138000"
CUSTOMER_NAME = "Customer Wang Fang"
LIMITS = Limits(min_level_dbov=-35.0, max_clipped_ratio=0.001, silent_channel_dbov=-60.0, silent_s=10.0)
ULAW = AudioFormat(encoding=Encoding.ULAW, rate_hz=RATE_HZ)
PCM16 = AudioFormat(encoding=Encoding.PCM16, rate_hz=RATE_HZ)
CALL = Call(
    source="bridge",
    direction="outbound",
    started_at=STARTED_AT,
    agent=Party(number="8001", uri="sip:8001@10.0.0.1", name="Desk 8001"),
    customer=Party(number=CUSTOMER_NUMBER, uri="sip:013800138000@pbx.example:5060", name=CUSTOMER_NAME),
    sip_call_ids=("leg-one", "leg-two"),
    business="sales",
    retention_class="sales-long",
    announcements=("zh",),
)
QUIET = replace(CALL, announcements=())
"""A call that owes no announcement."""
HANGUP = EndReason(ending=Ending.HANGUP, at=STARTED_AT + timedelta(seconds=61), by="customer")

CLASSIC = X25519Identity(key=X25519PrivateKey.from_private_bytes(bytes(range(32))))
POST_QUANTUM = HybridIdentity(seed=bytes(range(32, 64)))


def recipients(*identities: X25519Identity | HybridIdentity) -> tuple[Recipient, ...]:
    """Give the public halves."""
    return tuple(identity.recipient for identity in identities)


@dataclass
class Clock:
    """Both clocks of a recorder; they stand still until told."""

    elapsed_s: float = 0.0

    def now(self) -> datetime:
        return STARTED_AT + timedelta(seconds=self.elapsed_s)

    def monotonic(self) -> float:
        return 1000.0 + self.elapsed_s


@dataclass
class Desk:
    """A recorder and all that it said."""

    spool: Spool
    spools: Spools
    ledger: Chronicle
    recorder: SpoolRecorder
    clock: Clock
    alarms: list[tuple[str, str]] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)

    def ready(self) -> list[Path]:
        """Give the folders of finished recordings, the oldest first."""
        return [bundle.path for bundle in self.spool.ready()]


@contextmanager
def recording_desk(
    root: Path,
    keys: Sequence[Recipient] = recipients(CLASSIC),
    flush_s: float = 0.5,
    second: Path | None = None,
    *,
    banked: bool = False,
) -> Iterator[Desk]:
    """Run a recorder on a new spool in `root`, and another in `second` for when that one fails.

    `banked` as at a gateway: nobody syncs unless a test does.
    """
    spool, clock = Spool(root), Clock()
    alarms: list[tuple[str, str]] = []
    results: list[Result] = []
    random = np.random.default_rng(0)
    spools = Spools(
        [spool, *([] if second is None else [Spool(second)])],
        min_free_bytes=0,
        alarm=lambda code, words: alarms.append((code, words)),
        clear=lambda _code: None,
    )
    ledger = chronicle(
        [one.ledger_path for one in spools.all],
        OWNER.device_key,
        clocks_of(clock.now, lambda: clock.elapsed_s),
        alarm=lambda code, words: alarms.append((code, words)),
    )
    recorder = SpoolRecorder(
        spools=spools,
        ledger=ledger,
        recipients=keys,
        signer=DeviceSigner(device=OWNER.device, key=OWNER.device_key, chain=OWNER.chain),
        policy=Policy(
            site="bj",
            stores=lambda _call, _result: ("primary",),
            flush_s=flush_s,
            limits=LIMITS,
            software="callseal/0.0.0",
            banked=banked,
        ),
        now=clock.now,
        monotonic=clock.monotonic,
        random=random.bytes,
        alarm=lambda code, words: alarms.append((code, words)),
        finished=results.append,
    )
    with ExitStack() as locks:
        for one in spools.all:
            locks.enter_context(one.lock())
        yield Desk(
            spool=spool,
            spools=spools,
            ledger=ledger,
            recorder=recorder,
            clock=clock,
            alarms=alarms,
            results=results,
        )
        ledger.stopped(0)


def block(recording: UUID, start_samples: int, frames: "NDArray[np.uint8] | NDArray[np.int16]") -> Block:
    """Give a bank of one; frames have the shape (samples, 2)."""
    return Block(
        recordings=(recording,),
        start_samples=np.array([start_samples], np.int64),
        payload=frames[np.newaxis],
        present=np.ones((1, 2, -(-frames.shape[0] // 80)), np.bool_),
    )


def answered(position_samples: int = 0) -> Answered:
    """Give the event of a call that was taken at once."""
    at = STARTED_AT + timedelta(seconds=position_samples / RATE_HZ)
    return Answered(at=at, position_samples=position_samples)


def talk(samples: int, seed: int = 1) -> NDArray[np.int16]:
    """Give noise as loud as speech (about -26 dBov) on both channels, shape (samples, 2)."""
    return np.random.default_rng(seed).normal(0, 1640, (samples, 2)).round().astype(np.int16)


def coded(samples: NDArray[np.int16], form: AudioFormat) -> "NDArray[np.uint8] | NDArray[np.int16]":
    """Give linear samples as the format has them."""
    law = form.encoding.law
    return samples if law is None else g711.encode(samples, law)


def record_call(
    desk: Desk,
    form: AudioFormat = ULAW,
    *,
    call: Call = QUIET,
    samples: NDArray[np.int16] | None = None,
    events: tuple[Event, ...] = (answered(),),
    end: EndReason = HANGUP,
) -> "NDArray[np.uint8] | NDArray[np.int16]":
    """Record a whole call in blocks of a quarter second; give its frames."""
    frames = coded(talk(3 * RATE_HZ) if samples is None else samples, form)
    recording = desk.recorder.open(call, form)
    for event in events:
        desk.recorder.event(recording, event)
    for start in range(0, frames.shape[0], 2000):
        desk.clock.elapsed_s += 0.25
        desk.recorder.write(block(recording, start, frames[start : start + 2000]))
    desk.recorder.close(recording, end)
    return frames


@dataclass(frozen=True)
class Opened:
    """A bundle, opened with a reading key."""

    manifest: Manifest
    vcon: JsonObject
    inner: bytes
    """The inner file; empty for a bundle without audio."""

    @property
    def frames(self) -> "NDArray[np.uint8] | NDArray[np.int16]":
        """Give the samples as they lie in the inner file, shape (samples, 2)."""
        header = au.parse(self.inner)
        data = self.inner[header.data_offset_bytes :]
        if header.encoding is Encoding.PCM16:
            return np.frombuffer(data, ">i2").astype(np.int16).reshape(-1, 2)
        return np.frombuffer(data, np.uint8).reshape(-1, 2)


def open_bundle(folder: Path, identity: Identity = CLASSIC) -> Opened:
    """Open a finished recording; what it holds is checked by whoever asks."""
    manifest = parse((folder / "manifest.json").read_bytes())
    plain = open_objects(folder, manifest, [identity])
    vcon, _chain = open_vcon(plain["call"])
    return Opened(manifest=manifest, vcon=vcon, inner=plain.get("audio", b""))


def unsealed(path: Path, identity: Identity = CLASSIC) -> bytes:
    """Decrypt one sealed file."""
    return opened.unsealed(path, [identity])


def recovery(desk: Desk, *, step: Step = no_step, reasons: Sequence[str] = ()) -> Recovery:
    """Give what an agent that starts in this desk's spools does first; `reasons` as in `Recovery`."""
    return Recovery(
        spools=desk.spools.all,
        recipients=recipients(CLASSIC),
        signer=DeviceSigner(device=OWNER.device, key=OWNER.device_key, chain=OWNER.chain),
        ledger=desk.ledger,
        site="bj",
        stores=("primary",),
        software="callseal/0.0.0",
        now=desk.clock.now,
        reasons=reasons,
        step=step,
    )


def bodies(vcon: JsonObject, kind: str, key: str, value: str) -> list[JsonObject]:
    """Give the JSON bodies of those attachments or analyses whose `key` is `value`."""
    items = vcon[kind]
    if not isinstance(items, list):
        raise TypeError(kind)
    return [
        item["body"]
        for item in items
        if isinstance(item, dict) and item[key] == value and isinstance(item["body"], dict)
    ]


def utc(text: str) -> datetime:
    """Read a time of the metadata."""
    return datetime.fromisoformat(text).astimezone(UTC)
