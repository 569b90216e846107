"""Results: every call ends in one of four, with the reasons that an inspector asks for."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from callseal.agent.call import (
    AudioFormat,
    Disclosure,
    DisclosureFailed,
    Ending,
    EndReason,
    Event,
    MediaLost,
    Party,
)
from callseal.codecs import au, g711
from callseal.codecs.au import Encoding
from callseal.seal.manifest import Result
from callseal.seal.reasons import REASONS
from callseal.seal.verify import LocalFolder, verify_recording
from support.recorded_calls import (
    CALL,
    HANGUP,
    OWNER,
    PCM16,
    QUIET,
    RATE_HZ,
    ULAW,
    Desk,
    answered,
    block,
    bodies,
    coded,
    open_bundle,
    record_call,
    recording_desk,
    talk,
    unsealed,
)
from support.sealed_recordings import STARTED_AT

ALAW = AudioFormat(encoding=Encoding.ALAW, rate_hz=RATE_HZ)
TOLD = Disclosure(
    name="zh",
    language="zh-CN",
    sha256="ab" * 32,
    start_samples=100,
    end_samples=4000,
    complete=True,
    heard_by=("agent", "customer"),
)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with recording_desk(tmp_path / "spool") as found:
        yield found


def _files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def _outcome(desk: Desk) -> tuple[Result, tuple[str, ...]]:
    (folder,) = desk.ready()
    manifest = open_bundle(folder).manifest
    assert desk.results == [manifest.result]
    assert set(manifest.reasons) <= set(REASONS)
    (call,) = bodies(open_bundle(folder).vcon, "analysis", "type", "call")
    assert (call["result"], call["reasons"]) == (manifest.result.value, list(manifest.reasons))
    return manifest.result, manifest.reasons


def test_a_call_that_was_announced_as_due_is_ok(desk: Desk) -> None:
    record_call(desk, call=CALL, events=(answered(), TOLD))

    assert _outcome(desk) == (Result.OK, ())


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ((answered(),), "disclosure-missing"),
        (
            (answered(), replace(TOLD, start_samples=None, end_samples=None, complete=False, heard_by=())),
            "disclosure-missing",
        ),
        ((answered(), replace(TOLD, complete=False)), "disclosure-incomplete"),
        ((answered(), replace(TOLD, heard_by=("agent",))), "disclosure-incomplete"),
        ((answered(), replace(TOLD, name="en")), "disclosure-incomplete"),
        ((answered(), DisclosureFailed(detail="no player")), "disclosure-failed"),
    ],
)
def test_a_call_whose_announcement_was_not_heard_whole_by_both_is_degraded(
    desk: Desk, events: tuple[Event, ...], reason: str
) -> None:
    record_call(desk, call=CALL, events=events)

    assert _outcome(desk) == (Result.DEGRADED, (reason,))


def test_every_announcement_that_is_due_must_have_been_heard(desk: Desk) -> None:
    both = replace(CALL, announcements=("zh", "en"))

    record_call(desk, call=both, events=(answered(), TOLD))

    assert _outcome(desk) == (Result.DEGRADED, ("disclosure-incomplete",))


def test_a_call_that_nobody_answered_owes_no_announcement_and_is_ok(desk: Desk) -> None:
    end = EndReason(ending=Ending.BUSY, at=HANGUP.at, reasons=("unanswered-busy",))

    record_call(desk, call=CALL, events=(), end=end)

    assert _outcome(desk) == (Result.OK, ("unanswered-busy",))


def test_lost_sound_degrades_a_recording(desk: Desk) -> None:
    record_call(desk, events=(answered(), MediaLost(position_samples=5, detail="x")))

    assert _outcome(desk) == (Result.DEGRADED, ("media-lost",))


def test_what_the_source_says_of_the_end_degrades_a_recording(desk: Desk) -> None:
    end = EndReason(ending=Ending.SOURCE_DIED, at=HANGUP.at, reasons=("bridge-died", "bridge-died"))

    record_call(desk, end=end)

    assert _outcome(desk) == (Result.DEGRADED, ("bridge-died",))


def test_what_the_checks_find_degrades_a_recording(desk: Desk) -> None:
    samples = talk(12 * RATE_HZ)
    samples[:, 1] = 0

    record_call(desk, samples=samples)

    assert _outcome(desk) == (Result.DEGRADED, ("silent-customer",))


@pytest.mark.parametrize("law", g711.Law)
@pytest.mark.parametrize("linear", [False, True])
def test_clipping_is_found_also_where_two_laws_were_recorded_as_linear_samples(
    desk: Desk, law: g711.Law, *, linear: bool
) -> None:
    loud = talk(3 * RATE_HZ)
    loud[:, 0] *= np.int16(8)
    loud[:200, 0] = 32767
    received = g711.encode(loud, law)
    form = PCM16 if linear else ULAW if law is g711.Law.MU else ALAW

    record_call(desk, form, samples=g711.decode(received, law))

    assert _outcome(desk) == (Result.DEGRADED, ("clipped-agent",))


def test_before_the_answer_and_during_the_announcement_nothing_is_judged(desk: Desk) -> None:
    samples = talk(6 * RATE_HZ)
    samples[: 4 * RATE_HZ] = 32767
    told = replace(TOLD, start_samples=RATE_HZ, end_samples=4 * RATE_HZ)

    record_call(desk, call=CALL, samples=samples, events=(answered(RATE_HZ), told))

    assert _outcome(desk) == (Result.OK, ())


def test_half_a_second_of_silence_is_no_quiet_call(desk: Desk) -> None:
    record_call(desk, samples=np.ones((4000, 2), np.int16))

    assert _outcome(desk) == (Result.OK, ())
    (checks,) = bodies(open_bundle(desk.ready()[0]).vcon, "analysis", "type", "checks")
    assert checks["outcome"] == "not-checked"


def test_the_recording_begins_when_its_first_sample_was_spoken(desk: Desk) -> None:
    taken = replace(answered(), at=STARTED_AT + timedelta(seconds=20), position_samples=2 * RATE_HZ)

    record_call(desk, events=(taken,))

    dialog = open_bundle(desk.ready()[0]).vcon["dialog"]
    assert isinstance(dialog, list)
    assert isinstance(dialog[0], dict)
    assert dialog[0]["start"] == "2026-11-21T23:58:48.250Z"
    assert dialog[0]["duration"] == 3.0


def test_a_clock_that_was_set_back_during_the_call_does_not_break_the_bundle(desk: Desk) -> None:
    record_call(desk, end=replace(HANGUP, at=STARTED_AT - timedelta(hours=1)))

    manifest = open_bundle(desk.ready()[0]).manifest
    assert manifest.ended_at == manifest.started_at


def test_a_call_that_is_not_recorded_leaves_a_signed_trace_with_the_reason(desk: Desk) -> None:
    end = replace(HANGUP, reasons=("emergency",))

    recording = desk.recorder.exempt(CALL, end)

    (folder,) = desk.ready()
    opened = open_bundle(folder)
    report = verify_recording(LocalFolder(folder), LocalFolder(folder).prefix, OWNER.trust)
    assert folder.name == str(recording)
    assert report.intact
    assert _outcome(desk) == (Result.EXEMPT, ("emergency",))
    assert [item.kind for item in opened.manifest.objects] == ["call"]
    assert (opened.manifest.duration_samples, opened.manifest.rate_hz) == (0, None)
    assert opened.manifest.encoding is None
    assert bodies(opened.vcon, "analysis", "type", "checks") == []


def test_a_discarded_recording_leaves_no_audio_anywhere(desk: Desk) -> None:
    recording = desk.recorder.open(QUIET, PCM16)
    desk.recorder.write(block(recording, 0, talk(10 * RATE_HZ)))
    audio = desk.spool.root / "open" / str(recording) / "audio.age"
    assert audio.stat().st_size > 4 * 65_536

    desk.recorder.discard(recording, replace(HANGUP, reasons=("refused",)))

    (folder,) = desk.ready()
    opened = open_bundle(folder)
    assert _outcome(desk) == (Result.EXEMPT, ("refused",))
    assert [item.kind for item in opened.manifest.objects] == ["call"]
    assert (opened.manifest.duration_samples, opened.manifest.rate_hz) == (0, None)
    assert max(len(data) for data in _files(desk.spool.root).values()) < 20_000
    assert desk.alarms == []


def test_two_calls_never_share_an_id(desk: Desk) -> None:
    recordings = [desk.recorder.exempt(CALL, HANGUP) for _ in range(20)]

    assert len(set(recordings)) == 20
    assert len(desk.ready()) == 20


def test_names_that_can_not_be_written_are_alarmed_and_do_not_stop_the_sound(desk: Desk) -> None:
    """Half a surrogate pair has no UTF-8: the metadata can't be signed, and the sound is kept."""
    broken = replace(QUIET, customer=Party(number="", name="\udcc4"))
    recording = desk.recorder.open(broken, ULAW)
    desk.recorder.write(block(recording, 0, coded(talk(40_000), ULAW)))
    desk.recorder.event(recording, answered())

    desk.recorder.close(recording, HANGUP)

    assert {code for code, _ in desk.alarms} == {"write-failed"}
    assert desk.results == [Result.FAILED]
    audio = unsealed(desk.spool.root / "open" / str(recording) / "audio.age")
    assert len(audio) == au.HEADER_BYTES + 80_000
