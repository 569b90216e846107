"""A small S3 store in this process that can be told to be bad, one fault at a time.

It shows that an examination of a store finds what it is there to find: with no fault switched on it keeps all
the promises that a good store keeps, so that what is found is found because of the fault.

It knows the few operations that the examination and the set-up use, on loopback. It looks at no signature: an
access key is whoever it says, and may do what that one's policies say.
"""

import base64
import fnmatch
import hashlib
import json
import re
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from support.bad_store_protocol import Refusal, Reply, Request, operation_of, parsed, text, xml

ADMIN: Final = "ADMIN"
_CREDENTIAL: Final = re.compile(r"Credential=([^/]+)/")


class Fault(StrEnum):
    """What such a store does wrong."""

    TAKES_WRONG_HASH = "takes-wrong-hash"
    TAKES_WRONG_PART = "takes-wrong-part"
    FORGETS_IF_NONE_MATCH = "forgets-if-none-match"
    FORGETS_IT_FOR_PARTS = "forgets-it-for-parts"
    DELETES_LOCKED = "deletes-locked"
    DELETES_QUIETLY = "deletes-quietly"
    SHORTENS = "shortens"
    SHORTENS_QUIETLY = "shortens-quietly"
    TO_GOVERNANCE = "to-governance"
    ALLOWS_EVERYTHING = "allows-everything"
    IGNORES_VERSION = "ignores-version"
    LOCKS_NOTHING = "locks-nothing"
    KEEPS_NO_SETTINGS = "keeps-no-settings"
    ALTERS = "alters"


@dataclass(kw_only=True)
class Version:
    data: bytes
    mode: str = ""
    until: datetime | None = None
    hold: str = "OFF"
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(kw_only=True)
class Bucket:
    locks: bool = False
    versions: bool = False
    retention: tuple[str, int] | None = None
    lifecycle: bytes | None = None
    public_access: bytes | None = None
    objects: dict[str, list[Version]] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)


class BadStore:
    """The store's mind: what it holds, whom it believes, and what it does wrong."""

    def __init__(self) -> None:
        self.faults: set[Fault] = set()
        self.buckets: dict[str, Bucket] = {}
        self._policies: dict[str, list[Mapping[str, object]]] = {}
        self._lock = threading.Lock()

    def allow(self, who: str, *policies: str) -> None:
        """Let the access key `who` do what these documents say."""
        self._policies[who] = [statement for text in policies for statement in json.loads(text)["Statement"]]

    def answer(self, request: Request) -> Reply:
        with self._lock:
            try:
                return self._answer(request)
            except Refusal as refusal:
                text = f"<Error><Code>{refusal.code}</Code><Message>no</Message></Error>"
                return Reply(status=refusal.status, body=b"" if request.method == "HEAD" else text.encode())

    def _answer(self, request: Request) -> Reply:
        name, action = operation_of(request)
        if name != "create_bucket" and request.bucket not in self.buckets:
            raise Refusal(404, "NoSuchBucket")
        self._check_right(request, action)
        return getattr(self, f"_{name}")(request)  # type: ignore[no-any-return]  # by name, as the table has it

    def _check_right(self, request: Request, action: str) -> None:
        if request.who == ADMIN or Fault.ALLOWS_EVERYTHING in self.faults:
            return
        arn = f"arn:aws:s3:::{request.bucket}" + (f"/{request.key}" if request.key else "")
        wanted = {action}
        if "x-amz-object-lock-mode" in request.headers:
            wanted.add("s3:PutObjectRetention")
        for one in wanted:
            if not any(_matches(found, one, arn) for found in self._policies.get(request.who, [])):
                raise Refusal(403, "AccessDenied")

    # Buckets.

    def _create_bucket(self, request: Request) -> Reply:
        locks = request.headers.get("x-amz-bucket-object-lock-enabled", "").lower() == "true"
        self.buckets[request.bucket] = Bucket(locks=locks, versions=locks)
        return Reply()

    def _head_bucket(self, _request: Request) -> Reply:
        return Reply()

    def _get_versioning(self, request: Request) -> Reply:
        status = "<Status>Enabled</Status>" if self._bucket(request).versions else ""
        return xml("VersioningConfiguration", status)

    def _put_versioning(self, request: Request) -> Reply:
        parsed(request.body)
        self._bucket(request).versions = Fault.KEEPS_NO_SETTINGS not in self.faults
        return Reply()

    def _get_lock(self, request: Request) -> Reply:
        bucket = self._bucket(request)
        if not bucket.locks:
            raise Refusal(404, "ObjectLockConfigurationNotFoundError")
        rule = ""
        if bucket.retention is not None:
            mode, days = bucket.retention
            rule = f"<Rule><DefaultRetention><Mode>{mode}</Mode><Days>{days}</Days></DefaultRetention></Rule>"
        return xml("ObjectLockConfiguration", f"<ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}")

    def _put_lock(self, request: Request) -> Reply:
        root = parsed(request.body)
        mode, days = text(root, "Mode"), text(root, "Days")
        if Fault.KEEPS_NO_SETTINGS not in self.faults:
            self._bucket(request).retention = (mode, int(days))
        return Reply()

    def _get_lifecycle(self, request: Request) -> Reply:
        body = self._bucket(request).lifecycle
        if body is None:
            raise Refusal(404, "NoSuchLifecycleConfiguration")
        return Reply(body=body)

    def _put_lifecycle(self, request: Request) -> Reply:
        parsed(request.body)
        if Fault.KEEPS_NO_SETTINGS not in self.faults:
            self._bucket(request).lifecycle = request.body
        return Reply()

    def _put_policy(self, request: Request) -> Reply:
        try:
            json.loads(request.body)
        except ValueError:
            raise Refusal(400, "MalformedPolicy") from None
        return Reply()

    def _get_public_access(self, request: Request) -> Reply:
        body = self._bucket(request).public_access
        if body is None:
            raise Refusal(404, "NoSuchPublicAccessBlockConfiguration")
        return Reply(body=body)

    def _put_public_access(self, request: Request) -> Reply:
        self._bucket(request).public_access = request.body
        return Reply()

    def _list(self, request: Request) -> Reply:
        prefix = request.query.get("prefix", "")
        keys = sorted(key for key in self._bucket(request).objects if key.startswith(prefix))
        return xml("ListBucketResult", "".join(f"<Contents><Key>{key}</Key></Contents>" for key in keys))

    def _list_versions(self, _request: Request) -> Reply:
        return xml("ListVersionsResult", "")

    def _list_uploads(self, _request: Request) -> Reply:
        return xml("ListMultipartUploadsResult", "")

    # Objects.

    def _put_object(self, request: Request) -> Reply:
        self._check_hash(request, Fault.TAKES_WRONG_HASH)
        self._check_free(request, Fault.FORGETS_IF_NONE_MATCH)
        return self._store(request, request.body)

    def _store(self, request: Request, data: bytes, *, body: bytes = b"") -> Reply:
        bucket = self._bucket(request)
        version = Version(data=data[::-1] if Fault.ALTERS in self.faults else data)
        if bucket.retention is not None and Fault.LOCKS_NOTHING not in self.faults:
            version.mode, days = bucket.retention
            version.until = datetime.now(UTC) + timedelta(days=days)
        bucket.objects.setdefault(request.key, []).append(version)
        headers = {"ETag": f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'}
        if bucket.versions:
            headers["x-amz-version-id"] = version.id
        return Reply(body=body, headers=headers)

    def _get_object(self, request: Request) -> Reply:
        version = self._version(request)
        return Reply(body=version.data, headers={"x-amz-version-id": version.id})

    def _delete_object(self, request: Request) -> Reply:
        objects = self._bucket(request).objects
        wanted = request.query.get("versionId")
        versions = objects.get(request.key, [])
        found = next((one for one in versions if one.id == wanted), None)
        if found is None:
            return Reply(status=204)
        quietly = Fault.DELETES_QUIETLY in self.faults
        if _is_locked(found) and not quietly and Fault.DELETES_LOCKED not in self.faults:
            raise Refusal(403, "AccessDenied")
        versions.remove(found)
        if quietly:
            raise Refusal(403, "AccessDenied")
        return Reply(status=204)

    def _get_retention(self, request: Request) -> Reply:
        version = self._version(request)
        if version.until is None:
            raise Refusal(404, "NoSuchObjectLockConfiguration")
        until = version.until.strftime("%Y-%m-%dT%H:%M:%SZ")
        return xml("Retention", f"<Mode>{version.mode}</Mode><RetainUntilDate>{until}</RetainUntilDate>")

    def _put_retention(self, request: Request) -> Reply:
        version, root = self._version(request), parsed(request.body)
        mode = text(root, "Mode")
        until = datetime.fromisoformat(text(root, "RetainUntilDate"))
        shorter = version.until is not None and until < version.until.replace(microsecond=0)
        weaker = version.mode == "COMPLIANCE" and mode != "COMPLIANCE"
        quietly = Fault.SHORTENS_QUIETLY in self.faults
        if shorter and not quietly and Fault.SHORTENS not in self.faults:
            raise Refusal(403, "AccessDenied")
        if weaker and Fault.TO_GOVERNANCE not in self.faults:
            raise Refusal(403, "AccessDenied")
        version.mode, version.until = mode, until
        if shorter and quietly:
            raise Refusal(403, "AccessDenied")
        return Reply()

    def _get_hold(self, request: Request) -> Reply:
        return xml("LegalHold", f"<Status>{self._version(request).hold}</Status>")

    def _put_hold(self, request: Request) -> Reply:
        self._version(request).hold = text(parsed(request.body), "Status")
        return Reply()

    # Parts.

    def _begin_parts(self, request: Request) -> Reply:
        upload = uuid.uuid4().hex
        self._bucket(request).uploads[upload] = {}
        return xml("InitiateMultipartUploadResult", f"<UploadId>{upload}</UploadId>")

    def _put_part(self, request: Request) -> Reply:
        self._check_hash(request, Fault.TAKES_WRONG_PART)
        self._upload(request)[int(request.query["partNumber"])] = request.body
        return Reply(headers={"ETag": '"part"'})

    def _list_parts(self, request: Request) -> Reply:
        self._upload(request)
        return xml("ListPartsResult", "")

    def _end_parts(self, request: Request) -> Reply:
        parts = self._upload(request)
        self._check_free(request, Fault.FORGETS_IT_FOR_PARTS)
        data = b"".join(parts[number] for number in sorted(parts))
        del self._bucket(request).uploads[request.query["uploadId"]]
        return self._store(request, data, body=xml("CompleteMultipartUploadResult", "").body)

    def _abandon_parts(self, request: Request) -> Reply:
        self._upload(request)
        del self._bucket(request).uploads[request.query["uploadId"]]
        return Reply(status=204)

    def _bucket(self, request: Request) -> Bucket:
        return self.buckets[request.bucket]

    def _upload(self, request: Request) -> dict[int, bytes]:
        try:
            return self._bucket(request).uploads[request.query["uploadId"]]
        except KeyError:
            raise Refusal(404, "NoSuchUpload") from None

    def _version(self, request: Request) -> Version:
        versions = self._bucket(request).objects.get(request.key, [])
        wanted = request.query.get("versionId")
        if Fault.IGNORES_VERSION in self.faults:
            wanted = None
        found = next((one for one in reversed(versions) if wanted in {None, one.id}), None)
        if found is None:
            raise Refusal(404, "NoSuchKey" if wanted is None else "NoSuchVersion")
        return found

    def _check_hash(self, request: Request, fault: Fault) -> None:
        given = request.headers.get("x-amz-checksum-sha256")
        right = base64.b64encode(hashlib.sha256(request.body).digest()).decode()
        if given not in {None, right} and fault not in self.faults:
            raise Refusal(400, "BadDigest")

    def _check_free(self, request: Request, fault: Fault) -> None:
        asked = request.headers.get("if-none-match") == "*"
        if asked and fault not in self.faults and self._bucket(request).objects.get(request.key):
            raise Refusal(412, "PreconditionFailed")


def _matches(statement: Mapping[str, object], action: str, arn: str) -> bool:
    actions, resources = statement["Action"], statement["Resource"]
    assert isinstance(actions, list)
    assert isinstance(resources, list)
    return action in actions and any(fnmatch.fnmatchcase(arn, pattern) for pattern in resources)


def _is_locked(version: Version) -> bool:
    return version.hold == "ON" or (version.until is not None and version.until > datetime.now(UTC))


@contextmanager
def serving(store: BadStore) -> Iterator[str]:
    """Serve it on a free port of loopback; give its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each answer waits 40 ms for the other end's acknowledgement

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            bucket, _slash, key = unquote(parts.path).lstrip("/").partition("/")
            query = {
                name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()
            }
            credential = _CREDENTIAL.search(self.headers.get("Authorization", ""))
            length = int(self.headers.get("Content-Length", "0"))
            reply = store.answer(
                Request(
                    method=self.command,
                    bucket=bucket,
                    key=key,
                    query=query,
                    headers={name.lower(): value for name, value in self.headers.items()},
                    body=self.rfile.read(length),
                    who=credential[1] if credential else "",
                )
            )
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815 - http.server's names

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
