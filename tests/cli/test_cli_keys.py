"""``callseal keys`` makes keys that work, guards their secrets, and never writes over one."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from callseal.seal.age import parse_recipient
from callseal.seal.enrolment import key_fingerprint
from callseal.seal.keyfile import read_identities
from callseal.seal.keys import (
    Role,
    TrustStore,
    chain_der,
    device_id,
    generate_signing_key,
    read_certificates,
    read_signing_key,
    write_signing_key,
)
from callseal.seal.secret import Secret
from support.age_peers import need
from support.bundle import PASSPHRASE, Archive
from support.commands import Commands
from support.organisation_cli import certify, make_root, passphrase_in

SECRET_WORDS = ("AGE-SECRET-KEY", "PRIVATE KEY")


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    return passphrase_in(tmp_path)


def test_a_new_key_is_post_quantum_and_locked(callseal: Commands, tmp_path: Path, passphrase: Path) -> None:
    ran = callseal("keys", "new", "-o", tmp_path / "k", "--passphrase-file", passphrase)

    (identity,) = read_identities(tmp_path / "k", passphrase=lambda: Secret(PASSPHRASE))
    assert ran.code == 0
    assert ran.out == identity.recipient.text + "\n"
    assert ran.out.startswith("age1pq1")
    assert "age 1.3" in ran.err
    assert "Debian 12" in ran.err
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    assert b"AGE-SECRET-KEY" not in (tmp_path / "k").read_bytes()


def test_what_is_printed_is_the_recipient_line_that_belongs_into_the_recipients_file(
    callseal: Commands, tmp_path: Path
) -> None:
    ran = callseal("keys", "new", "-o", tmp_path / "k", "--classic", "--no-passphrase")

    assert parse_recipient(ran.out.strip()).text == ran.out.strip()
    assert not any(words in ran.out + ran.err for words in SECRET_WORDS)


@pytest.mark.integration
def test_stock_age_seals_to_a_classic_key_and_opens_with_its_file(callseal: Commands, tmp_path: Path) -> None:
    age = need("age", "apt-get install age")
    ran = callseal("keys", "new", "-o", tmp_path / "k", "--classic", "--no-passphrase")

    sealed = subprocess.run([age, "-r", ran.out.strip()], input=b"hello", capture_output=True, check=True)
    opened = subprocess.run(
        [age, "-d", "-i", tmp_path / "k"], input=sealed.stdout, capture_output=True, check=True
    )

    assert opened.stdout == b"hello"


def test_a_key_left_open_is_a_warning(callseal: Commands, tmp_path: Path) -> None:
    ran = callseal("keys", "new", "-o", tmp_path / "k", "--classic", "--no-passphrase")

    assert ran.code == 0
    assert "WARNING" in ran.err


def test_a_new_key_asks_twice_on_the_terminal(callseal: Commands, tmp_path: Path) -> None:
    ran = callseal.at_terminal(PASSPHRASE, "keys", "new", "-o", tmp_path / "k", "--classic")

    assert ran.code == 0
    assert "at least 12 characters" in ran.out
    assert "The same passphrase again" in ran.out
    assert PASSPHRASE not in ran.out
    assert len(read_identities(tmp_path / "k", passphrase=lambda: Secret(PASSPHRASE))) == 1


@pytest.mark.parametrize("text", ["short\n", "elevenchars\n", "\n", ""])
def test_a_passphrase_that_is_too_short_makes_no_key(
    callseal: Commands, tmp_path: Path, passphrase: Path, text: str
) -> None:
    passphrase.write_text(text)

    ran = callseal("keys", "new", "-o", tmp_path / "k", "--passphrase-file", passphrase)

    assert (ran.code, ran.out) == (2, "")
    assert not (tmp_path / "k").exists()


def test_without_a_terminal_a_passphrase_file_is_asked_for(callseal: Commands, tmp_path: Path) -> None:
    ran = callseal.detached("keys", "new", "-o", tmp_path / "k")

    assert ran.code == 2
    assert "--passphrase-file" in ran.err
    assert not (tmp_path / "k").exists()


def test_a_passphrase_file_that_others_may_read_is_a_warning(
    callseal: Commands, tmp_path: Path, passphrase: Path
) -> None:
    passphrase.chmod(0o644)

    ran = callseal("keys", "new", "-o", tmp_path / "k", "--classic", "--passphrase-file", passphrase)

    assert ran.code == 0
    assert "make it 600" in ran.err


@pytest.mark.parametrize("kind", [["--classic"], ["--signing", "--organisation", "X"]])
def test_a_key_is_never_written_over(
    callseal: Commands, tmp_path: Path, passphrase: Path, kind: list[str]
) -> None:
    (tmp_path / "k").write_text("precious")

    ran = callseal("keys", "new", "-o", tmp_path / "k", "--passphrase-file", passphrase, *kind)

    assert ran.code == 2
    assert "never overwritten" in ran.err
    assert (tmp_path / "k").read_text() == "precious"


@pytest.mark.parametrize(
    "options",
    [
        ["--signing"],
        ["--signing", "--organisation", "X", "--classic"],
        ["--signing", "--organisation", "X", "--no-passphrase"],
        ["--organisation", "X"],
        ["--no-passphrase", "--passphrase-file", "p"],
    ],
)
def test_options_that_do_not_go_together_are_refused(
    callseal: Commands, tmp_path: Path, options: list[str]
) -> None:
    ran = callseal("keys", "new", "-o", tmp_path / "k", *options)

    assert ran.code == 2
    assert not (tmp_path / "k").exists()


# --- the organisation's root ------------------------------------------------------------------------


def test_a_root_certifies_a_device_by_its_public_half(
    callseal: Commands, tmp_path: Path, passphrase: Path
) -> None:
    root = make_root(callseal, tmp_path, passphrase)
    device = tmp_path / "device"
    callseal("init", "--dir", device, "--site", "bj", "--pbx", "sip:pbx.example")

    ran = callseal(
        "keys",
        "certify",
        device / "device.pub",
        "--root",
        root,
        "-o",
        device / "device.pem",
        "--passphrase-file",
        passphrase,
    )

    name = device_id(read_signing_key(device / "device.key").public_key())
    trust = TrustStore(read_certificates(tmp_path / "root.key.pem"))
    chain = chain_der(read_certificates(device / "device.pem"))
    assert ran.code == 0
    assert name in ran.out
    assert trust.check(chain, at=datetime.now(UTC), role=Role.DEVICE).device_id == name


def test_a_root_is_locked_and_readable_by_its_owner_alone(
    callseal: Commands, tmp_path: Path, passphrase: Path
) -> None:
    root = make_root(callseal, tmp_path, passphrase)

    assert root.stat().st_mode & 0o777 == 0o600
    assert root.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")


def test_a_role_can_be_chosen(callseal: Commands, tmp_path: Path, passphrase: Path) -> None:
    root = make_root(callseal, tmp_path, passphrase)
    write_signing_key(tmp_path / "c.key", generate_signing_key())

    ran = callseal(
        "keys",
        "certify",
        tmp_path / "c.key",
        "--root",
        root,
        "--role",
        "custodian",
        "-o",
        tmp_path / "c.pem",
        "--passphrase-file",
        passphrase,
    )

    trust = TrustStore(read_certificates(tmp_path / "root.key.pem"))
    chain = chain_der(read_certificates(tmp_path / "c.pem"))
    assert ran.code == 0
    assert trust.check(chain, at=datetime.now(UTC), role=Role.CUSTODIAN).role is Role.CUSTODIAN


def test_a_root_certifies_a_request_and_shows_what_to_compare(
    callseal: Commands, tmp_path: Path, passphrase: Path
) -> None:
    root = make_root(callseal, tmp_path, passphrase)
    callseal("init", "--dir", tmp_path, "--site", "bj", "--pbx", "sip:pbx.example")
    callseal("enroll", "--config", tmp_path / "callseal.toml", "-o", tmp_path / "device.csr")

    ran = certify(callseal, tmp_path / "device.csr", root, passphrase, tmp_path / "device.pem")

    key = read_signing_key(tmp_path / "device.key").public_key()
    assert ran.code == 0
    assert read_certificates(tmp_path / "device.pem")[0].public_key() == key
    assert f"fingerprint: {key_fingerprint(key)}" in ran.out.splitlines()


def test_a_new_root_shows_the_fingerprint_that_devices_will_compare(
    callseal: Commands, tmp_path: Path, passphrase: Path
) -> None:
    options = ("--signing", "--organisation", "X", "--passphrase-file", passphrase)

    ran = callseal("keys", "new", *options, "-o", tmp_path / "root.key")

    shown = callseal("keys", "show", tmp_path / "root.key.pem")
    (line,) = [line for line in ran.err.splitlines() if line.startswith("fingerprint: ")]
    assert line.removeprefix("fingerprint: ") in shown.out


def test_a_wrong_passphrase_certifies_nothing(callseal: Commands, tmp_path: Path, passphrase: Path) -> None:
    root = make_root(callseal, tmp_path, passphrase)
    write_signing_key(tmp_path / "d.key", generate_signing_key())
    passphrase.write_text("another passphrase\n")

    ran = callseal(
        "keys",
        "certify",
        tmp_path / "d.key",
        "--root",
        root,
        "-o",
        tmp_path / "d.pem",
        "--passphrase-file",
        passphrase,
    )

    assert ran.code == 11
    assert not (tmp_path / "d.pem").exists()


# --- show -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("recipients.txt", "recipients"),
        ("reader.key", "identities"),
        ("reader-locked.key", "identities"),
        ("device.key", "signing-key"),
        ("device.pem", "certificates"),
        ("trust.pem", "certificates"),
    ],
)
def test_every_kind_of_key_file_is_told_without_its_secret(
    callseal: Commands, whole_archive: Archive, name: str, kind: str
) -> None:
    office = whole_archive.office
    arguments = ("keys", "show", office.root / name, "--passphrase-file", office.passphrase_file)

    shown = callseal(*arguments)
    document = json.loads(callseal(*arguments, "--json").out)

    assert shown.code == 0
    assert not any(words in shown.out + json.dumps(document) for words in SECRET_WORDS)
    assert list(document) == ["type", "file", "kind", "keys"]
    assert (document["type"], document["kind"]) == ("callseal-keys/1", kind)
    for key in document["keys"]:
        for value in key.values():
            assert value in shown.out


def test_a_private_key_shows_its_recipient_and_fingerprint(
    callseal: Commands, whole_archive: Archive
) -> None:
    office = whole_archive.office

    ran = callseal("keys", "show", office.key_file)

    assert office.reader.recipient.text in ran.out
    assert "sha256:" in ran.out


def test_a_device_shows_the_same_id_by_key_request_and_public_half(
    callseal: Commands, tmp_path: Path
) -> None:
    callseal("init", "--dir", tmp_path, "--site", "bj", "--pbx", "sip:pbx.example")
    callseal("enroll", "--config", tmp_path / "callseal.toml", "-o", tmp_path / "device.csr")
    key = read_signing_key(tmp_path / "device.key").public_key()
    files = ("device.key", "device.pub", "device.csr")

    shown = [callseal("keys", "show", tmp_path / file).out for file in files]

    assert all(device_id(key) in one and key_fingerprint(key) in one for one in shown)


def test_a_request_shows_the_site_that_it_asks_for(callseal: Commands, tmp_path: Path) -> None:
    callseal("init", "--dir", tmp_path, "--site", "bj", "--pbx", "sip:pbx.example")
    callseal("enroll", "--config", tmp_path / "callseal.toml", "-o", tmp_path / "device.csr")

    document = json.loads(callseal("keys", "show", tmp_path / "device.csr", "--json").out)

    assert document["kind"] == "request"
    assert list(document["keys"][0]) == ["device", "fingerprint", "site"]
    assert document["keys"][0]["site"] == "bj"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello\n",
        b"\xff\xfe\x00",
        b"-----BEGIN PUBLIC KEY-----\n",
        b"-----BEGIN CERTIFICATE REQUEST-----\n",
        b"-----BEGIN X509 CRL-----\n",
    ],
)
def test_what_is_no_key_file_is_refused(callseal: Commands, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "k").write_bytes(data)

    ran = callseal("keys", "show", tmp_path / "k")

    assert (ran.code, ran.out) == (78, "")
    assert str(tmp_path / "k") in ran.err


def test_a_key_file_that_is_not_there_is_said_so(callseal: Commands, tmp_path: Path) -> None:
    ran = callseal("keys", "show", tmp_path / "k")

    assert ran.code == 2
    assert "No such file" in ran.err
