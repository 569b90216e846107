"""Where the SIP server listens, and whom its sockets can reach."""

import socket

import pytest

from callseal.agent.errors import SourceError
from callseal.agent.sip.sockets import (
    address_of,
    local_towards,
    open_listener,
    open_pair,
    open_stream,
    reachable,
    why_not,
)


def test_udp_and_tcp_share_an_address() -> None:
    datagrams, listener = open_pair(("127.0.0.1", 0))

    with datagrams, listener:
        assert datagrams.getsockname() == listener.getsockname()
        assert datagrams.type == socket.SOCK_DGRAM
        assert not datagrams.getblocking()
        assert not listener.getblocking()


def test_an_address_that_is_taken_by_udp_is_said_in_words() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

        with pytest.raises(SourceError, match=rf"cannot listen at 127\.0\.0\.1:{port} \(UDP\): .* in use"):
            open_pair(("127.0.0.1", port))


def test_an_address_that_is_taken_by_tcp_is_said_in_words() -> None:
    with open_listener(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(SourceError, match=rf"cannot listen at 127\.0\.0\.1:{port} \(TCP\): .* in use"):
            open_pair(("127.0.0.1", port))


def test_an_address_of_another_machine_is_said_in_words() -> None:
    with pytest.raises(SourceError, match=r"cannot listen at \[2001:db8::1\]:5060"):
        open_pair(("2001:db8::1", 5060))


@pytest.mark.parametrize(
    ("destination", "family", "expected"),
    [
        (("192.0.2.1", 5060), socket.AF_INET, ("192.0.2.1", 5060)),
        (("2001:db8::1", 5060), socket.AF_INET6, ("2001:db8::1", 5060)),
        (("192.0.2.1", 5060), socket.AF_INET6, ("::ffff:192.0.2.1", 5060)),
        (("2001:db8::1", 5060), socket.AF_INET, None),
        (("192.0.2.1", 99_999_999), socket.AF_INET, None),
        (("192.0.2.1", 0), socket.AF_INET, None),
        (("192.0.2.1", -1), socket.AF_INET, None),
        (("sbc.example.com", 5060), socket.AF_INET, None),
        (("", 5060), socket.AF_INET, None),
        (("\0", 5060), socket.AF_INET6, None),
    ],
)
def test_a_datagram_goes_to_addresses_that_there_are_and_to_no_others(
    destination: tuple[str, int], family: socket.AddressFamily, expected: tuple[str, int] | None
) -> None:
    address = reachable(destination, family)

    assert address == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (("192.0.2.1", 5060), ("192.0.2.1", 5060)),
        (("2001:db8::1", 5060, 0, 0), ("2001:db8::1", 5060)),
        (("::ffff:192.0.2.1", 5060, 0, 0), ("192.0.2.1", 5060)),
    ],
)
def test_an_ipv4_peer_is_known_by_its_ipv4_address(
    name: tuple[str, int] | tuple[str, int, int, int], expected: tuple[str, int]
) -> None:
    address = address_of(name)

    assert address == expected


@pytest.mark.parametrize(
    ("listening", "peer", "seen"),
    [
        ("0.0.0.0", "127.0.0.1", "127.0.0.1"),  # noqa: S104 - listening everywhere is what is tried
        ("::", "127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.1", "127.0.0.2"),
        ("0.0.0.0", "2001:db8::1%none", "0.0.0.0"),  # noqa: S104 - as above
    ],
)
def test_a_server_that_listens_everywhere_knows_its_address_for_each_peer(
    listening: str, peer: str, seen: str
) -> None:
    address = local_towards((listening, 5060), (peer, 40_000))

    assert address == (seen, 5060)


@pytest.mark.parametrize("destination", [("pbx.example.com", 5060), ("127.0.0.1", 99_999), ("::1", 0)])
def test_no_connection_is_begun_to_what_is_no_address(destination: tuple[str, int]) -> None:
    with pytest.raises(OSError, match="no address"):
        open_stream(destination, unacknowledged_s=20)


@pytest.mark.parametrize(
    ("problem", "why"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('192.0.2.1', 5060)"), "ECONNREFUSED"),
        (TimeoutError(), "TimeoutError"),
        (ConnectionResetError(), "ConnectionResetError"),
        (ValueError("what a peer sent"), "ValueError"),
    ],
)
def test_why_a_connection_failed_is_said_in_a_word(problem: Exception, why: str) -> None:
    assert why_not(problem) == why
