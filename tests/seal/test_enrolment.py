"""Enrolment: a request proves its key, two people can compare it, and only the right certificate fits."""

import base64
import hashlib
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.enrolment import (
    MAX_REQUEST_BYTES,
    check_certificate,
    key_fingerprint,
    read_request,
    request,
)
from callseal.seal.errors import KeyFileError, UntrustedSigner
from callseal.seal.keys import Role, certify, create_root, device_id, generate_signing_key
from support.age_peers import need

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
KEY, OTHER_KEY = generate_signing_key(), generate_signing_key()
ROOT_KEY, ROOT = create_root("Example Insurance", now=NOW, years=20)
_OTHER_ROOT_KEY, OTHER_ROOT = create_root("Example Insurance", now=NOW, years=20)
REQUEST = request(KEY, site="bj")
BEGIN, END = b"-----BEGIN CERTIFICATE REQUEST-----\n", b"-----END CERTIFICATE REQUEST-----\n"


def certificate(key: Ed25519PrivateKey = KEY, *, role: Role = Role.DEVICE) -> x509.Certificate:
    return certify(ROOT_KEY, ROOT, key.public_key(), role=role, now=NOW, years=2)


def named(common_name: str, key: Ed25519PrivateKey = KEY) -> bytes:
    """Return a request of `key` under any name."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, None)
    return made.public_bytes(serialization.Encoding.PEM)


def der(data: bytes) -> bytes:
    return x509.load_pem_x509_csr(data).public_bytes(serialization.Encoding.DER)


def test_a_request_brings_key_device_and_site() -> None:
    found = read_request(REQUEST)

    assert found.public_key == KEY.public_key()
    assert found.device == device_id(KEY.public_key())
    assert found.site == "bj"


def test_the_same_device_makes_the_same_request_again() -> None:
    assert request(KEY, site="bj") == REQUEST


def test_a_request_holds_nothing_private() -> None:
    secret = KEY.private_bytes_raw()

    assert secret not in der(REQUEST)
    assert b"PRIVATE" not in REQUEST


@pytest.mark.parametrize("site", ["", "x" * 200])
def test_a_site_that_no_request_can_carry_is_refused(site: str) -> None:
    with pytest.raises(KeyFileError, match="can't carry"):
        request(KEY, site=site)


def test_a_request_for_a_key_that_its_sender_does_not_hold_is_refused() -> None:
    """Else anybody could have another's key certified under a name of his choice."""
    theirs = KEY.public_key().public_bytes_raw()
    mine = OTHER_KEY.public_key().public_bytes_raw()
    swapped = der(named(device_id(KEY.public_key()), OTHER_KEY)).replace(mine, theirs)

    with pytest.raises(KeyFileError, match="does not hold the key"):
        read_request(BEGIN + base64.encodebytes(swapped) + END)


def test_a_request_under_another_devices_name_is_refused() -> None:
    with pytest.raises(KeyFileError, match="not a device's"):
        read_request(named(device_id(OTHER_KEY.public_key())))


def test_a_key_that_is_not_ed25519_is_refused() -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dev-aaaaaaaaaaaa")])
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())

    with pytest.raises(KeyFileError, match="not Ed25519"):
        read_request(made.public_bytes(serialization.Encoding.PEM))


def test_a_request_that_is_too_long_is_refused_unread() -> None:
    with pytest.raises(KeyFileError, match="at most"):
        read_request(REQUEST + b"\n" * MAX_REQUEST_BYTES)


@given(data=st.binary(max_size=8), position=st.integers(0, 300), framed=st.booleans())
def test_any_bytes_at_all_are_this_request_or_a_key_file_error(
    data: bytes, position: int, *, framed: bool
) -> None:
    whole = der(REQUEST)
    altered = whole[:position] + data + whole[position + len(data) :]
    text = BEGIN + base64.encodebytes(altered) + END if framed else data

    try:
        found = read_request(text)
    except KeyFileError:
        return

    assert found.device == device_id(KEY.public_key())


@pytest.mark.integration
def test_openssl_reads_a_request_and_its_proof(tmp_path: Path) -> None:
    openssl = need("openssl", "apt-get install openssl")
    (tmp_path / "device.csr").write_bytes(REQUEST)

    shown = subprocess.run(
        [openssl, "req", "-in", tmp_path / "device.csr", "-verify", "-noout", "-subject"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "verify OK" in shown.stdout + shown.stderr
    assert device_id(KEY.public_key()) in shown.stdout


def test_a_fingerprint_is_read_out_in_sixteen_groups_of_four() -> None:
    groups = key_fingerprint(KEY.public_key()).split(" ")

    assert [len(group) for group in groups] == [4] * 16
    assert "".join(groups) == hashlib.sha256(KEY.public_key().public_bytes_raw()).hexdigest()


def test_a_certificate_for_this_device_fits() -> None:
    signer = check_certificate(certificate(), ROOT, KEY.public_key(), now=NOW)

    assert signer.device_id == device_id(KEY.public_key())


def test_another_devices_certificate_does_not_fit() -> None:
    with pytest.raises(KeyFileError, match="this device is"):
        check_certificate(certificate(OTHER_KEY), ROOT, KEY.public_key(), now=NOW)


def test_a_root_that_is_none_does_not_count() -> None:
    with pytest.raises(KeyFileError, match="not a root"):
        check_certificate(certificate(), certificate(OTHER_KEY), KEY.public_key(), now=NOW)


def test_another_roots_certificate_does_not_fit() -> None:
    with pytest.raises(UntrustedSigner, match="no trusted root"):
        check_certificate(certificate(), OTHER_ROOT, KEY.public_key(), now=NOW)


def test_a_certificate_for_another_role_does_not_fit() -> None:
    with pytest.raises(UntrustedSigner, match="role"):
        check_certificate(certificate(role=Role.CUSTODIAN), ROOT, KEY.public_key(), now=NOW)


@pytest.mark.parametrize("days", [-1, 800])
def test_a_certificate_that_does_not_hold_now_does_not_fit(days: int) -> None:
    with pytest.raises(UntrustedSigner, match="does not hold"):
        check_certificate(certificate(), ROOT, KEY.public_key(), now=NOW + timedelta(days=days))
