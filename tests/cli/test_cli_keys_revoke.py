"""``callseal keys revoke`` takes back what was vouched for, forgets nothing, and is heard by who verifies."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from callseal.seal.keys import (
    Role,
    certify,
    create_root,
    generate_signing_key,
    read_certificates,
    write_certificates,
    write_signing_key,
)
from callseal.seal.revocation import Revocations, number_of
from support.age_peers import need
from support.bundle import Archive, upload
from support.commands import Commands, Ran
from support.organisation_cli import make_root, passphrase_in

NOW = datetime.now(UTC)
STOLEN = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)


class Root:
    """A root without a passphrase, which tests need not type, and the list that it keeps."""

    def __init__(self, folder: Path, callseal: Commands) -> None:
        self._folder = folder
        self._callseal = callseal
        self.key, self.certificate = create_root("Example Insurance", now=NOW, years=20)
        write_signing_key(folder / "root.key", self.key)
        write_certificates(folder / "root.key.pem", [self.certificate])
        self.list = folder / "revoked.pem"

    def device(self, name: str) -> Path:
        public_key = generate_signing_key().public_key()
        made = certify(self.key, self.certificate, public_key, role=Role.DEVICE, now=NOW, years=1)
        write_certificates(self._folder / name, [made])
        return self._folder / name

    def revoke(self, *arguments: str | Path) -> Ran:
        return self._callseal(
            "keys", "revoke", *arguments, "--root", self._folder / "root.key", "-o", self.list
        )

    def since(self, certificate: Path) -> datetime | None:
        known = Revocations.from_file(self.list).vouched_by([self.certificate])
        return known.since(read_certificates(certificate)[0])


@pytest.fixture
def root(callseal: Commands, tmp_path: Path) -> Root:
    return Root(tmp_path, callseal)


def test_a_device_is_revoked_since_the_day_given(root: Root) -> None:
    device, other = root.device("a.pem"), root.device("b.pem")

    ran = root.revoke(device, "--since", "2020-01-02T03:04:05")

    assert ran.code == 0
    assert "since 2020-01-02T03:04:05.000Z" in ran.out
    assert "list 1" in ran.out
    assert "[trust] revocations_file" in ran.err
    assert (root.since(device), root.since(other)) == (STOLEN, None)
    assert root.list.stat().st_mode & 0o777 == 0o644


def test_without_a_date_it_is_revoked_from_now_on(root: Root) -> None:
    device = root.device("a.pem")

    root.revoke(device)

    since = root.since(device)
    assert since is not None
    assert abs((since - datetime.now(UTC)).total_seconds()) < 60


def test_the_list_is_carried_on_and_forgets_nothing(root: Root) -> None:
    first, second = root.device("a.pem"), root.device("b.pem")
    root.revoke(first, "--since", "2020-01-02T03:04:05")

    ran = root.revoke(second, "--reason", "superseded")

    (item,) = Revocations.from_file(root.list).lists
    assert ran.code == 0
    assert number_of(item) == 2
    assert root.since(first) == STOLEN
    assert root.since(second) is not None


def test_several_are_revoked_at_once(root: Root) -> None:
    devices = [root.device(name) for name in ("a.pem", "b.pem")]

    ran = root.revoke(*devices, "--reason", "cessation-of-operation")

    assert ran.out.count("revoked: dev-") == 2
    assert all(root.since(device) is not None for device in devices)


def test_without_certificates_the_list_is_renewed(root: Root) -> None:
    device = root.device("a.pem")
    root.revoke(device, "--since", "2020-01-02T03:04:05")

    ran = root.revoke()

    assert ran.code == 0
    assert "list 2" in ran.out
    assert root.since(device) == STOLEN


def test_another_roots_list_in_the_file_is_left_alone(root: Root, callseal: Commands, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Root(tmp_path / "other", callseal)
    theirs = other.device("b.pem")
    other.revoke(theirs)
    root.list.write_bytes(other.list.read_bytes())
    device = root.device("a.pem")

    root.revoke(device)

    known = Revocations.from_file(root.list).vouched_by([root.certificate, other.certificate])
    assert [known.since(read_certificates(one)[0]) is not None for one in (device, theirs)] == [True, True]


@pytest.mark.parametrize(
    ("since", "code"), [("2999-01-01", 78), ("yesterday", 2), ("0001-01-01", 2), ("1900-01-01", 78)]
)
def test_a_date_that_is_none_writes_nothing(root: Root, since: str, code: int) -> None:
    ran = root.revoke(root.device("a.pem"), "--since", since)

    assert ran.code == code
    assert not root.list.exists()


def test_a_damaged_list_is_not_written_over(root: Root) -> None:
    """What it held would be forgotten."""
    device = root.device("a.pem")
    root.revoke(device)
    damaged = root.list.read_bytes()[:-30]
    root.list.write_bytes(damaged)

    ran = root.revoke(root.device("b.pem"))

    assert ran.code == 78
    assert str(root.list) in ran.err
    assert root.list.read_bytes() == damaged


def test_what_another_root_certified_is_refused(root: Root, callseal: Commands, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    theirs = Root(tmp_path / "other", callseal).device("b.pem")

    ran = root.revoke(theirs)

    assert ran.code == 78
    assert not root.list.exists()


def test_a_root_does_not_revoke_itself(root: Root, tmp_path: Path) -> None:
    ran = root.revoke(tmp_path / "root.key.pem")

    assert ran.code == 78
    assert "can't revoke itself" in ran.err


def test_a_locked_root_asks_for_its_passphrase(callseal: Commands, tmp_path: Path) -> None:
    key = make_root(callseal, tmp_path, passphrase_in(tmp_path))
    out = tmp_path / "revoked.pem"
    arguments = ("keys", "revoke", "--root", key, "-o", out, "--passphrase-file", tmp_path / "passphrase")

    right = callseal(*arguments)
    out.unlink()
    (tmp_path / "passphrase").write_text("another passphrase\n")
    wrong = callseal(*arguments)

    assert (right.code, wrong.code) == (0, 11)
    assert not out.exists()


def test_the_list_can_be_shown(root: Root, callseal: Commands) -> None:
    root.revoke(root.device("a.pem"), "--since", "2020-01-02T03:04:05")

    shown = callseal("keys", "show", root.list)
    document = json.loads(callseal("keys", "show", root.list, "--json").out)

    issued, entry = document["keys"]
    assert document["kind"] == "revocations"
    assert list(issued) == ["issuer", "number", "issued_at", "next_update"]
    assert list(entry) == ["device", "serial", "since", "reason"]
    assert (entry["since"], entry["reason"]) == ("2020-01-02T03:04:05.000Z", "keyCompromise")
    assert entry["device"] in shown.out


@pytest.mark.integration
def test_openssl_refuses_a_certificate_that_was_revoked_here(root: Root, tmp_path: Path) -> None:
    openssl = need("openssl", "apt-get install openssl")
    device = root.device("a.pem")
    root.revoke(device)

    files = ("-CAfile", tmp_path / "root.key.pem", "-CRLfile", root.list)
    ran = subprocess.run(
        [openssl, "verify", "-crl_check", *files, device], capture_output=True, text=True, check=False
    )

    assert "certificate revoked" in ran.stderr


# --- what the others make of it ---------------------------------------------------------------------


def take_back(callseal: Commands, archive: Archive, out: Path) -> None:
    """Let the archive's organisation revoke its one device."""
    office = archive.office
    write_signing_key(office.root / "root.key", office.organisation.root_key)
    ran = callseal(
        "keys",
        "revoke",
        office.root / "device.pem",
        "--since",
        "2020-01-02",
        "--root",
        office.root / "root.key",
        "--root-certificate",
        office.roots_file,
        "-o",
        out,
    )
    assert ran.code == 0, ran.err


def test_recordings_of_a_revoked_device_verify_as_untrusted(callseal: Commands, archive: Archive) -> None:
    callseal.use(archive.office.config_file)
    upload(archive.office, archive.recordings)
    before = callseal("verify")

    take_back(callseal, archive, archive.office.root / "revoked.pem")
    after = callseal("verify")

    assert (before.code, after.code) == (0, 14)
    assert "revoked since 2020-01-02" in after.out


def test_the_settings_say_where_the_list_is(callseal: Commands, archive: Archive) -> None:
    office = archive.office
    text = office.config_file.read_text() + '[trust]\nrevocations_file = "taken-back.pem"\n'
    office.config_file.write_text(text)
    callseal.use(office.config_file)

    take_back(callseal, archive, office.root / "taken-back.pem")

    assert callseal("verify").code == 14


def test_a_device_that_is_revoked_is_told_by_config_check(callseal: Commands, archive: Archive) -> None:
    office = archive.office
    take_back(callseal, archive, office.root / "revoked.pem")

    ran = callseal("config", "check", "--config", office.config_file)

    assert "revoked.pem: 1 certificate taken back" in ran.out
    assert any("revoked since" in line for line in ran.out.splitlines() if line.startswith("warning"))


def test_a_foreign_list_is_named_by_config_check_and_verify(
    callseal: Commands, archive: Archive, root: Root
) -> None:
    office = archive.office
    root.revoke()
    (office.root / "revoked.pem").write_bytes(root.list.read_bytes())

    checked = callseal("config", "check", "--config", office.config_file)
    verified = callseal("verify", "--config", office.config_file)

    assert (checked.code, verified.code) == (78, 78)
    assert "no trusted root signed" in checked.out
    assert str(office.root / "revoked.pem") in verified.err
