"""How a finished recording leaves the spool for good: whole, then not at all.

::

    ready/<id>/  →  removing/<id>/  →  gone

One rename, made durable in both folders, takes the recording out of every reader's sight; only then are its
files deleted. What a crash leaves in ``removing/`` is nobody's recording any more, and `finish` deletes it at
the next start. Whether a recording may go is not decided here.

Conventions: only who holds the spool's lock as its uploader may remove. What lies in ``removing/`` and is not
named by an id is left alone. A link is no recording: what it leads to lies elsewhere and is never touched.
All errors of the disk are SpoolError; the same call may be made again, and carries on.
"""

import stat
from pathlib import Path
from typing import Final
from uuid import UUID

from callseal.seal import durable
from callseal.seal.durable import Step, no_step
from callseal.seal.errors import SpoolError
from callseal.seal.spool import Bundle, Spool

UPLOADER: Final = "uploader"


def remove(spool: Spool, bundle: Bundle, *, step: Step = no_step) -> None:
    """Delete a recording of ``ready/``; `step` hears the name of each step before it is taken.

    SpoolError if it is not there, if it is a link, if another of the same id is being removed, or if the disk
    refuses.
    """
    _check_lock(spool)
    target = spool.removing_path / str(bundle.id)
    source = spool.ready_path / target.name
    try:
        if not stat.S_ISDIR(source.lstat().st_mode):
            raise SpoolError(f"{source}: not a folder of its own (a link is none): nothing was deleted")
        step("move to removing")
        source.rename(target)
        step("sync ready")
        durable.sync_folder(spool.ready_path)
        _delete(spool, target, step)
    except OSError as problem:
        raise _refused(problem, target) from problem


def finish(spool: Spool, *, step: Step = no_step) -> list[UUID]:
    """Delete what an uploader that died was about to delete; return the recordings.

    SpoolError, once all others are gone, for one that can't be deleted.
    """
    _check_lock(spool)
    found = spool.removing()
    problem: OSError | None = None
    if found:
        try:
            # The run that moved them may have died before this was durable: one that came back to ready/
            # after a power cut must be whole.
            step("sync ready")
            durable.sync_folder(spool.ready_path)
        except OSError as refused:
            raise _refused(refused, spool.ready_path) from refused
    for recording in found:
        try:
            _delete(spool, spool.removing_path / str(recording), step)
        except OSError as refused:
            problem = problem or refused
    if problem is not None:
        raise _refused(problem, spool.removing_path) from problem
    return found


def _delete(spool: Spool, path: Path, step: Step) -> None:
    step("sync removing")
    durable.sync_folder(spool.removing_path)
    if path.is_symlink():
        step("remove link")
        path.unlink()
    else:
        for item in sorted(path.iterdir()):
            step(f"remove {item.name}")
            item.unlink()
        step("remove folder")
        path.rmdir()
    step("sync removing again")
    durable.sync_folder(spool.removing_path)


def _refused(problem: OSError, path: Path) -> SpoolError:
    return SpoolError(f"{problem.filename or path}: {problem.strerror}")


def _check_lock(spool: Spool) -> None:
    if not spool.holds(UPLOADER):
        raise SpoolError(f"{spool.root}: not locked by this uploader: call lock() first")
