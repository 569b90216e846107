"""An agent in a child process whose calls say a pattern that is known again anywhere, for tests that end it.

What is said is text, a marker with the number of the call and of the block: found in a file or on a raw disk
it is plaintext that should not be there, and in a recording it tells to the byte how much was kept. How much
each call had said is counted in memory that parent and child share, before the recorder is given it.

The child does what the agent's service does: one thread takes the sound, one ticks the recorder, one syncs
the bank. Positions are samples of the call, from 0.
"""

import contextlib
import hashlib
import mmap
import os
import secrets
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn
from uuid import UUID

import numpy as np
import structlog

from callseal.agent.binding import Policy
from callseal.agent.call import Answered, AudioFormat, Block, Call, Ending, EndReason, Party
from callseal.agent.checks import Limits
from callseal.agent.chronicle import Chronicle
from callseal.agent.recorder import SpoolRecorder
from callseal.agent.spools import Spools
from callseal.codecs.au import HEADER_BYTES, Encoding
from callseal.seal.age import HybridIdentity, Identity
from callseal.seal.bank import Bank
from callseal.seal.device import DeviceSigner
from callseal.seal.errors import SpoolError
from callseal.seal.ledger.clock import system_clocks
from callseal.seal.ledger.journal import Journal
from callseal.seal.recovery import NotRecovered, Recovered, Recovery
from callseal.seal.spool import Spool
from support.sealed_recordings import organisation

MARKER: Final = b"PLAINTEXT-MARKER"
RATE_HZ: Final = 8000
BLOCK_S: Final = 0.1
BLOCK_SAMPLES: Final = int(RATE_HZ * BLOCK_S)
FRAME_BYTES: Final = 2
TICK_S: Final = 0.1
OWNER: Final = organisation()
READER: Final = HybridIdentity.generate()
RECIPIENTS: Final = (READER.recipient, HybridIdentity.generate().recipient)
FORM: Final = AudioFormat(encoding=Encoding.ULAW, rate_hz=RATE_HZ)
MAX_TALKS: Final = 64

_MAX_ALARMS_BYTES: Final = 1024 * 1024
_TALK: Final = struct.Struct(">16sQQ")
_MIN_FREE_BYTES: Final = 1024 * 1024
_LIMITS: Final = Limits(
    min_level_dbov=-35.0, max_clipped_ratio=0.001, silent_channel_dbov=-60.0, silent_s=10.0
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """How an agent makes sound durable: the desk's way, or the gateway's with a bank."""

    flush_s: float
    banked: bool = False
    sync_s: float | None = None
    """None with a bank: nobody ever syncs."""
    late_blocks: int = 0
    """How many blocks late what is said comes to stay; until then it is handed in as what may change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How calls follow one another: so many at once, so many in all, each so long."""

    at_once: int = 1
    in_all: int = MAX_TALKS
    talk_s: Callable[[], float] | None = None
    """How many seconds are said in each; None: no end."""
    answered_s: float | None = None
    """When each is answered: the recorder is told, and changes what it wrote of the call."""
    pace: float = 1.0
    """How many times faster than life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """An alarm of an agent; `at_s` by the monotonic clock, which all processes share."""

    at_s: float
    code: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """One call of an agent: the recording it began as, what it had said, and whether it was over."""

    number: int
    recording: UUID
    said_samples: int
    over: bool

    def said(self, first_sample: int = 0) -> bytes:
        """Return all frames that it had said, from one of them on."""
        blocks = -(-self.said_samples // BLOCK_SAMPLES)
        frames = b"".join(block_bytes(self.number, block) for block in range(blocks))
        return frames[first_sample * FRAME_BYTES : self.said_samples * FRAME_BYTES]


class Board:
    """The memory that parent and child share."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, MAX_TALKS * _TALK.size)

    def tell(self, number: int, recording: UUID, said_samples: int, *, over: bool = False) -> None:
        """Write down how far a call is."""
        _TALK.pack_into(self._memory, number * _TALK.size, recording.bytes, said_samples, over)

    def talks(self) -> list[Talk]:
        """Return what was written down of every call that began."""
        found = []
        for number in range(MAX_TALKS):
            recording, said, over = _TALK.unpack_from(self._memory, number * _TALK.size)
            if any(recording):
                talk = Talk(
                    number=number, recording=UUID(bytes=recording), said_samples=said, over=bool(over)
                )
                found.append(talk)
        return found


@dataclass
class Agent:
    """A child process that records, as its parent sees it."""

    spools: tuple[Path, ...]
    board: Board
    pid: int
    _alarms: int = field(repr=False)
    _ended: bool = field(default=False, repr=False)

    def kill(self) -> None:
        """End it without a word."""
        if not self._ended:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self._ended = True

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Let it stand still for a while."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def wait(self) -> int:
        """Wait for its end, and give its exit code."""
        _, status = os.waitpid(self.pid, 0)
        self._ended = True
        return os.waitstatus_to_exitcode(status)

    def alarms(self) -> list[Alarm]:
        """Give the alarms that it raised so far."""
        lines = os.pread(self._alarms, _MAX_ALARMS_BYTES, 0).decode().splitlines()
        found = [line.split("\t", 2) for line in lines]
        return [Alarm(at_s=float(at_s), code=code, words=words) for at_s, code, words in found]


def block_bytes(number: int, block: int) -> bytes:
    """Return what a call says in one of its blocks; two bytes a sample, one for each side."""
    size_bytes = BLOCK_SAMPLES * FRAME_BYTES
    text = b"%s-%06d-%08d|" % (MARKER, number, block)
    return (text * (size_bytes // len(text) + 1))[:size_bytes]


def start(spools: Sequence[Path], habit: Habit, course: Course) -> Agent:
    """Start an agent; it ends by itself, with 0, once all its calls are over."""
    board, alarms = Board(), os.memfd_create("alarms")
    child = os.fork()
    if child == 0:
        _run(spools, habit, board, course, alarms)
    return Agent(spools=tuple(spools), board=board, pid=child, _alarms=alarms)


def recover(roots: Sequence[Path]) -> list[Recovered | NotRecovered]:
    """Do what an agent does at its start."""
    with contextlib.ExitStack() as locks:
        spools = [Spool(root) for root in roots]
        for spool in spools:
            locks.enter_context(spool.lock())
        ledger = _chronicle(spools, _no_alarm)
        for spool in spools:
            spool.quarantine_strangers()
        found = Recovery(
            spools=spools,
            recipients=RECIPIENTS,
            signer=_signer(),
            ledger=ledger,
            site="bj",
            stores=("primary",),
            software="callseal/0.0.0",
            now=_now,
        ).run()
        ledger.publish()
    return found


def lost_s(talk: Talk, plaintext: bytes) -> float:
    """Return how much of a call is missing at the end of its recording; what there is was said so."""
    frames = plaintext[HEADER_BYTES:]
    said = talk.said()
    assert said.startswith(frames), f"call {talk.number}: something else than what was said"
    return (len(said) - len(frames)) / FRAME_BYTES / RATE_HZ


def holds_marker(path: Path) -> bool:
    """Tell whether a file or a disk image has plaintext in it."""
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(MARKER) >= 0


@dataclass
class Recorder:
    """A recorder in this process, with all that the service puts around it."""

    recorder: SpoolRecorder
    spools: Spools
    habit: Habit
    _stop: threading.Event = field(default_factory=threading.Event)

    def run_chores(self) -> None:
        """Tick, and sync the bank, until the process ends or `stop`."""
        threading.Thread(target=self._tick_forever, daemon=True).start()
        if self.habit.banked and self.habit.sync_s is not None:
            for spool in self.spools.all:
                threading.Thread(
                    target=self._sync_forever, args=(spool, self.habit.sync_s), daemon=True
                ).start()

    def stop(self) -> None:
        """End the chores."""
        self._stop.set()

    def _tick_forever(self) -> None:
        while not self._stop.wait(TICK_S):
            self.recorder.tick()

    def _sync_forever(self, spool: Spool, sync_s: float) -> None:
        bank = Bank(spool.root)
        while not self._stop.wait(sync_s):
            staged = self.recorder.staged(spool)
            if not staged:
                continue
            try:
                bank.sync()
            except SpoolError as error:
                self.recorder.sync_failed(spool, error)
            else:
                self.recorder.synced(staged)


@contextlib.contextmanager
def recorder_on(roots: Sequence[Path], habit: Habit, alarm: Callable[[str, str], None]) -> Iterator[Recorder]:
    """Give a recorder on these spools, which this process holds meanwhile."""
    spools = [Spool(root) for root in roots]
    with contextlib.ExitStack() as locks:
        for spool in spools:
            locks.enter_context(spool.lock())
        choice = Spools(spools, min_free_bytes=_MIN_FREE_BYTES, alarm=alarm, clear=_clear)
        recorder = SpoolRecorder(
            spools=choice,
            ledger=_chronicle(spools, alarm),
            recipients=RECIPIENTS,
            signer=_signer(),
            policy=Policy(
                site="bj",
                stores=lambda _call, _result: ("primary",),
                flush_s=habit.flush_s,
                limits=_LIMITS,
                software="callseal/0.0.0",
                banked=habit.banked,
            ),
            now=_now,
            monotonic=time.monotonic,
            random=secrets.token_bytes,
            alarm=alarm,
            finished=lambda _result: None,
        )
        found = Recorder(recorder=recorder, spools=choice, habit=habit)
        try:
            yield found
        finally:
            found.stop()


def call() -> Call:
    """Give a call that begins now."""
    return Call(
        source="bridge",
        direction="inbound",
        started_at=_now(),
        agent=Party(number="8001"),
        customer=Party(number="+8613800138000"),
    )


def speak(recorder: SpoolRecorder, recording: UUID, number: int, block: int, *, late_blocks: int = 0) -> None:
    """Give the recorder one block of a call; with `late_blocks` as tentative, and again those before it."""
    first = max(0, block - late_blocks)
    data = b"".join(block_bytes(number, one) for one in range(first, block + 1))
    codes = np.frombuffer(data, np.uint8).reshape(1, -1, 2)
    stays = 1 if block >= late_blocks else 0
    recorder.write(
        Block(
            recordings=(recording,),
            start_samples=np.array([first * BLOCK_SAMPLES], np.int64),
            payload=codes,
            present=np.ones((1, 2, codes.shape[1] * 100 // RATE_HZ), np.bool_),
            tentative_samples=codes.shape[1] - stays * BLOCK_SAMPLES,
        )
    )


def hang_up(recorder: SpoolRecorder, recording: UUID) -> None:
    """End a call."""
    recorder.close(recording, EndReason(ending=Ending.HANGUP, at=_now(), by="customer"))


def _run(
    spools: Sequence[Path],
    habit: Habit,
    board: Board,
    course: Course,
    alarms: int,
) -> NoReturn:
    """Record until all is said; whatever happens, this process must not run on as a second pytest."""

    def alarm(code: str, words: str) -> None:
        os.write(alarms, f"{time.monotonic()}\t{code}\t{words}\n".encode())

    code = 1
    try:
        structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
        with recorder_on(spools, habit, alarm) as found:
            found.run_chores()
            _talk(found.recorder, board, course, habit.late_blocks)
        code = 0
    except BaseException as problem:  # noqa: BLE001 - told like an alarm, and then the end
        alarm("died", repr(problem))
    finally:
        os._exit(code)


def _talk(recorder: SpoolRecorder, board: Board, course: Course, late_blocks: int) -> None:
    began: list[tuple[int, UUID, int, float]] = []
    numbers = iter(range(course.in_all))
    answered = None if course.answered_s is None else round(course.answered_s / BLOCK_S)
    tick, zero_s = 0, time.monotonic()
    while True:
        while len(began) < course.at_once and (number := next(numbers, None)) is not None:
            recording = recorder.open(call(), FORM)
            board.tell(number, recording, 0)
            blocks = float("inf") if course.talk_s is None else course.talk_s() / BLOCK_S
            began.append((number, recording, 0, blocks))
        if not began:
            return
        tick += 1
        time.sleep(max(0.0, zero_s + tick * BLOCK_S / course.pace - time.monotonic()))
        going_on = []
        for number, recording, block, blocks in began:
            said_samples = (block + 1) * BLOCK_SAMPLES
            board.tell(number, recording, said_samples)
            speak(recorder, recording, number, block, late_blocks=late_blocks)
            if block == answered:
                recorder.event(recording, Answered(at=_now(), position_samples=said_samples))
            if block + 1 < blocks:
                going_on.append((number, recording, block + 1, blocks))
            else:
                hang_up(recorder, recording)
                board.tell(number, recording, said_samples, over=True)
        began = going_on


def _chronicle(spools: Sequence[Spool], alarm: Callable[[str, str], None]) -> Chronicle:
    ledger = Chronicle(
        lambda: Journal(
            [spool.ledger_path for spool in spools],
            device=OWNER.device,
            key=OWNER.device_key,
            clocks=system_clocks,
        ),
        clocks=system_clocks,
        heartbeat_s=60.0,
        publish_s=60.0,
        alarm=alarm,
        clear=_clear,
    )
    ledger.started("callseal/0.0.0", hashlib.sha256(b"settings").digest(), OWNER.chain)
    return ledger


def _signer() -> DeviceSigner:
    return DeviceSigner(device=OWNER.device, key=OWNER.device_key, chain=OWNER.chain)


def _now() -> datetime:
    return datetime.now(UTC)


def _no_alarm(code: str, words: str) -> None:
    raise RuntimeError(f"{code}: {words}")


def _clear(_code: str) -> None:
    pass


def reader() -> Identity:
    """Give the key that opens what was recorded."""
    return READER
