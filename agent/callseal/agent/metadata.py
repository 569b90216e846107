"""A recording's metadata: from the agent's own terms to the vCon that is signed and sealed. Pure.

Parties stand in the order agent, customer, recorder: the first two are the channels. What the recorder
found out stands in attachments ("disclosure") and analyses ("call", "checks") with JSON bodies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from callseal.agent.call import (
    AGENT,
    CUSTOMER,
    Answered,
    Call,
    Disclosure,
    DisclosureFailed,
    Ending,
    EndReason,
    Event,
    MediaLost,
    Party,
)
from callseal.agent.checks import Channel, Verdict
from callseal.seal import vcon
from callseal.seal.fields import JsonObject, JsonValue
from callseal.seal.state import Continues
from callseal.seal.timestamp import write_time

_RECORDER: Final = 2
CALL_SCHEMA: Final = "callseal-call/1"
CHECKS_SCHEMA: Final = "callseal-checks/1"
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


def describe(facts: Facts) -> vcon.Vcon:
    """Give the vCon of what is known."""
    call = facts.call
    return vcon.Vcon(
        uuid=facts.recording,
        created_at=facts.created_at,
        parties=(
            _party(call.agent),
            _party(call.customer),
            vcon.Party(name=f"callseal {facts.device}"),
        ),
        dialog=(_dialog(facts),),
        analysis=_analyses(facts),
        attachments=_attachments(facts),
    )


def _party(party: Party) -> vcon.Party:
    number = party.number
    return vcon.Party(
        tel=number if number.startswith("+") else None,
        sip=party.uri or (f"sip:{number}" if number and not number.startswith("+") else None),
        name=party.name or None,
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


def _analyses(facts: Facts) -> tuple[vcon.Analysis, ...]:
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
    found = [vcon.Analysis(type="call", schema=CALL_SCHEMA, body=body)]
    if facts.audio is not None:
        found.append(vcon.Analysis(type="checks", schema=CHECKS_SCHEMA, body=_checks(facts.verdict)))
    return tuple(found)


def _checks(verdict: Verdict | None) -> JsonObject:
    if verdict is None:
        return {"outcome": "not-checked", "reasons": [], "channels": []}
    return {
        "outcome": verdict.outcome,
        "reasons": list(verdict.reasons),
        "channels": [_channel(channel) for channel in verdict.channels],
    }


def _channel(channel: Channel) -> JsonObject:
    seconds = channel.seconds
    return {
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
        else:
            continue
        found.append(vcon.Attachment(purpose="disclosure", start=start, party=_RECORDER, body=body))
    return tuple(found)
