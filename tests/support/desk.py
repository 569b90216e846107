"""A desk for tests: an installation with running services, and what came out of it."""

import base64
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from callseal.agent.sources.bridge.source import missing
from callseal.cli.demo.office import AGENT, UPLOADER, Office
from callseal.codecs import au
from callseal.seal.keyfile import read_identities
from callseal.seal.manifest import Manifest, parse
from support.opened import open_objects
from support.programs import free_udp_port

if TYPE_CHECKING:
    from support.sound import Samples

ENGLISH = """
[[rule]]
called = "*"
announcements = ["en"]
business = "sales"
"""
NO_ANNOUNCEMENT = """
[[rule]]
called = "*"
announcements = []
business = "sales"
"""


@dataclass(frozen=True)
class Recorded:
    """One bundle, opened with the desk's own key."""

    path: Path
    manifest: Manifest
    vcon: dict[str, Any]
    inner: bytes
    """The inner file; empty for a bundle without audio."""

    @property
    def audio(self) -> "Samples":
        """Shape (2, samples)."""
        header = au.parse(self.inner)
        return au.to_samples(self.inner[header.data_offset_bytes :], header)

    @property
    def call(self) -> dict[str, Any]:
        """What the metadata says of the call."""
        body: dict[str, Any] = next(a["body"] for a in self.vcon["analysis"] if a["type"] == "call")
        return body

    @property
    def checks(self) -> dict[str, Any]:
        """What the metadata says of the sound."""
        body: dict[str, Any] = next(a["body"] for a in self.vcon["analysis"] if a["type"] == "checks")
        return body

    @property
    def streams(self) -> dict[str, Any]:
        """What the metadata says of what came in packets."""
        body: dict[str, Any] = next(a["body"] for a in self.vcon["analysis"] if a["type"] == "streams")
        return body

    @property
    def disclosures(self) -> list[dict[str, Any]]:
        """What the metadata says of announcements."""
        return [a["body"] for a in self.vcon["attachments"] if a["purpose"] == "disclosure"]


@dataclass(frozen=True)
class Desk:
    """The installation, and the ports of the three who talk."""

    office: Office
    bridge_port: int
    pbx_port: int
    phone_port: int

    @property
    def bridge(self) -> str:
        """host:port of the bridge."""
        return f"127.0.0.1:{self.bridge_port}"

    def recordings(self) -> list[Recorded]:
        """Open everything in ready/, the oldest first."""
        folder = self.office.spool / "ready"
        return [self.open(path) for path in sorted(folder.iterdir())]

    def wait_for(self, count: int, limit_s: float = 15.0) -> list[Recorded]:
        """Wait until ready/ holds `count` bundles, and open them."""
        deadline_s = time.monotonic() + limit_s
        folder = self.office.spool / "ready"
        while len(list(folder.iterdir())) < count:
            if time.monotonic() > deadline_s:
                log = self.office.log_tail(AGENT, 30)
                raise AssertionError(f"{len(list(folder.iterdir()))} of {count} bundles\n{log}")
            time.sleep(0.1)
        return self.recordings()

    def open(self, path: Path) -> Recorded:
        """Open one bundle with the reading key."""
        manifest = parse((path / "manifest.json").read_bytes())
        identities = read_identities(self.office.key_file, passphrase=None)
        plain = open_objects(path, manifest, identities)
        payload = json.loads(plain["call"])["payload"]
        vcon = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return Recorded(path=path, manifest=manifest, vcon=vcon, inner=plain.get("audio", b""))


@contextmanager
def desk(
    root: Path,
    *,
    rules: str = ENGLISH,
    edit: tuple[tuple[str, str], ...] = (),
    uploader: bool = False,
    ready: bool = True,
) -> Iterator[Desk]:
    """Run a desk in `root`; `edit` replaces texts in its settings file before the services start.

    With `ready` false it is enough that the services say anything of themselves.
    """
    what = missing()
    if what:
        if os.environ.get("CI"):
            pytest.fail(what)
        pytest.skip(what)
    bridge, pbx, phone = (free_udp_port() for _ in range(3))
    rtp = free_udp_port(200)
    office = Office.create(
        root,
        listen=f"127.0.0.1:{bridge}",
        pbx=f"sip:127.0.0.1:{pbx}",
        phone=f"sip:6001@127.0.0.1:{phone}",
        rtp_ports=f"{rtp}-{rtp + 199}",
        rules=rules,
        now=datetime.now(UTC),
    )
    text = office.config_file.read_text()
    for old, new in edit:
        if old not in text:
            raise AssertionError(f"the settings do not hold {old!r}")
        text = text.replace(old, new)
    office.config_file.write_text(text)
    services = (AGENT, UPLOADER) if uploader else (AGENT,)
    with office:
        office.start(*services)
        for service in services:
            if not (office.wait_ready(service, 20) if ready else _wait_alive(office, service)):
                raise AssertionError(f"{service} did not get ready\n{office.log_tail(service, 30)}")
        yield Desk(office=office, bridge_port=bridge, pbx_port=pbx, phone_port=phone)


def _wait_alive(office: Office, service: str) -> bool:
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s and office.process(service).poll() is None:
        reading = office.status(service)
        # The first line of all is written before the bridge listens.
        if reading is not None and "bridge-starting" not in reading.status.reasons:
            return True
        time.sleep(0.1)
    return False
