"""Who a device is: key and certificate are checked before the first call, not after it."""

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
    signer, warning = identity.load(*enrolled(tmp_path), NOW)

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
