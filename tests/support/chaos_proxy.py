"""A network that misbehaves, between a client and one HTTP server: by lot, by a seed that can be repeated.

Faults, each drawn for itself when a request begins:

    cut      the connection ends after some of the request's bytes
    swallow  the request is carried out, and its answer never comes
    delay    the answer comes late
    500, 503 an answer that the server never gave, and the request never reached it
    lie      200 with an error in its body, for the one request whose answer S3 gives so
             (CompleteMultipartUpload); half of the time the request was carried out all the same

Beside these the server may be killed. What it was asked to make of a whole request, and gave no answer to, is
noted in `unanswered`: of such an object nobody can know whether it has it.

Conventions: loopback, a free port, threads; `stop` ends all of it. Counts say what was really done.
"""

import random
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

BLOCK_SIZE_BYTES: Final = 64 * 1024
MAX_HEAD_BYTES: Final = 64 * 1024
TIMEOUT_S: Final = 20.0
DRAIN_S: Final = 1.0

_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ ]*([0-9]+)", re.IGNORECASE)
_EXPECTS: Final = re.compile(rb"\r\nexpect:[ ]*100-continue", re.IGNORECASE)
_LAST_CHUNK: Final = b"0\r\n\r\n"
_COMPLETE: Final = re.compile(rb"POST [^ ]*[?&]uploadId=")
_MAKES: Final = re.compile(rb"(?:PUT ([^ ?]+)|POST ([^ ?]+)[?][^ ]*uploadId=[^ ]*) ")
_ERROR: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>%b</Code><Message>the network did it</Message>'
    b"<RequestId>chaos</RequestId></Error>"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Odds:
    """How likely each fault is, for each request."""

    cut: float = 0.05
    swallow: float = 0.05
    delay: float = 0.1
    error_500: float = 0.03
    error_503: float = 0.03
    lie: float = 0.6

    def draw(self, chance: random.Random, *, completes: bool) -> str:
        """Draw what happens to one request; empty for nothing."""
        if completes and chance.random() < self.lie:
            return "lie"
        point = chance.random()
        for name in ("cut", "swallow", "delay", "error_500", "error_503"):
            point -= getattr(self, name)
            if point < 0:
                return name
        return ""


class _UnansweredError(ConnectionError):
    """The server got a whole request and ended without an answer."""


class ChaosProxy:
    """Listens on a free port of loopback, and hands on to `port` there."""

    def __init__(self, port: int, seed: int, odds: Odds) -> None:
        self._to = port
        self._chance = random.Random(seed)  # noqa: S311 - chances that can be repeated
        self._odds = odds
        self._guard = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._stopped = threading.Event()
        self.counts: Final[Counter[str]] = Counter()
        self.unanswered: Final[Counter[str]] = Counter()
        """How often the server owed an answer about an object that it was to make, by ``bucket/key``."""
        self.calm = False
        """Once set, no fault is drawn any more."""
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where clients connect."""
        return int(self._listener.getsockname()[1])

    def stop(self) -> None:
        """Take no more connections."""
        self._stopped.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(TIMEOUT_S)

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _draw(self, head: bytes) -> tuple[str, random.Random]:
        with self._guard:
            own = random.Random(self._chance.random())  # noqa: S311 - as above
            fault = "" if self.calm else self._odds.draw(own, completes=_COMPLETE.match(head) is not None)
            self.counts[fault or "clean"] += 1
        return fault, own

    def _note_unanswered(self, head: bytes) -> None:
        made = _MAKES.match(head)
        if made is not None:
            with self._guard:
                self.unanswered[unquote((made[1] or made[2]).decode()).lstrip("/")] += 1

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(TIMEOUT_S)
        server: socket.socket | None = None
        try:
            while not self._stopped.is_set() and (head := _read_head(client)):
                fault, chance = self._draw(head[0])
                if fault in {"error_500", "error_503"} or (fault == "lie" and chance.random() < 0.5):
                    _answer(client, head, fault)
                    return
                if server is None:
                    server = socket.create_connection(("127.0.0.1", self._to), TIMEOUT_S)
                try:
                    if not _exchange(client, server, head, fault, chance):
                        return
                except _UnansweredError:
                    self._note_unanswered(head[0])
                    return
        except OSError:
            pass  # either side is gone, as it may be
        finally:
            for one in (client, server):
                if one is not None:
                    one.close()


def _answer_head(server: socket.socket) -> tuple[bytes, bytes]:
    """Return an answer's head, and what came behind it already."""
    try:
        found = _read_head(server)
    except OSError as problem:
        raise _UnansweredError from problem
    if found is None:
        raise _UnansweredError
    return found


def _read_head(client: socket.socket) -> tuple[bytes, bytes] | None:
    """Return a request's head, and what came behind it already; None at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        block = client.recv(BLOCK_SIZE_BYTES)
        if not block or len(data) > MAX_HEAD_BYTES:
            return None
        data += block
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _length(head: bytes) -> int:
    found = _LENGTH.search(head)
    return int(found.group(1)) if found else 0


def _answer(client: socket.socket, head: tuple[bytes, bytes], fault: str) -> None:
    """Give an answer of our own, and close; what the client still sends is read, so that it arrives."""
    line, code = {
        "error_500": (b"500 Internal Server Error", b"InternalError"),
        "error_503": (b"503 Slow Down", b"SlowDown"),
        "lie": (b"200 OK", b"InternalError"),
    }[fault]
    body = _ERROR % code
    client.sendall(
        b"HTTP/1.1 %b\r\nContent-Type: application/xml\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
        % (line, len(body), body)
    )
    left = 0 if _EXPECTS.search(head[0]) else _length(head[0]) - len(head[1])
    deadline_s = time.monotonic() + DRAIN_S
    client.settimeout(DRAIN_S)
    with suppress(OSError):
        client.shutdown(socket.SHUT_WR)
        while left > 0 and time.monotonic() < deadline_s and (block := client.recv(BLOCK_SIZE_BYTES)):
            left -= len(block)


def _exchange(
    client: socket.socket, server: socket.socket, head: tuple[bytes, bytes], fault: str, chance: random.Random
) -> bool:
    """Carry one request there and its answer back; tell whether the connection is to go on."""
    length = _length(head[0])
    keep = chance.randrange(1, max(2, length)) if fault == "cut" else length
    server.sendall(head[0])
    if _EXPECTS.search(head[0]):
        interim = server.recv(BLOCK_SIZE_BYTES)
        if not interim:
            return False
        client.sendall(interim)
        if b" 100 " not in interim.partition(b"\r\n")[0]:
            return False  # a final answer at once: the client does not send the body
    sent = len(head[1])
    server.sendall(head[1][:keep])
    while sent < keep:
        block = client.recv(BLOCK_SIZE_BYTES)
        if not block:
            return False
        server.sendall(block[: keep - sent])
        sent += len(block)
    if fault == "cut":
        return False
    if fault == "swallow":
        _answer_head(server)  # it was carried out
        return False
    if fault == "delay":
        time.sleep(chance.random())
    return _carry_answer(client, server, lie=fault == "lie", bodiless=head[0].startswith(b"HEAD "))


def _carry_answer(client: socket.socket, server: socket.socket, *, lie: bool, bodiless: bool) -> bool:
    answer, rest = _answer_head(server)
    if lie:
        _answer(client, (b"", b""), "lie")
        return False
    client.sendall(answer + rest)
    if bodiless or answer.startswith((b"HTTP/1.1 204", b"HTTP/1.1 304")):
        return True
    if not _LENGTH.search(answer):
        # Chunked, or until the end: everything that comes.
        end = rest
        while not end.endswith(_LAST_CHUNK) and (block := server.recv(BLOCK_SIZE_BYTES)):
            client.sendall(block)
            end = (end + block)[-len(_LAST_CHUNK) :]
        return False
    left = _length(answer) - len(rest)
    while left > 0:
        block = server.recv(min(BLOCK_SIZE_BYTES, left))
        if not block:
            return False
        client.sendall(block)
        left -= len(block)
    return True


@contextmanager
def chaos(port: int, seed: int, odds: Odds | None = None) -> Iterator[ChaosProxy]:
    """Run such a network in front of a server on loopback."""
    proxy = ChaosProxy(port, seed, odds or Odds())
    try:
        yield proxy
    finally:
        proxy.stop()
