"""A schedule: what is due when, in O(log n) a change and O(due) a look.

Conventions: times are seconds of whatever clock the caller uses; an item has at most one time.
"""

import heapq
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)

_SLACK: Final = 64
"""How many outdated entries are carried along before it is worth while to sweep them out."""


class Schedule(Generic[Item]):
    """Items and their times.

    A changed time leaves its old entry in the heap until that comes up or until half of the heap is outdated,
    so memory stays in proportion to the items however often they change.
    """

    def __init__(self) -> None:
        self._due: dict[Item, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Item]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._due)

    def set(self, item: Item, due_s: float) -> None:
        """Give an item its time, instead of the one that it had."""
        self._count += 1
        self._due[item] = (due_s, self._count)
        heapq.heappush(self._heap, (due_s, self._count, item))
        if len(self._heap) > 2 * len(self._due) + _SLACK:
            self._heap = [(due_s, number, item) for item, (due_s, number) in self._due.items()]
            heapq.heapify(self._heap)

    def drop(self, item: Item) -> None:
        """Forget an item, known or not."""
        self._due.pop(item, None)

    def due_s(self) -> float | None:
        """Return when the first item is due, None for none."""
        self._sweep()
        return self._heap[0][0] if self._heap else None

    def take_due(self, now_s: float) -> Item | None:
        """Take out the first item that is due, None for none."""
        self._sweep()
        if not self._heap or self._heap[0][0] > now_s:
            return None
        item = heapq.heappop(self._heap)[2]
        del self._due[item]
        return item

    def _sweep(self) -> None:
        """Throw away outdated entries at the head."""
        while self._heap:
            _, number, item = self._heap[0]
            known = self._due.get(item)
            if known is not None and known[1] == number:
                return
            heapq.heappop(self._heap)
