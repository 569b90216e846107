"""Run the command line as a person would: here, in this process, or as the program that is installed."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import structlog

from callseal.cli.main import run

PROGRAM: Final = Path(sys.executable).with_name("callseal")
ANSWER_PROMPT: Final = Path(__file__).with_name("answer_prompt.py")
_TIMEOUT_S: Final = 60
# What chooses settings or language; a test says itself what it wants.
_VARIABLES: Final = ("CALLSEAL_CONFIG", "XDG_CONFIG_HOME", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a command ended with and printed."""

    code: int
    out: str
    err: str


class Commands:
    """A command line with a home folder of its own."""

    def __init__(self, home: Path, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._home = home
        self._capture = capture
        self._patch = patch
        for name in _VARIABLES:
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(home))
        patch.setenv("LANG", "C.UTF-8")

    def use(self, config: Path) -> None:
        """Let commands find their settings in this file."""
        self._patch.setenv("CALLSEAL_CONFIG", str(config))

    def __call__(self, *arguments: str | Path) -> Ran:
        """Run a command in this process."""
        self._capture.readouterr()
        # A copy: the language that is chosen is for this command alone.
        code = run([str(one) for one in arguments], dict(os.environ))
        # A service's log goes to what stands in for standard error now, and is closed after the test.
        structlog.reset_defaults()
        out, err = self._capture.readouterr()
        return Ran(code=code, out=out, err=err)

    def program(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Ran:
        """Run the installed program."""
        return _ran([PROGRAM, *arguments], env)

    def detached(self, *arguments: str | Path) -> Ran:
        """Run the installed program where there is no terminal at all."""
        return _ran([PROGRAM, *arguments], None, new_session=True)

    def at_terminal(self, answer: str, *arguments: str | Path) -> Ran:
        """Run the installed program on a terminal where every passphrase prompt gets this answer."""
        return _ran([sys.executable, ANSWER_PROMPT, answer, PROGRAM, *arguments], None)


def _ran(command: list[str | Path], env: Mapping[str, str] | None, *, new_session: bool = False) -> Ran:
    ran = subprocess.run(
        command,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=_TIMEOUT_S,
        check=False,
        start_new_session=new_session,
    )
    return Ran(code=ran.returncode, out=ran.stdout, err=ran.stderr)
