"""sipp as one end of a desk's call, behind a telephone system or beside it: scenarios of our own, as files.

sipp does the signalling alone; sound is an `Ear`'s, whose port the scenario names. A scenario with a pause of
no length waits `pause_s`.
"""

import subprocess
from pathlib import Path
from typing import Literal

from support.programs import needed
from support.sipp import Sipp

SCENARIOS = Path(__file__).with_name("sipp_desk")
Scenario = Literal[
    "caller",
    "caller_gives_up",
    "caller_holds",
    "caller_refers_and_leaves",
    "caller_refreshes",
    "caller_waits",
    "callee",
    "callee_busy",
    "callee_early",
    "callee_expects_refresh",
    "callee_holds",
    "callee_holds_too",
    "callee_leaves",
    "callee_moved",
    "callee_passes_on",
    "callee_refers",
    "callee_refreshes",
    "callee_rings",
]
_LIMIT_S = 120
_HEADER = "Subject: a call"


def run(
    folder: Path,
    name: Scenario,
    *,
    port: int,
    remote: int,
    pbx: int,
    user: str = "6001",
    number: str = "",
    ear: int = 40_000,
    pause_s: float = 1.0,
    header: str = _HEADER,
    lost_percent: int = 0,
    calls: int = 1,
    keys: dict[str, str] | None = None,
) -> Sipp:
    """Run a scenario at a UDP port of this machine; what it sends goes to `remote`, another port of it.

    `user` at the telephone system's port `pbx` calls `number`; `header` is put into the INVITE as it is;
    `keys` are further words of the scenario. Of the messages in either direction `lost_percent` get lost.
    """
    program = needed("sipp", "sip-tester")
    label = f"{name}-{port}"
    words = {
        "pbx": f"127.0.0.1:{pbx}",
        "user": user,
        "number": number,
        "ear": str(ear),
        "header": header,
        **(keys or {}),
    }
    command = [
        program, f"127.0.0.1:{remote}", "-sf", str(SCENARIOS / f"{name}.xml"), "-i", "127.0.0.1",
        "-p", str(port), "-m", str(calls), "-l", str(calls), "-d", str(round(pause_s * 1000)), "-nostdin",
        "-lost", str(lost_percent), "-max_invite_retrans", "10",
        *(word for key, value in words.items() for word in ("-key", key, value)),
        "-trace_err", "-error_file", str(folder / f"{label}.err"),
        "-trace_msg", "-message_file", str(folder / f"{label}.msg"),
        "-timeout", f"{_LIMIT_S}s", "-timeout_error",
    ]  # fmt: skip
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return Sipp(process=process, folder=folder, name=label)


def messages(party: Sipp) -> list[str]:
    """Give the messages that a scenario has sent and received, each with its direction, in order."""
    text = (party.folder / f"{party.name}.msg").read_text(errors="replace")
    return text.split("-----------------------------------------------")[1:]
