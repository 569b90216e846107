"""Via: answers find their way back, through address translation too, and never to a third party."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.flow import Flow, Transport
from callseal.agent.sip.message import Request
from callseal.agent.sip.via import Via, parse_via, reply_address, stamp
from support.sip_text import request_of, request_text

ODD = st.text(st.sampled_from("SIP/2.0 UDP\t[]:;=,.a1"), max_size=50) | st.text(max_size=50)


def _from(via: str) -> Request:
    return request_of(
        request_text(without="Via", more=(f"Via: {via}", "Via: SIP/2.0/TCP other;branch=z9hG4bKlower"))
    )


def _flow(remote: tuple[str, int], transport: Transport = Transport.UDP) -> Flow:
    return Flow(transport=transport, local=("192.0.2.1", 5060), remote=remote)


@pytest.mark.parametrize(
    ("text", "via"),
    [
        ("SIP/2.0/UDP 192.0.2.1", Via(transport="UDP", host="192.0.2.1")),
        (
            "SIP/2.0/TLS Gw.example.com:5061;branch=z9hG4bK1;rport",
            Via(
                transport="TLS",
                host="Gw.example.com",
                port=5061,
                params=(("branch", "z9hG4bK1"), ("rport", "")),
            ),
        ),
        (
            "sip  / 2.0  / tcp     a.example   : 5060 ;\t branch  =   z9hG4bK2 ",
            Via(transport="TCP", host="a.example", port=5060, params=(("branch", "z9hG4bK2"),)),
        ),
        ("SIP/2.0/UNKNOWN t5", Via(transport="UNKNOWN", host="t5")),
        ("SIP/2.0/UDP [2001:db8::9:1]", Via(transport="UDP", host="2001:db8::9:1")),
        (
            "SIP/2.0/UDP [2001:db8::9:1]:5062;received=[2001:db8::9:255]",
            Via(
                transport="UDP", host="2001:db8::9:1", port=5062, params=(("received", "[2001:db8::9:255]"),)
            ),
        ),
        ("SIP/2.0/UDP my_gw;;", Via(transport="UDP", host="my_gw")),
    ],
)
def test_a_via_is_read(text: str, via: Via) -> None:
    assert parse_via(text) == via
    assert parse_via(str(via)) == via


@pytest.mark.parametrize(
    "text",
    [
        "",
        "UDP 192.0.2.1",
        "SIP/3.0/UDP 192.0.2.1",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ;branch=x",
        "SIP/2.0/UDP a:0",
        "SIP/2.0/UDP a:65536",
        "SIP/2.0/UDP a:99999999",
        "SIP/2.0/UDP a:1:2",
        "SIP/2.0/UDP 2001:db8::1",
        "SIP/2.0/UDP [2001:db8::1",
        "SIP/2.0/UDP a b",
        "ſIP/2.0/UDP a",
    ],
)
def test_what_is_no_via_is_refused_without_an_answer(text: str) -> None:
    with pytest.raises(SipSyntaxError) as caught:
        parse_via(text)

    assert caught.value.status == 0


@pytest.mark.parametrize(
    ("text", "branch"),
    [
        ("SIP/2.0/UDP a;branch=z9hG4bK776", "z9hG4bK776"),
        ("SIP/2.0/UDP a;branch=z9hG4bK", "z9hG4bK"),
        ("SIP/2.0/UDP a;branch=776", "776"),
        ("SIP/2.0/UDP a", ""),
    ],
)
def test_a_branch_is_read_with_the_cookie_and_without(text: str, branch: str) -> None:
    assert parse_via(text).branch == branch


@pytest.mark.parametrize(
    ("text", "sent_by"),
    [
        ("SIP/2.0/UDP GW.example", "gw.example:5060"),
        ("SIP/2.0/UDP gw.example:5060", "gw.example:5060"),
        ("SIP/2.0/TLS gw.example", "gw.example:5061"),
        ("SIP/2.0/TCP [2001:DB8::1]:7", "[2001:db8::1]:7"),
    ],
)
def test_the_sender_has_one_spelling(text: str, sent_by: str) -> None:
    assert parse_via(text).sent_by == sent_by


@pytest.mark.parametrize(
    ("via", "remote", "stamped"),
    [
        ("SIP/2.0/UDP 192.0.2.7;branch=b", ("192.0.2.7", 4000), "SIP/2.0/UDP 192.0.2.7;branch=b"),
        ("SIP/2.0/UDP gw;branch=b", ("192.0.2.7", 4000), "SIP/2.0/UDP gw;branch=b;received=192.0.2.7"),
        (
            "SIP/2.0/UDP 192.0.2.7:5060;rport;branch=b",
            ("192.0.2.7", 4000),
            "SIP/2.0/UDP 192.0.2.7:5060;branch=b;received=192.0.2.7;rport=4000",
        ),
        ("SIP/2.0/UDP 10.0.0.1", ("2001:db8::1", 4000), "SIP/2.0/UDP 10.0.0.1;received=2001:db8::1"),
        ("SIP/2.0/UDP [2001:db8::1]", ("2001:db8::1", 4000), "SIP/2.0/UDP [2001:db8::1]"),
        ("SIP/2.0/UDP [fe80::1]:99", ("fe80::1%eth0", 4000), "SIP/2.0/UDP [fe80::1]:99"),
        ("SIP/2.0/UDP 192.0.2.7", ("::ffff:192.0.2.7", 4000), "SIP/2.0/UDP 192.0.2.7"),
        (
            "SIP/2.0/UDP 192.0.2.7;received=198.51.100.1;rport=1",
            ("192.0.2.7", 4000),
            "SIP/2.0/UDP 192.0.2.7;received=192.0.2.7;rport=4000",
        ),
        (
            "SIP/2.0/UDP 192.0.2.7;received=198.51.100.1",
            ("192.0.2.7", 4000),
            "SIP/2.0/UDP 192.0.2.7;received=192.0.2.7",
        ),
    ],
)
def test_a_request_is_stamped_with_where_it_came_from(
    via: str, remote: tuple[str, int], stamped: str
) -> None:
    request = stamp(_from(via), remote)

    assert request.headers.all("via") == (stamped, "SIP/2.0/TCP other;branch=z9hG4bKlower")


def test_stamping_leaves_the_rest_as_it_is() -> None:
    request = _from("SIP/2.0/UDP gw;branch=b")

    stamped = stamp(request, ("192.0.2.7", 4000))

    assert (stamped.method, stamped.uri, stamped.body) == (request.method, request.uri, request.body)
    assert [name for name, _ in stamped.headers.fields] == [name for name, _ in request.headers.fields]


@pytest.mark.parametrize("is_stamped", [False, True])
@pytest.mark.parametrize(
    ("via", "transport", "address"),
    [
        ("SIP/2.0/UDP 10.0.0.1:5080", Transport.UDP, ("192.0.2.7", 5080)),
        ("SIP/2.0/UDP 10.0.0.1", Transport.UDP, ("192.0.2.7", 5060)),
        ("SIP/2.0/UDP 10.0.0.1:5080;rport", Transport.UDP, ("192.0.2.7", 4000)),
        ("SIP/2.0/UDP 10.0.0.1:5080;maddr=198.51.100.1", Transport.UDP, ("192.0.2.7", 5080)),
        ("SIP/2.0/UDP 10.0.0.1:5080;received=198.51.100.1", Transport.UDP, ("192.0.2.7", 5080)),
        ("SIP/2.0/TCP 10.0.0.1:5080", Transport.TCP, ("192.0.2.7", 4000)),
        ("SIP/2.0/TLS 10.0.0.1", Transport.TLS, ("192.0.2.7", 4000)),
    ],
)
def test_an_answer_goes_to_where_the_request_came_from(
    via: str, transport: Transport, address: tuple[str, int], *, is_stamped: bool
) -> None:
    request = _from(via)
    flow = _flow(("192.0.2.7", 4000), transport)

    found = reply_address(stamp(request, flow.remote) if is_stamped else request, flow)

    assert found == address


@given(text=ODD | ODD.map("SIP/2.0/UDP ".__add__))
def test_any_text_is_a_via_or_refused(text: str) -> None:
    try:
        via = parse_via(text)
    except SipSyntaxError as error:
        via = Via(transport="UDP", host=str(error.status))

    assert via.host
    assert via.sent_by.rpartition(":")[2].isdecimal()
