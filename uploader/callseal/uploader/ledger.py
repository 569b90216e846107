"""Sends finished segments of the ledger to one store, in their order, ahead of the recordings.

How far a store has them stands in the queue: as with recordings our own note, and no proof of anything.

Conventions: a segment never changes once it is finished, so that sending it again is harmless. A store that
has other bytes under its name refuses: this machine was set back to an older copy of itself, or its ledger
was altered, and a person must look. Where the account may not compare (it can add, and read nothing), a name
that is taken without an attempt of ours is passed over: a queue that was lost must not end the ledger, and
two histories in one store do not continue each other, which is found centrally.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from callseal.seal.durable import Step, no_step
from callseal.seal.errors import LedgerError
from callseal.seal.fields import Fields, read_object
from callseal.seal.spool import Spool
from callseal.store.errors import (
    NameTaken,
    SourceAltered,
    StoreDenied,
    StoreMissing,
    StoreRefused,
    StoreUnreachable,
)
from callseal.store.interface import Pace, unpaced
from callseal.store.names import ledger_name
from callseal.uploader.errors import BundleBroken
from callseal.uploader.queue import Queue
from callseal.uploader.worker import Target

MAX_SEGMENT_BYTES: Final = 16 * 1024 * 1024
MAX_LINE_BYTES: Final = 64 * 1024
MAX_LISTED: Final = 1000
"""How many segments are held in memory at a time; a year has half a million."""

_DEVICE_PATTERN: Final = re.compile(r"dev-[a-z2-7]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A finished segment: the number of its first entry, and its file."""

    first: int
    path: Path


def segments_after(spool: Spool, sent: int) -> list[Segment]:
    """Return the next segments behind that with the first entry `sent`, in order; raises SpoolError.

    Where that one is not here any more it is another ledger that lies here, and none of it was sent.
    """
    found = spool.segments(max(sent, 0))
    if sent >= 0:
        found = found[1:] if found and found[0][0] == sent else spool.segments()
    return [Segment(first=first, path=path) for first, path in found[:MAX_LISTED]]


def deliver_segment(
    segment: Segment, queue: Queue, target: Target, *, pace: Pace = unpaced, step: Step = no_step
) -> None:
    """Put one segment, and note that.

    Raises BundleBroken for one that can't be read as one, and what the store raises: StoreUnreachable and
    StoreDenied (try later) or StoreRefused (a person must look); NameTaken never.
    """
    read = _read(segment)
    attempted = queue.segment_attempted(target.name, segment.first)
    queue.attempt_segment(target.name, segment.first)
    try:
        _put(segment, read, target, pace, step)
    except NameTaken:
        if not attempted:
            queue.withdraw_segment(target.name)
            _compare(*read, target)
    except StoreRefused:
        if not attempted:
            queue.withdraw_segment(target.name)
        raise
    queue.store_segment(target.name, segment.first)


def _put(segment: Segment, read: tuple[str, bytes], target: Target, pace: Pace, step: Step) -> None:
    name, data = read
    step(f"put ledger {segment.first}")
    try:
        target.writer.put(name, data, hashlib.sha256(data).digest(), pace=pace)
    except SourceAltered as problem:
        raise BundleBroken(f"{segment.path}: {problem}") from problem


def _read(segment: Segment) -> tuple[str, bytes]:
    """Return a segment's name in the store, and its bytes."""
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
    return ledger_name(device, segment.first), data


def _compare(name: str, data: bytes, target: Target) -> None:
    """Raise StoreRefused if other bytes stand there, as far as this account may know."""
    if target.reader is None:
        return
    try:
        with target.reader.get(name) as file:
            found = file.read(len(data) + 1)
    except (StoreDenied, StoreMissing):
        return
    except StoreUnreachable:
        raise
    except OSError as problem:
        raise StoreUnreachable(f"{name}: {problem}") from problem
    if found != data:
        raise StoreRefused(f"{name}: other bytes stand under this name; nothing was changed")


def _first_entry(data: bytes) -> tuple[str, int]:
    """Return the device and the number in a segment's first line; nobody vouches for them here."""
    line = data[:MAX_LINE_BYTES].partition(b"\n")[0]
    values = read_object(line, what="segment", limit_bytes=MAX_LINE_BYTES, error=LedgerError)
    entry = Fields(values, where="segment", error=LedgerError).child("entry")
    return entry.text("device", _DEVICE_PATTERN), entry.integer("sequence")
