"""One bridged call inside the child: two legs, the announcement's player, three taps.

Everything here runs on the one thread that owns pjsua2. What is connected to what is never switched step
by step: `_wanted()` says which connections belong to the present state, `_wire()` makes it so.

The recording ends with the first reason to end the call. The legs may take longer: a party that does not
answer its BYE keeps its leg for 32 s (RFC 3261 timer F), and nobody is recorded during that.

Traps of pjsua2 2.15.1 that shape this file:
- Ports may not be destroyed inside a callback, nor by a garbage collector on another thread.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pjsua2 as pj

from callseal.agent.sources.bridge.leg import Leg
from callseal.agent.sources.bridge.protocol import (
    Announced,
    AnnouncementFailed,
    Announcing,
    Answered,
    CallSide,
    Dialled,
    Ended,
    Fault,
    Media,
    Report,
    Route,
    Tapped,
)
from callseal.agent.sources.bridge.taps import NAMES, Taps

RATE_HZ: Final = 8000
"""The bridge's clock: that of G.711, so that nothing is resampled (16 kHz costs 0.03 of correlation)."""
SYNC_S: Final = 0.1
"""How long the ramp plays before the second leg is dialled: five ticks, so that every tap has heard it."""
_WHOLE_S: Final = 1.0
"""How long a tap may take to write its last buffer; it takes one tick of the clock."""
_SERVICE_UNAVAILABLE: Final = 503
_REQUEST_TIMEOUT: Final = 408
_BUSY: Final = frozenset({486, 600})
_RINGING: Final = 180
_PROGRESS: Final = 183
_OK: Final = 200
_FIRST_FINAL_FAILURE: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Studio:
    """What all calls of the child share."""

    account: pj.Account
    silence: pj.AudioMediaPlayer
    """A looping silent player: keeps the taps' clock running through pauses of their legs."""
    ramp: Path
    announcements: dict[str, Path]
    scratch: Path
    report: Callable[[Report, tuple[int, ...]], None]


class Session:
    """A call from its INVITE to the end of both legs."""

    def __init__(self, studio: Studio, number: int, call_id: int) -> None:
        self.number = number
        self._studio = studio
        self._route: Route | None = None
        # The caller's side is not known before the route; the leg is renamed then.
        self._caller = Leg(self, "agent", studio.account, call_id)
        self._called: Leg | None = None
        self._taps: Taps | None = None
        self._player: pj.AudioMediaPlayer | None = None
        self._player_s = 0.0
        self._ramp: pj.AudioMediaPlayer | None = None
        self._connected: dict[tuple[str, str], tuple[pj.AudioMedia, pj.AudioMedia]] = {}
        self._invited_s = time.monotonic()
        self._dial_at_s: float | None = None
        self._dialled_s: float | None = None
        self._progressed = False
        self._sent_codes: set[int] = set()
        self._answered = False
        self._announce: str = ""
        self._announcing_since_s: float | None = None
        self._announced = False
        self._media_reported = False
        self._ending: tuple[str, str, int] | None = None
        self._ended_s = 0.0
        self._closing_since_s: float | None = None
        self._reported_end = False
        self._stumbled = False

    @property
    def done(self) -> bool:
        """Whether nothing is left of the call, its end told and both legs gone."""
        legs_gone = not self._caller.alive and (self._called is None or not self._called.alive)
        return self._reported_end and legs_gone

    # --- what the service says ----------------------------------------------------------------------

    def route(self, route: Route) -> None:
        """Let the call through."""
        if self._route is not None or not self._caller.alive:
            return
        self._route = route
        self._caller.side = route.caller
        now_s = time.monotonic()
        self._dial_at_s = now_s
        if not route.record:
            return
        self._announce = route.announcement
        if self._announce and not self._load_announcement(route):
            return
        self._open_taps(now_s)
        self._dial_at_s = now_s + SYNC_S

    def refuse(self, code: int) -> None:
        """Turn the call away."""
        self._decide("refused", "", code)
        self._caller.end(code)

    def hang_up(self) -> None:
        """End the call, both legs."""
        self._decide("hangup" if self._answered else "cancelled", "", 0)
        self._caller.end(_SERVICE_UNAVAILABLE if not self._answered else 0)
        if self._called is not None:
            self._called.end()

    # --- what time brings ---------------------------------------------------------------------------

    def tick(self, now_s: float, decision_timeout_s: float) -> None:
        """Do what is due: dial, give up, end the announcement, close."""
        if self._stumbled:
            self.hang_up()
        route = self._route
        if route is None:
            if self._ending is None and now_s - self._invited_s > decision_timeout_s:
                self.refuse(_SERVICE_UNAVAILABLE)
        elif self._dial_at_s is not None and now_s >= self._dial_at_s:
            self._dial_at_s = None
            self._stop_ramp()
            if self._ending is None:
                self._dial(route)
        elif self._dialled_s is not None and not self._answered and self._ending is None:
            waited_s = now_s - self._dialled_s
            limit_s = route.ring_timeout_s if self._progressed else route.response_timeout_s
            if waited_s > limit_s:
                silent = not self._progressed
                code = _SERVICE_UNAVAILABLE if silent else _REQUEST_TIMEOUT
                self._decide("unreachable" if silent else "no-answer", "", code)
                self._caller.end(code)
                if self._called is not None:
                    self._called.end()
        self._watch_announcement(now_s)
        if self._ending is not None:
            self.close(now_s)

    # --- what the legs say --------------------------------------------------------------------------

    def leg_state(self, leg: Leg, state: int, code: int) -> None:
        """Follow a leg that moved on: early, connecting, confirmed or gone."""
        if state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._leg_gone(leg, code)
            return
        if leg is self._called:
            if state in (pj.PJSIP_INV_STATE_EARLY, pj.PJSIP_INV_STATE_CONNECTING):
                self._progressed = True
            if state == pj.PJSIP_INV_STATE_EARLY:
                self._pass_progress(code)
            elif state == pj.PJSIP_INV_STATE_CONFIRMED and not self._answered and self._ending is None:
                self._answered = True
                leg.confirmed = True
                self._studio.report(Answered(call=self.number, at_s=time.monotonic()), ())
                self._answer(_OK)
        elif state == pj.PJSIP_INV_STATE_CONFIRMED:
            leg.confirmed = True
        self._wire()

    def leg_media(self, leg: Leg) -> None:
        """Follow a leg's audio that came, moved or went."""
        # A new stream may have a new port: what hung on the old one is gone with it.
        for key in [key for key in self._connected if leg.side in key]:
            del self._connected[key]
        if leg is self._called and leg.media is not None and not self._answered:
            self._progressed = True
            self._pass_progress(_PROGRESS)
        self._wire()

    def fault(self, where: str, error: Exception) -> None:
        """Tell the service of an error, by its kind alone: its text may hold an address."""
        detail = type(error).__name__
        if isinstance(error, pj.Error):
            detail = f"pjsua2 status {error.status}"
        self._studio.report(Fault(where=where, detail=detail), ())

    def stumbled(self, where: str, error: Exception) -> None:
        """Tell of an error after which the legs may not fit together; the call is ended at the next turn."""
        self._stumbled = True
        self.fault(where, error)

    # --- setting up ---------------------------------------------------------------------------------

    def _load_announcement(self, route: Route) -> bool:
        """Open the player before anyone is called; False when the call is not to go on."""
        try:
            path = self._studio.announcements[route.announcement]
            player = pj.AudioMediaPlayer()
            player.createPlayer(str(path), pj.PJMEDIA_FILE_NO_LOOP)
        except (KeyError, pj.Error) as error:
            detail = "its player did not open" if isinstance(error, pj.Error) else "unknown to the child"
            self._announce = ""
            self._studio.report(AnnouncementFailed(call=self.number, detail=detail), ())
            if route.on_failure == "refuse-call":
                self.refuse(_SERVICE_UNAVAILABLE)
                return False
            # no-record: the call goes through without taps.
            return route.on_failure == "record"
        self._player = player
        self._player_s = player.getInfo().sizeSamples / RATE_HZ
        return True

    def _open_taps(self, now_s: float) -> None:
        self._taps = Taps(self._studio.scratch, self.number)
        self._ramp = pj.AudioMediaPlayer()
        self._ramp.createPlayer(str(self._studio.ramp), pj.PJMEDIA_FILE_NO_LOOP)
        self._wire()
        self._studio.report(Tapped(call=self.number, at_s=now_s), self._taps.share())

    def _stop_ramp(self) -> None:
        ramp, self._ramp = self._ramp, None
        self._wire()
        if ramp is not None:
            pj.AudioMediaPlayer.__swig_destroy__(ramp)

    def _dial(self, route: Route) -> None:
        callee: CallSide = "customer" if route.caller == "agent" else "agent"
        leg = Leg(self, callee, self._studio.account, pj.PJSUA_INVALID_ID)
        prm = pj.CallOpParam(True)  # pjsua2's "use default call settings"
        prm.opt.videoCount = 0
        prm.txOption.localUri = route.from_uri
        self._called = leg
        self._dialled_s = time.monotonic()
        # A call can fail inside makeCall, its callback included: it is not destroyed under that.
        leg.alive = leg.dialling = True
        try:
            leg.makeCall(route.target, prm)
        except pj.Error as error:
            leg.alive = False
            self.fault("dial", error)
        finally:
            leg.dialling = False
        if not leg.alive:
            leg.session = None
            self._called = None
            self._decide("unreachable", "", _SERVICE_UNAVAILABLE)
            self._caller.end(_SERVICE_UNAVAILABLE)
            return
        info = leg.getInfo()
        self._studio.report(Dialled(call=self.number, sip_call_id=info.callIdString), ())

    def _pass_progress(self, code: int) -> None:
        called = self._called
        with_media = called is not None and called.media is not None
        self._answer(_PROGRESS if with_media else min(max(code, _RINGING), _PROGRESS))

    def _answer(self, code: int) -> None:
        if code in self._sent_codes or not self._caller.alive or _OK in self._sent_codes:
            return
        self._sent_codes.add(code)
        prm = pj.CallOpParam()
        prm.statusCode = code
        self._caller.answer(prm)

    # --- media --------------------------------------------------------------------------------------

    def _wanted(self) -> dict[tuple[str, str], tuple[pj.AudioMedia, pj.AudioMedia]]:
        """Say which port feeds which in the present state."""
        if self._ending is not None:
            return {}
        ports: dict[str, pj.AudioMedia] = {} if self._taps is None else dict(self._taps.recorders)
        for leg in (self._caller, self._called):
            if leg is not None and leg.alive and leg.media is not None:
                ports[leg.side] = leg.media
        ports["silence"] = self._studio.silence
        if self._ramp is not None:
            ports["ramp"] = self._ramp
        if self._player is not None and self._announcing_since_s is not None:
            ports["player"] = self._player

        wanted: list[tuple[str, str]] = []
        for tap in NAMES:
            wanted += [("silence", tap), ("ramp", tap), ("player", tap)]
        both = "agent" in ports and "customer" in ports
        if (both or self._media_reported) and self._ramp is None:
            # Once it has begun, each side is recorded on its own account: also while the other is on hold.
            wanted += [("agent", "agent-tap"), ("customer", "customer-tap")]
            wanted += [("player", "agent"), ("player", "customer")]
            if self._talk_may_pass:
                wanted += [("agent", "customer"), ("customer", "agent")]
        return {
            (source, sink): (ports[source], ports[sink])
            for source, sink in wanted
            if source in ports and sink in ports
        }

    @property
    def _talk_may_pass(self) -> bool:
        """Whether the parties hear each other: not between the answer and the announcement's end."""
        route = self._route
        if route is None or not self._announce or not route.hold_talk:
            return True
        return not self._answered or self._announced

    def _wire(self) -> None:
        """Make the connections what they are wanted to be, and note what begins by it."""
        legs = [leg for leg in (self._caller, self._called) if leg is not None]
        confirmed = len(legs) == 2 and all(leg.alive and leg.confirmed and leg.media for leg in legs)  # noqa: PLR2004 - two legs
        if confirmed and self._announce and self._announcing_since_s is None and self._player is not None:
            self._announcing_since_s = time.monotonic()
            sides = [leg.side for leg in legs]
            note = Announcing(call=self.number, at_s=self._announcing_since_s, heard_by=list(sides))
            self._studio.report(note, ())
        wanted = self._wanted()
        if ("agent", "agent-tap") in wanted and not self._media_reported:
            self._media_reported = True
            codec = {leg.side: leg.codec for leg in legs}
            self._studio.report(
                Media(
                    call=self.number,
                    at_s=time.monotonic(),
                    agent_codec=codec["agent"],
                    customer_codec=codec["customer"],
                ),
                (),
            )
        for key in [key for key in self._connected if key not in wanted]:
            source, sink = self._connected.pop(key)
            try:
                source.stopTransmit(sink)
            except pj.Error as error:
                self.fault("disconnect", error)
        for key, (source, sink) in wanted.items():
            if key not in self._connected:
                source.startTransmit(sink)
                self._connected[key] = (source, sink)

    def _watch_announcement(self, now_s: float) -> None:
        since_s = self._announcing_since_s
        if since_s is None or self._announced or self._player is None:
            return
        # At its end a player that does not loop rewinds and stays at 0: up to one file buffer before its
        # last sample has sounded, which is why a programme ends in that much silence.
        ended = now_s - since_s > self._player_s / 2 and self._player.getPos() == 0
        overdue = now_s - since_s > 2 * self._player_s + 1
        if ended or overdue or self._ending is not None:
            self._announced = True
            self._studio.report(Announced(call=self.number, at_s=now_s), ())
            self._wire()

    # --- ending -------------------------------------------------------------------------------------

    def _decide(self, ending: str, by: str, code: int) -> None:
        """Keep the first reason: what follows is its consequence."""
        if self._ending is None:
            self._ending = (ending, by, code)
            self._ended_s = time.monotonic()

    def _leg_gone(self, leg: Leg, code: int) -> None:
        leg.alive = False
        leg.media = None
        leg.session = None
        for key in [key for key in self._connected if leg.side in key]:
            del self._connected[key]
        if self._answered:
            self._decide("hangup", leg.side, code)
        elif leg is self._caller:
            self._decide("cancelled", leg.side, code)
        elif not self._progressed and code == _REQUEST_TIMEOUT:
            self._decide("unreachable", "", _SERVICE_UNAVAILABLE)
        else:
            self._decide("busy" if code in _BUSY else "rejected", leg.side, code)
        other = self._called if leg is self._caller else self._caller
        failed = leg is self._called and not self._answered and code >= _FIRST_FINAL_FAILURE
        if other is not None:
            other.end((self._ending or ("", "", code))[2] if failed else 0)
        self._wire()

    def close(self, now_s: float) -> None:
        """End the recording, and tell of the call's end once its taps are whole; called again until then."""
        if self._reported_end:
            return
        if self._closing_since_s is None:
            self._closing_since_s = now_s
            self._wire()
            # Explicitly, on this thread, and outside any callback.
            if self._taps is not None:
                self._taps.close()
            for player in (self._player, self._ramp):
                if player is not None:
                    pj.AudioMediaPlayer.__swig_destroy__(player)
            self._player = self._ramp = None
        late = now_s - self._closing_since_s > _WHOLE_S
        if self._taps is not None and not late and not self._taps.whole:
            return
        self._reported_end = True
        if self._taps is not None:
            self._taps.release()
        ending, by, code = self._ending or ("cancelled", "", 0)
        self._studio.report(Ended(call=self.number, at_s=self._ended_s, ending=ending, by=by, code=code), ())
