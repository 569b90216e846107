"""What goes wrong in one place stays there: the sound of the other calls goes on."""

from dataclasses import replace

import pytest

from callseal.agent.call import StreamReport
from callseal.agent.errors import SourceError
from callseal.agent.media.commands import Discard, Open, Release
from callseal.agent.media.plans import RecordingPlan
from callseal.agent.media.ports import PORT_REST_S
from support.media_room import CALL, END, KEYS, NARROW, PCMU, ULAW, find, media_room, plan
from support.rtp_sender import Stream, codes

SECOND = 8000


def test_a_recording_that_can_not_be_written_does_not_harm_its_neighbours() -> None:
    sound = codes(1, 3 * SECOND)
    with media_room() as room:
        bad, good = room.reserve(), room.reserve()
        refused, recording = room.open(bad), room.open(good)
        room.recorder.refuses.add(refused)

        room.play([Stream(port=good.ports[0], sound=sound.tobytes())], 3.1)
        room.close(good)

        find(room.kept(recording).sound, 0, sound)
        assert room.faults
        assert room.studio.statistics().faults == len(room.faults)


def test_a_recording_that_could_not_be_written_is_closed_all_the_same() -> None:
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        room.recorder.refuses.add(recording)

        room.rest(2.0)
        room.close(reserved)

        assert room.kept(recording).end == END


def test_a_bank_in_which_something_breaks_does_not_take_the_others_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound = codes(2, 3 * SECOND)
    with media_room() as room:
        broken, whole = room.reserve(), room.reserve()
        refused = room.open(broken, form=NARROW)
        recording = room.open(whole, form=ULAW)

        def event(_recording: object, _event: object) -> None:
            raise RuntimeError("a mistake")

        room.play([Stream(port=port, sound=sound[:SECOND].tobytes()) for port in broken.ports], 1.0)
        monkeypatch.setattr(room.recorder, "event", event)
        room.recorder.refuses.add(refused)
        room.play([Stream(port=whole.ports[0], sound=sound.tobytes())], 3.1)
        monkeypatch.undo()
        room.close(whole)

        find(room.kept(recording).sound, 0, sound)


def test_of_a_call_with_two_recordings_none_runs_when_one_can_not() -> None:
    with media_room() as room:
        reserved = room.reserve(1)
        fine = RecordingPlan(call=CALL, format=ULAW, streams=(plan(reserved.ports[0], 0),))
        wrong = RecordingPlan(call=CALL, format=ULAW, streams=(plan(9, 0),))
        recordings = (room.recorder.open(CALL, ULAW), room.recorder.open(CALL, ULAW))

        with pytest.raises(SourceError):
            room.execute(Open(reservation=reserved.id, plans=(fine, wrong), recordings=recordings))

        assert room.studio.statistics().recordings == 0
        room.open(reserved)


def test_a_call_that_must_not_be_recorded_is_dropped_and_nobody_else_gets_what_still_comes() -> None:
    with media_room(ports=(21000, 21011)) as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        room.play([Stream(port=reserved.ports[0], sound=codes(3, SECOND).tobytes())], 1.1)

        dropped = room.execute(Discard(reservation=reserved.id))

        room.rest(PORT_REST_S + 1)
        others = [room.reserve().ports for _ in range(room.turns.total // 2 - 1)]
        room.execute(Release(reservation=reserved.id))

        assert dropped == (recording,)
        assert not room.kept(recording).of(StreamReport)
        assert not set(reserved.ports) & {port for ports in others for port in ports}
        with pytest.raises(SourceError):
            room.close(reserved)


def test_a_port_can_not_bring_sound_to_two_recordings() -> None:
    with media_room() as room:
        reserved = room.reserve(2)
        one = room.open(reserved, [plan(reserved.ports[0], 0)])

        with pytest.raises(SourceError):
            room.open(reserved, [plan(reserved.ports[0], 1)])
        other = room.open(reserved, [plan(reserved.ports[1], 1)])
        with pytest.raises(SourceError):
            room.change(one, plan(reserved.ports[1], 0))

        room.close(reserved)
        assert room.kept(one).end == room.kept(other).end == END


def test_a_call_without_streams_is_a_silent_recording() -> None:
    with media_room() as room:
        reserved = room.reserve(1)
        recording = room.open(reserved, [])

        room.rest(3.0)
        room.close(reserved)

        assert len(room.kept(recording).sound) >= 3 * SECOND
        assert not room.faults


@pytest.mark.parametrize(
    "odd", [{"clock_hz": 0}, {"clock_hz": 10**9}, {"payload_type": 300}, {"payload_type": -1}]
)
def test_a_format_that_can_be_none_costs_no_call(odd: dict[str, int]) -> None:
    sound = codes(4, SECOND)
    with media_room() as room:
        reserved = room.reserve(1)
        strange = replace(KEYS, **odd)  # type: ignore[arg-type]
        recording = room.open(reserved, [plan(reserved.ports[0], 0, formats=(PCMU, strange))])

        room.play([Stream(port=reserved.ports[0], sound=sound.tobytes())], 1.1)
        room.close(reserved)

        find(room.kept(recording).sound, 0, sound)
        assert not room.faults


def test_a_stream_that_has_no_port_of_the_call_is_refused() -> None:
    with media_room() as room:
        reserved, other = room.reserve(), room.reserve()
        recording = room.open(reserved)

        with pytest.raises(SourceError):
            room.change(recording, plan(other.ports[0], 0))


def test_a_recording_that_is_not_known_is_told_so() -> None:
    with media_room() as room:
        reserved = room.reserve()
        recording = room.open(reserved)
        room.close(reserved)

        with pytest.raises(SourceError):
            room.change(recording, plan(reserved.ports[0], 0))
