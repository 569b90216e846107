"""One bridged call inside the child: two legs, or for the time of a transfer three.

Everything here runs on the one thread that owns pjsua2. Callbacks note what happened; what ends by it ends
at the next turn (`tick`), after the service's commands were read: a telephone that transfers a call hangs
up at once, and its BYE must not be obeyed before the command that the service sent earlier.

The recording ends with the first reason to end the call. The legs may take longer: a party that does not
answer its BYE keeps its leg for 32 s (RFC 3261 timer F), and nobody is recorded during that.
"""

import random
import time
from typing import Final

import pjsua2 as pj

from callseal.agent.sources.bridge.accounts import FACES, TO_HEADER, TOKEN_HEADER
from callseal.agent.sources.bridge.coding import extended, usual
from callseal.agent.sources.bridge.holding import Holding
from callseal.agent.sources.bridge.keys import Keys
from callseal.agent.sources.bridge.leg import Leg
from callseal.agent.sources.bridge.protocol import (
    Answered,
    CallSide,
    Dialled,
    Ended,
    Fault,
    HoldChanged,
    Join,
    Pressed,
    Route,
    Transfer,
    TransferFailed,
    Transferred,
)
from callseal.agent.sources.bridge.sound import Sound, Stage, Studio
from callseal.agent.sources.bridge.transferring import Notices, Transferral
from callseal.agent.sources.bridge.wiring import OTHER

SYNC_S: Final = 0.1
"""How long the ramp plays before the second leg is dialled: five ticks, so that every tap has heard it."""
NOTIFY_S: Final = 1.0
"""How long who has transferred a call may take to answer the last NOTIFY before it is hung up."""
_SERVICE_UNAVAILABLE: Final = 503
_REQUEST_TIMEOUT: Final = 408
_NO_CALL: Final = 481
_TERMINATED: Final = 487
_PENDING: Final = 491
_BUSY: Final = frozenset({486, 600})
_UNUSABLE: Final = frozenset({406, 488})
"""What the library answers by itself to a description that cannot be spoken; the edge makes 488 of both."""
_TOO_SHORT: Final = 422
"""And to a session interval that it finds too small (RFC 4028 section 6)."""
_NOT_ACCEPTABLE_HERE: Final = 488
_RINGING: Final = 180
_PROGRESS: Final = 183
_OK: Final = 200
_FIRST_FINAL_FAILURE: Final = 300


class Session:
    """A call from its INVITE to the end of its legs."""

    def __init__(
        self, studio: Studio, number: int, side: CallSide, call_id: int, codings: tuple[str, ...]
    ) -> None:
        """`side` is where the INVITE came from, `call_id` the library's, `codings` what it offers."""
        self.number = number
        self._studio = studio
        self._dice = random.Random()  # noqa: S311 - spreads attempts, protects nothing
        self._sound = Sound(studio, number, self.fault)
        self._holding = Holding(self._hold_changed)
        self._keys = Keys(self._pressed)
        self._route: Route | None = None
        self._calling: CallSide = side
        self._codings = codings
        self._legs: dict[CallSide, Leg] = {side: Leg(self, side, studio.library.line(side), call_id)}
        self._transfer: Transferral | None = None
        self._leaving: dict[Leg, float] = {}
        self._gone: list[tuple[Leg, int]] = []
        self._invited_s = time.monotonic()
        self._dial_at_s: float | None = None
        self._dialled_s: float | None = None
        self._sent_codes: set[int] = set()
        self._answered = False
        self._ending: tuple[str, str, int] | None = None
        self._ended_s = 0.0
        self._reported_end = False
        self._stumbled = False

    @property
    def done(self) -> bool:
        """Whether nothing is left of the call, its end told and all legs gone."""
        return self._reported_end and not (self._legs or self._leaving or self._transfer or self._gone)

    # --- what the service says ----------------------------------------------------------------------

    def route(self, route: Route) -> None:
        """Let the call through."""
        caller = self._legs.get(self._calling)
        if self._route is not None or caller is None or not caller.alive:
            return
        self._route = route
        now_s = time.monotonic()
        self._dial_at_s = now_s
        if not route.record:
            return
        if not self._sound.open(route, now_s):
            self.refuse(_SERVICE_UNAVAILABLE)
        elif self._sound.recording:
            self._dial_at_s = now_s + SYNC_S

    def refuse(self, code: int) -> None:
        """Turn the call away."""
        self._decide("refused", "", code)
        self._end_legs(code)

    def hang_up(self) -> None:
        """End the call, all legs."""
        self._decide("hangup" if self._answered else "cancelled", "", 0)
        self._end_legs(_SERVICE_UNAVAILABLE if not self._answered else 0)

    def transfer(self, command: Transfer) -> None:
        """Call who is to take the place of one of the parties."""
        notices = self._notices(command.side, command.refer_id)
        if self._transfer is not None or not self._talks(OTHER[command.side]):
            self._refuse_transfer(notices, _NO_CALL if self._transfer is None else _PENDING)
            return
        remaining = self._legs[OTHER[command.side]]
        newcomer = Leg(self, command.side, self._studio.library.line("customer"), pj.PJSUA_INVALID_ID)
        headers = {TOKEN_HEADER: command.token, TO_HEADER: FACES["customer"]}
        codings = tuple(dict.fromkeys((remaining.codec, *usual(self._studio.rate_hz))))
        with self._studio.library.offering(codings):
            dialled = newcomer.dial(command.target, command.from_uri, headers)
        if dialled:
            self._transfer = Transferral(command.side, newcomer, notices, time.monotonic())
        else:
            self._refuse_transfer(notices, _SERVICE_UNAVAILABLE)

    def join(self, command: Join, other: "Session | None") -> None:
        """Let the customer of another call take the agent's place."""
        notices = self._notices("agent", command.refer_id)
        possible = self._transfer is None and self._talks("customer")
        newcomer = other.release_customer() if possible and other is not None else None
        if newcomer is None:
            self._refuse_transfer(notices, _NO_CALL if self._transfer is None else _PENDING)
            return
        newcomer.session = self
        self._transfer = Transferral("agent", newcomer, notices, time.monotonic())
        self._follow_transfer(time.monotonic())

    def release_customer(self) -> Leg | None:
        """Give the customer's leg away and end the call as transferred; None when there is no such leg."""
        customer = self._legs.get("customer")
        called = customer is not None and (self._answered or self._calling == "agent")
        if customer is None or not customer.alive or not called or self._transfer is not None or self._ending:
            return None
        del self._legs["customer"]
        self._sound.part("customer")
        self._decide("transferred", "agent", 0)
        self._end_legs(_TERMINATED)
        return customer

    # --- what time brings ---------------------------------------------------------------------------

    def tick(self, now_s: float, decision_timeout_s: float) -> None:
        """Do what is due: dial, give up, pass holds on, end the announcement, close."""
        if self._stumbled:
            self.hang_up()
        gone, self._gone = self._gone, []
        for leg, code in gone:
            self._follow_end(leg, code)
        if self._ending is None:
            self._advance(now_s, decision_timeout_s)
        if self._transfer is not None:
            self._follow_transfer(now_s)
        if self._answered and self._ending is None:
            self._holding.turn(self._legs, now_s)
        self._keys.turn(now_s)
        for leg in [leg for leg, deadline_s in self._leaving.items() if now_s > deadline_s]:
            leg.end()
        if self._sound.turn(now_s):
            self._wire()
        if self._ending is not None:
            self._close(now_s)

    def _advance(self, now_s: float, decision_timeout_s: float) -> None:
        route = self._route
        if route is None:
            if now_s - self._invited_s > decision_timeout_s:
                self.refuse(_SERVICE_UNAVAILABLE)
        elif self._dial_at_s is not None:
            if now_s >= self._dial_at_s:
                self._dial_at_s = None
                self._sound.stop_ramp()
                self._dial(route)
        elif self._dialled_s is not None and not self._answered:
            waited_s = now_s - self._dialled_s
            called = self._legs.get(OTHER[self._calling])
            silent = called is None or not called.progressed
            if waited_s > (route.response_timeout_s if silent else route.ring_timeout_s):
                code = _SERVICE_UNAVAILABLE if silent else _REQUEST_TIMEOUT
                self._decide("unreachable" if silent else "no-answer", "", code)
                self._end_legs(code)

    # --- what the legs say --------------------------------------------------------------------------

    def leg_state(self, leg: Leg, state: int, code: int) -> None:
        """Follow a leg that moved on: early, connecting, confirmed or gone."""
        if state == pj.PJSIP_INV_STATE_DISCONNECTED:
            name = self._port_name(leg)
            if name:
                self._sound.lose(name)
            self._gone.append((leg, code))
            return
        if self._transfer is not None and leg is self._transfer.newcomer:
            if state == pj.PJSIP_INV_STATE_EARLY:
                self._transfer.progress()
        elif leg is self._legs.get(OTHER[self._calling]) and not self._answered:
            if state == pj.PJSIP_INV_STATE_EARLY:
                self._pass_progress(leg, code)
            elif state == pj.PJSIP_INV_STATE_CONFIRMED and self._ending is None and self._caller_waits:
                self._answered = True
                self._studio.report(Answered(call=self.number, at_s=time.monotonic()), ())
                self._answer(_OK)
        self._wire()

    def leg_media(self, leg: Leg) -> None:
        """Follow a leg's audio that came, moved or went."""
        name = self._port_name(leg)
        if not name:
            return
        self._sound.renew(name, leg.media)
        if leg is self._legs.get(OTHER[self._calling]) and leg.media is not None and not self._answered:
            self._pass_progress(leg, _PROGRESS)
        self._wire()

    def leg_answered(self, leg: Leg, method: str, code: int) -> None:
        """Follow the final response to a request of ours within the dialog."""
        if method == "INVITE":
            self._holding.answered(leg, code, time.monotonic(), self._dice)
        elif method == "NOTIFY" and leg in self._leaving:
            self._leaving[leg] = 0.0

    def leg_key(self, leg: Leg, digit: str, duration_ms: int, *, first: bool, last: bool) -> None:
        """Pass a key on, and tell of it."""
        if self._legs.get(leg.side) is not leg or self._ending is not None:
            return
        other = self._legs.get(OTHER[leg.side])
        if first and other is not None and other.alive and other.media is not None:
            other.press(digit)
        self._keys.heard(leg.side, duration_ms, first=first, last=last, now_s=time.monotonic())

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

    def _dial(self, route: Route) -> None:
        side = OTHER[self._calling]
        leg = Leg(self, side, self._studio.library.line(side), pj.PJSUA_INVALID_ID)
        self._legs[side] = leg
        self._dialled_s = time.monotonic()
        headers = {TOKEN_HEADER: route.token, TO_HEADER: FACES[side]}
        with self._studio.library.offering(extended(self._codings, self._studio.rate_hz)):
            dialled = leg.dial(route.target, route.from_uri, headers)
        if not dialled:
            del self._legs[side]
            self._gone = [(one, code) for one, code in self._gone if one is not leg]
            self._decide("unreachable", "", _SERVICE_UNAVAILABLE)
            self._end_legs(_SERVICE_UNAVAILABLE)
            return
        self._studio.report(Dialled(call=self.number, sip_call_id=leg.getInfo().callIdString), ())

    def _pass_progress(self, called: Leg, code: int) -> None:
        self._answer(_PROGRESS if called.media is not None else min(max(code, _RINGING), _PROGRESS))

    def _answer(self, code: int) -> None:
        caller = self._legs.get(self._calling)
        if caller is None or not caller.alive or code in self._sent_codes or _OK in self._sent_codes:
            return
        self._sent_codes.add(code)
        called = self._legs.get(OTHER[self._calling])
        spoken = "" if called is None or called.media is None or code == _RINGING else called.codec
        # What the caller did not offer can't be its answer: then it speaks its own, and the bridge recodes.
        caller.respond(code, spoken if spoken in self._codings else "")

    # --- transfers ----------------------------------------------------------------------------------

    def _follow_transfer(self, now_s: float) -> None:
        transfer, route = self._transfer, self._route
        if transfer is None or route is None:
            return
        if self._ending is not None:
            transfer.newcomer.end()
        elif transfer.newcomer.confirmed and transfer.newcomer.alive:
            self._transfer = None
            self._seat(transfer, now_s)
        elif transfer.overdue(now_s, route.response_timeout_s, route.ring_timeout_s):
            transfer.newcomer.end()

    def _seat(self, transfer: Transferral, now_s: float) -> None:
        """Let the newcomer take its place."""
        side, newcomer = transfer.side, transfer.newcomer
        self._sound.part("newcomer")
        old = self._legs.pop(side, None)
        if old is not None:
            self._sound.part(side)
            told = transfer.notices.tell(_OK)
            self._leaving[old] = now_s + (NOTIFY_S if told else 0.0)
        newcomer.side = side
        self._legs[side] = newcomer
        self._studio.report(Transferred(call=self.number, at_s=now_s, side=side), ())
        self._sound.announce_again()
        self._wire()

    def _notices(self, side: CallSide, refer_id: str) -> Notices:
        expires_s = 60.0 if self._route is None else self._route.ring_timeout_s
        return Notices(self._legs.get(side), refer_id, expires_s)

    def _refuse_transfer(self, notices: Notices, code: int) -> None:
        notices.tell(code)
        self._studio.report(TransferFailed(call=self.number, at_s=time.monotonic(), code=code), ())

    @property
    def _caller_waits(self) -> bool:
        """Whether the caller has not given up, in this very turn perhaps: then no answer connects it."""
        caller = self._legs.get(self._calling)
        return caller is not None and caller.alive

    def _talks(self, side: CallSide) -> bool:
        leg = self._legs.get(side)
        return self._answered and self._ending is None and leg is not None and leg.alive

    # --- sound and keys -----------------------------------------------------------------------------

    def _port_name(self, leg: Leg) -> str:
        if self._transfer is not None and leg is self._transfer.newcomer:
            return "newcomer"
        return leg.side if self._legs.get(leg.side) is leg else ""

    def _wire(self) -> None:
        """Connect who is there."""
        if self._ending is not None:
            return
        transfer = self._transfer
        newcomer = None if transfer is None else transfer.newcomer
        if transfer is not None:
            old = self._legs.get(transfer.side)
            # What the newcomer's telephone plays is heard where the old party says nothing any more.
            silent = old is None or not old.alive or old.holds
            if newcomer is not None and (newcomer.media is None or not silent):
                newcomer = None
        self._sound.wire(
            Stage(
                legs=self._legs,
                newcomer=newcomer,
                newcomer_side=None if transfer is None else transfer.side,
                answered=self._answered,
            )
        )

    def _hold_changed(self, side: CallSide, held: bool) -> None:  # noqa: FBT001 - a callback
        note = HoldChanged(call=self.number, at_s=time.monotonic(), side=side, held=held)
        self._studio.report(note, ())

    def _pressed(self, side: CallSide, at_s: float, duration_ms: int) -> None:
        self._studio.report(Pressed(call=self.number, at_s=at_s, side=side, duration_ms=duration_ms), ())

    # --- ending -------------------------------------------------------------------------------------

    def _decide(self, ending: str, by: str, code: int) -> None:
        """Keep the first reason: what follows is its consequence."""
        if self._ending is None:
            self._ending = (ending, by, code)
            self._ended_s = time.monotonic()
            self._sound.stop()

    def _end_legs(self, code: int) -> None:
        for leg in self._legs.values():
            leg.end(code if leg.side == self._calling and not self._answered else 0)
        if self._transfer is not None:
            self._transfer.newcomer.end()

    def _follow_end(self, leg: Leg, code: int) -> None:
        if self._leaving.pop(leg, None) is not None:
            return
        transfer = self._transfer
        if transfer is not None and leg is transfer.newcomer:
            self._transfer = None
            self._fail_transfer(transfer, code)
            return
        if self._legs.get(leg.side) is leg:
            del self._legs[leg.side]
        if transfer is not None and leg.side == transfer.side and self._ending is None:
            self._wire()
            return  # who has transferred the call has left it: it goes on with whom it called
        if self._answered:
            self._decide("hangup", leg.side, code)
        elif leg.side == self._calling and code in (*_UNUSABLE, _TOO_SHORT):
            self._decide("refused", "", _NOT_ACCEPTABLE_HERE if code in _UNUSABLE else code)
        elif leg.side == self._calling:
            self._decide("cancelled", leg.side, code)
        elif not leg.progressed and code == _REQUEST_TIMEOUT:
            self._decide("unreachable", "", _SERVICE_UNAVAILABLE)
        else:
            self._decide("busy" if code in _BUSY else "rejected", leg.side, code)
        final = 0 if self._ending is None else self._ending[2]
        self._end_legs(final if code >= _FIRST_FINAL_FAILURE else 0)

    def _fail_transfer(self, transfer: Transferral, code: int) -> None:
        if self._ending is not None:
            return
        self._refuse_transfer(transfer.notices, code)
        if transfer.side not in self._legs:
            self._decide("hangup", transfer.side, 0)
            self._end_legs(0)
        self._wire()

    def _close(self, now_s: float) -> None:
        """End the recording, and tell of the call's end once its taps are whole; called again until then."""
        if self._reported_end or not self._sound.close(now_s):
            return
        self._keys.close()
        self._reported_end = True
        ending, by, code = self._ending or ("cancelled", "", 0)
        self._studio.report(Ended(call=self.number, at_s=self._ended_s, ending=ending, by=by, code=code), ())
