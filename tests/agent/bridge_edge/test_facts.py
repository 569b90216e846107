"""What the first INVITE of a call tells: read whole, and kept out of logs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.headers import Headers
from callseal.agent.sip.message import Request
from callseal.agent.sources.bridge.edge.facts import Facts, read_facts, untagged
from support.sip_text import request_of

CALL = "0123456789abcdef0123456789abcdef"

INVITE = """\
INVITE sip:+49%20301234;phone-context=x@pbx.example.com:5080;user=phone SIP/2.0
v: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK7;rport
f: "Meyer, Anna" <sip:201@pbx.example.com>;tag=abc;epid=7
t: sip:+49301234@pbx.example.com
i: call-1@127.0.0.1
CSeq: 10 INVITE
P-Asserted-Identity: "Anna" <sip:201@pbx.example.com>, <tel:+4930201>
Max-Forwards: 70

"""


def invite(uri: str = "", text: str = INVITE) -> Request:
    if uri:
        text = f"INVITE {uri} SIP/2.0\n" + text.partition("\n")[2]
    return request_of(text.replace("\n", "\r\n").encode())


def test_facts_are_what_the_invite_says() -> None:
    facts = read_facts(invite(), side="pbx", token=CALL, phone_uri="sip:201@127.0.0.1:5070")

    assert facts == Facts(
        token=CALL,
        side="pbx",
        request_uri="sip:+49%20301234;phone-context=x@pbx.example.com:5080;user=phone",
        request_user="+49%20301234;phone-context=x",
        from_address='"Meyer, Anna" <sip:201@pbx.example.com>',
        to_address="<sip:+49301234@pbx.example.com>",
        call_id="call-1@127.0.0.1",
        asserted='"Anna" <sip:201@pbx.example.com>',
        phone_uri="sip:201@127.0.0.1:5070",
    )


def test_a_tel_uri_has_its_number_as_user() -> None:
    facts = read_facts(invite("tel:+49-30-1234;ext=5"), side="phone", token=CALL)

    assert facts.request_user == "+49-30-1234"
    assert facts.request_uri == "tel:+49-30-1234;ext=5"


def test_who_does_not_say_who_he_is_has_no_asserted_identity_and_no_telephone() -> None:
    lines = [line for line in INVITE.splitlines(keepends=True) if not line.startswith("P-Asserted")]

    facts = read_facts(invite(text="".join(lines)), side="phone", token=CALL)

    assert (facts.asserted, facts.phone_uri) == ("", "")


@pytest.mark.parametrize("uri", ["sip:201@host:99999", "sip:201@[::1", "sip:201@a b".replace(" ", ",")])
def test_an_invite_to_no_address_is_the_peers_fault(uri: str) -> None:
    with pytest.raises(SipSyntaxError) as caught:
        read_facts(invite(uri), side="phone", token=CALL)

    assert caught.value.status == 400


def test_no_name_and_no_number_gets_into_a_log() -> None:
    facts = read_facts(invite(), side="pbx", token=CALL, phone_uri="sip:201@127.0.0.1:5070")

    assert repr(facts) == f"Facts(token='{CALL}', side='pbx')"


@pytest.mark.parametrize(
    ("address", "bare"),
    [
        ("sip:a@b;tag=1", "<sip:a@b>"),
        ("<sip:a@b;user=phone>;tag=1", "<sip:a@b;user=phone>"),
        ('"A \\"<B>\\"" <sip:a@b>;tag=1', '"A \\"<B>\\"" <sip:a@b>'),
        ("Anna <sip:a@b>", "Anna <sip:a@b>"),
    ],
)
def test_an_address_loses_its_tag_and_keeps_its_name(address: str, bare: str) -> None:
    assert untagged(address) == bare


@given(uri=st.text(min_size=1, max_size=60), address=st.text(max_size=60))
def test_whatever_stands_there_only_the_peer_is_to_blame(uri: str, address: str) -> None:
    fields = (("from", address), ("to", address), ("call-id", "x"), ("cseq", "1 INVITE"))
    request = Request(method="INVITE", uri=uri, headers=Headers(fields=fields))

    try:
        facts = read_facts(request, side="phone", token=CALL)
    except SipSyntaxError:
        return

    assert facts.request_uri == uri
