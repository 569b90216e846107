"""Who may talk to the recorder."""

import pytest

from callseal.agent.sip.peers import MAX_REMEMBERED, Peers


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
def test_without_settings_this_machine_may_talk(host: str) -> None:
    peers = Peers()

    allowed = peers.allows_address(host)

    assert allowed


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "0.0.0.0", "::"])  # noqa: S104
def test_without_settings_nobody_else_may(host: str) -> None:
    peers = Peers()

    allowed = peers.allows_address(host)

    assert not allowed


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.0.2.0", True),
        ("192.0.2.255", True),
        ("192.0.3.0", False),
        ("198.51.100.7", True),
        ("198.51.100.8", False),
        ("::ffff:192.0.2.9", True),
        ("::ffff:192.0.3.9", False),
        ("2001:db8:5::1", True),
        ("2001:DB8:5:0::1", True),
        ("2001:db8:6::1", False),
        ("127.0.0.1", False),
        ("::1", False),
    ],
)
def test_networks_and_single_addresses_are_let_in_and_no_others(host: str, *, expected: bool) -> None:
    """With networks in the settings, this machine itself is no exception."""
    peers = Peers(["192.0.2.0/24", "198.51.100.7", "2001:db8:5::/48"])

    allowed = peers.allows_address(host)

    assert allowed is expected


@pytest.mark.parametrize("host", ["", "sbc.example.com", "192.0.2", "192.0.2.1:5060", "[::1]", "1e3", "\0"])
def test_what_is_no_address_is_not_let_in(host: str) -> None:
    peers = Peers(["0.0.0.0/0", "::/0"])

    allowed = peers.allows_address(host)

    assert not allowed


def test_a_verdict_stays_the_same_however_many_addresses_have_been_judged() -> None:
    peers = Peers(["10.0.0.0/16"])
    hosts = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(0, 2 * MAX_REMEMBERED * 32, 32)]

    first = [peers.allows_address(host) for host in hosts]
    again = [peers.allows_address(host) for host in hosts]

    assert first == again == [host.startswith("10.0.") for host in hosts]


def test_a_network_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"192\.0\.2\.1/24"):
        Peers(["192.0.2.1/24"])


def test_without_names_any_certificate_is_good() -> None:
    peers = Peers()

    allowed = [peers.allows_names(names) for names in ((), ("sbc.example.com",), ("sip:example.com",))]

    assert allowed == [True, True, True]


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (("sbc.example.com",), True),
        (("SBC.Example.COM",), True),
        (("sbc.example.com.",), True),
        (("other.example.com", "sbc.example.com"), True),
        (("sip:sbc.example.com",), True),
        (("192.0.2.9",), True),
        ((), False),
        (("",), False),
        (("example.com",), False),
        (("xsbc.example.com",), False),
        (("sbc.example.com.evil.example",), False),
        (("sip:other.example.com",), False),
    ],
)
def test_a_certificate_needs_one_of_the_names(held: tuple[str, ...], *, expected: bool) -> None:
    peers = Peers(names=["sbc.example.com", "192.0.2.9"])

    allowed = peers.allows_names(held)

    assert allowed is expected


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ("sbc.example.com", True),
        ("sip:sbc.example.com", True),
        ("a.b.example.com", False),
        ("example.com", False),
        (".example.com", False),
        ("sbc.example.org", False),
        ("sbcexample.com", False),
    ],
)
def test_a_wildcard_in_the_settings_stands_for_one_label(held: str, *, expected: bool) -> None:
    peers = Peers(names=["*.example.com"])

    allowed = peers.allows_names((held,))

    assert allowed is expected


def test_a_wildcard_in_the_settings_fits_no_address() -> None:
    peers = Peers(names=["*.0.2.9"])

    allowed = peers.allows_names(("192.0.2.9",))

    assert not allowed


@pytest.mark.parametrize(
    ("wanted", "expected"), [("sbc.example.com", False), ("*.example.com", True), ("*.com", False)]
)
def test_a_certificate_s_own_wildcard_stands_for_nothing_but_itself(wanted: str, *, expected: bool) -> None:
    """RFC 5922 section 7.2: whoever has such a certificate would be every gateway of the domain."""
    peers = Peers(names=[wanted])

    allowed = peers.allows_names(("*.example.com",))

    assert allowed is expected


def test_where_a_certificate_has_sip_uris_its_other_names_do_not_count() -> None:
    """RFC 5922 section 7.1."""
    peers = Peers(names=["sbc.example.com"])

    allowed = peers.allows_names(("sbc.example.com", "sip:other.example.com"))

    assert not allowed
