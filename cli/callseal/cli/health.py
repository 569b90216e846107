"""How the services on this machine are, by what they last said of themselves and by its disks.

Conventions: a status counts only while it is fresh: a service that died says "ready" for ever. Figures of one
that does not answer are not repeated, for they are those of another time: unknown is None. A service is
expected where the settings give it work: the agent with a ``[[source]]``, the uploader with that and a
``[[store]]``, the custodian with ``[custodian]``; others are looked at if they ever said anything.
`look` reads files and asks disks; nothing is changed. The rest is pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from callseal.cli import alarm_words
from callseal.cli.monitoring import Verdict, gravest
from callseal.config.settings import Settings
from callseal.seal.disk import Disk
from callseal.seal.errors import SpoolError
from callseal.seal.status import Reading, State, read

AGENT: Final = "agent"
UPLOADER: Final = "uploader"
CUSTODIAN: Final = alarm_words.CUSTODIAN
STALE_AFTER_S: Final[Mapping[str, float]] = {AGENT: 10.0, UPLOADER: 30.0, CUSTODIAN: 30.0}
"""An agent writes its status each second, the others every 5 s; a busy disk may hold up a few of them."""
LASTS_WARNING_S: Final = 24 * 3600
"""A disk that is full tomorrow needs somebody today, however empty it is."""

_MEBIBYTE: Final = 1024 * 1024
_STATES: Final[Mapping[State, Verdict]] = {
    State.STARTING: Verdict.WARNING,
    State.READY: Verdict.OK,
    State.NOT_READY: Verdict.CRITICAL,
    State.STOPPING: Verdict.WARNING,
    State.FAILED: Verdict.CRITICAL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service; `reading` is None where it never said anything, or `problem` says why that is unknown."""

    name: str
    folder: Path
    reading: Reading | None
    problem: str = ""

    @property
    def answers(self) -> bool:
        """Whether what it said of itself is of now."""
        return self.reading is not None and not self.reading.stale

    @property
    def verdict(self) -> Verdict:
        """How it is, its alarms included."""
        if self.problem:
            return Verdict.UNKNOWN
        if self.reading is None or self.reading.stale:
            return Verdict.CRITICAL
        status = self.reading.status
        alarms = (alarm_words.verdict(self.name, alarm.code) for alarm in status.alarms)
        return gravest((_STATES[status.state], *alarms))

    def counter(self, name: str) -> int | None:
        """Return a figure of now; None where it is not known."""
        if self.reading is None or self.reading.stale:
            return None
        return self.reading.status.counters.get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolDisk:
    """The disk under a spool; `disk` is None where it does not answer, and `problem` says why."""

    folder: Path
    disk: Disk | None
    problem: str
    warn_percent: int
    full_percent: int
    min_free_bytes: int

    @property
    def full(self) -> bool:
        """Whether no recording begins there."""
        disk = self.disk
        return disk is None or (
            disk.is_fuller_than(self.full_percent) or disk.free_bytes < self.min_free_bytes
        )

    @property
    def verdict(self) -> Verdict:
        """How it is by itself; whether another disk can take over is not asked here."""
        if self.disk is None:
            return Verdict.UNKNOWN
        if self.full:
            return Verdict.CRITICAL
        return Verdict.WARNING if self.disk.is_fuller_than(self.warn_percent) else Verdict.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How everything is. `local` are the recordings that lie in ``ready/``, None where that is unknown."""

    checked_at: datetime
    services: tuple[Service, ...]
    disks: tuple[SpoolDisk, ...]
    local: int | None

    @property
    def verdict(self) -> Verdict:
        """The gravest of all."""
        lasts_s = self.figure("disk_lasts_now_s")
        soon = lasts_s is not None and lasts_s < LASTS_WARNING_S
        return gravest(
            (
                *(service.verdict for service in self.services),
                *map(self.disk_verdict, self.disks),
                Verdict.WARNING if soon else Verdict.OK,
            )
        )

    def disk_verdict(self, disk: SpoolDisk) -> Verdict:
        """Return how a disk is; one that is full is less grave where another takes the recordings."""
        if disk.verdict is Verdict.CRITICAL and not all(one.full for one in self.disks):
            return Verdict.WARNING
        return disk.verdict

    def figure(self, name: str) -> int | None:
        """Return a figure of the uploader's, None where it is not known now."""
        uploader = next((one for one in self.services if one.name == UPLOADER), None)
        return None if uploader is None else uploader.counter(name)


def look(settings: Settings, now: datetime) -> Health:
    """Look at the services and disks of the settings; what can't be read is part of the answer."""
    return Health(
        checked_at=now,
        services=tuple(_services(settings, now)),
        disks=tuple(_disks(settings)),
        local=_local(settings.spool.folders()),
    )


def _services(settings: Settings, now: datetime) -> Iterator[Service]:
    recording = bool(settings.sources)
    spool = settings.spool.path / "status"
    yield from _service(AGENT, spool, now, expected=recording)
    yield from _service(UPLOADER, spool, now, expected=recording and bool(settings.stores))
    if settings.custodian is not None:
        yield from _service(CUSTODIAN, settings.custodian.path / "status", now, expected=True)


def _service(name: str, folder: Path, now: datetime, *, expected: bool) -> Iterator[Service]:
    reading, problem = None, ""
    try:
        reading = read(folder, name, now=now, stale_after_s=STALE_AFTER_S[name])
    except SpoolError as error:
        problem = str(error)
    if expected or reading is not None or problem:
        yield Service(name=name, folder=folder, reading=reading, problem=problem)


def _disks(settings: Settings) -> Iterator[SpoolDisk]:
    if not settings.sources:
        return
    for folder in settings.spool.folders():
        disk, problem = None, ""
        try:
            disk = Disk.of(folder)
        except SpoolError as error:
            problem = str(error)
        yield SpoolDisk(
            folder=folder,
            disk=disk,
            problem=problem,
            warn_percent=settings.spool.warn_percent,
            full_percent=settings.spool.full_percent,
            min_free_bytes=settings.spool.min_free_mb * _MEBIBYTE,
        )


def _local(folders: list[Path]) -> int | None:
    try:
        return sum(1 for folder in folders for _path in (folder / "ready").iterdir())
    except OSError:
        return None
