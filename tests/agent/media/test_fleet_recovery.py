"""What a worker that died left open is recovered at once, and no other recording is touched."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from callseal.seal.manifest import Result
from callseal.seal.recovery import Recovered, Recovery
from callseal.seal.spool import Spool, SpoolInUse
from support.recorded_calls import (
    HANGUP,
    QUIET,
    RATE_HZ,
    ULAW,
    Desk,
    answered,
    block,
    coded,
    open_bundle,
    recording_desk,
    recovery,
    talk,
)


def begun(desk: Desk, seed: int) -> UUID:
    """Begin a recording, of which two seconds are safe."""
    frames = coded(talk(2 * RATE_HZ, seed), ULAW)
    recording = desk.recorder.open(QUIET, ULAW)
    desk.recorder.event(recording, answered())
    for start in range(0, len(frames), RATE_HZ):
        desk.clock.elapsed_s += 1.0
        desk.recorder.write(block(recording, start, frames[start : start + RATE_HZ]))
    return recording


def of_workers(desk: Desk) -> Recovery:
    return recovery(desk, reasons=("media-died",))


def test_the_recordings_of_others_go_on(tmp_path: Path) -> None:
    with recording_desk(tmp_path / "spool") as desk:
        left, running = begun(desk, 1), begun(desk, 2)

        (found,) = of_workers(desk).run({left})

        assert isinstance(found, Recovered)
        assert (found.id, found.result) == (left, Result.DEGRADED)
        assert desk.ledger.is_open(running)
        desk.recorder.close(running, HANGUP)
        first, second = (open_bundle(path) for path in desk.ready())
        assert (first.manifest.id, second.manifest.id) == (left, running)
        assert first.manifest.reasons == ("recovered", "media-died")
        assert first.manifest.duration_samples == 2 * RATE_HZ
        assert second.manifest.result is Result.OK


def test_what_only_the_ledger_knows_of_is_left_alone_where_it_is_another_workers(tmp_path: Path) -> None:
    with recording_desk(tmp_path / "spool") as desk:
        left, running = begun(desk, 1), begun(desk, 2)
        for path in (desk.spool.root / "open" / str(running)).iterdir():
            path.unlink()

        found = of_workers(desk).run({left})

        assert [one.id for one in found] == [left]


def test_what_is_complete_already_is_not_recovered_again(tmp_path: Path) -> None:
    with recording_desk(tmp_path / "spool") as desk:
        done = begun(desk, 1)
        desk.recorder.close(done, HANGUP)

        assert of_workers(desk).run({done}) == []

        (path,) = desk.ready()
        assert open_bundle(path).manifest.result is Result.OK


def test_a_spool_stays_locked_until_its_workers_have_ended_too(tmp_path: Path) -> None:
    """Or an agent that starts anew would recover what somebody still writes."""
    spool = Spool(tmp_path / "spool")
    with spool.lock():
        descriptor = spool.lock_descriptor()
        command = [sys.executable, "-c", "input()"]
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(descriptor,))

    with pytest.raises(SpoolInUse), Spool(spool.root).lock():
        pass
    worker.communicate(b"\n")
    with Spool(spool.root).lock():
        pass


def test_under_a_shared_lock_recordings_begin(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with spool.lock():
        shared = Spool(spool.root)
        shared.share_lock(spool.lock_descriptor())

        bundle = shared.begin(UUID(int=1))

        assert bundle.path.is_dir()
        assert fcntl.fcntl(spool.lock_descriptor(), fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        assert os.fstat(spool.lock_descriptor()).st_size == 0
