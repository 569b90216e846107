"""Ledgers for tests: a device, clocks that are set by hand, and chains written as the format says."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from callseal.seal.keys import device_id
from callseal.seal.ledger import Chain, Clocks, Entry, Kind, sign_checkpoint, sign_line, verify_chain
from callseal.seal.ledger.checkpoint import read_line, write_line
from callseal.seal.ledger.state import LedgerState
from callseal.seal.uuid7 import uuid7

BEGAN = datetime(2026, 11, 21, 8, tzinfo=UTC)
BOOT = "00112233445566aa"
SETTINGS = hashlib.sha256(b"settings").digest()
CERTIFICATE = b"certificate of a device"


@cache
def device_key(name: str = "device") -> Ed25519PrivateKey:
    """Return the key of the device of this name, the same one each time."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def public_key(name: str = "device") -> Ed25519PublicKey:
    """Return the public half."""
    return device_key(name).public_key()


def device(name: str = "device") -> str:
    """Return the id of the device of this name."""
    return device_id(public_key(name))


def recording(number: int) -> UUID:
    """Return the id of recording `number`."""
    return uuid7(int(BEGAN.timestamp() * 1000), number.to_bytes(10, "big"))


def manifest(number: int) -> bytes:
    """Return the SHA-256 of the manifest of recording `number`."""
    return hashlib.sha256(b"manifest %d" % number).digest()


@dataclass
class Time:
    """A machine's clocks, set by hand."""

    passed_s: float = 0.0
    wrong_s: float = 0.0
    boot: str = BOOT
    booted_s: float = -86_400.0

    def __call__(self) -> Clocks:
        """Read them."""
        return Clocks(
            at=BEGAN + timedelta(seconds=self.passed_s + self.wrong_s),
            boot=self.boot,
            uptime_ms=round((self.passed_s - self.booted_s) * 1000),
        )

    def start_again(self) -> None:
        """Start the machine again."""
        self.boot = hashlib.sha256(self.boot.encode()).hexdigest()[:16]
        self.booted_s = self.passed_s


@dataclass
class Scribe:
    """Writes a ledger into memory, line by line: an honest one, or whatever an attacker would write."""

    key: Ed25519PrivateKey = field(default_factory=device_key)
    time: Time = field(default_factory=Time)
    segments: list[tuple[int, bytes]] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.device = device_id(self.key.public_key())
        self.state = LedgerState.new(self.device)

    def write(
        self, kind: Kind, number: int | None = None, *, after_s: float = 0.0, **fields: object
    ) -> bytes:
        """Write an entry about recording `number`, `after_s` later than the last one."""
        self.time.passed_s += after_s
        entry = Entry(
            device=self.device,
            sequence=self.state.size,
            previous=self.state.previous,
            clocks=self.time(),
            kind=kind,
            recording=None if number is None else recording(number),
            **fields,  # type: ignore[arg-type]
        )
        data = entry.to_bytes()
        self.state.take(data, entry)
        self.lines.append(sign_line(data, self.key))
        return self.lines[-1]

    def start(self) -> None:
        """Write that the agent began."""
        self.write(Kind.STARTED, software="callseal/0.1.0", settings=SETTINGS, x5c=(CERTIFICATE,))

    def beat(self, *, after_s: float = 60.0) -> None:
        """Write a heartbeat."""
        self.write(Kind.HEARTBEAT, after_s=after_s, open=len(self.state.open))

    def open(self, number: int) -> None:
        """Write that a recording was opened."""
        self.write(Kind.OPENED, number, after_s=1)

    def end(
        self, number: int, kind: Kind = Kind.CLOSED, result: str = "ok", reasons: Sequence[str] = ()
    ) -> None:
        """Write that a recording ended."""
        fields = {"manifest": manifest(number), "result": result, "reasons": tuple(reasons)}
        self.write(kind, number, after_s=20, **fields)

    def publish(self) -> bytes:
        """Finish the segment, and return its checkpoint's note."""
        first = self.state.size - len(self.lines)
        note = sign_checkpoint(self.device, self.state.size, self.state.tree.root(), self.key)
        self.segments.append((first, b"".join([*self.lines, write_line(note)])))
        self.lines = []
        return note.encode()

    def work(self, calls: int, *, begin: int = 0) -> None:
        """Write what an agent writes in as many minutes, with a call in each."""
        for number in range(begin, begin + calls):
            self.beat(after_s=39)
            self.open(number)
            self.end(number)
            self.publish()

    def chain(self, *, every_signature: bool = False) -> Chain:
        """Return what a check of all finished segments says."""
        return read(self.segments, every_signature=every_signature)


def scribe(calls: int = 10) -> Scribe:
    """Return the writer of an honest ledger of as many calls, in `calls` + 1 segments."""
    honest = Scribe()
    honest.start()
    honest.publish()
    honest.work(calls)
    return honest


def read(segments: Sequence[tuple[int, bytes]], *, every_signature: bool = False) -> Chain:
    """Return what a check of these segments, of the device, says."""
    return verify_chain(segments, device=device(), public_key=public_key(), every_signature=every_signature)


def notes(segments: Sequence[tuple[int, bytes]]) -> list[bytes]:
    """Return the notes of the checkpoints of these segments."""
    return [read_line(data.splitlines(keepends=True)[-1]) for _, data in segments]


def edit(
    segments: Sequence[tuple[int, bytes]], number: int, lines: Sequence[bytes]
) -> list[tuple[int, bytes]]:
    """Return the segments with other lines in one of them."""
    changed = list(segments)
    changed[number] = changed[number][0], b"".join(lines)
    return changed


def lines_of(segments: Sequence[tuple[int, bytes]], number: int) -> list[bytes]:
    """Return the lines of a segment."""
    return segments[number][1].splitlines(keepends=True)
