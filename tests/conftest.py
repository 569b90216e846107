"""What concerns all tests: the order in which they run, and no deadline for generated examples."""

import pytest
from hypothesis import settings

# A busy machine is no fault of the code: what takes long is bounded by each test's time limit.
settings.register_profile("callseal", deadline=None)
settings.load_profile("callseal")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that last longest, so that at the end none is waited for alone."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    if item.get_closest_marker("longest") is not None:
        return 0
    return 1 if item.get_closest_marker("integration") is not None else 2
