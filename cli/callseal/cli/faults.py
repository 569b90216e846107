"""The one place where whatever a command raises becomes words on standard error and an exit code.

Conventions: an error of ours carries its `exit_code` and says in one line what is wrong, where, and what to
do; settings have a line a problem. An error whose code is 1, or that has none, is a bug of ours and is said
to be one, with its traceback. Usage errors are typer's: the usage line, then what is wrong.
"""

import sys
import traceback
from typing import Final

from callseal.cli import output
from callseal.cli.i18n import _

BUG: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130  # 128 + SIGINT: what a shell shows for a program that ended by it
PIPE_CLOSED: Final = 141  # 128 + SIGPIPE, likewise


def report(error: BaseException) -> int:
    """Tell about an error; return the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    usage = _usage(error)
    if usage is not None:
        sys.stderr.write(usage)
        return USAGE
    code = getattr(error, "exit_code", BUG)
    if not isinstance(code, int) or code == BUG:
        _bug(error)
        return BUG
    for text in str(error).splitlines() or [type(error).__name__]:
        output.note(f"callseal: {text}")
    return code


def _usage(error: BaseException) -> str | None:
    """Return the words for an error of typer's: its classes moved between versions, their shape did not."""
    words = getattr(error, "format_message", None)
    if not callable(words):
        return None
    context = getattr(error, "ctx", None)
    usage = ""
    if context is not None:
        hint = _("Try '{command} --help' for help.").format(command=context.command_path)
        usage = f"{context.get_usage()}\n{hint}\n"
    message = output.clean(" ".join(str(words()).split()))
    # Without a message it is the help that was shown in place of a missing command.
    return f"{usage}callseal: {message}\n" if message else ""


def _bug(error: BaseException) -> None:
    traceback.print_exception(error, file=sys.stderr)
    output.note(
        _("callseal: this is a bug in callseal: please report it, with the lines above ({name})").format(
            name=type(error).__name__
        )
    )
