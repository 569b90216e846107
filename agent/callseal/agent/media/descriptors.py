"""How many files and sockets this process may have open, and whether that will do.

Every call has two sockets a stream and the files of its recording. A limit that is found out about when the
calls are there costs recordings, so it is looked at before the first.
"""

import resource
from typing import Final

SOCKETS_PER_STREAM: Final = 2
"""RTP and RTCP."""
STREAMS_PER_CALL: Final = 2
FILES_PER_RECORDING: Final = 3
"""The sealed sound, its tail, and one that is open for a moment while metadata are saved."""
FOR_THE_REST: Final = 256
"""Signalling connections, ledger, spools, logs and Python's own."""


def needed(calls: int) -> int:
    """Say how many descriptors that many calls of two streams need, with all the rest."""
    return calls * (STREAMS_PER_CALL * SOCKETS_PER_STREAM + FILES_PER_RECORDING) + FOR_THE_REST


def raise_limit(calls: int) -> int:
    """Raise this process's limit to what that many calls need, and say how many it allows, at most these.

    The soft limit is raised as far as the hard one lets it; the hard one is the system's affair
    (``LimitNOFILE=`` of the service's unit).
    """
    wanted = needed(calls)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return calls
    return max((soft - FOR_THE_REST) * calls // max(wanted - FOR_THE_REST, 1), 0)
