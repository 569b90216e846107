"""What a store can do, as data: callers ask for a capability, never for a kind of store.

Conventions: each field is a promise that the store itself keeps, not one that our code makes up for.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """The promises of one store."""

    exclusive_put: bool
    """A second put of other bytes under the same name is refused by the store itself."""

    versions: bool
    """A name may have several versions, each readable by its own identifier."""

    lock: bool
    """Objects can be protected from deletion until a time."""

    checked_put: bool
    """The store compares a hash given with the bytes that it received."""

    max_object_size_bytes: int | None
    """The largest object; None where only the disk sets a limit."""
