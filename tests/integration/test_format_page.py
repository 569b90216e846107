"""What `docs/format.md` says can be done without Callseal: its commands, run as they stand there."""

import os
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from callseal.seal.keyfile import write_identity
from support.age_peers import need
from support.recorded_calls import CLASSIC, HANGUP, OWNER, QUIET, record_call, recording_desk
from support.sealed_recordings import organisation

pytestmark = pytest.mark.integration

PAGE = Path(__file__).resolve().parents[2] / "docs" / "format.md"
PUBLIC, PRIVATE = re.findall(
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
    return path


def follow(page: str, path: Path, *, roots: str = "roots.pem") -> "subprocess.CompletedProcess[str]":
    """Do what the page says, in the recording's folder."""
    for program in ("age", "openssl"):
        need(program, f"apt-get install {program}")
    beside = path.parents[2]
    (beside / "tmp").mkdir(exist_ok=True)
    env = {
        **os.environ,
        "key": str(beside / "reader.key"),
        "roots": str(beside / roots),
        "TMPDIR": str(beside / "tmp"),
    }
    return subprocess.run(
        ["sh", "-c", page], cwd=path, env=env, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("recorded", [True, False])
def test_a_recording_is_checked_and_opened_by_hand_as_the_page_says(
    tmp_path: Path, *, recorded: bool
) -> None:
    """Every command ends well, and the last line says so."""
    path = bundle(tmp_path, recorded=recorded)

    done = follow(PUBLIC + PRIVATE, path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("well")
    sounds = [path.read_bytes()[:4] for path in (tmp_path / "tmp").rglob("audio")]
    assert sounds == ([b".snd"] if recorded else [])


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
