"""``callseal config``: shows the settings as they take effect, and checks them and all that they name.

JSON of ``config show --json``: ``type "callseal-config/1", file, settings`` (the settings' own names, secrets
masked). JSON of ``config check --json``: ``type "callseal-config-check/1", file, ok, checks[]`` with
``check, subject, outcome "ok"|"warning"|"failed", words``; words are for people, in their language.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import typer

from callseal.cli import options, output
from callseal.cli.checking import Outcome, Result, check_settings
from callseal.cli.commands import add
from callseal.cli.i18n import _
from callseal.config.errors import ConfigError
from callseal.config.load import candidates, load
from callseal.config.render import effective, to_toml

if TYPE_CHECKING:
    from callseal.cli.output import JsonValue

JSON_SHOW: Final = "callseal-config/1"
JSON_CHECK: Final = "callseal-config-check/1"


def register(app: typer.Typer) -> None:
    """Add the group's commands."""
    words = _("Show the settings as they take effect, with every default filled in and secrets masked.")
    add(app, "show", words, "callseal config show --json")(_show)
    words = _(
        "Check the settings, and all that they name.\n\nThat is: keys, recipients, certificate,"
        " announcements, spool, stores. Everything that is wrong is told at once; the exit code is then 78."
    )
    add(app, "check", words, "callseal config check --config /etc/callseal/callseal.toml")(_check)


def _show(*, config: options.Config = None, json_: options.Json = False) -> None:
    loaded = load(config, os.environ)
    if json_:
        shown = cast("dict[str, JsonValue]", effective(loaded.settings))
        output.json_document({"type": JSON_SHOW, "file": str(loaded.path), "settings": shown})
        return
    output.line(f"# {loaded.path}")
    output.text(to_toml(loaded.settings))


def _check(*, config: options.Config = None, json_: options.Json = False) -> None:
    try:
        loaded = load(config, os.environ)
    except ConfigError as error:
        if not json_:
            raise
        _print_json(
            candidates(config, os.environ)[0],
            [
                Result(
                    check="settings", subject=item.key or item.file, outcome=Outcome.FAILED, words=str(item)
                )
                for item in error.problems
            ],
        )
        raise typer.Exit(error.exit_code) from error
    results = [Result(check="settings", subject=str(loaded.path), outcome=Outcome.OK, words=_("valid"))]
    results += check_settings(loaded.settings)
    if json_:
        _print_json(loaded.path, results)
    else:
        marks = {
            Outcome.OK: _("ok"),
            Outcome.WARNING: _("warning"),
            Outcome.FAILED: _("FAILED"),
        }
        for one in results:
            output.line(f"{marks[one.outcome]}  {one.subject}: {one.words}")
    if any(one.outcome is Outcome.FAILED for one in results):
        raise typer.Exit(ConfigError.exit_code)


def _print_json(file: Path, results: list[Result]) -> None:
    output.json_document(
        {
            "type": JSON_CHECK,
            "file": str(file),
            "ok": not any(one.outcome is Outcome.FAILED for one in results),
            "checks": [
                {
                    "check": one.check,
                    "subject": one.subject,
                    "outcome": one.outcome.value,
                    "words": one.words,
                }
                for one in results
            ],
        }
    )
