"""A disk fails in the middle of a call: it is said at once, and the call goes on elsewhere, whole.

The first spool lies on a file system of its own, which fills up, becomes read-only, loses its device, answers
EIO or is taken out of the tree. With a second spool the call goes on there as another recording, and the two
together hold every sample. Without one the call goes on all the same, and what was safe is recovered once the
disk is back. Calls are said six times as fast as in life.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from callseal.agent.call import Ending, EndReason
from callseal.codecs.au import HEADER_BYTES
from callseal.config.settings import DESK_FLUSH_S
from callseal.seal.fields import JsonObject
from callseal.seal.manifest import Manifest, Result
from callseal.seal.recovery import Recovered
from callseal.seal.vcon import open_vcon
from support import pattern_agent
from support.disks import Disk, make_image, mounted, place_for_images
from support.pattern_agent import (
    BLOCK_S,
    FRAME_BYTES,
    OWNER,
    RATE_HZ,
    TICK_S,
    Agent,
    Course,
    Habit,
    Talk,
    holds_marker,
)
from support.programs import needed, refused
from support.recovered import open_finished, opened_whole
from support.sealed_recordings import check_folder

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("disks")]

DESK = Habit(flush_s=DESK_FLUSH_S)
GATEWAY = Habit(flush_s=0.5, banked=True, sync_s=1.0, late_blocks=8)
PACE = 6.0
TALK_S = 12.0
FAULT_S = 5.0
UNSAFE_S = (DESK_FLUSH_S + TICK_S) * PACE + BLOCK_S
"""How much may have been said, at this pace, since the last flush: one is begun at a tick or by a block."""
IMAGE_MB = 24
AT_ONCE_S = 1.5
"""A flush, and what a busy machine takes to get to it."""
ERRORS_READ_ONLY = "loop,errors=remount-ro"


@dataclass
class Workplace:
    """The folders of one test."""

    place: Path
    image: Path
    mount: Path
    second: Path

    @property
    def first(self) -> Path:
        return self.mount / "spool"

    def holds_marker(self) -> bool:
        files = [path for path in self.second.rglob("*") if path.is_file()]
        return any(map(holds_marker, [self.image, *files]))


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Workplace]:
    with place_for_images(IMAGE_MB) as place:
        image = make_image(place / "image", IMAGE_MB)
        yield Workplace(place=place, image=image, mount=tmp_path / "disk", second=tmp_path / "second")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One recording of a call: its sound, and what it goes on from."""

    manifest: Manifest
    frames: bytes
    continues: JsonObject | None


def _read_only(disk: Disk, _agent: Agent) -> None:
    disk.make_read_only()


def _cut_off(disk: Disk, _agent: Agent) -> None:
    disk.cut_off()


def _full(disk: Disk, _agent: Agent) -> None:
    disk.fill()


def _gone(disk: Disk, _agent: Agent) -> None:
    disk.vanish()


def _answers_eio(call: str, name: str) -> Callable[[Disk, Agent], None]:
    """Let the kernel answer one call with EIO, once, on one file of the recording or on the spool itself."""

    def act(disk: Disk, agent: Agent) -> None:
        strace = needed("strace", "strace")
        (folder,) = (disk.folder / "spool" / "open").iterdir()
        watched = str(folder / name) if name else str(disk.folder / "spool")
        watch = ["-P", watched, "-e", f"trace={call}", "-e", f"inject={call}:error=EIO:when=1"]
        tracer = subprocess.Popen(
            [strace, "-f", "-p", str(agent.pid), *watch],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = "" if tracer.stderr is None else tracer.stderr.readline()
        if "attached" not in line:
            tracer.kill()
            refused(f"strace may not attach: {line}")
        TRACERS.append(tracer)

    return act


TRACERS: list["subprocess.Popen[str]"] = []
FAULTS = {
    "full": _full,
    "read-only": _read_only,
    "no-device": _cut_off,
    "not-in-the-tree": _gone,
    "eio-on-audio": _answers_eio("write", "audio.age"),
    "eio-on-audio-sync": _answers_eio("fdatasync", "audio.age"),
    "eio-on-tail": _answers_eio("pwrite64", "tail"),
    "eio-on-tail-sync": _answers_eio("fdatasync", "tail"),
}
BANK_FAULTS = {
    "full": _full,
    "read-only": _read_only,
    "no-device": _cut_off,
    "eio-on-bank-sync": _answers_eio("syncfs", ""),
}
LATE = {"full", "not-in-the-tree", "eio-on-audio", "eio-on-audio-sync"}
"""What nobody can notice before the next chunk of the sound, or the next change of what is known of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An agent whose disk failed, after its calls were over."""

    talks: list[Talk]
    codes: list[str]
    alarm_after_s: float
    safe_samples: int


def _suffer(
    disk: Disk,
    spools: list[Path],
    fault: Callable[[Disk, Agent], None],
    *,
    habit: Habit = DESK,
    talks: int = 1,
    repair: bool = False,
) -> Ended:
    """Let an agent talk, and its first disk fail in the middle of the first call."""
    course = Course(in_all=talks, talk_s=lambda: TALK_S, answered_s=FAULT_S + 3.5, pace=PACE)
    agent = pattern_agent.start(spools, habit, course)
    try:
        began_s = time.monotonic()
        while not (said := agent.board.talks()) or said[0].said_samples < FAULT_S * RATE_HZ:
            assert time.monotonic() < began_s + 30, agent.alarms()
            time.sleep(0.01)
        before = agent.alarms()
        (talk,) = agent.board.talks()
        failed_s = time.monotonic()
        fault(disk, agent)
        if repair:
            while not agent.alarms():
                assert time.monotonic() < failed_s + 30
                time.sleep(0.01)
            (disk.folder / "ballast").unlink()
        code = agent.wait()
        alarms = agent.alarms()
    finally:
        agent.kill()
        for tracer in TRACERS:
            tracer.kill()
            tracer.communicate()
        TRACERS.clear()
    assert before == []
    assert code == 0, alarms
    assert alarms, "nobody was told"
    assert alarms[0].at_s - failed_s < (TALK_S - FAULT_S) / PACE, "the call was over before anybody was told"
    return Ended(
        talks=agent.board.talks(),
        codes=[alarm.code for alarm in alarms],
        alarm_after_s=alarms[0].at_s - failed_s,
        safe_samples=talk.said_samples - round(UNSAFE_S * RATE_HZ),
    )


def _parts(*spools: Path) -> dict[str, Part]:
    """Open every recording that is ready."""
    found = {}
    for spool in spools:
        for folder in (spool / "ready").iterdir():
            manifest = check_folder(folder, OWNER)
            (item,) = [item for item in manifest.objects if item.kind == "call"]
            vcon, _ = open_vcon(opened_whole((folder / item.name).read_bytes(), pattern_agent.reader()))
            plaintext = open_finished(folder, manifest, pattern_agent.reader())
            found[folder.name] = Part(
                manifest=manifest, frames=plaintext[HEADER_BYTES:], continues=_continues(vcon)
            )
    return found


def _continues(vcon: JsonObject) -> JsonObject | None:
    analysis = vcon.get("analysis", [])
    assert isinstance(analysis, list)
    for item in analysis:
        if isinstance(item, dict) and item["type"] == "call":
            body = item["body"]
            assert isinstance(body, dict)
            found = body.get("continues")
            assert found is None or isinstance(found, dict)
            return found
    return None


def _next_part(parts: dict[str, Part], recording: str) -> tuple[int, Part] | None:
    for part in parts.values():
        if part.continues is not None and part.continues["id"] == recording:
            sample = part.continues["sample"]
            assert isinstance(sample, int)
            return sample, part
    return None


def _check_whole(talk: Talk, parts: dict[str, Part], *, linked: bool) -> None:
    """Check that a call's recordings, put together as their links say, are all that was said."""
    recording = str(talk.recording)
    part: Part | None = parts[recording]
    joined, number = b"", 0
    while part is not None:
        joined += part.frames
        number += 1
        following = _next_part(parts, str(part.manifest.id))
        part = None
        if following is not None:
            sample, part = following
            assert sample * FRAME_BYTES <= len(joined), "a gap between the two"
            joined = joined[: sample * FRAME_BYTES]
            assert "disk-changed" in part.manifest.reasons
    assert joined == talk.said()
    assert (number > 1) == linked


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_with_a_second_spool_not_a_sample_is_lost(at: Workplace, fault: str) -> None:
    with mounted(at.image, at.mount, options=ERRORS_READ_ONLY) as disk:
        ended = _suffer(disk, [at.first, at.second], FAULTS[fault])
        if fault == "full":
            (disk.folder / "ballast").unlink()
    (talk,) = ended.talks

    with mounted(at.image, at.mount):
        found = pattern_agent.recover([at.first, at.second])
        parts = _parts(at.first, at.second)

    assert "write-failed" in ended.codes
    if fault not in LATE:
        assert ended.alarm_after_s < AT_ONCE_S
    assert [item.id for item in found if not isinstance(item, Recovered)] == []
    _check_whole(talk, parts, linked=True)
    assert not at.holds_marker()


@pytest.mark.parametrize("fault", sorted(BANK_FAULTS))
def test_at_a_gateway_what_the_bank_had_not_synced_goes_to_the_second_spool_too(
    at: Workplace, fault: str
) -> None:
    with mounted(at.image, at.mount, options=ERRORS_READ_ONLY) as disk:
        ended = _suffer(disk, [at.first, at.second], BANK_FAULTS[fault], habit=GATEWAY)
        if fault == "full":
            (disk.folder / "ballast").unlink()
    (talk,) = ended.talks

    with mounted(at.image, at.mount):
        found = pattern_agent.recover([at.first, at.second])
        parts = _parts(at.first, at.second)

    assert "write-failed" in ended.codes
    assert [item.id for item in found if not isinstance(item, Recovered)] == []
    _check_whole(talk, parts, linked=True)
    assert not at.holds_marker()


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_without_a_second_spool_what_was_safe_is_recovered_later(at: Workplace, fault: str) -> None:
    """The call goes on to its end, too."""
    with mounted(at.image, at.mount, options=ERRORS_READ_ONLY) as disk:
        ended = _suffer(disk, [at.first], FAULTS[fault])
        if fault == "full":
            (disk.folder / "ballast").unlink()
    (talk,) = ended.talks

    with mounted(at.image, at.mount):
        (found,) = pattern_agent.recover([at.first])
        (part,) = _parts(at.first).values()

    assert talk.over
    assert talk.said_samples == TALK_S * RATE_HZ
    assert isinstance(found, Recovered)
    assert part.manifest.id == talk.recording
    assert part.manifest.result is Result.DEGRADED
    assert talk.said().startswith(part.frames)
    assert len(part.frames) >= ended.safe_samples * FRAME_BYTES
    assert not at.holds_marker()


@pytest.mark.parametrize("fault", ["no-device", "read-only", "eio-on-tail-sync"])
def test_a_spool_that_failed_is_not_used_again_before_a_new_start(at: Workplace, fault: str) -> None:
    with mounted(at.image, at.mount, options=ERRORS_READ_ONLY) as disk:
        ended = _suffer(disk, [at.first, at.second], FAULTS[fault], talks=2)

    second = _parts(at.second)
    assert "spool-failed" in ended.codes
    assert str(ended.talks[1].recording) in second
    assert second[str(ended.talks[1].recording)].frames == ended.talks[1].said()


def test_a_spool_that_was_only_full_is_used_again_once_it_has_room(at: Workplace) -> None:
    with mounted(at.image, at.mount) as disk:
        ended = _suffer(disk, [at.first, at.second], _full, talks=2, repair=True)
        first = _parts(at.first)

    assert "spool-failed" not in ended.codes
    assert str(ended.talks[1].recording) in first
    assert first[str(ended.talks[1].recording)].frames == ended.talks[1].said()


def test_sound_that_is_to_be_destroyed_is_not_saved_from_a_disk_that_fails(at: Workplace) -> None:
    """The call turned out to be one that must not be recorded: no spool may get its sound then."""
    told: list[str] = []
    with (
        mounted(at.image, at.mount) as disk,
        pattern_agent.recorder_on(
            [at.first, at.second], DESK, lambda code, _words: told.append(code)
        ) as found,
    ):
        recording = found.recorder.open(pattern_agent.call(), pattern_agent.FORM)
        for block in range(10):
            pattern_agent.speak(found.recorder, recording, 0, block)
        disk.cut_off()
        end = EndReason(ending=Ending.HANGUP, at=datetime.now(UTC), reasons=("emergency",))
        found.recorder.discard(recording, end)

    with mounted(at.image, at.mount):
        pattern_agent.recover([at.first, at.second])
        parts = _parts(at.second)

    assert "write-failed" in told
    assert [part.frames for part in parts.values() if part.frames] == []
