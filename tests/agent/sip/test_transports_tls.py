"""Connections of ours by TLS 1.3: whom they trust, and what is told when they do not come about."""

import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from callseal.agent.errors import SourceError
from callseal.agent.sip.flow import Transport
from callseal.agent.sip.peers import Peers
from callseal.agent.sip.tls import ServerTls
from callseal.agent.sip.tls_client import ClientTls
from callseal.agent.sip.transport_limits import TransportLimits
from support.eventually import eventually
from support.sip_certificates import Authority, Identity, client_context
from support.sip_faces import Faces, Listening, faces
from support.sip_text import request_text
from support.sip_wire import Wire

NAME = "pbx.example.com"
SHORT_S = 0.3
"""Of what lasts seconds otherwise."""
REQUEST = request_text("OPTIONS", more=("Content-Length: 0",))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Give an authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def own(authority: Authority) -> Identity:
    """Give the certificate of the telephone system."""
    return authority.issue("pbx", NAME)


@pytest.fixture
def process() -> Iterator[Faces]:
    with faces() as running:
        yield running


def shows(identity: Identity, clients: Authority | None = None) -> ssl.SSLContext:
    """Give the context of a server; with `clients` it asks for a certificate of theirs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    if clients is not None:
        context.load_verify_locations(clients.file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def is_request(wire: Wire) -> bool:
    return wire.wait(lambda m: m.method == "OPTIONS", "OPTIONS").first.startswith("OPTIONS")


def why_refused(process: Faces, context: ssl.SSLContext, client_tls: ClientTls) -> str:
    """Say why a message does not reach a server; that it does not, and is told, is made sure of here."""
    face = process.open("pbx", client_tls=client_tls)
    with Listening(context) as pbx:
        face.send(REQUEST, pbx.address, by=Transport.TLS, key="a branch")
        pbx.fail()
        assert face.undelivered() == ["a branch"]
    flow, why = face.lost()
    assert (flow.local, flow.names, flow.transport) == (("", 0), (), Transport.TLS)
    assert face.told.said == [("sip.tls_failed", why)]
    assert face.counters.tls_failures == face.counters.undialled == 1
    eventually(lambda: face.counters.connections == 0, "the end of the connection")
    return why


def test_a_message_reaches_the_server_whose_name_is_verified(
    process: Faces, authority: Authority, own: Identity
) -> None:
    asked: list[str | None] = []
    context = shows(own)
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    face = process.open("pbx", client_tls=ClientTls(NAME, authority.file))
    with Listening(context) as pbx:
        face.send(REQUEST, pbx.address, by=Transport.TLS)
        with pbx.accept() as wire:
            assert is_request(wire)
            flow = face.connected()
            wire.send(REQUEST)
            come = face.taken()[0][1]
            face.send(REQUEST, come.remote, on=come)

            assert is_request(wire)
        assert face.lost() == (flow, "closed")
    assert come == flow
    assert (flow.face, flow.names, flow.local) == ("pbx", (NAME,), pbx.caller)
    assert asked == [NAME]


def test_an_address_can_be_the_name(process: Faces, authority: Authority) -> None:
    face = process.open(client_tls=ClientTls("127.0.0.1", authority.file))
    with Listening(shows(authority.issue("address", "127.0.0.1"))) as pbx:
        face.send(REQUEST, pbx.address, by=Transport.TLS)
        with pbx.accept() as wire:
            assert is_request(wire)


def test_a_certificate_for_all_of_a_domain_fits_one_label(process: Faces, authority: Authority) -> None:
    face = process.open(client_tls=ClientTls(NAME, authority.file))
    with Listening(shows(authority.issue("all", "*.example.com"))) as pbx:
        face.send(REQUEST, pbx.address, by=Transport.TLS)
        with pbx.accept() as wire:
            assert is_request(wire)


@pytest.mark.parametrize("names", [("other.example.com",), ("*.com",), ("example.com",), ("127.0.0.1",)])
def test_another_name_is_refused(process: Faces, authority: Authority, names: tuple[str, ...]) -> None:
    context = shows(authority.issue("another", *names))

    why = why_refused(process, context, ClientTls(NAME, authority.file))

    assert why == f"Hostname mismatch, certificate is not valid for '{NAME}'."


def test_a_common_name_is_no_name(process: Faces, authority: Authority) -> None:
    why = why_refused(process, shows(authority.issue(NAME)), ClientTls(NAME, authority.file))

    assert "Hostname mismatch" in why


def test_a_certificate_that_a_stranger_signed_is_refused(
    process: Faces, authority: Authority, stranger: Authority
) -> None:
    why = why_refused(process, shows(stranger.issue("pbx", NAME)), ClientTls(NAME, authority.file))

    assert why == "unable to get local issuer certificate"


def test_a_certificate_of_a_test_is_unknown_to_the_system(process: Faces, own: Identity) -> None:
    why = why_refused(process, shows(own), ClientTls(NAME))

    assert why == "unable to get local issuer certificate"


def test_a_server_of_tls_1_2_alone_is_refused(process: Faces, authority: Authority, own: Identity) -> None:
    context = shows(own)
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    why = why_refused(process, context, ClientTls(NAME, authority.file))

    assert why == "TLSV1_ALERT_PROTOCOL_VERSION"


def test_a_server_that_speaks_no_tls_is_given_up(process: Faces, authority: Authority) -> None:
    face = process.open(client_tls=ClientTls(NAME, authority.file))
    with Listening() as plain:
        face.send(REQUEST, plain.address, by=Transport.TLS, key="a branch")
        with plain.accept() as wire:
            wire.send("SIP/2.0 400 Bad Request\r\n\r\n")

            assert face.undelivered() == ["a branch"]
    assert face.lost()[1] == "WRONG_VERSION_NUMBER"


def test_a_server_that_says_nothing_is_given_up(process: Faces, authority: Authority) -> None:
    limits = TransportLimits(handshake_s=SHORT_S)
    face = process.open(client_tls=ClientTls(NAME, authority.file), limits=limits)
    with Listening() as silent:
        for key in ("first", "second"):
            face.send(REQUEST, silent.address, by=Transport.TLS, key=key)
        with silent.accept():
            assert face.undelivered(2) == ["first", "second"]
        assert not silent.is_called(0.1)
    assert face.counters.connections == 0


def test_nobody_is_connected_to_by_tls_without_a_name(process: Faces, own: Identity) -> None:
    face = process.open()
    with Listening(shows(own)) as pbx:
        face.send(REQUEST, pbx.address, by=Transport.TLS, key="a branch")

        assert face.undelivered() == ["a branch"]
        assert not face.connect(Transport.TLS, pbx.address)
        assert not pbx.is_called(0.1)


def test_a_name_of_peers_is_for_those_who_connect_to_us(
    process: Faces, authority: Authority, own: Identity
) -> None:
    peers = Peers(names=["sbc.example.com"])
    face = process.open(client_tls=ClientTls(NAME, authority.file), peers=peers)
    with Listening(shows(own)) as pbx:
        face.send(REQUEST, pbx.address, by=Transport.TLS)
        with pbx.accept() as wire:
            assert is_request(wire)


def test_who_connects_to_us_from_the_server_s_address_gets_nothing_that_is_for_the_server(
    process: Faces, authority: Authority, own: Identity
) -> None:
    """Its address is not verified, its name is."""
    face = process.open(client_tls=ClientTls(NAME, authority.file), tls=ServerTls(own.certificate, own.key))
    context = client_context(authority)
    context.check_hostname = False
    with Listening(shows(own)) as pbx, Wire.open("TLS", face.tls_address, context) as somebody:
        somebody.send(REQUEST)
        face.taken()
        face.send(REQUEST, pbx.address, by=Transport.TLS)
        with pbx.accept() as wire:
            assert is_request(wire)

        assert somebody.pending() == []


def test_our_certificate_is_shown_to_a_server_that_asks_for_one(
    process: Faces, authority: Authority, stranger: Authority, own: Identity
) -> None:
    desk = stranger.issue("desk", "desk.example.com")
    face = process.open(client_tls=ClientTls(NAME, authority.file, desk.certificate, desk.key))
    with Listening(shows(own, clients=stranger)) as pbx:
        face.send(REQUEST, pbx.address, by=Transport.TLS)
        with pbx.accept() as wire:
            assert is_request(wire)


def test_without_a_certificate_that_the_server_wants_the_connection_is_lost_and_the_log_says_why(
    process: Faces, authority: Authority, own: Identity
) -> None:
    """By TLS 1.3 that is known only once the connection has come about."""
    face = process.open(client_tls=ClientTls(NAME, authority.file))
    with Listening(shows(own, clients=authority)) as pbx:
        face.connect(Transport.TLS, pbx.address)  # what is sent and not read would reset the connection
        pbx.fail()

        assert face.lost()[1] == "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert ("sip.connection_lost", "TLSV13_ALERT_CERTIFICATE_REQUIRED") in face.told.said


def test_changed_authorities_are_taken_for_the_next_connection(
    process: Faces, authority: Authority, stranger: Authority, own: Identity, tmp_path: Path
) -> None:
    trusted = tmp_path / "pbx-ca.pem"
    shutil.copy(stranger.file, trusted)
    limits = TransportLimits(certificate_check_s=0.05)
    face = process.open(client_tls=ClientTls(NAME, trusted), limits=limits)
    with Listening(shows(own)) as pbx:
        face.send(REQUEST, pbx.address, by=Transport.TLS)
        pbx.fail()
        face.lost()
        shutil.copy(authority.file, trusted)

        def is_reached() -> bool:
            face.send(REQUEST, pbx.address, by=Transport.TLS)
            try:
                with pbx.accept() as wire:
                    return is_request(wire)
            except (ssl.SSLError, ConnectionError):
                return False

        eventually(is_reached, "a connection by the new authority")


# Its files.


def test_files_that_stay_are_read_once(authority: Authority) -> None:
    tls = ClientTls(NAME, authority.file)
    context = tls.context

    has_changed = tls.reload_if_changed()

    assert not has_changed
    assert tls.context is context


def test_broken_new_authorities_change_nothing_and_are_told_once(
    authority: Authority, tmp_path: Path
) -> None:
    trusted = tmp_path / "pbx-ca.pem"
    shutil.copy(authority.file, trusted)
    tls = ClientTls(NAME, trusted)
    context = tls.context
    trusted.write_bytes(b"nobody")

    with pytest.raises(SourceError, match=r"pbx-ca\.pem: must hold certificates, PEM"):
        tls.reload_if_changed()
    is_told_again = tls.reload_if_changed()

    assert tls.context is context
    assert not is_told_again


def test_when_our_certificate_runs_out_is_known(authority: Authority, own: Identity) -> None:
    assert ClientTls(NAME, authority.file).expires is None
    assert ClientTls(NAME, authority.file, own.certificate, own.key).expires is not None


def test_files_of_no_use_are_said_in_words(authority: Authority, own: Identity, tmp_path: Path) -> None:
    absent = tmp_path / "absent.pem"
    other = authority.issue("other", NAME)

    with pytest.raises(SourceError, match=r"absent\.pem: cannot be read"):
        ClientTls(NAME, absent)
    with pytest.raises(SourceError, match=f"{other.key}: must be the key of"):
        ClientTls(NAME, authority.file, own.certificate, other.key)
    with pytest.raises(SourceError, match="belong together"):
        ClientTls(NAME, authority.file, own.certificate)


@pytest.mark.parametrize("name", ["", ".example.com", "pbx\0.example.com", "a" * 64 + ".example.com"])
def test_a_name_that_no_certificate_can_have_is_said_in_words(name: str) -> None:
    with pytest.raises(SourceError, match="name"):
        ClientTls(name)
