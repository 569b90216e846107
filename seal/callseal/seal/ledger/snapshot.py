"""What a check of a ledger knew at the end of a segment, so that a later one can go on from there.

A device's ledger grows for years; whoever looks at it every minute can't begin at its first entry each time.
A snapshot is taken behind a checkpoint that the device signed, and holds what the entries that follow are
judged by: the newest entry's hash and clocks, the Merkle tree's peaks, the recordings that are open or ended
lately, and the faults found so far, which do not go away by being old. What it lets go of are the entries
themselves, and the recordings that were done with; `recordings` tells how one of those that comes back is
known for it.

Conventions: `size` entries are behind us. A snapshot is the checker's own note and no proof of anything:
whoever can write it can make the checker believe what he likes, so it is kept where only the checker writes.
As a file it is JSON, its numbers checked against one another; every reading raises only LedgerError.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from uuid import UUID

from callseal.seal.errors import LedgerError
from callseal.seal.fields import MAX_INTEGER, Fields, JsonValue, read_object, write_object
from callseal.seal.ledger import entry
from callseal.seal.ledger.clock import BOOT_PATTERN, Clocks, from_milliseconds, milliseconds
from callseal.seal.ledger.entry import ENDS, HASH_SIZE_BYTES, Kind
from callseal.seal.ledger.findings import (
    ALTERED,
    BAD_SIGNATURE,
    MAX_FINDINGS_A_CODE,
    NOT_CHECKED,
    Code,
    Finding,
)
from callseal.seal.ledger.merkle import CompactRange
from callseal.seal.ledger.recordings import Event, Told
from callseal.seal.manifest import Result
from callseal.seal.timestamp import write_time

TYPE: Final = "callseal-ledger-snapshot/1"
MAX_ENDS: Final = 256
"""How many of the newest ends are kept: what a crash left half done, and ends anew, was done last."""
MAX_TOLD: Final = 16_384
"""More recordings than that without an end are no ledger to go on with: it is read whole each time."""
MAX_SIZE_BYTES: Final = 32 * 1024 * 1024

_WHERE: Final = "snapshot"
_TYPE_PATTERN: Final = re.compile(re.escape(TYPE))
_HASH_PATTERN: Final = re.compile(r"[0-9a-f]{64}")
_WORDS_PATTERN: Final = re.compile(r"[^\x00-\x1f\x7f]{1,2000}")
_MAX_PEAKS: Final = 64
_MAX_FAULTS: Final = len(Code) * 4 * MAX_FINDINGS_A_CODE
_MAX_TIMES: Final = MAX_TOLD * 6  # the sequences of one recording
_EXIT_CODES: Final = frozenset({ALTERED, BAD_SIGNATURE, NOT_CHECKED})


class Track(StrEnum):
    """How well the entries so far hang together."""

    INTACT = "intact"  # the tree has every one of them
    FOLLOWED = "followed"  # it has not; the next one is compared with the newest one's hash
    LOST = "lost"  # behind something that could not be taken: the next one is compared with nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What is known of the first `size` entries; ValueError for what could not be known together.

    `head` is the newest entry's hash. `peaks` are those of the Merkle tree, empty unless it is intact.
    `started` and `stopped` are the newest entries that say so, -1 for none; `last_kind` is None for one that
    was not known. `missing` counts the entries that are. `times_ms` are the wall clocks of `started` and of
    the entries that `told` names. `faults` are findings, `counts` how many there were of each code and exit
    code. `forgotten` is the youngest recording that was known and is not in `told`.
    """

    device: str
    size: int
    head: bytes
    track: Track
    peaks: tuple[bytes, ...]
    clocks: Clocks | None
    last_kind: Kind | None
    started: int
    stopped: int
    missing: int = 0
    told: tuple[Told, ...] = ()
    times_ms: Mapping[int, int] = field(default_factory=dict)
    forgotten: bytes = b""
    faults: tuple[Finding, ...] = ()
    counts: Mapping[tuple[Code, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if entry.DEVICE_PATTERN.fullmatch(self.device) is None:
            raise ValueError("device is not of the form dev-…")
        if not 1 <= self.size <= MAX_INTEGER or len(self.head) != HASH_SIZE_BYTES:
            raise ValueError("size or head is out of range")
        if self.track is not Track.INTACT and self.peaks:
            raise ValueError("a tree that is not intact has no peaks")
        if self.track is Track.INTACT:
            CompactRange.from_peaks(self.size, self.peaks)
            if self.missing:
                raise ValueError("a tree can't be intact where entries are missing")
        if not 0 <= self.missing < self.size:
            raise ValueError("more entries are missing than there are")
        if len(self.told) > MAX_TOLD or len({item.recording for item in self.told}) != len(self.told):
            raise ValueError(f"at most {MAX_TOLD} recordings, each once")
        named = {self.started, self.stopped}.union(*(item.sequences() for item in self.told))
        if not all(-1 <= sequence < self.size for sequence in named):
            raise ValueError("an entry is named that comes later")
        if not self.times_ms.keys() >= set[int]().union(*(item.timed() for item in self.told)):
            raise ValueError("an entry is named whose time is not told")

    def to_bytes(self) -> bytes:
        """Return it as a file."""
        clocks = self.clocks
        values: dict[str, JsonValue] = {
            "type": TYPE,
            "device": self.device,
            "size": self.size,
            "head": self.head.hex(),
            "track": self.track.value,
            "peaks": [peak.hex() for peak in self.peaks],
            "clocks": None
            if clocks is None
            else {"at": write_time(clocks.at), "boot": clocks.boot, "uptime_ms": clocks.uptime_ms},
            "last_kind": None if self.last_kind is None else self.last_kind.value,
            "started": self.started,
            "stopped": self.stopped,
            "missing": self.missing,
            "told": [_write_told(item) for item in self.told],
            "times": [
                {"sequence": sequence, "at": write_time(from_milliseconds(at_ms))}
                for sequence, at_ms in sorted(self.times_ms.items())
            ],
            "forgotten": str(UUID(bytes=self.forgotten)) if self.forgotten else None,
            "faults": [_write_fault(item) for item in self.faults],
            "counts": [
                {"code": code.value, "exit_code": exit_code, "count": count}
                for (code, exit_code), count in self.counts.items()
            ],
        }
        return write_object(values)


def read_snapshot(data: bytes) -> Snapshot:
    """Return what the bytes of a snapshot say; raises only LedgerError."""
    values = read_object(data, what=_WHERE, limit_bytes=MAX_SIZE_BYTES, error=LedgerError)
    fields = Fields(values, where=_WHERE, error=LedgerError)
    fields.text("type", _TYPE_PATTERN)
    try:
        return Snapshot(
            device=fields.text("device", entry.DEVICE_PATTERN),
            size=fields.integer("size"),
            head=fields.hexadecimal("head", size_bytes=HASH_SIZE_BYTES),
            track=fields.choice("track", Track),
            peaks=tuple(map(bytes.fromhex, fields.texts("peaks", _HASH_PATTERN, limit=_MAX_PEAKS))),
            clocks=None if fields.is_null("clocks") else _read_clocks(fields.child("clocks")),
            last_kind=None if fields.is_null("last_kind") else fields.choice("last_kind", Kind),
            started=fields.integer("started", low=-1),
            stopped=fields.integer("stopped", low=-1),
            missing=fields.integer("missing"),
            told=tuple(map(_read_told, fields.children("told", limit=MAX_TOLD))),
            times_ms={
                item.integer("sequence"): milliseconds(item.time("at"))
                for item in fields.children("times", limit=_MAX_TIMES)
            },
            forgotten=b"" if fields.is_null("forgotten") else _read_id(fields, "forgotten"),
            faults=tuple(map(_read_fault, fields.children("faults", limit=_MAX_FAULTS))),
            counts={
                (item.choice("code", Code), _exit_code(item)): item.integer("count", low=1)
                for item in fields.children("counts", limit=_MAX_FAULTS)
            },
        )
    except (ValueError, OverflowError) as problem:
        raise LedgerError(f"{_WHERE}: {problem}") from problem


def _write_told(told: Told) -> JsonValue:
    # `sealed` is nearly always the end itself.
    sealed = told.sealed if told.sealed != told.end else None
    return {
        "recording": str(UUID(bytes=told.recording)),
        "opened": told.opened,
        "open": told.open,
        "end": _write_event(told.end),
        "sealed_before": _write_event(sealed),
        "replaced": told.replaced[0] if told.replaced is not None and not told.replaced[1] else None,
        "recovered": told.replaced[0] if told.replaced is not None and told.replaced[1] else None,
    }


def _read_told(fields: Fields) -> Told:
    recording = _read_id(fields, "recording")
    end = _read_event(fields, "end", recording)
    before = _read_event(fields, "sealed_before", recording)
    replaced, recovered = _sequence(fields, "replaced"), _sequence(fields, "recovered")
    put_aside = replaced if recovered is None else recovered
    return Told(
        recording=recording,
        opened=_sequence(fields, "opened"),
        open=_sequence(fields, "open"),
        end=end,
        sealed=end if before is None and end is not None and end.manifest is not None else before,
        replaced=None if put_aside is None else (put_aside, recovered is not None),
    )


def _write_event(event: Event | None) -> JsonValue:
    if event is None:
        return None
    return {
        "sequence": event.sequence,
        "kind": event.kind.value,
        "manifest": None if event.manifest is None else event.manifest.hex(),
        "result": event.result,
        "started": event.started,
    }


def _read_event(fields: Fields, key: str, recording: bytes) -> Event | None:
    if fields.is_null(key):
        return None
    said = fields.child(key)
    kind = said.choice("kind", Kind)
    if kind not in ENDS:
        raise fields.wrong(key, "an end")
    return Event(
        sequence=said.integer("sequence"),
        kind=kind,
        recording=recording,
        manifest=(
            None if said.is_null("manifest") else said.hexadecimal("manifest", size_bytes=HASH_SIZE_BYTES)
        ),
        result=said.choice("result", Result).value,
        started=said.integer("started", low=-1),
    )


def _write_fault(finding: Finding) -> JsonValue:
    return {
        "code": finding.code.value,
        "words": finding.words,
        "sequence": finding.sequence,
        "exit_code": finding.exit_code,
    }


def _read_fault(fields: Fields) -> Finding:
    return Finding(
        code=fields.choice("code", Code),
        words=fields.text("words", _WORDS_PATTERN),
        sequence=_sequence(fields, "sequence"),
        exit_code=_exit_code(fields),
    )


def _exit_code(fields: Fields) -> int:
    found = fields.integer("exit_code")
    if found not in _EXIT_CODES:
        raise fields.wrong("exit_code", "the exit code of a fault")
    return found


def _read_clocks(fields: Fields) -> Clocks:
    return Clocks(
        at=fields.time("at"), boot=fields.text("boot", BOOT_PATTERN), uptime_ms=fields.integer("uptime_ms")
    )


def _read_id(fields: Fields, key: str) -> bytes:
    return UUID(fields.text(key, entry.ID_PATTERN)).bytes


def _sequence(fields: Fields, key: str) -> int | None:
    return None if fields.is_null(key) else fields.integer(key)
