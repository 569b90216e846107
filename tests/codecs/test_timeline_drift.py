"""Senders' clocks that are wrong: each leg is held to the wall clock, so the legs stay together."""

import numpy as np
import pytest

from callseal.codecs.arrays import Bytes, Ints
from callseal.codecs.timeline import Bank, Counts, Form
from support.streamed import PCMU, RATE_HZ, TICK_S

HOUR_S = 3600
SAMPLES = 160
BEGAN_S = 0.5
WITHIN = 0.040 * RATE_HZ
"""The most that the channels may be apart."""


def _packets(row: int, first: int, count: int) -> Bytes:
    """Make packets whose payload says their number, in four bytes that are never silence."""
    number = np.arange(first, first + count)
    raw = np.zeros((count, 12 + SAMPLES), np.uint8)
    raw[:, 0] = 0x80
    raw[:, 2:4] = (number & 0xFFFF).astype(">u2").view(np.uint8).reshape(-1, 2)
    raw[:, 4:8] = ((number * SAMPLES) & 0xFFFFFFFF).astype(">u4").view(np.uint8).reshape(-1, 4)
    raw[:, 11] = row
    digits = number[:, None] >> np.array([15, 10, 5, 0]) & 31
    raw[:, 12:] = 100
    raw[:, 12:16] = digits + 1
    return raw


def _read_back(sound: Bytes) -> tuple[Ints, Ints]:
    """Give where packets begin in a row of sound, and their numbers."""
    windows = np.lib.stride_tricks.sliding_window_view(sound, 5)
    begins = np.flatnonzero((windows[:, :4] <= 32).all(1) & (windows[:, 4] == 100))
    digits = windows[begins, :4].astype(np.int64) - 1
    return begins, (digits << np.array([15, 10, 5, 0])).sum(1)


def _run(speeds: tuple[float, float], seconds: int, tick_s: float) -> tuple[list[Bytes], list[Counts]]:
    """Send both legs with clocks that are so much too fast, and give what was recorded."""
    bank = Bank(rows=2, form=Form(rate_hz=RATE_HZ, sample_bytes=1), started_s=0.0)
    rows = bank.take([PCMU, PCMU])
    sent = [0, 0]
    pieces = []
    now_s = 0.0
    while now_s < seconds:
        now_s += tick_s
        # Packet k of a leg is sent when its last sample was said, by that leg's clock.
        reach = [int(now_s * RATE_HZ * speed / SAMPLES) for speed in speeds]
        counts = np.array([end - begin for begin, end in zip(sent, reach, strict=True)])
        raw = np.concatenate([_packets(row, sent[row], int(counts[row])) for row in rows])
        bank.put(raw, np.full(len(raw), 12 + SAMPLES), np.array(rows), counts, now_s=BEGAN_S + now_s)
        bank.drained(BEGAN_S + now_s)
        sent = reach
        while bank.is_due:
            pieces.append(bank.close().payload.copy())
    return list(np.concatenate(pieces, axis=1)), [bank.counts(row) for row in rows]


def _farthest_apart(sound: list[Bytes], speeds: tuple[float, float]) -> float:
    """Measure how far two samples that were spoken together are apart, at the worst, in samples."""
    error = []
    for leg, speed in zip(sound, speeds, strict=True):
        begins, numbers = _read_back(leg)
        spoken = numbers * SAMPLES / speed
        error.append(np.interp(np.arange(0, len(leg), SAMPLES), begins, begins - spoken))
    return float(np.abs(error[0] - error[1]).max())


@pytest.mark.parametrize("ppm", [(100, 0), (-50, 50), (100, -100)])
def test_legs_whose_clocks_differ_stay_together_for_an_hour(ppm: tuple[int, int]) -> None:
    first, second = (1 + one / 1e6 for one in ppm)

    sound, counts = _run((first, second), HOUR_S, TICK_S)

    assert _farthest_apart(sound, (first, second)) <= WITHIN
    assert all(told.restarts == told.lost == told.late == told.foreign == 0 for told in counts)
    # A slip is 20 ms; so much an hour's drift needs, and one more or less by where it began.
    for told, one in zip(counts, ppm, strict=True):
        assert told.slips == pytest.approx(abs(one) * 1e-6 * HOUR_S / 0.020, abs=1)


@pytest.mark.parametrize("tick_s", [0.05, 0.31, 0.373, 0.4, 0.5, 1.0])
def test_legs_with_good_clocks_are_never_touched(tick_s: float) -> None:
    sound, counts = _run((1.0, 1.0), 300, tick_s)

    assert [told.slips for told in counts] == [0, 0]
    for leg in sound:
        begins, _ = _read_back(leg)
        assert (np.diff(begins) == SAMPLES).all()
