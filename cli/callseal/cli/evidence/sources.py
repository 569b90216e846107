"""Where the public proofs of one recording lie: copies of its device's ledger, time stamps, receipts.

Conventions: a place that can't be read stops no other; it is among the `failures`, and what it would have
held is missing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from callseal.cli.ledgers import About, Receipt
from callseal.cli.places import Place, StorePlace, enclosing_root
from callseal.cli.proving import gather
from callseal.seal.manifest import Manifest
from callseal.seal.verify import LedgerCopy
from callseal.store.directory import DirectoryStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What is at hand for one recording; `failures` says in words what could not be read."""

    ledgers: tuple[LedgerCopy, ...]
    receipts: tuple[Receipt, ...]
    failures: tuple[str, ...]

    @classmethod
    def of(cls, manifest: Manifest, places: Iterable[Place]) -> Self:
        """Look through places; raises NotFound for one that was named and is not there."""
        found = gather(places, [About(device=manifest.device, recording=manifest.id)])
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
    root = enclosing_root(folder)
    if root is not None:
        yield StorePlace(name=str(root), store=DirectoryStore(root))
