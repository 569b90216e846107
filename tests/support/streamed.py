"""RTP streams on a simulated clock, put into a bank as an engine would: sent, read in ticks, closed.

Conventions: times are seconds since the bank began; leg n of a run is row n. A `Line` is who sends: what
was said goes out when the last sample of its packet was said, unless a test says otherwise.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from callseal.codecs.arrays import Bytes, Flags, Samples
from callseal.codecs.rtp import Packet
from callseal.codecs.timeline import Bank, Counts, Form, Mark, Stream, Stretch

RATE_HZ = 8000
SILENCE = 0xFF
TICK_S = 0.373
"""In milliseconds without a divisor in common with packets' lengths, as the bank asks for."""
TRANSIT_S = 0.003
BATCH_PACKETS = 64
"""How many datagrams of a socket are read at once."""
LINE_BYTES = 2048
PCMU = Stream(sound=(0,), comfort_noise=(13,), events=(101,), clock_hz=RATE_HZ, silence=SILENCE)


def speech(seconds: float, seed: int = 1, rate_hz: int = RATE_HZ) -> Bytes:
    """Make codes that never repeat and are never silence, (samples,) uint8."""
    return np.random.default_rng(seed).integers(0, 127, int(seconds * rate_hz)).astype(np.uint8)


@dataclass(kw_only=True)
class Line:
    """Packets on their way: `send` puts one on it, `talk` a whole stretch."""

    sent: list[tuple[float, int, bytes]] = field(default_factory=list)

    def send(self, at_s: float, packet: Packet | bytes, leg: int = 0) -> None:
        """Send one datagram that arrives at a time."""
        self.sent.append((at_s, leg, bytes(packet)))

    def talk(
        self,
        sound: Bytes,
        *,
        leg: int = 0,
        at_s: float = 1.0,
        sequence: int = 100,
        ts: int = 5000,
        ssrc: int = 7,
        lost: Iterable[int] = (),
        delay_s: Callable[[int], float] = lambda _: 0.0,
        samples: int = 160,
        speed: float = 1.0,
        payload_type: int = 0,
    ) -> None:
        """Send sound in packets; `lost` and `delay_s` go by a packet's number."""
        gone = set(lost)
        for number in range(len(sound) // samples):
            if number not in gone:
                packet = Packet(
                    payload_type=payload_type,
                    sequence=(sequence + number) % (1 << 16),
                    ts=(ts + number * samples) % (1 << 32),
                    ssrc=ssrc,
                    payload=sound[number * samples : (number + 1) * samples].tobytes(),
                )
                spoken_s = at_s + (number + 1) * samples / RATE_HZ / speed
                self.send(spoken_s + TRANSIT_S + delay_s(number), packet, leg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What came out: (legs, samples), (legs, cells), and what was counted."""

    sound: Samples
    present: Flags
    counts: tuple[Counts, ...]
    marks: tuple[Mark, ...]

    def find(self, sound: Bytes, leg: int = 0) -> int:
        """Say where the first 40 samples of some sound stand; ValueError when nowhere."""
        whole: bytes = self.sound[leg].tobytes()
        return whole.index(sound[:40].tobytes())

    def has(self, sound: Bytes, leg: int = 0, start: int | None = None) -> bool:
        """Say whether some sound stands there in one piece, at a position or from where it begins."""
        first = self.find(sound, leg) if start is None else start
        return bool((self.sound[leg, first : first + len(sound)] == sound).all())


def record(
    line: Line,
    *,
    seconds: float,
    streams: Sequence[Stream] = (PCMU, PCMU),
    stall: tuple[float, float] | None = None,
    tick_s: float = TICK_S,
    close_between: bool = True,
) -> Recorded:
    """Read a line in ticks into a bank, close what is due, and end both legs when the time is over.

    With `stall` (at, for) nothing is read for a while, as when the process was frozen. With `close_between`
    due seconds are closed between the readings of one tick, too.
    """
    bank = Bank(rows=4, form=Form(rate_hz=RATE_HZ, sample_bytes=1), started_s=0.0)
    rows = bank.take(streams)
    left = [[data for data in sorted(line.sent, key=lambda item: item[0]) if data[1] == leg] for leg in rows]
    marks: list[Mark] = []
    pieces: list[tuple[Samples, Flags]] = []
    now_s = 0.0
    while now_s < seconds:
        now_s += stall[1] if stall and stall[0] <= now_s < stall[0] + tick_s else tick_s
        now_s = min(now_s, seconds)
        while read(bank, left, now_s):
            while bank.is_due and close_between:
                pieces.append(_copied(bank.close(), rows))
        while bank.is_due:
            pieces.append(_copied(bank.close(), rows))
        marks += bank.take_marks()
    rest = bank.finish(rows, now_s)
    pieces.append((rest.payload, rest.present))
    return Recorded(
        sound=np.concatenate([piece[0] for piece in pieces], axis=1),
        present=np.concatenate([piece[1] for piece in pieces], axis=1),
        counts=tuple(bank.counts(row) for row in rows),
        marks=(*marks, *bank.take_marks()),
    )


def read(bank: Bank, left: Sequence[list[tuple[float, int, bytes]]], now_s: float) -> bool:
    """Put one batch of what has arrived for each leg, and say whether more is queued."""
    batches = []
    for leg, queue in enumerate(left):
        arrived = next((index for index, item in enumerate(queue) if item[0] > now_s), len(queue))
        batch = [data for _, _, data in queue[: min(arrived, BATCH_PACKETS)]]
        del queue[: len(batch)]
        if batch:
            batches.append((leg, batch))
    queued = [len(batch) == BATCH_PACKETS for _, batch in batches]
    if batches:
        put(bank, batches, now_s, np.array(queued))
    bank.drained(now_s)
    return any(queued)


def put(
    bank: Bank,
    batches: Sequence[tuple[int, Sequence[bytes]]],
    now_s: float,
    queued: Flags | None = None,
) -> None:
    """Put datagrams into rows of a bank."""
    datagrams = [data for _, batch in batches for data in batch]
    raw = np.zeros((len(datagrams), LINE_BYTES), np.uint8)
    for line, data in zip(raw, datagrams, strict=True):
        line[: len(data)] = np.frombuffer(data[:LINE_BYTES], np.uint8)
    bank.put(
        raw,
        np.array([len(data) for data in datagrams], np.int64),
        np.array([row for row, _ in batches], np.int64),
        np.array([len(batch) for _, batch in batches], np.int64),
        now_s=now_s,
        queued=queued,
    )


def _copied(stretch: Stretch, rows: Sequence[int]) -> tuple[Samples, Flags]:
    return stretch.payload[list(rows)], stretch.present[list(rows)]
