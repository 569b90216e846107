"""What opening SRTP costs a packet: our bank of streams, beside libsrtp through pylibsrtp, in the same run.

    pip install pylibsrtp
    taskset -c 1 python bench/srtp.py

Both get rows as they are read from sockets, and leave sound in them: 256 streams, 20 packets of 20 ms a
stream and batch. Without pylibsrtp only ours is measured. The best of several batches counts; a call has two
streams, so one microsecond a packet is 100 a call and second.
"""

import importlib
import struct
import sys
import time
from collections.abc import Callable
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from callseal.codecs.srtp import SrtpBank
from callseal.codecs.srtp_protector import Protector
from callseal.codecs.srtp_suite import Suite

STREAMS = 256
PACKETS = 20
ROW_BYTES = 512
ROUNDS = 8
PAYLOAD = bytes(range(160))
PACKETS_A_CALL_S = 100
PROFILES = {
    Suite.AES_128_CM_80: "SRTP_PROFILE_AES128_CM_SHA1_80",
    Suite.AES_128_CM_32: "SRTP_PROFILE_AES128_CM_SHA1_32",
    Suite.AES_128_GCM: "SRTP_PROFILE_AEAD_AES_128_GCM",
    Suite.AES_256_GCM: "SRTP_PROFILE_AEAD_AES_256_GCM",
}

Rows = NDArray[np.uint8]
Lengths = NDArray[np.int64]


def key(suite: Suite, stream: int) -> bytes:
    return (stream.to_bytes(2, "big") * 23)[: suite.key_and_salt_bytes]


def batches(suite: Suite) -> list[tuple[Rows, Lengths]]:
    senders = [Protector(suite, key(suite, stream)) for stream in range(STREAMS)]
    made = []
    for batch in range(ROUNDS):
        rows = np.zeros((STREAMS * PACKETS, ROW_BYTES), np.uint8)
        lengths = np.zeros(STREAMS * PACKETS, np.int64)
        for at in range(STREAMS * PACKETS):
            stream, number = divmod(at, PACKETS)
            sequence = batch * PACKETS + number
            header = struct.pack("!BBHII", 0x80, 8, sequence, sequence * 160, stream)
            packet = senders[stream].protect(header + PAYLOAD)
            rows[at, : len(packet)] = np.frombuffer(packet, np.uint8)
            lengths[at] = len(packet)
        made.append((rows, lengths))
    return made


def ours(suite: Suite) -> Callable[[Rows, Lengths], int]:
    bank = SrtpBank()
    numbers = np.array([bank.open(suite, key(suite, stream)) for stream in range(STREAMS)], np.int64)
    streams = np.repeat(numbers, PACKETS)

    def run(rows: Rows, lengths: Lengths) -> int:
        _, good = bank.unprotect(streams, rows, lengths)
        return int(good.sum())

    return run


def theirs(library: ModuleType, suite: Suite) -> Callable[[Rows, Lengths], int]:
    policy = library.Policy
    sessions = [
        library.Session(
            policy(
                key=key(suite, stream),
                ssrc_type=policy.SSRC_ANY_INBOUND,
                srtp_profile=getattr(policy, PROFILES[suite]),
            )
        )
        for stream in range(STREAMS)
    ]

    def run(rows: Rows, lengths: Lengths) -> int:
        view = rows.reshape(-1).data
        for at, length in enumerate(lengths.tolist()):
            start = at * ROW_BYTES
            plain = sessions[at // PACKETS].unprotect(bytes(view[start : start + length]))
            view[start : start + len(plain)] = plain
        return len(lengths)

    return run


def cost_us(run: Callable[[Rows, Lengths], int], made: list[tuple[Rows, Lengths]]) -> float:
    best_s = float("inf")
    for rows, lengths in made:
        mine = rows.copy()
        start = time.process_time()
        taken = run(mine, lengths)
        best_s = min(best_s, time.process_time() - start)
        sound = mine[:, 12 : 12 + len(PAYLOAD)]
        if taken != len(lengths) or not (sound == np.frombuffer(PAYLOAD, np.uint8)).all():
            sys.exit("a packet did not come out as it went in")
    return best_s * 1e6 / (STREAMS * PACKETS)


def main() -> int:
    try:
        library = importlib.import_module("pylibsrtp")
    except ImportError:
        library = None
        print("pylibsrtp is not installed: only ours is measured\n")
    print(f"{'suite':26} {'ours':>14} {'pylibsrtp':>14} {'ratio':>6} {'ours, a call and second':>24}")
    for suite in Suite:
        made = batches(suite)
        own = cost_us(ours(suite), made)
        peer = cost_us(theirs(library, suite), made) if library and suite in PROFILES else None
        other = f"{peer:5.2f} µs/packet" if peer else "–"
        ratio = f"{own / peer:.2f}" if peer else "–"
        print(
            f"{suite.value:26} {own:5.2f} µs/packet {other:>14} {ratio:>6} {own * PACKETS_A_CALL_S:21.0f} µs"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
