"""Batches of SRTP for tests: packets made, and laid out as the recorder reads them."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from callseal.codecs.srtp import SrtpBank
from callseal.codecs.srtp_protector import Protector
from callseal.codecs.srtp_suite import Suite

ROW_BYTES = 512
MASTER = bytes(range(46))


def master(suite: Suite) -> bytes:
    """Give a master key and salt for a suite, 00 01 02 and so on."""
    return MASTER[: suite.key_and_salt_bytes]


def rtp(sequence: int, payload: bytes = b"", *, ssrc: int = 0xCAFEBABE) -> bytes:
    """Give a plain packet."""
    header = struct.pack("!BBHII", 0x80, 8, sequence & 0xFFFF, sequence * 160 & 0xFFFFFFFF, ssrc)
    return header + (payload or bytes((sequence & 0xFF,)) * 160)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a bank made of a batch: each packet as it is now, None where it was refused."""

    packets: tuple[bytes | None, ...]

    @property
    def good(self) -> list[bool]:
        """Which were taken."""
        return [packet is not None for packet in self.packets]


def unprotect(bank: SrtpBank, packets: Sequence[tuple[int, bytes]]) -> Opened:
    """Give a bank packets of streams, by the streams' numbers, in one batch."""
    rows = np.full((len(packets), ROW_BYTES), 0xEE, np.uint8)
    for row, (_, packet) in zip(rows, packets, strict=True):
        row[: len(packet)] = np.frombuffer(packet, np.uint8)
    streams = np.array([stream for stream, _ in packets], np.int64)
    lengths, good = bank.unprotect(streams, rows, np.array([len(packet) for _, packet in packets], np.int64))
    return Opened(
        packets=tuple(
            row[:length].tobytes() if is_good else None
            for row, length, is_good in zip(rows, lengths, good, strict=True)
        )
    )


class SrtpLine:
    """One stream: who sends, and the bank that receives."""

    def __init__(self, suite: Suite, *, mki: bytes = b"", roll_over: int = 0) -> None:
        self.sender = Protector(suite, master(suite), mki=mki, roll_over=roll_over)
        self.bank = SrtpBank()
        self.stream = self.bank.open(suite, master(suite), mki=mki)

    def send(self, *sequences: int, ssrc: int = 1) -> list[bytes]:
        return [self.sender.protect(rtp(sequence, ssrc=ssrc)) for sequence in sequences]

    def receive(self, *packets: bytes) -> Opened:
        return unprotect(self.bank, [(self.stream, packet) for packet in packets])
