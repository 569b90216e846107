"""A REFER in one of the child's dialogs: whom somebody is to be connected with."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.sip.headers import Headers
from callseal.agent.sip.message import Request, Response, parse_message
from callseal.agent.sip.proxying import Reply
from callseal.agent.sources.bridge.edge.dialog import Dialog
from callseal.agent.sources.bridge.edge.dialogs import Dialogs
from callseal.agent.sources.bridge.edge.refer import Referred, read_refer
from support.sip_text import request_of

TOKEN = "a" * 32
OTHER_TOKEN = "b" * 32

REFER = """\
REFER sip:callseal-phone@127.0.0.1:41000 SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKr1;rport
From: <sip:201@pbx.example.com>;tag=phone1
To: <sip:0301234@pbx.example.com>;tag=child1
Call-ID: first@127.0.0.1
CSeq: 21 REFER
Max-Forwards: 70
Contact: <sip:201@127.0.0.1:5070>
"""
CONSULTATION = """\
INVITE sip:0305678@pbx.example.com SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKi2;rport
From: <sip:201@pbx.example.com>;tag=phone2
To: <sip:0305678@pbx.example.com>
Call-ID: second@127.0.0.1
CSeq: 1 INVITE
Max-Forwards: 70
Contact: <sip:201@127.0.0.1:5070>

"""
ANSWER = """\
SIP/2.0 200 OK
Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKi2;rport
From: <sip:201@pbx.example.com>;tag=phone2
To: <sip:0305678@pbx.example.com>;tag=child2
Call-ID: second@127.0.0.1
CSeq: 1 INVITE
Contact: <sip:callseal-phone@127.0.0.1:41000>

"""


def text_of(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def refer(*more: str) -> Request:
    return request_of(text_of(REFER + "".join(f"{line}\n" for line in more) + "\n"))


def dialog() -> Dialog:
    return Dialog(
        call_id="first@127.0.0.1",
        local_tag="child1",
        remote_tag="phone1",
        token=TOKEN,
        other="phone",
        local="<sip:0301234@pbx.example.com>;tag=child1",
        remote="<sip:201@pbx.example.com>;tag=phone1",
        target="sip:201@127.0.0.1:5070",
        routes=(),
        cseq=0,
        is_confirmed=True,
    )


def no_dialogs() -> Dialogs:
    return Dialogs(is_ours=lambda _route: False)


def with_consultation() -> Dialogs:
    dialogs = no_dialogs()
    invite = request_of(text_of(CONSULTATION))
    answer = parse_message(text_of(ANSWER), is_stream=False)
    assert isinstance(answer, Response)
    dialogs.request(invite, from_line=False, other="phone", token=OTHER_TOKEN, now_s=0.0)
    dialogs.response(invite, invite, answer, 1.0)
    return dialogs


def read(*more: str) -> Referred | Reply:
    return read_refer(refer(*more), dialog(), with_consultation())


def referred(*more: str) -> Referred:
    found = read(*more)
    assert isinstance(found, Referred), found
    return found


def test_a_blind_transfer_names_whom_to_call() -> None:
    found = referred(
        "Refer-To: <sip:0305678@pbx.example.com;user=phone>",
        'Referred-By: "Anna" <sip:201@pbx.example.com>;cid="x@y"',
    )

    assert found == Referred(
        token=TOKEN,
        side="phone",
        target_uri="sip:0305678@pbx.example.com;user=phone",
        target_user="0305678",
        replaces_token=None,
        replaces="",
        referred_by='"Anna" <sip:201@pbx.example.com>',
        call_id="first@127.0.0.1",
        refer_id="",
        wants_notify=True,
    )


@pytest.mark.parametrize(
    ("value", "uri", "user"),
    [
        ("sip:300@pbx.example.com", "sip:300@pbx.example.com", "300"),  # addr-spec
        ("sip:300@pbx.example.com;x=1", "sip:300@pbx.example.com", "300"),  # the header's parameter
        ("<tel:+49-30-99>", "tel:+49-30-99", "+49-30-99"),
        ('"Bob, the <other>" <sips:bob@[::1]:5061>', "sips:bob@[::1]:5061", "bob"),
        ("<sip:300@pbx.example.com;method=INVITE;lr>", "sip:300@pbx.example.com;lr", "300"),
        ("<sip:300@pbx.example.com?Call-Info=x&Subject=y>", "sip:300@pbx.example.com", "300"),
        ("<sip:room.example.com>", "sip:room.example.com", ""),
    ],
)
def test_every_way_of_writing_whom_to_call_is_understood(value: str, uri: str, user: str) -> None:
    found = referred(f"Refer-To: {value}")

    assert (found.target_uri, found.target_user, found.replaces) == (uri, user, "")


@pytest.mark.parametrize(
    "refer_to",
    [
        # baresip, PJSIP and most others escape; some desk telephones escape the semicolons alone, or nothing.
        "<sip:0305678@pbx.example.com?Replaces=second%40127.0.0.1%3Bto-tag%3Dchild2%3Bfrom-tag%3Dphone2>",
        "<sip:0305678@h?Require=replaces&Replaces=second%40127.0.0.1%3bfrom-tag%3dphone2%3bto-tag%3dchild2>",
        "<sip:callseal-phone@127.0.0.1:41000?replaces=second@127.0.0.1%3Bto-tag=child2%3Bfrom-tag=phone2>",
        "<sip:0305678@h?Replaces=second@127.0.0.1;to-tag=child2;from-tag=phone2;early-only>",
    ],
)
def test_an_attended_transfer_to_another_call_of_ours_names_that_call(refer_to: str) -> None:
    found = referred(f"r: {refer_to}")

    assert found.replaces_token == OTHER_TOKEN
    assert found.replaces.startswith("second@127.0.0.1;")
    assert "?" not in found.target_uri


@pytest.mark.parametrize(
    "replaces",
    [
        "third%40elsewhere%3Bto-tag%3Dchild2%3Bfrom-tag%3Dphone2",
        "SECOND%40127.0.0.1%3Bto-tag%3Dchild2%3Bfrom-tag%3Dphone2",
        "second%40127.0.0.1%3Bto-tag%3Dphone2%3Bfrom-tag%3Dchild2",
        "second%40127.0.0.1%3Bto-tag%3Dchild2%3Bfrom-tag%3Dother",
    ],
)
def test_a_call_that_is_not_ours_is_replaced_by_whoever_has_it(replaces: str) -> None:
    found = referred(f"Refer-To: <sip:0305678@pbx.example.com?Replaces={replaces}>")

    assert found.replaces_token is None
    assert (
        found.replaces.lower().replace("@", "%40").replace(";", "%3b").replace("=", "%3d") == replaces.lower()
    )


def test_the_other_sides_calls_cannot_be_replaced() -> None:
    asker = dialog()
    asker.other = "pbx"
    value = "second%40127.0.0.1%3Bto-tag%3Dchild2%3Bfrom-tag%3Dphone2"

    found = read_refer(refer(f"Refer-To: <sip:1@h?Replaces={value}>"), asker, with_consultation())

    assert isinstance(found, Referred)
    assert (found.side, found.replaces_token) == ("pbx", None)


def test_the_second_transfer_of_a_dialog_is_told_from_the_first() -> None:
    asker, dialogs = dialog(), no_dialogs()
    line = "Refer-To: <sip:300@pbx.example.com>"

    found = [
        read_refer(request, asker, dialogs) for request in (refer(line), refer("Refer-To: x"), refer(line))
    ]

    assert [getattr(one, "refer_id", None) for one in found] == ["", None, "21"]


@pytest.mark.parametrize(("value", "wanted"), [("false", False), ("FALSE;x", False), ("true", True)])
def test_who_wants_no_word_of_the_transfer_can_say_so(value: str, *, wanted: bool) -> None:
    found = referred("Refer-To: <sip:300@pbx.example.com>", f"Refer-Sub: {value}")

    assert found.wants_notify is wanted


def test_what_a_telephone_may_require_is_known() -> None:
    found = referred(
        "Refer-To: <sip:300@h>", "Require: replaces, TDIALOG", "Target-Dialog: x;local-tag=1;remote-tag=2"
    )

    assert found.target_uri == "sip:300@h"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((), 400),
        (("Refer-To: <sip:1@h>", "Refer-To: <sip:2@h>"), 400),
        (("Refer-To: <sip:1@h>, <sip:2@h>",), 400),
        (("Refer-To:",), 400),
        (("Refer-To: <>",), 400),
        (("Refer-To: <sip:1@h",), 400),
        (("Refer-To: 300",), 400),
        (("Refer-To: <sip:300@>",), 400),
        (("Refer-To: <sip:3 0@h>",), 400),
        (("Refer-To: <sip:300@h:99999>",), 400),
        (("Refer-To: <sip:Müller@h>",), 400),
        ((f"Refer-To: <sip:{'9' * 2100}@h>",), 414),
        (("Refer-To: <http://example.com/>",), 416),
        (("Refer-To: <cid:list@example.com>",), 416),
        (("Refer-To: <sip:300@h;method=BYE>",), 403),
        (("Refer-To: <sip:300@h;method=SUBSCRIBE?Event=x>",), 403),
        (("Refer-To: <sip:1@h?Replaces=>",), 400),
        (("Refer-To: <sip:1@h?Replaces=a%3Bto-tag%3D1>",), 400),
        (("Refer-To: <sip:1@h?Replaces=a%3Bfrom-tag%3D1>",), 400),
        (("Refer-To: <sip:1@h?Replaces=a%3Bfrom-tag%3D1%3Bto-tag%3D>",), 400),
        (("Refer-To: <sip:1@h?Replaces=%3Bfrom-tag%3D1%3Bto-tag%3D2>",), 400),
        (("Refer-To: <sip:1@h?Replaces=a%3Bfrom-tag%3D1%3Bto-tag%3D2%3Bto-tag%3D3>",), 400),
        (("Refer-To: <sip:1@h?Replaces=a%0d%0aX:1%3Bfrom-tag%3D1%3Bto-tag%3D2>",), 400),
        (("Refer-To: <sip:1@h?Replaces=a%ff%3Bfrom-tag%3D1%3Bto-tag%3D2>",), 400),
        (("Refer-To: <sip:1@h?Replaces=a;to-tag=1;from-tag=2&Replaces=b;to-tag=1;from-tag=2>",), 400),
        (("Refer-To: <sip:1@h>", "Referred-By: <sip:1@h"), 400),
        (("Refer-To: <sip:1@h>", "Referred-By: somebody"), 400),
        (("Refer-To: <sip:1@h>", "Referred-By: <sip:1@h>", "b: <sip:2@h>"), 400),
        (("Refer-To: <sip:1@h>", "Require: replaces, norefersub"), 420),
        (("Refer-To: <sip:1@h>", "Require: multiple-refer"), 420),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(lines: tuple[str, ...], status: int) -> None:
    asker = dialog()

    reply = read_refer(refer(*lines), asker, with_consultation())

    assert isinstance(reply, Reply)
    assert (reply.status, bool(reply.reason), asker.refers) == (status, True, 0)


def test_who_requires_what_nobody_knows_is_told_what() -> None:
    reply = read("Refer-To: <sip:1@h>", "Require: replaces, norefersub, x")

    assert isinstance(reply, Reply)
    assert reply.headers == (("unsupported", "norefersub"), ("unsupported", "x"))


def test_no_name_and_no_number_gets_into_a_log() -> None:
    found = referred("Refer-To: <sip:0305678@pbx.example.com>", "Referred-By: <sip:201@pbx.example.com>")

    assert "0305678" not in repr(found)
    assert "201" not in repr(found)


@given(
    value=st.text(alphabet='sip:@<>?;="%0d3B,Replaces&to-tagfrom \tä\udc80', max_size=80)
    | st.text(max_size=80).map(lambda text: f"<sip:1@h?Replaces={text}>")
)
def test_whatever_is_asked_it_is_understood_or_refused(value: str) -> None:
    request = refer()
    fields = (*request.headers.fields, ("refer-to", value))

    found = read_refer(replace(request, headers=Headers(fields=fields)), dialog(), with_consultation())

    if isinstance(found, Reply):
        assert found.status in (400, 403, 414, 416)
    else:
        assert found.target_uri.isascii()
        assert found.replaces.isprintable()
        bytes(
            Request(
                method="INVITE", uri=found.target_uri, headers=Headers(fields=(("replaces", found.replaces),))
            )
        )
