"""Whatever comes to one port, the sound of the call beside it is whole."""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from callseal.agent.call import StreamReport
from support.media_room import find, media_room, plan
from support.rtp_sender import Stream, codes

SECOND = 8000

HEADERS = st.builds(
    lambda flags, kind, sequence, ts, ssrc: struct.pack("!BBHII", flags, kind, sequence, ts, ssrc),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 3),
)
DATAGRAMS = st.one_of(
    st.binary(max_size=80),
    st.builds(lambda header, rest: header + rest, HEADERS, st.binary(max_size=400)),
)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 1), DATAGRAMS, st.floats(0, 0.3)), max_size=40))
def test_no_datagram_raises_or_touches_another_call(sent: list[tuple[int, bytes, float]]) -> None:
    sound = codes(1, 3 * SECOND)
    with media_room() as room:
        target, beside = room.reserve(), room.reserve()
        attacked = room.open(target, [plan(port, number) for number, port in enumerate(target.ports)])
        recording = room.open(beside)
        own = room.gateway.source()
        stream = Stream(port=beside.ports[1], sound=sound.tobytes(), source=own)
        room.play([stream], 1.0)

        for leg, data, pause_s in sent:
            room.gateway.send(data, target.ports[leg])
            if pause_s > 0.25:
                room.studio.tick()
        rest = Stream(
            port=stream.port,
            sound=sound[SECOND:].tobytes(),
            sequence=stream.sequence + 50,
            ts=stream.ts + SECOND,
            source=own,
        )
        room.play([rest], 2.1)
        room.close(target)
        room.close(beside)

        assert not room.faults
        find(room.kept(recording).sound, 1, sound)
        reports = room.kept(attacked).of(StreamReport)
        counted = sum(one.packets + one.strangers for one in reports)
        assert counted <= len(sent)
