"""``callseal keys rewrap`` makes copies that the new keys open, and leaves every original as it was."""

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from callseal.seal.age import (
    Encryptor,
    HybridIdentity,
    Identity,
    ScryptRecipient,
    X25519Identity,
    decrypt,
)
from callseal.seal.errors import NoIdentityMatch
from callseal.seal.keyfile import write_identity
from callseal.seal.secret import Secret
from support.age_peers import need
from support.bundle import Archive, flip, only, upload
from support.commands import Commands, Ran

NEW, RECOVERY = X25519Identity.generate(), X25519Identity.generate()
CREATED = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def recipients(tmp_path: Path) -> Path:
    path = tmp_path / "new-recipients.txt"
    path.write_text(f"{NEW.recipient.text}\n{RECOVERY.recipient.text}\n")
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "rewrapped"


def rewrap(callseal: Commands, archive: Archive, sources: list[Path], recipients: Path, out: Path) -> Ran:
    options = ("-i", archive.office.key_file, "-R", recipients, "-o", out)
    return callseal("keys", "rewrap", *sources, *options)


def contents(folder: Path) -> Mapping[str, bytes]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def opened(path: Path, identity: Identity) -> bytes:
    with path.open("rb") as file:
        return b"".join(decrypt(file, [identity]))


def test_a_recording_is_copied_whole_and_the_new_keys_open_it(
    callseal: Commands, archive: Archive, recipients: Path, out: Path
) -> None:
    source = archive.office.bundle(archive.recordings[2])

    ran = rewrap(callseal, archive, [source], recipients, out)

    copy = out / source.name
    assert ran.code == 0, ran.err
    assert sorted(path.name for path in copy.iterdir()) == sorted(path.name for path in source.iterdir())
    for path in source.glob("*.age"):
        plaintext = opened(path, archive.office.reader)
        assert opened(copy / path.name, NEW) == opened(copy / path.name, RECOVERY) == plaintext
        with pytest.raises(NoIdentityMatch):
            opened(copy / path.name, archive.office.reader)


def test_what_is_inside_is_still_what_the_signed_manifest_says(
    callseal: Commands, archive: Archive, recipients: Path, out: Path
) -> None:
    source = archive.office.bundle(archive.recordings[2])

    ran = rewrap(callseal, archive, [source], recipients, out)

    copy = out / source.name
    manifest = json.loads((copy / "manifest.json").read_bytes())
    assert (copy / "manifest.json").read_bytes() == (source / "manifest.json").read_bytes()
    assert (copy / "manifest.sig").read_bytes() == (source / "manifest.sig").read_bytes()
    for item in manifest["objects"]:
        plaintext = opened(copy / item["name"], NEW)
        assert hashlib.sha512(plaintext).hexdigest() == item["plaintext_sha512"]
    assert "sizes and SHA-256 are those of the originals" in ran.err
    assert "takes nothing away" in ran.err


def test_the_originals_stay_as_they_are(
    callseal: Commands, archive: Archive, recipients: Path, out: Path
) -> None:
    upload(archive.office, archive.recordings)
    before = contents(archive.office.root)

    rewrap(callseal, archive, [archive.office.store_path], recipients, out)

    assert contents(archive.office.root) == before
    callseal.use(archive.office.config_file)
    assert callseal("verify").code == 0


def test_a_whole_store_keeps_its_folders(
    callseal: Commands, archive: Archive, recipients: Path, out: Path
) -> None:
    ran = rewrap(callseal, archive, [archive.office.store_path], recipients, out)

    assert ran.code == 0
    assert "3 recordings or files re-wrapped" in ran.out
    names = {str(path.relative_to(archive.office.root)) for path in archive.office.store_path.rglob("*.age")}
    assert {str(path.relative_to(out)) for path in out.rglob("*.age")} == names


def test_copies_are_for_their_owner_alone(
    callseal: Commands, archive: Archive, recipients: Path, out: Path
) -> None:
    source = archive.office.bundle(archive.recordings[2])

    rewrap(callseal, archive, [source], recipients, out)

    assert (out / source.name).stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (out / source.name).iterdir()} == {0o600}


def test_a_single_file_is_rewrapped(
    callseal: Commands, archive: Archive, recipients: Path, out: Path
) -> None:
    source = only(archive.office.bundle(archive.recordings[2]), "audio-*.age")

    ran = rewrap(callseal, archive, [source], recipients, out)

    assert ran.code == 0
    assert opened(out / source.name, NEW) == opened(source, archive.office.reader)


def test_a_tail_under_a_passphrase_of_its_own_is_copied_as_it_is(
    callseal: Commands, archive: Archive, recipients: Path, out: Path
) -> None:
    """A recovered recording's tail opens with the passphrase that is sealed beside it."""
    source = archive.office.bundle(archive.recordings[2])
    sealer = Encryptor([ScryptRecipient(passphrase=Secret("p"), work_factor=1)])
    data = sealer.header() + sealer.update(b"the end") + sealer.finish()
    name = f"tail-{hashlib.sha256(data).hexdigest()}.age"
    (source / name).write_bytes(data)

    ran = rewrap(callseal, archive, [source], recipients, out)

    assert ran.code == 0, ran.err
    assert (out / source.name / name).read_bytes() == data


def test_a_classic_archive_becomes_post_quantum(
    callseal: Commands, archive: Archive, tmp_path: Path, out: Path
) -> None:
    identity, recovery = HybridIdentity.generate(), HybridIdentity.generate()
    recipients = tmp_path / "pq.txt"
    recipients.write_text(f"{identity.recipient.text}\n{recovery.recipient.text}\n")
    source = only(archive.office.bundle(archive.recordings[2]), "audio-*.age")

    ran = rewrap(callseal, archive, [source], recipients, out)

    assert ran.code == 0
    assert opened(out / source.name, identity) == opened(source, archive.office.reader)


@pytest.mark.parametrize("offset_bytes", [60, -1], ids=["header", "payload"])
def test_an_altered_recording_is_not_rewrapped_and_stops_no_other(
    callseal: Commands, archive: Archive, recipients: Path, out: Path, offset_bytes: int
) -> None:
    sources = [archive.office.stored(one) for one in archive.recordings[:2]]
    flip(only(sources[0], "audio-*.age"), offset_bytes)

    ran = rewrap(callseal, archive, sources, recipients, out)

    assert ran.code == 12
    assert "ALTERED" in ran.err
    assert [path.name for path in out.iterdir()] == [sources[1].name]
    assert "1 recording or file re-wrapped" in ran.out


def test_whoever_cannot_open_a_recording_gets_no_copy(
    callseal: Commands, archive: Archive, recipients: Path, out: Path, tmp_path: Path
) -> None:
    write_identity(tmp_path / "stranger.key", NEW, passphrase=None, created=CREATED)
    source = archive.office.bundle(archive.recordings[2])

    ran = callseal("keys", "rewrap", source, "-i", tmp_path / "stranger.key", "-R", recipients, "-o", out)

    assert ran.code == 11
    assert list(out.iterdir()) == []


def test_a_copy_that_is_there_is_never_written_over(
    callseal: Commands, archive: Archive, recipients: Path, out: Path
) -> None:
    source = archive.office.bundle(archive.recordings[2])
    (out / source.name).mkdir(parents=True)
    (out / source.name / "precious").write_text("x")

    ran = rewrap(callseal, archive, [source], recipients, out)

    assert ran.code == 2
    assert contents(out) == {f"{source.name}/precious": b"x"}


def test_what_a_killed_run_left_behind_is_made_anew(
    callseal: Commands, archive: Archive, recipients: Path, out: Path
) -> None:
    source = archive.office.bundle(archive.recordings[2])
    (out / f".tmp-{source.name}").mkdir(parents=True)
    (out / f".tmp-{source.name}" / "half.age").write_text("x")

    ran = rewrap(callseal, archive, [source], recipients, out)

    assert ran.code == 0
    assert [path.name for path in out.iterdir()] == [source.name]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([X25519Identity.generate().recipient.text, HybridIdentity.generate().recipient.text], "mixed"),
        ([], "no recipient"),
        ([X25519Identity.generate().text.reveal()], "PRIVATE KEY"),
    ],
    ids=["mixed", "none", "private"],
)
def test_recipients_that_no_file_can_have_are_refused_before_anything_is_written(
    callseal: Commands, archive: Archive, tmp_path: Path, lines: list[str], words: str
) -> None:
    recipients, out = tmp_path / "r.txt", tmp_path / "rewrapped"
    recipients.write_text("\n".join(lines) + "\n")

    ran = rewrap(callseal, archive, [archive.office.store_path], recipients, out)

    assert ran.code == 78
    assert words in ran.err
    assert not out.exists()


def test_one_recipient_alone_is_a_warning(
    callseal: Commands, archive: Archive, tmp_path: Path, out: Path
) -> None:
    (tmp_path / "r.txt").write_text(NEW.recipient.text + "\n")
    source = only(archive.office.bundle(archive.recordings[2]), "audio-*.age")

    ran = rewrap(callseal, archive, [source], tmp_path / "r.txt", out)

    assert ran.code == 0
    assert "WARNING" in ran.err


def test_what_is_not_there_or_holds_nothing_sealed_is_told(
    callseal: Commands, archive: Archive, recipients: Path, out: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()

    missing = rewrap(callseal, archive, [tmp_path / "missing"], recipients, out)
    empty = rewrap(callseal, archive, [tmp_path / "empty"], recipients, out)

    assert (missing.code, empty.code) == (2, 10)
    assert not out.exists()


def test_two_of_one_name_are_not_mixed_up(
    callseal: Commands, archive: Archive, recipients: Path, out: Path
) -> None:
    recording = archive.recordings[0]
    sources = [archive.office.stored(recording), archive.office.bundle(recording)]

    ran = rewrap(callseal, archive, sources, recipients, out)

    assert ran.code == 2
    assert not out.exists()


@pytest.mark.integration
def test_stock_age_opens_a_copy(
    callseal: Commands, archive: Archive, recipients: Path, out: Path, tmp_path: Path
) -> None:
    age = need("age", "apt-get install age")
    write_identity(tmp_path / "new.key", NEW, passphrase=None, created=CREATED)
    source = only(archive.office.bundle(archive.recordings[2]), "audio-*.age")
    rewrap(callseal, archive, [source], recipients, out)

    ran = subprocess.run(
        [age, "-d", "-i", tmp_path / "new.key", out / source.name], capture_output=True, check=True
    )

    assert ran.stdout == opened(source, archive.office.reader)


def test_a_link_in_a_recordings_folder_is_not_followed(
    callseal: Commands, archive: Archive, recipients: Path, out: Path
) -> None:
    """It could lead to a private key, which would lie in the copies for everybody who gets them."""
    source = archive.office.bundle(archive.recordings[2])
    (source / "notes.txt").symlink_to(archive.office.key_file)

    ran = rewrap(callseal, archive, [source], recipients, out)

    assert ran.code == 2
    assert "notes.txt" in ran.err
    assert contents(out) == {}


def test_links_below_a_folder_are_left_out(
    callseal: Commands, archive: Archive, recipients: Path, out: Path, tmp_path: Path
) -> None:
    sealed = only(archive.office.bundle(archive.recordings[2]), "call-*.age")
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "own.age").write_bytes(sealed.read_bytes())
    (folder / "linked.age").symlink_to(sealed)

    ran = rewrap(callseal, archive, [folder], recipients, out)

    assert ran.code == 0
    assert [*contents(out)] == ["files/own.age"]


def test_a_link_that_is_named_is_followed(
    callseal: Commands, archive: Archive, recipients: Path, out: Path, tmp_path: Path
) -> None:
    sealed = only(archive.office.bundle(archive.recordings[2]), "call-*.age")
    link = tmp_path / "linked.age"
    link.symlink_to(sealed)

    ran = rewrap(callseal, archive, [link], recipients, out)

    assert ran.code == 0
    assert opened(out / sealed.name, NEW) == opened(sealed, archive.office.reader)


def test_a_pipe_in_a_recordings_folder_holds_nobody_up(
    callseal: Commands, archive: Archive, recipients: Path, out: Path
) -> None:
    source = archive.office.bundle(archive.recordings[2])
    os.mkfifo(source / f"audio-{'0' * 64}.age")

    ran = rewrap(callseal, archive, [source], recipients, out)

    assert ran.code == 2
    assert "not a plain file" in ran.err
    assert contents(out) == {}
