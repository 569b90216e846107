"""A desk's child dies in some phase of a call: what has to hold then."""

import os
import signal
import time
from pathlib import Path
from typing import Final, Literal

import numpy as np

from support.desk import Recorded
from support.desk_hearing import agent_voice, customer_voice, over_and_over
from support.desk_phases import Phase
from support.desk_scene import NUMBER, TALK_S, Scene
from support.process import children, descriptors
from support.sound import RATE_HZ, Samples, locate
from support.timed import until

BACK_S: Final = 2.0
"""How soon a bridge whose child died takes calls again, unless the machine is busy with something else."""
PATIENCE_S: Final = 15.0
HANG_S: Final = 3.0
"""How long a child may say nothing before it is taken for dead."""
END_S: Final = 2.0
"""How soon after the death both parties have been told of the end."""
MISSING_S: Final = 1.0
"""How much of the end of a recording may be missing: buffers that died with the child, and clock ticks."""
_TAIL: Final = RATE_HZ * 3 // 4
_PIECE: Final = RATE_HZ // 4
_LOUD: Final = 200
_ALIKE: Final = 0.9
_APART: Final = 0.25
Signal = Literal["SIGKILL", "SIGSTOP"]


def die(at: Scene, phase: Phase, how: Signal) -> float:
    """Let the child die in a phase: everybody is told, what was recorded is kept, the next call is right.

    Gives after how many seconds there was another child.
    """
    at.settle()
    before, dead = at.count(), at.child
    phase.arrange(at)
    struck_s = at.stopped_s or time.monotonic()
    os.kill(dead, signal.SIGKILL if how == "SIGKILL" else signal.SIGSTOP)
    died_s = time.monotonic() + (0.0 if how == "SIGKILL" else HANG_S)
    phase.aftermath(at)

    if not phase.races:
        until(lambda: not at.unfinished(), f"{phase.name}: all are told", died_s + END_S - time.monotonic())
        for leg in (*at.phone.legs, *at.pbx.legs):
            assert leg.last_words is None or "cause=503" in leg.last_words.header("Reason")
    until(lambda: _is_another(at, dead), f"{phase.name}: another child", HANG_S + PATIENCE_S)
    back_s = time.monotonic() - died_s
    if phase.races:
        _finish_race(at)
        until(lambda: not at.unfinished(), f"{phase.name}: nobody hangs", END_S)
    assert not Path(f"/proc/{dead}").exists()
    recordings = at.at.wait_for(before + phase.recorded + phase.traces)[before:]
    assert len(recordings) == phase.recorded + phase.traces, len(recordings)
    _are_right(recordings, phase, at, struck_s)
    assert at.complaints() == [], at.complaints()
    try_next_call(at)
    return back_s


def try_next_call(at: Scene) -> None:
    """Check that a call connects, is heard and is recorded as it should be."""
    at.settle()
    before = at.count()
    leg = at.talk()
    leg.hang_up()
    until(lambda: not at.unfinished(), "the next call ends")
    recording = at.at.wait_for(before + 1)[before:][0]
    assert recording.manifest.result.value == "ok", recording.call
    for channel, heard in enumerate((at.pbx.legs[0].ear.heard, leg.ear.heard)):
        speaks(channel, recording.audio[channel][-RATE_HZ:])
        speaks(channel, heard[-RATE_HZ:])
    assert at.complaints() == [], at.complaints()


def speaks(channel: int, track: Samples) -> None:
    """Check that one party is heard in a track, and not the other.

    What counts is the quarter second that is most alike: on a busy machine a jitter buffer cuts some out.
    """
    own, other = (_best(track, voice) for voice in _in_turn(channel))
    assert own >= _ALIKE, own
    assert own - other >= _APART, (own, other)


def _in_turn(channel: int) -> tuple[Samples, Samples]:
    voices = agent_voice(), customer_voice()
    return voices[channel], voices[1 - channel]


def _best(track: Samples, voice: Samples) -> float:
    whole = over_and_over(voice, 2)
    pieces = [track[at : at + _PIECE] for at in range(0, track.size - _PIECE + 1, _PIECE // 2)]
    loud = [piece for piece in pieces if np.abs(piece.astype(np.int32)).mean() > _LOUD]
    return max((locate(whole, piece)[1] for piece in loud), default=0.0)


def level(at: Scene, held: int) -> None:
    """Check that the agent has no more descriptors than before, one child, and told nobody's number."""
    until(lambda: descriptors(at.agent) <= held, "the agent's descriptors are closed")
    assert len(children(at.agent)) == 1
    assert NUMBER not in at.log


def _is_another(at: Scene, dead: int) -> bool:
    """Say whether there is another child, and it takes calls."""
    ups = at.log.count("bridge.listening")
    return children(at.agent) not in ([], [dead]) and ups > at.log.count("bridge.died")


def _finish_race(at: Scene) -> None:
    """Hang up a call that the next child has taken."""
    first = at.phone.legs[0]
    if not first.end:
        until(lambda: first.final != 0 or bool(first.end), "the telephone is told something")
        if not first.end:
            time.sleep(TALK_S)
            first.hang_up()


def _are_right(recordings: list[Recorded], phase: Phase, at: Scene, struck_s: float) -> None:
    traces = [recording for recording in recordings if not recording.inner]
    if not phase.races:
        assert len(traces) == phase.traces, [recording.call for recording in recordings]
        for recording in recordings:
            assert "bridge-died" in recording.manifest.reasons, recording.manifest.reasons
    for recording in recordings:
        result, reasons = recording.manifest.result.value, recording.manifest.reasons
        if phase.races and result == "ok":
            assert reasons == ()
        else:
            wanted = "degraded" if recording.inner else "failed"
            assert (result, "bridge-died" in reasons) == (wanted, True), (result, reasons)
    if phase.races or not phase.recorded:
        return
    talks = [leg.answered_s or struck_s - TALK_S for leg in at.phone.legs if leg.final in (0, 200)]
    for recording, since_s in zip(sorted(recordings, key=_length, reverse=True), talks, strict=False):
        length_s = _length(recording) / RATE_HZ
        assert length_s >= struck_s - since_s - MISSING_S, (length_s, struck_s - since_s)
        if phase.talks:
            for channel, track in enumerate(recording.audio):
                speaks(channel, track[-_TAIL:])


def _length(recording: Recorded) -> int:
    return recording.manifest.duration_samples or 0
