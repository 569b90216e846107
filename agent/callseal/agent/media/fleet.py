"""The media engine as several processes: each takes the sound of some calls, on its share of the ports.

A call goes to the worker with the fewest. A worker that dies, or does not answer, is buried: its calls are
told of, so that their gateways hear of it, what it left open is recovered at once, and another one takes its
ports, after they have rested. Of a call that was lost nothing more is done; who still asks for something is
heard politely, as he may not know yet.

Shell: runs in the event loop. Sound, recordings and their keys are in the workers; the ledger stays here.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, cast
from uuid import UUID

import structlog

from callseal.agent.call import Call, EndReason, Event, Recorder
from callseal.agent.errors import PortsExhausted, SourceError
from callseal.agent.media.plans import RecordingPlan, Reservation, StreamPlan
from callseal.agent.media.ports import PORT_REST_S
from callseal.agent.media.worker_process import Backing, WorkerGone, WorkerProcess
from callseal.agent.media.worker_protocol import Share

MEDIA_DOWN: Final = "media-down"
WORKERS_DYING: Final = "workers-dying"
"""The alarm when workers die again and again."""
MANY_DEATHS: Final = 5
MANY_WITHIN_S: Final = 60.0
AGAIN_S: Final = (0.0, 0.25, 0.5, 1.0, 2.0)
"""How long one waits before a worker is started again, by how many have died within a minute."""
AGAIN_OFTEN_S: Final = 10.0
"""Beyond that: what dies as often is not helped by haste."""

_LARGEST: Final = frozenset({"behind_ms", "longest_tick_ms"})
_RUNNING: Final = frozenset({"recordings", "streams", *_LARGEST})

log = structlog.get_logger("callseal.siprec.fleet")


@dataclass(slots=True, kw_only=True, eq=False)
class _Booking:
    """A call, as far as workers go."""

    worker: WorkerProcess
    reservation: int
    """Its number there."""
    recordings: list[UUID] = field(default_factory=list)


def shares(address: str, first_port: int, last_port: int, max_calls: int, workers: int) -> tuple[Share, ...]:
    """Part ports and calls among workers, in whole pairs; no more workers than there are pairs."""
    first = first_port + first_port % 2
    pairs = (last_port + 1 - first) // 2
    count = max(1, min(workers, pairs, max_calls))
    cuts = [first + 2 * (pairs * index // count) for index in range(count + 1)]
    calls = [max_calls * (index + 1) // count - max_calls * index // count for index in range(count)]
    return tuple(
        Share(address=address, first_port=begin, last_port=end - 1, max_calls=some)
        for begin, end, some in zip(cuts, cuts[1:], calls, strict=False)
    )


class Fleet:
    """A `MediaEngine` of several processes."""

    def __init__(
        self,
        *,
        shares: tuple[Share, ...],
        backing: Backing,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shares = shares
        self._backing = backing
        self._monotonic = monotonic
        self._recorder: Recorder | None = None
        self._changed: Callable[[Collection[int]], None] = _nobody
        self._working: list[WorkerProcess] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._burials: set[asyncio.Task[None]] = set()
        self._bookings: dict[int, _Booking] = {}
        self._booking_of: dict[UUID, _Booking] = {}
        self._last_booking = 0
        self._deaths: deque[float] = deque(maxlen=MANY_DEATHS)
        self._died = 0
        self._stopping = False
        self._counted: Counter[str] = Counter()

    # --- life -----------------------------------------------------------------------------------------

    @property
    def capacity(self) -> int:
        """Calls at a time, by the workers there are."""
        working = tuple(self._working)
        return sum(worker.capacity for worker in working) or sum(share.max_calls for share in self._shares)

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that take calls now."""
        return tuple(worker.pid for worker in self._working if worker.pid is not None)

    def start(self, recorder: Recorder, changed: Callable[[Collection[int]], None]) -> None:
        """Start the workers; `recorder` leaves the traces of calls without sound.

        `changed` hears when a worker comes or goes, and then of its reservations, whose recordings have
        ended and are recovered.
        """
        self._recorder, self._changed = recorder, changed
        self._keepers = [asyncio.create_task(self._keep(share)) for share in self._shares]

    async def stop(self, end: EndReason) -> None:
        """End the recordings that still run, for this reason, and all workers; no child is left."""
        self._stopping = True
        stopping = [asyncio.create_task(worker.stop(end)) for worker in self._working]
        for problem in await asyncio.gather(*stopping, return_exceptions=True):
            if problem is not None:
                log.error("worker.stop.failed", detail=str(problem))
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        while self._burials:
            await asyncio.wait(set(self._burials))
        self._keepers, self._working = [], []

    def why_not(self) -> str | None:
        """Give the code that says why no sound can be taken now: there is no worker."""
        return None if self._working and not self._stopping else MEDIA_DOWN

    def counters(self) -> Mapping[str, int]:
        """Give the workers' counters taken together, for the status."""
        total = Counter(self._counted)
        for worker in tuple(self._working):  # the service's clock asks, too
            for name, value in worker.counters.items():
                total[name] = max(total[name], value) if name in _LARGEST else total[name] + value
        return {
            **total,
            "workers": len(self._working),
            "workers_died": self._died,
            "worker_recordings": total["recordings"],
        }

    async def _keep(self, share: Share) -> None:
        """Have a worker for a share of the ports, and another one when it dies."""
        first = True
        while not self._stopping:
            worker = WorkerProcess(share, self._backing)
            try:
                why = await self._run(worker, rest_s=0.0 if first else PORT_REST_S)
            except OSError as error:
                why = f"it could not be started: {error.strerror}"
            except Exception as error:  # noqa: BLE001 - without this task the ports would lie idle for ever
                why = self._bug(error)
            finally:
                # Also when this is cancelled: whoever stops the fleet waits for it.
                burial = self._in_any_case(self._bury(worker))
            await asyncio.shield(burial)
            if self._stopping:
                return
            first = False
            log.error("worker.died", pid=worker.pid, detail=why)
            await asyncio.sleep(self._count_death(why))

    async def _run(self, worker: WorkerProcess, *, rest_s: float) -> str:
        begun_s = self._monotonic()
        await worker.start()
        listening = asyncio.create_task(worker.listen())
        try:
            ready = asyncio.create_task(worker.is_ready.wait())
            await asyncio.wait((ready, listening), return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
            # Sound for calls that the one before had may still be under way to these ports.
            rest_s -= self._monotonic() - begun_s
            if rest_s > 0:
                await asyncio.wait((listening,), timeout=rest_s)
            if not listening.done() and not self._stopping:
                self._working.append(worker)
                log.info("worker.ready", pid=worker.pid, capacity=worker.capacity)
                self._changed(())
            return await listening
        finally:
            listening.cancel()
            if worker in self._working:
                self._working.remove(worker)

    async def _bury(self, worker: WorkerProcess) -> None:
        worker.give_up()
        lost = {number for number, booking in self._bookings.items() if booking.worker is worker}
        for number in lost:
            self._forget(number)
        self._changed(lost)
        for name, value in worker.counters.items():
            if name not in _RUNNING:
                self._counted[name] += value
        if left := await worker.bury():
            # The next worker need not wait for that.
            self._in_any_case(asyncio.to_thread(self._backing.recover, left))

    def _in_any_case(self, work: Coroutine[object, object, None]) -> "asyncio.Task[None]":
        """Have something done that nobody may cancel, and whose mistakes harm nobody."""

        async def guarded() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001 - told, and the other workers go on
                self._bug(error)

        task = asyncio.create_task(guarded())
        self._burials.add(task)
        task.add_done_callback(self._burials.discard)
        return task

    def _bug(self, error: Exception) -> str:
        log.error("worker.bug", exc_info=error)
        words = f"a bug in callseal, please report it: workers: {type(error).__name__}"
        self._backing.alarm("agent-faulty", words)
        return words

    def _count_death(self, why: str) -> float:
        """Count a death; return how long to wait before the next worker is started."""
        now_s = self._monotonic()
        self._died += 1
        self._deaths.append(now_s)
        recent = sum(now_s - at_s < MANY_WITHIN_S for at_s in self._deaths)
        if recent < MANY_DEATHS:
            return AGAIN_S[recent]
        words = f"processes that take the sound have died {recent} times within a minute: {why}"
        self._backing.alarm(WORKERS_DYING, words)
        return AGAIN_OFTEN_S

    # --- what signalling asks -------------------------------------------------------------------------

    async def reserve(self, streams: int) -> Reservation:
        """Bind ports for that many streams, with the worker that has the fewest calls and as many ports."""
        problem: SourceError = SourceError("no process takes sound")
        for worker in sorted(self._working, key=lambda one: one.calls):
            if worker.calls >= worker.capacity:
                continue
            try:
                reserved = await self._reserved(worker, streams)
            except (PortsExhausted, WorkerGone) as error:
                problem = error
                continue
            self._last_booking += 1
            self._bookings[self._last_booking] = _Booking(worker=worker, reservation=reserved.id)
            return Reservation(id=self._last_booking, ports=reserved.ports)
        raise problem

    async def _reserved(self, worker: WorkerProcess, streams: int) -> Reservation:
        """Reserve ports with a worker; it counts at once, or calls that come at once would all ask one."""
        worker.calls += 1
        answer = worker.asked("reserve", streams)
        try:
            return cast("Reservation", await asyncio.shield(answer))
        except BaseException:
            worker.calls -= 1
            # Where nobody waits any more the answer may still come.
            answer.add_done_callback(partial(_release_unused, worker))
            raise

    async def release(self, reservation: int) -> None:
        """Give back the ports of a call that came to nothing."""
        booking = self._forget(reservation)
        if booking is not None:
            await _unless_gone(booking.worker.asked("release", booking.reservation))

    async def open(self, reservation: int, plans: tuple[RecordingPlan, ...]) -> tuple[UUID, ...]:
        """Begin the recordings of a call: all or, with SpoolError or SourceError, none."""
        booking = self._booking(reservation)
        opened = cast("tuple[UUID, ...]", await booking.worker.ask("open", booking.reservation, plans))
        booking.recordings += opened
        if self._bookings.get(reservation) is booking:
            self._booking_of.update(dict.fromkeys(opened, booking))
        return opened

    async def add_ports(self, reservation: int, streams: int) -> Reservation:
        """Bind ports for that many more streams of a call; gives the new ones only."""
        booking = self._booking(reservation)
        answer = await booking.worker.ask("add_ports", booking.reservation, streams)
        return Reservation(id=reservation, ports=cast("Reservation", answer).ports)

    async def change(self, recording: UUID, streams: tuple[StreamPlan, ...]) -> None:
        """Take other streams, formats or keys for a recording from now on; the ports stay as they are."""
        booking = self._booking_of.get(recording)
        if booking is not None:
            await _unless_gone(booking.worker.asked("change", recording, streams))

    async def note(self, recording: UUID, event: Event) -> None:
        """Note what happened; a position of `NOW` is where the clock stands in the recording."""
        booking = self._booking_of.get(recording)
        if booking is not None:
            await _unless_gone(booking.worker.asked("note", recording, event))

    async def close(self, reservation: int, end: EndReason) -> None:
        """End all recordings of a call: what has arrived is written, the ports are given back."""
        booking = self._bookings.get(reservation)
        if booking is not None:
            try:
                await _unless_gone(booking.worker.asked("close", booking.reservation, end))
            finally:
                self._forget(reservation)

    async def discard(self, reservation: int, end: EndReason) -> None:
        """Destroy what was recorded of a call; its ports stay until they are released."""
        booking = self._bookings.get(reservation)
        if booking is not None:
            recordings, booking.recordings = booking.recordings, []
            for recording in recordings:
                self._booking_of.pop(recording, None)
            await _unless_gone(booking.worker.asked("discard", booking.reservation, end))

    async def trace(self, call: Call, end: EndReason) -> UUID:
        """Leave the trace of a call that is not recorded; SpoolError where no spool takes it."""
        if self._recorder is None:
            raise SourceError("the media engine does not run")
        return await asyncio.to_thread(self._recorder.exempt, call, end)

    async def silent(self, for_s: float) -> tuple[UUID, ...]:
        """Give the recordings of which nothing has come for so long, no report either."""
        answers = [worker.asked("silent", for_s) for worker in self._working]
        found = await asyncio.gather(*answers, return_exceptions=True)
        # Of a worker that has ended nothing is silent: its calls have ended with it.
        return tuple(one for some in found if isinstance(some, tuple) for one in some)

    def _booking(self, reservation: int) -> _Booking:
        booking = self._bookings.get(reservation)
        if booking is None:
            raise WorkerGone("the process that takes this call's sound has ended")
        return booking

    def _forget(self, reservation: int) -> _Booking | None:
        booking = self._bookings.pop(reservation, None)
        if booking is not None:
            booking.worker.calls -= 1
            for recording in booking.recordings:
                self._booking_of.pop(recording, None)
        return booking


async def _unless_gone(answer: "asyncio.Future[object]") -> None:
    """Wait for an answer; where the worker has ended, the call has ended with it, and is taken care of."""
    try:
        await asyncio.shield(answer)
    except WorkerGone:
        return


def _release_unused(worker: WorkerProcess, done: "asyncio.Future[object]") -> None:
    if not done.cancelled() and done.exception() is None:
        worker.asked("release", cast("Reservation", done.result()).id)


def _nobody(_reservations: Collection[int]) -> None:
    pass
