"""Uploaders and custodians as processes, with settings, keys and stores, for tests of the way to the stores.

A desk is a folder with a spool, its device's certificate and the roots; the central side is a folder with the
custodian's key. Both speak of the same stores, each with credentials of its own.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from callseal.seal import status
from callseal.seal.keys import (
    Role,
    certify,
    generate_signing_key,
    write_certificates,
    write_signing_key,
)
from callseal.seal.status import Reading
from support.sealed_recordings import Organisation

CUSTODIAN: Final = "custodian"
UPLOADER: Final = "uploader"
STOP_S: Final = 30.0
STALE_S: Final = 30.0


def write_desk(folder: Path, owner: Organisation, stores: str, *, more: str = "", uploader: str = "") -> Path:
    """Write what an uploader needs besides its spool in ``folder/spool``; give the settings' path.

    Keys and certificates that are there already stay; the settings are written anew.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "device.key").exists():
        _write_keys(folder, owner)
    config = folder / "callseal.toml"
    config.write_text(
        'schema = 1\n[device]\nsite = "bj"\n[spool]\npath = "spool"\n'
        f"[uploader]\nscan_s = 1.0\n{uploader}"
        '[[source]]\ntype = "bridge"\npbx = "sip:127.0.0.1:5099"\n'
        f"{stores}{more}"
    )
    return config


def _write_keys(folder: Path, owner: Organisation) -> None:
    write_signing_key(folder / "device.key", owner.device_key)
    certificates = [x509.load_der_x509_certificate(one) for one in owner.chain]
    write_certificates(folder / "device.pem", certificates)
    write_certificates(folder / "trust.pem", [owner.root])


def write_central(folder: Path, owner: Organisation, stores: str, *, more: str = "") -> Path:
    """Write what a custodian needs, its key and certificate among it; give the settings' path."""
    folder.mkdir(parents=True, exist_ok=True)
    key = generate_signing_key()
    now = datetime.now(UTC) - timedelta(hours=1)
    certificate = certify(owner.root_key, owner.root, key.public_key(), role=Role.CUSTODIAN, now=now, years=5)
    write_signing_key(folder / "custodian.key", key)
    write_certificates(folder / "custodian.pem", [certificate])
    write_certificates(folder / "trust.pem", [owner.root])
    config = folder / "callseal.toml"
    config.write_text(
        f'schema = 1\n[device]\nsite = "hq"\n[custodian]\npath = "memory"\nscan_s = 1.0\n{more}{stores}'
    )
    return config


class Service:
    """One service's process, which is killed and started again."""

    def __init__(self, name: str, config: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = config.with_name(f"{name}.log")
        self.kills = 0
        self._config = config
        self._environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "callseal.cli", self.name, "--config", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
            )

    @property
    def pid(self) -> int:
        """The number of its process; 0 before its first start."""
        return 0 if self._process is None else self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End it at once, wherever it stands."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self.kills += 1

    def stop(self) -> int:
        """End it in order; give its exit code."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def tail(self, lines: int = 20) -> str:
        """Give the end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def said(folder: Path, service: str) -> Reading | None:
    """Give what a service last said of itself; `folder` is the one with ``status/`` in it."""
    return status.read(folder / "status", service, now=datetime.now(UTC), stale_after_s=STALE_S)
