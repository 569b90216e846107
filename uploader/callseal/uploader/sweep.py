"""Deletes local copies that may go, and what former versions left behind.

Whether a copy may go is for `clearing` to say, by what lies there; the queue only knows which to ask about.
Conventions: a copy that may not go after all is asked about again later, and is no error.
"""

import contextlib
from collections.abc import Callable
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

    def run(self) -> None:
        """Delete all copies that may go. Raises what `check` raises, and nothing else."""
        while batch := self._depot.deliveries.clearable(
            self._keep_days, self._sure_now(), self._clocks.now_ms(), BATCH
        ):
            for recording in batch:
                self._check()
                self._clear(recording)

    def _clear(self, recording: str) -> None:
        depot, now_ms = self._depot, self._clocks.now_ms()
        bundle = Bundle(id=UUID(recording), path=depot.spool.ready_path / recording)
        subject = f"{depot.spool.root} {recording}"
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
            if bundle.path.is_dir():
                self._board.put("spool-failed", subject, f"its local copy can't be cleared: {problem}")
            depot.deliveries.keep(recording, now_ms + int(CLEAR_AGAIN_S * SECOND_MS))
            return
        self._board.clear("spool-failed", subject)
        if found is Verdict.DUE:
            self._step("forget")
            depot.queue.forget([recording])
            self._board.count("cleared")
            _LOG.info("upload.cleared", recording=recording)
        else:
            _LOG.info("upload.kept", recording=recording, because=found.value)
            depot.deliveries.keep(recording, now_ms + int(CLEAR_AGAIN_S * SECOND_MS))

    def _sure_now(self) -> datetime | None:
        return self._time.at_most(self._clocks.now())


def remove_former_markers(spool: Spool) -> None:
    """Remove the notes of what was sent that versions before the queue kept; what they say is asked anew."""
    for folder in (spool.root / "sent").glob("*"):
        with contextlib.suppress(OSError):
            for path in folder.glob("*.json*"):
                path.unlink()
            folder.rmdir()
