"""Passphrases: asked on the terminal, unseen, or read from a file that was named.

Conventions: a passphrase never stands on a command line or in an environment variable, where other processes
can see it. It is a `Secret` as soon as it is here. A file's first line is the passphrase, without its end.
"""

import getpass
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from callseal.cli import output
from callseal.cli.disk import readable
from callseal.cli.errors import UsageFault
from callseal.cli.i18n import _
from callseal.seal.secret import Secret

MIN_PASSPHRASE: Final = 12
"""Characters. scrypt makes a guess cost a second; shorter ones are guessed all the same."""
_FILE_LIMIT_BYTES: Final = 4096
_TERMINAL: Final = "/dev/tty"


def asked(subject: Path, file: Path | None) -> Callable[[], Secret]:
    """Return what gives the passphrase that opens `subject`, when it is needed; it raises UsageFault."""

    def ask() -> Secret:
        if file is not None:
            return read(file)
        return _prompt(_("Passphrase for {path}: ").format(path=subject))

    return ask


def new(subject: Path, file: Path | None) -> Secret:
    """Return a passphrase for something new, asked for twice; UsageFault if it is too short."""
    if file is not None:
        chosen = read(file)
    else:
        prompt = _("New passphrase for {path} (at least {number} characters): ")
        chosen = _prompt(prompt.format(path=subject, number=MIN_PASSPHRASE))
    if len(chosen.reveal()) < MIN_PASSPHRASE:
        words = _("the passphrase is too short: at least {number} characters are needed")
        raise UsageFault(words.format(number=MIN_PASSPHRASE))
    if file is None and _prompt(_("The same passphrase again: ")) != chosen:
        raise UsageFault(_("the two passphrases differ; nothing was written"))
    return chosen


def read(file: Path) -> Secret:
    """Return the passphrase in a file; UsageFault if there is none."""
    with readable(file), file.open("rb") as opened:
        mode = os.fstat(opened.fileno()).st_mode
        data = opened.read(_FILE_LIMIT_BYTES)
    if stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
        output.warning(_("{path}: other accounts may read this passphrase; make it 600").format(path=file))
    secret = Secret(data.partition(b"\n")[0].removesuffix(b"\r").decode("utf-8", "surrogateescape"))
    if not secret:
        raise UsageFault(_("{path}: its first line, the passphrase, is empty").format(path=file))
    return secret


def _prompt(words: str) -> Secret:
    try:
        # Without a terminal getpass would read standard input, and show what is typed.
        os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY))
    except OSError as problem:
        raise UsageFault(
            _("a passphrase is needed and there is no terminal to ask on; give --passphrase-file")
        ) from problem
    try:
        return Secret(getpass.getpass(words))
    except EOFError as problem:
        raise UsageFault(_("no passphrase was given")) from problem
