"""Sends finished segments of the ledger to one store, in their order, ahead of the recordings.

How far a store has them stands in ``sent/<store>/ledger.json``: the number of the first entry that it may not
have. As with recordings that is our own note, and no proof of anything.

Conventions: a segment never changes once it is finished, so that sending it again is harmless. A store that
has other bytes under its name refuses: this machine was set back to an older copy of itself, or its ledger
was altered, and a person must look.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from callseal.seal import durable
from callseal.seal.durable import Step, no_step
from callseal.seal.errors import LedgerError, SpoolError
from callseal.seal.fields import MAX_INTEGER, Fields, JsonValue, read_object, write_object
from callseal.seal.spool import Spool
from callseal.store.errors import SourceAltered
from callseal.store.names import ledger_name
from callseal.uploader.errors import BundleBroken
from callseal.uploader.worker import Target

MARKER_TYPE: Final = "callseal-sent-ledger/1"
MARKER_NAME: Final = "ledger.json"
MAX_SEGMENT_BYTES: Final = 16 * 1024 * 1024

MAX_LINE_BYTES: Final = 64 * 1024

_MARKER_LIMIT_BYTES: Final = 4096
_DEVICE_PATTERN: Final = re.compile(r"dev-[a-z2-7]{12}")
_TYPE_PATTERN: Final = re.compile(re.escape(MARKER_TYPE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A finished segment: the number of its first entry, and its file."""

    first: int
    path: Path


def waiting(spool: Spool, store: str) -> list[Segment]:
    """Return the segments that `store` may not have, in order; raises SpoolError."""
    found = spool.segments(_sent_below(spool, store))
    return [Segment(first=first, path=path) for first, path in found]


def send_segment(segment: Segment, target: Target, *, step: Step = no_step) -> None:
    """Put one segment.

    Raises BundleBroken for one that can't be read as one, and what the store raises: StoreUnreachable (try
    later) or StoreRefused (a person must look).
    """
    try:
        with segment.path.open("rb") as file:
            data = file.read(MAX_SEGMENT_BYTES + 1)
        device, sequence = _first_entry(data)
    except OSError as problem:
        raise BundleBroken(f"{segment.path}: {problem.strerror}") from problem
    except LedgerError as problem:
        raise BundleBroken(f"{segment.path}: {problem}") from problem
    if sequence != segment.first or len(data) > MAX_SEGMENT_BYTES:
        raise BundleBroken(f"{segment.path}: not the segment that its name says")
    step(f"put ledger {segment.first}")
    try:
        target.writer.put(ledger_name(device, segment.first), segment.path, hashlib.sha256(data).digest())
    except SourceAltered as problem:
        raise BundleBroken(f"{segment.path}: {problem}") from problem


def note_sent(spool: Spool, store: str, below: int) -> None:
    """Note that `store` has every entry before number `below`; raises SpoolError."""
    values: dict[str, JsonValue] = {"type": MARKER_TYPE, "store": store, "below": below}
    path = spool.sent_path(store) / MARKER_NAME
    try:
        durable.replace_file(path, write_object(values))
    except OSError as problem:
        raise SpoolError(f"{path}: the disk refused: {problem.strerror}") from problem


def _first_entry(data: bytes) -> tuple[str, int]:
    """Return the device and the number in a segment's first line; nobody vouches for them here."""
    line = data[:MAX_LINE_BYTES].partition(b"\n")[0]
    values = read_object(line, what="segment", limit_bytes=MAX_LINE_BYTES, error=LedgerError)
    entry = Fields(values, where="segment", error=LedgerError).child("entry")
    return entry.text("device", _DEVICE_PATTERN), entry.integer("sequence")


def _sent_below(spool: Spool, store: str) -> int:
    path = spool.sent_path(store) / MARKER_NAME
    try:
        with path.open("rb") as file:
            data = file.read(_MARKER_LIMIT_BYTES + 1)
    except FileNotFoundError:
        return 0
    except OSError as problem:
        raise SpoolError(f"{path}: {problem.strerror}") from problem
    try:
        values = read_object(data, what=MARKER_NAME, limit_bytes=_MARKER_LIMIT_BYTES, error=LedgerError)
        fields = Fields(values, where=MARKER_NAME, error=LedgerError)
        fields.text("type", _TYPE_PATTERN)
        return fields.integer("below", high=MAX_INTEGER)
    except LedgerError:
        return 0  # all of them again: a store has no objection to what it has
