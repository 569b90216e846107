"""Both legs of a bridged call: a telephone's INVITE, the child's own, and what the edge makes of them."""

from callseal.agent.sip.message import Request, Response, respond
from callseal.agent.sources.bridge.edge.carry import Calls
from callseal.agent.sources.bridge.edge.facts import Facts, Party
from callseal.agent.sources.bridge.edge.refer import Referred
from support.sip_text import request_of

CREDENTIALS = (
    'Digest username="201", realm="pbx.example.com", nonce="n0nce", uri="sip:0301234@pbx.example.com", '
    'response="5ecret"'
)
CHALLENGE = 'Digest realm="pbx.example.com", nonce="n0nce", qop="auth"'

# A telephone's INVITE, with whatever telephones and telephone systems write into one.
INVITE = f"""\
INVITE sip:0301234@pbx.example.com SIP/2.0
v: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKa1;rport=5070;received=127.0.0.1
Max-Forwards: 70
Route: <sip:127.0.0.1:5060;lr>
f: "Anna" <sip:201@pbx.example.com>;tag=phone1
t: <sip:0301234@pbx.example.com>
i: first@127.0.0.1
CSeq: 21 INVITE
m: <sip:201@127.0.0.1:5070>
Proxy-Authorization: {CREDENTIALS}
Allow: INVITE, ACK, BYE
Allow-Events: refer
Accept: application/sdp
k: replaces, timer
Require: timer
x: 1800;refresher=uac
Min-SE: 90
User-Agent: Telephone/1.0
P-Preferred-Identity: <sip:201@pbx.example.com>
P-Asserted-Identity: "Anna" <sip:201@pbx.example.com>, <tel:+4930201>
Privacy: id
Diversion: <sip:200@pbx.example.com>;reason=no-answer
History-Info: <sip:200@pbx.example.com>;index=1
Alert-Info: <http://pbx.example.com/internal>;info=internal
Call-Info: <CID:photo@phone>;purpose=icon
Accept-Contact: *;audio
s: Contract, questions
Priority: urgent
User-to-User: 00a1;encoding=hex
Reason: SIP;cause=302
X-Account: 4711
X-Callseal-Call: {"f" * 32}
X-Callseal-Anything: forged
Replaces: other@127.0.0.1;to-tag=1;from-tag=2
Timestamp: 54
MIME-Version: 1.0
Content-Disposition: session
c: application/sdp
l: 4

v=0
"""
CARRIED = (
    ("p-preferred-identity", "<sip:201@pbx.example.com>"),
    ("p-asserted-identity", '"Anna" <sip:201@pbx.example.com>'),
    ("p-asserted-identity", "<tel:+4930201>"),
    ("privacy", "id"),
    ("diversion", "<sip:200@pbx.example.com>;reason=no-answer"),
    ("history-info", "<sip:200@pbx.example.com>;index=1"),
    ("alert-info", "<http://pbx.example.com/internal>;info=internal"),
    ("accept-contact", "*;audio"),
    ("subject", "Contract, questions"),
    ("priority", "urgent"),
    ("user-to-user", "00a1;encoding=hex"),
    ("reason", "SIP;cause=302"),
    ("x-account", "4711"),
)
# As the library in the child writes it.
SECOND = """\
INVITE sip:0301234@pbx.example.com SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:41000;rport;branch=z9hG4bKPj1
Max-Forwards: 70
From: "Anna" <sip:201@pbx.example.com>;tag=child2
To: <sip:0301234@pbx.example.com>
Contact: <sip:callseal-line@127.0.0.1:41000;ob>
Call-ID: {call_id}
CSeq: {number} INVITE
Allow: PRACK, INVITE, ACK, BYE, CANCEL, UPDATE, INFO, SUBSCRIBE, NOTIFY, REFER, MESSAGE, OPTIONS
Supported: replaces, 100rel, timer, norefersub
Session-Expires: 1800
Min-SE: 90
X-Callseal-Call: {token}
X-Callseal-To: {to}
Content-Type: application/sdp
Content-Length: 4

v=0
"""


def sip(text: str) -> bytes:
    head, _, body = text.partition("\n\n")
    return head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body.replace("\n", "\r\n").encode()


def invite() -> Request:
    return request_of(sip(INVITE))


def second(token: str, to: str = "pbx", *, call_id: str = "second", number: int = 7) -> Request:
    return request_of(sip(SECOND.format(token=token, to=to, call_id=call_id, number=number)))


def numbered() -> Calls:
    """Make calls whose tokens count up from 1."""
    count = iter(range(1, 10_000))
    return Calls(random=lambda size: next(count).to_bytes(size, "big"))


def begun(calls: Calls, side: Party = "phone") -> Facts:
    facts = calls.begin(invite(), side, 0.0)
    assert facts is not None
    return facts


def sent_on(calls: Calls, request: Request, side: Party = "pbx") -> Request:
    found = calls.second_leg(request, 1.0)
    assert found is not None
    assert found[1] == side
    return found[0]


def referred(token: str, *, replaces: str = "", referred_by: str = "") -> Referred:
    return Referred(
        token=token,
        side="phone",
        target_uri="sip:300@pbx.example.com",
        target_user="300",
        replaces_token=None,
        replaces=replaces,
        referred_by=referred_by,
        call_id="first@127.0.0.1",
        refer_id="",
        wants_notify=True,
    )


def answer(request: Request, status: int, reason: str, *more: tuple[str, str]) -> Response:
    return respond(request, status, reason, to_tag="other", headers=more)


def added(before: Request | Response, after: Request | Response) -> tuple[tuple[str, str], ...]:
    return tuple(item for item in after.headers.fields if item not in before.headers.fields)
