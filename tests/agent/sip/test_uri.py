"""Addresses: gateways' URIs of every kind are read, numbers and names come out as they were written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.uri import MAX_URI_CHARS, NameAddr, Uri, parse_name_addr, parse_uri

ODD = st.text(st.sampled_from('sip:tel@[]<>";?&=%:.,\\ 1a'), max_size=40) | st.text(max_size=40)


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("sip:alice@example.com", Uri(scheme="sip", user="alice", host="example.com")),
        ("SIPS:Alice@EXAMPLE.com:5061", Uri(scheme="sips", user="Alice", host="example.com", port=5061)),
        ("sip:example.com", Uri(scheme="sip", host="example.com")),
        (
            "sip:+442079460000@192.0.2.1;user=phone;lr?Subject=a&Priority=b",
            Uri(
                scheme="sip",
                user="+442079460000",
                host="192.0.2.1",
                params=(("user", "phone"), ("lr", "")),
                headers=(("subject", "a"), ("priority", "b")),
            ),
        ),
        ("sip:ann;at=a%40x@example.com", Uri(scheme="sip", user="ann;at=a%40x", host="example.com")),
        ("sip:a?b@example.com", Uri(scheme="sip", user="a?b", host="example.com")),
        ("sip:zero-%00-zero@example.com", Uri(scheme="sip", user="zero-%00-zero", host="example.com")),
        ("sip:1001@realm@192.0.2.1", Uri(scheme="sip", user="1001@realm", host="192.0.2.1")),
        ("sip:1001@", Uri(scheme="sip", user="1001")),
        ("sip:@192.0.2.1", Uri(scheme="sip", host="192.0.2.1")),
        ("sip:a_b@my_host", Uri(scheme="sip", user="a_b", host="my_host")),
        ("1001@example.com", Uri(scheme="", user="1001", host="example.com")),
        ("+442079460000", Uri(scheme="", user="+442079460000")),
        (
            "tel:+44-20-7946-0000;phone-context=x",
            Uri(scheme="tel", user="+44-20-7946-0000", params=(("phone-context", "x"),)),
        ),
        ("urn:service:sos", Uri(scheme="urn", user="service:sos")),
        ("Unheard-of:this", Uri(scheme="unheard-of", user="this")),
        ("sip:[2001:db8::10]", Uri(scheme="sip", host="2001:db8::10")),
        (
            "sip:a@[2001:db8::10]:5070;lr",
            Uri(scheme="sip", user="a", host="2001:db8::10", port=5070, params=(("lr", ""),)),
        ),
        ("sip:[2001:db8::10:5070]", Uri(scheme="sip", host="2001:db8::10:5070")),
        ("sip:a@[::ffff:192.0.2.10]", Uri(scheme="sip", user="a", host="::ffff:192.0.2.10")),
    ],
)
def test_a_uri_is_taken_apart(text: str, uri: Uri) -> None:
    assert parse_uri(text) == uri


def test_a_password_is_not_shown() -> None:
    uri = parse_uri("sip:alice:hidden@example.com")

    assert (uri.user, uri.password) == ("alice", "hidden")
    assert "hidden" not in repr(uri)


def test_a_flag_is_not_an_absent_parameter() -> None:
    uri = parse_uri("sip:example.com;LR;transport=TCP")

    assert (uri.param("lr"), uri.param("transport"), uri.param("maddr")) == ("", "TCP", None)


@pytest.mark.parametrize(
    "text",
    [
        *("", "sip:", "sip:a@x:0", "sip:a@x:65536", "sip:a@x:99999999", "sip:a@x:port", "sip:2001:db8::10"),
        *("sip:a@[::1", "sip:a@[xyz]", "sip:a@b c", "sip:a@<b>", "not an address"),
    ],
)
def test_what_is_no_uri_is_refused(text: str) -> None:
    with pytest.raises(SipSyntaxError) as caught:
        parse_uri(text)

    assert caught.value.status == 400


def test_a_uri_that_is_too_long_is_refused() -> None:
    assert parse_uri("sip:" + "a" * (MAX_URI_CHARS - 4)).host
    with pytest.raises(SipSyntaxError) as caught:
        parse_uri("sip:" + "a" * (MAX_URI_CHARS - 3))

    assert caught.value.status == 414


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sip:a@x;tag=1", NameAddr(display="", uri="sip:a@x", params=(("tag", "1"),))),
        (
            "<sip:a@x;lr>;+sip.src;expires=60",
            NameAddr(display="", uri="sip:a@x;lr", params=(("+sip.src", ""), ("expires", "60"))),
        ),
        ("Alice Smith<sip:a@x>", NameAddr(display="Alice Smith", uri="sip:a@x")),
        (r'"Smith, \"Al\"" < sip:a@x >', NameAddr(display='Smith, "Al"', uri="sip:a@x")),
        ("陈 <sip:a@x>", NameAddr(display="陈", uri="sip:a@x")),
        ('"" <sip:a@x>', NameAddr(display="", uri="sip:a@x")),
        (
            "Smith, Bob <sip:a@x>;tag=9",
            NameAddr(display="Smith, Bob", uri="sip:a@x", params=(("tag", "9"),)),
        ),
        ("*", NameAddr(display="", uri="*")),
    ],
)
def test_a_name_with_its_address_is_taken_apart(text: str, name: NameAddr) -> None:
    assert parse_name_addr(text) == name


def test_built_in_bridge_parameters_are_read() -> None:
    name = parse_name_addr(
        '<sip:3001@192.0.2.5;x-nearend;x-refci=26979000;x-nearenddevice=SEP01>;tag=1;x-session="a;b"'
    )

    assert name.address.param("x-nearend") == ""
    assert name.address.param("x-refci") == "26979000"
    assert (name.param("tag"), name.param("x-session"), name.param("x-farend")) == ("1", "a;b", None)


@pytest.mark.parametrize("text", ["", "<>", "Alice <>", '"Alice" <', '"Alice', ";tag=1", "x" * 10_000])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SipSyntaxError) as caught:
        parse_name_addr(text)

    assert caught.value.status == 400


@given(text=ODD)
def test_any_text_is_an_address_or_refused(text: str) -> None:
    refused = 0
    for parse in (parse_uri, lambda text: parse_name_addr(text).address):
        try:
            uri = parse(text)
        except SipSyntaxError as error:
            refused = error.status
        else:
            assert uri.port is None or 0 < uri.port < 65536

    assert refused in {0, 400, 414}


@given(
    user=st.text(st.characters(categories=("L", "N")), min_size=1),
    host=st.sampled_from(["192.0.2.1", "example.com", "[2001:db8::1]"]),
    port=st.none() | st.integers(1, 65535),
)
def test_every_part_is_found_again(user: str, host: str, port: int | None) -> None:
    text = f"sip:{user}@{host}" + (f":{port}" if port else "")

    uri = parse_uri(text)

    assert (uri.user, uri.host, uri.port) == (user, host.strip("[]"), port)
