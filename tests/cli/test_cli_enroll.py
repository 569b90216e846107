"""``callseal enroll``: a device joins by a request that two people compare, and nothing is written over."""

import base64
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from callseal.seal.enrolment import key_fingerprint, read_request
from callseal.seal.keys import read_certificates, read_signing_key, write_certificates
from support.commands import Commands, Ran
from support.organisation_cli import certify, make_device, make_root, passphrase_in


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    return passphrase_in(tmp_path)


@pytest.fixture
def desk(callseal: Commands, tmp_path: Path) -> Path:
    """Return the folder of a device whose settings commands find."""
    folder = tmp_path / "desk"
    make_device(callseal, folder)
    callseal.use(folder / "callseal.toml")
    return folder


@pytest.fixture
def root(callseal: Commands, tmp_path: Path, passphrase: Path) -> Path:
    return make_root(callseal, tmp_path, passphrase)


def install(callseal: Commands, folder: Path, *more: str) -> Ran:
    return callseal(
        "enroll", "--certificate", folder / "device.pem", "--root", folder / "root.key.pem", *more
    )


def test_a_request_is_written_and_what_to_compare_is_shown(
    callseal: Commands, desk: Path, tmp_path: Path
) -> None:
    ran = callseal("enroll", "-o", tmp_path / "device.csr")

    asked = read_request((tmp_path / "device.csr").read_bytes())
    assert ran.code == 0
    assert asked.site == "bj"
    assert f"device: {asked.device}" in ran.out
    assert f"fingerprint: {key_fingerprint(asked.public_key)}" in ran.out
    assert "keys certify device.csr" in ran.err


def test_a_device_without_a_key_makes_one_for_its_owner_alone(
    callseal: Commands, desk: Path, tmp_path: Path
) -> None:
    (desk / "device.key").unlink()

    ran = callseal("enroll", "-o", tmp_path / "device.csr")

    key = read_signing_key(desk / "device.key").public_key()
    assert ran.code == 0
    assert (desk / "device.key").stat().st_mode & 0o777 == 0o600
    assert read_request((tmp_path / "device.csr").read_bytes()).public_key == key


def test_asking_again_asks_for_the_same_key(callseal: Commands, desk: Path, tmp_path: Path) -> None:
    callseal("enroll", "-o", tmp_path / "device.csr")
    first = (tmp_path / "device.csr").read_bytes()

    ran = callseal("enroll", "-o", tmp_path / "device.csr")

    assert ran.code == 0
    assert f"kept, was there already: {tmp_path / 'device.csr'}" in ran.out
    assert (tmp_path / "device.csr").read_bytes() == first


def test_a_request_is_not_written_over_something_else(callseal: Commands, desk: Path, tmp_path: Path) -> None:
    (tmp_path / "device.csr").write_text("another device's")

    refused = callseal("enroll", "-o", tmp_path / "device.csr")
    kept = (tmp_path / "device.csr").read_text()
    forced = callseal("enroll", "-o", tmp_path / "device.csr", "--force")

    assert (refused.code, kept) == (2, "another device's")
    assert forced.code == 0
    assert read_request((tmp_path / "device.csr").read_bytes()).site == "bj"


def test_the_whole_way_ends_in_a_device_that_is_trusted(
    callseal: Commands, desk: Path, root: Path, tmp_path: Path, passphrase: Path
) -> None:
    asked = callseal("enroll", "-o", tmp_path / "device.csr")
    certified = certify(callseal, tmp_path / "device.csr", root, passphrase, tmp_path / "device.pem")

    ran = install(callseal, tmp_path)

    shown = [line for line in asked.out.splitlines() if line.startswith("fingerprint: ")]
    root_key = read_certificates(tmp_path / "root.key.pem")[0]
    assert shown[0] in certified.out.splitlines()
    assert ran.code == 0, ran.err
    assert read_certificates(desk / "device.pem") == read_certificates(tmp_path / "device.pem")
    assert read_certificates(desk / "trust.pem") == (root_key,)
    assert (desk / "trust.pem").stat().st_mode & 0o777 == 0o644
    assert "fingerprint: " in ran.out
    checked = callseal("config", "check")
    assert "device.pem: dev-" in checked.out
    assert "vouched for until" in checked.out


def test_installing_the_same_again_changes_nothing(
    callseal: Commands, desk: Path, root: Path, tmp_path: Path, passphrase: Path
) -> None:
    certify(callseal, desk / "device.pub", root, passphrase, tmp_path / "device.pem")
    install(callseal, tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in desk.iterdir()}

    ran = install(callseal, tmp_path)

    assert ran.code == 0
    assert ran.out.count("kept, was there already") == 2
    assert {path.name: path.stat().st_mtime_ns for path in desk.iterdir()} == before


def test_a_root_that_is_among_others_already_is_left_among_them(
    callseal: Commands, desk: Path, root: Path, tmp_path: Path, passphrase: Path
) -> None:
    other = make_root(callseal, tmp_path, passphrase, "other.key")
    both = [read_certificates(path.with_name(path.name + ".pem"))[0] for path in (other, root)]
    write_certificates(desk / "trust.pem", both)
    certify(callseal, desk / "device.pub", root, passphrase, tmp_path / "device.pem")

    ran = install(callseal, tmp_path)

    assert ran.code == 0
    assert list(read_certificates(desk / "trust.pem")) == both


@pytest.mark.parametrize("file", ["device.pem", "trust.pem"])
def test_what_is_there_already_is_replaced_only_when_forced(
    callseal: Commands, desk: Path, root: Path, tmp_path: Path, file: str
) -> None:
    passphrase = tmp_path / "passphrase"
    other = make_root(callseal, tmp_path, passphrase, "other.key")
    certify(callseal, desk / "device.pub", other, passphrase, tmp_path / "other.pem")
    theirs = {"device.pem": tmp_path / "other.pem", "trust.pem": tmp_path / "other.key.pem"}[file]
    (desk / file).write_bytes(theirs.read_bytes())
    certify(callseal, desk / "device.pub", root, passphrase, tmp_path / "device.pem")

    refused = install(callseal, tmp_path)
    unchanged = (desk / file).read_bytes() == theirs.read_bytes()
    others = sorted(path.name for path in desk.glob("*.pem"))
    forced = install(callseal, tmp_path, "--force")

    assert refused.code == 2
    assert "--force" in refused.err
    assert unchanged
    assert others == [file]
    assert forced.code == 0
    assert read_certificates(desk / "device.pem") == read_certificates(tmp_path / "device.pem")


def test_another_devices_certificate_is_not_installed(
    callseal: Commands, desk: Path, root: Path, tmp_path: Path, passphrase: Path
) -> None:
    make_device(callseal, tmp_path / "other")
    certify(callseal, tmp_path / "other" / "device.pub", root, passphrase, tmp_path / "device.pem")

    ran = install(callseal, tmp_path)

    assert ran.code == 78
    assert "this device is dev-" in ran.err
    assert not list(desk.glob("*.pem"))


def test_a_certificate_by_another_root_is_not_installed(
    callseal: Commands, desk: Path, root: Path, tmp_path: Path, passphrase: Path
) -> None:
    other = make_root(callseal, tmp_path, passphrase, "other.key")
    certify(callseal, desk / "device.pub", other, passphrase, tmp_path / "device.pem")

    ran = install(callseal, tmp_path)

    assert ran.code == 14
    assert not list(desk.glob("*.pem"))


def test_a_custodians_certificate_is_not_installed_on_a_device(
    callseal: Commands, desk: Path, root: Path, tmp_path: Path, passphrase: Path
) -> None:
    out = tmp_path / "device.pem"
    certify(callseal, desk / "device.pub", root, passphrase, out, "--role", "custodian")

    ran = install(callseal, tmp_path)

    assert ran.code == 14
    assert not list(desk.glob("*.pem"))


@pytest.mark.parametrize(
    "options",
    [
        ["--certificate", "device.pem"],
        ["--root", "root.pem"],
        ["--certificate", "device.pem", "--root", "root.pem", "-o", "device.csr"],
    ],
)
def test_options_that_do_not_go_together_are_told(callseal: Commands, desk: Path, options: list[str]) -> None:
    ran = callseal("enroll", *options)

    assert ran.code == 2
    assert "--certificate" in ran.err


def test_a_root_file_with_several_certificates_is_not_guessed_at(
    callseal: Commands, desk: Path, root: Path, tmp_path: Path, passphrase: Path
) -> None:
    certify(callseal, desk / "device.pub", root, passphrase, tmp_path / "device.pem")
    certificate = tmp_path / "root.key.pem"
    certificate.write_bytes(certificate.read_bytes() * 2)

    ran = install(callseal, tmp_path)

    assert ran.code == 2
    assert "2 certificates" in ran.err


def test_a_key_from_a_systemd_credential_is_the_one_that_is_certified(
    callseal: Commands, desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    make_device(callseal, credentials)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))

    ran = callseal("enroll", "-o", tmp_path / "device.csr")

    key = read_signing_key(credentials / "device.key").public_key()
    assert ran.code == 0
    assert read_request((tmp_path / "device.csr").read_bytes()).public_key == key


def test_an_altered_request_is_not_certified(
    callseal: Commands, desk: Path, root: Path, tmp_path: Path, passphrase: Path
) -> None:
    asked = tmp_path / "device.csr"
    callseal("enroll", "-o", asked)
    der = x509.load_pem_x509_csr(asked.read_bytes()).public_bytes(Encoding.DER)
    text = base64.encodebytes(der.replace(b"bj", b"sh", 1))
    head, tail = b"-----BEGIN CERTIFICATE REQUEST-----\n", b"-----END CERTIFICATE REQUEST-----\n"
    asked.write_bytes(head + text + tail)

    ran = certify(callseal, asked, root, passphrase, tmp_path / "device.pem")

    assert ran.code == 78
    assert f"{asked}: the request was altered" in ran.err
    assert not (tmp_path / "device.pem").exists()
