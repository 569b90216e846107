"""The entry point: what every command has in common."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from callseal.cli import places
from callseal.cli.commands import ENTRIES
from support.bundle import Archive
from support.commands import PROGRAM, Commands

COMMANDS = [
    ("demo",),
    ("init",),
    ("stamp",),
    ("keys", "new"),
    ("keys", "show"),
    ("keys", "certify"),
    ("keys", "revoke"),
    ("keys", "rewrap"),
    ("enroll",),
    ("agent",),
    ("uploader",),
    ("config", "show"),
    ("config", "check"),
    ("spool", "init"),
    ("store", "init"),
    ("store", "check"),
    ("store", "drill"),
    ("custodian",),
    ("health",),
    ("retention", "set"),
    ("retention", "show"),
    ("hold", "add"),
    ("hold", "remove"),
    ("hold", "list"),
    ("list",),
    ("open",),
    ("verify",),
]


def test_the_list_of_commands_names_them_all(callseal: Commands) -> None:
    ran = callseal("--help")

    assert ran.code == 0
    assert {command[0] for command in COMMANDS} == {entry.name for entry in ENTRIES}
    for entry in ENTRIES:
        assert f" {entry.name} " in ran.out


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(callseal: Commands, command: tuple[str, ...]) -> None:
    ran = callseal(*command, "--help")

    assert ran.code == 0
    assert f"Example: callseal {' '.join(command)}" in ran.out


def test_the_version_is_told(callseal: Commands) -> None:
    ran = callseal("--version")

    assert ran.code == 0
    assert ran.out.startswith("callseal ")


def test_help_loads_no_cryptography_and_no_signal_work(callseal: Commands) -> None:
    program = (
        "import os, sys; from callseal.cli.main import run; run(['--help'], os.environ);"
        "heavy = {'numpy', 'cryptography', 'pydantic', 'soundfile'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ran.stderr.strip() == "[]"


@pytest.mark.parametrize("slow", ["cryptography", "numpy", "pydantic", "pydantic_settings", "soundfile"])
def test_help_loads_nothing_that_takes_its_time(slow: str) -> None:
    """It is there at once: on a quiet machine in a seventh of a second, half of which is Python itself."""
    env = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}

    ran = subprocess.run([PROGRAM, "--help"], capture_output=True, check=True, text=True, env=env)

    loaded = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if "|" in line}
    assert "callseal.cli.commands" in loaded
    assert slow not in loaded


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frob"], "No such command 'frob'"),
        (["list", "--frob"], "No such option: --frob"),
        (["open"], "Missing argument 'RECORDING'"),
        (["list", "--result", "great"], "great"),
    ],
)
def test_a_wrong_use_is_said_in_one_line_under_the_usage(
    callseal: Commands, arguments: list[str], words: str
) -> None:
    ran = callseal(*arguments)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("Usage: callseal")
    assert words in ran.err.splitlines()[-1]


def test_no_command_shows_the_help(callseal: Commands) -> None:
    ran = callseal()

    assert ran.code == 2
    assert "verify" in ran.out
    assert ran.err == ""


def test_missing_settings_are_a_configuration_error_that_says_what_to_do(callseal: Commands) -> None:
    ran = callseal("list")

    assert ran.code == 78
    assert "callseal init" in ran.err


def test_a_store_that_is_no_store_can_not_be_reached(callseal: Commands, tmp_path: Path) -> None:
    ran = callseal("list", "--store", tmp_path)

    assert ran.code == 20
    assert "is its disk mounted?" in ran.err


def test_an_unexpected_error_is_said_to_be_a_bug_of_ours(
    callseal: Commands, whole_archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_places: object) -> None:
        raise LookupError("nobody thought of this")

    monkeypatch.setattr(places, "scan", broken)

    ran = callseal("list", "--store", whole_archive.office.store_path)

    assert ran.code == 1
    assert "Traceback" in ran.err
    assert "this is a bug in callseal" in ran.err.splitlines()[-1]


def test_an_interrupted_command_ends_as_shells_expect(
    callseal: Commands, whole_archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_places: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(places, "scan", interrupted)

    ran = callseal("list", "--store", whole_archive.office.store_path)

    assert (ran.code, ran.out) == (130, "")


@pytest.mark.parametrize("arguments", [["--help"], ["list", "--help"], ["list"], ["list", "--json"]])
def test_a_closed_pipe_ends_a_command_without_a_word(
    callseal: Commands, whole_archive: Archive, arguments: list[str]
) -> None:
    callseal.use(whole_archive.office.config_file)
    reader, writer = os.pipe()
    os.close(reader)

    ran = subprocess.run([PROGRAM, *arguments], stdout=writer, stderr=subprocess.PIPE, check=False)

    os.close(writer)
    assert (ran.returncode, ran.stderr) == (141, b"")


LONG = "a" * 300


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["open", LONG, "-i", "k", "--store", "/nowhere"], 10),
        (["open", f"./{LONG}", "-i", "k"], 2),
        (["open", "dcff44", "-i", "k", "-o", f"{LONG}.wav"], 2),
        (["open", "dcff44", "-i", "k", "--store", "/nowhere", "--roots", LONG], 2),
        (["keys", "new", "-o", LONG], 2),
        (["keys", "show", LONG], 2),
        (["init", "--dir", LONG, "--site", "bj", "--pbx", "sip:pbx.example"], 2),
        (["list", "--config", LONG], 78),
        (["list", "--store", LONG], 20),
        (["store", "init", LONG], 20),
    ],
)
def test_a_name_that_no_disk_takes_is_no_bug_of_ours(
    callseal: Commands, arguments: list[str], code: int
) -> None:
    ran = callseal(*arguments)

    assert ran.code == code
    assert "Traceback" not in ran.err
