"""The bridge's child process: owns pjsua2, and nothing else.

Started as `python -m callseal.agent.sources.bridge.child FD`, FD being its end of the socket pair. It ends
when told to, or when the service is gone: then every call gets a proper BYE first.

Traps of pjsua2 2.15.1 that shape this file:
- One thread owns the library; it waits for SIP and for commands at once, and handles them in turn.
- The garbage collector is off and run by hand, here, between two turns: a call or port collected on
  another thread ends the process.
"""

import gc
import os
import select
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np
import pjsua2 as pj
from numpy.typing import NDArray

from callseal.agent import memory
from callseal.agent.sources.bridge import accounts, coding, memwav, protocol, tracks, will
from callseal.agent.sources.bridge.announcing import Announcement
from callseal.agent.sources.bridge.library import Library
from callseal.agent.sources.bridge.protocol import CallSide
from callseal.agent.sources.bridge.session import Session
from callseal.agent.sources.bridge.sound import Studio

DECISION_TIMEOUT_S: Final = 2.0
"""How long an INVITE waits for the service's decision before it is answered 503."""
_BUSY_TURN_MS: Final = 10
_IDLE_TURN_MS: Final = 250
_BUSY_BEAT_S: Final = 0.25
_IDLE_BEAT_S: Final = 1.0
_GC_S: Final = 5.0
_LEAVE_S: Final = 2.0


class Child:
    """The event loop around pjsua2."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._sessions: dict[int, Session] = {}
        self._next_call = 1
        self._stopping_since_s: float | None = None
        self._library: Library | None = None
        self._studio: Studio | None = None
        self._silence: pj.AudioMediaPlayer | None = None
        self._rate_hz = 0
        self._fds: list[int] = []
        self._will: int | None = None
        self._is_orphan = False

    def run(self) -> None:
        """Wait for Start, then turn until told to stop or left alone."""
        received = protocol.receive(self._channel)
        if received is None:
            return
        start, fds = received
        if not isinstance(start, protocol.Start):
            return
        self._channel.setblocking(False)
        endpoint = accounts.Switch(self._fault)
        endpoint.libCreate()
        try:
            library = Library(endpoint, start)
            self._set_up(library, start, fds)
            self.report(protocol.Ready(port=library.port), ())
            self._turn(library)
        except pj.Error as error:
            detail = f"{error.title}: {error.reason}"
            self.report(protocol.Fault(where="start", detail=detail), ())
        except OSError as error:
            self.report(protocol.Fault(where="start", detail=str(error)), ())
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
            self._is_orphan |= self._stopping_since_s is None
            self._begin_stop()
        for fd in fds:
            os.close(fd)

    def invited(self, call_id: int, side: CallSide, message: str) -> None:
        """Begin a session and ask the service what to do with it."""
        number, self._next_call = self._next_call, self._next_call + 1
        if self._studio is None or self._library is None or self._stopping_since_s is not None:
            return
        _head, _, body = message.replace("\r\n", "\n").partition("\n\n")
        codings = coding.offered(body, self._rate_hz)
        self._sessions[number] = Session(self._studio, number, side, call_id, codings)
        self.report(protocol.Invited(call=number, token=accounts.token(message)), ())

    def _fault(self, where: str, error: Exception) -> None:
        self.report(protocol.Fault(where=where, detail=type(error).__name__), ())

    # --- life ---------------------------------------------------------------------------------------

    def _set_up(self, library: Library, start: protocol.Start, fds: list[int]) -> None:
        self._will, *announcements = fds
        self._library = library
        self._rate_hz = start.rate_hz
        for side in accounts.FACES:
            library.add(accounts.Line(side, self.invited, self._fault), start)
        scratch = Path(start.scratch)
        silence = self._memory_file(scratch, "silence", np.zeros(start.rate_hz, np.int16))
        self._silence = pj.AudioMediaPlayer()
        self._silence.createPlayer(str(silence))
        self._fds += fds
        self._studio = Studio(
            library=library,
            rate_hz=start.rate_hz,
            silence=self._silence,
            ramp=self._memory_file(scratch, "ramp", tracks.ramp()),
            announcements={
                name: memwav.link(fd, scratch, f"announcement-{index}")
                for index, (name, fd) in enumerate(zip(start.announcements, announcements, strict=True))
            },
            scratch=scratch,
            report=self.report,
        )
        self._try_announcements(self._studio)
        gc.disable()

    def _try_announcements(self, studio: Studio) -> None:
        """Tell before any call that one can't be played."""
        for path in studio.announcements.values():
            try:
                Announcement(path, studio.rate_hz).close()
            except pj.Error as error:
                self._fault("announcement", error)

    def _memory_file(self, scratch: Path, name: str, samples: NDArray[np.int16]) -> Path:
        fd = memwav.create(name)
        memwav.fill(fd, samples, self._rate_hz)
        self._fds.append(fd)
        return memwav.link(fd, scratch, name)

    def _turn(self, library: Library) -> None:
        next_beat_s = next_gc_s = time.monotonic()
        ears = select.poll()
        ears.register(self._channel, select.POLLIN)
        ears.register(library.socket, select.POLLIN)
        while True:
            ears.poll(_BUSY_TURN_MS if self._sessions else _IDLE_TURN_MS)
            library.handle(0)
            self._obey()
            now_s = time.monotonic()
            for number, session in list(self._sessions.items()):
                self._tick(session, now_s)
                if session.done:
                    del self._sessions[number]
                    next_beat_s = now_s  # there is room for another call
            self._carry_out_the_will()
            if now_s >= next_beat_s:
                next_beat_s = now_s + (_BUSY_BEAT_S if self._sessions else _IDLE_BEAT_S)
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
            self._give_up(session, "tick", error)

    def _give_up(self, session: Session, where: str, error: Exception) -> None:
        session.fault(where, error)
        try:
            session.hang_up()
        except Exception as second:  # noqa: BLE001 - as above
            session.fault(f"{where}, hang-up", second)

    def _obey(self) -> None:
        while True:
            try:
                received = protocol.receive(self._channel)
            except BlockingIOError:
                return
            except OSError:
                received = None
            if received is None:
                self._is_orphan |= self._stopping_since_s is None
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
            elif isinstance(message, protocol.Transfer):
                session.transfer(message)
            elif isinstance(message, protocol.Join):
                session.join(message, self._sessions.get(message.other))
        except Exception as error:  # noqa: BLE001 - one call's trouble must not end the others
            self._give_up(session, type(message).__name__.lower(), error)

    def _begin_stop(self) -> None:
        if self._stopping_since_s is not None:
            return
        self._stopping_since_s = time.monotonic()
        for session in self._sessions.values():
            session.hang_up()

    def _carry_out_the_will(self) -> None:
        """End the calls for both parties, once, if the service was killed: the edge was in it."""
        if self._is_orphan and self._will is not None:
            fd, self._will = self._will, None
            will.execute(fd)

    def _tear_down(self, endpoint: accounts.Switch) -> None:
        """Let go of everything in the order that the library needs."""
        self._sessions.clear()
        if self._silence is not None:
            pj.AudioMediaPlayer.__swig_destroy__(self._silence)
            self._silence = None
        self._studio = None
        library, self._library = self._library, None
        if library is not None:
            library.close()
        else:
            endpoint.libDestroy()


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
