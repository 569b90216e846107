"""The ledger, as workers have it: they ask, and the agent, its one writer, answers.

Conventions: both sides are used from several threads. A channel carries one question at a time, so there are
as many as threads that wait for the disk.
"""

import queue
import socket
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final, NoReturn
from uuid import UUID

import structlog

from callseal.agent.chronicle import Ledger
from callseal.agent.errors import RecorderError
from callseal.agent.media.worker_protocol import (
    AskOpen,
    AskPlace,
    LedgerAnswer,
    Message,
    NoteEntry,
    Question,
    frame,
    receive,
)
from callseal.seal.ledger.entry import ENDS, Kind
from callseal.seal.manifest import LedgerPlace

CHANNELS: Final = 4
MAX_ENDED: Final = 256
"""Recordings whose end is noted and which may not have been moved to ``ready/`` yet: a few at a time."""


log = structlog.get_logger("callseal.siprec.worker")


class RemoteLedger:
    """The worker's side: a `Ledger` in another process."""

    def __init__(self, channels: Sequence[socket.socket], gone: Callable[[], NoReturn]) -> None:
        """`gone` is called where the agent has ended, which ends this process."""
        self._free: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()
        for channel in channels:
            self._free.put(channel)
        self._gone = gone

    @property
    def place(self) -> LedgerPlace | None:
        """Where the newest entry is."""
        return self._ask(AskPlace()).place

    def is_open(self, recording: UUID) -> bool:
        """Tell whether a recording was opened and has no end."""
        return self._ask(AskOpen(recording=recording)).is_open

    def note(
        self,
        kind: Kind,
        *,
        recording: UUID | None = None,
        manifest: bytes | None = None,
        result: str | None = None,
        reasons: Sequence[str] = (),
    ) -> None:
        """Add an entry about a recording, durable when this returns."""
        self._ask(
            NoteEntry(
                kind=kind, recording=recording, manifest=manifest, result=result, reasons=tuple(reasons)
            )
        )

    def _ask(self, question: Question) -> LedgerAnswer:
        channel = self._free.get()
        try:
            channel.sendall(frame(question))
            answer = receive(channel)
        except OSError:
            answer = None
        finally:
            self._free.put(channel)
        if not isinstance(answer, LedgerAnswer):
            self._gone()
        if answer.problem:
            raise RecorderError(answer.problem)
        return answer


class LedgerDesk:
    """The agent's side for one worker: answers it, and knows which recordings are in its hands."""

    def __init__(self, ledger: Ledger, channels: Sequence[socket.socket]) -> None:
        """Answer until each channel has come to its end."""
        self._ledger = ledger
        self._lock = threading.Lock()
        self._open: set[UUID] = set()
        self._ended: deque[UUID] = deque(maxlen=MAX_ENDED)
        self._asked = 0
        self._threads = [
            threading.Thread(target=self._serve, args=(channel,), name="siprec-ledger", daemon=True)
            for channel in channels
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_asked(self) -> bool:
        """Whether the worker waits for an answer."""
        return self._asked > 0

    def close(self) -> Collection[UUID]:
        """Wait until the worker, which has ended, is answered; return the recordings it may have left."""
        for thread in self._threads:
            thread.join()
        return {*self._open, *self._ended}

    def _serve(self, channel: socket.socket) -> None:
        with channel:
            while (question := receive(channel)) is not None:
                with self._lock:
                    self._asked += 1
                try:
                    answer = self._answer(question)
                    channel.sendall(frame(answer))
                except OSError:
                    return
                finally:
                    with self._lock:
                        self._asked -= 1

    def _answer(self, question: Message) -> LedgerAnswer:
        try:
            match question:
                case NoteEntry():
                    self._note(question)
                    return LedgerAnswer()
                case AskOpen(recording=recording):
                    return LedgerAnswer(is_open=self._ledger.is_open(recording))
                case _:
                    return LedgerAnswer(place=self._ledger.place)
        except Exception as problem:
            log.exception("worker.ledger.failed")
            return LedgerAnswer(problem=f"the ledger could not be told: {type(problem).__name__}")

    def _note(self, entry: NoteEntry) -> None:
        recording = entry.recording
        if recording is not None and entry.kind is Kind.OPENED:
            with self._lock:
                self._open.add(recording)
        self._ledger.note(
            entry.kind,
            recording=recording,
            manifest=entry.manifest,
            result=entry.result,
            reasons=entry.reasons,
        )
        if recording is not None and entry.kind in ENDS:
            with self._lock:
                self._open.discard(recording)
                self._ended.append(recording)
