"""One line of a ledger read at a glance: a year has most of a million of them.

What the journal writes day by day (heartbeats, and recordings opened and ended) is recognised in its exact
spelling by one pattern, which leaves no room for a name given twice or a value of another type. Every other
line takes the long way through `entry`: the result is the same, the time is ten times that.

Pure. Raises only LedgerError.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from callseal.seal.errors import LedgerError
from callseal.seal.fields import Fields
from callseal.seal.ledger import entry
from callseal.seal.ledger.clock import BOOT_PATTERN, milliseconds
from callseal.seal.ledger.entry import HASH_SIZE_BYTES, Kind
from callseal.seal.manifest import MAX_REASONS, Result

_NUMBER: Final = rb"(?:0|[1-9][0-9]{0,14})"
_ID: Final = rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TOKEN: Final = rb'"[a-z0-9][a-z0-9._-]{0,63}"'
_ENDS: Final = b"|".join(sorted(kind.value.encode() for kind in entry.ENDS))
_RESULTS: Final = b"|".join(result.value.encode() for result in Result)
_LINE: Final = re.compile(
    rb'\{"entry":(\{"device":"(dev-[a-z2-7]{12})","sequence":(%(number)s),"previous":"([0-9a-f]{64})",'
    rb'"at":"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z)","boot":"([0-9a-f]{16})",'
    rb'"uptime_ms":(%(number)s),"kind":"(?:heartbeat","open":%(number)s|opened","recording":"(%(id)s)"|'
    rb'(%(ends)s)","recording":"(%(id)s)","manifest":(?:"([0-9a-f]{64})"|null),"result":"(%(results)s)",'
    rb'"reasons":\[(?:%(token)s(?:,%(token)s){0,%(more)d})?\])\}),"signature":"[A-Za-z0-9+/]{86}=="\}\n'
    % {
        b"number": _NUMBER,
        b"id": _ID,
        b"ends": _ENDS,
        b"results": _RESULTS,
        b"token": _TOKEN,
        b"more": MAX_REASONS - 1,
    }
)
_KIND_PATTERN: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")


@dataclass(slots=True)
class Said:
    """What an entry says, as far as a chain of them is judged by it.

    Not frozen, and filled by position: it lives for one turn of a loop that makes a million of them. `kind`
    is None where this version does not know it. `recording` and `manifest` are their bytes.
    """

    data: bytes
    device: bytes
    sequence: int
    previous: bytes
    at_ms: int
    boot: bytes
    uptime_ms: int
    kind: Kind | None
    recording: bytes | None = None
    manifest: bytes | None = None
    result: str | None = None
    by_ms: int | None = None


def read_said(line: bytes) -> Said:
    """Return what the entry in a line says; its line feed stands at the end. LedgerError for another line.

    The signature is not looked at.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        return _read_slowly(line)
    data, device, sequence, previous, at, boot, uptime_ms, opened, end, ended, manifest, result = (
        match.groups()
    )
    try:
        at_ms = milliseconds(datetime.fromisoformat(at.decode()))
    except ValueError:
        return _read_slowly(line)
    said = Said(data, device, int(sequence), previous, at_ms, boot, int(uptime_ms), Kind.HEARTBEAT)
    if opened is not None:
        said.kind, said.recording = Kind.OPENED, _id_bytes(opened)
    elif end is not None:
        if manifest is None and end != b"failed":
            return _read_slowly(line)
        said.kind, said.recording = Kind(end.decode()), _id_bytes(ended)
        said.manifest = None if manifest is None else bytes.fromhex(manifest.decode())
        said.result = result.decode()
    return said


def _id_bytes(text: bytes) -> bytes:
    return bytes.fromhex(text.replace(b"-", b"").decode())


def _read_slowly(line: bytes) -> Said:
    data, _ = entry.split_line(line)
    values = entry.read_values(data)
    fields = Fields(values, where="entry", error=LedgerError)
    kind = fields.text("kind", _KIND_PATTERN)
    if kind not in {kind.value for kind in Kind}:
        return Said(
            data,
            fields.text("device", entry.DEVICE_PATTERN).encode(),
            fields.integer("sequence"),
            fields.hexadecimal("previous", size_bytes=HASH_SIZE_BYTES).hex().encode(),
            milliseconds(fields.time("at")),
            fields.text("boot", BOOT_PATTERN).encode(),
            fields.integer("uptime_ms"),
            None,
        )
    whole = entry.entry_of(values)
    return Said(
        data,
        whole.device.encode(),
        whole.sequence,
        whole.previous.hex().encode(),
        whole.clocks.at_ms,
        whole.clocks.boot.encode(),
        whole.clocks.uptime_ms,
        whole.kind,
        None if whole.recording is None else whole.recording.bytes,
        whole.manifest,
        whole.result,
        whole.by_ms,
    )
