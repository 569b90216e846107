"""The agent as it stands beside a gateway: a folder with all it needs, its process, and what it recorded.

Recordings are sealed to two post-quantum recipients; the private key of one is kept here, in memory, to open
them again.
"""

import io
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from heard import Heard, Told, compare
from numpy.typing import NDArray
from rtp_programs import RECEIVING, Address, pinned, stopped_at_last

from callseal.codecs.au import HEADER_BYTES
from callseal.seal import keys, status
from callseal.seal.age import HybridIdentity, decrypt
from callseal.seal.manifest import MANIFEST_NAME, parse
from callseal.seal.spool import Spool
from callseal.seal.status import State
from callseal.seal.vcon import open_vcon

FIRST_PORT: Final = 10_000
LAST_PORT: Final = 32_766
START_S: Final = 20.0
CLOSE_S: Final = 60.0
STALE_S: Final = 15.0
_SETTINGS: Final = """\
schema = 1
[device]
site = "bench"
[spool]
path = "spool"
min_free_mb = 64
[[source]]
type = "siprec"
listen = "127.0.0.1:{port}"
rtp_ports = "{first}-{last}"
max_calls = {calls}
drain_s = 5.0
[[store]]
name = "primary"
type = "directory"
path = "store"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A recording, opened."""

    call_ids: tuple[str, ...]
    channels: NDArray[np.uint8]
    """Shape (samples, 2)."""
    streams: dict[str, Any]
    """The analysis of that name: what the agent tells of the streams."""

    def told(self, channel: int) -> Told:
        """Give what the agent tells of a channel."""
        reports = [one for one in self.streams["streams"] if one["channel"] == channel]
        return Told(
            lost=sum(one["lost"] + one["late"] for one in reports),
            slips=sum(one["slips"] for one in reports),
            gaps=tuple(
                (one["start_sample"], one["end_sample"])
                for one in self.streams["gaps"]
                if one["channel"] == channel
            ),
        )


class Agent:
    """An agent that runs."""

    def __init__(
        self, folder: Path, process: "subprocess.Popen[str]", reader: HybridIdentity, port: int
    ) -> None:
        self._folder = folder
        self._process = process
        self._reader = reader
        self.pid = process.pid
        self.address: Address = ("127.0.0.1", port)

    def wait_ready(self) -> None:
        """Wait until it takes calls."""
        until_s = time.monotonic() + START_S
        while self._process.poll() is None and time.monotonic() < until_s:
            folder = self._folder / "spool" / "status"
            if folder.exists():
                reading = status.read(folder, "agent", now=datetime.now(UTC), stale_after_s=STALE_S)
                if reading is not None and reading.status.state is State.READY:
                    return
            time.sleep(0.05)
        raise SystemExit(f"the agent is not ready:\n{self.log_tail()}")

    def wait_closed(self, calls: int) -> None:
        """Wait until that many recordings are complete."""
        until_s = time.monotonic() + CLOSE_S
        ready = self._folder / "spool" / "ready"
        while len(list(ready.iterdir())) < calls:
            if time.monotonic() > until_s:
                raise SystemExit(f"the agent has not closed all recordings:\n{self.log_tail()}")
            time.sleep(0.1)

    def log_tail(self) -> str:
        """Give the end of its log."""
        return "\n".join((self._folder / "agent.log").read_text(errors="replace").splitlines()[-20:])

    def recorded(self) -> Iterator[Recorded]:
        """Open all recordings."""
        for folder in sorted((self._folder / "spool" / "ready").iterdir()):
            manifest = parse((folder / MANIFEST_NAME).read_bytes())
            names = {item.kind: item.name for item in manifest.objects}
            document: Any = open_vcon(self._open(folder / names["call"]))[0]
            analyses = {one["type"]: one["body"] for one in document["analysis"]}
            audio = self._open(folder / names["audio"])
            yield Recorded(
                call_ids=tuple(analyses["call"]["sip_call_ids"]),
                channels=np.frombuffer(audio, np.uint8, offset=HEADER_BYTES).reshape(-1, 2),
                streams=analyses.get("streams", {}),
            )

    def heard(self, call_ids: dict[str, int], frames: int) -> Heard:
        """Compare all recordings with what was said; `call_ids` gives the number of a call."""
        found = Heard()
        left = dict(call_ids)
        for one in self.recorded():
            call = left.pop(next(name for name in one.call_ids if name in left))
            for channel in (0, 1):
                sound = np.ascontiguousarray(one.channels[:, channel])
                found += compare(sound, 2 * call + channel, frames, one.told(channel))
        # A call without a recording misses all of it, and nobody has said so.
        return found + Heard(
            frames=2 * frames * len(left), missing=2 * frames * len(left), unequal=2 * len(left)
        )

    def _open(self, path: Path) -> bytes:
        return b"".join(decrypt(io.BytesIO(path.read_bytes()), [self._reader]))


@contextmanager
def agent(folder: Path, *, calls: int, port: int) -> Iterator[Agent]:
    """Run an agent in a folder, an empty one."""
    reader = HybridIdentity.generate()
    _write(folder, reader, calls=calls, port=port)
    command = pinned(
        RECEIVING, sys.executable, "-m", "callseal.cli", "agent", "--config", str(folder / "callseal.toml")
    )
    with (folder / "agent.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True)
    with stopped_at_last(process):
        running = Agent(folder, process, reader, port)
        running.wait_ready()
        yield running


def _write(folder: Path, reader: HybridIdentity, *, calls: int, port: int) -> None:
    now = datetime.now(UTC)
    settings = _SETTINGS.format(port=port, first=FIRST_PORT, last=LAST_PORT, calls=calls)
    (folder / "callseal.toml").write_text(settings)
    recipients = [reader.recipient.text, HybridIdentity.generate().recipient.text]
    (folder / "recipients.txt").write_text("\n".join(recipients) + "\n")
    root_key, root = keys.create_root("Bench", now=now, years=1)
    device_key = keys.generate_signing_key()
    certificate = keys.certify(
        root_key, root, device_key.public_key(), role=keys.Role.DEVICE, now=now, years=1
    )
    keys.write_signing_key(folder / "device.key", device_key)
    keys.write_certificates(folder / "device.pem", [certificate])
    keys.write_certificates(folder / "trust.pem", [root])
    Spool.create(folder / "spool")
    (folder / "store").mkdir()
