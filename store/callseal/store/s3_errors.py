"""What an S3 store's refusals mean for us: one table, code by code.

Who asks must know one of four things: try again (StoreUnreachable), get a person to look at the account or
at the store's set-up (StoreDenied), leave this object alone (StoreRefused), or go on otherwise (NameTaken,
UploadGone, StoreMissing). A code that the table does not have goes by its HTTP status.

Conventions: messages name the store, the bucket and the key, and the store's code. They never repeat the
store's own words, nor the address of a request: some stores put access keys or whole signed requests there.

Source: Amazon S3 API reference, "Error responses"; codes of Ceph, MinIO and SeaweedFS where they differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from botocore.exceptions import (
    BotoCoreError,
    ChecksumError,
    ClientError,
    ConfigNotFound,
    ConfigParseError,
    ConnectionError,  # noqa: A004 - botocore's own, of which all of its kind are
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    InvalidConfigError,
    LoginError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    RefreshWithMFAUnsupportedError,
    SSLError,
    SSOError,
    TokenRetrievalError,
    UnknownCredentialError,
)
from botocore.parsers import ResponseParserError

from callseal.store.errors import (
    NameTaken,
    StoreDenied,
    StoreError,
    StoreMissing,
    StoreRefused,
    StoreUnreachable,
    UploadGone,
)

_MAX_CODE_CHARS: Final = 64
_MAX_REASONS: Final = 8  # of an error within an error within …


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a code means, and the words that say what to do about it."""

    error: type[StoreError]
    words: str = ""


_AGAIN: Final = Meaning(error=StoreUnreachable, words="it will be tried again")
_FULL: Final = Meaning(error=StoreUnreachable, words="the store is full or over its quota")
_DAMAGED: Final = Meaning(error=StoreUnreachable, words="damaged on the way; it will be tried again")
_RIGHTS: Final = Meaning(error=StoreDenied, words="the account lacks this right")
_KEY: Final = Meaning(error=StoreDenied, words="the store does not accept these credentials")
_EXPIRED: Final = Meaning(error=StoreDenied, words="the credentials have expired")
_CLOCK: Final = Meaning(error=StoreDenied, words="this machine's clock differs too much from the store's")
_PLACE: Final = Meaning(
    error=StoreDenied, words="check endpoint, region and bucket in the settings, or run `callseal store init`"
)
_ENCRYPTION: Final = Meaning(error=StoreDenied, words="check sse and kms_key in the settings, and that key")
_TAKEN: Final = Meaning(error=NameTaken, words="something stands under this name")
_GONE: Final = Meaning(error=UploadGone, words="the store does not know this upload, or not all of its parts")
_MISSING: Final = Meaning(error=StoreMissing, words="no such object")
_NEVER: Final = Meaning(error=StoreRefused, words="the store will not do this")

MEANINGS: Final[Mapping[str, Meaning]] = {
    "PreconditionFailed": _TAKEN,
    # Somebody else is putting the same name at this moment: it is not decided yet.
    "ConditionalRequestConflict": _AGAIN,
    "OperationAborted": _AGAIN,
    "NoSuchUpload": _GONE,
    "InvalidPart": _GONE,
    "InvalidPartOrder": _GONE,
    "NoSuchKey": _MISSING,
    "NoSuchVersion": _MISSING,
    "NoSuchBucket": _PLACE,
    "InvalidBucketName": _PLACE,
    "PermanentRedirect": _PLACE,
    "AuthorizationHeaderMalformed": _PLACE,
    "AllAccessDisabled": _RIGHTS,
    "AccessDenied": _RIGHTS,
    "AccountProblem": _RIGHTS,
    "NotSignedUp": _RIGHTS,
    "InvalidAccessKeyId": _KEY,
    "SignatureDoesNotMatch": _KEY,
    "InvalidToken": _KEY,
    "InvalidSecurity": _KEY,
    "ExpiredToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "BadDigest": _DAMAGED,
    "InvalidDigest": _DAMAGED,
    "IncompleteBody": _DAMAGED,
    "XAmzContentChecksumMismatch": _DAMAGED,
    "XAmzContentSHA256Mismatch": _DAMAGED,
    "SlowDown": _AGAIN,
    "SlowDownRead": _AGAIN,
    "SlowDownWrite": _AGAIN,
    "Throttling": _AGAIN,
    "ThrottlingException": _AGAIN,
    "RequestLimitExceeded": _AGAIN,
    "TooManyRequests": _AGAIN,
    "ServiceUnavailable": _AGAIN,
    "Busy": _AGAIN,
    "InternalError": _AGAIN,
    "RequestTimeout": _AGAIN,
    "TemporaryRedirect": _AGAIN,
    "QuotaExceeded": _FULL,
    "InsufficientStorage": _FULL,
    "XMinioStorageFull": _FULL,
    "XMinioAdminBucketQuotaExceeded": _FULL,
    "EntityTooLarge": _NEVER,
    "EntityTooSmall": _NEVER,
    "InvalidArgument": _NEVER,
    "InvalidRequest": _NEVER,
    "KeyTooLongError": _NEVER,
    "MethodNotAllowed": _NEVER,
    "NotImplemented": _NEVER,
}
"""What the known codes mean."""

_KMS_PREFIX: Final = "KMS."
_STATUSES: Final[Mapping[int, Meaning]] = {
    401: _KEY,
    403: _RIGHTS,
    404: _MISSING,
    408: _AGAIN,
    409: _AGAIN,
    412: _TAKEN,
    425: _AGAIN,
    429: _AGAIN,
    501: _NEVER,
    507: _FULL,
}
_SERVER_FAULT: Final = 500

CREDENTIALS_MEANINGS: Final = frozenset({_KEY, _EXPIRED})
"""Refusals that other credentials may mend: those are looked for again."""

_CREDENTIALS_ERRORS: Final = (
    ConfigNotFound,
    ConfigParseError,
    CredentialRetrievalError,
    InvalidConfigError,
    LoginError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    RefreshWithMFAUnsupportedError,
    SSOError,
    TokenRetrievalError,
    UnknownCredentialError,
)
_NETWORK_ERRORS: Final = (ConnectionError, HTTPClientError, IncompleteReadError, OSError)
_ANSWER_ERRORS: Final = (ChecksumError, FlexibleChecksumError, ResponseParserError, ValueError, LookupError)
"""What an answer raises that is no answer of S3: another server's page, damaged XML, a date that is none."""

REMOTE_ERRORS: Final = (ClientError, BotoCoreError, *_NETWORK_ERRORS, *_ANSWER_ERRORS)
"""All that a request can raise by what the store, the network or the credentials do."""


def code_of(problem: BaseException) -> str:
    """Return the store's code for what went wrong, empty where it did not give one."""
    if not isinstance(problem, ClientError):
        return ""
    code = str(problem.response.get("Error", {}).get("Code", ""))
    # What a server says goes into logs and onto screens: a code is a word, or it is none.
    return code if len(code) <= _MAX_CODE_CHARS and code.replace(".", "").isalnum() else ""


def meaning_of(code: str, status: int) -> Meaning:
    """Return what a code, or else the HTTP status of the answer, means."""
    if code in MEANINGS:
        return MEANINGS[code]
    if code.startswith(_KMS_PREFIX):
        return _ENCRYPTION
    if status in _STATUSES:
        return _STATUSES[status]
    return _AGAIN if status >= _SERVER_FAULT else _NEVER


def is_about_credentials(problem: BaseException) -> bool:
    """Whether other credentials, read again from their files, may succeed."""
    if isinstance(problem, ClientError):
        return meaning_of(code_of(problem), _status_of(problem)) in CREDENTIALS_MEANINGS
    return isinstance(problem, _CREDENTIALS_ERRORS)


def translate(problem: Exception, what: str) -> StoreError:
    """Return our error for one of `REMOTE_ERRORS`; `what` names the store, the bucket and the key."""
    if isinstance(problem, StoreError):
        return problem
    if isinstance(problem, ClientError):
        code, status = code_of(problem), _status_of(problem)
        meaning = meaning_of(code, status)
        said = code if code and not code.isdigit() else f"HTTP {status}"
        return meaning.error(f"{what}: {said}: {meaning.words}")
    error, words = _local(problem)
    return error(f"{what}: {words}")


def _local(problem: Exception) -> tuple[type[StoreError], str]:
    """Return our error, and the words, for what did not come as an answer of the store."""
    name = type(problem).__name__
    if isinstance(problem, ProfileNotFound):
        profile = problem.kwargs.get("profile")
        return StoreDenied, f"no profile called {profile} in the credentials file"
    if isinstance(problem, _CREDENTIALS_ERRORS):
        return StoreDenied, f"no usable credentials ({name}): check their file"
    if isinstance(problem, SSLError):
        return StoreUnreachable, f"no secure connection: {_reason(problem)}; check ca_file"
    if isinstance(problem, _NETWORK_ERRORS):
        return StoreUnreachable, f"can't be reached: {_reason(problem)}"
    if isinstance(problem, _ANSWER_ERRORS):
        return StoreUnreachable, f"what answers there does not speak S3 ({name})"
    return StoreRefused, f"not a request that can be made ({name})"


def _status_of(problem: ClientError) -> int:
    return int(problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _reason(problem: BaseException) -> str:
    """Return the innermost system's word for a failure: those around it quote addresses of requests."""
    found = type(problem).__name__
    inner: object = problem
    for _depth in range(_MAX_REASONS):
        if isinstance(inner, OSError):
            found = getattr(inner, "verify_message", "") or inner.strerror or type(inner).__name__
        following = _inner(inner)
        if following is None:
            break
        inner = following
    return found


def _inner(problem: object) -> object:
    """Return the error that is given as another's reason."""
    kwargs = getattr(problem, "kwargs", None)
    if isinstance(kwargs, dict) and isinstance(kwargs.get("error"), BaseException):
        return kwargs["error"]
    reason = getattr(problem, "reason", None)
    if isinstance(reason, BaseException):
        return reason
    if isinstance(problem, BaseException):
        inside = next((item for item in problem.args if isinstance(item, BaseException)), None)
        return inside or problem.__cause__ or problem.__context__
    return None
