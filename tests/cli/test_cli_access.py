"""Who opens a recording says why, and that is in the store before anything is given out."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import pytest

from callseal.cli.main import run
from callseal.seal import access
from callseal.seal.access import AccessRecord, Account
from callseal.seal.age import X25519Identity, fingerprint
from callseal.seal.durable import Step
from callseal.seal.keyfile import write_identity
from callseal.seal.uuid7 import uuid7
from callseal.store.directory import DirectoryStore
from callseal.store.names import access_name, parse_access_name
from support.bundle import CUSTOMER, Archive, settings_text
from support.commands import Commands, Ran
from support.killed_child import killed_at

REASON: Final = "complaint 2026-118: the customer asked for a second look"
ASKS: Final = "ask_reason = true\n"
NOW: Final = datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)


@pytest.fixture
def asking(archive: Archive, callseal: Commands) -> Archive:
    """Return an archive whose store asks, and let commands find its settings."""
    office = archive.office
    office.config_file.write_text(settings_text(office) + ASKS)
    callseal.use(office.config_file)
    return archive


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def kept(store: Path) -> list[dict[str, Any]]:
    """Return the access records in a store, the oldest first."""
    return [json.loads(path.read_bytes()) for path in sorted(store.glob("access/*/*/*/*.json"))]


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def opened(callseal: Commands, archive: Archive, recording: str | Path, *more: str | Path) -> Ran:
    return callseal("open", recording, "-i", archive.office.key_file, *more)


Opening = Callable[[Archive, Path], list[str | Path]]
OPENINGS: Final[dict[str, Opening]] = {
    "open": lambda archive, _out: ["open", str(archive.recordings[0])],
    "sound": lambda archive, out: ["open", str(archive.recordings[0]), "-o", out / "call.wav"],
    "raw": lambda archive, out: ["open", str(archive.recordings[0]), "--raw", "-o", out / "call.au"],
    "evidence": lambda archive, out: ["open", str(archive.recordings[0]), "--evidence", out / "evidence"],
    "json": lambda archive, _out: ["open", str(archive.recordings[0]), "--json"],
    "list": lambda _archive, _out: ["list"],
    "rewrap": lambda archive, out: [
        *("keys", "rewrap", str(archive.recordings[0])),
        *("-R", archive.office.root / "recipients.txt", "-o", out / "copies"),
    ],
}
ACTIONS: Final = {"evidence": "evidence", "list": "list", "rewrap": "rewrap"}
each_opening: Final = pytest.mark.parametrize("how", OPENINGS)


def command(how: str, archive: Archive, out: Path) -> list[str | Path]:
    return [*OPENINGS[how](archive, out), "-i", archive.office.key_file]


# --- a store that asks ---------------------------------------------------------------------------------


@each_opening
def test_without_a_reason_nothing_is_opened(callseal: Commands, asking: Archive, out: Path, how: str) -> None:
    ran = callseal(*command(how, asking, out))

    assert (ran.code, ran.out) == (2, "")
    assert "--reason" in ran.err
    assert "primary" in ran.err
    assert left_behind(out) == []
    assert kept(asking.office.store_path) == []


@pytest.mark.parametrize("reason", ["", "  \u3000", "two\nlines", "\x1b[2J", "\u202eabc", "x" * 501])
def test_what_is_no_reason_is_refused_and_never_repeated(
    callseal: Commands, asking: Archive, reason: str
) -> None:
    ran = opened(callseal, asking, str(asking.recordings[0]), "--reason", reason)

    assert (ran.code, ran.out) == (2, "")
    assert "1 to 500 characters" in ran.err
    assert "x" * 501 not in ran.err
    assert kept(asking.office.store_path) == []


@each_opening
def test_with_a_reason_the_access_is_kept_in_the_store(
    callseal: Commands, asking: Archive, out: Path, how: str
) -> None:
    office = asking.office

    ran = callseal(*command(how, asking, out), "--reason", f" {REASON} ")

    (record,) = kept(office.store_path)
    assert ran.code == 0
    assert record["type"] == "callseal-access/1"
    assert record["action"] == ACTIONS.get(how, "open")
    assert record["reason"] == REASON
    assert record["account"]["uid"] == os.getuid()
    assert record["keys"] == [fingerprint(office.reader.recipient)]
    assert str(asking.recordings[0]) in record["recordings"]
    assert len(record["recordings"]) == (4 if how == "list" else 1)


def test_a_record_lies_under_the_name_that_it_tells_and_nobody_else_can_read_it(
    callseal: Commands, asking: Archive
) -> None:
    opened(callseal, asking, str(asking.recordings[0]), "--reason", REASON)

    store = asking.office.store_path
    (path,) = store.glob("access/*/*/*/*.json")
    record = access.read(path.read_bytes())
    parsed = parse_access_name(path.relative_to(store).as_posix())
    assert parsed == (record.at.date(), record.record)
    assert path.stat().st_mode & 0o777 == 0o600


@each_opening
def test_where_the_record_can_t_be_kept_nothing_is_given_out(
    callseal: Commands, asking: Archive, out: Path, how: str
) -> None:
    (asking.office.store_path / "access").write_text("a file where the folder should be")

    ran = callseal(*command(how, asking, out), "--reason", REASON)

    assert (ran.code, ran.out) == (20, "")
    assert "nothing was opened" in ran.err
    assert str(CUSTOMER.number) not in ran.err
    assert left_behind(out) == []


def test_a_store_that_is_gone_gives_out_nothing_of_the_spool_either(
    callseal: Commands, asking: Archive, out: Path
) -> None:
    (asking.office.store_path / ".callseal-store").unlink()

    ran = opened(
        callseal, asking, asking.office.bundle(asking.recordings[0]), "--reason", REASON, "-o", out / "a.wav"
    )

    assert (ran.code, ran.out) == (20, "")
    assert left_behind(out) == []


@contextmanager
def stepping(step: Step) -> Iterator[None]:
    """Let every store of this process tell its steps."""
    begin = DirectoryStore.__init__

    def with_step(store: DirectoryStore, root: Path) -> None:
        begin(store, root, step=step)

    with patch.object(DirectoryStore, "__init__", with_step):
        yield


def test_killed_at_any_step_of_keeping_the_record_nothing_was_given_out(
    callseal: Commands, asking: Archive, tmp_path: Path
) -> None:
    office, steps = asking.office, 0

    def work(step: Step) -> None:
        with stepping(step):
            wav = str(tmp_path / f"{steps}.wav")
            name, key = str(asking.recordings[0]), str(office.key_file)
            code = run(["open", name, "-i", key, "--reason", REASON, "-o", wav], dict(os.environ))
            if code:
                raise RuntimeError(f"exit code {code}")

    while killed_at(steps, work):
        assert not (tmp_path / f"{steps}.wav").exists()
        steps += 1

    assert steps > 5
    assert (tmp_path / f"{steps}.wav").exists()
    assert kept(office.store_path)[-1]["reason"] == REASON


def test_an_attempt_with_the_wrong_key_is_kept_too(
    callseal: Commands, asking: Archive, tmp_path: Path
) -> None:
    other = X25519Identity.generate()
    write_identity(tmp_path / "other.key", other, passphrase=None, created=NOW)

    ran = callseal("open", str(asking.recordings[0]), "-i", tmp_path / "other.key", "--reason", REASON)

    (record,) = kept(asking.office.store_path)
    assert (ran.code, ran.out) == (11, "")
    assert record["keys"] == [fingerprint(other.recipient)]


def test_the_account_behind_sudo_and_the_far_end_of_a_remote_session_are_kept(
    callseal: Commands, asking: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "zhang")
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.7 50022 192.0.2.1 22")

    opened(callseal, asking, str(asking.recordings[0]), "--reason", REASON)

    (record,) = kept(asking.office.store_path)
    assert record["account"]["sudo_from"] == "zhang"
    assert record["from"] == "192.0.2.7"


def test_an_environment_that_lies_in_control_characters_hides_no_access(
    callseal: Commands, asking: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "\x1b[2J" * 300)

    ran = opened(callseal, asking, str(asking.recordings[0]), "--reason", REASON)

    (record,) = kept(asking.office.store_path)
    assert ran.code == 0
    assert "\x1b" not in record["account"]["sudo_from"]


@pytest.mark.parametrize("arguments", [["list"], ["verify"], ["list", "--access"]])
def test_what_opens_nothing_needs_no_reason_and_leaves_no_record(
    callseal: Commands, asking: Archive, arguments: list[str]
) -> None:
    ran = callseal(*arguments)

    assert "--reason" not in ran.err
    assert ran.code in {0, 15}
    assert kept(asking.office.store_path) == []


# --- which store keeps it ------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["spool", "folder", "stored folder", "store folder", "store name"])
def test_which_copy_is_opened_makes_no_difference(
    callseal: Commands, asking: Archive, out: Path, where: str
) -> None:
    office, recording = asking.office, asking.recordings[0]
    plain = out / "copy"
    arguments: dict[str, list[str | Path]] = {
        "spool": [office.bundle(recording)],
        "folder": [plain],
        "stored folder": [office.stored(recording)],
        "store folder": [str(recording), "--store", office.store_path],
        "store name": [str(recording), "--store", "primary"],
    }
    shutil.copytree(office.stored(recording), plain)

    refused = opened(callseal, asking, *arguments[where], "--roots", office.roots_file)
    ran = opened(callseal, asking, *arguments[where], "--roots", office.roots_file, "--reason", REASON)

    assert (refused.code, refused.out) == (2, "")
    assert ran.code == 0
    assert [record["recordings"] for record in kept(office.store_path)] == [[str(recording)]]


def test_another_store_that_asks_keeps_what_was_opened_in_one_that_does_not(
    callseal: Commands, archive: Archive, tmp_path: Path
) -> None:
    office = archive.office
    second = DirectoryStore.create(tmp_path / "second")
    table = f'[[store]]\nname = "second"\ntype = "directory"\npath = "{second.root}"\n{ASKS}'
    office.config_file.write_text(settings_text(office) + table)
    callseal.use(office.config_file)

    refused = opened(callseal, archive, str(archive.recordings[0]))
    ran = opened(callseal, archive, str(archive.recordings[0]), "--reason", REASON)

    assert (refused.code, ran.code) == (2, 0)
    assert kept(office.store_path) == []
    assert [record["reason"] for record in kept(second.root)] == [REASON]


def test_what_is_opened_together_is_one_record(callseal: Commands, asking: Archive, out: Path) -> None:
    office = asking.office

    ran = callseal(
        *("keys", "rewrap", office.store_path / "recordings", "-i", office.key_file),
        *("-R", office.root / "recipients.txt", "-o", out / "copies", "--reason", REASON),
    )

    (record,) = kept(office.store_path)
    stored = sorted(path.name for path in office.store_path.glob("recordings/*/*/*/*/*"))
    assert ran.code == 0
    assert sorted(record["recordings"]) == stored


def test_where_no_store_asks_there_is_no_record(callseal: Commands, archive: Archive) -> None:
    callseal.use(archive.office.config_file)

    ran = opened(callseal, archive, str(archive.recordings[0]))

    assert ran.code == 0
    assert kept(archive.office.store_path) == []


@pytest.mark.parametrize("settings", [True, False])
def test_a_reason_that_nobody_asked_for_is_kept_where_the_copy_lies(
    callseal: Commands, archive: Archive, *, settings: bool
) -> None:
    office = archive.office
    if settings:
        callseal.use(office.config_file)

    ran = opened(
        *(callseal, archive, str(archive.recordings[0]), "--store", office.store_path),
        *("--roots", office.roots_file, "--reason", REASON),
    )

    assert ran.code == 0
    assert [record["reason"] for record in kept(office.store_path)] == [REASON]


def test_a_reason_that_can_be_kept_nowhere_is_told(callseal: Commands, archive: Archive) -> None:
    callseal.use(archive.office.config_file)

    ran = opened(callseal, archive, archive.office.bundle(archive.recordings[2]), "--reason", REASON)

    assert ran.code == 0
    assert "kept nowhere" in ran.err


def test_a_store_is_meant_by_its_name_in_the_settings_and_another_name_is_refused(
    callseal: Commands, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    callseal.use(archive.office.config_file)

    named = callseal("list", "--store", "primary", "--json")
    other = callseal("list", "--store", "secondary")

    assert {place for row in json.loads(named.out)["recordings"] for place in row["places"]} == {"primary"}
    assert other.code == 10
    assert "(primary)" in other.err


def test_a_folder_that_is_called_like_a_store_is_meant_with_a_slash(
    callseal: Commands, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    DirectoryStore.create(tmp_path / "primary")
    callseal.use(archive.office.config_file)

    store = callseal("list", "--store", "primary", "--json")
    folder = callseal("list", "--store", "./primary", "--json")

    assert len(json.loads(store.out)["recordings"]) == 3
    assert json.loads(folder.out)["recordings"] == []


def test_who_has_directories_only_waits_for_no_cloud_library(callseal: Commands, asking: Archive) -> None:
    code = (
        "import os, sys; from callseal.cli.main import run;"
        f"run(['list', '--config', {str(asking.office.config_file)!r}], os.environ);"
        "print(sorted({'boto3', 'botocore'} & set(sys.modules)), file=sys.stderr)"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert str(asking.recordings[0]) in ran.stdout
    assert ran.stderr.endswith("[]\n")


def test_at_a_terminal_the_search_and_the_sound_do_not_get_in_each_other_s_way(
    callseal: Commands, asking: Archive, out: Path
) -> None:
    ran = callseal.at_terminal(
        *("", "open", str(asking.recordings[0]), "-i", asking.office.key_file),
        *("--evidence", out / "evidence", "--reason", REASON),
    )

    assert ran.code == 0
    assert "Traceback" not in ran.out + ran.err
    assert (out / "evidence" / "audio.wav").is_file()


# --- list --access -------------------------------------------------------------------------------------


def keep(store: Path, number: int, *, name: str | None = None, **changes: Any) -> AccessRecord:
    """Put a record of `number` hours after `NOW` into a store, by default under its own name."""
    at = NOW + timedelta(hours=number)
    values: dict[str, Any] = {
        "record": uuid7(round(at.timestamp() * 1000), bytes([number] * 10)),
        "at": at,
        "action": access.OPEN,
        "recordings": (),
        "reason": f"reason {number}",
        "account": Account(name="zhang", uid=1000),
        "machine": "desk-7",
        "remote": None,
        "keys": (),
        "software": "callseal/test",
    }
    record = AccessRecord(**{**values, **changes})
    path = store / (name or access_name(at.date(), record.record))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(access.write(record))
    return record


def reasons(ran: Ran) -> list[str]:
    return [record["reason"] for record in json.loads(ran.out)["records"]]


def test_accesses_are_listed_the_newest_first(callseal: Commands, asking: Archive) -> None:
    for number in (1, 30, 2):
        keep(asking.office.store_path, number)

    ran = callseal("list", "--access", "--json")

    assert ran.code == 0
    assert ran.err == ""
    assert reasons(ran) == ["reason 30", "reason 2", "reason 1"]


def test_a_person_sees_who_when_where_what_and_why(callseal: Commands, asking: Archive) -> None:
    recording = asking.recordings[0]
    account = Account(name="root", uid=0, sudo_from="zhang")
    keep(asking.office.store_path, 1, account=account, remote="192.0.2.7", recordings=(recording,))

    ran = callseal("list", "--access")

    row = ran.out.splitlines()[1]
    assert row.startswith("2026-11-22 02:02:03  root (0), was zhang  desk-7 (192.0.2.7)  opened  ")
    assert row.endswith(f"{recording}  reason 1  primary")


def test_an_access_that_was_just_made_is_listed(callseal: Commands, asking: Archive) -> None:
    opened(callseal, asking, str(asking.recordings[1]), "--reason", REASON)

    ran = callseal("list", "--access", "--json", "--recording", asking.recordings[1].hex[-8:])

    assert reasons(ran) == [REASON]


def test_only_accesses_of_the_days_wanted_are_listed(callseal: Commands, asking: Archive) -> None:
    for number in (1, 25, 49, 73):
        keep(asking.office.store_path, number)

    since = callseal("list", "--access", "--json", "--since", "2026-11-24")
    between = callseal("list", "--access", "--json", "--since", "2026-11-23", "--until", "2026-11-24")

    assert reasons(since) == ["reason 73", "reason 49"]
    assert reasons(between) == ["reason 49", "reason 25"]


def test_only_accesses_to_one_recording_are_listed(callseal: Commands, asking: Archive) -> None:
    first, second, third = asking.recordings
    keep(asking.office.store_path, 1, recordings=(first, second))
    keep(asking.office.store_path, 2, recordings=(third,))

    ran = callseal("list", "--access", "--json", "--recording", str(second))

    assert reasons(ran) == ["reason 1"]


def test_a_record_that_can_t_be_read_is_told_and_never_dropped(callseal: Commands, asking: Archive) -> None:
    record = keep(asking.office.store_path, 1)
    name = access_name(record.at.date(), record.record)
    (asking.office.store_path / name).write_bytes(b'{"type": "callseal-access/1"}')
    keep(asking.office.store_path, 2)

    ran = callseal("list", "--access", "--json", "--recording", str(asking.recordings[0]))

    (row,) = json.loads(ran.out)["records"]
    assert ran.code == 12
    assert (row["name"], row["reason"]) == (name, None)
    assert "missing" in row["problem"]
    assert name in ran.err


def test_a_record_under_another_one_s_name_is_told(callseal: Commands, asking: Archive) -> None:
    name = access_name((NOW + timedelta(days=3)).date(), keep(asking.office.store_path, 1).record)
    keep(asking.office.store_path, 1, name=name)

    ran = callseal("list", "--access", "--json")

    wrong = [row["name"] for row in json.loads(ran.out)["records"] if row["problem"]]
    assert ran.code == 12
    assert wrong == [name]
    assert "another one's name" in ran.err


def test_what_is_no_record_s_name_is_told(callseal: Commands, asking: Archive) -> None:
    keep(asking.office.store_path, 1, name="access/2026/11/22/notes.txt")

    ran = callseal("list", "--access", "--json")

    assert ran.code == 15
    assert json.loads(ran.out)["strangers"] == ["primary: access/2026/11/22/notes.txt"]


def test_what_an_examination_of_the_store_left_is_no_finding(callseal: Commands, asking: Archive) -> None:
    keep(asking.office.store_path, 1, name=f"access/check-{'0' * 32}")
    keep(asking.office.store_path, 2)

    ran = callseal("list", "--access", "--json")

    assert (ran.code, len(json.loads(ran.out)["records"])) == (0, 1)


def test_a_store_that_can_t_be_read_is_told(callseal: Commands, asking: Archive) -> None:
    (asking.office.store_path / ".callseal-store").unlink()

    ran = callseal("list", "--access")

    assert ran.code == 20
    assert "not a store" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--access", "--business", "sales"],
        ["--access", "--result", "ok"],
        ["--access", "--reason", "curious"],
        ["--recording", "abcdef"],
        ["--reason", "nothing is opened without a key"],
    ],
)
def test_options_that_do_not_go_together_are_refused(
    callseal: Commands, asking: Archive, arguments: list[str]
) -> None:
    ran = callseal("list", *arguments)

    assert (ran.code, ran.out) == (2, "")


def test_what_can_be_no_recording_is_refused(callseal: Commands, asking: Archive) -> None:
    ran = callseal("list", "--access", "--recording", "xyz")

    assert (ran.code, ran.out) == (10, "")
