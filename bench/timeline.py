"""What it costs to put RTP packets on the timeline and to close its seconds.

    taskset -c 0 python bench/timeline.py

Banks of 256 streams, G.711 in packets of 20 ms, some hundred calls at once, so that their memory is no guest
of the caches; lines of 2 KB as they are read from sockets. A call-second is two streams of 50 packets. Each
case runs the same packets but for what its name says; processor time, the best of several rounds.

    place     put and drained
    close     closing a second, with what it empties for the seconds to come
    ahead     copying what is placed but not closed
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from callseal.codecs.streams import Form, Stream
from callseal.codecs.timeline import Bank

ROWS = 256
BANKS = 4
LINE_BYTES = 2048
TICK_PACKETS = 20
SECONDS = 12
ROUNDS = 3
STREAM = Stream(sound=(0,), clock_hz=8000, silence=0xFF)
Change = Callable[["Load", int], None]


@dataclass(slots=True, kw_only=True)
class Cost:
    """Processor seconds by stage."""

    place: float = 0.0
    close: float = 0.0
    ahead: float = 0.0

    def line(self, call_seconds: float) -> str:
        stages = (self.place, self.close, self.ahead)
        return " ".join(f"{stage / call_seconds * 1e6:9.1f}" for stage in stages)


class Load:
    """The packets of a tick for all banks, made anew from the last ones: numbers and timestamps go on."""

    def __init__(self) -> None:
        each = np.arange(ROWS * TICK_PACKETS) % TICK_PACKETS
        row = np.arange(ROWS * TICK_PACKETS) // TICK_PACKETS
        self.raw = np.random.default_rng(1).integers(0, 127, (len(each), LINE_BYTES)).astype(np.uint8)
        self.lengths = np.full(len(each), 172)
        self.sequence = each.astype(np.uint16)
        # Streams begin at any sample, as they do in life.
        self.ts = (each * 160 + row * 1237).astype(np.uint32)
        self.row = row

    def write(self) -> None:
        self.raw[:, :2] = (0x80, 0)
        self.raw[:, 8:12] = self.row.astype(">u4").view(np.uint8).reshape(-1, 4)
        self.raw[:, 2:4] = self.sequence.astype(">u2").view(np.uint8).reshape(-1, 2)
        self.raw[:, 4:8] = self.ts.astype(">u4").view(np.uint8).reshape(-1, 4)

    def next(self) -> None:
        self.sequence += np.uint16(TICK_PACKETS)
        self.ts += np.uint32(TICK_PACKETS * 160)


def clean(load: Load, tick: int) -> None:
    """Change nothing."""


def lossy(load: Load, tick: int) -> None:
    """Make one in a hundred unreadable."""
    load.raw[tick % 7 :: 100, 0] = 0


def extended(load: Load, tick: int) -> None:
    """Give every packet a header extension of one of 16 lengths, and padding."""
    words = (np.arange(len(load.raw)) + tick) % 16
    load.raw[:, 0] = 0xB0
    load.raw[:, 12:15] = 0
    load.raw[:, 15] = words
    load.lengths[:] = 180 + 4 * words
    load.raw[np.arange(len(load.raw)), load.lengths - 1] = 4


def restarted(load: Load, tick: int) -> None:
    """Give all streams another source in each tick."""
    load.raw[:, 8] = tick % 256


def shouting(load: Load, tick: int) -> None:
    """Let every packet have a timestamp of its own."""
    load.raw[:, 4:8] = np.random.default_rng(tick).integers(0, 255, (len(load.raw), 4))


def run(change: Change) -> Cost:
    banks = [Bank(rows=ROWS, form=Form(rate_hz=8000, sample_bytes=1), started_s=0.0) for _ in range(BANKS)]
    for bank in banks:
        for _ in range(ROWS // 2):
            bank.take([STREAM, STREAM])
    load, cost = Load(), Cost()
    rows, counts = np.arange(ROWS), np.full(ROWS, TICK_PACKETS)
    for tick in range(int(SECONDS * 50 / TICK_PACKETS)):
        now_s = 1.0 + (tick + 1) * TICK_PACKETS / 50 + tick % 7 * 0.001
        load.write()
        change(load, tick)
        for bank in banks:
            started = time.process_time()
            bank.put(load.raw, load.lengths, rows, counts, now_s=now_s)
            bank.drained(now_s)
            cost.place += time.process_time() - started
            if bank.is_due:
                started = time.process_time()
                bank.close()
                cost.close += time.process_time() - started
                started = time.process_time()
                bank.ahead(now_s)
                cost.ahead += time.process_time() - started
        load.next()
    return cost


def main() -> None:
    call_seconds = SECONDS * BANKS * ROWS / 2
    print(f"{BANKS * ROWS // 2} calls, {SECONDS} s; µs of processor time a call-second")
    print(f"{'':12} {'place':>9} {'close':>9} {'ahead':>9}")
    for change in (clean, lossy, extended, restarted, shouting):
        best = min((run(change) for _ in range(ROUNDS)), key=lambda cost: cost.place)
        print(f"{change.__name__:12} {best.line(call_seconds)}")


if __name__ == "__main__":
    main()
