"""Who speaks and what is heard at a desk with its telephone system: real voices, a short announcement.

Everything is compared by correlation with what was said (`support.sound`). Positions are samples at 8 kHz.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np

from callseal.seal.manifest import Result
from support.desk import NO_ANNOUNCEMENT, Recorded
from support.desk_room import CUSTOMER
from support.sound import RATE_HZ, Samples, demo_speech, human_speech, likeness, locate, write_wav

ALIKE = 0.6
"""Undisturbed it is 0.99; each 20 ms that a jitter buffer drops or repeats cost a quarter second of it."""
FOREIGN = 0.2
"""What two voices that have nothing to do with each other correlate at most, over seconds."""
NAME = "short"
VOICE_S = 2


@cache
def agent_voice() -> Samples:
    """Give `VOICE_S` of a person."""
    return human_speech("0870")[: VOICE_S * RATE_HZ]


@cache
def customer_voice() -> Samples:
    """Give as much of other words."""
    return human_speech("0930")[: VOICE_S * RATE_HZ]


@cache
def third_voice() -> Samples:
    """Give as much of yet other words."""
    return human_speech("0890")[: VOICE_S * RATE_HZ]


@cache
def announcement() -> Samples:
    """Give what is announced: a second, so that calls need not be long."""
    return demo_speech("zh-customer")[:RATE_HZ]


LEAD_S = 1.8
"""Longer than the announcement and what comes before it."""


def later(voice: Samples, lead_s: float = LEAD_S) -> Samples:
    """Give a voice that begins when the announcement is over."""
    return np.concatenate([np.zeros(round(lead_s * RATE_HZ), np.int16), voice])


def over_and_over(voice: Samples, times: int = 10) -> Samples:
    """Give a voice that goes on saying the same."""
    return np.tile(voice, times)


def announcing(folder: Path, number: str = CUSTOMER) -> str:
    """Write the announcement into `folder`; return settings by which calls with one number have it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = write_wav(folder / "short.wav", announcement())
    rules = "".join(
        f'\n[[rule]]\n{end} = "+86{number}"\nannouncements = ["{NAME}"]\nbusiness = "sales"\n'
        for end in ("called", "calling")
    )
    return (
        f'\n[[announcement]]\nname = "{NAME}"\nlanguage = "zh-CN"\nfile = "{path}"\n{rules}{NO_ANNOUNCEMENT}'
    )


def is_heard(track: Samples, voice: Samples) -> None:
    """Check that a voice is in a track."""
    found = likeness(track, voice)
    assert found >= ALIKE, found


def is_not_heard(track: Samples, voice: Samples) -> None:
    """Check that a voice is not in a track."""
    found = abs(locate(track, voice)[1]) if track.size else 0.0
    assert found <= FOREIGN, found


def goes_on(track: Samples, voice: Samples) -> None:
    """Check that a voice that says the same over and over is heard from a track's beginning to its end."""
    assert track.size >= RATE_HZ
    is_heard(over_and_over(voice, track.size // voice.size + 2), track)


def stand_apart(recording: Recorded, agent: Samples, customer: Samples, *, start: int = 0) -> None:
    """Check that each voice is on its own channel and not on the other, from a position on."""
    for channel, own, other in ((0, agent, customer), (1, customer, agent)):
        track = recording.audio[channel][start:]
        is_heard(track, own)
        is_not_heard(track, other)


def is_announced(recording: Recorded, ears: Iterable[Samples]) -> int:
    """Check that it was announced, whole, where the metadata says, and heard alone by all; give its end."""
    (told,) = recording.disclosures
    assert told["announcement"] == NAME
    assert told["complete"]
    assert set(told["heard_by"]) == {"agent", "customer"}
    assert abs(told["end_sample"] - told["start_sample"] - announcement().size) <= RATE_HZ // 50
    assert told["start_sample"] >= recording.call["answered_at_sample"]
    for ear in ears:
        assert locate(ear, announcement())[1] >= 0.99
    return int(told["end_sample"])


def spoken_at(track: Samples, voice: Samples) -> int:
    """Give where a voice begins in a track; it must be there."""
    position, score = locate(track, voice)
    assert score >= 0.8, score
    return position


def parties_of(recording: Recorded) -> list[tuple[str, str]]:
    """Give agent and customer, at the beginning and after each change, as numbers or SIP users."""
    parties = [
        party.get("tel") or party.get("sip", "").removeprefix("sip:").partition("@")[0]
        for party in recording.vcon["parties"]
    ]
    changes = recording.call.get("parties_changed", [])
    pairs = [(0, 1), *((change["agent"], change["customer"]) for change in changes)]
    return [(parties[agent], parties[customer]) for agent, customer in pairs]


def holds_of(recording: Recorded) -> list[tuple[int, bool, float]]:
    """Give channel, whether it was switched off or on again, and when (seconds)."""
    return [
        (hold["channel"], bool(hold["held"]), hold["sample"] / RATE_HZ) for hold in _noted(recording, "holds")
    ]


def keys_of(recording: Recorded) -> list[dict[str, int]]:
    """Give the marks of keys that were pressed: channel, sample and duration_ms of each."""
    return _noted(recording, "digits")


def is_ok(recording: Recorded) -> None:
    """Check that nothing is wrong with a recording."""
    assert recording.manifest.reasons == ()
    assert recording.manifest.result is Result.OK


def _noted(recording: Recorded, name: str) -> list[dict[str, int]]:
    """Give a list of what happened in the streams; nothing is written where nothing happened."""
    bodies = [a["body"] for a in recording.vcon["analysis"] if a["type"] == "streams"]
    found: list[dict[str, int]] = bodies[0][name] if bodies else []
    return found
