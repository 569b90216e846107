"""Who a device is: key and certificate are checked before the first call, not after it."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from callseal.agent import identity
from callseal.seal import keys
from callseal.seal.errors import KeyFileError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def enrolled(folder: Path) -> tuple[Path, Path]:
    """Make a device's key and a certificate of one year for it."""
    key = keys.generate_signing_key()
    root_key, root = keys.create_root("An organisation", now=NOW, years=10)
    certificate = keys.certify(root_key, root, key.public_key(), role=keys.Role.DEVICE, now=NOW, years=1)
    keys.write_signing_key(folder / "device.key", key)
    keys.write_certificates(folder / "device.pem", [certificate])
    return folder / "device.key", folder / "device.pem"


def test_a_certified_device_has_nothing_to_say(tmp_path: Path) -> None:
    signer, warning = identity.load(*enrolled(tmp_path), NOW, env={})

    assert warning == ""
    assert signer.device == keys.device_id(signer.key.public_key())


@pytest.mark.parametrize("days", [-30, 400])
def test_a_certificate_that_does_not_hold_today_is_said(tmp_path: Path, days: int) -> None:
    """Its recordings would verify as untrusted, and nobody would know until the first dispute."""
    _signer, warning = identity.load(*enrolled(tmp_path), NOW + timedelta(days=days))

    assert "certificate holds from" in warning


def test_a_device_without_a_certificate_records_and_says_so(tmp_path: Path) -> None:
    key, certificate = enrolled(tmp_path)
    certificate.unlink()

    signer, warning = identity.load(key, certificate, NOW)

    assert "has no certificate" in warning
    assert len(signer.chain) == 1


def test_another_devices_certificate_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    key, _own = enrolled(tmp_path)
    _key, certificate = enrolled(other)

    with pytest.raises(KeyFileError, match="not for the key"):
        identity.load(key, certificate, NOW)


def test_a_certificate_that_cannot_be_looked_at_is_not_taken_for_missing(tmp_path: Path) -> None:
    key, certificate = enrolled(tmp_path)

    with pytest.raises(KeyFileError, match="can't be read"):
        identity.load(key, certificate / "in-a-file", NOW)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622, 0o644, 0o777])
def test_a_key_that_others_may_read_or_replace_is_refused(tmp_path: Path, mode: int) -> None:
    """What it signs would prove nothing: anybody on this machine could have signed it."""
    key, certificate = enrolled(tmp_path)
    key.chmod(mode)

    with pytest.raises(KeyFileError, match="chmod 600") as raised:
        identity.load(key, certificate, NOW)

    assert raised.value.path == key


def test_somebody_elses_key_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = enrolled(tmp_path)
    theirs = key.stat().st_uid + 1 or 1
    monkeypatch.setattr(os, "geteuid", lambda: theirs)
    if key.stat().st_uid == 0:
        os.chown(key, theirs + 1, -1)

    with pytest.raises(KeyFileError, match="chmod 600") as raised:
        identity.load(key, certificate, NOW)

    assert raised.value.path == key


def test_a_systemd_credential_is_used_instead_of_the_key_file(tmp_path: Path) -> None:
    credentials, other = tmp_path / "credentials", tmp_path / "other"
    credentials.mkdir()
    other.mkdir()
    key, certificate = enrolled(credentials)
    elsewhere, _other_certificate = enrolled(other)
    env = {"CREDENTIALS_DIRECTORY": str(credentials)}

    signer, warning = identity.load(elsewhere, certificate, NOW, env=env)

    assert warning == ""
    assert signer.key.private_bytes_raw() == keys.read_signing_key(key).private_bytes_raw()


def test_a_credential_needs_no_mode_of_its_own(tmp_path: Path) -> None:
    """With access control lists systemd's own files show a mode that looks too wide."""
    key, certificate = enrolled(tmp_path)
    key.chmod(0o440)

    signer, _warning = identity.load(
        tmp_path / "missing", certificate, NOW, env={"CREDENTIALS_DIRECTORY": str(tmp_path)}
    )

    assert signer.device


@pytest.mark.parametrize("folder", ["", "without-a-key"])
def test_credentials_without_a_device_key_change_nothing(tmp_path: Path, folder: str) -> None:
    (tmp_path / "without-a-key").mkdir()
    key, certificate = enrolled(tmp_path)
    env = {"CREDENTIALS_DIRECTORY": folder and str(tmp_path / folder)}

    signer, _warning = identity.load(key, certificate, NOW, env=env)

    assert signer.key.private_bytes_raw() == keys.read_signing_key(key).private_bytes_raw()
