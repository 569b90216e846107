"""One site's lane: the threads that send to one store, and the breaker that keeps them from a dead one.

Lanes share nothing but the queues: a site that is down, slow or refuses costs the others nothing. Within a
lane the ledger goes first, in its order, by one thread; then the parts of objects that have begun; then the
next object, the oldest recording first.

Conventions: what is under way is known in memory only, so that after a kill nothing is. `work_off` does in
the calling thread what the lane's threads do. An error that no store may raise is a bug: it ends the service,
which is better than a lane that silently stands still.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final, TypeAlias

import structlog

from callseal.seal.durable import Step, no_step
from callseal.seal.errors import SpoolError
from callseal.seal.spool import Spool
from callseal.store.errors import StoreDenied, StoreError, StoreRefused
from callseal.store.interface import Pace, unpaced
from callseal.uploader import ledger, retry
from callseal.uploader.alarms import Board
from callseal.uploader.breaker import DENIED_AGAIN_S, Breaker, Position
from callseal.uploader.deliveries import Deliveries
from callseal.uploader.denials import Denials
from callseal.uploader.errors import BundleBroken
from callseal.uploader.ledger import Segment
from callseal.uploader.outcome import Event, RowState, Sign, Verdict, Wait, verdict
from callseal.uploader.pacing import Stopped
from callseal.uploader.plan import plan_parts
from callseal.uploader.queue import DOUBT_S, LONGEST_AGAIN_S, SECOND_MS, Queue
from callseal.uploader.schema import Key, PlannedPart, Row
from callseal.uploader.worker import Sender, Target, Tried

BROKEN_AGAIN_S: Final = 600.0
"""How often what was refused or is broken is looked at again: somebody may have mended it meanwhile."""
LEDGER_ASIDE_S: Final = 2 * DENIED_AGAIN_S
"""How long a ledger that was denied lets a recording go first: long enough to be the next probe."""
IDLE_S: Final = 30.0
"""The longest sleep of a thread that nobody wakes; whoever adds something to do wakes it."""

_LOG: Final[structlog.typing.FilteringBoundLogger] = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Depot:
    """One spool with its queue."""

    spool: Spool
    queue: Queue
    deliveries: Deliveries


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Wall time in milliseconds since 1970, seconds that never go back, and a draw from 0 to 1."""

    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    monotonic: Callable[[], float] = time.monotonic
    draw: Callable[[], float] = random.random

    def now(self) -> datetime:
        """Return the wall clock's time in UTC."""
        return datetime.fromtimestamp(self.now_ms() / SECOND_MS, UTC)


@dataclass(slots=True, kw_only=True)
class _Ledger:
    """What of one spool's ledger waits for this site."""

    segments: deque[Segment] = field(default_factory=deque)
    running: bool = False
    blocked_until_s: float = 0.0
    stale: bool = True


@dataclass(slots=True, kw_only=True)
class _Berth:
    """One spool, as this lane sees it: what is under way from there, and what of its ledger waits."""

    depot: Depot
    sender: Sender
    busy: set[Key] = field(default_factory=set)
    ledger: _Ledger = field(default_factory=_Ledger)


@dataclass(slots=True, kw_only=True)
class _Undertaking:
    """An object that is under way in parts."""

    berth: _Berth
    row: Row
    upload: str
    todo: deque[PlannedPart]
    running: int = 0
    failed: Tried | None = None


_Job: TypeAlias = Callable[[], None]


class Lane:
    """Sends all that is due to one site."""

    def __init__(
        self,
        target: Target,
        depots: Iterable[Depot],
        board: Board,
        *,
        clocks: Clocks,
        stop: threading.Event,
        pace: Pace = unpaced,
        wait_for_quiet: Callable[[], None] = lambda: None,
        step: Step = no_step,
    ) -> None:
        """`pace` and `wait_for_quiet` raise Stopped once `stop` is set, and so does the lane itself."""
        self._target = target
        self._board = board
        self._clocks = clocks
        self._stop = stop
        self._wait_for_quiet = wait_for_quiet
        self._lock = threading.Condition()
        self._breaker = Breaker()
        self._denials = Denials()
        self._undertakings: list[_Undertaking] = []
        self._news = 0
        self._step = step
        self._pace = self._paced(pace)
        self._berths = tuple(
            _Berth(
                depot=depot,
                sender=Sender(
                    queue=depot.queue,
                    ready_path=depot.spool.ready_path,
                    target=target,
                    pace=self._pace,
                    check=self._check,
                    step=step,
                ),
            )
            for depot in depots
        )

    @property
    def target(self) -> Target:
        """The store that it sends to."""
        return self._target

    def wake(self, *, segments: bool = False) -> None:
        """Let idle threads look again; `segments` tells that the ledger may have grown."""
        with self._lock:
            if segments:
                for berth in self._berths:
                    berth.ledger.stale = True
            self._tell()

    def serve(self) -> None:
        """Send until `stop` is set: what each of the lane's threads does."""
        while not self._stop.is_set():
            seen, asked_s, asked_ms = self._news, self._clocks.monotonic(), self._clocks.now_ms()
            try:
                self._wait_for_quiet()
                job = self._take()
                if job is not None:
                    job()
                    continue
            except Stopped:
                return
            self._idle(seen, asked_s, asked_ms)

    def work_off(self) -> None:
        """Send, in the calling thread, all that is due."""
        while (job := self._take()) is not None:
            job()

    def is_open(self) -> bool:
        """Tell whether the site is left alone at the moment."""
        with self._lock:
            return self._breaker.position is not Position.CLOSED

    def told(self, sign: Sign, words: str = "") -> None:
        """Take notice of what an answer says of the site."""
        name, hasten = self._target.name, False
        with self._lock:
            before = self._breaker
            match sign:
                case Sign.REACHED:
                    self._breaker = before.succeeded()
                    hasten = before.position is not Position.CLOSED
                case Sign.UNREACHABLE:
                    self._breaker = before.failed(self._clocks.monotonic(), self._clocks.draw())
                case Sign.DENIED:
                    self._breaker = before.denied(self._clocks.monotonic())
                case Sign.NOTHING:
                    self._breaker = before.withdrawn()
            after = self._breaker
            self._tell()
        if sign is Sign.REACHED:
            self._board.clear("store-unreachable", name)
            self._board.clear("store-denied", name)
        elif sign is Sign.DENIED:
            self._board.put("store-denied", name, words)
        elif sign is Sign.UNREACHABLE and after.position is Position.OPEN:
            self._board.put("store-unreachable", name, words)
        if hasten:
            for berth in self._berths:
                berth.depot.queue.hasten(name)

    def _take(self) -> _Job | None:
        """Return something to do, which nobody else will be given; None if nothing may or need be done."""
        self._check()
        with self._lock:
            if not self._breaker.admits(self._clocks.monotonic()):
                return None
            job = self._next_job()
            if job is not None:
                self._breaker = self._breaker.begun()
            return job

    def _next_job(self) -> _Job | None:
        for berth in self._berths:
            waiting = self._ledger_of(berth)
            if waiting.running:
                return None  # what comes behind it, comes behind it
            if waiting.segments:
                waiting.running = True
                return partial(self._send_segment, berth)
        for undertaking in self._undertakings:
            if undertaking.todo and undertaking.failed is None:
                part = undertaking.todo.popleft()
                undertaking.running += 1
                return partial(self._send_part, undertaking, part)
        aside = {key for key in self._denials.aside if isinstance(key, Key)}
        for berth, avoided in [(one, aside) for one in self._berths if aside] + [
            (one, set[Key]()) for one in self._berths
        ]:
            row = berth.depot.queue.next_object(
                self._target.name, self._clocks.now_ms(), berth.busy | avoided, newest=bool(avoided)
            )
            if row is not None:
                berth.busy.add(row.key)
                return partial(self._send_object, berth, row)
        return None

    def _ledger_of(self, berth: _Berth) -> _Ledger:
        """Return what waits of a spool's ledger, listed anew where it may have grown."""
        depot, found = berth.depot, berth.ledger
        if self._clocks.monotonic() < found.blocked_until_s:
            found.segments.clear()
            found.stale = True
            return found
        if not found.running and found.stale and not found.segments:
            subject = f"{depot.spool.ledger_path} {self._target.name}"
            found.stale = False
            sent = depot.queue.segment_sent(self._target.name)
            try:
                found.segments.extend(ledger.segments_after(depot.spool, sent))
            except SpoolError as problem:
                self._board.put("spool-failed", subject, str(problem))
            else:
                found.stale = len(found.segments) >= ledger.MAX_LISTED
                self._board.clear("spool-failed", subject)
        return found

    def _send_segment(self, berth: _Berth) -> None:
        depot, waiting, name = berth.depot, berth.ledger, self._target.name
        segment = waiting.segments[0]
        subject = f"{name} {segment.first}"
        blocked = ""
        try:
            ledger.deliver_segment(segment, depot.queue, self._target, pace=self._pace, step=self._step)
        except StoreDenied as problem:
            if self._is_to_blame(subject):
                blocked = str(problem)
                self.told(Sign.REACHED)
                self._board.put("ledger-refused", subject, blocked)
            else:
                # The next probe is a recording: what comes of that says whom to blame.
                with self._lock:
                    waiting.blocked_until_s = self._clocks.monotonic() + LEDGER_ASIDE_S
                self.told(Sign.DENIED, str(problem))
        except (StoreRefused, BundleBroken) as problem:
            # What comes behind belongs to the same history as what was refused: two in one store would
            # leave neither of them whole.
            blocked = str(problem)
            self.told(Sign.REACHED if isinstance(problem, StoreRefused) else Sign.NOTHING)
            self._board.put("ledger-refused", subject, blocked)
        except StoreError as problem:
            self._board.count("failures")
            self.told(Sign.UNREACHABLE, str(problem))
        else:
            self.told(Sign.REACHED)
            self._board.count("segments_sent")
            self._board.clear("ledger-refused", subject)
            with self._lock:
                waiting.segments.popleft()
            self._taken(subject)
        finally:
            with self._lock:
                waiting.running = False
                if blocked:
                    waiting.blocked_until_s = self._clocks.monotonic() + BROKEN_AGAIN_S
                self._tell()

    def _send_object(self, berth: _Berth, row: Row) -> None:
        sender = berth.sender
        with self._released_on_stop(berth, row):
            try:
                plan = plan_parts(row.size_bytes, self._target.writer.capabilities)
            except StoreRefused as problem:
                # It was not asked: that says nothing of the site.
                self._settle(berth, row, Tried(event=Event.REFUSED, words=str(problem)), "", Sign.NOTHING)
                return
            if plan is None:
                self._settle(berth, row, sender.put(row), "")
                return
            if row.upload:
                upload, parts = row.upload, berth.depot.queue.parts(row.key)
            else:
                begun = sender.begin(row, plan)
                if isinstance(begun, Tried):
                    self._settle(berth, row, begun, "")
                    return
                upload, parts = begun
            undertaking = _Undertaking(
                berth=berth, row=row, upload=upload, todo=deque(part for part in parts if not part.tag)
            )
            # The probe has to have an end here: the parts are tries of their own.
            self.told(Sign.NOTHING)
            if not undertaking.todo:
                self._finish(undertaking)
                return
            with self._lock:
                self._undertakings.append(undertaking)
                self._tell()

    def _send_part(self, undertaking: _Undertaking, part: PlannedPart) -> None:
        row, berth = undertaking.row, undertaking.berth
        with self._released_on_stop(berth, row):
            failed = berth.sender.put_part(row, undertaking.upload, part)
            with self._lock:
                undertaking.running -= 1
                undertaking.failed = undertaking.failed or failed
                last = undertaking.running == 0 and (not undertaking.todo or undertaking.failed is not None)
                if last:
                    self._undertakings.remove(undertaking)
            if failed is None:
                self._board.count("parts_sent")
                self.told(Sign.REACHED)
            if last:
                self._finish(undertaking)
            elif failed is not None:
                sign = verdict(failed.event, attempted=row.attempted).sign
                # Who is denied is told once, when all of the object has its end.
                self.told(Sign.NOTHING if sign is Sign.DENIED else sign, failed.words)

    def _finish(self, undertaking: _Undertaking) -> None:
        berth, row = undertaking.berth, undertaking.row
        tried = undertaking.failed or berth.sender.end(row, undertaking.upload)
        self._settle(berth, row, tried, undertaking.upload)

    def _settle(self, berth: _Berth, row: Row, tried: Tried, upload: str, sign: Sign | None = None) -> None:
        """Note what became of an object, and let everybody know."""
        found = verdict(tried.event, attempted=row.attempted)
        if tried.event is Event.DENIED and self._is_to_blame(row.key):
            found = verdict(Event.REFUSED, attempted=row.attempted)
        # An earlier try whose answer was lost may have arrived as another version of the same bytes, and the
        # custodian receives the oldest. A store that refuses a name that is taken does not rule that out: one
        # that dies between the bytes and the name has a version that it does not know of, takes the next, and
        # then shows both. Which of them counts, the receipt says.
        sure = not row.attempted
        complete = berth.depot.queue.settle(
            row,
            found,
            version=tried.version if sure else None,
            now_ms=self._clocks.now_ms(),
            not_before_ms=self._not_before_ms(row, found),
            words="" if found.state is RowState.STORED else tried.words,
        )
        if upload and found.restart and tried.event is not Event.STORED:
            berth.sender.abandon(row, upload)
        with self._lock:
            berth.busy.discard(row.key)
        if found.state is RowState.STORED:
            self._board.count("objects_sent")
        else:
            self._board.count("failures")
        if complete:
            self._board.count("sent")
            _LOG.info("upload.sent", store=self._target.name, recording=row.key.id)
        self.told(sign or found.sign, tried.words)
        if tried.event is Event.STORED:
            self._taken(row.key)

    def _is_to_blame(self, key: Hashable) -> bool:
        """Tell whether a denial is about what was denied, and not about the account (`denials`)."""
        with self._lock:
            return self._denials.denied(key, self._clocks.monotonic())

    def _taken(self, key: Hashable) -> None:
        """Take notice that the account may add."""
        with self._lock:
            self._denials.taken(key)

    def _not_before_ms(self, row: Row, found: Verdict) -> int:
        match found.wait:
            case Wait.NONE:
                return 0
            case Wait.RETRY:
                delay_s = retry.wait_s(row.tries + 1, self._clocks.draw())
            case Wait.DOUBT:
                doubts = row.tries + 1 if row.state is RowState.DOUBT else 1
                delay_s = retry.limit_s(doubts, first_s=DOUBT_S, longest_s=LONGEST_AGAIN_S)
            case Wait.AGAIN:
                delay_s = BROKEN_AGAIN_S
        return self._clocks.now_ms() + int(delay_s * SECOND_MS)

    def _idle(self, seen: int, asked_s: float, asked_ms: int) -> None:
        """Wait until something may be due, unless there was news since `seen`.

        What became due since it was asked for is due at once.
        """
        with self._lock:
            if not self._breaker.admits(asked_s):
                probing = self._breaker.position is Position.PROBING
                limit_s = IDLE_S if probing else self._breaker.not_before_s - self._clocks.monotonic()
            else:
                due = [berth.depot.queue.next_due_ms(self._target.name, asked_ms) for berth in self._berths]
                now_ms = self._clocks.now_ms()
                limit_s = min(((at - now_ms) / SECOND_MS for at in due if at is not None), default=IDLE_S)
            if self._news == seen and not self._stop.is_set():
                self._lock.wait(min(max(limit_s, 0.0), IDLE_S))

    def _tell(self) -> None:
        """Let idle threads look again; the lock is held."""
        self._news += 1
        self._lock.notify_all()

    def _check(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def _paced(self, pace: Pace) -> Pace:
        def paced(size_bytes: int) -> None:
            self._check()
            pace(size_bytes)

        return paced

    @contextmanager
    def _released_on_stop(self, berth: _Berth, row: Row) -> Iterator[None]:
        """Let a row that was under way when the service was stopped be free for who works it off later."""
        try:
            yield
        except Stopped:
            with self._lock:
                berth.busy.discard(row.key)
                self._breaker = self._breaker.withdrawn()
            raise
