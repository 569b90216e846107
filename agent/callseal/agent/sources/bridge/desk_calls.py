"""The calls of one desk: who is let in and how, what the child is told, and what is recorded of each.

The edge asks about every INVITE (`admit`), the child then tells of it (`invited`) and waits for its route.
What touches the recorder runs in order on the thread that `attach` is given.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final, Literal, TypeVar

import structlog

from callseal.agent.announcement import Programme
from callseal.agent.call import Answered, Call, Ending, EndReason, Recorder, Side
from callseal.agent.errors import AgentError, SourceError
from callseal.agent.sip.proxying import Reply
from callseal.agent.sources.bridge import protocol
from callseal.agent.sources.bridge.edge.facts import Facts
from callseal.agent.sources.bridge.edge.gate import Admission
from callseal.agent.sources.bridge.edge.refer import Referred
from callseal.agent.sources.bridge.line import Line, wall_clock
from callseal.agent.sources.bridge.reports import CHALLENGED, tell
from callseal.agent.sources.bridge.routing import Desk, Plan, party, plan
from callseal.seal.errors import SealError

MAX_LEGS: Final = 4
"""What the library allows."""
ADMITTED_S: Final = 5.0
"""How long an INVITE that was let in may take to reach the child."""
REACHES_S: Final = 1.0
"""How long room is kept for it: it takes some milliseconds, and what the child can't read it passes over."""
STARTING_S: Final = 5.0
"""A child listens within a second or two. INVITEs do not wait for one that takes longer."""
RETRY_AFTER_S: Final = 2
_SERVICE_UNAVAILABLE: Final = 503
_BUSY_HERE: Final = 486
"""For a call too many. With 503 a telephone would try its second server, and the call would go unrecorded."""
_FAILED: Final = 300

Outcome = TypeVar("Outcome")
log = structlog.get_logger("callseal.bridge")


class Bridge(Enum):
    """How the child is."""

    STARTING = "starting"
    """It will take calls within moments: they wait."""
    UP = "up"
    FAILING = "failing"
    """It has died too often: calls do not wait for it."""
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Whether the spool has room for another call, and what to do when it has not."""

    why_not: Callable[[], str | None]
    """The code that says why no recording can be kept now, None where one can."""
    on_full: str
    """"refuse-call" or "pass"."""
    alarm: Callable[[str, str], None]
    """Takes a code and words."""
    clear: Callable[[str], None]
    """Takes the code of an alarm that is over."""


@dataclass(slots=True)
class _Passed:
    """A call that goes past the bridge."""

    call: Call
    reason: str
    since: datetime


class DeskCalls:
    """What goes on at a desk."""

    def __init__(
        self,
        *,
        desk: Desk,
        programmes: Mapping[str, Programme],
        room: Room,
        rate_hz: int,
        max_calls: int,
        when_down: Literal["refuse", "pass"],
        now: Callable[[], datetime],
    ) -> None:
        """Announcements are ready to play, by the key that `routing.announcement_key` gives."""
        self._bridge = Bridge.STARTING
        self._starting_s = time.monotonic()
        self._desk = desk
        self._numbering = desk.numbering
        self._programmes = programmes
        self._room = room
        self._rate_hz = rate_hz
        self._max_calls = max_calls
        self._when_down = when_down
        self._now = now
        self._post: Callable[[protocol.Command], None] = lambda _command: None
        self._expect_transfer: Callable[[Referred], None] = lambda _referred: None
        self._worker: Executor | None = None
        self._recorder: Recorder | None = None
        self._admitted: dict[str, tuple[Facts, float]] = {}
        self._declined: dict[str, tuple[Facts, float]] = {}
        self._lines: dict[int, Line] = {}
        self._facts: dict[int, Facts] = {}
        self._numbers: dict[str, int] = {}
        self._passed: dict[str, _Passed] = {}
        self._transferring: set[int] = set()
        self._leaving: set[int] = set()
        self.held = 0
        """How many calls the child holds legs for; a leg may outlast its call."""
        self.idle = asyncio.Event()
        """Set while no call runs, through the bridge or past it."""
        self.idle.set()

    def attach(
        self,
        worker: Executor,
        recorder: Recorder,
        post: Callable[[protocol.Command], None],
        expect_transfer: Callable[[Referred], None],
    ) -> None:
        """Say where recordings go, how the child is told something, and who else hears of transfers."""
        self._worker, self._recorder = worker, recorder
        self._post, self._expect_transfer = post, expect_transfer

    @property
    def bridge(self) -> Bridge:
        """How the child is."""
        return self._bridge

    @bridge.setter
    def bridge(self, bridge: Bridge) -> None:
        if bridge is Bridge.STARTING and self._bridge is not bridge:
            self._starting_s = time.monotonic()
        self._bridge = bridge

    @property
    def running(self) -> int:
        """How many calls go through the bridge."""
        return len(self._lines)

    @property
    def passing(self) -> int:
        """How many calls go past it."""
        return len(self._passed)

    # --- what the edge asks ---------------------------------------------------------------------------

    def admit(self, side: Literal["phone", "pbx"], user: str, facts: Facts) -> Admission:
        """Say which way an INVITE goes."""
        helps = side == "phone" and self._numbering.is_emergency(self._numbering.normalise(user))
        if self._starts_soon and not helps:
            return Admission(way="wait")
        if self.bridge is Bridge.UP and self._has_room():
            self._admitted[facts.token] = (facts, time.monotonic())
            self._room.clear("over-capacity")
            return Admission(way="line")
        if helps:
            return Admission(way="pass", reason="emergency")
        if self.bridge is Bridge.STOPPING:
            return self._turned_away(facts, "bridge-stopping")
        reason = "over-capacity" if self.bridge is Bridge.UP else "bridge-down"
        self._room.alarm(reason, "calls come that can't be recorded")
        if self._when_down == "pass":
            return Admission(way="pass", reason=reason)
        return self._turned_away(
            facts, reason, _BUSY_HERE if reason == "over-capacity" else _SERVICE_UNAVAILABLE
        )

    def declined(self, token: str, status: int) -> None:
        """Give the room back that was kept for an INVITE: the child did not like it, or its caller gave up.

        The child's word that it had come, or that it is over, may still be on its way, and is waited for. A
        telephone that was asked for its password calls again within milliseconds.
        """
        number = self._numbers.get(token, 0)
        line = self._lines.get(number)
        if line is not None and not line.is_answered:  # else it was a re-INVITE that was refused
            self._leaving.add(number)
        admitted = self._admitted.pop(token, None)
        if admitted is not None:
            log.info("bridge.declined", status=status)
            self._declined[token] = admitted

    def passed(self, facts: Facts, reason: str) -> None:
        """Note that a call goes past the bridge."""
        planned = plan(0, facts, self._desk, self._now())
        if planned.call is not None:
            log.warning("bridge.passed", reason=reason)
            self._passed[facts.token] = _Passed(planned.call, reason, self._now())
            self.idle.clear()

    def passed_answered(self, token: str) -> None:
        """Note that such a call was taken."""
        passed = self._passed.get(token)
        if passed is not None:
            passed.since = self._now()

    def passed_ended(self, token: str, *, answered: bool, status: int, by: Side | None) -> None:
        """Leave the trace of such a call, which is over."""
        passed = self._passed.pop(token, None)
        self._look_whether_idle()
        if passed is None or (status in CHALLENGED and not answered):
            return  # the latter is no call yet: the telephone system asks who calls
        ending = Ending.HANGUP if answered else _ending_of(status)
        end = EndReason(
            ending=ending, at=self._now(), by=by, sip_code=status or None, reasons=(passed.reason,)
        )
        events = [Answered(at=passed.since, position_samples=0)] if answered else []
        self._exempt(passed.call, end, events)

    def referred(self, referred: Referred) -> Reply:
        """Begin a transfer, or say why not."""
        number = self._numbers.get(referred.token)
        line = self._lines.get(number or 0)
        if number is None or line is None:
            return Reply(status=481, reason="Call/Transaction Does Not Exist")
        if number in self._transferring:
            return Reply(status=491, reason="Request Pending")
        if referred.replaces_token is not None:
            return self._join(number, referred)
        if 2 * max(len(self._lines), self.held) >= MAX_LEGS:
            return Reply(status=503, reason="No Line Free For A Transfer")
        facts = self._facts[number]
        side: Side = "agent" if referred.side == "phone" else "customer"
        self._transferring.add(number)
        self._expect_transfer(referred)
        self._submit(line.transferring, party(referred.target_uri, self._numbering), side)
        self._post(
            protocol.Transfer(
                call=number,
                token=referred.token,
                side=side,
                target=referred.target_uri,
                from_uri=facts.from_address if facts.side == "phone" else facts.to_address,
                refer_id=referred.refer_id,
            )
        )
        return Reply(status=202, reason="Accepted")

    def party_changed(self, token: str, address: str) -> None:
        """Note whom the telephone system says that the customer is now."""
        line = self._lines.get(self._numbers.get(token, 0))
        if line is not None and self._recorder is not None:
            who = party(address, self._numbering)
            self._submit(line.parties_changed, time.monotonic(), "customer", who, self._recorder)

    # --- what the child says --------------------------------------------------------------------------

    def invited(self, invited: protocol.Invited) -> None:
        """Decide about a call that has reached the child."""
        token = invited.token
        admitted = self._admitted.pop(token, None) or self._declined.pop(token, None)
        if admitted is None:
            log.warning("bridge.refused", reason="an INVITE that did not come by the edge")
            self._post(protocol.Refuse(call=invited.call, code=_SERVICE_UNAVAILABLE))
            return
        facts, _ = admitted
        planned = plan(invited.call, facts, self._desk, self._now())
        call = planned.call
        if call is None:
            self._post(planned.command)
            return
        reason = ""
        if planned.recorded and (no_room := self._room.why_not()) is not None:
            self._room.alarm(no_room, "the spool takes no recording: calls are not recorded")
            reason = no_room
            planned = planned.unrecorded(reason)
        command = planned.command
        if reason and self._room.on_full == "refuse-call":
            command = protocol.Refuse(call=invited.call, code=_SERVICE_UNAVAILABLE)
        if isinstance(command, protocol.Refuse):
            self._leave_trace(call, command.code, reason or "refused-no-phone")
        else:
            self._follow(invited.call, facts, planned)
        self._post(command)

    def told(self, report: protocol.CallReport, fds: list[int]) -> None:
        """Take what the child says of a call."""
        line = self._lines.get(report.call)
        if line is None:
            for fd in fds:
                os.close(fd)
            return
        if isinstance(report, protocol.Ended):
            self._forget(report.call)
        elif isinstance(report, protocol.Transferred | protocol.TransferFailed):
            self._transferring.discard(report.call)
        if self._recorder is not None:
            # The worker takes one after the other: what comes later in the call is handled later.
            self._submit(tell, line, report, fds, self._recorder)

    def pump(self) -> "list[Future[None]]":
        """Have the taps emptied; gives what to wait for before the next time."""
        if self._recorder is None:
            return []
        return [self._submit(line.pump, self._recorder) for line in self._lines.values()]

    def lose(self) -> None:
        """Save what there is of all calls: the child is gone."""
        self.held = 0
        for facts, _ in self._admitted.values():
            planned = plan(0, facts, self._desk, self._now())
            if planned.call is not None:
                self._leave_trace(planned.call, _SERVICE_UNAVAILABLE, "bridge-died", Ending.SOURCE_DIED)
        self._admitted.clear()
        for number, line in list(self._lines.items()):
            self._forget(number)
            if self._recorder is not None:
                self._submit(line.lost, self._now(), self._recorder)

    # --- inside ---------------------------------------------------------------------------------------

    @property
    def _starts_soon(self) -> bool:
        return self._bridge is Bridge.STARTING and time.monotonic() - self._starting_s <= STARTING_S

    def _has_room(self) -> bool:
        now_s = time.monotonic()
        for table in (self._admitted, self._declined):
            for token, (_, since_s) in list(table.items()):
                if now_s - since_s > ADMITTED_S:
                    del table[token]
        coming = sum(now_s - since_s < REACHES_S for _, since_s in self._admitted.values())
        lines, leaving = len(self._lines), len(self._leaving)
        calls = lines - leaving + coming
        held = max(lines, self.held) - leaving + coming
        return calls < self._max_calls and 2 * (held + 1) + len(self._transferring) <= MAX_LEGS

    def _turned_away(self, facts: Facts, reason: str, status: int = _SERVICE_UNAVAILABLE) -> Admission:
        planned = plan(0, facts, self._desk, self._now())
        if planned.call is not None:
            self._leave_trace(planned.call, status, reason)
        retry_after_s = RETRY_AFTER_S if status == _SERVICE_UNAVAILABLE else None
        return Admission(way="refuse", status=status, reason=reason, retry_after_s=retry_after_s)

    def _follow(self, number: int, facts: Facts, planned: Plan) -> None:
        wall = wall_clock(self._now(), time.monotonic())
        programme = self._programmes.get(planned.announcement)
        self._lines[number] = Line(planned, programme, self._rate_hz, wall)
        self._facts[number] = facts
        self._numbers[facts.token] = number
        self.idle.clear()

    def _forget(self, number: int) -> None:
        del self._lines[number]
        facts = self._facts.pop(number, None)
        if facts is not None:
            self._numbers.pop(facts.token, None)
        self._transferring.discard(number)
        self._leaving.discard(number)
        self.held = max(len(self._lines), self.held - 1)
        self._look_whether_idle()

    def _look_whether_idle(self) -> None:
        if not self._lines and not self._passed:
            self.idle.set()

    def _join(self, number: int, referred: Referred) -> Reply:
        """Begin to connect two calls of ours with one another."""
        other = self._numbers.get(referred.replaces_token or "")
        if other is None or other == number or referred.side != "phone":
            return Reply(status=481, reason="Call/Transaction Does Not Exist")
        if not (self._lines[number].is_answered and self._lines[other].is_answered):
            return Reply(status=480, reason="The Other Call Is Not Answered Yet")
        successor = self._facts[other]
        address = successor.to_address if successor.side == "phone" else successor.from_address
        self._submit(self._lines[number].transferring, party(address, self._numbering), "agent")
        self._transferring.add(number)
        self._post(protocol.Join(call=number, other=other, refer_id=referred.refer_id))
        return Reply(status=202, reason="Accepted")

    def _leave_trace(self, call: Call, code: int, reason: str, ending: Ending = Ending.REFUSED_BY_US) -> None:
        end = EndReason(ending=ending, at=self._now(), sip_code=code, reasons=(reason,))
        self._exempt(call, end, [])

    def _exempt(self, call: Call, end: EndReason, events: list[Answered]) -> None:
        if self._recorder is not None:
            self._submit(self._recorder.exempt, call, end, events)

    def _submit(self, work: Callable[..., Outcome], *what: object) -> "Future[Outcome]":
        if self._worker is None:
            raise SourceError("the desk's calls have nowhere to be recorded yet")
        future = self._worker.submit(work, *what)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: "Future[Outcome]") -> None:
        error = future.exception()
        if error is not None:
            log.error("bridge.record.failed", error=type(error).__name__, detail=_words(error))
            self._room.alarm("record-failed", f"a call could not be recorded: {_words(error)}")


def _ending_of(status: int) -> Ending:
    if status in (486, 600):
        return Ending.BUSY
    if status in (0, 487):
        return Ending.CANCELLED
    if status in (408, 480):
        return Ending.NO_ANSWER
    return Ending.REJECTED if status >= _FAILED else Ending.CANCELLED


def _words(error: BaseException) -> str:
    """Say what an error says, if it is one of ours; another's words may hold a customer's number."""
    return str(error) if isinstance(error, AgentError | SealError) else type(error).__name__
