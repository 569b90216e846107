"""A gateway as the recorder sees it: sets up recording sessions by SIP, with SDP and metadata, and ends them.

One UDP socket, no threads: calls are begun at a steady pace, and what is not answered is sent again. It sends
no sound; `rtp_load` does.

Source: RFC 3261, RFC 7866, RFC 7865; the metadata are made up.
"""

import base64
import itertools
import re
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rtp_programs import SUITE, Address, key_of

CALLS_A_SECOND: Final = 100
RESEND_S: Final = 1.0
PATIENCE_S: Final = 20.0
MAX_DATAGRAM_BYTES: Final = 65_535
AGENTS: Final = 8000
"""The first agent's extension."""

BOUNDARY: Final = "bench-boundary"
CONTENT_TYPE: Final = f"multipart/mixed;boundary={BOUNDARY}"

_CALL_ID: Final = re.compile(r"^Call-ID: *bench-(\d+)@", re.IGNORECASE | re.MULTILINE)
_TO: Final = re.compile(r"^To: *(.*?)\r?$", re.IGNORECASE | re.MULTILINE)
_METHOD: Final = re.compile(r"^CSeq: *\d+ +([A-Z]+)", re.IGNORECASE | re.MULTILINE)
_PORT: Final = re.compile(r"^m=audio (\d+) ", re.MULTILINE)
_METADATA: Final = """\
<?xml version="1.0" encoding="UTF-8"?>
<recording xmlns="urn:ietf:params:xml:ns:recording:1">
<datamode>complete</datamode>
<session session_id="s{call}"><start-time>2026-11-22T09:15:00Z</start-time></session>
<participant participant_id="a{call}"><nameID aor="sip:{agent}@pbx.example"/></participant>
<participant participant_id="c{call}"><nameID aor="sip:{customer}@10.1.0.9"/></participant>
<participantsessionassoc participant_id="a{call}" session_id="s{call}"/>
<participantsessionassoc participant_id="c{call}" session_id="s{call}"/>
<stream stream_id="x{call}" session_id="s{call}"><label>1</label></stream>
<stream stream_id="y{call}" session_id="s{call}"><label>2</label></stream>
<participantstreamassoc participant_id="a{call}"><send>x{call}</send><recv>y{call}</recv>
</participantstreamassoc>
<participantstreamassoc participant_id="c{call}"><send>y{call}</send><recv>x{call}</recv>
</participantstreamassoc>
</recording>
"""


def call_id(call: int) -> str:
    """Give the Call-ID of a call."""
    return f"bench-{call}@bench.example"


def body(call: str, *, agent: str, customer: str, crypto: Sequence[str] = ()) -> str:
    """Write what an INVITE carries: two streams, with these keys if any, and who is to be heard in them."""
    lines = ["v=0", f"o=gateway {call} 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
    for side in (0, 1):
        lines.append(f"m=audio {40_000 + 2 * side} RTP/{'SAVP' if crypto else 'AVP'} 0")
        lines += ["a=rtpmap:0 PCMU/8000", "a=sendonly", f"a=label:{side + 1}"]
        lines += [f"a=crypto:{key}" for key in crypto[side : side + 1]]
    metadata = _METADATA.format(call=call, agent=agent, customer=customer)
    parts = (("application/sdp", "\r\n".join([*lines, ""])), ("application/rs-metadata+xml", metadata))
    written = "".join(f"--{BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n{text}\r\n" for kind, text in parts)
    return f"{written}--{BOUNDARY}--\r\n"


@dataclass(slots=True, kw_only=True)
class _Waiting:
    """A request that has no answer yet."""

    text: bytes
    sent_s: float
    begun_s: float


class Gateway:
    """A gateway that copies calls to one recorder."""

    def __init__(self, recorder: Address, *, encrypted: bool) -> None:
        self._recorder = recorder
        self._encrypted = encrypted
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._own = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._branches = itertools.count()
        self._to: dict[int, str] = {}
        self._ports: dict[int, tuple[int, int]] = {}

    def close(self) -> None:
        self._socket.close()

    def begin(self, calls: Sequence[int]) -> list[Address]:
        """Begin calls; give where their streams go, agent and customer of each in turn."""
        self._do(calls, self._invite, self._accepted, "INVITE")
        return [(self._recorder[0], port) for call in calls for port in self._ports[call]]

    def end(self, calls: Sequence[int]) -> None:
        """End calls."""
        self._do(calls, self._bye, lambda _call, _text: None, "BYE")

    def _do(
        self,
        calls: Sequence[int],
        request: Callable[[int], str],
        accepted: Callable[[int, str], None],
        method: str,
    ) -> None:
        """Send a request for each call at a steady pace, and wait for all answers."""
        waiting: dict[int, _Waiting] = {}
        left = list(reversed(calls))
        due_s = time.monotonic()
        while left or waiting:
            now_s = time.monotonic()
            while left and due_s <= now_s:
                call = left.pop()
                waiting[call] = _Waiting(text=request(call).encode(), sent_s=now_s, begun_s=now_s)
                self._socket.sendto(waiting[call].text, self._recorder)
                due_s += 1 / CALLS_A_SECOND
            self._send_again(waiting, now_s)
            if select.select([self._socket], [], [], 0.005)[0]:
                text = self._socket.recv(MAX_DATAGRAM_BYTES).decode()
                call, is_final = self._read(text, method)
                if is_final and waiting.pop(call, None) is not None:
                    accepted(call, text)
                elif is_final and method == "INVITE":
                    self._acknowledge(call)

    def _send_again(self, waiting: dict[int, _Waiting], now_s: float) -> None:
        for request in waiting.values():
            if now_s - request.begun_s > PATIENCE_S:
                raise SystemExit("the recorder does not answer")
            if now_s - request.sent_s > RESEND_S:
                request.sent_s = now_s
                self._socket.sendto(request.text, self._recorder)

    @staticmethod
    def _read(text: str, method: str) -> tuple[int, bool]:
        """Tell of which call an answer is, and whether it is the final one to that method."""
        found, asked = _CALL_ID.search(text), _METHOD.search(text)
        if found is None or asked is None:
            raise SystemExit(f"what the recorder sends is no answer: {text[:80]!r}")
        status = int(text[8:11])
        if status >= 300:
            raise SystemExit(f"the recorder refuses: {text.splitlines()[0]}")
        return int(found[1]), status >= 200 and asked[1] == method

    def _accepted(self, call: int, text: str) -> None:
        to, ports = _TO.search(text), _PORT.findall(text)
        if to is None or len(ports) != 2:
            raise SystemExit("the recorder's answer has no two streams")
        self._to[call] = to[1]
        self._ports[call] = (int(ports[0]), int(ports[1]))
        self._acknowledge(call)

    def _acknowledge(self, call: int) -> None:
        self._socket.sendto(self._request("ACK", 1, call).encode(), self._recorder)

    def _bye(self, call: int) -> str:
        return self._request("BYE", 2, call)

    def _invite(self, call: int) -> str:
        keys = [base64.b64encode(key_of(2 * call + side)).decode() for side in (0, 1)]
        crypto = [f"1 {SUITE.value} inline:{key}" for key in keys] if self._encrypted else []
        text = body(str(call), agent=str(AGENTS + call), customer=f"13800{call:06}", crypto=crypto)
        more = (
            f"Contact: <sip:gateway@{self._own}>;+sip.src\r\nRequire: siprec\r\n"
            f"Content-Type: {CONTENT_TYPE}\r\n"
        )
        return self._request("INVITE", 1, call, more, text)

    def _request(self, method: str, number: int, call: int, more: str = "", body: str = "") -> str:
        host, port = self._recorder
        return (
            f"{method} sip:recorder@{host}:{port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self._own};branch=z9hG4bKbench{next(self._branches)};rport\r\n"
            f"From: <sip:gateway@{self._own}>;tag=g{call}\r\n"
            f"To: {self._to.get(call, f'<sip:recorder@{host}:{port}>')}\r\n"
            f"Call-ID: {call_id(call)}\r\nCSeq: {number} {method}\r\nMax-Forwards: 70\r\n"
            f"{more}Content-Length: {len(body.encode())}\r\n\r\n{body}"
        )
