"""The addresses that settings hold are read strictly and written back as they were meant."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.config.address import ListenAddress, PortRange, SipUri


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("sip:pbx.example", SipUri(user="", host="pbx.example", port=5060, transport="udp")),
        ("SIP:PBX.Example:5061", SipUri(user="", host="pbx.example", port=5061, transport="udp")),
        ("sip:6001@192.0.2.10:5070", SipUri(user="6001", host="192.0.2.10", port=5070)),
        ("sip:+8610@[2001:db8::1]:5060", SipUri(user="+8610", host="[2001:db8::1]")),
        ("sip:pbx;transport=tls", SipUri(user="", host="pbx", port=5061, transport="tls")),
        ("sip:pbx:5061;transport=TCP", SipUri(user="", host="pbx", port=5061, transport="tcp")),
    ],
)
def test_a_sip_uri_is_read_and_written_to_the_same_value(text: str, uri: SipUri) -> None:
    assert SipUri.parse(text) == uri
    assert SipUri.parse(str(uri)) == uri


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must be a SIP URI"),
        ("pbx.example", "must be a SIP URI"),
        ("tel:+8610", "must be a SIP URI"),
        ("sips:pbx.example", "transport=tls"),
        ("sip:", "the host must be"),
        ("sip:@pbx", "the user must be"),
        ("sip:a:secret@pbx", "a password has no place"),
        ("sip:a b@pbx", "the user must be"),
        ("sip:a@b@c", "must be a SIP URI"),
        ("sip:-pbx.example", "the host must be"),
        ("sip:pbx..example", "the host must be"),
        ("sip:pbx_1", "the host must be"),
        ("sip:300.1.1.1", "looks like an IPv4 address"),
        ("sip:1.2.3", "looks like an IPv4 address"),
        ("sip:[::1", "must be a SIP URI"),
        ("sip:[::g]", "not an IPv6 address"),
        ("sip:[fe80::1%eth0]", "not an IPv6 address"),
        ("sip:pbx:0", "from 1 to 65535"),
        ("sip:pbx:65536", "from 1 to 65535"),
        ("sip:pbx:", "from 1 to 65535"),
        ("sip:pbx:50 60", "from 1 to 65535"),
        ("sip:pbx:٥٠٦٠", "from 1 to 65535"),
        ("sip:pbx;transport=sctp", "only parameter"),
        ("sip:pbx;lr", "only parameter"),
        ("sip:pbx;transport=udp;lr", "only parameter"),
        ("sip:pbx\n", "the host must be"),
        (f"sip:{'a' * 64}.example", "the host must be"),
    ],
)
def test_a_sip_uri_that_could_be_misread_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        SipUri.parse(text)


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:5060", "127.0.0.1", 5060, True),
        ("127.0.0.53:1", "127.0.0.53", 1, True),
        ("[::1]:5060", "::1", 5060, True),
        ("[::]:5060", "::", 5060, False),
        ("192.0.2.1:65535", "192.0.2.1", 65535, False),
    ],
)
def test_a_listen_address_is_read_and_knows_whether_others_reach_it(
    text: str, host: str, port: int, *, loopback: bool
) -> None:
    address = ListenAddress.parse(text)

    assert (address.host, address.port, address.is_loopback) == (host, port, loopback)
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["", ":5060", "127.0.0.1", "localhost:5060", "::1:5060", "[127.0.0.1]:5060", "127.0.0.1:0", "[::1]5060"],
)
def test_a_listen_address_that_is_not_an_ip_address_and_a_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|stands in brackets"):
        ListenAddress.parse(text)


def test_a_port_range_counts_both_ends() -> None:
    ports = PortRange.parse("20000-20999")

    assert (ports.first, ports.last, len(ports)) == (20000, 20999, 1000)
    assert str(ports) == "20000-20999"


@pytest.mark.parametrize(
    "text", ["", "20000", "20999-20000", "20001-20999", "20000-20006", "80-20000", "20000-70000", "-20000--1"]
)
def test_a_port_range_that_can_not_carry_two_calls_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must|ports"):
        PortRange.parse(text)


@given(st.one_of(st.text(), st.from_regex(r"sip:[a-z0-9@:;=.\[\]%-]{0,30}", fullmatch=True)))
def test_any_text_is_an_address_that_reads_back_or_a_value_error(text: str) -> None:
    for kind in (SipUri, ListenAddress, PortRange):
        with contextlib.suppress(ValueError):
            value = kind.parse(text)

            assert kind.parse(str(value)) == value
