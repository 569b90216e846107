"""Places in a bank: streams that come and go while others run, other forms of sound, ends of calls."""

import numpy as np
import pytest

from callseal.codecs.arrays import Samples
from callseal.codecs.errors import BankFullError
from callseal.codecs.rtp import Packet
from callseal.codecs.timeline import Bank, Form, Stream
from support.streamed import PCMU, RATE_HZ, SILENCE, TICK_S, Line, put, read, speech

SAID = speech(12)
ANSWERED = speech(12, seed=2)
PCMA = Stream(sound=(8,), clock_hz=RATE_HZ, silence=0xD5)
G711 = Form(rate_hz=RATE_HZ, sample_bytes=1)


def _bank(rows: int = 4) -> Bank:
    return Bank(rows=rows, form=G711, started_s=0.0)


def _run(bank: Bank, line: Line, *, begin_s: float = 0.0, end_s: float) -> list[Samples]:
    """Read a line, whose legs are rows, until a time; give the seconds that were closed."""
    left = [sorted(data for data in line.sent if data[1] == row) for row in range(bank.rows)]
    closed = []
    now_s = begin_s
    while now_s < end_s:
        now_s = min(now_s + TICK_S, end_s)
        read(bank, left, now_s)
        while bank.is_due:
            closed.append(bank.close().payload.copy())
    return closed


def test_a_pair_stands_together_from_an_even_place_on() -> None:
    bank = _bank(6)

    places = [bank.take([PCMU]), bank.take([PCMU, PCMU]), bank.take([PCMU])]

    assert places == [(0,), (2, 3), (1,)]


def test_a_bank_says_when_it_is_full_and_takes_again_what_was_freed() -> None:
    bank = _bank(4)
    first = bank.take([PCMU, PCMU])
    bank.take([PCMU])

    with pytest.raises(BankFullError):
        bank.take([PCMU, PCMU])
    bank.free(first)

    assert bank.free_rows == 3
    assert bank.take([PCMU, PCMU]) == first


def test_a_place_that_was_freed_holds_nothing_of_who_was_there() -> None:
    bank = _bank(2)
    rows = bank.take([PCMU, PCMU])
    line = Line()
    line.talk(SAID)
    _run(bank, line, end_s=5.5)

    bank.free(rows)
    rows = bank.take([PCMU, PCMA])
    rest = bank.finish(rows, 7.0)

    assert (rest.payload[0] == SILENCE).all()
    assert (rest.payload[1] == 0xD5).all()
    assert not rest.present.any()
    assert bank.counts(rows[0]).packets == 0
    assert bank.counts(rows[0]).first_sample is None


def test_a_place_that_was_freed_stays_clean_for_all_seconds_to_come() -> None:
    bank = _bank(2)
    rows = bank.take([PCMU, PCMU])
    line = Line()
    line.talk(SAID)
    _run(bank, line, end_s=5.5)
    bank.free(rows)
    bank.take([PCMU, PCMU])

    closed = _run(bank, Line(), begin_s=5.5, end_s=12.0)

    assert len(closed) >= 5
    assert all((second == SILENCE).all() for second in closed)


def test_who_comes_while_the_bank_runs_is_recorded_from_the_first_open_second_on() -> None:
    bank = _bank(4)
    bank.take([PCMU, PCMU])
    _run(bank, Line(), end_s=3.2)
    began = bank.open_sample
    bank.take([PCMU, PCMU])
    line = Line()
    line.talk(SAID, leg=2, at_s=3.3)

    closed = _run(bank, line, begin_s=3.2, end_s=18.0)

    sound = np.concatenate(closed, axis=1)[2].tobytes()
    assert began == 2 * RATE_HZ
    assert began + sound.index(SAID.tobytes()) == pytest.approx(3.3 * RATE_HZ, abs=0.02 * RATE_HZ)


def test_sound_that_waited_in_the_socket_for_its_place_is_recorded() -> None:
    bank = _bank(2)
    _run(bank, Line(), end_s=5.0)
    line = Line()
    line.talk(SAID, at_s=4.3)
    bank.take([PCMU, PCMU])

    closed = _run(bank, line, begin_s=5.0, end_s=19.0)

    assert SAID.tobytes() in np.concatenate(closed, axis=1)[0].tobytes()


def test_who_ends_gets_all_that_was_received_and_the_others_notice_nothing() -> None:
    bank = _bank(4)
    ending, staying = bank.take([PCMU, PCMU]), bank.take([PCMU, PCMU])
    line = Line()
    line.talk(SAID[:40000], leg=ending[0])
    line.talk(ANSWERED, leg=staying[0])
    left = [sorted(data for data in line.sent if data[1] == row) for row in range(bank.rows)]
    ended: list[Samples] = []
    stayed: list[Samples] = []
    now_s = 0.0

    while now_s < 16.0:
        now_s += TICK_S
        read(bank, left, now_s)
        while bank.is_due:
            payload = bank.close().payload
            stayed.append(payload[staying[0]].copy())
            if now_s < 6.1:
                ended.append(payload[ending[0]].copy())
        if now_s >= 6.1 and bank.free_rows == 0:
            rest = bank.finish(ending, now_s)
            told = bank.counts(ending[0])
            bank.free(ending)

    sound = np.concatenate([*ended, rest.payload[0]])
    assert SAID[:40000].tobytes() in sound.tobytes()
    assert len(sound) == pytest.approx(6.1 * RATE_HZ, abs=TICK_S * RATE_HZ)
    assert (told.placed, told.covered_samples) == (250, 40000)
    assert rest.present.shape == (2, rest.payload.shape[1] // 80)
    assert ANSWERED.tobytes() in np.concatenate(stayed).tobytes()


def test_a_call_that_ends_at_once_is_recorded() -> None:
    """Shorter than it takes to hear a new stream well."""
    bank = _bank(2)
    rows = bank.take([PCMU, PCMU])
    line = Line()
    line.talk(SAID[:800], at_s=0.05)

    _run(bank, line, end_s=0.16)
    rest = bank.finish(rows, 0.16)

    assert SAID[:800].tobytes() in rest.payload[0].tobytes()


def test_the_end_of_a_call_is_given_in_whole_cells_in_the_order_asked_for() -> None:
    bank = _bank(2)
    first, second = bank.take([PCMU, PCMA])

    rest = bank.finish((second, first), 0.5031)

    assert rest.payload.shape == (2, 4080)
    assert rest.payload[:, 0].tolist() == [0xD5, SILENCE]
    assert rest.present.shape == (2, 51)


def test_what_is_not_closed_yet_can_be_kept_safe() -> None:
    bank = _bank(2)
    bank.take([PCMU, PCMU])
    line = Line()
    line.talk(SAID)

    closed = _run(bank, line, end_s=9.0)
    ahead = bank.ahead(9.0)

    sound = np.concatenate([*(second[0] for second in closed), ahead[0]])
    assert len(sound) == 9.0 * RATE_HZ
    assert SAID[: int(7.9 * RATE_HZ)].tobytes() in sound.tobytes()


def test_what_was_kept_safe_is_closed_as_it_was() -> None:
    bank = _bank(2)
    bank.take([PCMU, PCMU])
    line = Line()
    line.talk(SAID)
    left = [sorted(data for data in line.sent if data[1] == row) for row in range(bank.rows)]
    now_s = 0.0
    expected = b""
    same = []

    while now_s < 12.0:
        now_s += TICK_S
        read(bank, left, now_s)
        while bank.is_due:
            closed = bank.close().payload[0].tobytes()
            same.append(closed.startswith(expected[:RATE_HZ]))
            # What was said last is still on its way.
            expected = bank.ahead(now_s)[0, : -RATE_HZ // 20].tobytes()

    assert len(same) >= 10
    assert all(same)


def test_a_closed_second_may_be_looked_at_until_the_next_is_closed() -> None:
    """What is put meanwhile does not write into it."""
    bank = _bank(2)
    rows = bank.take([PCMU, PCMU])
    line = Line()
    line.talk(SAID)
    _run(bank, line, end_s=4.5)
    stretch = bank.close()
    before = stretch.payload.copy()

    for number in range(64 * 4):
        ts = 5000 + int(RATE_HZ * number / 64 * 1.5)
        packet = Packet(payload_type=0, sequence=400 + number, ts=ts, ssrc=7, payload=bytes(160))
        put(bank, [(rows[0], [bytes(packet)])], 5.0)
    bank.drained(5.0)

    assert (stretch.payload == before).all()
    with pytest.raises(ValueError, match="read-only"):
        stretch.payload[0, 0] = 1


@pytest.mark.parametrize(
    ("rate_hz", "clock_hz", "samples", "steps"),
    [(8000, 8000, 160, 160), (16000, 16000, 320, 320), (16000, 8000, 320, 160), (16000, 48000, 320, 960)],
)
def test_linear_sound_stands_where_its_clock_says(
    rate_hz: int, clock_hz: int, samples: int, steps: int
) -> None:
    """G.722 counts at half of its rate, Opus at 48 kHz whatever it is decoded to."""
    bank = Bank(rows=2, form=Form(rate_hz=rate_hz, sample_bytes=2), started_s=0.0)
    rows = bank.take([Stream(sound=(9,), clock_hz=clock_hz)] * 2)
    sound = np.random.default_rng(3).integers(1, 30000, 300 * samples).astype(np.int16)
    line = Line()
    for number in range(300):
        if number % 10 != 9:
            packet = Packet(
                payload_type=9,
                sequence=number,
                ts=((1 << 32) - 50 * steps + number * steps) % (1 << 32),
                ssrc=7,
                payload=sound[number * samples : (number + 1) * samples].tobytes(),
            )
            line.send(1.02 + number * 0.02, packet, rows[0])
    expected = sound.reshape(-1, samples).copy()
    expected[9::10] = 0

    closed = _run(bank, line, end_s=10.0)

    recorded = np.concatenate(closed, axis=1)
    assert recorded.dtype == np.int16
    assert expected.tobytes() in recorded[0].tobytes()
    assert not recorded[1].any()
    assert bank.counts(rows[0]).covered_samples == 270 * samples


def test_an_odd_byte_behind_linear_sound_is_left_out() -> None:
    bank = Bank(rows=2, form=Form(rate_hz=RATE_HZ, sample_bytes=2), started_s=0.0)
    rows = bank.take([Stream(sound=(9,), clock_hz=RATE_HZ)] * 2)
    packet = Packet(payload_type=9, sequence=1, ts=1, ssrc=7, payload=b"\x01\x02" * 160 + b"\xff")

    put(bank, [(rows[0], [bytes(packet)])], 0.5)
    bank.drained(0.5)
    rest = bank.finish(rows, 0.5)

    assert np.count_nonzero(rest.payload[0]) == 160
    assert np.count_nonzero(rest.payload[0] != 0x0201) == rest.payload.shape[1] - 160


def test_a_stream_may_change_to_another_clock() -> None:
    bank = Bank(rows=2, form=Form(rate_hz=16000, sample_bytes=2), started_s=0.0)
    rows = bank.take([Stream(sound=(9,), clock_hz=8000)] * 2)
    sound = np.random.default_rng(3).integers(1, 30000, (200, 320)).astype(np.int16)
    halves = [Line(), Line()]
    for number in range(200):
        steps, kind = (160, 9) if number < 100 else (960, 111)
        packet = Packet(
            payload_type=kind, sequence=number, ts=number * steps, ssrc=7, payload=sound[number].tobytes()
        )
        halves[number // 100].send(1.02 + number * 0.02, packet, rows[0])

    closed = _run(bank, halves[0], end_s=3.02)
    bank.change(rows[0], Stream(sound=(111,), clock_hz=48000))
    closed += _run(bank, halves[1], begin_s=3.02, end_s=8.0)

    recorded = np.concatenate(closed, axis=1)[0].tobytes()
    first, second = recorded.index(sound[:100].tobytes()), recorded.index(sound[100:].tobytes())
    assert (second - first) / 2 == pytest.approx(100 * 320, abs=0.02 * 16000)
    assert bank.counts(rows[0]).lost == 0


def test_packets_for_a_place_that_nobody_has_are_not_heard() -> None:
    bank = _bank(2)
    rows = bank.take([PCMU, PCMU])
    bank.free(rows)
    line = Line()
    line.talk(SAID)

    _run(bank, line, end_s=3.0)
    rows = bank.take([PCMU, PCMU])

    assert (bank.finish(rows, 5.0).payload == SILENCE).all()
