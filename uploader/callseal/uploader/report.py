"""What the uploader says of itself: its status, and the alarms that follow from the queue and the disk.

Conventions: written every `STATUS_EVERY_S`, and soon after something changed. What is refused, broken or late
is read from the queue each time, so that it survives a restart and takes no memory; of each kind the oldest
are named one by one. Gauges end in ``_now``, or in ``_now`` and their unit.
"""

import os
import time
from collections.abc import Collection, Iterable, Sequence
from importlib.metadata import version
from typing import Final

from callseal.seal import status as service_status
from callseal.seal.errors import SpoolError
from callseal.seal.status import State, Status
from callseal.uploader.alarms import Board
from callseal.uploader.database import Database
from callseal.uploader.queue import SECOND_MS
from callseal.uploader.room import SAMPLE_EVERY_S, Room
from callseal.uploader.schema import Fault
from callseal.uploader.site import Clocks, Depot

STATUS_EVERY_S: Final = 5.0
STATUS_SOON_S: Final = 1.0
"""How soon a change is told: the figures of a long queue take a moment, and must not be all that is done."""
RECEIPT_LATE_S: Final = 24 * 3600.0
"""A custodian that was away for a night is no alarm; for a day, somebody should know."""

_COUNTERS: Final = (
    "sent",
    "failures",
    "objects_sent",
    "parts_sent",
    "segments_sent",
    "receipts",
    "receipts_refused",
    "cleared",
)


class Report:
    """Writes the status of the service. One thread uses it."""

    def __init__(
        self,
        service: str,
        depots: Sequence[tuple[Depot, Database, Room]],
        board: Board,
        *,
        known: Collection[str],
        warn_percent: int,
        clocks: Clocks,
    ) -> None:
        """`known` are the names of all stores in the settings."""
        self._service = service
        self._depots = depots
        self._board = board
        self._known = known
        self._warn_percent = warn_percent
        self._clocks = clocks
        self._started_at = clocks.now()
        self._version = version("callseal")
        self._said_s = float("-inf")
        self._said_changes = -1
        self._rooms_begun = False
        self._sampled_s = float("-inf")

    def begin_rooms(self) -> None:
        """Begin to watch how the disks fill."""
        for depot, _, room in self._depots:
            try:
                room.begin(self._clocks.now_ms() / SECOND_MS)
            except SpoolError as problem:
                self._board.put("spool-failed", f"{depot.spool.root} room", str(problem))
        self._rooms_begun = True

    def is_due(self) -> bool:
        """Tell whether it is time to say something."""
        since_s = time.monotonic() - self._said_s
        changed = self._board.changes != self._said_changes
        return since_s >= STATUS_EVERY_S or (changed and since_s >= STATUS_SOON_S)

    def say(self, state: State) -> None:
        """Write the status; a disk that refuses it is an alarm."""
        self._said_changes = self._board.changes
        self._review()
        self._sample()
        now = self._clocks.now()
        status = Status(
            service=self._service,
            pid=os.getpid(),
            started_at=self._started_at,
            updated_at=now,
            state=state,
            reasons=(),
            alarms=self._board.alarms(),
            counters={name: self._board.counted(name) for name in _COUNTERS} | self._gauges(),
            version=self._version,
        )
        folder = self._depots[0][0].spool.status_path
        try:
            service_status.write(folder, status)
        except SpoolError as problem:
            self._board.put("spool-failed", str(folder), str(problem))
        else:
            self._board.clear("spool-failed", str(folder))
        self._said_s = time.monotonic()

    def _gauges(self) -> dict[str, int]:
        tallies = [depot.deliveries.tally() for depot, _, _ in self._depots]
        oldest = min((t.oldest_waiting_ms for t in tallies if t.oldest_waiting_ms is not None), default=None)
        age_ms = 0 if oldest is None else self._clocks.now_ms() - oldest
        gauges = {
            "waiting_now": sum(tally.waiting for tally in tallies),
            "waiting_bytes_now": sum(tally.waiting_bytes for tally in tallies),
            "oldest_waiting_now_s": max(0, age_ms // SECOND_MS),
            "unreceipted_now": sum(tally.unreceipted for tally in tallies),
            "local_bytes_now": sum(tally.local_bytes for tally in tallies),
        }
        fills = [room.fill_percent for _, _, room in self._depots if room.fill_percent is not None]
        lasts = [room.lasts_s for _, _, room in self._depots if room.lasts_s is not None]
        if fills:
            gauges["disk_fill_now_percent"] = max(fills)
        if lasts:
            gauges["disk_lasts_now_s"] = min(lasts)
        return gauges

    def _review(self) -> None:
        """Let the alarms stand that follow from the queue."""
        now_ms = self._clocks.now_ms()
        late_ms = now_ms - int(RECEIPT_LATE_S * SECOND_MS)
        all_of = [depot.deliveries for depot, _, _ in self._depots]
        self._stand("store-refused", (f for one in all_of for f in one.faulty_objects("refused")))
        broken = [f for one in all_of for f in one.faulty_objects("broken")]
        broken += [f for one in all_of for f in one.faulty_recordings()]
        self._stand("bundle-broken", broken)
        self._stand("receipt-refused", (f for one in all_of for f in one.refused_receipts()))
        self._stand("not-cleared", (f for one in all_of for f in one.kept_copies()))
        stuck = (f for one in all_of for f in one.stuck_objects())
        # Of a store that can't be reached the one thing that is tried again and again says nothing new.
        self._stand("upload-stuck", (f for f in stuck if not self._board.stands("store-unreachable", f.site)))
        late = {
            f.site: f"{f.words} without its receipt for more than a day, the oldest is {f.id}: does the"
            " custodian run?"
            for one in all_of
            for f in one.late_receipts(late_ms, now_ms)
        }
        self._board.replace("receipt-late", late)
        strange = {
            f.site or "(none)": f"{f.words} are meant for a store that the settings don't have, the oldest is"
            f" {f.id}: they stay here"
            for one in all_of
            for f in one.without_site(self._known)
        }
        if self._known:
            self._board.replace("no-store", strange)
        failed = {}
        for depot, database, _ in self._depots:
            if database.refused:
                failed[str(depot.spool.root)] = (
                    f"{database.path} can't be written ({database.refused}): what is sent is remembered in"
                    " memory only"
                )
            elif database.damaged:
                failed[f"{depot.spool.root} damaged"] = f"{database.path}: {database.damaged}"
        self._board.replace("queue-failed", failed)

    def _stand(self, code: str, faults: Iterable[Fault]) -> None:
        self._board.replace(code, {f"{f.site} {f.id}".strip(): f.words for f in faults})

    def _sample(self) -> None:
        if not self._rooms_begun or time.monotonic() - self._sampled_s < SAMPLE_EVERY_S:
            return
        self._sampled_s = time.monotonic()
        filling = {}
        for depot, _, room in self._depots:
            subject = f"{depot.spool.root} room"
            try:
                room.take_sample()
            except SpoolError as problem:
                self._board.put("spool-failed", subject, str(problem))
                continue
            self._board.clear("spool-failed", subject)
            fill = room.fill_percent
            if fill is not None and fill >= self._warn_percent:
                filling[str(depot.spool.root)] = f"its disk is {fill} percent full"
        self._board.replace("spool-filling", filling)
