"""The agent's side of the ledger: notes what happens, says that it is there, publishes on time.

A ledger that can't be written, or that is damaged, stops no call: it is an alarm, and what is to be noted
waits. Where the disk was only full it is written once there is room again; otherwise the chain does not know
of it, which every later check of the recordings says. No new chain is ever begun in place of a damaged one.

Conventions: the methods wait for each other, whatever thread they are called from. `alarm` takes a code and
words, `clear` a code.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol
from uuid import UUID

import structlog

from callseal.agent.serial import serial
from callseal.seal.errors import SpoolError
from callseal.seal.ledger.clock import Clocks
from callseal.seal.ledger.entry import Kind
from callseal.seal.ledger.journal import Journal
from callseal.seal.manifest import LedgerPlace

FAILED: Final = "ledger-failed"
MAX_WAITING: Final = 10_000
"""Entries that wait for a disk; beyond that the oldest are given up."""
REOPEN_EVERY_MS: Final = 5_000

log = structlog.get_logger("callseal.ledger")


class Ledger(Protocol):
    """What a recorder needs of the ledger, which may be kept by another process."""

    @property
    def place(self) -> LedgerPlace | None:
        """Where the newest entry is."""

    def is_open(self, recording: UUID) -> bool:
        """Tell whether a recording was opened and has no end."""

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


class Chronicle:
    """What one running agent tells the ledger."""

    def __init__(
        self,
        open_journal: Callable[[], Journal],
        *,
        clocks: Callable[[], Clocks],
        heartbeat_s: float,
        publish_s: float,
        alarm: Callable[[str, str], None],
        clear: Callable[[str], object],
    ) -> None:
        self.lock = threading.RLock()
        self._open_journal = open_journal
        self._clocks = clocks
        self._heartbeat_ms = heartbeat_s * 1000
        self._publish_ms = publish_s * 1000
        self._alarm = alarm
        self._clear = clear
        self._last_beat_ms = self._last_published_ms = self._last_opened_ms = clocks().uptime_ms
        self._waiting: deque[Callable[[Journal], object]] = deque(maxlen=MAX_WAITING)
        self._broken: SpoolError | None = None
        self._journal: Journal | None = None
        try:
            self._journal = open_journal()
        except SpoolError as error:
            self._failed(error)

    @property
    def place(self) -> LedgerPlace | None:
        """Where the newest entry is."""
        return None if self._journal is None else self._journal.place

    @serial
    def is_open(self, recording: UUID) -> bool:
        """Tell whether a recording was opened and has no end."""
        return self._journal is not None and recording in self._journal.open_recordings

    @serial
    def open_recordings(self) -> Iterable[UUID]:
        """Return the recordings that were opened and have no end."""
        return () if self._journal is None else tuple(self._journal.open_recordings)

    @serial
    def manifest_of(self, recording: UUID) -> bytes | None:
        """Return the hash of the manifest that the recording's last end names, None without one."""
        end = None if self._journal is None else self._journal.end_of(recording)
        return None if end is None else end[1]

    @serial
    def is_discarded(self, recording: UUID) -> bool:
        """Tell whether a recording's sound was to be destroyed."""
        end = None if self._journal is None else self._journal.end_of(recording)
        return end is not None and end[0] is Kind.DISCARDED

    @serial
    def note(
        self,
        kind: Kind,
        *,
        recording: UUID | None = None,
        manifest: bytes | None = None,
        result: str | None = None,
        reasons: Sequence[str] = (),
    ) -> None:
        """Add an entry about a recording, durable when this returns; a failure is an alarm."""
        self._do(
            lambda journal: journal.append(
                kind, recording=recording, manifest=manifest, result=result, reasons=reasons
            )
        )

    @serial
    def started(self, software: str, settings: bytes, chain: tuple[bytes, ...]) -> None:
        """Note that the agent begins; `settings` is the SHA-256 of its settings file."""
        self._do(
            lambda journal: journal.append(Kind.STARTED, software=software, settings=settings, x5c=chain)
        )

    @serial
    def stopped(self, code: int) -> None:
        """Note that the agent ends in order, and publish all that there is."""
        self._do(lambda journal: journal.append(Kind.STOPPED, code=str(code)))
        self.publish()
        if self._journal is not None:
            self._journal.close()

    @serial
    def tick(self, running: int) -> None:
        """Do what the time demands: a heartbeat, publish, and what had to wait."""
        if self._waiting:
            self._catch_up()
        if self._waiting:
            return  # a heartbeat written later would be none; what did happen waits, and that is enough
        uptime_ms = self._clocks().uptime_ms
        if uptime_ms - self._last_beat_ms >= self._heartbeat_ms:
            self._last_beat_ms = uptime_ms
            self._do(lambda journal: journal.append(Kind.HEARTBEAT, open_=running))
        if uptime_ms - self._last_published_ms >= self._publish_ms:
            self.publish()

    @serial
    def publish(self) -> None:
        """Put new entries under a checkpoint, for the uploader to send."""
        self._last_published_ms = self._clocks().uptime_ms
        self._do(lambda journal: journal.publish())

    def _do(self, act: Callable[[Journal], object]) -> None:
        self._waiting.append(act)
        self._catch_up()

    def _catch_up(self) -> None:
        try:
            journal = self._reopened()
            while self._waiting:
                try:
                    self._waiting[0](journal)
                except SpoolError:
                    raise
                except Exception:
                    # A bug in one entry must not stand in the way of all that come after it.
                    self._waiting.popleft()
                    raise
                self._waiting.popleft()
        except SpoolError as error:
            self._failed(error)
        else:
            self._clear(FAILED)

    def _failed(self, error: SpoolError) -> None:
        if self._broken is None:
            log.error("ledger.failed", detail=str(error))
        self._broken = error
        self._alarm(FAILED, f"{error}: what happens now is not in the ledger")

    def _reopened(self) -> Journal:
        """Return the journal, opened anew where its disk was only full; else raise again what closed it."""
        if self._broken is None and self._journal is not None:
            return self._journal
        uptime_ms = self._clocks().uptime_ms
        waited = uptime_ms - self._last_opened_ms >= REOPEN_EVERY_MS
        if self._broken is not None and not (self._broken.full and waited):
            # Told again and again: with what it has gathered on its way it would grow without end.
            raise self._broken.with_traceback(None)
        self._last_opened_ms = uptime_ms
        self._journal = self._open_journal()
        self._broken = None
        return self._journal
