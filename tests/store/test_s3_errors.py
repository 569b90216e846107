"""What an S3 store's refusals mean: every code that is known, and any that is not."""

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    ProfileNotFound,
    SSLError,
)
from botocore.parsers import ResponseParserError
from hypothesis import given
from hypothesis import strategies as st

from callseal.store.errors import (
    NameTaken,
    StoreDenied,
    StoreError,
    StoreMissing,
    StoreRefused,
    StoreUnreachable,
    UploadGone,
)
from callseal.store.s3_errors import MEANINGS, is_about_credentials, meaning_of, translate

CODES: dict[type[StoreError], str] = {
    NameTaken: "PreconditionFailed",
    UploadGone: "NoSuchUpload InvalidPart InvalidPartOrder",
    StoreMissing: "NoSuchKey NoSuchVersion",
    StoreDenied: "NoSuchBucket InvalidBucketName PermanentRedirect AuthorizationHeaderMalformed AccessDenied "
    "AllAccessDisabled AccountProblem NotSignedUp InvalidAccessKeyId SignatureDoesNotMatch InvalidToken "
    "InvalidSecurity ExpiredToken TokenRefreshRequired RequestTimeTooSkewed RequestExpired",
    StoreUnreachable: "ConditionalRequestConflict OperationAborted BadDigest InvalidDigest IncompleteBody "
    "XAmzContentChecksumMismatch XAmzContentSHA256Mismatch SlowDown SlowDownRead SlowDownWrite Throttling "
    "ThrottlingException RequestLimitExceeded TooManyRequests ServiceUnavailable Busy InternalError "
    "RequestTimeout TemporaryRedirect QuotaExceeded InsufficientStorage XMinioStorageFull "
    "XMinioAdminBucketQuotaExceeded",
    StoreRefused: "EntityTooLarge EntityTooSmall InvalidArgument InvalidRequest KeyTooLongError "
    "MethodNotAllowed NotImplemented",
}
WHAT = "central: bucket/recordings/x"


def said(code: str, status: int, words: str = "") -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": words}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]  # what is left out is not read
        "PutObject",
    )


@pytest.mark.parametrize(
    ("code", "error"), [(code, error) for error, codes in CODES.items() for code in codes.split()]
)
def test_a_code_means_what_we_do_about_it(code: str, error: type[StoreError]) -> None:
    """The code decides, whatever the status: some stores give odd ones."""
    for status in (200, 400, 403, 500):
        assert type(translate(said(code, status), WHAT)) is error


def test_no_code_of_the_table_is_left_out_here() -> None:
    assert sorted(MEANINGS) == sorted(code for codes in CODES.values() for code in codes.split())


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, StoreRefused),
        (400, StoreRefused),
        (401, StoreDenied),
        (403, StoreDenied),
        (404, StoreMissing),
        (405, StoreRefused),
        (408, StoreUnreachable),
        (409, StoreUnreachable),
        (412, NameTaken),
        (429, StoreUnreachable),
        (500, StoreUnreachable),
        (501, StoreRefused),
        (502, StoreUnreachable),
        (507, StoreUnreachable),
        (599, StoreUnreachable),
    ],
)
def test_a_code_that_nobody_knows_goes_by_its_status(status: int, error: type[StoreError]) -> None:
    for code in ("Unheard", "", str(status)):
        assert type(translate(said(code, status), WHAT)) is error


@pytest.mark.parametrize(
    ("problem", "error", "words"),
    [
        (NoCredentialsError(), StoreDenied, "credentials"),
        (ProfileNotFound(profile="agent"), StoreDenied, "no profile called agent"),
        (EndpointConnectionError(endpoint_url="http://h/b/k?uploadId=7"), StoreUnreachable, "reached"),
        (HTTPClientError(error=ConnectionResetError(104, "reset")), StoreUnreachable, "reset"),
        (SSLError(endpoint_url="https://h/b", error=OSError("bad")), StoreUnreachable, "ca_file"),
        (ConnectionResetError(104, "Connection reset by peer"), StoreUnreachable, "reset by peer"),
        (ResponseParserError("not XML"), StoreUnreachable, "does not speak S3"),
        (ValueError("a date that is none"), StoreUnreachable, "does not speak S3"),
        (ParamValidationError(report="Body: b'data'"), StoreRefused, "request"),
    ],
)
def test_what_comes_without_an_answer_is_an_error_of_ours_too(
    problem: Exception, error: type[StoreError], words: str
) -> None:
    found = translate(problem, WHAT)

    assert type(found) is error
    assert words in str(found)
    assert "uploadId" not in str(found)
    assert "data'" not in str(found)


def test_an_error_of_ours_stays_as_it_is() -> None:
    problem = StoreMissing("gone")

    assert translate(problem, WHAT) is problem


def test_messages_name_the_object_and_the_code_and_what_to_do() -> None:
    assert str(translate(said("RequestTimeTooSkewed", 403), WHAT)) == (
        f"{WHAT}: RequestTimeTooSkewed: this machine's clock differs too much from the store's"
    )
    assert "HTTP 503" in str(translate(said("503", 503), WHAT))


@given(code=st.text(), words=st.text())
def test_nothing_of_what_a_server_says_but_its_code_is_repeated(code: str, words: str) -> None:
    """Some stores put access keys, or whole signed requests, into their words."""
    message = str(translate(said(code, 400, f"<<{words}>>"), WHAT))

    assert f"<<{words}>>" not in message
    assert message.isprintable() or not WHAT.isprintable()


@given(code=st.text(), status=st.integers(min_value=0, max_value=999))
def test_every_code_and_status_means_something(code: str, status: int) -> None:
    assert issubclass(meaning_of(code, status).error, StoreError)


def test_credentials_are_looked_for_again_only_where_others_could_help() -> None:
    for code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"):
        assert is_about_credentials(said(code, 403))
    for code in ("AccessDenied", "NoSuchBucket", "RequestTimeTooSkewed", "SlowDown"):
        assert not is_about_credentials(said(code, 403))
    assert is_about_credentials(NoCredentialsError())
    assert not is_about_credentials(EndpointConnectionError(endpoint_url="http://h"))
