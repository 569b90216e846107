"""What setting up a gateway's calls costs, without their sound: sipp calls, and a server answers.

    python bench/siprec_signalling.py [sip | source]… [--rate N] [--hold S] [--seconds S] [--tcp]

sipp (Debian: sip-tester) begins N recording sessions a second, each an INVITE with a description of two
streams and RFC 7865 metadata, and ends each with a BYE after S seconds, so that N times S dialogs are there
at a time. sipp runs on one core, the server on the other (see signalling_server.py):

    sip       the SIP server by itself, with an answer that is always the same
    source    all that the agent does for a call but sound and recordings

Noted is the processor time of the server's process in a steady stretch, over the calls that were begun in
it (as many end). To reach: 1,000 calls a second and 4,000 dialogs at a time without a failed one; of a
core, the SIP server takes half at most, and all the rest with it less than the whole. Exit 1 where that is
missed.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway import CONTENT_TYPE, body
from processes import memory_bytes
from rtp_programs import RECEIVING, SENDING, free_port, pinned, stopped_at_last

MODES: Final = {"sip": 0.5, "source": 1.0}
"""What part of a core may be taken at the rate to reach."""
RATE_TO_REACH: Final = 1000
DIALOGS_TO_REACH: Final = 4000
SETTLE_S: Final = 2.0
END_S: Final = 60.0

_HEAD: Final = """\
{method} sip:recorder@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
From: <sip:gateway@[local_ip]:[local_port]>;tag=[pid]g[call_number]
To: <sip:recorder@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: {number} {method}
Contact: <sip:gateway@[local_ip]:[local_port];transport=[transport]>;+sip.src
Max-Forwards: 70
"""


def scenario(hold_s: float) -> str:
    """Write the steps of a call for sipp."""
    text = body("1[call_number]", agent="8[call_number]", customer="138[call_number]").replace("\r\n", "\n")
    invite = f"{_HEAD.format(method='INVITE', number=1)}Require: siprec\nContent-Type: {CONTENT_TYPE}\n"
    steps = [
        _send(invite, text, resend=True),
        '<recv response="100" optional="true"/><recv response="200" rtd="true"/>',
        _send(_HEAD.format(method="ACK", number=1)),
        f'<pause milliseconds="{round(hold_s * 1000)}"/>',
        _send(_HEAD.format(method="BYE", number=2), resend=True),
        '<recv response="200"/>',
    ]
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="recording session">\n'
    return head + "\n".join(steps) + "\n</scenario>\n"


def _send(head: str, text: str = "", *, resend: bool = False) -> str:
    attribute = ' retrans="500"' if resend else ""
    return f"<send{attribute}><![CDATA[\n{head}Content-Length: [len]\n\n{text}]]></send>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a server is to be asked for."""

    rate: int
    hold_s: float
    seconds: int
    is_tcp: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What came of it."""

    mode: str
    rate: float
    dialogs: int
    us: float
    memory_mb: float
    failed: int
    resent: int

    @property
    def share(self) -> float:
        """What part of a core was taken."""
        return self.rate * self.us / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that runs."""

    process: "subprocess.Popen[str]"

    def count(self) -> dict[str, int]:
        """Ask for what it has counted."""
        if self.process.stdin is None or self.process.stdout is None:
            raise SystemExit("the server can't be asked")
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found: dict[str, int] = json.loads(self.process.stdout.readline())
        return found


@contextmanager
def server(mode: str, port: int, folder: Path) -> Iterator[Server]:
    """Run a server."""
    program = Path(__file__).with_name("signalling_server.py")
    command = pinned(RECEIVING, sys.executable, str(program), mode, str(port), str(folder))
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with stopped_at_last(process):
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise SystemExit("the server does not start")
        yield Server(process=process)


@contextmanager
def sipp(folder: Path, port: int, job: Job) -> Iterator["subprocess.Popen[str]"]:
    """Run the calls."""
    steps = folder / "scenario.xml"
    steps.write_text(scenario(job.hold_s))
    calls = job.rate * job.seconds
    command = pinned(
        SENDING, "sipp", f"127.0.0.1:{port}", "-sf", str(steps), "-i", "127.0.0.1",
        "-p", str(free_port()), "-r", str(job.rate), "-m", str(calls), "-l", str(calls), "-nostdin",
        "-t", "t1" if job.is_tcp else "u1", "-buff_size", str(4 << 20), "-max_retrans", "10",
        "-trace_stat", "-stf", str(folder / "stat.csv"), "-fd", "1",
    )  # fmt: skip
    with (folder / "sipp.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True
        )
    with stopped_at_last(process):
        yield process


def measure(mode: str, folder: Path, job: Job) -> Row:
    """Have calls set up and ended, and look at a steady stretch of it."""
    port = free_port()
    with server(mode, port, folder) as asked:
        with sipp(folder, port, job) as calling:
            time.sleep(job.hold_s + SETTLE_S)
            began_s, first = time.monotonic(), asked.count()
            time.sleep(job.seconds - job.hold_s - 2 * SETTLE_S)
            took_s, last = time.monotonic() - began_s, asked.count()
            memory = memory_bytes(asked.process.pid)
            calling.wait(END_S)
        failed, resent = _troubles(folder / "stat.csv")
    taken = last["taken"] - first["taken"]
    return Row(
        mode=mode,
        rate=taken / took_s,
        dialogs=min(first["dialogs"], last["dialogs"]),
        us=1000 * (last["cpu_ms"] - first["cpu_ms"]) / max(taken, 1),
        memory_mb=memory / 1e6,
        failed=failed,
        resent=resent,
    )


def _troubles(path: Path) -> tuple[int, int]:
    """Read how many calls failed, and how many requests were sent again."""
    if not path.exists():
        raise SystemExit(f"sipp:\n{path.with_name('sipp.log').read_text(errors='replace')[-1000:]}")
    with path.open(newline="") as file:
        *_, last = csv.DictReader(file, delimiter=";")
    return int(last["FailedCall(C)"]), int(last["Retransmissions(C)"])


def failures(row: Row, job: Job) -> Iterator[str]:
    """Say what was missed."""
    if row.failed:
        yield f"{row.mode}: {row.failed} calls failed"
    if row.rate < 0.98 * job.rate:
        yield f"{row.mode}: {row.rate:,.0f} calls a second where {job.rate:,} were asked for"
    if job.rate * job.hold_s >= DIALOGS_TO_REACH > row.dialogs:
        yield f"{row.mode}: {row.dialogs:,} dialogs at a time, fewer than {DIALOGS_TO_REACH:,}"
    share = RATE_TO_REACH * row.us / 1e6
    if share > MODES[row.mode]:
        limit = MODES[row.mode]
        yield f"{row.mode}: {share:.2f} of a core for {RATE_TO_REACH:,} calls a second, more than {limit}"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("modes", nargs="*", metavar="MODE", help=", ".join(MODES))
    parser.add_argument("--rate", type=int, default=RATE_TO_REACH)
    parser.add_argument("--hold", type=float, default=4.5)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--tcp", action="store_true")
    given = parser.parse_args()
    modes = given.modes or list(MODES)
    if not set(modes) <= set(MODES):
        parser.error(f"known are {', '.join(MODES)}")
    if given.seconds < given.hold + 2 * SETTLE_S + 2:
        parser.error(f"a run takes {given.hold + 2 * SETTLE_S + 2:g} s at least")
    job = Job(rate=given.rate, hold_s=given.hold, seconds=given.seconds, is_tcp=given.tcp)
    os.sched_setaffinity(0, {SENDING})
    how = "TCP" if job.is_tcp else "UDP"
    print(f"{job.rate:,} calls a second of {job.hold_s:g} s, for {job.seconds} s, by {how}")
    print(f"{'':8} calls/s  dialogs µs/call  of a core calls/s a core     MB  failed  sent again")
    missed: list[str] = []
    for mode in modes:
        folder = Path(tempfile.mkdtemp())
        try:
            row = measure(mode, folder, job)
        finally:
            shutil.rmtree(folder)
        calls = 1e6 / row.us
        print(
            f"{mode:8} {row.rate:7,.0f} {row.dialogs:8,} {row.us:7.0f} {row.share:10.2f} {calls:14,.0f}"
            f" {row.memory_mb:6.0f} {row.failed:7} {row.resent:11}"
        )
        missed += failures(row, job)
    for words in missed:
        print(f"MISSED  {words}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
