"""The crash tests kill at every step that there is: the kernel sees no writing that was not announced."""

import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.programs import needed, refused

TESTS = Path(__file__).parents[1]
DURABLE = (
    *("write", "pwrite64", "writev", "pwritev", "fsync", "fdatasync", "syncfs", "sync_file_range"),
    *("rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "rmdir"),
    *("truncate", "ftruncate", "fallocate"),
)
LINE = re.compile(r"(?P<pid>\d+) +(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the kernel was asked, and the step that was told before it (None: none since the last)."""

    call: str
    step: str | None
    line: str


def traced(folder: Path) -> list[Seen]:
    """Record and recover under strace; give what was done to the spools' files once a step had been told."""
    strace = needed("strace", "strace")
    trace, root = folder / "trace", folder / "root"
    command: list[str | Path] = [
        strace,
        "-f",
        "-y",
        "-s",
        "64",
        "-e",
        f"trace={','.join(DURABLE)}",
        "-o",
        trace,
    ]
    work: list[str | Path] = [sys.executable, "-m", "support.traced_recording", root]
    ran = subprocess.run(
        [*command, *work],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if "PTRACE_TRACEME" in ran.stderr:
        refused("strace may not trace")
    assert ran.returncode == 0, ran.stderr
    return list(_seen(trace.read_text(), root))


def _seen(trace: str, root: Path) -> list[Seen]:
    main = trace.split(maxsplit=1)[0]
    making_a_spool = re.compile(rf"fsync\(\d+<{re.escape(str(root))}/[^/]+>\)")
    step: str | None = None
    found = []
    for line in trace.splitlines():
        match = LINE.match(line)
        if match is None or match["pid"] != main or int(match["result"]) < 0:
            continue
        arguments = match["arguments"]
        if f"<{root}/steps>" in arguments:
            step = arguments.split('"')[1]
        elif making_a_spool.search(line):
            continue  # before the first recording
        elif f"{root}/" in arguments and f"{root}/counted/" not in arguments:
            found.append(Seen(call=match["name"], step=step, line=line))
            step = None
    return found


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[Seen]:
    return traced(tmp_path_factory.mktemp("traced"))


def test_every_writing_sync_rename_and_removal_has_a_step_of_its_own(seen: list[Seen]) -> None:
    """A new one without a step would be one at which nothing is ever killed."""
    unannounced = [item.line for item in seen if item.step is None]

    assert unannounced == []


def test_the_trace_saw_each_kind_of_writing(seen: list[Seen]) -> None:
    """Else the promise above would be kept by seeing nothing."""
    counts = Counter(item.call for item in seen)

    for call in (
        "write",
        "pwrite64",
        "fsync",
        "fdatasync",
        "syncfs",
        "rename",
        "unlink",
        "rmdir",
        "ftruncate",
    ):
        assert counts[call] > 0, call
    assert sum(counts.values()) > 500
