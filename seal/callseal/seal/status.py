"""What a service last said of itself: ``status/<service>.json``, for the command line, tray and monitoring.

Conventions: one file a service, JSON, replaced whole, so that a reader never sees half of one. It is not
synced to the disk: it is written every few seconds, is worthless after a restart, and nothing rests on it.
Whoever reads it decides by its age whether the service still lives: a service that died says "ready" for
ever. Codes are stable; words for them belong to who shows them. Counters only ever grow while a service
lives, or are gauges and named so (``…_now``). No customer's number, no secret.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from callseal.seal import durable
from callseal.seal.errors import SpoolError
from callseal.seal.fields import MAX_INTEGER, Fields, JsonValue, read_object, write_object
from callseal.seal.timestamp import to_milliseconds, write_time

TYPE: Final = "callseal-status/1"
MAX_SIZE_BYTES: Final = 256 * 1024
MAX_REASONS: Final = 64
MAX_ALARMS: Final = 64
MAX_COUNTERS: Final = 256
MAX_DETAIL: Final = 512
MAX_PROCESS_ID: Final = 1 << 22  # Linux: PID_MAX_LIMIT

_TYPE_PATTERN: Final = re.compile(re.escape(TYPE))
_CODE_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_COUNTER_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")
_DETAIL_PATTERN: Final = re.compile(rf"[^\x00-\x1f\x7f]{{0,{MAX_DETAIL}}}")
_VERSION_PATTERN: Final = re.compile(r"[\x21-\x7e]{1,64}")


class State(StrEnum):
    """What a service is doing."""

    STARTING = "starting"
    READY = "ready"
    NOT_READY = "not-ready"
    STOPPING = "stopping"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something that a person has to look after; `detail` is free text in English."""

    code: str
    since: datetime
    detail: str

    def __post_init__(self) -> None:
        if _CODE_PATTERN.fullmatch(self.code) is None or _DETAIL_PATTERN.fullmatch(self.detail) is None:
            raise ValueError("an alarm is a code in lower case and a line of at most 512 characters")
        to_milliseconds(self.since)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What a service says of itself; ValueError for what it could not say."""

    service: str
    pid: int
    started_at: datetime
    updated_at: datetime
    state: State
    reasons: tuple[str, ...]
    alarms: tuple[Alarm, ...]
    counters: Mapping[str, int]
    version: str

    def __post_init__(self) -> None:
        if _CODE_PATTERN.fullmatch(self.service) is None or not all(
            map(_CODE_PATTERN.fullmatch, self.reasons)
        ):
            raise ValueError("service and reasons are codes in lower case")
        if not all(map(_COUNTER_PATTERN.fullmatch, self.counters)):
            raise ValueError("counters are named in lower case")
        if not all(0 <= value <= MAX_INTEGER for value in self.counters.values()):
            raise ValueError("a counter is out of range")
        if (
            len(self.reasons) > MAX_REASONS
            or len(self.alarms) > MAX_ALARMS
            or len(self.counters) > MAX_COUNTERS
        ):
            raise ValueError("too many reasons, alarms or counters")
        if _VERSION_PATTERN.fullmatch(self.version) is None or not 1 <= self.pid <= MAX_PROCESS_ID:
            raise ValueError("version or pid is not one")
        to_milliseconds(self.started_at)
        to_milliseconds(self.updated_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A status as it was found, and how old it was then; `stale` means that the service may be dead."""

    status: Status
    age_s: float
    stale: bool


def status_path(folder: Path, service: str) -> Path:
    """Return where a service's status lies in the spool's ``status/``; ValueError for no service's name."""
    if _CODE_PATTERN.fullmatch(service) is None:
        raise ValueError("a service is named by a code in lower case")
    return folder / f"{service}.json"


def write(folder: Path, status: Status) -> None:
    """Replace the status of a service in the spool's ``status/``; SpoolError if the disk refuses."""
    path = status_path(folder, status.service)
    temporary = path.with_name(path.name + durable.TEMPORARY_SUFFIX)
    values: dict[str, JsonValue] = {
        "type": TYPE,
        "service": status.service,
        "pid": status.pid,
        "started_at": write_time(status.started_at),
        "updated_at": write_time(status.updated_at),
        "state": status.state.value,
        "reasons": list(status.reasons),
        "alarms": [
            {"code": item.code, "since": write_time(item.since), "detail": item.detail}
            for item in status.alarms
        ],
        "counters": dict(status.counters),
        "version": status.version,
    }
    try:
        temporary.write_bytes(write_object(values))
        temporary.replace(path)
    except OSError as problem:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise SpoolError(f"{path}: the disk refused: {problem.strerror}") from problem


def read(folder: Path, service: str, *, now: datetime, stale_after_s: float) -> Reading | None:
    """Return the last status of a service, None if it never wrote one; SpoolError for one that can't be read.

    A status from the future is as suspect as an old one: somebody set the clock.
    """
    path = status_path(folder, service)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SIZE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise SpoolError(f"{path}: {problem.strerror}") from problem
    status = _parse(data, path)
    if status.service != service:
        raise SpoolError(f"{path}: the status of another service")
    age_s = (now - status.updated_at).total_seconds()
    return Reading(status=status, age_s=age_s, stale=abs(age_s) > stale_after_s)


def _parse(data: bytes, path: Path) -> Status:
    values = read_object(data, what=str(path), limit_bytes=MAX_SIZE_BYTES, error=SpoolError)
    fields = Fields(values, where=str(path), error=SpoolError)
    fields.text("type", _TYPE_PATTERN)
    counters = fields.child("counters", limit=MAX_COUNTERS)
    try:
        return Status(
            service=fields.text("service", _CODE_PATTERN),
            pid=fields.integer("pid", low=1, high=MAX_PROCESS_ID),
            started_at=fields.time("started_at"),
            updated_at=fields.time("updated_at"),
            state=fields.choice("state", State),
            reasons=fields.texts("reasons", _CODE_PATTERN, limit=MAX_REASONS),
            alarms=tuple(_parse_alarm(item) for item in fields.children("alarms", limit=MAX_ALARMS)),
            counters={name: counters.integer(name) for name in counters.names()},
            version=fields.text("version", _VERSION_PATTERN),
        )
    except ValueError as problem:
        raise SpoolError(f"{path}: {problem}") from problem


def _parse_alarm(fields: Fields) -> Alarm:
    return Alarm(
        code=fields.text("code", _CODE_PATTERN),
        since=fields.time("since"),
        detail=fields.text("detail", _DETAIL_PATTERN),
    )
