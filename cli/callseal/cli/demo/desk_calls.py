"""The demo's calls at a desk: two telephones, one of them in the place of the customer's, that talk.

Each is a process of its own (`callseal.cli.demo.phone`). Raises DemoFailed where a call did not come about.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Final

from callseal.cli.demo.errors import DemoFailed
from callseal.cli.demo.office import AGENT, Office
from callseal.cli.i18n import _

EXTENSION: Final = "6001"
CUSTOMER: Final = "13800138000"

_CALL_LIMIT_S: Final = 90.0
_AFTER_ANNOUNCEMENT_S: Final = {"zh": 9.5, "en": 5.0}
"""When the speakers begin, from the answer on: when the announcement is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskPorts:
    """UDP ports of loopback: the bridge's, the telephone system's, the telephone's."""

    bridge: int
    pbx: int
    phone: int


def hold_call(office: Office, ports: DeskPorts, language: str, *, inbound: bool) -> None:
    """Let the two telephones talk, from ringing to hanging up."""
    delay_s = _AFTER_ANNOUNCEMENT_S[language]
    speech = files("callseal.cli.demo").joinpath("speech")
    bridge = f"127.0.0.1:{ports.bridge}"
    with contextlib.ExitStack() as stack:
        agent_wav = stack.enter_context(as_file(speech.joinpath(f"{language}-agent.wav")))
        customer_wav = stack.enter_context(as_file(speech.joinpath(f"{language}-customer.wav")))
        people = {
            "phone": [
                "--port", str(ports.phone), "--user", EXTENSION, "--speech", str(agent_wav),
                *([] if inbound else ["--call", f"sip:{CUSTOMER}@{bridge}"]),
            ],
            "customer": [
                "--port", str(ports.pbx), "--user", CUSTOMER, "--speech", str(customer_wav),
                *(["--call", f"sip:{EXTENSION}@{bridge}"] if inbound else []),
            ],
        }  # fmt: skip
        first, second = ("phone", "customer") if inbound else ("customer", "phone")
        waiting = stack.enter_context(_telephone(office, people[first], delay_s, linger_s=30))
        if waiting.stdout is None or not _hears(waiting, "ready"):
            raise DemoFailed(
                _("a telephone of the demo did not start; see {path}").format(path=office.root / "logs")
            )
        calling = stack.enter_context(_telephone(office, people[second], delay_s, linger_s=1))
        try:
            codes = [calling.wait(_CALL_LIMIT_S), waiting.wait(_CALL_LIMIT_S)]
        except subprocess.TimeoutExpired:
            raise DemoFailed(
                _("the call did not end; the agent's log:\n{log}").format(log=office.log_tail(AGENT))
            ) from None
        if any(codes):
            raise DemoFailed(
                _("the call was not answered; the agent's log:\n{log}").format(log=office.log_tail(AGENT))
            )


@contextlib.contextmanager
def _telephone(
    office: Office, options: list[str], delay_s: float, *, linger_s: float
) -> Iterator["subprocess.Popen[bytes]"]:
    with (office.root / "logs" / "telephones.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [
                sys.executable, "-m", "callseal.cli.demo.phone", *options,
                "--delay", str(delay_s), "--linger", str(linger_s),
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _hears(process: "subprocess.Popen[bytes]", word: str) -> bool:
    """Wait for a word of the telephone's; False when it ends without it."""
    stream = process.stdout
    return stream is not None and any(line.strip() == word.encode() for line in stream)
