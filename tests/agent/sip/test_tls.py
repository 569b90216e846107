"""The recorder's certificate and what it reads in those of others."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.errors import SourceError
from callseal.agent.sip.tls import MAX_NAMES, ServerTls, peer_names
from support.sip_certificates import Authority, Identity


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def own(authority: Authority, tmp_path: Path) -> Identity:
    """Give a certificate whose files the test may change."""
    issued = authority.issue("own", "127.0.0.1")
    own = Identity(tmp_path / "own.pem", tmp_path / "own.key")
    own.certificate.write_bytes(issued.certificate.read_bytes())
    own.key.write_bytes(issued.key.read_bytes())
    return own


def der(identity: Identity) -> bytes:
    return x509.load_pem_x509_certificate(identity.certificate.read_bytes()).public_bytes(Encoding.DER)


def test_files_that_stay_are_read_once(own: Identity) -> None:
    tls = ServerTls(own.certificate, own.key)
    context = tls.context

    has_changed = tls.reload_if_changed()

    assert not has_changed
    assert tls.context is context


def test_a_renewed_certificate_is_taken(own: Identity, authority: Authority) -> None:
    tls = ServerTls(own.certificate, own.key)
    context = tls.context
    own.replace_by(authority.issue("renewed", "127.0.0.1"))

    has_changed = tls.reload_if_changed()

    assert has_changed
    assert tls.context is not context


def test_it_is_known_when_the_certificate_runs_out(own: Identity) -> None:
    tls = ServerTls(own.certificate, own.key)

    left = tls.expires - dt.datetime.now(dt.UTC)

    assert dt.timedelta(hours=23) < left < dt.timedelta(hours=25)


@pytest.mark.parametrize("broken", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_broken_new_certificate_changes_nothing_and_is_told_once(own: Identity, broken: bytes) -> None:
    tls = ServerTls(own.certificate, own.key)
    context = tls.context
    own.certificate.write_bytes(broken)

    with pytest.raises(SourceError, match=str(own.certificate)):
        tls.reload_if_changed()
    is_told_again = tls.reload_if_changed()

    assert tls.context is context
    assert not is_told_again


def test_a_key_that_comes_after_its_certificate_is_taken_when_it_comes(
    own: Identity, authority: Authority
) -> None:
    tls = ServerTls(own.certificate, own.key)
    renewed = authority.issue("renewed", "127.0.0.1")
    own.certificate.write_bytes(renewed.certificate.read_bytes())
    with pytest.raises(SourceError, match=str(own.key)):
        tls.reload_if_changed()
    own.key.write_bytes(renewed.key.read_bytes())

    has_changed = tls.reload_if_changed()

    assert has_changed


def test_files_that_vanish_are_told_and_taken_when_they_are_back(own: Identity) -> None:
    tls = ServerTls(own.certificate, own.key)
    away = own.key.with_suffix(".away")
    own.key.rename(away)
    with pytest.raises(SourceError, match="cannot be read"):
        tls.reload_if_changed()
    away.rename(own.key)

    has_changed = tls.reload_if_changed()

    assert has_changed


def test_a_changed_list_of_authorities_is_taken(own: Identity, authority: Authority, tmp_path: Path) -> None:
    authorities = tmp_path / "peers.pem"
    authorities.write_bytes(authority.file.read_bytes())
    tls = ServerTls(own.certificate, own.key, authorities)
    authorities.write_bytes(Authority(tmp_path / "other").file.read_bytes())

    has_changed = tls.reload_if_changed()

    assert has_changed
    assert len(tls.context.get_ca_certs()) == 1, "who was taken off the list must not stay on it"


def test_a_key_of_another_certificate_is_refused_in_words(own: Identity, authority: Authority) -> None:
    other = authority.issue("other", "127.0.0.1")

    with pytest.raises(SourceError, match=f"{other.key}: must be the key of"):
        ServerTls(own.certificate, other.key)


def test_a_key_with_a_passphrase_is_refused_instead_of_asked_for(authority: Authority) -> None:
    locked = authority.issue("locked", "127.0.0.1", is_locked=True)

    with pytest.raises(SourceError, match="PEM without a passphrase"):
        ServerTls(locked.certificate, locked.key)


@pytest.mark.parametrize("content", [b"", b"nobody"])
def test_an_empty_list_of_authorities_is_refused(own: Identity, tmp_path: Path, content: bytes) -> None:
    authorities = tmp_path / "peers.pem"
    authorities.write_bytes(content)

    with pytest.raises(SourceError, match=r"peers\.pem: must hold certificates"):
        ServerTls(own.certificate, own.key, authorities)


def test_a_missing_file_is_named(own: Identity) -> None:
    with pytest.raises(SourceError, match=r"absent\.pem: cannot be read"):
        ServerTls(own.certificate.with_name("absent.pem"), own.key)


def test_a_key_in_the_place_of_the_certificate_does_not_get_into_words(own: Identity) -> None:
    with pytest.raises(SourceError) as refused:
        ServerTls(own.key, own.key)

    assert "PRIVATE" not in str(refused.value)


def test_the_names_of_a_certificate_are_its_alternative_names(authority: Authority) -> None:
    certificate = der(authority.issue("cn.example.com", "sbc.example.com", "192.0.2.9", "sip:example.com"))

    names = peer_names(certificate)

    assert names == ("sbc.example.com", "192.0.2.9", "sip:example.com")


def test_a_uri_of_a_person_names_no_host(authority: Authority) -> None:
    certificate = der(authority.issue("person", "sip:alice@example.com"))

    names = peer_names(certificate)

    assert names == ()


def test_a_certificate_without_alternative_names_names_nobody(authority: Authority) -> None:
    certificate = der(authority.issue("cn.example.com"))

    names = peer_names(certificate)

    assert names == ()


def test_of_a_certificate_with_endless_names_only_the_first_are_looked_at(authority: Authority) -> None:
    certificate = der(authority.issue("many", *(f"host-{number}.example.com" for number in range(1000))))

    names = peer_names(certificate)

    assert len(names) == MAX_NAMES


def test_no_certificate_names_nobody() -> None:
    names = peer_names(None)

    assert names == ()


@given(junk=st.binary(max_size=200))
def test_bytes_that_are_no_certificate_name_nobody(junk: bytes) -> None:
    names = peer_names(junk)

    assert names == ()


@pytest.fixture(scope="module")
def sample(authority: Authority) -> bytes:
    return der(authority.issue("sample", "sbc.example.com", "192.0.2.9", "sip:example.com"))


# A serial number that a flipped bit made negative is worth a warning to the library, and nothing to us.
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(where=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
def test_a_damaged_certificate_is_read_without_an_error(sample: bytes, where: int, bit: int) -> None:
    damaged = bytearray(sample)
    damaged[where % len(damaged)] ^= 1 << bit

    names = peer_names(bytes(damaged))

    assert len(names) <= 3
