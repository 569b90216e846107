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
from dataclasses import replace
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

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


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
        self._place = found.state.place
        self._folders = list(found.folders)
        self._failed: list[Path] = []
        self._problem: OSError | None = None  # why the last one that was left failed
        self._closed = False
        self._lines = found.lines  # of the unfinished segment, its checkpoint among them while it is finished
        self._descriptor: int | None = None  # None: the lines are not yet in the folder
        self._head = found.head  # head.json as of the newest checkpoint, and where it is known to lie
        self._head_folder: Path | None = None
        # What an earlier process left unpublished has waited long enough.
        self._published_ms: int | None = None if found.lines else clocks().uptime_ms
        if found.lines:
            self._write_anew()  # which also drops what a crash tore
        if found.finished:
            self._finish()

    @property
    def place(self) -> LedgerPlace | None:
        """The newest entry, None in a ledger without any."""
        return self._place

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
            said = Entry(
                device=self._device,
                sequence=self._state.size,
                previous=self._state.previous,
                clocks=clocks,
                kind=kind,
                recording=recording,
                manifest=manifest,
                result=result,
                reasons=tuple(reasons),
                sample=sample,
                software=software,
                settings=settings,
                x5c=tuple(x5c),
                code=code,
                open=open_,
            )
            if by_ms := stepped_ms(self._state.clocks, clocks):
                self._append(
                    Entry(
                        device=self._device,
                        sequence=self._state.size,
                        previous=self._state.previous,
                        clocks=clocks,
                        kind=Kind.CLOCK_STEPPED,
                        by_ms=by_ms,
                    )
                )
                said = replace(said, sequence=self._state.size, previous=self._state.previous)
            place = self._append(said)
            if len(self._lines) >= MAX_SEGMENT_ENTRIES:
                self._publish()
            return place

    def publish_due(self) -> bool:
        """Tell whether there are new entries, and a minute has gone since the last checkpoint."""
        with self._lock:
            if not self._lines:
                return False
            since_ms = self._published_ms
            return since_ms is None or self._clocks().uptime_ms - since_ms >= PUBLISH_INTERVAL_MS

    def publish(self) -> Path | None:
        """Finish the segment with a checkpoint and return it; None without new entries.

        SpoolError if no folder takes it.
        """
        with self._lock:
            return self._publish() if self._lines else None

    def close(self) -> None:
        """Let go of the files; what is not published yet is published at the next start."""
        with self._lock:
            self._release()
            self._closed = True

    def _append(self, said: Entry) -> LedgerPlace:
        data = said.to_bytes()
        self._write(sign_line(data, self._key))
        self._state.take(data, said)
        place = LedgerPlace(sequence=said.sequence, head=self._state.previous)
        self._place = place
        return place

    def _publish(self) -> Path:
        state = self._state
        self._write(write_line(sign_checkpoint(self._device, state.size, state.tree.root(), self._key)))
        return self._finish()

    def _write(self, line: bytes) -> None:
        """Make one more line of the unfinished segment durable, in this folder or another."""
        self._current()
        self._lines.append(line)
        if self._descriptor is not None:
            try:
                self._step("write line")
                durable.write_all(self._descriptor, line)
                self._step("sync line")
                os.fdatasync(self._descriptor)
            except OSError as problem:
                self._give_up(problem)
            else:
                return
        self._write_anew()

    def _write_anew(self) -> None:
        """Put the whole unfinished segment into the first folder that takes it."""
        while True:
            folder = self._current()
            try:
                if self._head_folder != folder:
                    durable.replace_file(folder / HEAD_NAME, self._head, step=self._step)
                    self._head_folder = folder
                path = folder / OPEN_NAME
                durable.replace_file(path, b"".join(self._lines), step=self._step)
                self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError as problem:
                self._give_up(problem)
            else:
                return

    def _finish(self) -> Path:
        """Give the segment, whose last line is its checkpoint, its final name."""
        first = self._state.size - (len(self._lines) - 1)
        while True:
            folder = self._current()
            path = folder / segment_name(first)
            try:
                self._release()
                if path.exists():  # a finished segment never changes
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
                self._step("finish segment")
                (folder / OPEN_NAME).rename(path)
                self._step("sync segment")
                durable.sync_folder(folder)
                head = self._state.to_bytes()
                durable.replace_file(folder / HEAD_NAME, head, step=self._step)
            except OSError as problem:
                self._give_up(problem)
                self._write_anew()
            else:
                break
        self._head, self._lines = head, []
        self._published_ms = self._clocks().uptime_ms
        return path

    def _current(self) -> Path:
        if self._closed:
            raise SpoolError("the ledger is closed")
        if not self._folders:
            names = ", ".join(map(str, self._failed))
            raise SpoolError(f"{names}: no folder takes the ledger any more") from self._problem
        return self._folders[0]

    def _give_up(self, problem: OSError) -> None:
        """Leave the folder that refused; SpoolError if it was the last one."""
        self._release()
        folder = self._folders.pop(0)
        self._failed.append(folder)
        # A disk that is only full may be tried again by whoever opens the ledger anew, a broken one may not:
        # of several problems the broken one is told.
        if self._problem is None or self._problem.errno in _NO_ROOM:
            self._problem = problem
        if not self._folders:
            raise SpoolError(
                f"{problem.filename or folder}: the disk refused: {problem.strerror};"
                " the ledger can't be written"
            ) from self._problem

    def _release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # The bytes are where fdatasync left them: what close(2) could report comes too late to act on.
            with contextlib.suppress(OSError):
                os.close(descriptor)
