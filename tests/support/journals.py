"""Journals for tests: of the test device, in folders that may refuse."""

import errno
import os
from pathlib import Path

from callseal.seal.durable import Step, no_step
from callseal.seal.ledger import Chain, Journal, Kind, verify_chain
from support.ledgers import CERTIFICATE, SETTINGS, Time, device, device_key, manifest, public_key, recording


def journal(*folders: Path, time: Time | None = None, step: Step = no_step) -> Journal:
    """Open the test device's journal."""
    return Journal(folders, device=device(), key=device_key(), clocks=time or Time(), step=step)


def start(ledger: Journal) -> None:
    """Note that the agent began."""
    ledger.append(Kind.STARTED, software="callseal/0.1.0", settings=SETTINGS, x5c=[CERTIFICATE])


def call(ledger: Journal, number: int) -> None:
    """Note a recording from its beginning to its end."""
    ledger.append(Kind.OPENED, recording=recording(number))
    ledger.append(
        Kind.CLOSED, recording=recording(number), manifest=manifest(number), result="ok", reasons=[]
    )


def check(*folders: Path) -> Chain:
    """Check the finished segments, as they reach a store from all folders."""
    paths = [path for folder in folders for path in folder.glob("[0-9]*.jsonl")]
    segments = sorted((int(path.stem), path.read_bytes()) for path in paths)
    return verify_chain(segments, device=device(), public_key=public_key(), every_signature=True)


def refusing_at(number: int, name: str = "", problem: int = errno.EIO) -> Step:
    """Return a step that a disk refuses: the one of this number, from 0, among those of this name."""
    steps = 0

    def step(step_name: str) -> None:
        nonlocal steps
        steps += name in step_name
        if name in step_name and steps == number + 1:
            raise OSError(problem, os.strerror(problem))

    return step
