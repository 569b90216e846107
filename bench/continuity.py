"""What a custodian's look at one device costs, however long its ledger is.

    taskset -c 0 python bench/continuity.py [DAYS]

A day has 200 calls of two entries each, a heartbeat and a checkpoint every minute. The store is in memory, so
that processor time is measured and no network: for each device and minute a store is asked twice, for one
short listing and one object. To reach: 500 devices a minute on one core, that is 120 ms for each.
"""

import hashlib
import io
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from callseal.archive.continuity import Continuity
from callseal.seal.keys import (
    Role,
    TrustStore,
    certify,
    chain_der,
    create_root,
    device_id,
    generate_signing_key,
)
from callseal.seal.ledger import Clocks, Entry, Kind, sign_checkpoint, sign_line
from callseal.seal.ledger.checkpoint import write_line
from callseal.seal.ledger.state import LedgerState
from callseal.seal.uuid7 import uuid7
from callseal.store.capabilities import Capabilities
from callseal.store.interface import Content, ObjectInfo, Pace, unpaced
from callseal.store.names import ledger_name

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 10
CALLS_A_DAY = 200
MINUTES_A_DAY = 1440
ROUNDS = 100
LIMIT_MS = 120.0
KEY = generate_signing_key()
DEVICE = device_id(KEY.public_key())


class Shelf:
    """Segments in memory, each there from its minute on."""

    capabilities = Capabilities(
        exclusive_put=True, versions=False, lock=False, checked_put=True, max_object_size_bytes=None
    )

    def __init__(self) -> None:
        self.segments: dict[str, tuple[bytes, datetime]] = {}
        self.until = BEGAN
        self.names: list[str] = []

    def put(self, name: str, content: Content, sha256: bytes, *, pace: Pace = unpaced) -> str:
        raise NotImplementedError

    def get(self, name: str, version: str | None = None) -> BinaryIO:  # noqa: ARG002 - there is one
        return io.BytesIO(self.segments[name][0])

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:  # noqa: ARG002 - nobody asks for it
        for name in self.names:
            if name.startswith(prefix) and self.segments[name][1] <= self.until:
                data, at = self.segments[name]
                yield ObjectInfo(name=name, size_bytes=len(data), modified_at=at)

    def folders(self, prefix: str) -> Iterator[str]:  # noqa: ARG002 - nothing else is here
        yield DEVICE

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        return self.list(prefix)


def make(days: int) -> tuple[Shelf, TrustStore]:
    """Write a ledger as the journal would."""
    root_key, root = create_root("Example Insurance", now=BEGAN - timedelta(days=1), years=20)
    leaf = certify(root_key, root, KEY.public_key(), role=Role.DEVICE, now=BEGAN - timedelta(days=1), years=3)
    state, shelf, calls = LedgerState.new(DEVICE), Shelf(), 0

    def line(minute: int, kind: Kind, recording: UUID | None = None, **fields: object) -> bytes:
        clocks = Clocks(at=BEGAN + timedelta(minutes=minute), boot="0" * 16, uptime_ms=minute * 60_000)
        entry = Entry(
            device=DEVICE,
            sequence=state.size,
            previous=state.previous,
            clocks=clocks,
            kind=kind,
            recording=recording,
            **fields,  # type: ignore[arg-type]
        )
        data = entry.to_bytes()
        state.take(data, entry)
        return sign_line(data, KEY)

    for minute in range(days * MINUTES_A_DAY):
        first, lines = state.size, list[bytes]()
        if not minute:
            settings = hashlib.sha256(b"settings").digest()
            lines.append(
                line(0, Kind.STARTED, software="callseal/0.1.0", settings=settings, x5c=chain_der([leaf]))
            )
        lines.append(line(minute, Kind.HEARTBEAT, open=0))
        if minute % MINUTES_A_DAY * CALLS_A_DAY // MINUTES_A_DAY != calls % CALLS_A_DAY:
            at_ms = int((BEGAN + timedelta(minutes=minute)).timestamp() * 1000)
            recording = uuid7(at_ms, calls.to_bytes(10, "big"))
            manifest = hashlib.sha256(recording.bytes).digest()
            lines.append(line(minute, Kind.OPENED, recording))
            lines.append(line(minute, Kind.CLOSED, recording, manifest=manifest, result="ok", reasons=()))
            calls += 1
        lines.append(write_line(sign_checkpoint(DEVICE, state.size, state.tree.root(), KEY)))
        shelf.segments[ledger_name(DEVICE, first)] = b"".join(lines), BEGAN + timedelta(minutes=minute)
    shelf.names = sorted(shelf.segments)
    return shelf, TrustStore([root])


def main() -> None:
    """Measure and print."""
    days = int(sys.argv[1]) if len(sys.argv) > 1 else DAYS
    shelf, trust = make(days)
    with tempfile.TemporaryDirectory() as folder:
        continuity = Continuity(shelf, "bench", trust, Path(folder), lambda: shelf.until)
        total = days * MINUTES_A_DAY - ROUNDS - 1
        began = time.process_time()
        while True:
            shelf.until = BEGAN + timedelta(minutes=total)
            size = continuity.state(DEVICE).size
            continuity.refresh()
            if continuity.state(DEVICE).size == size:
                break
        caught_up_s = time.process_time() - began
        tail = Path(folder) / "bench" / DEVICE / "tail"
        began = time.process_time()
        for minute in range(total, total + ROUNDS):
            shelf.until = BEGAN + timedelta(minutes=minute + 1)
            continuity.refresh()
        each_ms = (time.process_time() - began) / ROUNDS * 1000
        state, wrong = continuity.state(DEVICE), continuity.findings(DEVICE)
        size_mb = sum(path.stat().st_size for path in tail.parent.iterdir()) / 1e6
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(
            f"entries {state.size}, of them behind the base {state.size - state.base}; findings {len(wrong)}"
        )
        print(f"caught up from nothing in {caught_up_s:.1f} s")
        print(
            f"a device and minute {each_ms:.1f} ms, limit {LIMIT_MS:.0f} ms, ratio {each_ms / LIMIT_MS:.2f}"
        )
        print(f"memory on the disk {size_mb:.1f} MB, at most {peak_mb:.0f} MB in this process")


if __name__ == "__main__":
    main()
