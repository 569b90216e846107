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
without versions, as S3 itself calls it.
"""

import base64
import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal, TypedDict

from botocore.exceptions import ClientError

from callseal.config import central
from callseal.store import s3_keeping, s3_listing
from callseal.store.capabilities import MIB, Capabilities, PartLimits
from callseal.store.errors import NameTaken, StoreDenied, StoreMissing, StoreRefused, UploadGone
from callseal.store.interface import Content, ObjectInfo, Pace, Part, Span, unpaced
from callseal.store.names import FLEET, check_name, check_prefix
from callseal.store.s3_bodies import file_sha256, opened_body, received_body
from callseal.store.s3_buckets import S3Buckets
from callseal.store.s3_client import CONNECTIONS, Clock
from callseal.store.s3_errors import code_of

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

NULL_VERSION: Final = "null"

# What stores say to a version that they never gave: some find the identifier malformed.
_NO_VERSION_CODES: Final = frozenset({"InvalidArgument", "NoSuchVersion"})
_WHOLE: Final = "FULL_OBJECT"


class _Encryption(TypedDict, total=False):
    ServerSideEncryption: Literal["AES256", "aws:kms"]
    SSEKMSKeyId: str


_ENCRYPTION_HEADERS: Final = {
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
}


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
        self._buckets = S3Buckets(settings, profile=profile, connections=connections, clock=clock)
        self._blind: S3Client | None = None
        self._encryption: _Encryption = {}
        if settings.sse:
            self._encryption["ServerSideEncryption"] = settings.sse
        if settings.sse == "aws:kms" and settings.kms_key:
            self._encryption["SSEKMSKeyId"] = settings.kms_key
        self._encryption_headers = {
            _ENCRYPTION_HEADERS[name]: str(value) for name, value in self._encryption.items()
        }

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
        self._check_in_parts(name)
        bucket, key = self._buckets.place(name)
        with self._buckets.asking(name) as client:
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
        self._check_in_parts(name)
        bucket, key = self._buckets.place(name)
        with (
            opened_body(source, sha256, pace=pace, span=span) as body,
            self._buckets.putting(name, body) as puts,
        ):
            tag = puts.put_part(bucket, key, body, sha256, upload=upload, number=number)
        return Part(number=number, tag=tag, sha256=sha256, size_bytes=span.size_bytes)

    def end_parts(self, name: str, upload: str, parts: Sequence[Part]) -> str:
        """Make the object of its parts; see `interface.PartsWriter`."""
        self._check_in_parts(name)
        if not parts:
            raise StoreRefused(f"{self._buckets.what(name)}: an object in parts has one part at least")
        ordered = sorted(parts, key=lambda part: part.number)
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if self.capabilities.exclusive_put else {}
        bucket, key = self._buckets.place(name)
        with self._buckets.asking(name) as client:
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
            return _version(answer)

    def abandon_parts(self, name: str, upload: str) -> None:
        """Let go of an upload in parts; see `interface.PartsWriter`."""
        self._check_in_parts(name)
        bucket, key = self._buckets.place(name)
        with contextlib.suppress(UploadGone), self._buckets.asking(name) as client:
            client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)

    def get(self, name: str, version: str | None = None) -> BinaryIO:
        """Open an object; see `interface.StoreReader`."""
        check_name(name)
        answer = self._get(name, version)
        return received_body(answer["Body"], answer["ContentLength"], self._buckets.what(name))

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """Yield objects, page by page; see `interface.StoreReader`."""
        check_prefix(prefix)
        yield from s3_listing.objects(self._buckets, prefix, after)

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield what stands before the next slash; see `interface.StoreReader`."""
        check_prefix(prefix)
        if prefix and not prefix.endswith("/"):
            raise StoreRefused("no folder: its name ends with a slash")
        yield from s3_listing.folders(self._buckets, prefix)

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield every version, the oldest of a name first; see `interface.StoreReader`."""
        check_prefix(prefix)
        yield from s3_listing.versions(self._buckets, prefix)

    def replace(self, name: str, data: bytes) -> None:
        """Put `data` in place of what is there; see `interface.StoreBoard`."""
        check_name(name)
        if not name.startswith(FLEET):
            raise StoreRefused(f"{name}: only what begins with {FLEET} is ever replaced")
        self._put(name, data, hashlib.sha256(data).digest(), unpaced, exclusive=False)

    def locked_until(self, name: str, version: str) -> datetime | None:
        """Return until when a version is protected; see `interface.StoreKeeper`."""
        check_name(name)
        found = s3_keeping.retention(self._buckets, name, version)
        return None if found is None else found[1]

    def lock_until(self, name: str, version: str, until: datetime) -> None:
        """Protect a version until then; see `interface.StoreKeeper`. What holds is never weakened."""
        check_name(name)
        if not self.capabilities.lock:
            raise StoreRefused(f"{self._buckets.what(name)}: this store can't protect objects from deletion")
        mode: s3_keeping.Mode = "COMPLIANCE" if self._settings.lock == "compliance" else "GOVERNANCE"
        s3_keeping.retain(self._buckets, name, version, until, mode)

    def is_held(self, name: str, version: str) -> bool:
        """Tell whether a version is under a legal hold; see `interface.StoreKeeper`."""
        check_name(name)
        return s3_keeping.is_held(self._buckets, name, version)

    def hold(self, name: str, version: str, *, on: bool) -> None:
        """Put a version under a legal hold, or lift that; see `interface.StoreKeeper`."""
        check_name(name)
        if not self.capabilities.holds:
            what = "hold" if on else "release"
            raise StoreRefused(f"{self._buckets.what(name)}: this store can't {what} objects")
        s3_keeping.hold(self._buckets, name, version, on=on)

    def _put(self, name: str, content: Content, sha256: bytes, pace: Pace, *, exclusive: bool) -> str:
        condition = {"If-None-Match": "*"} if exclusive else {}
        bucket, key = self._buckets.place(name)
        with opened_body(content, sha256, pace=pace) as body, self._buckets.putting(name, body) as puts:
            more = {**condition, **self._encryption_headers}
            return puts.put(bucket, key, body, sha256, more) or NULL_VERSION

    def _get(self, name: str, version: str | None) -> "GetObjectOutputTypeDef":
        bucket, key = self._buckets.place(name)
        which: dict[str, Any] = {} if version is None else {"VersionId": version}
        with self._buckets.asking(name) as client:
            try:
                answer = client.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED", **which)
            except ClientError as problem:
                if version is not None and code_of(problem) in _NO_VERSION_CODES:
                    raise StoreMissing(f"{self._buckets.what(name)}: no such version") from problem
                raise
            # Read here, where what is missing means that no S3 store has answered.
            _version(answer)
            _ = answer["ContentLength"]
            return answer

    def _same(self, name: str, sha256: bytes) -> str | None:
        """Return the version of what stands under a name if it is these bytes.

        None is for what is not there, and for an account that may not read. Raises StoreRefused for other
        bytes, StoreUnreachable.
        """
        with self._buckets.asking(name) as client:
            if client is self._blind:
                return None
        try:
            answer = self._get(name, None)
        except StoreMissing:
            return None
        except StoreDenied:
            self._blind = client
            return None
        with received_body(answer["Body"], answer["ContentLength"], self._buckets.what(name)) as file:
            # The store's own was compared with the bytes when they came; that of parts is of other hashes.
            is_of_all = answer.get("ChecksumType", _WHOLE) == _WHOLE
            known = answer.get("ChecksumSHA256", "") if is_of_all else ""
            if (known or _base64(file_sha256(file))) != _base64(sha256):
                raise StoreRefused(
                    f"{self._buckets.what(name)}: other bytes stand under this name; nothing was changed"
                )
        return _version(answer)

    def _check_in_parts(self, name: str) -> None:
        check_name(name)
        if name.startswith(FLEET):
            raise StoreRefused(f"{self._buckets.what(name)}: what is replaced all the time has no parts")
        if self.capabilities.parts is None:
            raise StoreRefused(f"{self._buckets.what(name)}: this store takes no objects in parts")


def _version(answer: Mapping[str, Any]) -> str:
    """Return the version in an answer about an object; LookupError for an answer that is about none.

    Every S3 store gives a tag. A page that asks for the password of a hotel's network does not.
    """
    if not answer["ETag"]:
        raise LookupError("an answer without a tag")
    return answer.get("VersionId") or NULL_VERSION


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
