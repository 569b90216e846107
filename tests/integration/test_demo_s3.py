"""The demo with an S3 store and a custodian, as a new user runs it."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from callseal.agent.sources.bridge.source import missing

pytestmark = [
    pytest.mark.integration,
    pytest.mark.longest,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(missing()), reason=missing() or "pjsua2 is there"),
]


def _row(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(name))


def _running() -> list[bytes]:
    """Give the command lines of all processes."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # one that has ended meanwhile
            lines.append(path.read_bytes())
    return lines


def test_recordings_come_to_the_store_and_the_copies_go_on_receipts(tmp_path: Path) -> None:
    """Exit 0, all verified with their receipts; nothing waits, nothing runs on, no secret is told."""
    root = tmp_path / "out"

    ended = subprocess.run(
        [sys.executable, "-m", "callseal.cli", "demo", "--store", "s3", "--out", str(root)],
        capture_output=True,
        text=True,
        check=False,
    )

    output = ended.stdout + ended.stderr
    assert ended.returncode == 0, output
    assert _row(output, "Verified").split()[1:] == ["yes", "yes", "yes"]
    assert _row(output, "Result").split()[1:4] == ["ok", "ok", "ok:"]
    assert _row(output, "Receipt").count("received by dev-") == 3
    assert _row(output, "On this machine").count("gone, on the receipt") == 3
    assert list((root / "spool/ready").iterdir()) == []
    assert not any(str(root).encode() in line for line in _running())
    secrets = [
        line.partition(" = ")[2]
        for line in (root / "config/credentials").read_text().splitlines()
        if line.startswith("aws_secret")
    ]
    logs = output + "".join(path.read_text() for path in (root / "logs").iterdir())
    assert secrets
    assert not any(secret in logs for secret in secrets)
