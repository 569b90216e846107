"""What a recording came to: one result, and the reasons that an inspector asks for. Pure.

Reasons come from the source's end, from the announcements that were due, from what arrived of each side, and
from how it sounds. A recording is `ok` if there are none, or only harmless ones (`callseal.seal.reasons`).

Of a source that reports its streams a side is missing when none of them brought sound for it. Missing packets
count beyond `MAX_LOST_SHARE`; what a gateway said would not come (hold, silence that is not sent) is missing
from nothing. What came in another coding, with another key or from another source than agreed is missing
where it left a gap.
"""

from collections.abc import Container, Sequence
from typing import Final

from callseal.agent.call import (
    SIDES,
    Answered,
    AudioFormat,
    Call,
    Disclosure,
    DisclosureFailed,
    EndReason,
    Event,
    Gap,
    MediaLost,
    StreamReport,
)
from callseal.agent.checks import Limits, Verdict, judge
from callseal.codecs.level import Second
from callseal.seal.manifest import Result
from callseal.seal.reasons import HARMLESS

MAX_LOST_SHARE: Final = 0.01
"""One packet in a hundred: from there on it is heard (ITU-T G.113 appendix I: G.711, nothing concealed)."""
FEW_PACKETS: Final = 25
"""Half a second, at 20 ms a packet: fewer than that are no loss worth a reason, however short the call."""

MAX_USELESS_SHARE: Final = 0.1
"""Of what came: less than this are keys that were pressed, or strangers."""

_DISK_CHANGED: Final = "disk-changed"
_MEDIA_LOST: Final = "media-lost"


def result_of(reasons: Sequence[str]) -> Result:
    """Return the result of a recording that has sound."""
    return Result.OK if HARMLESS.issuperset(reasons) else Result.DEGRADED


def reasons_of(
    call: Call,
    events: Sequence[Event],
    end: EndReason,
    verdict: Verdict | None,
    *,
    continues: bool,
) -> tuple[str, ...]:
    """Return all that is to be said of a recording with sound; `continues`: it goes on from another disk."""
    missing = _missing_sides(call, events)
    reasons = [_DISK_CHANGED] if continues else []
    reasons += end.reasons
    reasons += _disclosure_faults(call, events)
    # Of whom nothing came it is not said besides that he is silent.
    heard = [] if verdict is None else verdict.reasons
    silent = {reason.replace("no-media", "silent") for reason in missing}
    reasons += [reason for reason in heard if "no-media" not in missing and reason not in silent]
    reasons += missing
    if _has_lost(events):
        reasons.append(_MEDIA_LOST)
    if call.is_mixed:
        reasons.append("one-stream")
    return tuple(dict.fromkeys(reasons))


def check(
    seconds: Sequence[Sequence[Second]], events: Sequence[Event], form: AudioFormat, limits: Limits
) -> Verdict:
    """Judge how a recording sounds: of each channel its seconds; positions of events are those in it."""
    answered = next((e.position_samples for e in events if isinstance(e, Answered)), None)
    announced = [
        (max(0, event.start_samples), max(0, event.end_samples))
        for event in events
        if isinstance(event, Disclosure) and event.start_samples is not None and event.end_samples is not None
    ]
    return judge(
        seconds,
        rate_hz=form.rate_hz,
        answered_samples=None if answered is None else max(0, answered),
        announced=announced,
        limits=limits,
    )


def _missing_sides(call: Call, events: Sequence[Event]) -> list[str]:
    """Name the sides of which the source's streams brought no sound."""
    reports = [event for event in events if isinstance(event, StreamReport)]
    if not reports:
        return []
    heard = {report.channel for report in reports if report.placed}
    if not heard:
        return ["no-media"]
    if call.is_mixed:
        return []
    return [f"no-media-{side}" for channel, side in enumerate(SIDES) if channel not in heard]


def _has_lost(events: Sequence[Event]) -> bool:
    gaps = {event.channel for event in events if isinstance(event, Gap) and not event.expected}
    return any(
        isinstance(event, MediaLost)
        or (isinstance(event, StreamReport) and (_lost_much(event) or _was_useless(event, gaps)))
        for event in events
    )


def _lost_much(report: StreamReport) -> bool:
    lost = max(report.lost + report.late, report.dropped_by_kernel)
    return lost >= FEW_PACKETS and lost > MAX_LOST_SHARE * (lost + report.placed)


def _was_useless(report: StreamReport, gaps: Container[int]) -> bool:
    """Say whether sound was sent in place of what is missing, of which nothing could be recorded."""
    useless = report.malformed + report.unauthentic + report.strangers
    much = useless >= FEW_PACKETS and useless > MAX_USELESS_SHARE * (useless + report.placed)
    return bool(report.placed) and much and report.channel in gaps


def _disclosure_faults(call: Call, events: Sequence[Event]) -> list[str]:
    """Say what is wrong with the announcements of an answered call that owed some."""
    answered = any(isinstance(event, Answered) for event in events)
    if not answered or not call.announcements:
        return []
    if any(isinstance(event, DisclosureFailed) for event in events):
        return ["disclosure-failed"]
    heard = [event for event in events if isinstance(event, Disclosure)]
    if not heard and call.announced_by == "gateway":
        return ["disclosure-not-checked"]
    whole = {event.name for event in heard if event.complete and len(event.heard_by) == len(SIDES)}
    if whole >= set(call.announcements):
        return []
    begun = any(event.start_samples is not None for event in heard)
    return ["disclosure-incomplete" if begun else "disclosure-missing"]
