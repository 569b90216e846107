"""Extending one protection, and seeing that it is so."""

from datetime import datetime

from callseal.seal.timestamp import write_time
from callseal.store.errors import StoreDenied, StoreRefused
from callseal.store.interface import StoreKeeper


def extend(
    store: StoreKeeper, name: str, version: str, until: datetime, *, look: bool = True
) -> StoreRefused | None:
    """Extend one protection; return what the store has against it.

    Without `look` the store's word is taken for it. Raises StoreUnreachable, StoreDenied and StoreMissing.
    """
    refused: StoreRefused | None = None
    try:
        store.lock_until(name, version, until)
    except StoreDenied:
        raise
    except StoreRefused as problem:
        refused = problem
    if refused is None and not look:
        return None
    # Another custodian may have extended it further meanwhile. And a store that takes the order and does
    # nothing would be found out on the day on which somebody deletes.
    found = store.locked_until(name, version)
    if found is not None and found >= until:
        return None
    return refused or StoreRefused(
        f"{name}: the store took the order to protect it until {write_time(until)}, and protects it"
        f" {'not at all' if found is None else 'until ' + write_time(found)}"
    )
