"""Two legs of a call, as they come, in the recording: byte by byte, and in their place."""

import numpy as np
import pytest

from callseal.agent.call import Gap, Held, StreamReport
from callseal.agent.media.commands import AddPorts
from callseal.agent.media.plans import Reservation
from callseal.codecs import g711
from support.media_room import ALAW, PCMA, PCMU, find, media_room, plan
from support.rtp_sender import Stream, codes

SILENCE = g711.silence(g711.Law.MU)
SECOND = 8000


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_every_frame_of_both_legs_is_in_the_recording(address: str) -> None:
    agent, customer = codes(1, 10 * SECOND), codes(2, 10 * SECOND)
    with media_room(address=address) as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        legs = [
            Stream(port=reserved.ports[0], sound=agent.tobytes()),
            Stream(port=reserved.ports[1], sound=customer.tobytes(), ssrc=2),
        ]

        room.play(legs, 10.5)
        room.close(reserved)

        kept = room.kept(recording)
        assert abs(find(kept.sound, 0, agent) - find(kept.sound, 1, customer)) <= 160
        assert [report.placed for report in kept.of(StreamReport)] == [500, 500]
        assert not kept.of(Gap)
        assert not room.faults


def test_a_law_recording_keeps_a_law() -> None:
    sound = codes(3, 2 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved, form=ALAW)

        room.play([Stream(port=reserved.ports[1], sound=sound.tobytes(), payload_type=8)], 2.5)
        room.close(reserved)

        kept = room.kept(recording)
        find(kept.sound, 1, sound)
        assert (kept.sound[:, 0] == g711.silence(g711.Law.A)).all()


def test_what_has_come_is_kept_safe_though_its_second_is_still_open() -> None:
    sound = codes(4, 3 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)

        room.play([Stream(port=reserved.ports[0], sound=sound.tobytes())], 3.0)

        kept = room.kept(recording)
        assert kept.tentative is not None
        so_far = np.concatenate((kept.sound, kept.tentative))
        at = find(so_far, 0, sound[: 2 * SECOND])
        safe = len(so_far) - at
        assert safe >= 3 * SECOND - 0.8 * SECOND


def test_a_recording_that_begins_later_keeps_the_others_grid_and_is_safe_as_soon() -> None:
    first, second = codes(5, 5 * SECOND), codes(6, 3 * SECOND)
    with media_room() as room:
        early = room.reserve()
        room.open(early)
        room.play([Stream(port=early.ports[0], sound=first.tobytes())], 2.3)
        late = room.reserve()
        recording = room.open(late)

        room.play([Stream(port=late.ports[1], sound=second.tobytes())], 0.9)

        kept = room.kept(recording)
        assert kept.tentative is not None
        assert len(kept.sound) + len(kept.tentative) > 0.2 * SECOND
        room.play([Stream(port=late.ports[1], sound=second[int(0.9 * SECOND) :].tobytes(), ts=0)], 1.5)
        room.close(late)
        assert len(kept.sound) <= (2.4 + 1.0 + 0.1) * SECOND


def test_sound_that_came_before_the_recording_was_opened_is_in_it() -> None:
    sound = codes(7, 2 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        leg = Stream(port=reserved.ports[0], sound=sound.tobytes())
        early = [packet for at_s, packet in leg.packets() if at_s <= 0.4]
        for packet in early:
            room.now_s += 0.02
            room.gateway.send(packet, leg.port)

        recording = room.open(reserved)
        rest = Stream(
            port=leg.port,
            sound=sound[len(early) * 160 :].tobytes(),
            sequence=leg.sequence + len(early),
            ts=leg.ts + 160 * len(early),
        )
        room.play([rest], 2.0)
        room.close(reserved)

        find(room.kept(recording).sound, 0, sound)


def test_a_stream_that_comes_late_has_its_place_by_the_clock() -> None:
    agent, customer = codes(8, 8 * SECOND), codes(9, 3 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)

        room.play(
            [
                Stream(port=reserved.ports[0], sound=agent.tobytes()),
                Stream(port=reserved.ports[1], sound=customer.tobytes(), begins_s=5.0),
            ],
            8.2,
        )
        room.close(reserved)

        kept = room.kept(recording)
        behind = find(kept.sound, 1, customer) - find(kept.sound, 0, agent)
        assert abs(behind - 5 * SECOND) <= 320
        (gap,) = kept.of(Gap)
        assert (gap.channel, gap.expected) == (1, False)


def test_a_leg_that_never_sends_is_silent_and_the_recording_runs() -> None:
    sound = codes(10, 4 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)

        room.play([Stream(port=reserved.ports[0], sound=sound.tobytes())], 4.1)
        room.close(reserved)

        kept = room.kept(recording)
        find(kept.sound, 0, sound)
        assert (kept.sound[:, 1] == SILENCE).all()
        never = kept.of(StreamReport)[1]
        assert (never.packets, never.unreceived_samples) == (0, len(kept.sound))
        assert [gap.channel for gap in kept.of(Gap)] == [1]


def test_a_call_without_any_sound_is_a_recording_all_the_same() -> None:
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)

        room.rest(3.0)
        room.close(reserved)

        kept = room.kept(recording)
        assert 3 * SECOND <= len(kept.sound) <= 4.1 * SECOND
        assert (kept.sound == SILENCE).all()
        assert [report.packets for report in kept.of(StreamReport)] == [0, 0]


def test_a_stream_that_carries_both_parties_stands_on_both_channels() -> None:
    sound = codes(11, 3 * SECOND)
    with media_room() as room:
        reserved = room.reserve(1)
        recording = room.open(reserved, [plan(reserved.ports[0], (0, 1))])

        room.play([Stream(port=reserved.ports[0], sound=sound.tobytes())], 3.2)
        room.close(reserved)

        kept = room.kept(recording)
        find(kept.sound, 0, sound)
        assert np.array_equal(kept.sound[:, 0], kept.sound[:, 1])
        assert len(kept.of(StreamReport)) == 1


def test_streams_that_share_a_channel_are_added() -> None:
    one, other = codes(12, 2 * SECOND), codes(13, 2 * SECOND)
    with media_room() as room:
        reserved = room.reserve(3)
        plans = [plan(port, channel) for port, channel in zip(reserved.ports, (0, 1, 1), strict=True)]
        recording = room.open(reserved, plans)

        room.play(
            [
                Stream(port=reserved.ports[1], sound=one.tobytes()),
                Stream(port=reserved.ports[2], sound=other.tobytes(), ssrc=2),
            ],
            2.2,
        )
        room.close(reserved)

        total = g711.decode(one, g711.Law.MU).astype(int) + g711.decode(other, g711.Law.MU)
        expected = g711.encode(np.clip(total, -32768, 32767).astype(np.int16), g711.Law.MU)
        find(room.kept(recording).sound, 1, expected)
        assert not room.faults


def test_a_stream_that_joins_is_recorded_from_then_on() -> None:
    sound = codes(14, 2 * SECOND)
    with media_room() as room:
        reserved = room.reserve(1)
        recording = room.open(reserved, [plan(reserved.ports[0], 0)])
        room.rest(2.0)
        more = room.execute(AddPorts(reservation=reserved.id, streams=1))
        assert isinstance(more, Reservation)

        room.change(recording, plan(reserved.ports[0], 0), plan(more.ports[0], 1))
        room.play([Stream(port=more.ports[0], sound=sound.tobytes())], 2.2)
        room.close(reserved)

        kept = room.kept(recording)
        assert find(kept.sound, 1, sound) > 1.9 * SECOND
        assert len(kept.of(StreamReport)) == 2


def test_sides_may_change_while_a_call_runs() -> None:
    sound = codes(15, 6 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        leg = Stream(port=reserved.ports[0], sound=sound.tobytes())
        packets = list(leg.packets())
        room.play([Stream(port=leg.port, sound=sound[: 3 * SECOND].tobytes())], 3.0)

        room.change(recording, plan(reserved.ports[0], 1), plan(reserved.ports[1], 0))
        rest = sound[3 * SECOND :]
        room.play([Stream(port=leg.port, sound=rest.tobytes(), sequence=65500 + 150, ts=leg.ts + 24000)], 3.1)
        room.close(reserved)

        kept = room.kept(recording)
        assert len(packets) == 300
        find(kept.sound, 0, sound[:SECOND])
        find(kept.sound, 1, sound[-SECOND:])


def test_hold_is_told_and_its_silence_is_expected() -> None:
    sound = codes(16, 2 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        ports = reserved.ports
        both = [Stream(port=port, sound=sound.tobytes(), ssrc=port) for port in ports]
        room.play(both, 2.0)

        room.change(recording, plan(ports[0], 0), plan(ports[1], 1, sending=False))
        room.rest(3.0)
        room.change(recording, plan(ports[0], 0), plan(ports[1], 1))
        after = [Stream(port=port, sound=sound.tobytes(), ssrc=port, sequence=9, ts=77) for port in ports]
        room.play(after, 2.1)
        room.close(reserved)

        kept = room.kept(recording)
        assert [(held.channel, held.held) for held in kept.of(Held)] == [(1, True), (1, False)]
        off, on = (held.position_samples for held in kept.of(Held))
        assert abs(on - off - 3 * SECOND) <= 200
        assert {(gap.channel, gap.expected) for gap in kept.of(Gap)} == {(0, False), (1, True)}


def test_a_call_that_begins_on_hold_says_so() -> None:
    with media_room() as room:
        reserved = room.reserve()
        streams = [plan(port, number, sending=False) for number, port in enumerate(reserved.ports)]

        recording = room.open(reserved, streams)

        held = room.kept(recording).of(Held)
        assert [(one.channel, one.position_samples, one.held) for one in held] == [(0, 0, True), (1, 0, True)]


def test_a_thread_that_stood_still_for_four_seconds_has_lost_nothing() -> None:
    agent, customer = codes(17, 12 * SECOND), codes(18, 12 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        legs = [
            Stream(port=port, sound=sound.tobytes(), ssrc=port)
            for port, sound in zip(reserved.ports, (agent, customer), strict=True)
        ]

        room.play(legs, 12.5, tick_s=4.1)
        room.close(reserved)

        kept = room.kept(recording)
        find(kept.sound, 0, agent)
        find(kept.sound, 1, customer)
        assert [(one.lost, one.late, one.restarts) for one in kept.of(StreamReport)] == [(0, 0, 0)] * 2


def test_what_the_kernel_dropped_in_a_longer_stall_is_exactly_what_is_reported_lost() -> None:
    sound = codes(19, 120 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        room.play([Stream(port=reserved.ports[0], sound=sound[:SECOND].tobytes())], 1.0)
        leg = Stream(port=reserved.ports[0], sound=sound.tobytes())
        later = [data for at_s, data in leg.packets() if at_s > 1.0]
        begun_s = room.now_s
        for number, data in enumerate(later):
            room.now_s = begun_s + 0.02 * (number + 1)
            room.gateway.send(data, leg.port)

        room.rest(6.0)
        room.close(reserved)

        report = room.kept(recording).of(StreamReport)[0]
        assert report.dropped_by_kernel > 0
        assert report.packets == 6000 - report.dropped_by_kernel


def test_many_calls_share_a_bank_and_each_has_its_own_sound() -> None:
    with media_room() as room:
        calls = [room.reserve() for _ in range(20)]
        recordings = [room.open(one) for one in calls]
        sounds = {port: codes(port, 3 * SECOND) for one in calls for port in one.ports}

        room.play([Stream(port=port, sound=sounds[port].tobytes(), ssrc=port) for port in sounds], 1.5)
        room.close(calls[7])
        late = room.reserve()
        last = room.open(late)
        rest = [
            Stream(
                port=port,
                sound=sound[12000:].tobytes(),
                ssrc=port,
                sequence=65500 + 75,
                ts=2**32 - 4000 + 12000,
            )
            for port, sound in sounds.items()
            if port not in calls[7].ports
        ]
        room.play(rest, 1.6)
        for number, one in enumerate(calls):
            if number != 7:
                room.close(one)
        room.close(late)

        for number, (one, recording) in enumerate(zip(calls, recordings, strict=True)):
            for channel, port in enumerate(one.ports):
                wanted = sounds[port] if number != 7 else sounds[port][:12000]
                find(room.kept(recording).sound, channel, wanted)
        assert (room.kept(last).sound == SILENCE).all()
        assert room.recorder.blocks < 40


def test_more_calls_than_a_bank_holds_are_recorded_too() -> None:
    with media_room(ports=(20000, 21999)) as room:
        calls = [room.reserve() for _ in range(130)]
        recordings = [room.open(one) for one in calls]
        sound = codes(20, SECOND)

        room.play([Stream(port=calls[-1].ports[0], sound=sound.tobytes())], 1.2)
        room.close(calls[-1])

        find(room.kept(recordings[-1]).sound, 0, sound)
        assert room.studio.statistics().recordings == 129


def test_a_stream_may_send_another_law_than_the_recording_keeps() -> None:
    sound = codes(21, 2 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        formats = (PCMA, PCMU)
        streams = [plan(port, number, formats=formats) for number, port in enumerate(reserved.ports)]
        recording = room.open(reserved, streams)

        room.play([Stream(port=reserved.ports[0], sound=sound.tobytes(), payload_type=8)], 2.1)
        room.close(reserved)

        expected = g711.encode(g711.decode(sound, g711.Law.A), g711.Law.MU)
        kept = room.kept(recording)
        find(kept.sound, 0, expected)
        assert kept.of(StreamReport)[0].codec == "PCMA"
