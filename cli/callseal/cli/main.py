"""The entry point: language, command, exit code.

Conventions: exit codes are those of the contract (docs: exit codes); `faults` turns whatever is raised into
words and a code. A closed pipe (``callseal list | head``) ends the program without a word.
"""

import gc
import os
import sys
from collections.abc import MutableMapping, Sequence
from typing import Final

import typer

from callseal.cli import faults, i18n
from callseal.cli.commands import application

PROGRAM: Final = "callseal"

_HOLDS_SECRETS: Final = {"custodian", "enroll", "hold", "init", "keys", "list", "open", "retention"}
"""Commands that have private keys or opened recordings in their memory; services see to it themselves."""


def main() -> None:
    """Run the command line and end the process with its exit code."""
    if _HOLDS_SECRETS & set(sys.argv[1:2]):
        from callseal.agent import memory  # noqa: PLC0415 - no other command needs that part

        # A person's own limits seldom allow more than no dumps; what is refused here stops nobody.
        memory.protect()
    sys.exit(run(sys.argv[1:], os.environ))


def run(arguments: Sequence[str], env: MutableMapping[str, str]) -> int:
    """Run the command line with these arguments; return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that can't show a sign must not end a command half-way.
        getattr(stream, "reconfigure", lambda **_options: None)(errors="backslashreplace")
    i18n.install(env)
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered would fail once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return faults.PIPE_CLOSED
    return code


def _loaded(arguments: Sequence[str]) -> typer.Typer:
    """Return the application, its command's modules imported: many objects and no garbage to look for."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return application(arguments)
    finally:
        if collecting:
            gc.enable()


def _run(arguments: Sequence[str]) -> int:
    try:
        command = typer.main.get_command(_loaded(arguments))
        code = command.main(list(arguments), prog_name=PROGRAM, standalone_mode=False)
    except SystemExit as ended:
        # typer ends the process for a closed pipe by itself, with another code.
        if isinstance(ended.__context__, BrokenPipeError):
            raise BrokenPipeError from ended
        return ended.code if isinstance(ended.code, int) else faults.report(ended)
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the one place for all of them
        return faults.report(error)
    return code if isinstance(code, int) else 0
