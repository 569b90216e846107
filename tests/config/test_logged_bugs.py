"""The services' log tells of a bug where it is, and nothing of the people whose call it hit."""

import json
from typing import Literal

import pytest
import structlog

from callseal.config import logs
from callseal.config.settings import Log

NUMBER = "+8613912345678"


def _stumble(number: str) -> None:
    try:
        int(f"<{number}>")
    except ValueError as error:
        raise KeyError(number) from error


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_bug_is_logged_with_its_place_and_without_what_it_says(
    form: Literal["json", "console"], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(Log(format=form))

    try:
        _stumble(NUMBER)
    except KeyError:
        structlog.get_logger("test").exception("bug")
    structlog.reset_defaults()

    told = capsys.readouterr().err
    assert NUMBER.strip("+") not in told
    assert told.index("ValueError") < told.index("KeyError")
    assert told.count("in _stumble") == 2


def test_what_the_system_says_is_told_without_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log(format="json"))

    try:
        raise FileNotFoundError(2, "No such file", f"/{NUMBER}")
    except OSError as error:
        structlog.get_logger("test").error("bug", exc_info=error)
    structlog.reset_defaults()

    line = json.loads(capsys.readouterr().err)
    assert line["exception"].endswith("FileNotFoundError: No such file")
    assert NUMBER not in str(line)
