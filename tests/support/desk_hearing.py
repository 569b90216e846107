"""Who speaks and what is heard at a desk with its telephone system: real voices, a short announcement.

Everything is compared by correlation with what was said (`support.sound`). Positions are samples at 8 kHz.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from callseal.seal.manifest import Result
from support.desk import NO_ANNOUNCEMENT, Recorded
from support.desk_room import CUSTOMER
from support.sound import RATE_HZ, Samples, demo_speech, human_speech, locate, write_wav

ALIKE = 0.6
"""Undisturbed it is 0.99; each 20 ms that a jitter buffer drops or repeats cost a quarter second of it."""
PIECE = RATE_HZ // 4
AUDIBLE = 300
"""Root mean square, below which a piece is a pause."""
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
    found = recognised(track, voice)
    assert found >= ALIKE, found


def recognised(track: Samples, voice: Samples) -> float:
    """Say how much of a voice is in a track, by pieces of a quarter second, each wherever it is (0 to 1).

    On a busy machine whole packets come late and are left out, so that what follows stands elsewhere: each
    piece is looked for by itself. Given is the lower quartile of their normalised correlations.
    """
    scores = []
    for start in range(0, voice.size - PIECE + 1, PIECE):
        piece = voice[start : start + PIECE].astype(np.float64)
        if np.sqrt(np.mean(piece**2)) >= AUDIBLE:
            scores.append(_best_correlation(track.astype(np.float64), piece))
    return float(np.quantile(scores, 0.25)) if scores else 0.0


def _best_correlation(long: NDArray[np.float64], short: NDArray[np.float64]) -> float:
    """Give the highest normalised correlation of a piece with any place of something longer."""
    if long.size < short.size:
        return 0.0
    size = 1 << int(np.ceil(np.log2(long.size + short.size)))
    product = np.fft.irfft(np.fft.rfft(long, size) * np.conj(np.fft.rfft(short, size)), size)
    sums = np.concatenate([[0.0], np.cumsum(long**2)])
    power = sums[short.size :] - sums[: -short.size]
    floor = short.size * AUDIBLE**2 / 4
    return float(np.max(product[: power.size] / np.sqrt(np.maximum(power, floor) * (short @ short))))


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
