"""The recordings of calls: begun, changed, told of, and ended through the media engine.

Shell: runs in the event loop; whoever calls holds the call's lock. Raises SourceError and SpoolError where a
recording can't be begun.
"""

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from callseal.agent.call import NOW, Answered, Ending, EndReason, Link, Linked
from callseal.agent.errors import SourceError
from callseal.agent.media.plans import MediaEngine, RecordingPlan
from callseal.agent.sip.events import DialogId
from callseal.agent.sources.siprec.describing import (
    House,
    arrangement_of,
    decide,
    describe,
    keys_of,
    places_of,
    present,
)
from callseal.agent.sources.siprec.notes import Notes
from callseal.agent.sources.siprec.talk import Talk
from callseal.seal.errors import SpoolError

DRAIN_LIMIT: Final = "drain-limit"
"""The reason of a call that was cut off because the agent stops."""
MEDIA_TIMEOUT: Final = "media-timeout"
"""The reason of a call of which nothing came any more."""
MEDIA_DIED: Final = "media-died"
"""The reason of a call whose process has ended."""
_NO_MEDIA: Final = "no-media"
_WRITE_FAILED: Final = "write-failed"

log = structlog.get_logger("callseal.siprec")


class Recordings:
    """What becomes of calls on the disk."""

    def __init__(
        self, *, house: House, engine: MediaEngine, notes: Notes, now: Callable[[], datetime]
    ) -> None:
        self._house = house
        self._engine = engine
        self._notes = notes
        self._now = now

    async def begin(self, talk: Talk) -> None:
        """Begin the recordings of a call, unless they have begun, must not, or there is nothing to record."""
        if talk.recordings or talk.is_over or talk.reservation is None or not talk.streams:
            return
        was_forbidden = talk.refused not in {"", _WRITE_FAILED}
        plans = self._plans(talk)
        if not plans:
            return
        if was_forbidden:
            plans = tuple(dataclasses.replace(plan, from_now=True) for plan in plans)
        try:
            talk.recordings = await self._engine.open(talk.reservation, plans)
        except SpoolError:
            talk.refused = _WRITE_FAILED
            raise
        talk.refused = ""
        first = talk.recordings[0]
        for recording in talk.recordings:
            # Time and place of one moment, by which the time of the first sample is known.
            await self._engine.note(recording, Answered(at=self._now(), position_samples=NOW))
        for other in talk.recordings[1:]:
            await self._engine.note(other, Linked(link=Link(relation="same-call", recording=first)))
            await self._engine.note(first, Linked(link=Link(relation="same-call", recording=other)))
        talk.told = present(talk, self._house)
        await self._tell_documents(talk)
        await self._remember(talk)

    async def follow(self, talk: Talk) -> None:
        """Record what was agreed by now, and note who takes part by now."""
        if not talk.recordings or talk.reservation is None:
            return
        decision = decide(talk, self._house)
        if decision.reason:
            await self._destroy(talk, decision.reason)
            return
        before, talk.arrangement = talk.arrangement, arrangement_of(talk, self._house)
        if before is not None and talk.arrangement.has_moved(before):
            talk.moved = places_of(talk.arrangement)
            log.warning("siprec.channels.changed", recording=str(talk.recordings[0]))
        for recording, streams in zip(talk.recordings, talk.arrangement.recordings, strict=False):
            await self._engine.change(recording, streams)
        plans = self._plans(talk)[len(talk.recordings) :]
        if plans:
            await self._add(talk, talk.reservation, plans)
        await self.tell(talk)

    async def tell(self, talk: Talk) -> None:
        """Note what was said since, and who takes part, if that is new."""
        if not talk.recordings:
            return
        await self._tell_documents(talk)
        here = present(talk, self._house)
        if here == talk.told:
            return
        talk.told = here
        for recording in talk.recordings:
            await self._engine.note(recording, here)
        await self._remember(talk)

    async def end(self, talk: Talk, reason: str) -> None:
        """End the recordings of a call; one that was never recorded leaves its trace.

        Whatever goes wrong is logged: there is nobody left to whom it could be told.
        """
        talk.is_over = True
        if talk.reservation is None:
            return
        ending = Ending.SOURCE_DIED if reason == DRAIN_LIMIT else Ending.HANGUP
        end = EndReason(ending=ending, at=self._now(), reasons=(reason,) if reason else ())
        try:
            if talk.recordings:
                await self._engine.close(talk.reservation, end)
            else:
                await self._leave_trace(talk, end)
        except (SourceError, SpoolError) as error:
            log.error("siprec.end.failed", detail=str(error))  # noqa: TRY400 - the recorder has told of it
        finally:
            if not talk.recordings:
                await self.release(talk)

    async def release(self, talk: Talk) -> None:
        """Give back the ports of a call of which nothing is recorded."""
        talk.is_over = True
        if talk.reservation is None:
            return
        try:
            await self._engine.release(talk.reservation)
        except SourceError as error:
            log.error("siprec.release.failed", detail=str(error))  # noqa: TRY400 - the engine has told why

    async def forget(self, dialog: DialogId) -> None:
        """Note that a dialog is over."""
        try:
            await asyncio.to_thread(self._notes.ended, dialog)
        except OSError as error:
            log.error("siprec.note.failed", detail=error.strerror)  # noqa: TRY400 - it only goes stale

    # --- inside ---------------------------------------------------------------------------------------

    async def _leave_trace(self, talk: Talk, end: EndReason) -> None:
        if talk.is_destroyed:
            return
        decision = decide(talk, self._house)
        # Of what must not be recorded nothing went wrong, however it ended.
        reasons = (decision.reason,) if decision.reason else (talk.refused or _NO_MEDIA, *end.reasons)
        call = describe(talk, self._house, decision, (), is_mixed=False)
        await self._engine.trace(call, dataclasses.replace(end, reasons=tuple(dict.fromkeys(reasons))))

    def _plans(self, talk: Talk) -> tuple[RecordingPlan, ...]:
        """Return what is to be recorded of a call; nothing where a rule forbids it."""
        decision = decide(talk, self._house)
        if decision.reason:
            talk.refused = decision.reason
            return ()
        talk.arrangement = arrangement_of(talk, self._house)
        before = self._notes.of_conversation(keys_of(talk), self._now().timestamp())
        earlier = tuple(one for one in before if one not in talk.recordings)
        call = describe(talk, self._house, decision, earlier, is_mixed=talk.arrangement.is_mixed)
        return talk.arrangement.plans(call)

    async def _add(self, talk: Talk, reservation: int, plans: tuple[RecordingPlan, ...]) -> None:
        """Begin further recordings of a call, for who joined it."""
        first = talk.recordings[0]
        fresh = await self._engine.open(reservation, plans)
        for recording in fresh:
            await self._engine.note(recording, Answered(at=self._now(), position_samples=NOW))
            await self._engine.note(recording, Linked(link=Link(relation="same-call", recording=first)))
            await self._engine.note(first, Linked(link=Link(relation="same-call", recording=recording)))
        talk.recordings += fresh
        await self._remember(talk)

    async def _destroy(self, talk: Talk, reason: str) -> None:
        """Destroy what was recorded of a call that turns out to be one that must not be."""
        if talk.reservation is None:
            return
        talk.refused = reason
        end = EndReason(ending=Ending.HANGUP, at=self._now(), reasons=(reason,))
        # Should this fail, the sound is not recorded on all the same: the engine has dropped it by then.
        talk.recordings, talk.is_over, talk.is_destroyed = (), True, True
        await self._engine.discard(talk.reservation, end)

    async def _tell_documents(self, talk: Talk) -> None:
        documents, talk.documents = talk.documents, []
        for document in documents:
            await self._engine.note(talk.recordings[0], document)

    async def _remember(self, talk: Talk) -> None:
        """Leave a note for a process that may have to go on with this call."""
        keys = keys_of(talk)
        try:
            for dialog in tuple(talk.sessions):
                await asyncio.to_thread(
                    self._notes.begun, dialog, talk.recordings, keys, self._now().timestamp()
                )
        except OSError as error:
            log.error("siprec.note.failed", detail=error.strerror)  # noqa: TRY400 - the recording goes on
