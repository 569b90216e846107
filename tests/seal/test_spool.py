"""The spool: private, one agent at a time, and a recording is in it whole or not at all."""

import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from callseal.seal.durable import Step, no_step
from callseal.seal.errors import SpoolError
from callseal.seal.manifest import Manifest, sign
from callseal.seal.spool import AUDIO_NAME, VCON_NAME, Bundle, OpenBundle, Spool, SpoolInUse
from support.killed_child import killed_at
from support.sealed_recordings import (
    AUDIO,
    CALL,
    check_folder,
    make_ready,
    manifest_of,
    organisation,
    recording_id,
    sealed_object,
)

LOCKING = """
import sys
from pathlib import Path
from callseal.seal.spool import Spool
with Spool(Path(sys.argv[1])).lock():
    pass
"""
OWNER = organisation()
AUDIO_OBJECT, CALL_OBJECT = sealed_object("audio", AUDIO), sealed_object("call", CALL)
MANIFEST = manifest_of(OWNER, AUDIO_OBJECT, CALL_OBJECT)
SIGNATURE = sign(MANIFEST.to_bytes(), OWNER.device_key)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    found = Spool(tmp_path / "spool")
    with found.lock():
        yield found


def recorded(spool: Spool) -> OpenBundle:
    bundle = spool.begin(MANIFEST.id)
    bundle.audio_path.write_bytes(AUDIO)
    bundle.put_vcon(CALL)
    return bundle


def completed(bundle: OpenBundle, step: Step = no_step) -> Bundle:
    bundle.bind(MANIFEST, SIGNATURE, step=step)
    return bundle.release(step=step)


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def test_a_new_spool_is_for_its_owner_only(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")

    assert names(spool.root) == ["ledger", "open", "quarantine", "ready", "removing", "status"]
    for folder in (spool.root, *spool.root.iterdir()):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o777])
@pytest.mark.parametrize("folder", [".", "open", "ready"])
def test_a_spool_that_others_can_look_into_is_refused(tmp_path: Path, mode: int, folder: str) -> None:
    root = Spool(tmp_path / "spool").root
    (root / folder).chmod(mode)

    with pytest.raises(SpoolError, match=f"mode {mode:o}"):
        Spool(root)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_spool_that_belongs_to_somebody_else_is_refused(tmp_path: Path) -> None:
    root = Spool(tmp_path / "spool").root
    os.chown(root, 65534, 65534)

    with pytest.raises(SpoolError, match="belongs to user 65534"):
        Spool(root)


def test_a_spool_that_is_a_file_or_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(Spool(tmp_path / "spool").root)

    for name in ("file", "link"):
        with pytest.raises(SpoolError, match=name):
            Spool(tmp_path / name)


def test_a_finished_recording_is_in_ready_with_the_names_of_its_manifest(spool: Spool) -> None:
    bundle = completed(recorded(spool))

    assert names(bundle.path) == sorted(
        [AUDIO_OBJECT.name, CALL_OBJECT.name, "manifest.json", "manifest.sig"]
    )
    assert list(spool.ready()) == [bundle]
    assert bundle.manifest_bytes() == MANIFEST.to_bytes()
    assert bundle.signature() == SIGNATURE
    assert names(spool.root / "open") == []
    assert check_folder(bundle.path, OWNER) == MANIFEST


def test_recordings_are_listed_oldest_first_and_strangers_passed_over(spool: Spool) -> None:
    for number in (2, 0, 1):
        make_ready(spool, OWNER, number)
    (spool.ready_path / "notes").mkdir()

    assert [bundle.id for bundle in spool.ready()] == [recording_id(number) for number in range(3)]


def test_scratch_files_do_not_go_into_the_finished_recording(spool: Spool) -> None:
    bundle = recorded(spool)
    for name in ("state", "tail", "tail-key.age", "call.vcon.age.tmp"):
        (bundle.path / name).write_bytes(b"scratch")

    ready = completed(bundle)

    assert len(names(ready.path)) == 4


def test_a_file_that_the_manifest_does_not_know_is_neither_sent_nor_thrown_away(spool: Spool) -> None:
    bundle = recorded(spool)
    (bundle.path / "tail.age").write_bytes(b"the last second")

    with pytest.raises(SpoolError, match="not in the manifest"):
        bundle.bind(MANIFEST, SIGNATURE)

    assert (bundle.path / "tail.age").read_bytes() == b"the last second"
    assert list(spool.ready()) == []


def test_completing_may_be_tried_again_after_it_failed(spool: Spool) -> None:
    bundle = recorded(spool)
    (bundle.path / "tail.age").write_bytes(b"")
    with pytest.raises(SpoolError):
        bundle.bind(MANIFEST, SIGNATURE)
    (bundle.path / "tail.age").unlink()

    ready = completed(bundle)

    assert list(spool.ready()) == [ready]


@pytest.mark.parametrize(
    "manifest",
    [
        replace(MANIFEST, id=recording_id(1)),
        manifest_of(OWNER, AUDIO_OBJECT),
        manifest_of(OWNER, replace(AUDIO_OBJECT, size_bytes=AUDIO_OBJECT.size_bytes + 1), CALL_OBJECT),
        manifest_of(OWNER, AUDIO_OBJECT, CALL_OBJECT, sealed_object("tail", b"gone")),
    ],
)
def test_objects_that_do_not_fit_the_manifest_are_not_completed(spool: Spool, manifest: Manifest) -> None:
    bundle = recorded(spool)

    with pytest.raises(SpoolError):
        bundle.bind(manifest, SIGNATURE)
    bundle.unbind()

    assert names(bundle.path) == sorted([AUDIO_NAME, VCON_NAME])


def test_a_call_that_must_not_be_recorded_leaves_no_audio(spool: Spool) -> None:
    bundle = recorded(spool)

    bundle.discard_audio()
    bundle.discard_audio()

    assert names(bundle.path) == [VCON_NAME]


def test_a_call_that_turned_out_to_be_none_leaves_nothing(spool: Spool) -> None:
    bundle = recorded(spool)

    bundle.discard()

    assert names(spool.root / "open") == []


@pytest.mark.parametrize("state", ["open", "ready", "quarantine"])
def test_one_id_is_never_used_for_two_recordings(spool: Spool, state: str) -> None:
    (spool.root / state / str(MANIFEST.id)).mkdir()

    with pytest.raises(SpoolError, match=str(MANIFEST.id)):
        spool.begin(MANIFEST.id)


def test_without_the_lock_nothing_is_begun_or_swept_up(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")

    with pytest.raises(SpoolError, match="lock"):
        spool.begin(MANIFEST.id)
    with pytest.raises(SpoolError, match="lock"):
        spool.unfinished()
    with pytest.raises(SpoolError, match="lock"):
        spool.quarantine_strangers()


def test_a_second_agent_is_told_that_the_spool_is_in_use(spool: Spool) -> None:
    with Popen([sys.executable, "-c", LOCKING, spool.root], stderr=PIPE, text=True) as second:
        _, errors = second.communicate(timeout=60)

    assert second.returncode == 1
    assert "SpoolInUse" in errors
    assert "another agent works in this spool" in errors


def test_the_uploader_works_beside_the_agent(spool: Spool) -> None:
    with Spool(spool.root).lock("uploader"), pytest.raises(SpoolInUse), Spool(spool.root).lock("uploader"):
        pass


def test_a_killed_agent_leaves_no_lock_behind(tmp_path: Path) -> None:
    def work(step: Step) -> None:
        with Spool(tmp_path / "spool").lock():
            step("die")

    assert killed_at(0, work)

    with Spool(tmp_path / "spool").lock():
        pass


def test_wherever_the_agent_is_killed_a_recording_is_in_ready_whole_or_can_be_completed(
    tmp_path: Path,
) -> None:
    number, killed, moved = 0, True, set()
    while killed:
        root = tmp_path / str(number)

        def work(step: Step, root: Path = root) -> None:
            spool = Spool(root)
            with spool.lock():
                completed(recorded(spool), step)

        killed = killed_at(number, work)

        spool = Spool(root)
        with spool.lock():
            unfinished = spool.unfinished()
            moved.add(not unfinished)
            for bundle in unfinished:
                completed(bundle)
        (ready,) = spool.ready()
        assert check_folder(ready.path, OWNER) == MANIFEST
        assert names(root / "open") == []
        number += 1

    assert number > 15
    assert moved == {True, False}


def test_a_manifest_that_does_not_fit_can_be_taken_back_with_the_names_that_it_gave(spool: Spool) -> None:
    bundle = recorded(spool)
    before = names(bundle.path)
    bundle.bind(MANIFEST, SIGNATURE)

    bundle.unbind()
    bundle.unbind()

    assert names(bundle.path) == before
    assert bundle.audio_path.read_bytes() == AUDIO
    assert bundle.vcon_path.read_bytes() == CALL


def test_a_half_written_file_takes_no_name_when_a_manifest_is_taken_back(spool: Spool) -> None:
    bundle = recorded(spool)
    half = bundle.path / "tail-key.age.tmp"
    half.write_bytes(b"half")

    bundle.unbind()

    assert half.read_bytes() == b"half"


def test_what_was_open_is_found_again_oldest_first(spool: Spool) -> None:
    for number in (2, 0, 1):
        spool.begin(recording_id(number))

    found = spool.unfinished()

    assert [bundle.id for bundle in found] == [recording_id(number) for number in range(3)]


def test_what_lies_among_the_recordings_and_is_none_is_moved_to_quarantine(spool: Spool) -> None:
    recorded(spool)
    (spool.root / "open" / "stray").write_bytes(b"kept")

    moved = spool.quarantine_strangers()

    assert moved == ["stray"]
    assert (spool.root / "quarantine" / "stray").read_bytes() == b"kept"
    assert names(spool.root / "open") == [str(MANIFEST.id)]
    assert spool.quarantine_strangers() == []


def test_quarantine_never_writes_over_what_is_in_it(spool: Spool) -> None:
    bundle = recorded(spool)
    (spool.root / "open" / "stray").write_bytes(b"new")
    (spool.root / "quarantine" / "stray").write_bytes(b"old")

    spool.quarantine_strangers()
    spool.quarantine_file(bundle.audio_path)
    recorded_again = bundle.audio_path
    recorded_again.write_bytes(b"again")
    spool.quarantine_file(recorded_again)

    assert names(spool.root / "quarantine") == sorted(
        [f"{MANIFEST.id}-audio.age", f"{MANIFEST.id}-audio.age.2", "stray", "stray.2"]
    )
    assert (spool.root / "quarantine" / "stray").read_bytes() == b"old"


def test_sweeping_up_may_be_killed_at_any_point_and_done_again(tmp_path: Path) -> None:
    number, killed = 0, True
    while killed:
        spool = Spool(tmp_path / str(number))
        for stranger in ("a", "b", "c"):
            (spool.root / "open" / stranger).mkdir()

        def work(step: Step, spool: Spool = spool) -> None:
            with spool.lock():
                spool.quarantine_strangers(step=step)

        killed = killed_at(number, work)

        with spool.lock():
            spool.quarantine_strangers()
        assert names(spool.root / "quarantine") == ["a", "b", "c"]
        assert names(spool.root / "open") == []
        number += 1

    assert number == 6


def test_a_vcon_is_replaced_whole_wherever_the_agent_is_killed(tmp_path: Path) -> None:
    number, killed, found = 0, True, set()
    while killed:
        path = tmp_path / str(number)
        path.mkdir()
        bundle = OpenBundle(MANIFEST.id, path, tmp_path)
        bundle.put_vcon(b"old")

        def work(step: Step, bundle: OpenBundle = bundle) -> None:
            bundle.put_vcon(b"new", step=step)

        killed = killed_at(number, work)

        found.add(bundle.vcon_path.read_bytes())
        number += 1

    assert number == 6
    assert found == {b"old", b"new"}


def test_free_space_is_what_the_disk_says(spool: Spool) -> None:
    figures = os.statvfs(spool.root)

    assert abs(spool.free_bytes() - figures.f_bavail * figures.f_frsize) < 1 << 30


def test_the_empty_folder_that_an_unmounted_disk_leaves_is_no_spool(tmp_path: Path) -> None:
    """Nothing is made in it: what would be put there vanishes when the disk comes back."""
    mount_point = tmp_path / "mount"
    mount_point.mkdir(mode=0o700)

    for root in (mount_point, tmp_path / "nothing"):
        with pytest.raises(SpoolError, match="is its disk mounted"):
            Spool.existing(root)

    assert names(mount_point) == []
    assert not (tmp_path / "nothing").exists()


def test_a_folder_that_was_made_a_spool_is_one_and_making_it_again_changes_nothing(tmp_path: Path) -> None:
    made = Spool.create(tmp_path / "spool")
    before = names(made.root)

    again = Spool.create(tmp_path / "spool")

    assert Spool.existing(tmp_path / "spool").root == again.root == made.root
    assert names(made.root) == before


def test_a_spool_from_before_there_were_markers_is_taken_for_what_it_is(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with spool.lock():
        make_ready(spool, OWNER)

    taken = Spool.existing(spool.root)

    assert len(list(taken.ready())) == 1
