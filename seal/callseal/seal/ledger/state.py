"""What the writer of a ledger has to know to go on: ``head.json``, and the lines written since.

Conventions: `size` entries are behind us; `previous` is what the next one names. Recordings that were opened
and have no end yet are remembered, however many; ends only of the newest `MAX_ENDS`, for the start after a
crash: what a crash can leave half done was done last. Sound that is to be destroyed once its disk is back is
remembered until it is. Pure: taking a line checks that it fits and nothing
else changes; a line that does not fit raises LedgerError or SignatureError and leaves the state as it was.

``head.json`` is our own note and no proof: JSON, its numbers checked against the segments beside it.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Self
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callseal.seal.errors import LedgerError
from callseal.seal.fields import Fields, JsonValue, read_object, write_object
from callseal.seal.ledger import checkpoint, entry
from callseal.seal.ledger.clock import BOOT_PATTERN, Clocks
from callseal.seal.ledger.entry import ENDS, HASH_SIZE_BYTES, Entry, Kind
from callseal.seal.ledger.merkle import CompactRange, leaf_hash
from callseal.seal.manifest import LedgerPlace
from callseal.seal.timestamp import write_time

TYPE: Final = "callseal-ledger-head/1"
MAX_HEAD_BYTES: Final = 16 * 1024 * 1024
MAX_ENDS: Final = 256
_TO_BE_DESTROYED: Final = (Kind.DISCARDED, None)
MAX_OPEN: Final = 65_536  # more than the calls that one machine can hold at a time

_WHERE: Final = "head.json"
_TYPE_PATTERN: Final = re.compile(re.escape(TYPE))
_HASH_PATTERN: Final = re.compile(r"[0-9a-f]{64}")
_MAX_PEAKS: Final = 64


@dataclass(slots=True, kw_only=True)
class LedgerState:
    """Where a ledger stands; changed only by `take`."""

    device: str
    previous: bytes
    tree: CompactRange
    clocks: Clocks | None = None
    open: dict[UUID, None] = field(default_factory=dict)
    ends: dict[UUID, tuple[Kind, bytes | None]] = field(default_factory=dict)

    @classmethod
    def new(cls, device: str) -> Self:
        """Return the state of a ledger without entries."""
        return cls(device=device, previous=entry.first_previous(device), tree=CompactRange())

    @property
    def size(self) -> int:
        """How many entries there are."""
        return self.tree.size

    @property
    def place(self) -> LedgerPlace | None:
        """The newest entry, if there is one."""
        return LedgerPlace(sequence=self.size - 1, head=self.previous) if self.size else None

    def take(self, data: bytes, said: Entry) -> None:
        """Go on by one entry, whose exact bytes are `data`; LedgerError if it is not the next one."""
        if said.device != self.device:
            raise LedgerError(f"entry {said.sequence}: of another device than {self.device}")
        if said.sequence != self.size:
            raise LedgerError(f"entry {said.sequence}: entry {self.size} expected here")
        if said.previous != self.previous:
            raise LedgerError(f"entry {said.sequence}: follows another entry than the one before it")
        self.previous = entry.entry_hash(data)
        self.tree.append(leaf_hash(data))
        self.clocks = said.clocks
        if said.recording is not None and said.kind is Kind.OPENED:
            self.open[said.recording] = None
        if said.recording is not None and said.kind in ENDS:
            self.open.pop(said.recording, None)
            self.ends.pop(said.recording, None)
            self.ends[said.recording] = said.kind, said.manifest
            self.forget_old_ends()

    def forget_old_ends(self) -> None:
        """Keep the newest ends, and those that have something left to be done."""
        done = [recording for recording, end in self.ends.items() if end != _TO_BE_DESTROYED]
        for recording in done[: max(0, len(done) - MAX_ENDS)]:
            del self.ends[recording]

    def take_lines(self, lines: list[bytes], key: Ed25519PublicKey) -> bool:
        """Go on by the lines of a segment; tell whether its checkpoint is the last of them.

        LedgerError or SignatureError for a line that is not the next one. Every signature is checked.
        """
        for number, line in enumerate(lines, 1):
            if line.startswith(checkpoint.LINE_PREFIX):
                self._check(checkpoint.read_line(line), key)
                if number != len(lines):
                    raise LedgerError("the segment goes on behind its checkpoint")
                return True
            data, signature = entry.split_line(line)
            entry.verify_signature(data, signature, key)
            self.take(data, entry.parse_entry(data))
        return False

    def to_bytes(self) -> bytes:
        """Return ``head.json``."""
        clocks = self.clocks
        values: dict[str, JsonValue] = {
            "type": TYPE,
            "device": self.device,
            "size": self.size,
            "previous": self.previous.hex(),
            "peaks": [peak.hex() for peak in self.tree.peaks],
            "clocks": None
            if clocks is None
            else {"at": write_time(clocks.at), "boot": clocks.boot, "uptime_ms": clocks.uptime_ms},
            "open": [str(recording) for recording in self.open],
            "ends": [
                {
                    "recording": str(recording),
                    "kind": kind.value,
                    "manifest": None if manifest is None else manifest.hex(),
                }
                for recording, (kind, manifest) in self.ends.items()
            ],
        }
        return write_object(values)

    def _check(self, note: bytes, key: Ed25519PublicKey) -> None:
        said = checkpoint.open_checkpoint(note, key, self.device)
        if said.size != self.size or said.root != self.tree.root():
            raise LedgerError(f"checkpoint of {said.size} entries: not that of the {self.size} before it")


def read_head(data: bytes) -> LedgerState:
    """Return what the bytes of a ``head.json`` say; raises only LedgerError."""
    values = read_object(data, what=_WHERE, limit_bytes=MAX_HEAD_BYTES, error=LedgerError)
    fields = Fields(values, where=_WHERE, error=LedgerError)
    fields.text("type", _TYPE_PATTERN)
    peaks = fields.texts("peaks", _HASH_PATTERN, limit=_MAX_PEAKS)
    try:
        return LedgerState(
            device=fields.text("device", entry.DEVICE_PATTERN),
            previous=fields.hexadecimal("previous", size_bytes=HASH_SIZE_BYTES),
            tree=CompactRange.from_peaks(fields.integer("size"), map(bytes.fromhex, peaks)),
            clocks=None if fields.is_null("clocks") else _clocks(fields.child("clocks")),
            open={UUID(text): None for text in fields.texts("open", entry.ID_PATTERN, limit=MAX_OPEN)},
            ends=dict(map(_end, fields.children("ends", limit=MAX_ENDS + MAX_OPEN))),
        )
    except ValueError as problem:
        raise LedgerError(f"{_WHERE}: {problem}") from problem


def _clocks(fields: Fields) -> Clocks:
    return Clocks(
        at=fields.time("at"), boot=fields.text("boot", BOOT_PATTERN), uptime_ms=fields.integer("uptime_ms")
    )


def _end(fields: Fields) -> tuple[UUID, tuple[Kind, bytes | None]]:
    manifest = (
        None if fields.is_null("manifest") else fields.hexadecimal("manifest", size_bytes=HASH_SIZE_BYTES)
    )
    return UUID(fields.text("recording", entry.ID_PATTERN)), (fields.choice("kind", Kind), manifest)
