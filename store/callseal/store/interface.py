"""What every store is to its callers: add an object, read one, list names.

::

    StoreWriter   add: all that an agent's uploader may do
    PartsWriter   add in parts that outlive the process, where `capabilities.parts` says so
    StoreReader   read and list, for who has that right
    StoreKeeper   protect from deletion, for the custodian alone, where `capabilities.lock` says so
    StoreBoard    what is replaced all the time: the fleet's state, which proves nothing
    Watched       be told of what is new, where `capabilities.notices` says so

Conventions: names are those of ``names``; an object, once put, never changes, but those of the board.
`put` is idempotent: the same bytes under the same name are a success, other bytes are refused. When `put`
returns, the object is as durable as the store can make it, and a reader sees it whole; before that, a reader
sees nothing of it. The errors are those of ``errors``; nothing else may escape.

The suite in ``tests/store`` is this contract as a program; every store runs it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias

from callseal.store.capabilities import Capabilities

Content: TypeAlias = Path | bytes
"""What is put: a file, or bytes that need none."""

Pace: TypeAlias = Callable[[int], None]
"""Is told how many bytes are about to be sent; returns once they may be. What it raises ends the put."""


def unpaced(_size_bytes: int, /) -> None:
    """Let everything go at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """What a listing says of an object; `version` is empty where the store has none to tell cheaply.

    `modified_at` is when the store took it, by the store's clock; None where it does not tell.
    """

    name: str
    size_bytes: int
    version: str = ""
    modified_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A piece of a file: `size_bytes` from `offset_bytes` on."""

    offset_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part that the store has taken; `number` is from 1, `tag` is the store's own name for it (ETag)."""

    number: int
    tag: str
    sha256: bytes
    size_bytes: int


class StoreWriter(Protocol):
    """All that an agent's uploader needs and may do: add."""

    @property
    def capabilities(self) -> Capabilities:
        """What the store can do."""

    def put(self, name: str, content: Content, sha256: bytes, *, pace: Pace = unpaced) -> str:
        """Store a file, or bytes, as `name` and return its version; `sha256` is that of its bytes.

        Where the store can't compare what is there with what is brought (an S3 store without the right to
        read), a name that is taken is NameTaken: who has put these bytes there before may take it as done.
        Raises StoreUnreachable, StoreDenied, StoreRefused, NameTaken, SourceAltered.
        """


class PartsWriter(StoreWriter, Protocol):
    """Adding an object in parts, over as many processes and days as it takes."""

    def begin_parts(self, name: str) -> str:
        """Begin to put `name` in parts; return what the store calls this undertaking (UploadId)."""

    def put_part(
        self,
        name: str,
        upload: str,
        number: int,
        source: Path,
        *,
        span: Span,
        sha256: bytes,
        pace: Pace = unpaced,
    ) -> Part:
        """Store one part; `sha256` is that of the span's bytes. The same number may be put again.

        Raises UploadGone where the store does not know the undertaking (any more), else as `put`.
        """

    def end_parts(self, name: str, upload: str, parts: Sequence[Part]) -> str:
        """Make the object of all its parts, in the order of their numbers; return its version.

        Raises UploadGone (which, after an earlier attempt to end it, says nothing of whether the object is
        there), NameTaken, else as `put`.
        """

    def abandon_parts(self, name: str, upload: str) -> None:
        """Let go of an undertaking and its parts; one that is gone already is no error."""


class StoreReader(Protocol):
    """Reading and listing, for who has that right."""

    def get(self, name: str, version: str | None = None) -> BinaryIO:
        """Open an object for reading; the caller closes it. Without a version it is the newest one.

        Raises StoreMissing, StoreUnreachable, StoreDenied; the file's own reading may raise any of OSError.
        """

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose names begin with `prefix` and sort after `after`, sorted by name.

        The order is that of the names' bytes. Raises StoreUnreachable, StoreDenied.
        """

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield what stands between `prefix`, empty or ended by a slash, and the next slash, sorted.

        Each comes once and without the slash; a store answers this without listing what lies in them.
        """

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield every version of the objects whose names begin with `prefix`, by name, the oldest first.

        `version` is never empty here. What was removed, or hidden by a delete marker, is among them as far as
        the store still has it.
        """


class StoreKeeper(Protocol):
    """Protecting objects from deletion: the custodian's alone."""

    def locked_until(self, name: str, version: str) -> datetime | None:
        """Return until when one version can't be deleted, None if it can at any time."""

    def lock_until(self, name: str, version: str, until: datetime) -> None:
        """Protect one version until then; StoreRefused where that would shorten what holds."""

    def is_held(self, name: str, version: str) -> bool:
        """Tell whether one version is under a legal hold."""

    def hold(self, name: str, version: str, *, on: bool) -> None:
        """Put one version under a legal hold, or lift that."""


class StoreBoard(Protocol):
    """What is replaced all the time and has no versions: names that begin with ``fleet/``."""

    def replace(self, name: str, data: bytes) -> None:
        """Put `data` in place of what is there, whole or not at all."""


class Watched(Protocol):
    """A store that tells of what is new."""

    def watch(self, wake: Callable[[], None]) -> AbstractContextManager[None]:
        """Call `wake`, from another thread, whenever something may have been added."""


class Store(StoreWriter, StoreReader, StoreBoard, Protocol):
    """All that every kind of store can do."""


class CentralStore(Store, StoreKeeper, Protocol):
    """All that the custodian needs; without the capability the keeper's part raises StoreRefused."""
