"""The small part of S3's protocol that `support.bad_store` speaks: requests, replies, operations, XML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.etree import ElementTree as ET

NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):  # noqa: N818 - it is an answer
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Request:
    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    who: str


# What an operation is called here and which right it needs, by method, whether it is about an object, and the
# word in its query that tells it from others.
_OPERATIONS: Final[Mapping[tuple[str, bool, str], tuple[str, str]]] = {
    ("PUT", False, ""): ("create_bucket", "s3:CreateBucket"),
    ("HEAD", False, ""): ("head_bucket", "s3:ListBucket"),
    ("GET", False, "versioning"): ("get_versioning", "s3:GetBucketVersioning"),
    ("PUT", False, "versioning"): ("put_versioning", "s3:PutBucketVersioning"),
    ("GET", False, "object-lock"): ("get_lock", "s3:GetBucketObjectLockConfiguration"),
    ("PUT", False, "object-lock"): ("put_lock", "s3:PutBucketObjectLockConfiguration"),
    ("GET", False, "lifecycle"): ("get_lifecycle", "s3:GetLifecycleConfiguration"),
    ("PUT", False, "lifecycle"): ("put_lifecycle", "s3:PutLifecycleConfiguration"),
    ("PUT", False, "policy"): ("put_policy", "s3:PutBucketPolicy"),
    ("GET", False, "publicAccessBlock"): ("get_public_access", "s3:GetBucketPublicAccessBlock"),
    ("PUT", False, "publicAccessBlock"): ("put_public_access", "s3:PutBucketPublicAccessBlock"),
    ("GET", False, "list-type"): ("list", "s3:ListBucket"),
    ("GET", False, "versions"): ("list_versions", "s3:ListBucketVersions"),
    ("GET", False, "uploads"): ("list_uploads", "s3:ListBucketMultipartUploads"),
    ("PUT", True, ""): ("put_object", "s3:PutObject"),
    ("GET", True, ""): ("get_object", "s3:GetObject"),
    ("HEAD", True, ""): ("get_object", "s3:GetObject"),
    ("GET", True, "versionId"): ("get_object", "s3:GetObjectVersion"),
    ("DELETE", True, ""): ("delete_object", "s3:DeleteObject"),
    ("DELETE", True, "versionId"): ("delete_object", "s3:DeleteObjectVersion"),
    ("GET", True, "retention"): ("get_retention", "s3:GetObjectRetention"),
    ("PUT", True, "retention"): ("put_retention", "s3:PutObjectRetention"),
    ("GET", True, "legal-hold"): ("get_hold", "s3:GetObjectLegalHold"),
    ("PUT", True, "legal-hold"): ("put_hold", "s3:PutObjectLegalHold"),
    ("POST", True, "uploads"): ("begin_parts", "s3:PutObject"),
    ("PUT", True, "uploadId"): ("put_part", "s3:PutObject"),
    ("GET", True, "uploadId"): ("list_parts", "s3:ListMultipartUploadParts"),
    ("POST", True, "uploadId"): ("end_parts", "s3:PutObject"),
    ("DELETE", True, "uploadId"): ("abandon_parts", "s3:AbortMultipartUpload"),
}
_WORDS: Final = (
    *("versioning", "object-lock", "lifecycle", "policy", "publicAccessBlock", "list-type", "versions"),
    *("uploads", "retention", "legal-hold", "uploadId", "versionId"),
)


def operation_of(request: Request) -> tuple[str, str]:
    """Give what is asked for, and the right that it needs."""
    word = next((one for one in _WORDS if one in request.query), "")
    try:
        return _OPERATIONS[request.method, bool(request.key), word]
    except KeyError:
        raise Refusal(501, "NotImplemented") from None


def parsed(body: bytes) -> ET.Element:
    try:
        return ET.fromstring(body)  # noqa: S314 - from the test's own client
    except ET.ParseError:
        raise Refusal(400, "MalformedXML") from None


def text(root: ET.Element, name: str) -> str:
    return next(one.text or "" for one in root.iter() if one.tag.rpartition("}")[2] == name)


def xml(root: str, inner: str) -> Reply:
    return Reply(body=f'<{root} xmlns="{NAMESPACE}">{inner}</{root}>'.encode())
