"""``callseal retention``: until when a recording is kept, and why; what people decide about it.

JSON is that of `kept_output`; ``set`` adds ``extended[]``.

Conventions: a decision is signed and stored before anything is done. What can't be undone is shown and asked
for first.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Annotated, Final

import typer

from callseal.archive.retention import Plan
from callseal.cli import options, output
from callseal.cli.commands import add
from callseal.cli.custody import Custody, Found, Stand, warn_of_doubts
from callseal.cli.errors import UsageFault
from callseal.cli.i18n import _
from callseal.cli.kept_output import print_kept
from callseal.config.terms import Terms, shipped_terms
from callseal.seal.retention import (
    MAX_YEAR,
    ContractEnd,
    Decision,
    DisputeSettled,
    RetentionRecord,
    SetClass,
    fold,
    record_id,
)
from callseal.seal.uuid7 import RANDOM_SIZE_BYTES
from callseal.store.names import RecordingName

ZONES: Final = timedelta(days=1)
"""A day in the settings of people can be a day ahead of that in UTC, or behind."""

_YES: Final = {"y", "yes", "是"}

Name = Annotated[
    str, typer.Argument(metavar="RECORDING", help=_("An id, or 6 digits or more of its beginning or end."))
]
Reason = Annotated[
    str,
    typer.Option(
        "--reason",
        metavar="TEXT",
        help=_("Why, 1 to 500 characters. It is stored unencrypted: no names, no telephone numbers."),
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the group's commands."""
    words = _(
        "Make known what a recording's term depends on.\n\nWhen its contract ends, to which class it belongs,"
        " when its dispute was settled: the objects in the stores are then protected until the end of the"
        " term. A protection is only ever extended. Run it where the custodian runs."
    )
    example = 'callseal retention set 7d3f1e --contract-end 2031-05-31 --reason "policy ended"'
    add(app, "set", words, example)(_set)
    words = _("Show until when a recording is kept and protected, why, and who decided what.")
    add(app, "show", words, "callseal retention show 7d3f1e")(_show)


def _set(
    recording: Name,
    *,
    reason: Reason,
    contract_end: Annotated[
        str | None,
        typer.Option(
            "--contract-end",
            metavar="DATE",
            help=_("The day on which the contract ended, or will end."),
            show_default=False,
        ),
    ] = None,
    class_: Annotated[
        str | None,
        typer.Option("--class", metavar="CLASS", help=_("The class that it belongs to."), show_default=False),
    ] = None,
    settled: Annotated[
        str | None,
        typer.Option(
            "--dispute-settled",
            metavar="DATE",
            help=_("The day on which its dispute was settled."),
            show_default=False,
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help=_("Do not ask before what can't be undone; for scripts."))
    ] = False,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    terms = shipped_terms()
    decisions: list[Decision] = []
    if class_ is not None:
        decisions.append(_class(class_, terms))
    if contract_end is not None:
        decisions.append(ContractEnd(day=_day("--contract-end", contract_end)))
    if settled is not None:
        decisions.append(DisputeSettled(day=_day("--dispute-settled", settled)))
    if not decisions:
        raise UsageFault(_("nothing to set: give --contract-end, --class or --dispute-settled"))
    custody = Custody.open(config)
    signer = custody.identity()
    found = custody.find(recording)
    _check_days(decisions, found.recording, custody.now)
    warn_of_doubts(found)
    _ask(_plans(found, decisions, custody.now), yes=yes)
    custody.decide(found, decisions, reason, signer)
    done = custody.apply(found)
    print_kept(found, json_=json_, extended=done)
    raise typer.Exit(found.code)


def _show(recording: Name, *, config: options.Config = None, json_: options.Json = False) -> None:
    custody = Custody.open(config)
    found = custody.find(recording)
    warn_of_doubts(found)
    print_kept(found, json_=json_)
    raise typer.Exit(found.code)


def _class(name: str, terms: Terms) -> SetClass:
    if name not in terms.classes:
        words = _("--class {name}: there is no such class; the classes are {names}")
        raise UsageFault(words.format(name=name, names=", ".join(terms.classes)))
    return SetClass(retention_class=name)


def _day(option: str, text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as problem:
        words = _("{option} {text}: not a day: write 2031-05-31")
        raise UsageFault(words.format(option=option, text=text)) from problem
    if day.year > MAX_YEAR:
        words = _("{option} {text}: nobody means a day after the year {year}")
        raise UsageFault(words.format(option=option, text=text, year=MAX_YEAR))
    return day


def _check_days(decisions: Sequence[Decision], recording: RecordingName, now: datetime) -> None:
    """Raise UsageFault for days that contradict the call's: slips of the finger, most of them.

    A contract may have ended before today, and is mostly made known then; but not before the call about it.
    """
    for one in decisions:
        if isinstance(one, ContractEnd | DisputeSettled) and one.day < recording.day - ZONES:
            words = _("{day}: that is before the call, which was on {call}; nothing was noted")
            raise UsageFault(words.format(day=one.day, call=recording.day))
        if isinstance(one, DisputeSettled) and one.day > now.date() + ZONES:
            words = _("{day}: a dispute that is not settled yet keeps a recording by `callseal hold add`")
            raise UsageFault(words.format(day=one.day))


def _plans(found: Found, decisions: Sequence[Decision], now: datetime) -> list[tuple[Stand, Plan]]:
    """Return what the decisions would extend, store by store; nothing is done."""
    plans = []
    for stand in found.stands:
        if stand.kept is None:
            continue
        state = fold([*stand.decided.state.records, *_drafts(found.recording, decisions, stand, now)])
        plans.append(
            (stand, stand.shelf.retention.plan(stand.kept, replace(stand.decided, state=state), now))
        )
    return plans


def _drafts(
    recording: RecordingName, decisions: Sequence[Decision], stand: Stand, now: datetime
) -> list[RetentionRecord]:
    """Return records as they would be, for the plan alone: not signed, not stored."""
    drafts: list[RetentionRecord] = []
    newest = stand.decided.state.newest
    for one in decisions:
        newest = RetentionRecord(
            record=record_id(now, bytes(RANDOM_SIZE_BYTES), after=newest),
            id=recording.id,
            device=recording.device,
            by="-",
            reason="-",
            decision=one,
        )
        drafts.append(newest)
    return drafts


def _ask(plans: Sequence[tuple[Stand, Plan]], *, yes: bool) -> None:
    """Show what can't be undone, and ask; UsageFault where nobody agrees."""
    rows = []
    for stand, plan in plans:
        if plan.extensions:
            before = [locked for _object, locked, _until in plan.extensions]
            last = max(until for _object, _locked, until in plan.extensions)
            rows.append((stand.shelf.name, len(plan.extensions), _now(before), output.local_time(last)))
    if not rows or yes:
        return
    words = _("{store}: {number} objects, {before} now, will be protected until {until}")
    for store, number, before_words, until in rows:
        output.note(words.format(store=store, number=number, before=before_words, until=until))
    output.note(_("That can't be undone: until then nobody can delete them."))
    if not sys.stdin.isatty():
        raise UsageFault(_("there is no terminal to ask on; give --yes. Nothing was noted"))
    sys.stderr.write(_("Go on? [y/N] "))
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in _YES:
        raise UsageFault(_("nothing was noted"))


def _now(ends: Sequence[datetime | None]) -> str:
    known = [one for one in ends if one is not None]
    if len(known) < len(ends):
        return _("not protected")
    return _("protected until {until}").format(until=output.local_time(min(known)))
