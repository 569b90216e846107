"""A recording's metadata: from the agent's own terms to the vCon that is signed and sealed. Pure.

Parties stand in the order agent, customer, recorder, then whoever else: the first two are the channels. What
the recorder found out stands in attachments ("disclosure") and analyses ("call", "checks", "streams") with
JSON bodies; what signalling brought is attached as it came ("sip-message", "rs-metadata").
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice
from typing import Final
from uuid import UUID

from callseal.agent import streams
from callseal.agent.call import (
    AGENT,
    CUSTOMER,
    Answered,
    Call,
    Disclosure,
    DisclosureFailed,
    Document,
    Ending,
    EndReason,
    Event,
    Link,
    Linked,
    MediaLost,
    PartiesChanged,
)
from callseal.agent.checks import Channel, Verdict
from callseal.agent.roll import RECORDER, Roll
from callseal.seal import vcon
from callseal.seal.fields import JsonObject, JsonValue
from callseal.seal.jws import encode
from callseal.seal.state import Continues
from callseal.seal.timestamp import write_time

CALL_SCHEMA: Final = "callseal-call/1"
CHECKS_SCHEMA: Final = "callseal-checks/1"
MAX_MEDIATYPE_CHARS: Final = 255
"""RFC 6838 section 4.2 allows each half 127."""
MAX_EARLIER: Final = 64
"""Of what no longer holds: a gateway that always says something new must not fill the metadata."""

_MEDIATYPE: Final = re.compile(r"[\x20-\x7e]+")
_UNFIT: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Control characters that no text has; JSON would write each of them in six."""
_UNLISTED: Final[Mapping[type[Event], str]] = {
    Document: "documents",
    PartiesChanged: "parties_changed",
    Linked: "links",
    MediaLost: "media_lost",
}
_DISPOSITIONS: Final = {
    Ending.BUSY: vcon.Disposition.BUSY,
    Ending.CANCELLED: vcon.Disposition.HUNG_UP,
    Ending.NO_ANSWER: vcon.Disposition.NO_ANSWER,
    Ending.REJECTED: vcon.Disposition.FAILED,
    Ending.UNREACHABLE: vcon.Disposition.FAILED,
    Ending.REFUSED_BY_US: vcon.Disposition.CONGESTION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """The audio of a recording, as its vCon describes it."""

    start: datetime
    duration_samples: int
    rate_hz: int
    object_name: str = ""
    """Empty while it is still being written."""
    plaintext_sha512: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that is known of a call at one moment."""

    recording: UUID
    created_at: datetime
    device: str
    site: str
    call: Call
    events: Sequence[Event]
    audio: Audio | None
    end: EndReason | None
    """None while the call runs."""
    result: str
    """Empty while the call runs."""
    reasons: tuple[str, ...]
    verdict: Verdict | None
    continues: Continues | None = None
    """The recording that this one goes on from, after a disk failed."""
    unlisted: Mapping[type[Event], int] = field(default_factory=dict)
    """How many events of a kind there were besides."""


def describe(facts: Facts) -> vcon.Vcon:
    """Give the vCon of what is known."""
    roll = Roll(facts.call, facts.events, f"callseal {facts.device}")
    return vcon.Vcon(
        uuid=facts.recording,
        created_at=facts.created_at,
        parties=roll.parties,
        dialog=(_dialog(facts),),
        analysis=_analyses(facts, roll),
        attachments=_attachments(facts),
    )


def _dialog(facts: Facts) -> vcon.Dialog:
    call, audio, end = facts.call, facts.audio, facts.end
    originator = CUSTOMER if call.direction == "inbound" else AGENT
    answered = any(isinstance(event, Answered) for event in facts.events)
    if audio is None and end is not None and not answered and end.ending in _DISPOSITIONS:
        return vcon.Dialog(
            type=vcon.DialogType.INCOMPLETE,
            start=call.started_at,
            parties=(AGENT, CUSTOMER),
            originator=originator,
            disposition=_DISPOSITIONS[end.ending],
        )
    if audio is None:
        seconds = None if end is None else max(0.0, (end.at - call.started_at).total_seconds())
        return vcon.Dialog(
            type=vcon.DialogType.RECORDING,
            start=call.started_at,
            duration_s=seconds,
            parties=(AGENT, CUSTOMER),
            originator=originator,
        )
    sealed = audio.plaintext_sha512 is not None
    return vcon.Dialog(
        type=vcon.DialogType.RECORDING,
        start=audio.start,
        duration_s=audio.duration_samples / audio.rate_hz if sealed else None,
        parties=(AGENT, CUSTOMER),
        originator=originator,
        mediatype=vcon.MEDIATYPE_AUDIO if sealed else None,
        filename=audio.object_name or None,
        content_hash=vcon.content_hash(audio.plaintext_sha512) if audio.plaintext_sha512 else None,
    )


def _analyses(facts: Facts, roll: Roll) -> tuple[vcon.Analysis, ...]:
    call, end = facts.call, facts.end
    body: JsonObject = {
        "direction": call.direction,
        "source": call.source,
        "device": facts.device,
        "site": facts.site,
        "business_type": call.business,
        "retention_class": call.retention_class or None,
        "sip_call_ids": list(call.sip_call_ids),
        "announcements_due": list(call.announcements),
        "started_at": write_time(call.started_at),
        "answered_at": None,
        "ended_at": None if end is None else write_time(end.at),
        "ending": None if end is None else end.ending.value,
        "ended_by": None if end is None else end.by,
        "sip_code": None if end is None else end.sip_code,
        "result": facts.result or "recording",
        "reasons": list(facts.reasons),
        "complete": end is not None,
        "media_lost": [],
    }
    if facts.continues is not None:
        body["continues"] = {"id": str(facts.continues.id), "sample": facts.continues.sample}
    lost: list[JsonValue] = []
    for event in facts.events:
        if isinstance(event, Answered):
            body["answered_at"] = write_time(event.at)
            body["answered_at_sample"] = event.position_samples
        elif isinstance(event, MediaLost):
            lost.append({"from_sample": event.position_samples, "detail": event.detail})
    body["media_lost"] = lost
    body |= _circumstances(facts, roll)
    found = [vcon.Analysis(type="call", schema=CALL_SCHEMA, body=body)]
    if facts.audio is not None:
        found.append(
            vcon.Analysis(type="checks", schema=CHECKS_SCHEMA, body=_checks(facts.verdict, facts.audio))
        )
    arrived = streams.analysis(facts.events, facts.unlisted)
    return (*found, arrived) if arrived is not None else tuple(found)


def _circumstances(facts: Facts, roll: Roll) -> JsonObject:
    """Tell what the telephone system said of the call besides; what it did not say is left out."""
    call = facts.call
    changes = [event for event in facts.events if isinstance(event, PartiesChanged)]
    links = [*call.links, *(event.link for event in facts.events if isinstance(event, Linked))]
    body = _said(call, changes)
    if links:
        body["links"] = [_link(link) for link in dict.fromkeys(links)]
    if call.is_mixed:
        body["is_mixed"] = True
    if call.announced_by != "agent":
        body["announced_by"] = call.announced_by
    if call.others:
        body["others"] = roll.numbers(call.others)
    if changes:
        body["parties_changed"] = roll.changes()
    unlisted: JsonObject = {
        name: facts.unlisted[kind] for kind, name in _UNLISTED.items() if facts.unlisted.get(kind)
    }
    if roll.unlisted:
        unlisted["parties"] = roll.unlisted
    if unlisted:
        body["unlisted"] = unlisted
    return body


def _said(call: Call, changes: Sequence[PartiesChanged]) -> JsonObject:
    """Give conversation and attributes as they are now, and what held before: both are looked for."""
    names = [call.conversation, *(change.conversation for change in changes)]
    name = next(filter(None, reversed(names)), "")
    told = [call.attributes, *(change.attributes for change in changes)]
    newest: dict[str, dict[str, None]] = {}
    for pairs in told:
        newest |= _grouped(pairs)
    earlier: JsonObject = {}
    if before := [one for one in dict.fromkeys(names) if one not in {"", name}]:
        earlier["conversations"] = list(before[:MAX_EARLIER])
    gone = (pair for pair in dict.fromkeys(chain(*told)) if pair[1] not in newest[pair[0]])
    if values := _grouped(islice(gone, MAX_EARLIER)):
        earlier["attributes"] = _texts(values)
    body: JsonObject = {"conversation": name, "attributes": _texts(newest), "earlier": earlier}
    return {key: value for key, value in body.items() if value}


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, dict[str, None]]:
    values: dict[str, dict[str, None]] = {}
    for name, value in pairs:
        values.setdefault(name, {})[value] = None
    return values


def _texts(values: Mapping[str, Iterable[str]]) -> JsonObject:
    """Give all values of a name as one text, as SIP has them."""
    return {name: ", ".join(some) for name, some in values.items()}


def _link(link: Link) -> JsonObject:
    return {"relation": link.relation, "id": str(link.recording)}


def _checks(verdict: Verdict | None, audio: Audio) -> JsonObject:
    if verdict is None:
        return {"outcome": "not-checked", "reasons": [], "channels": []}
    return {
        "outcome": verdict.outcome,
        "reasons": list(verdict.reasons),
        "channels": [_channel(channel, audio.rate_hz) for channel in verdict.channels],
    }


def _channel(channel: Channel, rate_hz: int) -> JsonObject:
    seconds = channel.seconds
    body: JsonObject = {
        "side": channel.side,
        "judged_s": round(channel.judged_s, 2),
        "level_dbov": round(channel.level_dbov, 2),
        "peak_dbov": round(channel.peak_dbov, 2),
        "clipped_ratio": round(channel.clipped_ratio, 6),
        "per_second": {
            "rms_dbov": [round(second.rms_dbov, 1) for second in seconds],
            "peak_dbov": [round(second.peak_dbov, 1) for second in seconds],
            "clipped_samples": [second.clipped_samples for second in seconds],
            "digital_silence": [second.is_digital_silence for second in seconds],
        },
    }
    if len(seconds) > 1 and seconds[0].samples < rate_hz:
        body["first_second_samples"] = seconds[0].samples
    return body


def _attachments(facts: Facts) -> tuple[vcon.Attachment, ...]:
    start = facts.call.started_at if facts.audio is None else facts.audio.start
    found = []
    for event in facts.events:
        if isinstance(event, Disclosure):
            body: JsonObject = {
                "announcement": event.name,
                "language": event.language,
                "sha256": event.sha256,
                "start_sample": event.start_samples,
                "end_sample": event.end_samples,
                "complete": event.complete,
                "heard_by": list(event.heard_by),
            }
        elif isinstance(event, DisclosureFailed):
            body = {"announcement": None, "complete": False, "failure": event.detail}
        elif isinstance(event, Document):
            found.append(_document(event))
            continue
        else:
            continue
        found.append(vcon.Attachment(purpose="disclosure", start=start, party=RECORDER, body=body))
    return tuple(found)


def _document(document: Document) -> vcon.Attachment:
    """Attach what signalling brought, to the byte: as a text where it is one."""
    try:
        text = document.body.decode()
    except UnicodeDecodeError:
        text = "\0"
    readable = _UNFIT.search(text) is None
    mediatype = document.content_type[:MAX_MEDIATYPE_CHARS]
    return vcon.Attachment(
        purpose=document.kind,
        start=document.at,
        party=RECORDER,
        body=text if readable else encode(document.body),
        mediatype=mediatype if _MEDIATYPE.fullmatch(mediatype) else "application/octet-stream",
        encoding="none" if readable else "base64url",
        is_cut=document.is_cut,
    )
