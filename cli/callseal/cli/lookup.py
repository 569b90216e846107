"""Which recording a person means: a folder, a whole id, or the beginning or end of one.

Conventions: a short name is 6 hexadecimal digits of an id at least, from its beginning or its end, hyphens
where one likes. Ids begin with the time, so that those of one afternoon begin alike: the end tells them
apart. A short name must mean one recording; several copies of it are still one. The copy that is used is
the first that is whole, in the order of the places.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from callseal.cli.disk import readable
from callseal.cli.errors import Ambiguous, NotFound
from callseal.cli.i18n import _, counted
from callseal.cli.places import EVER, Copy, Days, Place, Scan, days_between, folder_copy, scan, warn_of
from callseal.seal.manifest import MANIFEST_NAME
from callseal.seal.uuid7 import time_ms

MIN_DIGITS: Final = 6
MAX_CANDIDATES: Final = 10

_ID_DIGITS: Final = 32
_PART: Final = re.compile(r"[0-9a-f-]*[0-9a-f][0-9a-f-]*")


def is_folder(name: str) -> bool:
    """Tell whether a name stands for a folder rather than for an id."""
    if "/" in name or name in {".", ".."}:
        return True
    try:
        return (Path(name) / MANIFEST_NAME).is_file()
    except OSError:  # too long for a name, or not ours to see: then it is no folder of a recording
        return False


def folder(name: str) -> Copy:
    """Return the recording in a folder; NotFound if there is none."""
    path = Path(name)
    with readable(path):
        if not path.is_dir():
            raise NotFound(_("{path}: there is no such folder").format(path=path))
        copy = folder_copy(path, str(path))
    if not copy.complete:
        raise NotFound(
            _("{path}: no recording: there is no {manifest} in it").format(path=path, manifest=MANIFEST_NAME)
        )
    return copy


def search(name: str, looked: Sequence[Place]) -> Copy:
    """Return the copy to use of the recording that `name` means, found in these places; raises as `find`.

    A whole id tells its day, and then stores are searched for that one only.
    """
    days = days_of(name)
    found = scan(looked, days)
    if days.all or any(copy.id is not None and copy.id.hex == _digits(name) for copy in found.copies):
        return find(name, found)
    # An id may lie: what was imported, or recorded by a clock that stood wrong.
    return find(name, scan(looked))


def days_of(name: str) -> Days:
    """Return the days of which the recording can be that `name` means."""
    digits = _digits(name)
    at_ms = time_ms(UUID(digits)) if re.fullmatch(rf"[0-9a-f]{{{_ID_DIGITS}}}", digits) else None
    if at_ms is None:
        return EVER
    try:
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
    except (ValueError, OverflowError):
        return EVER
    return days_between(at, at)


def find(name: str, scan: Scan) -> Copy:
    """Return the copy to use of the recording that `name` means.

    Raises NotFound, Ambiguous, and the failure of a place that could not be looked through, if the
    recording is in no other.
    """
    means = matching(name, {copy.id for copy in scan.copies if copy.id is not None})
    if not means:
        if scan.failures:
            raise scan.failures[0]
        raise NotFound(
            _(
                "no recording has an id that begins or ends with {name}; `callseal list` shows what there is"
            ).format(name=name)
        )
    if len(means) > 1:
        raise Ambiguous(_ambiguous(name, means, scan.copies))
    warn_of(scan.failures)
    copies = [copy for copy in scan.copies if copy.id == means[0]]
    return next((copy for copy in copies if copy.complete), copies[0])


def matching(name: str, ids: Iterable[UUID]) -> tuple[UUID, ...]:
    """Return the ids that a whole id or a part of one stands for, oldest first; NotFound if it is neither."""
    text, digits = name.strip().lower(), _digits(name)
    if _PART.fullmatch(text) is None or not MIN_DIGITS <= len(digits) <= _ID_DIGITS:
        raise NotFound(
            _(
                "{name}: neither a folder nor an id: give a folder's path, an id, or at least {digits}"
                " digits (0-9, a-f) of its beginning or end"
            ).format(name=name, digits=MIN_DIGITS)
        )
    return tuple(sorted(one for one in ids if one.hex.startswith(digits) or one.hex.endswith(digits)))


def _digits(name: str) -> str:
    return name.strip().lower().replace("-", "")


def _ambiguous(name: str, means: Sequence[UUID], copies: Sequence[Copy]) -> str:
    first = counted(
        "{name} means {number} recording; give more digits:",
        "{name} means {number} recordings; give more digits:",
        len(means),
    )
    lines = [first.format(name=name, number=len(means))]
    for one in means[:MAX_CANDIDATES]:
        where = ", ".join(dict.fromkeys(copy.place for copy in copies if copy.id == one))
        lines.append(f"  {one}  {where}")
    if len(means) > MAX_CANDIDATES:
        lines.append("  …")
    return "\n".join(lines)
