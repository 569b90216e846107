"""Runs a piece of work in a child process that is killed at one of its steps."""

import os
import signal
from collections.abc import Callable

from callseal.seal.durable import Step

_FINISHED = 0
_RAISED = 1


def killed_at(number: int, work: Callable[[Step], object]) -> bool:
    """Run `work` in a child and kill it at its step `number`, counted from 0.

    Returns whether there was such a step; without one, the work was done to its end.
    """
    child = os.fork()
    if child == 0:
        _run(number, work)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.WEXITSTATUS(status) != _FINISHED:
        raise RuntimeError(f"the work failed by itself before step {number}")
    return False


def _run(number: int, work: Callable[[Step], object]) -> None:
    steps = 0

    def step(_name: str) -> None:
        nonlocal steps
        if steps == number:
            os.kill(os.getpid(), signal.SIGKILL)
        steps += 1

    try:
        work(step)
    except BaseException:  # noqa: BLE001 - whatever it is, the child must not run on as a second pytest
        os._exit(_RAISED)
    os._exit(_FINISHED)
