"""Streams that begin anew, senders that pause, and those who speak on a stream that is another's."""

import numpy as np
import pytest

from callseal.codecs.rtp import Packet
from support.streamed import RATE_HZ, SILENCE, Line, record, speech

SAID = speech(20)
OTHER = speech(20, seed=2)
END_S = 26.0
HALF = 80000


def test_another_source_goes_on_where_the_first_one_ended() -> None:
    line = Line()
    line.talk(SAID[:HALF])
    line.talk(SAID[HALF:], at_s=11.0, sequence=999, ts=12345678, ssrc=99)

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID)
    told = recorded.counts[0]
    assert (told.restarts, told.lost, told.duplicates, told.foreign, told.slips) == (1, 0, 0, 0, 0)


def test_the_last_packets_of_the_old_source_may_come_among_the_first_of_the_new_one() -> None:
    line = Line()
    line.talk(SAID[:HALF], delay_s=lambda number: 0.05 if number >= 498 else 0.0)
    line.talk(SAID[HALF:], at_s=11.0, sequence=999, ts=12345678, ssrc=99)

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID)
    assert (recorded.counts[0].restarts, recorded.counts[0].foreign) == (1, 0)


def test_a_clock_that_jumps_goes_on_where_it_was() -> None:
    line = Line()
    line.talk(SAID[:HALF])
    line.talk(SAID[HALF:], at_s=11.0, sequence=600, ts=12345678)

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID)
    told = recorded.counts[0]
    assert (told.restarts, told.lost, told.duplicates) == (1, 0, 0)


def test_a_clock_and_numbers_that_jump_together_lose_nothing() -> None:
    line = Line()
    line.talk(SAID[:HALF])
    line.talk(SAID[HALF:], at_s=11.0, sequence=40_000, ts=12345678)

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID)
    assert (recorded.counts[0].restarts, recorded.counts[0].lost) == (1, 0)


def test_a_source_that_begins_after_a_pause_stands_where_it_began() -> None:
    line = Line()
    line.talk(SAID[:HALF])
    line.talk(SAID[HALF:], at_s=14.0, sequence=999, ts=12345678, ssrc=99)

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID[:HALF])
    assert recorded.has(SAID[HALF:])
    assert recorded.find(SAID[HALF:]) == pytest.approx(14.0 * RATE_HZ, abs=0.02 * RATE_HZ)


def test_a_pause_in_which_the_senders_clock_stood_still_is_as_long_as_it_was() -> None:
    line = Line()
    line.talk(SAID[:40000])
    line.talk(SAID[40000:], at_s=9.3, sequence=350, ts=5000 + 40000)

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID[:40000])
    assert recorded.has(SAID[40000:])
    assert recorded.find(SAID[40000:]) == pytest.approx(9.3 * RATE_HZ, abs=0.02 * RATE_HZ)
    assert recorded.counts[0].lost == 0


def test_a_short_pause_of_the_senders_clock_is_made_good_within_a_while() -> None:
    """Half a second cannot be told from a network's delay at once: later it stands where it should again."""
    said = speech(60)
    line = Line()
    line.talk(said[:40000])
    line.talk(said[40000:], at_s=6.5, sequence=350, ts=5000 + 40000)

    recorded = record(line, seconds=63.0)

    end = said[-8000:]
    assert recorded.find(end) == pytest.approx((6.5 + 54.0) * RATE_HZ, abs=0.03 * RATE_HZ)
    assert (recorded.counts[0].restarts, recorded.counts[0].slips) == (0, 1)


def test_of_two_who_speak_by_turns_the_first_one_is_recorded_whole() -> None:
    line = Line()
    line.talk(SAID)
    line.talk(OTHER[:-1600], ssrc=1234, sequence=4, ts=77)

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID)
    told = recorded.counts[0]
    assert (told.placed, told.foreign, told.restarts, told.lost) == (1000, 990, 0, 0)


def test_when_the_first_of_two_ends_the_other_is_recorded() -> None:
    line = Line()
    line.talk(SAID[:HALF])
    line.talk(OTHER, ssrc=1234, sequence=4, ts=77)

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID[: HALF - 1600])
    assert recorded.has(OTHER[HALF:])
    assert recorded.find(OTHER[HALF:]) - recorded.find(SAID) - HALF == pytest.approx(0, abs=0.03 * RATE_HZ)
    assert recorded.counts[0].restarts == 1


@pytest.mark.parametrize("payload", [b"", bytes(1), bytes(160)])
def test_single_packets_of_strange_clocks_take_no_stream_over(payload: bytes) -> None:
    line = Line()
    line.talk(SAID)
    for number in range(19):
        packet = Packet(payload_type=0, sequence=5, ts=number * 99_999_999, ssrc=7, payload=payload)
        line.send(1.5 + number, packet)

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID)
    assert recorded.counts[0].restarts == 0


def test_a_stray_packet_before_the_stream_costs_nothing_of_it() -> None:
    line = Line()
    line.send(0.9, Packet(payload_type=0, sequence=5, ts=99, ssrc=1234, payload=bytes(160)))
    line.talk(SAID)

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID)
    assert recorded.find(SAID) == pytest.approx(RATE_HZ, abs=0.06 * RATE_HZ)


def test_a_stream_may_begin_anew_again_and_again() -> None:
    line = Line()
    for turn in range(20):
        line.talk(
            SAID[turn * 8000 : (turn + 1) * 8000],
            at_s=1.0 + turn,
            sequence=turn * 3000,
            ts=turn * 99_999_999,
            ssrc=turn,
        )

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID)
    assert (recorded.counts[0].restarts, recorded.counts[0].foreign) == (19, 0)


def test_a_source_that_changes_with_every_packet_harms_no_other_stream() -> None:
    line = Line()
    for number in range(1000):
        payload = OTHER[number * 160 : (number + 1) * 160].tobytes()
        packet = Packet(payload_type=0, sequence=number, ts=number * 7919, ssrc=number, payload=payload)
        line.send(1.0 + number * 0.02, packet)
    line.talk(SAID, leg=1)

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID, 1)
    told = recorded.counts[0]
    assert told.packets == 1000 == told.placed + told.foreign + told.late


def test_the_rest_of_a_source_that_took_over_at_the_end_is_not_left_out() -> None:
    line = Line()
    line.talk(SAID[:HALF])
    line.talk(SAID[HALF : HALF + 1600], at_s=11.0, sequence=999, ts=12345678, ssrc=99)

    recorded = record(line, seconds=11.23)

    assert recorded.has(SAID[: HALF + 1600])
    assert (recorded.sound[0, recorded.find(SAID) + HALF + 1600 :] == SILENCE).all()


def test_the_present_cells_are_those_that_sound_stands_in() -> None:
    line = Line()
    line.talk(SAID[:HALF], lost=range(100, 200))

    recorded = record(line, seconds=END_S)

    cells = (recorded.sound[0].reshape(-1, RATE_HZ // 100) != SILENCE).any(1)
    # A packet fills as many cells as it is long, from the one it begins in: at most one beside.
    assert np.count_nonzero(cells != recorded.present[0]) <= 2
