"""What came in a stream is counted and told: losses, keys, silences, changes of coding."""

import struct

import numpy as np
import pytest

from callseal.agent.call import (
    NOW,
    Answered,
    CodecChanged,
    Digit,
    Gap,
    StreamReport,
)
from callseal.agent.media.commands import Note
from callseal.agent.media.studio import RTCP_EVERY_S
from callseal.codecs import g711
from support.media_room import NARROW, NOISE, NOON, PCMA, PCMU, find, media_room, plan
from support.rtp_sender import Stream, codes, packet

SECOND = 8000
SILENCE = g711.silence(g711.Law.MU)


def test_lost_packets_are_silent_in_their_place_and_counted() -> None:
    sound = codes(1, 4 * SECOND)
    lost = frozenset({20, 21, 77, 150})
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)

        room.play([Stream(port=reserved.ports[0], sound=sound.tobytes(), lost=lost)], 4.1)
        room.close(reserved)

        expected = sound.copy()
        for number in lost:
            expected[number * 160 : (number + 1) * 160] = SILENCE
        kept = room.kept(recording)
        find(kept.sound, 0, expected)
        report = kept.of(StreamReport)[0]
        assert (report.packets, report.placed, report.lost) == (196, 196, 4)


def test_a_stretch_for_which_nothing_came_is_told_as_a_gap_in_its_place() -> None:
    sound = codes(2, 6 * SECOND)
    lost = frozenset(range(120, 200))
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)

        room.play([Stream(port=reserved.ports[0], sound=sound.tobytes(), lost=lost)], 6.0)
        room.close(reserved)

        kept = room.kept(recording)
        begin = find(kept.sound, 0, sound[: 120 * 160])
        gap = next(one for one in kept.of(Gap) if one.channel == 0)
        assert abs(gap.start_samples - (begin + 120 * 160)) <= 80
        assert abs(gap.end_samples - gap.start_samples - 80 * 160) <= 80
        assert not gap.expected


def test_a_silence_that_the_sender_announced_is_expected() -> None:
    sound = codes(3, 6 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        leg = Stream(port=reserved.ports[0], sound=sound.tobytes(), lost=frozenset(range(100, 220)))
        noise = packet(b"\x40", sequence=leg.sequence + 100, ts=leg.ts + 100 * 160, payload_type=13)
        room.play([leg], 2.0)
        room.gateway.send(noise, leg.port)
        rest = Stream(
            port=leg.port,
            sound=sound[220 * 160 :].tobytes(),
            sequence=leg.sequence + 101,
            ts=leg.ts + 220 * 160,
            begins_s=2.4,
        )

        room.play([rest], 4.1)
        room.close(reserved)

        kept = room.kept(recording)
        report = kept.of(StreamReport)[0]
        assert (report.comfort_noise, report.lost) == (1, 0)
        assert [gap.expected for gap in kept.of(Gap) if gap.channel == 0] == [True]


def test_a_pressed_key_is_told_with_its_place_and_never_which() -> None:
    sound = codes(4, 4 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        leg = Stream(port=reserved.ports[1], sound=sound.tobytes())
        room.play([leg], 2.0)
        begin = leg.ts + 2 * SECOND
        for number, duration in enumerate((160, 320, 480, 800, 800, 800)):
            flags = 0x8A if number >= 3 else 0x0A
            event = struct.pack("!BBH", 7, flags, duration)
            data = packet(event, sequence=leg.sequence + 100 + number, ts=begin, payload_type=101)
            room.gateway.send(data, leg.port)

        room.rest(1.0)
        room.close(reserved)

        kept = room.kept(recording)
        at = find(kept.sound, 1, sound[: 2 * SECOND])
        assert kept.of(Digit) == [Digit(channel=1, position_samples=at + 2 * SECOND, duration_ms=100)]
        assert kept.of(StreamReport)[1].digits == 1


def test_a_key_whose_end_was_lost_is_told_at_the_end_of_the_call() -> None:
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        leg = Stream(port=reserved.ports[0], sound=codes(5, SECOND).tobytes())
        room.play([leg], 1.0)
        event = packet(struct.pack("!BBH", 3, 10, 400), sequence=50, ts=leg.ts + SECOND, payload_type=101)
        room.gateway.send(event, leg.port)

        room.rest(0.5)
        room.close(reserved)

        kept = room.kept(recording)
        at = find(kept.sound, 0, codes(5, SECOND))
        assert kept.of(Digit) == [Digit(channel=0, position_samples=at + SECOND, duration_ms=50)]


def test_keys_without_end_are_told_up_to_a_limit_and_counted_beyond() -> None:
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        leg = Stream(port=reserved.ports[0], sound=codes(5, SECOND).tobytes())
        room.play([leg], 1.0)
        for number in range(700):
            event = struct.pack("!BBH", 3, 0x8A, 160)
            data = packet(
                event,
                sequence=leg.sequence + 50 + number,
                ts=leg.ts + SECOND + 400 * number,
                payload_type=101,
            )
            room.gateway.send(data, leg.port)
            if number % 100 == 0:
                room.rest(0.4)

        room.rest(0.4)
        room.close(reserved)

        kept = room.kept(recording)
        assert len(kept.of(Digit)) == 500
        assert kept.of(StreamReport)[0].digits == 700


def test_a_change_of_coding_is_told_and_the_sound_goes_on() -> None:
    sound = codes(6, 4 * SECOND)
    half = 2 * SECOND
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        first = Stream(port=reserved.ports[0], sound=sound[:half].tobytes())
        second = Stream(
            port=first.port,
            sound=sound[half:].tobytes(),
            payload_type=8,
            sequence=first.sequence + 100,
            ts=first.ts + half,
        )

        room.play([first], 2.0)
        room.play([second], 2.1)
        room.close(reserved)

        kept = room.kept(recording)
        turned = g711.encode(g711.decode(sound[half:], g711.Law.A), g711.Law.MU)
        find(kept.sound, 0, np.concatenate((sound[:half], turned)))
        (change,) = kept.of(CodecChanged)
        assert (change.channel, change.codec) == (0, "PCMA")
        assert kept.of(StreamReport)[0].codec == "PCMU"


def test_both_laws_in_one_call_become_linear_samples() -> None:
    agent, customer = codes(7, 2 * SECOND), codes(8, 2 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        ports = reserved.ports
        plans = [plan(ports[0], 0, formats=(PCMU,)), plan(ports[1], 1, formats=(PCMA, NOISE))]
        recording = room.open(reserved, plans, NARROW)
        legs = [
            Stream(port=ports[0], sound=agent.tobytes()),
            Stream(port=ports[1], sound=customer.tobytes(), payload_type=8),
        ]

        room.play(legs, 2.1)
        room.close(reserved)

        kept = room.kept(recording)
        find(kept.sound, 0, g711.decode(agent, g711.Law.MU))
        find(kept.sound, 1, g711.decode(customer, g711.Law.A))
        assert kept.sound.dtype == np.int16


def test_the_senders_report_tells_its_jitter() -> None:
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        leg = Stream(port=reserved.ports[0], sound=codes(9, 2 * SECOND).tobytes())
        room.play([leg], 1.0)
        block = struct.pack("!IIIIII", 1, 0, 0, 240, 0, 0)
        room.gateway.send(struct.pack("!BBHI", 0x81, 201, 7, 1) + block, leg.port + 1)

        room.rest(RTCP_EVERY_S + 1.0)
        room.close(reserved)

        reports = room.kept(recording).of(StreamReport)
        assert [report.remote_jitter_ms for report in reports] == [30.0, None]


def test_a_report_on_the_port_of_the_sound_is_read_and_is_no_sound() -> None:
    sound = codes(10, 2 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        leg = Stream(port=reserved.ports[0], sound=sound.tobytes())
        room.play([Stream(port=leg.port, sound=sound[:SECOND].tobytes())], 1.0)
        block = struct.pack("!IIIIII", 1, 0, 0, 80, 0, 0)
        room.gateway.send(struct.pack("!BBHI", 0x81, 201, 7, 1) + block, leg.port)
        rest = Stream(
            port=leg.port, sound=sound[SECOND:].tobytes(), sequence=leg.sequence + 50, ts=leg.ts + SECOND
        )

        room.play([rest], 1.1)
        room.close(reserved)

        kept = room.kept(recording)
        find(kept.sound, 0, sound)
        report = kept.of(StreamReport)[0]
        assert (report.remote_jitter_ms, report.malformed, report.packets) == (10.0, 0, 100)


@pytest.mark.parametrize("data", [bytes(3000), b"\x80\x05" + bytes(100), b"\x9f\x00" + bytes(12)])
def test_what_can_not_be_sound_is_counted_and_harms_nothing(data: bytes) -> None:
    sound = codes(11, 2 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        leg = Stream(port=reserved.ports[0], sound=sound.tobytes())
        room.play([Stream(port=leg.port, sound=sound[:SECOND].tobytes())], 1.0)
        for _ in range(3):
            room.gateway.send(data, leg.port)
        rest = Stream(
            port=leg.port, sound=sound[SECOND:].tobytes(), sequence=leg.sequence + 50, ts=leg.ts + SECOND
        )

        room.play([rest], 1.1)
        room.close(reserved)

        kept = room.kept(recording)
        find(kept.sound, 0, sound)
        assert kept.of(StreamReport)[0].malformed == 3


def test_an_event_without_a_place_gets_that_of_the_clock() -> None:
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        room.execute(Note(recording=recording, event=Answered(at=NOON, position_samples=NOW)))
        room.rest(2.0)

        room.execute(Note(recording=recording, event=Answered(at=NOON, position_samples=NOW)))
        room.execute(Note(recording=recording, event=Answered(at=NOON, position_samples=77)))

        first, second, third = (event.position_samples for event in room.kept(recording).of(Answered))
        assert 0 <= first <= 1.5 * SECOND
        assert second - first == 2 * SECOND
        assert third == 77
