"""Streams that do what nobody agreed on."""

import pytest

from callseal.agent.call import Gap, StreamReport
from callseal.agent.sdp.session import Format
from support.media_room import KEYS, PCMU, ULAW, media_room, plan
from support.rtp_sender import Stream, codes

SECOND = 8000


@pytest.mark.parametrize(
    ("formats", "is_noise"),
    [((PCMU, KEYS), True), ((PCMU, Format(payload_type=13, name="TELEPHONE-EVENT", clock_hz=8000)), False)],
)
def test_comfort_noise_is_known_by_its_number_where_nothing_else_was_agreed_on(
    formats: tuple[Format, ...],
    is_noise: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    with media_room() as room:
        reserved = room.reserve(1)
        port = reserved.ports[0]
        recording = room.open(reserved, [plan(port, 0, formats=formats)], ULAW)
        speech = codes(1, SECOND).tobytes()
        noise = Stream(
            port=port, sound=b"\x40", packet_bytes=1, payload_type=13, sequence=50, ts=SECOND, begins_s=1.0
        )
        after = Stream(port=port, sound=speech, sequence=51, ts=4 * SECOND, begins_s=4.0)
        room.play([Stream(port=port, sound=speech, sequence=0, ts=0), noise, after], 5.2)
        room.close(reserved)
        (report,) = room.kept(recording).of(StreamReport)
        gap = next(gap for gap in room.kept(recording).of(Gap) if not gap.channel)

        assert bool(report.comfort_noise) is is_noise
        assert gap.expected is is_noise
        assert report.malformed == (not is_noise)
