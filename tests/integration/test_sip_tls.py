"""SIP by TLS: 1.3 alone, certificates both ways, and files that change while calls run."""

import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from callseal.agent.sip.peers import Peers
from callseal.agent.sip.tls import ServerTls
from callseal.agent.sip.transport_limits import TransportLimits
from support.eventually import eventually
from support.sip_certificates import Authority, Identity, client_context, serial_in, serial_of
from support.sip_service import Service, service
from support.sip_wire import Caller, Wire, asks, call

pytestmark = pytest.mark.integration

SOON = TransportLimits(certificate_check_s=0.1, handshake_s=0.5, half_message_s=0.5)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Give an authority that the recorder does not know."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
def own(authority: Authority, tmp_path: Path) -> Identity:
    """Give the recorder's certificate, in files that may change."""
    issued = authority.issue("recorder", "127.0.0.1")
    copied = Identity(tmp_path / "recorder.pem", tmp_path / "recorder.key")
    shutil.copy(issued.certificate, copied.certificate)
    shutil.copy(issued.key, copied.key)
    return copied


@pytest.fixture
def server(own: Identity) -> Iterator[Service]:
    """Run a recorder that asks nobody for a certificate."""
    with service(tls=ServerTls(own.certificate, own.key), limits=SOON) as running:
        yield running
        assert running.counters.bugs == 0


@pytest.fixture
def mutual(own: Identity, authority: Authority) -> Iterator[Service]:
    """Run a recorder that lets in sbc.example.com and anything at example.org."""
    tls = ServerTls(own.certificate, own.key, authority.file)
    peers = Peers(names=["sbc.example.com", "*.example.org"])
    with service(tls=tls, peers=peers, limits=SOON) as running:
        yield running
        assert running.counters.bugs == 0


def reach(server: Service, context: ssl.SSLContext) -> Wire:
    return Wire.open("TLS", server.tls_address, context)


def is_refused(server: Service, context: ssl.SSLContext) -> bool:
    """Say whether a peer gets nowhere: by TLS 1.3 it learns that only once it has said something."""
    try:
        with reach(server, context) as wire:
            try:
                asks(wire)
            except AssertionError:
                return wire.is_ended
            return False
    except OSError:
        return True


def test_tls_is_1_3(server: Service, authority: Authority) -> None:
    with socket.create_connection(server.tls_address) as raw:
        context = client_context(authority)
        with context.wrap_socket(raw, server_hostname="127.0.0.1") as wrapped:
            version = wrapped.version()

    assert version == "TLSv1.3"


def test_tls_1_2_is_refused_and_counted(server: Service, authority: Authority) -> None:
    context = client_context(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    with pytest.raises((ssl.SSLError, ConnectionError)):
        reach(server, context)

    server.counts(lambda c: c.tls_failures == 1 and c.connections == 0, "a failure of TLS")


def test_a_certificate_can_be_renewed_while_calls_run(
    server: Service, own: Identity, authority: Authority
) -> None:
    """New connections see the new one; those that are there go on."""
    context = client_context(authority)
    renewed = authority.issue("renewed", "127.0.0.1")
    with reach(server, context) as before, call(before) as caller:
        own.replace_by(renewed)
        wanted = serial_in(renewed.certificate)

        def is_shown() -> bool:
            with reach(server, context) as wire:
                return serial_of(wire.certificate) == wanted

        eventually(is_shown, "the renewed certificate")
        update = caller.ask("UPDATE")
        with reach(server, context) as after, call(after):
            pass

    assert update.code == 200


def test_a_broken_new_certificate_keeps_the_old_one(
    server: Service, own: Identity, authority: Authority
) -> None:
    context = client_context(authority)
    good = serial_in(own.certificate)
    with capture_logs() as told, reach(server, context) as before:
        own.certificate.write_text("-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n")
        eventually(lambda: any(each["event"] == "sip.certificate_kept" for each in told), "a warning")
        with reach(server, context) as after:
            shown = serial_of(after.certificate)
            codes = [asks(wire).code for wire in (before, after)]

    assert codes == [200, 200]
    assert shown == good
    assert str(own.certificate) in str(told)


def test_who_connects_and_says_nothing_is_not_waited_for(server: Service) -> None:
    with Wire.open("TCP", server.tls_address) as silent:
        assert silent.ends()

    server.counts(lambda c: c.tls_failures == 1 and c.connections == 0, "a failure of TLS")


def test_plain_sip_at_the_port_for_tls_gets_nowhere(server: Service) -> None:
    with Wire.open("TCP", server.tls_address) as plain:
        plain.send(Caller(plain).compose("OPTIONS", number=1))

        assert plain.ends()

    server.counts(lambda c: c.tls_failures == 1 and c.received == 0, "a failure of TLS")


def test_tls_at_the_port_for_plain_sip_gets_nowhere(server: Service, authority: Authority) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Wire.open("TLS", server.address, client_context(authority))

    server.counts(lambda c: c.connections == 0 and c.received == 0, "bytes that are no SIP")


@pytest.mark.parametrize("name", ["sbc.example.com", "sip:sbc.example.com", "any.example.org"])
def test_a_gateway_with_a_certificate_of_its_name_is_let_in(
    mutual: Service, authority: Authority, name: str
) -> None:
    context = client_context(authority, authority.issue("gateway", name))

    with reach(mutual, context) as wire, call(wire):
        answer = asks(wire)

    assert answer.code == 200


def test_a_gateway_without_a_certificate_is_refused_and_the_log_says_why(
    mutual: Service, authority: Authority
) -> None:
    with capture_logs() as told:
        refused = is_refused(mutual, client_context(authority))
        mutual.counts(lambda c: c.tls_failures == 1 and c.received == 0, "a failure of TLS")

    assert refused
    assert {"event": "sip.tls_failed", "why": "PEER_DID_NOT_RETURN_A_CERTIFICATE"}.items() <= told[-1].items()


def test_a_certificate_that_a_stranger_signed_is_refused(
    mutual: Service, authority: Authority, stranger: Authority
) -> None:
    context = client_context(authority, stranger.issue("gateway", "sbc.example.com"))

    refused = is_refused(mutual, context)

    assert refused
    mutual.counts(lambda c: c.tls_failures == 1 and c.received == 0, "a failure of TLS")


@pytest.mark.parametrize("names", [(), ("other.example.com",), ("*.example.com",), ("sbc.example.com.evil",)])
def test_a_good_certificate_of_another_name_is_refused(
    mutual: Service, authority: Authority, names: tuple[str, ...]
) -> None:
    context = client_context(authority, authority.issue("another", *names))

    with capture_logs() as told:
        refused = is_refused(mutual, context)
        mutual.counts(lambda c: c.wrong_names == 1 and c.received == 0, "a wrong name")

    assert refused
    assert {"event": "sip.wrong_name", "why": ", ".join(names)}.items() <= told[-1].items()
    mutual.counts(lambda c: c.connections == 0, "the end of the connection")


def test_names_are_asked_for_by_tls_alone(mutual: Service) -> None:
    """Whether plain SIP is let in is a matter of addresses."""
    with Wire.open("UDP", mutual.address) as wire:
        answer = asks(wire)

    assert answer.code == 200


def test_an_authority_that_is_taken_off_the_list_lets_nobody_in_any_more(
    own: Identity, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    listed = tmp_path / "peers.pem"
    listed.write_bytes(authority.file.read_bytes() + stranger.file.read_bytes())
    context = client_context(authority, stranger.issue("gateway", "sbc.example.com"))
    tls = ServerTls(own.certificate, own.key, listed)
    with service(tls=tls, limits=SOON) as running, reach(running, context) as wire:
        assert asks(wire).code == 200

        listed.write_bytes(authority.file.read_bytes())
        eventually(lambda: is_refused(running, context), "a refusal")

        assert asks(wire).code == 200, "a call that runs is not cut"


def test_a_flood_of_handshakes_ends_at_the_limit_and_leaves_calls_alone(
    own: Identity, authority: Authority
) -> None:
    tls = ServerTls(own.certificate, own.key)
    context = client_context(authority)
    with service(tls=tls, limits=TransportLimits(connections=10)) as running, reach(running, context) as wire:
        with call(wire):
            silent = [Wire.open("TCP", running.tls_address) for _ in range(50)]
            running.counts(lambda c: c.crowded_out == 41, "41 of 51 that are too many")
            answer = asks(wire)
        for each in silent:
            each.close()

    assert answer.code == 200


def test_who_does_not_read_is_cut_off(own: Identity, authority: Authority) -> None:
    limits = TransportLimits(unread_bytes=64 * 1024)
    context = client_context(authority)
    with service(tls=ServerTls(own.certificate, own.key), limits=limits) as running:
        with reach(running, context) as other, call(other), reach(running, context) as deaf:
            requests = "".join(Caller(deaf).compose("OPTIONS", number=1) for _ in range(100))

            def is_cut_off() -> bool:
                try:
                    deaf.send(requests)
                except OSError:
                    return True
                return False

            eventually(is_cut_off, "the end of who does not read")

            assert asks(other).code == 200
        running.counts(lambda c: c.slow_readers == 1 and c.connections == 0, "one slow reader")
