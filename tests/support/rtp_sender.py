"""A gateway's sound: RTP packets of streams, sent to the recorder's ports when a test says so."""

import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PACKET_S = 0.02
PACKET_SAMPLES = 160


def codes(seed: int, samples: int) -> NDArray[np.uint8]:
    """Codes of which none is a silence that stands for what is missing."""
    random = np.random.default_rng(seed)
    return random.integers(1, 0x55, samples).astype(np.uint8)


def packet(
    payload: bytes,
    *,
    sequence: int,
    ts: int,
    ssrc: int = 1,
    payload_type: int = 0,
    flags: int = 0x80,
    extra: bytes = b"",
) -> bytes:
    """One packet; `extra` stands between the header and the payload."""
    header = struct.pack("!BBHII", flags, payload_type, sequence & 0xFFFF, ts & 0xFFFFFFFF, ssrc)
    return header + extra + payload


@dataclass
class Stream:
    """One leg: payload bytes packet by packet, each with the moment at which it is sent."""

    port: int
    sound: bytes
    ssrc: int = 1
    payload_type: int = 0
    begins_s: float = 0.0
    packet_bytes: int = PACKET_SAMPLES
    packet_ts: int = PACKET_SAMPLES
    sequence: int = 65500
    ts: int = 2**32 - 4000
    lost: frozenset[int] = frozenset()
    """Packets that are never sent, by number."""
    source: socket.socket | None = None
    packet_s: float = PACKET_S
    protect: Callable[[bytes], bytes] | None = None
    """Encrypts a packet."""

    def packets(self) -> Iterator[tuple[float, bytes]]:
        """Give each packet with the second in which it is sent."""
        for number in range(len(self.sound) // self.packet_bytes):
            if number not in self.lost:
                payload = self.sound[number * self.packet_bytes : (number + 1) * self.packet_bytes]
                data = packet(
                    payload,
                    sequence=self.sequence + number,
                    ts=self.ts + number * self.packet_ts,
                    ssrc=self.ssrc,
                    payload_type=self.payload_type,
                )
                sent = data if self.protect is None else self.protect(data)
                yield self.begins_s + (number + 1) * self.packet_s, sent


@dataclass
class Gateway:
    """Sends datagrams from sockets of its own."""

    address: str = "127.0.0.1"
    sockets: list[socket.socket] = field(default_factory=list)

    def source(self, address: str = "") -> socket.socket:
        """Make another source of packets."""
        here = address or self.address
        made = socket.socket(socket.AF_INET6 if ":" in here else socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((here, 0))
        self.sockets.append(made)
        return made

    def send(self, data: bytes, port: int, source: socket.socket | None = None) -> None:
        """Send a datagram to one of the recorder's ports."""
        if source is None:
            source = self.sockets[0] if self.sockets else self.source()
        source.sendto(data, (self.address, port))

    def close(self) -> None:
        """Give all sockets back."""
        for made in self.sockets:
            made.close()
