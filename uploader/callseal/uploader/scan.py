"""Looks into ``ready/`` and brings the queue up to date with it.

The names there are compared with the queue in one pass; only the manifest of what is new is read, once. A
recording goes to the stores that its manifest names, and to no other.

Conventions: a folder that can't be read is no empty one: nothing is forgotten then. What can't be planned is
looked at again now and then, and stops no other.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog

from callseal.seal.errors import ManifestError, SpoolError
from callseal.seal.manifest import parse
from callseal.seal.spool import Bundle
from callseal.store.names import recording_name
from callseal.uploader.alarms import Board
from callseal.uploader.errors import BundleBroken
from callseal.uploader.plan import plan_puts
from callseal.uploader.queue import SECOND_MS
from callseal.uploader.schema import Planned
from callseal.uploader.site import BROKEN_AGAIN_S, Clocks, Depot

BATCH: Final = 100
"""How many recordings are taken in at a time: little enough that sending begins at once."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LOG: Final[structlog.typing.FilteringBoundLogger] = structlog.get_logger()


class Scan:
    """Keeps the queue of one spool as ``ready/`` is. One thread uses it."""

    def __init__(
        self,
        depot: Depot,
        board: Board,
        *,
        awaited: Collection[str],
        clocks: Clocks,
        check: Callable[[], None] = lambda: None,
        added: Callable[[], None] = lambda: None,
    ) -> None:
        """`awaited` are the sites that the custodian fills. `added` is called after each batch."""
        self._depot = depot
        self._board = board
        self._awaited = frozenset(awaited)
        self._clocks = clocks
        self._check = check
        self._added = added

    def run(self) -> None:
        """Take in what is new, forget what is gone. Raises what `check` raises, and nothing else."""
        spool, queue = self._depot.spool, self._depot.queue
        subject = str(spool.root)
        try:
            here = [str(bundle.id) for bundle in spool.ready()]
        except SpoolError as problem:
            self._board.put("spool-failed", subject, str(problem))
            return
        self._board.clear("spool-failed", subject)
        new, gone = queue.compare(here, self._clocks.now_ms())
        if gone:
            queue.forget(gone)
            _LOG.info("upload.gone", spool=subject, recordings=len(gone))
        for start in range(0, len(new), BATCH):
            self._check()
            self._take_in(new[start : start + BATCH])
            self._added()

    def _take_in(self, names: Iterable[str]) -> None:
        planned = []
        for name in names:
            bundle = Bundle(id=UUID(name), path=self._depot.spool.ready_path / name)
            try:
                planned.append(plan(bundle, self._awaited))
            except BundleBroken as problem:
                self._board.count("failures")
                now_ms = self._clocks.now_ms()
                self._depot.queue.add_broken(
                    name,
                    str(problem),
                    ready_at_ms=_ready_at_ms(bundle) or now_ms,
                    not_before_ms=now_ms + int(BROKEN_AGAIN_S * SECOND_MS),
                )
        self._depot.queue.add(planned)


def plan(bundle: Bundle, awaited: Collection[str]) -> Planned:
    """Return what has to be sent of a recording, and to which sites; BundleBroken for what is none."""
    try:
        manifest_bytes, signature = bundle.manifest_bytes(), bundle.signature()
        manifest = parse(manifest_bytes)
        ready_at_ms = int(bundle.ready_at_s() * SECOND_MS)
    except (SpoolError, ManifestError) as problem:
        raise BundleBroken(f"{bundle.path}: {problem}") from problem
    if manifest.id != bundle.id:
        raise BundleBroken(f"{bundle.path}: holds the manifest of another recording")
    stores = dict.fromkeys(manifest.stores)
    return Planned(
        id=str(manifest.id),
        device=manifest.device,
        prefix=recording_name(manifest.device, manifest.started_at, manifest.id).prefix,
        manifest_sha256=hashlib.sha256(manifest_bytes).digest(),
        ended_at_ms=(manifest.ended_at - _EPOCH) // timedelta(milliseconds=1),
        ready_at_ms=ready_at_ms,
        puts=plan_puts(manifest, manifest_bytes, signature),
        sites=tuple(name for name in stores if name not in awaited),
        awaited=tuple(name for name in stores if name in awaited),
    )


def queue_path(root: Path) -> Path:
    """Return where a spool's queue lies."""
    return root / "upload" / "queue.sqlite3"


def _ready_at_ms(bundle: Bundle) -> int | None:
    try:
        return int(bundle.ready_at_s() * SECOND_MS)
    except SpoolError:
        return None
