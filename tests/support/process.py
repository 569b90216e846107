"""Looking at a running process from outside: its children, files and memory (Linux, /proc)."""

import stat
from pathlib import Path


def children(pid: int) -> list[int]:
    """Give the ids of a process's children."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def descriptors(pid: int) -> int:
    """Count a process's open file descriptors."""
    return sum(1 for _entry in Path(f"/proc/{pid}/fd").iterdir())


def resident_bytes(pid: int) -> int:
    """Give the memory of a process that is in RAM."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmRSS" in line)
    return int(line.split()[1]) * 1024


def open_files(pid: int) -> dict[Path, bytes]:
    """Read every regular file that a process holds open, memory files included, by its target."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = entry.readlink()
            if stat.S_ISREG(entry.stat().st_mode):
                found[target] = entry.read_bytes()
        except OSError:
            continue  # closed in the meantime
    return found


def is_in_memory(target: Path) -> bool:
    """Say whether a descriptor's target is a memory file."""
    return str(target).startswith("/memfd:")


def files_below(*folders: Path) -> dict[Path, bytes]:
    """Read every regular file below some folders; links are not followed."""
    return {
        path: path.read_bytes()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
