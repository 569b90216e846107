"""The agent's side of the ledger: notes what happens, says that it is there, publishes on time.

A ledger that can't be written stops no call: it is an alarm, and every later check of the recordings says
that the chain does not know them.

Conventions: the methods wait for each other, whatever thread they are called from. `alarm` takes a code and
words, `clear` a code.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Final
from uuid import UUID

import structlog

from callseal.agent.serial import serial
from callseal.seal.errors import SpoolError
from callseal.seal.ledger.clock import Clocks, stepped_ms
from callseal.seal.ledger.entry import Kind
from callseal.seal.ledger.journal import Journal
from callseal.seal.manifest import LedgerPlace

FAILED: Final = "ledger-failed"

log = structlog.get_logger("callseal.ledger")


class Chronicle:
    """What one running agent tells the ledger."""

    def __init__(
        self,
        journal: Journal,
        *,
        clocks: Callable[[], Clocks],
        heartbeat_s: float,
        publish_s: float,
        alarm: Callable[[str, str], None],
        clear: Callable[[str], None],
    ) -> None:
        self._journal = journal
        self._clocks = clocks
        self.lock = threading.RLock()
        self._seen = clocks()
        self._heartbeat_ms = heartbeat_s * 1000
        self._publish_ms = publish_s * 1000
        self._alarm = alarm
        self._clear = clear
        self._last_beat_ms = self._last_published_ms = self._seen.uptime_ms

    @property
    def place(self) -> LedgerPlace | None:
        """Where the newest entry is."""
        return self._journal.place

    @serial
    def is_open(self, recording: UUID) -> bool:
        """Tell whether a recording was opened and has no end."""
        return recording in self._journal.open_recordings

    @serial
    def open_recordings(self) -> Iterable[UUID]:
        """Return the recordings that were opened and have no end."""
        return tuple(self._journal.open_recordings)

    @serial
    def manifest_of(self, recording: UUID) -> bytes | None:
        """Return the hash of the manifest that the recording's last end names, None without one."""
        end = self._journal.end_of(recording)
        return None if end is None else end[1]

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
        self._try(
            lambda: self._journal.append(
                kind, recording=recording, manifest=manifest, result=result, reasons=reasons
            )
        )

    @serial
    def started(self, software: str, settings: bytes, chain: tuple[bytes, ...]) -> None:
        """Note that the agent begins; `settings` is the SHA-256 of its settings file."""
        self._try(lambda: self._journal.append(Kind.STARTED, software=software, settings=settings, x5c=chain))
        self.publish()

    @serial
    def stopped(self, code: int) -> None:
        """Note that the agent ends in order, and publish all that there is."""
        self._try(lambda: self._journal.append(Kind.STOPPED, code=str(code)))
        self.publish()
        self._journal.close()

    @serial
    def tick(self, running: int) -> None:
        """Do what the time demands: note a clock that stepped, a heartbeat, publish."""
        clocks = self._clocks()
        by_ms = stepped_ms(self._seen, clocks)
        self._seen = clocks
        if by_ms:
            log.warning("clock.stepped", by_ms=by_ms)
            self._try(lambda: self._journal.append(Kind.CLOCK_STEPPED, by_ms=by_ms))
        if clocks.uptime_ms - self._last_beat_ms >= self._heartbeat_ms:
            self._last_beat_ms = clocks.uptime_ms
            self._try(lambda: self._journal.append(Kind.HEARTBEAT, open_=running))
        if clocks.uptime_ms - self._last_published_ms >= self._publish_ms:
            self.publish()

    @serial
    def publish(self) -> None:
        """Put new entries under a checkpoint, for the uploader to send."""
        self._last_published_ms = self._clocks().uptime_ms
        self._try(self._journal.publish)

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except SpoolError as error:
            log.error("ledger.failed", detail=str(error))  # noqa: TRY400
            self._alarm(FAILED, f"{error}: what happens now is not in the ledger")
        else:
            self._clear(FAILED)
