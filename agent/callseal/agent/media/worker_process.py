"""A worker as the agent sees it: started, asked, listened to, and ended.

A worker that has ended, or whose media thread has stood still for `SILENT_S`, is of no use any more: whoever
waits for it is told, it is killed, and what it left open is for the recovery. While it waits for the ledger
it is the agent that is slow; and where the agent itself stood still, the worker is given its time again.

Shell: runs in the event loop, and must be started from the process's main thread: the kernel ends a worker
with the *thread* that started it.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID

import structlog

from callseal.agent.call import EndReason
from callseal.agent.chronicle import Ledger
from callseal.agent.errors import ProtocolError, SourceError
from callseal.agent.media.engine import SILENT_S, STOP_LIMIT_S
from callseal.agent.media.remote_ledger import CHANNELS, LedgerDesk
from callseal.agent.media.worker_protocol import (
    Alarm,
    Answer,
    Ask,
    Beat,
    Failed,
    Finished,
    Order,
    Ready,
    Share,
    Start,
    Stop,
    frame,
    pairs,
    read,
)
from callseal.agent.spools import Spools
from callseal.config.settings import Settings
from callseal.seal.age import Recipient
from callseal.seal.device import DeviceSigner
from callseal.seal.errors import SpoolError
from callseal.seal.manifest import Result
from callseal.seal.spool import Spool

START_LIMIT_S: Final = 30.0
"""A process that loads much on a busy machine needs a while."""
LOOK_EVERY_S: Final = 0.5
STOOD_STILL_S: Final = 2.0
"""Where the agent looks so much later than it should, it stood still itself."""
END_LOOK_S: Final = 0.02
UNPROTECTED: Final = "memory-unprotected"

log = structlog.get_logger("callseal.siprec.worker")


class WorkerGone(SourceError):  # noqa: N818 - says what is wrong better than "...Error" would
    """The process that took a call's sound has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """What workers have of the agent."""

    settings: Settings
    spools: Spools
    ledger: Ledger
    recipients: Sequence[Recipient]
    signer: DeviceSigner
    alarm: Callable[[str, str], None]
    """Takes a code and words."""
    finished: Callable[[Result], None]
    """Hears of every result."""
    recover: Callable[[Collection[UUID]], None]
    """Completes what a worker left open; takes its time."""


class WorkerProcess:
    """One worker, from its start to its end; not used again."""

    def __init__(self, share: Share, backing: Backing) -> None:
        self._share = share
        self._backing = backing
        self._child: subprocess.Popen[bytes] | None = None
        self._desk: LedgerDesk | None = None
        self._streams: tuple[tuple[asyncio.StreamReader, asyncio.StreamWriter], ...] = ()
        self._orders: asyncio.StreamWriter | None = None
        self._reports: asyncio.StreamReader | None = None
        self._last_ask = 0
        self._answers: dict[int, asyncio.Future[object]] = {}
        self._heard_s = time.monotonic()
        self._patience_s = START_LIMIT_S
        self._is_gone = False
        self.is_ready = asyncio.Event()
        self.ticks = 0
        self.capacity = 0
        self.calls = 0
        """How many it has, or is just asked to take; whoever asks it counts them."""
        self.counters: Mapping[str, int] = {}
        """As of its last beat."""

    @property
    def pid(self) -> int | None:
        """Its process id, once it was started."""
        return None if self._child is None else self._child.pid

    async def start(self) -> None:
        """Start the process and tell it what it has to know; OSError where the system refuses."""
        ours, theirs = pairs(2 + CHANNELS)
        spools = tuple((spool.root, spool.lock_descriptor()) for spool in self._trusted())
        descriptors = [one.fileno() for one in theirs]
        command = [sys.executable, "-m", "callseal.agent.media.worker", str(os.getpid())]
        try:
            # A session of its own: what is typed at the terminal is the agent's to answer.
            self._child = subprocess.Popen(  # noqa: ASYNC220, S603 - a fixed command, from this very thread
                [*command, *map(str, descriptors)],
                pass_fds=(*descriptors, *(descriptor for _, descriptor in spools)),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            _close(ours)
            raise
        finally:
            _close(theirs)
        self._desk = LedgerDesk(self._backing.ledger, ours[2:])
        # Of each pair both ends are kept: a stream that is let go of closes its socket.
        self._streams = (
            await asyncio.open_connection(sock=ours[0]),
            await asyncio.open_connection(sock=ours[1]),
        )
        self._orders, self._reports = self._streams[0][1], self._streams[1][0]
        self._heard_s = time.monotonic()
        signer = self._backing.signer
        self._order(
            Start(
                share=self._share,
                settings=self._backing.settings,
                spools=spools,
                recipients=tuple(one.text for one in self._backing.recipients),
                device=signer.device,
                key=signer.key.private_bytes_raw(),
                chain=signer.chain,
            )
        )

    async def listen(self) -> str:
        """Take what it reports until it is of no use any more; give in words why."""
        reading = asyncio.create_task(self._read())
        looked_s = time.monotonic()
        try:
            while not reading.done():
                await asyncio.wait((reading,), timeout=LOOK_EVERY_S)
                now_s = time.monotonic()
                is_our_fault = self._desk is not None and self._desk.is_asked
                if now_s - looked_s > STOOD_STILL_S or is_our_fault:
                    self._heard_s = now_s
                looked_s = now_s
                silent_s = now_s - self._heard_s
                if silent_s > self._patience_s:
                    return f"it has not answered for {silent_s:.0f} s"
            problem = reading.exception()
            return "it has ended" if problem is None else f"it said what it must not: {problem}"
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def ask(self, method: str, *arguments: object) -> object:
        """Have it do something with its engine; WorkerGone where it ends before it answers.

        It is done also when nobody waits for it any more.
        """
        return await self.asked(method, *arguments)

    def asked(self, method: str, *arguments: object) -> "asyncio.Future[object]":
        """Begin to."""
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        if self._is_gone:
            answer.set_exception(_gone())
            return answer
        self._last_ask += 1
        number = self._last_ask
        self._answers[number] = answer
        answer.add_done_callback(partial(self._done, number))
        self._order(Ask(number=number, method=method, arguments=arguments))
        return answer

    async def stop(self, end: EndReason) -> None:
        """Have it end what still runs, for this reason, and itself; WorkerGone where it must be killed."""
        child = self._child
        if child is None or self._is_gone:
            return
        self._heard_s, self._patience_s = time.monotonic(), STOP_LIMIT_S
        self._order(Stop(end=end))
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                code = await _end_of(child)
        except TimeoutError:
            raise WorkerGone(f"a worker did not end within {STOP_LIMIT_S:g} s") from None
        if code:
            raise WorkerGone("a worker ended before its recordings did")

    def give_up(self) -> None:
        """Tell all who wait for it that nothing comes any more."""
        self._is_gone = True
        for answer in list(self._answers.values()):
            if not answer.done():
                answer.set_exception(_gone())

    async def bury(self) -> Collection[UUID]:
        """Kill the process if it runs, wait for its end, and return the recordings it may have left open."""
        self.give_up()
        for _, writer in self._streams:
            writer.close()
        if self._child is None or self._desk is None:
            return ()
        self._child.kill()
        # Where a disk hangs this may take long: nothing may touch the recordings before.
        await _end_of(self._child)
        return await asyncio.to_thread(self._desk.close)

    # --- inside ---------------------------------------------------------------------------------------

    def _trusted(self) -> Sequence[Spool]:
        """Return the spools for it: a disk that refused one worker is not tried again by the next."""
        spools = self._backing.spools
        return [one for one in spools.all if one.root not in spools.failed] or spools.all

    def _done(self, number: int, answer: "asyncio.Future[object]") -> None:
        del self._answers[number]
        if not answer.cancelled():
            answer.exception()  # is known, also where nobody waits for it any more

    def _order(self, order: Order) -> None:
        if self._orders is not None and not self._orders.is_closing():
            self._orders.write(frame(order))

    async def _read(self) -> None:
        if self._reports is None:
            return
        while (report := await read(self._reports)) is not None:
            self._take(report)

    def _take(self, report: object) -> None:
        backing = self._backing
        match report:
            case Answer(number=number, value=value):
                answer = self._answers.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(value)
            case Failed(number=number):
                answer = self._answers.get(number)
                if answer is not None and not answer.done():
                    answer.set_exception(report.error())
            case Beat():
                self._beat(report)
            case Ready(capacity=capacity, unprotected=unprotected):
                self.capacity = capacity
                self._heard_s, self._patience_s = time.monotonic(), SILENT_S
                self.is_ready.set()
                for words in unprotected:
                    backing.alarm(UNPROTECTED, words)
            case Alarm(code=code, words=words):
                backing.alarm(code, words)
            case Finished(result=result):
                backing.finished(result)
            case _:
                raise ProtocolError(f"a worker sent a {type(report).__name__}")

    def _beat(self, beat: Beat) -> None:
        if beat.ticks != self.ticks:
            self.ticks = beat.ticks
            self._heard_s = time.monotonic()
        self.counters = beat.counters
        for spool in self._backing.spools.all:
            if spool.root in beat.failed:
                words = f"{spool.root}: its disk refused a process that takes sound"
                self._backing.spools.distrust(spool, SpoolError(words))


async def _end_of(child: "subprocess.Popen[bytes]") -> int:
    """Wait for a process's end and give its code; in no thread, for that could take for ever."""
    while (code := child.poll()) is None:  # noqa: ASYNC110 - the kernel sets no event
        await asyncio.sleep(END_LOOK_S)
    return code


def _gone() -> WorkerGone:
    return WorkerGone("the process that takes this call's sound has ended")


def _close(channels: Sequence[socket.socket]) -> None:
    for channel in channels:
        channel.close()
