"""SIP messages as no standard allows them, each as one change to a sound one, or as bytes.

Many of the shapes are those that RFC 4475 thought of, in our own words.
"""

import re

from support.sip_wire import Caller, Wire

LONG = 30_000


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
