"""Days and times as people write them on a command line: by the clocks here."""

from datetime import UTC, datetime, timedelta

from callseal.cli.errors import UsageFault
from callseal.cli.i18n import _


def read_time(text: str, *, plus: timedelta = timedelta()) -> datetime:
    """Return the moment that a day (its beginning) or a time stands for, and `plus` by the clocks here.

    UsageFault if it stands for none.
    """
    try:
        return (datetime.fromisoformat(text) + plus).astimezone(UTC)
    except (ValueError, OverflowError) as problem:
        words = _("{text}: not a day or time: write 2026-11-21 or 2026-11-21T09:30")
        raise UsageFault(words.format(text=text)) from problem
