"""What is in memory stays there. Tried in a process of its own, since it is for a process's whole life."""

import json
import resource
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import ctypes, json, resource, sys
from callseal.agent import memory

limit = json.loads(sys.argv[1])
if limit is not None:
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
missing = memory.protect()
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
print(json.dumps({
    "missing": missing,
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
    "locked_kb": int(status["VmLck"].split()[0]),
}))
"""
PLENTY_KB = 1000


def _protected(limit_bytes: int | None) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(limit_bytes)], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_process_leaves_no_core_and_can_not_be_looked_into() -> None:
    found = _protected(None)

    assert found["core"] == [0, 0]
    assert found["dumpable"] == 0


def test_where_locking_is_limited_nothing_is_locked_and_that_is_said() -> None:
    found = _protected(1024 * 1024)

    assert found["locked_kb"] < PLENTY_KB
    assert len(found["missing"]) == 1
    assert "LimitMEMLOCK=infinity" in found["missing"][0]


def _may_lock_without_limit() -> bool:
    """Say whether this account may lift the limit, which needs CAP_SYS_RESOURCE where it is set."""
    limits = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except ValueError:
        return False
    resource.setrlimit(resource.RLIMIT_MEMLOCK, limits)
    return True


@pytest.mark.skipif(
    not _may_lock_without_limit(), reason="the limit of locked memory can't be lifted by this account"
)
def test_where_locking_is_unlimited_the_memory_is_kept_out_of_swap_or_that_is_said() -> None:
    found = _protected(-1)

    if found["missing"]:  # a container without CAP_IPC_LOCK: the kernel's own refusal
        assert found["missing"] == ["memory can be swapped out: mlockall was refused"]
    else:
        assert found["locked_kb"] > PLENTY_KB
