"""A worker: a process that takes the sound of some of a gateway's calls, and records it.

Started as `python -m callseal.agent.media.worker ORDERS REPORTS LEDGER…`, all of them descriptors of
socket pairs. It has an engine and a recorder of its own, over the agent's spools, whose locks it shares, and
tells the ledger through the agent. It never lives longer than the agent: what is open then is recovered at
the agent's next start, as if they had been one process.

Signals that end the agent don't end this: what they mean is the agent's to say.

Source: prctl(2), PR_SET_PDEATHSIG.
"""

import asyncio
import ctypes
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final, NoReturn

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callseal.agent import memory
from callseal.agent.call import Recorder
from callseal.agent.errors import AgentError, ProtocolError, SourceError
from callseal.agent.media.engine import SILENT_S, Engine
from callseal.agent.media.remote_ledger import RemoteLedger
from callseal.agent.media.worker_protocol import (
    METHODS,
    Alarm,
    Answer,
    Ask,
    Beat,
    Failed,
    Finished,
    Ready,
    Report,
    Start,
    Stop,
    frame,
    read,
    receive,
)
from callseal.agent.policy import policy_of
from callseal.agent.recorder import SpoolRecorder
from callseal.agent.spools import Spools
from callseal.config import logs
from callseal.seal.age.recipient import parse_recipient
from callseal.seal.bank import Bank
from callseal.seal.device import DeviceSigner
from callseal.seal.errors import SealError, SpoolError
from callseal.seal.spool import Spool

BEAT_S: Final = 1.0
TICK_EVERY_S: Final = 0.25
"""How often the recorder looks what must be made safe: well below any flush interval."""
_MEBIBYTE: Final = 1024 * 1024
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h

log = structlog.get_logger("callseal.siprec.worker")


def leave() -> NoReturn:
    """End this process at once: there is no agent any more to record for."""
    os._exit(1)


class Reports:
    """The way to the agent, for all threads."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._lock = threading.Lock()

    def send(self, report: Report) -> None:
        """Send a report, or end where nobody takes it."""
        data = frame(report)
        try:
            with self._lock:
                self._channel.sendall(data)
        except OSError:
            leave()

    def alarm(self, code: str, words: str) -> None:
        """Report an alarm."""
        self.send(Alarm(code=code, words=words))


class Desk:
    """What this process has of the agent's: spools, recorder, and what keeps recordings safe."""

    def __init__(self, start: Start, ledger: RemoteLedger, reports: Reports) -> None:
        """Open the spools again; SpoolError where they are gone."""
        settings = start.settings
        spools = []
        for folder, descriptor in start.spools:
            spool = Spool.existing(folder)
            spool.share_lock(descriptor)
            spools.append(spool)
        self.spools = Spools(
            spools,
            min_free_bytes=settings.spool.min_free_mb * _MEBIBYTE,
            warn_percent=settings.spool.warn_percent,
            full_percent=settings.spool.full_percent,
            alarm=reports.alarm,
            clear=lambda _code: None,
        )
        self._policy = policy_of(settings, f"callseal/{version('callseal')}")
        self._sync_s = settings.seal.sync_s
        self._alarm = reports.alarm
        self.recorder = SpoolRecorder(
            spools=self.spools,
            ledger=ledger,
            recipients=tuple(map(parse_recipient, start.recipients)),
            signer=DeviceSigner(
                device=start.device, key=Ed25519PrivateKey.from_private_bytes(start.key), chain=start.chain
            ),
            policy=self._policy,
            now=now,
            monotonic=time.monotonic,
            random=secrets.token_bytes,
            alarm=reports.alarm,
            finished=lambda result: reports.send(Finished(result=result)),
        )

    def keep_safe(self) -> None:
        """Begin to tick the recorder and, in a bank, to sync its spools, in threads of their own."""
        threading.Thread(target=self._tick_forever, name="tick", daemon=True).start()
        if self._policy.banked:
            for spool in self.spools.all:
                threading.Thread(target=self._sync_forever, args=(spool,), name="sync", daemon=True).start()

    def _tick_forever(self) -> None:
        while True:
            time.sleep(TICK_EVERY_S)
            try:
                self.recorder.tick()
            except Exception as error:  # noqa: BLE001 - told, and the next tick is tried
                self._bug("tick", error)

    def _sync_forever(self, spool: Spool) -> None:
        bank: Bank | None = None
        while True:
            try:
                bank = bank or Bank(spool.root)
                self._sync(bank, spool)
            except Exception as error:  # noqa: BLE001 - told, and the next sync is tried
                self._bug("sync", error)
            time.sleep(self._sync_s)

    def _sync(self, bank: Bank, spool: Spool) -> None:
        staged = self.recorder.staged(spool)
        if not staged:
            return
        try:
            bank.sync()
        except SpoolError as error:
            self.recorder.sync_failed(spool, error)
        else:
            self.recorder.synced(staged)

    def _bug(self, chore: str, error: Exception) -> None:
        log.error("worker.chore.failed", chore=chore, exc_info=error)
        self._alarm("agent-faulty", f"a bug in callseal, please report it: {chore}: {type(error).__name__}")


class Worker:
    """Carries out orders until told to stop."""

    def __init__(self, start: Start, reports: Reports, spools: Spools) -> None:
        self._reports = reports
        self._spools = spools
        self._engine = Engine(
            address=start.share.address,
            first_port=start.share.first_port,
            last_port=start.share.last_port,
            max_calls=start.share.max_calls,
            now=now,
            alarm=reports.alarm,
        )
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, orders: socket.socket, recorder: Recorder, unprotected: Sequence[str]) -> None:
        """Record until told to stop; ends the process where the agent is gone."""
        reader, _kept = await asyncio.open_connection(sock=orders)
        self._engine.start(recorder)
        self._reports.send(Ready(capacity=self._engine.capacity, unprotected=tuple(unprotected)))
        beating = asyncio.create_task(self._beat_forever())
        while not isinstance(order := await read(reader), Stop):
            if not isinstance(order, Ask):
                leave()
            task = asyncio.create_task(self._carry_out(order))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        beating.cancel()
        try:
            await self._engine.stop(order.end)
        except (AgentError, SealError) as problem:
            log.error("worker.stop.failed", detail=str(problem))  # noqa: TRY400 - it ends all the same

    async def _carry_out(self, ask: Ask) -> None:
        answer: Report
        try:
            answer = Answer(number=ask.number, value=await self._done(ask))
        except (AgentError, SealError) as problem:
            answer = Failed.of(ask.number, problem)
        except Exception as problem:
            log.exception("worker.fault", method=ask.method)
            words = f"a bug in callseal, please report it: {ask.method}: {type(problem).__name__}"
            self._reports.alarm("agent-faulty", words)
            answer = Failed.of(ask.number, SourceError("the worker could not do what it was asked"))
        self._reports.send(answer)

    async def _done(self, ask: Ask) -> object:
        if ask.method not in METHODS:
            raise ProtocolError(f"{ask.method} is nothing that a worker does")
        value: object = await getattr(self._engine, ask.method)(*ask.arguments)
        return value

    async def _beat_forever(self) -> None:
        while True:
            if self._engine.why_not() and self._engine.silent_s < SILENT_S:
                leave()  # the media thread has ended by a mistake of its own, and has told of it
            beat = Beat(
                ticks=self._engine.statistics.ticks,
                counters=self._engine.counters(),
                failed=self._spools.failed,
            )
            self._reports.send(beat)
            await asyncio.sleep(BEAT_S)


def now() -> datetime:
    """Give the wall time, UTC."""
    return datetime.now(UTC)


def _end_with(parent: int) -> None:
    """See that this process ends when its parent does, however that ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before
        leave()


def main() -> None:
    """Run a worker over the descriptors named on the command line."""
    # What is typed at a terminal, or sent to all of a service's processes, is the agent's to answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _end_with(int(sys.argv[1]))
    unprotected = memory.protect()
    orders, reports, *ledger = [socket.socket(fileno=int(one)) for one in sys.argv[2:]]
    start = receive(orders)
    if not isinstance(start, Start):
        leave()
    logs.configure(start.settings.log)
    way = Reports(reports)
    desk = Desk(start, RemoteLedger(ledger, leave), way)
    desk.keep_safe()
    asyncio.run(Worker(start, way, desk.spools).run(orders, desk.recorder, unprotected))
    # What is recorded is complete. The threads that are left have nothing to do, and nothing to say.
    os._exit(0)


if __name__ == "__main__":
    main()
