"""What the agent and its workers, the processes that take sound, say to each other.

A frame is four bytes of length, big-endian, and one pickled message. Pickle is safe here and nowhere else:
both ends are processes of this program, one of which has started the other, and a socket pair has no name by
which anybody else could reach it. What a gateway sent travels inside as text and bytes, never as a pickle.

Each worker has a pair for orders, one for reports, and a few for the ledger, where a question has its answer
before the next is asked. A pair that has come to its end means that the other process has, too.
"""

import asyncio
import pickle
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

from callseal.agent.call import EndReason
from callseal.agent.errors import PortsExhausted, ProtocolError, SourceError
from callseal.config.settings import Settings
from callseal.seal.errors import SpoolError
from callseal.seal.ledger.entry import Kind
from callseal.seal.manifest import LedgerPlace, Result

MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
"""Far beyond the longest: a call with all its documents."""
METHODS: Final = frozenset(
    {"reserve", "release", "open", "add_ports", "change", "note", "close", "discard", "silent"}
)
"""What a worker is asked of its engine; see `MediaEngine` and `Engine.silent`."""

_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one worker has of the source: its ports, both ends included, and how many calls it may have."""

    address: str
    first_port: int
    last_port: int
    max_calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The first order: all that a worker has to know."""

    share: Share
    settings: Settings
    spools: tuple[tuple[Path, int], ...]
    """Folders, and the descriptors of their locks."""
    recipients: tuple[str, ...]
    device: str
    key: bytes = field(repr=False)
    """The device's private key, 32 bytes."""
    chain: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Do something with the engine, and answer."""

    number: int
    method: str
    """One of `METHODS`."""
    arguments: tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """End what still runs, for this reason, and then the process."""

    end: EndReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The worker takes sound."""

    capacity: int
    unprotected: tuple[str, ...]
    """In words what the system did not allow to protect its memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of an `Ask`."""

    number: int
    value: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """An `Ask` could not be done."""

    number: int
    kind: str
    """"ports", "spool" or "source"."""
    words: str

    @classmethod
    def of(cls, number: int, problem: Exception) -> "Failed":
        """Say in plain values what an exception says."""
        kind = "source"
        if isinstance(problem, PortsExhausted):
            kind = "ports"
        elif isinstance(problem, SpoolError):
            kind = "spool"
        return cls(number=number, kind=kind, words=str(problem))

    def error(self) -> SourceError | SpoolError:
        """Give the exception again."""
        if self.kind == "spool":
            return SpoolError(self.words)
        return PortsExhausted(self.words) if self.kind == "ports" else SourceError(self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """How the worker is doing; comes every second."""

    ticks: int
    counters: Mapping[str, int]
    failed: frozenset[Path]
    """The spools whose disks refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something needs a person."""

    code: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A recording has ended."""

    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteEntry:
    """Add an entry to the ledger; the answer comes when it is durable."""

    kind: Kind
    recording: UUID | None
    manifest: bytes | None
    result: str | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOpen:
    """Tell whether this recording was opened and has no end."""

    recording: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class AskPlace:
    """Tell where the ledger's newest entry is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerAnswer:
    """The ledger's answer."""

    is_open: bool = False
    place: LedgerPlace | None = None
    problem: str = ""
    """Why there is none: a mistake of ours."""


Order = Start | Ask | Stop
Report = Ready | Answer | Failed | Beat | Alarm | Finished
Question = NoteEntry | AskOpen | AskPlace
Message = Order | Report | Question | LedgerAnswer


def frame(message: Message) -> bytes:
    """Write a message as it travels; ProtocolError where it is too long."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    if len(data) > MAX_FRAME_BYTES:
        raise ProtocolError(f"a {type(message).__name__} of {len(data)} bytes is too long")
    return _LENGTH.pack(len(data)) + data


def receive(channel: socket.socket) -> Message | None:
    """Wait for a message; None where the other process has ended."""
    head = _exactly(channel, _LENGTH.size)
    data = None if head is None else _exactly(channel, _size(head))
    return None if data is None else _message(data)


async def read(channel: asyncio.StreamReader) -> Message | None:
    """Do the same in an event loop."""
    try:
        return _message(await channel.readexactly(_size(await channel.readexactly(_LENGTH.size))))
    except (asyncio.IncompleteReadError, OSError):
        return None


def pairs(count: int) -> tuple[Sequence[socket.socket], Sequence[socket.socket]]:
    """Make so many socket pairs: our ends, and the other process's."""
    made = [socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(count)]
    return [ours for ours, _ in made], [theirs for _, theirs in made]


def _size(head: bytes) -> int:
    size: int = _LENGTH.unpack(head)[0]
    if size > MAX_FRAME_BYTES:
        raise ProtocolError(f"a frame of {size} bytes is too long")
    return size


def _message(data: bytes) -> Message:
    found: Message = pickle.loads(data)  # noqa: S301 - from a process of our own: see above
    if not isinstance(found, Message):
        raise ProtocolError(f"a {type(found).__name__} is no message")
    return found


def _exactly(channel: socket.socket, size: int) -> bytes | None:
    found = bytearray()
    while len(found) < size:
        try:
            piece = channel.recv(min(size - len(found), 1024 * 1024))
        except OSError:
            return None
        if not piece:
            return None
        found += piece
    return bytes(found)
