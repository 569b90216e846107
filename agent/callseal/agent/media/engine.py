"""The media engine: one thread that takes the sound of all calls on a slow tick.

A recorder has no latency to save, so sound may lie in the sockets for a while. Every `TICK_S` the thread
reads all of it, a bank of calls at a time, places it and hands it on. Between the ticks it does what the
event loop asks.

Sound and events go to the recorder from this thread alone. Recordings are begun and closed in a few threads
beside it, for there the disk has to be waited for: begun before the media thread knows of them, closed when
it knows of them no more.

Shell: threads and a queue; what the media thread does is the `Studio`'s. Commands and their answers are
values that could as well travel to a process of its own.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final, TypeVar, cast
from uuid import UUID

import structlog

from callseal.agent.call import Call, Ending, EndReason, Event, Recorder
from callseal.agent.errors import AgentError, SourceError
from callseal.agent.media.commands import (
    AddPorts,
    Change,
    Close,
    Command,
    Discard,
    FindSilent,
    Note,
    Open,
    Release,
    Reserve,
    Shut,
)
from callseal.agent.media.descriptors import raise_limit
from callseal.agent.media.plans import RecordingPlan, Reservation, StreamPlan
from callseal.agent.media.ports import PortTurns
from callseal.agent.media.statistics import Statistics
from callseal.agent.media.studio import Studio
from callseal.seal.errors import SealError

TICK_S: Final = 0.37
"""Shorter costs more system calls, longer costs more sound when the process dies: two ticks make one writing.

No multiple of the packets' usual lengths: a drift between the packets is seen then, too (`timeline`)."""
COMMANDS_PER_TICK: Final = 32
"""Carried out between two ticks also when the thread has fallen behind, so that calls can still end."""
SILENT_S: Final = 10.0
"""A thread that has not ticked for so long does not answer."""
STOP_LIMIT_S: Final = 30.0
DISK_THREADS: Final = 4
"""They wait for the disk, and the disk does what several of them ask in one go."""
LOG_EVERY_S: Final = 10.0
"""The same fault again is not logged before."""
FILE_LIMIT: Final = "file-limit"
MEDIA_FAULT: Final = "media-fault"

log = structlog.get_logger("callseal.siprec.media")

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Job:
    command: Command
    answer: "Future[object]"


class Engine:
    """A `MediaEngine` in a thread.

    What was begun is carried out even when who waits for it is cancelled. Recordings begin at a second's
    boundary of their bank, mostly less than 2 s before they are opened, in silence, so that all calls of a
    bank share one grid.
    """

    def __init__(
        self,
        *,
        address: str,
        first_port: int,
        last_port: int,
        max_calls: int,
        now: Callable[[], datetime],
        alarm: Callable[[str, str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Sound comes to `address` and the even ports of the range; `alarm` takes a code and words."""
        self._address = address
        self._ports = PortTurns(first_port, last_port)
        self._max_calls = max_calls
        self._now = now
        self._alarm = alarm
        self._monotonic = monotonic
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._disk = ThreadPoolExecutor(DISK_THREADS, thread_name_prefix="siprec-disk")
        self._recorder: Recorder | None = None
        self._tasks: set[asyncio.Task[object]] = set()
        self._is_over = False
        self._ticked_s = monotonic()
        self._log_again_s: dict[str, float] = {}
        self._statistics = Statistics()
        self.capacity = max_calls
        """Calls at a time: what was asked for, or what this process may open files for."""

    def start(
        self,
        recorder: Recorder,
        changed: Callable[[Collection[int]], None] | None = None,  # noqa: ARG002 - nothing does here
    ) -> None:
        """Begin to take sound for this recorder."""
        self.capacity = raise_limit(self._max_calls)
        if self.capacity < self._max_calls:
            self._alarm(
                FILE_LIMIT,
                f"this process may open files for {self.capacity} calls at a time, not for the "
                f"{self._max_calls} of the settings: raise LimitNOFILE of the service",
            )
        studio = Studio(
            recorder=recorder,
            address=self._address,
            ports=self._ports,
            monotonic=self._monotonic,
            fault=self._fault,
        )
        self._recorder = recorder
        self._ticked_s = self._monotonic()
        self._thread = threading.Thread(target=self._run, args=(studio,), name="siprec-media", daemon=True)
        self._thread.start()

    async def stop(self, end: EndReason) -> None:
        """End the recordings that still run, for this reason, give back all ports and end the threads."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        answer: Future[object] = Future()
        self._jobs.put(_Job(Shut(), answer))
        if self._is_over:
            self._refuse_jobs()
        try:
            await self._closed(cast("tuple[UUID, ...]", await _answered(answer)), end)
        finally:
            await asyncio.to_thread(thread.join, STOP_LIMIT_S)
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.to_thread(self._disk.shutdown)
        if thread.is_alive():
            raise SourceError(f"the media thread did not end within {STOP_LIMIT_S:g} s")

    @property
    def silent_s(self) -> float:
        """For how long the thread has not ticked."""
        return self._monotonic() - self._ticked_s

    def why_not(self) -> str | None:
        """Give the code that says why no sound can be taken now: the thread has ended, or does not answer."""
        is_down = self._thread is None or self._is_over or self.silent_s > SILENT_S
        return "media-down" if is_down else None

    def counters(self) -> Mapping[str, int]:
        """Give the statistics as whole numbers, for the status; times in milliseconds."""
        now = self._statistics
        return {
            "recordings": now.recordings,
            "streams": now.streams,
            "packets": now.packets,
            "strangers": now.strangers,
            "dropped_by_kernel": now.dropped_by_kernel,
            "faults": now.faults,
            "ticks": now.ticks,
            "busy_ms": int(now.busy_s * 1000),
            "behind_ms": int(now.behind_s * 1000),
            "longest_tick_ms": int(now.longest_s * 1000),
        }

    @property
    def statistics(self) -> Statistics:
        """Say how the thread is doing."""
        return self._statistics

    # --- what the event loop asks -------------------------------------------------------------------------

    async def reserve(self, streams: int) -> Reservation:
        """Bind ports for that many streams; PortsExhausted where there are not as many."""
        answer = self._give(Reserve(streams=streams))
        try:
            return cast("Reservation", await _answered(answer))
        except asyncio.CancelledError:
            answer.add_done_callback(self._release_unused)
            raise

    async def release(self, reservation: int) -> None:
        """Give back the ports of a call that came to nothing."""
        await _answered(self._give(Release(reservation=reservation)))

    async def open(self, reservation: int, plans: tuple[RecordingPlan, ...]) -> tuple[UUID, ...]:
        """Begin the recordings of a call: all or, with SpoolError or SourceError, none."""
        return cast("tuple[UUID, ...]", await self._to_the_end(self._open(reservation, plans)))

    async def add_ports(self, reservation: int, streams: int) -> Reservation:
        """Bind ports for that many more streams of a call; gives the new ones only."""
        answer = self._give(AddPorts(reservation=reservation, streams=streams))
        return cast("Reservation", await _answered(answer))

    async def change(self, recording: UUID, streams: tuple[StreamPlan, ...]) -> None:
        """Take other streams, formats or keys for a recording from now on; the ports stay as they are."""
        await _answered(self._give(Change(recording=recording, streams=streams)))

    async def note(self, recording: UUID, event: Event) -> None:
        """Note what happened; a position of `NOW` is where the clock stands in the recording."""
        await _answered(self._give(Note(recording=recording, event=event)))

    async def close(self, reservation: int, end: EndReason) -> None:
        """End all recordings of a call: what has arrived is written, the ports are given back."""
        await self._to_the_end(self._close(reservation, end))

    async def discard(self, reservation: int, end: EndReason) -> None:
        """Destroy what was recorded of a call; its ports stay until they are released."""
        await self._to_the_end(self._discard(reservation, end))

    async def trace(self, call: Call, end: EndReason) -> UUID:
        """Leave the trace of a call that is not recorded; SpoolError where no spool takes it."""
        recorder = self._running()
        return cast("UUID", await self._to_the_end(self._on_disk(lambda: recorder.exempt(call, end))))

    async def silent(self, for_s: float) -> tuple[UUID, ...]:
        """Give the recordings of which nothing has come for so long, no report either."""
        return cast("tuple[UUID, ...]", await _answered(self._give(FindSilent(for_s=for_s))))

    # --- with the disk ------------------------------------------------------------------------------------

    async def _open(self, reservation: int, plans: tuple[RecordingPlan, ...]) -> tuple[UUID, ...]:
        recorder = self._running()
        begun: list[UUID] = []
        try:
            for plan in plans:
                begun += [await self._on_disk(partial(recorder.open, plan.call, plan.format))]
            command = Open(reservation=reservation, plans=plans, recordings=tuple(begun))
            await _answered(self._give(command))
        except (AgentError, SealError):
            end = EndReason(ending=Ending.REFUSED_BY_US, at=self._now())
            for recording in begun:
                await self._on_disk(partial(recorder.discard, recording, end))
            raise
        return tuple(begun)

    async def _close(self, reservation: int, end: EndReason) -> None:
        ended = await _answered(self._give(Close(reservation=reservation)))
        await self._closed(cast("tuple[UUID, ...]", ended), end)

    async def _closed(self, recordings: tuple[UUID, ...], end: EndReason) -> None:
        """Close recordings of which the media thread knows no more; the first problem is raised last."""
        recorder = self._recorder
        if recorder is None:
            return
        await self._each([partial(recorder.close, recording, end) for recording in recordings])

    async def _each(self, works: Sequence[Callable[[], None]]) -> None:
        """Do all of something with the disk; the first problem is raised last."""
        problems = await asyncio.gather(*map(self._on_disk, works), return_exceptions=True)
        for problem in problems:
            if problem is not None:
                raise problem

    async def _discard(self, reservation: int, end: EndReason) -> None:
        recorder = self._running()
        dropped = await _answered(self._give(Discard(reservation=reservation)))
        recordings = cast("tuple[UUID, ...]", dropped)
        await self._each([partial(recorder.discard, recording, end) for recording in recordings])

    async def _on_disk(self, work: Callable[[], R]) -> R:
        """Do something beside the event loop; a mistake of ours becomes a SourceError."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._disk, work)
        except (AgentError, SealError):
            raise
        except Exception as problem:
            self._fault("recorder", problem)
            raise SourceError("the recorder could not do what it was asked") from problem

    async def _to_the_end(self, work: Coroutine[object, object, object]) -> object:
        """Wait for something that goes on when nobody waits any more."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    # --- with the media thread ----------------------------------------------------------------------------

    def _running(self) -> Recorder:
        if self._recorder is None or self._thread is None or self._is_over:
            raise SourceError("the media engine does not run")
        return self._recorder

    def _give(self, command: Command) -> "Future[object]":
        self._running()
        answer: Future[object] = Future()
        self._jobs.put(_Job(command, answer))
        if self._is_over:  # it ended meanwhile, and nobody else looks at the queue
            self._refuse_jobs()
        return answer

    def _release_unused(self, answer: "Future[object]") -> None:
        if answer.exception() is None:
            reservation = cast("Reservation", answer.result())
            self._jobs.put(_Job(Release(reservation=reservation.id), Future()))

    # --- the media thread ---------------------------------------------------------------------------------

    def _run(self, studio: Studio) -> None:
        try:
            self._work(studio)
        except BaseException:
            log.exception("media.ended")
            self._alarm(MEDIA_FAULT, "the thread that takes the sound has ended by a mistake of its own")
            raise
        finally:
            self._is_over = True
            self._refuse_jobs()

    def _work(self, studio: Studio) -> None:
        due_s = self._monotonic()
        is_open = True
        while is_open:
            # What is due comes first: after a stall seconds have to be closed before a call that ends.
            patience_s = due_s - self._monotonic()
            if patience_s > 0:
                is_open = self._carry_out(studio, self._next_job(patience_s))
                continue
            self._tick(studio, due_s)
            due_s = max(due_s + TICK_S, self._monotonic())
            for _ in range(COMMANDS_PER_TICK):
                job = self._next_job(0) if is_open else None
                if job is None:
                    break
                is_open = self._carry_out(studio, job)

    def _next_job(self, patience_s: float) -> _Job | None:
        try:
            return self._jobs.get(block=patience_s > 0, timeout=max(patience_s, 0))
        except queue.Empty:
            return None

    def _tick(self, studio: Studio, due_s: float) -> None:
        begun_s = self._monotonic()
        studio.tick()
        self._ticked_s = self._monotonic()
        self._statistics = replace(
            studio.statistics(),
            ticks=self._statistics.ticks + 1,
            busy_s=time.thread_time(),
            behind_s=max(begun_s - due_s, 0.0),
            longest_s=max(self._statistics.longest_s, self._ticked_s - begun_s),
        )

    def _carry_out(self, studio: Studio, job: _Job | None) -> bool:
        """Do what was asked, and say whether more may come."""
        if job is None:
            return True
        try:
            job.answer.set_result(studio.execute(job.command))
        except AgentError as problem:
            job.answer.set_exception(problem)
        except Exception as problem:  # noqa: BLE001 - a mistake in one command must not end all recordings
            self._fault(type(job.command).__name__, problem)
            job.answer.set_exception(SourceError("the media engine could not do what it was asked"))
        return not isinstance(job.command, Shut)

    def _fault(self, where: str, problem: Exception) -> None:
        """Say that something of ours went wrong, and go on; what always goes wrong is logged seldom."""
        now_s = self._monotonic()
        if now_s >= self._log_again_s.get(where, now_s):
            self._log_again_s[where] = now_s + LOG_EVERY_S
            log.error("media.fault", where=where, exc_info=problem)
        self._alarm(MEDIA_FAULT, f"the media thread made a mistake ({where}); the log has the details")

    def _refuse_jobs(self) -> None:
        while (job := self._next_job(0)) is not None:
            job.answer.set_exception(SourceError("the media engine has ended"))


async def _answered(answer: "Future[object]") -> object:
    return await asyncio.shield(asyncio.wrap_future(answer))
