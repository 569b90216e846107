"""The options that several commands share."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from callseal.cli.i18n import _

Config: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help=_(
            "The settings file. Otherwise $CALLSEAL_CONFIG, ~/.config/callseal/callseal.toml or"
            " /etc/callseal/callseal.toml."
        ),
        show_default=False,
    ),
]
Store: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="STORE",
        help=_(
            "Work on this store alone: one of the settings by its name, or a folder. What has a slash in it"
            " is a folder."
        ),
        show_default=False,
    ),
]
Reason: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--reason",
        metavar="TEXT",
        help=_(
            "Why recordings are opened, 1 to 500 characters: kept in the store with who, when and where. A"
            " store may ask for it."
        ),
        show_default=False,
    ),
]
Roots: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--roots",
        metavar="PEM",
        help=_("Root certificates to believe, instead of those of the settings."),
        show_default=False,
    ),
]
Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help=_("Write JSON, for programs. Its names are stable."))
]
Keys: TypeAlias = Annotated[
    list[Path],
    typer.Option(
        "--identity",
        "-i",
        metavar="KEY",
        help=_("A private key (age identity) that opens recordings; may be given several times."),
        show_default=False,
    ),
]
PassphraseFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help=_("Take the passphrase from the first line of this file instead of asking for it."),
        show_default=False,
    ),
]
