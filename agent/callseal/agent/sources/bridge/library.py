"""pjsua2 from its creation to its end: the library, its transport, its clock and its accounts.

Traps of pjsua2 2.15.1 that shape this file:
- A second Endpoint ends the process; so does leaving it without `libDestroy`, and so does `libDestroy`
  while any call or port lives. Hence calls, then ports, then accounts, then the library, in this order.
- One thread owns the library: no worker threads (`threadCnt` 0), callbacks only inside `libHandleEvents`
  (`mainThreadOnly`); a call into it from a thread that it does not know fails an assertion.
- Without a null sound device there is no clock and not a single frame.
- A request of more than 1300 bytes goes by TCP even where its Route says UDP, if the library has a TCP
  transport at all (RFC 3261 section 18.1.1): so it is given none.
"""

import contextlib
import gc
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pjsua2 as pj

from callseal.agent.sources.bridge.accounts import Line, Switch, settings
from callseal.agent.sources.bridge.coding import priorities, usual
from callseal.agent.sources.bridge.protocol import CallSide, Start

TICK_MS: Final = 20
_LEGS_A_CALL: Final = 2


class Library:
    """pjsua2, set up; everything happens on the thread that made it."""

    def __init__(self, endpoint: Switch, start: Start) -> None:
        """Take over a created endpoint; raises pj.Error when it cannot listen or its settings are refused."""
        self._endpoint = endpoint
        self._lines: dict[CallSide, Line] = {}
        self._rate_hz = start.rate_hz
        endpoint.libInit(_configuration(start))
        transport = pj.TransportConfig()
        transport.port = 0
        transport.boundAddress = start.host
        transport.publicAddress = start.host
        number = endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        endpoint.libStart()
        # Always: one that begins with a call may not tick yet when its taps are to be aligned, and a clock
        # that stops between calls was measured to save nothing.
        endpoint.audDevManager().setNullDev()
        name = endpoint.transportGetInfo(number).localName
        self.port = int(name.rpartition(":")[2])
        self.socket = _handle_of(start.host, self.port)
        """A second handle of the SIP socket: to be waited for, never read."""
        for codec in endpoint.codecEnum2():
            endpoint.codecSetPriority(codec.codecId, 0)
        self.prefer(usual(self._rate_hz))

    def add(self, line: Line, start: Start) -> None:
        """Open an account."""
        line.create(settings(line.side, start, self.port), not self._lines)  # pjsua2's "make it the default"
        self._lines[line.side] = line
        self._endpoint.numbers[line.side] = line.getId()

    def line(self, side: CallSide) -> Line:
        """Give a side's account."""
        return self._lines[side]

    def handle(self, wait_ms: int) -> None:
        """Take what has come, and let callbacks run; waits for something to come."""
        self._endpoint.libHandleEvents(wait_ms)

    def prefer(self, codings: tuple[str, ...]) -> None:
        """Say what the descriptions made from now on offer, and in which order; the settings are global."""
        for name, priority in priorities(codings).items():
            self._endpoint.codecSetPriority(name, priority)

    @contextlib.contextmanager
    def offering(self, codings: tuple[str, ...]) -> Iterator[None]:
        """Let one description offer these codings, and the next one the usual again."""
        self.prefer(codings)
        try:
            yield
        finally:
            self.prefer(usual(self._rate_hz))

    def close(self) -> None:
        """End what still runs, and the library; calls and ports must have been let go of before."""
        self._endpoint.hangupAllCalls()
        self._endpoint.libHandleEvents(TICK_MS)
        gc.collect()
        for line in self._lines.values():
            line.shutdown()
        self._lines.clear()
        self.socket.close()
        gc.collect()
        self._endpoint.libDestroy()


def _configuration(start: Start) -> pj.EpConfig:
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.uaConfig.maxCalls = _LEGS_A_CALL * start.max_calls  # the wheel has room for 4, whatever is asked
    config.uaConfig.userAgent = "callseal"
    config.uaConfig.mwiUnsolicitedEnabled = False
    config.uaConfig.natTypeInSdp = 0
    config.medConfig.clockRate = start.rate_hz
    config.medConfig.sndClockRate = start.rate_hz
    config.medConfig.audioFramePtime = TICK_MS
    config.medConfig.noVad = True  # a recorder's line does not stop sending in pauses
    config.medConfig.ecTailLen = 0
    # The library's log holds addresses and numbers: it is not written at all.
    config.logConfig.level = 0
    config.logConfig.consoleLevel = 0
    config.logConfig.msgLogging = 0
    return config


def _handle_of(host: str, port: int) -> socket.socket:
    """Duplicate the UDP socket of this process that has this name."""
    for entry in list(Path("/proc/self/fd").iterdir()):
        try:
            handle = socket.socket(fileno=os.dup(int(entry.name)))
        except OSError:
            continue  # no socket, or closed since
        if (handle.family, handle.type) == (socket.AF_INET, socket.SOCK_DGRAM) and handle.getsockname() == (
            host,
            port,
        ):
            return handle
        handle.close()
    raise OSError(f"no socket of this process is bound to port {port}")
