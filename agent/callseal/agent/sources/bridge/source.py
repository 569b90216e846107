"""The bridge's service side: starts the child, decides about each INVITE, feeds the recorder.

Two rhythms: the event loop answers the child at once; everything that may touch a disk (taps, recorder)
runs in order on one thread of its own, so that a slow disk delays no telephone.
"""

import asyncio
import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import structlog

from callseal.agent.announcement import Programme
from callseal.agent.call import Call, Ending, EndReason, Readiness, Recorder
from callseal.agent.errors import AgentError, ProtocolError, SourceError, SourceMissing
from callseal.agent.numbering import Numbering
from callseal.agent.sources.bridge import memwav, protocol
from callseal.agent.sources.bridge.line import Line, wall_clock
from callseal.agent.sources.bridge.routing import Desk, plan
from callseal.agent.sources.bridge.scratch import scratch
from callseal.agent.tagging import Tagging
from callseal.seal.errors import SealError

RATE_HZ: Final = 8000
PUMP_S: Final = 0.1
"""How often the taps are emptied; the library writes them in blocks of a quarter second as it is."""
START_TIMEOUT_S: Final = 10.0
START_ATTEMPTS: Final = 3
START_AGAIN_S: Final = 2.0
"""After an agent was killed, its child still holds the port while it ends its calls (2 s at most)."""
BEAT_TIMEOUT_S: Final = 5.0
_STOP_TIMEOUT_S: Final = 5.0
_SERVICE_UNAVAILABLE: Final = 503

log = structlog.get_logger("callseal.bridge")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where the bridge listens and which ports its sound takes."""

    host: str
    port: int
    rtp_port: int
    rtp_ports: int
    max_calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Whether the spool has room for another call, and what to do when it has not."""

    why_not: Callable[[], str | None]
    """The code that says why no recording can be kept now, None where one can."""
    on_full: str
    """"refuse-call" or "pass"."""
    alarm: Callable[[str, str], None]
    """Takes a code and words."""


def missing() -> str:
    """Say in words what keeps the bridge from running on this machine; empty when nothing does."""
    if sys.platform != "linux":
        return "the desk bridge runs on Linux only"
    if importlib.util.find_spec("pjsua2") is None:
        return (
            "the desk bridge needs pjsua2, which is not installed "
            "(pip install 'callseal[bridge]'; its wheels end at Python 3.12)"
        )
    return ""


class BridgeSource:
    """Desk calls, bridged through this machine."""

    name = "bridge"

    def __init__(
        self,
        *,
        listen: Listen,
        desk: Desk,
        numbering: Numbering,
        tagging: Tagging,
        programmes: Mapping[str, Programme],
        room: Room,
        now: Callable[[], datetime],
    ) -> None:
        """Announcements are ready to play, by the key that `routing.announcement_key` gives."""
        self._listen = listen
        self._desk = desk
        self._numbering = numbering
        self._tagging = tagging
        self._programmes = programmes
        self._room = room
        self._now = now
        self._child: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._lines: dict[int, Line] = {}
        self._ready = False
        self._draining = False
        self._beat_s = 0.0
        self._idle = asyncio.Event()
        self._drained = asyncio.Event()

    @property
    def child_pid(self) -> int | None:
        """The child's process id, while there is one."""
        return None if self._child is None else self._child.pid

    def readiness(self) -> Readiness:
        """Say whether a call would be taken right now."""
        reasons = []
        if self._draining:
            reasons.append("bridge-stopping")
        elif not self._ready:
            reasons.append("bridge-starting")
        elif time.monotonic() - self._beat_s > BEAT_TIMEOUT_S:
            reasons.append("bridge-silent")
        no_room = self._room.why_not()
        if no_room is not None:
            reasons.append(no_room)
        return Readiness(ready=not reasons, why_not=tuple(reasons))

    def counters(self) -> Mapping[str, int]:
        """Give what is counted, for the status."""
        return {"bridge_calls": len(self._lines)}

    async def run(self, recorder: Recorder) -> None:
        """Take calls until drained."""
        what = missing()
        if what:
            raise SourceMissing(what)
        worker = ThreadPoolExecutor(1, thread_name_prefix="recorder")
        pump = asyncio.create_task(self._pump(worker, recorder))
        try:
            for attempt in range(1, START_ATTEMPTS + 1):
                try:
                    with scratch() as folder:
                        await self._follow(self._start_child(folder), worker, recorder)
                    break
                except SourceError as error:
                    if self._ready or self._draining or attempt == START_ATTEMPTS:
                        raise
                    log.warning("bridge.start.again", attempt=attempt, detail=str(error))
                self._stop_child()
                await asyncio.sleep(START_AGAIN_S)
                if self._draining:
                    break
        finally:
            self._ready = False
            pump.cancel()
            await self._close_lines(worker, recorder)
            worker.shutdown()
            self._stop_child()
            self._idle.set()
            self._drained.set()
        if not self._draining:
            code = None if self._child is None else self._child.returncode
            raise SourceError(f"the bridge's child process ended by itself (status {code})")

    async def drain(self, limit_s: float) -> None:
        """Take no new calls, let the running ones finish, end what still runs after `limit_s`."""
        self._draining = True
        if not self._lines:
            self._idle.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), limit_s)
        self._send(protocol.Stop())
        await self._drained.wait()

    # --- the child ----------------------------------------------------------------------------------

    def _start_child(self, scratch: Path) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "callseal.agent.sources.bridge.child", str(theirs.fileno())]
        with theirs:
            # A session of its own: what is typed at the terminal is the service's to answer.
            self._child = subprocess.Popen(  # noqa: S603 - a fixed command
                command,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        ours.setblocking(False)
        self._channel = ours
        names, fds = [], []
        try:
            for name, programme in self._programmes.items():
                fd = memwav.create("announcement")
                fds.append(fd)
                names.append(name)
                memwav.fill(fd, programme.samples, RATE_HZ)
            start = protocol.Start(
                host=self._listen.host,
                port=self._listen.port,
                rtp_port=self._listen.rtp_port,
                rtp_ports=self._listen.rtp_ports,
                max_calls=self._listen.max_calls,
                announcements=names,
                scratch=str(scratch),
            )
            protocol.send(ours, start, tuple(fds))
        finally:
            for fd in fds:
                os.close(fd)
        return ours

    def _stop_child(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        child = self._child
        if child is None:
            return
        try:
            child.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            log.warning("bridge.child.killed", reason="it did not leave when told to")
            child.kill()
            child.wait()

    def _send(self, message: protocol.Command) -> None:
        if self._channel is None:
            return
        try:
            protocol.send(self._channel, message)
        except OSError as error:
            log.warning("bridge.child.deaf", error=type(error).__name__)

    async def _follow(self, channel: socket.socket, worker: ThreadPoolExecutor, recorder: Recorder) -> None:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(channel, readable.set)
        started_s = time.monotonic()
        try:
            while True:
                try:
                    received = protocol.receive(channel)
                except BlockingIOError:
                    readable.clear()
                    timeout_s = START_TIMEOUT_S if not self._ready else BEAT_TIMEOUT_S
                    try:
                        await asyncio.wait_for(readable.wait(), timeout_s)
                    except TimeoutError:
                        if readable.is_set():
                            continue  # it was this process that stood still
                        silent_s = time.monotonic() - max(self._beat_s, started_s)
                        raise SourceError(
                            f"the bridge's child process has not answered for {silent_s:.0f} s"
                        ) from None
                    continue
                except ConnectionError:
                    return
                if received is None:
                    return
                report, fds = received
                self._report(report, fds, worker, recorder)
        finally:
            loop.remove_reader(channel)

    def _report(
        self, report: protocol.Message, fds: list[int], worker: ThreadPoolExecutor, recorder: Recorder
    ) -> None:
        if not isinstance(report, protocol.Tapped):
            for fd in fds:
                os.close(fd)
            fds = []
        if isinstance(report, protocol.Ready):
            self._ready = True
            self._beat_s = time.monotonic()
            log.info("bridge.listening", host=self._listen.host, port=self._listen.port)
        elif isinstance(report, protocol.Beat):
            self._beat_s = report.at_s
        elif isinstance(report, protocol.Fault):
            log.warning("bridge.fault", where=report.where, detail=report.detail)
            if report.where == "start":
                raise SourceError(
                    f"the bridge cannot listen on {self._listen.host}:{self._listen.port}: {report.detail}"
                )
        elif isinstance(report, protocol.Invited):
            self._invited(report, worker, recorder)
        elif isinstance(report, protocol.Command):
            raise ProtocolError(f"the bridge's child sent a {type(report).__name__}")
        else:
            self._report_of_call(report, fds, worker, recorder)

    def _report_of_call(
        self, report: protocol.CallReport, fds: list[int], worker: ThreadPoolExecutor, recorder: Recorder
    ) -> None:
        line = self._lines.get(report.call)
        if line is None:
            for fd in fds:
                os.close(fd)
            return
        if isinstance(report, protocol.Ended):
            del self._lines[report.call]
            if self._draining and not self._lines:
                self._idle.set()
        # The worker takes one after the other: what comes later in the call is handled later.
        worker.submit(_tell, line, report, fds, recorder).add_done_callback(self._told)

    def _told(self, future: "Future[Outcome]") -> None:
        error = future.exception()
        if error is not None:
            log.error("bridge.record.failed", error=type(error).__name__, detail=_words(error))
            self._room.alarm("record-failed", f"a call could not be recorded: {_words(error)}")

    def _invited(self, invited: protocol.Invited, worker: ThreadPoolExecutor, recorder: Recorder) -> None:
        planned = plan(invited, self._desk, self._numbering, self._tagging, self._now())
        call = planned.call
        if call is None:
            code = planned.command.code if isinstance(planned.command, protocol.Refuse) else 0
            log.warning("bridge.refused", source=invited.source_host, code=code)
            self._send(planned.command)
            return
        reason = ""
        # A call for help is let through also while the agent is stopping.
        if self._draining and planned.exempt_reason != "emergency":
            reason = "bridge-stopping"
        elif planned.recorded and (no_room := self._room.why_not()) is not None:
            self._room.alarm(no_room, "the spool takes no recording: calls are not recorded")
            reason = no_room
            planned = planned.unrecorded(reason)
        command = planned.command
        if reason == "bridge-stopping" or (reason and self._room.on_full == "refuse-call"):
            command = protocol.Refuse(call=invited.call, code=_SERVICE_UNAVAILABLE)
        if isinstance(command, protocol.Refuse):
            self._leave_trace(call, command.code, reason or "refused-no-phone", worker, recorder)
        else:
            wall = wall_clock(self._now(), time.monotonic())
            programme = self._programmes.get(planned.announcement)
            self._lines[invited.call] = Line(planned, programme, RATE_HZ, wall)
        self._send(command)

    def _leave_trace(
        self, call: Call, code: int, reason: str, worker: ThreadPoolExecutor, recorder: Recorder
    ) -> None:
        end = EndReason(ending=Ending.REFUSED_BY_US, at=self._now(), sip_code=code, reasons=(reason,))
        worker.submit(recorder.exempt, call, end).add_done_callback(self._told)

    # --- the taps -----------------------------------------------------------------------------------

    async def _pump(self, worker: ThreadPoolExecutor, recorder: Recorder) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PUMP_S)
            for number, line in list(self._lines.items()):
                try:
                    await loop.run_in_executor(worker, line.pump, recorder)
                except Exception as error:  # noqa: BLE001 - the call goes on, recorded or not
                    log.error("bridge.pump.failed", call=number, error=type(error).__name__)  # noqa: TRY400
                    self._room.alarm("record-failed", f"a call could not be recorded: {_words(error)}")

    async def _close_lines(self, worker: ThreadPoolExecutor, recorder: Recorder) -> None:
        loop = asyncio.get_running_loop()
        for number, line in list(self._lines.items()):
            del self._lines[number]
            try:
                await loop.run_in_executor(worker, line.lost, self._now(), recorder)
            except Exception as error:  # noqa: BLE001 - the other calls are saved all the same
                log.error("bridge.save.failed", error=type(error).__name__)  # noqa: TRY400
                self._room.alarm("record-failed", f"a call could not be saved: {_words(error)}")


def _words(error: BaseException) -> str:
    """Say what an error says, if it is one of ours; another's words may hold a customer's number."""
    return str(error) if isinstance(error, AgentError | SealError) else type(error).__name__


def _tell(line: Line, report: protocol.Message, fds: list[int], recorder: Recorder) -> None:
    match report:
        case protocol.Tapped():
            line.tapped(report, fds)
        case protocol.Dialled():
            line.dialled(report)
        case protocol.Media():
            line.media(report, recorder)
        case protocol.Answered():
            line.answered(report, recorder)
        case protocol.Announcing():
            line.announcing(report)
        case protocol.Announced():
            line.announced(recorder)
        case protocol.AnnouncementFailed():
            line.announcement_failed(report, recorder)
        case protocol.Ended():
            line.ended(report, recorder)
        case _:
            raise ProtocolError(f"the bridge's child sent a {type(report).__name__} for a call")
