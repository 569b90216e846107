"""Ports of loopback for the demo's servers, which nobody uses now and nobody is given by chance.

They lie below those that the system gives to whoever asks for any (32768 and up on Linux): between the look
and the use, another program's connection could take one of these.
"""

import contextlib
import random
import socket
from collections.abc import Sequence
from typing import Final

LOWEST: Final = 20_000
HIGHEST: Final = 32_000
HOST: Final = "127.0.0.1"
_ATTEMPTS: Final = 100


def free_ports(count: int) -> tuple[int, ...] | None:
    """Find ports in a row, the first one even, that are free for UDP and TCP; None where there are none."""
    for _attempt in range(_ATTEMPTS):
        first = random.randrange(LOWEST, HIGHEST - count, 2)  # noqa: S311 - no secret
        ports = tuple(range(first, first + count))
        if are_free(ports):
            return ports
    return None


def are_free(ports: Sequence[int]) -> bool:
    """Say whether nobody has any of these ports, for UDP or TCP."""
    with contextlib.ExitStack() as stack:
        for port in ports:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                probe = stack.enter_context(socket.socket(socket.AF_INET, kind))
                try:
                    probe.bind((HOST, port))
                except OSError:
                    return False
    return True
