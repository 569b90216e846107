"""One at a time: methods that several threads may call, and that never run beside one another."""

import functools
import threading
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Serial(Protocol):
    """What has a lock of its own, which is taken again without harm by the thread that holds it."""

    @property
    def lock(self) -> threading.RLock:
        """The lock."""


S = TypeVar("S", bound=Serial)


def serial(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Return the method, made to hold its object's lock while it runs."""

    @functools.wraps(method)
    def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.lock:
            return method(self, *args, **kwargs)

    return run
