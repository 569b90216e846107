"""SIP by UDP, TCP and TLS 1.3, by IPv4 and IPv6: calls come and go on each."""

import socket
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from callseal.agent.sip.flow import Flow
from callseal.agent.sip.peers import Peers
from callseal.agent.sip.tls import ServerTls
from support.eventually import eventually
from support.sip_certificates import Authority, client_context
from support.sip_service import Service, service
from support.sip_wire import OFFER, PONG, SIPREC_OFFER, Caller, Wire, asks, call

pytestmark = pytest.mark.integration

TRANSPORTS = ["UDP", "TCP", "TLS"]
SECRET = "what a peer sent"  # noqa: S105 - no password
ELSEWHERE = "10.9.8.7:5060"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[Service]:
    own = authority.issue("recorder", "127.0.0.1")
    with service(tls=ServerTls(own.certificate, own.key)) as running:
        yield running
        assert running.counters.bugs == 0


@pytest.fixture(params=TRANSPORTS)
def wire(request: pytest.FixtureRequest, server: Service, authority: Authority) -> Iterator[Wire]:
    """Open a way to the server, one transport after the other."""
    is_tls = request.param == "TLS"
    address = server.tls_address if is_tls else server.address
    with Wire.open(request.param, address, client_context(authority) if is_tls else None) as opened:
        yield opened


def test_a_call_is_set_up_and_torn_down(wire: Wire) -> None:
    caller = Caller(wire)

    answer = caller.invite(extra="Require: siprec\r\n")
    goodbye = caller.ask("BYE")

    assert answer.code == 200
    assert answer.body.count("m=audio") == 2
    assert goodbye.code == 200


def test_the_recorder_hangs_up(wire: Wire, server: Service) -> None:
    caller = Caller(wire)
    caller.invite()

    server.hang_up(caller.call_id)
    bye = wire.wait(lambda m: m.method == "BYE" and not m.code, "BYE")
    wire.send(
        "SIP/2.0 200 OK\r\n"
        + "".join(f"{name}: {bye.header(name)}\r\n" for name in ("Via", "From", "To", "Call-ID", "CSeq"))
        + "Content-Length: 0\r\n\r\n"
    )

    eventually(lambda: server.ended(caller.call_id) is not None, "the end of the call")
    assert bye.header("Call-ID") == caller.call_id


def test_a_call_changes_while_it_runs(wire: Wire) -> None:
    with call(wire) as caller:
        again = caller.invite(SIPREC_OFFER)
        update = caller.ask("UPDATE", OFFER, kind="application/sdp")
        info = caller.ask("INFO", "<recording/>", kind="application/rs-metadata+xml")

    assert (again.code, update.code, info.code) == (200, 200, 200)


def test_options_are_answered_outside_of_calls(wire: Wire) -> None:
    answer = asks(wire)

    assert answer.code == 200
    assert "siprec" in answer.header("Supported")


def test_thirty_calls_at_a_time_share_one_way(wire: Wire) -> None:
    callers = [Caller(wire) for _ in range(30)]
    for caller in callers:
        caller.send("INVITE", SIPREC_OFFER)

    answers = [wire.answer(caller.call_id, "INVITE") for caller in callers]
    for caller, answer in zip(callers, answers, strict=True):
        caller.acknowledge(answer)
    goodbyes = [caller.ask("BYE").code for caller in callers]

    assert [answer.code for answer in answers] == [200] * 30
    assert goodbyes == [200] * 30


def test_an_answer_returns_the_way_that_the_request_came(wire: Wire) -> None:
    """A gateway behind an address translation names an address in its Via that nobody can reach."""
    caller = Caller(wire)
    request = caller.compose("OPTIONS", number=1).replace(f" {wire.sent_by};", f" {ELSEWHERE};", 1)

    wire.send(request)
    answer = wire.answer(caller.call_id, "OPTIONS")

    assert answer.code == 200
    assert f"received={wire.local[0]}" in answer.header("Via")
    assert f"rport={wire.local[1]}" in answer.header("Via")


def test_without_rport_a_datagram_is_answered_at_the_port_of_its_via(server: Service) -> None:
    with Wire.open("UDP", server.address) as sending, Wire.open("UDP", server.address) as named:
        caller = Caller(named)
        sending.send(caller.compose("OPTIONS", number=1).replace(";rport", ""))

        answer = named.answer(caller.call_id, "OPTIONS")

    assert answer.code == 200


def test_a_fault_of_the_application_costs_one_call_and_no_other(authority: Authority) -> None:
    own = authority.issue("faulty", "127.0.0.1")
    with service(tls=ServerTls(own.certificate, own.key)) as faulty:
        for transport in TRANSPORTS:
            is_tls = transport == "TLS"
            address = faulty.tls_address if is_tls else faulty.address
            with Wire.open(transport, address, client_context(authority) if is_tls else None) as wire:
                with call(wire):
                    answer = Caller(wire, user="fault").invite()

                assert answer.code == 500
        assert faulty.counters.bugs == len(TRANSPORTS)


def test_a_fault_of_our_own_is_answered_and_told_without_what_the_peer_sent() -> None:
    def fail(_flow: Flow) -> str:
        raise RuntimeError(SECRET)

    with capture_logs() as told, service(contact=fail) as faulty, Wire.open("UDP", faulty.address) as wire:
        answers = [asks(wire).code for _ in range(3)]
        still = asks(wire, "REGISTER").code

        assert answers == [500, 500, 500]
        assert still == 405
        assert faulty.counters.bugs == 3
    bugs = [event for event in told if event["event"] == "sip.bug"]
    assert len(bugs) == 1, "the same fault is told once a minute"
    assert "in fail" in bugs[0]["traceback"]
    assert SECRET not in str(told)


def test_who_is_not_on_the_list_gets_no_answer_and_is_counted() -> None:
    with service(peers=Peers(["192.0.2.0/24"])) as closed:
        with Wire.open("UDP", closed.address) as datagrams, Wire.open("TCP", closed.address) as stream:
            datagrams.send(Caller(datagrams).compose("OPTIONS", number=1))

            assert stream.ends()
            closed.counts(lambda c: c.strangers == 2, "two strangers")
            assert datagrams.pending() == []
        assert closed.counters.received == 0


def test_calls_come_by_ipv6_too() -> None:
    with service(host="::1") as six:
        for transport in ("UDP", "TCP"):
            with Wire.open(transport, six.address) as wire, call(wire) as caller:
                update = caller.ask("UPDATE")

                assert update.code == 200


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system keeps IPv6 and IPv4 apart")
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_server_that_listens_everywhere_takes_both_and_shows_the_address_that_was_called(
    transport: str, host: str
) -> None:
    with service(host="::") as everywhere:
        address = (host, everywhere.address[1])
        with Wire.open(transport, address) as wire, call(wire) as caller:
            answer = caller.invite()

            contact = answer.header("Contact")
            assert f"@[{host}]:" in contact if ":" in host else f"@{host}:" in contact


def test_a_call_goes_on_by_another_connection_when_its_own_is_gone(server: Service) -> None:
    with Wire.open("TCP", server.address) as first:
        caller = Caller(first)
        caller.invite()
    with Wire.open("TCP", server.address) as second:
        caller.wire = second
        update = caller.ask("UPDATE")
        server.hang_up(caller.call_id)
        bye = second.wait(lambda m: m.method == "BYE", "BYE")

    assert update.code == 200
    assert bye.header("Call-ID") == caller.call_id


def test_a_peer_without_a_connection_is_called_back_at_its_contact(server: Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gateway:
        with Wire.open("TCP", server.address) as wire:
            caller = Caller(wire)
            contact = f"Contact: <sip:gateway@127.0.0.1:{gateway.getsockname()[1]};transport=tcp>\r\n"
            text = caller.compose("INVITE", SIPREC_OFFER, number=1)
            own_contact = next(line for line in text.split("\r\n") if line.startswith("Contact"))
            wire.send(text.replace(f"{own_contact}\r\n", contact))
            caller.acknowledge(wire.answer(caller.call_id, "INVITE"))
        server.counts(lambda c: c.connections == 0, "the end of the connection")

        server.hang_up(caller.call_id)
        gateway.settimeout(10)
        called, _ = gateway.accept()
        with Wire("TCP", called) as back:
            bye = back.wait(lambda m: m.method == "BYE", "BYE")

    assert bye.header("Call-ID") == caller.call_id


def test_a_keep_alive_is_answered_on_a_connection_and_disturbs_nothing_elsewhere(wire: Wire) -> None:
    """RFC 5626 section 4.4.1."""
    wire.send("\r\n\r\n")
    is_stream = wire.transport != "UDP"
    if is_stream:
        wire.wait(lambda m: m.first == PONG, "a pong")

    answer = asks(wire)

    assert answer.code == 200
    assert wire.pending() == []


def test_where_a_server_listened_the_next_one_can_at_once() -> None:
    with service() as first, Wire.open("TCP", first.address) as wire, call(wire):
        port = first.address[1]

    with socket.create_server(("127.0.0.1", port)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", port))

        assert udp.getsockname()[1] == port
