"""The services' log: one line an event on standard error, which systemd takes to the journal.

Events have dotted names with keys and values. No secret and no customer's number goes in; whoever logs
sees to that. What is done here for it: a bug's traceback has lines of code and the exceptions' names, neither
variables nor messages, which may hold sound, keys and numbers.
"""

import logging
import sys
import traceback
from collections.abc import Iterator
from typing import Final, TextIO

import structlog

from callseal.config.settings import Log

__all__ = ["configure"]

MAX_CAUSES: Final = 8
"""Of one exception that are told, each the other's cause."""


def configure(settings: Log) -> None:
    """Set the process's log up as the settings say."""
    renderers: tuple[structlog.typing.Processor, ...] = (
        (
            structlog.processors.ExceptionRenderer(_traceback),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        )
        if settings.format == "json"
        else (
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_write_traceback),
        )
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _traceback(exc_info: structlog.typing.ExcInfo) -> str:
    """Give a traceback as Python does, the first cause first, without what the exceptions say."""
    return "\n".join(reversed([*_told(exc_info[1])]))


def _told(error: BaseException | None) -> Iterator[str]:
    for _ in range(MAX_CAUSES):
        if error is None:
            return
        lines = "".join(traceback.format_tb(error.__traceback__))
        why = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
        yield f"Traceback (most recent call last):\n{lines}{type(error).__qualname__}{why}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _write_traceback(stream: TextIO, found: structlog.typing.ExcInfo) -> None:
    stream.write("\n" + _traceback(found))
