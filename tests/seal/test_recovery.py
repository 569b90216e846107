"""Recovery: wherever an agent is killed, nothing that was safe is lost, and nothing is there twice."""

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from callseal.seal.durable import Step
from callseal.seal.errors import ManifestError, SpoolError
from callseal.seal.ledger.entry import Kind
from callseal.seal.manifest import Manifest, Result
from callseal.seal.recovery import NotRecovered, Recovered
from callseal.seal.spool import OpenBundle, Spool
from callseal.seal.state import Continues, Purpose, RecordingState
from callseal.seal.vcon import open_vcon
from callseal.seal.writer import SealedFile, seal_bytes
from support.killed_child import killed_at
from support.recovered import open_finished, open_unfinished, opened_whole
from support.sealed_recordings import STARTED_AT, check_folder, make_ready, recording_id
from support.stepped_recording import (
    AHEAD_BYTES,
    HEADER,
    OWNER,
    READER,
    RECIPIENTS,
    RECORDING,
    SOUND,
    STATE,
    Progress,
    discard,
    open_ledger,
    read_ledger,
    record,
    recover,
    recovery_of,
)

SOAK = bool(os.environ.get("CALLSEAL_SOAK"))
STRIDE = 1 if SOAK else 17
CHUNK_SIZE_BYTES = 64 * 1024
STRANGER = UUID("ffffffff-ffff-4fff-8fff-ffffffffffff")


def steps_of(work: Callable[[Step], object]) -> list[str]:
    """Return the names of all steps of a work that nobody kills."""
    found: list[str] = []
    work(found.append)
    return found


def killed_recording(root: Path, number: int) -> Progress:
    progress = Progress()
    assert killed_at(number, partial(record, root, progress=progress))
    return progress


def check_nothing_lost_nothing_doubled(root: Path, progress: Progress) -> None:
    """Check a spool whose agent was killed, and whose recovery then came to its end."""
    told = read_ledger(root)
    assert list((root / "open").iterdir()) == []
    assert list((root / "quarantine").iterdir()) == []
    ready = sorted((root / "ready").iterdir())
    if not told.of(RECORDING):
        assert ready == []
        assert progress.written_bytes == 0
        return
    (folder,) = ready
    manifest = check_folder(folder, OWNER)
    plaintext = open_finished(folder, manifest, READER)
    assert progress.safe_bytes <= len(plaintext) <= progress.written_bytes
    assert plaintext == SOUND[: len(plaintext)]
    assert manifest.duration_samples == max(0, len(plaintext) - len(HEADER)) // 2
    opened, *ends = told.of(RECORDING)
    assert opened is Kind.OPENED
    assert len(ends) == 1
    (named,) = told.manifests(RECORDING)
    assert named == hashlib.sha256(manifest.to_bytes()).digest()
    expected = {Result.OK: Kind.CLOSED}.get(manifest.result, Kind.RECOVERED)
    assert ends == [expected]


def test_wherever_the_agent_is_killed_nothing_is_lost_and_nothing_doubled(tmp_path: Path) -> None:
    """Killed before every single write, sync, rename and removal of a whole recording."""
    count = len(steps_of(partial(record, tmp_path / "whole")))
    lengths, results = set(), set()

    for number in range(count):
        root = tmp_path / str(number)
        progress = killed_recording(root, number)

        found = recover(root)

        check_nothing_lost_nothing_doubled(root, progress)
        assert all(isinstance(item, Recovered) for item in found)
        assert recover(root) == []
        lengths.add(progress.safe_bytes)
        results |= {item.result for item in found if isinstance(item, Recovered)}

    assert count > 80
    assert len(lengths) >= 6
    assert results == {Result.OK, Result.DEGRADED, Result.FAILED}


def test_what_is_in_open_after_a_kill_is_what_recovery_makes_a_recording_of(tmp_path: Path) -> None:
    """Opened by hand as the format page says, before recovery touched it, it is the same sound."""
    count = len(steps_of(partial(record, tmp_path / "whole")))

    for number in range(0, count, 2):
        root = tmp_path / str(number)
        killed_recording(root, number)
        unfinished = [path for path in (root / "open").iterdir() if (path / "audio.age").exists()]
        by_hand = [open_unfinished(path, READER) for path in unfinished]

        recover(root)

        finished = [
            open_finished(path, check_folder(path, OWNER), READER)
            for path in (root / "ready").iterdir()
            if unfinished
        ]
        assert [len(plaintext) for plaintext in finished] == [len(plaintext) for plaintext in by_hand]
        assert finished == by_hand


def _check_killed_recoveries(tmp_path: Path, number: int, first: int, stride: int) -> int:
    """Kill an agent at one step, and each of its recoveries at another; return how many were killed."""
    killed_root = tmp_path / f"killed-{number}"
    progress = killed_recording(killed_root, number)
    kills, at = 0, first
    while True:
        root = tmp_path / f"again-{number}-{at}"
        shutil.copytree(killed_root, root)
        killed = killed_at(at, partial(recover, root))

        recover(root)

        check_nothing_lost_nothing_doubled(root, progress)
        shutil.rmtree(root)
        if not killed:
            return kills
        kills, at = kills + 1, at + stride


def test_a_recovery_may_be_killed_at_any_step_and_done_again(tmp_path: Path) -> None:
    """Every step of recovery, after kills at the most different steps of a recording."""
    names = steps_of(partial(record, tmp_path / "whole"))
    sealed = [number for number, name in enumerate(names) if name == "write sealed file"]
    kills = {
        number: _check_killed_recoveries(tmp_path, number, 0, 1)
        for number in (
            names.index("make folder"),
            names.index("create tail"),
            sealed[2] + 1,
            names.index("rename call.vcon.age"),
            names.index("move to ready"),
        )
    }

    assert max(kills.values()) > 40
    assert min(kills.values()) > 3


@pytest.mark.soak
def test_any_two_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """The agent is killed at every step, and each recovery at a step; in a soak at every one."""
    count = len(steps_of(partial(record, tmp_path / "whole")))

    kills = sum(
        _check_killed_recoveries(tmp_path, number, number % STRIDE, STRIDE) for number in range(count)
    )

    assert kills > count


def test_sound_that_is_to_be_destroyed_does_not_come_back(tmp_path: Path) -> None:
    """Killed at every step from the decision on: exempt, without sound; before it, the call is recovered."""
    names = steps_of(partial(discard, tmp_path / "whole"))
    decided = names.index("destroy")

    for number in range(decided - 5, len(names)):
        root = tmp_path / str(number)
        assert killed_at(number, partial(discard, root))

        recover(root)

        (folder,) = (root / "ready").iterdir()
        manifest = check_folder(folder, OWNER)
        sound = open_finished(folder, manifest, READER)
        if number >= decided:
            assert sound == b""
            assert manifest.result is Result.EXEMPT
            assert "emergency" in manifest.reasons
            assert read_ledger(root).of(RECORDING) == [Kind.OPENED, Kind.DISCARDED]
        else:
            assert sound in {SOUND, b""}
        assert list((root / "open").iterdir()) == []


# --- what was found, and what was not ---------------------------------------------------------------


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    found = Spool(tmp_path / "spool")
    with found.lock():
        yield found


def left_open(
    spool: Spool, plaintext: bytes = SOUND, *, state: bytes | None = STATE.to_bytes(), close: bool = False
) -> OpenBundle:
    """Leave a recording as an agent does that dies after a flush, or after the sound was closed."""
    ledger = open_ledger(spool)
    ledger.note(Kind.OPENED, recording=RECORDING)
    bundle = spool.begin(RECORDING)
    if state is not None:
        (bundle.path / "state").write_bytes(state)
    writer = SealedFile(bundle.audio_path, RECIPIENTS)
    writer.write(plaintext)
    writer.flush()
    if close:
        writer.close()
    else:
        writer.abandon()
    seal_bytes(bundle.vcon_path, b"begun", RECIPIENTS)
    return bundle


def run(spool: Spool, *others: Spool) -> list[Recovered | NotRecovered]:
    return recovery_of([spool, *others], open_ledger(spool, elapsed_s=60.0)).run()


def only_ready(spool: Spool) -> tuple[Path, Manifest]:
    (folder,) = spool.ready_path.iterdir()
    return folder, check_folder(folder, OWNER)


def test_the_same_holds_where_a_whole_bank_is_synced_at_once(tmp_path: Path) -> None:
    count = len(steps_of(partial(record, tmp_path / "whole", banked=True)))

    for number in range(count):
        root, progress = tmp_path / str(number), Progress()
        assert killed_at(number, partial(record, root, progress=progress, banked=True))

        recover(root)

        check_nothing_lost_nothing_doubled(root, progress)


@pytest.mark.parametrize("banked", [False, True])
def test_what_might_still_have_changed_is_not_lost_either(
    tmp_path: Path,
    banked: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Killed at every step: also where a chunk has come to stay, and the tail reaches beyond it."""
    work = partial(record, banked=banked, ahead_bytes=AHEAD_BYTES)
    count = len(steps_of(partial(work, tmp_path / "whole")))
    cut_back = 0

    for number in range(count):
        root, progress = tmp_path / str(number), Progress()
        assert killed_at(number, partial(work, root, progress=progress))
        names = steps_of(partial(recover, root))

        check_nothing_lost_nothing_doubled(root, progress)
        cut_back += "cut audio" in names

    assert cut_back


def test_a_recovery_that_cuts_the_sound_back_may_be_killed_at_any_step(tmp_path: Path) -> None:
    """Behind the cut lies what the tail holds too; whoever goes on finds it again."""
    bundle_of = partial(_left_reaching_beyond, ahead=SOUND[len(SOUND) - 4_000 :])
    count = len(steps_of(lambda step: _recovered(bundle_of, tmp_path / "whole", step)))

    for number in range(count):
        root = tmp_path / str(number)
        bundle_of(root)
        assert killed_at(number, partial(recover, root))

        recover(root)

        (folder,) = (root / "ready").iterdir()
        manifest = check_folder(folder, OWNER)
        assert open_finished(folder, manifest, READER) == SOUND
        (tail,) = [item for item in manifest.objects if item.kind == "tail"]
        assert tail.plaintext_offset == (len(SOUND) // CHUNK_SIZE_BYTES - 1) * CHUNK_SIZE_BYTES
    assert count > 20


def _left_reaching_beyond(root: Path, ahead: bytes) -> None:
    """Leave a recording whose last whole chunk came to stay after the last flush, which reached beyond it."""
    spool = Spool(root)
    with spool.lock():
        ledger = open_ledger(spool)
        ledger.note(Kind.OPENED, recording=RECORDING)
        bundle = spool.begin(RECORDING)
        bundle.put_state(STATE)
        writer = SealedFile(bundle.audio_path, RECIPIENTS, banked=True, ahead_bytes=len(ahead) + 32_000)
        whole = len(SOUND) // CHUNK_SIZE_BYTES * CHUNK_SIZE_BYTES
        writer.write(SOUND[: whole - 2_000])
        writer.stage(SOUND[whole - 2_000 :])
        writer.write(SOUND[whole - 2_000 : whole + 10])
        writer.abandon()
        seal_bytes(bundle.vcon_path, b"begun", RECIPIENTS)


def _recovered(leave: Callable[[Path], None], root: Path, step: Step) -> None:
    leave(root)
    recover(root, step)


@pytest.mark.parametrize("name", ["state", "call.vcon.age", "tail-key.age", "tail", "audio.age"])
def test_a_file_that_a_power_cut_left_empty_counts_as_none(spool: Spool, name: str) -> None:
    """Of a call that had just begun in a bank: what there is makes a recording, or a trace."""
    bundle = left_open(spool)
    os.truncate(bundle.path / name, 0)

    (found,) = run(spool)

    folder, manifest = only_ready(spool)
    assert isinstance(found, Recovered)
    assert SOUND.startswith(open_finished(folder, manifest, READER))
    assert all(item.size_bytes for item in manifest.objects)
    assert list((spool.root / "quarantine").iterdir()) == []


@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize(
    "size_bytes",
    [len(HEADER) + 2, CHUNK_SIZE_BYTES - 1, CHUNK_SIZE_BYTES, CHUNK_SIZE_BYTES + 1, 2 * CHUNK_SIZE_BYTES],
)
def test_all_that_a_flush_made_safe_is_recovered(
    spool: Spool,
    size_bytes: int,
    close: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Around the ends of chunks too, and if the file had been closed but not bound."""
    left_open(spool, SOUND[:size_bytes], close=close)

    (found,) = run(spool)

    folder, manifest = only_ready(spool)
    assert open_finished(folder, manifest, READER) == SOUND[:size_bytes]
    assert isinstance(found, Recovered)
    assert not found.carried_on
    assert found.result is manifest.result is Result.DEGRADED
    assert manifest.reasons == ("recovered",)
    assert found.duration_s == (size_bytes - len(HEADER)) // 2 / 8000
    assert manifest.ended_at == STARTED_AT + timedelta(
        milliseconds=int(1000 * manifest.duration_samples / 8000)
    )
    assert {item.plaintext_sha512 for item in manifest.objects} == {None}


def test_a_manifest_of_a_recovered_recording_says_what_the_state_said(spool: Spool) -> None:
    before = Continues(id=recording_id(7), sample=16_000)
    left_open(spool, state=dataclasses.replace(STATE, continues=before).to_bytes())

    run(spool)

    _, manifest = only_ready(spool)
    assert manifest.reasons == ("recovered", "disk-changed")
    assert (manifest.site, manifest.source, manifest.direction) == (STATE.site, STATE.source, STATE.direction)
    assert (manifest.business_type, manifest.retention_class) == ("sales", "sales-long")
    assert (manifest.rate_hz, manifest.encoding) == (STATE.rate_hz, STATE.encoding)
    assert manifest.recipients == STATE.recipients
    assert manifest.ledger is not None


def test_a_recording_without_metadata_gets_some_that_say_so(spool: Spool) -> None:
    bundle = left_open(spool)
    bundle.vcon_path.unlink()

    run(spool)

    folder, manifest = only_ready(spool)
    (item,) = [item for item in manifest.objects if item.kind == "call"]
    vcon, chain = open_vcon(opened_whole((folder / item.name).read_bytes(), READER))
    assert chain == OWNER.chain
    assert vcon["uuid"] == str(RECORDING)


def test_a_call_whose_recorder_died_before_its_first_flush_is_failed_and_without_sound(spool: Spool) -> None:
    left_open(spool, b"")

    (found,) = run(spool)

    _, manifest = only_ready(spool)
    assert isinstance(found, Recovered)
    assert manifest.result is Result.FAILED
    assert [item.kind for item in manifest.objects] == ["call"]
    assert (manifest.duration_samples, manifest.rate_hz, manifest.encoding) == (0, None, None)


def test_a_recording_of_which_only_the_ledger_knows_leaves_a_trace(spool: Spool) -> None:
    open_ledger(spool).note(Kind.OPENED, recording=RECORDING)

    (found,) = run(spool)

    _, manifest = only_ready(spool)
    assert isinstance(found, Recovered)
    assert (manifest.id, manifest.result, manifest.reasons) == (RECORDING, Result.FAILED, ("recovered",))
    assert manifest.started_at == STARTED_AT
    assert read_ledger(spool.root).of(RECORDING) == [Kind.OPENED, Kind.RECOVERED]


def test_a_ready_recording_whose_end_could_not_be_noted_is_noted_now(spool: Spool) -> None:
    bundle = make_ready(spool, OWNER)
    open_ledger(spool).note(Kind.OPENED, recording=bundle.id)

    found = run(spool)

    assert found == []
    assert read_ledger(spool.root).of(bundle.id) == [Kind.OPENED, Kind.CLOSED]


def test_one_that_can_not_be_recovered_stays_and_stops_no_other(spool: Spool) -> None:
    left_open(spool)
    other = spool.begin(recording_id(1))
    (other.path / "state").write_bytes(b"{}")
    (other.path / "audio.age").write_bytes(b"precious")

    bad, good = sorted(run(spool), key=lambda item: isinstance(item, Recovered))

    assert isinstance(bad, NotRecovered)
    assert isinstance(good, Recovered)
    assert (bad.id, good.id) == (recording_id(1), RECORDING)
    assert isinstance(bad.problem, ManifestError)
    assert (other.path / "audio.age").read_bytes() == b"precious"


@pytest.mark.parametrize(
    "state",
    [
        dataclasses.replace(STATE, site="\n"),
        dataclasses.replace(STATE, software=""),
        dataclasses.replace(STATE, source="A B"),
    ],
)
def test_a_state_that_fits_no_manifest_is_told_and_ends_no_start(spool: Spool, state: RecordingState) -> None:
    left_open(spool, state=state.to_bytes())

    (found,) = run(spool)

    assert isinstance(found, NotRecovered)
    assert [bundle.id for bundle in spool.unfinished()] == [RECORDING]


def test_a_folder_whose_name_tells_no_time_is_told_and_ends_no_start(spool: Spool) -> None:
    spool.begin(STRANGER)

    (found,) = run(spool)

    assert isinstance(found, NotRecovered)
    assert found.id == STRANGER


def test_a_manifest_in_ready_that_can_not_be_read_ends_no_start(spool: Spool) -> None:
    bundle = make_ready(spool, OWNER)
    open_ledger(spool).note(Kind.OPENED, recording=bundle.id)
    (bundle.path / "manifest.json").write_bytes(b"{")

    (found,) = run(spool)

    assert isinstance(found, NotRecovered)
    assert found.id == bundle.id


def test_a_recording_that_the_ledger_knows_and_whose_place_is_taken_ends_no_start(spool: Spool) -> None:
    open_ledger(spool).note(Kind.OPENED, recording=RECORDING)
    (spool.root / "quarantine" / str(RECORDING)).mkdir()

    (found,) = run(spool)

    assert isinstance(found, NotRecovered)
    assert isinstance(found.problem, SpoolError)


def test_a_recording_that_may_lie_in_a_spool_not_at_hand_gets_no_trace_in_its_place(
    spool: Spool, tmp_path: Path
) -> None:
    """A store takes one manifest of an id: the trace would keep the sound out of it for ever."""
    second = Spool(tmp_path / "second")
    with second.lock():
        left_open(second)
    open_ledger(spool).note(Kind.OPENED, recording=RECORDING)

    without = recovery_of([spool], open_ledger(spool), whole=False).run()
    with second.lock():
        (found,) = recovery_of([spool, second], open_ledger(spool)).run()

    assert without == []
    assert isinstance(found, Recovered)
    assert list(spool.ready()) == []
    assert [bundle.id for bundle in second.ready()] == [RECORDING]


def test_a_manifest_that_does_not_fit_what_lies_there_is_not_believed(spool: Spool) -> None:
    """The sound is what there is; a manifest that a failing disk has left is taken back."""
    bundle = left_open(spool)
    (bundle.path / "manifest.json").write_bytes(b"{}")
    (bundle.path / "manifest.sig").write_bytes(bytes(64))

    run(spool)

    folder, manifest = only_ready(spool)
    assert open_finished(folder, manifest, READER) == SOUND


def test_a_sealed_file_without_its_header_is_kept_for_a_person_to_see(spool: Spool) -> None:
    """Only a disk that lost what it had promised leaves one, and it is not for us to throw it out."""
    bundle = left_open(spool)
    bundle.audio_path.write_bytes(b"age-encryption.org/v1\n-> X")

    run(spool)

    _, manifest = only_ready(spool)
    kept = spool.root / "quarantine" / f"{RECORDING}-audio.age"
    assert manifest.result is Result.FAILED
    assert kept.read_bytes() == b"age-encryption.org/v1\n-> X"


@pytest.mark.parametrize("name", ["tail", "tail-key.age"])
def test_without_its_tail_a_recording_is_still_recovered_as_far_as_it_goes(spool: Spool, name: str) -> None:
    bundle = left_open(spool)
    (bundle.path / name).unlink()

    run(spool)

    folder, manifest = only_ready(spool)
    whole = len(SOUND) // CHUNK_SIZE_BYTES * CHUNK_SIZE_BYTES
    assert open_finished(folder, manifest, READER) == SOUND[:whole]


def test_a_torn_chunk_at_the_end_is_cut_and_the_tail_stands_in_for_it(spool: Spool) -> None:
    bundle = left_open(spool)
    with bundle.audio_path.open("ab") as file:
        file.write(os.urandom(5_000))

    run(spool)

    folder, manifest = only_ready(spool)
    assert open_finished(folder, manifest, READER) == SOUND


def test_recordings_in_both_spools_are_recovered_each_where_it_lies(tmp_path: Path, spool: Spool) -> None:
    left_open(spool)
    second = Spool(tmp_path / "second")
    with second.lock():
        other = second.begin(recording_id(1))
        other.put_state(dataclasses.replace(STATE, id=recording_id(1)))
        writer = SealedFile(other.audio_path, RECIPIENTS)
        writer.write(SOUND)
        writer.flush()
        writer.abandon()

        found = run(spool, second)

    assert [item.id for item in found] == [RECORDING, recording_id(1)]
    only_ready(spool)
    folder, manifest = only_ready(second)
    assert open_finished(folder, manifest, READER) == SOUND


def test_a_call_that_was_not_to_be_recorded_stays_exempt(spool: Spool) -> None:
    """It never was opened in the ledger, and has no sound."""
    bundle = spool.begin(RECORDING)
    bundle.put_state(dataclasses.replace(STATE, purpose=Purpose.DISCARD, reasons=("rule-never",)))

    run(spool)

    _, manifest = only_ready(spool)
    assert (manifest.result, manifest.reasons) == (Result.EXEMPT, ("rule-never",))
    assert read_ledger(spool.root).of(RECORDING) == [Kind.EXEMPT]
