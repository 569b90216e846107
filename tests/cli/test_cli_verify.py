"""``callseal verify`` proves recordings to anybody, and ends with the gravest of what it found."""

import hashlib
import json
import os
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from cryptography import x509

from callseal.seal.keys import Role, certify, chain_der, generate_signing_key
from callseal.seal.ledger.checkpoint import parse_checkpoint, read_line
from callseal.seal.ledger.clock import Clocks
from callseal.seal.ledger.entry import Kind
from callseal.seal.ledger.journal import Journal
from callseal.seal.manifest import MANIFEST_NAME, parse
from callseal.seal.receipt import Receipt, ReceiptObject, sign_receipt
from callseal.seal.revocation import revoke, write_pem
from callseal.seal.stamp import request
from callseal.seal.verify.segments import newest_line
from callseal.store.names import ledger_name, receipt_name, stamp_name
from support.bundle import Archive, Office, flip, only, open_office, record, upload
from support.commands import Commands
from support.kept_ledgers import Writer
from support.sealed_recordings import STARTED_AT, recording_id, rewrite_manifest
from support.tsa import StampingAuthority


def test_everything_is_verified_where_nothing_is_named(callseal: Commands, archive: Archive) -> None:
    callseal.use(archive.office.config_file)
    upload(archive.office, archive.recordings)

    ran = callseal("verify")

    assert ran.code == 0
    assert ran.out.splitlines()[-2:] == [
        "1 ledger verified: 1 well, 0 not",
        "8 copies of recordings verified: 8 well, 0 not",
    ]
    assert "1 call was not recorded, says its device: see callseal list" in ran.out
    assert ran.err.startswith("No revocation list is at hand, ")
    assert ran.err.count("\n") == 1


def test_an_inspector_verifies_a_store_with_the_root_alone(callseal: Commands, archive: Archive) -> None:
    office = archive.office
    upload(office, archive.recordings)

    ran = callseal("verify", "--store", office.store_path, "--roots", office.roots_file)

    assert ran.code == 0
    assert "4 copies of recordings verified: 4 well, 0 not" in ran.out


def test_every_copy_of_a_named_recording_is_verified(callseal: Commands, whole_archive: Archive) -> None:
    callseal.use(whole_archive.office.config_file)

    ran = callseal("verify", whole_archive.recordings[0].hex[-8:])

    assert ran.code == 0
    assert "2 copies of recordings verified: 2 well, 0 not" in ran.out


def test_a_folder_by_itself_is_never_ok_and_it_says_what_to_give(
    callseal: Commands, whole_archive: Archive
) -> None:
    office = whole_archive.office

    ran = callseal("verify", office.bundle(whole_archive.recordings[0]), "--roots", office.roots_file)

    assert ran.code == 15
    assert "its device's ledger is not at hand" in ran.out
    assert "--store" in ran.err
    assert "--ledger" in ran.err


@pytest.mark.parametrize(
    ("option", "place"), [("--store", "store"), ("--ledger", "store"), ("--ledger", "spool")]
)
def test_a_folder_with_its_ledger_is_verified_by_its_path(
    callseal: Commands, whole_archive: Archive, option: str, place: str
) -> None:
    office = whole_archive.office
    folder = office.bundle(whole_archive.recordings[0])

    ran = callseal("verify", folder, "--roots", office.roots_file, option, office.root / place)

    assert ran.code == 0
    assert "1 copy of a recording verified: 1 well, 0 not" in ran.out


def test_on_the_device_itself_its_ledger_is_found_by_the_settings(
    callseal: Commands, whole_archive: Archive
) -> None:
    callseal.use(whole_archive.office.config_file)

    ran = callseal("verify", whole_archive.office.bundle(whole_archive.recordings[0]))

    assert ran.code == 0


def test_without_a_root_nothing_is_ever_well(callseal: Commands, archive: Archive) -> None:
    upload(archive.office, archive.recordings)

    ran = callseal("verify", "--store", archive.office.store_path)

    assert ran.code == 14
    assert "0 well" in ran.out
    assert "--roots" in ran.err


def test_a_device_without_a_certificate_is_untrusted(callseal: Commands, tmp_path: Path) -> None:
    office = open_office(tmp_path / "o")
    record(office, duration_s=1.0, certified=False)
    callseal.use(office.config_file)

    ran = callseal("verify")

    assert ran.code == 14
    assert "signer untrusted" in ran.out


@pytest.mark.parametrize("offset_bytes", [0, 60, 200, 70_000, -1])
def test_an_altered_byte_of_the_sound_is_found_and_the_object_named(
    callseal: Commands, archive: Archive, offset_bytes: int
) -> None:
    callseal.use(archive.office.config_file)
    audio = only(archive.office.stored(archive.recordings[0]), "audio-*.age")
    flip(audio, offset_bytes)

    ran = callseal("verify")

    assert ran.code == 12
    assert f"object  {audio.name}: altered" in ran.out
    assert "7 copies of recordings verified: 6 well, 1 not" in ran.out


def test_the_gravest_code_wins(callseal: Commands, archive: Archive) -> None:
    callseal.use(archive.office.config_file)
    flip(archive.office.bundle(archive.recordings[0]) / "manifest.sig", 0)
    signature = callseal("verify").code
    flip(only(archive.office.stored(archive.recordings[1]), "call-*.age"), 0)

    both = callseal("verify")

    assert (signature, both.code) == (13, 12)
    assert "BAD SIGNATURE" in both.out
    assert "ALTERED" in both.out


def test_a_surplus_file_is_found(callseal: Commands, archive: Archive) -> None:
    folder = archive.office.bundle(archive.recordings[0])
    (folder / "extra.txt").write_text("hello")

    ran = callseal("verify", folder, "--roots", archive.office.roots_file)

    assert ran.code == 12
    assert "extra.txt" in ran.out


def test_a_missing_manifest_is_altered_where_the_recording_was_named(
    callseal: Commands, archive: Archive
) -> None:
    office = archive.office
    (office.stored(archive.recordings[0]) / "manifest.json").unlink()
    options = ("--store", office.store_path, "--roots", office.roots_file)

    everything = callseal("verify", *options)
    named = callseal("verify", str(archive.recordings[0]), *options)

    assert everything.code in {12, 15}  # on its way for a day, then deleted
    assert named.code == 12
    assert "no manifest: still being brought to the store, or taken away" in everything.out


def test_what_belongs_to_no_recording_is_told(callseal: Commands, archive: Archive) -> None:
    office = archive.office
    upload(office, archive.recordings)
    strays = ("recordings/stray.bin", "ledger/stray.bin", f"stamps/{office.organisation.device}/0.tsr")
    for name in strays:
        (office.store_path / name).parent.mkdir(exist_ok=True, parents=True)
        (office.store_path / name).write_bytes(b"x")

    ran = callseal("verify", "--store", office.store_path, "--roots", office.roots_file)

    assert ran.code == 15
    assert all(name in ran.out for name in strays)


def test_json_names_every_copy_and_finding(callseal: Commands, archive: Archive) -> None:
    callseal.use(archive.office.config_file)
    upload(archive.office, archive.recordings)
    audio = only(archive.office.stored(archive.recordings[0]), "audio-*.age")
    flip(audio, 100)

    ran = callseal("verify", "--json")

    document = json.loads(ran.out)
    assert list(document) == ["type", "recordings", "devices", "strangers", "exit_code"]
    assert (document["type"], document["exit_code"]) == ("callseal-verify/1", 12)
    (altered,) = (one for one in document["recordings"] if not one["ok"])
    assert list(altered) == ["id", "place", "device", "started_at", "ok", "exit_code", "findings"]
    assert (altered["id"], altered["place"]) == (str(archive.recordings[0]), "primary")
    (wrong,) = (one for one in altered["findings"] if one["exit_code"])
    assert list(wrong) == ["object", "check", "outcome", "words", "exit_code"]
    assert (wrong["object"], wrong["check"], wrong["outcome"]) == (audio.name, "object", "failed")
    (device,) = document["devices"]
    assert list(device) == [
        "device", "places", "entries", "first_at", "newest_at", "checkpoints", "stamps", "anchored",
        "ok", "exit_code", "findings",
    ]  # fmt: skip
    assert (device["device"], device["places"]) == (archive.office.organisation.device, ["primary", "spool"])
    assert (device["entries"], device["stamps"], device["anchored"], device["ok"]) == (15, 0, None, True)
    assert {tuple(one) for one in device["findings"]} == {
        ("object", "check", "outcome", "words", "exit_code", "code")
    }


def test_json_of_nothing_is_a_document_too(callseal: Commands, tmp_path: Path) -> None:
    office = open_office(tmp_path / "o")

    ran = callseal("verify", "--json", "--store", office.store_path, "--roots", office.roots_file)

    assert json.loads(ran.out) == {
        "type": "callseal-verify/1", "recordings": [], "devices": [], "strangers": [], "exit_code": 0,
    }  # fmt: skip


def test_a_store_that_is_away_keeps_everything_from_being_called_well(
    callseal: Commands, archive: Archive
) -> None:
    callseal.use(archive.office.config_file)
    shutil.rmtree(archive.office.store_path)

    ran = callseal("verify")

    assert ran.code == 20
    assert "4 well" in ran.out


def test_an_unknown_recording_is_not_found(callseal: Commands, whole_archive: Archive) -> None:
    callseal.use(whole_archive.office.config_file)

    ran = callseal("verify", "abcdef0123")

    assert (ran.code, ran.out) == (10, "")


def test_roots_that_are_not_there_are_said_so(callseal: Commands, whole_archive: Archive) -> None:
    ran = callseal("verify", "--store", whole_archive.office.store_path, "--roots", "/nowhere/trust.pem")

    assert ran.code == 10
    assert "/nowhere/trust.pem" in ran.err


# --- the attacks, each with the check that finds it -------------------------------------------------------

LONG_AFTER = 20_000
"""Minutes: two weeks, so that nothing of before can still be on its way."""


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """Return an office with four recordings in the store, the last of them two weeks after the others."""
    made = open_office(tmp_path / "office")
    numbers = (0, 1, 2, LONG_AFTER)
    upload(made, [record(made, number, duration_s=1.0) for number in numbers])
    shutil.rmtree(made.spool_path / "ready")
    (made.spool_path / "ready").mkdir(mode=0o700)
    return made


def in_store(office: Office) -> list[UUID]:
    """Give the recordings in the store, oldest first."""
    return sorted(UUID(path.name) for path in office.store_path.glob("recordings/*/*/*/*/*"))


def prove(callseal: Commands, office: Office, *options: str | Path) -> tuple[int, set[tuple[str, ...]]]:
    """Verify the store; give the exit code, and each fault's check, outcome and words."""
    ran = callseal("verify", "--json", "--store", office.store_path, "--roots", office.roots_file, *options)
    document = json.loads(ran.out)
    assert document["exit_code"] == ran.code
    faults = [
        finding
        for one in (*document["recordings"], *document["devices"])
        for finding in one["findings"]
        if finding["exit_code"]
    ]
    return ran.code, {(one["check"], one["outcome"], one["words"]) for one in faults}


def checks(found: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    return {one[:2] for one in found}


def test_before_any_attack_the_store_is_well(callseal: Commands, office: Office) -> None:
    assert prove(callseal, office) == (0, set())
    assert prove(callseal, office, "--every-signature") == (0, set())


def test_a_deleted_object_is_found_by_the_manifest(callseal: Commands, office: Office) -> None:
    only(office.stored(in_store(office)[0]), "audio-*.age").unlink()

    assert prove(callseal, office) == (12, {("object", "failed", "missing")})


def test_a_deleted_recording_is_found_by_the_ledger(callseal: Commands, office: Office) -> None:
    gone = in_store(office)[1]
    shutil.rmtree(office.stored(gone))

    code, found = prove(callseal, office)
    ran = callseal("verify", "--store", office.store_path, "--roots", office.roots_file)

    assert (code, checks(found)) == (12, {("presence", "failed")})
    assert f"recording  {gone}: ended at" in ran.out
    assert "gone: deleted" in ran.out
    assert "1 recording is missing: deleted" in ran.out


def test_a_recording_of_another_device_does_not_stand_in_for_a_deleted_one(
    callseal: Commands, office: Office
) -> None:
    """Another desk's key seals a call under the id of the one that is to be gone."""
    gone = in_store(office)[0]
    path = office.stored(gone)
    started_at = parse((path / MANIFEST_NAME).read_bytes()).started_at
    shutil.rmtree(path)
    owner, key = office.organisation, generate_signing_key()
    leaf = certify(
        owner.root_key,
        owner.root,
        key.public_key(),
        role=Role.DEVICE,
        now=STARTED_AT - timedelta(days=9),
        years=2,
    )
    other = Writer(replace(owner, device_key=key, chain=chain_der([leaf])))
    other.start()
    false = other.record(id=gone, started_at=started_at, ended_at=started_at + timedelta(minutes=2))
    other.publish()
    for name, data in false.files.items():
        path = office.store_path / false.prefix / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for first, data in other.kept.segments.items():
        path = office.store_path / ledger_name(other.owner.device, first)
        path.parent.mkdir(parents=True)
        path.write_bytes(data)

    code, found = prove(callseal, office)

    assert (code, checks(found)) == (12, {("presence", "failed")})


def test_a_recording_deleted_from_the_store_while_the_spool_has_it_is_not_well(
    callseal: Commands, tmp_path: Path
) -> None:
    office = open_office(tmp_path / "office")
    recordings = [record(office, number, duration_s=1.0) for number in (0, LONG_AFTER)]
    upload(office, recordings)
    callseal.use(office.config_file)
    whole = callseal("verify")

    shutil.rmtree(office.stored(recordings[0]))
    ran = callseal("verify")

    assert (whole.code, ran.code) == (0, 15)
    assert f"recording  {recordings[0]}: not in primary, where it belongs" in ran.out
    assert "1 recording is not in every store that it is meant for" in ran.out


def test_without_a_revocation_list_it_says_that_nothing_is_known_of_stolen_keys(
    callseal: Commands, office: Office, tmp_path: Path
) -> None:
    owner = office.organisation
    reason = x509.ReasonFlags.unspecified
    nothing = revoke(
        owner.root_key, owner.root, (), (), since=STARTED_AT, reason=reason, now=datetime.now(UTC)
    )
    (tmp_path / "revoked.pem").write_bytes(write_pem([nothing]))
    command = ("verify", "--store", office.store_path, "--roots", office.roots_file)

    without = callseal(*command)
    given = callseal(*command, "--revoked", tmp_path / "revoked.pem")

    assert (without.code, given.code, given.err) == (0, 0, "")
    assert "No revocation list is at hand" in without.err


def test_a_name_that_a_stranger_chose_does_not_command_the_terminal(
    callseal: Commands, office: Office
) -> None:
    """U+009B begins a command as ESC [ does; in JSON it is escaped, and comes out again when it is read."""
    name = "recordings/\x9b2J\x1b]0;\u202e"
    (office.store_path / name).write_bytes(b"")

    ran = callseal("verify", "--json", "--store", office.store_path, "--roots", office.roots_file)

    assert json.loads(ran.out)["strangers"] == [name]
    assert all(sign.isprintable() for sign in ran.out.replace("\n", ""))


def test_a_ledger_of_the_calendars_last_day_is_printed_wherever_one_lives(
    callseal: Commands, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the clocks are ahead of UTC that day has no local time any more."""
    writer = Writer(office.organisation, datetime(9999, 12, 31, 20, tzinfo=UTC))
    writer.start()
    writer.publish()
    folder = office.store_path / "ledger" / office.organisation.device
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "0.jsonl").write_bytes(writer.kept.segments[0])
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()

    ran = callseal("verify", "--store", office.store_path, "--roots", office.roots_file)

    assert ran.code == 14
    assert "1 entry from 9999-12-31 20:01:00 to" in ran.out


def test_a_pipe_in_a_named_folder_holds_nobody_up(callseal: Commands, archive: Archive) -> None:
    folder = archive.office.bundle(archive.recordings[2])
    only(folder, "call-*.age").unlink()
    (folder / "manifest.sig").unlink()
    os.mkfifo(folder / "manifest.sig")

    ran = callseal("verify", f"{folder}/", "--roots", archive.office.roots_file)

    assert ran.code == 12
    assert "not a plain file" in ran.out


def test_recordings_whose_objects_were_swapped_are_found_by_their_hashes(
    callseal: Commands, office: Office
) -> None:
    one, other = (only(office.stored(recording), "call-*.age") for recording in in_store(office)[:2])
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)

    code, found = prove(callseal, office)

    assert (code, checks(found)) == (12, {("object", "failed")})


def test_recordings_that_were_swapped_as_a_whole_are_found_by_their_folders(
    callseal: Commands, office: Office
) -> None:
    one, other = (office.stored(recording) for recording in in_store(office)[:2])
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)

    code, found = prove(callseal, office)

    assert (code, checks(found)) == (12, {("folder", "failed")})


def test_a_recording_signed_again_with_the_stolen_key_is_found_by_the_ledger(
    callseal: Commands, office: Office
) -> None:
    folder = office.stored(in_store(office)[0])
    manifest = parse((folder / "manifest.json").read_bytes())
    rewrite_manifest(folder, office.organisation, manifest, business_type="claims")

    code, found = prove(callseal, office)
    named, _found = prove(callseal, office, str(manifest.id))

    assert (code, checks(found)) == (12, {("ledger", "failed")})
    assert "substituted or signed again" in next(iter(found))[2]
    assert named == 12


def test_everything_written_anew_with_the_stolen_key_is_found_by_a_second_copy_only(
    callseal: Commands, office: Office, tmp_path: Path
) -> None:
    thief = open_office(tmp_path / "thief")
    upload(thief, [record(thief, number, duration_s=0.5) for number in (0, 1, LONG_AFTER)])

    alone = prove(callseal, thief)
    code, found = prove(callseal, thief, "--against", office.store_path)

    assert alone == (0, set())
    assert (code, checks(found)) == (12, {("copy", "failed")})


def test_the_newest_recordings_cut_off_with_their_entries_are_found_by_a_second_copy_only(
    callseal: Commands, office: Office, tmp_path: Path
) -> None:
    """Also by a single checkpoint in a file, which anybody can keep."""
    whole = tmp_path / "second-site"
    shutil.copytree(office.store_path, whole)
    newest = max(office.store_path.glob("ledger/*/*.jsonl"), key=lambda path: int(path.stem))
    checkpoint = tmp_path / "checkpoint.txt"
    checkpoint.write_bytes(read_line(newest_line(newest.read_bytes())))
    begin = int(newest.stem)
    for path in office.store_path.glob("ledger/*/*.jsonl"):
        if int(path.stem) > begin - 4:
            path.unlink()
    shutil.rmtree(office.stored(in_store(office)[-1]))

    alone = prove(callseal, office)
    by_store = prove(callseal, office, "--against", whole)
    by_folder = prove(callseal, office, "--against", whole / "ledger")
    by_file = prove(callseal, office, "--against", checkpoint)

    assert alone == (0, set())
    assert [code for code, _found in (by_store, by_folder, by_file)] == [12, 12, 12]
    assert checks(by_file[1]) == {("copy", "failed")}
    assert "entries are missing" in next(iter(by_file[1]))[2]


def test_a_machine_set_back_to_an_older_copy_is_found_by_what_the_store_has(
    callseal: Commands, office: Office, tmp_path: Path
) -> None:
    snapshot = tmp_path / "snapshot"
    shutil.copytree(office.spool_path, snapshot)
    upload(office, [record(office, LONG_AFTER + 1, duration_s=0.5)])
    shutil.rmtree(office.spool_path)
    snapshot.rename(office.spool_path)
    record(office, LONG_AFTER + 2, duration_s=0.5)

    ran = callseal("verify", "--config", office.config_file, "--json")

    assert ran.code == 12
    codes = {finding["code"] for finding in json.loads(ran.out)["devices"][0]["findings"]}
    assert "fork" in codes


def test_a_recording_that_was_opened_and_never_ended_is_found_by_the_ledger(
    callseal: Commands, tmp_path: Path
) -> None:
    """Killed in the middle of the call, and its folder thrown away before the agent began again."""
    office = open_office(tmp_path / "office")
    thrown_away = recording_id()
    journal = Journal(
        [office.spool_path / "ledger"],
        device=office.organisation.device,
        key=office.organisation.device_key,
        clocks=lambda: Clocks(at=STARTED_AT - timedelta(minutes=1), boot="0" * 16, uptime_ms=1),
    )
    journal.append(Kind.STARTED, software="callseal/test", settings=bytes(32), x5c=office.organisation.chain)
    journal.append(Kind.OPENED, recording=thrown_away)
    journal.close()
    upload(office, [record(office, 1, duration_s=0.5)])

    code, found = prove(callseal, office)

    assert (code, checks(found)) == (12, {("presence", "failed")})
    assert str(thrown_away) in next(iter(found))[2]


def test_a_deleted_ledger_leaves_nothing_well(callseal: Commands, office: Office) -> None:
    shutil.rmtree(office.store_path / "ledger")

    code, found = prove(callseal, office)

    assert (code, checks(found)) == (15, {("ledger", "not-checked")})


def test_a_ledger_deleted_from_the_store_is_missed_where_the_spool_has_it(
    callseal: Commands, office: Office
) -> None:
    shutil.rmtree(office.store_path / "ledger")
    callseal.use(office.config_file)

    ran = callseal("verify")

    assert ran.code == 15
    assert "primary ends before entry 0" in ran.out


def test_a_second_copy_without_the_device_is_not_a_comparison(
    callseal: Commands, office: Office, tmp_path: Path
) -> None:
    empty = open_office(tmp_path / "other").store_path

    code, found = prove(callseal, office, "--against", empty)

    assert (code, checks(found)) == (15, {("copy", "not-checked")})


def test_one_device_is_verified_by_itself(callseal: Commands, office: Office) -> None:
    device = office.organisation.device

    ran = callseal("verify", "--store", office.store_path, "--roots", office.roots_file, "--device", device)
    other = callseal(
        "verify", "--store", office.store_path, "--roots", office.roots_file, "--device", "dev-aaaaaaaaaaaa"
    )

    assert ran.code == 0
    assert f"{device}  ok  " in ran.out
    assert (other.code, other.out) == (10, "")


def test_a_device_and_a_recording_at_once_is_a_wrong_use(callseal: Commands, office: Office) -> None:
    ran = callseal("verify", str(in_store(office)[0]), "--device", office.organisation.device)

    assert (ran.code, ran.out) == (2, "")


def test_a_named_recording_is_not_blamed_for_others(callseal: Commands, office: Office) -> None:
    first, second, *_rest = in_store(office)
    shutil.rmtree(office.stored(second))

    assert prove(callseal, office, str(first)) == (0, set())


@pytest.mark.parametrize(("minutes", "code"), [(-60, 14), (60, 0)], ids=["before", "after"])
def test_a_revoked_devices_recording_counts_if_a_custodian_had_it_before(
    callseal: Commands, office: Office, tmp_path: Path, minutes: int, code: int
) -> None:
    owner = office.organisation
    received_at = STARTED_AT + timedelta(hours=2)
    recording = in_store(office)[0]
    put_receipt(office, recording, received_at)
    crl = revoke(
        owner.root_key,
        owner.root,
        (),
        [x509.load_der_x509_certificate(owner.chain[0])],
        since=received_at + timedelta(minutes=minutes),
        reason=x509.ReasonFlags.key_compromise,
        now=received_at + timedelta(days=1),
    )
    revoked = tmp_path / "revoked.pem"
    revoked.write_bytes(write_pem([crl]))

    ran = callseal(
        "verify", str(recording), "--json", "--store", office.store_path,
        "--roots", office.roots_file, "--revoked", revoked,
    )  # fmt: skip

    (found,) = json.loads(ran.out)["recordings"]
    assert found["exit_code"] == code


def test_a_receipt_that_does_not_agree_is_found(callseal: Commands, office: Office) -> None:
    recording = in_store(office)[0]
    put_receipt(office, recording, STARTED_AT + timedelta(hours=2))
    before = prove(callseal, office)
    folder = office.stored(recording)
    manifest = parse((folder / "manifest.json").read_bytes())
    rewrite_manifest(folder, office.organisation, manifest, business_type="claims")

    code, found = prove(callseal, office)

    assert before == (0, set())
    assert (code, checks(found)) == (12, {("ledger", "failed"), ("receipt", "failed")})


def put_receipt(office: Office, recording: UUID, received_at: datetime) -> None:
    """Let a custodian read a recording back and vouch for it."""
    owner, folder = office.organisation, office.stored(recording)
    key = generate_signing_key()
    now = received_at - timedelta(days=1)
    leaf = certify(owner.root_key, owner.root, key.public_key(), role=Role.CUSTODIAN, now=now, years=1)
    receipt = Receipt(
        id=recording,
        device=owner.device,
        site="primary",
        received_at=received_at,
        manifest=hashlib.sha256((folder / "manifest.json").read_bytes()).digest(),
        objects=tuple(
            ReceiptObject(
                name=path.relative_to(office.store_path).as_posix(),
                version="",
                size_bytes=path.stat().st_size,
                sha256=hashlib.sha256(path.read_bytes()).digest(),
            )
            for path in sorted(folder.iterdir())
        ),
    )
    path = office.store_path / receipt_name(owner.device, recording)
    path.parent.mkdir(parents=True)
    path.write_bytes(sign_receipt(receipt, key, chain_der([leaf])))


@pytest.mark.integration
def test_stamps_are_checked_with_the_authoritys_root_and_never_without(
    callseal: Commands, office: Office, tmp_path: Path
) -> None:
    authority = StampingAuthority(tmp_path / "tsa")
    newest = max(office.store_path.glob("ledger/*/*.jsonl"), key=lambda path: int(path.stem))
    note = read_line(newest_line(newest.read_bytes()))
    path = office.store_path / stamp_name(office.organisation.device, parse_checkpoint(note).size)
    path.parent.mkdir(parents=True)
    path.write_bytes(authority.answer(request(note, nonce=7)))

    code, found = prove(callseal, office)
    ran = callseal("verify", "--store", office.store_path, "--roots", office.roots_file)
    options = ("--stamp-roots", authority.roots_file)
    document = json.loads(
        callseal("verify", "--json", "--store", office.store_path, "--roots", office.roots_file, *options).out
    )

    assert (code, checks(found)) == (15, {("stamp", "not-checked")})
    assert "--stamp-roots" in ran.err
    stamps = [one for one in document["devices"][0]["findings"] if one["check"] == "stamp"]
    assert stamps[0]["outcome"] == "ok"
    assert document["devices"][0]["anchored"]["authority"] == "CN=Example TSA"


def test_options_that_are_not_there_are_said_so(callseal: Commands, office: Office) -> None:
    base = ("verify", "--store", office.store_path, "--roots", office.roots_file)
    for option in ("--ledger", "--against", "--revoked", "--stamp-roots"):
        ran = callseal(*base, option, "/nowhere/at-all")

        assert ran.code == 10, option
        assert "/nowhere/at-all" in ran.err


def test_a_folder_without_a_ledger_is_no_second_copy(
    callseal: Commands, office: Office, tmp_path: Path
) -> None:
    ran = callseal(
        "verify", "--store", office.store_path, "--roots", office.roots_file, "--against", tmp_path
    )

    assert (ran.code, ran.out) == (10, "")
