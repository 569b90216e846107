"""Where the public proofs of a recording lie: ledger segments, time stamps, receipts.

Conventions: a place is read only. One that can't be read stops no other: it is among the `failures`. Of
several copies of one file the first place's is taken; whether it is the right one its signatures tell.
This module touches files.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias
from uuid import UUID

from callseal.cli.errors import NotFound
from callseal.cli.i18n import _
from callseal.cli.places import Place, SpoolPlace, StorePlace
from callseal.seal.errors import SpoolError
from callseal.store.directory import MARKER_NAME, DirectoryStore
from callseal.store.errors import StoreError, StoreMissing
from callseal.store.names import (
    LEDGER,
    STAMPS,
    parse_ledger_name,
    parse_recording_name,
    parse_stamp_name,
    receipt_name,
)

Failure: TypeAlias = StoreError | SpoolError

_FOLDERS_TO_STORE: Final = 6  # recordings/<device>/<yyyy>/<mm>/<dd>/<id>


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A file that lies somewhere."""

    name: str
    open: Callable[[], BinaryIO]

    def read(self, limit_bytes: int) -> bytes:
        """Return up to one byte more than the limit. Raises StoreError and SpoolError."""
        data = bytearray()
        try:
            with contextlib.closing(self.open()) as file:
                while len(data) <= limit_bytes and (block := file.read(limit_bytes + 1 - len(data))):
                    data += block
        except StoreError:
            raise
        except OSError as problem:
            raise SpoolError(f"{self.name}: {problem.strerror}") from problem
        return bytes(data)


class Sources:
    """All places that are looked at for one device's proofs."""

    def __init__(self, places: Sequence[Place], *, ledger: Path | None = None) -> None:
        """`ledger` is a folder of segments besides; NotFound if there is none."""
        if ledger is not None and not ledger.is_dir():
            raise NotFound(_("{path}: there is no such folder").format(path=ledger))
        self._stores = [place for place in places if isinstance(place, StorePlace)]
        self._folders = [place.root / "ledger" for place in places if isinstance(place, SpoolPlace)]
        if ledger is not None:
            self._folders.insert(0, ledger)
        self._failures: list[Failure] = []

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What could not be read so far."""
        return tuple(self._failures)

    def segments(self, device: str) -> list[tuple[int, Kept]]:
        """Return the finished segments of a device's ledger, by their first entries."""
        found: dict[int, Kept] = {}
        for folder in self._folders:
            with self._noted():
                for first, path in _segment_files(folder, device):
                    found.setdefault(first, Kept(name=str(path), open=_opener(path)))
        for name, kept in self._stored(f"{LEDGER}{device}/"):
            parsed = parse_ledger_name(name)
            if parsed is not None:
                found.setdefault(parsed[1], kept)
        return sorted(found.items(), key=lambda item: item[0])

    def stamps(self, device: str) -> dict[int, list[Kept]]:
        """Return the time stamps on a device's checkpoints, by the size of the checkpoint."""
        found: dict[int, list[Kept]] = {}
        for name, kept in self._stored(f"{STAMPS}{device}/"):
            parsed = parse_stamp_name(name)
            if parsed is not None:
                found.setdefault(parsed[1], []).append(kept)
        return found

    def receipts(self, device: str, recording: UUID, limit_bytes: int) -> list[bytes]:
        """Return the receipts for a recording, one a store at most."""
        found = []
        for place in self._stores:
            name = receipt_name(device, recording)
            with self._noted(), contextlib.suppress(StoreMissing):
                found.append(_kept(place, name).read(limit_bytes))
        return found

    def _stored(self, prefix: str) -> Iterator[tuple[str, Kept]]:
        for place in self._stores:
            with self._noted():
                for item in place.store.list(prefix):
                    yield item.name, _kept(place, item.name)

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        """Take note of a place that can't be read, and go on without it."""
        try:
            yield
        except (StoreError, SpoolError) as problem:
            self._failures.append(problem)


def enclosing_store(folder: Path) -> StorePlace | None:
    """Return the store that a recording's folder lies in, None if it lies in none."""
    path = folder.resolve()
    if len(path.parents) < _FOLDERS_TO_STORE:
        return None
    root = path.parents[_FOLDERS_TO_STORE - 1]
    if parse_recording_name(f"{path.relative_to(root).as_posix()}/") is None:
        return None
    if not (root / MARKER_NAME).is_file():
        return None
    return StorePlace(name=str(root), store=DirectoryStore(root))


def _kept(place: StorePlace, name: str) -> Kept:
    return Kept(name=f"{place.name}: {name}", open=lambda: place.store.get(name))


def _opener(path: Path) -> Callable[[], BinaryIO]:
    return lambda: path.open("rb")


def _segment_files(folder: Path, device: str) -> Iterator[tuple[int, Path]]:
    """Yield the finished segments in a folder; one that was never made holds none."""
    try:
        paths = sorted(folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as problem:
        raise SpoolError(f"{folder}: {problem.strerror}") from problem
    for path in paths:
        parsed = parse_ledger_name(f"{LEDGER}{device}/{path.name}")
        if parsed is not None:
            yield parsed[1], path
