"""What a desk agent costs while it records one call, and while it waits: against promised limits.

    python bench/desk.py

Two demo telephones talk through a running agent; CPU time and memory of the agent and its bridge child are
read from /proc. Limits: one call at most 5 % of a core and 120 MB, idle at most 1 %. Exit 1 beyond them.
"""

import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from callseal.cli.demo.office import AGENT, Office

CALL_LIMIT = 0.05
IDLE_LIMIT = 0.01
MEMORY_LIMIT_BYTES = 120_000_000
IDLE_S = 10.0
CALL_S = 15.0
BRIDGE, PBX, PHONE = 26060, 26070, 26080
"""Below the ports that the system gives away (Linux: from 32768)."""

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SPEECH = files("callseal.cli.demo").joinpath("speech")


def processes(pid: int) -> list[int]:
    """Give a process and its children."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [pid, *map(int, text.split())]


def cpu_s(pids: list[int]) -> float:
    """Give the CPU time that processes have taken, user and system."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total * TICK_S


def memory_bytes(pids: list[int]) -> int:
    """Give proportional set size: what is shared is counted once."""
    total = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def share(pids: list[int], seconds: float) -> float:
    """Give the part of a core that processes take over some seconds."""
    began, used = time.monotonic(), cpu_s(pids)
    time.sleep(seconds)
    return (cpu_s(pids) - used) / (time.monotonic() - began)


def telephone(port: int, speech: str, *options: str) -> "subprocess.Popen[bytes]":
    """Start a demo telephone."""
    path = str(SPEECH.joinpath(f"{speech}.wav"))
    command = [sys.executable, "-m", "callseal.cli.demo.phone", "--port", str(port), "--user", "6001"]
    return subprocess.Popen(
        [*command, "--speech", path, "--linger", "10", *options], stdout=subprocess.DEVNULL
    )


def main() -> int:
    """Measure, print, judge."""
    with tempfile.TemporaryDirectory() as folder:
        office = Office.create(
            Path(folder) / "office",
            listen=f"127.0.0.1:{BRIDGE}",
            pbx=f"sip:127.0.0.1:{PBX}",
            phone=f"sip:6001@127.0.0.1:{PHONE}",
            rtp_ports="26100-26199",
            rules="",
            now=datetime.now(UTC),
        )
        with office:
            office.start(AGENT)
            if not office.wait_ready(AGENT, 20):
                print(office.log_tail(AGENT))
                return 1
            pids = processes(office.process(AGENT).pid)
            idle = share(pids, IDLE_S)
            customer = telephone(PBX, "en-customer")
            time.sleep(1)
            agent = telephone(PHONE, "en-agent", "--call", f"sip:13800138000@127.0.0.1:{BRIDGE}")
            time.sleep(2)
            busy = share(pids, CALL_S)
            memory = memory_bytes(pids)
            for process in (agent, customer):
                process.wait(60)
    rows = [
        ("one call, share of a core", busy, CALL_LIMIT),
        ("idle, share of a core", idle, IDLE_LIMIT),
        ("memory during the call, MB", memory / 1e6, MEMORY_LIMIT_BYTES / 1e6),
    ]
    for name, found, limit in rows:
        print(f"{name:32} {found:8.3f}   limit {limit:8.3f}   ratio {found / limit:.2f}")
    return 0 if all(found <= limit for _name, found, limit in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
