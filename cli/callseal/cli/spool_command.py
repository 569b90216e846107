"""``callseal spool init``: makes folders spools."""

import os
from pathlib import Path
from typing import Annotated

import typer

from callseal.cli import options, output
from callseal.cli.commands import add
from callseal.cli.i18n import _
from callseal.config.load import load
from callseal.seal.spool import Spool


def register(app: typer.Typer) -> None:
    """Add the group's commands."""
    words = _(
        "Make a folder a spool, or the folders that the settings name.\n\nOnly a folder that was made a spool"
        " is recorded to: the empty folder that an unmounted disk leaves behind is none. Run it as the"
        " account of the services."
    )
    add(app, "init", words, "callseal spool init /var/lib/callseal")(_init)


def _init(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR", help=_("The folder; otherwise those of the settings."), show_default=False
        ),
    ] = None,
    *,
    config: options.Config = None,
) -> None:
    folders = [folder] if folder is not None else load(config, os.environ).settings.spool.folders()
    for one in folders:
        Spool.create(one)
        output.line(_("{path} is a spool").format(path=one))
