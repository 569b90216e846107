"""A gateway's side of SIP by UDP, TCP or TLS: bytes as the test wants them, messages as they come back.

Nothing is repeated, matched or checked here: a test sends what it likes, in whatever order and pieces.
"""

import contextlib
import itertools
import re
import secrets
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Self

from callseal.agent.sip.sockets import Address
from support.sip_peer import Message

PATIENCE_S = 10.0
OFFER = (
    "v=0\r\no=gateway 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 30000 RTP/AVP 0\r\na=sendonly\r\na=label:1\r\n"
    "m=audio 30002 RTP/AVP 0\r\na=sendonly\r\na=label:2\r\n"
)
SIPREC_OFFER = (
    f"--b\r\nContent-Type: application/sdp\r\n\r\n{OFFER}\r\n"
    "--b\r\nContent-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session\r\n\r\n"
    "<recording xmlns='urn:ietf:params:xml:ns:recording:1'/>\r\n--b--\r\n"
)
SIPREC_TYPE = "multipart/mixed;boundary=b"
PONG = "PONG"
_numbers = itertools.count(1)
_LENGTH = re.compile(rb"^content-length:[ ]*(\d+)", re.IGNORECASE | re.MULTILINE)


def branch() -> str:
    """Give the name of a new transaction."""
    return f"z9hG4bK{next(_numbers)}x{secrets.token_hex(4)}"


class Wire:
    """A UDP socket or a connection; a pong counts as a message whose first line is PONG."""

    def __init__(self, transport: str, connected: socket.socket) -> None:
        self.transport = transport
        self.is_ended = False
        """Whether the other side has closed the connection."""
        self._socket = connected
        self._buffer = b""
        self._waiting: list[Message] = []

    @classmethod
    def open(cls, transport: str, server: Address, context: ssl.SSLContext | None = None) -> Self:
        """Give a wire to a server; for TLS `context` says how, and the certificate must be the server's."""
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        kind = socket.SOCK_DGRAM if transport == "UDP" else socket.SOCK_STREAM
        opened = socket.socket(family, kind)
        opened.settimeout(PATIENCE_S)
        try:
            opened.connect(server)
            if context is not None:
                opened = context.wrap_socket(opened, server_hostname=server[0])
        except OSError:
            opened.close()
            raise
        return cls(transport, opened)

    @property
    def local(self) -> Address:
        """Where this end is."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    @property
    def sent_by(self) -> str:
        """This end as a Via and a URI name it."""
        host, port = self.local
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def certificate(self) -> bytes:
        """What the server showed (DER)."""
        assert isinstance(self._socket, ssl.SSLSocket)
        return self._socket.getpeercert(binary_form=True) or b""

    def send(self, data: str | bytes) -> None:
        """Send; what is text goes as Latin-1, so that any byte can be written."""
        data = data.encode("latin-1") if isinstance(data, str) else data
        self._socket.sendall(data)

    def wait(self, wanted: Callable[[Message], bool], what: str, limit_s: float = PATIENCE_S) -> Message:
        """Give the first message, waiting or to come, that is wanted; the others stay."""
        deadline_s = time.monotonic() + limit_s
        while True:
            for index, message in enumerate(self._waiting):
                if wanted(message):
                    del self._waiting[index]
                    return message
            left_s = deadline_s - time.monotonic()
            if self.is_ended or left_s <= 0:
                seen = [message.first for message in self._waiting]
                ended = "the connection ended" if self.is_ended else f"not within {limit_s} s"
                raise AssertionError(f"{what} did not come, {ended}; there is {seen}")
            self._receive(left_s)

    def answer(self, call_id: str, method: str, *, limit_s: float = PATIENCE_S) -> Message:
        """Give the next final answer to a request."""
        return self.wait(
            lambda m: m.code >= 200 and m.header("Call-ID") == call_id and m.method == method,
            f"an answer to {method}",
            limit_s,
        )

    def ends(self, limit_s: float = PATIENCE_S) -> bool:
        """Say whether the other side closes the connection in time; messages until then stay waiting."""
        deadline_s = time.monotonic() + limit_s
        while not self.is_ended and (left_s := deadline_s - time.monotonic()) > 0:
            self._receive(left_s)
        return self.is_ended

    def pending(self) -> list[str]:
        """Give the first lines of what has come and was not asked for."""
        while not self.is_ended and self._is_readable(0):
            self._receive(0)
        return [message.first for message in self._waiting]

    def close(self) -> None:
        """End this side."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _is_readable(self, limit_s: float) -> bool:
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        return bool(select.select([self._socket], [], [], max(0.0, limit_s))[0])

    def _receive(self, limit_s: float) -> None:
        if not self._is_readable(limit_s):
            return
        try:
            data = self._socket.recv(1 << 16)
        except ConnectionRefusedError:  # UDP: nobody listens
            return
        except OSError:  # reset, or refused by TLS
            self.is_ended = True
            return
        server = self._socket.getpeername()[:2] if data else ("", 0)
        if self.transport == "UDP":
            self._waiting.append(Message(data.decode("latin-1"), server))
        elif data:
            self._buffer += data
            self._waiting += (Message(text, server) for text in self._split())
        else:
            self.is_ended = True

    def _split(self) -> Iterator[str]:
        """Take whole messages out of the buffer."""
        while True:
            if self._buffer.startswith(b"\r\n"):
                self._buffer = self._buffer[2:]
                yield PONG
                continue
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            length = _LENGTH.search(head)
            assert length or not end, "an answer by a stream has no Content-Length"
            if length is None or len(rest) < int(length[1]):
                return
            size = int(length[1])
            self._buffer = rest[size:]
            yield (head + end + rest[:size]).decode("latin-1")


@dataclass
class Caller:
    """One call of a gateway, or a request outside of calls."""

    wire: Wire
    user: str = "recorder"
    call_id: str = field(default_factory=lambda: f"{secrets.token_hex(8)}@gateway.example")
    to_tag: str = ""
    number: int = 0
    """Of the last request (CSeq)."""
    invited: str = ""
    """The branch of the last INVITE."""

    def compose(
        self,
        method: str,
        body: str = "",
        *,
        number: int | None = None,
        via: str = "",
        to_tag: str | None = None,
        extra: str = "",
        kind: str = SIPREC_TYPE,
    ) -> str:
        """Write a request; `via` is a branch, `extra` whole header lines."""
        tag = self.to_tag if to_tag is None else to_tag
        return (
            f"{method} sip:{self.user}@127.0.0.1 SIP/2.0\r\n"
            f"Via: SIP/2.0/{self.wire.transport} {self.wire.sent_by};branch={via or branch()};rport\r\n"
            f"From: <sip:gateway@gateway.example>;tag=near\r\n"
            f"To: <sip:{self.user}@127.0.0.1>{';tag=' + tag if tag else ''}\r\n"
            f"Call-ID: {self.call_id}\r\n"
            f"CSeq: {self.number if number is None else number} {method}\r\n"
            f"Max-Forwards: 70\r\nContact: <sip:gateway@{self.wire.sent_by}"
            f"{'' if self.wire.transport == 'UDP' else ';transport=' + self.wire.transport.lower()}>\r\n"
            + (f"Content-Type: {kind}\r\n" if body else "")
            + f"{extra}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def send(self, method: str, body: str = "", *, extra: str = "", kind: str = SIPREC_TYPE) -> str:
        """Send a new request; gives its text."""
        self.number += 1
        via = branch()
        if method == "INVITE":
            self.invited = via
        text = self.compose(method, body, via=via, extra=extra, kind=kind)
        self.wire.send(text)
        return text

    def ask(self, method: str, body: str = "", *, extra: str = "", kind: str = SIPREC_TYPE) -> Message:
        """Send a new request and give its final answer."""
        self.send(method, body, extra=extra, kind=kind)
        return self.wire.answer(self.call_id, method)

    def invite(self, body: str = SIPREC_OFFER, *, extra: str = "") -> Message:
        """Send an INVITE, acknowledge its final answer and give it."""
        answer = self.ask("INVITE", body, extra=extra)
        self.acknowledge(answer)
        return answer

    def acknowledge(self, answer: Message) -> None:
        """Send the ACK of an answer to INVITE, and take part in the dialog if it was a yes."""
        tag = answer.header("To").partition("tag=")[2]
        is_yes = answer.code < 300
        if is_yes:
            self.to_tag = tag
        via = "" if is_yes else self.invited
        self.wire.send(
            self.compose("ACK", number=int(answer.header("CSeq").split(" ")[0]), via=via, to_tag=tag)
        )


def asks(wire: Wire, method: str = "OPTIONS") -> Message:
    """Ask something outside of any call, and give the answer."""
    return Caller(wire).ask(method)


@contextlib.contextmanager
def call(wire: Wire) -> Iterator[Caller]:
    """Set up a call that is hung up in the end."""
    caller = Caller(wire)
    assert caller.invite().code == 200
    yield caller
    assert caller.ask("BYE").code == 200
