"""Makes and recovers small recordings for a tracer: each step is told as a write to the file "steps".

python -m support.traced_recording FOLDER
"""

import os
import sys
from functools import partial
from pathlib import Path

from callseal.seal.durable import Step
from callseal.seal.spool import Spool
from support.killed_child import killed_at
from support.stepped_recording import RECORDING, discard, record, recover

STEPS_NAME = "steps"


def main(root: Path) -> None:
    """Do everything of which a step may be the last."""
    root.mkdir()
    steps = os.open(root / STEPS_NAME, os.O_WRONLY | os.O_CREAT, 0o600)

    def step(name: str) -> None:
        os.write(steps, name.encode())

    record(root / "recorded", step)
    record(root / "banked", step, banked=True)
    discard(root / "discarded", step)
    names: list[str] = []
    record(root / "counted", names.append)
    for number in range(0, len(names), 3):
        killed_at(number, partial(record, root / f"killed-{number}"))
        recover(root / f"killed-{number}", step)
    _sweep(root / "swept", step)


def _sweep(root: Path, step: Step) -> None:
    """Do what is seldom done."""
    spool = Spool(root)
    with spool.lock():
        (root / "open" / "stranger").mkdir()
        spool.quarantine_strangers(step=step)
        bundle = spool.begin(RECORDING, step=step)
        bundle.audio_path.touch()
        spool.quarantine_file(bundle.audio_path, step=step)
        bundle.put_vcon(b"", step=step)
        (bundle.path / "manifest.json").touch()
        (bundle.path / "call-x.age").touch()
        bundle.unbind(step=step)
        bundle.discard(step=step)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
