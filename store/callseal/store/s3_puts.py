"""Putting an object, or a part, into an S3 store: what is done thousands of times, so without the client.

For one request botocore's client asks its rules where the store is, checks and renames what it is given, and
tells dozens of listeners: as much work as all the rest of sending a small object. Here the request is built
directly. All that decides is botocore's nevertheless: the address, once for each bucket; the signature and
the credentials; the connections, with their timeouts and certificates; the reading of a refusal.

The body's hash is known and signed as it is, so that a file is not read once more for it; who gives the body
sees to it that it is right (`s3_bodies`).

Source: Amazon S3 API reference, PutObject and UploadPart.
"""

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.parsers import create_parser

from callseal.store.s3_bodies import EXPECT_SIZE_BYTES, SentBody

if TYPE_CHECKING:
    from botocore.awsrequest import AWSResponse
    from botocore.credentials import Credentials
    from mypy_boto3_s3 import S3Client

_ANY_KEY: Final = "k"
_SAFE_IN_KEY: Final = "/~"  # as botocore does, whose addresses and signatures must be the same
_SERVICE: Final = "s3"
_HASH: Final = "callseal_sha256"
_REDIRECTED: Final = 300
_SERVER_FAULT: Final = 500
_ERROR_TAG: Final = b"<Error"


class Puts:
    """Puts with the connections of a client and these credentials; for any number of threads."""

    def __init__(self, client: "S3Client", credentials: "Credentials | None") -> None:
        self._client = client
        self._credentials = credentials
        self._user_agent: str = client.meta.config.user_agent  # type: ignore[attr-defined]  # no stub
        self._parser = create_parser("rest-xml")
        self._addresses: dict[str, str] = {}
        # The client's own: of what it was told, nothing is to be told twice and differently.
        self._http: Any = client._endpoint.http_session  # type: ignore[attr-defined]  # noqa: SLF001

    def put(
        self, bucket: str, key: str, body: bytes | SentBody, sha256: bytes, more: Mapping[str, str]
    ) -> str:
        """Put an object, with more headers; return its version, empty where the bucket has none.

        Raises what the client raises (see `s3_errors`): LookupError for an answer that is about no object.
        """
        answer = self._send("PutObject", self._url(bucket, key), body, sha256, more)
        _tag(answer)
        return answer.get("x-amz-version-id") or ""

    def put_part(
        self, bucket: str, key: str, body: bytes | SentBody, sha256: bytes, *, upload: str, number: int
    ) -> str:
        """Put a part; return its tag. Raises as `put`."""
        url = f"{self._url(bucket, key)}?partNumber={number}&uploadId={quote(upload, safe='~')}"
        return _tag(self._send("UploadPart", url, body, sha256, {}))

    def _send(
        self, operation: str, url: str, body: bytes | SentBody, sha256: bytes, more: Mapping[str, str]
    ) -> Mapping[str, str]:
        request = AWSRequest(
            method="PUT",
            url=url,
            headers={
                **more,
                "Content-Length": str(len(body)),
                "User-Agent": self._user_agent,
                "x-amz-checksum-sha256": base64.b64encode(sha256).decode(),
            },
        )
        request.context[_HASH] = sha256.hex()
        if self._credentials is None:
            raise NoCredentialsError
        credentials = self._credentials.get_frozen_credentials()  # fetched anew where they are about to end
        _Signer(credentials, _SERVICE, self._client.meta.region_name).add_auth(request)
        headers: dict[str, Any] = dict(request.headers.items())
        if len(body) > EXPECT_SIZE_BYTES:
            headers["Expect"] = b"100-continue"  # the connection knows it as bytes only
        # Headers may be any mapping, a body whatever yields bytes: the stubs know what botocore makes.
        prepared = AWSPreparedRequest("PUT", url, headers, body, False)  # type: ignore[arg-type]
        return self._checked(operation, self._http.send(prepared))

    def _checked(self, operation: str, answer: "AWSResponse") -> Mapping[str, str]:
        """Return the headers of a success; ClientError for all else, also for an error that says 200."""
        status, body = answer.status_code, answer.content
        if status < _REDIRECTED:
            if _ERROR_TAG not in body:
                return answer.headers
            status = _SERVER_FAULT
        shape: Any = self._client.meta.service_model.operation_model(operation).output_shape
        said = {"status_code": status, "headers": answer.headers, "body": body, "context": {}}
        raise ClientError(self._parser.parse(said, shape), operation)

    def _url(self, bucket: str, key: str) -> str:
        address = self._addresses.get(bucket)
        if address is None:
            example = self._client.generate_presigned_url(
                "put_object", Params={"Bucket": bucket, "Key": _ANY_KEY}
            )
            address = example.partition("?")[0].removesuffix(_ANY_KEY)
            self._addresses[bucket] = address
        return address + quote(key, safe=_SAFE_IN_KEY)


class _Signer(S3SigV4Auth):
    """botocore's signature, over the hash that the request brings: the one thing that has to be replaced."""

    def payload(self, request: AWSRequest) -> str:
        """Return the body's hash."""
        found: str = request.context[_HASH]
        return found


def _tag(answer: Mapping[str, str]) -> str:
    """Return the tag in an answer; LookupError for one without.

    Every S3 store gives a tag. A page that asks for the password of a hotel's network does not.
    """
    tag = answer["ETag"]
    if not tag:
        raise LookupError("an answer without a tag")
    return tag
