"""What processes take: processor time, memory and disk, as /proc has it.

Conventions: a process counts with all its children that live. Source: proc(5).
"""

import os
from pathlib import Path
from typing import Final

TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12  # fields 14 and 15 of stat, counted behind the name
_IDLE, _IO_WAIT, _GUEST = 3, 4, 8  # of the machine's stat; guests count as user already


def family(pid: int) -> list[int]:
    """Give a process, its children and theirs."""
    found = [pid]
    for one in found:
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            found += map(int, children.read_text().split())
    return found


def cpu_s(pid: int) -> float:
    """Give the processor time that a process and its children have taken, user and system."""
    return sum(own_cpu_s(one) for one in family(pid))


def own_cpu_s(pid: int) -> float:
    """Give the processor time that a process has taken without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[_USER]) + int(fields[_SYSTEM])) * TICK_S


def machine_cpu_s() -> float:
    """Give the processor time that everything on this machine has taken."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    return (sum(map(int, fields[:_GUEST])) - int(fields[_IDLE]) - int(fields[_IO_WAIT])) * TICK_S


def memory_bytes(pid: int) -> int:
    """Give proportional set size: what is shared is counted once."""
    total = 0
    for one in family(pid):
        lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def resident_bytes(pid: int) -> int:
    """Give resident set size: what two share is counted twice."""
    total = 0
    for one in family(pid):
        lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss:"))
    return total


def memory_alone_bytes(pid: int) -> int:
    """Give what a process and its children would take without others of their kind on the machine.

    What they share with each other is counted once, what they share with strangers in full.
    """
    shared: dict[tuple[str, ...], int] = {}
    total = 0
    for one in family(pid):
        mapped: tuple[str, ...] = ()
        for line in Path(f"/proc/{one}/smaps").read_text().splitlines():
            words = line.split()
            if not words[0].endswith(":"):  # a mapping: range, rights, offset, device, inode, name
                mapped = tuple(words[2:5])
            elif words[0] == "Rss:":
                resident_kb = int(words[1])
            elif words[0] == "Anonymous:":  # written to: nobody else's
                total += int(words[1]) * 1024
                of_file_bytes = (resident_kb - int(words[1])) * 1024
                shared[mapped] = max(of_file_bytes, shared.get(mapped, 0))
    return total + sum(shared.values())


def disk_bytes(pid: int) -> int:
    """Give what a process and its children caused to be written to disks (0 in memory file systems)."""
    total = 0
    for one in family(pid):
        for line in Path(f"/proc/{one}/io").read_text().splitlines():
            name, _, value = line.partition(":")
            total += int(value) * {"write_bytes": 1, "cancelled_write_bytes": -1}.get(name, 0)
    return total
