"""What `docs/format.md` says can be done without Callseal: its commands, run as they stand there."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from callseal.seal.keyfile import write_identity
from support.age_peers import need
from support.commands import ANSWER_PROMPT
from support.recorded_calls import (
    CLASSIC,
    HANGUP,
    OWNER,
    QUIET,
    RATE_HZ,
    ULAW,
    answered,
    block,
    coded,
    open_bundle,
    record_call,
    recording_desk,
    recovery,
    talk,
    unsealed,
)
from support.sealed_recordings import organisation

pytestmark = pytest.mark.integration

PAGE = Path(__file__).resolve().parents[2] / "docs" / "format.md"
PUBLIC, LEDGER, OPEN, OPEN_RECOVERED, DATA = re.findall(
    r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)


def bundle(folder: Path, *, recorded: bool = True) -> Path:
    """Seal one call; give its folder. The reader's key and the root lie beside the spool."""
    write_identity(folder / "reader.key", CLASSIC, passphrase=None, created=datetime.now(UTC))
    (folder / "roots.pem").write_bytes(OWNER.root.public_bytes(Encoding.PEM))
    with recording_desk(folder / "spool") as desk:
        if recorded:
            record_call(desk)
        else:
            desk.recorder.exempt(QUIET, HANGUP)
        (path,) = desk.ready()
    keep_ledger(folder)
    return path


def recovered_bundle(folder: Path, seconds: float) -> Path:
    """Seal a call whose agent dies, and let the next one recover it; give its folder."""
    write_identity(folder / "reader.key", CLASSIC, passphrase=None, created=datetime.now(UTC))
    (folder / "roots.pem").write_bytes(OWNER.root.public_bytes(Encoding.PEM))
    frames = coded(talk(round(seconds * RATE_HZ)), ULAW)
    with recording_desk(folder / "spool") as desk:
        recording = desk.recorder.open(QUIET, ULAW)
        desk.recorder.event(recording, answered())
        desk.recorder.write(block(recording, 0, frames))
        desk.clock.elapsed_s += 1.0
        desk.recorder.tick()
    with recording_desk(folder / "spool") as desk:
        recovery(desk).run()
        (path,) = desk.ready()
    keep_ledger(folder)
    return path


def keep_ledger(folder: Path) -> None:
    """Put the ledger's finished segments where a store has them."""
    (folder / "ledger").mkdir()
    for segment in (folder / "spool" / "ledger").glob("[0-9]*.jsonl"):
        shutil.copy(segment, folder / "ledger")


def follow(
    page: str, path: Path, *, roots: str = "roots.pem", passphrase: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Do what the page says, in the recording's folder; type the passphrase where one is asked for."""
    for program in ("age", "openssl"):
        need(program, f"apt-get install {program}")
    beside = path.parents[2]
    (beside / "tmp").mkdir(exist_ok=True)
    env = {
        **os.environ,
        "key": str(beside / "reader.key"),
        "roots": str(beside / roots),
        "ledger": str(beside / "ledger"),
        "TMPDIR": str(beside / "tmp"),
    }
    command = ["sh", "-c", page]
    if passphrase:
        command = [sys.executable, str(ANSWER_PROMPT), passphrase, *command]
    return subprocess.run(command, cwd=path, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_recording_is_checked_and_opened_by_hand_as_the_page_says(
    tmp_path: Path, *, recorded: bool
) -> None:
    """Every command ends well, and the last line says so."""
    path = bundle(tmp_path, recorded=recorded)

    done = follow(PUBLIC + LEDGER + OPEN + DATA, path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("well")
    sounds = [path.read_bytes()[:4] for path in (tmp_path / "tmp").rglob("audio")]
    assert sounds == ([b".snd"] if recorded else [])


@pytest.mark.parametrize("seconds", [2.0, 11.0])
def test_a_recovered_recording_is_opened_by_hand_as_the_page_says(tmp_path: Path, seconds: float) -> None:
    """With its tail it is what was safe, to the byte, be it shorter than a chunk or longer."""
    path = recovered_bundle(tmp_path, seconds)
    passphrase = unsealed(next(path.glob("tailkey-*"))).decode().strip()

    done = follow(PUBLIC + LEDGER + OPEN_RECOVERED + DATA, path, passphrase=passphrase)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("well")
    (sound,) = (tmp_path / "tmp").rglob("audio")
    assert sound.read_bytes() == open_bundle(path).inner
    assert sound.stat().st_size == 32 + round(seconds * RATE_HZ) * 2


def alter_entry(ledger: Path) -> None:
    segment = ledger / "0.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b'"result":"ok"', b'"result":"failed"'))


def swap_entries(ledger: Path) -> None:
    segment = ledger / "0.jsonl"
    first, second, *others = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join([second, first, *others]))


def lose_entry(ledger: Path) -> None:
    segment = ledger / "0.jsonl"
    *others, _last, checkpoint = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join([*others, checkpoint]))


def alter_checkpoint(ledger: Path) -> None:
    segment = ledger / "0.jsonl"
    *entries, checkpoint = segment.read_bytes().splitlines(keepends=True)
    lines = checkpoint.split(b"\\n")
    lines[1] = str(int(lines[1]) + 1).encode()
    segment.write_bytes(b"".join([*entries, b"\\n".join(lines)]))


def lose_all(ledger: Path) -> None:
    (ledger / "0.jsonl").write_bytes(b"")


@pytest.mark.parametrize("alter", [alter_entry, swap_entries, lose_entry, alter_checkpoint, lose_all])
def test_an_altered_ledger_ends_the_page_s_commands(tmp_path: Path, alter: Callable[[Path], None]) -> None:
    """Signature, order, number, checkpoint, and that the recording stands in it."""
    path = bundle(tmp_path)
    assert follow(PUBLIC + LEDGER, path).returncode == 0
    alter(tmp_path / "ledger")

    done = follow(PUBLIC + LEDGER, path)

    assert done.returncode != 0, done.stdout


def alter_audio(path: Path) -> None:
    (audio,) = path.glob("audio-*")
    data = bytearray(audio.read_bytes())
    data[-1] ^= 1
    audio.write_bytes(data)


def alter_manifest(path: Path) -> None:
    manifest = path / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"result": "ok"', b'"result": "failed"'))


def lose_audio(path: Path) -> None:
    next(path.glob("audio-*")).unlink()


def add_a_file(path: Path) -> None:
    (path / "other.txt").write_text("not of this recording\n")


@pytest.mark.parametrize("alter", [alter_audio, alter_manifest, lose_audio, add_a_file])
def test_what_was_altered_ends_the_page_s_commands(tmp_path: Path, alter: Callable[[Path], None]) -> None:
    """No private key is needed to find it."""
    path = bundle(tmp_path)
    alter(path)

    done = follow(PUBLIC, path)

    assert done.returncode != 0, done.stdout


def test_another_organisation_s_root_ends_the_page_s_commands(tmp_path: Path) -> None:
    """A signature that fits is not enough."""
    path = bundle(tmp_path)
    (tmp_path / "others.pem").write_bytes(organisation("Somebody else").root.public_bytes(Encoding.PEM))

    done = follow(PUBLIC, path, roots="others.pem")

    assert done.returncode != 0
    assert "leaf.pem" in done.stderr
