"""What happens to a recording server as a process: set up, started, stopped for a while, killed, asked."""

import contextlib
import os
import signal
from collections.abc import Iterator

from callseal.cli.demo.office import AGENT
from callseal.seal.status import Status
from support.eventually import eventually
from support.process import children
from support.recording_server import Copy, RecordingServer, metadata, multipart, session
from support.sip_peer import Message
from support.sip_wire import Caller, Wire, asks


def settle(server: RecordingServer, *changes: tuple[str, str]) -> None:
    """Replace texts in the settings of a server that does not run yet; each must be there."""
    text = server.office.config_file.read_text()
    for old, new in changes:
        if old not in text:
            raise AssertionError(f"the settings do not hold {old!r}")
        text = text.replace(old, new)
    server.office.config_file.write_text(text)


def begin(server: RecordingServer) -> None:
    """Start it, and wait until it is ready."""
    server.office.start(AGENT)
    get_ready(server)


def get_ready(server: RecordingServer) -> None:
    """Wait until a server that was started is ready."""
    if not server.office.wait_ready(AGENT, 30):
        raise AssertionError(f"the agent did not get ready\n{server.office.log_tail(AGENT, 30)}")


def kill(server: RecordingServer) -> None:
    """End it as a crash does, without a moment's notice."""
    process = server.office.process(AGENT)
    process.kill()
    process.wait()


@contextlib.contextmanager
def stopped(server: RecordingServer) -> Iterator[None]:
    """Keep it from running with all its children, as a virtual machine that is moved."""
    pid = server.office.process(AGENT).pid
    every = [pid, *children(pid)]
    for each in every:
        os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in every:
            os.kill(each, signal.SIGCONT)


def options(server: RecordingServer) -> Message:
    """Ask whether it would take a call, as a gateway does before it chooses."""
    with Wire.open("UDP", ("127.0.0.1", server.port)) as wire:
        return asks(wire)


def is_there(server: RecordingServer, limit_s: float = 1.0) -> bool:
    """Say whether anybody answers there at all."""
    with Wire.open("UDP", ("127.0.0.1", server.port)) as wire:
        caller = Caller(wire)
        try:
            caller.send("OPTIONS")
            wire.answer(caller.call_id, "OPTIONS", limit_s=limit_s)
        except (AssertionError, OSError):
            return False
        return True


def answers(server: RecordingServer, code: int) -> Message:
    """Wait until it answers so whether it would take a call, and give that answer."""
    heard = [options(server)]

    def is_so() -> bool:
        heard.append(options(server))
        return heard[-1].code == code

    eventually(is_so, f"{code} to OPTIONS instead of {heard[0].code}")
    return heard[-1]


def status(server: RecordingServer) -> Status:
    """Read what it last said of itself."""
    reading = server.office.status(AGENT)
    assert reading is not None, "it has not said anything of itself"
    return reading.status


def alarms(server: RecordingServer) -> set[str]:
    """Give the codes of its alarms."""
    return {alarm.code for alarm in status(server).alarms}


def of_group(group: str) -> tuple[str, str]:
    """Write an INVITE's body and headers for a call of a communication session group."""
    return multipart(session(), metadata(group=group))


def refused(copy: Copy) -> tuple[int, bool]:
    """Give with which status a call was refused, and whether it was said when to try again."""
    return copy.answer.code, copy.answer.header("Retry-After").isdigit()
