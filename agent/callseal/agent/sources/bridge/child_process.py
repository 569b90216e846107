"""The bridge's child as the service holds it: started, listened to, stopped. Shell.

Nothing here blocks the event loop: the telephone's signalling runs on it.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Final, Self

import structlog

from callseal.agent.announcement import Programme
from callseal.agent.errors import SourceError
from callseal.agent.sources.bridge import memwav, protocol

START_TIMEOUT_S: Final = 10.0
SILENT_S: Final = 3.0
"""Without a heartbeat, of which there is one a second at least: it hangs. A child that waits for a busy
processor was seen to be late by half a second at most."""
LEAVE_S: Final = 5.0
"""How long a child may take to leave when told to."""
_LOOK_S: Final = 0.02

log = structlog.get_logger("callseal.bridge")


class ChildProcess:
    """One child, from its start to its end."""

    def __init__(self, process: "subprocess.Popen[bytes]", channel: socket.socket) -> None:
        self._process = process
        self._channel = channel
        self._heard_s = time.monotonic()
        self._limit_s = START_TIMEOUT_S

    @classmethod
    def start(cls, start: protocol.Start, programmes: Mapping[str, Programme], will_fd: int) -> Self:
        """Start one, and hand it what it needs; `start.announcements` are keys of `programmes`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        fds: list[int] = []
        try:
            with theirs:
                process = _run(theirs)
            try:
                for name in start.announcements:
                    fd = memwav.create("announcement")
                    fds.append(fd)
                    memwav.fill(fd, programmes[name].samples, start.rate_hz)
                protocol.send(ours, start, (will_fd, *fds))
            except OSError:
                process.kill()
                process.wait()
                raise
        except OSError as error:
            ours.close()
            raise SourceError(f"the bridge's child process does not start: {error.strerror}") from error
        finally:
            for fd in fds:
                os.close(fd)
        return cls(process, ours)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """How it ended, negative for a signal; None while it runs."""
        return self._process.poll()

    @property
    def silent_s(self) -> float:
        """For how long nothing has been heard of it."""
        return time.monotonic() - self._heard_s

    def is_up(self) -> None:
        """Expect heartbeats from now on."""
        self._limit_s = SILENT_S

    def send(self, message: protocol.Command) -> None:
        """Tell it something; one that does not listen is found by its silence."""
        try:
            protocol.send(self._channel, message)
        except OSError as error:
            log.warning("bridge.child.deaf", error=type(error).__name__)

    async def reports(self) -> AsyncGenerator[tuple[protocol.Message, list[int]], None]:
        """Give what it says, until it is gone; SourceError when it is there and says nothing."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._channel, readable.set)
        try:
            while True:
                try:
                    received = protocol.receive(self._channel)
                except BlockingIOError:
                    readable.clear()
                    try:
                        await asyncio.wait_for(readable.wait(), self._limit_s)
                    except TimeoutError:
                        if not readable.is_set():  # else it was this process that stood still
                            raise SourceError(
                                f"the bridge's child process has not answered for {self.silent_s:.0f} s"
                            ) from None
                    continue
                except ConnectionError:
                    return
                if received is None:
                    return
                self._heard_s = time.monotonic()
                yield received
        finally:
            loop.remove_reader(self._channel)

    async def has_left(self, limit_s: float) -> bool:
        """Wait up to `limit_s` for its end, and say whether it came."""
        until_s = time.monotonic() + limit_s
        while self._process.poll() is None and time.monotonic() < until_s:  # noqa: ASYNC110 - a process is no event
            await asyncio.sleep(_LOOK_S)
        return self._process.poll() is not None

    async def end(self, limit_s: float = 0.0) -> None:
        """Let it leave for up to `limit_s`, then kill it."""
        self._channel.close()
        if not await self.has_left(limit_s):
            if limit_s:
                log.warning("bridge.child.killed", reason="it did not leave when told to")
            self._process.kill()
            await asyncio.to_thread(self._process.wait)


def _run(channel: socket.socket) -> "subprocess.Popen[bytes]":
    """Start the program, with its end of the channel."""
    command = [sys.executable, "-m", "callseal.agent.sources.bridge.child", str(channel.fileno())]
    # A session of its own: what is typed at the terminal is the service's to answer.
    return subprocess.Popen(  # noqa: S603 - a fixed command
        command,
        pass_fds=(channel.fileno(),),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
