"""The S3 store against a server that misbehaves on demand: what it asks for, and what it makes of answers."""

import base64
import dataclasses
import hashlib
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from callseal.config import central
from callseal.store.errors import (
    NameTaken,
    SourceAltered,
    StoreDenied,
    StoreError,
    StoreMissing,
    StoreRefused,
    StoreUnreachable,
    UploadGone,
)
from callseal.store.interface import Part, Span
from callseal.store.opening import open_store, parts_of
from callseal.store.s3 import CAPABILITIES, S3Store
from callseal.store.s3_client import LOOK_S
from support.scripted_s3 import ACCESS_KEY, SECRET_KEY, Answer, ScriptedS3, refusal, scripted_s3

if TYPE_CHECKING:
    from io import BytesIO

NAME = "recordings/dev-aaaaaaaaaaaa/2026/11/21/x/manifest.json"
DATA = b"the manifest"
SHA256 = hashlib.sha256(DATA).digest()
LARGE = os.urandom(1_000_000)
LARGE_SHA256 = hashlib.sha256(LARGE).digest()
PART = Part(number=1, tag='"tag"', sha256=SHA256, size_bytes=len(DATA))
GARBAGE = Answer(body=b"<html>Please log in to the hotel's network</html>", tag="")


class Clock:
    """Seconds, as the test sets them."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ScriptedS3]:
    with scripted_s3(tmp_path) as script:
        yield script


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(server: ScriptedS3, clock: Clock) -> S3Store:
    return S3Store(server.settings(), clock=clock)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_an_object_is_put_with_its_hash_and_never_over_another(server: ScriptedS3, store: S3Store) -> None:
    server.say(Answer(headers={"x-amz-version-id": "v1"}))

    version = store.put(NAME, DATA, SHA256)

    (request,) = server.requests
    assert version == "v1"
    assert (request.method, request.target, request.body) == ("PUT", f"/recordings-bj/{NAME}", DATA)
    assert request.headers["if-none-match"] == "*"
    assert request.headers["x-amz-checksum-sha256"] == text(SHA256)
    assert request.headers["x-amz-content-sha256"] == SHA256.hex()
    assert "callseal/" in request.headers["user-agent"]
    assert "aws-chunked" not in request.headers.get("content-encoding", "")


def test_a_large_body_is_sent_once_and_signed_with_its_hash(server: ScriptedS3, store: S3Store) -> None:
    told: list[int] = []

    store.put(NAME, LARGE, LARGE_SHA256, pace=told.append)

    (request,) = server.requests
    assert request.body == LARGE
    assert request.headers["x-amz-content-sha256"] == LARGE_SHA256.hex()
    assert request.headers["expect"] == "100-continue"
    assert sum(told) == len(LARGE)
    assert max(told) <= 65_536


def test_a_body_of_middling_size_waits_for_nobody(server: ScriptedS3, store: S3Store) -> None:
    store.put(NAME, LARGE[:200_000], hashlib.sha256(LARGE[:200_000]).digest())

    assert "expect" not in server.requests[0].headers


def test_a_taken_name_is_told_before_a_large_body_is_sent(server: ScriptedS3, store: S3Store) -> None:
    server.say(refusal(412, "PreconditionFailed", is_early=True), refusal(403, "AccessDenied"))

    with pytest.raises(NameTaken):
        store.put(NAME, LARGE, LARGE_SHA256)

    assert [request.method for request in server.requests] == ["PUT", "GET"]


def test_who_may_not_read_is_not_asked_to_compare_again(server: ScriptedS3, store: S3Store) -> None:
    taken = refusal(412, "PreconditionFailed")
    server.say(taken, refusal(403, "AccessDenied"), taken)

    for _again in range(3):
        with pytest.raises(NameTaken, match="something stands under this name"):
            store.put(NAME, DATA, SHA256)

    assert [request.method for request in server.requests] == ["PUT", "GET", "PUT", "PUT"]


def test_who_may_read_is_told_whether_it_is_the_same(server: ScriptedS3, store: S3Store) -> None:
    taken = refusal(412, "PreconditionFailed")
    there = Answer(body=DATA, headers={"x-amz-version-id": "v7"})

    server.say(taken, there)
    assert store.put(NAME, DATA, SHA256) == "v7"

    server.say(taken, there)
    with pytest.raises(StoreRefused, match="other bytes") as caught:
        store.put(NAME, b"other", hashlib.sha256(b"other").digest())
    assert not isinstance(caught.value, NameTaken)


def test_what_the_store_calls_a_hash_of_parts_is_not_taken_for_one_of_all(
    server: ScriptedS3, store: S3Store
) -> None:
    composite = {"x-amz-checksum-sha256": text(bytes(32)) + "-2", "x-amz-checksum-type": "COMPOSITE"}
    server.say(refusal(412, "PreconditionFailed"), Answer(body=DATA, headers=composite))

    assert store.put(NAME, DATA, SHA256) == "null"


def test_a_store_that_can_not_refuse_a_taken_name_is_asked_what_is_there_first(server: ScriptedS3) -> None:
    careless = dataclasses.replace(CAPABILITIES, exclusive_put=False)
    store = S3Store(server.settings(), capabilities=careless)
    missing = refusal(404, "NoSuchKey")
    server.say(missing, Answer(), Answer(body=DATA), Answer(body=b"other"))

    store.put(NAME, DATA, SHA256)
    store.put(NAME, DATA, SHA256)
    with pytest.raises(StoreRefused, match="other bytes"):
        store.put(NAME, DATA, SHA256)

    assert [request.method for request in server.requests] == ["GET", "PUT", "GET", "GET"]
    assert "if-none-match" not in server.requests[1].headers


def test_where_the_settings_want_no_lock_none_is_promised(server: ScriptedS3) -> None:
    store = open_store(server.settings(lock="none"))

    assert not store.capabilities.lock
    assert not store.capabilities.holds
    with pytest.raises(StoreRefused):
        store.lock_until(NAME, "v", datetime(2040, 1, 1, tzinfo=UTC))
    with pytest.raises(StoreRefused):
        store.hold(NAME, "v", on=True)
    assert server.requests == []


def test_encryption_by_the_service_is_asked_for(server: ScriptedS3) -> None:
    store = S3Store(server.settings(sse="aws:kms", kms_key="key-1"))
    server.say(
        Answer(body=b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
    )

    store.put(NAME, DATA, SHA256)
    store.begin_parts(NAME)

    for request in server.requests:
        assert request.headers["x-amz-server-side-encryption"] == "aws:kms"
        assert request.headers["x-amz-server-side-encryption-aws-kms-key-id"] == "key-1"


def test_the_board_lies_in_a_bucket_of_its_own_and_is_replaced(server: ScriptedS3) -> None:
    name = "fleet/dev-aaaaaaaaaaaa.json"
    for settings, bucket in (
        (server.settings(), "recordings-bj-fleet"),
        (server.settings(fleet_bucket="fleet-bj"), "fleet-bj"),
    ):
        S3Store(settings).replace(name, DATA)

        request = server.requests[-1]
        assert request.target == f"/{bucket}/{name}"
        assert "if-none-match" not in request.headers
        assert request.headers["x-amz-checksum-sha256"] == text(SHA256)


def test_every_key_begins_with_the_prefix_of_the_settings(server: ScriptedS3) -> None:
    store = S3Store(server.settings(prefix="callseal/bj/"))

    store.put(NAME, DATA, SHA256)

    assert server.requests[0].target == f"/recordings-bj/callseal/bj/{NAME}"


def test_an_upload_is_ended_with_all_its_hashes_and_its_size(server: ScriptedS3, store: S3Store) -> None:
    body = b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
    server.say(Answer(body=body, headers={"x-amz-version-id": "v1"}))
    second = Part(number=2, tag='"b"', sha256=bytes(32), size_bytes=5)

    version = store.end_parts(NAME, "upload", [second, PART])

    (request,) = server.requests
    sent = request.body.decode()
    assert version == "v1"
    assert request.headers["if-none-match"] == "*"
    assert request.headers["x-amz-mp-object-size"] == str(len(DATA) + 5)
    assert sent.index(text(SHA256)) < sent.index(text(bytes(32)))


@pytest.mark.parametrize(
    ("code", "error"),
    [("InternalError", StoreUnreachable), ("NoSuchUpload", UploadGone), ("PreconditionFailed", NameTaken)],
)
def test_an_error_inside_a_success_is_an_error(
    server: ScriptedS3, store: S3Store, code: str, error: type[StoreError]
) -> None:
    """S3 says 200 at once to who ends an upload, and what became of it in the body."""
    said = refusal(500, code)
    server.say(Answer(body=said.body, headers=said.headers))

    with pytest.raises(error) as caught:
        store.end_parts(NAME, "upload", [PART])

    assert type(caught.value) is error


@pytest.mark.parametrize("answer", [GARBAGE, Answer(body=b"<unfinished"), Answer(body=b"", tag="")])
def test_an_answer_that_is_none_is_no_success(server: ScriptedS3, store: S3Store, answer: Answer) -> None:
    server.say(answer)

    with pytest.raises(StoreUnreachable):
        store.end_parts(NAME, "upload", [PART])
    with pytest.raises(StoreUnreachable):
        store.begin_parts(NAME)


def test_a_success_that_no_s3_store_said_is_none(server: ScriptedS3, store: S3Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)
    span = Span(offset_bytes=0, size_bytes=len(DATA))
    server.say(GARBAGE)

    for attempt in (
        lambda: store.put(NAME, DATA, SHA256),
        lambda: store.put_part(NAME, "upload", 1, source, span=span, sha256=SHA256),
        lambda: store.get(NAME),
        lambda: store.locked_until(NAME, "v"),
        lambda: store.is_held(NAME, "v"),
        lambda: store.replace("fleet/dev-aaaaaaaaaaaa.json", DATA),
    ):
        with pytest.raises(StoreUnreachable, match="does not speak S3"):
            attempt()


@pytest.mark.parametrize("size_bytes", [0, 5, 3_000_000])
def test_a_body_that_breaks_off_is_never_taken_for_the_whole(
    server: ScriptedS3, store: S3Store, size_bytes: int
) -> None:
    server.say(Answer(body=bytes(size_bytes), length_bytes=size_bytes + 1, breaks=True))

    with store.get(NAME) as file, pytest.raises(StoreUnreachable):
        file.read()
    with store.get(NAME) as file, pytest.raises(StoreUnreachable):
        hashlib.file_digest(cast("BytesIO", file), "sha256")


def test_what_is_no_file_is_not_sent(server: ScriptedS3, store: S3Store, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone", Path("/dev/stdin/x")):
        with pytest.raises(SourceAltered):
            store.put(NAME, path, SHA256)

    assert server.requests == []


def test_a_body_that_failed_stays_failed(server: ScriptedS3, store: S3Store) -> None:
    server.say(Answer(body=b"half", length_bytes=8, breaks=True))

    with store.get(NAME) as file:
        for _again in range(3):
            with pytest.raises(StoreUnreachable):
                file.read()


@pytest.mark.parametrize(
    "answer",
    [
        refusal(503, "SlowDown"),
        Answer(status=500, body=b"not even XML"),
        Answer(status=502),
        Answer(body=b"<ListBucketResult>", length_bytes=100, breaks=True),
        GARBAGE,
    ],
)
def test_whatever_a_listing_gets_only_errors_of_ours_come_out(
    server: ScriptedS3, store: S3Store, answer: Answer
) -> None:
    server.say(answer)

    for listing in (store.list("recordings/"), store.versions("recordings/"), store.folders("recordings/")):
        with pytest.raises(StoreUnreachable):
            list(listing)


def test_a_listing_that_says_it_goes_on_and_not_where_is_an_error_and_no_endless_loop(
    server: ScriptedS3, store: S3Store
) -> None:
    server.say(Answer(body=b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"))

    with pytest.raises(StoreUnreachable):
        list(store.list("recordings/"))


def test_a_bucket_that_is_not_there_needs_a_person_and_no_object_is_blamed(
    server: ScriptedS3, store: S3Store
) -> None:
    server.say(refusal(404, "NoSuchBucket"))

    for attempt in (lambda: store.put(NAME, DATA, SHA256), lambda: store.get(NAME)):
        with pytest.raises(StoreDenied, match="store init"):
            attempt()


def test_no_message_shows_a_credential_or_what_the_server_says(server: ScriptedS3, store: S3Store) -> None:
    words = f"AWSAccessKeyId {ACCESS_KEY} StringToSign AWS4-HMAC-SHA256 {SECRET_KEY}"
    server.say(refusal(403, "SignatureDoesNotMatch", words))

    with pytest.raises(StoreDenied) as caught:
        store.put(NAME, DATA, SHA256)

    assert "central: recordings-bj/" in str(caught.value)
    for secret in (ACCESS_KEY, SECRET_KEY, "StringToSign", "HMAC"):
        assert secret not in str(caught.value)


def test_nobody_there_is_unreachable(store: S3Store, server: ScriptedS3) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    gone = S3Store(
        central.S3Store.model_validate(
            server.settings().model_dump() | {"endpoint": f"http://127.0.0.1:{port}"}
        )
    )

    with pytest.raises(StoreUnreachable, match="refused"):
        gone.put(NAME, LARGE, LARGE_SHA256)


def test_a_proxy_in_the_environment_is_not_used(server: ScriptedS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    S3Store(server.settings()).put(NAME, DATA, SHA256)

    assert len(server.requests) == 1


def test_one_attempt_is_one_request(server: ScriptedS3, store: S3Store) -> None:
    """Who may try again, and when, is decided elsewhere."""
    server.say(refusal(503, "SlowDown"))

    with pytest.raises(StoreUnreachable):
        store.put(NAME, DATA, SHA256)

    assert len(server.requests) == 1


def test_missing_credentials_are_told_and_found_once_they_are_there(server: ScriptedS3, clock: Clock) -> None:
    store = S3Store(server.settings(profile="agent"), clock=clock)
    with pytest.raises(StoreDenied, match="no profile called agent"):
        store.put(NAME, DATA, SHA256)

    server.write_credentials(profile="agent")
    store.put(NAME, DATA, SHA256)

    assert len(server.requests) == 1


def test_a_profile_that_is_asked_for_counts_before_the_settings(server: ScriptedS3) -> None:
    server.write_credentials("AKIAOTHER", profile="other")

    S3Store(server.settings(profile="agent"), profile="other").put(NAME, DATA, SHA256)

    assert "Credential=AKIAOTHER/" in server.requests[0].headers["authorization"]


def test_changed_credentials_are_taken_without_a_new_start(
    server: ScriptedS3, store: S3Store, clock: Clock
) -> None:
    store.put(NAME, DATA, SHA256)
    server.write_credentials("AKIANEW")
    store.put(NAME, DATA, SHA256)
    clock.now_s += LOOK_S
    store.put(NAME, DATA, SHA256)

    keys = [
        request.headers["authorization"].split("Credential=")[1].split("/")[0] for request in server.requests
    ]
    assert keys == [ACCESS_KEY, ACCESS_KEY, "AKIANEW"]


def test_credentials_that_are_refused_are_looked_for_again(
    server: ScriptedS3, store: S3Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file did not change: they may come from elsewhere."""
    server.say(refusal(403, "ExpiredToken"), Answer())
    with pytest.raises(StoreDenied, match="expired"):
        store.put(NAME, DATA, SHA256)

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    clock.now_s += LOOK_S
    store.put(NAME, DATA, SHA256)

    assert "AKIAENVIRONMENT" in server.requests[1].headers["authorization"]


def test_many_threads_share_a_store(server: ScriptedS3) -> None:
    store = S3Store(server.settings(), connections=4)
    failed: list[Exception] = []

    def work(number: int) -> None:
        try:
            for again in range(5):
                store.put(f"ledger/{number}/{again}", LARGE, LARGE_SHA256)
        except StoreError as problem:
            failed.append(problem)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert len(server.requests) == 20
    assert all(request.body == LARGE for request in server.requests)


def test_a_version_that_was_never_given_is_missing(server: ScriptedS3, store: S3Store) -> None:
    for code, status in (("InvalidArgument", 400), ("NoSuchVersion", 404)):
        server.say(refusal(status, code))
        with pytest.raises(StoreMissing):
            store.get(NAME, "never-given")


def test_what_is_protected_is_never_weakened_even_where_the_store_would(
    server: ScriptedS3, store: S3Store
) -> None:
    until = datetime(2030, 1, 1, tzinfo=UTC)
    held = b"<Mode>COMPLIANCE</Mode><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate>"
    server.say(Answer(body=b"<Retention>" + held + b"</Retention>"))

    with pytest.raises(StoreRefused, match="never shortened"):
        store.lock_until(NAME, "v", until - timedelta(seconds=1))
    S3Store(server.settings(lock="governance")).lock_until(NAME, "v", until + timedelta(days=1))

    assert [request.method for request in server.requests] == ["GET", "GET", "PUT"]
    assert b"<Mode>COMPLIANCE</Mode>" in server.requests[-1].body
    assert b"GOVERNANCE" not in server.requests[-1].body


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Give a certificate of 127.0.0.1, with its key in the same file, that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    path = tmp_path / "store.pem"
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(pem)
    )
    return path


def test_a_service_counts_by_who_vouches_for_it(certificate: Path, tmp_path: Path) -> None:
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(certificate)
    with scripted_s3(tmp_path, secure) as server:
        with pytest.raises(StoreUnreachable, match="no secure connection: self-signed certificate"):
            S3Store(server.settings()).put(NAME, LARGE, LARGE_SHA256)
        assert server.requests == []

        S3Store(server.settings(ca_file=certificate)).put(NAME, LARGE, LARGE_SHA256)

        assert server.requests[0].body == LARGE
        assert server.requests[0].headers["x-amz-checksum-sha256"] == text(LARGE_SHA256)


def test_certificates_that_are_not_there_are_told(server: ScriptedS3, tmp_path: Path) -> None:
    settings = server.settings(ca_file=tmp_path / "gone.pem", endpoint="https://127.0.0.1:1")

    with pytest.raises(StoreError, match="central"):
        S3Store(settings).put(NAME, DATA, SHA256)


def test_a_store_with_parts_says_so(store: S3Store) -> None:
    assert parts_of(store) is store
