"""The child's two accounts: one towards the telephone, one towards the telephone system.

What distinguishes them is where their sound is and whether it is SRTP; both speak SIP with the edge alone,
which is every request's outbound proxy. The edge says in a header of each INVITE where it came from.

Traps of pjsua2 2.15.1 that shape this file:
- Left alone, the library picks the account by To and request URI, that is by what a stranger wrote;
  `onSelectAccount` decides here.
- `onIncomingCall` must be overridden on every account, or the caller gets 500.
- An exception that crosses a callback is swallowed and pins its frame; so callbacks are guarded.
"""

import re
from collections.abc import Callable
from typing import Final

import pjsua2 as pj

from callseal.agent.sources.bridge.protocol import CallSide, PhoneSrtp, Start

TOKEN_HEADER: Final = "X-Callseal-Call"  # noqa: S105 - the name of a header
FROM_HEADER: Final = "X-Callseal-From"
TO_HEADER: Final = "X-Callseal-To"
FACES: Final[dict[CallSide, str]] = {"agent": "phone", "customer": "pbx"}
"""What the edge calls the sides."""
CONTACT_USERS: Final[dict[CallSide, str]] = {"agent": "callseal-phone", "customer": "callseal-line"}

_SIDES: Final = {face: side for side, face in FACES.items()}
_SRTP: Final[dict[PhoneSrtp, int]] = {
    "off": pj.PJMEDIA_SRTP_DISABLED,
    "optional": pj.PJMEDIA_SRTP_OPTIONAL,
    "required": pj.PJMEDIA_SRTP_MANDATORY,
}
_FOLD: Final = re.compile(r"[ \t]*\n[ \t]+")
_MAX_TOKEN: Final = 64
_SESSION_EXPIRES_S: Final = 1800
"""RFC 4028 section 4.2 recommends it."""


class Line(pj.Account):
    """An account: INVITEs from its side arrive here."""

    def __init__(
        self,
        side: CallSide,
        invited: Callable[[int, CallSide, str], None],
        fault: Callable[[str, Exception], None],
    ) -> None:
        """`invited` takes the library's call number, the side and the message."""
        super().__init__()
        self.side: CallSide = side
        self._invited = invited
        self._fault = fault

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:  # noqa: N802 - pjsua2's name
        """Hand a new INVITE on."""
        try:
            self._invited(prm.callId, self.side, prm.rdata.wholeMsg)
        except Exception as error:  # noqa: BLE001 - nothing may cross the director boundary
            self._fault("invite", error)


class Switch(pj.Endpoint):
    """The library itself, which asks to which account a request belongs."""

    def __init__(self, fault: Callable[[str, Exception], None]) -> None:
        super().__init__()
        self.numbers: dict[CallSide, int] = {}
        self._fault = fault

    def onSelectAccount(self, prm: pj.OnSelectAccountParam) -> None:  # noqa: N802 - pjsua2's name
        """Choose by the edge's header; without one the library's choice stands, and the service refuses."""
        try:
            side = _SIDES.get(header(prm.rdata.wholeMsg, FROM_HEADER))
            if side in self.numbers:
                prm.accountIndex = self.numbers[side]
        except Exception as error:  # noqa: BLE001 - as above
            self._fault("select account", error)


def token(message: str) -> str:
    """Give what the edge calls the call of an INVITE; empty when it is none of the edge's."""
    found = header(message, TOKEN_HEADER)
    return found if found.isascii() and found.isalnum() and len(found) <= _MAX_TOKEN else ""


def header(message: str, name: str) -> str:
    """Give a header's first value, unfolded (RFC 3261 section 7.3.1); empty when there is none."""
    head = message.replace("\r\n", "\n").split("\n\n", 1)[0]  # the library takes a bare LF too
    for line in _FOLD.sub(" ", head).split("\n")[1:]:
        key, colon, value = line.partition(":")
        if colon and key.strip().lower() == name.lower():
            return value.strip()
    return ""


def settings(side: CallSide, start: Start, port: int) -> pj.AccountConfig:
    """Give the settings of a side's account; `port` is where the child speaks SIP."""
    account = pj.AccountConfig()
    account.idUri = f"sip:callseal-{FACES[side]}@{start.host}:{port}"
    account.regConfig.registerOnAdd = False
    account.sipConfig.contactForced = f"<sip:{CONTACT_USERS[side]}@{start.host}:{port}>"
    account.sipConfig.proxies.append(f"<sip:{start.edge};lr>")
    account.callConfig.timerUse = pj.PJSUA_SIP_TIMER_OPTIONAL
    account.callConfig.timerSessExpiresSec = _SESSION_EXPIRES_S
    media = account.mediaConfig
    address = start.phone_media if side == "agent" else start.pbx_media
    media.transportConfig.boundAddress = address
    media.transportConfig.publicAddress = address
    media.transportConfig.port = start.rtp_port
    media.transportConfig.portRange = start.rtp_ports
    media.srtpUse = _SRTP[start.phone_srtp] if side == "agent" else pj.PJMEDIA_SRTP_DISABLED
    media.srtpSecureSignaling = 0  # keys cross this machine's loopback only
    media.srtpOpt.keyings.append(pj.PJMEDIA_SRTP_KEYING_SDES)
    account.natConfig.contactRewriteUse = 0
    account.natConfig.viaRewriteUse = 0
    account.natConfig.sdpNatRewriteUse = 0
    account.natConfig.sipOutboundUse = 0
    return account
