"""Where the public proofs of one recording lie: copies of its device's ledger, time stamps, receipts.

Conventions: a place that can't be read stops no other; it is among the `failures`, and what it would have
held is missing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from callseal.cli.ledgers import Receipt
from callseal.cli.places import Place, StorePlace
from callseal.cli.proving import gather
from callseal.seal.manifest import Manifest
from callseal.seal.verify import LedgerCopy
from callseal.store.directory import MARKER_NAME, DirectoryStore
from callseal.store.names import parse_recording_name

_FOLDERS_TO_STORE: Final = 6  # recordings/<device>/<yyyy>/<mm>/<dd>/<id>


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What is at hand for one recording; `failures` says in words what could not be read."""

    ledgers: tuple[LedgerCopy, ...]
    receipts: tuple[Receipt, ...]
    failures: tuple[str, ...]

    @classmethod
    def of(cls, manifest: Manifest, places: Iterable[Place]) -> Self:
        """Look through places; raises NotFound for one that was named and is not there."""
        found = gather(places)
        return cls(
            ledgers=tuple(found.ledgers.get(manifest.device, ())),
            receipts=tuple(found.receipts.get((manifest.device, manifest.id), ())),
            failures=tuple(map(str, found.failures)),
        )

    def stamps(self) -> dict[int, Sequence[LedgerCopy]]:
        """Return the copies that have a time stamp on a checkpoint, by the size of the checkpoint."""
        found: dict[int, list[LedgerCopy]] = {}
        for copy in self.ledgers:
            for size in copy.stamp_sizes():
                found.setdefault(size, []).append(copy)
        return dict(found)


def enclosing_store(folder: Path) -> Iterator[Place]:
    """Yield the store that a recording's folder lies in, if it lies in one."""
    path = folder.resolve()
    if len(path.parents) < _FOLDERS_TO_STORE:
        return
    root = path.parents[_FOLDERS_TO_STORE - 1]
    if parse_recording_name(f"{path.relative_to(root).as_posix()}/") and (root / MARKER_NAME).is_file():
        yield StorePlace(name=str(root), store=DirectoryStore(root))
