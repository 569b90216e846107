"""The bridge's child process: owns pjsua2, and nothing else.

Started as `python -m callseal.agent.sources.bridge.child FD`, FD being its end of the socket pair. It ends
when told to, or when the service is gone: then every call gets a proper BYE first.

Traps of pjsua2 2.15.1 that shape this file:
- One thread owns the library: no worker threads, `libHandleEvents` in a loop, commands between two turns.
- The garbage collector is off and run by hand, here, between two turns: a call or port collected on
  another thread ends the process.
- A second Endpoint, and leaving without libDestroy while any object lives, end the process.
- Without a null sound device there is no clock and not a single frame; with `setNoDev` neither.
- `onIncomingCall` must be overridden on every account, or the caller gets 500.
"""

import gc
import os
import re
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np
import pjsua2 as pj

from callseal.agent import memory
from callseal.agent.sources.bridge import memwav, protocol, tracks
from callseal.agent.sources.bridge.session import RATE_HZ, Session, Studio

DECISION_TIMEOUT_S: Final = 2.0
"""How long an INVITE waits for the service's decision before it is answered 503."""
_BUSY_TURN_MS: Final = 10
_IDLE_TURN_MS: Final = 200
_BEAT_S: Final = 1.0
_GC_S: Final = 5.0
_LEAVE_S: Final = 2.0
_MAX_HEADER: Final = 1024
"""What is passed on of a header; a longer From or Call-ID is cut and the call then fails properly."""
_FOLD: Final = re.compile(r"[ \t]*\n[ \t]+")
_CODECS: Final = {"PCMU/8000/1": 255, "PCMA/8000/1": 254}


class Line(pj.Account):
    """The one account: every INVITE arrives here."""

    def __init__(self, child: "Child") -> None:
        super().__init__()
        self._child = child

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:  # noqa: N802 - pjsua2's name
        """Hand a new INVITE on."""
        try:
            self._child.invited(prm.callId, prm.rdata.wholeMsg, prm.rdata.srcAddress)
        except Exception as error:  # noqa: BLE001 - nothing may cross the director boundary
            self._child.report(protocol.Fault(where="invite", detail=type(error).__name__), ())


class Child:
    """The event loop around pjsua2."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._sessions: dict[int, Session] = {}
        self._next_call = 1
        self._stopping_since_s: float | None = None
        self._studio: Studio | None = None
        self._silence: pj.AudioMediaPlayer | None = None
        self._line: Line | None = None
        self._fds: list[int] = []

    def run(self) -> None:
        """Wait for Start, then turn until told to stop or left alone."""
        received = protocol.receive(self._channel)
        if received is None:
            return
        start, fds = received
        if not isinstance(start, protocol.Start):
            return
        self._channel.setblocking(False)
        endpoint = pj.Endpoint()
        endpoint.libCreate()
        try:
            self._set_up(endpoint, start, fds)
            self.report(protocol.Ready(), ())
            self._turn(endpoint)
        except pj.Error as error:
            detail = f"{error.title}: {error.reason}"
            self.report(protocol.Fault(where="start", detail=detail), ())
        finally:
            self._tear_down(endpoint)
            # The service does this too, unless it was killed.
            shutil.rmtree(start.scratch, ignore_errors=True)

    def report(self, message: protocol.Report, fds: tuple[int, ...]) -> None:
        """Send to the service; descriptors that went along are closed here."""
        try:
            protocol.send(self._channel, message, fds)
        except OSError:
            # The service is gone, or has not read for so long that the socket is full: either way
            # nobody decides or records any more, so the calls are ended.
            self._begin_stop()
        for fd in fds:
            os.close(fd)

    def invited(self, call_id: int, message: str, source: str) -> None:
        """Begin a session and ask the service what to do with it."""
        number, self._next_call = self._next_call, self._next_call + 1
        if self._studio is None or self._stopping_since_s is not None:
            return
        self._sessions[number] = Session(self._studio, number, call_id)
        head = _lines(message)
        host, _, port = source.rpartition(":")
        request = head[0].split(" ")
        self.report(
            protocol.Invited(
                call=number,
                source_host=host,
                source_port=int(port) if port.isdigit() else 0,
                request_user=_user(request[1][:_MAX_HEADER] if len(request) > 1 else ""),
                from_uri=_address(_header(head, "from", "f")),
                to_uri=_address(_header(head, "to", "t")),
                sip_call_id=_header(head, "call-id", "i"),
            ),
            (),
        )

    # --- life ---------------------------------------------------------------------------------------

    def _set_up(self, endpoint: pj.Endpoint, start: protocol.Start, fds: list[int]) -> None:
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.maxCalls = 2 * start.max_calls
        config.uaConfig.userAgent = "callseal"
        config.medConfig.clockRate = RATE_HZ
        config.medConfig.sndClockRate = RATE_HZ
        config.medConfig.audioFramePtime = 20
        config.medConfig.noVad = True  # a recorder's line does not stop sending in pauses
        config.medConfig.ecTailLen = 0
        # The library's log holds addresses and numbers: it is not written at all.
        config.logConfig.level = 0
        config.logConfig.consoleLevel = 0
        config.logConfig.msgLogging = 0
        endpoint.libInit(config)
        transport = pj.TransportConfig()
        transport.port = start.port
        transport.boundAddress = start.host
        transport.publicAddress = start.host
        endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        endpoint.libStart()
        endpoint.audDevManager().setNullDev()
        for codec in endpoint.codecEnum2():
            endpoint.codecSetPriority(codec.codecId, _CODECS.get(codec.codecId, 0))
        self._line = Line(self)
        self._line.create(_account(start), True)  # pjsua2's "make it the default"
        scratch = Path(start.scratch)
        silence = self._memory_file(scratch, "silence", np.zeros(RATE_HZ, np.int16))
        self._silence = pj.AudioMediaPlayer()
        self._silence.createPlayer(str(silence))
        self._fds += fds
        self._studio = Studio(
            account=self._line,
            silence=self._silence,
            ramp=self._memory_file(scratch, "ramp", tracks.ramp()),
            announcements={
                name: memwav.link(fd, scratch, f"announcement-{index}")
                for index, (name, fd) in enumerate(zip(start.announcements, fds, strict=True))
            },
            scratch=scratch,
            report=self.report,
        )
        gc.disable()

    def _memory_file(self, scratch: Path, name: str, samples: "np.typing.NDArray[np.int16]") -> Path:
        fd = memwav.create(name)
        memwav.fill(fd, samples, RATE_HZ)
        self._fds.append(fd)
        return memwav.link(fd, scratch, name)

    def _turn(self, endpoint: pj.Endpoint) -> None:
        next_beat_s = next_gc_s = time.monotonic()
        while True:
            endpoint.libHandleEvents(_BUSY_TURN_MS if self._sessions else _IDLE_TURN_MS)
            self._obey()
            now_s = time.monotonic()
            for number, session in list(self._sessions.items()):
                self._tick(session, now_s)
                if session.done:
                    del self._sessions[number]
            if now_s >= next_beat_s:
                next_beat_s = now_s + _BEAT_S
                self.report(protocol.Beat(at_s=now_s, calls=len(self._sessions)), ())
            if now_s >= next_gc_s:
                next_gc_s = now_s + _GC_S
                gc.collect(1)
            since_s = self._stopping_since_s
            if since_s is not None and (not self._sessions or now_s - since_s > _LEAVE_S):
                return

    def _tick(self, session: Session, now_s: float) -> None:
        try:
            session.tick(now_s, DECISION_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001 - one call's trouble must not end the others
            session.fault("tick", error)
            session.hang_up()

    def _obey(self) -> None:
        while True:
            try:
                received = protocol.receive(self._channel)
            except BlockingIOError:
                return
            except OSError:
                received = None
            if received is None:
                self._begin_stop()
                return
            self._command(received[0])

    def _command(self, message: protocol.Message) -> None:
        if isinstance(message, protocol.Stop):
            self._begin_stop()
            return
        session = self._sessions.get(getattr(message, "call", 0))
        if session is None:
            return
        try:
            if isinstance(message, protocol.Route):
                session.route(message)
            elif isinstance(message, protocol.Refuse):
                session.refuse(message.code)
            elif isinstance(message, protocol.Hangup):
                session.hang_up()
        except Exception as error:  # noqa: BLE001 - one call's trouble must not end the others
            session.fault(type(message).__name__.lower(), error)
            session.hang_up()

    def _begin_stop(self) -> None:
        if self._stopping_since_s is not None:
            return
        self._stopping_since_s = time.monotonic()
        for session in self._sessions.values():
            session.hang_up()

    def _tear_down(self, endpoint: pj.Endpoint) -> None:
        # Calls, then ports, then the account, then the library: any other order ends in an abort.
        endpoint.hangupAllCalls()
        endpoint.libHandleEvents(_BUSY_TURN_MS)
        self._sessions.clear()
        if self._silence is not None:
            pj.AudioMediaPlayer.__swig_destroy__(self._silence)
            self._silence = None
        self._studio = None
        gc.collect()
        if self._line is not None:
            self._line.shutdown()
            self._line = None
        endpoint.libDestroy()


def _account(start: protocol.Start) -> pj.AccountConfig:
    account = pj.AccountConfig()
    account.idUri = f"sip:callseal@{start.host}:{start.port}"
    account.regConfig.registerOnAdd = False
    account.mediaConfig.transportConfig.boundAddress = start.host
    account.mediaConfig.transportConfig.publicAddress = start.host
    account.mediaConfig.transportConfig.port = start.rtp_port
    account.mediaConfig.transportConfig.portRange = start.rtp_ports
    account.natConfig.contactRewriteUse = 0
    account.natConfig.viaRewriteUse = 0
    account.natConfig.sdpNatRewriteUse = 0
    return account


def _lines(message: str) -> list[str]:
    """Give the lines of a head, unfolded (RFC 3261 section 7.3.1); the library takes a bare LF too."""
    head = message.replace("\r\n", "\n").split("\n\n", 1)[0]
    return _FOLD.sub(" ", head).split("\n")


def _header(head: list[str], name: str, short: str) -> str:
    for line in head[1:]:
        key, colon, value = line.partition(":")
        if colon and key.strip().lower() in (name, short):
            return value.strip()[:_MAX_HEADER]
    return ""


def _address(value: str) -> str:
    """Give a From or To without its parameters, of which the tag is one (RFC 3261 section 20.10)."""
    end = value.rfind(">")
    return value[: end + 1] if end >= 0 else value.partition(";")[0]


def _user(uri: str) -> str:
    return uri.partition(":")[2].partition("@")[0].partition(";")[0] if "@" in uri else ""


def main() -> None:
    """Run the child on the descriptor named on the command line."""
    # The terminal's Ctrl-C reaches the whole group; the service decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    memory.protect()
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        Child(channel).run()


if __name__ == "__main__":
    main()
