"""One leg of a bridged call: what the library says of it, passed on to the call's session.

Traps of pjsua2 2.15.1 that shape this file (each was seen to kill the process or another call):
- A `Call` whose Python reference is lost hangs up; one that is destroyed after its slot was reused hangs
  up the *new* call. So a leg is destroyed inside its own DISCONNECTED callback, and only there.
- `hangup()` on a call whose `makeCall` failed (id -1) fails an assertion.
- An exception that crosses a callback is swallowed and pins its frame; so callbacks are guarded.
- `call.getInfo().media` without holding the CallInfo reads freed memory.
- A REFER is accepted unless its callback says otherwise, and then one `Call` object serves two calls.
"""

from collections.abc import Mapping
from typing import Final, Protocol

import pjsua2 as pj

from callseal.agent.sources.bridge import native
from callseal.agent.sources.bridge.coding import narrowed
from callseal.agent.sources.bridge.protocol import CallSide

_DECLINE: Final = 603
_FIRST_FINAL: Final = 200
_KEY_UPDATE: Final = 1
_KEY_END: Final = 2
"""`PJMEDIA_STREAM_DTMF_IS_UPDATE` and `_IS_END`, which pjsua2 does not name."""
_USABLE: Final = (
    pj.PJSUA_CALL_MEDIA_ACTIVE,
    pj.PJSUA_CALL_MEDIA_REMOTE_HOLD,
    pj.PJSUA_CALL_MEDIA_LOCAL_HOLD,  # whom we hold may still send: music, or what it says
)


class Follower(Protocol):
    """Who hears of a leg: the call's session."""

    def leg_state(self, leg: "Leg", state: int, code: int) -> None:
        """Follow a leg that moved on."""

    def leg_media(self, leg: "Leg") -> None:
        """Follow a leg's audio that came, moved or went."""

    def leg_answered(self, leg: "Leg", method: str, code: int) -> None:
        """Follow the final response to a request of ours within the dialog."""

    def leg_key(self, leg: "Leg", digit: str, duration_ms: int, *, first: bool, last: bool) -> None:
        """Follow a key that is pressed, is still pressed, or was let go."""

    def fault(self, where: str, error: Exception) -> None:
        """Tell of an error."""

    def stumbled(self, where: str, error: Exception) -> None:
        """Tell of an error after which the call's state is not to be trusted."""


class Leg(pj.Call):
    """One of a call's legs; passes what happens to its session."""

    def __init__(self, session: Follower, side: CallSide, account: pj.Account, call_id: int) -> None:
        super().__init__(account, call_id)
        self.session: Follower | None = session
        self.side: CallSide = side
        self.alive: bool = call_id != pj.PJSUA_INVALID_ID
        self.outgoing = not self.alive
        """Whether the Call-ID is ours."""
        self.dialling = False
        self.progressed = False
        """Whether the called telephone has said anything."""
        self.confirmed = False
        self.media: pj.AudioMedia | None = None
        self.codec = ""
        self.holds = False
        """Whether the party does not want to hear us at present."""
        self.asked_to_hold = False
        """Whether the last description that we offered wants the party not to be heard."""
        self._their_offer = False
        self._ending = False

    # --- what the library says ----------------------------------------------------------------------

    def onCallState(self, prm: pj.OnCallStateParam) -> None:  # noqa: N802, ARG002 - pjsua2's name
        """Follow the INVITE session's state."""
        session = self.session
        if session is None:
            return
        try:
            info = self.getInfo()
            if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
                self.alive = False
                self.media = None
            elif info.state in (pj.PJSIP_INV_STATE_EARLY, pj.PJSIP_INV_STATE_CONNECTING):
                self.progressed = True
            elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
                self.progressed = self.confirmed = True
            session.leg_state(self, info.state, info.lastStatusCode)
        except Exception as error:  # noqa: BLE001 - nothing may cross the director boundary
            session.stumbled("leg state", error)
        if not self.alive:
            self.session = None
            # A call can fail inside makeCall, its callback included: it is not destroyed under that.
            if not self.dialling:
                pj.Call.__swig_destroy__(self)

    def onCallMediaState(self, prm: pj.OnCallMediaStateParam) -> None:  # noqa: N802, ARG002
        """Follow the leg's audio: it appears, moves to another port, or goes."""
        session = self.session
        if session is None:
            return
        try:
            self._find_media()
            session.leg_media(self)
        except Exception as error:  # noqa: BLE001 - as above
            session.fault("leg media", error)

    def onCallRxOffer(self, prm: pj.OnCallRxOfferParam) -> None:  # noqa: N802, ARG002
        """Note that the next change of the audio is the party's wish."""
        self._their_offer = True

    def onCallTsxState(self, prm: pj.OnCallTsxStateParam) -> None:  # noqa: N802
        """Follow final responses to our requests within the dialog."""
        session = self.session
        if session is None or not self.confirmed:
            return
        try:
            event = prm.e.body.tsxState
            transaction = event.tsx
            # One that was refused is "completed" now and "terminated" only 32 s later (timer D).
            ended = transaction.state == pj.PJSIP_TSX_STATE_COMPLETED or (
                transaction.state == pj.PJSIP_TSX_STATE_TERMINATED
                and event.prevState != pj.PJSIP_TSX_STATE_COMPLETED
            )
            if transaction.role == pj.PJSIP_ROLE_UAC and ended and transaction.statusCode >= _FIRST_FINAL:
                session.leg_answered(self, transaction.method, transaction.statusCode)
        except Exception as error:  # noqa: BLE001 - as above
            session.fault("leg transaction", error)

    def onDtmfEvent(self, prm: pj.OnDtmfEventParam) -> None:  # noqa: N802
        """Follow a key (RFC 4733, or INFO); the digit is passed on and told to nobody else."""
        session = self.session
        if session is None:
            return
        try:
            first = not prm.flags & _KEY_UPDATE
            last = bool(prm.flags & _KEY_END)
            session.leg_key(self, prm.digit, prm.duration, first=first, last=last)
        except Exception as error:  # noqa: BLE001 - as above
            session.fault("leg key", error)

    def onCallTransferRequest(self, prm: pj.OnCallTransferRequestParam) -> None:  # noqa: N802
        """Refuse REFER: left alone, the library places the call that it asks for, past rules and recorder.

        Those that are followed never get here: the edge answers them.
        """
        prm.statusCode = _DECLINE

    def onCallReplaceRequest(self, prm: pj.OnCallReplaceRequestParam) -> None:  # noqa: N802
        """Refuse an INVITE that would take this leg's place (RFC 3891), for the same reason."""
        prm.statusCode = _DECLINE

    def onCallRedirected(self, prm: pj.OnCallRedirectedParam) -> int:  # noqa: N802, ARG002
        """Try none of a 3xx's targets: the caller gets it, and its telephone may.

        The library's own way, to stop, makes a 487 of it.
        """
        action: int = pj.PJSIP_REDIRECT_REJECT
        return action

    def _find_media(self) -> None:
        info = self.getInfo()  # held while .media is used: it is freed with the CallInfo
        theirs, self._their_offer = self._their_offer, False
        direction = pj.PJMEDIA_DIR_NONE
        self.media = None
        for index, media in enumerate(info.media):
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status in _USABLE:
                try:
                    stream = self.getStreamInfo(index)
                except pj.Error:
                    break  # held in both directions from the start: it has a port, but no stream yet
                direction = stream.dir
                self.media = self.getAudioMedia(index)
                self.codec = stream.codecName.upper()
                break
        # "inactive" is a common answer to our hold, and no hold of the party's own.
        if theirs or not self.asked_to_hold:
            self.holds = not direction & pj.PJMEDIA_DIR_ENCODING

    # --- what is asked of it ------------------------------------------------------------------------

    def dial(self, target: str, from_uri: str, headers: Mapping[str, str]) -> bool:
        """Send the INVITE; False when that was impossible."""
        prm = pj.CallOpParam(True)  # pjsua2's "use default call settings"
        prm.opt.videoCount = 0
        prm.txOption.localUri = from_uri
        prm.txOption.headers = _headers(headers)
        self.alive = self.dialling = True
        try:
            self.makeCall(target, prm)
        except pj.Error as error:
            self.alive = False
            if self.session is not None:
                self.session.fault("dial", error)
        finally:
            self.dialling = False
        if not self.alive:
            self.session = None
        return self.alive

    def respond(self, code: int, coding: str = "") -> None:
        """Answer the leg's INVITE, provisionally or for good; in this coding, where that was offered."""
        prm = pj.CallOpParam()
        prm.statusCode = code
        if coding:
            answer = native.unsent_answer(self.getId())
            prm.sdp.wholeSdp = narrowed(answer, coding) if answer else ""
        self.answer(prm)

    def ask_to_hold(self, *, hold: bool) -> bool:
        """Send a re-INVITE that puts the party on hold, or takes it back; False when it cannot go now."""
        before, self.asked_to_hold = self.asked_to_hold, hold
        try:
            if hold:
                self.setHold(pj.CallOpParam())
            else:
                prm = pj.CallOpParam(True)
                prm.opt.videoCount = 0
                prm.opt.flag = pj.PJSUA_CALL_UNHOLD
                self.reinvite(prm)
        except pj.Error:
            self.asked_to_hold = before  # another offer is under way
            return False
        return True

    def notify(self, event: str, state: str, status_line: str) -> None:
        """Tell who sent a REFER how it goes (RFC 3515 section 2.4.4)."""
        prm = pj.CallSendRequestParam()
        prm.method = "NOTIFY"
        prm.txOption.headers = _headers({"Event": event, "Subscription-State": state})
        prm.txOption.contentType = "message/sipfrag;version=2.0"
        prm.txOption.msgBody = f"{status_line}\r\n"
        self.sendRequest(prm)

    def press(self, digit: str) -> None:
        """Pass a key on: in the sound's stream (RFC 4733) where the party takes it, else by INFO."""
        try:
            self.dialDtmf(digit)
        except pj.Error:
            prm = pj.CallSendDtmfParam()
            prm.method = pj.PJSUA_DTMF_METHOD_SIP_INFO
            prm.digits = digit
            self.sendDtmf(prm)

    def end(self, code: int = 0) -> None:
        """Hang up, cancel or refuse, whichever fits the leg's state; once."""
        if not self.alive or self._ending or self.getId() == pj.PJSUA_INVALID_ID:
            return
        self._ending = True
        prm = pj.CallOpParam()
        prm.statusCode = code
        try:
            self.hangup(prm)
        except pj.Error as error:
            if self.session is not None:
                self.session.fault("hangup", error)


def _headers(values: Mapping[str, str]) -> pj.SipHeaderVector:
    vector = pj.SipHeaderVector()
    for name, value in values.items():
        header = pj.SipHeader()
        header.hName = name
        header.hValue = value
        vector.append(header)
    return vector
