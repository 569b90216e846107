"""What the sound of a gateway's calls costs, beside a C program that only receives and beside rtpengine.

    python bench/siprec_media.py [floor | rtpengine | media-only | all-in]…
                                 [--calls N] [--seconds S] [--srtp] [--freeze S] [--folder FOLDER]

Without names all four run, one after the other, each with the same load from the same generator: N calls of
two streams of G.711, a packet every 20 ms each, every stream with a port of its own.

    floor        rtp_floor.c: receives and writes, the limit
    rtpengine    relay and one pcap file a call (Debian: rtpengine-daemon); left out where it is not installed
    media-only   our engine, whose recorder only writes what comes
    all-in       the agent: calls set up by SIP with metadata, checked, sealed with age to two post-quantum
                 recipients, flushed every 0.75 s, synced to the disk

Noted is the processor time that the process took in a steady stretch, in all its threads, with the
generator on one core and the process on the other. At the end all recordings are opened and all their
frames compared. With --srtp the streams come encrypted (AES_CM_128_HMAC_SHA1_80), and rtpengine is left
out. With --freeze the agent is stopped (SIGSTOP) for so long: within 4 s nothing may be lost, beyond that
exactly what it reports. FOLDER lies on the disk that is measured.

To reach: media-only at most 250 µs a call-second, 1.8 times the limit at most and 3.5 times less than
rtpengine; all-in at most 450 µs. Exit 1 where that is missed, or a frame is missing.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from gateway import Gateway, call_id
from heard import Heard, Told, compare, counted, sum_of
from processes import TICK_S, cpu_s, disk_bytes, memory_bytes
from rtp_programs import (
    FRAMES_PER_S,
    LATE_MS,
    RECEIVING,
    SENDING,
    Address,
    build,
    free_port,
    load,
    pinned,
    stopped_at_last,
    write_srtp,
)
from rtpengine_peer import FIRST_PORT, is_installed, rtpengine
from siprec_agent import agent

SETTLE_S: Final = 4
"""How long a load runs before it is measured."""
BEFORE_END_S: Final = 1
AFTER_S: Final = 3.0
"""Until what was sent last has been written."""
MEDIA_LIMIT_US: Final = 250
ALL_IN_LIMIT_US: Final = 450
FLOOR_RATIO: Final = 1.8
RTPENGINE_RATIO: Final = 3.5
SAFE_FREEZE_S: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What every contender is to do."""

    calls: int
    seconds: int
    encrypted: bool
    freeze_s: float

    @property
    def frames(self) -> int:
        """Frames of one stream."""
        return self.seconds * FRAMES_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A program that takes the load."""

    pid: int
    addresses: Sequence[Address]
    finish: Callable[[], Heard]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one contender took."""

    name: str
    us: float
    memory_mb: float
    disk_mb_s: float
    late_ms: float
    heard: Heard


@contextmanager
def floor(folder: Path, job: Job) -> Iterator[Contender]:
    streams = 2 * job.calls
    command = pinned(
        RECEIVING, str(folder / "rtp_floor"), str(FIRST_PORT), str(streams), str(job.seconds + 4), str(folder)
    )
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with stopped_at_last(process):
        lines = [] if process.stdout is None else [process.stdout.readline() for _ in range(streams + 1)]
        if lines[-1:] != ["ready\n"]:
            raise SystemExit("rtp_floor does not start")

        def finish() -> Heard:
            received = int(process.communicate(timeout=60)[0].split()[0])
            return counted(streams * job.frames, received)

        addresses = [("127.0.0.1", int(line)) for line in lines[:-1]]
        yield Contender(pid=process.pid, addresses=addresses, finish=finish)


@contextmanager
def relay(folder: Path, job: Job) -> Iterator[Contender]:
    with rtpengine(folder) as peer:
        addresses = [address for call in range(job.calls) for address in peer.take_call(call)]

        def finish() -> Heard:
            for call in range(job.calls):
                peer.end_call(call)
            return counted(len(addresses) * job.frames, peer.recorded_packets())

        yield Contender(pid=peer.pid, addresses=addresses, finish=finish)


@contextmanager
def media_only(folder: Path, job: Job) -> Iterator[Contender]:
    program = Path(__file__).with_name("engine_alone.py")
    command = pinned(RECEIVING, sys.executable, str(program), str(job.calls), str(folder))
    command += ["srtp"] if job.encrypted else []
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with stopped_at_last(process):
        line = "" if process.stdout is None else process.stdout.readline()
        if not line:
            raise SystemExit("the engine does not start")

        def finish() -> Heard:
            told = [Told(**one) for one in json.loads(process.communicate(timeout=60)[0])]
            return sum_of(_heard(folder, call, told[2 * call :], job) for call in range(job.calls))

        addresses = [("127.0.0.1", port) for port in json.loads(line)]
        yield Contender(pid=process.pid, addresses=addresses, finish=finish)


def _heard(folder: Path, call: int, told: Sequence[Told], job: Job) -> Heard:
    channels = np.fromfile(folder / f"{call:05}.raw", np.uint8).reshape(-1, 2)
    return sum_of(
        compare(np.ascontiguousarray(channels[:, side]), 2 * call + side, job.frames, told[side])
        for side in (0, 1)
    )


@contextmanager
def all_in(folder: Path, job: Job) -> Iterator[Contender]:
    with agent(folder, calls=job.calls, port=free_port()) as running:
        gateway = Gateway(running.address, encrypted=job.encrypted)
        try:
            addresses = gateway.begin(range(job.calls))

            def finish() -> Heard:
                gateway.end(range(job.calls))
                running.wait_closed(job.calls)
                return running.heard({call_id(call): call for call in range(job.calls)}, job.frames)

            yield Contender(pid=running.pid, addresses=addresses, finish=finish)
        finally:
            gateway.close()


Start = Callable[[Path, Job], AbstractContextManager[Contender]]
CONTENDERS: Final[dict[str, Start]] = {
    "floor": floor,
    "rtpengine": relay,
    "media-only": media_only,
    "all-in": all_in,
}


def measure(name: str, folder: Path, job: Job, packets: tuple[Path, int] | None) -> Row:
    """Put the load on one contender, and look at what it took and what came of it."""
    build(folder)
    with CONTENDERS[name](folder, job) as contender:
        with load(folder, contender.addresses, job.seconds, packets) as running:
            time.sleep(SETTLE_S)
            began_s, used_s, written = (
                time.monotonic(),
                cpu_s(contender.pid),
                disk_bytes(contender.pid),
            )
            if job.freeze_s and name == "all-in":
                freeze(contender.pid, job.freeze_s)
            time.sleep(max(0.0, began_s + job.seconds - SETTLE_S - BEFORE_END_S - time.monotonic()))
            took_s = time.monotonic() - began_s
            used_s, written = cpu_s(contender.pid) - used_s, disk_bytes(contender.pid) - written
            memory = memory_bytes(contender.pid)
            sent = running.wait(job.seconds + 30)
        time.sleep(AFTER_S)
        heard = contender.finish()
    if sent.late_ms > LATE_MS:
        print(f"the generator was late by {sent.late_ms:.0f} ms: this run says little", file=sys.stderr)
    return Row(
        name=name,
        us=1e6 * max(used_s, TICK_S) / (took_s * job.calls),
        memory_mb=memory / 1e6,
        disk_mb_s=written / took_s / 1e6,
        late_ms=sent.late_ms,
        heard=heard,
    )


def freeze(pid: int, seconds: float) -> None:
    """Stop a process for so long."""
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)


def show(rows: dict[str, Row], job: Job) -> None:
    """Print what was found as a table."""
    print(f"{'':12} µs/call-s calls/core  × floor rtpengine ×     MB disk MB/s")
    for row in rows.values():
        over = f"{row.us / rows['floor'].us:8.2f}" if "floor" in rows else f"{'':8}"
        under = f"{rows['rtpengine'].us / row.us:11.2f}" if "rtpengine" in rows else f"{'':11}"
        print(
            f"{row.name:12} {row.us:9.1f} {1e6 / row.us:10,.0f} {over} {under} {row.memory_mb:6.0f}"
            f" {row.disk_mb_s:9.2f}  {row.heard.words()}"
        )
    if job.freeze_s:
        print(f"the agent was stopped for {job.freeze_s:g} s meanwhile")


def failures(rows: dict[str, Row], job: Job) -> list[str]:
    """Say what was missed."""
    found = [f"{row.name}: {row.heard.words()}" for row in rows.values() if not is_well(row, job)]
    limits = {"media-only": MEDIA_LIMIT_US, "all-in": ALL_IN_LIMIT_US}
    if not job.encrypted:
        found += [
            f"{name}: {rows[name].us:.0f} µs, more than {limit}"
            for name, limit in limits.items()
            if name in rows and rows[name].us > limit
        ]
        found += list(_ratios_missed(rows))
    return found


def is_well(row: Row, job: Job) -> bool:
    """Tell whether all frames are there, or, after a long stop, all but those that are reported."""
    if row.name == "all-in" and job.freeze_s > SAFE_FREEZE_S:
        return row.heard.is_as_reported
    return row.heard.is_whole


def _ratios_missed(rows: dict[str, Row]) -> Iterator[str]:
    ours = rows.get("media-only")
    if ours is None:
        return
    if "floor" in rows and ours.us > FLOOR_RATIO * rows["floor"].us:
        yield f"media-only: {ours.us / rows['floor'].us:.2f} times the limit, more than {FLOOR_RATIO}"
    if "rtpengine" in rows and rows["rtpengine"].us < RTPENGINE_RATIO * ours.us:
        times = rows["rtpengine"].us / ours.us
        yield f"media-only: rtpengine takes {times:.2f} times as much, not {RTPENGINE_RATIO}"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CONTENDERS))
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--srtp", action="store_true")
    parser.add_argument("--freeze", type=float, default=0.0)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"))  # noqa: S108 - only its parent
    given = parser.parse_args()
    names = given.names or list(CONTENDERS)
    if not set(names) <= set(CONTENDERS):
        parser.error(f"known are {', '.join(CONTENDERS)}")
    if given.seconds <= SETTLE_S + BEFORE_END_S:
        parser.error(f"a run takes more than {SETTLE_S + BEFORE_END_S} s")
    if "rtpengine" in names and (given.srtp or not is_installed()):
        names.remove("rtpengine")
    job = Job(calls=given.calls, seconds=given.seconds, encrypted=given.srtp, freeze_s=given.freeze)
    os.sched_setaffinity(0, {SENDING})
    print(
        f"{job.calls} calls, {job.seconds} s{', SRTP' * job.encrypted}; {given.folder}; {platform.release()}"
    )
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        packets = None
        if job.encrypted:
            path = Path(memory) / "packets"
            packets = path, write_srtp(path, 2 * job.calls, job.seconds)
        for name in CONTENDERS:
            if name in names:
                folder = Path(tempfile.mkdtemp(dir=given.folder))
                try:
                    rows[name] = measure(name, folder, job, packets)
                finally:
                    shutil.rmtree(folder)
    show(rows, job)
    missed = failures(rows, job)
    for words in missed:
        print(f"MISSED  {words}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
