"""Any S3-compatible store, through the low-level client: every request is one attempt, and says what it is.

An object is put by one request, or in parts that outlive the process. Either way the store gets our SHA-256
of what is sent (``x-amz-checksum-sha256``), compares it with what it received, and refuses a name that is
taken (``If-None-Match: *``): by itself S3 would put another version on top. Of what was put in parts it is
told the whole size as well, so that none can be missing.

What an agent may do is to add: it can neither read nor list. So what is asked for here is no more than what
the caller asked for, with one exception: where a name is taken, `put` tries to compare, since who may read
is told whether it was the same. Who may not is NameTaken, and is not asked again.

Names that begin with ``fleet/`` lie in a bucket of their own, without versions and lock, and are replaced.

Conventions: a key is the settings' prefix and the name. A version is S3's VersionId; ``null`` in a bucket
without versions, as S3 itself calls it. Listings leave out keys that end in a slash, which are what some
consoles make for a folder. Times of protection are whole seconds, never earlier than asked for.
"""

import base64
import contextlib
import hashlib
import heapq
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal, TypedDict

from callseal.config import central
from callseal.store.capabilities import MIB, Capabilities, PartLimits
from callseal.store.errors import (
    NameTaken,
    StoreDenied,
    StoreError,
    StoreMissing,
    StoreRefused,
    UploadGone,
)
from callseal.store.interface import Content, ObjectInfo, Pace, Part, Span, unpaced
from callseal.store.names import FLEET, check_name, check_prefix
from callseal.store.s3_bodies import SentBody, opened_body, received_body
from callseal.store.s3_client import CONNECTIONS, Clients, Clock
from callseal.store.s3_errors import REMOTE_ERRORS, code_of, is_about_credentials, translate

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

CAPABILITIES: Final = Capabilities(
    exclusive_put=True,
    versions=True,
    lock=True,
    checked_put=True,
    max_object_size_bytes=5 * 1024 * MIB,  # of one request; what is larger goes in parts
    holds=True,
    parts=PartLimits(),
)
"""What S3 itself promises; `callseal store check` finds out what another store keeps of it."""

EXPECT_SIZE_BYTES: Final = 256 * 1024
"""Bodies larger than this are sent only once the store has said that it will take them.

A smaller one is sent at once, which saves a round trip. A larger one that is refused meanwhile (the name is
taken) would cost the bandwidth, and the store's closing of the connection would hide its answer: servers read
on for no more than this (Go's net/http) before they close.
"""

NULL_VERSION: Final = "null"

_COMPARE_BLOCK_SIZE_BYTES: Final = 1024 * 1024
_NO_LOCK_CODES: Final = frozenset(
    {"NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError", "InvalidRequest"}
)
# What stores say to a version that they never gave: some find the identifier malformed.
_NO_VERSION_CODES: Final = frozenset({"InvalidArgument", "NoSuchVersion"})
_ONE_SECOND: Final = timedelta(seconds=1)


class _Encryption(TypedDict, total=False):
    ServerSideEncryption: Literal["AES256", "aws:kms"]
    SSEKMSKeyId: str


class S3Store:
    """A bucket as the settings name it: all of `interface` but `Watched`. For any number of threads.

    `profile` is used instead of the one in the settings. Nothing is asked of the store, and no credentials
    are looked for, before the first call.
    """

    def __init__(
        self,
        settings: central.S3Store,
        *,
        profile: str | None = None,
        capabilities: Capabilities = CAPABILITIES,
        connections: int = CONNECTIONS,
        clock: Clock = time.monotonic,
    ) -> None:
        self.capabilities: Final = capabilities
        self._settings = settings
        self._bucket = settings.bucket
        self._fleet_bucket = settings.fleet_bucket or f"{settings.bucket}-fleet"
        self._clients = Clients(settings, profile=profile, connections=connections, clock=clock)
        self._may_not_compare = threading.Event()
        self._encryption: _Encryption = {}
        if settings.sse:
            self._encryption["ServerSideEncryption"] = settings.sse
        if settings.sse == "aws:kms" and settings.kms_key:
            self._encryption["SSEKMSKeyId"] = settings.kms_key

    def put(self, name: str, content: Content, sha256: bytes, *, pace: Pace = unpaced) -> str:
        """Store a file, or bytes, by one request; see `interface.StoreWriter`."""
        check_name(name)
        if name.startswith(FLEET):
            return self._put(name, content, sha256, pace, exclusive=False)
        if not self.capabilities.exclusive_put:
            found = self._same(name, sha256)
            return self._put(name, content, sha256, pace, exclusive=False) if found is None else found
        try:
            return self._put(name, content, sha256, pace, exclusive=True)
        except NameTaken:
            found = self._same(name, sha256)
            if found is None:
                raise
            return found

    def begin_parts(self, name: str) -> str:
        """Begin an upload in parts; see `interface.PartsWriter`."""
        self._check_exclusive(name)
        bucket, key = self._place(name)
        with self._asking(name) as client:
            answer = client.create_multipart_upload(
                Bucket=bucket, Key=key, ChecksumAlgorithm="SHA256", **self._encryption
            )
        return answer["UploadId"]

    def put_part(
        self,
        name: str,
        upload: str,
        number: int,
        source: Path,
        *,
        span: Span,
        sha256: bytes,
        pace: Pace = unpaced,
    ) -> Part:
        """Store one part; see `interface.PartsWriter`."""
        self._check_exclusive(name)
        bucket, key = self._place(name)
        with opened_body(source, sha256, pace=pace, span=span) as body, self._sending(name, body) as client:
            answer = client.upload_part(
                Bucket=bucket,
                Key=key,
                UploadId=upload,
                PartNumber=number,
                # A blob to botocore is whatever can be read, sought and told the length of.
                Body=body,  # type: ignore[arg-type]
                ContentLength=span.size_bytes,
                ChecksumSHA256=_base64(sha256),
            )
        return Part(number=number, tag=answer["ETag"], sha256=sha256, size_bytes=span.size_bytes)

    def end_parts(self, name: str, upload: str, parts: Sequence[Part]) -> str:
        """Make the object of its parts; see `interface.PartsWriter`."""
        self._check_exclusive(name)
        if not parts:
            raise StoreRefused(f"{self._what(name)}: an object in parts has one part at least")
        ordered = sorted(parts, key=lambda part: part.number)
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if self.capabilities.exclusive_put else {}
        bucket, key = self._place(name)
        with self._asking(name) as client:
            answer = client.complete_multipart_upload(
                Bucket=bucket,
                Key=key,
                UploadId=upload,
                MultipartUpload={
                    "Parts": [
                        {"PartNumber": part.number, "ETag": part.tag, "ChecksumSHA256": _base64(part.sha256)}
                        for part in ordered
                    ]
                },
                MpuObjectSize=sum(part.size_bytes for part in ordered),
                **condition,
            )
        return answer.get("VersionId") or NULL_VERSION

    def abandon_parts(self, name: str, upload: str) -> None:
        """Let go of an upload in parts; see `interface.PartsWriter`."""
        self._check_exclusive(name)
        bucket, key = self._place(name)
        with contextlib.suppress(UploadGone), self._asking(name) as client:
            client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)

    def get(self, name: str, version: str | None = None) -> BinaryIO:
        """Open an object; see `interface.StoreReader`."""
        check_name(name)
        answer = self._get(name, version)
        return received_body(answer["Body"], answer["ContentLength"], self._what(name))

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """Yield objects, page by page; see `interface.StoreReader`."""
        check_prefix(prefix)
        return self._merged(prefix, [self._list(*place, after) for place in self._prefixes(prefix)])

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield what stands before the next slash; see `interface.StoreReader`."""
        check_prefix(prefix)
        found = [self._folders(*place, prefix) for place in self._prefixes(prefix)]
        yield from (name for name in heapq.merge(*found))

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield every version, the oldest of a name first; see `interface.StoreReader`."""
        check_prefix(prefix)
        return self._merged(prefix, [self._versions(*place) for place in self._prefixes(prefix)])

    def replace(self, name: str, data: bytes) -> None:
        """Put `data` in place of what is there; see `interface.StoreBoard`."""
        check_name(name)
        if not name.startswith(FLEET):
            raise StoreRefused(f"{name}: only what begins with {FLEET} is ever replaced")
        self._put(name, data, hashlib.sha256(data).digest(), unpaced, exclusive=False)

    def locked_until(self, name: str, version: str) -> datetime | None:
        """Return until when a version is protected; see `interface.StoreKeeper`."""
        found = self._retention(name, version)
        return None if found is None else found[1]

    def lock_until(self, name: str, version: str, until: datetime) -> None:
        """Protect a version until then; see `interface.StoreKeeper`. What holds is never weakened."""
        if not self.capabilities.lock or self._settings.lock == "none":
            raise StoreRefused(f"{self._what(name)}: this store protects nothing: lock in the settings")
        if until.tzinfo is None:
            raise StoreRefused(f"{self._what(name)}: a time without a zone protects until nobody knows when")
        wanted = _whole_second(until)
        mode: Literal["COMPLIANCE", "GOVERNANCE"]
        mode = "COMPLIANCE" if self._settings.lock == "compliance" else "GOVERNANCE"
        found = self._retention(name, version)
        if found is not None:
            if until < found[1]:
                raise StoreRefused(
                    f"{self._what(name)}: protected until {found[1]}, which is never shortened"
                )
            if found[0] == "COMPLIANCE":
                mode = "COMPLIANCE"
            if wanted <= found[1] and mode == found[0]:
                return
        bucket, key = self._place(name)
        with self._asking(name) as client:
            client.put_object_retention(
                Bucket=bucket,
                Key=key,
                VersionId=version,
                Retention={"Mode": mode, "RetainUntilDate": wanted},
                ChecksumAlgorithm="SHA256",
            )

    def is_held(self, name: str, version: str) -> bool:
        """Tell whether a version is under a legal hold; see `interface.StoreKeeper`."""
        check_name(name)
        bucket, key = self._place(name)
        with self._asking(name) as client:
            try:
                answer = client.get_object_legal_hold(Bucket=bucket, Key=key, VersionId=version)
            except client.exceptions.ClientError as problem:
                if code_of(problem) in _NO_LOCK_CODES:
                    return False
                raise
        return answer["LegalHold"].get("Status") == "ON"

    def hold(self, name: str, version: str, *, on: bool) -> None:
        """Put a version under a legal hold, or lift that; see `interface.StoreKeeper`."""
        check_name(name)
        if not self.capabilities.holds:
            raise StoreRefused(f"{self._what(name)}: this store can't {'hold' if on else 'release'} objects")
        bucket, key = self._place(name)
        with self._asking(name) as client:
            client.put_object_legal_hold(
                Bucket=bucket,
                Key=key,
                VersionId=version,
                LegalHold={"Status": "ON" if on else "OFF"},
                ChecksumAlgorithm="SHA256",
            )

    def _put(self, name: str, content: Content, sha256: bytes, pace: Pace, *, exclusive: bool) -> str:
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if exclusive else {}
        bucket, key = self._place(name)
        with opened_body(content, sha256, pace=pace) as body, self._sending(name, body) as client:
            answer = client.put_object(
                Bucket=bucket,
                Key=key,
                Body=body,  # type: ignore[arg-type]  # as in `put_part`
                ContentLength=len(body),
                ChecksumSHA256=_base64(sha256),
                **condition,
                **self._encryption,
            )
        return answer.get("VersionId") or NULL_VERSION

    def _get(self, name: str, version: str | None) -> "GetObjectOutputTypeDef":
        bucket, key = self._place(name)
        which: dict[str, Any] = {} if version is None else {"VersionId": version}
        with self._asking(name) as client:
            try:
                return client.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED", **which)
            except client.exceptions.ClientError as problem:
                if version is not None and code_of(problem) in _NO_VERSION_CODES:
                    raise StoreMissing(f"{self._what(name)}: no such version") from problem
                raise

    def _same(self, name: str, sha256: bytes) -> str | None:
        """Return the version of what stands under a name if it is these bytes; None if that can't be told.

        None is also what is not there. Raises StoreRefused for other bytes, StoreUnreachable.
        """
        if self._may_not_compare.is_set():
            return None
        try:
            answer = self._get(name, None)
        except StoreMissing:
            return None
        except StoreDenied:
            self._may_not_compare.set()
            return None
        with received_body(answer["Body"], answer["ContentLength"], self._what(name)) as file:
            # The store's own, compared with the bytes when they were put; that of parts is another thing.
            known = answer.get("ChecksumSHA256", "")
            is_same = (
                known == _base64(sha256)
                if known and answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT" and "-" not in known
                else hashlib.file_digest(file, "sha256").digest() == sha256
            )
        if not is_same:
            raise StoreRefused(f"{self._what(name)}: other bytes stand under this name; nothing was changed")
        return answer.get("VersionId") or NULL_VERSION

    def _retention(self, name: str, version: str) -> tuple[str, datetime] | None:
        check_name(name)
        bucket, key = self._place(name)
        with self._asking(name) as client:
            try:
                answer = client.get_object_retention(Bucket=bucket, Key=key, VersionId=version)
            except client.exceptions.ClientError as problem:
                if code_of(problem) in _NO_LOCK_CODES:
                    return None
                raise
        found = answer.get("Retention", {})
        until = found.get("RetainUntilDate")
        return None if until is None else (found.get("Mode", ""), until.astimezone(UTC))

    def _list(self, bucket: str, key_prefix: str, after: str) -> Iterator[ObjectInfo]:
        more: dict[str, Any] = {"StartAfter": f"{self._settings.prefix}{after}"} if after else {}
        while True:
            with self._asking(key_prefix, bucket) as client:
                page = client.list_objects_v2(Bucket=bucket, Prefix=key_prefix, **more)
            for item in page.get("Contents", ()):
                yield ObjectInfo(
                    name=self._name(item["Key"]),
                    size_bytes=item["Size"],
                    modified_at=item["LastModified"].astimezone(UTC),
                )
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _folders(self, bucket: str, key_prefix: str, prefix: str) -> Iterator[str]:
        more: dict[str, Any] = {}
        while True:
            with self._asking(key_prefix, bucket) as client:
                page = client.list_objects_v2(Bucket=bucket, Prefix=key_prefix, Delimiter="/", **more)
            for item in page.get("CommonPrefixes", ()):
                name = self._name(item["Prefix"])[len(prefix) : -1]
                if name:
                    yield name
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _versions(self, bucket: str, key_prefix: str) -> Iterator[ObjectInfo]:
        more: dict[str, Any] = {}
        same: list[ObjectInfo] = []
        while True:
            with self._asking(key_prefix, bucket) as client:
                page = client.list_object_versions(Bucket=bucket, Prefix=key_prefix, **more)
            for item in page.get("Versions", ()):
                name = self._name(item["Key"])
                if same and same[0].name != name:
                    yield from _oldest_first(same)
                    same = []
                same.append(
                    ObjectInfo(
                        name=name,
                        size_bytes=item["Size"],
                        version=item["VersionId"],
                        modified_at=item["LastModified"].astimezone(UTC),
                    )
                )
            if not page.get("IsTruncated"):
                break
            more = {
                "KeyMarker": page["NextKeyMarker"],
                "VersionIdMarker": page["NextVersionIdMarker"],
            }
        yield from _oldest_first(same)

    def _merged(self, prefix: str, found: Sequence[Iterator[ObjectInfo]]) -> Iterator[ObjectInfo]:
        """Yield what several buckets hold as if it were one; a folder's mark is no object."""
        items = heapq.merge(*found, key=lambda item: item.name) if len(found) > 1 else found[0]
        return (item for item in items if not item.name.endswith("/") and item.name.startswith(prefix))

    def _place(self, name: str) -> tuple[str, str]:
        """Return the bucket and the key of an object."""
        bucket = self._fleet_bucket if name.startswith(FLEET) else self._bucket
        return bucket, f"{self._settings.prefix}{name}"

    def _prefixes(self, prefix: str) -> tuple[tuple[str, str], ...]:
        """Return in which buckets, under which prefixes of keys, objects of that prefix lie."""
        main = (self._bucket, f"{self._settings.prefix}{prefix}")
        fleet = (self._fleet_bucket, f"{self._settings.prefix}{max(prefix, FLEET, key=len)}")
        if prefix.startswith(FLEET):
            return (fleet,)
        return (main, fleet) if FLEET.startswith(prefix) else (main,)

    def _name(self, key: str) -> str:
        return key[len(self._settings.prefix) :]

    def _what(self, name: str, bucket: str = "") -> str:
        return f"{self._settings.name}: {bucket or self._place(name)[0]}/{self._settings.prefix}{name}"

    def _check_exclusive(self, name: str) -> None:
        check_name(name)
        if name.startswith(FLEET):
            raise StoreRefused(f"{self._what(name)}: what is replaced all the time is not put in parts")
        if self.capabilities.parts is None:
            raise StoreRefused(f"{self._what(name)}: this store takes no objects in parts")

    @contextlib.contextmanager
    def _asking(self, name: str, bucket: str = "") -> Iterator["S3Client"]:
        """Give the client for one request; what goes wrong with that becomes an error of ours."""
        client = None
        try:
            client = self._clients.current()
            yield client
        except StoreError:
            raise
        except REMOTE_ERRORS as problem:
            if client is not None and is_about_credentials(problem):
                self._clients.doubt(client)
                self._may_not_compare.clear()
            raise translate(problem, self._what(name, bucket)) from problem

    @contextlib.contextmanager
    def _sending(self, name: str, body: bytes | SentBody) -> Iterator["S3Client"]:
        """Give the client for a request with a body; what the body raised counts before all else."""
        try:
            with self._asking(name) as client:
                yield client
        except StoreError:
            problem = body.problem if isinstance(body, SentBody) else None
            if problem is not None:
                raise problem from None
            raise


def _oldest_first(newest_first: Sequence[ObjectInfo]) -> list[ObjectInfo]:
    """Return the versions of one name by their times; those of one time in the opposite of S3's order."""
    return sorted(
        reversed(newest_first), key=lambda item: item.modified_at or datetime.min.replace(tzinfo=UTC)
    )


def _whole_second(at: datetime) -> datetime:
    floor = at.astimezone(UTC).replace(microsecond=0)
    return floor if floor == at else floor + _ONE_SECOND


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
