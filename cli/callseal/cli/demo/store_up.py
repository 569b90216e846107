"""An S3 store that stays, to try things out with: ``make store-up`` and ``make store-down``.

    python -m callseal.cli.demo.store_up up FOLDER [DEVICE]
    python -m callseal.cli.demo.store_up down FOLDER

SeaweedFS with its data in FOLDER, its buckets prepared, and an account for each role; DEVICE is whose
recordings may be added. What to put into the settings is printed. The store survives this program; the number
of its process lies in FOLDER.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from callseal.cli.demo.central import DEVICE, Central
from callseal.cli.demo.seaweed import PROGRAM
from callseal.cli.errors import CliError

PID_FILE: Final = "weed.pid"
ENVIRONMENT_FILE: Final = "environment"
USAGE: Final = 2

_NOBODY: Final = "dev-" + "a" * 12


def up(folder: Path, device: str) -> None:
    """Start the store and leave it running; CliError where it can't be."""
    if _pid(folder) is not None:
        print(f"it runs already; its settings are in {folder / ENVIRONMENT_FILE}")  # noqa: T201 - what it is for
        return
    (folder / "config").mkdir(mode=0o700, parents=True, exist_ok=True)
    central = Central(folder, device or _NOBODY)
    with central:
        pid = central.leave_running()
    (folder / PID_FILE).write_text(f"{pid}\n")
    lines = [f"export {name}={value}" for name, value in central.environment().items()]
    (folder / ENVIRONMENT_FILE).write_text("\n".join(lines) + "\n")
    print(  # noqa: T201 - what it is for
        f"""An S3 store runs at {central.settings(DEVICE).endpoint}. In every shell that uses it:

  . {folder / ENVIRONMENT_FILE}

and in callseal.toml, in place of the [[store]] that is there (profile: "device", "custodian" or "reader"):

{central.table(DEVICE)}
`make store-down` stops it; its data stay in {folder}."""
    )
    if not device:
        print('No device was named (make store-up DEVICE=dev-…): the profile "device" may add nothing.')  # noqa: T201


def down(folder: Path) -> None:
    """Stop the store, if it runs."""
    pid = _pid(folder)
    if pid is not None:
        os.killpg(pid, signal.SIGKILL)
    (folder / PID_FILE).unlink(missing_ok=True)


def _pid(folder: Path) -> int | None:
    """Return the number of the store's process, None if it does not run (any more)."""
    try:
        pid = int((folder / PID_FILE).read_text())
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if Path(os.fsdecode(arguments[0])).name == PROGRAM else None


def main(arguments: Sequence[str]) -> int:
    """Do what the words say; give the exit code."""
    match list(arguments):
        case ["up", folder, *device] if len(device) <= 1:
            try:
                up(Path(folder).absolute(), "".join(device))
            except CliError as problem:
                print(problem, file=sys.stderr)  # noqa: T201 - what it is for
                return problem.exit_code
        case ["down", folder]:
            down(Path(folder).absolute())
        case _:
            print(__doc__, file=sys.stderr)  # noqa: T201 - what it is for
            return USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
