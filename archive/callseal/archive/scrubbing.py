"""Reading again what was received long ago: a share of the recordings, chosen by lot, and a restore drill.

Every object of a chosen recording is read by the version in its receipt, to its last byte, and compared with
the receipt, whose own signature is checked first. What rots unread in a store, or was deleted by somebody who
may, is found by nothing else.

Conventions: the lot falls on receipts, whose names are listed page by page; none but the chosen ones is kept
in memory. `chance` gives numbers from 0 up to 1. Raises StoreError where the store fails; what is missing or
altered is a trouble. Exit codes: 12 altered or gone, 13 and 14 a receipt that does not count.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from callseal.archive.bundles import hash_version, read_version
from callseal.archive.receipting import check
from callseal.archive.troubles import Code, Trouble, trouble
from callseal.seal.errors import RemoteError
from callseal.seal.keys import TrustStore
from callseal.seal.receipt import MAX_SIZE_BYTES, ReceiptObject
from callseal.store.errors import StoreMissing
from callseal.store.interface import Store
from callseal.store.names import RECEIPTS, parse_receipt_name

MAX_LOT: Final = 100_000
"""How many recordings are chosen at most, whatever the share: who asks for more asks for all of them."""

Chance = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrubbed:
    """What came of one recording: how much was read, and what was found."""

    name: str
    device: str
    id: UUID
    objects: int
    size_bytes: int
    troubles: tuple[Trouble, ...] = ()


def draw_share(store: Store, share: float, chance: Chance) -> tuple[str, ...]:
    """Return the names of receipts, each chosen with the likelihood `share`; at least one if there is any."""
    chosen: list[str] = []
    spare = ""
    for number, name in enumerate(_receipts(store), start=1):
        if chance() < share and len(chosen) < MAX_LOT:
            chosen.append(name)
        if chance() * number < 1:
            spare = name
    if not chosen and spare:
        return (spare,)
    return tuple(chosen)


def draw_count(store: Store, count: int, chance: Chance) -> tuple[str, ...]:
    """Return the names of so many receipts, each as likely as any other; all if there are no more."""
    chosen: list[str] = []
    for number, name in enumerate(_receipts(store)):
        if number < count:
            chosen.append(name)
            continue
        # Reservoir sampling (Vitter, algorithm R).
        place = int(chance() * (number + 1))
        if place < count:
            chosen[place] = name
    return tuple(sorted(chosen))


def scrub(store: Store, site: str, name: str, trust: TrustStore) -> Scrubbed:
    """Read a recording again, by the name of its receipt; `site` is the store's name in the settings.

    ValueError for the name of anything else.
    """
    parsed = parse_receipt_name(name)
    if parsed is None:
        raise ValueError(f"{name}: not the name of a receipt")
    device, recording = parsed
    objects = size_bytes = 0
    troubles: list[Trouble] = []
    try:
        version, stored_at = _first(store, name)
        data = read_version(store, name, version, MAX_SIZE_BYTES)
        given = check(data, device, recording, site, trust, stored_at=stored_at)
    except StoreMissing:
        troubles.append(trouble(Code.GONE, f"{name}: the receipt is there no more"))
        items: tuple[ReceiptObject, ...] = ()
    except RemoteError as problem:
        troubles.append(trouble(Code.FORGED, f"{name}: {problem}", problem.exit_code))
        items = ()
    else:
        items = given.receipt.objects
    for item in items:
        count, wrong = _read_again(store, item)
        objects += 1
        size_bytes += count
        if wrong:
            troubles.append(trouble(Code.GONE, f"{item.name}: {wrong}"))
    return Scrubbed(
        name=name,
        device=device,
        id=recording,
        objects=objects,
        size_bytes=size_bytes,
        troubles=tuple(troubles),
    )


def _read_again(store: Store, item: ReceiptObject) -> tuple[int, str]:
    """Return how many bytes were read, and in words what is wrong with them."""
    # Without versions the version is what the bytes should hash to: they are read once, and compared here.
    version = item.version if store.capabilities.versions else ""
    try:
        size_bytes, sha256 = hash_version(store, item.name, version, item.size_bytes)
    except StoreMissing:
        return 0, "what was received is there no more"
    if size_bytes != item.size_bytes:
        return size_bytes, f"altered: more or fewer than the {item.size_bytes} bytes that were received"
    if sha256 != item.sha256:
        return size_bytes, "altered: its SHA-256 is not the one in the receipt"
    return size_bytes, ""


def _first(store: Store, name: str) -> tuple[str, datetime | None]:
    """Return the oldest version of a receipt: what a thief put on top is for the next round to tell.

    And when the store took it, where that proves anything.
    """
    if not store.capabilities.versions:
        return "", None
    there = ((item.version, item.modified_at) for item in store.versions(name) if item.name == name)
    return next(there, ("", None))


def _receipts(store: Store) -> Iterator[str]:
    for item in store.list(RECEIPTS):
        if parse_receipt_name(item.name) is not None:
            yield item.name
