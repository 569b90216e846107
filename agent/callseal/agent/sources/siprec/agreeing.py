"""Offers and answers of recording sessions: which streams are taken, and at which ports of ours (RFC 3264).

Shell, as far as ports are reserved; the rest keeps what was agreed in the session itself. Raises SourceError
where there is no port left.
"""

import dataclasses
from collections.abc import Callable
from typing import Final

from callseal.agent.errors import SdpError
from callseal.agent.media.plans import MediaEngine
from callseal.agent.sdp.answer import accepted, answer, offer, offer_again
from callseal.agent.sdp.parsing import parse_session
from callseal.agent.sdp.policy import recordable
from callseal.agent.sdp.session import Direction as Flowing
from callseal.agent.sdp.session import Session as Description
from callseal.agent.sdp.writing import bytes_of
from callseal.agent.sip.message import Request
from callseal.agent.sources.siprec.bodies import body_of
from callseal.agent.sources.siprec.describing import House, decide
from callseal.agent.sources.siprec.talk import RecordingSession

DEFAULT_STREAMS: Final = 2
"""Offered where the INVITE neither has an offer nor says how many streams there are."""

_SESSION_ID_BYTES: Final = 7
"""A session id has to be a number below 2⁶³ for some (RFC 3264 section 5)."""


class Agreeing:
    """Comes to terms with gateways."""

    def __init__(self, *, house: House, engine: MediaEngine, random: Callable[[int], bytes]) -> None:
        self._house = house
        self._engine = engine
        self._random = random

    def new_session_id(self) -> int:
        """Draw the id of a description of ours."""
        return int.from_bytes(self._random(_SESSION_ID_BYTES), "big")

    async def answer(self, session: RecordingSession, theirs: Description, reached: str) -> bytes:
        """Answer an offer that came to our address `reached`, and keep what was agreed by it."""
        await self._find_ports(session, recordable(theirs, self._house.policy))
        decision = decide(session.talk, self._house)
        agreed = answer(
            _quiet(theirs) if decision.reason else theirs,
            ports=session.ports,
            address=self._house.media_address(reached),
            own=session.own,
            policy=self._house.policy,
            random=self._random,
        )
        session.own = session.own.after(agreed.session)
        session.streams = agreed.streams
        return bytes_of(agreed.session)

    async def offer(self, session: RecordingSession, reached: str, streams: int = DEFAULT_STREAMS) -> bytes:
        """Offer what we would take, or what was agreed before; the answer comes with the ACK."""
        is_quiet = bool(decide(session.talk, self._house).reason)
        ours = offer_again(session.own, direction=Flowing.INACTIVE if is_quiet else Flowing.RECVONLY)
        if ours is None:
            ours = await self._first_offer(session, reached, streams)
        session.own_offer = ours
        session.own = session.own.after(ours)
        return bytes_of(ours)

    def take_answer(self, session: RecordingSession, acknowledgement: Request) -> bool | None:
        """Keep what an ACK answers to our offer; None where there was none, False without an answer to it.

        Without one the session goes on as it was.
        """
        ours, session.own_offer = session.own_offer, None
        if ours is None:
            return None
        text = body_of(acknowledgement).sdp
        try:
            agreed = () if text is None else accepted(ours, parse_session(text), self._house.policy)
        except SdpError:
            agreed = ()
        session.streams = agreed or session.streams
        return bool(agreed)

    async def _first_offer(self, session: RecordingSession, reached: str, streams: int) -> Description:
        known = session.talk.conversation.streams
        streams = min(len(session.ports) or len(known) or streams, self._house.policy.max_streams)
        await self._find_ports(session, tuple(range(streams)))
        return offer(
            ports=tuple(session.ports.values()),
            address=self._house.media_address(reached),
            own=session.own,
            policy=self._house.policy,
            labels=tuple(stream.label for stream in known),
        )

    async def _find_ports(self, session: RecordingSession, wanted: tuple[int, ...]) -> None:
        """See that each of these m-lines has a port of ours; PortsExhausted where there are none left."""
        missing = [index for index in wanted if index not in session.ports]
        if not missing:
            return
        talk = session.talk
        if talk.reservation is None:
            reserved = await self._engine.reserve(len(missing))
            talk.reservation = reserved.id
        else:
            reserved = await self._engine.add_ports(talk.reservation, len(missing))
        session.ports.update(zip(missing, reserved.ports, strict=True))


def _quiet(theirs: Description) -> Description:
    """Return an offer as if nothing were sent: what must not be recorded is not asked for either."""
    media = tuple(dataclasses.replace(one, direction=Flowing.INACTIVE) for one in theirs.media)
    return dataclasses.replace(theirs, media=media)
