"""A SIP telephone over a bare UDP socket, for what well-behaved programs like sipp will not send.

It knows no transactions: every message is sent and awaited by the test itself, so that steps can come too
early, twice, in the wrong order or not at all. Text is Latin-1 both ways: any byte can be sent.
"""

import itertools
import re
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

Address = tuple[str, int]
PATIENCE_S = 5.0
_numbers = itertools.count(1)


def describe(
    port: int = 40_000, *, direction: str = "sendrecv", formats: str = "0", extra: str = "", version: int = 1
) -> str:
    """Give a session description; `extra` is put at the end of the audio."""
    return (
        f"v=0\r\no=peer 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {formats}\r\na={direction}\r\n{extra}"
    )


@dataclass(frozen=True)
class Message:
    """A SIP message as it came."""

    text: str
    source: Address

    @property
    def first(self) -> str:
        """The request or status line."""
        return self.text.partition("\r\n")[0]

    @property
    def code(self) -> int:
        """The status code; 0 for a request."""
        words = self.first.split(" ")
        return int(words[1]) if words[0] == "SIP/2.0" else 0

    @property
    def method(self) -> str:
        """What it asks for, or answers."""
        return self.header("CSeq").split(" ")[-1]

    @property
    def body(self) -> str:
        """What stands after the empty line."""
        return self.text.partition("\r\n\r\n")[2]

    @property
    def media(self) -> Address:
        """Where its session description wants the sound."""
        line = next(line for line in self.body.split("\r\n") if line.startswith("m=audio"))
        return "127.0.0.1", int(line.split(" ")[1])

    def headers(self, name: str) -> list[str]:
        """Give the values of a header, in order."""
        lines = self.text.partition("\r\n\r\n")[0].split("\r\n")[1:]
        pairs = [line.partition(":") for line in lines]
        return [value.strip() for key, _, value in pairs if key.strip().lower() == name.lower()]

    def header(self, name: str) -> str:
        """Give the first value of a header; empty when there is none."""
        return next(iter(self.headers(name)), "")

    @property
    def recorded_route(self) -> list[str]:
        """The proxies that want to stay on the way, in order, several in a line or not."""
        return re.findall(r"<[^>]*>[^,]*", ",".join(self.headers("Record-Route")))


class Peer:
    """A telephone's UDP port."""

    def __init__(self, port: int, bridge: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self._bridge: Address = ("127.0.0.1", bridge)
        self._waiting: list[Message] = []
        self.port = port

    def send(self, text: str | bytes) -> None:
        """Send one datagram to the bridge."""
        data = text.encode("latin-1") if isinstance(text, str) else text
        self._socket.sendto(data, self._bridge)

    def send_to(self, data: bytes, address: Address) -> None:
        """Send one datagram to somebody else, such as the bridge's media port."""
        self._socket.sendto(data, address)

    def pending(self, method: str, limit_s: float) -> bool:
        """Say whether a request has come, or comes in time; it stays to be waited for."""
        try:
            found = self.request(method, limit_s)
        except AssertionError:
            return False
        self._waiting.insert(0, found)
        return True

    def wait(self, wanted: Callable[[Message], bool], what: str, limit_s: float = PATIENCE_S) -> Message:
        """Give the first message, waiting or to come, that is wanted; the others stay."""
        deadline_s = time.monotonic() + limit_s
        while True:
            for index, message in enumerate(self._waiting):
                if wanted(message):
                    del self._waiting[index]
                    return message
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not select.select([self._socket], [], [], left_s)[0]:
                seen = [message.first for message in self._waiting]
                raise AssertionError(f"{what} did not come within {limit_s} s; there is {seen}")
            data, source = self._socket.recvfrom(65_535)
            self._waiting.append(Message(data.decode("latin-1"), source))

    def request(self, method: str, limit_s: float = PATIENCE_S) -> Message:
        """Wait for a request."""
        return self.wait(lambda m: not m.code and m.method == method, method, limit_s)

    def forget(self) -> None:
        """Drop what came and was not asked for, such as repetitions."""
        while select.select([self._socket], [], [], 0)[0]:
            self._socket.recvfrom(65_535)
        self._waiting.clear()

    def call(self, called: str, *, user: str = "6001") -> "Dialog":
        """Begin a dialog as its caller; nothing is sent yet."""
        number = next(_numbers)
        return Dialog(
            peer=self,
            call_id=f"torture-{number}-{time.monotonic_ns()}",
            local=f"<sip:{user}@127.0.0.1:{self.port}>;tag=near{number}",
            remote=f"<sip:{called}@127.0.0.1:{self._bridge[1]}>",
            target=f"sip:{called}@127.0.0.1:{self._bridge[1]}",
        )

    def taken(self, limit_s: float = PATIENCE_S, method: str = "INVITE") -> "Dialog":
        """Wait for an INVITE, and begin a dialog as its called side; nothing is answered yet."""
        invite = self.request(method, limit_s)
        number = next(_numbers)
        return Dialog(
            peer=self,
            call_id=invite.header("Call-ID"),
            local=f"{invite.header('To')};tag=far{number}",
            remote=invite.header("From"),
            target=invite.header("Contact").strip("<>"),
            invite=invite,
            routes=invite.recorded_route,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()


@dataclass
class Dialog:
    """One side of one call."""

    peer: Peer
    call_id: str
    local: str
    remote: str
    target: str
    invite: Message | None = None
    """What the other side began with; None for the caller."""
    number: int = 0
    """Of our last request (CSeq)."""
    branch: str = ""
    """Of our last INVITE."""
    routes: list[str] = field(default_factory=list)
    """The proxies on the way, as they want to be named (RFC 3261 section 12.1)."""

    def compose(
        self, method: str, body: str = "", *, number: int = 0, branch: str = "", extra: str = ""
    ) -> str:
        """Write a request; `extra` is whole header lines, each with its line end."""
        return (
            f"{method} {self.target} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.peer.port};branch={branch or self._new_branch()};rport\r\n"
            + "".join(f"Route: {route}\r\n" for route in self.routes)
            + f"From: {self.local}\r\nTo: {self.remote}\r\nCall-ID: {self.call_id}\r\n"
            f"CSeq: {number or self.number} {method}\r\n"
            f"Contact: <sip:peer@127.0.0.1:{self.peer.port}>\r\n"
            + ("" if "Max-Forwards" in extra else "Max-Forwards: 70\r\n")
            + ("Content-Type: application/sdp\r\n" if body and "Content-Type" not in extra else "")
            + f"{extra}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def ask(self, method: str, body: str = "", extra: str = "") -> str:
        """Send a new request; gives its text."""
        self.number += 1
        branch = self._new_branch()
        if method == "INVITE":
            self.branch = branch
        text = self.compose(method, body, branch=branch, extra=extra)
        self.peer.send(text)
        return text

    def acknowledge(self, response: Message, body: str = "") -> None:
        """Send the ACK of a final response to our INVITE (RFC 3261 sections 13.2.2.4 and 17.1.1.3).

        `body` is the answer to an offer that came in the response.
        """
        self.established(response)
        number = int(response.header("CSeq").split(" ")[0])
        branch = self.branch if response.code >= 300 else self._new_branch()
        self.peer.send(self.compose("ACK", body, number=number, branch=branch))

    def established(self, response: Message) -> None:
        """Take over what a response says of the other side, and of the way there."""
        self.remote = response.header("To")
        contact = response.header("Contact")
        if response.code < 300 and contact:
            self.target = contact.partition("<")[2].partition(">")[0]
            self.routes = self.routes or response.recorded_route[::-1]

    def cancel(self) -> None:
        """Give up (RFC 3261 section 9.1)."""
        self.peer.send(self.compose("CANCEL", branch=self.branch))

    def response(self, code: int, method: str = "INVITE", limit_s: float = PATIENCE_S) -> Message:
        """Wait for a response to our request."""
        return self.peer.wait(
            lambda m: m.code == code and m.method == method and m.header("Call-ID") == self.call_id,
            f"{code} to {method}",
            limit_s,
        )

    def final(self, method: str, limit_s: float = PATIENCE_S) -> Message:
        """Wait for any final response to our request."""
        return self.peer.wait(
            lambda m: m.code >= 200 and m.method == method and m.header("Call-ID") == self.call_id,
            f"the end of {method}",
            limit_s,
        )

    def asked(self, method: str, limit_s: float = PATIENCE_S) -> Message:
        """Wait for a request of the other side in this dialog."""
        return self.peer.wait(
            lambda m: not m.code and m.method == method and m.header("Call-ID") == self.call_id,
            method,
            limit_s,
        )

    def answer(self, code: int, body: str = "", *, to: Message | None = None, extra: str = "") -> None:
        """Answer a request, the INVITE that began it unless another is given."""
        request = to or self.invite
        if request is None:
            raise ValueError("there is nothing to answer")
        vias = "".join(f"Via: {value}\r\n" for value in request.headers("Via"))
        routes = "".join(f"Record-Route: {value}\r\n" for value in request.headers("Record-Route"))
        self.peer.send(
            f"SIP/2.0 {code} Said\r\n{vias}{routes}From: {request.header('From')}\r\n"
            f"To: {self.local if to is None else request.header('To')}\r\n"
            f"Call-ID: {self.call_id}\r\nCSeq: {request.header('CSeq')}\r\n"
            f"Contact: <sip:peer@127.0.0.1:{self.peer.port}>\r\n"
            + ("Content-Type: application/sdp\r\n" if body else "")
            + f"{extra}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def take(self, body: str | None = None) -> None:
        """Take the call, and wait until that is acknowledged."""
        self.answer(200, describe(40_002) if body is None else body)
        self.asked("ACK")

    def hang_up(self) -> None:
        """End the call from our side."""
        self.ask("BYE")
        self.response(200, "BYE")

    def hung_up_on(self, limit_s: float = PATIENCE_S) -> None:
        """Wait until the other side ends the call."""
        self.answer(200, to=self.asked("BYE", limit_s))

    def _new_branch(self) -> str:
        return f"z9hG4bK{next(_numbers)}{time.monotonic_ns()}"
