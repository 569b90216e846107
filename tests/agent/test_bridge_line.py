"""A bridged call: what the child reports and the taps hold becomes one recording, however the call ends."""

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from callseal.agent.announcement import Announcement, Programme, prepare
from callseal.agent.call import (
    Answered,
    AudioFormat,
    Disclosure,
    DisclosureFailed,
    Ending,
    EndReason,
    MediaLost,
    Recorder,
)
from callseal.agent.errors import ProtocolError
from callseal.agent.sources.bridge import protocol
from callseal.agent.sources.bridge.line import Line, wall_clock
from callseal.agent.sources.bridge.protocol import Refuse, Route
from callseal.agent.sources.bridge.routing import Plan
from callseal.codecs import g711
from callseal.codecs.au import Encoding
from callseal.seal.errors import SpoolError
from callseal.seal.reasons import REASONS
from support.bridged_calls import (
    EARLY,
    MEDIA_S,
    NOW,
    NOW_S,
    RATE_HZ,
    RECORDING,
    START,
    TICK,
    Child,
    Notebook,
    Samples,
    tap_tracks,
)
from support.recorded_calls import CALL

VOICE = np.random.default_rng(9).integers(300, 9000, 4000).astype(np.int16)
PROGRAMME = prepare(
    ["zh"], {"zh": Announcement(name="zh", language="zh-CN", sha256="ab" * 32, samples=VOICE)}, RATE_HZ
)
ROUTE = Route(
    call=1,
    token="ab" * 16,
    target="sip:x@pbx",
    from_uri="sip:8001@desk",
    caller="agent",
    record=True,
    announcement="zh",
    on_failure="record",
    hold_talk=True,
    response_timeout_s=6.0,
    ring_timeout_s=60.0,
)
PLAN = Plan(command=ROUTE, call=CALL)
PRIVATE = PLAN.unrecorded("rule-never")


def _line(plan: Plan = PLAN, programme: Programme | None = None) -> Line:
    return Line(plan, programme, RATE_HZ, wall_clock(NOW, NOW_S))


def _is_open(fd: int) -> bool:
    return Path(f"/proc/self/fd/{fd}").is_symlink()


def _tapped(line: Line, child: Child) -> None:
    line.tapped(protocol.Tapped(call=1, at_s=NOW_S), child.fds)


def _media(line: Line, recorder: Recorder, agent: str = "PCMU", customer: str = "PCMU") -> None:
    line.media(protocol.Media(call=1, at_s=MEDIA_S, agent_codec=agent, customer_codec=customer), recorder)


def _answered(line: Line, recorder: Recorder, at_s: float = MEDIA_S) -> None:
    line.answered(protocol.Answered(call=1, at_s=at_s), recorder)


def _ended(
    line: Line, recorder: Recorder, ending: str = "hangup", by: str = "customer", code: int = 200
) -> None:
    line.ended(protocol.Ended(call=1, at_s=NOW_S + 61, ending=ending, by=by, code=code), recorder)


def _recorded(line: Line, child: Child, tracks: list[Samples], **codecs: str) -> Notebook:
    """Run a whole answered call."""
    recorder = Notebook()
    _tapped(line, child)
    _media(line, recorder, **codecs)
    _answered(line, recorder)
    child.write(tracks)
    line.pump(recorder)
    child.leave()
    _ended(line, recorder)
    return recorder


@pytest.mark.parametrize(
    ("codec", "encoding", "law"), [("PCMU", Encoding.ULAW, g711.Law.MU), ("PCMA", Encoding.ALAW, g711.Law.A)]
)
def test_a_call_with_one_law_is_recorded_in_that_law(codec: str, encoding: Encoding, law: g711.Law) -> None:
    tracks = tap_tracks()

    recorder = _recorded(_line(), Child(), tracks, agent=codec, customer=codec)

    assert recorder.opened == [(CALL, AudioFormat(encoding=encoding, rate_hz=RATE_HZ))]
    expected = np.stack([tracks[0][START:], tracks[1][START:]], axis=1)
    assert recorder.payload.dtype == np.uint8
    assert np.array_equal(recorder.payload, g711.encode(expected, law))


@pytest.mark.parametrize(
    ("agent", "customer"), [("PCMU", "PCMA"), ("PCMA", "PCMU"), ("OPUS", "OPUS"), ("", "")]
)
def test_a_call_with_two_laws_is_recorded_in_linear_samples(agent: str, customer: str) -> None:
    tracks = tap_tracks()

    recorder = _recorded(_line(), Child(), tracks, agent=agent, customer=customer)

    assert recorder.opened[0][1].encoding is Encoding.PCM16
    assert recorder.payload.dtype == np.int16
    assert np.array_equal(recorder.payload, np.stack([tracks[0][START:], tracks[1][START:]], axis=1))


def test_sound_is_handed_on_as_it_comes_without_gap_or_overlap() -> None:
    line, child, recorder = _line(), Child(), Notebook()
    tracks = tap_tracks(talk_samples=12_345)
    _tapped(line, child)
    _media(line, recorder)

    for begin in range(0, tracks[0].size, 1000):
        child.write([samples[begin : begin + 1000] for samples in tracks])
        line.pump(recorder)
    child.leave()
    _ended(line, recorder)

    position = 0
    for block in recorder.blocks:
        assert block.recordings == (RECORDING,)
        assert block.start_samples.tolist() == [position]
        assert block.present.shape == (1, 2, -(-block.payload.shape[1] // 80))
        assert block.present.all()
        position += block.payload.shape[1]
    assert position == 12_345
    assert len(recorder.blocks) > 10


def test_what_comes_after_the_last_pump_is_saved_at_the_end() -> None:
    line, child, recorder = _line(), Child(), Notebook()
    _tapped(line, child)
    _media(line, recorder)
    child.write(tap_tracks())
    child.leave()

    _ended(line, recorder)

    assert recorder.payload.shape == (8000, 2)


def test_the_end_is_told_with_who_ended_it_and_when() -> None:
    recorder = _recorded(_line(), Child(), tap_tracks())

    assert recorder.closed == [
        EndReason(ending=Ending.HANGUP, at=NOW + timedelta(seconds=61), by="customer", sip_code=200)
    ]
    assert recorder.exempted == []


def test_the_answer_is_placed_in_the_recording_whether_it_comes_before_or_after_the_sound() -> None:
    places = []
    for answer_first in (True, False):
        line, child, recorder = _line(), Child(), Notebook()
        _tapped(line, child)
        if answer_first:
            _answered(line, recorder, MEDIA_S + 0.25)
            _media(line, recorder)
        else:
            _media(line, recorder)
            _answered(line, recorder, MEDIA_S + 0.25)
        child.leave()
        _ended(line, recorder)
        places.append(recorder.all_of(Answered))

    expected = Answered(at=NOW + timedelta(seconds=0.75), position_samples=2000 + EARLY)
    assert places == [[expected], [expected]]


def test_an_answer_from_before_the_sound_is_placed_at_its_beginning() -> None:
    line, child, recorder = _line(), Child(), Notebook()
    _tapped(line, child)
    _answered(line, recorder, NOW_S + 0.1)
    _media(line, recorder)
    child.leave()
    _ended(line, recorder)

    assert recorder.all_of(Answered) == [Answered(at=NOW + timedelta(seconds=0.1), position_samples=0)]


def test_both_legs_are_named_by_their_call_ids() -> None:
    line, child, recorder = (
        _line(replace(PLAN, call=replace(CALL, sip_call_ids=("first",)))),
        Child(),
        Notebook(),
    )
    _tapped(line, child)
    line.dialled(protocol.Dialled(call=1, sip_call_id="second"))
    _media(line, recorder)
    child.leave()
    _ended(line, recorder)

    assert recorder.opened[0][0].sip_call_ids == ("first", "second")


def _announced(heard_samples: int | None, *, answered: bool = True) -> Notebook:
    line, child, recorder = _line(programme=PROGRAMME), Child(), Notebook()
    _tapped(line, child)
    _media(line, recorder)
    if answered:
        _answered(line, recorder)
    line.announcing(protocol.Announcing(call=1, at_s=MEDIA_S, heard_by=["customer", "agent"]), recorder)
    child.write(tap_tracks(announced=PROGRAMME.samples[:heard_samples]))
    line.announced(recorder)
    child.leave()
    _ended(line, recorder)
    return recorder


def test_an_announcement_that_was_heard_is_told_once_with_its_place() -> None:
    recorder = _announced(None)

    part = PROGRAMME.parts[0]
    assert recorder.all_of(Disclosure) == [
        Disclosure(
            name="zh",
            language="zh-CN",
            sha256="ab" * 32,
            start_samples=part.start_samples,
            end_samples=part.end_samples,
            complete=True,
            heard_by=("agent", "customer"),
        )
    ]


def test_an_announcement_is_told_as_soon_as_it_was_heard_and_not_only_at_the_end() -> None:
    line, child, recorder = _line(programme=PROGRAMME), Child(), Notebook()
    _tapped(line, child)
    _media(line, recorder)
    _answered(line, recorder)
    child.write(tap_tracks(announced=PROGRAMME.samples))

    line.announced(recorder)
    told = recorder.all_of(Disclosure)
    child.leave()
    _ended(line, recorder)

    assert len(told) == 1
    assert recorder.all_of(Disclosure) == told


def test_an_announcement_that_was_cut_off_by_the_hang_up_is_told_as_far_as_it_came() -> None:
    recorder = _announced(PROGRAMME.parts[0].start_samples + 1234)

    (found,) = recorder.all_of(Disclosure)
    assert isinstance(found, Disclosure)
    assert found.end_samples == PROGRAMME.parts[0].start_samples + 1234
    assert not found.complete


def test_an_announcement_that_was_never_heard_is_told_as_missing() -> None:
    (found,) = _announced(0).all_of(Disclosure)

    assert isinstance(found, Disclosure)
    assert (found.start_samples, found.end_samples, found.heard_by) == (None, None, ())


def test_who_hung_up_before_the_answer_was_owed_no_announcement() -> None:
    recorder = _announced(0, answered=False)

    assert recorder.all_of(Disclosure) == []


@pytest.mark.parametrize("before_media", [True, False])
def test_an_announcement_that_can_not_be_played_is_told(*, before_media: bool) -> None:
    line, child, recorder = _line(programme=PROGRAMME), Child(), Notebook()
    failed = protocol.AnnouncementFailed(call=1, detail="its player did not open")
    _tapped(line, child)
    if before_media:
        line.announcement_failed(failed, recorder)
    _media(line, recorder)
    if not before_media:
        line.announcement_failed(failed, recorder)
    _answered(line, recorder)
    child.leave()
    _ended(line, recorder)

    assert recorder.all_of(DisclosureFailed) == [DisclosureFailed(detail="its player did not open")]
    assert recorder.all_of(Disclosure) == []


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        ("busy", "unanswered-busy"),
        ("cancelled", "unanswered-cancelled"),
        ("rejected", "unanswered-rejected"),
        ("unreachable", "unanswered-unreachable"),
        ("no-answer", "unanswered-timeout"),
        ("hangup", "unanswered-cancelled"),
    ],
)
def test_a_call_that_nobody_answered_leaves_a_trace_without_sound(ending: str, reason: str) -> None:
    line, child, recorder = _line(), Child(), Notebook()
    _tapped(line, child)
    child.leave()

    _ended(line, recorder, ending, by="", code=0)

    assert (recorder.opened, recorder.closed) == ([], [])
    ((call, end),) = recorder.exempted
    assert call == CALL
    assert end == EndReason(
        ending=Ending(ending), at=NOW + timedelta(seconds=61), by=None, sip_code=None, reasons=(reason,)
    )
    assert reason in REASONS


def test_early_sound_of_a_call_that_nobody_answered_is_kept() -> None:
    line, child, recorder = _line(), Child(), Notebook()
    _tapped(line, child)
    _media(line, recorder)
    child.write(tap_tracks())
    child.leave()

    _ended(line, recorder, "no-answer", by="", code=408)

    assert recorder.closed[0].reasons == ("unanswered-timeout",)
    assert recorder.payload.shape == (8000, 2)


def test_a_call_that_is_not_to_be_recorded_leaves_only_its_trace() -> None:
    line, recorder = _line(PRIVATE), Notebook()
    _answered(line, recorder)
    line.pump(recorder)

    _ended(line, recorder)

    assert recorder.opened == []
    assert recorder.exempted[0][1].reasons == ("rule-never",)


def test_an_answered_call_without_any_sound_says_so() -> None:
    line, child, recorder = _line(), Child(), Notebook()
    _tapped(line, child)
    _answered(line, recorder)
    child.leave()

    _ended(line, recorder)

    assert recorder.exempted[0][1].reasons == ("no-media",)


def test_a_call_that_went_on_unrecorded_because_its_announcement_failed_says_so() -> None:
    line, recorder = _line(programme=PROGRAMME), Notebook()
    line.announcement_failed(protocol.AnnouncementFailed(call=1, detail="x"), recorder)
    _answered(line, recorder)

    _ended(line, recorder)

    assert recorder.exempted[0][1].reasons == ("disclosure-failed",)


def test_a_call_that_the_disk_refused_says_so() -> None:
    line, child, recorder = _line(), Child(), Notebook(refuse=True)
    _tapped(line, child)
    with pytest.raises(SpoolError):
        _media(line, recorder)
    _answered(line, recorder)
    child.write(tap_tracks())
    line.pump(recorder)
    child.leave()

    recorder.refuse = False
    _ended(line, recorder)

    assert recorder.exempted[0][1].reasons == ("write-failed",)


def test_what_a_dead_child_had_recorded_is_saved() -> None:
    line, child, recorder = _line(), Child(), Notebook()
    _tapped(line, child)
    _media(line, recorder)
    _answered(line, recorder)
    child.write([samples[: START + 3000 + 100 * track] for track, samples in enumerate(tap_tracks())])
    child.leave()

    line.lost(NOW + timedelta(seconds=7), recorder)

    assert recorder.payload.shape == (3200, 2)
    assert recorder.closed == [
        EndReason(ending=Ending.SOURCE_DIED, at=NOW + timedelta(seconds=7), reasons=("bridge-died",))
    ]


def test_a_dead_child_that_had_recorded_nothing_leaves_a_trace() -> None:
    line, recorder = _line(), Notebook()
    _answered(line, recorder)

    line.lost(NOW, recorder)

    assert recorder.exempted[0][1].reasons == ("bridge-died",)


def test_an_end_that_nobody_knows_is_treated_as_the_childs_death_and_everything_is_saved() -> None:
    line, child, recorder = _line(), Child(), Notebook()
    _tapped(line, child)
    _media(line, recorder)
    child.write(tap_tracks())
    child.leave()

    _ended(line, recorder, "eaten by the dog")

    assert recorder.payload.shape == (8000, 2)
    assert recorder.closed[0].ending is Ending.SOURCE_DIED


def test_channels_that_could_not_be_aligned_are_told() -> None:
    tracks = tap_tracks()
    tracks[1][: 5 * TICK] = 0

    recorder = _recorded(_line(), Child(), tracks)

    (lost,) = recorder.all_of(MediaLost)
    assert isinstance(lost, MediaLost)
    assert "aligned" in lost.detail
    assert recorder.payload.shape == (8000, 2)


def test_the_memory_of_the_taps_is_let_go_at_the_end_even_if_the_recorder_fails() -> None:
    ended_well, ended_badly = Child(), Child()
    _recorded(_line(), ended_well, tap_tracks())

    line, recorder = _line(), Notebook(refuse=True)
    _tapped(line, ended_badly)
    ended_badly.leave()
    with pytest.raises(SpoolError):
        _ended(line, recorder, "busy")

    assert not any(_is_open(fd) for fd in (*ended_well.fds, *ended_badly.fds))


@pytest.mark.parametrize("count", [0, 2])
def test_taps_that_are_not_three_are_refused_and_closed(count: int) -> None:
    child = Child()
    child.leave()
    for fd in child.fds[count:]:
        os.close(fd)

    with pytest.raises(ProtocolError, match=f"{count} taps"):
        _line().tapped(protocol.Tapped(call=1, at_s=NOW_S), child.fds[:count])

    assert not any(_is_open(fd) for fd in child.fds)


def test_taps_that_come_twice_are_refused_and_the_first_ones_stay() -> None:
    line, first, second = _line(), Child(), Child()
    recorder = Notebook()
    _tapped(line, first)
    second.leave()

    with pytest.raises(ProtocolError, match="twice"):
        _tapped(line, second)
    _media(line, recorder)
    first.write(tap_tracks())
    first.leave()
    _ended(line, recorder)

    assert not any(_is_open(fd) for fd in second.fds)
    assert recorder.payload.shape == (8000, 2)


def test_reports_after_the_end_change_nothing() -> None:
    line, child = _line(), Child()
    recorder = _recorded(line, child, tap_tracks())
    before = len(recorder.blocks), len(recorder.events)

    line.pump(recorder)

    assert (len(recorder.blocks), len(recorder.events)) == before


def test_a_plan_without_a_call_has_no_line() -> None:
    with pytest.raises(ValueError, match="call"):
        _line(Plan(command=Refuse(call=1, code=403), call=None))


def test_clock_readings_become_wall_time() -> None:
    wall = wall_clock(NOW, 100.0)

    assert wall(100.0) == NOW
    assert wall(161.5) == NOW + timedelta(seconds=61.5)
    assert wall(99.0) == NOW - timedelta(seconds=1)
