"""A whole installation in one folder: settings, keys, spool, store, and the two services.

The organisation's root key exists in memory only and is forgotten once it has certified the device: the
demo shows a trusted device, and nobody can certify another one with it. The reading key is classic and
without a passphrase, so that any `age` opens what was recorded.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from callseal.config.render import render_default
from callseal.seal import keys, status
from callseal.seal.age import X25519Identity
from callseal.seal.keyfile import write_identity
from callseal.seal.spool import Spool
from callseal.seal.status import Reading, State
from callseal.store.directory import DirectoryStore
from callseal.store.interface import StoreReader
from callseal.store.names import LEDGER

AGENT: Final = "agent"
UPLOADER: Final = "uploader"
CUSTODIAN: Final = "custodian"
_YEARS: Final = 1
_STALE_S: Final = 15.0
_STOP_S: Final = 45.0
_POLL_S: Final = 0.1
_SOURCE_TABLE: Final = re.compile(r"^\[\[source\]\]\n(?:[^\n]+\n)+", re.MULTILINE)
_STORE_TABLE: Final = re.compile(r"\[\[store\]\]\n(?:[^\n]+\n)+")
_PUBLISH: Final = re.compile(r"publish_s = [0-9.]+")
_DEMO_PUBLISH_S: Final = 3.0
_CUSTODIAN_SETTINGS: Final = """\
# The central side's settings: another machine's, in an installation.
schema = 1

[device]
site = "centre"

[custodian]
path = "../custodian"
scan_s = 1.0

"""


class Office:
    """The folder, and the services that run in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config_file = root / "config" / "callseal.toml"
        self.custodian_file = root / "config" / "custodian.toml"
        self.device = ""
        self.key_file = root / "keys" / "reading.key"
        self.roots_file = root / "config" / "trust.pem"
        self.revocations_file = root / "config" / "revoked.pem"
        self.spool = root / "spool"
        self.store_path = root / "store"
        self.opened = root / "opened"
        self.scratch = root / "tmp"
        self._environment: dict[str, str] = {}
        self._services: dict[str, subprocess.Popen[bytes]] = {}

    @classmethod
    def create(
        cls, root: Path, *, listen: str, pbx: str, phone: str, rtp_ports: str, rules: str, now: datetime
    ) -> Self:
        """Make everything new in `root`, an empty or missing folder; `rules` is TOML, put at the end."""
        office = cls(root)
        for folder in (office.config_file.parent, office.key_file.parent, office.opened, office.scratch):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        recipients = []
        for name in ("reading", "recovery"):
            identity = X25519Identity.generate()
            write_identity(root / "keys" / f"{name}.key", identity, passphrase=None, created=now)
            recipients.append(identity.recipient.text)
        office.config_file.with_name("recipients.txt").write_text("\n".join(recipients) + "\n")
        root_key, root_certificate = keys.create_root("Callseal demo", now=now, years=_YEARS)
        device_key = keys.generate_signing_key()
        keys.write_signing_key(office.config_file.with_name("device.key"), device_key)
        office.device = keys.device_id(device_key.public_key())
        custodian_key = keys.generate_signing_key()
        keys.write_signing_key(office.config_file.with_name("custodian.key"), custodian_key)
        for name, key, role in (
            ("device.pem", device_key, keys.Role.DEVICE),
            ("custodian.pem", custodian_key, keys.Role.CUSTODIAN),
        ):
            certificate = keys.certify(
                root_key, root_certificate, key.public_key(), role=role, now=now, years=_YEARS
            )
            keys.write_certificates(office.config_file.with_name(name), [certificate])
        keys.write_certificates(office.roots_file, [root_certificate])
        DirectoryStore.create(office.store_path)
        Spool.create(office.spool)
        text = render_default(
            site="demo",
            pbx=pbx,
            phone=phone,
            listen=listen,
            rtp_ports=rtp_ports,
            spool_path=str(office.spool.absolute()),
            store_path=str(office.store_path.absolute()),
        )
        office.config_file.write_text(f"{text}\n{rules}")
        return office

    def use_gateway(self, table: str, *, beside_desk: bool) -> None:
        """Take calls of a gateway too, by a `[[source]]` table; without the desk, those alone."""

        def sources(found: re.Match[str]) -> str:
            return f"{found[0]}\n{table}" if beside_desk else table

        text, count = _SOURCE_TABLE.subn(sources, self.config_file.read_text(), count=1)
        if not count:
            raise ValueError(f"{self.config_file}: no [[source]] in it")
        self.config_file.write_text(text)

    def use_store(self, table: str, custodians_table: str, environment: Mapping[str, str]) -> None:
        """Put another store in the place of the folder; `environment` is how services find credentials."""
        self._environment.update(environment)
        text, count = _STORE_TABLE.subn(lambda _found: table, self.config_file.read_text(), count=1)
        if not count:
            raise ValueError(f"{self.config_file}: no [[store]] in it")
        # A custodian waits for the entries that tell of a recording; nobody wants to watch it for a minute.
        text = _PUBLISH.sub(f"publish_s = {_DEMO_PUBLISH_S}", text, count=1)
        self.config_file.write_text(text)
        self.custodian_file.write_text(_CUSTODIAN_SETTINGS + custodians_table)

    def start(self, *services: str) -> None:
        """Start services, each a process of its own, as systemd would."""
        logs = self.root / "logs"
        logs.mkdir(exist_ok=True)
        for name in services:
            with (logs / f"{name}.log").open("ab") as log:
                config = self.custodian_file if name == CUSTODIAN else self.config_file
                self._services[name] = subprocess.Popen(  # noqa: S603 - our own command
                    [sys.executable, "-m", "callseal.cli", name, "--config", str(config)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={
                        **os.environ,
                        **self._environment,
                        "PYTHONUNBUFFERED": "1",
                        "TMPDIR": str(self.scratch.absolute()),
                    },
                )

    def process(self, service: str) -> "subprocess.Popen[bytes]":
        """Give a service's process."""
        return self._services[service]

    def status(self, service: str) -> Reading | None:
        """Read what a service last said of itself; None when it has not said anything."""
        folder = (self.root / "custodian" if service == CUSTODIAN else self.spool) / "status"
        if not folder.exists():
            return None
        return status.read(folder, service, now=datetime.now(UTC), stale_after_s=_STALE_S)

    def wait_ready(self, service: str, limit_s: float) -> bool:
        """Wait until a service says that it is ready; False when it ends or takes too long."""
        deadline_s = time.monotonic() + limit_s
        while time.monotonic() < deadline_s and self._services[service].poll() is None:
            reading = self.status(service)
            if (
                reading is not None
                and reading.status.pid == self._services[service].pid
                and reading.status.state is State.READY
            ):
                return True
            time.sleep(_POLL_S)
        return False

    def log_tail(self, service: str, lines: int = 5) -> str:
        """Give the end of a service's log."""
        try:
            text = (self.root / "logs" / f"{service}.log").read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def ledger_waits(self, store: StoreReader | None = None) -> bool:
        """Tell whether segments of the ledger are not in the store yet; without one it is the folder."""
        own = {path.name for path in (self.spool / "ledger").glob("*.jsonl")}
        there = (store or DirectoryStore(self.store_path)).list(LEDGER)
        return not own <= {item.name.rpartition("/")[2] for item in there}

    def stop(self, *services: str) -> dict[str, int]:
        """Stop services, all of them in reverse order if none is named; gives their exit codes."""
        codes = {}
        for name in services or tuple(reversed(self._services)):
            process = self._services.pop(name)
            process.terminate()
            try:
                codes[name] = process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                codes[name] = process.wait()
        return codes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()
