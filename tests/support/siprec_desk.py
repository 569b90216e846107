"""The recording server's sessions without sockets and disk: a gateway on paper, an engine that obeys.

The SIP side is the real endpoint, with the time that a test says. The engine notes what it is asked, and
refuses what it is told to refuse.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import ParamSpec
from uuid import UUID

from callseal.agent.call import Call, EndReason, Event
from callseal.agent.errors import SourceError
from callseal.agent.media.plans import RecordingPlan, Reservation, StreamPlan
from callseal.agent.numbering import Numbering
from callseal.agent.sdp.policy import AnswerPolicy
from callseal.agent.sip.events import DialogId
from callseal.agent.sip.headers import Fields
from callseal.agent.sip.message import Response
from callseal.agent.sources.siprec.arrangement import MoreParties
from callseal.agent.sources.siprec.describing import House
from callseal.agent.sources.siprec.notes import Notes
from callseal.agent.sources.siprec.sessions import Sessions
from callseal.agent.tagging import Tagging
from support.settings_text import LEAST, settings_of
from support.sip_caller import SipCaller

P = ParamSpec("P")

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def in_a_loop(test: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    """Run a test's coroutine to its end."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


@dataclass
class Booking:
    """A call, as the engine knows it."""

    ports: list[int]
    recordings: list[UUID] = field(default_factory=list)
    owners: dict[int, UUID] = field(default_factory=dict)


@dataclass
class PaperEngine:
    """Keeps the engine's contract; `refuses` has the errors that methods raise from now on."""

    refuses: dict[str, Exception] = field(default_factory=dict)
    bookings: dict[int, Booking] = field(default_factory=dict)
    opened: dict[UUID, RecordingPlan] = field(default_factory=dict)
    streams: dict[UUID, tuple[StreamPlan, ...]] = field(default_factory=dict)
    """What each recording takes now."""
    events: dict[UUID, list[Event]] = field(default_factory=dict)
    ended: dict[UUID, EndReason] = field(default_factory=dict)
    discarded: dict[UUID, EndReason] = field(default_factory=dict)
    traces: list[tuple[Call, EndReason]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    before_open: Callable[[], Awaitable[None]] | None = None
    _numbers: int = 0

    def _take(self, method: str) -> None:
        self.asked[method] += 1
        if method in self.refuses:
            raise self.refuses[method]

    def _bind(self, streams: int) -> list[int]:
        first = 20_000 + 2 * sum(len(one.ports) for one in self.bookings.values()) + 200 * self._numbers
        return [first + 2 * index for index in range(streams)]

    def _booking(self, reservation: int) -> Booking:
        if reservation not in self.bookings:
            raise SourceError(f"there is no reservation {reservation}")
        return self.bookings[reservation]

    def _claim(self, booking: Booking, recording: UUID, streams: tuple[StreamPlan, ...]) -> None:
        for stream in streams:
            if booking.owners.get(stream.port, recording) != recording:
                raise SourceError(f"port {stream.port} belongs to another recording of this call")
        booking.owners.update((stream.port, recording) for stream in streams)

    async def reserve(self, streams: int) -> Reservation:
        self._take("reserve")
        self._numbers += 1
        self.bookings[self._numbers] = Booking(ports=self._bind(streams))
        return Reservation(id=self._numbers, ports=tuple(self.bookings[self._numbers].ports))

    async def add_ports(self, reservation: int, streams: int) -> Reservation:
        self._take("add_ports")
        booking = self._booking(reservation)
        ports = self._bind(streams)
        booking.ports += ports
        return Reservation(id=reservation, ports=tuple(ports))

    async def release(self, reservation: int) -> None:
        self._take("release")
        if self._booking(reservation).recordings:
            raise SourceError(f"reservation {reservation} has recordings: it is closed, not released")
        del self.bookings[reservation]

    async def open(self, reservation: int, plans: tuple[RecordingPlan, ...]) -> tuple[UUID, ...]:
        if self.before_open is not None:
            await self.before_open()
        self._take("open")
        booking = self._booking(reservation)
        fresh = []
        for plan in plans:
            recording = UUID(int=len(self.opened) + 1)
            self._claim(booking, recording, plan.streams)
            self.opened[recording], self.streams[recording] = plan, plan.streams
            self.events[recording] = []
            booking.recordings.append(recording)
            fresh.append(recording)
        return tuple(fresh)

    async def change(self, recording: UUID, streams: tuple[StreamPlan, ...]) -> None:
        self._take("change")
        booking = next(one for one in self.bookings.values() if recording in one.recordings)
        self._claim(booking, recording, streams)
        self.streams[recording] = streams

    async def note(self, recording: UUID, event: Event) -> None:
        self._take("note")
        if all(recording not in one.recordings for one in self.bookings.values()):
            raise SourceError(f"recording {recording} does not run")
        self.events[recording].append(event)

    async def close(self, reservation: int, end: EndReason) -> None:
        self._take("close")
        for recording in self._booking(reservation).recordings:
            self.ended[recording] = end
        del self.bookings[reservation]

    async def discard(self, reservation: int, end: EndReason) -> None:
        self._take("discard")
        booking = self._booking(reservation)
        self.discarded.update(dict.fromkeys(booking.recordings, end))
        booking.recordings, booking.owners = [], {}

    async def trace(self, call: Call, end: EndReason) -> UUID:
        self._take("trace")
        self.traces.append((call, end))
        return UUID(int=1 << 64)

    def plan_of(self, recording: UUID) -> dict[str, tuple[int, ...]]:
        """Give the channels of a recording's streams by their labels."""
        return {stream.label: stream.channels for stream in self.streams[recording]}


class SiprecDesk:
    """Sessions, and what they stand between."""

    def __init__(self, folder: Path, *, more_parties: MoreParties, rules: str, max_calls: int) -> None:
        settings = settings_of(LEAST + rules)
        numbering = Numbering(region="CN", outside_prefix="", emergency=("110",))
        self.engine = PaperEngine()
        self.bugs: list[BaseException] = []
        self.hung_up: list[tuple[DialogId, str]] = []
        self.now = NOON
        self.caller = SipCaller()
        self.sessions = Sessions(
            house=House(
                numbering=numbering,
                tagging=Tagging.of(settings, numbering),
                inside=(),
                policy=AnswerPolicy(max_streams=32),
                more_parties=more_parties,
                max_calls=max_calls,
                media_address=lambda reached: reached,
            ),
            sip=self,
            engine=self.engine,
            notes=Notes(folder / "siprec", random=bytes, now_s=0.0),
            why_not=lambda: None,
            now=lambda: self.now,
            random=bytes,
            bug=self.bugs.append,
        )

    # --- what answers ---------------------------------------------------------------------------------

    def accept(
        self, transaction: int, *, body: bytes = b"", content_type: str = "", headers: Fields = ()
    ) -> bool:
        return self.caller.endpoint.accept(
            transaction, body=body, content_type=content_type, headers=headers, now_s=self.caller.now_s
        )

    def reject(self, transaction: int, status: int, reason: str, *, headers: Fields = ()) -> bool:
        return self.caller.endpoint.reject(
            transaction, status, reason, headers=headers, now_s=self.caller.now_s
        )

    def hang_up(self, dialog: DialogId, *, reason: str = "") -> None:
        self.hung_up.append((dialog, reason))
        self.caller.endpoint.hang_up(dialog, self.caller.now_s, reason=reason)

    # --- what a gateway does --------------------------------------------------------------------------

    def other(self, call_id: str) -> SipCaller:
        """Make another dialog of the same gateway."""
        return SipCaller(self.caller.endpoint, call_id=call_id)

    def hand_over(self, caller: SipCaller) -> None:
        """Tell the sessions what the endpoint tells."""
        for event in caller.take_events():
            self.sessions.take(event)

    async def ask(
        self,
        method: str,
        body: tuple[str, str] | None = None,
        *,
        caller: SipCaller | None = None,
        headers: str = "Require: siprec",
    ) -> int:
        """Send a request, wait until all is done about it, and give the final answer's status."""
        caller = caller or self.caller
        text, line = body or ("", "")
        content_type = line.removeprefix("Content-Type: ").strip()
        heard = caller.send(method, body=text.encode(), content_type=content_type, headers=headers)
        self.hand_over(caller)
        await self.settled()
        heard += caller.heard()
        finals = [one for one in heard if isinstance(one, Response) and one.status >= 200]
        if not finals:
            return 0
        if method == "INVITE":
            caller.to_tag = finals[-1].headers.to_tag
            if finals[-1].status < 300:
                await self.acknowledge(caller)
        return finals[-1].status

    async def acknowledge(self, caller: SipCaller | None = None, body: str = "") -> None:
        """Confirm the answer to the last INVITE."""
        caller = caller or self.caller
        caller.send("ACK", cseq=caller.cseq, body=body.encode(), headers="Require: siprec")
        self.hand_over(caller)
        await self.settled()

    async def settled(self) -> None:
        """Let everything be done that waits for nothing but its turn; short threads among it."""
        for _ in range(60):
            await asyncio.sleep(0.001)

    def pass_time(self, seconds: float) -> None:
        """Let the wall clock go on."""
        self.now += timedelta(seconds=seconds)


@contextmanager
def siprec_desk(
    folder: Path,
    *,
    more_parties: MoreParties = "mix",
    rules: str = "",
    max_calls: int = 10,
    bugs: tuple[type[Exception], ...] = (),
) -> Iterator[SiprecDesk]:
    """Give a desk, and see that nothing of ours went wrong at it but `bugs`."""
    desk = SiprecDesk(folder, more_parties=more_parties, rules=rules, max_calls=max_calls)
    yield desk
    assert [type(bug) for bug in desk.bugs] == list(bugs)
