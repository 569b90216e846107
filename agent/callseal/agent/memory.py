"""Keeps what is in memory off the disks: no core dumps, no reading by others, no swap where allowed.

Source: prctl(2), setrlimit(2), mlockall(2).
"""

import ctypes
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4  # linux/prctl.h
_MCL_CURRENT: Final = 1  # bits/mman-linux.h
_MCL_FUTURE: Final = 2
_MCL_ONFAULT: Final = 4


def protect() -> tuple[str, ...]:
    """Protect this process; give in words what the system did not allow."""
    libc = ctypes.CDLL(None, use_errno=True)
    missing: list[str] = []
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        missing.append("the process can still be dumped (PR_SET_DUMPABLE refused)")
    soft, _hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    # With a limit, locking succeeds now and allocations fail later, in the middle of a call.
    if soft != resource.RLIM_INFINITY:
        missing.append("memory can be swapped out: RLIMIT_MEMLOCK is limited (set LimitMEMLOCK=infinity)")
    elif libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        missing.append("memory can be swapped out: mlockall was refused")
    return tuple(missing)
