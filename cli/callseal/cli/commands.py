"""The table of commands, and the typer application made from it.

Conventions: a command's module is imported when that command is asked for, and no other: `callseal --help`
reads no cryptography and no numpy. So the table holds what the list of commands shows, and the module, by
`register`, its options and what it does. Groups (``keys``, ``config``, ``store``) are one module each.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Final, Protocol, cast

import typer
from typer.core import TyperCommand, TyperGroup

from callseal.cli.i18n import _, mark

if TYPE_CHECKING:
    from typer._click.core import Context
    from typer.core import TyperOption

_USAGE: Final = "Usage: "  # as typer writes it
_MARKUP: Final = "rich"


class Command(TyperCommand):
    """A command whose usage line and help option are in the user's language."""

    def get_usage(self, ctx: "Context") -> str:
        """Return the usage line."""
        return _usage(super().get_usage(ctx))

    def get_help_option(self, ctx: "Context") -> "TyperOption | None":
        """Return the option --help."""
        return _help_option(super().get_help_option(ctx))


class Group(TyperGroup):
    """A group of commands whose usage line and help option are in the user's language."""

    def get_usage(self, ctx: "Context") -> str:
        """Return the usage line."""
        return _usage(super().get_usage(ctx))

    def get_help_option(self, ctx: "Context") -> "TyperOption | None":
        """Return the option --help."""
        return _help_option(super().get_help_option(ctx))


def _usage(line: str) -> str:
    return line.replace(_USAGE, _("Usage: "), 1)


def _help_option(option: "TyperOption | None") -> "TyperOption | None":
    if option is not None:
        option.help = _("Show this help and exit.")
    return option


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A command or group: its name, its module in this package, its line in the list of commands."""

    name: str
    module: str
    words: str
    group: bool = False


ENTRIES: Final = (
    Entry(name="demo", module="demo_command", words=mark("Record a call from end to end on this machine.")),
    Entry(
        name="init", module="init_command", words=mark("Write a settings file and this device's identity.")
    ),
    Entry(
        name="keys",
        module="keys_command",
        words=mark("Make, show, certify, revoke and re-wrap keys."),
        group=True,
    ),
    Entry(name="enroll", module="enroll_command", words=mark("Have the organisation vouch for this device.")),
    Entry(name="agent", module="agent_command", words=mark("Record calls: the service, in the foreground.")),
    Entry(
        name="uploader",
        module="uploader_command",
        words=mark("Bring recordings to the stores: the service, in the foreground."),
    ),
    Entry(
        name="custodian",
        module="custodian_command",
        words=mark("Read back what arrives in the stores and vouch for it: the central service."),
    ),
    Entry(name="health", module="health_command", words=mark("Say how the services on this machine are.")),
    Entry(name="config", module="config_command", words=mark("Show and check the settings."), group=True),
    Entry(name="spool", module="spool_command", words=mark("Make a folder a spool."), group=True),
    Entry(
        name="store",
        module="store_command",
        words=mark("Make stores, prove them, read them again."),
        group=True,
    ),
    Entry(name="list", module="list_command", words=mark("List recordings, the newest first.")),
    Entry(name="open", module="open_command", words=mark("Decrypt a recording, with its private key.")),
    Entry(name="verify", module="verify_command", words=mark("Prove that recordings are what was recorded.")),
    Entry(
        name="retention",
        module="retention_command",
        words=mark("Until when recordings are kept, and why."),
        group=True,
    ),
    Entry(
        name="hold", module="hold_command", words=mark("Put recordings on hold, and lift that."), group=True
    ),
    Entry(
        name="stamp",
        module="stamp_command",
        words=mark("Let a time-stamping authority stamp the ledgers in a store."),
    ),
)


class _Module(Protocol):
    """What a command's module offers."""

    def register(self, app: typer.Typer) -> None:
        """Add its command, or a group's commands, to `app`."""


def application(arguments: Sequence[str]) -> typer.Typer:
    """Return the application for these arguments; only the command that they name is whole."""
    app = new_group(_("Record business calls so that the recording can be trusted."))
    app.callback()(_root())
    # No option of the application itself takes a value, so the first word is the command.
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    for entry in ENTRIES:
        if entry.name == chosen:
            _add(app, entry)
        else:
            app.command(entry.name, help=_(entry.words), cls=Command)(_not_loaded)
    return app


def new_group(words: str) -> typer.Typer:
    """Return an empty group of commands."""
    return typer.Typer(
        cls=Group,
        help=words,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=_MARKUP,
    )


def add(app: typer.Typer, name: str, words: str, example: str) -> Callable[[Callable[..., None]], None]:
    """Return a decorator that adds a command; every command's help ends in an example."""

    def decorate(function: Callable[..., None]) -> None:
        app.command(name, help=words, epilog=_("Example: {command}").format(command=example), cls=Command)(
            function
        )

    return decorate


def _add(app: typer.Typer, entry: Entry) -> None:
    module = cast("_Module", import_module(f"callseal.cli.{entry.module}"))
    if not entry.group:
        module.register(app)
        return
    group = new_group(_(entry.words))
    module.register(group)
    app.add_typer(group, name=entry.name)


def _root() -> Callable[..., None]:
    def show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
        if wanted:
            sys.stdout.write(f"callseal {version('callseal')}\n")
            raise typer.Exit

    def root(
        *,
        show: Annotated[
            bool,
            typer.Option(
                "--version", callback=show_version, is_eager=True, help=_("Show the version and exit.")
            ),
        ] = False,
    ) -> None:
        pass

    return root


def _not_loaded() -> None:
    raise RuntimeError("a command was run whose module was not loaded")
