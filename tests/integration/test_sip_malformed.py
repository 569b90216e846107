"""Messages as no standard allows them, by UDP, TCP and TLS, beside a call that runs.

What can be understood is answered as if it were well made; what can't is refused or passed over. Neither
costs anybody else anything: after each the server answers and the call beside is alive. Many of the shapes
are those that RFC 4475 thought of, in our own words.
"""

import re
from collections.abc import Iterator

import pytest

from callseal.agent.sip.transport_limits import TransportLimits
from support.sip_beside import Beside, beside
from support.sip_wire import SIPREC_OFFER, Caller, Wire

pytestmark = pytest.mark.integration

LIMITS = TransportLimits(half_message_s=0.5)
"""On a stream a length that promises too much makes a message that never ends."""
HEADERS = 100_000
DATAGRAM_BYTES = 65_000
LONG = 30_000


@pytest.fixture(scope="module", params=["UDP", "TCP", "TLS"])
def at(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    with beside(request.param, tmp_path_factory.mktemp("malformed"), LIMITS) as running:
        yield running


@pytest.fixture
def wire(at: Beside) -> Iterator[Wire]:
    """Lend a new way to the server, which must be alive afterwards and the call beside too."""
    with at.open() as opened:
        yield opened
    at.check()


def said(wire: Wire, data: str | bytes) -> list[int]:
    """Send something and give the codes of what is said to it, until the server has gone on or hung up."""
    marker = Caller(wire)
    try:
        wire.send(data)
        marker.ask("OPTIONS")
    except (AssertionError, OSError):
        assert wire.transport != "UDP", "one datagram stopped the server"
    return [int(first.split(" ")[1]) for first in wire.pending() if first.startswith("SIP/2.0 ")]


def options(wire: Wire, *changes: tuple[str, str]) -> str:
    """Write an OPTIONS in which patterns are replaced, each once; each must be there."""
    return changed(Caller(wire).compose("OPTIONS", number=1), *changes)


def changed(text: str, *changes: tuple[str, str]) -> str:
    for pattern, new in changes:
        text, count = re.subn(pattern, lambda _found, new=new: new, text, count=1)  # type: ignore[misc]
        assert count == 1, pattern
    return text


ODD = {
    "a header in several lines": (r"Max-Forwards", "Subject: a\r\n  b\r\n\tc\r\nMax-Forwards"),
    "the call's name in a line of its own": (r"Call-ID: ", "Call-ID:\r\n "),
    "a header that is not UTF-8": (r"Max-Forwards", "Subject: caf\xe9 \xff\xfe\r\nMax-Forwards"),
    "a header without a value": (r"Max-Forwards", "Subject:\r\nMax-Forwards"),
    "a line that is no header": (r"Max-Forwards", "what is this\r\nMax-Forwards"),
    "a name that no header has": (r"Max-Forwards", "N\xe4me: x\r\nMax-Forwards"),
    "blanks around the colon": (r"From:", "From \t:  \t"),
    "names in any case": (r"Call-ID", "cAlL-iD"),
    "a display name with everything in it": (
        r"From: ",
        'From: "A, \\"B\\" <sip:x@y>;tag=q; \xe4\xf6\xfc, \\\\" ',
    ),
    "a display name that is not in quotes": (r"From: ", "From: The Gateway of Headquarters "),
    "blanks where none belong": (r"SIP/2.0/", "SIP / 2.0 / "),
    "parameters that nobody knows": (r";rport", ';rport;a;b=c;d="e;f";g=[::1]'),
    "values in one line": (r"Max-Forwards", "Supported: a,b , c,,\r\nSupported:\r\nMax-Forwards"),
    "other proxies' Vias": (
        r"From:",
        ",".join(f"SIP/2.0/UDP [2001:db8::{n:x}]:{n + 1};branch=z9hG4bK{n}" for n in range(50)).join(
            ("Via: ", "\r\nFrom:")
        ),
    ),
    "a user of numbers and signs": (r"sip:recorder@", "sip:+49-89;ext=1%20;phone-context=x:p%40ss@"),
    "no hops left": (r"Max-Forwards: 70", "Max-Forwards: 0"),
    "no Max-Forwards": (r"Max-Forwards: 70\r\n", ""),
    "no Contact": (r"Contact: .*\r\n", ""),
    "a Contact that is none": (r"Contact: .*", "Contact: <<<>>>\r"),
    "a telephone number for a URI": (r"OPTIONS sip:recorder@127.0.0.1 ", "OPTIONS tel:+8610800 "),
    "blank lines first": (r"^", "\r\n\r\n\r\n"),
    "every Date there is": (
        r"Max-Forwards",
        "Date: yesterday\r\nExpires: 9e9\r\nTimestamp: x\r\nMax-Forwards",
    ),
    "a version of MIME that is to come": (r"Max-Forwards", "MIME-Version: 77.0\r\nMax-Forwards"),
}

BROKEN = {
    "no Via": (r"Via: .*\r\n", ""),
    "a Via that is none": (r"Via: SIP/2.0/", "Via: XXX"),
    "a Via without a host": (r"(?<=UDP|TCP|TLS) [^;]*;", " ;"),
    "a port that there is not": (r":\d+;branch", ":99999999;branch"),
    "port 0": (r":\d+;branch", ":0;branch"),
    "a port of another digit": (r":\d+;branch", ":\u00b2;branch"),
    "no From": (r"From: .*\r\n", ""),
    "no To": (r"To: .*\r\n", ""),
    "no Call-ID": (r"Call-ID: .*\r\n", ""),
    "an empty Call-ID": (r"Call-ID: .*\r\n", "Call-ID: \r\n"),
    "two Call-IDs": (r"Call-ID: ", "Call-ID: one\r\nCall-ID: "),
    "no CSeq": (r"CSeq: .*\r\n", ""),
    "a CSeq of letters": (r"CSeq: 1 ", "CSeq: abc "),
    "a CSeq that is too large": (r"CSeq: 1 ", "CSeq: 2147483648 "),
    "a CSeq larger than all numbers": (r"CSeq: 1 ", f"CSeq: {'9' * 5000} "),
    "a CSeq below zero": (r"CSeq: 1 ", "CSeq: -1 "),
    "a CSeq of another request": (r"CSeq: 1 OPTIONS", "CSeq: 1 INVITE"),
    "more hops than there are": (r"Max-Forwards: 70", "Max-Forwards: 256"),
    "hops below zero": (r"Max-Forwards: 70", "Max-Forwards: -1"),
    "a version to come": (r"SIP/2.0\r", "SIP/7.0\r"),
    "no version": (r" SIP/2.0\r", "\r"),
    "a version larger than all numbers": (r" SIP/2.0\r", f" SIP/{'2' * 4000}.0\r"),
    "two blanks": (r"OPTIONS ", "OPTIONS  "),
    "a URI in brackets": (r"OPTIONS \S+", "OPTIONS <sip:recorder@127.0.0.1>"),
    "a URI with a blank": (r"sip:recorder", "sip:re corder"),
    "a URI of the web": (r"OPTIONS sip:recorder@", "OPTIONS http://"),
    "no URI": (r"OPTIONS \S+ ", "OPTIONS  "),
    "a URI without end": (r"sip:recorder", f"sip:{'a' * LONG}"),
    "a method without end": (r"OPTIONS ", f"{'O' * LONG} "),
    "a length below zero": (r"Content-Length: 0", "Content-Length: -999"),
    "a length of letters": (r"Content-Length: 0", "Content-Length: xx"),
    "a length larger than all numbers": (r"Content-Length: 0", f"Content-Length: {'9' * 5000}"),
    "two lengths": (r"Content-Length: 0", "Content-Length: 5\r\nContent-Length: 0"),
    "a thousand Vias": (r"From:", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\n" * 1000 + "From:"),
    "a header without end": (r"Max-Forwards", f"X: {'a' * LONG}\r\nMax-Forwards"),
    "quotes without end": (r"From: ", "From: " + '"' * LONG),
    "brackets without end": (r"Contact: ", "Contact: " + "<" * LONG),
    "commas without end": (r"Contact: ", "Contact: " + ",a" * (LONG // 2)),
    "parameters without end": (r";tag=near", ";tag=near" + ";a=b" * (LONG // 4)),
    "backslashes without end": (r"From: ", 'From: "' + "\\" * LONG + '" '),
}

NO_SIP = {
    "nothing": b"",
    "zeros": bytes(2000),
    "all bytes there are": bytes(range(256)) * 8,
    "ones": b"\xff" * 4000,
    "one letter": b"I",
    "a web request": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "sound": b"\x80\x00\x00\x01\x00\x00\x00\xa0\x12\x34\x56\x78" + b"\xd5" * 160,
    "a STUN request": bytes.fromhex("000100002112a442") + bytes(12),
    "the beginning of TLS": bytes.fromhex("16030100c8010000c40303") + bytes(180),
    "lines without end": b"\n" * 40_000,
    "blanks without end": b" " * 40_000,
    "colons without end": b"OPTIONS sip:a@b SIP/2.0\r\n" + b":\r\n" * 10_000 + b"\r\n",
    "a status that is none": b"SIP/2.0 abc What\r\n\r\n",
    "a status alone": b"SIP/2.0 200 OK\r\n\r\n",
    "a request line alone": b"INVITE sip:recorder@127.0.0.1 SIP/2.0\r\n\r\n",
    "a request line that ends with the data": b"INVITE sip:recorder@127.0.0.1 SIP/2.0",
    "an end of line alone": b"INVITE sip:recorder@127.0.0.1 SIP/2.0\rVia: x\r\r",
}


@pytest.mark.parametrize("change", ODD.values(), ids=ODD.keys())
def test_what_is_odd_but_clear_is_answered(wire: Wire, change: tuple[str, str]) -> None:
    data = options(wire, change)

    codes = said(wire, data)

    assert codes == [200]


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_broken_is_refused_or_passed_over(wire: Wire, change: tuple[str, str]) -> None:
    data = options(wire, change)

    codes = said(wire, data)

    assert all(400 <= code < 600 for code in codes)
    assert len(codes) <= 1


@pytest.mark.parametrize("data", NO_SIP.values(), ids=NO_SIP.keys())
def test_what_is_no_sip_is_passed_over(wire: Wire, data: bytes) -> None:
    codes = said(wire, data)

    assert codes == []


def test_lines_may_end_as_on_unix(wire: Wire) -> None:
    data = options(wire).replace("\r\n", "\n")

    codes = said(wire, data)

    assert codes == [200]


def test_an_invite_whose_caller_has_no_tag_is_refused(wire: Wire) -> None:
    data = changed(Caller(wire).compose("INVITE", SIPREC_OFFER, number=1), (";tag=near", ""))

    codes = said(wire, data)

    assert codes == [400]


def test_a_call_s_name_of_any_bytes_comes_back_as_it_was(wire: Wire) -> None:
    name = "\xff\xfe\x80(~`'\"<>?/[]{}*%\x01)@\xe2\x82"
    wire.send(options(wire, (r"Call-ID: .*\r", f"Call-ID: {name}\r")))

    answer = wire.wait(lambda m: m.code >= 200, "an answer")

    assert answer.code == 200
    assert answer.header("Call-ID") == name


def test_a_hundred_thousand_headers_are_refused(wire: Wire) -> None:
    """As many of them as a datagram holds, where it is one."""
    flood = "a:\r\n" * (DATAGRAM_BYTES // 4) if wire.transport == "UDP" else "X: y\r\n" * HEADERS
    data = options(wire, (r"Max-Forwards", f"{flood}Max-Forwards"))

    codes = said(wire, data[:DATAGRAM_BYTES] if wire.transport == "UDP" else data)

    assert codes in ([], [513], [400])


def test_headers_without_end_are_cut_off(wire: Wire) -> None:
    data = f"INVITE sip:recorder@127.0.0.1 SIP/2.0\r\nX: {'a' * 200_000}"

    codes = said(wire, data[:DATAGRAM_BYTES] if wire.transport == "UDP" else data)

    assert codes == []


@pytest.mark.parametrize("size", ["999", "65536", "1000000", "4294967296", "9999999999"])
def test_a_body_that_is_shorter_than_promised(wire: Wire, size: str) -> None:
    """In a datagram what is there will do. On a stream the rest is waited for, but not for long."""
    data = options(wire, (r"Content-Length: 0", f"Content-Length: {size}"))

    codes = said(wire, data)

    assert codes == [200] if wire.transport == "UDP" else set(codes) <= {400, 413}


def test_a_body_that_is_longer_than_promised(wire: Wire) -> None:
    """What follows in a datagram is dropped. On a stream it is the next message, and here none."""
    codes = said(wire, options(wire) + "what follows\r\n\r\n")

    assert codes == [200]


def test_half_of_everything(wire: Wire, at: Beside) -> None:
    """Every message that breaks off somewhere, each on a way of its own."""
    whole = Caller(wire).compose("INVITE", SIPREC_OFFER, number=1, via="z9hG4bKhalf")
    sizes = [int(len(whole) * part / 40) for part in range(40)]

    for size in sizes:
        with at.open() as each:
            each.send(whole[:size])

    assert at.server.counters.bugs == 0


def test_the_largest_message_that_there_can_be(wire: Wire) -> None:
    size = 60_000 if wire.transport == "UDP" else 190_000
    caller = Caller(wire)

    answer = caller.invite(SIPREC_OFFER + "x" * size)

    assert answer.code == 200
    assert caller.ask("BYE").code == 200
