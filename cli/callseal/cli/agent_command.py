"""``callseal agent``: the recording service, in the foreground until SIGTERM or SIGINT."""

import os

import typer

from callseal.agent import service
from callseal.cli import options
from callseal.cli.commands import add
from callseal.cli.i18n import _
from callseal.config.errors import ConfigValueError, Problem
from callseal.config.load import load


def register(app: typer.Typer) -> None:
    """Add the command."""
    words = _(
        "Record calls: the service, in the foreground, until it is told to stop (SIGTERM, Ctrl-C). Running"
        " calls may finish first; a second signal ends them. The log goes to standard error."
    )
    add(app, "agent", words, "callseal agent --config /etc/callseal/callseal.toml")(_agent)


def _agent(*, config: options.Config = None) -> None:
    loaded = load(config, os.environ)
    if not loaded.settings.sources:
        # Who only reads a store, or looks after one, has none.
        words = 'at least one [[source]] is needed, such as type = "bridge"'
        raise ConfigValueError(Problem(file=str(loaded.path), key="source", value=None, allowed=words))
    raise typer.Exit(service.run(loaded))
