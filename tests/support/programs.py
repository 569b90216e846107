"""Programs from outside that tests talk to: found, or the test is skipped with the reason.

Where CI is set nothing may be missing: a skip there would pass for a success.
"""

import os
import shutil
import socket

import pytest


def needed(program: str, package: str) -> str:
    """Give the path of a program, or skip the test that asked for it."""
    path = shutil.which(program)
    if path is None:
        words = f"{program} is not installed (Debian package {package}; `make test` installs it as root)"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    return path


def free_udp_port() -> int:
    """Give a UDP port on loopback that nobody uses at this moment; an even one, as RTP likes."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            if port % 2 == 0 and port < 65_000:
                return port
