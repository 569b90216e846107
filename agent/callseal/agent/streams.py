"""The analysis "streams" of a recording's metadata: what arrived in packets, and what did not. Pure.

Schema ``callseal-streams/1``; positions are samples of the recording, channels 0 agent and 1 customer. Of
keys that were pressed it tells where and for how long, never which.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Final

from callseal.agent.call import CodecChanged, Digit, Event, Gap, Held, StreamReport
from callseal.seal import vcon
from callseal.seal.fields import JsonObject, JsonValue

SCHEMA: Final = "callseal-streams/1"
_LISTS: Final[Mapping[type[Event], str]] = {
    StreamReport: "streams",
    Gap: "gaps",
    Digit: "digits",
    Held: "holds",
    CodecChanged: "codec_changes",
}


def analysis(events: Sequence[Event], unlisted: Mapping[type[Event], int]) -> vcon.Analysis | None:
    """Return the analysis, None for a source that tells nothing of streams."""
    body: dict[str, list[JsonValue]] = {name: [] for name in _LISTS.values()}
    for event in events:
        if (told := _told(event)) is not None:
            body[_LISTS[type(event)]].append(told)
    if not any(body.values()):
        return None
    left_out: JsonObject = {name: unlisted[kind] for kind, name in _LISTS.items() if unlisted.get(kind)}
    return vcon.Analysis(type="streams", schema=SCHEMA, body={**body, "unlisted": left_out})


def _told(event: Event) -> JsonObject | None:
    if isinstance(event, StreamReport):
        jitter_ms = event.remote_jitter_ms
        finite = jitter_ms is not None and math.isfinite(jitter_ms)
        return dataclasses.asdict(event) | {"remote_jitter_ms": jitter_ms if finite else None}
    if isinstance(event, Gap):
        return {
            "channel": event.channel,
            "start_sample": event.start_samples,
            "end_sample": event.end_samples,
            "expected": event.expected,
        }
    if isinstance(event, Digit):
        return {
            "channel": event.channel,
            "sample": event.position_samples,
            "duration_ms": event.duration_ms,
        }
    if isinstance(event, Held):
        return {"channel": event.channel, "sample": event.position_samples, "held": event.held}
    if isinstance(event, CodecChanged):
        return {"channel": event.channel, "sample": event.position_samples, "codec": event.codec}
    return None
