"""The first source of a stream is learned and locked; strangers are counted, and not recorded."""

import numpy as np
import pytest

from callseal.agent.call import StreamReport
from callseal.agent.media.learning import PREFER_S, RELEARN_S
from callseal.codecs import g711
from support.media_room import find, media_room, plan
from support.rtp_sender import Stream, codes, packet

SECOND = 8000
SILENCE = g711.silence(g711.Law.MU)


def test_a_stranger_is_counted_and_not_recorded() -> None:
    sound, noise = codes(1, 4 * SECOND), codes(2, 4 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        port = reserved.ports[0]

        room.play(
            [
                Stream(port=port, sound=sound.tobytes(), source=room.gateway.source()),
                Stream(
                    port=port, sound=noise.tobytes(), source=room.gateway.source("127.0.0.9"), begins_s=0.5
                ),
            ],
            4.1,
        )
        room.close(reserved)

        kept = room.kept(recording)
        find(kept.sound, 0, sound)
        report = kept.of(StreamReport)[0]
        assert (report.placed, report.lost) == (200, 0)
        assert report.strangers >= 170


def test_a_stranger_with_the_streams_own_ssrc_is_one_all_the_same() -> None:
    sound, noise = codes(3, 3 * SECOND), codes(4, 3 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        port = reserved.ports[0]
        room.play([Stream(port=port, sound=sound[:SECOND].tobytes(), source=room.gateway.source())], 1.0)

        intruder = room.gateway.source("127.0.0.9")
        room.play([Stream(port=port, sound=noise.tobytes(), source=intruder, sequence=65550, ts=4000)], 3.0)
        room.close(reserved)

        kept = room.kept(recording)
        at = find(kept.sound, 0, sound[:SECOND])
        assert (kept.sound[at + SECOND :, 0] == SILENCE).all()
        assert kept.of(StreamReport)[0].strangers == 150


def test_the_announced_address_takes_over_from_one_that_was_faster() -> None:
    sound, noise = codes(5, 3 * SECOND), codes(6, 3 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        port = reserved.ports[0]
        recording = room.open(reserved, [plan(port, 0, address="127.0.0.1")])
        faster = Stream(port=port, sound=noise.tobytes(), ssrc=66, source=room.gateway.source("127.0.0.9"))
        announced = Stream(port=port, sound=sound.tobytes(), begins_s=0.4, source=room.gateway.source())

        room.play([faster, announced], 3.6)
        room.close(reserved)

        kept = room.kept(recording)
        find(kept.sound, 0, sound)
        assert kept.of(StreamReport)[0].strangers > 100


def test_who_sends_from_elsewhere_than_announced_is_recorded_from_the_first_packet() -> None:
    sound = codes(7, 2 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved, [plan(reserved.ports[0], 0, address="192.0.2.7")])

        room.play([Stream(port=reserved.ports[0], sound=sound.tobytes())], 2.1)
        room.close(reserved)

        find(room.kept(recording).sound, 0, sound)


def test_after_the_first_second_the_announced_address_is_a_stranger_too() -> None:
    sound, noise = codes(8, 4 * SECOND), codes(9, 2 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        port = reserved.ports[0]
        recording = room.open(reserved, [plan(port, 0, address="127.0.0.9")])
        late = Stream(
            port=port,
            sound=noise.tobytes(),
            ssrc=66,
            begins_s=PREFER_S + 1.0,
            source=room.gateway.source("127.0.0.9"),
        )

        room.play([Stream(port=port, sound=sound.tobytes(), source=room.gateway.source()), late], 4.1)
        room.close(reserved)

        find(room.kept(recording).sound, 0, sound)


def test_another_port_that_goes_on_with_the_stream_is_followed_at_once() -> None:
    sound = codes(10, 4 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        port = reserved.ports[0]
        half = 2 * SECOND
        first = Stream(port=port, sound=sound[:half].tobytes(), source=room.gateway.source())
        second = Stream(
            port=port,
            sound=sound[half:].tobytes(),
            sequence=first.sequence + 100,
            ts=first.ts + half,
            begins_s=2.0,
            source=room.gateway.source(),
        )

        room.play([first, second], 4.1)
        room.close(reserved)

        kept = room.kept(recording)
        find(kept.sound, 0, sound)
        assert kept.of(StreamReport)[0].strangers == 0


def test_another_port_with_another_stream_is_followed_after_a_silence() -> None:
    sound = codes(11, 3 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        port = reserved.ports[0]
        room.play([Stream(port=port, sound=sound[:SECOND].tobytes(), source=room.gateway.source())], 1.0)
        room.rest(RELEARN_S + 0.5)

        room.play(
            [Stream(port=port, sound=sound[SECOND:].tobytes(), ssrc=9, ts=5, source=room.gateway.source())],
            2.1,
        )
        room.close(reserved)

        kept = room.kept(recording)
        find(kept.sound, 0, sound[SECOND:])
        report = kept.of(StreamReport)[0]
        assert (report.strangers, report.restarts) == (0, 1)


def test_signalling_may_announce_another_address() -> None:
    sound = codes(12, 4 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        port = reserved.ports[0]
        recording = room.open(reserved, [plan(port, 0, address="127.0.0.1")])
        room.play([Stream(port=port, sound=sound[: 2 * SECOND].tobytes(), source=room.gateway.source())], 2.0)

        room.change(recording, plan(port, 0, address="127.0.0.9"))
        other = room.gateway.source("127.0.0.9")
        room.play([Stream(port=port, sound=sound[2 * SECOND :].tobytes(), ssrc=8, ts=9, source=other)], 2.1)
        room.close(reserved)

        kept = room.kept(recording)
        find(kept.sound, 0, sound[2 * SECOND :])
        assert kept.of(StreamReport)[0].strangers == 0


@pytest.mark.parametrize("data", [b"", b"\0\0\0\0", b"\x80", bytes(30), b"\x21\x12\xa4\x42" * 5])
def test_what_is_no_rtp_teaches_no_source(data: bytes) -> None:
    sound = codes(13, 2 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        port = reserved.ports[0]
        room.gateway.send(data, port, room.gateway.source("127.0.0.9"))

        room.play([Stream(port=port, sound=sound.tobytes(), source=room.gateway.source())], 2.1)
        room.close(reserved)

        find(room.kept(recording).sound, 0, sound)


def test_a_flood_on_one_port_costs_no_call_anything() -> None:
    sound = codes(14, 3 * SECOND)
    with media_room() as room:
        flooded, beside = room.reserve(), room.reserve()
        recording, other = room.open(flooded), room.open(beside)
        intruder = room.gateway.source("127.0.0.9")
        own = room.gateway.source()
        legs = [
            Stream(port=flooded.ports[0], sound=sound.tobytes(), source=own),
            Stream(port=beside.ports[0], sound=sound.tobytes(), source=own),
        ]
        room.play([_part(leg, 0, SECOND) for leg in legs], 1.0)

        for second in (1, 2):
            for number in range(900):
                room.gateway.send(
                    packet(bytes(160), sequence=number, ts=0, ssrc=66), flooded.ports[0], intruder
                )
            room.play([_part(leg, second * SECOND, SECOND) for leg in legs], 1.0)
        room.close(flooded)
        room.close(beside)

        find(room.kept(recording).sound, 0, sound)
        find(room.kept(other).sound, 0, sound)
        assert room.kept(recording).of(StreamReport)[0].strangers == 1800


def test_late_packets_of_an_old_call_do_not_begin_a_new_one() -> None:
    with media_room(ports=(23500, 23501)) as room:
        old = room.reserve(1)
        room.open(old, [plan(old.ports[0], 0)])
        room.close(old)
        room.gateway.send(packet(bytes(160), sequence=1, ts=1), old.ports[0])
        room.now_s += 10.0

        reserved = room.reserve(1)
        recording = room.open(reserved, [plan(reserved.ports[0], 0)])
        room.rest(1.0)
        room.close(reserved)

        assert reserved.ports == old.ports
        assert np.all(room.kept(recording).sound == SILENCE)


def _part(leg: Stream, begin: int, samples: int) -> Stream:
    return Stream(
        port=leg.port,
        sound=leg.sound[begin : begin + samples],
        sequence=leg.sequence + begin // 160,
        ts=leg.ts + begin,
        source=leg.source,
    )
