"""What an ordinary stream, on an ordinary network, becomes on the timeline."""

import numpy as np
import pytest

from callseal.codecs.rtp import Extension, Packet
from callseal.codecs.timeline import Kind
from support.streamed import PCMU, RATE_HZ, SILENCE, Line, record, speech

SAID = speech(20)
ANSWERED = speech(20, seed=2)
END_S = 22.0


def test_both_legs_are_recorded_byte_by_byte_where_they_were_spoken() -> None:
    line = Line()
    line.talk(SAID)
    line.talk(ANSWERED, leg=1, at_s=1.5, ssrc=8)

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID)
    assert recorded.has(ANSWERED, 1)
    assert recorded.find(SAID) == pytest.approx(1.0 * RATE_HZ, abs=0.02 * RATE_HZ)
    assert recorded.find(ANSWERED, 1) == pytest.approx(1.5 * RATE_HZ, abs=0.02 * RATE_HZ)


def test_what_is_counted_of_a_clean_stream_is_nothing_but_its_packets() -> None:
    line = Line()
    line.talk(SAID)

    told, _ = record(line, seconds=END_S).counts

    assert (told.packets, told.placed, told.covered_samples) == (1000, 1000, len(SAID))
    assert (told.lost, told.duplicates, told.reordered, told.late) == (0, 0, 0, 0)
    assert (told.foreign, told.unknown, told.restarts, told.slips, told.malformed) == (0, 0, 0, 0, 0)


def test_a_leg_that_never_sends_is_silent_and_harms_no_other() -> None:
    line = Line()
    line.talk(SAID)

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID)
    assert (recorded.sound[1] == SILENCE).all()
    assert not recorded.present[1].any()
    assert (recorded.counts[1].packets, recorded.counts[1].first_sample) == (0, None)


def test_a_leg_that_begins_late_stands_where_it_began() -> None:
    line = Line()
    line.talk(SAID)
    line.talk(ANSWERED[:40000], leg=1, at_s=14.0)

    recorded = record(line, seconds=END_S)

    assert recorded.find(ANSWERED, 1) == pytest.approx(14.0 * RATE_HZ, abs=0.02 * RATE_HZ)
    assert recorded.counts[1].first_sample == recorded.find(ANSWERED, 1)


def test_numbers_and_timestamps_may_wrap() -> None:
    line = Line()
    line.talk(SAID, sequence=65300, ts=(1 << 32) - 40000)

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID)
    assert (recorded.counts[0].lost, recorded.counts[0].restarts) == (0, 0)


@pytest.mark.parametrize("milliseconds", [5, 10, 20, 30, 40, 60, 200])
def test_packets_of_any_usual_length_are_recorded(milliseconds: int) -> None:
    samples = milliseconds * RATE_HZ // 1000
    whole = SAID[: len(SAID) // samples * samples]
    line = Line()
    line.talk(SAID, samples=samples)

    recorded = record(line, seconds=END_S)

    assert recorded.has(whole)
    assert recorded.counts[0].covered_samples == len(whole)


def test_packets_that_come_in_another_order_are_put_in_theirs() -> None:
    line = Line()
    line.talk(SAID, delay_s=lambda number: 0.06 if number % 5 == 4 else 0.0)

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID)
    # Each fifth packet but the last one, which nothing can overtake.
    assert (recorded.counts[0].reordered, recorded.counts[0].lost) == (199, 0)


def test_packets_that_come_twice_are_counted_and_do_no_harm() -> None:
    line = Line()
    line.talk(SAID)
    line.talk(SAID, delay_s=lambda _: 0.005)

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID)
    told = recorded.counts[0]
    assert (told.packets, told.placed, told.duplicates, told.lost) == (2000, 1000, 1000, 0)


def test_what_is_lost_is_silence_in_its_place_and_is_counted() -> None:
    lost = range(50, 1000, 37)
    line = Line()
    line.talk(SAID, lost=lost)
    expected = SAID.copy()
    for number in lost:
        expected[number * 160 : (number + 1) * 160] = SILENCE

    recorded = record(line, seconds=END_S)

    assert recorded.has(expected)
    assert recorded.counts[0].lost == len(lost)
    assert recorded.counts[0].covered_samples == len(SAID) - 160 * len(lost)
    assert np.count_nonzero(recorded.present[0]) == 2 * (1000 - len(lost))


def test_loss_is_seen_behind_as_many_duplicates() -> None:
    line = Line()
    line.talk(SAID, lost=range(10, 1000, 100))
    line.talk(SAID, lost=[number for number in range(1000) if number % 100 != 50], delay_s=lambda _: 0.005)

    told, _ = record(line, seconds=END_S).counts

    assert (told.lost, told.duplicates) == (10, 10)


def test_half_a_second_late_is_in_time() -> None:
    line = Line()
    line.talk(SAID, delay_s=lambda number: 0.5 if number % 50 == 3 else 0.0)

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID)
    assert recorded.counts[0].late == 0


def test_a_packet_that_comes_when_its_second_is_closed_is_late_and_not_lost() -> None:
    line = Line()
    line.talk(SAID, delay_s=lambda number: 2.5 if number == 500 else 0.0)
    expected = SAID.copy()
    expected[500 * 160 : 501 * 160] = SILENCE

    recorded = record(line, seconds=END_S)

    assert recorded.has(expected)
    assert (recorded.counts[0].late, recorded.counts[0].lost, recorded.counts[0].restarts) == (1, 0, 0)


def test_a_pause_in_which_the_senders_clock_goes_on_keeps_everything_in_its_place() -> None:
    """Discontinuous transmission: nothing is sent in silence, and numbers go on without a gap."""
    line = Line()
    line.talk(SAID[:40000])
    line.talk(SAID[66400:], at_s=1.0 + 66400 / RATE_HZ, sequence=350, ts=5000 + 66400)

    recorded = record(line, seconds=END_S)

    start = recorded.find(SAID)
    assert recorded.has(SAID[:40000])
    assert recorded.has(SAID[66400:], start=start + 66400)
    assert (recorded.counts[0].lost, recorded.counts[0].restarts) == (0, 0)


def test_comfort_noise_and_digits_are_told_of_and_not_heard() -> None:
    line = Line()
    line.talk(SAID[:40000])
    noise = Packet(payload_type=13, sequence=350, ts=45000, ssrc=7, payload=b"\x40")
    line.send(6.02, noise)
    event = Packet(payload_type=101, sequence=351, ts=46600, ssrc=7, payload=b"\x01\x0a\x00\xa0", marker=True)
    line.send(6.22, event)
    line.talk(SAID[48000:], at_s=7.0, sequence=352, ts=53000)

    recorded = record(line, seconds=END_S)

    start = recorded.find(SAID)
    assert (recorded.sound[0, start + 40000 : start + 48000] == SILENCE).all()
    assert recorded.has(SAID[48000:], start=start + 48000)
    assert [(mark.kind, mark.position - start, mark.payload, mark.marker) for mark in recorded.marks] == [
        (Kind.COMFORT_NOISE, 40000, b"\x40", False),
        (Kind.EVENT, 41600, b"\x01\x0a\x00\xa0", True),
    ]
    told = recorded.counts[0]
    assert (told.comfort_noise, told.events, told.lost, told.placed) == (1, 1, 0, 950)


def test_a_key_held_for_seconds_does_not_move_the_stream() -> None:
    """All packets of an event have the timestamp of its beginning, so in the end it looks old."""
    line = Line()
    line.talk(SAID[:40000])
    for number in range(250):
        line.send(
            6.02 + number * 0.02,
            Packet(payload_type=101, sequence=350 + number, ts=45000, ssrc=7, payload=b"\x05\x0a\x00\xa0"),
        )
    line.talk(SAID[80000:], at_s=11.0, sequence=600, ts=85000)

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID[80000:], start=recorded.find(SAID) + 80000)
    assert (recorded.counts[0].restarts, recorded.counts[0].events, recorded.counts[0].lost) == (0, 250, 0)
    assert len({mark.position for mark in recorded.marks}) == 1


def test_digits_from_a_source_of_their_own_are_told_of() -> None:
    line = Line()
    line.talk(SAID)
    line.send(5.0, Packet(payload_type=101, sequence=1, ts=99, ssrc=1234, payload=b"\x05\x0a\x00\xa0"))

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID)
    assert [mark.position for mark in recorded.marks] == [pytest.approx(5.0 * RATE_HZ, abs=0.4 * RATE_HZ)]
    assert recorded.counts[0].restarts == 0


def test_payload_types_that_were_not_agreed_are_counted_and_not_heard() -> None:
    line = Line()
    line.talk(SAID[:40000])
    line.send(6.0, Packet(payload_type=96, sequence=350, ts=45000, ssrc=7, payload=bytes(160)))

    recorded = record(line, seconds=END_S)

    assert (recorded.counts[0].unknown, recorded.counts[0].placed) == (1, 250)
    assert not (recorded.sound[0] == 0).all()


def test_several_payload_types_may_carry_the_sound() -> None:
    line = Line()
    line.talk(SAID[:40000])
    line.talk(SAID[40000:], at_s=6.0, sequence=350, ts=45000, payload_type=118)
    both = type(PCMU)(sound=(0, 118), clock_hz=RATE_HZ, silence=SILENCE)

    recorded = record(line, seconds=END_S, streams=(both, PCMU))

    assert recorded.has(SAID)


@pytest.mark.parametrize("words", [0, 1, 7])
def test_extensions_padding_and_contributing_sources_are_no_sound(words: int) -> None:
    line = Line()
    for number in range(1000):
        packet = Packet(
            payload_type=0,
            sequence=number,
            ts=number * 160,
            ssrc=7,
            payload=SAID[number * 160 : (number + 1) * 160].tobytes(),
            extension=Extension(profile=0xBEDE, data=bytes(4 * words)),
            csrc=tuple(range(number % 16)),
            padding_bytes=number % 9,
        )
        line.send(1.0 + number * 0.02, packet)

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID)
    assert recorded.counts[0].placed == 1000


def test_garbage_between_the_packets_is_counted_and_changes_nothing() -> None:
    line = Line()
    line.talk(SAID)
    for number in range(100):
        line.send(2.0 + number * 0.1, b"\x10\x20\x30"[: number % 4])
        line.send(2.0 + number * 0.1, bytes(20))

    recorded = record(line, seconds=END_S)

    assert recorded.has(SAID)
    assert (recorded.counts[0].malformed, recorded.counts[0].restarts) == (200, 0)


def test_a_payload_longer_than_any_real_one_is_malformed() -> None:
    line = Line()
    line.talk(SAID[:40000])
    line.send(6.0, Packet(payload_type=0, sequence=350, ts=45000, ssrc=7, payload=bytes(1601)))

    recorded = record(line, seconds=END_S)

    assert (recorded.counts[0].malformed, recorded.counts[0].placed) == (1, 250)
