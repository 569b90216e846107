"""A disk that refuses: the call goes on, the alarm comes at once, and the result says what happened."""

import errno
import itertools
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np
import pytest

from callseal.codecs.g711 import Law, encode
from callseal.seal.errors import SpoolError
from callseal.seal.manifest import Result
from callseal.seal.recovery import NotRecovered
from callseal.seal.state import parse_state
from callseal.seal.vcon import open_vcon
from support.recorded_calls import (
    CALL,
    HANGUP,
    PCM16,
    QUIET,
    RATE_HZ,
    ULAW,
    Desk,
    answered,
    block,
    bodies,
    open_bundle,
    recording_desk,
    recovery,
    talk,
    unsealed,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

SECOND = talk(RATE_HZ)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of 1 MiB."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or mount is None or umount is None:
        pytest.skip("only root can mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir(mode=0o700)
    command = [mount, "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("this account may not mount a file system, though it is root")
    try:
        yield folder
    finally:
        subprocess.run([umount, folder], check=True)


@pytest.fixture
def desk(small_disk: Path) -> Iterator[Desk]:
    with recording_desk(small_disk / "spool") as found:
        yield found


def _fill(disk: Path, leave_bytes: int = 0) -> Path:
    """Take what room there is, less `leave_bytes`, and give the file that takes it."""
    path = disk / "filler"
    room = os.statvfs(disk)
    size = room.f_bavail * room.f_frsize - leave_bytes
    path.write_bytes(bytes(size))
    return path


def test_a_disk_that_fills_up_is_alarmed_at_once_and_the_call_goes_on(desk: Desk) -> None:
    recording = desk.recorder.open(QUIET, PCM16)
    desk.recorder.event(recording, answered())
    alarmed_after = None

    for second in range(60):  # 32 kB a second: 1 MiB is full after some 30
        desk.recorder.write(block(recording, second * RATE_HZ, SECOND))
        if desk.alarms and alarmed_after is None:
            alarmed_after = second
    before_the_end = list(desk.alarms)
    desk.recorder.close(recording, HANGUP)

    assert alarmed_after is not None
    assert 20 < alarmed_after < 40
    assert len(before_the_end) == 1
    assert before_the_end[0][0] == "write-failed"
    assert str(recording) in before_the_end[0][1]
    assert desk.results == [Result.FAILED]
    assert desk.ready() == []


def test_what_was_written_before_the_disk_was_full_stays_for_recovery(desk: Desk) -> None:
    recording = desk.recorder.open(QUIET, PCM16)
    for second in range(40):
        desk.recorder.write(block(recording, second * RATE_HZ, SECOND))
    desk.recorder.close(recording, HANGUP)

    assert [bundle.id for bundle in desk.spool.unfinished()] == [recording]
    assert (desk.spool.root / "open" / str(recording) / "audio.age").stat().st_size > 500_000


def test_a_recording_that_can_not_begin_is_refused_with_an_alarm_and_a_trace(
    desk: Desk, small_disk: Path
) -> None:
    """Who asks can then do what the settings say; the ledger tells of it once there is room."""
    filler = _fill(small_disk)

    with pytest.raises(SpoolError, match="No space left"):
        desk.recorder.open(QUIET, ULAW)
    filler.unlink()
    desk.clock.elapsed_s += 10
    desk.ledger.tick(0)

    assert {code for code, _ in desk.alarms} == {"ledger-failed", "write-failed"}
    assert desk.ledger.open_recordings() == ()
    assert desk.ready() == []


def test_metadata_that_can_not_be_written_does_not_stop_the_sound(desk: Desk, small_disk: Path) -> None:
    recording = desk.recorder.open(QUIET, ULAW)
    filler = _fill(small_disk)
    desk.recorder.event(recording, answered())
    alarmed = list(desk.alarms)
    filler.unlink()
    codes = np.concatenate([encode(SECOND, Law.MU)] * 3)

    desk.recorder.write(block(recording, 0, codes))
    desk.recorder.close(recording, HANGUP)

    (folder,) = desk.ready()
    assert [code for code, _ in alarmed] == ["write-failed"]
    assert desk.results == [Result.OK]
    assert np.array_equal(open_bundle(folder).frames, codes)


def test_a_bundle_that_can_not_be_finished_is_alarmed_and_failed(desk: Desk, small_disk: Path) -> None:
    recording = desk.recorder.open(QUIET, ULAW)
    desk.recorder.write(block(recording, 0, encode(SECOND, Law.MU)))
    _fill(small_disk)

    desk.recorder.close(recording, HANGUP)

    assert {code for code, _ in desk.alarms} == {"write-failed"}
    assert desk.results == [Result.FAILED]
    assert desk.ready() == []


def test_room_that_comes_back_does_not_mend_a_recording_and_its_metadata_says_why(
    desk: Desk, small_disk: Path
) -> None:
    recording = desk.recorder.open(QUIET, ULAW)
    filler = _fill(small_disk)
    desk.recorder.write(block(recording, 0, encode(np.concatenate([SECOND] * 10), Law.MU)))
    filler.unlink()
    desk.recorder.write(block(recording, 10 * RATE_HZ, encode(SECOND, Law.MU)))

    desk.recorder.close(recording, HANGUP)

    document, _ = open_vcon(unsealed(desk.spool.root / "open" / str(recording) / "call.vcon.age"))
    (call,) = bodies(document, "analysis", "type", "call")
    assert (call["result"], call["reasons"]) == ("failed", ["write-failed"])
    assert desk.results == [Result.FAILED]
    assert desk.ready() == []


def test_other_calls_are_recorded_when_there_is_room_again(desk: Desk, small_disk: Path) -> None:
    lost = desk.recorder.open(QUIET, ULAW)
    filler = _fill(small_disk)
    desk.recorder.write(block(lost, 0, encode(np.concatenate([SECOND] * 10), Law.MU)))
    desk.recorder.close(lost, HANGUP)
    filler.unlink()

    kept = desk.recorder.open(QUIET, ULAW)
    desk.recorder.write(block(kept, 0, encode(SECOND, Law.MU)))
    desk.recorder.close(kept, HANGUP)

    assert desk.results == [Result.FAILED, Result.OK]
    assert [folder.name for folder in desk.ready()] == [str(kept)]


@pytest.fixture
def moved_desk(tmp_path: Path) -> Iterator[Desk]:
    """Give a recorder whose spool has lost its folder open/: a disk that refuses whoever is asking."""
    with recording_desk(tmp_path / "spool") as found:
        folder = found.spool.root / "open"
        folder.rmdir()
        yield found


def test_without_a_place_to_begin_opening_and_exempting_raise_the_disks_error(moved_desk: Desk) -> None:
    with pytest.raises(SpoolError, match="open"):
        moved_desk.recorder.open(QUIET, ULAW)
    with pytest.raises(SpoolError, match="its disk has failed"):
        moved_desk.recorder.exempt(CALL, HANGUP)


def test_audio_that_can_not_be_destroyed_is_alarmed_and_never_sent(tmp_path: Path) -> None:
    with recording_desk(tmp_path / "spool") as desk:
        recording = desk.recorder.open(QUIET, ULAW)
        folder = desk.spool.root / "open" / str(recording)
        (folder / "audio.age").unlink()
        (folder / "audio.age").mkdir()  # what unlink(2) refuses, also for root

        desk.recorder.discard(recording, replace(HANGUP, reasons=("refused",)))

        assert {code for code, _ in desk.alarms} == {"spool-failed", "write-failed"}
        assert desk.results == [Result.FAILED]
        assert desk.ready() == []


def test_what_lies_in_the_spool_is_for_its_owner_only(tmp_path: Path) -> None:
    with recording_desk(tmp_path / "spool") as desk:
        recording = desk.recorder.open(QUIET, ULAW)
        desk.recorder.write(block(recording, 0, encode(SECOND, Law.MU)))
        during = list((desk.spool.root / "open" / str(recording)).iterdir())
        modes = {stat.S_IMODE(path.stat().st_mode) for path in during}
        desk.recorder.close(recording, HANGUP)

        (folder,) = desk.ready()
        modes |= {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}

    assert modes == {0o600}


@pytest.fixture
def two_disks(small_disk: Path, tmp_path: Path) -> Iterator[Desk]:
    """Give a recorder whose second spool folder is on a disk with room."""
    with recording_desk(small_disk / "spool", second=tmp_path / "second") as found:
        yield found


def test_a_call_goes_on_in_the_second_folder_and_nothing_of_it_is_lost(
    two_disks: Desk, small_disk: Path
) -> None:
    """What the first disk never confirmed is in the second recording too: the two overlap, without a gap."""
    desk, speech = two_disks, talk(60 * RATE_HZ)
    first = desk.recorder.open(QUIET, PCM16)
    desk.recorder.event(first, answered())
    for second in range(60):  # 32 kB a second: the disk of 1 MiB is full after some 30
        desk.clock.elapsed_s += 1
        part = slice(second * RATE_HZ, (second + 1) * RATE_HZ)
        desk.recorder.write(block(first, second * RATE_HZ, speech[part]))

    desk.recorder.close(first, HANGUP)

    (folder,) = [bundle.path for bundle in desk.spools.all[1].ready()]
    document, _ = open_vcon(unsealed(next(folder.glob("call-*"))))
    (call,) = bodies(document, "analysis", "type", "call")
    continues = call["continues"]
    assert isinstance(continues, dict)
    at = continues["sample"]
    assert isinstance(at, int)
    opened = open_bundle(folder)
    assert continues["id"] == str(first)
    assert np.array_equal(opened.frames, speech[at:])
    assert call["answered_at_sample"] == -at
    assert desk.results == [Result.DEGRADED]
    assert call["reasons"] == ["disk-changed"]
    assert {code for code, _ in desk.alarms} >= {"write-failed"}

    (stuck,) = recovery(desk).run()
    subprocess.run(["mount", "-o", "remount,size=2m", small_disk], check=True)
    (recovered,) = recovery(desk).run()

    (before,) = [bundle.path for bundle in desk.spool.ready()]
    beginning = open_bundle(before).frames
    assert isinstance(stuck, NotRecovered)
    assert (stuck.id, recovered.id) == (first, first)
    assert len(beginning) >= at
    assert np.array_equal(beginning, speech[: len(beginning)])


def test_a_disk_that_was_only_full_is_used_again_and_one_that_failed_is_not(
    two_disks: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = two_disks
    recording = desk.recorder.open(QUIET, PCM16)

    really, disk = os.fdatasync, desk.spool.root.stat().st_dev

    def refuse(descriptor: int) -> None:
        if os.fstat(descriptor).st_dev == disk:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        really(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", refuse)
        desk.recorder.write(block(recording, 0, SECOND))
        desk.clock.elapsed_s += 1
        desk.recorder.tick()
    desk.recorder.close(recording, HANGUP)
    after = desk.recorder.open(QUIET, PCM16)

    assert (desk.spools.all[1].root / "open" / str(after)).is_dir()
    assert "spool-failed" in {code for code, _ in desk.alarms}
    desk.recorder.close(after, HANGUP)


def _refusing(number: int, folder: Path) -> Callable[[int], None]:
    """Give an fdatasync that fails for what lies in a folder."""
    really = os.fdatasync

    def refuse(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(folder):
            raise OSError(number, os.strerror(number))
        really(descriptor)

    return refuse


def _say(desk: Desk, recording: UUID, speech: "NDArray[np.int16]", seconds: range) -> None:
    for second in seconds:
        desk.clock.elapsed_s += 1
        start = second * RATE_HZ
        desk.recorder.write(block(recording, start, speech[start : start + RATE_HZ]))


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Desk]:
    """Give a recorder with two spool folders, both with room."""
    with recording_desk(tmp_path / "spool", second=tmp_path / "second") as found:
        yield found


def test_a_call_that_changes_disks_twice_tells_each_time_where_it_goes_on(
    pair: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the second folder, and back to the first, which was only full: each time in the part before."""
    speech = talk(30 * RATE_HZ)
    recording = pair.recorder.open(QUIET, PCM16)
    pair.recorder.event(recording, answered())
    _say(pair, recording, speech, range(10))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", _refusing(errno.ENOSPC, pair.spools.all[0].root / "open"))
        _say(pair, recording, speech, range(10, 11))
    _say(pair, recording, speech, range(11, 20))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", _refusing(errno.EIO, pair.spools.all[1].root / "open"))
        _say(pair, recording, speech, range(20, 21))
    _say(pair, recording, speech, range(21, 30))
    pair.recorder.close(recording, HANGUP)

    recovery(pair).run()

    found = [bundle for spool in pair.spools.all for bundle in spool.ready()]
    parts = {bundle.id: open_bundle(bundle.path) for bundle in found}
    begins_at = 0
    for before, after in itertools.pairwise(sorted(parts)):
        (call,) = bodies(parts[after].vcon, "analysis", "type", "call")
        continues = call["continues"]
        assert isinstance(continues, dict)
        assert isinstance(continues["sample"], int)
        begins_at += continues["sample"]
        frames = parts[after].frames
        assert continues["id"] == str(before)
        assert len(parts[before].frames) >= continues["sample"]
        assert np.array_equal(frames, speech[begins_at : begins_at + len(frames)])
        assert parts[after].manifest.result is Result.DEGRADED
    assert len(parts) == 3
    assert begins_at + len(frames) == len(speech)


def test_the_state_of_what_goes_on_tells_when_its_own_first_sample_was(
    pair: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = pair.recorder.open(QUIET, PCM16)
    pair.recorder.event(recording, answered())
    _say(pair, recording, talk(10 * RATE_HZ), range(9))
    monkeypatch.setattr(os, "fdatasync", _refusing(errno.EIO, pair.spool.root / "open"))
    _say(pair, recording, talk(10 * RATE_HZ), range(9, 10))

    (bundle,) = pair.spools.all[1].unfinished()

    state = parse_state(bundle.read("state", 65536) or b"")
    assert state.continues is not None
    assert state.opened_at == QUIET.started_at + timedelta(
        milliseconds=round(state.continues.sample * 1000 / RATE_HZ)
    )
    pair.recorder.close(recording, HANGUP)


def test_a_change_of_disks_that_fails_half_way_leaves_no_file_open_and_no_sound_of_a_destroyed_call(
    pair: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second disk had taken the sound already when it refused."""
    recording = pair.recorder.open(QUIET, PCM16)
    _say(pair, recording, talk(RATE_HZ), range(1))
    before = set(Path("/proc/self/fd").iterdir())
    really, second = os.fsync, pair.spools.all[1].root / "open"

    def refuse(descriptor: int) -> None:
        if "call.vcon" in Path(f"/proc/self/fd/{descriptor}").readlink().name:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        really(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        patched.setattr(os, "fdatasync", _refusing(errno.EIO, pair.spool.root / "open"))
        pair.clock.elapsed_s += 1
        pair.recorder.write(block(recording, RATE_HZ, SECOND))
    after = set(Path("/proc/self/fd").iterdir())
    taken = [path.name for path in second.rglob("audio.age")]
    pair.recorder.discard(recording, replace(HANGUP, reasons=("refused",)))
    recovery(pair).run()

    ready = [bundle for spool in pair.spools.all for bundle in spool.ready()]
    assert taken == ["audio.age"]
    assert after <= before
    assert {open_bundle(bundle.path).manifest.result for bundle in ready} == {Result.EXEMPT}
    assert all(open_bundle(bundle.path).inner == b"" for bundle in ready)


def test_on_a_full_disk_sound_is_destroyed_at_once_and_what_makes_room_for_the_trace(
    desk: Desk, small_disk: Path
) -> None:
    """The ledger has no room either: a note that only waits in memory would not outlive the agent."""
    recording = desk.recorder.open(QUIET, ULAW)
    desk.recorder.write(block(recording, 0, encode(SECOND, Law.MU)))
    _fill(small_disk)

    desk.recorder.discard(recording, replace(HANGUP, reasons=("refused",)))

    (folder,) = desk.ready()
    assert desk.results == [Result.EXEMPT]
    assert not list(small_disk.rglob("audio*"))
    assert open_bundle(folder).manifest.reasons == ("refused",)
