"""Conversations from documents, and who is who in them."""

from collections.abc import Mapping
from typing import Final

from callseal.agent.numbering import Numbering
from callseal.agent.sip.message import Headers, Request
from callseal.agent.siprec.conversation import Conversation
from callseal.agent.siprec.document import read_metadata
from callseal.agent.siprec.parties import Roles, parties_of

NUMBERING: Final = Numbering(region="CN", outside_prefix="", emergency=("110",))


def headers(**fields: str) -> Headers:
    """Write headers; an underscore stands for a hyphen."""
    return Headers(fields=tuple((name.replace("_", "-"), value) for name, value in fields.items()))


def invite(**fields: str) -> Request:
    """Write an INVITE with these headers."""
    return Request(method="INVITE", uri="sip:record@10.1.0.2", headers=headers(**fields))


def conversation(*documents: bytes) -> Conversation:
    """Take documents one after the other."""
    known = Conversation()
    for document in documents:
        known = known.take(read_metadata(document))
    return known


def roles(
    *documents: bytes,
    inside: tuple[str, ...] = (),
    labels: tuple[str, ...] | None = None,
    before: Roles | None = None,
    fields: Mapping[str, str] | None = None,
) -> Roles:
    """Tell who is who after these documents, in a session whose INVITE had these headers."""
    return parties_of(
        conversation(*documents),
        headers(**(fields or {})),
        numbering=NUMBERING,
        inside=inside,
        labels=labels,
        before=before,
    )
