"""What concerns all tests: the order in which they run, and how many generated examples they see."""

import contextlib
import os

import pytest
from hypothesis import settings

SOAK = bool(os.environ.get("CALLSEAL_SOAK"))
SOAK_EXAMPLES = 20_000
COMPUTING_NICE = 10

# A busy machine is no fault of the code: what takes long is bounded by each test's time limit.
settings.register_profile("callseal", deadline=None)
settings.register_profile("soak", deadline=None, max_examples=SOAK_EXAMPLES)
settings.load_profile("soak" if SOAK else "callseal")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that last longest, so that at the end none is waited for alone.

    In a soak every test with generated input is one of the long ones: it gets many more examples.
    """
    for item in items if SOAK else ():
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.soak)
    items.sort(key=_rank)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let calls with real peers have the processor before tests that only compute.

    Both run side by side, and speech that is late is speech that is lost. Going back up needs a right that
    ordinary accounts lack; as calls come first, it is seldom asked for.
    """
    nice = 0 if item.get_closest_marker("integration") is not None else COMPUTING_NICE
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, nice)


def _rank(item: pytest.Item) -> int:
    if item.get_closest_marker("longest") is not None:
        return 0
    if item.get_closest_marker("xdist_group") is not None:
        return 2  # what works the disks hard, one after another, once most calls are over
    return 1 if item.get_closest_marker("integration") is not None else 3
