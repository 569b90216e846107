"""A small telephone for the demo: places or takes one call and plays a speech into it.

Started as a process of its own (`python -m callseal.cli.demo.phone`), since pjsua2 allows one endpoint a
process. It says on standard output, a word a line, what happens: ready, talking, gone.
"""

import argparse
import gc
import sys
import time
from pathlib import Path
from typing import Final

import pjsua2 as pj

_TURN_MS: Final = 10
_RATE_HZ: Final = 8000
_GIVE_UP_S: Final = 60.0


class Ear(pj.Account):
    """The telephone's account: takes the first call that comes."""

    def __init__(self) -> None:
        super().__init__()
        self.call: Talk | None = None

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:  # noqa: N802 - pjsua2's name
        """Ring."""
        if self.call is not None:
            return
        self.call = Talk(self, prm.callId)
        _answer(self.call, 180)


class Talk(pj.Call):
    """The telephone's one call."""

    def __init__(self, account: pj.Account, call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(account, call_id)
        self.confirmed_s = 0.0
        self.answered = False
        self.gone = False
        self.media: pj.AudioMedia | None = None

    def onCallState(self, prm: pj.OnCallStateParam) -> None:  # noqa: N802, ARG002 - pjsua2's name
        """Note the answer and the end."""
        state = self.getInfo().state
        if state == pj.PJSIP_INV_STATE_CONFIRMED:
            self.confirmed_s = time.monotonic()
        elif state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.gone = True
            self.media = None

    def onCallMediaState(self, prm: pj.OnCallMediaStateParam) -> None:  # noqa: N802, ARG002
        """Note where the sound goes."""
        info = self.getInfo()
        if info.media[0].status == pj.PJSUA_CALL_MEDIA_ACTIVE:
            self.media = self.getAudioMedia(0)


def _answer(call: Talk, code: int) -> None:
    prm = pj.CallOpParam()
    prm.statusCode = code
    call.answer(prm)


def _start(port: int, user: str) -> tuple[pj.Endpoint, Ear]:
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.uaConfig.userAgent = "callseal-demo"
    config.medConfig.clockRate = _RATE_HZ
    config.medConfig.sndClockRate = _RATE_HZ
    config.medConfig.noVad = True
    config.medConfig.ecTailLen = 0
    config.logConfig.level = 0
    config.logConfig.consoleLevel = 0
    endpoint.libInit(config)
    transport = pj.TransportConfig()
    transport.port = port
    transport.boundAddress = transport.publicAddress = "127.0.0.1"
    endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()
    for codec in endpoint.codecEnum2():
        endpoint.codecSetPriority(codec.codecId, 255 if codec.codecId.startswith("PCMU/") else 0)
    account = pj.AccountConfig()
    account.idUri = f"sip:{user}@127.0.0.1:{port}"
    account.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
    account.mediaConfig.transportConfig.publicAddress = "127.0.0.1"
    ear = Ear()
    ear.create(account, True)  # pjsua2's "make it the default"
    return endpoint, ear


def _say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


class Conversation:
    """Leads the telephone's one call: ring, answer, speak, hang up."""

    def __init__(self, ear: Ear, options: argparse.Namespace, now_s: float) -> None:
        self._ear = ear
        self._options = options
        self._began_s = now_s
        self._rung_s = 0.0
        self._player: pj.AudioMediaPlayer | None = None
        self._speech_s = 0.0
        if options.call:
            ear.call = Talk(ear)
            ear.call.makeCall(options.call, pj.CallOpParam(True))  # "use default settings"

    def over(self, now_s: float) -> bool:
        """Do what is due; True when nothing more will come."""
        call = self._ear.call
        if now_s - self._began_s > _GIVE_UP_S or (call is not None and call.gone):
            return True
        if call is not None and not call.confirmed_s:
            self._ring(call, now_s)
        elif call is not None and call.media is not None:
            self._speak(call, call.media, now_s - call.confirmed_s)
        return False

    def end(self) -> bool:
        """Put the receiver down; True when the call was answered."""
        if self._player is not None:
            pj.AudioMediaPlayer.__swig_destroy__(self._player)
        return self._ear.call is not None and bool(self._ear.call.confirmed_s)

    def _ring(self, call: Talk, now_s: float) -> None:
        self._rung_s = self._rung_s or now_s
        if not self._options.call and not call.answered and now_s - self._rung_s > self._options.ring:
            call.answered = True
            _answer(call, 200)

    def _speak(self, call: Talk, media: pj.AudioMedia, talked_s: float) -> None:
        delay_s: float = self._options.delay
        if self._player is None and talked_s >= delay_s:
            self._player = pj.AudioMediaPlayer()
            self._player.createPlayer(str(self._options.speech), pj.PJMEDIA_FILE_NO_LOOP)
            self._speech_s = self._player.getInfo().sizeSamples / _RATE_HZ
            self._player.startTransmit(media)
            _say("talking")
        elif self._player is not None and talked_s >= delay_s + self._speech_s + self._options.linger:
            call.hangup(pj.CallOpParam())


def main() -> None:
    """Run the telephone; the status is 0 when its call was answered."""
    parser = argparse.ArgumentParser(prog="callseal-demo-phone")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--speech", type=Path, required=True, help="WAV, 8 kHz mono")
    parser.add_argument("--call", default="", help="SIP URI to call; without it the telephone waits")
    parser.add_argument("--ring", type=float, default=0.5, help="seconds to ring before answering")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds from the answer to the speech")
    parser.add_argument("--linger", type=float, default=1.0, help="seconds from the speech to hanging up")
    options = parser.parse_args()
    endpoint, ear = _start(options.port, options.user)
    gc.disable()  # objects of pjsua2 are ended here, in order, and by nobody else
    _say("ready")
    conversation = Conversation(ear, options, time.monotonic())
    while not conversation.over(time.monotonic()):
        endpoint.libHandleEvents(_TURN_MS)
    answered = conversation.end()
    _say("gone")
    ear.call = None
    ear.shutdown()
    gc.collect()
    del ear
    endpoint.libDestroy()
    sys.exit(0 if answered else 1)


if __name__ == "__main__":
    main()
