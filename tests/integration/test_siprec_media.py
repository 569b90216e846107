"""What gateways do with sound: it is in its place, or it is known what is missing, and why."""

import struct
from dataclasses import replace

import pytest

from support.copied_sound import (
    EVENT,
    SILENCE,
    assert_whole,
    datagrams,
    finish,
    gaps_of,
    offered,
    report,
    sound_of,
    stream,
)
from support.recording_server import (
    SECOND_SAMPLES,
    Copies,
    Datagram,
    RecordingServer,
    channels_of,
)
from support.rtp_sender import PACKET_SAMPLES, packet

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("siprec-media"),
]

COMFORT_NOISE = 13
PRESSED = 60
"""The packet at whose place a key is pressed: the stream's clock is known well by then."""


# --- packets of every kind --------------------------------------------------------------------------------


@pytest.mark.parametrize("length_ms", [10, 20, 30, 40, 60])
def test_packets_of_any_usual_length_are_recorded(
    server: RecordingServer, gateway: Copies, length_ms: int
) -> None:
    copy = offered(gateway)
    samples = length_ms * 8
    legs = [
        replace(
            stream(copy, 0.48, leg=leg), packet_bytes=samples, packet_ts=samples, packet_s=length_ms / 1000
        )
        for leg in (0, 1)
    ]

    gateway.send(*legs)

    assert_whole(finish(server, copy), legs[0].sound, legs[1].sound)


def test_header_extensions_contributors_and_padding_are_no_sound(
    server: RecordingServer, gateway: Copies
) -> None:
    copy = offered(gateway)
    sound = sound_of(0.4, 21)
    extension = struct.pack("!HHI", 0xBEDE, 1, 0x10FF0000)
    shapes = [
        (0x90, extension, b""),
        (0x82, struct.pack("!II", 7, 8), b""),
        (0xA0, b"", b"\0\0\0\x04"),
        (0xB1, struct.pack("!I", 9) + extension, b"\0\x02"),
        (0x80, b"", b""),
    ]

    def odd(number: int) -> bytes:
        flags, extra, padding = shapes[number % len(shapes)]
        payload = sound[number * 160 : (number + 1) * 160]
        return packet(payload + padding, sequence=number, ts=number * 160, ssrc=5, flags=flags, extra=extra)

    gateway.play(
        [
            *(Datagram(number * 0.02, odd(number), copy.ports[0]) for number in range(20)),
            *datagrams(usual := stream(copy, leg=1)),
        ]
    )

    assert_whole(finish(server, copy), sound, usual.sound)


def test_packets_that_overtake_one_another_or_come_twice_are_recorded_once_in_their_order(
    server: RecordingServer, gateway: Copies
) -> None:
    copy = offered(gateway)
    one, other = stream(copy), stream(copy, leg=1)
    sent = datagrams(one)
    swapped = [
        replace(item, at_s=item.at_s + (0.03 if number % 5 == 0 else 0)) for number, item in enumerate(sent)
    ]
    twice = [replace(item, at_s=item.at_s + 0.005) for item in sent[::4]]

    gateway.play([*swapped, *twice, *datagrams(other)])

    recorded = finish(server, copy)
    agent, customer = channels_of(recorded.inner)
    assert one.sound in agent
    assert other.sound in customer
    assert report(recorded)["duplicates"] == len(twice)
    assert report(recorded)["reordered"] > 0
    assert report(recorded)["lost"] == 0


def test_what_was_lost_is_silent_and_counted_and_the_rest_stays_in_its_place(
    server: RecordingServer, gateway: Copies
) -> None:
    copy = offered(gateway)
    single, burst = {3, 9}, set(range(20, 35))
    one = replace(stream(copy, 1.0), lost=frozenset(single | burst))
    other = stream(copy, 1.0, leg=1)

    gateway.send(one, other)

    recorded = finish(server, copy)
    expected = bytearray(one.sound)
    for number in single | burst:
        expected[number * 160 : (number + 1) * 160] = SILENCE * 160
    agent, customer = channels_of(recorded.inner)
    begin = agent.find(bytes(expected))
    assert begin >= 0
    assert other.sound in customer
    assert report(recorded)["lost"] == len(single | burst)
    assert report(recorded, 1)["lost"] == 0
    (gap,) = gaps_of(recorded, 0)
    assert gap["start_sample"] - begin == pytest.approx(20 * 160, abs=80)
    assert gap["end_sample"] - begin == pytest.approx(35 * 160, abs=80)
    assert gap["expected"] is False


def test_what_is_no_rtp_costs_nothing_but_a_count(server: RecordingServer, gateway: Copies) -> None:
    copy = offered(gateway)
    one, other = stream(copy), stream(copy, leg=1)
    rubbish = [
        b"",
        b"\x80",
        b"\0" * 12,
        b"GET / HTTP/1.0\r\n\r\n",
        bytes(range(256)) * 8,
        b"\xb0" + b"\xff" * 40,
    ]

    gateway.play(
        [
            *datagrams(one),
            *(Datagram(0.101 + number / 100, item, one.port) for number, item in enumerate(rubbish)),
            *datagrams(other),
        ]
    )

    recorded = finish(server, copy)
    agent, customer = channels_of(recorded.inner)
    assert one.sound in agent
    assert other.sound in customer
    assert report(recorded)["placed"] == len(one.sound) // PACKET_SAMPLES


# --- streams that change ----------------------------------------------------------------------------------


def test_a_new_synchronisation_source_goes_on_with_the_recording(
    server: RecordingServer, gateway: Copies
) -> None:
    copy = offered(gateway)
    first, other = stream(copy, 0.6), stream(copy, 1.2, leg=1)
    second = replace(first, sound=sound_of(0.6, 31), ssrc=999, sequence=7, ts=123_456, begins_s=0.6)

    gateway.send(first, second, other)

    recorded = finish(server, copy)
    agent, customer = channels_of(recorded.inner)
    begin = agent.find(first.sound)
    assert begin >= 0
    assert agent.find(second.sound) - begin == pytest.approx(len(first.sound), abs=400)
    assert other.sound in customer
    assert report(recorded)["restarts"] == 1
    assert report(recorded)["lost"] == 0


def test_a_gateway_whose_port_changes_is_known_by_its_stream(
    server: RecordingServer, gateway: Copies
) -> None:
    copy = offered(gateway)
    one, other = stream(copy), stream(copy, leg=1)
    elsewhere = gateway.sound.source()
    usual = gateway.sound.source()
    sent = [
        replace(item, source=usual if number < 8 else elsewhere) for number, item in enumerate(datagrams(one))
    ]

    gateway.play([*sent, *datagrams(other)])

    assert_whole(finish(server, copy), one.sound, other.sound)


def test_who_is_not_the_gateway_is_counted_and_not_recorded(server: RecordingServer, gateway: Copies) -> None:
    copy = offered(gateway)
    one, other = stream(copy), stream(copy, leg=1)
    intruder = gateway.sound.source("127.0.0.2")
    neighbour = gateway.sound.source()
    usual = gateway.sound.source()
    strange = replace(one, sound=sound_of(0.2, 41), ssrc=77, begins_s=0.1)

    gateway.play(
        [
            *(replace(item, source=usual) for item in datagrams(one)),
            *(replace(item, source=intruder) for item in datagrams(strange)),
            *(replace(item, source=neighbour) for item in datagrams(replace(strange, ssrc=78))),
            *(replace(item, source=usual) for item in datagrams(other)),
        ]
    )

    recorded = finish(server, copy)
    agent, customer = channels_of(recorded.inner)
    assert one.sound in agent
    assert other.sound in customer
    assert strange.sound[:160] not in agent
    assert report(recorded)["strangers"] == 20
    assert report(recorded)["restarts"] == 0


def test_a_stream_that_begins_late_stands_where_it_was_said(server: RecordingServer, gateway: Copies) -> None:
    copy = offered(gateway)
    one, late = stream(copy, 1.4), replace(stream(copy, 0.6, leg=1), begins_s=0.8)

    gateway.send(one, late)

    recorded = finish(server, copy)
    agent, customer = channels_of(recorded.inner)
    assert one.sound in agent
    assert late.sound in customer
    assert customer.find(late.sound) - agent.find(one.sound) == pytest.approx(0.8 * SECOND_SAMPLES, abs=480)


# --- pauses and marks -------------------------------------------------------------------------------------


def test_a_key_that_is_pressed_is_a_mark_without_its_digit(server: RecordingServer, gateway: Copies) -> None:
    copy = offered(gateway)
    one, other = stream(copy, 1.6), stream(copy, 1.6, leg=1)
    pressed = other.ts + PRESSED * 160

    def key(number: int) -> bytes:
        is_end = number >= 5
        payload = struct.pack("!BBH", 9, 0x8A if is_end else 0x0A, min((number + 1) * 160, 800))
        return packet(
            payload,
            sequence=other.sequence + PRESSED + number,
            ts=pressed,
            ssrc=other.ssrc,
            payload_type=EVENT,
        )

    sent = datagrams(other)
    keys = [replace(sent[PRESSED + number], data=key(number)) for number in range(7)]

    gateway.play([*datagrams(one), *sent[:PRESSED], *keys, *sent[PRESSED + 7 :]])

    recorded = finish(server, copy)
    agent, customer = channels_of(recorded.inner)
    (mark,) = recorded.streams["digits"]
    begin = customer.find(other.sound[: PRESSED * 160])
    assert one.sound in agent
    assert set(mark) == {"channel", "sample", "duration_ms"}
    assert mark["channel"] == 1
    assert mark["duration_ms"] == 100
    assert mark["sample"] - begin == pytest.approx(PRESSED * 160, abs=160)
    assert customer[begin + (PRESSED + 7) * 160 :].startswith(other.sound[(PRESSED + 7) * 160 :])
    assert report(recorded, 1)["digits"] == 1
    assert report(recorded, 1)["lost"] == 0


def test_comfort_noise_excuses_the_silence_that_follows_it(server: RecordingServer, gateway: Copies) -> None:
    copy = offered(gateway, "0 13")
    one, other = stream(copy, 1.2), stream(copy, 1.2, leg=1)
    sent = datagrams(one)
    noise = packet(
        b"\x40", sequence=one.sequence + 20, ts=one.ts + 20 * 160, ssrc=one.ssrc, payload_type=COMFORT_NOISE
    )
    later = [
        replace(item, data=packet(
            one.sound[number * 160 : (number + 1) * 160],
            sequence=one.sequence + number - 19,
            ts=one.ts + number * 160,
            ssrc=one.ssrc,
        ))
        for number, item in enumerate(sent)
        if number >= 40
    ]  # fmt: skip

    gateway.play([*sent[:20], replace(sent[20], data=noise), *later, *datagrams(other)])

    recorded = finish(server, copy)
    agent, customer = channels_of(recorded.inner)
    assert other.sound in customer
    assert one.sound[:3200] + SILENCE * 3200 + one.sound[6400:] in agent
    assert report(recorded)["comfort_noise"] == 1
    assert report(recorded)["lost"] == 0
    assert [gap["expected"] for gap in gaps_of(recorded, 0)] == [True]


def test_a_stream_that_pauses_without_a_word_keeps_its_place(
    server: RecordingServer, gateway: Copies
) -> None:
    copy = offered(gateway, "0")
    one, other = stream(copy, 0.4), stream(copy, 1.2, leg=1)
    again = replace(
        one,
        sound=sound_of(0.4, 61),
        sequence=one.sequence + 20,
        ts=one.ts + 6400,
        begins_s=0.8,
    )

    gateway.send(one, again, other)

    recorded = finish(server, copy)
    agent, customer = channels_of(recorded.inner)
    assert other.sound in customer
    assert one.sound + SILENCE * 3200 + again.sound in agent
    assert report(recorded)["lost"] == 0
    assert [gap["expected"] for gap in gaps_of(recorded, 0)] == [False]


def test_a_leg_that_never_speaks_is_said_and_the_other_is_recorded(
    server: RecordingServer, gateway: Copies
) -> None:
    copy = offered(gateway)
    one = stream(copy, 1.2)

    gateway.send(one)

    recorded = finish(server, copy)
    agent, customer = channels_of(recorded.inner)
    assert one.sound in agent
    assert set(customer) == set(SILENCE)
    assert recorded.manifest.result.value == "degraded"
    assert "no-media-customer" in recorded.manifest.reasons
    assert report(recorded, 1)["packets"] == 0


def test_a_call_of_which_no_sound_comes_says_so(server: RecordingServer, gateway: Copies) -> None:
    copy = offered(gateway)

    recorded = finish(server, copy)

    assert recorded.manifest.result.value == "degraded"
    assert "no-media" in recorded.manifest.reasons


def test_the_senders_reports_are_read_where_they_share_the_port(
    server: RecordingServer, gateway: Copies
) -> None:
    copy = offered(gateway, extra="a=rtcp-mux\r\n")
    one, other = stream(copy), stream(copy, leg=1)
    block = struct.pack("!IIIIII", 1, 0, 0, 240, 0, 0)
    told = struct.pack("!BBHI", 0x81, 201, 7, one.ssrc) + block

    gateway.play([*datagrams(one), Datagram(0.21, told, one.port), *datagrams(other)])

    recorded = finish(server, copy)
    assert "a=rtcp-mux" in copy.answer.body
    assert one.sound in channels_of(recorded.inner)[0]
    assert report(recorded)["remote_jitter_ms"] == 30.0
    assert report(recorded)["malformed"] == 0
