"""An rtpengine for tests: a media proxy that relays calls, and gives copies to whoever subscribes.

Driven by its ng protocol: a datagram of a cookie, a space and a bencoded dictionary.
"""

import itertools
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support.programs import free_udp_port, needed

Value = str | int | list[str]
_TEXT = re.compile(rb"3:sdp(\d+):")
_TAG = re.compile(rb"6:to-tag(\d+):")


class RtpEngine:
    """One that runs."""

    def __init__(self, control: int) -> None:
        self._cookies = itertools.count()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(2)
        self._socket.connect(("127.0.0.1", control))

    def ask(self, command: str, **values: Value) -> bytes:
        """Send a command, and give the answer; a name's underscore stands for the protocol's hyphen."""
        named = {name.replace("_", "-"): value for name, value in values.items()}
        cookie = f"t{next(self._cookies)}".encode()
        self._socket.send(cookie + b" " + _bencoded({"command": command, **named}))
        while True:
            got, _, answer = self._socket.recv(65_535).partition(b" ")
            if got == cookie:
                return answer

    def wait_ready(self) -> None:
        """Wait until it answers."""
        until_s = time.monotonic() + 10
        while True:
            try:
                if b"pong" in self.ask("ping"):
                    return
            except OSError:
                if time.monotonic() > until_s:
                    raise
                time.sleep(0.05)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def description(answer: bytes) -> str:
    """Give the session description in an answer."""
    return _text(_TEXT, answer)


def tag(answer: bytes) -> str:
    """Give the tag of a new subscription."""
    return _text(_TAG, answer)


@contextmanager
def rtpengine(folder: Path) -> Iterator[RtpEngine]:
    """Run one on loopback, with its log in `folder`."""
    program = needed("rtpengine", "rtpengine-daemon")
    control, media = free_udp_port(), free_udp_port(100)
    with (folder / "rtpengine.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program, "--config-file=none", "--foreground", "--log-stderr", "--log-level=5", "--table=-1",
                "--interface=127.0.0.1", f"--listen-ng=127.0.0.1:{control}",
                f"--port-min={media}", f"--port-max={media + 99}",
            ],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    running = RtpEngine(control)
    try:
        running.wait_ready()
        yield running
    finally:
        running.close()
        process.kill()
        process.wait()


def _text(pattern: re.Pattern[bytes], answer: bytes) -> str:
    found = pattern.search(answer)
    if found is None:
        raise AssertionError(f"rtpengine answers {answer!r}")
    return answer[found.end() : found.end() + int(found[1])].decode()


def _bencoded(value: Value | Mapping[str, Value]) -> bytes:
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        data = value.encode()
        return b"%d:%b" % (len(data), data)
    if isinstance(value, list):
        return b"l" + b"".join(_bencoded(one) for one in value) + b"e"
    # The keys have to stand in order.
    return b"d" + b"".join(_bencoded(key) + _bencoded(value[key]) for key in sorted(value)) + b"e"
