"""``callseal config`` shows what takes effect, and finds all that is wrong before the first call does."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest

from support.bundle import Archive, Office, open_office
from support.commands import Commands

MISTAKES = """schema = 1
[device]
site = "Bei jing"
[seal]
flush_s = 99
password = "hunter2"
[[source]]
type = "bridge"
pbx = "nowhere"
[[rule]]
busines = "sales"
[[store]]
name = "primary"
type = "ftp"
endpoint = "https://s3.example.com"
bucket = "b"
"""


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return open_office(tmp_path / "office")


def test_the_settings_that_take_effect_are_settings_again(callseal: Commands, whole_archive: Archive) -> None:
    ran = callseal("config", "show", "--config", whole_archive.office.config_file)

    shown = tomllib.loads(ran.out)
    assert ran.code == 0
    assert ran.out.startswith(f"# {whole_archive.office.config_file}\n")
    assert shown["seal"]["flush_s"] == 0.0
    assert shown["store"][0]["name"] == "primary"


def test_shown_as_json_they_are_the_same(callseal: Commands, whole_archive: Archive) -> None:
    callseal.use(whole_archive.office.config_file)

    document = json.loads(callseal("config", "show", "--json").out)

    assert list(document) == ["type", "file", "settings"]
    assert document["type"] == "callseal-config/1"
    assert document["file"] == str(whole_archive.office.config_file)
    assert document["settings"] == tomllib.loads(callseal("config", "show").out)


def test_all_is_well_in_an_office_that_was_set_up(callseal: Commands, office: Office) -> None:
    ran = callseal("config", "check", "--config", office.config_file)

    assert ran.code == 0
    assert ran.err == ""
    assert all(line.startswith("ok  ") for line in ran.out.splitlines())
    for subject in (
        "callseal.toml: valid",
        "recipients.txt: 2 recipients",
        "device.key: this is dev-",
        "device.pem: dev-",
        "trust.pem: CN=Example Insurance",
        "zh: builtin:zh:",
        "spool: ",
        "primary (",
    ):
        assert subject in ran.out


def test_every_mistake_in_the_settings_is_told_at_once_a_line_each(
    callseal: Commands, tmp_path: Path
) -> None:
    (tmp_path / "callseal.toml").write_text(MISTAKES)

    ran = callseal("config", "check", "--config", tmp_path / "callseal.toml")

    assert (ran.code, ran.out) == (78, "")
    for key in (
        "device.site",
        "seal.flush_s",
        "seal.password",
        "source[1].pbx",
        "rule[1].busines",
        "store[1].type",
    ):
        assert sum(f": {key}" in line for line in ran.err.splitlines()) == 1, key
    assert "hunter2" not in ran.err


def test_every_mistake_in_the_settings_is_in_the_json(callseal: Commands, tmp_path: Path) -> None:
    (tmp_path / "callseal.toml").write_text(MISTAKES)

    ran = callseal("config", "check", "--json", "--config", tmp_path / "callseal.toml")

    document = json.loads(ran.out)
    assert ran.code == 78
    assert document["ok"] is False
    assert {"device.site", "seal.flush_s"} <= {one["subject"] for one in document["checks"]}
    assert "hunter2" not in ran.out


def test_everything_wrong_with_what_the_settings_name_is_told_at_once(
    callseal: Commands, office: Office
) -> None:
    root = office.root
    (root / "recipients.txt").unlink()
    (root / "device.key").chmod(0o644)
    (root / "trust.pem").write_text("no certificate")
    (root / "device.pem").write_text("no certificate")
    office.spool_path.chmod(0o755)
    shutil.rmtree(office.store_path)
    (root / "quiet.wav").write_bytes(b"no sound at all")
    announcement = '[[announcement]]\nname = "own"\nlanguage = "zh-CN"\nfile = "quiet.wav"\n'
    office.config_file.write_text(office.config_file.read_text() + announcement)

    ran = callseal("config", "check", "--config", office.config_file)

    failed = [line for line in ran.out.splitlines() if line.startswith("FAILED  ")]
    assert ran.code == 78
    assert len(failed) == 7
    for words in (
        "recipients.txt: cannot be read",
        "mode 644",
        "trust.pem: no certificates",
        "device.pem: no certificates",
        "own: ",
        "mode 755",
        "is its disk mounted?",
    ):
        assert any(words in line for line in failed), words


def test_one_recipient_is_a_warning_and_no_failure(callseal: Commands, office: Office) -> None:
    (office.root / "recipients.txt").write_text(office.reader.recipient.text)

    ran = callseal("config", "check", "--config", office.config_file)

    assert ran.code == 0
    (warned,) = (line for line in ran.out.splitlines() if line.startswith("warning  "))
    assert "1 recipient (X25519): if that key is lost, so is every recording" in warned


def test_a_private_key_among_the_recipients_is_told_and_not_shown(callseal: Commands, office: Office) -> None:
    secret = office.reader.text.reveal()
    (office.root / "recipients.txt").write_text(f"{office.recovery.recipient.text}\n{secret}\n")

    ran = callseal("config", "check", "--config", office.config_file)

    assert ran.code == 78
    assert "line 2: THERE IS A PRIVATE KEY" in ran.out
    assert secret not in ran.out + ran.err


def test_what_is_not_there_yet_is_a_warning(callseal: Commands, office: Office) -> None:
    (office.root / "device.pem").unlink()
    (office.root / "trust.pem").unlink()
    shutil.rmtree(office.spool_path)

    ran = callseal("config", "check", "--config", office.config_file)

    assert ran.code == 0
    assert ran.out.count("warning  ") == 2
    assert "spool: not there yet; the agent makes it" in ran.out
    assert not office.spool_path.exists()


def test_a_certificate_of_another_device_is_a_failure(
    callseal: Commands, office: Office, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    callseal("init", "--dir", other, "--site", "bj", "--pbx", "sip:pbx.example")
    shutil.copy(other / "device.key", office.root / "device.key")

    ran = callseal("config", "check", "--config", office.config_file)

    assert ran.code == 78
    assert "is that of another key" in ran.out


def test_checks_as_json_have_stable_names(callseal: Commands, office: Office) -> None:
    document = json.loads(callseal("config", "check", "--json", "--config", office.config_file).out)

    assert list(document) == ["type", "file", "ok", "checks"]
    assert (document["type"], document["ok"]) == ("callseal-config-check/1", True)
    assert [list(one) for one in document["checks"]] == [["check", "subject", "outcome", "words"]] * 10
    assert [one["check"] for one in document["checks"]] == [
        "settings",
        "recipients",
        "device-key",
        "roots",
        "certificate",
        "announcement",
        "announcement",
        "spool",
        "pbx",
        "store",
    ]


def test_a_telephone_system_that_nobody_knows_is_told(callseal: Commands, office: Office) -> None:
    text = office.config_file.read_text().replace("sip:127.0.0.1:5070", "sip:pbx.invalid")
    office.config_file.write_text(text)

    ran = callseal("config", "check", "--config", office.config_file)

    assert ran.code == 78
    assert any("the telephone system pbx.invalid is not known" in line for line in ran.out.splitlines())
