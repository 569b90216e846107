"""The registrations, kept over a restart of the agent.

Without, no call would come in until the telephone registers again, which may take an hour.

Shell: one small JSON file beside the status files, ``0600``, with addresses of this desk's own telephone
lines and no customer's. It is our own note: what can't be read of it counts as not there, and nothing in it
can name a place that isn't a telephone of this machine (`Bindings.restore`).

Conventions: seconds of the wall clock for when the file was written, since no other one lasts.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from callseal.agent.sources.bridge.edge.bindings import MAX_BINDINGS, Saved
from callseal.seal.durable import replace_file

FILE_NAME: Final = "bridge-bindings.json"
MAX_FILE_BYTES: Final = 256 * 1024
"""Far above what so many registrations with their longest URIs come to; no more is read."""

_VERSION: Final = 1
_TEXTS: Final = tuple(each.name for each in fields(Saved) if each.type == "str" or each.type is str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was in the file."""

    saved: tuple[Saved, ...]
    problem: str = ""
    """What was wrong with it, in words for a log; empty where nothing was."""


def save(path: Path, saved: Iterable[Saved], *, wall_s: float) -> None:
    """Write the file, in place of an earlier one; OSError where that can't be done."""
    content = {"version": _VERSION, "saved_s": wall_s, "registrations": [asdict(each) for each in saved]}
    replace_file(path, json.dumps(content).encode())


def load(path: Path, *, wall_s: float) -> Found:
    """Read the file; what is over by now is left out."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return Found(saved=())
    except OSError as error:
        return Found(saved=(), problem=f"it cannot be read: {error.strerror}")
    try:
        content: Any = json.loads(data) if len(data) <= MAX_FILE_BYTES else None
    except (ValueError, RecursionError):
        content = None
    return _found(content, wall_s)


def _found(content: Any, wall_s: float) -> Found:
    if not isinstance(content, dict):
        return Found(saved=(), problem="it is damaged")
    if content.get("version") != _VERSION:
        return Found(saved=(), problem="it is of an unknown version")
    listed, saved_s = content.get("registrations"), _seconds(content.get("saved_s"))
    if not isinstance(listed, list) or len(listed) > MAX_BINDINGS or saved_s is None:
        return Found(saved=(), problem="it is damaged")
    # A clock that was set back makes nothing last longer.
    gone_s = max(0.0, wall_s - saved_s)
    read = [_read(each, gone_s) for each in listed]
    whole = tuple(each for each in read if each is not None)
    problem = "" if len(whole) == len(read) else "some of its registrations are damaged"
    return Found(saved=tuple(each for each in whole if each.left_s > 0), problem=problem)


def _read(item: Any, gone_s: float) -> Saved | None:
    if not isinstance(item, dict) or not all(isinstance(item.get(name), str) for name in _TEXTS):
        return None
    left_s = _seconds(item.get("left_s"))
    return None if left_s is None else Saved(**{name: item[name] for name in _TEXTS}, left_s=left_s - gone_s)


def _seconds(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        return float(value) if is_number and math.isfinite(value) else None
    except OverflowError:
        return None
