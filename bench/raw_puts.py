"""What a store can take at most: requests that were built and signed before, sent over bare sockets.

A contestant that does nothing else than to send: no queue, no hashes, no order, no start, no notes of what
was sent. Who uses the same store on the same machine is hardly faster; how near one comes is what counts.

Requests are as the uploader's (never over another object, with a hash that the store compares) or plain, as
other programs': the store does more for the former.
"""

import base64
import hashlib
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import botocore.session
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

MAX_ANSWER_BYTES: Final = 65_536
IN_ONE_PIECE_BYTES: Final = 65_536
TIMEOUT_S: Final = 60.0
REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawPut:
    """One request: what stands before the body, and the file that is the body."""

    head: bytes
    path: Path
    size_bytes: int


def credentials_of(profile: str, file: Path) -> ReadOnlyCredentials:
    """Return somebody's credentials from a file."""
    session = botocore.session.Session(profile=profile)
    session.set_config_variable("credentials_file", str(file))
    found = session.get_credentials()
    if found is None:
        raise SystemExit(f"{file}: no credentials of {profile}")
    return found.get_frozen_credentials()


def raw_puts(folder: Path, address: str, credentials: ReadOnlyCredentials, *, as_ours: bool) -> list[RawPut]:
    """Build a request for each file of a folder; `address` is the bucket's, ended by a slash."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        _raw_put(path, address + path.relative_to(folder).as_posix(), credentials, as_ours=as_ours)
        for path in files
    ]


def send_all(puts: Iterable[RawPut], host: str, port: int, connections: int) -> float:
    """Send them all, on so many connections; return how long that takes."""
    todo, failed = deque(puts), list[str]()

    def work() -> None:
        try:
            with socket.create_connection((host, port), TIMEOUT_S) as line:
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while not failed:
                    _send(line, todo.popleft())
        except IndexError:
            return
        except OSError as problem:
            failed.append(str(problem))

    threads = [threading.Thread(target=work) for _ in range(connections)]
    began_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise SystemExit(f"the store did not take a bare request: {failed[0]}")
    return time.perf_counter() - began_s


def _raw_put(path: Path, url: str, credentials: ReadOnlyCredentials, *, as_ours: bool) -> RawPut:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256")
        size_bytes = file.tell()
    headers = {"Content-Length": str(size_bytes)}
    if as_ours:
        headers["If-None-Match"] = "*"
        headers["x-amz-checksum-sha256"] = base64.b64encode(sha256.digest()).decode()
    request = AWSRequest(method="PUT", url=url, headers=headers)
    signer = S3SigV4Auth(credentials, "s3", REGION)
    signer.payload = lambda _request: sha256.hexdigest()  # type: ignore[method-assign,assignment]  # hashed above
    signer.add_auth(request)
    parts = urlsplit(url)
    lines = [f"PUT {parts.path} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return RawPut(head="\r\n".join([*lines, "", ""]).encode(), path=path, size_bytes=size_bytes)


def _send(line: socket.socket, put: RawPut) -> None:
    """Send one request and wait for its answer; OSError where that is no success."""
    if put.size_bytes <= IN_ONE_PIECE_BYTES:
        line.sendall(put.head + put.path.read_bytes())
    else:
        line.sendall(put.head)
        with put.path.open("rb") as file:
            line.sendfile(file)
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = line.recv(MAX_ANSWER_BYTES)
        if not piece:
            raise ConnectionError("the connection was closed")
        answer += piece
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise ConnectionError(answer.split(b"\r\n", 1)[0].decode(errors="replace"))
