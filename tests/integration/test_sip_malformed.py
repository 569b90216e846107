"""Messages as no standard allows them, by UDP, TCP and TLS, beside a call that runs.

What can be understood is answered as if it were well made; what can't is refused or passed over. Neither
costs anybody else anything: after each the server answers and the call beside is alive.
"""

from collections.abc import Iterator

import pytest

from callseal.agent.sip.transport_limits import TransportLimits
from support.sip_beside import Beside, beside
from support.sip_malformed import BROKEN, NO_SIP, ODD, changed, options
from support.sip_wire import SIPREC_OFFER, Caller, Wire

pytestmark = pytest.mark.integration

LIMITS = TransportLimits(half_message_s=0.5)
"""On a stream a length that promises too much makes a message that never ends."""
HEADERS = 100_000
DATAGRAM_BYTES = 65_000


@pytest.fixture(scope="module", params=["UDP", "TCP", "TLS"])
def at(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    with beside(request.param, tmp_path_factory.mktemp("malformed"), LIMITS) as running:
        yield running


@pytest.fixture
def wire(at: Beside) -> Iterator[Wire]:
    """Lend a new way to the server, which must be alive afterwards and the call beside too."""
    with at.open() as opened:
        yield opened
    at.check()


def said(wire: Wire, data: str | bytes) -> list[int]:
    """Send something and give the codes of what is said to it, until the server has gone on or hung up."""
    marker = Caller(wire)
    try:
        wire.send(data)
        marker.ask("OPTIONS")
    except (AssertionError, OSError):
        assert wire.transport != "UDP", "one datagram stopped the server"
    return [int(first.split(" ")[1]) for first in wire.pending() if first.startswith("SIP/2.0 ")]


@pytest.mark.parametrize("change", ODD.values(), ids=ODD.keys())
def test_what_is_odd_but_clear_is_answered(wire: Wire, change: tuple[str, str]) -> None:
    data = options(wire, change)

    codes = said(wire, data)

    assert codes == [200]


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_broken_is_refused_or_passed_over(wire: Wire, change: tuple[str, str]) -> None:
    data = options(wire, change)

    codes = said(wire, data)

    assert all(400 <= code < 600 for code in codes)
    assert len(codes) <= 1


@pytest.mark.parametrize("data", NO_SIP.values(), ids=NO_SIP.keys())
def test_what_is_no_sip_is_passed_over(wire: Wire, data: bytes) -> None:
    codes = said(wire, data)

    assert codes == []


def test_lines_may_end_as_on_unix(wire: Wire) -> None:
    data = options(wire).replace("\r\n", "\n")

    codes = said(wire, data)

    assert codes == [200]


def test_an_invite_whose_caller_has_no_tag_is_refused(wire: Wire) -> None:
    data = changed(Caller(wire).compose("INVITE", SIPREC_OFFER, number=1), (";tag=near", ""))

    codes = said(wire, data)

    assert codes == [400]


def test_a_call_s_name_of_any_bytes_comes_back_as_it_was(wire: Wire) -> None:
    name = "\xff\xfe\x80(~`'\"<>?/[]{}*%\x01)@\xe2\x82"
    wire.send(options(wire, (r"Call-ID: .*\r", f"Call-ID: {name}\r")))

    answer = wire.wait(lambda m: m.code >= 200, "an answer")

    assert answer.code == 200
    assert answer.header("Call-ID") == name


def test_a_hundred_thousand_headers_are_refused(wire: Wire) -> None:
    """As many of them as a datagram holds, where it is one."""
    flood = "a:\r\n" * (DATAGRAM_BYTES // 4) if wire.transport == "UDP" else "X: y\r\n" * HEADERS
    data = options(wire, (r"Max-Forwards", f"{flood}Max-Forwards"))

    codes = said(wire, data[:DATAGRAM_BYTES] if wire.transport == "UDP" else data)

    assert codes in ([], [513], [400])


def test_headers_without_end_are_cut_off(wire: Wire) -> None:
    data = f"INVITE sip:recorder@127.0.0.1 SIP/2.0\r\nX: {'a' * 200_000}"

    codes = said(wire, data[:DATAGRAM_BYTES] if wire.transport == "UDP" else data)

    assert codes == []


@pytest.mark.parametrize("size", ["999", "65536", "1000000", "4294967296", "9999999999"])
def test_a_body_that_is_shorter_than_promised(wire: Wire, size: str) -> None:
    """In a datagram what is there will do. On a stream the rest is waited for, but not for long."""
    data = options(wire, (r"Content-Length: 0", f"Content-Length: {size}"))

    codes = said(wire, data)

    assert codes == [200] if wire.transport == "UDP" else set(codes) <= {400, 413}


def test_a_body_that_is_longer_than_promised(wire: Wire) -> None:
    """What follows in a datagram is dropped. On a stream it is the next message, and here none."""
    codes = said(wire, options(wire) + "what follows\r\n\r\n")

    assert codes == [200]


def test_half_of_everything(wire: Wire, at: Beside) -> None:
    """Every message that breaks off somewhere, each on a way of its own."""
    whole = Caller(wire).compose("INVITE", SIPREC_OFFER, number=1, via="z9hG4bKhalf")
    sizes = [int(len(whole) * part / 40) for part in range(40)]

    for size in sizes:
        with at.open() as each:
            each.send(whole[:size])

    assert at.server.counters.bugs == 0


def test_the_largest_message_that_there_can_be(wire: Wire) -> None:
    size = 60_000 if wire.transport == "UDP" else 190_000
    caller = Caller(wire)

    answer = caller.invite(SIPREC_OFFER + "x" * size)

    assert answer.code == 200
    assert caller.ask("BYE").code == 200
