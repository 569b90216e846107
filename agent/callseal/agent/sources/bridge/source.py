"""The bridge's service side: the edge, the child and its supervision, and what is recorded of the calls.

Two rhythms: the event loop answers telephones and the child at once; everything that may touch a disk (taps,
recorder) runs in order on one thread of its own, so that a slow disk delays no telephone.

A child that dies, or that does not answer, takes its calls along: what was recorded of them is closed, the
edge ends them for both parties in the child's stead, and another child is started at once. INVITEs that come
meanwhile wait for it. Once there were many deaths the setting `when_down` decides about them.
"""

import asyncio
import contextlib
import importlib.util
import os
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import structlog

from callseal.agent.announcement import Programme
from callseal.agent.call import Readiness, Recorder
from callseal.agent.errors import ProtocolError, SourceError, SourceMissing
from callseal.agent.sources.bridge import protocol
from callseal.agent.sources.bridge.child_process import LEAVE_S, ChildProcess
from callseal.agent.sources.bridge.deaths import MANY, Deaths
from callseal.agent.sources.bridge.desk_calls import Bridge, DeskCalls, Room
from callseal.agent.sources.bridge.edge.server import Edge
from callseal.agent.sources.bridge.scratch import scratch

NARROWBAND_HZ: Final = 8000
WIDEBAND_HZ: Final = 16000
CHILD_HOST: Final = "127.0.0.1"
LAST_WORDS_S: Final = 2.0
PUMP_S: Final = 0.1
"""How often the taps are emptied; the library writes them in blocks of a quarter second as it is."""
LATE_S: Final = 2.0
"""A heartbeat comes every second; without one for so long the desk is not called ready."""

log = structlog.get_logger("callseal.bridge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """What the child is told about sound."""

    phone_media: str
    """The address for the telephone's sound: loopback."""
    rtp_port: int
    rtp_ports: int
    rate_hz: int
    phone_srtp: protocol.PhoneSrtp


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
        edge: Edge,
        calls: DeskCalls,
        sound: Sound,
        programmes: Mapping[str, Programme],
        max_calls: int,
        room: Room,
    ) -> None:
        """Take the parts, none of which runs yet; `edge` asks `calls`."""
        self._edge = edge
        self._calls = calls
        self._sound = sound
        self._programmes = programmes
        self._max_calls = max_calls
        self._room = room
        self._child: ChildProcess | None = None
        self._deaths = Deaths()
        self._is_up = False
        self._is_moving = False
        self._broken_announcements = False
        self._draining = asyncio.Event()
        self._drained = asyncio.Event()

    @property
    def child_pid(self) -> int | None:
        """The child's process id, while there is one."""
        return None if self._child is None else self._child.pid

    def readiness(self) -> Readiness:
        """Say whether a call would be taken and recorded right now."""
        reasons = []
        if self._draining.is_set():
            reasons.append("bridge-stopping")
        elif self._calls.bridge is Bridge.FAILING:
            reasons.append("bridge-failing")
        elif not self._is_up or self._child is None:
            reasons.append("bridge-starting")
        elif self._child.silent_s > LATE_S:
            reasons.append("bridge-silent")
        if self._broken_announcements:
            reasons.append("announcement-broken")
        reasons += self._edge.why_not()
        no_room = self._room.why_not()
        if no_room is not None:
            reasons.append(no_room)
        return Readiness(ready=not reasons, why_not=tuple(reasons))

    def counters(self) -> Mapping[str, int]:
        """Give what is counted, for the status."""
        return {
            "bridge_calls": self._calls.running,
            "bridge_calls_past_now": self._calls.passing,
            **self._edge.counters(),
        }

    async def run(self, recorder: Recorder) -> None:
        """Take calls until drained."""
        what = missing()
        if what:
            raise SourceMissing(what)
        worker = ThreadPoolExecutor(1, thread_name_prefix="recorder")
        self._calls.attach(worker, recorder, self._post, self._edge.expect_transfer)
        chores: list[asyncio.Task[None]] = []
        try:
            await self._edge.start()
            keeping = asyncio.create_task(self._keep_a_child())
            chores += [
                keeping,
                asyncio.create_task(self._pump()),
                asyncio.create_task(self._follow_moves()),
            ]
            stopping = asyncio.create_task(self._drained.wait())
            await asyncio.wait((stopping, *chores), return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if self._drained.is_set():
                # The child's last words are read to the end: how its calls were over stands in them.
                await asyncio.wait((keeping,), timeout=LAST_WORDS_S)
            for chore in chores:
                if chore.done():
                    chore.result()  # a fault of ours ends the agent, not silently one of its chores
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)
            self._calls.lose()
            await self._edge.stop()
            if self._child is not None:
                await self._child.end()
            await asyncio.to_thread(worker.shutdown)
            self._is_up = False

    async def drain(self, limit_s: float) -> None:
        """Take no new calls, let the running ones finish, end what still runs after `limit_s`."""
        self._draining.set()
        self._calls.bridge = Bridge.STOPPING
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._calls.idle.wait()
        if self._child is not None:
            self._child.send(protocol.Stop())
            await self._child.has_left(LEAVE_S)
        self._drained.set()

    # --- the child ------------------------------------------------------------------------------------

    async def _keep_a_child(self) -> None:
        """Have a child running, whatever becomes of it; without a telephone system it has nothing to do."""
        await self._edge.is_known.wait()
        while not self._draining.is_set():
            began_s = time.monotonic()
            detail = ""
            try:
                with scratch() as folder:
                    await self._follow(str(folder))
            except (SourceError, ProtocolError) as error:
                detail = str(error)
            except OSError as error:  # of the folder, or a descriptor: it may well succeed the next time
                detail = error.strerror or type(error).__name__
            if self._calls.bridge is Bridge.UP:
                self._calls.bridge = Bridge.STARTING  # from here on INVITEs are not sent to who is dead
            child, self._child = self._child, None
            was_up, self._is_up = self._is_up, False
            if child is not None:
                # What hangs is killed before its calls are ended: it may come to itself in the middle.
                await child.end(LEAVE_S if self._draining.is_set() else 0.0)
            self._calls.lose()
            self._edge.child_gone()
            if self._draining.is_set():
                return
            if self._is_moving:
                self._is_moving, self._calls.bridge = False, Bridge.STARTING
                continue
            now_s = time.monotonic()
            self._deaths.add(now_s)
            status = None if child is None else child.exit_status
            log.error("bridge.died", status=status, detail=detail, lived_s=round(now_s - began_s, 1))
            if self._deaths.are_many(now_s) or (not was_up and self._calls.bridge is Bridge.FAILING):
                self._calls.bridge = Bridge.FAILING
                self._room.alarm(
                    "bridge-failing", f"the call bridge died {MANY} times within a minute{_because(detail)}"
                )
                self._edge.go_on()
            else:
                self._calls.bridge = Bridge.STARTING
            await asyncio.sleep(self._deaths.pause_s(now_s))

    async def _follow_moves(self) -> None:
        """Start another child, between two calls, when this machine has got another address."""
        while True:
            await self._edge.has_moved.wait()
            self._edge.has_moved.clear()
            await self._calls.idle.wait()
            if self._child is not None and not self._draining.is_set():
                self._is_moving = True
                self._child.send(protocol.Stop())

    async def _follow(self, folder: str) -> None:
        names = list(self._programmes)
        start = protocol.Start(
            host=CHILD_HOST,
            edge=self._edge.line_address,
            phone_media=self._sound.phone_media,
            pbx_media=self._edge.pbx_media,
            rtp_port=self._sound.rtp_port,
            rtp_ports=self._sound.rtp_ports,
            max_calls=self._max_calls,
            rate_hz=self._sound.rate_hz,
            phone_srtp=self._sound.phone_srtp,
            announcements=names,
            scratch=folder,
        )
        self._child = child = ChildProcess.start(start, self._programmes, self._edge.will_fd)
        async with contextlib.aclosing(child.reports()) as reports:
            async for report, fds in reports:
                self._take(child, report, fds)

    def _take(self, child: ChildProcess, report: protocol.Message, fds: list[int]) -> None:
        if not isinstance(report, protocol.Tapped):
            for fd in fds:
                os.close(fd)
            fds = []
        if isinstance(report, protocol.Ready):
            child.is_up()
            self._begin(report)
        elif isinstance(report, protocol.Fault):
            self._note_fault(report)
        elif isinstance(report, protocol.Invited):
            self._calls.invited(report)
        elif isinstance(report, protocol.Command):
            raise ProtocolError(f"the bridge's child sent a {type(report).__name__}")
        elif isinstance(report, protocol.Beat):
            self._calls.held = report.calls
        else:
            self._calls.told(report, fds)

    def _begin(self, ready: protocol.Ready) -> None:
        """Let calls go through the child."""
        self._is_up = True
        self._broken_announcements = False
        log.info("bridge.listening", address=self._edge.phone_address)
        self._edge.child_is((CHILD_HOST, ready.port))
        if not self._draining.is_set():
            self._calls.bridge = Bridge.UP
            for alarm in ("bridge-failing", "bridge-down"):
                self._room.clear(alarm)
        self._edge.go_on()

    def _note_fault(self, fault: protocol.Fault) -> None:
        log.warning("bridge.fault", where=fault.where, detail=fault.detail)
        if fault.where == "announcement":
            self._broken_announcements = True
        elif fault.where == "start":
            raise SourceError(f"the bridge's child process does not start: {fault.detail}")

    def _post(self, command: protocol.Command) -> None:
        if self._child is not None:
            self._child.send(command)

    # --- the taps -------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        while True:
            await asyncio.sleep(PUMP_S)
            for emptied in self._calls.pump():
                with contextlib.suppress(Exception):  # told by whoever submitted it
                    await asyncio.wrap_future(emptied)


def _because(detail: str) -> str:
    return f": {detail}" if detail else ""
