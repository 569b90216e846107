"""How long a person waits for `callseal --help`, and for a command that does next to nothing.

    python bench/start.py

Whole processes, one after the other, the median of several; beside them a Python that does nothing at all, so
that the ratio says how much of the wait is ours. To reach: help in half a second.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

RUNS: Final = 11
LIMIT_S: Final = 0.5
CALLSEAL: Final = str(Path(sys.executable).with_name("callseal"))
NOTHING: Final = (sys.executable, "-c", "")


def median_s(command: Sequence[str]) -> float:
    """Return the median time of a command, from its start to its end."""
    times = []
    for _ in range(RUNS + 1):
        began_s = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began_s)
    return statistics.median(times[1:])  # the first one reads the disk


def main() -> None:
    """Print the figures."""
    nothing_s = median_s(NOTHING)
    print(f"python that does nothing: {nothing_s:.3f} s")
    for words in (["--help"], ["list", "--help"], ["--version"]):
        took_s = median_s([CALLSEAL, *words])
        print(
            f"callseal {' '.join(words)}: {took_s:.3f} s, {took_s / nothing_s:.1f} of a bare start,"
            f" {took_s / LIMIT_S:.2f} of the limit"
        )


if __name__ == "__main__":
    main()
