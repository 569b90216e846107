"""What every store is to its callers: add an object, read one, list names.

Conventions: names are those of ``names``; an object, once put, never changes. `put` is idempotent: the same
bytes under the same name are a success, other bytes are refused. When `put` returns, the object is as
durable as the store can make it, and a reader sees it whole; before that, a reader sees nothing of it.
The errors are those of ``errors``; nothing else may escape.

The suite in ``tests/store`` is this contract as a program; every store runs it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from callseal.store.capabilities import Capabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """What a listing says of an object; `version` is empty where the store has none to tell cheaply."""

    name: str
    size_bytes: int
    version: str = ""


class StoreWriter(Protocol):
    """All that an agent's uploader needs and may do: add."""

    @property
    def capabilities(self) -> Capabilities:
        """What the store can do."""

    def put(self, name: str, source: Path, sha256: bytes) -> str:
        """Store the file `source` as `name` and return its version; `sha256` is that of its bytes.

        Raises StoreUnreachable, StoreRefused, SourceAltered.
        """


class StoreReader(Protocol):
    """Reading and listing, for who has that right."""

    def get(self, name: str, version: str | None = None) -> BinaryIO:
        """Open an object for reading; the caller closes it. Raises StoreMissing, StoreUnreachable."""

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose names begin with `prefix` and sort after `after`, sorted by name.

        The order is that of the names' bytes. Raises StoreUnreachable.
        """
