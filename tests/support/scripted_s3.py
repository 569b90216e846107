"""An S3 server that says what a test tells it to: for answers that no real one gives on demand.

It checks nothing and stores nothing; `requests` tells what it was asked. Loopback, a free port, threads.
"""

import ssl
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest

from callseal.config.central import S3Store as S3Settings

ACCESS_KEY: Final = "AKIAEXAMPLEEXAMPLE00"
SECRET_KEY: Final = "a-secret-that-is-never-shown"  # noqa: S105 - of nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the server was asked."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What it says: `length_bytes` lies about the body's length, `breaks` ends the connection behind it.

    With `tag` it says what every S3 store says of an object; `is_early` is before the body was sent.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length_bytes: int | None = None
    breaks: bool = False
    is_early: bool = False
    tag: str = '"tag"'


def refusal(status: int, code: str, words: str = "words of the store", *, is_early: bool = False) -> Answer:
    """Give an answer that says no."""
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{words}</Message></Error>'
    return Answer(
        status=status, body=body.encode(), headers={"Content-Type": "application/xml"}, is_early=is_early
    )


class ScriptedS3:
    """The server: answers from a script in order, and with the last one for ever."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        self.endpoint = endpoint
        self.requests: list[Request] = []
        self.credentials_file = folder / "credentials"
        self.write_credentials()
        self._script: deque[Answer] = deque([Answer()])
        self._lock = threading.Lock()

    def say(self, *answers: Answer) -> None:
        """Say these from now on."""
        with self._lock:
            self._script = deque(answers)

    def next(self) -> Answer:
        """Give the next answer."""
        with self._lock:
            return self._script.popleft() if len(self._script) > 1 else self._script[0]

    def peek(self) -> Answer:
        """Give the answer that comes next, and leave it there."""
        with self._lock:
            return self._script[0]

    def settings(self, **more: object) -> S3Settings:
        """Give the settings of a store there."""
        table = {"name": "central", "type": "s3", "endpoint": self.endpoint, "bucket": "recordings-bj"}
        return S3Settings.model_validate({**table, **more})

    def write_credentials(self, access_key: str = ACCESS_KEY, profile: str = "default") -> None:
        """Replace the credentials file, as whoever changes keys does."""
        temporary = self.credentials_file.with_name("new")
        temporary.write_text(
            f"[{profile}]\naws_access_key_id = {access_key}\naws_secret_access_key = {SECRET_KEY}\n"
        )
        temporary.replace(self.credentials_file)


@contextmanager
def scripted_s3(folder: Path, secure: ssl.SSLContext | None = None) -> Iterator[ScriptedS3]:
    """Serve, with credentials in `folder` that every client made meanwhile finds."""
    with _Server(("127.0.0.1", 0), _Handler) as server, pytest.MonkeyPatch.context() as patch:
        scheme = "http" if secure is None else "https"
        server.script = script = ScriptedS3(f"{scheme}://127.0.0.1:{server.server_port}", folder)
        if secure is not None:
            server.socket = secure.wrap_socket(server.socket, server_side=True)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(script.credentials_file))
        patch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    script: ScriptedS3

    def handle_error(self, request: object, client_address: object) -> None:
        """Take no notice: clients break off, as they are told to."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def handle_expect_100(self) -> bool:
        if not self.server.script.peek().is_early:
            return super().handle_expect_100()
        self._note(b"")
        self._answer(self.server.script.next())
        return False

    def _any(self) -> None:
        self._note(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        self._answer(self.server.script.next())

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any  # noqa: N815 - http.server's names

    def _note(self, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Request(method=self.command, target=self.path, headers=headers, body=body)
        self.server.script.requests.append(asked)

    def _answer(self, answer: Answer) -> None:
        self.close_connection = self.close_connection or answer.breaks or answer.is_early
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.tag:
            self.send_header("ETag", answer.tag)
        length_bytes = len(answer.body) if answer.length_bytes is None else answer.length_bytes
        self.send_header("Content-Length", str(length_bytes))
        if answer.is_early:
            # Said as well as done: else the client's next request may go out on a connection that is closing.
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        pass
