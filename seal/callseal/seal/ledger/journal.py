"""The journal: writes the ledger, durably, and alone.

`append` returns once the entry is on the disk. Entries grow in ``open.jsonl``; `publish` ends it with a
checkpoint and gives it its final name, from when on it is a finished segment for whoever takes it away. The
journal publishes by itself after `MAX_SEGMENT_ENTRIES`; every minute is for the caller: see `publish_due`.
A step of the wall clock is noticed at the next entry and gets an entry of its own before it.

Conventions: one journal a ledger, in the process that holds the spool's lock; calls may come from several
threads. A folder that refuses once is not used again by this process: what the kernel keeps of a failed
write or ``fsync`` is unknown. The unfinished segment is then written again to the next folder, the same
bytes. When none is left every call raises SpoolError. Folders are ``0700``, files ``0600``. All errors of the
disk are SpoolError; fields that fit no entry are ValueError.

Source: "fsyncgate" (2018) for why a failed ``fsync`` is final.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Callable, KeysView, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callseal.seal import durable
from callseal.seal.durable import Step, no_step
from callseal.seal.errors import SpoolError
from callseal.seal.keys import device_id
from callseal.seal.ledger.checkpoint import sign_checkpoint, write_line
from callseal.seal.ledger.clock import Clocks, stepped_ms
from callseal.seal.ledger.entry import Entry, Kind, sign_line
from callseal.seal.ledger.recovery import (
    HEAD_NAME,
    MAX_SEGMENT_ENTRIES,
    OPEN_NAME,
    recover,
    segment_name,
)
from callseal.seal.manifest import LedgerPlace

PUBLISH_INTERVAL_MS: Final = 60_000


class Journal:
    """The one writer of a device's ledger; goes on where the folders say that it stood.

    SpoolError if that can't be told: a ledger begins anew only in folders without any.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        device: str,
        key: Ed25519PrivateKey,
        clocks: Callable[[], Clocks],
        step: Step = no_step,
    ) -> None:
        if device_id(key.public_key()) != device:
            raise ValueError(f"the key is not that of {device}")
        if not folders:
            raise ValueError("a ledger needs a folder")
        found = recover(folders, device=device, key=key.public_key())
        self._device = device
        self._key = key
        self._clocks = clocks
        self._step = step
        self._lock = threading.Lock()
        self._state = found.state
        self._head = found.head  # head.json as of the newest checkpoint
        self._folders = list(found.folders)
        self._failed: list[Path] = []
        self._lines = found.lines
        self._descriptor: int | None = None
        # What an earlier process left unpublished has waited long enough.
        self._published_ms: int | None = None if found.lines else clocks().uptime_ms
        if found.lines:
            self._rewrite()  # which also drops a torn line behind them
        if found.finished:
            self._finish()

    @property
    def place(self) -> LedgerPlace | None:
        """The newest entry, None in a ledger without any."""
        return self._state.place

    @property
    def open_recordings(self) -> KeysView[UUID]:
        """The recordings that were opened and have no end yet, oldest first."""
        return dict(self._state.open).keys()

    @property
    def folder(self) -> Path | None:
        """Where it writes now, None when every folder has failed."""
        return self._folders[0] if self._folders else None

    @property
    def failed_folders(self) -> tuple[Path, ...]:
        """The folders that refused, and are not used again by this process."""
        return tuple(self._failed)

    def end_of(self, recording: UUID) -> tuple[Kind, bytes | None] | None:
        """Return how the recording ended and its manifest's SHA-256; None if it did not, or long ago."""
        return self._state.ends.get(recording)

    def append(
        self,
        kind: Kind,
        *,
        recording: UUID | None = None,
        manifest: bytes | None = None,
        result: str | None = None,
        reasons: Sequence[str] = (),
        sample: int | None = None,
        software: str | None = None,
        settings: bytes | None = None,
        x5c: Sequence[bytes] = (),
        code: str | None = None,
        open_: int | None = None,
    ) -> LedgerPlace:
        """Write an entry; it is on the disk when this returns. SpoolError if no folder takes it.

        ValueError for fields that are not those of the kind, and for `clock-stepped`, which the journal
        writes itself.
        """
        if kind is Kind.CLOCK_STEPPED:
            raise ValueError("the journal itself tells when the clock stepped")
        with self._lock:
            clocks = self._clocks()
            by_ms = stepped_ms(self._state.clocks, clocks)

            def entry(kind: Kind, **fields: object) -> Entry: ...

            return self._append(clocks)

    def publish_due(self) -> bool: ...
