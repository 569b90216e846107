"""Looks for receipts in one store, and lets those count that do.

A receipt for the store itself lies in it under the recording's id; one for a site that the custodian fills
lies in every store that we fill, under the id and that site's name. Each is looked for again with growing
waits: a custodian takes seconds, or days.

Conventions: a receipt that is not there is no error, and neither at first is one that is denied: S3 tells an
account that may not list only that (403, not 404). A store that can't be reached tells the site's breaker and
is then left alone, like by those who send; an account that may not read receipts holds up only them.
"""

import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import structlog

from callseal.store.errors import StoreDenied, StoreError, StoreMissing
from callseal.store.interface import StoreReader
from callseal.store.names import receipt_name
from callseal.uploader.alarms import Board
from callseal.uploader.outcome import Sign
from callseal.uploader.queue import SECOND_MS
from callseal.uploader.receipts import MAX_RECEIPT_BYTES, Accepted, ReceiptRefused, Sent
from callseal.uploader.schema import Poll
from callseal.uploader.site import IDLE_S, Clocks, Depot, Lane

DENIED_TRIES: Final = 16
"""After so many, some hours, a receipt that is denied is more likely one that may not be read."""
WATCH_S: Final = 1.0
"""How soon a receipt that became due is looked for by a thread that nobody wakes."""

_LOG: Final[structlog.typing.FilteringBoundLogger] = structlog.get_logger()


class Judge(Protocol):
    """Says whether a receipt counts: `receipts.Receipts`."""

    def check(self, data: bytes, sent: Sent) -> Accepted:
        """Return what it vouches for; raises ReceiptRefused."""


class Poller:
    """Looks for all receipts that should appear in one store."""

    def __init__(
        self,
        lane: Lane,
        reader: StoreReader,
        depots: Iterable[Depot],
        judge: Judge,
        board: Board,
        *,
        clocks: Clocks,
        stop: threading.Event,
        accepted: Callable[[datetime], None] = lambda _received_at: None,
    ) -> None:
        """Look in `lane`'s store; `accepted` is told when a custodian received what he vouches for."""
        self._lane = lane
        self._reader = reader
        self._depots = tuple(depots)
        self._judge = judge
        self._board = board
        self._clocks = clocks
        self._stop = stop
        self._accepted = accepted
        self._site = lane.target.name

    def serve(self) -> None:
        """Look for receipts until `stop` is set: what its one thread does."""
        while not self._stop.is_set():
            if self._lane.is_open():
                self._stop.wait(WATCH_S)
            elif not self.look_once():
                self._stop.wait(self._idle_s())

    def look_once(self) -> bool:
        """Look for one receipt that is due; tell whether there was one to look for."""
        for depot in self._depots:
            poll = depot.deliveries.next_poll(self._site, self._clocks.now_ms())
            if poll is not None:
                self._look(depot, poll)
                return True
        return False

    def _look(self, depot: Depot, poll: Poll) -> None:
        about = poll.site if poll.site != self._site else ""
        try:
            with self._reader.get(receipt_name(poll.device, UUID(poll.id), about)) as file:
                data = file.read(MAX_RECEIPT_BYTES + 1)
        except StoreMissing:
            self._lane.told(Sign.REACHED)
            self._board.clear("store-denied", self._subject)
            self._postpone(depot, poll, refused="")
        except StoreDenied as problem:
            if poll.tries >= DENIED_TRIES:
                self._board.put("store-denied", self._subject, str(problem))
            self._postpone(depot, poll)
        except StoreError as problem:
            self._lane.told(Sign.UNREACHABLE if not problem.permanent else Sign.NOTHING, str(problem))
            self._postpone(depot, poll)
        except OSError as problem:
            self._lane.told(Sign.UNREACHABLE, str(problem))
            self._postpone(depot, poll)
        else:
            self._lane.told(Sign.REACHED)
            self._board.clear("store-denied", self._subject)
            self._decide(depot, poll, data)

    def _decide(self, depot: Depot, poll: Poll, data: bytes) -> None:
        sent = depot.deliveries.sent(poll)
        if sent is None:
            return
        try:
            accepted = self._judge.check(data, sent)
        except ReceiptRefused as problem:
            self._board.count("receipts_refused")
            self._postpone(depot, poll, refused=str(problem))
            return
        self._accepted(accepted.received_at)
        depot.deliveries.accept(poll, accepted)
        self._board.count("receipts")
        _LOG.info("upload.receipted", store=poll.site, recording=poll.id)

    def _postpone(self, depot: Depot, poll: Poll, *, refused: str | None = None) -> None:
        depot.deliveries.postpone(poll, self._clocks.now_ms(), self._clocks.draw(), refused=refused)

    def _idle_s(self) -> float:
        due = [depot.deliveries.next_poll_ms(self._site) for depot in self._depots]
        left = [(at - self._clocks.now_ms()) / SECOND_MS for at in due if at is not None]
        return min(max(min(left, default=WATCH_S), 0.0), WATCH_S, IDLE_S)

    @property
    def _subject(self) -> str:
        return f"{self._site} receipts"
