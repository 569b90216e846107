"""A small gateway for the demo: copies one call to a recording server, as a session border controller does.

It sends an INVITE with metadata of two who talk, then the sound of each in a stream of its own, in real time,
and a BYE, all over UDP; a request is sent again until it is answered. Transfer, hold, SRTP, TCP and TLS,
which real gateways do besides, are left out.

Conventions: speech is A-law, one byte a sample, 8,000 a second; both streams begin at once.

Source: RFC 7866 (the session), RFC 7865 (the metadata), RFC 3261 section 17.1 (when a request is sent again).
"""

import base64
import secrets
import socket
import time
import uuid
from dataclasses import dataclass
from typing import Final, Self
from xml.sax.saxutils import escape, quoteattr

from callseal.agent.errors import SdpError, SipError
from callseal.agent.sdp.parsing import parse_session
from callseal.agent.sdp.session import Direction, Format, Media, Session
from callseal.agent.sdp.writing import CONTENT_TYPE, bytes_of
from callseal.agent.sip.grammar import split_name_addr
from callseal.agent.sip.headers import Headers
from callseal.agent.sip.message import MAX_DATAGRAM_BYTES, Request, Response, parse_message
from callseal.codecs.rtp import Packet

RATE_HZ: Final = 8000
PCMA: Final = Format(payload_type=8, name="PCMA", clock_hz=RATE_HZ)

_HOST: Final = "127.0.0.1"
_PACKET_SAMPLES: Final = 160
"""20 ms, as nearly all gateways send."""
_FIRST_WAIT_S: Final = 0.5
"""T1 of RFC 3261; each next wait is twice as long."""
_GIVE_UP_S: Final = 10.0
"""The recorder is on this machine: it answers at once or not at all."""
_TAKEN: Final = range(200, 300)
_FINAL: Final = 200
_BOUNDARY: Final = "callseal-demo"


class GatewayError(Exception):
    """The recording server did not take the call; the words say what it answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """One who talks in the call that is copied."""

    uri: str
    name: str
    speech: bytes


class Gateway:
    """Copies calls to the server at a port of loopback."""

    def __init__(self, server_port: int) -> None:
        self._server = (_HOST, server_port)
        self._signalling = _bound()
        self._sound = (_bound(), _bound())

    def copy(self, caller: Speaker, called: Speaker) -> None:
        """Copy one call from its beginning to its end; GatewayError if the server does not take it."""
        speakers = (caller, called)
        dialog = _Dialog(port=self._signalling.getsockname()[1], server=f"{_HOST}:{self._server[1]}")
        offered = bytes_of(_description([sound.getsockname()[1] for sound in self._sound]))
        invite = dialog.request("INVITE", *_multipart(offered, _metadata(*speakers).encode()))
        taken = self._ask(invite)
        dialog.is_answered_by(taken)
        self._send(dialog.request("ACK", number=invite.cseq.number))
        bye = dialog.request("BYE")
        try:
            self._talk([speaker.speech for speaker in speakers], _ports(taken, len(speakers)))
        except BaseException:
            self._send(bye)  # whatever the reason, the server need not wait for more
            raise
        self._ask(bye)

    def _ask(self, request: Request) -> Response:
        """Send a request until its final answer comes; GatewayError if it is no success or none comes."""
        wait_s, end_s = _FIRST_WAIT_S, time.monotonic() + _GIVE_UP_S
        while time.monotonic() < end_s:
            self._send(request)
            response = self._answer(request, time.monotonic() + wait_s)
            if response is not None and response.status in _TAKEN:
                return response
            if response is not None:
                raise GatewayError(f"{request.method} was answered {response.status} {response.reason}")
            wait_s *= 2
        raise GatewayError(f"{request.method} was not answered")

    def _answer(self, request: Request, until_s: float) -> Response | None:
        while (left_s := until_s - time.monotonic()) > 0:
            self._signalling.settimeout(left_s)
            try:
                message = parse_message(self._signalling.recv(MAX_DATAGRAM_BYTES), is_stream=False)
            except (TimeoutError, SipError):
                continue
            except OSError as error:  # nobody listens there
                raise GatewayError(f"{request.method}: {error.strerror}") from error
            if isinstance(message, Response) and message.cseq == request.cseq and message.status >= _FINAL:
                return message
        return None

    def _send(self, request: Request) -> None:
        self._signalling.sendto(bytes(request), self._server)

    def _talk(self, speeches: list[bytes], ports: list[int]) -> None:
        """Send all streams in real time; returns when the longest is over."""
        streams = [
            _Stream(ssrc=secrets.randbits(32), sequence=secrets.randbits(16), ts=secrets.randbits(32))
            for _ in speeches
        ]
        began_s = time.monotonic()
        for start in range(0, max(map(len, speeches)), _PACKET_SAMPLES):
            time.sleep(max(0.0, began_s + start / RATE_HZ - time.monotonic()))
            for stream, speech, port, sound in zip(streams, speeches, ports, self._sound, strict=True):
                payload = speech[start : start + _PACKET_SAMPLES]
                if payload:
                    sound.sendto(stream.packet(start, payload), (_HOST, port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for one in (self._signalling, *self._sound):
            one.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stream:
    """Where the numbers of a stream begin: anywhere (RFC 3550 section 5.1)."""

    ssrc: int
    sequence: int
    ts: int

    def packet(self, position_samples: int, payload: bytes) -> bytes:
        number = position_samples // _PACKET_SAMPLES
        return bytes(
            Packet(
                payload_type=PCMA.payload_type,
                sequence=(self.sequence + number) % 2**16,
                ts=(self.ts + position_samples) % 2**32,
                ssrc=self.ssrc,
                payload=payload,
                marker=number == 0,
            )
        )


class _Dialog:
    """The session with the server, seen from the gateway."""

    def __init__(self, port: int, server: str) -> None:
        self._contact = f"<sip:gateway@{_HOST}:{port}>;+sip.src"
        self._via = f"SIP/2.0/UDP {_HOST}:{port};rport;branch=z9hG4bK"
        self._from = f"<sip:gateway@{_HOST}>;tag={secrets.token_hex(8)}"
        self._to = f"<sip:recorder@{server}>"
        self._target = f"sip:recorder@{server}"
        self._call_id = uuid.uuid4().hex
        self._number = 0

    def request(self, method: str, body: bytes = b"", content_type: str = "", *, number: int = 0) -> Request:
        """Write the next request; an ACK has the number of its INVITE."""
        if not number:
            self._number = number = self._number + 1
        fields = [
            ("via", self._via + secrets.token_hex(8)),
            ("from", self._from),
            ("to", self._to),
            ("call-id", self._call_id),
            ("cseq", f"{number} {method}"),
            ("contact", self._contact),
            ("max-forwards", "70"),
        ]
        if body:
            fields += [("require", "siprec"), ("content-type", content_type)]
        return Request(method=method, uri=self._target, headers=Headers(fields=tuple(fields)), body=body)

    def is_answered_by(self, response: Response) -> None:
        """Send what follows to whom the answer names (RFC 3261 section 12.1.2)."""
        self._to = response.headers.get("to") or self._to
        self._target = split_name_addr(response.headers.get("contact") or "")[1] or self._target


def _bound() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((_HOST, 0))
    return made


def _ports(taken: Response, streams: int) -> list[int]:
    """Give where the server takes each stream; GatewayError unless it takes all of them."""
    try:
        ports = [media.port for media in parse_session(taken.body).media]
    except SdpError as error:
        raise GatewayError(str(error)) from error
    if len(ports) != streams or not all(ports):
        raise GatewayError("the answer does not take both streams")
    return ports


def _description(ports: list[int]) -> Session:
    media = [
        Media(
            kind="audio",
            port=port,
            protocol="RTP/AVP",
            formats=(PCMA,),
            payload_types=(str(PCMA.payload_type),),
            direction=Direction.SENDONLY,
            label=str(number),
        )
        for number, port in enumerate(ports, 1)
    ]
    return Session(username="gateway", session_id="1", session_version=1, address=_HOST, media=tuple(media))


def _metadata(*speakers: Speaker) -> str:
    """Write the complete document: a session, and each speaker with the stream that he sends."""
    session = _id()
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<recording xmlns="urn:ietf:params:xml:ns:recording:1">',
        "<datamode>complete</datamode>",
        f'<session session_id="{session}"/>',
    ]
    for number, speaker in enumerate(speakers, 1):
        participant, stream = _id(), _id()
        lines += [
            f'<participant participant_id="{participant}"><nameID aor={quoteattr(speaker.uri)}>',
            f'<name xml:lang="en">{escape(speaker.name)}</name></nameID></participant>',
            f'<stream stream_id="{stream}" session_id="{session}"><label>{number}</label></stream>',
            f'<participantsessionassoc participant_id="{participant}" session_id="{session}"/>',
            f'<participantstreamassoc participant_id="{participant}"><send>{stream}</send>',
            "</participantstreamassoc>",
        ]
    return "\n".join([*lines, "</recording>", ""])


def _id() -> str:
    """Give a new id, as RFC 7865 section 6.11 writes them."""
    return base64.b64encode(uuid.uuid4().bytes).decode()


def _multipart(description: bytes, metadata: bytes) -> tuple[bytes, str]:
    parts = (
        (CONTENT_TYPE, "session", description),
        ("application/rs-metadata+xml", "recording-session", metadata),
    )
    body = b"".join(
        f"--{_BOUNDARY}\r\nContent-Type: {kind}\r\nContent-Disposition: {purpose}\r\n\r\n".encode()
        + content
        + b"\r\n"
        for kind, purpose, content in parts
    )
    return body + f"--{_BOUNDARY}--\r\n".encode(), f"multipart/mixed;boundary={_BOUNDARY}"
