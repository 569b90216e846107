"""rtpengine as a peer: relays calls, and writes each into a pcap file.

Driven by its ng protocol: a datagram of a cookie, a space and a bencoded dictionary. The relayed packets go
to one socket that nobody reads, which costs rtpengine as little as a receiver can cost it.

Source: rtpengine's documentation of the ng protocol.
"""

import contextlib
import itertools
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from rtp_programs import RECEIVING, Address, free_port, pinned, stopped_at_last

FIRST_PORT: Final = 10_000
LAST_PORT: Final = 32_766
START_S: Final = 10.0
ANSWER_S: Final = 5.0
MAX_ANSWER_BYTES: Final = 65_535
PCAP_HEAD_BYTES: Final = 24
PCAP_PACKET_BYTES: Final = 16 + 20 + 8 + 12 + 160
"""The record's head, IPv4, UDP, RTP and the sound."""

Value = str | int | list[str]
_PORT: Final = re.compile(rb"m=audio (\d+) ")
_SDP: Final = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)


def is_installed() -> bool:
    """Tell whether there is an rtpengine on this machine."""
    return shutil.which("rtpengine") is not None


class RtpEngine:
    """An rtpengine that runs, and its calls."""

    def __init__(self, pid: int, control: int, folder: Path) -> None:
        self.pid = pid
        self._folder = folder
        self._cookies = itertools.count()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(ANSWER_S)
        self._socket.connect(("127.0.0.1", control))
        self._sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._sink.bind(("127.0.0.1", 0))

    def close(self) -> None:
        self._socket.close()
        self._sink.close()

    def wait_ready(self) -> None:
        """Wait until it answers."""
        self._socket.settimeout(0.2)
        until_s = time.monotonic() + START_S
        while True:
            try:
                if b"4:pong" in self._ask({"command": "ping"}):
                    break
            except OSError:
                if time.monotonic() > until_s:
                    raise SystemExit("rtpengine does not answer") from None
                time.sleep(0.05)
        self._socket.settimeout(ANSWER_S)

    def take_call(self, number: int) -> tuple[Address, Address]:
        """Set up a call that is recorded; give where its two sides send to."""
        sdp = _SDP.format(port=self._sink.getsockname()[1])
        # Both send from one socket of the generator: what is learned from that must not turn the relay round.
        common: dict[str, Value] = {
            "ICE": "remove", "call-id": f"bench-{number}", "flags": ["asymmetric"], "from-tag": "a",
            "record call": "on", "sdp": sdp,
        }  # fmt: skip
        to_callee = self._port(self._ask({"command": "offer", **common}))
        to_caller = self._port(self._ask({"command": "answer", "to-tag": "b", **common}))
        return ("127.0.0.1", to_caller), ("127.0.0.1", to_callee)

    def end_call(self, number: int) -> None:
        """End a call, which closes its file."""
        self._ask({"command": "delete", "call-id": f"bench-{number}", "delete delay": 0})

    def recorded_packets(self) -> int:
        """Count the packets in the files of calls that have ended."""
        sizes = [path.stat().st_size for path in self._folder.rglob("*.pcap")]
        return sum(size - PCAP_HEAD_BYTES for size in sizes) // PCAP_PACKET_BYTES

    def _ask(self, command: Mapping[str, Value]) -> bytes:
        cookie = f"b{next(self._cookies)}".encode()
        self._socket.send(cookie + b" " + _bencoded(command))
        while True:
            got, _, answer = self._socket.recv(MAX_ANSWER_BYTES).partition(b" ")
            if got == cookie:
                return answer

    @staticmethod
    def _port(answer: bytes) -> int:
        found = _PORT.search(answer)
        if found is None:
            raise SystemExit(f"rtpengine refuses a call: {answer.decode(errors='replace')}")
        return int(found[1])


@contextlib.contextmanager
def rtpengine(folder: Path) -> Iterator[RtpEngine]:
    """Run an rtpengine that records into a folder."""
    control = free_port()
    recordings = folder / "pcaps"
    recordings.mkdir()
    command = pinned(
        RECEIVING, "rtpengine", "--config-file=none", "--foreground", "--log-stderr", "--log-level=2",
        "--table=-1", "--interface=127.0.0.1", f"--listen-ng=127.0.0.1:{control}",
        f"--port-min={FIRST_PORT}", f"--port-max={LAST_PORT}", "--recording-method=pcap",
        "--recording-format=raw", f"--recording-dir={recordings}",
    )  # fmt: skip
    with (folder / "rtpengine.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, text=True)
    with stopped_at_last(process):
        running = RtpEngine(process.pid, control, recordings)
        try:
            running.wait_ready()
            yield running
        finally:
            running.close()


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
