"""``callseal store check``: proves an S3 store's promises and the roles' rights by trying them.

JSON: ``type "callseal-store-check/1", exit_code, stores[]``, each with ``store, run`` (what the names of the
objects left behind end in) and ``rows[]`` of ``{who, code, expected, outcome, cause, answer}``.

Conventions: the exit code is 21 where a promise is broken, else 15 where one could not be checked, else 0. A
store that can't be reached, or an account that it does not know, ends the command.
"""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias
from uuid import UUID, uuid4

import typer

from callseal.cli import options, output
from callseal.cli.errors import UsageFault
from callseal.cli.i18n import _
from callseal.cli.output import JsonValue
from callseal.cli.store_init import named
from callseal.cli.store_words import CAUSES, EXPECTED, OUTCOMES, PARTIES, ROWS
from callseal.config.central import S3Store as S3Settings
from callseal.config.central import Store as StoreSettings
from callseal.config.load import load

if TYPE_CHECKING:
    from callseal.store.checking import Result

JSON_TYPE: Final = "callseal-store-check/1"

_BROKEN: Final = 21
_NOT_CHECKED: Final = 15

Profile: TypeAlias = str | None


def check(
    *,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="NAME",
            help=_("Only this store of the settings; otherwise all of the type s3."),
            show_default=False,
        ),
    ] = None,
    agent: Annotated[
        Profile,
        typer.Option(
            "--agent-profile",
            metavar="NAME",
            help=_("The credentials of one device's agent and uploader, by the profile's name."),
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="ID", help=_("That device."), show_default=False),
    ] = None,
    custodian: Annotated[
        Profile,
        typer.Option(
            "--custodian-profile",
            metavar="NAME",
            help=_("The custodian's credentials."),
            show_default=False,
        ),
    ] = None,
    supervisor: Annotated[
        Profile,
        typer.Option(
            "--supervisor-profile",
            metavar="NAME",
            help=_("The credentials of who reads recordings."),
            show_default=False,
        ),
    ] = None,
    admin: Annotated[
        Profile,
        typer.Option(
            "--admin-profile",
            metavar="NAME",
            help=_("An administrator's credentials: tries whether the lock holds against those as well."),
            show_default=False,
        ),
    ] = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """Examine stores; see `register`."""
    profiles = {"agent": agent, "custodian": custodian, "supervisor": supervisor, "administrator": admin}
    given = {party: profile for party, profile in profiles.items() if profile is not None}
    if not given:
        raise UsageFault(_("nothing can be tried without credentials: name at least one profile"))
    if (agent is None) != (device is None):
        raise UsageFault(_("--agent-profile and --device go together: an agent's rights are its device's"))
    items = _items(load(config, os.environ).settings.stores, store)
    done = [(item, run, _checked(item, given, device, run)) for item in items for run in (uuid4(),)]
    code = _exit_code([result for _item, _run, results in done for result in results])
    if json_:
        documents = [_json(item, run, results) for item, run, results in done]
        output.json_document({"type": JSON_TYPE, "exit_code": code, "stores": documents})
    else:
        for item, run, results in done:
            _print(item, run, results)
        if admin is None:
            output.note(
                _("without --admin-profile nobody has tried whether the lock holds against administrators")
            )
    raise typer.Exit(code)


def _items(stores: Sequence[StoreSettings], name: str | None) -> Sequence[S3Settings]:
    chosen = stores if name is None else [named(stores, name)]
    found = [one for one in chosen if isinstance(one, S3Settings)]
    if not found:
        raise UsageFault(
            _("no store of the type s3 is among them: a folder has no roles, its owner may do everything")
        )
    return found


def _checked(
    item: S3Settings, profiles: Mapping[str, str], device: str | None, run: UUID
) -> "Sequence[Result]":
    # They bring boto3, which takes its time; the help needs none of it.
    from callseal.store.accounts import Account  # noqa: PLC0415
    from callseal.store.checking import check as examine  # noqa: PLC0415
    from callseal.store.trial import Party  # noqa: PLC0415

    accounts = {Party(party): Account(item, profile) for party, profile in profiles.items()}
    try:
        return list(examine(item, accounts, device=device, run=run, now=lambda: datetime.now(UTC)))
    except ValueError as problem:
        words = _("--device: a device's id is expected, dev- and 12 letters and digits")
        raise UsageFault(words) from problem


def _exit_code(results: "Sequence[Result]") -> int:
    outcomes = {result.verdict.outcome.value for result in results}
    return _BROKEN if "failed" in outcomes else _NOT_CHECKED if "not-checked" in outcomes else 0


def _print(item: S3Settings, run: UUID, results: "Sequence[Result]") -> None:
    columns = [_("Who"), _("What"), _("Must be"), _("Found")]
    output.table(columns, [_cells(result) for result in results])
    left = _("store {store}: what was put for this stays as long as its lock; its names end in check-{run}")
    output.note(left.format(store=item.name, run=run.hex))
    broken = sum(result.verdict.outcome == "failed" for result in results)
    if broken:
        words = _("store {store}: {count} of {all} promises are broken: see the rows that FAILED")
        output.warning(words.format(store=item.name, count=broken, all=len(results)))


def _cells(result: "Result") -> list[str]:
    row, verdict = result.row, result.verdict
    found = _(OUTCOMES[verdict.outcome])
    if verdict.cause:
        found = f"{found}: {_(CAUSES[verdict.cause])}"
    if verdict.answer:
        found = f"{found} ({verdict.answer})"
    return [_(PARTIES[row.party]), _(ROWS[row.code]), _(EXPECTED[row.expected]), found]


def _json(item: S3Settings, run: UUID, results: "Sequence[Result]") -> Mapping[str, JsonValue]:
    return {
        "store": item.name,
        "run": run.hex,
        "rows": [
            {
                "who": result.row.party.value,
                "code": result.row.code,
                "expected": result.row.expected.value,
                "outcome": result.verdict.outcome.value,
                "cause": result.verdict.cause.value,
                "answer": result.verdict.answer,
            }
            for result in results
        ],
    }
