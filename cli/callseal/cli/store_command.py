"""``callseal store init``: makes folders stores."""

import os
from pathlib import Path
from typing import Annotated

import typer

from callseal.cli import options, output
from callseal.cli.commands import add
from callseal.cli.errors import UsageFault
from callseal.cli.i18n import _
from callseal.config.load import load
from callseal.config.settings import DirectoryStore as DirectorySettings
from callseal.store.directory import DirectoryStore


def register(app: typer.Typer) -> None:
    """Add the group's commands."""
    words = _(
        "Make a folder a store, or all folders that the settings name as stores.\n\nOnly a folder that was"
        " made a store is written to: the empty folder that an unmounted disk leaves behind is none."
    )
    add(app, "init", words, "callseal store init /srv/recordings")(_init)


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
    if folder is not None:
        folders = [folder]
    else:
        stores = load(config, os.environ).settings.stores
        folders = [item.path for item in stores if isinstance(item, DirectorySettings)]
    if not folders:
        raise UsageFault(_("the settings name no store of the type directory; name a folder"))
    for one in folders:
        DirectoryStore.create(one)
        output.line(_("{path} is a store").format(path=one))
