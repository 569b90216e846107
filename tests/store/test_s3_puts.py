"""What is put without botocore's client is what the client would have put; its answers count alike."""

import hashlib
import hmac
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from callseal.store.errors import (
    NameTaken,
    SourceAltered,
    StoreDenied,
    StoreError,
    StoreRefused,
    StoreUnreachable,
    UploadGone,
)
from callseal.store.interface import Span
from callseal.store.s3 import S3Store
from support.eventually import eventually
from support.scripted_s3 import SECRET_KEY, Answer, Request, ScriptedS3, refusal, scripted_s3

NAME = "recordings/dev-aaaaaaaaaaaa/2026/11/21/x/manifest.json"
DATA = b"the manifest"
SHA256 = hashlib.sha256(DATA).digest()
LARGE = os.urandom(700_000)
LARGE_SHA256 = hashlib.sha256(LARGE).digest()
SPAN = Span(offset_bytes=100_000, size_bytes=500_000)
SPAN_SHA256 = hashlib.sha256(LARGE[100_000:600_000]).digest()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ScriptedS3]:
    with scripted_s3(tmp_path) as script:
        yield script


@pytest.fixture
def store(server: ScriptedS3) -> S3Store:
    return S3Store(server.settings())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(LARGE)
    return path


def is_cut_off(request: Request) -> bool:
    """Tell whether fewer bytes came than were promised."""
    return len(request.body) < int(request.headers["content-length"])


def signature_of(request: Request, secret_key: str) -> str:
    """Compute the signature that a request must have, as a store does (Signature Version 4)."""
    scope, signed = (
        request.headers["authorization"].split(f"{name}=")[1].split(",")[0]
        for name in ("Credential", "SignedHeaders")
    )
    day, region, service, ending = scope.split("/")[1:]
    path, _, query = request.target.partition("?")
    lines = [f"{name}:{request.headers[name]}" for name in signed.split(";")]
    canonical = [request.method, path, "&".join(sorted(query.split("&"))), *lines, "", signed]
    whole = "\n".join([*canonical, request.headers["x-amz-content-sha256"]])
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, service, ending):
        key = hmac.digest(key, part.encode(), "sha256")
    text = [
        "AWS4-HMAC-SHA256",
        request.headers["x-amz-date"],
        f"{day}/{region}/{service}/{ending}",
        hashlib.sha256(whole.encode()).hexdigest(),
    ]
    return hmac.digest(key, "\n".join(text).encode(), "sha256").hex()


def test_what_is_sent_is_signed_with_all_that_decides(server: ScriptedS3, source: Path) -> None:
    """Also where a key has signs that an address writes otherwise."""
    store = S3Store(server.settings(prefix="site=bj/", sse="AES256"))

    store.put(NAME, DATA, SHA256)
    store.put_part(NAME, "a/b+c=", 7, source, span=SPAN, sha256=SPAN_SHA256)

    put, part = server.requests
    for request, body in ((put, DATA), (part, LARGE[100_000:600_000])):
        authorization = request.headers["authorization"]
        assert authorization.split("Signature=")[1] == signature_of(request, SECRET_KEY)
        assert request.headers["x-amz-content-sha256"] == hashlib.sha256(request.body).hexdigest()
        assert request.body == body
    for name in ("host", "if-none-match", "x-amz-checksum-sha256", "x-amz-server-side-encryption"):
        assert name in put.headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    assert put.target == f"/recordings-bj/site%3Dbj/{NAME}"
    assert part.target == f"/recordings-bj/site%3Dbj/{NAME}?partNumber=7&uploadId=a%2Fb%2Bc%3D"


def test_a_small_object_waits_for_no_leave_to_be_sent(server: ScriptedS3, store: S3Store) -> None:
    store.put(NAME, DATA, SHA256)

    assert "expect" not in server.requests[0].headers


def test_a_large_part_is_refused_before_it_is_sent(server: ScriptedS3, store: S3Store, source: Path) -> None:
    server.say(refusal(404, "NoSuchUpload", is_early=True))

    with pytest.raises(UploadGone):
        store.put_part(NAME, "gone", 1, source, span=SPAN, sha256=SPAN_SHA256)

    (request,) = server.requests
    assert request.headers["expect"] == "100-continue"


def test_a_token_that_came_with_the_credentials_goes_along_and_is_signed(
    server: ScriptedS3, store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEMPORARY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token")

    store.put(NAME, DATA, SHA256)

    (request,) = server.requests
    assert request.headers["x-amz-security-token"] == "a-token"
    assert "x-amz-security-token" in request.headers["authorization"]
    assert request.headers["authorization"].split("Signature=")[1] == signature_of(request, SECRET_KEY)


def test_the_bucket_stands_in_the_hosts_name_where_the_settings_say_so(
    server: ScriptedS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = urlsplit(server.endpoint)
    real: Callable[..., object] = socket.getaddrinfo
    asked: list[str] = []

    def found(host: str, *more: object) -> object:
        asked.append(host)
        return real(here.hostname, *more)

    monkeypatch.setattr(socket, "getaddrinfo", found)
    store = S3Store(server.settings(endpoint=f"http://store.example:{here.port}", path_style=False))

    store.put(NAME, DATA, SHA256)

    (request,) = server.requests
    assert asked == ["recordings-bj.store.example"]
    assert request.headers["host"] == f"recordings-bj.store.example:{here.port}"
    assert request.target == f"/{NAME}"
    assert request.headers["authorization"].split("Signature=")[1] == signature_of(request, SECRET_KEY)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal(412, "PreconditionFailed"), NameTaken),
        (refusal(404, "NoSuchUpload"), UploadGone),
        (refusal(403, "AccessDenied"), StoreDenied),
        (refusal(400, "InvalidRequest"), StoreRefused),
        (refusal(400, "BadDigest"), StoreUnreachable),
        (refusal(200, "InternalError"), StoreUnreachable),
        (refusal(200, "PreconditionFailed"), NameTaken),
        (refusal(307, "TemporaryRedirect"), StoreUnreachable),
        (Answer(status=503), StoreUnreachable),
        (Answer(status=403), StoreDenied),
        (Answer(status=500, body=b"<Error><Code>Brok"), StoreUnreachable),
        (Answer(tag=""), StoreUnreachable),
    ],
)
def test_an_answer_means_for_a_part_what_it_means_everywhere(
    server: ScriptedS3, store: S3Store, source: Path, answer: Answer, error: type[StoreError]
) -> None:
    server.say(answer)

    with pytest.raises(error, match="central: recordings-bj/") as caught:
        store.put_part(NAME, "upload", 1, source, span=SPAN, sha256=SPAN_SHA256)

    assert type(caught.value) is error


def test_a_file_that_changed_after_it_was_hashed_never_arrives_whole(
    server: ScriptedS3, store: S3Store, source: Path
) -> None:
    """And whoever asks is told of the file, not of the connection that broke for it."""

    def change(_size_bytes: int) -> None:
        source.write_bytes(LARGE[:-1] + b"!")

    with pytest.raises(SourceAltered, match="source"):
        store.put(NAME, source, hashlib.sha256(LARGE).digest(), pace=change)

    eventually(lambda: [is_cut_off(request) for request in server.requests] == [True], "a request cut off")


def test_a_file_that_became_shorter_never_arrives(server: ScriptedS3, store: S3Store, source: Path) -> None:
    told: list[int] = []

    def shorten(size_bytes: int) -> None:
        told.append(size_bytes)
        if len(told) == 3:
            os.truncate(source, 150_000)

    with pytest.raises(SourceAltered, match="source"):
        store.put(NAME, source, LARGE_SHA256, pace=shorten)

    eventually(lambda: [is_cut_off(request) for request in server.requests] == [True], "a request cut off")
    assert sum(told) < len(LARGE)
