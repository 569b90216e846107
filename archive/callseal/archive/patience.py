"""Patience with a store: what fails for one thing is passed over, and for several in a row is the store's."""

from typing import Final

from callseal.store.errors import StoreError

MOST_FAILURES: Final = 3


class Patience:
    """Counts failures in a row."""

    def __init__(self) -> None:
        self._failures = 0

    def renew(self) -> None:
        """Begin again: something went well."""
        self._failures = 0

    def bear(self, problem: StoreError) -> None:
        """Count a failure; raises it where it is not the first."""
        self._failures += 1
        if self.is_over:
            raise problem

    @property
    def is_over(self) -> bool:
        """Whether the store itself fails."""
        return self._failures >= MOST_FAILURES
