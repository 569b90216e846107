"""A gateway on paper: writes requests, hands them to an Endpoint, and reads what that would have sent.

Time is what the test says. Each message goes through bytes both ways.
"""

import re
from itertools import count

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.endpoint import Endpoint
from callseal.agent.sip.events import Event, Invited
from callseal.agent.sip.flow import Flow, Outgoing, Transport
from callseal.agent.sip.limits import Limits
from callseal.agent.sip.message import Request, Response, parse_message

CONTACT = "<sip:srs@192.0.2.1:5070>;+sip.srs"
GATEWAY = ("192.0.2.9", 5060)
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0\r\na=sendonly\r\na=label:1\r\n"
)
ANSWER = SDP.replace(b"sendonly", b"recvonly")
METADATA = b"<recording xmlns='urn:ietf:params:xml:ns:recording:1'/>"
SDP_TYPE = "application/sdp"
METADATA_TYPE = "application/rs-metadata+xml"


def flow_over(
    transport: Transport = Transport.UDP, remote: tuple[str, int] = GATEWAY, connection: int = 0
) -> Flow:
    """Return a flow from a gateway."""
    return Flow(
        transport=transport,
        local=("192.0.2.1", 5070),
        remote=remote,
        connection=connection or int(transport.is_reliable),
    )


class SipCaller:
    """One dialog's worth of gateway: Call-ID, tags, numbers, and the endpoint it talks to."""

    def __init__(
        self,
        endpoint: Endpoint | None = None,
        *,
        flow: Flow | None = None,
        call_id: str = "call-1",
        limits: Limits | None = None,
        session_expires_s: int = 1800,
    ) -> None:
        self.endpoint = endpoint or new_endpoint(limits=limits, session_expires_s=session_expires_s)
        self.flow = flow or flow_over()
        self.call_id = call_id
        self.user = "gateway@192.0.2.9"
        """Who calls, as From has it."""
        self.from_tag = f"from-{call_id}"
        self.to_tag = ""
        self.cseq = 0
        self.now_s = 0.0
        self.events: list[Event] = []
        self._branches = count(1)

    def write(
        self,
        method: str,
        *,
        cseq: int | None = None,
        branch: str = "",
        body: bytes = b"",
        content_type: str = SDP_TYPE,
        headers: str = "",
        to_tag: str | None = None,
    ) -> bytes:
        """Write a request; the next CSeq number and a new branch where none is given."""
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        tag = self.to_tag if to_tag is None else to_tag
        branch = branch or f"z9hG4bK-{self.call_id}-{next(self._branches)}"
        host, port = self.flow.remote
        lines = [
            f"{method} sip:srs@192.0.2.1:5070 SIP/2.0",
            f"Via: SIP/2.0/{self.flow.transport.value} {host}:{port};branch={branch};rport",
            f"From: <sip:{self.user}>;tag={self.from_tag}",
            f"To: <sip:srs@192.0.2.1>{f';tag={tag}' if tag else ''}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq} {method}",
            "Max-Forwards: 70",
        ]
        if "Contact:" not in headers:
            lines.append("Contact: <sip:gateway@192.0.2.9:5060>;+sip.src")
        lines += headers.split("\n") if headers else []
        if body:
            lines.append(f"Content-Type: {content_type}")
        lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def deliver(self, data: bytes) -> list[Request | Response]:
        """Hand bytes over, and return what comes back at once."""
        self.hand_over(data)
        return self.heard()

    def hand_over(self, data: bytes) -> None:
        """Let bytes arrive at the endpoint."""
        try:
            message = parse_message(data, is_stream=False)
        except SipSyntaxError as error:
            self.endpoint.reject_malformed(error, self.flow, self.now_s)
        else:
            self.endpoint.receive(message, self.flow, self.now_s)

    def send(
        self,
        method: str,
        *,
        cseq: int | None = None,
        branch: str = "",
        body: bytes = b"",
        content_type: str = SDP_TYPE,
        headers: str = "",
        to_tag: str | None = None,
    ) -> list[Request | Response]:
        """Write a request, hand it over, and return what comes back at once."""
        return self.deliver(
            self.write(
                method,
                cseq=cseq,
                branch=branch,
                body=body,
                content_type=content_type,
                headers=headers,
                to_tag=to_tag,
            )
        )

    def wait(self, seconds: float) -> list[Request | Response]:
        """Let time pass, tick by tick as the endpoint asks for it, and return what it sends meanwhile."""
        until_s = self.now_s + seconds
        heard: list[Request | Response] = []
        while (due_s := self.endpoint.due_s()) is not None and due_s <= until_s:
            self.now_s = max(self.now_s, due_s)
            self.endpoint.tick(self.now_s)
            heard += self.heard()
        self.now_s = until_s
        return heard

    def heard(self) -> list[Request | Response]:
        """Return what the endpoint has sent; its events are put aside."""
        self.events += self.endpoint.take_events()
        return [read(outgoing) for outgoing in self.endpoint.take_outgoing()]

    def take_events(self) -> list[Event]:
        """Return the events since the last time."""
        self.events += self.endpoint.take_events()
        events, self.events = self.events, []
        return events

    def invited(self) -> Invited:
        """Return the one event there is, which has to be an invitation."""
        (event,) = self.take_events()
        assert isinstance(event, Invited)
        return event

    def accept(self, transaction: int, body: bytes = ANSWER) -> list[Request | Response]:
        """Say yes for the application, and return what is sent."""
        self.endpoint.accept(transaction, body=body, content_type=SDP_TYPE, now_s=self.now_s)
        return self.heard()

    def call(self, *, headers: str = "Require: siprec", body: bytes = SDP) -> Invited:
        """Have an INVITE accepted, without ACK yet."""
        self.send("INVITE", body=body, headers=headers)
        invited = self.invited()
        self.accept(invited.transaction)
        self.to_tag = invited.dialog.local_tag
        return invited

    def ack(self, cseq: int | None = None) -> list[Request | Response]:
        """Confirm the last INVITE, or that with the number."""
        return self.send("ACK", cseq=cseq or self.cseq)

    def established(self, *, headers: str = "Require: siprec", body: bytes = SDP) -> Invited:
        """Have a call, confirmed; no event is left over."""
        invited = self.call(headers=headers, body=body)
        self.ack()
        self.take_events()
        return invited


def new_endpoint(*, limits: Limits | None = None, session_expires_s: int = 1800) -> Endpoint:
    """Return an endpoint whose randomness only counts."""
    numbers = count(1)

    def random(size: int) -> bytes:
        return next(numbers).to_bytes(8, "big")[-size:].rjust(size, b"\0")

    return Endpoint(
        contact=lambda _: CONTACT, random=random, limits=limits, session_expires_s=session_expires_s
    )


def read(outgoing: Outgoing) -> Request | Response:
    """Read what the endpoint sends, as strictly as on a stream."""
    return parse_message(outgoing.data, is_stream=True)


def statuses(messages: list[Request | Response]) -> list[int | str]:
    """Return the status of each response and the method of each request."""
    return [message.status if isinstance(message, Response) else message.method for message in messages]


def header(message: Request | Response, name: str) -> str:
    """Return a header that has to be there."""
    value = message.headers.get(name)
    assert value is not None, f"no {name}"
    return value


def answer_to(request: Request | Response, status: int, reason: str, headers: str = "") -> bytes:
    """Write the answer to a request of the endpoint's."""
    assert isinstance(request, Request)
    lines = [f"SIP/2.0 {status} {reason}"]
    lines += [
        f"{name}: {value}"
        for name, value in request.headers.fields
        if re.fullmatch("via|from|to|call-id|cseq", name)
    ]
    lines += headers.split("\n") if headers else []
    return "\r\n".join([*lines, "Content-Length: 0"]).encode() + b"\r\n\r\n"
