"""Programs from outside that tests talk to: found, or the test is skipped with the reason.

Where CI is set nothing may be missing: a skip there would pass for a success.
"""

import os
import shutil
import socket
from typing import NoReturn

import pytest

_LOWEST_PORT = 10_000
_RANGE_PORTS = 5_000
_RANGES = 4
# Where this process goes on; it begins anywhere, for the sake of test runs side by side.
_taken = [os.getpid() * 16 % _RANGE_PORTS]


def needed(program: str, package: str) -> str:
    """Give the path of a program, or skip the test that asked for it."""
    path = shutil.which(program)
    if path is None:
        missing(f"{program} is not installed", package)
    return path


def missing(what: str, package: str) -> NoReturn:
    """Skip the test that asked for something, or fail it where CI is set."""
    words = f"{what} (Debian package {package}; `make test` installs it as root)"
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)


def free_udp_port(ports: int = 6) -> int:
    """Give the first of some ports of loopback that nobody uses at this moment; an even one, for RTP.

    Each test process has a range of its own, below the one from which the system gives ports away, and goes
    through it in turn: nobody else takes a port between this answer and its use.
    """
    for _attempt in range(_RANGE_PORTS):
        first = _first_port(ports)
        if all(_is_free(port) for port in range(first, first + ports)):
            return first
    raise RuntimeError(f"no {ports} free UDP ports in a row")


def _first_port(ports: int) -> int:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _RANGES
    left = _RANGE_PORTS - _taken[0] % _RANGE_PORTS
    if left < ports:
        # From the beginning again, for all sizes alike: else two who ask would get the same ports.
        _taken[0] += left
    offset = _taken[0] % _RANGE_PORTS
    _taken[0] += ports + ports % 2
    return (_LOWEST_PORT + worker * _RANGE_PORTS + offset) // 2 * 2


def _is_free(port: int) -> bool:
    """Say whether nobody uses a port, for TCP neither: telephones listen at the same port for both."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else old connections count
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def refused(what: str) -> NoReturn:
    """Skip a test that this machine does not allow, whatever is installed; the summary says so, CI's too."""
    pytest.skip(f"NOT CHECKED here: {what}")
