"""The cases of RFC 4475 (SIP torture tests) and RFC 5118 (IPv6), in messages of our own.

Where those RFCs let a server choose between refusing and understanding, this one understands what a recorder
can work with: a lost recording is worse than a tolerated comma.
"""

import pytest

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.message import Response, parse_message, respond
from callseal.agent.sip.uri import parse_name_addr, parse_uri
from support.sip_text import refusal_of, request_of, request_text, response_text

TORTUOUS = (
    b"INVITE sip:recorder@example.net;flag SIP/2.0\r\n"
    b"TO :\r\n sip:recorder@example.net ;   tag    = far-end\r\n"
    b'from   : "Ann \\\\\\""       <sip:ann@example.com>\r\n  ;\r\n  tag = near-end\r\n'
    b"MaX-fOrWaRdS: 0041\r\n"
    b"Call-ID: folded.all.over@192.0.2.1\r\n"
    b"Content-Length   : 5\r\n"
    b"cseq: 0012\r\n  INVITE\r\n"
    b"Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=old-style\r\n"
    b"s :\r\n"
    b"X-Not-Heard-Of:   begins here\r\n and ends here\r\n"
    b"X-Only-Separators: ,;,;;,,\r\n"
    b"Route:\r\n <sip:proxy.example.com;lr;a=b;c>\r\n"
    b"v:  SIP  / 2.0  / TCP     hop.example.com   ;\r\n"
    b"  branch  =   z9hG4bKhop  ,\r\n SIP  /    2.0   / UDP  192.0.2.3   ; branch=\r\n z9hG4bKlast\r\n"
    b'm:"Says \\"\\"" <sip:ann@example.com> ; first =\r\n      one ;\r\n  flag ; q = 0.5\r\n'
    b"\r\nv=0\r\n"
)


def test_an_invite_folded_all_over_is_understood() -> None:
    """RFC 4475 section 3.1.1.1."""
    request = request_of(TORTUOUS, is_stream=True)

    assert (request.from_tag, request.to_tag) == ("near-end", "far-end")
    assert parse_name_addr(request.headers.get("from") or "").display == 'Ann \\"'
    assert request.cseq == (12, "INVITE")
    assert (request.via.transport, request.via.host, request.via.branch) == ("UDP", "192.0.2.2", "old-style")
    assert len(request.headers.all("via")) == 3
    assert request.headers.get("subject") == ""
    assert request.headers.get("x-not-heard-of") == "begins here and ends here"
    contact = parse_name_addr(request.headers.get("contact") or "")
    assert (contact.display, contact.param("first"), contact.param("flag")) == ('Says ""', "one", "")
    assert request.body == b"v=0\r\n"


def test_every_character_that_the_grammar_allows_is_taken() -> None:
    """Section 3.1.1.2."""
    method = "Re!cord-0.9%_*+`'~"
    uri = "sip:all(of)these-_.!~*'&=+$,;?/:may&stand*here:pass&=+$,@example.com"
    call_id = "all-.!%*_+`'~()<>:\\\"/[]?{}@these.too"
    tag = "tag-.!%*_+`'~"
    lines = (
        f"Call-ID: {call_id}",
        f"From: two-.!%*_+`'~ tokens <sip:a@example.com>;p-.!%*_+`'~=\"текст\";tag={tag}",
        'To: "bell \\\a null \\\0 delete \\\x7f" <sip:b@example.com>',
        "X-.!%*_+`'~: \ufeff录音",
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-.!%*_+`'~",
        f"CSeq: 1 {method}",
    )

    request = request_of("\r\n".join((f"{method} {uri} SIP/2.0", *lines, "", "")).encode())

    assert (request.method, request.uri, request.call_id, request.from_tag) == (method, uri, call_id, tag)
    assert parse_name_addr(request.headers.get("to") or "").display == "bell \a null \0 delete \x7f"
    assert parse_uri(uri).host == "example.com"
    assert request.headers.get("x-.!%*_+`'~") == "\ufeff录音"
    assert request_of(bytes(request)).headers.get("from") == request.headers.get("from")


def test_escapes_stay_as_they_are() -> None:
    """Sections 3.1.1.3 to 3.1.1.5: what is escaped is never taken for what it stands for."""
    request = request_of(
        request_text(
            "B%59E",
            start="B%59E sip:sip%3Aann%40example.com@example.net SIP/2.0",
            without="To",
            more=('To: "%5Z%51" <sip:zero-%00-zero@example.com>', "%43ontact: x"),
        )
    )

    assert request.method == "B%59E"
    assert parse_uri(request.uri).user == "sip%3Aann%40example.com"
    assert parse_name_addr(request.headers.get("to") or "").display == "%5Z%51"
    assert request.headers.get("contact") is None


def test_no_blank_is_needed_before_a_bracket() -> None:
    """Section 3.1.1.6."""
    request = request_of(request_text(without="From", more=("From: Ann<sip:ann@example.com>;tag=7",)))

    assert request.from_tag == "7"


def test_long_values_are_taken() -> None:
    """Section 3.1.1.7."""
    long = "long" * 500
    vias = tuple(f"Via: SIP/2.0/TCP sip{n}.example.com;received={long}" for n in range(20))

    request = request_of(
        request_text(without="From", more=(f'From: "{long}" <sip:a@x>;{long}={long};tag={long}', *vias))
    )

    assert request.from_tag == long
    assert len(request.headers.all("via")) == 21


def test_a_second_message_in_a_datagram_is_not_read() -> None:
    """Section 3.1.1.8."""
    request = request_of(request_text("REGISTER", more=("Content-Length: 0",)) + request_text("INVITE"))

    assert (request.method, request.body) == ("REGISTER", b"")


def test_a_semicolon_in_a_user_is_no_parameter() -> None:
    """Section 3.1.1.9."""
    uri = request_of(request_text(start="INVITE sip:ann;at=a%40example.net@example.com SIP/2.0")).uri

    assert (parse_uri(uri).user, parse_uri(uri).params) == ("ann;at=a%40example.net", ())


def test_transports_that_are_not_known_here_are_echoed() -> None:
    """Section 3.1.1.10."""
    others = tuple(
        f"Via: SIP/2.0/{name} t.example.com;branch=z9hG4bK{name}" for name in ("SCTP", "TLS", "UNKNOWN")
    )
    request = request_of(request_text(more=others))

    assert respond(request, 200, "OK", to_tag="x").headers.all("via")[1:] == tuple(via[5:] for via in others)


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (
            "SIP/2.0 200 Ça va: 好 = да; 1 + 1",
            "Ça va: 好 = да; 1 + 1",
        ),
        ("SIP/2.0 100 ", ""),
        ("SIP/2.0 100", ""),
    ],
)
def test_a_reason_may_be_anything_or_nothing(start: str, reason: str) -> None:
    """Sections 3.1.1.12 and 3.1.1.13."""
    response = parse_message(response_text(start), is_stream=False)

    assert isinstance(response, Response)
    assert response.reason == reason


def test_stray_separators_are_passed_over() -> None:
    """Section 3.1.2.1, which lets a server refuse this."""
    request = request_of(
        request_text(
            without="Via",
            more=("Via: SIP/2.0/UDP 192.0.2.15;;,,;", 'Contact: "Bob" <sip:bob@example.org>;;;'),
        )
    )

    assert request.via.host == "192.0.2.15"
    assert parse_name_addr(request.headers.get("contact") or "").params == ()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(request_text(more=("Content-Length: -999",)), 400, id="3.1.2.3 negative length"),
        pytest.param(
            request_text(without="CSeq", more=("CSeq: 99999999999999999999 INVITE",)),
            400,
            id="3.1.2.4 overlarge CSeq",
        ),
        pytest.param(
            request_text(without="Max", more=("Max-Forwards: 300",)), 400, id="3.1.2.4 overlarge hops"
        ),
        pytest.param(request_text(without="To", more=('To: "Bob <sip:bob@x>',)), 400, id="3.1.2.6 quote"),
        pytest.param(request_text(start="INVITE <sip:bob@example.com> SIP/2.0"), 400, id="3.1.2.7 brackets"),
        pytest.param(
            request_text(start="INVITE sip:bob@example.com; lr SIP/2.0"), 400, id="3.1.2.8 blank in URI"
        ),
        pytest.param(request_text(start="INVITE  sip:bob@example.com  SIP/2.0"), 400, id="3.1.2.9 blanks"),
        pytest.param(request_text(start="INVITE sip:bob@example.com SIP/7.0"), 505, id="3.1.2.16 version"),
        pytest.param(request_text(without="CSeq", more=("CSeq: 8 BYE",)), 400, id="3.1.2.17 other method"),
        pytest.param(request_text("NEWMETHOD", without="CSeq", more=("CSeq: 8 INVITE",)), 400, id="3.1.2.18"),
        pytest.param(request_text(without="Call-ID"), 400, id="3.3.1 missing header"),
        pytest.param(request_text(start="INVITE unheard-of:scheme SIP/2.0"), 416, id="3.3.2 scheme"),
        pytest.param(request_text(more=("To: <sip:b@example.com>",)), 400, id="3.3.8 two To"),
        pytest.param(
            request_text(more=("Content-Length: 13", "Content-Length: 5")), 400, id="3.3.9 two lengths"
        ),
    ],
)
def test_what_must_be_refused_is_refused_with_its_answer(data: bytes, status: int) -> None:
    error = refusal_of(data)

    assert error.status == status
    assert error.request is not None
    assert respond(error.request, status, "No", to_tag="ours").headers.all("via")


def test_a_length_larger_than_the_datagram_is_tolerated() -> None:
    """Section 3.1.2.2, against the RFC: there are gateways that count wrongly."""
    assert request_of(request_text(more=("Content-Length: 9999",), body="v=0")).body == b"v=0"


@pytest.mark.parametrize(
    "start",
    [
        "SIP/2.0 4294967496 OK",
        "SIP/2.0 200OK",
        "SIP/2.0  200 OK",
        "SIP/2.0 -200 OK",
    ],
)
def test_a_response_with_an_odd_status_is_dropped(start: str) -> None:
    """Section 3.1.2.19."""
    with pytest.raises(SipSyntaxError) as caught:
        parse_message(response_text(start), is_stream=False)

    assert caught.value.status == 0


def test_a_response_with_overlarge_numbers_is_dropped() -> None:
    """Section 3.1.2.5."""
    data = response_text().replace(b"CSeq: 7 BYE", b"CSeq: 99999999999999999999 BYE")

    with pytest.raises(SipSyntaxError) as caught:
        parse_message(data, is_stream=False)

    assert caught.value.status == 0


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(("Date: Mon, 02 Mar 2026 10:00:00 CET",), id="3.1.2.12 date"),
        pytest.param(("Contact: sip:bob@example.com?Route=%3Csip:a.example%3E",), id="3.1.2.13 contact"),
        pytest.param(
            ("Expires: " + "1" * 100, "Contact: <sip:a@x>;expires=999999999999999"), id="3.1.2.4 times"
        ),
        pytest.param(("Contact: <<<>>>",), id="contact of brackets"),
        pytest.param(("Require: unheard-of, also-unheard-of",), id="3.3.5 extensions"),
        pytest.param(("Content-Type: application/unheard-of",), id="3.3.6 body"),
        pytest.param(("Authorization: UnheardOf data=here",), id="3.3.7 scheme"),
    ],
)
def test_what_others_may_judge_is_let_through(more: tuple[str, ...]) -> None:
    assert request_of(request_text(more=more)).method == "INVITE"


@pytest.mark.parametrize(
    ("to", "user"),
    [
        pytest.param('"Smith, Bob" < sip:bob@example.org >', "bob", id="3.1.2.14 blanks in brackets"),
        pytest.param("Smith, Bob <sip:bob@example.org>", "bob", id="3.1.2.15 comma without quotes"),
        pytest.param("unheard-of:bob", "bob", id="3.3.3 scheme"),
    ],
)
def test_an_odd_address_is_understood(to: str, user: str) -> None:
    request = request_of(request_text(without="To", more=(f"To: {to}",)))

    assert parse_name_addr(request.headers.get("to") or "").address.user == user


def test_no_hop_left_is_no_reason_to_refuse() -> None:
    """Section 3.3.11."""
    assert request_of(request_text("OPTIONS", without="Max", more=("Max-Forwards: 0",))).method == "OPTIONS"


def test_a_request_of_rfc_2543_is_understood_when_it_has_a_tag() -> None:
    """Section 3.4.1, with the one thing that a dialog cannot be without."""
    data = (
        b"INVITE sip:recorder@example.net SIP/2.0\r\nVia: SIP/2.0/UDP old.example.com\r\n"
        b"From: sip:old@example.com;tag=1\r\nTo: sip:recorder@example.net\r\n"
        b"Call-ID: old\r\nCSeq: 1 INVITE\r\n\r\n"
    )

    request = request_of(data)

    assert (request.via.branch, request.from_tag, request.to_tag) == ("", "1", "")


@pytest.mark.parametrize("received", ["[2001:db8::9:255]", "2001:db8::9:255"])
def test_addresses_of_ipv6_are_read(received: str) -> None:
    """RFC 5118 sections 4.1 to 4.5."""
    request = request_of(
        request_text(
            start="INVITE sip:[2001:db8::10]:5070 SIP/2.0",
            without="Via",
            more=(f"Via: SIP/2.0/UDP [2001:db8::9:1]:6050;received={received};branch=z9hG4bKas3",),
        )
    )

    assert (request.via.host, request.via.port) == ("2001:db8::9:1", 6050)
    assert parse_uri(request.uri).port == 5070


def test_an_ipv6_address_without_brackets_in_a_via_is_refused() -> None:
    """RFC 5118 section 4.2: nobody can tell a port from the address's end."""
    error = refusal_of(request_text(without="Via", more=("Via: SIP/2.0/UDP 2001:db8::9:1:5060",)))

    assert error.status == 0
