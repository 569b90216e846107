"""``callseal open --evidence`` makes a whole folder or none, and its statement claims what was checked."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import soundfile
from cryptography.hazmat.primitives.serialization import Encoding

from callseal.agent.call import Party
from callseal.cli.evidence import words
from callseal.cli.evidence.gaps import Code
from callseal.codecs import g711
from callseal.codecs.au import AuHeader
from callseal.codecs.au import Encoding as Coding
from callseal.seal.age import X25519Identity, decrypt
from callseal.seal.errors import NoIdentityMatch
from callseal.seal.keyfile import read_identities, write_identity
from callseal.seal.ledger.clock import Clocks
from callseal.seal.ledger.entry import Kind
from callseal.seal.ledger.journal import Journal
from callseal.seal.manifest import Result, parse
from callseal.seal.reasons import Language
from support.bundle import RATE_HZ, Archive, flip, only, open_office, record, sound, upload
from support.by_hand import Statement
from support.commands import PROGRAM, Commands, Ran
from support.exhibits import give_receipt, write_revocations
from support.sealed_recordings import STARTED_AT, organisation, rewrite_manifest

GAPS: Final = ["no-revocations", "no-stamp", "no-receipt"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return the folder in which evidence is made."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def exported(callseal: Commands, archive: Archive, out: Path, *more: str | Path, number: int = 0) -> Ran:
    office = archive.office
    return callseal(
        *("open", str(archive.recordings[number]), "-i", office.key_file, "--config", office.config_file),
        *("--evidence", out / "evidence", *more),
    )


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def gaps(ran: Ran) -> list[str]:
    document = json.loads(ran.out)
    return [str(one) for one in document["evidence"]["gaps"]]


def test_the_folder_holds_the_recording_all_that_proves_it_and_how_to_check_it(
    callseal: Commands, whole_archive: Archive, out: Path
) -> None:
    ran = exported(callseal, whole_archive, out)

    evidence = out / "evidence"
    assert ran.code == 0
    assert left_behind(evidence) == [
        *("SHA256SUMS", "STATEMENT.en.md", "STATEMENT.zh.md", "audio.wav", "certificates", "check.sh"),
        *("inner.au", "ledger", "rewrapped", "sealed", "vcon"),
    ]
    assert left_behind(evidence / "vcon") == ["call.jws", "protected.json", "vcon.json", "vcon.sig"]
    assert left_behind(evidence / "certificates") == ["device.pem", "root.pem"]
    assert left_behind(out) == ["evidence"]


def test_the_person_is_told_where_it_lies_what_to_note_and_what_it_lacks(
    callseal: Commands, whole_archive: Archive, out: Path
) -> None:
    ran = exported(callseal, whole_archive, out)

    sums = subprocess.run(
        ["sha256sum", out / "evidence" / "SHA256SUMS"], capture_output=True, text=True, check=True
    )
    assert f"UNENCRYPTED in {out / 'evidence'}" in ran.err
    assert sums.stdout.split()[0] in ran.err
    assert "WARNING" in ran.err
    assert ", ".join(GAPS) in ran.err
    assert "Wang Fang" in ran.out


def test_only_its_owner_can_look_into_it(callseal: Commands, whole_archive: Archive, out: Path) -> None:
    exported(callseal, whole_archive, out)

    evidence = out / "evidence"
    assert {path.stat().st_mode & 0o777 for path in (evidence, *evidence.rglob("*")) if path.is_dir()} == {
        0o700
    }
    assert {path.stat().st_mode & 0o777 for path in evidence.rglob("*") if path.is_file()} == {0o600}


def test_the_inner_file_is_the_sealed_one_and_the_wav_sounds_the_same(
    callseal: Commands, whole_archive: Archive, out: Path
) -> None:
    exported(callseal, whole_archive, out)

    header = bytes(AuHeader(encoding=Coding.ALAW, rate_hz=RATE_HZ, channels=2))
    samples, rate_hz = soundfile.read(out / "evidence" / "audio.wav", dtype="int16")
    assert (out / "evidence" / "inner.au").read_bytes() == header + sound().tobytes()
    assert rate_hz == RATE_HZ
    np.testing.assert_array_equal(samples, g711.decode(sound(), g711.Law.A))


def test_the_sealed_objects_are_those_of_the_store(
    callseal: Commands, whole_archive: Archive, out: Path
) -> None:
    exported(callseal, whole_archive, out)

    stored = whole_archive.office.stored(whole_archive.recordings[0])
    there = {path.name: path.read_bytes() for path in (out / "evidence" / "sealed").iterdir()}
    assert there == {path.name: path.read_bytes() for path in stored.iterdir()}


def test_the_one_off_key_opens_the_copies_and_nothing_else(
    callseal: Commands, whole_archive: Archive, out: Path
) -> None:
    exported(callseal, whole_archive, out)

    evidence = out / "evidence"
    one_off = read_identities(evidence / "rewrapped" / "one-off.key", passphrase=None)
    copy = (evidence / "rewrapped" / "audio.age").read_bytes()
    original = only(evidence / "sealed", "audio-*.age").read_bytes()
    assert b"".join(decrypt(BytesIO(copy), one_off)) == (evidence / "inner.au").read_bytes()
    with pytest.raises(NoIdentityMatch):
        decrypt(BytesIO(original), one_off)
    with pytest.raises(NoIdentityMatch):
        decrypt(BytesIO(copy), [whole_archive.office.reader])


def test_each_folder_has_a_key_of_its_own(callseal: Commands, whole_archive: Archive, tmp_path: Path) -> None:
    keys = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        exported(callseal, whole_archive, tmp_path / name)
        keys.append((tmp_path / name / "evidence" / "rewrapped" / "one-off.key").read_text())

    assert keys[0].splitlines()[1:] != keys[1].splitlines()[1:]


def test_json_has_the_folder_the_hash_to_note_and_the_gaps(
    callseal: Commands, whole_archive: Archive, out: Path
) -> None:
    ran = exported(callseal, whole_archive, out, "--json")

    document = json.loads(ran.out)
    assert document["type"] == "callseal-open/1"
    assert document["output"] is None
    assert document["vcon"]["uuid"] == str(whole_archive.recordings[0])
    assert document["evidence"]["folder"] == str(out / "evidence")
    assert len(document["evidence"]["sums_sha256"]) == 64
    assert document["evidence"]["gaps"] == GAPS


def test_an_empty_folder_is_taken_one_with_something_in_it_is_left_alone(
    callseal: Commands, whole_archive: Archive, out: Path, tmp_path: Path
) -> None:
    (out / "evidence").mkdir()
    taken = tmp_path / "taken"
    (taken / "evidence").mkdir(parents=True)
    (taken / "evidence" / "mine").write_text("mine")

    into_empty = exported(callseal, whole_archive, out)
    into_taken = exported(callseal, whole_archive, taken)

    assert into_empty.code == 0
    assert (out / "evidence" / "STATEMENT.zh.md").is_file()
    assert into_taken.code == 2
    assert left_behind(taken / "evidence") == ["mine"]
    assert left_behind(taken) == ["evidence"]


def test_a_file_for_the_sound_alone_is_not_made_besides(
    callseal: Commands, whole_archive: Archive, out: Path
) -> None:
    ran = exported(callseal, whole_archive, out, "-o", out / "call.wav")

    assert ran.code == 2
    assert left_behind(out) == []


# --- nothing half-made ------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["audio-*.age", "call-*.age"])
@pytest.mark.parametrize("offset_bytes", [60, -1])
def test_of_an_altered_recording_nothing_is_left(
    callseal: Commands, archive: Archive, out: Path, pattern: str, offset_bytes: int
) -> None:
    flip(only(archive.office.stored(archive.recordings[0]), pattern), offset_bytes)

    ran = exported(callseal, archive, out)

    assert (ran.code, ran.out) == (12, "")
    assert left_behind(out) == []


def test_a_wrong_key_leaves_nothing(
    callseal: Commands, whole_archive: Archive, out: Path, tmp_path: Path
) -> None:
    office = whole_archive.office
    write_identity(tmp_path / "k", X25519Identity.generate(), passphrase=None, created=STARTED_AT)

    ran = callseal(
        *("open", str(whole_archive.recordings[0]), "-i", tmp_path / "k", "--config", office.config_file),
        *("--evidence", out / "evidence"),
    )

    assert ran.code == 11
    assert left_behind(out) == []


def test_a_full_disk_leaves_nothing(callseal: Commands, whole_archive: Archive, out: Path) -> None:
    office = whole_archive.office
    command: list[str | Path] = [
        *(PROGRAM, "open", str(whole_archive.recordings[0]), "-i", office.key_file),
        *("--config", office.config_file, "--evidence", "evidence"),
    ]

    ran = subprocess.run(
        ["bash", "-c", 'ulimit -f 200; exec "$@"', "-", *command],
        cwd=out,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 2
    assert "can't be written" in ran.stderr
    assert left_behind(out) == []


def test_what_the_device_s_own_ledger_contradicts_is_no_evidence(
    callseal: Commands, archive: Archive, out: Path
) -> None:
    """Somebody has the device's key and signs another manifest: the chain knows better."""
    folder = archive.office.stored(archive.recordings[0])
    manifest = parse((folder / "manifest.json").read_bytes())
    rewrite_manifest(folder, archive.office.organisation, manifest, result=Result.DEGRADED)

    ran = exported(callseal, archive, out)

    assert (ran.code, ran.out) == (12, "")
    assert "ledger" in ran.err
    assert left_behind(out) == []


def test_what_a_trusted_custodian_s_receipt_contradicts_is_no_evidence(
    callseal: Commands, archive: Archive, out: Path
) -> None:
    give_receipt(
        archive.office, archive.recordings[0], received_at=STARTED_AT + timedelta(hours=1), manifest=bytes(32)
    )

    ran = exported(callseal, archive, out)

    assert (ran.code, ran.out) == (12, "")
    assert "another manifest" in ran.err
    assert left_behind(out) == []


# --- the statement claims what was checked -----------------------------------------------------------


def test_without_any_ledger_at_hand_none_is_spoken_of(
    callseal: Commands, archive: Archive, out: Path
) -> None:
    folder = shutil.copytree(archive.office.bundle(archive.recordings[0]), out / "copy")
    office = archive.office

    ran = callseal(
        *("open", folder, "-i", office.key_file, "--roots", office.roots_file, "--json"),
        *("--evidence", out / "evidence"),
    )

    statement = Statement.of(out / "evidence")
    assert ran.code == 0
    assert gaps(ran) == ["no-revocations", "no-ledger", "no-receipt"]
    assert "**The device's ledger was not at hand.**" in statement.text
    assert "The device's ledger speaks of this recording" not in statement.steps
    assert not (out / "evidence" / "ledger").exists()


def test_a_folder_in_a_store_finds_its_ledger_there_and_another_can_be_named(
    callseal: Commands, archive: Archive, out: Path
) -> None:
    office, recording = archive.office, archive.recordings[0]
    kept = shutil.copytree(office.spool_path / "ledger", out / "kept")
    common = "-i", office.key_file, "--roots", office.roots_file, "--json"

    stored = callseal("open", office.stored(recording), *common, "--evidence", out / "stored")
    named = callseal("open", office.bundle(recording), *common, "--evidence", out / "n", "--ledger", kept)

    assert (gaps(stored), gaps(named)) == (GAPS, GAPS)


def test_a_ledger_that_ends_too_early_proves_nothing(callseal: Commands, archive: Archive, out: Path) -> None:
    """The recording came to the store, and the newest part of the ledger has not yet."""
    office, recording = archive.office, archive.recordings[2]
    upload(office, [recording])
    for path in office.store_path.glob("ledger/*/*.jsonl"):
        if str(recording) in path.read_text():
            path.unlink()

    ran = callseal(
        *("open", str(recording), "-i", office.key_file, "--roots", office.roots_file, "--json"),
        *("--store", office.store_path, "--evidence", out / "evidence"),
    )

    assert ran.code == 0
    assert "ledger-without-end" in gaps(ran)
    assert "The device's ledger speaks of this recording" not in Statement.of(out / "evidence").steps


def test_a_recording_from_before_the_ledger_is_said_to_be_one(
    callseal: Commands, archive: Archive, out: Path
) -> None:
    office = archive.office
    folder = shutil.copytree(office.bundle(archive.recordings[0]), out / str(archive.recordings[0]))
    manifest = parse((folder / "manifest.json").read_bytes())
    rewrite_manifest(folder, office.organisation, dataclasses.replace(manifest, ledger=None))

    ran = callseal(
        *("open", folder, "-i", office.key_file, "--roots", office.roots_file, "--json"),
        *("--evidence", out / "evidence"),
    )

    assert (ran.code, gaps(ran)) == (0, ["no-revocations", "ledger-older", "no-receipt"])


def test_an_untrusted_signer_is_a_warning_and_stands_in_the_statement(
    callseal: Commands, whole_archive: Archive, out: Path
) -> None:
    office = whole_archive.office

    ran = callseal(
        *("open", office.stored(whole_archive.recordings[0]), "-i", office.key_file),
        *("--evidence", out / "evidence"),
    )

    statement = Statement.of(out / "evidence")
    assert ran.code == 0
    assert "WARNING: signer untrusted" in ran.err
    assert "**Nobody vouches here for the key that signed**" in statement.text
    assert "has vouched for the key" not in statement.text
    assert "没有人证明签名密钥的归属" in Statement.of(out / "evidence", "zh").text


def test_strict_refuses_an_untrusted_signer_and_leaves_nothing(
    callseal: Commands, whole_archive: Archive, out: Path
) -> None:
    office = whole_archive.office

    ran = callseal(
        *("open", office.stored(whole_archive.recordings[0]), "-i", office.key_file, "--strict"),
        *("--evidence", out / "evidence"),
    )

    assert (ran.code, ran.out) == (14, "")
    assert left_behind(out) == []


def test_a_revoked_signer_without_a_proof_from_before_is_untrusted(
    callseal: Commands, whole_archive: Archive, out: Path, tmp_path: Path
) -> None:
    revoked = write_revocations(
        whole_archive.office, tmp_path / "revoked.pem", now=datetime.now(UTC), since=STARTED_AT
    )

    ran = exported(callseal, whole_archive, out, "--revoked", revoked)

    assert ran.code == 0
    assert "WARNING: signer untrusted" in ran.err
    assert "signer-untrusted" in ran.err
    assert "has vouched for the key" not in Statement.of(out / "evidence").text


def test_a_receipt_from_before_the_revocation_is_enough(
    callseal: Commands, archive: Archive, out: Path, tmp_path: Path
) -> None:
    office = archive.office
    give_receipt(office, archive.recordings[0], received_at=STARTED_AT + timedelta(minutes=10))
    since = STARTED_AT + timedelta(hours=1)
    revoked = write_revocations(office, tmp_path / "revoked.pem", now=since, since=since)

    ran = exported(callseal, archive, out, "--revoked", revoked, "--strict", "--json")

    assert ran.code == 0
    assert "signer-revoked" in gaps(ran)
    assert json.loads(ran.out)["signer"]["trusted"] is True
    assert "the receipt of" in Statement.of(out / "evidence").text


def test_a_receipt_by_a_custodian_whom_nobody_vouches_for_proves_nothing(
    callseal: Commands, archive: Archive, out: Path, tmp_path: Path
) -> None:
    office = archive.office
    give_receipt(office, archive.recordings[0], received_at=STARTED_AT - timedelta(days=9))
    stranger = tmp_path / "others.pem"
    stranger.write_bytes(organisation("Somebody else").root.public_bytes(Encoding.PEM))

    ran = exported(callseal, archive, out, "--roots", stranger, "--json")

    statement = Statement.of(out / "evidence")
    assert "receipt-untrusted" in gaps(ran)
    assert "has vouched for it" not in statement.text
    assert (out / "evidence" / "receipt" / "receipt.jws").is_file()


def test_an_old_revocation_list_is_said_to_be_old(
    callseal: Commands, whole_archive: Archive, out: Path, tmp_path: Path
) -> None:
    old = write_revocations(
        whole_archive.office, tmp_path / "old.pem", now=datetime.now(UTC) - timedelta(days=500)
    )

    ran = exported(callseal, whole_archive, out, "--revoked", old, "--json")

    assert gaps(ran) == ["revocations-stale", "no-stamp", "no-receipt"]


def test_faults_elsewhere_in_the_ledger_are_told_and_do_not_hide_what_is_proved(
    callseal: Commands, archive: Archive, out: Path
) -> None:
    segments = sorted(archive.office.store_path.glob("ledger/*/*.jsonl"), key=lambda path: int(path.stem))
    shutil.rmtree(archive.office.spool_path / "ledger")
    flip(segments[-1], 300)

    ran = exported(callseal, archive, out, "--json")

    statement = Statement.of(out / "evidence")
    assert ran.code == 0
    assert "ledger-faulty" in gaps(ran)
    assert "The entries stand in the history under the checkpoint" in statement.steps


def test_a_recording_recovered_in_the_place_of_a_sealed_one_is_exported_with_that_doubt(
    callseal: Commands, archive: Archive, out: Path
) -> None:
    office, recording = archive.office, archive.recordings[2]
    folder = office.bundle(recording)
    manifest = parse((folder / "manifest.json").read_bytes())
    recovered = {"result": Result.DEGRADED, "reasons": ("recovered",)}
    rewrite_manifest(folder, office.organisation, manifest, **recovered)
    journal = Journal(
        [office.spool_path / "ledger"],
        device=office.organisation.device,
        key=office.organisation.device_key,
        clocks=lambda: Clocks(at=STARTED_AT + timedelta(hours=1), boot="0" * 16, uptime_ms=1),
    )
    sha256 = hashlib.sha256((folder / "manifest.json").read_bytes()).digest()
    journal.append(
        Kind.RECOVERED, recording=recording, manifest=sha256, result="degraded", reasons=("recovered",)
    )
    journal.publish()
    journal.close()

    ran = exported(callseal, archive, out, "--json", number=2)

    assert ran.code == 0, ran.err
    assert "ledger-doubtful" in gaps(ran)
    assert "recovered in place of what was sealed first" in Statement.of(out / "evidence").text


def test_an_entry_that_only_a_checkpoint_vouches_for_is_not_shown_as_signed(
    callseal: Commands, archive: Archive, out: Path
) -> None:
    recording = str(archive.recordings[0])
    shutil.rmtree(archive.office.spool_path / "ledger")
    for path in archive.office.store_path.glob("ledger/*/*.jsonl"):
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(unsigned(line) if recording in line else line for line in lines))

    ran = exported(callseal, archive, out, "--json")

    assert ran.code == 0
    assert "no-proof" in gaps(ran)
    assert not (out / "evidence" / "ledger").exists()


def unsigned(line: str) -> str:
    """Give a line with another signature, spelled as one."""
    head, mark, signature = line.rpartition(',"signature":"')
    return head + mark + ("B" if signature[0] == "A" else "A") + signature[1:]


def test_a_name_that_a_stranger_chose_can_not_become_a_command_or_a_claim(
    callseal: Commands, tmp_path: Path
) -> None:
    office = open_office(tmp_path / "o")
    name = "Eve\n```sh\nrm -rf ~\n```\n## What is proved | **all**"
    recording = record(office, customer=Party(number="+8613800138000", name=name))
    callseal.use(office.config_file)

    callseal("open", str(recording), "-i", office.key_file, "--evidence", tmp_path / "evidence")

    statement = Statement.of(tmp_path / "evidence")
    assert "Eve" in statement.text
    assert not any("rm -rf" in block for block in statement.commands)
    assert statement.text.count("\n## What is proved") == 1
    assert "**all**" not in statement.text
    assert "rm -rf" not in (tmp_path / "evidence" / "check.sh").read_text()


# --- the words ----------------------------------------------------------------------------------------


def test_both_languages_have_words_for_everything_that_the_other_has() -> None:
    english, chinese = words.prose(Language.ENGLISH), words.prose(Language.CHINESE)

    assert english.names == chinese.names
    for name in english.names:
        assert english.places(name) == chinese.places(name), name


def test_every_step_has_its_words_and_every_gap_too() -> None:
    english = words.prose(Language.ENGLISH)
    named = {name.removeprefix("step ") for name in english.names if name.startswith("step ")}
    commanded = {name.removesuffix(" printed") for name in words.steps().names if name.endswith(" printed")}
    assert named == {*commanded, "prepare"}
    assert {f"gap {code.value}" for code in Code} == {
        name for name in english.names if name.startswith("gap ")
    }


@pytest.mark.parametrize("value", ["$(id)", "a;b", "`id`", "a'b", 'a"b', "a\nb", "a>b", "a|b", "a&b"])
def test_what_a_shell_would_take_notice_of_never_stands_in_a_command(value: str) -> None:
    with pytest.raises(ValueError, match="can't stand in a command"):
        words.steps().commands("manifest", {"id": value, "number": "1"})
