"""The one place where stores are made from settings: whoever needs one says which, and gets what it can do.

Nothing is asked of a store here; that it can't be reached, or that credentials are missing, comes to light
with the first call.
"""

import dataclasses
from typing import Final, cast

from callseal.config import central
from callseal.store.directory import DirectoryStore
from callseal.store.interface import CentralStore, PartsWriter, StoreWriter, Watched

CONNECTIONS: Final = 10


def open_store(
    item: central.DirectoryStore | central.S3Store,
    *,
    profile: str | None = None,
    connections: int = CONNECTIONS,
) -> CentralStore:
    """Return the store that a table ``[[store]]`` describes.

    `profile` names the credentials instead of the settings' own; `connections` is how many requests there may
    be at a time. Both are for stores that have such things.
    """
    if isinstance(item, central.DirectoryStore):
        return DirectoryStore(item.path)
    # Commands that use directories only need not wait for boto3.
    from callseal.store.s3 import CAPABILITIES, S3Store  # noqa: PLC0415

    locks = item.lock != "none"
    capabilities = dataclasses.replace(
        CAPABILITIES, exclusive_put=item.conditional_put, lock=locks, holds=locks
    )
    return S3Store(item, profile=profile, connections=connections, capabilities=capabilities)


def parts_of(store: StoreWriter) -> PartsWriter | None:
    """Return the store as one that takes objects in parts; None where it does not (`capabilities.parts`)."""
    return None if store.capabilities.parts is None else cast("PartsWriter", store)


def notices_of(store: StoreWriter) -> Watched | None:
    """Return the store as one that tells of what is new; None where it does not (`capabilities.notices`)."""
    return cast("Watched", store) if store.capabilities.notices else None
