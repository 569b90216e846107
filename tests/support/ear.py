"""A telephone's ear and mouth: an RTP endpoint whose signalling somebody else does (sipp).

It keeps what it hears by RTP timestamp, and can speak. G.711 µ-law, 20 ms packets (RFC 3550, RFC 3551).
"""

import contextlib
import socket
import threading
import time
from typing import Self

import numpy as np

from callseal.codecs import g711
from support.sound import RATE_HZ, Samples

_FRAME = 160
_HEADER_BYTES = 12
_TURN_S = 0.05


class Ear:
    """Listens on a UDP port of loopback, and speaks to whoever it hears from."""

    def __init__(self, says: Samples | None = None) -> None:
        self._says = says
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(_TURN_S)
        self._heard: dict[int, bytes] = {}
        self._first: int | None = None
        self._stop = threading.Event()
        self._hushed = threading.Event()
        self._peer: tuple[str, int] | None = None
        self._threads = [threading.Thread(target=self._listen), threading.Thread(target=self._speak)]

    @property
    def port(self) -> int:
        """The UDP port, for the session description."""
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def heard(self) -> Samples:
        """All that was heard, silence where nothing came; position 0 is the first packet."""
        heard = self._heard.copy()  # more may come meanwhile
        length = max((at + len(data) for at, data in heard.items()), default=0)
        samples = np.zeros(length, np.int16)
        for at, data in heard.items():
            samples[at : at + len(data)] = g711.decode(np.frombuffer(data, np.uint8), g711.Law.MU)
        return samples

    def speak_to(self, port: int) -> None:
        """Begin to speak to a port of this machine, without having heard anybody."""
        self._peer = ("127.0.0.1", port)

    def hush(self) -> None:
        """Speak no more, and send nothing; go on listening."""
        self._hushed.set()

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                packet, self._peer = self._socket.recvfrom(2048)
            except TimeoutError:
                continue
            if len(packet) <= _HEADER_BYTES or packet[1] & 0x7F != 0:
                continue
            ts = int.from_bytes(packet[4:8], "big")
            self._first = ts if self._first is None else self._first
            at = (ts - self._first) & 0xFFFFFFFF
            if at < 3600 * RATE_HZ:
                self._heard[at] = packet[_HEADER_BYTES:]

    def _speak(self) -> None:
        while self._peer is None:
            if self._stop.wait(0.005):
                return
        said = self._says if self._says is not None else np.zeros(0, np.int16)
        payload = g711.encode(said, g711.Law.MU).tobytes()
        began_s = time.monotonic()
        number = 0
        while not self._stop.is_set() and not self._hushed.is_set():
            part = payload[number * _FRAME : (number + 1) * _FRAME].ljust(_FRAME, b"\xff")
            stamp = (number * _FRAME) & 0xFFFFFFFF
            header = b"\x80\x00" + (number & 0xFFFF).to_bytes(2, "big") + stamp.to_bytes(4, "big") + b"ear!"
            with contextlib.suppress(ConnectionRefusedError):
                self._socket.sendto(header + part, self._peer)
            number += 1
            self._stop.wait(max(0.0, began_s + number * 0.02 - time.monotonic()))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._socket.close()
