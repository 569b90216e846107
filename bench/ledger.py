"""How long a year of one device's ledger takes to verify, and what one entry costs its writer.

    taskset -c 0 python bench/ledger.py [DAYS]

A day has 200 calls of two entries each, a heartbeat and a checkpoint every minute. The year is made in memory
(tmpfs) first, which takes some minutes. To reach: a year verified on one core in half a minute, in 400 MB;
the second figure is the writer's processor time an entry, disk not counted, beside the time with the disk.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from callseal.seal.keys import device_id, generate_signing_key
from callseal.seal.ledger import Clocks, Entry, Journal, Kind, sign_checkpoint, sign_line, verify_chain
from callseal.seal.ledger.checkpoint import write_line
from callseal.seal.ledger.state import LedgerState
from callseal.seal.uuid7 import uuid7

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 365
CALLS_A_DAY = 200
MINUTES_A_DAY = 1440
ENTRIES_WRITTEN = 2000
LIMIT_S = 30.0
LIMIT_BYTES = 400e6


@dataclass
class Year:
    """Segments one behind the other in one file: half a million files would measure the file system."""

    path: Path
    sizes: list[tuple[int, int]]

    def segments(self) -> Iterator[tuple[int, bytes]]:
        with self.path.open("rb") as file:
            for first, size_bytes in self.sizes:
                yield first, file.read(size_bytes)


def make(path: Path, days: int) -> tuple[Year, str]:
    """Write a ledger as the journal would, without its disk."""
    device = device_id(KEY.public_key())
    state, sizes = LedgerState.new(device), []
    calls = 0

    def line(minute: int, kind: Kind, recording: UUID | None = None, **fields: object) -> bytes:
        clocks = Clocks(at=BEGAN + timedelta(minutes=minute), boot="0" * 16, uptime_ms=minute * 60_000)
        entry = Entry(
            device=device,
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

    with path.open("wb") as file:
        for minute in range(days * MINUTES_A_DAY):
            first = state.size
            lines = [line(minute, Kind.HEARTBEAT, open=0)]
            if calls * MINUTES_A_DAY < minute * CALLS_A_DAY:
                calls += 1
                recording = uuid7(minute * 60_000, calls.to_bytes(10, "big"))
                lines.append(line(minute, Kind.OPENED, recording))
                lines.append(
                    line(
                        minute, Kind.CLOSED, recording, manifest=bytes(32), result="ok", reasons=("no-media",)
                    )
                )
            lines.append(write_line(sign_checkpoint(device, state.size, state.tree.root(), KEY)))
            sizes.append((first, file.write(b"".join(lines))))
    return Year(path, sizes), device


def written(folder: Path) -> tuple[float, float]:
    """Give the processor and the wall clock time of one entry of the journal, in seconds."""
    began_at = time.monotonic_ns()

    def clocks() -> Clocks:
        uptime_ms = (time.monotonic_ns() - began_at) // 1_000_000
        return Clocks(at=BEGAN + timedelta(milliseconds=uptime_ms), boot="0" * 16, uptime_ms=uptime_ms)

    journal = Journal([folder], device=device_id(KEY.public_key()), key=KEY, clocks=clocks)
    used, began = time.process_time(), time.perf_counter()
    for number in range(ENTRIES_WRITTEN):
        journal.append(Kind.OPENED, recording=uuid7(number, bytes(10)))
    return (
        (time.process_time() - used) / ENTRIES_WRITTEN,
        (time.perf_counter() - began) / ENTRIES_WRITTEN,
    )


def main() -> int:
    days = int(sys.argv[1]) if len(sys.argv) > 1 else DAYS
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory, tempfile.TemporaryDirectory() as disk:
        for name, folder in (("memory", memory), ("disk", disk)):
            cpu_s, wall_s = written(Path(folder) / "ledger")
            print(f"append, {name:8} {cpu_s * 1e6:6.0f} µs of processor, {wall_s * 1e6:6.0f} µs in all")
        year, device = make(Path(memory) / "year", days)
        before_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        used, began = time.process_time(), time.perf_counter()
        chain = verify_chain(year.segments(), device=device, public_key=KEY.public_key())
        cpu_s, wall_s = time.process_time() - used, time.perf_counter() - began
        after_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if chain.findings:
        print(chain.findings[:5])
        return 1
    print(f"{chain.size} entries, {len(year.sizes)} checkpoints: {wall_s:.1f} s, {cpu_s:.1f} s of processor")
    print(f"{cpu_s / chain.size * 1e6:.1f} µs an entry")
    print(f"{after_bytes / 1e6:.0f} MB at most, {before_bytes / 1e6:.0f} MB of these before")
    limit_s = LIMIT_S * days / DAYS
    print(f"limit {limit_s:.1f} s, ratio {cpu_s / limit_s:.2f}")
    return 0 if cpu_s <= limit_s and after_bytes <= LIMIT_BYTES else 1


KEY = generate_signing_key()

if __name__ == "__main__":
    sys.exit(main())
