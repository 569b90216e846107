"""``callseal open`` gives out what the device sealed, and of anything else nothing at all."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from callseal.agent.call import Party
from callseal.codecs import au, g711
from callseal.codecs.au import AuHeader, Encoding
from callseal.seal.age import X25519Identity, decrypt
from callseal.seal.keyfile import write_identity
from callseal.seal.manifest import Manifest, ManifestObject, object_name, parse
from callseal.seal.vcon import Vcon, sign_vcon
from callseal.seal.writer import SealedObject, seal_bytes
from support.bundle import DURATION_S, PASSPHRASE, RATE_HZ, Archive, flip, only, open_office, record, sound
from support.commands import PROGRAM, Commands, Ran
from support.exhibits import cut_off
from support.sealed_recordings import organisation, rewrite_manifest

CHUNK = 64 * 1024 + 16
HEADER_AND_NONCE = 144362 - 2 * CHUNK - (DURATION_S * 2 * RATE_HZ + 32 - 2 * 64 * 1024 + 16)


def opened(callseal: Commands, archive: Archive, folder: Path, *more: str | Path) -> Ran:
    office = archive.office
    return callseal("open", folder, "-i", office.key_file, "--roots", office.roots_file, *more)


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def test_the_call_is_shown_as_it_was(callseal: Commands, whole_archive: Archive) -> None:
    office, recording = whole_archive.office, whole_archive.recordings[0]
    callseal.use(office.config_file)

    ran = callseal("open", str(recording), "-i", office.key_file)

    assert ran.code == 0
    assert ran.err == ""
    for words in (
        str(recording),
        "Wang Fang (sip:8001)",
        "+8613800138000",
        "hung up (customer)",
        "zh  zh-CN  0:00-0:02  played to its end  heard by agent, customer",
        "Sales",
        "0:09, 8000 Hz, intact",
        "vouched for by CN=Example Insurance",
        "primary: recordings/",
    ):
        assert words in ran.out


@pytest.mark.parametrize("name", ["call.wav", "call.flac"])
def test_a_sound_file_holds_every_sample_of_both_sides(
    callseal: Commands, whole_archive: Archive, out: Path, name: str
) -> None:
    folder = whole_archive.office.bundle(whole_archive.recordings[0])

    ran = opened(callseal, whole_archive, folder, "-o", out / name)

    samples, rate_hz = soundfile.read(out / name, dtype="int16")
    assert ran.code == 0
    assert rate_hz == RATE_HZ
    np.testing.assert_array_equal(samples, g711.decode(sound(), g711.Law.A))
    assert left_behind(out) == [name]


def test_the_person_is_told_where_the_sound_now_lies_unencrypted_and_only_they_can_read_it(
    callseal: Commands, whole_archive: Archive, out: Path
) -> None:
    folder = whole_archive.office.bundle(whole_archive.recordings[0])

    ran = opened(callseal, whole_archive, folder, "-o", out / "call.wav")

    assert f"UNENCRYPTED in {out / 'call.wav'}" in ran.err
    assert (out / "call.wav").stat().st_mode & 0o777 == 0o600


def test_raw_gives_the_inner_file_to_the_byte(callseal: Commands, whole_archive: Archive, out: Path) -> None:
    folder = whole_archive.office.bundle(whole_archive.recordings[0])

    ran = opened(callseal, whole_archive, folder, "--raw", "-o", out / "call.au")

    header = AuHeader(encoding=Encoding.ALAW, rate_hz=RATE_HZ, channels=2)
    assert ran.code == 0
    assert (out / "call.au").read_bytes() == bytes(header) + sound().tobytes()


def test_json_has_the_manifest_the_signer_the_vcon_and_the_file(
    callseal: Commands, whole_archive: Archive, out: Path
) -> None:
    folder = whole_archive.office.bundle(whole_archive.recordings[0])

    ran = opened(callseal, whole_archive, folder, "--json", "-o", out / "call.wav")

    document = json.loads(ran.out)
    assert list(document) == ["type", "id", "place", "manifest", "signer", "vcon", "output"]
    assert document["type"] == "callseal-open/1"
    assert document["manifest"] == json.loads((folder / "manifest.json").read_bytes())
    assert document["signer"]["trusted"] is True
    assert document["vcon"]["parties"][1] == {"tel": "+8613800138000"}
    assert document["output"] == {
        "file": str(out / "call.wav"),
        "form": "WAV",
        "rate_hz": RATE_HZ,
        "channels": 2,
        "samples": DURATION_S * RATE_HZ,
    }


def test_a_post_quantum_key_opens_too(callseal: Commands, tmp_path: Path) -> None:
    office = open_office(tmp_path / "pq", classic=False)
    recording = record(office, duration_s=1.0)
    callseal.use(office.config_file)

    ran = callseal("open", recording.hex[-8:], "-i", office.key_file)

    assert ran.code == 0
    assert "intact" in ran.out


# --- what was altered -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset_bytes", "chunk"),
    [
        (0, None),
        (30, None),
        (70, None),
        (HEADER_AND_NONCE - 40, None),
        (HEADER_AND_NONCE - 1, 0),
        (HEADER_AND_NONCE, 0),
        (HEADER_AND_NONCE + CHUNK - 1, 0),
        (HEADER_AND_NONCE + CHUNK, 1),
        (HEADER_AND_NONCE + 2 * CHUNK, 2),
        (-1, 2),
    ],
)
def test_an_altered_byte_of_the_sound_is_named_and_no_sound_is_left(
    callseal: Commands, archive: Archive, out: Path, offset_bytes: int, chunk: int | None
) -> None:
    folder = archive.office.bundle(archive.recordings[0])
    audio = only(folder, "audio-*.age")
    flip(audio, offset_bytes)

    ran = opened(callseal, archive, folder, "-o", out / "call.wav")

    assert ran.code == 12
    assert audio.name in ran.err
    assert (f"chunk {chunk}" in ran.err) == (chunk is not None)
    assert ran.out == ""
    assert left_behind(out) == []


def test_an_altered_sound_is_found_also_where_only_the_facts_were_asked_for(
    callseal: Commands, archive: Archive
) -> None:
    folder = archive.office.bundle(archive.recordings[0])
    flip(only(folder, "audio-*.age"), -1)

    ran = opened(callseal, archive, folder)

    assert (ran.code, ran.out) == (12, "")


@pytest.mark.parametrize("offset_bytes", [0, 40, 120, 400, 2000, -1])
def test_an_altered_byte_of_the_metadata_is_named_and_nothing_is_shown(
    callseal: Commands, archive: Archive, out: Path, offset_bytes: int
) -> None:
    folder = archive.office.bundle(archive.recordings[0])
    call = only(folder, "call-*.age")
    flip(call, offset_bytes)

    ran = opened(callseal, archive, folder, "-o", out / "call.wav")

    assert ran.code == 12
    assert call.name in ran.err
    assert ran.out == ""
    assert left_behind(out) == []


@pytest.mark.parametrize("position", [0.0, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.99])
def test_an_altered_byte_of_the_manifest_is_found(
    callseal: Commands, archive: Archive, out: Path, position: float
) -> None:
    folder = archive.office.bundle(archive.recordings[0])
    manifest = folder / "manifest.json"
    flip(manifest, int(position * manifest.stat().st_size))

    ran = opened(callseal, archive, folder, "-o", out / "call.wav")

    assert ran.code in {12, 13}
    assert "manifest" in ran.err
    assert ran.out == ""
    assert left_behind(out) == []


@pytest.mark.parametrize("offset_bytes", [0, 31, 32, 63])
def test_an_altered_byte_of_the_signature_is_a_bad_signature(
    callseal: Commands, archive: Archive, out: Path, offset_bytes: int
) -> None:
    folder = archive.office.bundle(archive.recordings[0])
    flip(folder / "manifest.sig", offset_bytes)

    ran = opened(callseal, archive, folder, "-o", out / "call.wav")

    assert ran.code == 13
    assert "manifest.sig" in ran.err
    assert left_behind(out) == []


def cut_at_a_chunk(audio: Path) -> None:
    audio.write_bytes(audio.read_bytes()[: HEADER_AND_NONCE + CHUNK])


def lengthen(audio: Path) -> None:
    audio.write_bytes(audio.read_bytes() + b"x")


@pytest.mark.parametrize("change", [Path.unlink, cut_at_a_chunk, lengthen])
def test_a_sound_that_is_cut_lengthened_or_gone_is_altered(
    callseal: Commands, archive: Archive, out: Path, change: Callable[[Path], None]
) -> None:
    folder = archive.office.bundle(archive.recordings[0])
    audio = only(folder, "audio-*.age")
    change(audio)

    ran = opened(callseal, archive, folder, "-o", out / "call.wav")

    assert ran.code == 12
    assert audio.name in ran.err
    assert left_behind(out) == []


def test_another_sound_sealed_to_the_same_readers_is_not_taken_for_the_recording(
    callseal: Commands, archive: Archive, out: Path
) -> None:
    folder = archive.office.bundle(archive.recordings[0])
    audio = only(folder, "audio-*.age")
    other_sound(archive, audio)

    ran = opened(callseal, archive, folder, "-o", out / "call.wav")

    assert ran.code == 12
    assert audio.name in ran.err
    assert left_behind(out) == []


def test_a_sound_that_the_metadata_does_not_speak_of_is_altered_even_where_the_manifest_lists_it(
    callseal: Commands, archive: Archive, out: Path
) -> None:
    folder = archive.office.bundle(archive.recordings[0])
    audio = only(folder, "audio-*.age")
    manifest = parse((folder / "manifest.json").read_bytes())
    sealed = other_sound(archive, audio)
    exchanged = audio.rename(folder / object_name("audio", sealed.sha256))
    rewrite_manifest(
        folder, archive.office.organisation, with_object(manifest, "audio", exchanged.name, sealed)
    )

    ran = opened(callseal, archive, folder, "-o", out / "call.wav")

    assert ran.code == 12
    assert exchanged.name in ran.err
    assert left_behind(out) == []


def test_the_metadata_of_another_call_is_not_taken_for_this_ones(
    callseal: Commands, archive: Archive
) -> None:
    folder = archive.office.bundle(archive.recordings[0])
    other = archive.office.bundle(archive.recordings[1])
    with only(other, "call-*.age").open("rb") as file:
        signed = b"".join(decrypt(file, [archive.office.reader]))
    exchange_call(archive, folder, signed)

    ran = opened(callseal, archive, folder)

    assert (ran.code, ran.out) == (12, "")
    assert "the metadata of another recording" in ran.err


def test_metadata_that_another_device_signed_is_a_bad_signature(callseal: Commands, archive: Archive) -> None:
    folder = archive.office.bundle(archive.recordings[0])
    stranger = organisation("Another Insurance")
    vcon = Vcon(uuid=archive.recordings[0], created_at=parse_time(folder), parties=(), dialog=())
    exchange_call(archive, folder, sign_vcon(vcon, stranger.device_key, stranger.chain))

    ran = opened(callseal, archive, folder)

    assert (ran.code, ran.out) == (13, "")
    assert "call-" in ran.err


def exchange_call(archive: Archive, folder: Path, signed: bytes) -> None:
    """Put other metadata in place, and let the device sign a manifest that lists it."""
    manifest = parse((folder / "manifest.json").read_bytes())
    call = only(folder, "call-*.age")
    sealed = seal_bytes(call, signed, [archive.office.reader.recipient])
    exchanged = call.rename(folder / object_name("call", sealed.sha256))
    rewrite_manifest(
        folder, archive.office.organisation, with_object(manifest, "call", exchanged.name, sealed)
    )


def other_sound(archive: Archive, path: Path) -> SealedObject:
    office = archive.office
    header = AuHeader(encoding=Encoding.ALAW, rate_hz=RATE_HZ, channels=2)
    inner = bytes(header) + au.to_bytes(sound()[::-1])
    return seal_bytes(path, inner, [office.reader.recipient, office.recovery.recipient])


def with_object(manifest: Manifest, kind: str, name: str, sealed: SealedObject) -> Manifest:
    item = ManifestObject(
        name=name,
        size_bytes=sealed.size_bytes,
        sha256=sealed.sha256,
        plaintext_sha512=sealed.plaintext_sha512,
    )
    return replace(manifest, objects=(item, *(one for one in manifest.objects if one.kind != kind)))


# --- keys -------------------------------------------------------------------------------------------


def test_a_wrong_key_is_said_to_be_one_and_names_the_right_ones(
    callseal: Commands, whole_archive: Archive, tmp_path: Path, out: Path
) -> None:
    office = whole_archive.office
    folder = office.bundle(whole_archive.recordings[0])
    stranger = X25519Identity.generate()
    write_identity(tmp_path / "k", stranger, passphrase=None, created=parse_time(folder))

    ran = callseal("open", folder, "-i", tmp_path / "k", "--roots", office.roots_file, "-o", out / "call.wav")

    assert ran.code == 11
    assert parse((folder / "manifest.json").read_bytes()).recipients[0][:20] in ran.err
    assert "AGE-SECRET-KEY" not in ran.err
    assert left_behind(out) == []


def parse_time(folder: Path) -> datetime:
    return parse((folder / "manifest.json").read_bytes()).started_at


def test_one_right_key_among_several_is_enough(
    callseal: Commands, whole_archive: Archive, tmp_path: Path
) -> None:
    office = whole_archive.office
    folder = office.bundle(whole_archive.recordings[0])
    write_identity(tmp_path / "k", X25519Identity.generate(), passphrase=None, created=parse_time(folder))

    ran = opened(callseal, whole_archive, folder, "-i", tmp_path / "k")

    assert ran.code == 0


def test_a_locked_key_takes_its_passphrase_from_a_file(callseal: Commands, whole_archive: Archive) -> None:
    office = whole_archive.office
    folder = office.bundle(whole_archive.recordings[0])

    ran = callseal("open", folder, "-i", office.locked_key_file, "--passphrase-file", office.passphrase_file)

    assert ran.code == 0


def test_a_locked_key_asks_for_its_passphrase_on_the_terminal_without_showing_it(
    callseal: Commands, whole_archive: Archive
) -> None:
    office = whole_archive.office
    folder = office.bundle(whole_archive.recordings[0])

    ran = callseal.at_terminal(PASSPHRASE, "open", folder, "-i", office.locked_key_file)

    assert ran.code == 0
    assert "Passphrase for" in ran.out
    assert PASSPHRASE not in ran.out


def test_a_wrong_passphrase_is_a_wrong_key(
    callseal: Commands, whole_archive: Archive, tmp_path: Path
) -> None:
    office = whole_archive.office
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("something else\n")

    ran = callseal(
        "open",
        office.bundle(whole_archive.recordings[0]),
        "-i",
        office.locked_key_file,
        "--passphrase-file",
        wrong,
    )

    assert ran.code == 11
    assert "something else" not in ran.err


def test_a_recipient_given_for_a_key_is_a_mistake_in_the_key_file(
    callseal: Commands, whole_archive: Archive
) -> None:
    office = whole_archive.office

    ran = callseal("open", office.bundle(whole_archive.recordings[0]), "-i", office.root / "recipients.txt")

    assert ran.code == 78
    assert "recipients.txt, line 1" in ran.err


# --- the signer -------------------------------------------------------------------------------------


def test_an_untrusted_signer_is_a_loud_warning(callseal: Commands, whole_archive: Archive) -> None:
    office = whole_archive.office

    ran = callseal("open", office.bundle(whole_archive.recordings[0]), "-i", office.key_file)

    assert ran.code == 0
    assert "WARNING: signer untrusted" in ran.err
    assert "UNTRUSTED" in ran.out


def test_strict_refuses_an_untrusted_signer(callseal: Commands, whole_archive: Archive, out: Path) -> None:
    office = whole_archive.office
    folder = office.bundle(whole_archive.recordings[0])

    ran = callseal("open", folder, "-i", office.key_file, "--strict", "-o", out / "call.wav")

    assert (ran.code, ran.out) == (14, "")
    assert left_behind(out) == []


# --- files ------------------------------------------------------------------------------------------


def test_a_file_that_is_there_is_kept_unless_force_is_given(
    callseal: Commands, whole_archive: Archive, out: Path
) -> None:
    folder = whole_archive.office.bundle(whole_archive.recordings[0])
    (out / "call.wav").write_text("mine")

    refused = opened(callseal, whole_archive, folder, "-o", out / "call.wav")
    kept = (out / "call.wav").read_bytes()
    forced = opened(callseal, whole_archive, folder, "-o", out / "call.wav", "--force")

    assert (refused.code, kept) == (2, b"mine")
    assert forced.code == 0
    assert soundfile.info(out / "call.wav").frames == DURATION_S * RATE_HZ


def test_an_altered_recording_does_not_replace_a_file_even_by_force(
    callseal: Commands, archive: Archive, out: Path
) -> None:
    folder = archive.office.bundle(archive.recordings[0])
    flip(only(folder, "audio-*.age"), -1)
    (out / "call.wav").write_text("mine")

    ran = opened(callseal, archive, folder, "-o", out / "call.wav", "--force")

    assert ran.code == 12
    assert (out / "call.wav").read_bytes() == b"mine"


@pytest.mark.parametrize("options", [["-o", "call.mp3"], ["--raw"]])
def test_a_file_of_no_known_kind_is_refused(
    callseal: Commands, whole_archive: Archive, options: list[str]
) -> None:
    folder = whole_archive.office.bundle(whole_archive.recordings[0])

    ran = opened(callseal, whole_archive, folder, *options)

    assert ran.code == 2


@pytest.mark.parametrize("options", [["-o", "call.wav"], ["-o", "call.flac"], ["--raw", "-o", "call.au"]])
def test_a_full_disk_leaves_no_half_of_a_file(
    whole_archive: Archive, callseal: Commands, out: Path, options: list[str]
) -> None:
    office = whole_archive.office
    command: list[str | Path] = [
        PROGRAM,
        "open",
        office.bundle(whole_archive.recordings[0]),
        "-i",
        office.key_file,
        *options,
    ]

    ran = subprocess.run(
        ["bash", "-c", 'ulimit -f 32; exec "$@"', "-", *command],
        cwd=out,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 2
    assert "can't be written" in ran.stderr
    assert left_behind(out) == []


def test_a_call_that_was_not_recorded_shows_why_and_has_no_sound(
    callseal: Commands, whole_archive: Archive, out: Path
) -> None:
    folder = whole_archive.office.bundle(whole_archive.exempt)

    shown = opened(callseal, whole_archive, folder)
    asked = opened(callseal, whole_archive, folder, "-o", out / "call.wav")

    assert shown.code == 0
    assert "A rule says that this line is never recorded." in shown.out
    assert asked.code == 10
    assert left_behind(out) == []


def test_a_name_that_a_stranger_chose_can_not_play_with_the_terminal(
    callseal: Commands, tmp_path: Path
) -> None:
    office = open_office(tmp_path / "o")
    recording = record(office, customer=Party(number="+8613800138000", name="\x1b]0;owned\x07Eve\r"))
    callseal.use(office.config_file)

    ran = callseal("open", str(recording), "-i", office.key_file)

    assert "Eve" in ran.out
    assert not set(ran.out) & set("\x1b\x07\r")


def test_a_copy_under_another_name_opens_by_its_path(
    callseal: Commands, archive: Archive, tmp_path: Path
) -> None:
    shutil.copytree(archive.office.bundle(archive.recordings[0]), tmp_path / "evidence")

    ran = opened(callseal, archive, tmp_path / "evidence")

    assert ran.code == 0


def test_a_recording_under_another_ones_id_is_altered(callseal: Commands, archive: Archive) -> None:
    first, second, _third = (archive.office.bundle(one) for one in archive.recordings)
    shutil.rmtree(second)
    first.rename(second)

    ran = opened(callseal, archive, second)

    assert ran.code == 12
    assert "the manifest's own" in ran.err


@pytest.mark.parametrize("lost_chunks", [0, 1])
def test_sound_that_is_missing_in_the_middle_is_said_to_be(
    callseal: Commands, tmp_path: Path, lost_chunks: int
) -> None:
    """It stands as silence in what is heard; whoever listens must not take that for the call's."""
    office = open_office(tmp_path / "office")
    recording, _inner = cut_off(office, 1, size_bytes=200_000, lost_chunks=lost_chunks)

    ran = callseal(
        *("open", str(recording), "-i", office.key_file, "--config", office.config_file),
        *("-o", tmp_path / "call.wav"),
    )

    assert ran.code == 0
    assert ("65536 bytes of the sound are missing" in ran.err) == (lost_chunks > 0)
