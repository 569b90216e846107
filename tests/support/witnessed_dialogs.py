"""Dialogs of the bridge's child as telephones and telephone systems write them: by hand, as on the wire.

`FACES` are the edge's; `KAMAILIO_INVITE` comes from a proxy with two addresses, in compact form, for the
child to answer; `CHILD_INVITE` is the child's own, to the same proxy.
"""

from callseal.agent.sip.message import Request, Response, parse_message
from callseal.agent.sources.bridge.edge.dialogs import Dialogs
from callseal.agent.sources.bridge.edge.faces import Faces
from callseal.agent.sources.bridge.edge.facts import Party
from callseal.agent.sources.bridge.edge.routes import is_recorded

FACES = Faces(
    phone=("127.0.0.1", 5060),
    pbx=("192.0.2.10", 5060),
    line=("127.0.0.1", 36000),
    pbx_target=("192.0.2.1", 5060),
    pbx_host="pbx.example.com",
    pbx_addresses=frozenset({"192.0.2.1"}),
    child=("127.0.0.1", 41000),
)
CALL = "c" * 32

KAMAILIO_INVITE = """\
INVITE sip:201@192.0.2.10:5060 SIP/2.0
Record-Route: <sip:192.0.2.1;lr;ftag=caller7;did=8f1.5e2>,<sip:10.1.0.1;lr;ftag=caller7;did=8f1.5e2>
v: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK33a1.5e7c0b54000000000000000000000000.0
v: SIP/2.0/UDP 10.1.0.7:5060;rport=5060;received=10.1.0.7;branch=z9hG4bK-8734-1-0
f: "sipp" <sip:0301234@pbx.example.com>;tag=caller7
t: <sip:201@pbx.example.com>
i: 1-8734@10.1.0.7
CSeq: 1 INVITE
m: "sipp" <sip:0301234@10.1.0.7:5060;transport=udp>;expires=60
Max-Forwards: 69
c: application/sdp
l: 4

v=0
"""
CHILD_ANSWER = """\
SIP/2.0 {status}
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK33a1.5e7c0b54000000000000000000000000.0
Via: SIP/2.0/UDP 10.1.0.7:5060;rport=5060;received=10.1.0.7;branch=z9hG4bK-8734-1-0
Record-Route: <sip:127.0.0.1:36000;lr;cs=pbx>
Record-Route: <sip:192.0.2.10:5060;lr;cs=line>
Record-Route: <sip:192.0.2.1;lr;ftag=caller7;did=8f1.5e2>
Record-Route: <sip:10.1.0.1;lr;ftag=caller7;did=8f1.5e2>
Call-ID: 1-8734@10.1.0.7
From: "sipp" <sip:0301234@pbx.example.com>;tag=caller7
To: <sip:201@pbx.example.com>;tag=child7
CSeq: 1 INVITE
Contact: <sip:callseal-line@127.0.0.1:41000>

"""
BARESIP_INVITE = """\
INVITE sip:0301234@pbx.example.com SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK6e7f8a;rport
Route: <sip:127.0.0.1:5060;transport=udp;lr>
Contact: <sip:201-0x55d4e9@127.0.0.1:5070>
Max-Forwards: 70
To: <sip:0301234@pbx.example.com>
From: "Anna Ä" <sip:201@pbx.example.com>;tag=6e7f
Call-ID: 8d1a5c
CSeq: 23412 INVITE
Content-Length: 0

"""
CHILD_INVITE = """\
INVITE sip:0301234@pbx.example.com SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:41000;rport;branch=z9hG4bKPj9
Max-Forwards: 70
From: "Anna" <sip:201@pbx.example.com>;tag=child9
To: <sip:0301234@pbx.example.com>
Contact: <sip:callseal-line@127.0.0.1:41000;ob>
Call-ID: pj-9
CSeq: 7001 INVITE

"""
FAR_ANSWER = """\
SIP/2.0 {status}
Via: SIP/2.0/UDP 127.0.0.1:41000;rport=41000;received=127.0.0.1;branch=z9hG4bKPj9
Record-Route: <sip:10.1.0.1;lr;r2=on>, <sip:192.0.2.1;lr;r2=on>,<sip:192.0.2.10:5060;lr;cs=line>
Record-Route: <sip:127.0.0.1:36000;lr;cs=pbx>
f: "Anna" <sip:201@pbx.example.com>;tag=child9
t: <sip:0301234@pbx.example.com>;tag={tag}
i: pj-9
CSeq: {number} INVITE
m: <sip:0301234@10.1.0.9:5062;line=3?Subject=x>
l: 0

"""


def data_of(text: str) -> bytes:
    """Give text as it is on the wire."""
    return text.replace("\n", "\r\n").encode()


def request(text: str, *changes: tuple[str, str]) -> Request:
    """Read a request, with something changed."""
    message = parse_message(data_of(_changed(text, changes)), is_stream=False)
    assert isinstance(message, Request)
    return message


def response(text: str, *changes: tuple[str, str]) -> Response:
    """Read a response, with something changed."""
    message = parse_message(data_of(_changed(text, changes)), is_stream=False)
    assert isinstance(message, Response)
    return message


def far_answer(status: str = "200 OK", *, tag: str = "far9", number: int = 7001) -> Response:
    """Give what the telephone system answers to an INVITE of the child."""
    return response(FAR_ANSWER.format(status=status, tag=tag, number=number))


def child_answer(status: str = "200 OK") -> Response:
    """Give what the child answers to the telephone system's INVITE."""
    return response(CHILD_ANSWER.format(status=status))


def within(method: str, number: int, *, from_line: bool, to: str = "far9", more: str = "") -> Request:
    """Give a request within the dialog that `CHILD_INVITE` made."""
    child, far = '"Anna" <sip:201@pbx.example.com>;tag=child9', f"<sip:0301234@pbx.example.com>;tag={to}"
    first, second = (child, far) if from_line else (far, child)
    who = "127.0.0.1:41000" if from_line else "192.0.2.1"
    return request(
        f"{method} sip:x@127.0.0.1 SIP/2.0\n"
        f"Via: SIP/2.0/UDP {who};branch=z9hG4bK{method}{number}{from_line}\n"
        f"From: {first}\nTo: {second}\nCall-ID: pj-9\nCSeq: {number} {method}\nMax-Forwards: 70\n{more}\n"
    )


def answer_to(received: Request, status: int, *more: tuple[str, str]) -> Response:
    """Answer a request within a dialog."""
    fields = "".join(f"{name}: {value}\n" for name, value in (*received.headers.fields, *more))
    return response(f"SIP/2.0 {status} Whatever\n{fields}\n")


def is_ours(route: str) -> bool:
    """Say whether a Record-Route is the edge's."""
    return is_recorded(route, FACES)


def witness(**limits: int) -> Dialogs:
    """Begin to watch."""
    return Dialogs(is_ours=is_ours, **limits)


def called(dialogs: Dialogs, *answers: Response, now_s: float = 0.0) -> Request:
    """Have the child call by way of the telephone system; give its INVITE."""
    invite = request(CHILD_INVITE)
    dialogs.request(invite, from_line=True, other="pbx", token=CALL, now_s=now_s)
    for answer in answers:
        dialogs.response(invite, invite, answer, now_s)
    return invite


def exchanged(
    dialogs: Dialogs, received: Request, answer: Response, *, from_line: bool, other: Party = "pbx"
) -> None:
    """Have something asked and answered within a dialog."""
    dialogs.request(received, from_line=from_line, other=other, now_s=0.0)
    dialogs.response(received, received, answer, 0.0)


def _changed(text: str, changes: tuple[tuple[str, str], ...]) -> str:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text
