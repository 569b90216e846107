"""An evidence folder is checked as its own statement says, by `age`, `openssl` and `sha256sum` alone."""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from callseal.cli.main import run
from support.bundle import Office, flip, only, open_office, record, record_exempt, upload
from support.by_hand import Statement, follow
from support.exhibits import cut_off, give_receipt, stamp, write_revocations
from support.sealed_recordings import STARTED_AT, organisation
from support.tsa import StampingAuthority

pytestmark = pytest.mark.integration

SUMS: Final = "The folder is complete"
SIGNER: Final = "The organisation vouches for the device"
REVOCATIONS: Final = "The device's key was not revoked"
MANIFEST: Final = "The manifest is what the device signed"
OBJECTS: Final = "The sealed objects are those of the manifest"
COPIES: Final = "The re-wrapped copies differ from the sealed objects in their header only"
SOUND: Final = "The sound is what was sealed"
RECOVERED: Final = "The sound is what was sealed, up to where the recorder ended"
CALL: Final = "The data of the call is what the device signed"
CONTENT: Final = "The data of the call speaks of this sound"
ENTRIES: Final = "The device's ledger speaks of this recording"
CHECKPOINT: Final = "The checkpoint of the ledger is signed by the device"
PROOF: Final = "The entries stand in the history under the checkpoint"
STAMP: Final = "The time stamp on the checkpoint"
RECEIPT: Final = "The custodian's receipt"
WHOLE: Final = (
    *(SUMS, SIGNER, REVOCATIONS, MANIFEST, OBJECTS, COPIES, SOUND, CALL, CONTENT),
    *(ENTRIES, CHECKPOINT, PROOF, STAMP, RECEIPT),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cabinet:
    """An office with everything that there can be: stamp, receipt, revocation list."""

    office: Office
    authority: StampingAuthority
    revocations: Path
    normal: UUID
    exempt: UUID
    recovered: UUID
    inner: bytes

    def export(self, recording: UUID, folder: Path, *more: str | Path) -> int:
        """Make an evidence folder; give the exit code."""
        office = self.office
        arguments: Sequence[str | Path] = (
            *("open", str(recording), "-i", office.key_file, "--config", office.config_file),
            *("--evidence", folder, "--stamp-roots", self.authority.roots_file),
            *("--revoked", self.revocations, *more),
        )
        return run([str(one) for one in arguments], dict(os.environ))


@pytest.fixture(scope="module")
def cabinet(tmp_path_factory: pytest.TempPathFactory) -> Cabinet:
    root = tmp_path_factory.mktemp("cabinet")
    office = open_office(root / "office")
    normal = record(office, 0)
    recovered, inner = cut_off(office, 1, size_bytes=150_000)
    exempt = record_exempt(office, 2)
    upload(office, [normal, recovered, exempt])
    authority = StampingAuthority(root / "tsa")
    stamp(office, authority)
    give_receipt(office, normal, received_at=STARTED_AT + timedelta(hours=1))
    return Cabinet(
        office=office,
        authority=authority,
        revocations=write_revocations(office, root / "crl.pem", now=datetime.now(UTC)),
        normal=normal,
        exempt=exempt,
        recovered=recovered,
        inner=inner,
    )


@pytest.fixture(scope="module")
def whole(cabinet: Cabinet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a normal recording with all that there can be; it is only read."""
    folder = tmp_path_factory.mktemp("whole") / "evidence"
    assert cabinet.export(cabinet.normal, folder) == 0
    return folder


def test_every_step_ends_and_prints_as_the_statement_says(whole: Path, tmp_path: Path) -> None:
    statement = Statement.of(whole)

    done = follow(whole, tmp_path)

    assert (done.code, done.out) == (0, statement.printed), done.err
    assert tuple(statement.steps) == WHOLE
    assert done.passed == list(range(1, len(WHOLE) + 1))


def test_the_chinese_statement_has_the_same_commands_and_the_file_of_commands_too(whole: Path) -> None:
    english, chinese = Statement.of(whole, "en"), Statement.of(whole, "zh")

    assert chinese.commands == english.commands
    assert chinese.printed == english.printed
    assert list(chinese.steps.values()) == list(english.steps.values())
    assert (whole / "check.sh").read_text() == "".join(english.commands)


def test_a_folder_that_nobody_may_write_to_is_checked_as_well(whole: Path, tmp_path: Path) -> None:
    """It comes to the court on a disc."""
    copy = shutil.copytree(whole, tmp_path / "disc")
    before = sorted(copy.rglob("*"))

    done = follow(copy, tmp_path)

    assert done.code == 0
    assert sorted(copy.rglob("*")) == before


def test_a_recovered_recording_s_statement_says_what_age_reports_at_the_cut(
    cabinet: Cabinet, tmp_path: Path
) -> None:
    folder = tmp_path / "evidence"
    code = cabinet.export(cabinet.recovered, folder)

    done = follow(folder, tmp_path)

    statement = Statement.of(folder)
    assert (code, done.code, done.out) == (0, 0, statement.printed), done.err
    assert RECOVERED in statement.steps
    reported = next(line for line in done.err.splitlines() if line.startswith("age: error"))
    assert f"\n    {reported}\n" in statement.text
    assert f"\n    {reported}\n" in Statement.of(folder, "zh").text
    assert (folder / "inner.au").read_bytes() == cabinet.inner


@pytest.mark.parametrize(
    ("size_bytes", "lost_chunks"),
    [(20_000, 0), (65_536, 0), (131_072, 0), (200_000, 1), (200_000, 2)],
    ids=["tail only", "a full tail", "whole chunks", "a chunk lost", "two chunks lost"],
)
def test_a_recording_is_put_together_by_hand_wherever_the_recorder_ended(
    tmp_path: Path, size_bytes: int, lost_chunks: int
) -> None:
    office = open_office(tmp_path / "office")
    recording, inner = cut_off(office, 1, size_bytes=size_bytes, lost_chunks=lost_chunks)
    folder = tmp_path / "evidence"
    ran = run(
        [
            *("open", str(recording), "-i", str(office.key_file), "--config", str(office.config_file)),
            *("--evidence", str(folder)),
        ],
        dict(os.environ),
    )

    done = follow(folder, tmp_path)

    there = (folder / "inner.au").read_bytes()
    assert (ran, done.code, done.out) == (0, 0, Statement.of(folder).printed), done.err
    assert len(there) == len(inner)
    assert there[-1000:] == inner[-1000:]
    assert (there == inner) == (lost_chunks == 0)
    assert ("bytes of the sound are lost" in Statement.of(folder).text) == (lost_chunks > 0)


def test_a_sealed_sound_that_has_its_last_chunk_opens_without_an_error(tmp_path: Path) -> None:
    """The recorder ended between the last chunk and the manifest, and the chunk is a full one."""
    office = open_office(tmp_path / "office")
    recording, inner = cut_off(office, 1, size_bytes=131_072, ended=True)
    folder = tmp_path / "evidence"
    ran = run(
        [
            *("open", str(recording), "-i", str(office.key_file), "--config", str(office.config_file)),
            *("--evidence", str(folder)),
        ],
        dict(os.environ),
    )

    done = follow(folder, tmp_path)

    assert (ran, done.code, done.out) == (0, 0, Statement.of(folder).printed), done.err
    assert (folder / "inner.au").read_bytes() == inner
    assert "age: error" not in done.err
    assert RECOVERED not in Statement.of(folder).steps


def test_a_post_quantum_recording_s_copies_open_with_the_age_that_is_installed_here(tmp_path: Path) -> None:
    office = open_office(tmp_path / "office", classic=False)
    recording = record(office, 0)
    folder = tmp_path / "evidence"
    run(
        [
            *("open", str(recording), "-i", str(office.key_file), "--config", str(office.config_file)),
            *("--evidence", str(folder)),
        ],
        dict(os.environ),
    )

    done = follow(folder, tmp_path)

    assert (done.code, done.out) == (0, Statement.of(folder).printed), done.err
    assert b"mlkem768x25519" in only(folder / "sealed", "audio-*.age").read_bytes()[:200]
    assert b"-> X25519 " in (folder / "rewrapped" / "audio.age").read_bytes()[:40]


def test_a_call_that_was_not_recorded_has_evidence_of_that(cabinet: Cabinet, tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    code = cabinet.export(cabinet.exempt, folder)

    done = follow(folder, tmp_path)

    assert (code, done.code, done.out) == (0, 0, Statement.of(folder).printed), done.err
    assert not (folder / "inner.au").exists()
    assert SOUND not in Statement.of(folder).steps


def test_a_signer_whom_nobody_vouches_for_is_followed_as_far_as_it_goes(
    cabinet: Cabinet, tmp_path: Path
) -> None:
    folder, stranger = tmp_path / "evidence", tmp_path / "others.pem"
    stranger.write_bytes(organisation("Somebody else").root.public_bytes(Encoding.PEM))
    office = cabinet.office
    run(
        [
            *("open", str(cabinet.normal), "-i", str(office.key_file), "--store", str(office.store_path)),
            *("--evidence", str(folder), "--roots", str(stranger)),
        ],
        dict(os.environ),
    )

    done = follow(folder, tmp_path)

    assert (done.code, done.out) == (0, Statement.of(folder).printed), done.err
    assert not {SIGNER, REVOCATIONS, RECEIPT, STAMP} & Statement.of(folder).steps.keys()
    assert not (folder / "certificates" / "root.pem").exists()


def test_a_revoked_device_s_statement_shows_since_when_and_what_was_there_before(
    cabinet: Cabinet, tmp_path: Path
) -> None:
    folder = tmp_path / "evidence"
    now = datetime.now(UTC) + timedelta(days=2)
    revoked = write_revocations(
        cabinet.office, tmp_path / "revoked.pem", now=now, since=now - timedelta(days=1)
    )
    code = cabinet.export(cabinet.recovered, folder, "--revoked", revoked)

    done = follow(folder, tmp_path)

    assert (code, done.code, done.out) == (0, 0, Statement.of(folder).printed), done.err
    assert "The device's key was revoked, and since when" in Statement.of(folder).steps
    assert "the time stamp of" in Statement.of(folder).text


# --- what was altered: the step that finds it --------------------------------------------------------


def flip_last(path: Path) -> None:
    flip(path, -1)


def flip_header(path: Path) -> None:
    flip(path, 60)


def flip_middle(path: Path) -> None:
    flip(path, path.stat().st_size // 2)


def another_result(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"result": "ok"', b'"result": "failed"'))


def another_key(path: Path) -> None:
    path.write_bytes(organisation("Somebody else").chain[0])


def another_root(path: Path) -> None:
    path.write_bytes(organisation("Somebody else").root.public_bytes(Encoding.PEM))


def another_side(path: Path) -> None:
    left = path.name.endswith("left")
    path.rename(path.with_name(path.name.replace(*(("left", "right") if left else ("right", "left")))))


def another_size(path: Path) -> None:
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], lines[1] + b"0", *lines[2:]]))


def another_signature_line(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n\xe2\x80\x94 ", b"\n\xe2\x80\x94  "))


def gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("pattern", "alter", "step"),
    [
        ("certificates/device.pem", flip_middle, SIGNER),
        ("certificates/device.pem", another_key, SIGNER),
        ("certificates/root.pem", another_root, SIGNER),
        ("certificates/crl.pem", flip_middle, REVOCATIONS),
        ("sealed/manifest.json", another_result, MANIFEST),
        ("sealed/manifest.sig", flip_last, MANIFEST),
        ("sealed/audio-*.age", flip_last, OBJECTS),
        ("sealed/call-*.age", flip_header, OBJECTS),
        ("sealed/audio-*.age", gone, OBJECTS),
        ("rewrapped/audio.age", flip_last, COPIES),
        ("rewrapped/call.age", flip_last, COPIES),
        ("rewrapped/audio.age", flip_header, SOUND),
        ("rewrapped/one-off.key", flip_last, SOUND),
        ("inner.au", flip_middle, SOUND),
        ("rewrapped/call.age", flip_header, CALL),
        ("vcon/call.jws", flip_middle, CALL),
        ("vcon/vcon.json", flip_middle, CALL),
        ("vcon/protected.json", flip_middle, CALL),
        ("vcon/vcon.sig", flip_last, CALL),
        ("ledger/entry-1.json", flip_middle, ENTRIES),
        ("ledger/entry-2.json", flip_middle, ENTRIES),
        ("ledger/entry-2.sig", flip_last, ENTRIES),
        ("ledger/checkpoint", another_size, CHECKPOINT),
        ("ledger/checkpoint.sig", flip_last, CHECKPOINT),
        ("ledger/proof-2/01-*", flip_last, PROOF),
        ("ledger/proof-1/02-*", another_side, PROOF),
        ("ledger/proof-2/02-*", gone, PROOF),
        ("ledger/checkpoint", another_signature_line, STAMP),
        ("ledger/stamp.tsr", flip_middle, STAMP),
        ("ledger/stamp.tsr", flip_last, STAMP),
        ("certificates/tsa.pem", another_root, STAMP),
        ("certificates/custodian.pem", another_key, RECEIPT),
        ("receipt/receipt.json", flip_middle, RECEIPT),
        ("receipt/protected.json", flip_middle, RECEIPT),
        ("receipt/receipt.sig", flip_last, RECEIPT),
    ],
)
def test_the_steps_find_what_was_altered_even_where_the_sums_were_written_anew(
    whole: Path, tmp_path: Path, pattern: str, alter: Callable[[Path], None], step: str
) -> None:
    folder = shutil.copytree(whole, tmp_path / "evidence")
    alter(only(folder, pattern))
    write_sums(folder)

    done = follow(folder, tmp_path)

    number = Statement.of(folder).steps[step]
    assert done.code != 0
    assert done.passed == list(range(1, number))


@pytest.mark.parametrize("name", ["audio.wav", "inner.au", "check.sh", "ledger/stamp.tsr", "STATEMENT.zh.md"])
def test_the_sums_find_what_was_altered(whole: Path, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(whole, tmp_path / "evidence")
    flip(folder / name, -1)

    done = follow(folder, tmp_path)

    assert done.code != 0
    assert done.passed == []


def test_another_recording_s_sound_is_not_taken_for_this_one_s(
    cabinet: Cabinet, whole: Path, tmp_path: Path
) -> None:
    """The proofs are genuine, the sound is, and they do not belong together."""
    other, folder = tmp_path / "other", shutil.copytree(whole, tmp_path / "evidence")
    cabinet.export(cabinet.recovered, other)
    for name in ("inner.au", "rewrapped/audio.age", "rewrapped/one-off.key"):
        shutil.copyfile(other / name, folder / name)
    write_sums(folder)

    done = follow(folder, tmp_path)

    assert done.code != 0
    assert done.passed[-1] == Statement.of(folder).steps[COPIES] - 1


def write_sums(folder: Path) -> None:
    lines = (
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "SHA256SUMS"
    )
    (folder / "SHA256SUMS").write_text("".join(lines))
