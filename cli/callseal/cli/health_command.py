"""``callseal health``: how the services on this machine are; for people, and for a monitoring system.

Exit codes: 0 ok, 1 warning, 2 critical, 3 unknown: usage errors and settings that can't be read too (see
`monitoring`). The first line says it all.

JSON, whose names are stable: ``type "callseal-health/1", verdict ("ok", "warning", "critical", "unknown"),
exit_code, checked_at, services[], alarms[], recordings, disks[]``.

- ``services[]``: ``service, verdict, answers, state, reasons[], pid, started_at, updated_at, age_s, version,
  counters {}, error``. Where the service never said anything all from `state` on are null (lists empty);
  where it does not answer they are its last words. `error` says why its status can't be read.
- ``alarms[]``, the gravest first: ``service, code, verdict, since, detail``; only of services that answer.
- ``recordings``: ``local`` (lie here), ``waiting`` (not yet in all their stores), ``waiting_bytes``,
  ``oldest_waiting_s``, ``unreceipted`` (without all their receipts); null is unknown, since the uploader does
  not answer or does not say.
- ``disks[]``, one a spool: ``path, verdict, used_percent, free_bytes, error``; ``disk_lasts_s`` beside it is
  the time until the first counts as full at the rate of the last 24 hours, null if none is filling.

Names are only ever added. Codes, states and reasons are those of the status files (docs/format.md); services
go by the names of their commands in every language.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import typer

from callseal.cli import alarm_words, health, monitoring, options, output
from callseal.cli.health import Health, Service, SpoolDisk
from callseal.cli.i18n import _, counted, language, mark
from callseal.cli.monitoring import Verdict
from callseal.cli.output import JsonValue
from callseal.config.load import load
from callseal.seal import reasons
from callseal.seal.status import Alarm, State
from callseal.seal.timestamp import write_time

JSON_TYPE: Final = "callseal-health/1"
_DAY_S: Final = 24 * 3600
_HOUR_S: Final = 3600
_MINUTE_S: Final = 60
_FEW: Final = 2
"""Below two of a unit the next smaller one is shown: 90 minutes and not 1 hour."""

_STATES: Final = {
    State.STARTING: mark("starting"),
    State.READY: mark("ready"),
    State.NOT_READY: mark("not ready"),
    State.STOPPING: mark("stopping"),
    State.FAILED: mark("failed"),
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    words = _(
        "Say how the services on this machine are: whether they answer, which alarms stand, how many"
        " recordings wait, how full the disk is. It ends with 0 (ok), 1 (warning), 2 (critical) or 3"
        " (unknown), as monitoring systems expect. Run it as the account of the services."
    )
    monitoring.add(app, "health", words, "callseal health --json")(_health)


def _health(*, config: options.Config = None, json_: options.Json = False) -> None:
    found = health.look(load(config, os.environ).settings, datetime.now(UTC))
    if json_:
        output.json_document(_json(found))
    else:
        _print(found)
    raise typer.Exit(int(found.verdict))


# --- for people -------------------------------------------------------------------------------------


def _print(found: Health) -> None:
    output.line(f"{found.verdict.words}: {_summary(found)}")
    output.line()
    output.table([_("Service"), _("How"), _("State"), _("Says")], [_cells(one) for one in found.services])
    alarms = list(_alarms(found))
    if alarms:
        output.line()
        columns = [_("Alarm"), _("How"), _("Service"), _("Since"), _("What it means"), _("Detail")]
        output.table(columns, [_alarm_cells(service, alarm) for service, alarm in alarms])
    facts = list(_facts(found))
    if facts:
        output.line()
        output.facts(facts)


def _summary(found: Health) -> str:
    """Return in one line what the verdict comes from: what a monitoring system shows."""
    wrong = [
        f"{one.name}: {_state(one)}"
        for one in found.services
        if one.problem or not one.answers or (one.reading and one.reading.status.state is not State.READY)
    ]
    wrong += [
        f"{disk.folder}: {_disk_words(disk)}"
        for disk in found.disks
        if found.disk_verdict(disk) is not Verdict.OK
    ]
    alarms = sorted({alarm.code for _service, alarm in _alarms(found)})
    if alarms:
        words = counted("{number} alarm ({codes})", "{number} alarms ({codes})", len(alarms))
        wrong.append(words.format(number=len(alarms), codes=", ".join(alarms)))
    lasts_s = found.figure("disk_lasts_now_s")
    if lasts_s is not None and lasts_s < health.LASTS_WARNING_S:
        wrong.append(_("the disk is full in {time}").format(time=_span(lasts_s)))
    return "; ".join(wrong) or _("all services answer")


def _cells(service: Service) -> list[str]:
    says = service.problem
    if service.answers and service.reading is not None:
        status = service.reading.status
        says = " ".join(reasons.words(code, language()) for code in status.reasons)
    return [service.name, service.verdict.words, _state(service), says]


def _state(service: Service) -> str:
    if service.problem:
        return _("can't be read")
    if service.reading is None:
        return _("does not answer: it never ran here")
    if service.reading.stale:
        words = _("does not answer: its last word is {time} old")
        return words.format(time=_span(abs(service.reading.age_s)))
    return _(_STATES[service.reading.status.state])


def _alarm_cells(service: Service, alarm: Alarm) -> list[str]:
    return [
        alarm.code,
        alarm_words.verdict(service.name, alarm.code).words,
        service.name,
        output.local_time(alarm.since),
        alarm_words.words(service.name, alarm.code),
        alarm.detail,
    ]


def _facts(found: Health) -> Iterator[tuple[str, str]]:
    if found.disks:
        unknown = _("unknown")
        waiting, waiting_bytes = found.figure("waiting_now"), found.figure("waiting_bytes_now")
        oldest_s, unreceipted = found.figure("oldest_waiting_now_s"), found.figure("unreceipted_now")
        size = "" if not waiting_bytes else f" ({output.size(waiting_bytes)})"
        yield _("Recordings here"), unknown if found.local is None else str(found.local)
        yield _("Waiting to be sent"), unknown if waiting is None else f"{waiting}{size}"
        if waiting and oldest_s is not None:
            yield _("The oldest waits for"), _span(oldest_s)
        yield _("Without all receipts"), unknown if unreceipted is None else str(unreceipted)
    for disk in found.disks:
        yield _("Disk of {path}").format(path=disk.folder), _disk_words(disk)
    if found.disks:
        lasts_s = found.figure("disk_lasts_now_s")
        words = _("it is not filling") if lasts_s is None else _span(lasts_s)
        answers = found.figure("waiting_now") is not None
        yield _("The disk lasts, at today's rate"), words if answers else _("unknown")


def _disk_words(disk: SpoolDisk) -> str:
    if disk.disk is None:
        return disk.problem
    words = _("{percent} % used, {free} free")
    return words.format(percent=disk.disk.used_percent, free=output.size(disk.disk.free_bytes))


def _span(seconds: float) -> str:
    """Return a span of time in the largest unit of which there are at least two."""
    whole = int(seconds)
    if whole >= _FEW * _DAY_S:
        number = whole // _DAY_S
        return counted("{number} day", "{number} days", number).format(number=number)
    if whole >= _FEW * _HOUR_S:
        number = whole // _HOUR_S
        return counted("{number} hour", "{number} hours", number).format(number=number)
    if whole >= _FEW * _MINUTE_S:
        number = whole // _MINUTE_S
        return counted("{number} minute", "{number} minutes", number).format(number=number)
    return counted("{number} second", "{number} seconds", whole).format(number=whole)


def _alarms(found: Health) -> Iterator[tuple[Service, Alarm]]:
    """Yield the alarms that stand, the gravest first, then the oldest."""
    standing = [
        (service, alarm)
        for service in found.services
        if service.answers and service.reading is not None
        for alarm in service.reading.status.alarms
    ]
    standing.sort(key=lambda item: (-alarm_words.verdict(item[0].name, item[1].code), item[1].since))
    yield from standing


# --- for programs -----------------------------------------------------------------------------------


def _json(found: Health) -> dict[str, JsonValue]:
    return {
        "type": JSON_TYPE,
        "verdict": found.verdict.code,
        "exit_code": int(found.verdict),
        "checked_at": write_time(found.checked_at),
        "services": [_json_service(one) for one in found.services],
        "alarms": [
            {
                "service": service.name,
                "code": alarm.code,
                "verdict": alarm_words.verdict(service.name, alarm.code).code,
                "since": write_time(alarm.since),
                "detail": alarm.detail,
            }
            for service, alarm in _alarms(found)
        ],
        "recordings": {
            "local": found.local,
            "waiting": found.figure("waiting_now"),
            "waiting_bytes": found.figure("waiting_bytes_now"),
            "oldest_waiting_s": found.figure("oldest_waiting_now_s"),
            "unreceipted": found.figure("unreceipted_now"),
        },
        "disks": [_json_disk(found, disk) for disk in found.disks],
        "disk_lasts_s": found.figure("disk_lasts_now_s"),
    }


def _json_service(service: Service) -> dict[str, JsonValue]:
    reading = service.reading
    status = None if reading is None else reading.status
    return {
        "service": service.name,
        "verdict": service.verdict.code,
        "answers": service.answers,
        "state": None if status is None else status.state.value,
        "reasons": [] if status is None else list(status.reasons),
        "pid": None if status is None else status.pid,
        "started_at": None if status is None else write_time(status.started_at),
        "updated_at": None if status is None else write_time(status.updated_at),
        "age_s": None if reading is None else round(reading.age_s, 3),
        "version": None if status is None else status.version,
        "counters": {} if status is None else dict(status.counters),
        "error": service.problem or None,
    }


def _json_disk(found: Health, disk: SpoolDisk) -> dict[str, JsonValue]:
    return {
        "path": str(disk.folder),
        "verdict": found.disk_verdict(disk).code,
        "used_percent": None if disk.disk is None else disk.disk.used_percent,
        "free_bytes": None if disk.disk is None else disk.disk.free_bytes,
        "error": disk.problem or None,
    }
