"""The steps of sending one object to one store, each durable before the next: a kill anywhere loses nothing.

::

    in one request   attempt noted → put
    in parts         whole hash checked, parts hashed → undertaking begun → noted, with all its parts
                     each part: put → noted
                     attempt noted → undertaking ended

What comes back is a `Tried`: what happened, and not what follows from it (`outcome`). The bundle's signature
is not checked here; a bundle that was altered is told by its hashes, and one that was signed anew is found
centrally.

Conventions: only `StoreError` becomes a `Tried`; `Stopped` passes through, and the try counts as not known.
"""

import contextlib
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from callseal.seal.durable import Step, no_step
from callseal.store.errors import SourceAltered, StoreError
from callseal.store.interface import Pace, Part, PartsWriter, StoreReader, StoreWriter, unpaced
from callseal.uploader.errors import UploadError
from callseal.uploader.outcome import Event, event_of
from callseal.uploader.plan import PartPlan
from callseal.uploader.queue import Queue
from callseal.uploader.schema import PlannedPart, Row

_STORE_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_BLOCK_SIZE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A configured store: its name, what writes to it, and what reads receipts from it, if anything may."""

    name: str
    writer: StoreWriter
    reader: StoreReader | None = None

    def __post_init__(self) -> None:
        if _STORE_PATTERN.fullmatch(self.name) is None:
            raise UploadError("a store's name is lower-case letters, digits and . _ -")

    @property
    def parts_writer(self) -> PartsWriter:
        """The same writer, of a store whose capabilities say that it takes objects in parts."""
        return cast("PartsWriter", self.writer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of a try; `version` is what the store calls what it took."""

    event: Event
    version: str | None = None
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Sends the objects of one spool to one store."""

    queue: Queue
    ready_path: Path
    target: Target
    pace: Pace = unpaced
    check: Callable[[], None] = lambda: None
    """Raises Stopped when what takes long is to end."""
    step: Step = no_step

    def source(self, row: Row) -> Path:
        """Return the file of an object."""
        return self.ready_path / row.key.id / row.file

    def put(self, row: Row) -> Tried:
        """Send an object in one request."""
        self.queue.attempt(row.key)
        self.step(f"put {row.file}")
        try:
            version = self.target.writer.put(row.name, self.source(row), row.sha256, pace=self.pace)
        except StoreError as problem:
            return _tried(problem, ending=False)
        return Tried(event=Event.STORED, version=version)

    def begin(self, row: Row, plan: PartPlan) -> tuple[str, list[PlannedPart]] | Tried:
        """Begin to send an object in parts; return what the store calls that, and the parts."""
        try:
            parts = self._hashed(row, plan)
            self.step(f"begin {row.file}")
            upload = self.target.parts_writer.begin_parts(row.name)
        except StoreError as problem:
            return _tried(problem, ending=False)
        self.queue.begin_parts(row.key, upload, parts)
        return upload, parts

    def put_part(self, row: Row, upload: str, part: PlannedPart) -> Tried | None:
        """Send one part; None once the store has it."""
        self.step(f"part {part.number} of {row.file}")
        try:
            taken = self.target.parts_writer.put_part(
                row.name,
                upload,
                part.number,
                self.source(row),
                span=part.span,
                sha256=part.sha256,
                pace=self.pace,
            )
        except StoreError as problem:
            return _tried(problem, ending=False)
        self.queue.store_part(row.key, upload, taken)
        return None

    def end(self, row: Row, upload: str) -> Tried:
        """Let the store make the object of its parts, all of which it has."""
        parts = [
            Part(number=item.number, tag=item.tag, sha256=item.sha256, size_bytes=item.span.size_bytes)
            for item in self.queue.parts(row.key)
        ]
        if sum(part.size_bytes for part in parts) != row.size_bytes or not all(part.tag for part in parts):
            # The queue was made anew meanwhile and knows nothing of this undertaking.
            return Tried(event=Event.PART_GONE, words="the parts are no longer known here")
        self.queue.attempt(row.key)
        self.step(f"end {row.file}")
        try:
            version = self.target.parts_writer.end_parts(row.name, upload, parts)
        except StoreError as problem:
            return _tried(problem, ending=True)
        return Tried(event=Event.STORED, version=version)

    def abandon(self, row: Row, upload: str) -> None:
        """Let go of an undertaking that nobody needs; one that stays ends by the store's rules."""
        self.step(f"abandon {row.file}")
        with contextlib.suppress(StoreError):
            self.target.parts_writer.abandon_parts(row.name, upload)

    def _hashed(self, row: Row, plan: PartPlan) -> list[PlannedPart]:
        """Return the parts with their hashes; SourceAltered unless they are what the manifest says."""
        path, whole, parts = self.source(row), hashlib.sha256(), []
        try:
            with path.open("rb") as file:
                for number, span in enumerate(plan.spans(), start=1):
                    part, left = hashlib.sha256(), span.size_bytes
                    while left and (block := file.read(min(left, _BLOCK_SIZE_BYTES))):
                        self.check()
                        whole.update(block)
                        part.update(block)
                        left -= len(block)
                    parts.append(PlannedPart(number=number, span=span, sha256=part.digest()))
                whole.update(file.read(1))
        except OSError as problem:
            raise SourceAltered(f"{path}: can't be read: {problem.strerror}") from problem
        if whole.digest() != row.sha256:
            raise SourceAltered(f"{path}: not the bytes that its SHA-256 was taken of; nothing was stored")
        return parts


def _tried(problem: StoreError, *, ending: bool) -> Tried:
    return Tried(event=event_of(problem, ending=ending), words=str(problem))
