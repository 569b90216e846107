"""What commands print: tables, lines, JSON.

Conventions: data goes to standard output; warnings, progress and errors go to standard error. On a terminal
tables have rules and colours and fit its width; elsewhere they are plain, one row a line, columns two spaces
apart, nothing cut. JSON is never coloured or cut; its names and codes are part of the contract and never
translated. Text that came with a recording may hold anything, so whatever is printed passes through `clean`:
a name that a stranger chose must not move the cursor. In JSON such signs are escaped, and nothing is lost.
"""

import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from callseal.cli.i18n import _

JsonValue: TypeAlias = "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"

_GAP: Final = "  "
_KIBIBYTE: Final = 1024
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_REPLACEMENT: Final = "�"


def clean(text: str) -> str:
    """Return text fit for one line of a terminal: what can't be printed is replaced."""
    return "".join(sign if sign.isprintable() else _REPLACEMENT for sign in text)


def line(text: str = "") -> None:
    """Print one line of data."""
    sys.stdout.write(clean(text) + "\n")


def text(block: str) -> None:
    """Print several lines of data."""
    for one in block.splitlines():
        line(one)


def note(text: str) -> None:
    """Print one line that is no data: what happens, what to do next."""
    sys.stderr.write(clean(text) + "\n")


def warning(text: str) -> None:
    """Print a warning that must not be overlooked."""
    words = clean(_("WARNING: {text}").format(text=text))
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(words, style="bold red"))


def json_document(document: Mapping[str, JsonValue]) -> None:
    """Print a JSON object."""
    sys.stdout.write(json_text(document) + "\n")


def json_text(document: Mapping[str, JsonValue]) -> str:
    """Return a JSON object as it is printed: indented, and without a sign that a terminal obeys."""
    text = json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign == "\n" else _escaped(sign) for sign in text)


def _escaped(sign: str) -> str:
    return json.dumps(sign)[1:-1]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their columns' names; the first column, by which a row is known, is never broken."""
    cleaned = [[clean(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        _plain([list(columns), *cleaned])
        return
    shown = Table(header_style="bold")
    for number, column in enumerate(columns):
        shown.add_column(Text(column), overflow="fold", no_wrap=number == 0)
    for row in cleaned:
        shown.add_row(*map(Text, row))
    Console(highlight=False).print(shown)


def facts(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and what goes with them, one pair a line."""
    if not sys.stdout.isatty():
        _plain([[name, clean(value)] for name, value in rows])
        return
    shown = Table(show_header=False, box=None, pad_edge=False)
    shown.add_column(style="bold", no_wrap=True)
    shown.add_column(overflow="fold")
    for name, value in rows:
        shown.add_row(Text(name), Text(clean(value)))
    Console(highlight=False).print(shown)


def _plain(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(_GAP.join(padded).rstrip() + "\n")


def local_time(time: datetime) -> str:
    """Write a time as clocks here show it; one at the calendar's end, which has no local time, as it is."""
    with contextlib.suppress(OverflowError, ValueError):
        time = time.astimezone()
    return time.strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float) -> str:
    """Write a duration: 0:07, 12:34, 1:02:03."""
    whole = int(seconds)
    minutes = f"{whole % _HOUR_S // _MINUTE_S:02}:{whole % _MINUTE_S:02}"
    hours = whole // _HOUR_S
    return f"{hours}:{minutes}" if hours else minutes.removeprefix("0")


def size(size_bytes: int) -> str:
    """Write a size with the unit that suits it."""
    if size_bytes < _KIBIBYTE:
        return f"{size_bytes} B"
    value = size_bytes / _KIBIBYTE
    for unit in ("KiB", "MiB"):
        if value < _KIBIBYTE:
            return f"{value:.1f} {unit}"
        value /= _KIBIBYTE
    return f"{value:.1f} GiB"
