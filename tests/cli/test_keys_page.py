"""What `docs/keys.md` tells people to type: its commands, run as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from callseal.agent.sources.bridge.source import missing
from callseal.seal.keyfile import read_identities, read_recipients
from callseal.seal.keys import (
    Role,
    TrustStore,
    certify,
    chain_der,
    create_root,
    generate_signing_key,
    read_certificates,
    write_certificates,
    write_signing_key,
)
from callseal.seal.revocation import Revocations
from callseal.seal.secret import Secret
from support.bundle import PASSPHRASE, open_office, record, upload
from support.commands import ANSWER_PROMPT, PROGRAM, Commands
from support.sealed_recordings import STARTED_AT

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("keys-page")]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "keys.md"
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE))
TIMEOUT_S = 120


def commands_of(section: str) -> str:
    blocks = re.findall(r"^```sh\n(.*?)^```$", SECTIONS[section], re.DOTALL | re.MULTILINE)
    assert blocks, f"no commands under {section!r}"
    return "".join(blocks)


def follow(section: str, folder: Path) -> str:
    """Type a section's commands at a terminal, with one passphrase for everything; give what was shown."""
    script = f"set -eu\nset -o pipefail\nPATH={PROGRAM.parent}:$PATH\n{commands_of(section)}echo all done\n"
    done = subprocess.run(
        [sys.executable, ANSWER_PROMPT, PASSPHRASE, "bash", "-c", script],
        cwd=folder,
        env={**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "en"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "all done"
    return done.stdout


@pytest.fixture(scope="module")
def first_day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Go through the first day once; give the folder, which tests only read, and what was shown."""
    what = missing()  # `config check` looks for the bridge
    if what and os.environ.get("CI"):
        pytest.fail(what)
    if what:
        pytest.skip(what)
    folder = tmp_path_factory.mktemp("first-day")
    return folder, follow("The first day", folder)


def test_the_first_day_ends_in_a_device_that_is_trusted(first_day: tuple[Path, str]) -> None:
    folder, shown = first_day

    trust = TrustStore.from_files(folder / "desk" / "trust.pem", folder / "desk" / "revoked.pem")
    chain = chain_der(read_certificates(folder / "desk" / "device.pem"))

    (leaf,) = read_certificates(folder / "device.pem")
    assert trust.check(chain, at=leaf.not_valid_before_utc, role=Role.DEVICE).certificate == leaf
    assert "vouched for until" in shown


def test_the_first_day_proves_that_the_recovery_key_can_be_restored(first_day: tuple[Path, str]) -> None:
    folder, shown = first_day

    identities = read_identities(
        folder / "stick-recovery" / "recovery.key", passphrase=lambda: Secret(PASSPHRASE)
    )

    recipients = read_recipients(folder / "desk" / "recipients.txt")
    assert identities[0].recipient == recipients[1]
    assert identities[0].recipient.text in shown.splitlines()


def test_after_the_first_day_no_private_key_is_left_on_the_machine(first_day: tuple[Path, str]) -> None:
    folder, _shown = first_day

    private = {str(path.relative_to(folder)) for path in folder.rglob("*.key")}
    public = {path.name for path in (folder / "public").iterdir()}
    assert private == {
        "stick-daily/reader.key",
        "stick-recovery/recovery.key",
        "stick-root/root.key",
        "desk/device.key",
    }
    assert public == {"recipients.txt", "root.key.pem", "revoked.pem"}


def test_both_sides_of_the_telephone_see_the_same_fingerprint(first_day: tuple[Path, str]) -> None:
    _folder, shown = first_day

    fingerprints = re.findall(r"fingerprint: ((?:[0-9a-f]{4} ){15}[0-9a-f]{4})", shown)

    root_made, asked, certified, root_installed = fingerprints
    assert asked == certified
    assert root_made == root_installed


def test_recordings_are_rewrapped_for_another_daily_key(callseal: Commands, tmp_path: Path) -> None:
    office = open_office(tmp_path, classic=False)
    upload(office, [record(office, duration_s=1)])

    follow("Another daily key, another reader", tmp_path)

    (identity,) = read_identities(tmp_path / "reader-2027.key", passphrase=lambda: Secret(PASSPHRASE))
    recipients = read_recipients(tmp_path / "new-recipients.txt")
    assert recipients == (identity.recipient, office.recovery.recipient)
    assert len(list((tmp_path / "rewrapped").rglob("audio-*.age"))) == 1


def test_a_stolen_desk_is_revoked(tmp_path: Path) -> None:
    root_key, root = create_root("Example Insurance", now=STARTED_AT, years=1)
    device = certify(
        root_key, root, generate_signing_key().public_key(), role=Role.DEVICE, now=STARTED_AT, years=1
    )
    write_signing_key(tmp_path / "root.key", root_key)
    write_certificates(tmp_path / "root.key.pem", [root])
    write_certificates(tmp_path / "device.pem", [device])

    follow("The day one is lost", tmp_path)

    known = Revocations.from_file(tmp_path / "revoked.pem").vouched_by([root])
    assert known.since(device) is not None
