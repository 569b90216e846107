"""Telephones for a bench: they register by digest, call, take calls, and talk. One thread for all of them.

Little user agents over UDP on loopback: a request is sent again until something comes back, an answer is
not; whoever is called takes the call at once. One paced loop sends and takes the sound of all calls: G.711
µ-law, a packet every 20 ms (RFC 3550, RFC 3551).

Source: RFC 3261 sections 10, 12, 13, 17, 22; RFC 2617.
"""

import asyncio
import contextlib
import hashlib
import itertools
import re
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.sip_parts import branch_of, tag_of
from support.sip_peer import Message, describe

Address = tuple[str, int]
FRAME_S: Final = 0.02
FRAME_SAMPLES: Final = 160
REFRESH_S: Final = 60.0
"""How often a telephone registers anew; those that can be bought do it every minute to every hour."""
EXPIRES_S: Final = 300
PAUSES_S: Final = (0.5, 1.0, 2.0, 4.0, 4.0, 4.0)
"""Until a request is sent again (RFC 3261 section 17.1, T1 and T2)."""
RING_S: Final = 30.0
_HEADER: Final = struct.Struct("!BBHII")
_VERSION: Final = 0x80
_MAX_PACKET_BYTES: Final = 2048
_UNAUTHORIZED: Final = (401, 407)
_numbers = itertools.count(1)


class Stream:
    """One telephone's end of one call's sound."""

    def __init__(self, voice: Sequence[bytes]) -> None:
        """`voice` is said over and over: frames of 20 ms."""
        self._voice = voice
        self._number = 0
        self._ssrc = next(_numbers)
        self._first: int | None = None
        self._last = 0
        self.heard = 0
        """Packets that came."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def missed(self) -> int:
        """Packets that were sent and did not come, by their numbers."""
        return 0 if self._first is None else ((self._last - self._first) & 0xFFFF) + 1 - self.heard

    def towards(self, peer: Address) -> None:
        self._socket.connect(peer)

    def turn(self) -> None:
        """Say the next frame, and take what has come."""
        number, self._number = self._number, self._number + 1
        stamp = number * FRAME_SAMPLES & 0xFFFFFFFF
        header = _HEADER.pack(_VERSION, 0, number & 0xFFFF, stamp, self._ssrc)
        with contextlib.suppress(ConnectionRefusedError):
            self._socket.send(header + self._voice[number % len(self._voice)])
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            while True:
                packet = self._socket.recv(_MAX_PACKET_BYTES)
                if len(packet) == _HEADER.size + FRAME_SAMPLES:
                    self._last = int.from_bytes(packet[2:4], "big")
                    self._first = self._last if self._first is None else self._first
                    self.heard += 1

    def close(self) -> None:
        self._socket.close()


@dataclass
class Sound:
    """All calls' sound."""

    streams: list[Stream] = field(default_factory=list)
    worst_s: float = 0.0
    """By how much a frame was late at most since this was set to 0."""

    async def run(self) -> None:
        """Turn all streams every 20 ms, until cancelled."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            self.worst_s = max(self.worst_s, loop.time() - due_s)
            for stream in self.streams:
                stream.turn()
            due_s += FRAME_S
            await asyncio.sleep(max(0.0, due_s - loop.time()))


@dataclass(eq=False, kw_only=True)
class Call:
    """One side of one dialog."""

    call_id: str
    local: str
    """From or To with our tag, as it is in our requests."""
    remote: str
    target: str
    stream: Stream | None = None
    """None for a registration."""
    routes: list[str] = field(default_factory=list)
    number: int = 0
    """CSeq of our last request."""


class Telephone(asyncio.DatagramProtocol):
    """A telephone of `user`, whose requests all go to one port."""

    def __init__(self, user: str, password: str, *, registrar: int, proxy: int, sound: Sound) -> None:
        self.user = user
        self.calls: list[Call] = []
        self._password = password
        self._registrar = f"127.0.0.1:{registrar}"
        self._proxy = ("127.0.0.1", proxy)
        self._sound = sound
        self._voice: Sequence[bytes] = (bytes((0xFF,)) * FRAME_SAMPLES,)
        self._answers: dict[tuple[str, str], asyncio.Queue[Message]] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._own = ""
        self._registration = Call(
            call_id=f"registration-{user}-{next(_numbers)}",
            local=f"<sip:{user}@{self._registrar}>;tag=r{next(_numbers)}",
            remote=f"<sip:{user}@{self._registrar}>",
            target=f"sip:{self._registrar}",
        )
        self._challenge: dict[str, str] = {}
        self._uses = 0

    async def open(self, voice: Sequence[bytes]) -> None:
        """Take a port; `voice` is what is said in each call."""
        self._voice = voice
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        host, port = self._transport.get_extra_info("sockname")
        self._own = f"{host}:{port}"

    def close(self) -> None:
        for call in list(self.calls):
            self._end(call)
        if self._transport is not None:
            self._transport.close()

    # --- what a person does -------------------------------------------------------------------------

    async def register(self) -> None:
        """Register once."""
        answer = await self._ask_with_password(self._registration, "REGISTER", f"Expires: {EXPIRES_S}\r\n")
        if answer.code != 200:
            raise SystemExit(f"{self.user} can't register: {answer.first}")

    async def stay_registered(self, first_s: float) -> None:
        """Register anew every `REFRESH_S`, for the first time after `first_s`."""
        await asyncio.sleep(first_s)
        while True:
            await self.register()
            await asyncio.sleep(REFRESH_S)

    async def call(self, number: str) -> Call:
        """Call somebody, who must take the call."""
        stream = Stream(self._voice)
        uri = f"sip:{number}@{self._registrar}"
        call = Call(
            call_id=f"call-{self.user}-{next(_numbers)}",
            local=f"<sip:{self.user}@{self._registrar}>;tag=c{next(_numbers)}",
            remote=f"<{uri}>",
            target=uri,
            stream=stream,
        )
        answer = await self._ask_with_password(call, "INVITE", body=describe(stream.port))
        if answer.code != 200:
            raise SystemExit(f"{self.user} can't call: {answer.first}")
        call.remote = answer.header("To")
        call.target = _uri_of(answer.header("Contact"))
        call.routes = answer.recorded_route[::-1]
        self._send(self._compose(call, "ACK", _new_branch()))
        self._begin(call, answer)
        return call

    async def hang_up(self, call: Call) -> None:
        """End a call."""
        self._end(call)
        call.number += 1
        answer = await self._ask(call, "BYE", _new_branch())
        if answer.code != 200:
            raise SystemExit(f"{self.user} can't hang up: {answer.first}")

    # --- requests of ours ---------------------------------------------------------------------------

    async def _ask_with_password(self, call: Call, method: str, more: str = "", body: str = "") -> Message:
        for _attempt in range(3):  # without, with an old nonce, with a new one
            call.number += 1
            branch = _new_branch()
            words = more + (self._proof(method, call.target) if self._challenge else "")
            answer = await self._ask(call, method, branch, words, body)
            if method == "INVITE" and answer.code >= 300:
                self._send(self._compose(call, "ACK", branch, to=answer.header("To")))
            if answer.code not in _UNAUTHORIZED:
                break
            said = answer.header("WWW-Authenticate") or answer.header("Proxy-Authenticate")
            self._challenge = dict(re.findall(r'(\w+)="?([^",]*)"?', said))
            self._uses = 0
        return answer

    async def _ask(self, call: Call, method: str, branch: str, more: str = "", body: str = "") -> Message:
        """Send a request until there is an answer; gives the final one."""
        text = self._compose(call, method, branch, more, body)
        answers = self._answers[branch, method] = asyncio.Queue()
        try:
            for pause_s in PAUSES_S:
                self._send(text)
                with contextlib.suppress(TimeoutError):
                    answer = await asyncio.wait_for(answers.get(), pause_s)
                    while answer.code < 200:
                        answer = await asyncio.wait_for(answers.get(), RING_S)
                    return answer
        finally:
            del self._answers[branch, method]
        raise SystemExit(f"{self.user}: nobody answers {method}")

    def _compose(
        self, call: Call, method: str, branch: str, more: str = "", body: str = "", *, to: str = ""
    ) -> str:
        kind = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"{method} {call.target} SIP/2.0\r\nVia: SIP/2.0/UDP {self._own};branch={branch};rport\r\n"
            + "".join(f"Route: {route}\r\n" for route in call.routes)
            + f"From: {call.local}\r\nTo: {to or call.remote}\r\nCall-ID: {call.call_id}\r\n"
            f"CSeq: {call.number} {method}\r\nContact: <sip:{self.user}@{self._own}>\r\n"
            f"Max-Forwards: 70\r\n{kind}{more}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def _proof(self, method: str, uri: str) -> str:
        """Answer a digest challenge, the registrar's or the proxy's."""
        said = self._challenge
        self._uses += 1
        secret = _md5(f"{self.user}:{said['realm']}:{self._password}")
        response = _md5(f"{secret}:{said['nonce']}:{self._uses:08x}:c:auth:{_md5(f'{method}:{uri}')}")
        name = "Authorization" if method == "REGISTER" else "Proxy-Authorization"
        return (
            f'{name}: Digest username="{self.user}", realm="{said["realm"]}", nonce="{said["nonce"]}", '
            f'uri="{uri}", response="{response}", qop=auth, nc={self._uses:08x}, cnonce="c"\r\n'
        )

    def _send(self, text: str) -> None:
        if self._transport is not None:
            self._transport.sendto(text.encode("latin-1"), self._proxy)

    # --- what comes ---------------------------------------------------------------------------------

    def datagram_received(self, data: bytes, addr: Address) -> None:
        message = Message(data.decode("latin-1"), addr)
        if message.code:
            answers = self._answers.get((branch_of(message), message.method))
            if answers is not None:
                answers.put_nowait(message)
            return
        doing: dict[str, Callable[[Message], None]] = {"INVITE": self._invited, "ACK": lambda _ack: None}
        doing.get(message.method, self._asked)(message)

    def _asked(self, request: Message) -> None:
        self._respond(request, 200)
        if request.method == "BYE":
            for call in [one for one in self.calls if one.call_id == request.header("Call-ID")]:
                self._end(call)

    def _invited(self, invite: Message) -> None:
        """Take a call, or say again what was said to one that stands."""
        call = next((one for one in self.calls if one.call_id == invite.header("Call-ID")), None)
        if call is None:
            call = Call(
                call_id=invite.header("Call-ID"),
                local=f"{invite.header('To')};tag=t{next(_numbers)}",
                remote=invite.header("From"),
                target=_uri_of(invite.header("Contact")),
                stream=Stream(self._voice),
                routes=invite.recorded_route,
            )
            self._respond(invite, 180, call)
            self._begin(call, invite)
        self._respond(invite, 200, call, "" if call.stream is None else describe(call.stream.port))

    def _respond(self, request: Message, code: int, call: Call | None = None, body: str = "") -> None:
        to = request.header("To")
        if not tag_of(to):
            to = call.local if call else f"{to};tag=any"
        lines = [
            f"SIP/2.0 {code} Said",
            *(f"Via: {value}" for value in request.headers("Via")),
            *(f"Record-Route: {value}" for value in request.headers("Record-Route")),
            f"From: {request.header('From')}",
            f"To: {to}",
            f"Call-ID: {request.header('Call-ID')}",
            f"CSeq: {request.header('CSeq')}",
            f"Contact: <sip:{self.user}@{self._own}>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        self._send("\r\n".join([*lines, "", body]))

    def _begin(self, call: Call, message: Message) -> None:
        """Talk to whom a message describes."""
        self.calls.append(call)
        if call.stream is not None:
            call.stream.towards(message.media)
            self._sound.streams.append(call.stream)

    def _end(self, call: Call) -> None:
        if call in self.calls:
            self.calls.remove(call)
            if call.stream is not None:
                self._sound.streams.remove(call.stream)
                call.stream.close()


def _new_branch() -> str:
    return f"z9hG4bKbench{next(_numbers)}"


def _uri_of(address: str) -> str:
    return address.partition("<")[2].partition(">")[0]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
