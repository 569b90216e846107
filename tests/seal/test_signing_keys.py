"""Signing keys, certificates and trust: who is believed, and why everybody else is not."""

import stat
import subprocess
from collections.abc import Callable
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

from callseal.seal.errors import KeyFileError, UntrustedSigner, WrongPassphrase
from callseal.seal.keys import (
    Role,
    TrustStore,
    certify,
    chain_der,
    create_root,
    device_id,
    generate_signing_key,
    leaf_public_key,
    read_certificates,
    read_signing_key,
    self_signed,
    write_certificates,
    write_signing_key,
)
from callseal.seal.secret import Secret
from support.age_peers import need

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ROOT_KEY, ROOT = create_root("Example Insurance", now=NOW, years=20)
OTHER_KEY, OTHER_ROOT = create_root("Example Insurance", now=NOW, years=20)
DEVICE_KEY = generate_signing_key()
LEAF = certify(ROOT_KEY, ROOT, DEVICE_KEY.public_key(), role=Role.DEVICE, now=NOW, years=2)
CHAIN = chain_der([LEAF])


def same_key(left: Ed25519PrivateKey, right: Ed25519PrivateKey) -> bool:
    return left.private_bytes_raw() == right.private_bytes_raw()


def check(chain: tuple[bytes, ...], *, trust: TrustStore | None = None, at: datetime = NOW) -> str:
    return (trust or TrustStore([ROOT])).check(chain, at=at, role=Role.DEVICE).device_id


def handmade(change: Callable[[x509.CertificateBuilder], x509.CertificateBuilder]) -> tuple[bytes, ...]:
    """Make a certificate that the true root signed, and that lacks or says what `change` made of it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device_id(DEVICE_KEY.public_key()))])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(ROOT.subject)
        .public_key(DEVICE_KEY.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    return chain_der([change(builder).sign(ROOT_KEY, None)])


def test_a_key_without_a_passphrase_comes_back_and_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "device.key"

    write_signing_key(path, DEVICE_KEY)

    assert same_key(read_signing_key(path), DEVICE_KEY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_with_a_passphrase_opens_with_it_only(tmp_path: Path) -> None:
    path = tmp_path / "root.key"

    write_signing_key(path, ROOT_KEY, Secret("合同 correct horse"))

    assert same_key(read_signing_key(path, Secret("合同 correct horse")), ROOT_KEY)
    with pytest.raises(WrongPassphrase):
        read_signing_key(path, Secret("wrong"))
    with pytest.raises(WrongPassphrase, match="passphrase"):
        read_signing_key(path)


def test_a_key_with_a_passphrase_opens_with_openssl_too(tmp_path: Path) -> None:
    path = tmp_path / "root.key"

    write_signing_key(path, ROOT_KEY, Secret("correct horse"))

    openssl = need("openssl", "apt-get install openssl")
    options = ["-passin", "pass:correct horse", "-outform", "DER", "-pubout"]
    done = subprocess.run([openssl, "pkey", "-in", path, *options], capture_output=True, check=True)
    expected = ROOT_KEY.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert done.stdout == expected


def test_a_passphrase_is_stretched_as_long_as_is_recommended(tmp_path: Path) -> None:
    path = tmp_path / "root.key"

    write_signing_key(path, ROOT_KEY, Secret("correct horse"))

    openssl = need("openssl", "apt-get install openssl")
    done = subprocess.run([openssl, "asn1parse", "-in", path], capture_output=True, check=True, text=True)
    assert f"INTEGER           :{600_000:06X}" in done.stdout


def test_a_key_is_never_written_over_another(tmp_path: Path) -> None:
    path = tmp_path / "device.key"
    write_signing_key(path, DEVICE_KEY)

    with pytest.raises(KeyFileError, match="already there"):
        write_signing_key(path, ROOT_KEY)

    assert same_key(read_signing_key(path), DEVICE_KEY)


def test_a_key_that_is_not_ed25519_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.key"
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )

    with pytest.raises(KeyFileError, match="Ed25519"):
        read_signing_key(path)


@pytest.mark.parametrize("data", [b"", b"hello", b"-----BEGIN PRIVATE KEY-----\n", b"x" * 100_000])
def test_a_file_that_holds_no_key_is_refused_with_its_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "device.key"
    path.write_bytes(data)

    with pytest.raises(KeyFileError, match=r"device\.key"):
        read_signing_key(path)


def test_a_key_file_that_is_not_there_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"device\.key"):
        read_signing_key(tmp_path / "device.key")


def test_a_device_id_is_the_start_of_the_hash_of_its_public_key() -> None:
    # RFC 8032, section 7.1, test 1; the id by: xxd -r -p | sha256sum | xxd -r -p | base32
    key = Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )

    assert device_id(key.public_key()) == "dev-eh7ddx5bksrg"


def test_a_certified_device_is_believed_for_as_long_as_its_certificate_holds() -> None:
    expected = device_id(DEVICE_KEY.public_key())

    assert check(CHAIN) == expected
    assert check(CHAIN, at=NOW + timedelta(days=729)) == expected
    assert leaf_public_key(CHAIN) == DEVICE_KEY.public_key()


def test_a_clock_a_little_behind_is_forgiven() -> None:
    assert check(CHAIN, at=NOW - timedelta(minutes=4))


@pytest.mark.parametrize("at", [NOW - timedelta(hours=1), NOW + timedelta(days=732)])
def test_outside_its_time_a_certificate_counts_for_nothing(at: datetime) -> None:
    with pytest.raises(UntrustedSigner, match="does not hold at"):
        check(CHAIN, at=at)


def test_a_certificate_does_not_outlive_its_root() -> None:
    key, root = create_root("Short", now=NOW, years=1)
    leaf = certify(key, root, DEVICE_KEY.public_key(), role=Role.DEVICE, now=NOW, years=5)

    with pytest.raises(UntrustedSigner, match="root's certificate does not hold"):
        check(chain_der([leaf]), trust=TrustStore([root]), at=NOW + timedelta(days=400))


def test_without_a_root_nobody_is_believed() -> None:
    with pytest.raises(UntrustedSigner, match="no trusted root is known"):
        check(CHAIN, trust=TrustStore())


def test_another_root_of_the_same_name_vouches_for_nobody_here() -> None:
    with pytest.raises(UntrustedSigner, match="no trusted root issued"):
        check(CHAIN, trust=TrustStore([OTHER_ROOT]))


def test_one_of_several_roots_is_enough() -> None:
    assert check(CHAIN, trust=TrustStore([OTHER_ROOT, ROOT]))


def test_a_device_can_not_vouch_for_itself() -> None:
    leaf = self_signed(DEVICE_KEY, role=Role.DEVICE, now=NOW, years=2)

    with pytest.raises(UntrustedSigner, match="no trusted root issued"):
        check(chain_der([leaf]))


def test_a_device_can_not_vouch_for_another_key() -> None:
    key = generate_signing_key()
    leaf = certify(ROOT_KEY, ROOT, key.public_key(), role=Role.DEVICE, now=NOW, years=2)
    name = leaf.subject
    forged = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(DEVICE_KEY.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, None)
    )

    with pytest.raises(UntrustedSigner, match="no trusted root issued"):
        check(chain_der([forged, leaf, ROOT]))


def test_a_custodian_is_no_device() -> None:
    leaf = certify(ROOT_KEY, ROOT, DEVICE_KEY.public_key(), role=Role.CUSTODIAN, now=NOW, years=2)
    chain = chain_der([leaf])

    with pytest.raises(UntrustedSigner, match="role of device"):
        check(chain)
    assert TrustStore([ROOT]).check(chain, at=NOW, role=Role.CUSTODIAN).role is Role.CUSTODIAN


def test_the_root_itself_signs_no_recordings() -> None:
    with pytest.raises(UntrustedSigner, match="lacks"):
        check(chain_der([ROOT]))


def test_a_certificate_without_what_a_signers_must_say_is_not_enough() -> None:
    with pytest.raises(UntrustedSigner, match="lacks"):
        check(handmade(lambda builder: builder))


def _extended(builder: x509.CertificateBuilder, role: str) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    names = [x509.UniformResourceIdentifier(role)]
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )


def test_a_certificate_that_says_all_that_it_must_is_enough_whoever_wrote_it() -> None:
    assert check(handmade(lambda builder: _extended(builder, "urn:callseal:role:device")))


def test_a_critical_extension_that_nobody_here_knows_is_not_passed_over() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")

    chain = handmade(
        lambda builder: _extended(builder, "urn:callseal:role:device").add_extension(unknown, critical=True)
    )

    with pytest.raises(UntrustedSigner, match="critical extension"):
        check(chain)


def test_a_certificate_issued_for_another_device_is_not_enough() -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dev-aaaaaaaaaaaa")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(ROOT.subject)
        .public_key(DEVICE_KEY.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    leaf = _extended(builder, "urn:callseal:role:device").sign(ROOT_KEY, None)

    with pytest.raises(UntrustedSigner, match="another device"):
        check(chain_der([leaf]))


def test_a_key_of_another_kind_is_not_believed_even_if_the_root_signed_it() -> None:
    builder = (
        x509.CertificateBuilder()
        .subject_name(ROOT.subject)
        .issuer_name(ROOT.subject)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )

    with pytest.raises(UntrustedSigner, match="not Ed25519"):
        check(chain_der([builder.sign(ROOT_KEY, None)]))


@pytest.mark.parametrize(
    "chain", [(), (b"",), (b"\x30",), CHAIN * 5, (CHAIN[0] + b"\x00",), (b"\x30" * 9000,)]
)
def test_a_malformed_chain_is_not_believed(chain: tuple[bytes, ...]) -> None:
    with pytest.raises(UntrustedSigner):
        check(chain)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # of the library, on the way to our refusal
def test_a_certificate_with_any_bit_changed_is_not_believed() -> None:
    for place in range(len(CHAIN[0]) * 8):
        data = bytearray(CHAIN[0])
        data[place // 8] ^= 1 << place % 8

        with pytest.raises(UntrustedSigner):
            check((bytes(data),))


@given(st.binary(max_size=300))
def test_any_bytes_as_a_certificate_raise_only_that_nobody_is_trusted(data: bytes) -> None:
    with pytest.raises(UntrustedSigner):
        check((data,))


def test_a_root_certifies_with_its_own_key_only() -> None:
    with pytest.raises(KeyFileError, match="do not belong together"):
        certify(OTHER_KEY, ROOT, DEVICE_KEY.public_key(), role=Role.DEVICE, now=NOW, years=2)


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_an_organisation_needs_a_name_that_a_certificate_can_carry(name: str) -> None:
    with pytest.raises(KeyFileError, match="name"):
        create_root(name, now=NOW, years=20)


def test_roots_are_read_from_a_file_of_several(tmp_path: Path) -> None:
    path = tmp_path / "roots.pem"
    write_certificates(path, [OTHER_ROOT, ROOT])

    trust = TrustStore.from_file(path)

    assert trust.roots == (OTHER_ROOT, ROOT)
    assert read_certificates(path) == (OTHER_ROOT, ROOT)


def test_a_file_of_roots_that_is_not_there_means_that_nobody_is_trusted(tmp_path: Path) -> None:
    assert TrustStore.from_file(tmp_path / "roots.pem").roots == ()


def test_a_file_of_roots_that_holds_none_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "roots.pem"
    path.write_bytes(b"nothing")

    with pytest.raises(KeyFileError, match=r"roots\.pem"):
        TrustStore.from_file(path)


def test_a_devices_certificate_is_no_root(tmp_path: Path) -> None:
    path = tmp_path / "roots.pem"
    write_certificates(path, [LEAF])

    with pytest.raises(KeyFileError, match=r"roots\.pem.*not a root"):
        TrustStore.from_file(path)


def test_a_root_of_another_kind_of_key_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Foreign")])
    root = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )

    with pytest.raises(KeyFileError, match="Ed25519"):
        TrustStore([root])
