"""One leg of a bridged call: what the library says of it, passed on to the call's session.

Traps of pjsua2 2.15.1 that shape this file (each was seen to kill the process or another call):
- A `Call` whose Python reference is lost hangs up; one that is destroyed after its slot was reused hangs
  up the *new* call. So a leg is destroyed inside its own DISCONNECTED callback, and only there.
- `hangup()` on a call whose `makeCall` failed (id -1) fails an assertion.
- An exception that crosses a callback is swallowed and pins its frame; so callbacks are guarded.
- `call.getInfo().media` without holding the CallInfo reads freed memory.
- A REFER is accepted unless its callback says otherwise, and then one `Call` object serves two calls.
"""

from typing import Final, Protocol

import pjsua2 as pj

from callseal.agent.sources.bridge.protocol import CallSide

_DECLINE: Final = 603


class Follower(Protocol):
    """Who hears of a leg: the call's session."""

    def leg_state(self, leg: "Leg", state: int, code: int) -> None:
        """Follow a leg that moved on."""

    def leg_media(self, leg: "Leg") -> None:
        """Follow a leg's audio that came, moved or went."""

    def fault(self, where: str, error: Exception) -> None:
        """Tell of an error."""

    def stumbled(self, where: str, error: Exception) -> None:
        """Tell of an error after which the call's state is not to be trusted."""


class Leg(pj.Call):
    """One of a call's two legs; passes what happens to its session."""

    def __init__(self, session: Follower, side: CallSide, account: pj.Account, call_id: int) -> None:
        super().__init__(account, call_id)
        self.session: Follower | None = session
        self.side: CallSide = side
        self.alive = call_id != pj.PJSUA_INVALID_ID
        self.dialling = False
        self.confirmed = False
        self.media: pj.AudioMedia | None = None
        self.codec = ""

    def onCallState(self, prm: pj.OnCallStateParam) -> None:  # noqa: N802, ARG002 - pjsua2's name
        """Follow the INVITE session's state."""
        session = self.session
        if session is None:
            return
        try:
            info = self.getInfo()
            session.leg_state(self, info.state, info.lastStatusCode)
        except Exception as error:  # noqa: BLE001 - nothing may cross the director boundary
            session.stumbled("leg state", error)
        if not self.alive and not self.dialling:
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

    def onCallTransferRequest(self, prm: pj.OnCallTransferRequestParam) -> None:  # noqa: N802
        """Refuse REFER: left alone, the library places the call that it asks for, past rules and recorder."""
        prm.statusCode = _DECLINE

    def onCallReplaceRequest(self, prm: pj.OnCallReplaceRequestParam) -> None:  # noqa: N802
        """Refuse an INVITE that would take this leg's place (RFC 3891), for the same reason."""
        prm.statusCode = _DECLINE

    def _find_media(self) -> None:
        info = self.getInfo()  # held while .media is used: it is freed with the CallInfo
        usable = (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD)
        self.media = None
        for index, media in enumerate(info.media):
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status in usable:
                try:
                    codec = self.getStreamInfo(index).codecName.upper()
                except pj.Error:
                    return  # held in both directions from the start: it has a port, but no stream yet
                self.media = self.getAudioMedia(index)
                self.codec = codec
                return

    def end(self, code: int = 0) -> None:
        """Hang up, cancel or refuse, whichever fits the leg's state."""
        if not self.alive or self.getId() == pj.PJSUA_INVALID_ID:
            return
        prm = pj.CallOpParam()
        prm.statusCode = code
        try:
            self.hangup(prm)
        except pj.Error as error:
            if self.session is not None:
                self.session.fault("hangup", error)
