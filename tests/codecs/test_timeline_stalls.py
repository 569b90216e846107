"""A recorder that was frozen, and sockets that are never empty."""

import numpy as np
import pytest

from callseal.codecs.rtp import Packet
from callseal.codecs.timeline import Bank, Form
from support.streamed import PCMU, RATE_HZ, TICK_S, Line, put, read, record, speech

SAID = speech(20)
ANSWERED = speech(20, seed=2)
END_S = 22.0


@pytest.mark.parametrize("stall_s", [2, 4, 6, 12])
def test_nothing_is_lost_when_the_recorder_was_frozen_and_reads_all_that_waited(stall_s: float) -> None:
    line = Line()
    line.talk(SAID)
    line.talk(ANSWERED, leg=1, ssrc=8)

    recorded = record(line, seconds=END_S, stall=(5, stall_s))

    assert recorded.has(SAID)
    assert recorded.has(ANSWERED, 1)
    for told in recorded.counts:
        assert (told.placed, told.lost, told.late, told.restarts, told.slips) == (1000, 0, 0, 0, 0)


def test_all_that_waited_may_be_put_before_anything_is_closed() -> None:
    """The bank holds what lies beyond its three seconds, and finds its place when they are closed."""
    line = Line()
    line.talk(SAID)

    recorded = record(line, seconds=END_S, stall=(5, 6), close_between=False)

    assert recorded.has(SAID)
    assert (recorded.counts[0].placed, recorded.counts[0].late) == (1000, 0)


def test_what_did_not_fit_into_the_socket_is_lost_and_the_rest_stands_in_its_place() -> None:
    line = Line()
    line.talk(SAID, lost=range(400, 500))

    recorded = record(line, seconds=END_S, stall=(5, 7))

    start = recorded.find(SAID)
    assert recorded.has(SAID[: 400 * 160])
    assert recorded.has(SAID[500 * 160 :], start=start + 500 * 160)
    assert recorded.counts[0].lost == 100


def test_a_source_that_changed_while_the_recorder_was_frozen_stands_where_it_began() -> None:
    line = Line()
    line.talk(SAID[:64000])
    line.talk(SAID[64000:], at_s=11.0, sequence=999, ts=12345678, ssrc=99)

    recorded = record(line, seconds=24.0, stall=(5, 8))

    start = recorded.find(SAID)
    assert recorded.has(SAID[:64000])
    assert recorded.has(SAID[64000:])
    assert recorded.find(SAID[64000:]) - start == pytest.approx(10.0 * RATE_HZ, abs=0.02 * RATE_HZ)


def test_who_begins_while_the_recorder_is_frozen_stands_where_it_began() -> None:
    line = Line()
    line.talk(SAID)
    line.talk(ANSWERED[:64000], leg=1, at_s=8.0, ssrc=8)

    recorded = record(line, seconds=END_S, stall=(5, 6))

    assert recorded.has(ANSWERED[:64000], 1)
    assert recorded.find(ANSWERED, 1) == pytest.approx(8.0 * RATE_HZ, abs=0.02 * RATE_HZ)


def test_after_a_stall_reading_goes_on_as_if_nothing_had_been() -> None:
    """The next packets are not taken for late ones, however long the stall was."""
    line = Line()
    line.talk(SAID)

    first, second = (record(line, seconds=END_S, stall=(at_s, 4)) for at_s in (2, 14))

    assert first.counts[0] == second.counts[0]
    assert (first.sound == second.sound).all()


def test_a_flood_on_one_stream_holds_back_the_others_only_for_a_while() -> None:
    """Its socket is never empty, so nobody knows what it still holds; the others' seconds are closed."""
    bank = Bank(rows=2, form=Form(rate_hz=RATE_HZ, sample_bytes=1), started_s=0.0)
    rows = bank.take([PCMU, PCMU])
    line = Line()
    line.talk(SAID)
    left = [sorted(line.sent, key=lambda item: item[0]), []]
    flood = [bytes(Packet(payload_type=0, sequence=9, ts=9, ssrc=9, payload=bytes(160)))] * 64
    closed = []
    now_s = 0.0

    while now_s < 20.0:
        now_s += TICK_S
        put(bank, [(rows[1], flood)], now_s, np.array([True]))
        read(bank, left, now_s)
        while bank.is_due:
            closed.append(bank.close().payload[rows[0]].copy())

    recorded = np.concatenate(closed)
    assert len(recorded) >= 17 * RATE_HZ
    start = recorded.tobytes().index(SAID[:40].tobytes())
    assert (recorded[start:] == SAID[: len(recorded) - start]).all()


def test_what_waits_is_limited_whatever_is_sent() -> None:
    """One stream is always ahead, one always changes its source: they keep no more than their share."""
    bank = Bank(rows=2, form=Form(rate_hz=RATE_HZ, sample_bytes=1), started_s=0.0)
    rows = bank.take([PCMU, PCMU])
    for number in range(400):
        ahead = [
            bytes(
                Packet(
                    payload_type=0, sequence=number * 64 + index, ts=index * 16, ssrc=7, payload=bytes(160)
                )
            )
            for index in range(64)
        ]
        strange = [
            bytes(
                Packet(payload_type=0, sequence=index, ts=index, ssrc=number * 64 + index, payload=bytes(9))
            )
            for index in range(64)
        ]
        put(bank, [(rows[0], ahead), (rows[1], strange)], 20.0, np.array([True, True]))

    told = bank.counts(rows[1])

    assert told.packets == 400 * 64
    assert told.foreign >= told.packets - 1024


@pytest.mark.parametrize(("ssrc", "sequence"), [(7, 550), (99, 999)])
def test_a_source_or_clock_that_changed_in_a_stall_loses_nothing_of_what_came_before(
    ssrc: int, sequence: int
) -> None:
    """Also when all that waited is put before anything is closed, and much of it is held."""
    line = Line()
    line.talk(SAID[:72000])
    line.talk(SAID[72000:], at_s=10.0, sequence=sequence, ts=12345678, ssrc=ssrc)

    recorded = record(line, seconds=END_S, stall=(5, 6), close_between=False)

    assert recorded.has(SAID)
    told = recorded.counts[0]
    assert (told.placed, told.lost, told.duplicates, told.late, told.restarts) == (1000, 0, 0, 0, 1)
