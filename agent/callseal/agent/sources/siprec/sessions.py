"""The recording sessions that gateways have here: what SIP tells becomes recordings, and answers.

Shell: runs in the event loop, a task an event; what concerns one call waits in line, so that a re-INVITE that
comes right behind its INVITE finds it done. Nothing that a gateway says of a call makes this refuse it: what
can't be understood is noted, and the sound is recorded. Refused is only what can't be recorded at all.

Source: RFC 7866 sections 6 to 8; RFC 3264.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Coroutine
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import structlog

from callseal.agent.errors import SdpError, SourceError
from callseal.agent.media.plans import MediaEngine
from callseal.agent.sdp.origin import OwnSession
from callseal.agent.sdp.parsing import parse_session
from callseal.agent.sdp.policy import recordable
from callseal.agent.sdp.session import Session as Description
from callseal.agent.sdp.writing import CONTENT_TYPE
from callseal.agent.sip.events import Acknowledged, Asked, DialogId, Ended, Event, How, Invited
from callseal.agent.sip.headers import Fields
from callseal.agent.sip.seldom import Seldom
from callseal.agent.siprec.built_in_bridge import BuiltInBridge, bridge_of
from callseal.agent.sources.siprec.agreeing import DEFAULT_STREAMS, Agreeing
from callseal.agent.sources.siprec.describing import House, take_in
from callseal.agent.sources.siprec.notes import Notes
from callseal.agent.sources.siprec.recordings import DRAIN_LIMIT, MEDIA_DIED, MEDIA_TIMEOUT, Recordings
from callseal.agent.sources.siprec.talk import RecordingSession, Talk
from callseal.seal.errors import SpoolError

METADATA_WAIT_S: Final = 1.0
"""How long a recording waits for who takes part, where the INVITE did not say: some gateways tell it in an
UPDATE right behind. The sound of that time waits in the kernel."""
RETRY_AFTER_S: Final = 10

_BAD_REQUEST: Final = (400, "Bad Request")
_GONE: Final = (481, "Call/Transaction Does Not Exist")
_NOT_ACCEPTABLE: Final = (488, "Not Acceptable Here")
_OUR_FAULT: Final = (500, "Server Internal Error")
_UNAVAILABLE: Final = (503, "Service Unavailable")
_STOPPING: Final = 'SIP;cause=503;text="the recording server stops"'
"""Why we hang up (RFC 3326)."""
_SILENT: Final = 'SIP;cause=408;text="nothing was sent for too long"'
_NOT_RECORDED: Final = 'SIP;cause=500;text="the call can not be recorded"'

log = structlog.get_logger("callseal.siprec")


class Answering(Protocol):
    """What answers a gateway: `SipServer`."""

    def accept(
        self, transaction: int, *, body: bytes = b"", content_type: str = "", headers: Fields = ()
    ) -> bool:
        """Answer 200; False where nobody waits for it any more."""

    def reject(self, transaction: int, status: int, reason: str, *, headers: Fields = ()) -> bool:
        """Answer with a failure; False where nobody waits for it any more."""

    def hang_up(self, dialog: DialogId, *, reason: str = "") -> None:
        """Send a BYE."""


class Sessions:
    """All calls that gateways copy to this server at the moment."""

    def __init__(
        self,
        *,
        house: House,
        sip: Answering,
        engine: MediaEngine,
        notes: Notes,
        why_not: Callable[[], str | None],
        now: Callable[[], datetime],
        random: Callable[[int], bytes],
        bug: Callable[[BaseException], None],
    ) -> None:
        """`why_not` gives the code that says why no recording can be kept now; `bug` hears of our faults."""
        self._house = house
        self._notes = notes
        self._recordings = Recordings(house=house, engine=engine, notes=notes, now=now)
        self._agreeing = Agreeing(house=house, engine=engine, random=random)
        self._why_not = why_not
        self._now = now
        self._bug = bug
        self._sip = sip
        self._sessions: dict[DialogId, RecordingSession] = {}
        self._halves: dict[tuple[str, str, str], Talk] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._calls = 0
        self.refused = 0
        self.taken = 0
        self._told = Seldom()

    @property
    def running(self) -> int:
        """How many calls there are; one that a telephone copies in two halves is one."""
        return self._calls

    # --- what SIP tells -------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Begin to do what an event asks for; what belongs to one call is done in its order."""
        if isinstance(event, Invited) and (event.is_new or event.is_orphan):
            self._begin(event)
            return
        session = self._sessions.get(event.dialog)
        if session is None:
            if isinstance(event, Invited | Asked):
                self._sip.reject(event.transaction, *_GONE)
            return
        self._spawn(self._follow(session, event), event)

    async def drain(self, limit_s: float) -> None:
        """Wait until all calls are over, and end what still runs after `limit_s`."""
        try:
            async with asyncio.timeout(limit_s):
                await self._idle.wait()
        except TimeoutError:
            for session in list(self._sessions.values()):
                self._sip.hang_up(session.dialog, reason=_STOPPING)
                self._spawn(self._cut_off(session, DRAIN_LIMIT), None)
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def end_silent(self, recordings: Collection[UUID]) -> None:
        """Hang up the calls all of whose recordings are among these, of which nothing comes any more."""
        silent = frozenset(recordings)
        for session in list(self._sessions.values()):
            if session.talk.recordings and silent.issuperset(session.talk.recordings):
                self._sip.hang_up(session.dialog, reason=_SILENT)
                self._spawn(self._cut_off(session, MEDIA_TIMEOUT), None)

    def lose(self, reservations: Collection[int]) -> None:
        """Hang up the calls whose sound is not taken any more; what was recorded of them is taken care of."""
        for session in list(self._sessions.values()):
            if session.talk.reservation in reservations:
                self._sip.hang_up(session.dialog, reason=_NOT_RECORDED)
                self._spawn(self._lost(session), None)

    def _spawn(self, work: Coroutine[None, None, None], event: Event | None) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guarded(work, event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Coroutine[None, None, None], event: Event | None) -> None:
        """Turn a fault of ours into an answer and an alarm: it must not take other calls with it."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - told by `bug`
            self._bug(error)
            if isinstance(event, Invited | Asked):
                self._sip.reject(event.transaction, *_OUR_FAULT)

    async def _follow(self, session: RecordingSession, event: Event) -> None:
        async with session.talk.lock:
            match event:
                case Invited():
                    await self._reinvited(session, event)
                case Asked():
                    await self._asked(session, event)
                case Acknowledged():
                    await self._acknowledged(session, event)
                case Ended():
                    await self._end(session, "session-expired" if event.how is How.EXPIRED else "")

    # --- a call begins --------------------------------------------------------------------------------

    def _begin(self, event: Invited) -> None:
        half = bridge_of(event.request)
        talk = self._talk_of(half)
        # The other half of a call that runs is no further one.
        why_not = self._refusal() if talk is None else ""
        if why_not:
            self.refused += 1
            self._tell("siprec.refused", status=_UNAVAILABLE[0], detail=why_not)
            headers = (("retry-after", str(RETRY_AFTER_S)),)
            self._sip.reject(event.transaction, *_UNAVAILABLE, headers=headers)
            return
        if talk is None:
            self._calls += 1
            talk = Talk(started_at=self._now(), invite=event.request, bridge=half)
            if half is not None:
                self._halves[half.key] = talk
        session = RecordingSession(
            dialog=event.dialog,
            talk=talk,
            own=OwnSession(session_id=self._agreeing.new_session_id()),
            channel=None if half is None else half.channel,
        )
        talk.sessions[event.dialog] = session
        self._sessions[event.dialog] = session
        self._idle.clear()
        self.taken += 1
        self._spawn(self._invited(session, event, half), event)

    def _talk_of(self, half: BuiltInBridge | None) -> Talk | None:
        talk = None if half is None else self._halves.get(half.key)
        return None if talk is None or talk.is_over else talk

    def _refusal(self) -> str:
        """Give the code that says why no call is taken now; empty where one is."""
        if self._calls >= self._house.max_calls:
            return "siprec-full"
        return self._why_not() or ""

    async def _invited(self, session: RecordingSession, event: Invited, half: BuiltInBridge | None) -> None:
        talk = session.talk
        async with talk.lock:
            if event.is_orphan:
                talk.continues = self._notes.left_behind(event.dialog)
            body = take_in(talk, event.request, self._house, self._now())
            try:
                if body.sdp is not None:
                    await self._agree(session, event, parse_session(body.sdp))
                elif body.problem:
                    await self._drop(session, event, _BAD_REQUEST, body.problem)
                else:
                    await self._offer(session, event, DEFAULT_STREAMS if half is None else 1)
            except SdpError as error:
                await self._drop(session, event, _BAD_REQUEST, str(error))
            except _Refused as error:
                await self._drop(session, event, error.answer, str(error))
            except (SourceError, SpoolError) as error:
                await self._drop(session, event, _UNAVAILABLE, str(error))
            except Exception:
                await self._drop(session, event, _OUR_FAULT, "a mistake of ours")
                raise

    async def _agree(self, session: RecordingSession, event: Invited, theirs: Description) -> None:
        """Answer an offer, having begun to record what it promises where it is known whose call it is."""
        talk = session.talk
        if not recordable(theirs, self._house.policy):
            raise _Refused(_NOT_ACCEPTABLE, "no stream of sound that can be recorded")
        text = await self._agreeing.answer(session, theirs, event.flow.local[0])
        if talk.recordings:
            await self._recordings.follow(talk)
        elif talk.is_described:
            await self._recordings.begin(talk)
        self._sip.accept(event.transaction, body=text, content_type=CONTENT_TYPE)
        self._begin_later(talk)

    async def _offer(self, session: RecordingSession, event: Invited, streams: int) -> None:
        """Offer what we would take, or what was agreed before: the INVITE leaves that to us."""
        text = await self._agreeing.offer(session, event.flow.local[0], streams)
        self._sip.accept(event.transaction, body=text, content_type=CONTENT_TYPE)

    async def _acknowledged(self, session: RecordingSession, event: Acknowledged) -> None:
        """Take the answer to our offer, if it is one."""
        agreed = self._agreeing.take_answer(session, event.request)
        if agreed is None:
            return
        if not agreed:
            self._tell("siprec.no-answer", detail="the answer to our offer is missing or can't be read")
        await self._follow_on(session.talk)
        self._begin_later(session.talk)

    def _begin_later(self, talk: Talk) -> None:
        """Begin to record soon, where it has not begun: whoever has something to add may say it first."""
        if talk.recordings or talk.opening is not None or talk.is_over or not talk.streams:
            return
        talk.opening = self._spawn(self._wait_and_begin(talk), None)

    async def _wait_and_begin(self, talk: Talk) -> None:
        await asyncio.sleep(METADATA_WAIT_S)
        async with talk.lock:
            try:
                await self._recordings.begin(talk)
            except (SourceError, SpoolError) as error:
                log.error("siprec.open.failed", detail=str(error))  # noqa: TRY400 - the recorder has told of it
                for session in list(talk.sessions.values()):
                    self._sip.hang_up(session.dialog, reason=_NOT_RECORDED)
                    await self._end(session, "write-failed")

    # --- while it runs --------------------------------------------------------------------------------

    async def _reinvited(self, session: RecordingSession, event: Invited) -> None:
        body = take_in(session.talk, event.request, self._house, self._now())
        try:
            if body.sdp is None:
                await self._offer(session, event, DEFAULT_STREAMS)
                await self._recordings.tell(session.talk)
            else:
                await self._take_offer(session, event, parse_session(body.sdp))
        except (SdpError, SourceError, SpoolError) as error:
            # The session goes on as it was agreed before (RFC 3261 section 14.2).
            self._tell("siprec.offer.refused", detail=str(error))
            self._sip.reject(event.transaction, *_NOT_ACCEPTABLE)

    async def _asked(self, session: RecordingSession, event: Asked) -> None:
        body = take_in(session.talk, event.request, self._house, self._now())
        if body.sdp is not None:
            try:
                await self._take_offer(session, event, parse_session(body.sdp))
            except (SdpError, SourceError, SpoolError) as error:
                self._tell("siprec.offer.refused", detail=str(error))
                self._sip.reject(event.transaction, *_NOT_ACCEPTABLE)
            return
        # Whatever an INFO or UPDATE tells, the answer is yes: it is noted, and the sound goes on.
        self._sip.accept(event.transaction)
        if session.talk.recordings:
            await self._follow_on(session.talk)
        else:
            await self._go_on(session.talk)

    async def _take_offer(
        self, session: RecordingSession, event: Invited | Asked, theirs: Description
    ) -> None:
        talk = session.talk
        before = session.own, session.streams
        text = await self._agreeing.answer(session, theirs, event.flow.local[0])
        try:
            await self._go_on(talk)
        except (SourceError, SpoolError):
            session.own, session.streams = before
            with contextlib.suppress(SourceError, SpoolError):  # some streams may have changed by then
                await self._recordings.follow(talk)
            raise
        self._sip.accept(event.transaction, body=text, content_type=CONTENT_TYPE)
        self._begin_later(talk)

    async def _go_on(self, talk: Talk) -> None:
        """Record by what is known now."""
        if talk.recordings:
            await self._recordings.follow(talk)
        elif talk.is_described:
            await self._try_to_begin(talk)

    async def _follow_on(self, talk: Talk) -> None:
        """Record by what is known now, where nobody waits for an answer any more."""
        try:
            await self._recordings.follow(talk)
        except (SourceError, SpoolError) as error:
            log.error("siprec.follow.failed", detail=str(error))  # noqa: TRY400 - the engine has told why

    async def _try_to_begin(self, talk: Talk) -> None:
        try:
            await self._recordings.begin(talk)
        except (SourceError, SpoolError) as error:
            log.error("siprec.open.failed", detail=str(error))  # noqa: TRY400 - the recorder has told of it

    # --- the end --------------------------------------------------------------------------------------

    async def _cut_off(self, session: RecordingSession, reason: str) -> None:
        async with session.talk.lock:
            await self._end(session, reason)

    async def _lost(self, session: RecordingSession) -> None:
        async with session.talk.lock:
            session.talk.is_over = True
            if self._sessions.get(session.dialog) is not session:
                return
            self._forget(session)
            await self._recordings.forget(session.dialog)
            if not session.talk.sessions and not session.talk.recordings:
                await self._recordings.end(session.talk, MEDIA_DIED)

    async def _end(self, session: RecordingSession, reason: str) -> None:
        if self._sessions.get(session.dialog) is not session:
            return
        talk = session.talk
        try:
            # A call, or one half of it, may be over before its recording began: its sound waits at the ports.
            await self._try_to_begin(talk)
        finally:
            self._forget(session)
            await self._recordings.forget(session.dialog)
            if not talk.sessions:
                await self._recordings.end(talk, reason)
            else:
                await self._follow_on(talk)

    async def _drop(
        self, session: RecordingSession, event: Invited, status: tuple[int, str], why: str
    ) -> None:
        """Refuse an INVITE, and forget that it came."""
        self.refused += 1
        self._tell("siprec.refused", status=status[0], detail=why)
        headers = (("retry-after", str(RETRY_AFTER_S)),) if status is _UNAVAILABLE else ()
        self._sip.reject(event.transaction, *status, headers=headers)
        self._forget(session)
        talk = session.talk
        if talk.recordings and not talk.sessions:
            await self._recordings.end(talk, MEDIA_DIED)
        elif not talk.sessions:
            await self._recordings.release(talk)

    def _forget(self, session: RecordingSession) -> None:
        talk = session.talk
        del self._sessions[session.dialog], talk.sessions[session.dialog]
        if not talk.sessions:
            self._calls -= 1
            for key in [key for key, half in self._halves.items() if half is talk]:
                del self._halves[key]
        if not self._sessions:
            self._idle.set()

    def _tell(self, event: str, **words: int | str) -> None:
        """Log what a gateway does, once a minute at most: it may do so a thousand times a second."""
        if self._told.is_due(f"{event} {words}", asyncio.get_running_loop().time()):
            log.warning(event, **words)


class _Refused(Exception):  # noqa: N818 - ends one INVITE, no fault
    """An INVITE can't be taken; `answer` is status and reason."""

    def __init__(self, answer: tuple[int, str], why: str) -> None:
        super().__init__(why)
        self.answer = answer
