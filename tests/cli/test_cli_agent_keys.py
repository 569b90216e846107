"""An agent starts only with keys that recordings can be trusted to, and says which file keeps it from it."""

import json
from pathlib import Path

import pytest

from callseal.seal.age import HybridIdentity, X25519Identity
from support.bundle import Archive
from support.commands import Commands

CLASSIC, HYBRID = X25519Identity.generate(), HybridIdentity.generate()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        pytest.param(["# nobody yet"], "no recipient", id="none"),
        pytest.param([CLASSIC.recipient.text, CLASSIC.text.reveal()], "PRIVATE KEY", id="private-key"),
        pytest.param([CLASSIC.recipient.text, HYBRID.recipient.text], "mixed", id="mixed"),
    ],
)
def test_an_agent_with_wrong_recipients_does_not_start(
    callseal: Commands, archive: Archive, lines: list[str], words: str
) -> None:
    (archive.office.root / "recipients.txt").write_text("\n".join(lines) + "\n")

    ran = callseal.program("agent", "--config", archive.office.config_file)

    assert ran.code == 78
    assert "recipients.txt" in ran.err
    assert words in ran.err
    assert CLASSIC.text.reveal() not in ran.err
    assert "Traceback" not in ran.err


def test_an_agent_whose_key_others_can_read_does_not_start(callseal: Commands, archive: Archive) -> None:
    key = archive.office.root / "device.key"
    key.chmod(0o640)

    ran = callseal.program("agent", "--config", archive.office.config_file)

    assert ran.code == 78
    assert f"{key}: other accounts may read" in ran.err
    assert "chmod 600" in ran.err


def test_one_recipient_alone_is_a_warning_of_config_check(callseal: Commands, archive: Archive) -> None:
    (archive.office.root / "recipients.txt").write_text(CLASSIC.recipient.text + "\n")

    ran = callseal("config", "check", "--json", "--config", archive.office.config_file)

    (found,) = [one for one in json.loads(ran.out)["checks"] if one["check"] == "recipients"]
    assert ran.code == 0
    assert found["outcome"] == "warning"
    assert "recovery" in found["words"]


def test_a_credential_is_looked_at_instead_of_the_key_file(
    callseal: Commands, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (archive.office.root / "device.key").rename(credentials / "device.key")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))

    ran = callseal("config", "check", "--config", archive.office.config_file)

    assert ran.code == 0
    assert f"{credentials / 'device.key'}: this is dev-" in ran.out
