"""The sound of many calls, and the C programs that send it and that do no more than receive it.

Conventions: stream 2c is the agent's of call c, 2c + 1 the customer's; a frame is 20 ms of µ-law, 160
bytes, of which each is a function of stream, number and place, as `rtp_load.c` says.
"""

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from callseal.codecs.srtp_protector import Protector
from callseal.codecs.srtp_suite import Suite

FRAME_BYTES: Final = 160
FRAMES_PER_S: Final = 50
SILENCE: Final = 0xFF
STOP_S: Final = 10.0
SUITE: Final = Suite.AES_128_CM_80
LATE_MS: Final = 200.0
"""A generator that is later says more about itself than about the receiver."""

_HERE: Final = Path(__file__).resolve().parent
_VALUES: Final = 127
_CORES: Final = sorted(os.sched_getaffinity(0))
SENDING: Final = _CORES[0]
RECEIVING: Final = _CORES[-1]
"""The cores that senders and receivers are kept to."""

Address = tuple[str, int]


def pinned(core: int, *command: str) -> list[str]:
    """Give a command that stays on one core."""
    return ["taskset", "-c", str(core), *command]


def free_port() -> int:
    """Find a port of 127.0.0.1 that nobody listens at, by TCP or UDP."""
    while True:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            stream.bind(("127.0.0.1", 0))
            port: int = stream.getsockname()[1]
            with contextlib.suppress(OSError):
                datagrams.bind(("127.0.0.1", port))
                return port


def build(folder: Path) -> None:
    """Compile both programs into a folder."""
    for name in ("rtp_load", "rtp_floor"):
        source, program = _HERE / f"{name}.c", folder / name
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-o", program, source], check=True)


def sound(stream: int, frames: int) -> NDArray[np.uint8]:
    """Return what a stream says, shape (frames, FRAME_BYTES)."""
    number = np.arange(frames)
    first = (37 * stream + 11 * number + (number >> 5)) % _VALUES
    return ((first[:, None] + 3 * np.arange(FRAME_BYTES)) % _VALUES).astype(np.uint8)


def key_of(stream: int) -> bytes:
    """Give the SRTP key and salt of a stream."""
    return (stream + 1).to_bytes(SUITE.key_and_salt_bytes, "big")


def write_srtp(path: Path, streams: int, seconds: int) -> int:
    """Write the packets of all streams encrypted, as `rtp_load` takes them; give the size of one."""
    frames = seconds * FRAMES_PER_S
    protectors = [Protector(SUITE, key_of(stream)) for stream in range(streams)]
    size_bytes = 0
    with path.open("wb") as file:
        for number in range(frames):
            head = (
                b"\x80\x00" + (number % 65536).to_bytes(2, "big") + (number * FRAME_BYTES).to_bytes(4, "big")
            )
            for stream, protector in enumerate(protectors):
                first = (37 * stream + 11 * number + (number >> 5)) % _VALUES
                packet = head + (stream + 1).to_bytes(4, "big") + _FRAMES[first]
                sealed = protector.protect(packet)
                size_bytes = len(sealed)
                file.write(sealed)
    return size_bytes


_FRAMES: Final = [bytes((first + 3 * i) % _VALUES for i in range(FRAME_BYTES)) for first in range(_VALUES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a generator says of its run."""

    packets: int
    late_ms: float


@dataclass(slots=True)
class Load:
    """A generator that runs."""

    process: "subprocess.Popen[str]"

    def wait(self, limit_s: float) -> Sent:
        """Wait until all is sent."""
        text, _ = self.process.communicate(timeout=limit_s)
        if self.process.returncode:
            raise SystemExit(f"rtp_load ended with {self.process.returncode}")
        packets, late_ms = text.split()
        return Sent(packets=int(packets), late_ms=float(late_ms))


@contextmanager
def load(
    folder: Path, addresses: Sequence[Address], seconds: int, encrypted: tuple[Path, int] | None = None
) -> Iterator[Load]:
    """Send to these addresses; `encrypted` is a file of packets and the size of one."""
    listed = folder / "addresses"
    listed.write_text("".join(f"{host} {port}\n" for host, port in addresses))
    more = [] if encrypted is None else [str(encrypted[0]), str(encrypted[1])]
    command = pinned(SENDING, str(folder / "rtp_load"), str(listed), str(seconds), *more)
    with stopped_at_last(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) as process:
        yield Load(process)


@contextmanager
def stopped_at_last(process: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    """See that a process is gone afterwards, whatever happens."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
