"""The uploader as a service: sends what becomes ready, keeps trying, says how it is.

It looks into ``ready/`` at its start, whenever something appears there (watchdog), and on a timer, because
a watch can miss things and can fail. A store that can't be reached is left alone for a while, longer each
time; its recordings wait in ``ready/`` and everything else goes on. A recording that can't be sent at all
raises an alarm and stops no other. Nothing is ever deleted here.

Conventions: one thread sends, oldest recording first; the watch only wakes it. Waits and retries run on the
monotonic clock, times in the status on the wall clock. Alarms: ``store-unreachable``, ``store-refused``,
``bundle-broken``, ``ledger-refused``, ``spool-failed``, ``watch-failed``, ``no-store``. A failure is logged
once when it begins and once when it is over. `stop` ends the service between two puts; what was begun is
finished next time.
"""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Final
from uuid import UUID

import structlog
from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from callseal.seal import status as service_status
from callseal.seal.errors import SpoolError
from callseal.seal.spool import Bundle, Spool, SpoolInUse
from callseal.seal.status import Alarm, State, Status
from callseal.store.errors import StoreError
from callseal.store.interface import StoreWriter
from callseal.uploader import ledger
from callseal.uploader.errors import BundleBroken
from callseal.uploader.retry import Retry
from callseal.uploader.worker import Target, is_sent, send

SERVICE: Final = "uploader"
STATUS_EVERY_S: Final = 5.0
WAKE_EVERY_S: Final = 0.2  # how soon `stop` is seen; an idle process spends nothing measurable on it
BROKEN_AGAIN_S: Final = 600.0  # somebody may have repaired it meanwhile

_LOG: Final[structlog.typing.FilteringBoundLogger] = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class _Delivery:
    """What is known of one store."""

    target: Target
    retry: Retry = field(default_factory=Retry)
    sent: set[UUID] = field(default_factory=set)
    broken_until_s: dict[UUID, float] = field(default_factory=dict)
    segments: set[tuple[Path, int]] = field(default_factory=set)


class _Stopped(Exception):  # noqa: N818 - no error: the way out of a recording half sent
    pass


class _Waker(FileSystemEventHandler):
    def __init__(self, wake: threading.Event) -> None:
        self._wake = wake

    def on_created(self, _event: FileSystemEvent) -> None:
        self._wake.set()

    def on_moved(self, _event: FileSystemEvent) -> None:
        self._wake.set()


def run(
    spool_roots: Sequence[Path],
    stores: Sequence[tuple[str, StoreWriter]],
    scan_s: float,
    stop: threading.Event,
) -> None:
    """Send what is ready in any of the spools to every store until `stop` is set.

    Raises SpoolError if the first spool can't be used or another uploader works in any; another spool that
    can't be used, and after the start whatever the disk or a store does, is an alarm and no error.
    """
    spools: list[Spool] = []
    missing: dict[Path, str] = {}
    targets = [Target(name=name, writer=writer) for name, writer in stores]
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
        _Service(spools, missing, targets, scan_s, stop).run()


def stop_on_signals(stop: threading.Event) -> None:
    """Let SIGTERM and SIGINT set `stop`; for the main thread of a service's process."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


class _Service:
    def __init__(
        self,
        spools: Sequence[Spool],
        missing: Mapping[Path, str],
        targets: list[Target],
        scan_s: float,
        stop: threading.Event,
    ) -> None:
        self._spools = tuple(spools)
        self._missing = missing
        self._deliveries = [_Delivery(target=target) for target in targets]
        self._scan_s = scan_s
        self._stop = stop
        self._wake = threading.Event()
        self._started_at = datetime.now(UTC)
        self._alarms: dict[tuple[str, str], Alarm] = {}
        self._sent = 0
        self._failures = 0
        self._waiting = 0
        self._oldest_ready_at_s: float | None = None
        self._status_due_s = 0.0
        self._version = version("callseal")

    def run(self) -> None:
        _LOG.info("uploader.started", stores=[item.target.name for item in self._deliveries])
        for root, words in self._missing.items():
            self._raise_alarm("spool-failed", str(root), words)
        self._say(State.STARTING)
        if not self._deliveries:
            self._raise_alarm("no-store", "", "no store is configured: recordings stay on this machine")
        observer = self._watch()
        try:
            self._loop()
        except BaseException:
            self._say(State.FAILED)
            raise
        finally:
            if observer is not None:
                observer.stop()
                observer.join()
        self._say(State.STOPPING)
        _LOG.info("uploader.stopped", sent=self._sent, waiting=self._waiting)

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            scan_due_s = time.monotonic() + self._scan_s
            try:
                self._scan()
            except _Stopped:
                return
            self._say(State.READY)
            # Never at once: what was to be tried again may have left ready/ meanwhile.
            due_s = min([scan_due_s, *self._retries_due_s()])
            self._sleep_until(max(due_s, time.monotonic() + WAKE_EVERY_S))

    def _sleep_until(self, due_s: float) -> None:
        while not self._stop.is_set() and time.monotonic() < due_s:
            if self._wake.wait(WAKE_EVERY_S):
                return
            if time.monotonic() >= self._status_due_s:
                self._say(State.READY)

    def _retries_due_s(self) -> list[float]:
        return [item.retry.not_before_s for item in self._deliveries if item.retry.failures]

    def _scan(self) -> None:
        bundles: list[Bundle] = []
        for spool in self._spools:
            # The ledger first: of a recording that a store has, it has the beginning too.
            for delivery in self._deliveries:
                self._deliver_ledger(spool, delivery)
            bundles += self._scan_recordings(spool)
        self._count(bundles)

    def _scan_recordings(self, spool: Spool) -> list[Bundle]:
        try:
            bundles = list(spool.ready())
        except SpoolError as problem:
            self._raise_alarm("spool-failed", str(spool.root), str(problem))
            return []
        self._clear_alarm("spool-failed", str(spool.root))
        for bundle in bundles:
            for delivery in self._deliveries:
                if self._stop.is_set():
                    raise _Stopped
                self._deliver(spool, bundle, delivery)
            if time.monotonic() >= self._status_due_s:
                self._count(bundles)
                self._say(State.READY)
        return bundles

    def _deliver_ledger(self, spool: Spool, delivery: _Delivery) -> None:
        name = delivery.target.name
        try:
            segments = ledger.waiting(spool, name)
        except SpoolError as problem:
            self._raise_alarm("spool-failed", f"{spool.ledger_path} {name}", str(problem))
            return
        for segment in segments:
            key = spool.root, segment.first
            if self._stop.is_set():
                raise _Stopped
            if key in delivery.segments or not delivery.retry.due(time.monotonic()):
                continue
            try:
                ledger.send_segment(segment, delivery.target, step=self._step)
            except (BundleBroken, StoreError) as problem:
                if not problem.permanent:
                    self._unreachable(delivery, str(problem))
                    return
                # What comes behind belongs to the same history as what was refused: two in one store would
                # leave neither of them whole.
                self._raise_alarm("ledger-refused", f"{name} {segment.first}", str(problem))
                break
            delivery.segments.add(key)
            self._reached(delivery)
            self._clear_alarm("ledger-refused", f"{name} {segment.first}")
        # The newest one stays: it says where the next one begins.
        done = [segment.first for segment in segments if (spool.root, segment.first) in delivery.segments]
        if not done or self._note_ledger(spool, delivery, done[-1]):
            self._clear_alarm("spool-failed", f"{spool.ledger_path} {name}")

    def _note_ledger(self, spool: Spool, delivery: _Delivery, below: int) -> bool:
        """Note how far a store has the ledger; tell whether that could be written."""
        name = delivery.target.name
        try:
            ledger.note_sent(spool, name, below)
        except SpoolError as problem:
            self._raise_alarm("spool-failed", f"{spool.ledger_path} {name}", str(problem))
            return False
        delivery.segments = {key for key in delivery.segments if key[0] != spool.root or key[1] >= below}
        return True

    def _deliver(self, spool: Spool, bundle: Bundle, delivery: _Delivery) -> None:
        now_s, name = time.monotonic(), delivery.target.name
        if bundle.id in delivery.sent or now_s < delivery.broken_until_s.get(bundle.id, 0.0):
            return
        if not delivery.retry.due(now_s):
            return
        try:
            if not is_sent(spool, name, bundle.id):
                send(spool, bundle, delivery.target, now=datetime.now(UTC), step=self._step)
                self._sent += 1
                _LOG.info("upload.sent", store=name, recording=str(bundle.id))
        except SpoolError as problem:
            self._failures += 1
            self._raise_alarm("spool-failed", name, str(problem))
        except BundleBroken as problem:
            self._failed(bundle, delivery, "bundle-broken", str(problem))
        except StoreError as problem:
            if problem.permanent:
                self._failed(bundle, delivery, "store-refused", str(problem))
                return
            self._unreachable(delivery, str(problem))
        else:
            delivery.sent.add(bundle.id)
            delivery.broken_until_s.pop(bundle.id, None)
            self._reached(delivery)
            self._clear_alarm("spool-failed", name)
            for code in ("bundle-broken", "store-refused"):
                self._clear_alarm(code, f"{name} {bundle.id}")

    def _reached(self, delivery: _Delivery) -> None:
        delivery.retry = Retry()
        self._clear_alarm("store-unreachable", delivery.target.name)

    def _unreachable(self, delivery: _Delivery, detail: str) -> None:
        self._failures += 1
        delivery.retry = delivery.retry.failed(time.monotonic(), random.random())  # noqa: S311 - only spreads load
        self._raise_alarm("store-unreachable", delivery.target.name, detail)

    def _failed(self, bundle: Bundle, delivery: _Delivery, code: str, detail: str) -> None:
        self._failures += 1
        delivery.broken_until_s[bundle.id] = time.monotonic() + BROKEN_AGAIN_S
        self._raise_alarm(code, f"{delivery.target.name} {bundle.id}", detail)

    def _step(self, name: str) -> None:
        # A put that has begun is finished: the store would keep half of it for nothing.
        if name.startswith("put") and self._stop.is_set():
            raise _Stopped

    def _count(self, bundles: list[Bundle]) -> None:
        waiting = [
            bundle for bundle in bundles if any(bundle.id not in item.sent for item in self._deliveries)
        ]
        self._waiting = len(waiting)
        try:
            self._oldest_ready_at_s = waiting[0].ready_at_s() if waiting else None
        except SpoolError:
            self._oldest_ready_at_s = None  # it was moved away since the listing

    def _raise_alarm(self, code: str, subject: str, detail: str) -> None:
        if (code, subject) not in self._alarms:
            _LOG.warning(f"uploader.{code}", subject=subject, detail=detail)
            words = f"{subject}: {detail}" if subject else detail
            line = "".join(sign if sign.isprintable() else " " for sign in words)
            alarm = Alarm(code=code, since=datetime.now(UTC), detail=line[: service_status.MAX_DETAIL])
            self._alarms[code, subject] = alarm

    def _clear_alarm(self, code: str, subject: str) -> None:
        if self._alarms.pop((code, subject), None) is not None:
            _LOG.info(f"uploader.{code}.over", subject=subject)

    def _watch(self) -> BaseObserver | None:
        observer = Observer()
        events: list[type[FileSystemEvent]] = [DirCreatedEvent, DirMovedEvent]
        try:
            for spool in self._spools:
                waker = _Waker(self._wake)
                observer.schedule(waker, str(spool.ready_path), event_filter=events)
                observer.schedule(waker, str(spool.ledger_path), event_filter=[FileMovedEvent])
            observer.start()
        except OSError as problem:
            self._raise_alarm("watch-failed", "", f"{problem}; looking every {self._scan_s} s instead")
            return None
        return observer

    def _say(self, state: State) -> None:
        self._status_due_s = time.monotonic() + STATUS_EVERY_S
        now = datetime.now(UTC)
        oldest_s = 0.0 if self._oldest_ready_at_s is None else now.timestamp() - self._oldest_ready_at_s
        status = Status(
            service=SERVICE,
            pid=os.getpid(),
            started_at=self._started_at,
            updated_at=now,
            state=state,
            reasons=(),
            alarms=tuple(self._alarms.values())[: service_status.MAX_ALARMS],
            counters={
                "sent": self._sent,
                "failures": self._failures,
                "waiting_now": self._waiting,
                "oldest_waiting_now_s": max(0, int(oldest_s)),
            },
            version=self._version,
        )
        try:
            service_status.write(self._spools[0].status_path, status)
        except SpoolError as problem:
            self._raise_alarm("spool-failed", "", str(problem))
