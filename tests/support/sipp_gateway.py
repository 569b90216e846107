"""sipp as a gateway that copies calls: scenarios of our own, as files beside this one."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from support.programs import free_udp_port, needed
from support.sipp import Sipp

SCENARIOS = Path(__file__).with_name("sipp_siprec")
SOUND_NAME = "sound.ulaw"
"""What every scenario says: G.711, once from its beginning to its end."""
_MEDIA_PORTS = 200

Transport = Literal["u1", "t1"]
"""One UDP port, or one TCP connection, for all calls."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """How many calls, how fast, and over how bad a network."""

    calls: int = 1
    a_second: int = 1
    lost_percent: int = 0
    """Of the messages in either direction."""


def run(
    folder: Path, name: str, *, port: int, sound: bytes, transport: Transport = "u1", load: Load | None = None
) -> Sipp:
    """Run a scenario of that name in `folder` against a server at a port of this machine."""
    program = needed("sipp", "sip-tester")
    load = load or Load()
    (folder / SOUND_NAME).write_bytes(sound)
    media = free_udp_port(_MEDIA_PORTS)
    command = [
        program, f"127.0.0.1:{port}", "-sf", str(SCENARIOS / f"{name}.xml"), "-t", transport,
        "-i", "127.0.0.1", "-p", str(free_udp_port()), "-mi", "127.0.0.1", "-mp", str(media),
        "-m", str(load.calls), "-l", str(load.calls), "-r", str(load.a_second), "-nostdin",
        "-lost", str(load.lost_percent), "-max_invite_retrans", "10",
        "-trace_err", "-error_file", str(folder / f"{name}.err"),
        "-trace_msg", "-message_file", str(folder / f"{name}.msg"),
        "-timeout", f"{30 + load.calls}s", "-timeout_error",
    ]  # fmt: skip
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return Sipp(process=process, folder=folder, name=name)
