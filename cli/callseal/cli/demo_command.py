"""``callseal demo``: the door to the demonstration, which is a folder of its own."""

from pathlib import Path
from typing import Annotated

import typer

from callseal.cli.commands import add
from callseal.cli.demo.command import demo as run_demo
from callseal.cli.i18n import _


def register(app: typer.Typer) -> None:
    """Add the command."""
    words = _(
        "Record a call from end to end on this machine: real calls over loopback, announced, recorded,"
        " sealed, stored, verified and opened. Nothing else needs to be installed."
    )
    add(app, "demo", words, "callseal demo --out /tmp/callseal-demo")(_demo)


def _demo(
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help=_("Where everything is put; otherwise a new folder in ./callseal-demo."),
            show_default=False,
        ),
    ] = None,
) -> None:
    raise typer.Exit(run_demo(out))
