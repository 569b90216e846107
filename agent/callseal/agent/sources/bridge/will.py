"""The agent's last will: the BYEs that end its calls for both parties, should the agent itself be killed.

The agent keeps them in a memory file that it shares with its child. A child that finds the agent gone sends
them: its own BYEs would go by the edge, and the edge was in the agent. They can only be sent by UDP; a party
that is reached by TCP or TLS learns of the end when the sound stops, or by its session timer.

Layout: the length of what follows, 4 bytes little-endian, 0 while it is being replaced; then JSON, a list of
``[host, port, datagram]``, the datagram in Base64.
"""

import base64
import contextlib
import json
import os
import socket
import time
from dataclasses import dataclass, field
from typing import Any, Final

TIMES: Final = 3
PAUSE_S: Final = 0.5
"""T1 (RFC 3261 section 17.1.2.2): a datagram may be lost."""
MAX_BYTES: Final = 256 * 1024
"""Four dialogs with the largest datagrams."""
_LENGTH_BYTES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Bequest:
    """One datagram that ends a dialog."""

    datagram: bytes = field(repr=False)
    destination: tuple[str, int]


def create() -> int:
    """Make an empty will; the caller closes the descriptor."""
    fd = os.memfd_create("will", os.MFD_CLOEXEC)
    write(fd, [])
    return fd


def write(fd: int, bequests: list[Bequest]) -> None:
    """Replace what stands in a will; what would be too much is left out."""
    while True:
        entries = [
            [*bequest.destination, base64.b64encode(bequest.datagram).decode()] for bequest in bequests
        ]
        data = json.dumps(entries).encode()
        if len(data) <= MAX_BYTES:
            break
        bequests = bequests[:-1]
    os.pwrite(fd, bytes(_LENGTH_BYTES), 0)
    os.pwrite(fd, data, _LENGTH_BYTES)
    os.pwrite(fd, len(data).to_bytes(_LENGTH_BYTES, "little"), 0)


def read(fd: int) -> list[Bequest]:
    """Read a will; one that was being written when its writer died has nothing."""
    length = int.from_bytes(os.pread(fd, _LENGTH_BYTES, 0), "little")
    if not 0 < length <= MAX_BYTES:
        return []
    try:
        entries: Any = json.loads(os.pread(fd, length, _LENGTH_BYTES))
        return [
            Bequest(datagram=base64.b64decode(text), destination=(str(host), int(port)))
            for host, port, text in entries
        ]
    except (ValueError, TypeError):
        return []


def execute(fd: int) -> int:
    """Send what stands in a will, several times over; gives how many datagrams there were. Takes a second."""
    bequests = read(fd)
    if not bequests:
        return 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for attempt in range(TIMES):
            if attempt:
                time.sleep(PAUSE_S)
            for bequest in bequests:
                with contextlib.suppress(OSError):  # no way to one party keeps nothing from the other
                    sender.sendto(bequest.datagram, bequest.destination)
    return len(bequests)
