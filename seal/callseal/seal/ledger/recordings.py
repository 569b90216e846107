"""What a ledger tells of recordings: opened, ended, ended anew.

Taken event by event, in the order of the entries; what is wrong with that order becomes a finding. Of a
ledger that is read from a snapshot on, the recordings that were done with before are not known any more: an
event about one that may be among them is *doubtful*, and only the whole ledger tells. Which those are is told
by the ids: they sort by time (UUID of version 7), and the youngest of those that were let go of is kept, so
that none of them can come back unnoticed, whatever time its id claims.

Conventions: ids are their 16 bytes. Only events of authentic entries are taken. Pure.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from callseal.seal.ledger.entry import ENDS, Kind
from callseal.seal.ledger.findings import ALTERED, NOT_CHECKED, NOTE, Code, Findings
from callseal.seal.manifest import Result

# An exempt recording may never have been opened, a failed one may have failed at that.
_NEEDS_OPENED: Final = ENDS - {Kind.EXEMPT, Kind.FAILED}


@dataclass(frozen=True, slots=True)
class Event:
    """What an entry says of a recording; `started` is the entry by which its agent had begun, -1 for none."""

    sequence: int
    kind: Kind
    recording: bytes
    manifest: bytes | None
    result: str | None
    started: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """All that was told of one recording.

    `opened` is the first entry that opened it, `open` the newest one if no end followed; `end` is its newest
    end, `sealed` the newest that names a manifest; `replaced` is an earlier end that names another one, and
    whether a crash can have brought that about.
    """

    recording: bytes
    opened: int | None = None
    open: int | None = None
    end: Event | None = None
    sealed: Event | None = None
    replaced: tuple[int, bool] | None = None

    def sequences(self) -> set[int]:
        """Return the entries of which the time may be asked for."""
        began = {event.started for event in (self.end, self.sealed) if event is not None}
        return self.timed() | {sequence for sequence in began if sequence >= 0}

    def timed(self) -> set[int]:
        """Return those of them whose time is known for certain."""
        ends = {event.sequence for event in (self.end, self.sealed) if event is not None}
        return ends | {sequence for sequence in (self.opened, self.open) if sequence is not None}


class Recordings:
    """What was told so far."""

    __slots__ = ("doubtful", "ends", "forgotten", "open", "opened", "replaced", "sealed")

    def __init__(self) -> None:
        self.opened: dict[bytes, int] = {}
        self.open: dict[bytes, int] = {}
        self.ends: dict[bytes, Event] = {}
        self.sealed: dict[bytes, Event] = {}
        self.replaced: dict[bytes, tuple[int, bool]] = {}
        self.forgotten = b""
        """The youngest id of those that were let go of; empty if none was."""
        self.doubtful: set[bytes] = set()

    def take(self, event: Event, findings: Findings) -> None:
        """Go on by one event."""
        recording, sequence = event.recording, event.sequence
        self._doubt(event, findings)
        if event.kind is Kind.OPENED:
            self.opened.setdefault(recording, sequence)
            self.open[recording] = sequence
            return
        if event.kind in _NEEDS_OPENED and recording not in self.opened and recording not in self.doubtful:
            words = f"recording {UUID(bytes=recording)} ended and was never opened"
            findings.add(Code.END_WITHOUT_OPEN, words, sequence=sequence, exit_code=NOTE)
        self.open.pop(recording, None)
        before = self.sealed.get(recording)
        if before is not None and before.manifest != event.manifest:
            crashed = _can_be_a_crash(before, event)
            self.replaced[recording] = before.sequence, crashed
            _tell_replaced(findings, before, event, crashed=crashed)
        if event.manifest is not None:
            self.sealed[recording] = event
        self.ends.pop(recording, None)  # so that the newest ends stand last
        self.ends[recording] = event

    def tell_open(self, findings: Findings, restarted: int) -> None:
        """Tell which recordings have no end; `restarted` is when an agent last began or ended, an entry."""
        for recording, sequence in self.open.items():
            name = UUID(bytes=recording)
            if restarted > sequence:
                words = f"recording {name} was opened, and what became of it was never told"
                findings.add(Code.OPEN_WITHOUT_END, words, sequence=sequence, exit_code=ALTERED)
            else:
                words = f"recording {name} is still open"
                findings.add(Code.STILL_OPEN, words, sequence=sequence, exit_code=NOTE)

    def told(self, max_ends: int) -> tuple[tuple[Told, ...], bytes]:
        """Return what to keep, and the youngest id of all that was ever let go of.

        Kept is what has no end, and the newest ends, at most `max_ends`, oldest first.
        """
        done = [recording for recording in self.ends if recording not in self.open]
        kept = [*done[-max_ends:], *self.open]
        let_go = self.opened.keys() | self.ends.keys()
        let_go.difference_update(kept)
        return tuple(map(self._told, kept)), max(let_go | {self.forgotten})

    def restore(self, told: tuple[Told, ...], forgotten: bytes) -> None:
        """Begin with what was kept."""
        self.forgotten = forgotten
        for item in told:
            recording = item.recording
            if item.opened is not None:
                self.opened[recording] = item.opened
            if item.open is not None:
                self.open[recording] = item.open
            if item.end is not None:
                self.ends[recording] = item.end
            if item.sealed is not None:
                self.sealed[recording] = item.sealed
            if item.replaced is not None:
                self.replaced[recording] = item.replaced

    def _told(self, recording: bytes) -> Told:
        return Told(
            recording=recording,
            opened=self.opened.get(recording),
            open=self.open.get(recording),
            end=self.ends.get(recording),
            sealed=self.sealed.get(recording),
            replaced=self.replaced.get(recording),
        )

    def _doubt(self, event: Event, findings: Findings) -> None:
        """Find an event about a recording that may be one of those that were let go of."""
        recording = event.recording
        if recording > self.forgotten or recording in self.opened or recording in self.ends:
            return
        self.doubtful.add(recording)
        words = f"recording {UUID(bytes=recording)} may have been told of before: only the whole ledger tells"
        findings.add(Code.BEFORE_BASE, words, sequence=event.sequence, exit_code=NOT_CHECKED)


def _can_be_a_crash(before: Event, event: Event) -> bool:
    """Tell whether a crash can make a recording that was sealed end once more, as something else.

    A disk can lose what it had promised to keep: then the recording is recovered, or what was to be discarded
    is discarded anew.
    """
    exempt = Result.EXEMPT.value
    return event.kind is Kind.RECOVERED or before.result == event.result == exempt


def _tell_replaced(findings: Findings, before: Event, event: Event, *, crashed: bool) -> None:
    name = UUID(bytes=event.recording)
    words = f"recording {name} ended by entry {before.sequence}, and otherwise by entry {event.sequence}"
    exit_code = NOT_CHECKED if crashed else ALTERED
    findings.add(Code.REPLACED, words, sequence=event.sequence, exit_code=exit_code)
