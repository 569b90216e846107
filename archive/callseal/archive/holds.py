"""Legal holds: what is on hold by name in the records, and the one hold that a store puts on an object.

A recording may have several holds, each by its name; an object in S3 has one, on or off. It is on as long as
any name holds. A store without holds keeps the records, and nothing else: nobody is stopped by them.

Conventions: what is missing is always put on. It is lifted only where the records say that a hold was lifted:
a hold that somebody put on by other means, for a reason that we do not know, is left alone and told.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from callseal.seal.retention import State
from callseal.store.errors import StoreError, StoreMissing
from callseal.store.interface import StoreKeeper

Object = tuple[str, str]
"""Name and version."""


class HoldStep(StrEnum):
    """What was done to, or found on, an object."""

    HELD = "held"
    RELEASED = "released"
    STRANGE = "held-by-others"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldChange:
    """What came of one object: a step, or the problem that the store had with it."""

    name: str
    version: str
    step: HoldStep | None
    problem: StoreError | None = None


class Keeper(StoreKeeper, Protocol):
    """A store that holds."""


def bring_holds(store: Keeper, objects: Sequence[Object], state: State) -> Iterator[HoldChange]:
    """Bring the objects' holds to what the records say; yield what was done or is wrong, object by object.

    Doing it again does nothing. Raises StoreError where the store can't be reached or denies the right; what
    concerns one object alone is among the changes, and stops no other.
    """
    for name, version in objects:
        try:
            step = _bring(store, name, version, state)
        except StoreMissing as problem:
            yield HoldChange(name=name, version=version, step=None, problem=problem)
        else:
            if step is not None:
                yield HoldChange(name=name, version=version, step=step)


def _bring(store: Keeper, name: str, version: str, state: State) -> HoldStep | None:
    held = store.is_held(name, version)
    if state.holds:
        if held:
            return None
        store.hold(name, version, on=True)
        return HoldStep.HELD
    if not held:
        return None
    if not state.ever_held:
        return HoldStep.STRANGE
    store.hold(name, version, on=False)
    return HoldStep.RELEASED
