"""The uploader as a service: sends what becomes ready, clears what is vouched for, says how it is.

::

    ready/ ──scan──▶ queue ──a lane a site──▶ store ──a custodian──▶ receipt ──▶ clearing
    ledger/ ─────────────────▲

It looks into ``ready/`` at its start, whenever something appears there (watch), and on a timer, because a
watch can miss things and can fail. Each site has threads of its own; the main thread scans, clears and writes
the status. Only what all its stores have receipts for is ever deleted here (`clearing`).

Conventions: waits and retries run on the monotonic clock, what the queue remembers and times in the status on
the wall clock. Alarms: ``store-unreachable``, ``store-denied``, ``store-refused``, ``bundle-broken``,
``ledger-refused``, ``receipt-refused``, ``receipt-late``, ``queue-failed``, ``spool-failed``,
``spool-filling``, ``watch-failed``, ``no-store``, ``not-cleared``, ``upload-stuck``. `stop` ends the service
between two pieces of a put; what was begun is taken up next time.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Final

import structlog
from watchdog.observers.api import BaseObserver

from callseal.seal.durable import Step, no_step
from callseal.seal.errors import SpoolError
from callseal.seal.spool import Spool, SpoolInUse
from callseal.seal.status import State
from callseal.store.interface import Store
from callseal.uploader.alarms import Board
from callseal.uploader.clearing import CustodianTime
from callseal.uploader.database import Database
from callseal.uploader.deliveries import Deliveries
from callseal.uploader.pacing import Limit, Pacer, RunningCalls, Stopped
from callseal.uploader.polling import Judge, Poller
from callseal.uploader.queue import Queue
from callseal.uploader.report import Report
from callseal.uploader.room import Room
from callseal.uploader.scan import Scan, queue_path
from callseal.uploader.site import Clocks, Depot, Lane
from callseal.uploader.sweep import Sweep, remove_former_markers
from callseal.uploader.watch import watch
from callseal.uploader.worker import Target

SERVICE: Final = "uploader"
WAKE_EVERY_S: Final = 0.2  # how soon `stop` is seen; an idle process spends nothing measurable on it
SCAN_SHARE: Final = 0.1
"""What looking into ``ready/`` may take of the time: where 10,000 lie there one look takes 60 ms."""
LONGEST_REST_S: Final = 5.0
"""The longest time that nobody looks, however long the last look took."""
STOP_S: Final = 3.0
"""How long threads that wait for a store are given; what they were doing is done again next time."""

_LOG: Final[structlog.typing.FilteringBoundLogger] = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A store of the settings; without `store` it is one that the custodian fills."""

    name: str
    store: Store | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What the settings say of how it is done; see ``[uploader]``, ``[[bandwidth]]`` and ``[spool]``."""

    scan_s: float = 30.0
    connections: int = 2
    kbit_s: int = 0
    limits: tuple[Limit, ...] = ()
    pause_during_calls: bool = False
    keep_days: float = 0.0
    warn_percent: int = 80
    full_percent: int = 95
    min_free_bytes: int = 0


def run(
    spool_roots: Sequence[Path],
    sites: Sequence[Site],
    judge: Judge,
    orders: Orders,
    stop: threading.Event,
    *,
    clocks: Clocks | None = None,
    step: Step = no_step,
) -> None:
    """Send what is ready in any of the spools to the sites it is meant for, until `stop` is set.

    Raises SpoolError if the first spool can't be used or another uploader works in any, and QueueNewer;
    another spool that can't be used, and after the start whatever the disk or a store does, is an alarm and
    no error.
    """
    spools: list[Spool] = []
    missing: dict[Path, str] = {}
    with contextlib.ExitStack() as locks:
        for root in spool_roots:
            try:
                spool = Spool.existing(root)
                locks.enter_context(spool.lock(SERVICE))
                spools.append(spool)
            except SpoolInUse:
                raise
            except SpoolError as problem:
                if not spools:
                    raise
                missing[root] = f"{problem}: nothing is sent from there until the uploader is restarted"
        _Service(
            spools=spools,
            missing=missing,
            sites=sites,
            judge=judge,
            orders=orders,
            stop=stop,
            clocks=clocks or Clocks(),
            step=step,
        ).run()


def stop_on_signals(stop: threading.Event) -> None:
    """Let SIGTERM and SIGINT set `stop`; for the main thread of a service's process."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


class _Service:
    def __init__(
        self,
        *,
        spools: Sequence[Spool],
        missing: Mapping[Path, str],
        sites: Sequence[Site],
        judge: Judge,
        orders: Orders,
        stop: threading.Event,
        clocks: Clocks,
        step: Step,
    ) -> None:
        self._orders, self._stop, self._clocks = orders, stop, clocks
        self._sent_to = tuple(site.name for site in sites if site.store is not None)
        self._awaited = tuple(site.name for site in sites if site.store is None)
        self._wake, self._segments = threading.Event(), threading.Event()
        self._failure: BaseException | None = None
        self._board = Board(clocks.now)
        for root, words in missing.items():
            self._board.put("spool-failed", str(root), words)
        if not sites:
            words = "the settings name no store: recordings stay here, and nothing is sent"
            self._board.put("no-store", "", words)
        self._databases = [Database(queue_path(spool.root), step=step) for spool in spools]
        self._generations = [database.generation for database in self._databases]
        self._depots = [
            Depot(spool=spool, queue=Queue(database), deliveries=Deliveries(database))
            for spool, database in zip(spools, self._databases, strict=True)
        ]
        self._time = CustodianTime(clock=_awake_and_asleep_s)
        rooms = [
            Room(
                spool,
                full_percent=orders.full_percent,
                min_free_bytes=orders.min_free_bytes,
                clock=_awake_and_asleep_s,
            )
            for spool in spools
        ]
        self._report = Report(
            SERVICE,
            list(zip(self._depots, self._databases, rooms, strict=True)),
            self._board,
            known={*self._sent_to, *self._awaited},
            warn_percent=orders.warn_percent,
            clocks=clocks,
        )
        pacer = self._pacer(spools)
        self._lanes = [
            Lane(
                Target(name=site.name, writer=site.store, reader=site.store),
                self._depots,
                self._board,
                clocks=clocks,
                stop=stop,
                pace=pacer,
                wait_for_quiet=pacer.wait_for_quiet,
                step=step,
            )
            for site in sites
            if site.store is not None
        ]
        self._pollers = [self._poller(lane, judge) for lane in self._lanes if lane.target.reader is not None]
        self._scans = [
            Scan(
                depot, self._board, awaited=self._awaited, clocks=clocks, check=self._check, added=self._added
            )
            for depot in self._depots
        ]
        self._sweeps = [
            Sweep(
                depot,
                self._board,
                keep_days=orders.keep_days,
                time=self._time,
                clocks=clocks,
                check=self._between,
                step=step,
            )
            for depot in self._depots
        ]

    def run(self) -> None:
        self._report.say(State.STARTING)
        self._begin()
        observer = self._watch()
        threads = [
            threading.Thread(target=self._guarded, args=(serve,), name=name, daemon=True)
            for name, serve in self._serving()
        ]
        for thread in threads:
            thread.start()
        _LOG.info("uploader.started", stores=self._sent_to, awaited=self._awaited)
        try:
            self._loop()
        except Exception as problem:  # noqa: BLE001 - raised again below, once all is let go of
            self._failure = self._failure or problem
        finally:
            self._stop.set()
            if observer is not None:
                observer.stop()
                observer.join()
            left = self._join(threads)
        if self._failure is not None:
            self._report.say(State.FAILED)
            raise self._failure
        self._report.say(State.STOPPING)
        _LOG.info("uploader.stopped", sent=self._board.counted("sent"), unfinished=left)
        if not left:
            for database in self._databases:
                database.close()

    def _begin(self) -> None:
        """Take up what the last run left."""
        for depot in self._depots:
            remove_former_markers(depot.spool)
            depot.queue.plan_for(self._sent_to, self._awaited)
            received_at = depot.deliveries.newest_received_at()
            if received_at is not None:
                self._time.learn(received_at)

    def _loop(self) -> None:
        begun = False
        segments_due_s = 0.0
        while not self._stop.is_set():
            self._wake.clear()
            begun_s = time.monotonic()
            scan_due_s = begun_s + self._orders.scan_s
            try:
                for scan in self._scans:
                    scan.run()
                took_s = time.monotonic() - begun_s
                # The ledger has a watch of its own: its half a million segments a year are not listed for
                # each recording.
                self._wake_lanes(segments=begun_s >= segments_due_s)
                if begun_s >= segments_due_s:
                    segments_due_s = scan_due_s
                for sweep in self._sweeps:
                    if sweep.run():
                        self._wake.set()
            except Stopped:
                return
            self._report.say(State.READY)
            if not begun:
                begun = True
                self._report.begin_rooms()
            self._sleep_until(scan_due_s, took_s / SCAN_SHARE)

    def _sleep_until(self, due_s: float, rest_s: float) -> None:
        # Never at once: what keeps appearing is looked at together.
        self._rest(min(max(rest_s, WAKE_EVERY_S), LONGEST_REST_S))
        while not self._stop.is_set() and time.monotonic() < due_s:
            self._keep_databases()
            if self._segments.is_set():
                self._segments.clear()
                self._wake_lanes(segments=True)
            self._say_if_due()
            if self._wake.wait(WAKE_EVERY_S):
                return

    def _rest(self, rest_s: float) -> None:
        """Let `rest_s` go by, but not the status."""
        end_s = time.monotonic() + rest_s
        while (left_s := end_s - time.monotonic()) > 0 and not self._stop.wait(min(left_s, WAKE_EVERY_S)):
            self._say_if_due()

    def _say_if_due(self) -> None:
        if self._report.is_due():
            self._report.say(State.READY)

    def _keep_databases(self) -> None:
        """Bring a queue back to its disk, and make one again that was lost."""
        for number, database in enumerate(self._databases):
            database.come_back()
            if database.generation != self._generations[number]:
                self._generations[number] = database.generation
                self._depots[number].queue.plan_for(self._sent_to, self._awaited)
                self._wake.set()

    def _serving(self) -> list[tuple[str, Callable[[], None]]]:
        found: list[tuple[str, Callable[[], None]]] = []
        for lane in self._lanes:
            name = lane.target.name
            found += [(f"{name} {number}", lane.serve) for number in range(self._orders.connections)]
        return found + [(f"receipts {number}", poller.serve) for number, poller in enumerate(self._pollers)]

    def _guarded(self, serve: Callable[[], None]) -> None:
        """Run a thread's work; a bug in one ends the service, which would be half there and look whole."""
        try:
            serve()
        except Exception as problem:  # noqa: BLE001 - raised again by the main thread
            self._failure = self._failure or problem
            self._stop.set()

    def _join(self, threads: Sequence[threading.Thread]) -> int:
        """Wait for threads to end, not for ever; return how many did not."""
        deadline_s = time.monotonic() + STOP_S
        for thread in threads:
            self._wake_lanes()
            thread.join(max(0.0, deadline_s - time.monotonic()))
        return sum(thread.is_alive() for thread in threads)

    def _pacer(self, spools: Sequence[Spool]) -> Pacer:
        calls = RunningCalls([spool.root for spool in spools], clock=self._clocks.monotonic, now_s=time.time)
        return Pacer(
            self._orders.limits,
            self._orders.kbit_s,
            clock=self._clocks.monotonic,
            now_local=_now_local,
            stop=self._stop,
            is_paused=calls if self._orders.pause_during_calls else _never,
        )

    def _poller(self, lane: Lane, judge: Judge) -> Poller:
        assert lane.target.reader is not None  # noqa: S101 - only lanes with one have a poller
        return Poller(
            lane,
            lane.target.reader,
            self._depots,
            judge,
            self._board,
            clocks=self._clocks,
            stop=self._stop,
            accepted=self._accepted,
        )

    def _accepted(self, received_at: datetime) -> None:
        self._time.learn(received_at)
        if self._orders.keep_days == 0:
            self._wake.set()

    def _watch(self) -> BaseObserver | None:
        try:
            return watch([depot.spool for depot in self._depots], self._wake.set, self._segments.set)
        except OSError as problem:
            words = f"{problem}; looking every {self._orders.scan_s} s instead"
            self._board.put("watch-failed", "", words)
            return None

    def _added(self) -> None:
        self._wake_lanes()
        self._say_if_due()

    def _wake_lanes(self, *, segments: bool = False) -> None:
        for lane in self._lanes:
            lane.wake(segments=segments)

    def _between(self) -> None:
        """Between two copies that are deleted: a slow disk must not keep the status from being said."""
        self._check()
        self._say_if_due()

    def _check(self) -> None:
        if self._stop.is_set():
            raise Stopped


def _awake_and_asleep_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _now_local() -> datetime:
    return datetime.now().astimezone()


def _never() -> bool:
    return False
