"""A bank of calls: each is recorded as if alone; what may still change is safe, and never doubled."""

import errno
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import cast
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from callseal.agent.call import AudioFormat, Block
from callseal.agent.errors import RecorderError
from callseal.codecs import g711
from callseal.codecs.au import Encoding
from callseal.seal.manifest import Result
from callseal.seal.recovery import Recovered
from support.recorded_calls import (
    HANGUP,
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
    recovery,
    talk,
)

ALAW = AudioFormat(encoding=Encoding.ALAW, rate_hz=RATE_HZ)
Coded = NDArray[np.uint8] | NDArray[np.int16]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with recording_desk(tmp_path / "spool", banked=True) as found:
        yield found


def _bank(recordings: list[UUID], frames: list[Coded], start: int, end: int, tentative: int = 0) -> Block:
    """Give the same stretch of several calls."""
    return Block(
        recordings=tuple(recordings),
        start_samples=np.full(len(recordings), start, np.int64),
        payload=cast("Coded", np.stack([one[start:end] for one in frames])),
        present=np.ones((len(recordings), 2, -(-(end - start) // 80)), np.bool_),
        tentative_samples=tentative,
    )


def _speak(desk: Desk, recordings: list[UUID], frames: list[Coded], *, samples: int) -> int:
    """Say so much of some calls as a gateway does: seconds that stay, 0.75 s late, and what may still change.

    Return from which sample on it may.
    """
    stays = 0
    for now in range(6_400, samples + 1, 6_400):
        desk.clock.elapsed_s += 0.8
        final = RATE_HZ if now - 6_000 >= stays + RATE_HZ else 0
        desk.recorder.write(_bank(recordings, frames, stays, now, now - stays - final))
        stays += final
    return stays


def _calls(form: AudioFormat, count: int, seconds: int) -> list[Coded]:
    return [coded(talk(seconds * RATE_HZ, seed), form) for seed in range(count)]


@cache
def _long_calls() -> list[Coded]:
    """Give two calls of 70 s: twelve steps of 5.5 s at most."""
    return _calls(ULAW, 2, 70)


@pytest.mark.parametrize("form", [ULAW, ALAW, PCM16], ids=lambda form: form.encoding.name)
def test_what_came_again_stands_in_the_recording_once(desk: Desk, form: AudioFormat) -> None:
    frames = _calls(form, 3, 8)
    recordings = [desk.recorder.open(QUIET, form) for _ in frames]

    stays = _speak(desk, recordings, frames, samples=6 * RATE_HZ)
    for recording, said in zip(recordings, frames, strict=True):
        desk.recorder.write(block(recording, stays, said[stays:]))
        desk.recorder.close(recording, HANGUP)

    found = {folder.name: open_bundle(folder).frames for folder in desk.ready()}
    for recording, said in zip(recordings, frames, strict=True):
        assert np.array_equal(found[str(recording)], said)
    assert desk.alarms == []


def test_what_changed_before_it_came_to_stay_is_recorded_as_it_was_at_last(desk: Desk) -> None:
    first, second = _calls(ULAW, 2, 2)
    recording = desk.recorder.open(QUIET, ULAW)
    desk.recorder.write(_bank([recording], [first], 0, 12_000, 4_000))

    desk.recorder.write(block(recording, RATE_HZ, second[RATE_HZ:]))
    desk.recorder.close(recording, HANGUP)

    (folder,) = desk.ready()
    assert np.array_equal(open_bundle(folder).frames, np.concatenate([first[:RATE_HZ], second[RATE_HZ:]]))


@pytest.mark.parametrize("form", [ULAW, PCM16], ids=lambda form: form.encoding.name)
@pytest.mark.parametrize("blocks", [1, 2, 3, 7, 11, 26])
def test_when_the_agent_dies_what_might_still_have_changed_is_recovered_too(
    tmp_path: Path, form: AudioFormat, blocks: int
) -> None:
    """To the last sample that was handed in, though a second comes to stay only 0.75 s after its end."""
    samples = blocks * 6_400
    frames = _calls(form, 2, 1 + samples // RATE_HZ)
    with recording_desk(tmp_path / "spool", banked=True) as desk:
        recordings = [desk.recorder.open(QUIET, form) for _ in frames]
        _speak(desk, recordings, frames, samples=samples)

        found = recovery(desk).run()

        opened = {folder.name: open_bundle(folder) for folder in desk.ready()}
    assert all(isinstance(one, Recovered) and one.duration_s == samples / RATE_HZ for one in found)
    for recording, said in zip(recordings, frames, strict=True):
        assert np.array_equal(opened[str(recording)].frames, said[:samples])


def test_what_never_came_again_counts_as_it_was(desk: Desk) -> None:
    """The source may have died before it could say it for good."""
    (said,) = _calls(ULAW, 1, 2)
    recording = desk.recorder.open(QUIET, ULAW)
    desk.recorder.event(recording, answered())
    desk.recorder.write(_bank([recording], [said], 0, 15_000, 7_000))

    desk.recorder.close(recording, HANGUP)

    (folder,) = desk.ready()
    opened = open_bundle(folder)
    (checks,) = bodies(opened.vcon, "analysis", "type", "checks")
    assert np.array_equal(opened.frames, said[:15_000])
    assert opened.manifest.duration_samples == 15_000
    assert checks["outcome"] == "pass"


def test_a_block_of_which_nothing_stays_yet_is_kept_safe_all_the_same(desk: Desk) -> None:
    (said,) = _calls(ULAW, 1, 1)
    recording = desk.recorder.open(QUIET, ULAW)
    desk.clock.elapsed_s += 0.8
    desk.recorder.write(_bank([recording], [said], 0, 6_400, 6_400))

    recovery(desk).run()

    (folder,) = desk.ready()
    assert np.array_equal(open_bundle(folder).frames, said[:6_400])


def test_of_a_destroyed_call_not_even_what_might_have_changed_is_left(desk: Desk) -> None:
    (said,) = _calls(ULAW, 1, 2)
    recording = desk.recorder.open(QUIET, ULAW)
    desk.clock.elapsed_s += 1
    desk.recorder.write(_bank([recording], [said], 0, 2 * RATE_HZ, RATE_HZ))

    desk.recorder.discard(recording, replace(HANGUP, reasons=("refused",)))

    (folder,) = desk.ready()
    assert open_bundle(folder).inner == b""
    assert sorted(path.name.partition("-")[0] for path in folder.iterdir()) == [
        "call",
        "manifest.json",
        "manifest.sig",
    ]


def test_a_row_that_does_not_fit_is_refused_and_harms_no_other(desk: Desk) -> None:
    frames = _calls(ULAW, 4, 2)
    recordings = [desk.recorder.open(QUIET, ULAW) for _ in frames]
    desk.recorder.close(recordings[2], HANGUP)
    desk.recorder.write(_bank(recordings[:1], frames[:1], 0, 100))

    with pytest.raises(RecorderError, match=r"100 is the next \(and 1 more\)"):
        desk.recorder.write(_bank(recordings, frames, 0, RATE_HZ))
    for recording in (recordings[1], recordings[3]):
        desk.recorder.close(recording, HANGUP)

    found = {folder.name: open_bundle(folder).frames for folder in desk.ready()}
    for number in (1, 3):
        assert np.array_equal(found[str(recordings[number])], frames[number][:RATE_HZ])


def test_what_is_no_block_is_refused_whole(desk: Desk) -> None:
    (said,) = _calls(ULAW, 1, 1)
    recording = desk.recorder.open(QUIET, ULAW)
    good = _bank([recording], [said], 0, 800)

    for wrong in (
        replace(good, tentative_samples=801),
        replace(good, tentative_samples=-1),
        replace(good, recordings=(recording, recording)),
        replace(good, start_samples=np.zeros(2, np.int64)),
        replace(good, payload=good.payload[:, :, :1]),
        replace(_bank([recording, recording], [said, said], 0, 800)),
    ):
        with pytest.raises(RecorderError):
            desk.recorder.write(wrong)
    desk.recorder.close(recording, HANGUP)

    (folder,) = desk.ready()
    assert open_bundle(folder).manifest.duration_samples == 0


def test_an_empty_block_is_nothing(desk: Desk) -> None:
    (said,) = _calls(ULAW, 1, 1)
    recording = desk.recorder.open(QUIET, ULAW)

    desk.recorder.write(
        replace(_bank([recording], [said], 0, 0), recordings=(), start_samples=np.zeros(0, np.int64))
    )
    desk.recorder.write(_bank([recording], [said], 0, 0))
    desk.recorder.write(_bank([recording], [said], 0, 800))
    desk.recorder.close(recording, HANGUP)

    assert np.array_equal(open_bundle(desk.ready()[0]).frames, said[:800])


def test_calls_of_both_laws_may_share_a_bank(desk: Desk) -> None:
    frames = [coded(talk(2 * RATE_HZ, seed), form) for seed, form in enumerate((ULAW, ALAW, ULAW))]
    recordings = [desk.recorder.open(QUIET, form) for form in (ULAW, ALAW, ULAW)]

    desk.recorder.write(_bank(recordings, frames, 0, RATE_HZ))
    for recording in recordings:
        desk.recorder.event(recording, answered())
        desk.recorder.close(recording, HANGUP)

    found = {folder.name: open_bundle(folder) for folder in desk.ready()}
    levels = set()
    for recording, said in zip(recordings, frames, strict=True):
        opened = found[str(recording)]
        assert np.array_equal(opened.frames, said[:RATE_HZ])
        (checks,) = bodies(opened.vcon, "analysis", "type", "checks")
        channels = checks["channels"]
        assert isinstance(channels, list)
        levels |= {round(float(str(one["level_dbov"]))) for one in channels if isinstance(one, dict)}
    # The noise of `talk` has -26 dBov; by the wrong law it would have another level by far.
    assert levels == {-26}


@pytest.mark.parametrize("form", [ULAW, ALAW, PCM16], ids=lambda form: form.encoding.name)
def test_a_bank_is_checked_as_a_call_that_comes_in_pieces(tmp_path: Path, form: AudioFormat) -> None:
    speech = talk(4 * RATE_HZ + 300)
    speech[RATE_HZ : 2 * RATE_HZ, 1] = 0
    speech[2 * RATE_HZ : 2 * RATE_HZ + 50, 0] = 32767
    with recording_desk(tmp_path / "one") as one:
        record_call(one, form, samples=speech)
        (alone,) = bodies(open_bundle(one.ready()[0]).vcon, "analysis", "type", "checks")
    with recording_desk(tmp_path / "bank", banked=True) as bank:
        said = coded(speech, form)
        recordings = [bank.recorder.open(QUIET, form) for _ in range(3)]
        for second in range(5):
            end = min((second + 1) * RATE_HZ, said.shape[0])
            bank.recorder.write(_bank(recordings, [said] * 3, second * RATE_HZ, end))
        for recording in recordings:
            bank.recorder.event(recording, answered())
            bank.recorder.close(recording, HANGUP)

        for folder in bank.ready():
            (checks,) = bodies(open_bundle(folder).vcon, "analysis", "type", "checks")

            assert checks == alone


def test_the_first_second_of_a_call_may_be_a_shorter_one(desk: Desk) -> None:
    (said,) = _calls(ULAW, 1, 3)
    recording = desk.recorder.open(QUIET, ULAW)
    desk.recorder.event(recording, answered())
    for start, end in ((0, 2_000), (2_000, 10_000), (10_000, 18_000)):
        desk.recorder.write(_bank([recording], [said], start, end))

    desk.recorder.close(recording, HANGUP)

    (checks,) = bodies(open_bundle(desk.ready()[0]).vcon, "analysis", "type", "checks")
    channels = checks["channels"]
    assert isinstance(channels, list)
    for channel in channels:
        assert isinstance(channel, dict)
        assert channel["first_second_samples"] == 2_000
        assert channel["judged_s"] == 2.0
        per_second = channel["per_second"]
        assert isinstance(per_second, dict)
        assert per_second["rms_dbov"] == pytest.approx([-26, -26, -26], abs=0.5)


def test_on_another_disk_a_call_goes_on_with_what_might_still_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first disk never confirmed, and what it never had: the second has it at once."""
    (said,) = _calls(ULAW, 1, 10)
    with recording_desk(tmp_path / "spool", second=tmp_path / "second", banked=True) as pair:
        recording = pair.recorder.open(QUIET, ULAW)
        _speak(pair, [recording], [said], samples=6 * 6_400)
        really, first = os.pwrite, pair.spool.root / "open"

        def refuse(descriptor: int, data: bytes, position: int) -> int:
            if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(first):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return really(descriptor, data, position)

        monkeypatch.setattr(os, "pwrite", refuse)
        pair.clock.elapsed_s += 0.8
        pair.recorder.write(_bank([recording], [said], 4 * RATE_HZ, 44_800, 44_800 - 5 * RATE_HZ))
        recovery(pair).run()

        (moved,) = pair.spools.all[1].ready()
        opened = open_bundle(moved.path)
    (call,) = bodies(opened.vcon, "analysis", "type", "call")
    assert call["continues"] == {"id": str(recording), "sample": 0}
    assert np.array_equal(opened.frames, said[:44_800])
    assert pair.results == []


def test_calls_begin_and_end_in_other_threads_while_others_are_written(tmp_path: Path) -> None:
    """A gateway opens and hangs up hundreds at once; no call loses a sample by that, or waits for it."""
    with recording_desk(tmp_path / "spool", banked=True) as desk:
        (said,) = _calls(ULAW, 1, 20)
        kept = [desk.recorder.open(QUIET, ULAW) for _ in range(4)]

        def come_and_go(number: int) -> UUID:
            recording = desk.recorder.open(QUIET, ULAW)
            desk.recorder.write(_bank([recording], [said], 0, 800 + number))
            desk.recorder.close(recording, HANGUP)
            return recording

        with ThreadPoolExecutor(4) as threads:
            passing = threads.map(come_and_go, range(40))
            _speak(desk, kept, [said] * 4, samples=15 * RATE_HZ)
            desk.recorder.tick()
            short = {str(recording): 800 + number for number, recording in enumerate(passing)}
        for recording in kept:
            desk.recorder.close(recording, HANGUP)

        found = {folder.name: open_bundle(folder).frames for folder in desk.ready()}
    assert len(found) == 44
    assert set(desk.results) == {Result.OK}
    for name, frames in found.items():
        assert np.array_equal(frames, said[: frames.shape[0]])
        assert frames.shape[0] == short.get(name, 18 * 6_400)
    assert desk.alarms == []


HALF_FLUSH_S = 0.25
"""A block that comes a little early is made safe with the ones before it: it need not wait for the next."""


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 20_000), st.integers(0, 24_000), st.floats(0, 1.5)), min_size=1, max_size=12
    )
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_wherever_the_agent_dies_all_that_was_handed_to_the_kernel_is_recovered(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, float]]
) -> None:
    """Whatever stays, whatever may still change, whenever it comes: two calls, each with its own sound."""
    frames = _long_calls()
    stays = reached = safe = 0
    with recording_desk(tmp_path_factory.mktemp("spools") / "spool", banked=True) as desk:
        recordings = [desk.recorder.open(QUIET, ULAW) for _ in frames]
        flushed_s = 0.0
        for final, tentative, pause_s in steps:
            desk.clock.elapsed_s += pause_s
            # Never back behind what was there already: a source's clock does not run backwards.
            end = max(stays + final + tentative, reached)
            desk.recorder.write(_bank(recordings, frames, stays, end, end - stays - final))
            stays, reached = stays + final, end
            if desk.clock.elapsed_s - flushed_s >= HALF_FLUSH_S:
                flushed_s, safe = desk.clock.elapsed_s, min(reached, stays + 24_000)

        recovery(desk).run()

        found = {folder.name: open_bundle(folder) for folder in desk.ready()}
    for recording, said in zip(recordings, frames, strict=True):
        opened = found[str(recording)]
        samples = opened.manifest.duration_samples
        assert safe <= samples <= reached
        assert samples == 0 or np.array_equal(opened.frames, said[:samples])


def test_idle_calls_of_a_law_without_a_zero_are_silent_by_their_level(desk: Desk) -> None:
    idle = np.full((12 * RATE_HZ, 2), g711.silence(g711.Law.A), np.uint8)
    recording = desk.recorder.open(QUIET, ALAW)
    desk.recorder.event(recording, answered())
    for second in range(12):
        desk.recorder.write(_bank([recording], [idle], second * RATE_HZ, (second + 1) * RATE_HZ))

    desk.recorder.close(recording, HANGUP)

    assert open_bundle(desk.ready()[0]).manifest.reasons == ("silent-agent", "silent-customer")
