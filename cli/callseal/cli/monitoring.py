"""Commands that a monitoring system runs: their verdicts, and an exit code of their own for all that fails.

Conventions: 0 ok, 1 warning, 2 critical, 3 unknown, as monitoring systems since Nagios read them. Such a
command never ends otherwise: what would be a usage error (2) or a fault of settings (78) elsewhere is
"unknown" here, told on standard error in the same words. Of several verdicts the gravest counts: critical,
then unknown, then warning.

Source: Monitoring Plugins Development Guidelines, "Plugin Return Codes".
"""

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

import typer

from callseal.cli import faults
from callseal.cli.commands import Command
from callseal.cli.i18n import _, mark

if TYPE_CHECKING:
    from typer._click.core import Context

_Result = TypeVar("_Result")


class Verdict(IntEnum):
    """How it is; the number is the exit code."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3

    @property
    def code(self) -> str:
        """The word that stands in JSON."""
        return self.name.lower()

    @property
    def words(self) -> str:
        """The word for people."""
        return _(_WORDS[self])


_WORDS: Final = {
    Verdict.OK: mark("OK"),
    Verdict.WARNING: mark("WARNING"),
    Verdict.CRITICAL: mark("CRITICAL"),
    Verdict.UNKNOWN: mark("UNKNOWN"),
}
_BY_GRAVITY: Final = (Verdict.OK, Verdict.WARNING, Verdict.UNKNOWN, Verdict.CRITICAL)


def gravest(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the gravest of several verdicts; OK where there is none."""
    return max(verdicts, key=_BY_GRAVITY.index, default=Verdict.OK)


class MonitoringCommand(Command):
    """A command that ends with a verdict, also where it was not asked as it should be."""

    def make_context(self, *arguments: Any, **options: Any) -> "Context":
        """Read the options; what is wrong with them is unknown (3)."""
        return _judged(lambda: super(MonitoringCommand, self).make_context(*arguments, **options))

    def invoke(self, ctx: "Context") -> Any:
        """Run the command; what it raises is unknown (3)."""
        return _judged(lambda: super(MonitoringCommand, self).invoke(ctx))


def add(app: typer.Typer, name: str, words: str, example: str) -> Callable[[Callable[..., None]], None]:
    """Return a decorator that adds such a command, as `commands.add` does any other."""

    def decorate(function: Callable[..., None]) -> None:
        epilog = _("Example: {command}").format(command=example)
        app.command(name, help=words, epilog=epilog, cls=MonitoringCommand)(function)

    return decorate


def _judged(act: Callable[[], _Result]) -> _Result:
    try:
        return act()
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except Exception as error:
        faults.report(error)
        raise typer.Exit(int(Verdict.UNKNOWN)) from error
