"""The services' log: a bug is told with its place in the code, and with nothing of a call."""

from collections.abc import Iterator

import pytest
import structlog

from callseal.config.logs import configure
from callseal.config.settings import Log


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_bug_is_logged_with_its_place_and_without_what_the_variables_held(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(Log.model_validate({"level": "info", "format": form}))
    number = "+861" + "3800138000"  # in two halves: the line of code is shown, and may be

    try:
        len(number) // 0
    except ZeroDivisionError:
        structlog.get_logger().exception("agent.chore.failed")

    said = capsys.readouterr().err
    assert number not in said
    assert "ZeroDivisionError" in said
    assert "test_logs.py" in said
