"""Verification of a folder: every change is found and named, and nothing is well that was not checked.

What its device's ledger and custodians say of a recording is in ``test_verify_ledger`` and
``test_verify_receipts``.
"""

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from callseal.seal.keys import Role, TrustStore, certify, chain_der, self_signed
from callseal.seal.manifest import MANIFEST_NAME, SIGNATURE_NAME, Manifest, Result
from callseal.seal.verify import Check, Finding, LocalFolder, Outcome, Report, gravest, verify_recording
from support.kept_ledgers import Memory, recovered_object, seal
from support.sealed_recordings import (
    AUDIO,
    STARTED_AT,
    manifest_of,
    organisation,
    recording_id,
    rewrite_manifest,
    sealed_object,
    write_folder,
)

OWNER = organisation()
STRANGER = organisation("Stranger")
ID = str(recording_id())
HASH = "0" * 64


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / ID, OWNER)
    return tmp_path / ID


@pytest.fixture
def manifest() -> Manifest:
    return manifest_of(OWNER, sealed_object("audio", AUDIO), sealed_object("call", b"call"))


def verified(folder: Path, trust: TrustStore = OWNER.trust) -> Report:
    reader = LocalFolder(folder)
    return verify_recording(reader, reader.prefix, trust)


def wrong(report: Report) -> list[Finding]:
    """Give what is wrong in the folder itself."""
    return [finding for finding in report.findings if finding.exit_code and finding.check is not Check.LEDGER]


def code(report: Report) -> int:
    """Give the gravest of that."""
    return gravest(wrong(report))


def in_memory(folder: Path, prefix: str) -> dict[str, bytes]:
    return {prefix + path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_recording_as_it_was_sealed_is_well(folder: Path) -> None:
    report = verified(folder)

    assert report.intact
    assert report.signer is not None
    assert report.signer.device_id == OWNER.device
    assert report.manifest is not None
    assert [(finding.check, finding.outcome) for finding in report.findings] == [
        (Check.MANIFEST, Outcome.OK),
        (Check.SIGNATURE, Outcome.OK),
        (Check.SIGNER, Outcome.OK),
        (Check.FOLDER, Outcome.OK),
        (Check.OBJECT, Outcome.OK),
        (Check.OBJECT, Outcome.OK),
        (Check.LEDGER, Outcome.NOT_CHECKED),
    ]


def test_a_folder_by_itself_is_never_ok_and_says_that_its_ledger_is_missing(folder: Path) -> None:
    report = verified(folder)

    assert (report.ok, report.exit_code) == (False, 15)
    assert "ledger is not at hand" in report.findings[-1].words


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # of the library, on the way to our refusal
def test_every_changed_byte_of_the_manifest_is_found_and_named(folder: Path) -> None:
    data = (folder / MANIFEST_NAME).read_bytes()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        (folder / MANIFEST_NAME).write_bytes(changed)

        report = verified(folder)

        assert code(report) in {12, 13}
        assert any(MANIFEST_NAME in f"{finding.object} {finding.words}" for finding in wrong(report))
        assert report.signer is None


def test_every_changed_byte_of_the_signature_is_found_and_named(folder: Path) -> None:
    data = (folder / SIGNATURE_NAME).read_bytes()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        (folder / SIGNATURE_NAME).write_bytes(changed)

        report = verified(folder)

        assert code(report) == 13
        assert [finding.object for finding in wrong(report)] == [SIGNATURE_NAME]


@pytest.mark.parametrize("kind", ["audio", "call"])
def test_a_changed_byte_in_an_object_is_found_and_the_object_named(folder: Path, kind: str) -> None:
    path = next(folder.glob(f"{kind}-*"))
    data = path.read_bytes()
    for place in {*range(0, len(data), 997), len(data) - 1}:
        changed = bytearray(data)
        changed[place] ^= 0x80
        path.write_bytes(changed)

        report = verified(folder)

        assert code(report) == 12
        assert [finding.object for finding in wrong(report)] == [path.name]


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\x00", lambda _data: b""])
def test_an_object_cut_short_or_made_longer_is_found(folder: Path, change: object) -> None:
    path = next(folder.glob("audio-*"))
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]

    report = verified(folder)

    assert code(report) == 12
    assert [finding.object for finding in wrong(report)] == [path.name]


@pytest.mark.parametrize("pattern", ["audio-*", "call-*", MANIFEST_NAME])
def test_a_missing_object_is_found_and_named(folder: Path, pattern: str) -> None:
    path = next(folder.glob(pattern))
    path.unlink()

    report = verified(folder)

    assert code(report) == 12
    assert (path.name, "missing") in {(finding.object, finding.words) for finding in wrong(report)}


@pytest.mark.parametrize("size_bytes", [None, 0, 63, 65])
def test_a_signature_that_is_none_is_a_bad_signature(folder: Path, size_bytes: int | None) -> None:
    path = folder / SIGNATURE_NAME
    path.unlink()
    if size_bytes is not None:
        path.write_bytes(bytes(size_bytes))

    assert code(verified(folder)) == 13


@pytest.mark.parametrize("name", ["notes.txt", f"audio-{HASH}.age", "manifest.json.tmp", "add-1.txt"])
def test_what_the_manifest_does_not_know_is_found_and_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")

    report = verified(folder)

    assert code(report) == 12
    assert [finding.object for finding in wrong(report)] == [name]


def test_a_folder_in_the_folder_is_found(folder: Path) -> None:
    (folder / "more").mkdir()

    assert [finding.object for finding in wrong(verified(folder))] == ["more"]


@pytest.mark.parametrize("name", [f"add-1-{HASH}.age", "add-1.json", "add-1.sig"])
def test_later_additions_are_neither_a_fault_nor_passed_over(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")

    report = verified(folder)

    assert code(report) == 15
    assert [(finding.object, finding.outcome) for finding in wrong(report)] == [(name, Outcome.NOT_CHECKED)]


def test_without_a_trusted_root_nothing_is_ever_well(folder: Path) -> None:
    report = verified(folder, TrustStore())

    assert code(report) == 14
    assert [finding.check for finding in wrong(report)] == [Check.SIGNER]
    assert "signer untrusted" in wrong(report)[0].words
    assert report.signer is None


def test_a_stranger_who_seals_everything_anew_is_untrusted(tmp_path: Path) -> None:
    write_folder(tmp_path / ID, STRANGER)

    assert code(verified(tmp_path / ID)) == 14
    assert verified(tmp_path / ID, STRANGER.trust).intact


def test_a_stranger_who_signs_the_true_manifest_has_a_bad_signature(folder: Path) -> None:
    data = (folder / MANIFEST_NAME).read_bytes()
    (folder / SIGNATURE_NAME).write_bytes(STRANGER.device_key.sign(data))

    assert code(verified(folder)) == 13


def test_a_device_not_yet_enrolled_is_untrusted(folder: Path, manifest: Manifest) -> None:
    leaf = self_signed(OWNER.device_key, role=Role.DEVICE, now=STARTED_AT, years=1)
    rewrite_manifest(folder, OWNER, manifest, x5c=chain_der([leaf]))

    assert 14 in {finding.exit_code for finding in wrong(verified(folder))}


def test_a_device_may_not_sign_in_the_name_of_another(folder: Path) -> None:
    written = verified(folder).manifest
    assert written is not None
    rewrite_manifest(folder, OWNER, written, device=STRANGER.device)

    report = verified(folder)

    assert code(report) == 14
    assert OWNER.device in wrong(report)[0].words
    assert STRANGER.device in wrong(report)[0].words


def test_a_certificate_that_had_ended_before_the_call_counts_for_nothing(folder: Path) -> None:
    written = verified(folder).manifest
    assert written is not None
    then = STARTED_AT - timedelta(days=366 * 2)
    key = OWNER.device_key.public_key()
    leaf = certify(OWNER.root_key, OWNER.root, key, role=Role.DEVICE, now=then, years=1)
    rewrite_manifest(folder, OWNER, written, x5c=chain_der([leaf]))

    report = verified(folder)

    assert code(report) == 14
    assert "does not hold at" in wrong(report)[0].words


def test_a_recording_put_in_the_place_of_another_is_found(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / str(recording_id(1))
    shutil.copytree(folder, other)

    report = verified(other)

    assert code(report) == 12
    assert [finding.check for finding in wrong(report)] == [Check.FOLDER]


def test_in_a_store_the_folder_is_the_devices_and_the_days_own(folder: Path) -> None:
    prefix = f"recordings/{OWNER.device}/2026/11/21/{ID}/"

    assert verify_recording(Memory(in_memory(folder, prefix)), prefix, OWNER.trust).intact


@pytest.mark.parametrize(
    "prefix",
    [
        f"recordings/{STRANGER.device}/2026/11/21/{ID}/",
        f"recordings/{OWNER.device}/2026/11/22/{ID}/",
        f"recordings/{OWNER.device}/2026/11/21/{recording_id(1)}/",
        f"elsewhere/{OWNER.device}/2026/11/21/{ID}/",
        f"{OWNER.device}/{ID}/",
    ],
    ids=["another device", "another day", "another id", "elsewhere", "at the top"],
)
def test_in_a_store_any_other_folder_is_found(folder: Path, prefix: str) -> None:
    report = verify_recording(Memory(in_memory(folder, prefix)), prefix, OWNER.trust)

    assert code(report) == 12
    assert [finding.check for finding in wrong(report)] == [Check.FOLDER]


@pytest.mark.parametrize("part", ["list", "manifest.json", "manifest.sig", "audio-", "call-"])
def test_what_can_not_be_read_is_not_checked_and_never_well(folder: Path, part: str) -> None:
    reader = Memory(in_memory(folder, f"{ID}/"), (part,))

    report = verify_recording(reader, f"{ID}/", OWNER.trust)

    assert code(report) == 15
    assert {finding.outcome for finding in wrong(report)} == {Outcome.NOT_CHECKED}


def test_a_folder_that_is_not_there_is_not_checked(tmp_path: Path) -> None:
    assert code(verified(tmp_path / ID)) == 15


def test_the_gravest_finding_decides(folder: Path) -> None:
    (folder / SIGNATURE_NAME).write_bytes(bytes(64))
    (folder / "add-1.json").write_bytes(b"")

    with_bad_signature = code(verified(folder, TrustStore()))
    (folder / "notes").write_bytes(b"")

    assert with_bad_signature == 13
    assert code(verified(folder, TrustStore())) == 12


def test_a_folder_stuffed_with_objects_ends_the_look_through(folder: Path) -> None:
    objects = in_memory(folder, f"{ID}/") | {f"{ID}/{number}": b"" for number in range(10_001)}

    assert code(verify_recording(Memory(objects), f"{ID}/", OWNER.trust)) == 12


def test_an_object_far_too_large_is_not_read_to_its_end(folder: Path) -> None:
    endless = next(folder.glob("audio-*"))
    with endless.open("ab") as file:
        file.truncate(1 << 40)

    assert [finding.object for finding in wrong(verified(folder))] == [endless.name]


@pytest.mark.parametrize("name", ["../x", "x", f"{ID}/..", f"{ID}/a/b"])
def test_a_folder_hands_out_nothing_but_its_own_files(folder: Path, name: str) -> None:
    with pytest.raises(OSError, match="not in"):
        LocalFolder(folder).get(name)


def test_a_recording_of_another_day_is_another_folder(manifest: Manifest) -> None:
    later = replace(
        manifest, started_at=STARTED_AT + timedelta(minutes=2), ended_at=STARTED_AT + timedelta(hours=1)
    )

    report = verify_recording(
        Memory({f"recordings/{OWNER.device}/2026/11/21/{ID}/{MANIFEST_NAME}": later.to_bytes()}),
        f"recordings/{OWNER.device}/2026/11/21/{ID}",
        OWNER.trust,
    )

    folder = next(finding for finding in report.findings if finding.check is Check.FOLDER)
    assert "2026/11/22" in folder.words


TAIL = b"tail" * 500
TAIL_KEY = b"key" * 100


def recovered(
    offset: int | None = 65_536, *, kinds: tuple[str, ...] = ("audio", "tail", "tailkey")
) -> Report:
    """Verify a recording that was recovered after a crash, with these objects beside its call data."""
    contents = {"audio": AUDIO, "tail": TAIL, "tailkey": TAIL_KEY}
    objects = [recovered_object(kind, contents[kind], offset if kind == "tail" else None) for kind in kinds]
    objects.append(recovered_object("call", b"call"))
    manifest = replace(manifest_of(OWNER, *objects), result=Result.DEGRADED, reasons=("recovered",))
    files = {item.name: contents.get(item.kind, b"call") for item in objects}
    sealed = seal(manifest, OWNER, files)
    return verify_recording(sealed.reader, sealed.prefix, OWNER.trust)


def test_a_recovered_recording_is_well_as_what_it_says_that_it_is() -> None:
    assert recovered().intact
    assert recovered(0).intact
    assert recovered(kinds=("audio",)).intact


def test_a_tail_without_the_key_that_opens_it_is_altered() -> None:
    report = recovered(kinds=("audio", "tail"))

    assert code(report) == 12
    assert any("not the one key that opens it" in finding.words for finding in wrong(report))


def test_two_tails_are_altered() -> None:
    contents = {"audio": AUDIO, "tail": TAIL, "tailkey": TAIL_KEY}
    objects = [recovered_object(kind, data, 0 if kind == "tail" else None) for kind, data in contents.items()]
    objects.append(recovered_object("tail", TAIL * 2, 65_536))
    files = dict(zip((item.name for item in objects), (*contents.values(), TAIL * 2), strict=True))
    sealed = seal(manifest_of(OWNER, *objects), OWNER, files)

    assert code(verify_recording(sealed.reader, sealed.prefix, OWNER.trust)) == 12


@pytest.mark.parametrize("offset", [1, 65_535, 65_537, None])
def test_a_tail_that_does_not_go_on_behind_whole_chunks_is_altered(offset: int | None) -> None:
    report = recovered(offset)

    assert code(report) == 12
    assert any("behind whole chunks" in finding.words for finding in wrong(report))


def test_a_tail_without_the_sound_before_it_is_altered() -> None:
    assert code(recovered(kinds=("tail", "tailkey"))) == 12
