"""What a store can do, as data: callers ask for a capability, never for a kind of store.

Conventions: each field is a promise that the store itself keeps, not one that our code makes up for.
"""

from dataclasses import dataclass
from typing import Final

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PartLimits:
    """How an object may be put in parts: all parts but the last have at least `min_size_bytes`."""

    min_size_bytes: int = 5 * MIB
    max_size_bytes: int = 5 * 1024 * MIB
    max_count: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """The promises of one store."""

    exclusive_put: bool
    """A second put under a name that is taken is refused by the store itself."""

    versions: bool
    """A name may have several versions, each readable by its own identifier."""

    lock: bool
    """Objects can be protected from deletion until a time."""

    checked_put: bool
    """The store compares a hash given with the bytes that it received."""

    max_object_size_bytes: int | None
    """The largest object that goes in one request; None where only the disk sets a limit."""

    holds: bool = False
    """Objects can be protected from deletion until somebody says otherwise."""

    parts: PartLimits | None = None
    """How objects can be put in parts that outlive the process; None: not at all."""

    notices: bool = False
    """The store can tell at once that something was added (`interface.Watched`)."""
