"""An account at an S3 store: asks for things with its credentials, and tells what was answered.

For who sets a store up or examines it, where a refusal is a finding and no error. What recordings go through
is elsewhere (`opening`).

Conventions: an operation is named as in the S3 API (``PutObject``); parameters are those of boto3. Whatever
says nothing of the account's rights is raised: a store that can't be reached, credentials that it does not
know. Messages name the bucket and the profile, never a key.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, cast

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    ConnectionError,  # noqa: A004 - botocore's own, which is no OSError
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)
from botocore.response import StreamingBody

from callseal.config.central import S3Store
from callseal.store.errors import StoreDenied, StoreRefused, StoreUnreachable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT_S: Final = 10
READ_TIMEOUT_S: Final = 60
ATTEMPTS: Final = 3
"""How often one thing is asked for where the store is busy: an examination has no queue that asks again."""

NONSENSE: Final = b"<nonsense>"
"""No document at all: whoever may make a change is told 400, whoever may not 403, and nothing is changed."""

_NO_SUCH_ACCOUNT: Final = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
)
"""Answers of status 400 or 403 that are about the credentials and not about rights."""

_UNUSABLE: Final = (
    ConfigParseError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)


class Kind(StrEnum):
    """What an answer comes to."""

    DONE = "done"
    DENIED = "denied"
    MISSING = "missing"
    TAKEN = "taken"
    CONFLICT = "conflict"
    INVALID = "invalid"
    UNKNOWN = "unknown"
    """The store does not have this operation at all."""
    BUSY = "busy"


_KINDS: Final = {
    400: Kind.INVALID,
    401: Kind.DENIED,
    403: Kind.DENIED,
    404: Kind.MISSING,
    405: Kind.UNKNOWN,
    409: Kind.CONFLICT,
    411: Kind.INVALID,
    412: Kind.TAKEN,
    413: Kind.INVALID,
    415: Kind.UNKNOWN,
    429: Kind.BUSY,
    501: Kind.UNKNOWN,
}
_FIRST_ERROR: Final = 300
_FIRST_OF_SERVER: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the store answered: its status and code, and the reply if it did what was asked."""

    status: int
    code: str = ""
    reply: Mapping[str, object] = dataclasses.field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """What it comes to."""
        if self.status < _FIRST_ERROR:
            return Kind.DONE
        return _KINDS.get(self.status, Kind.BUSY if self.status >= _FIRST_OF_SERVER else Kind.INVALID)

    @property
    def done(self) -> bool:
        """Whether it was done."""
        return self.kind is Kind.DONE

    def __str__(self) -> str:
        return f"{self.status} {self.code}".rstrip() if self.code != str(self.status) else self.code


class Account:
    """One profile's credentials at the store of one table of the settings."""

    def __init__(self, item: S3Store, profile: str | None) -> None:
        self._where = f"store {item.name!r} (bucket {item.bucket!r} at {item.endpoint})"
        self._who = "the usual credentials" if profile is None else f"profile {profile!r}"
        with _translated(self._where, self._who):
            self._client = _client(item, profile)

    def ask(self, operation: str, **parameters: object) -> Answer:
        """Ask for one thing.

        Raises StoreUnreachable, StoreDenied where the credentials are not known, StoreRefused where there is
        no such bucket (but for what is about the bucket itself, such as ``HeadBucket``).
        """
        with _translated(self._where, self._who):
            answer = self._ask(operation, parameters)
            body = answer.reply.get("Body")
            if isinstance(body, StreamingBody):
                body.close()
            return answer

    def ask_nonsense(self, operation: str, **parameters: object) -> Answer:
        """Ask for a change of the bucket's settings, with a body that no store can carry out."""

        def spoil(params: dict[str, object], **_context: object) -> None:
            params["body"] = NONSENSE

        event = f"before-call.s3.{operation}"
        events = self._client.meta.events
        events.register(event, spoil)
        try:
            return self.ask(operation, **parameters)
        finally:
            events.unregister(event, spoil)

    def read(self, **parameters: object) -> tuple[Answer, bytes]:
        """Ask for an object, and read it whole: for what is known to be small."""
        with _translated(self._where, self._who):
            answer = self._ask("GetObject", parameters)
            body = answer.reply.get("Body")
            return answer, body.read() if isinstance(body, StreamingBody) else b""

    def _ask(self, operation: str, parameters: Mapping[str, object]) -> Answer:
        method = cast("Callable[..., Mapping[str, object]]", getattr(self._client, xform_name(operation)))
        try:
            return Answer(status=200, reply=method(**parameters))
        except ClientError as problem:
            error = problem.response.get("Error", {})
            code = error.get("Code", "")
            status = problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if code in _NO_SUCH_ACCOUNT:
                words = (
                    f"{self._where}: the store does not accept {self._who} ({code}): see to its credentials"
                )
                raise StoreDenied(f"{words}, and to this machine's clock") from problem
            if code == "NoSuchBucket" and operation != "HeadBucket":
                words = f"{self._where}: there is no bucket {parameters.get('Bucket')!r}"
                raise StoreRefused(f"{words}: make it with `callseal store init`") from problem
            return Answer(status=status, code=code)


@contextmanager
def _translated(where: str, who: str) -> Iterator[None]:
    """Turn what botocore raises into errors of stores."""
    try:
        yield
    except _UNUSABLE as problem:
        raise StoreDenied(f"{where}: {who}: {problem}") from problem
    except (HTTPClientError, ConnectionError) as problem:
        words = f"{where}: can't be reached ({type(problem).__name__}): see to the address and the network"
        raise StoreUnreachable(words) from problem
    except BotoCoreError as problem:
        raise StoreRefused(f"{where}: {who}: {problem}") from problem


def _client(item: S3Store, profile: str | None) -> "S3Client":
    session = boto3.Session(profile_name=profile, region_name=item.region)
    return session.client(
        "s3",
        endpoint_url=item.endpoint,
        verify=None if item.ca_file is None else str(item.ca_file),
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            s3={"addressing_style": "path" if item.path_style else "virtual"},
            # Every checksum is one that was asked for: some stores stumble over those that were not.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
