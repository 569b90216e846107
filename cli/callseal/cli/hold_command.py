"""``callseal hold``: nothing of a recording may be deleted, whatever its term, until somebody says so.

JSON of ``add`` and ``remove`` is that of ``retention show``. JSON of ``list``: ``type "callseal-holds/1",
exit_code, holds[]`` of ``recording, device, hold, stores[], record, at, by, reason``.

Conventions: several people may hold one recording, each by a name of their own; it is free when the last one
has let go. A hold is signed and stored before it is put on the objects: what breaks off in between is
finished when the command is given again, or by the custodian.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

import typer

from callseal.archive.retention import Outcome, Renewal
from callseal.cli import options, output
from callseal.cli.commands import add
from callseal.cli.custody import Custody, Found, recordings_with_decisions, tell, warn_of_doubts
from callseal.cli.errors import NotFound, UsageFault
from callseal.cli.i18n import _, counted
from callseal.cli.kept_output import json_record, print_kept
from callseal.cli.output import JsonValue
from callseal.cli.retention_command import Name, Reason
from callseal.seal.retention import Hold, Release, RetentionRecord
from callseal.store.errors import StoreError

JSON_TYPE: Final = "callseal-holds/1"

HoldName = Annotated[
    str,
    typer.Option(
        "--name",
        metavar="NAME",
        help=_("The hold's name, such as that of the case: lower-case letters, digits and . _ -"),
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the group's commands."""
    words = _(
        "Put a recording on hold.\n\nUntil the hold is lifted nothing of it may be deleted, whatever its"
        " term. It is put on every object where the store can do that. Run it where the custodian runs."
    )
    add(app, "add", words, 'callseal hold add 7d3f1e --name case-2031-17 --reason "lawsuit"')(_add)
    words = _("Lift one hold of a recording; others stay.")
    add(app, "remove", words, 'callseal hold remove 7d3f1e --name case-2031-17 --reason "settled"')(_remove)
    words = _("List the recordings that are on hold.")
    add(app, "list", words, "callseal hold list")(_list)


def _add(
    recording: Name,
    *,
    name: HoldName,
    reason: Reason,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    try:
        hold = Hold(name=name)
    except ValueError as problem:
        raise UsageFault(f"--name: {problem}") from problem
    custody = Custody.open(config)
    signer = custody.identity()
    found = custody.find(recording)
    warn_of_doubts(found)
    if all(name in stand.decided.state.holds for stand in found.stands):
        output.note(_("it is on hold under that name already; nothing new was noted"))
    else:
        custody.decide(found, [hold], reason, signer)
    _finish(custody, found, json_=json_)


def _remove(
    recording: Name,
    *,
    name: HoldName,
    reason: Reason,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    custody = Custody.open(config)
    signer = custody.identity()
    found = custody.find(recording)
    warn_of_doubts(found)
    if any(name in stand.decided.state.holds for stand in found.stands):
        custody.decide(found, [Release(name=name)], reason, signer)
    elif any(_was_lifted(item, name) for stand in found.stands for item in stand.decided.state.records):
        output.note(_("that hold is lifted already; nothing new was noted"))
    else:
        names = dict.fromkeys(one for stand in found.stands for one in stand.decided.state.holds)
        words = _("there is no hold of that name on it; its holds are: {names}")
        raise NotFound(words.format(names=", ".join(names) or "-"))
    _finish(custody, found, json_=json_)


def _was_lifted(item: RetentionRecord, name: str) -> bool:
    return item.decision == Release(name=name)


def _finish(custody: Custody, found: Found, *, json_: bool) -> None:
    """Bring the objects to what was decided, and show how it is now."""
    done = custody.apply(found)
    _tell_done(done)
    for stand in found.stands:
        if stand.shelf.retention.protects and not stand.shelf.retention.holds:
            words = _("{store}: this store can't put objects on hold: the hold is noted, and holds nobody")
            output.warning(words.format(store=stand.shelf.name))
    print_kept(found, json_=json_)
    raise typer.Exit(found.code)


def _tell_done(done: list[Renewal]) -> None:
    held = sum(1 for item in done if item.outcome is Outcome.HELD)
    released = sum(1 for item in done if item.outcome is Outcome.RELEASED)
    if held:
        words = counted("{number} object was put on hold", "{number} objects were put on hold", held)
        output.note(words.format(number=held))
    if released:
        words = counted("{number} object was released", "{number} objects were released", released)
        output.note(words.format(number=released))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """One hold of one recording, and the stores that know of it."""

    recording: UUID
    device: str
    hold: str
    record: RetentionRecord
    stores: list[str]


def _list(*, config: options.Config = None, json_: options.Json = False) -> None:
    custody = Custody.open(config)
    held: dict[tuple[str, UUID, str], _Held] = {}
    codes = [0]
    for shelf in custody.shelves:
        try:
            for device, recording in recordings_with_decisions(shelf):
                decided = shelf.retention.keeping.decisions.of(device, recording)
                for refused in decided.refused:
                    words = _("{store}: {name} counts for nothing: {problem}")
                    output.warning(words.format(store=shelf.name, name=refused.name, problem=refused.problem))
                    codes.append(refused.problem.exit_code)
                for name, record in decided.state.holds.items():
                    one = _Held(recording=recording, device=device, hold=name, record=record, stores=[])
                    held.setdefault((device, recording, name), one).stores.append(shelf.name)
        except StoreError as problem:
            codes.append(tell(shelf.name, problem))
    code = min((code for code in codes if code), default=0)
    ordered = [held[key] for key in sorted(held, key=lambda key: (key[1], key[0], key[2]))]
    if json_:
        holds = [_json(one) for one in ordered]
        output.json_document({"type": JSON_TYPE, "exit_code": code, "holds": holds})
    elif not ordered:
        output.note(_("no recording is on hold"))
    else:
        columns = [_("Recording"), _("Device"), _("Hold"), _("Since"), _("By"), _("Reason"), _("Stores")]
        output.table(columns, [_cells(one) for one in ordered])
    raise typer.Exit(code)


def _cells(one: _Held) -> list[str]:
    record = one.record
    return [
        str(one.recording),
        one.device,
        one.hold,
        output.local_time(record.at),
        record.by,
        record.reason,
        ", ".join(one.stores),
    ]


def _json(one: _Held) -> Mapping[str, JsonValue]:
    return {
        "recording": str(one.recording),
        "device": one.device,
        "hold": one.hold,
        "stores": one.stores,
        **{name: value for name, value in json_record(one.record).items() if name not in {"action", "value"}},
    }
