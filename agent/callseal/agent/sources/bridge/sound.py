"""A call's sound inside the child: taps, announcement, and what its legs say and hear.

Traps of pjsua2 2.15.1 that shape this file:
- Ports may not be destroyed inside a callback, nor by a garbage collector on another thread: `open`,
  `turn`, `stop_ramp` and `close` are called between two turns of the library only.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pjsua2 as pj

from callseal.agent.sources.bridge.announcing import Announcement
from callseal.agent.sources.bridge.leg import Leg
from callseal.agent.sources.bridge.library import Library
from callseal.agent.sources.bridge.protocol import (
    Announced,
    AnnouncementFailed,
    Announcing,
    CallSide,
    Media,
    Recoded,
    Report,
    Route,
    Tapped,
)
from callseal.agent.sources.bridge.taps import Taps
from callseal.agent.sources.bridge.wiring import Wiring, paths

_WHOLE_S: Final = 1.0
"""How long a tap may take to write its last buffer; it takes one tick of the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Studio:
    """What all calls of the child share."""

    library: Library
    rate_hz: int
    silence: pj.AudioMediaPlayer
    """A looping silent player: keeps the taps' clock running through pauses of their legs."""
    ramp: Path
    announcements: Mapping[str, Path]
    scratch: Path
    report: Callable[[Report, tuple[int, ...]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Who is there at present."""

    legs: Mapping[CallSide, Leg]
    newcomer: Leg | None
    """The third leg of a transfer, where it is heard already."""
    newcomer_side: CallSide | None
    answered: bool


class Sound:
    """From the route of a call to its end."""

    def __init__(self, studio: Studio, number: int, fault: Callable[[str, Exception], None]) -> None:
        self._studio = studio
        self._number = number
        self._wiring = Wiring(fault)
        self._taps: Taps | None = None
        self._ramp: pj.AudioMediaPlayer | None = None
        self._announcement_path: Path | None = None
        self._announcement: Announcement | None = None
        self._hold_talk = False
        self._codecs: dict[CallSide, str] = {}
        self._closed = False
        self._closing_since_s: float | None = None

    @property
    def unannounced(self) -> bool:
        """Whether an announcement is still to be heard to its end."""
        return self._announcement is not None and not self._announcement.over

    def open(self, route: Route, now_s: float) -> bool:
        """Get ready to record before anyone is called; False when the call must not go on."""
        self._hold_talk = route.hold_talk
        if route.announcement:
            self._announcement_path = self._studio.announcements.get(route.announcement)
            if not self._load("" if self._announcement_path else "unknown to the child"):
                if route.on_failure == "refuse-call":
                    return False
                if route.on_failure == "no-record":
                    return True
        self._taps = Taps(self._studio.scratch, self._number)
        self._ramp = pj.AudioMediaPlayer()
        self._ramp.createPlayer(str(self._studio.ramp), pj.PJMEDIA_FILE_NO_LOOP)
        self._connect(paths(flowing=False, talk=False), {})
        self._studio.report(Tapped(call=self._number, at_s=now_s), self._taps.share())
        return True

    @property
    def recording(self) -> bool:
        """Whether there are taps."""
        return self._taps is not None

    def stop_ramp(self) -> None:
        """Let talk follow the ramp."""
        ramp, self._ramp = self._ramp, None
        self._connect(paths(flowing=False, talk=False), {})
        if ramp is not None:
            pj.AudioMediaPlayer.__swig_destroy__(ramp)

    def wire(self, stage: Stage) -> None:
        """Connect who is there, and tell what begins by it."""
        if self._closed:
            return
        legs = {side: leg for side, leg in stage.legs.items() if leg.alive and leg.media is not None}
        self._begin_announcement(stage, legs)
        ports: dict[str, pj.AudioMedia] = {side: leg.media for side, leg in legs.items()}
        if stage.newcomer is not None:
            ports["newcomer"] = stage.newcomer.media
        both = "agent" in ports and "customer" in ports
        # Once it has begun, each side is recorded on its own account: also while the other is on hold.
        flowing = (both or bool(self._codecs)) and self._ramp is None
        if flowing and self._taps is not None:
            self._tell_codecs({side: leg.codec for side, leg in legs.items()})
        talk = not (self._hold_talk and stage.answered and self.unannounced)
        newcomer = stage.newcomer_side if stage.newcomer is not None else None
        self._connect(paths(flowing=flowing, talk=talk, newcomer=newcomer), ports)

    def renew(self, name: str, port: pj.AudioMedia | None) -> None:
        """Take a leg's connections away after its audio has changed, for `wire` to make them afresh."""
        self._wiring.renew(name, port)

    def part(self, name: str) -> None:
        """Disconnect a leg that stands and leaves this call."""
        self._wiring.part(name)

    def lose(self, name: str) -> None:
        """Forget a leg that is gone."""
        self._wiring.lose(name)

    def stop(self) -> None:
        """Let nobody hear anything any more; before any leg is hung up."""
        self._closed = True
        self._wiring.be([], {})

    def announce_again(self) -> None:
        """Let the announcement be heard once more, as soon as both legs are there."""
        if self._announcement_path is None or self._closed:
            return
        self._end_announcement()
        self._load("")

    def turn(self, now_s: float) -> bool:
        """Watch the announcement; says whether it has just ended."""
        if self._announcement is None or not self._announcement.ends(now_s):
            return False
        self._studio.report(Announced(call=self._number, at_s=now_s), ())
        return True

    def close(self, now_s: float) -> bool:
        """End the recording; says whether its taps are whole, and is called again until then."""
        if self._closing_since_s is None:
            self._closing_since_s = now_s
            self.stop()
            self._end_announcement()
            if self._taps is not None:
                self._taps.close()
            if self._ramp is not None:
                pj.AudioMediaPlayer.__swig_destroy__(self._ramp)
                self._ramp = None
        if self._taps is None:
            return True
        if not self._taps.whole and now_s - self._closing_since_s <= _WHOLE_S:
            return False
        self._taps.release()
        self._taps = None
        return True

    # --- inside -------------------------------------------------------------------------------------

    def _load(self, detail: str) -> bool:
        """Open a player for the announcement; `detail` says why that is impossible from the outset."""
        self._announcement = None
        if not detail:
            try:
                self._announcement = Announcement(self._announcement_path or Path(), self._studio.rate_hz)
            except pj.Error:
                detail = "its player did not open"
        if detail:
            self._studio.report(AnnouncementFailed(call=self._number, detail=detail), ())
        return not detail

    def _begin_announcement(self, stage: Stage, legs: Mapping[CallSide, Leg]) -> None:
        announcement = self._announcement
        if announcement is None or announcement.begun or not stage.answered:
            return
        if len(legs) < 2 or not all(leg.confirmed for leg in legs.values()):  # noqa: PLR2004 - both sides
            return
        now_s = time.monotonic()
        announcement.begin(now_s)
        # Who has put the call on hold is not there to hear it.
        heard_by = [str(side) for side, leg in sorted(legs.items()) if not leg.holds]
        self._studio.report(Announcing(call=self._number, at_s=now_s, heard_by=heard_by), ())

    def _end_announcement(self) -> None:
        announcement, self._announcement = self._announcement, None
        if announcement is None:
            return
        self._wiring.part("player")
        if announcement.close():
            self._studio.report(Announced(call=self._number, at_s=time.monotonic()), ())

    def _tell_codecs(self, codecs: dict[CallSide, str]) -> None:
        now_s = time.monotonic()
        if not self._codecs:
            note = Media(
                call=self._number,
                at_s=now_s,
                agent_codec=codecs["agent"],
                customer_codec=codecs["customer"],
            )
            self._studio.report(note, ())
            self._codecs = codecs
            return
        for side, codec in codecs.items():
            if codec != self._codecs[side]:
                self._codecs[side] = codec
                self._studio.report(Recoded(call=self._number, at_s=now_s, side=side, codec=codec), ())

    def _connect(self, wanted: list[tuple[str, str]], legs: Mapping[str, pj.AudioMedia]) -> None:
        ports: dict[str, pj.AudioMedia] = {"silence": self._studio.silence, **legs}
        if self._taps is not None:
            ports.update(self._taps.recorders)
        if self._ramp is not None:
            ports["ramp"] = self._ramp
        if self._announcement is not None and self._announcement.port is not None:
            ports["player"] = self._announcement.port
        self._wiring.be(wanted, ports)
