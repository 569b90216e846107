"""``callseal list --access``: who opened recordings, when, from where and why, the newest first.

JSON: ``type "callseal-access-list/1", exit_code, records[], strangers[]``. A record has ``store, name`` (of
the object)``, record, at`` (UTC)``, action, recordings[], reason, account {name, uid, sudo_from}, machine,
from, keys[], software, problem``; all but `store`, `name` and `problem` are null where the record can't be
read. `strangers` are names under ``access/`` that no record has.

Conventions: nothing is dropped: a record that can't be read, or that is not the one of its name, is a row
with what is wrong, and the exit code says so: 12 malformed or misplaced, 15 could not be read or is no record
of ours. Records are not signed: that one is there is a fact of the store, what it says is its author's word.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final
from uuid import UUID

from callseal.cli import lookup, output, places
from callseal.cli.counting import EVERY, Counted, counting
from callseal.cli.errors import NotChecked
from callseal.cli.i18n import _, counted
from callseal.cli.output import JsonValue
from callseal.cli.places import Place, StorePlace
from callseal.seal.access import MAX_SIZE_BYTES, AccessRecord, Account, read
from callseal.seal.errors import AccessError
from callseal.seal.timestamp import write_time
from callseal.seal.uuid7 import time_ms
from callseal.seal.verify import NOT_CHECKED
from callseal.seal.verify.reading import fetch, why
from callseal.store.errors import StoreError, StoreUnreachable
from callseal.store.names import ACCESS, parse_access_name
from callseal.store.probe_names import is_probe_name

JSON_TYPE: Final = "callseal-access-list/1"
_MANY: Final = 3
"""Recordings of one record that a table names; of more it says how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which records are wanted: by their time, `until` itself not included, and by a recording's name."""

    since: datetime | None = None
    until: datetime | None = None
    recording: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What lies under one name; `access` is there unless it can't be read, `problem` unless all is well."""

    store: str
    name: str
    day: date
    record: UUID
    access: AccessRecord | None = None
    problem: AccessError | NotChecked | None = None

    @property
    def at(self) -> datetime:
        """When it was, as far as anything tells."""
        if self.access is not None:
            return self.access.at
        at_ms = time_ms(self.record)
        day = datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC)
        if at_ms is None:
            return day
        try:
            return datetime.fromtimestamp(at_ms / 1000, UTC)
        except (ValueError, OverflowError):
            return day


def show(asked: Asked, looked: Sequence[Place], *, json_: bool) -> int:
    """Print the records of all stores; return the exit code. NotFound for what can be no recording."""
    if asked.recording is not None:
        lookup.matching(asked.recording, ())  # what can't be a name is refused before anything is read
    rows: list[Row] = []
    strangers: list[str] = []
    failures: list[StoreError] = []
    with counting() as progress:
        for place in looked:
            if not isinstance(place, StorePlace):
                continue
            try:
                rows += _rows(place, asked, strangers, progress)
            except StoreError as problem:
                failures.append(problem)
    rows.sort(key=lambda row: (row.at, row.record, row.store), reverse=True)
    codes = [places.warn_of(failures), NOT_CHECKED if strangers else 0]
    codes += [0 if row.problem is None else row.problem.exit_code for row in rows]
    code = min((one for one in codes if one), default=0)
    if json_:
        output.json_document(
            {
                "type": JSON_TYPE,
                "exit_code": code,
                "records": [_json(row) for row in rows],
                "strangers": list(strangers),
            }
        )
    else:
        _print(rows)
    for row in rows:
        if row.problem is not None:
            output.warning(f"{row.store}: {row.name}: {row.problem}")
    for name in strangers:
        output.warning(_("{name}: no name of an access record").format(name=name))
    return code


def _rows(place: StorePlace, asked: Asked, strangers: list[str], progress: Counted) -> Iterator[Row]:
    """Yield the records of one store that are wanted, and all that is wrong. Raises StoreError."""
    # A record lies under the day of its own time; what lies elsewhere is told where it is met.
    after = "" if asked.since is None else f"{ACCESS}{asked.since.astimezone(UTC):%Y/%m/%d}"
    for number, item in enumerate(place.reader.list(ACCESS, after)):
        if number % EVERY == 0:
            progress(place.name, number)
        parsed = parse_access_name(item.name)
        if parsed is None:
            if not is_probe_name(item.name):
                strangers.append(f"{place.name}: {item.name}")
            continue
        day, record = parsed
        if asked.until is not None and day > asked.until.astimezone(UTC).date():
            break
        row = _row(place, item.name, day, record)
        if row.problem is not None or (row.access is not None and _wanted(row.access, asked)):
            yield row


def _row(place: StorePlace, name: str, day: date, record: UUID) -> Row:
    access: AccessRecord | None = None
    problem: AccessError | NotChecked | None = None
    try:
        access = read(fetch(place.reader, name, MAX_SIZE_BYTES))
    except AccessError as error:
        problem = error
    except StoreUnreachable:
        raise  # the next one would fare no better
    except OSError as error:
        problem = NotChecked(_("can't be read: {why}").format(why=why(error)))
    if access is not None and (access.record, access.at.date()) != (record, day):
        problem = AccessError(
            _("what it says is the record {record} of {at}: it was put under another one's name").format(
                record=access.record, at=write_time(access.at)
            )
        )
    return Row(store=place.name, name=name, day=day, record=record, access=access, problem=problem)


def _wanted(access: AccessRecord, asked: Asked) -> bool:
    return (
        (asked.since is None or access.at >= asked.since)
        and (asked.until is None or access.at < asked.until)
        and (asked.recording is None or bool(lookup.matching(asked.recording, access.recordings)))
    )


def _print(rows: Sequence[Row]) -> None:
    if not rows:
        output.note(_("no accesses"))
        return
    columns = [_("Time"), _("Account"), _("Machine"), _("What"), _("Recordings"), _("Reason"), _("Store")]
    output.table(columns, [_cells(row) for row in rows])


def _cells(row: Row) -> list[str]:
    access = row.access
    if access is None:
        return [output.local_time(row.at), "", "", _("can't be read"), str(row.record), "", row.store]
    return [
        output.local_time(access.at),
        _account(access.account),
        access.machine if access.remote is None else f"{access.machine} ({access.remote})",
        _action(access.action) if row.problem is None else _("MISPLACED"),
        _recordings(access.recordings),
        access.reason,
        row.store,
    ]


def _account(account: Account) -> str:
    if account.sudo_from is None:
        return f"{account.name} ({account.uid})"
    words = _("{name} ({uid}), was {before}")
    return words.format(name=account.name, uid=account.uid, before=account.sudo_from)


def _action(action: str) -> str:
    words = {
        "open": _("opened"),
        "evidence": _("evidence"),
        "list": _("listed"),
        "rewrap": _("re-wrapped"),
    }
    return words.get(action, action)


def _recordings(recordings: Sequence[UUID]) -> str:
    if not recordings:
        return "-"
    if len(recordings) <= _MANY:
        return " ".join(map(str, recordings))
    words = counted("{number} recording", "{number} recordings", len(recordings))
    return words.format(number=len(recordings))


def _json(row: Row) -> Mapping[str, JsonValue]:
    access = row.access
    said: dict[str, JsonValue] = dict.fromkeys(
        (
            "record",
            "at",
            "action",
            "recordings",
            "reason",
            "account",
            "machine",
            "from",
            "keys",
            "software",
        )
    )
    if access is not None:
        said = {
            "record": str(access.record),
            "at": write_time(access.at),
            "action": access.action,
            "recordings": [str(one) for one in access.recordings],
            "reason": access.reason,
            "account": {
                "name": access.account.name,
                "uid": access.account.uid,
                "sudo_from": access.account.sudo_from,
            },
            "machine": access.machine,
            "from": access.remote,
            "keys": list(access.keys),
            "software": access.software,
        }
    problem = None if row.problem is None else str(row.problem)
    return {"store": row.store, "name": row.name, **said, "problem": problem}
