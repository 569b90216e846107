"""``callseal verify`` proves recordings to anybody, and ends with the gravest of what it found."""

import json
import shutil
from pathlib import Path

import pytest

from support.bundle import Archive, flip, only, open_office, record
from support.commands import Commands


def test_everything_is_verified_where_nothing_is_named(callseal: Commands, whole_archive: Archive) -> None:
    callseal.use(whole_archive.office.config_file)

    ran = callseal("verify")

    assert ran.code == 0
    assert ran.out.splitlines()[-1] == "7 copies of recordings verified: 7 well, 0 not"
    assert ran.err == ""


def test_an_inspector_verifies_a_store_with_the_root_alone(
    callseal: Commands, whole_archive: Archive
) -> None:
    office = whole_archive.office

    ran = callseal("verify", "--store", office.store_path, "--roots", office.roots_file)

    assert ran.code == 0
    assert "3 copies of recordings verified: 3 well, 0 not" in ran.out


def test_every_copy_of_a_named_recording_is_verified(callseal: Commands, whole_archive: Archive) -> None:
    callseal.use(whole_archive.office.config_file)

    ran = callseal("verify", whole_archive.recordings[0].hex[-8:])

    assert ran.code == 0
    assert "2 copies of recordings verified: 2 well, 0 not" in ran.out


def test_a_folder_is_verified_by_its_path(callseal: Commands, whole_archive: Archive) -> None:
    office = whole_archive.office

    ran = callseal("verify", office.bundle(whole_archive.recordings[0]), "--roots", office.roots_file)

    assert ran.code == 0


def test_without_a_root_nothing_is_ever_well(callseal: Commands, whole_archive: Archive) -> None:
    ran = callseal("verify", "--store", whole_archive.office.store_path)

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


def test_a_missing_manifest_is_not_checked_among_all_and_altered_where_it_was_named(
    callseal: Commands, archive: Archive
) -> None:
    office = archive.office
    (office.stored(archive.recordings[0]) / "manifest.json").unlink()
    options = ("--store", office.store_path, "--roots", office.roots_file)

    everything = callseal("verify", *options)
    named = callseal("verify", str(archive.recordings[0]), *options)

    assert (everything.code, named.code) == (15, 12)
    assert "no manifest: still being brought to the store, or taken away" in everything.out


def test_what_belongs_to_no_recording_is_told(callseal: Commands, archive: Archive) -> None:
    office = archive.office
    (office.store_path / "recordings" / "stray.bin").write_bytes(b"x")

    ran = callseal("verify", "--store", office.store_path, "--roots", office.roots_file)

    assert ran.code == 15
    assert "recordings/stray.bin" in ran.out


def test_json_names_every_copy_and_finding(callseal: Commands, archive: Archive) -> None:
    callseal.use(archive.office.config_file)
    audio = only(archive.office.stored(archive.recordings[0]), "audio-*.age")
    flip(audio, 100)

    ran = callseal("verify", "--json")

    document = json.loads(ran.out)
    assert list(document) == ["type", "exit_code", "recordings", "strangers"]
    assert (document["type"], document["exit_code"]) == ("callseal-verify/1", 12)
    (altered,) = (one for one in document["recordings"] if not one["ok"])
    assert list(altered) == ["id", "place", "device", "started_at", "ok", "exit_code", "findings"]
    assert (altered["id"], altered["place"]) == (str(archive.recordings[0]), "primary")
    (wrong,) = (one for one in altered["findings"] if one["exit_code"])
    assert list(wrong) == ["object", "check", "outcome", "words", "exit_code"]
    assert (wrong["object"], wrong["check"], wrong["outcome"]) == (audio.name, "object", "failed")


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
