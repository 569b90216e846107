"""The demo's gateway says in words what keeps a call from being taken."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from callseal.agent.sip.message import Request, parse_message, respond
from callseal.cli.demo.gateway import Gateway, GatewayError, Speaker
from support.eventually import eventually

CALLER = Speaker(uri="sip:13800138000@example.com", name="A & B", speech=b"\xd5" * 160)
CALLED = Speaker(uri="sip:6001@example.com", name="Agent", speech=b"\x55" * 160)
ONE_STREAM = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 40000 RTP/AVP 8\r\na=recvonly\r\n"
)


@contextmanager
def server(answer: Callable[[Request], bytes]) -> Iterator[int]:
    """Answer the requests of one call in a thread; gives the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(10)
        stopped = threading.Event()

        def serve() -> None:
            while not stopped.is_set():
                data, source = listening.recvfrom(65_535)
                if stopped.is_set():
                    return
                request = parse_message(data, is_stream=False)
                if isinstance(request, Request) and request.method != "ACK":
                    listening.sendto(answer(request), source)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            stopped.set()
            listening.sendto(b"", listening.getsockname())
            thread.join()


def test_a_refusal_is_told_with_the_servers_own_words() -> None:
    def full(request: Request) -> bytes:
        return bytes(respond(request, 503, "Service Unavailable", to_tag="t"))

    with (
        server(full) as port,
        Gateway(port) as gateway,
        pytest.raises(GatewayError, match="INVITE was answered 503 Service Unavailable"),
    ):
        gateway.copy(CALLER, CALLED)


@pytest.mark.parametrize("body", [ONE_STREAM, b"", b"\xff not a description"])
def test_an_answer_without_both_streams_is_no_success_and_the_session_is_ended(body: bytes) -> None:
    seen: list[str] = []

    def half(request: Request) -> bytes:
        seen.append(request.method)
        return bytes(respond(request, 200, "OK", to_tag="t", body=body, content_type="application/sdp"))

    with server(half) as port:
        with Gateway(port) as gateway, pytest.raises(GatewayError):
            gateway.copy(CALLER, CALLED)
        eventually(lambda: seen == ["INVITE", "BYE"], "the session is ended")


def test_nonsense_and_provisional_answers_are_waited_through() -> None:
    """A 100 and a datagram that is no SIP do not end the wait for the real answer."""
    seen: list[str] = []

    def late(request: Request) -> bytes:
        seen.append(request.method)
        if len(seen) == 1:
            return b"no SIP"
        if len(seen) == 2:
            return bytes(respond(request, 100, "Trying", to_tag=""))
        return bytes(respond(request, 486, "Busy Here", to_tag="t"))

    with server(late) as port, Gateway(port) as gateway, pytest.raises(GatewayError, match="486"):
        gateway.copy(CALLER, CALLED)

    assert seen == ["INVITE"] * 3
