"""SIP messages that are too large, too long or too many are refused soon, and answered where possible."""

import pytest

from callseal.agent.sip.grammar import MAX_FIELDS, MAX_VALUE_CHARS
from callseal.agent.sip.message import MAX_BODY_BYTES, MAX_DATAGRAM_BYTES, MAX_HEAD_BYTES, MAX_STREAM_BYTES
from support.sip_text import LINES, refusal_of, request_of, request_text


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "line", ["Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx", "X: ", "Supported: a,b", 'k:a,"<']
)
def test_a_hundred_thousand_headers_are_refused(line: str) -> None:
    error = refusal_of(request_text(more=(line,) * 100_000))

    assert error.status == 513
    assert error.request is not None
    assert len(error.request.headers.fields) == MAX_FIELDS


@pytest.mark.timeout(60)
@pytest.mark.parametrize("line", [":", " ", "\t:", "x"])
def test_a_hundred_thousand_lines_that_are_no_headers_are_refused(line: str) -> None:
    error = refusal_of(request_text(more=(line,) * 100_000))

    assert error.status == 513


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_body_larger_than_any_that_is_taken_is_told_so(*, is_stream: bool) -> None:
    body = "x" * (MAX_STREAM_BYTES if is_stream else MAX_DATAGRAM_BYTES)

    error = refusal_of(request_text(more=(f"Content-Length: {len(body)}",), body=body), is_stream=is_stream)

    assert error.status == 413
    assert error.request is not None


def test_as_many_headers_as_allowed_are_taken_and_one_more_is_not() -> None:
    most = MAX_FIELDS - len(LINES)

    assert len(request_of(request_text(more=("X: 1",) * most)).headers.fields) == MAX_FIELDS
    assert refusal_of(request_text(more=("X: 1",) * (most + 1))).status == 513
    assert refusal_of(request_text(more=("Supported: " + "a," * (most + 1),))).status == 513


def test_a_header_that_is_too_long_is_refused() -> None:
    longest = "X: " + "x" * (MAX_VALUE_CHARS - 3)

    assert len(request_of(request_text(more=(longest,))).headers.fields) == len(LINES) + 1
    assert refusal_of(request_text(more=(longest + "x",))).status == 513


def test_headers_larger_than_any_that_are_taken_are_told_so() -> None:
    error = refusal_of(request_text(more=("X: " + "x" * 500,) * (MAX_HEAD_BYTES // 500)))

    assert error.status == 513
    assert error.request is not None


def test_a_body_as_large_as_metadata_gets_is_taken() -> None:
    in_datagram = "x" * 60_000
    on_stream = "x" * MAX_BODY_BYTES

    assert len(request_of(request_text(body=in_datagram)).body) == len(in_datagram)
    length = f"Content-Length: {len(on_stream)}"
    assert len(request_of(request_text(more=(length,), body=on_stream), is_stream=True).body) == len(
        on_stream
    )
