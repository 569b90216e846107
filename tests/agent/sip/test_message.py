"""SIP messages: what gateways send is understood, what comes out is what RFC 3261 asks for."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.message import CSeq, Headers, Request, Response, parse_message, respond
from support.sip_text import LINES, refusal_of, request_of, request_text, response_text

BODY = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n"
WHOLE = request_text(
    more=("Content-Type: application/sdp", f"Content-Length: {len(BODY)}", "Supported: timer,\t100rel"),
    body=BODY,
)


def test_a_request_is_read() -> None:
    request = request_of(WHOLE)

    assert (request.method, request.uri) == ("INVITE", "sip:recorder@example.net")
    assert request.call_id == "first@gw.example.com"
    assert request.cseq == CSeq(7, "INVITE")
    assert (request.from_tag, request.to_tag) == ("near", "")
    assert (request.via.host, request.via.branch) == ("gw.example.com", "z9hG4bKone")
    assert request.content_type == "application/sdp"
    assert request.headers.content_length == len(BODY)
    assert request.headers.all("supported") == ("timer", "100rel")
    assert request.headers.get("subject") is None
    assert request.body == BODY.encode()


def test_a_response_is_read() -> None:
    response = parse_message(response_text("SIP/2.0 481 No Such Call"), is_stream=False)

    assert isinstance(response, Response)
    assert (response.status, response.reason) == (481, "No Such Call")
    assert (response.cseq, response.call_id) == (CSeq(7, "BYE"), "first@gw.example.com")
    assert (response.from_tag, response.to_tag, response.via.branch) == ("near", "", "z9hG4bKone")
    assert (response.content_type, response.headers.content_length) == ("", None)


def test_a_written_message_is_read_as_the_same() -> None:
    request = request_of(WHOLE)

    again = request_of(bytes(request), is_stream=True)

    assert again.body == request.body
    assert sorted(again.headers.fields) == sorted(request.headers.fields)


def test_a_message_is_written_as_rfcs_write_it() -> None:
    fields = (
        ("call-id", "x"),
        ("cseq", "1 BYE"),
        ("www-authenticate", "Digest"),
        ("x-own", "1"),
        ("content-length", "9"),
    )
    request = Request(method="BYE", uri="sip:gw@192.0.2.1", headers=Headers(fields=fields), body=b"\0\r\n")

    written = bytes(request)

    assert written == (
        b"BYE sip:gw@192.0.2.1 SIP/2.0\r\n"
        b"Call-ID: x\r\nCSeq: 1 BYE\r\nWWW-Authenticate: Digest\r\nX-Own: 1\r\n"
        b"Content-Length: 3\r\n\r\n\0\r\n"
    )


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_no_line_can_be_smuggled_into_what_is_written(end: str) -> None:
    headers = Headers(fields=(("contact", f"<sip:a@b>{end}Via: x"),))

    with pytest.raises(ValueError, match="line's end"):
        bytes(Response(status=200, reason="OK", headers=headers))


def test_compact_names_are_long_names() -> None:
    compact = (
        re.sub(
            rb"\n(Via|From|To|Call-ID):",
            lambda name: b"\n" + {b"V": b"v", b"F": b"f", b"T": b"T", b"C": b"i"}[name[1][:1]] + b" :",
            WHOLE,
        )
        .replace(b"Content-Type", b"c")
        .replace(b"Content-Length", b"l")
        .replace(b"Supported", b"k")
    )

    assert request_of(compact).headers == request_of(WHOLE).headers


def test_the_case_of_a_name_does_not_matter() -> None:
    data = WHOLE.replace(b"Via:", b"vIA:").replace(b"Call-ID:", b"CALL-id:").replace(b"CSeq:", b"cSEQ:")

    assert request_of(data).headers == request_of(WHOLE).headers


def test_lines_may_end_with_lf_alone() -> None:
    data = WHOLE.replace(b"\r\n", b"\n").replace(
        f"Content-Length: {len(BODY)}".encode(), b"Content-Length: 31"
    )

    request = request_of(data)

    assert request.headers.all("supported") == ("timer", "100rel")
    assert request.body == BODY.replace("\r\n", "\n").encode()


def test_a_cr_alone_ends_no_line() -> None:
    request = request_of(request_text(more=("Subject: one\rVia: two",)))

    assert request.headers.get("subject") == "one Via: two"


def test_folded_lines_are_one_line() -> None:
    request = request_of(request_text(more=("Subject: first", "  second", "\tthird")))

    assert request.headers.get("subject") == "first second third"


def test_bytes_that_are_no_utf8_are_written_back() -> None:
    line = b"Subject: caf\xe9 \xe5\xa4\xa7"

    written = bytes(request_of(WHOLE.replace(b"Supported: timer,\t100rel", line)))

    assert line in written


def test_blank_lines_before_a_message_are_passed_over() -> None:
    assert request_of(b"\r\n\r\n" + WHOLE) == request_of(WHOLE)


def test_a_line_that_is_no_header_is_passed_over() -> None:
    request = request_of(
        request_text(more=("this is no header", "nor is this: one", ": nor this", "Subject: but this is"))
    )

    assert len(request.headers.fields) == len(LINES) + 1
    assert request.headers.get("subject") == "but this is"


@pytest.mark.parametrize("length", ["999", "4294967296", "9999999999"])
def test_a_datagram_that_promises_more_body_than_it_has_is_taken(length: str) -> None:
    request = request_of(request_text(more=(f"Content-Length: {length}",), body=BODY))

    assert request.body == BODY.encode()


def test_what_follows_the_body_in_a_datagram_is_dropped() -> None:
    request = request_of(request_text(more=("Content-Length: 3",), body="v=0" + request_text().decode()))

    assert request.body == b"v=0"


def test_a_datagram_without_length_has_all_as_its_body() -> None:
    assert request_of(request_text(body=BODY)).body == BODY.encode()


@pytest.mark.parametrize("length", ["-5", "xx", "", "1 2", "0x10", "1" * 5000, "٣"])
def test_a_length_that_is_none_is_refused(length: str) -> None:
    error = refusal_of(request_text(more=(f"Content-Length: {length}",), body=BODY))

    assert error.status == 400


def test_the_same_length_twice_is_one_and_two_lengths_are_none() -> None:
    once = request_text(more=("Content-Length: 3", "l: 3"), body="v=0")
    differing = request_text(more=("Content-Length: 3", "l: 2"), body="v=0")

    assert request_of(once).body == b"v=0"
    assert refusal_of(differing).status == 400


@pytest.mark.parametrize("more", [(), ("Content-Length: 2",), ("Content-Length: 4",)])
def test_on_a_stream_the_length_is_binding(more: tuple[str, ...]) -> None:
    error = refusal_of(request_text(more=more, body="v=0"), is_stream=True)

    assert error.status == 400
    assert error.request is not None


@pytest.mark.parametrize("name", ["From", "To", "Call-ID", "CSeq"])
def test_without_a_header_that_all_have_the_answer_is_400(name: str) -> None:
    error = refusal_of(request_text(without=name))

    assert error.status == 400
    assert error.request is not None
    assert name in str(error)
    answer = respond(error.request, error.status, "Bad Request", to_tag="ours")
    assert answer.headers.all("via") == ("SIP/2.0/UDP gw.example.com:5060;branch=z9hG4bKone",)
    assert answer.headers.get(name.lower()) is None


@pytest.mark.parametrize("name", ["From", "To", "Call-ID", "CSeq", "Max-Forwards"])
def test_a_header_that_stands_twice_and_says_two_things_is_refused(name: str) -> None:
    other = {"CSeq": "CSeq: 8 INVITE", "Max-Forwards": "Max-Forwards: 3"}.get(
        name, f"{name}: <sip:x@example.org>;tag=x"
    )

    error = refusal_of(request_text(more=(other,)))

    assert error.status == 400
    assert error.request is not None


@pytest.mark.parametrize(
    "cseq",
    ["abc INVITE", "7", "7 BYE", "7INVITE", "-1 INVITE", "2147483648 INVITE", "7 invite", "7 INVITE x"],
)
def test_a_cseq_that_does_not_fit_is_refused(cseq: str) -> None:
    error = refusal_of(request_text(without="CSeq", more=(f"CSeq: {cseq}",)))

    assert error.status == 400


@pytest.mark.parametrize("number", [0, 1, 2**31 - 1])
def test_every_number_that_a_cseq_may_have_is_read(number: int) -> None:
    request = request_of(request_text(without="CSeq", more=(f"CSeq: 00{number} INVITE",)))

    assert request.cseq.number == number


@pytest.mark.parametrize(
    ("hops", "is_fine"),
    [("0", True), ("0068", True), ("255", True), ("256", False), ("-1", False), ("", False)],
)
def test_max_forwards_is_a_number_of_hops(hops: str, *, is_fine: bool) -> None:
    data = request_text(without="Max-Forwards", more=(f"Max-Forwards: {hops}",))

    if is_fine:
        assert request_of(data).headers.get("max-forwards") == hops
    else:
        assert refusal_of(data).status == 400


def test_an_invite_needs_a_tag_in_from_and_an_options_does_not() -> None:
    untagged = ("From: <sip:gw@example.com>",)

    assert refusal_of(request_text("INVITE", without="From", more=untagged)).status == 400
    assert request_of(request_text("OPTIONS", without="From", more=untagged)).from_tag == ""


@pytest.mark.parametrize(
    ("start", "status"),
    [
        ("INVITE sip:recorder@example.net SIP/7.0", 505),
        ("INVITE sip:recorder@example.net SIP/2.0.0", 505),
        ("INVITE <sip:recorder@example.net> SIP/2.0", 400),
        ("INVITE sip:recorder@example.net; lr SIP/2.0", 400),
        ("INVITE  sip:recorder@example.net  SIP/2.0", 400),
        ("INVITE recorder SIP/2.0", 400),
        ("INVITE  SIP/2.0", 400),
        ("INVITE https://example.net SIP/2.0", 416),
        ("INVITE sip:" + "x" * 3000 + "@example.net SIP/2.0", 414),
    ],
)
def test_a_start_line_that_will_not_do_has_its_answer(start: str, status: int) -> None:
    error = refusal_of(request_text(start=start))

    assert error.status == status
    assert error.request is not None
    assert error.request.via.branch == "z9hG4bKone"


@pytest.mark.parametrize(
    "start",
    [
        "INVITE sip:recorder@example.net SIP/2.0  ",
        "INVITE sips:a@b sip/2.0",
        "INVITE tel:+442079460000 SIP/2.0",
        "INVITE sip:[2001:db8::1]:5060 SIP/2.0",
    ],
)
def test_a_start_line_that_is_understood_is_taken(start: str) -> None:
    assert request_of(request_text(start=start)).method == "INVITE"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"\0\0\0\0",
        bytes(range(256)) * 3,
        b"GET / HTTP/1.0\r\n\r\n",
        b"OPTIONS sip:x\r\nVia: x\r\n\r\n",
        request_text(without="Via"),
        request_text(without="Via", more=("Via: SIP/2.0/UDP gw.example.com:99999999",)),
        request_text(without="Via", more=("Via: XXXUDP gw.example.com",)),
        request_text("ACK", without="To"),
        response_text("SIP/2.0 4294967496 OK"),
        response_text("SIP/2.0 099 OK"),
        response_text("SIP/3.0 200 OK"),
        response_text(more=("CSeq: 9 BYE",)),
    ],
)
def test_what_cannot_be_answered_asks_for_no_answer(data: bytes) -> None:
    error = refusal_of(data)

    assert error.status == 0
    assert error.request is None


def test_no_error_repeats_what_the_peer_wrote() -> None:
    number = "4479460123"

    error = refusal_of(request_text(without="From", more=(f'From: "{number} <sip:{number}@example.net>',)))

    assert number not in str(error)


def test_a_datagram_that_was_cut_in_its_headers_is_refused() -> None:
    for size in range(len(WHOLE) - len(BODY) - 1):
        error = refusal_of(WHOLE[:size])

        assert error.status in {0, 400}


def test_a_datagram_that_was_cut_in_its_body_is_taken() -> None:
    head = len(WHOLE) - len(BODY)

    for size in range(head, len(WHOLE)):
        assert request_of(WHOLE[:size]).body == BODY.encode()[: size - head]


def test_a_stream_is_never_taken_cut() -> None:
    for size in range(len(WHOLE)):
        assert refusal_of(WHOLE[:size], is_stream=True).status in {0, 400}


PARTS = st.sampled_from(
    [
        *(b"Via: SIP/2.0/UDP a;branch=", b"v:", b"From: ", b"To:", b"CSeq: 1 INVITE", b"Call-ID: x"),
        *(b"Content-Length: 5", b"INVITE sip:a SIP/2.0", b"SIP/2.0 200 OK", b"<sip:", b">;tag=", b'"A, \\"'),
        *(b"\r\n", b"\n", b"\r\n\r\n", b" ", b",", b";", b":", b"\xff", b"[::1]"),
    ]
)
NEARLY = st.lists(PARTS | st.binary(max_size=4), max_size=40).map(b"".join)


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(WHOLE)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 12))] = draw(NEARLY)
    return bytes(data)


@given(data=st.binary(max_size=300) | NEARLY | _damaged(), is_stream=st.booleans())
def test_whatever_comes_in_is_read_or_refused_with_an_answer(data: bytes, *, is_stream: bool) -> None:
    try:
        message = parse_message(data, is_stream=is_stream)
    except SipSyntaxError as error:
        problem = error
    else:
        _check_round_trip(message)
        return

    assert (problem.status == 0) == (problem.request is None)
    if problem.request is not None:
        answer = respond(problem.request, problem.status, "No", to_tag="ours")
        assert bytes(answer).startswith(b"SIP/2.0 ")


def _check_round_trip(message: Request | Response) -> None:
    again = parse_message(bytes(message), is_stream=True)
    assert _fields(again) == _fields(message)
    assert again.body == message.body
    assert (again.call_id, again.cseq, again.via) == (message.call_id, message.cseq, message.via)
    assert (again.from_tag, again.to_tag) == (message.from_tag, message.to_tag)
    if isinstance(message, Request):
        answer = parse_message(bytes(respond(message, 200, "OK", to_tag="ours")), is_stream=True)
        assert answer.to_tag in {message.to_tag, "ours"}


def _fields(message: Request | Response) -> list[tuple[str, str]]:
    return [field for field in message.headers.fields if field[0] != "content-length"]


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_request_is_kept_byte_for_byte_as_it_came(end: bytes) -> None:
    lines = [
        b"INFO sip:srs@192.0.2.1 SIP/2.0",
        b"v: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1",
        b"From:   <sip:gw@192.0.2.7>;tag=1",
        b"t: <sip:srs@192.0.2.1>;tag=2",
        b"i: 77@192.0.2.7",
        b"CSeq: 2 INFO",
        b"X-Odd :\xff\xfe",
        b"Content-Length: 4",
    ]
    data = end.join((*lines, b"", b"body"))

    message = parse_message(data, is_stream=False)

    assert isinstance(message, Request)
    assert message.raw == data
