"""Real recordings for tests of whatever opens and proves them: sound, sealed, signed, in a spool or a store.

An office is an organisation with one device: root, device key and certificate, a reading key and a recovery
key, a spool and a store. `record` makes a call pass through the agent's recorder, `upload` brings what is
ready to the store. The clock stands: recording n is the call of n minutes after the first.
"""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import numpy as np
from cryptography import x509
from numpy.typing import NDArray

from callseal.agent.binding import Policy
from callseal.agent.call import (
    Answered,
    AudioFormat,
    Block,
    Call,
    Direction,
    Disclosure,
    Ending,
    EndReason,
    Event,
    Party,
)
from callseal.agent.checks import Limits
from callseal.agent.chronicle import Chronicle
from callseal.agent.recorder import SpoolRecorder
from callseal.agent.spools import Spools
from callseal.codecs import g711
from callseal.codecs.au import Encoding
from callseal.seal.age import HybridIdentity, Identity, X25519Identity
from callseal.seal.device import DeviceSigner
from callseal.seal.keyfile import write_identity
from callseal.seal.keys import Role, chain_der, self_signed, write_certificates, write_signing_key
from callseal.seal.manifest import parse
from callseal.seal.secret import Secret
from callseal.seal.spool import Bundle, Spool
from callseal.store.directory import DirectoryStore
from callseal.store.names import ledger_name
from callseal.uploader.plan import plan_puts
from support.chronicles import chronicle, clocks_of
from support.sealed_recordings import STARTED_AT, Organisation, organisation

RATE_HZ: Final = 8000
DURATION_S: Final = 9
"""Long enough for three chunks of 64 KiB in the sealed file."""
AGENT: Final = Party(number="8001", name="Wang Fang")
CUSTOMER: Final = Party(number="+8613800138000")
STORE_NAME: Final = "primary"
PASSPHRASE: Final = "correct horse battery"  # noqa: S105 - it guards nothing
ALAW: Final = AudioFormat(encoding=Encoding.ALAW, rate_hz=RATE_HZ)
_LEVELS: Final = (6000, 4000)
_WORK_FACTOR: Final = 4  # scrypt as weak as can be: nothing here is secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Where everything of one organisation lies."""

    root: Path
    organisation: Organisation
    reader: Identity
    recovery: Identity

    @property
    def spool_path(self) -> Path:
        return self.root / "spool"

    @property
    def store_path(self) -> Path:
        return self.root / "store"

    @property
    def key_file(self) -> Path:
        """The reading key, without a passphrase."""
        return self.root / "reader.key"

    @property
    def locked_key_file(self) -> Path:
        """The same key under `PASSPHRASE`."""
        return self.root / "reader-locked.key"

    @property
    def passphrase_file(self) -> Path:
        return self.root / "passphrase"

    @property
    def roots_file(self) -> Path:
        return self.root / "trust.pem"

    @property
    def config_file(self) -> Path:
        return self.root / "callseal.toml"

    def bundle(self, recording: UUID) -> Path:
        """Return a recording's folder in the spool."""
        return self.spool_path / "ready" / str(recording)

    def stored(self, recording: UUID) -> Path:
        """Return a recording's folder in the store."""
        return next(self.store_path.glob(f"recordings/*/*/*/*/{recording}"))


def open_office(root: Path, *, classic: bool = True) -> Office:
    """Set up an office in a folder; keys are classic, which is quicker, unless asked otherwise."""
    root.mkdir(parents=True, exist_ok=True)
    reader, recovery = (
        (X25519Identity.generate() if classic else HybridIdentity.generate()) for _ in range(2)
    )
    office = Office(root=root, organisation=organisation(), reader=reader, recovery=recovery)
    owner = office.organisation
    write_identity(office.key_file, reader, passphrase=None, created=STARTED_AT)
    write_identity(
        office.locked_key_file,
        reader,
        passphrase=Secret(PASSPHRASE),
        created=STARTED_AT,
        work_factor=_WORK_FACTOR,
    )
    office.passphrase_file.touch(mode=0o600)
    office.passphrase_file.write_text(PASSPHRASE + "\n")
    (root / "recipients.txt").write_text(f"{reader.recipient.text}\n{recovery.recipient.text}\n")
    write_signing_key(root / "device.key", owner.device_key)
    write_certificates(root / "device.pem", [x509.load_der_x509_certificate(owner.chain[0])])
    write_certificates(office.roots_file, [owner.root])
    office.config_file.write_text(settings_text(office))
    DirectoryStore.create(office.store_path)
    Spool(office.spool_path)
    return office


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """An office whose first two recordings and exempt call are in the store, and whose third is not yet."""

    office: Office
    recordings: tuple[UUID, ...]
    exempt: UUID

    def copied(self, root: Path) -> "Archive":
        """Return a copy of everything, to be altered at will."""
        shutil.copytree(self.office.root, root)
        office = replace(self.office, root=root)
        office.config_file.write_text(settings_text(office))
        return replace(self, office=office)


def make_archive(root: Path) -> Archive:
    """Record three calls, the first outbound, and let one pass that is exempt."""
    office = open_office(root)
    directions: tuple[Direction, ...] = ("outbound", "inbound", "inbound")
    recordings = tuple(
        record(office, number, direction=direction) for number, direction in enumerate(directions)
    )
    exempt = record_exempt(office, len(directions))
    upload(office, [*recordings[:2], exempt])
    return Archive(office=office, recordings=recordings, exempt=exempt)


def settings_text(office: Office) -> str:
    """Return the settings of an office."""
    return f"""schema = 1
[device]
site = "bj"
[spool]
path = "{office.spool_path}"
min_free_mb = 16
[[source]]
type = "bridge"
pbx = "sip:127.0.0.1:5070"
[[store]]
name = "{STORE_NAME}"
type = "directory"
path = "{office.store_path}"
"""


def sound(duration_s: float = DURATION_S) -> NDArray[np.uint8]:
    """Return A-law codes of shape (samples, 2): a tone for each side, none of them silent."""
    time = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    tones = [level * np.sin(2 * np.pi * f * time) for level, f in zip(_LEVELS, (440, 700), strict=True)]
    return g711.encode(np.stack(tones, axis=1).astype(np.int16), g711.Law.A)


def record(
    office: Office,
    number: int = 0,
    *,
    direction: Direction = "outbound",
    business: str = "sales",
    customer: Party = CUSTOMER,
    duration_s: float = DURATION_S,
    certified: bool = True,
) -> UUID:
    """Let a call pass through the recorder; return the recording, which is then ready."""
    call = _call(STARTED_AT, direction, business, customer)
    return record_call(office, number, call, sound(duration_s), [_disclosure()], certified=certified)


def record_call(
    office: Office,
    number: int,
    call: Call,
    frames: "NDArray[np.uint8] | NDArray[np.int16]",
    events: Sequence[Event] = (),
    *,
    form: AudioFormat = ALAW,
    certified: bool = True,
) -> UUID:
    """Let a call that is answered at once pass through the recorder; frames have the shape (samples, 2).

    It begins as many minutes after the first as its number says, whatever the call itself says.
    """
    started_at = STARTED_AT + timedelta(minutes=number)
    recorder, spool, ledger = _recorder(office, number, certified=certified)
    with spool.lock(), _running(ledger, office):
        recording = recorder.open(replace(call, started_at=started_at), form)
        recorder.event(recording, Answered(at=started_at, position_samples=0))
        recorder.write(_block(recording, frames, form))
        for event in events:
            recorder.event(recording, event)
        end = started_at + timedelta(seconds=frames.shape[0] / form.rate_hz)
        recorder.close(recording, EndReason(ending=Ending.HANGUP, at=end, by="customer", sip_code=200))
    return recording


def record_exempt(office: Office, number: int = 0) -> UUID:
    """Let a call pass that a rule exempts; return its trace."""
    started_at = STARTED_AT + timedelta(minutes=number)
    recorder, spool, ledger = _recorder(office, number, certified=True)
    with spool.lock(), _running(ledger, office):
        end = EndReason(ending=Ending.HANGUP, at=started_at + timedelta(seconds=5), reasons=("rule-never",))
        return recorder.exempt(_call(started_at, "outbound", "service", CUSTOMER), end)


def upload(office: Office, recordings: Sequence[UUID]) -> None:
    """Bring recordings to the store, and all of the ledger; they stay in the spool."""
    spool, store = Spool(office.spool_path), DirectoryStore(office.store_path)
    for first, path in spool.segments():
        name = ledger_name(office.organisation.device, first)
        store.put(name, path, hashlib.sha256(path.read_bytes()).digest())
    for recording in recordings:
        bundle = Bundle(id=recording, path=office.bundle(recording))
        data = bundle.manifest_bytes()
        for item in plan_puts(parse(data), data, bundle.signature()):
            store.put(item.name, bundle.path / item.file, item.sha256)


def flip(path: Path, offset_bytes: int) -> None:
    """Alter one bit of a file; a negative offset counts from its end."""
    data = bytearray(path.read_bytes())
    data[offset_bytes] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def only(folder: Path, pattern: str) -> Path:
    """Return the one file of a folder whose name fits."""
    (found,) = folder.glob(pattern)
    return found


@contextmanager
def _running(ledger: Chronicle, office: Office) -> Iterator[None]:
    """Let an agent begin, and end in order: all that it noted is published then."""
    ledger.started("callseal/test", hashlib.sha256(b"settings").digest(), office.organisation.chain)
    yield
    ledger.stopped(0)


def _recorder(office: Office, number: int, *, certified: bool) -> tuple[SpoolRecorder, Spool, Chronicle]:
    spool = Spool(office.spool_path)
    owner = office.organisation
    now = STARTED_AT + timedelta(minutes=number)
    own = self_signed(owner.device_key, role=Role.DEVICE, now=now, years=1)
    clocks = clocks_of(lambda: now, lambda: number * 60.0)
    ledger = chronicle([spool.ledger_path], owner.device_key, clocks, alarm=_no_alarm)
    recorder = SpoolRecorder(
        spools=Spools([spool], min_free_bytes=0, alarm=_no_alarm, clear=lambda _code: None),
        ledger=ledger,
        recipients=[office.reader.recipient, office.recovery.recipient],
        signer=DeviceSigner(
            device=owner.device,
            key=owner.device_key,
            chain=owner.chain if certified else chain_der([own]),
        ),
        policy=Policy(
            site="bj",
            stores=lambda _call, _result: (STORE_NAME,),
            flush_s=0.5,
            limits=Limits(
                min_level_dbov=-35.0, max_clipped_ratio=0.001, silent_channel_dbov=-60.0, silent_s=10.0
            ),
            software="callseal/test",
        ),
        now=lambda: now,
        monotonic=lambda: 0.0,
        random=lambda size_bytes: hashlib.shake_128(f"id {number}".encode()).digest(size_bytes),
        alarm=_no_alarm,
        finished=lambda _result: None,
    )
    return recorder, spool, ledger


def _no_alarm(code: str, words: str) -> None:
    raise RuntimeError(f"{code}: {words}")


def _call(started_at: datetime, direction: Direction, business: str, customer: Party) -> Call:
    return Call(
        source="bridge",
        direction=direction,
        started_at=started_at,
        agent=AGENT,
        customer=customer,
        business=business,
        retention_class=business,
        announcements=("zh",),
    )


def _block(recording: UUID, frames: "NDArray[np.uint8] | NDArray[np.int16]", form: AudioFormat) -> Block:
    cells = frames.shape[0] * 100 // form.rate_hz
    return Block(
        recordings=(recording,),
        start_samples=np.zeros(1, np.int64),
        payload=frames[np.newaxis],
        present=np.ones((1, 2, cells), np.bool_),
    )


def _disclosure() -> Disclosure:
    return Disclosure(
        name="zh",
        language="zh-CN",
        sha256="0" * 64,
        start_samples=0,
        end_samples=2 * RATE_HZ,
        complete=True,
        heard_by=("agent", "customer"),
    )
