"""What processes take: processor time, memory and disk, as /proc has it.

Conventions: a process counts with all its children that live. Source: proc(5).
"""

import os
from pathlib import Path
from typing import Final

TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12  # fields 14 and 15 of stat, counted behind the name


def family(pid: int) -> list[int]:
    """Give a process, its children and theirs."""
    found = [pid]
    for one in found:
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            found += map(int, children.read_text().split())
    return found


def cpu_s(pid: int) -> float:
    """Give the processor time that a process and its children have taken, user and system."""
    total = 0
    for one in family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[_USER]) + int(fields[_SYSTEM])
    return total * TICK_S


def memory_bytes(pid: int) -> int:
    """Give proportional set size: what is shared is counted once."""
    total = 0
    for one in family(pid):
        lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def disk_bytes(pid: int) -> int:
    """Give what a process and its children caused to be written to disks (0 in memory file systems)."""
    total = 0
    for one in family(pid):
        for line in Path(f"/proc/{one}/io").read_text().splitlines():
            name, _, value = line.partition(":")
            total += int(value) * {"write_bytes": 1, "cancelled_write_bytes": -1}.get(name, 0)
    return total
