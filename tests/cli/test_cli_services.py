"""``callseal uploader`` and ``callseal agent``: services that start, stop and say why they can't."""

import os
import signal
import subprocess
import time
from pathlib import Path

from callseal.seal.spool import Spool
from support.bundle import Archive, Office
from support.commands import PROGRAM, Commands

LIMIT_S = 30.0


def test_the_uploader_brings_what_is_ready_and_ends_well_when_told_to(
    callseal: Commands, archive: Archive
) -> None:
    callseal.use(archive.office.config_file)

    with subprocess.Popen([PROGRAM, "uploader"], env=os.environ, stderr=subprocess.PIPE) as service:
        arrived = wait_for(archive.office, str(archive.recordings[2]))
        service.send_signal(signal.SIGTERM)
        _out, log = service.communicate(timeout=LIMIT_S)

    assert arrived
    assert service.returncode == 0
    assert b'"event": "uploader.stopped"' in log
    assert callseal("verify", "--config", archive.office.config_file).code == 0


def test_a_second_uploader_is_refused(callseal: Commands, archive: Archive) -> None:
    callseal.use(archive.office.config_file)

    with Spool(archive.office.spool_path).lock("uploader"):
        ran = callseal.program("uploader")

    assert ran.code == 30
    assert "another uploader works in this spool" in ran.err


def test_an_agent_without_recipients_does_not_start(callseal: Commands, archive: Archive) -> None:
    callseal.use(archive.office.config_file)
    (archive.office.root / "recipients.txt").unlink()

    ran = callseal.program("agent")

    assert ran.code == 78
    assert "recipients.txt" in ran.err
    assert "Traceback" not in ran.err


def test_no_service_works_in_a_folder_that_was_never_made_a_spool(
    callseal: Commands, archive: Archive, tmp_path: Path
) -> None:
    """An unmounted disk leaves an empty folder: what went there would be lost from sight."""
    empty = tmp_path / "mount-point"
    empty.mkdir(mode=0o700)
    settings = archive.office.config_file
    settings.write_text(settings.read_text().replace(str(archive.office.spool_path), str(empty)))

    ran = [callseal.program(service, "--config", settings) for service in ("agent", "uploader")]
    made = callseal("spool", "init", "--config", settings)

    assert [one.code for one in ran] == [30, 30]
    assert all("is its disk mounted?" in one.err for one in ran)
    assert made.code == 0
    assert (empty / ".callseal-spool").is_file()


def test_a_service_without_settings_says_where_it_looked(callseal: Commands, tmp_path: Path) -> None:
    for service in ("agent", "uploader"):
        ran = callseal.program(service, "--config", tmp_path / "none.toml")

        assert ran.code == 78
        assert str(tmp_path / "none.toml") in ran.err


def wait_for(office: Office, recording: str) -> bool:
    """Wait until the store has a recording's manifest, which comes last."""
    until_s = time.monotonic() + LIMIT_S
    while time.monotonic() < until_s:
        if list(office.store_path.glob(f"recordings/*/*/*/*/{recording}/manifest.json")):
            return True
        time.sleep(0.05)
    return False


def test_an_agent_without_a_source_does_not_start(callseal: Commands, archive: Archive) -> None:
    """Settings without one are for who only reads the store; a recorder that records nothing is none."""
    config = archive.office.config_file
    text = config.read_text()
    config.write_text(text[: text.index("[[source]]")] + "[[store]]" + text.partition("[[store]]")[2])

    ran = callseal("agent", "--config", config)

    assert ran.code == 78
    assert "at least one [[source]] is needed" in ran.err
