"""Deletes local copies that may go, and what former versions left behind.

Whether a copy may go is for `clearing` to say, by what lies there; the queue only knows which to ask about.
Conventions: a copy that may not go after all is asked about again later, and why is noted in the queue: that
is an alarm (``not-cleared``), for all its stores have given receipts.
"""

import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from callseal.seal.durable import Step, no_step
from callseal.seal.errors import ManifestError, SpoolError
from callseal.seal.spool import Bundle, Spool
from callseal.uploader import clearing
from callseal.uploader.alarms import Board
from callseal.uploader.clearing import CustodianTime, Verdict
from callseal.uploader.deliveries import CLEAR_AGAIN_S
from callseal.uploader.queue import SECOND_MS
from callseal.uploader.site import Clocks, Depot

BATCH: Final = 100
"""How many copies are deleted at a time: what is new must not wait until all old is gone."""

_WHY: Final[Mapping[Verdict, str]] = {
    Verdict.KEPT: "",
    Verdict.NO_STORE: "its manifest names no store",
    Verdict.NO_RECEIPT: "its manifest names a store that gave no receipt",
    Verdict.OTHER_MANIFEST: "its manifest is not the one that was sent: see who changed it",
    Verdict.SURPLUS: "something lies in its folder that its manifest does not speak of: take it away",
}

_LOG: Final[structlog.typing.FilteringBoundLogger] = structlog.get_logger()


class Sweep:
    """Clears one spool. One thread uses it."""

    def __init__(
        self,
        depot: Depot,
        board: Board,
        *,
        keep_days: float,
        time: CustodianTime,
        clocks: Clocks,
        check: Callable[[], None] = lambda: None,
        step: Step = no_step,
    ) -> None:
        self._depot = depot
        self._board = board
        self._keep_days = keep_days
        self._time = time
        self._clocks = clocks
        self._check = check
        self._step = step

    def run(self) -> bool:
        """Delete copies that may go, and tell whether there may be more. Raises what `check` raises only."""
        self._finish()
        batch = self._depot.deliveries.clearable(
            self._keep_days, self._sure_now(), self._clocks.now_ms(), BATCH
        )
        for recording in batch:
            self._check()
            self._clear(recording)
        return len(batch) == BATCH

    def _finish(self) -> None:
        """Delete what a run that died, or a disk that refused, left half deleted."""
        subject = f"{self._depot.spool.root} removing"
        try:
            clearing.finish(self._depot.spool)
        except SpoolError as problem:
            self._board.put("spool-failed", subject, str(problem))
        else:
            self._board.clear("spool-failed", subject)

    def _clear(self, recording: str) -> None:
        depot, again_ms = self._depot, self._clocks.now_ms() + int(CLEAR_AGAIN_S * SECOND_MS)
        bundle = Bundle(id=UUID(recording), path=depot.spool.ready_path / recording)
        try:
            found = clearing.clear(
                depot.spool,
                bundle,
                depot.deliveries.receipts(recording),
                keep_days=self._keep_days,
                now=self._sure_now(),
                step=self._step,
            )
        except (SpoolError, ManifestError) as problem:
            depot.deliveries.keep(recording, again_ms, str(problem))
            return
        if found is Verdict.DUE:
            self._step("forget")
            depot.queue.forget([recording])
            self._board.count("cleared")
            _LOG.info("upload.cleared", recording=recording)
        else:
            _LOG.info("upload.kept", recording=recording, because=found.value)
            depot.deliveries.keep(recording, again_ms, _WHY[found])

    def _sure_now(self) -> datetime | None:
        return self._time.at_most(self._clocks.now())


def remove_former_markers(spool: Spool) -> None:
    """Remove the notes of what was sent that versions before the queue kept; what they say is asked anew."""
    for folder in (spool.root / "sent").glob("*"):
        with contextlib.suppress(OSError):
            for path in folder.glob("*.json*"):
                path.unlink()
            folder.rmdir()
