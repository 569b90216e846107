"""What is known of a call, in the recorder's terms: who speaks, by which rule, in which conversation."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from callseal.agent.call import CUSTOMER, NOW, SIDES, Call, Link, PartiesChanged
from callseal.agent.numbering import Numbering
from callseal.agent.sdp.policy import AnswerPolicy
from callseal.agent.sip.message import Request
from callseal.agent.siprec.built_in_bridge import BuiltInBridge, parties_of_bridge
from callseal.agent.siprec.document import read_metadata
from callseal.agent.siprec.grouping import conversation_keys
from callseal.agent.siprec.headers import headers_of
from callseal.agent.siprec.lines import BOTH
from callseal.agent.siprec.parties import Roles, parties_of
from callseal.agent.sources.siprec.arrangement import Arrangement, MoreParties, arrange
from callseal.agent.sources.siprec.bodies import Body, body_of, documents_of
from callseal.agent.sources.siprec.talk import Talk
from callseal.agent.tagging import Decision, Tagging

MOVED: Final = "callseal:channels"
"""The attribute that tells where streams stand since they changed channels within a recording."""


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What the settings say."""

    numbering: Numbering
    tagging: Tagging
    inside: tuple[str, ...]
    policy: AnswerPolicy
    more_parties: MoreParties
    max_calls: int
    media_timeout_s: float = 0.0
    """A call of which nothing at all comes for so long is over; 0: none is."""
    media_address: Callable[[str], str]
    """The address for sound that a gateway is told, by the local address that it reached."""


def take_in(talk: Talk, request: Request, house: House, at: datetime) -> Body:
    """Take in what a request says of a call."""
    body = body_of(request)
    talk.keep(documents_of(request, body, at))
    for document in body.metadata:
        talk.conversation = talk.conversation.take(read_metadata(document))
    if body.metadata:
        cast_roles(talk, house)
    return body


def cast_roles(talk: Talk, house: House) -> Roles:
    """Tell anew who is who in a call, and which of its streams goes where."""
    if talk.bridge is not None:
        talk.roles = _roles_of_bridge(talk, talk.bridge, house)
        return talk.roles
    talk.roles = parties_of(
        talk.conversation,
        talk.invite.headers,
        numbering=house.numbering,
        inside=house.inside,
        labels=tuple(stream.label for stream in talk.streams),
        before=talk.roles,
    )
    return talk.roles


def _roles_of_bridge(talk: Talk, bridge: BuiltInBridge, house: House) -> Roles:
    roles = parties_of_bridge(bridge, numbering=house.numbering, inside=house.inside)
    channels = tuple(
        (CUSTOMER if session.channel is None else session.channel,)
        for session in talk.sessions.values()
        for _ in session.streams
    )
    return dataclasses.replace(roles, channels=channels)


def decide(talk: Talk, house: House) -> Decision:
    """Return what the rules say of a call.

    Of one that is neither inbound nor outbound it may not be known who called: the agent counts as called
    then, unless the call must not be recorded the other way round.
    """
    roles = talk.roles or cast_roles(talk, house)
    agent, customer = roles.agent.number, roles.customer.number
    inbound = house.tagging.decide(direction=roles.direction, called=agent, calling=customer)
    if roles.direction == "inbound":
        return inbound
    outbound = house.tagging.decide(direction=roles.direction, called=customer, calling=agent)
    return outbound if roles.direction == "outbound" or (outbound.reason and not inbound.reason) else inbound


def arrangement_of(talk: Talk, house: House) -> Arrangement:
    """Return which stream goes where; what has begun stays as it is, unless the metadata tell otherwise."""
    before = None if talk.arrangement is None else talk.arrangement.begun(len(talk.recordings))
    channels = cast_roles(talk, house).channels
    if before is not None and talk.bridge is None:
        # Of whom nothing is told the place was guessed, by who else was there: that is not done twice.
        known = {port: where for port, where in before.channels.items() if where != BOTH}
        guessed = _guessed(talk)
        pairs = zip(talk.streams, channels, strict=True)
        channels = tuple(
            known.get(stream.port, where) if stream.port in guessed else where for stream, where in pairs
        )
    return arrange(talk.streams, channels=channels, more_parties=house.more_parties, before=before)


def _guessed(talk: Talk) -> frozenset[int]:
    """Return the ports of the streams of which the metadata tell nothing."""
    told = {stream.label for stream in talk.conversation.streams}
    if told and not told & {stream.label for stream in talk.streams}:
        return frozenset()  # then they are known by their order
    return frozenset(stream.port for stream in talk.streams if stream.label not in told)


def keys_of(talk: Talk) -> tuple[str, ...]:
    """Return by what the other recordings of its conversation are found."""
    return conversation_keys(talk.conversation, talk.invite.headers)


def describe(
    talk: Talk, house: House, decision: Decision, before: tuple[UUID, ...], *, is_mixed: bool
) -> Call:
    """Return the call; `before` are earlier recordings of its conversation."""
    roles = talk.roles or cast_roles(talk, house)
    keys = keys_of(talk)
    continues = [Link(relation="continues", recording=one) for one in talk.continues]
    same = [Link(relation="same-conversation", recording=one) for one in before if one not in talk.continues]
    own = [dialog.call_id for dialog in talk.sessions]
    original = [one for session in talk.conversation.sessions for one in session.sip_session_ids]
    return Call(
        source="siprec",
        direction=roles.direction,
        started_at=talk.started_at,
        agent=roles.agent,
        customer=roles.customer,
        sip_call_ids=tuple(dict.fromkeys((*own, *original))),
        business=decision.business,
        retention_class=decision.retention_class,
        announcements=decision.announcements,
        announced_by="gateway",
        others=roles.others,
        is_mixed=is_mixed,
        conversation=talk.conversation.group_id or (keys[0] if keys else ""),
        links=(*continues, *same),
        attributes=_attributes(talk),
    )


def present(talk: Talk, house: House) -> PartiesChanged:
    """Return who takes part now."""
    roles = talk.roles or cast_roles(talk, house)
    return PartiesChanged(
        position_samples=NOW,
        agent=roles.agent,
        customer=roles.customer,
        others=roles.others,
        conversation=talk.conversation.group_id,
        attributes=_attributes(talk),
    )


def _attributes(talk: Talk) -> tuple[tuple[str, str], ...]:
    of_bridge = () if talk.bridge is None else talk.bridge.attributes
    moved = ((MOVED, talk.moved),) if talk.moved else ()
    told = (*talk.conversation.all_attributes, *of_bridge, *headers_of(talk.invite), *moved)
    return tuple(dict.fromkeys(told))


def places_of(arrangement: Arrangement) -> str:
    """Return in words which stream, by its label, stands on which channel."""
    streams = (stream for some in arrangement.recordings for stream in some)
    return " ".join(
        f"{stream.label or '-'}={'+'.join(SIDES[channel] for channel in stream.channels)}"
        for stream in streams
    )
