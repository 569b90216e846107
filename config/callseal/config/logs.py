"""The services' log: one line an event on standard error, which systemd takes to the journal.

Events have dotted names with keys and values. No secret and no customer's number goes in; whoever logs
sees to that. What is done here for it: a bug's traceback has lines of code and no variables, which may hold
sound, keys and numbers.
"""

import logging
import sys

import structlog

from callseal.config.settings import Log

__all__ = ["configure"]


def configure(settings: Log) -> None:
    """Set the process's log up as the settings say."""
    renderers: tuple[structlog.typing.Processor, ...] = (
        (structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False))
        if settings.format == "json"
        else (
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
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
