"""The custodian as a service: a thread a store, so that one that is down does not stop work on another.

Each lane does a round every `scan_s`, and at once where the store tells that something was added. One that
fails is left alone for a while, longer each time. What is wrong is in the memory, found again after a
restart, and raised as alarms: one a store and code, with how many there are and the first of them.

Conventions: waits run on the monotonic clock, times in the status on the wall clock. The status lies in the
folder ``status`` of the custodian's own. Alarms: ``store-unreachable``, ``store-denied``, ``store-refused``,
``memory-failed``, ``custodian-untrusted``, and the codes of `troubles` and of the ledgers' findings. `stop`
ends the service between two recordings; what was begun is finished next time, by whoever comes first.
"""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, cast

import structlog

from callseal.archive.custodian import State as RecordingState
from callseal.archive.errors import ArchiveError, MemoryFailed, NotCustodian
from callseal.archive.lane import Lane
from callseal.archive.memory import Memory, Told
from callseal.archive.tools import Done, Site
from callseal.archive.troubles import Code
from callseal.seal import status as service_status
from callseal.seal.errors import SpoolError
from callseal.seal.status import MAX_ALARMS, MAX_DETAIL, Alarm, State, Status
from callseal.store.errors import StoreDenied, StoreError, StoreUnreachable

if TYPE_CHECKING:
    from callseal.store.interface import Watched

SERVICE: Final = "custodian"
STATUS_FOLDER: Final = "status"
STATUS_EVERY_S: Final = 5.0
WAKE_EVERY_S: Final = 0.2  # how soon `stop` is seen
PAUSE_S: Final = 1.0
"""Between two rounds at least: a store that tells of everything tells of our receipts too."""
LONGEST_WAIT_S: Final = 600.0
_MOST_DOUBLINGS: Final = 10
_MAY_END: Final = frozenset({Code.WAITING.value, Code.NEVER_CAME.value})
_FOLDER_MODE: Final = 0o700

_LOG: Final[structlog.typing.FilteringBoundLogger] = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What came of one store's round: what was done, or why not, and all that is wrong there."""

    store: str
    done: Done
    totals: Mapping[RecordingState, int]
    troubles: tuple[Told, ...]
    copies: int
    problem: StoreError | ArchiveError | None = None

    @property
    def exit_code(self) -> int:
        """The gravest of all, 0 if all is well: 12 to 15 for what was found, 20 and 21 for the store."""
        codes = [item.trouble.exit_code for item in self.troubles]
        codes += [] if self.problem is None else [self.problem.exit_code]
        return min((code for code in codes if code), default=0)


@dataclass(slots=True, kw_only=True)
class _Standing:
    """How a lane is."""

    failures: int = 0
    failing: Alarm | None = None
    done: Done = field(default_factory=Done)


def once(sites: Sequence[Site], make_lane: Callable[[Site], Lane], memory: Memory) -> tuple[Round, ...]:
    """Do one round of each store; those that the custodian fills come after the others."""
    rounds = []
    for site in sorted(sites, key=lambda site: site.filled):
        problem: StoreError | ArchiveError | None = None
        done = Done()
        lane = make_lane(site)
        try:
            done = lane.round()
            while lane.unfinished:
                done.add(lane.round())
        except (StoreError, ArchiveError) as failure:
            problem = failure
        rounds.append(
            Round(
                store=site.name,
                done=done,
                totals=memory.totals(site.name),
                troubles=tuple(memory.troubles(site.name)),
                copies=memory.copies(site.name) if site.filled else 0,
                problem=problem,
            )
        )
    return tuple(rounds)


def stop_on_signals(stop: threading.Event) -> None:
    """Let SIGTERM and SIGINT set `stop`; for the main thread of a service's process."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


class Service:
    """Runs the lanes until `stop` is set. `folder` is the custodian's own."""

    def __init__(
        self,
        sites: Sequence[Site],
        make_lane: Callable[[Site], Lane],
        memory: Memory,
        folder: Path,
        *,
        scan_s: float,
        incomplete: timedelta,
        stop: threading.Event,
        ends: Callable[[], bool] = lambda: False,
    ) -> None:
        """`make_lane` is called in the lane's own thread; `ends` is asked all the time, and sets `stop`."""
        self._sites = tuple(sites)
        self._make_lane = make_lane
        self._memory = memory
        self._status_path = folder / STATUS_FOLDER
        self._scan_s = scan_s
        self._incomplete = incomplete
        self._stop = stop
        self._ends = ends
        self._lanes = {site.name: _Standing() for site in sites}
        self._lock = threading.Lock()
        self._bug: BaseException | None = None
        self._started_at = datetime.now(UTC)
        self._version = version("callseal")

    def run(self) -> None:
        """Work until told to stop; MemoryFailed if the status can't be written at the start.

        What a lane raises that is no store's failure is a bug: all lanes end, and it is raised here.
        """
        try:
            self._status_path.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as problem:
            raise MemoryFailed(
                f"{self._status_path}: {problem.strerror}: no folder for the status"
            ) from problem
        _LOG.info("custodian.started", stores=[site.name for site in self._sites])
        self._say(State.STARTING)
        threads = [threading.Thread(target=self._run, args=(site,), name=site.name) for site in self._sites]
        for thread in threads:
            thread.start()
        status_due_s = 0.0
        while not self._stop.wait(WAKE_EVERY_S):
            if self._ends():
                self._stop.set()
            if time.monotonic() >= status_due_s:
                self._say(State.READY)
                status_due_s = time.monotonic() + STATUS_EVERY_S
        for thread in threads:
            thread.join()
        if self._bug is not None:
            self._say(State.FAILED)
            raise self._bug
        self._say(State.STOPPING)
        _LOG.info("custodian.stopped")

    def _run(self, site: Site) -> None:
        wake = threading.Event()
        try:
            with contextlib.ExitStack() as watches:
                watching = False
                lane = self._make_lane(site)
                while not self._stop.is_set():
                    wake.clear()
                    if not watching and site.store.capabilities.notices:
                        watching = self._watch(site, watches, wake)
                    self._wait(self._round(lane), wake)
        except BaseException as bug:  # noqa: BLE001 - whatever it is, the main thread raises it
            with self._lock:
                self._bug = bug
            self._stop.set()

    def _watch(self, site: Site, watches: contextlib.ExitStack, wake: threading.Event) -> bool:
        try:
            watches.enter_context(cast("Watched", site.store).watch(wake.set))
        except StoreError:
            return False  # the round that follows tells
        return True

    def _round(self, lane: Lane) -> float:
        """Do a round; return how long to wait before the next one."""
        name = lane.site.name
        try:
            done = lane.round()
        except (StoreError, ArchiveError) as problem:
            return self._failed(name, problem)
        with self._lock:
            standing = self._lanes[name]
            if standing.failing is not None:
                _LOG.info(f"custodian.{standing.failing.code}.over", store=name)
            standing.failing, standing.failures = None, 0
            standing.done.add(done)
        return 0.0 if lane.unfinished else self._scan_s

    def _failed(self, name: str, problem: StoreError | ArchiveError) -> float:
        code = _code_of(problem)
        with self._lock:
            standing = self._lanes[name]
            standing.failures += 1
            if standing.failing is None or standing.failing.code != code:
                _LOG.warning(f"custodian.{code}", store=name, detail=str(problem))
                standing.failing = _alarm(code, datetime.now(UTC), f"{name}: {problem}")
            doublings = min(standing.failures, _MOST_DOUBLINGS)
        longest_s = max(self._scan_s, min(self._scan_s * (1 << doublings), LONGEST_WAIT_S))
        # Half of it for certain, the rest by chance: several custodians do not come back all at once.
        return longest_s * (0.5 + random.random() / 2)  # noqa: S311 - only spreads load

    def _wait(self, wait_s: float, wake: threading.Event) -> None:
        begun_s = time.monotonic()
        while not self._stop.wait(WAKE_EVERY_S):
            passed_s = time.monotonic() - begun_s
            if passed_s >= wait_s or (passed_s >= PAUSE_S and wake.is_set()):
                return

    def _alarms(self, now: datetime) -> tuple[Alarm, ...]:
        with self._lock:
            alarms = [one.failing for one in self._lanes.values() if one.failing is not None]
        if self._memory.failure:
            alarms.append(_alarm("memory-failed", self._started_at, self._memory.failure))
        for site in self._sites:
            alarms += alarms_of(site.name, self._memory.troubles(site.name), now - self._incomplete)
        return tuple(alarms[:MAX_ALARMS])

    def _say(self, state: State) -> None:
        now = datetime.now(UTC)
        totals = [self._memory.totals(site.name) for site in self._sites]
        with self._lock:
            lanes = [one.done for one in self._lanes.values()]
            failing = sum(one.failing is not None for one in self._lanes.values())
        status = Status(
            service=SERVICE,
            pid=os.getpid(),
            started_at=self._started_at,
            updated_at=now,
            state=state,
            reasons=(),
            alarms=self._alarms(now),
            counters={
                "received": sum(done.received for done in lanes),
                "copied": sum(done.copied for done in lanes),
                "read_again": sum(done.read_again for done in lanes),
                "read_again_bytes": sum(done.read_again_bytes for done in lanes),
                "failing_now": failing,
                "waiting_now": sum(one[RecordingState.WAITING] for one in totals),
                "incomplete_now": sum(one[RecordingState.INCOMPLETE] for one in totals),
                "refused_now": sum(one[RecordingState.REFUSED] for one in totals),
                "copies_waiting_now": sum(
                    self._memory.copies(site.name) for site in self._sites if site.filled
                ),
            },
            version=self._version,
        )
        try:
            service_status.write(self._status_path, status)
        except SpoolError as problem:
            _LOG.warning("custodian.status-failed", detail=str(problem))


def alarms_of(store: str, told: Sequence[Told], late_before: datetime) -> list[Alarm]:
    """Return the alarms for what is wrong in a store: one a code.

    What only waits for something, or may still come, is an alarm once it was found before `late_before`.
    """
    by_code: dict[str, list[Told]] = {}
    for item in told:
        if item.trouble.code not in _MAY_END or item.since < late_before:
            by_code.setdefault(item.trouble.code, []).append(item)
    return [
        _alarm(
            code,
            min(item.since for item in items),
            f"{store}: {len(items)} of this kind, the first: {items[0].trouble.words}",
        )
        for code, items in by_code.items()
    ]


def _alarm(code: str, since: datetime, words: str) -> Alarm:
    line = "".join(sign if sign.isprintable() else " " for sign in words)
    return Alarm(code=code, since=since, detail=line[:MAX_DETAIL])


def _code_of(problem: StoreError | ArchiveError) -> str:
    if isinstance(problem, NotCustodian):
        return "custodian-untrusted"
    if isinstance(problem, ArchiveError):
        return "memory-failed"
    if isinstance(problem, StoreUnreachable):
        return "store-unreachable"
    return "store-denied" if isinstance(problem, StoreDenied) else "store-refused"
