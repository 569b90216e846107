"""What a recording server remembers of running dialogs: enough for who comes after it, nothing of anybody."""

import itertools
import os
import secrets
import time
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from callseal.agent.sip.events import DialogId
from callseal.agent.sources.siprec import notes
from callseal.agent.sources.siprec.notes import Notes

DIALOG = DialogId(call_id="a84b4c76e66710@gateway.example", local_tag="here", remote_tag="there")
OTHER = DialogId(call_id="another@gateway.example", local_tag="here", remote_tag="there")


def _notes(folder: Path) -> Notes:
    return Notes(folder / "siprec", random=secrets.token_bytes, now_s=time.time())


def test_a_dialog_that_a_dead_process_had_is_known_to_the_next_one(tmp_path: Path) -> None:
    recording = uuid4()
    _notes(tmp_path).begun(DIALOG, [recording], [], 0.0)

    after = _notes(tmp_path)

    assert after.left_behind(DIALOG) == (recording,)
    assert after.left_behind(OTHER) == ()


def test_a_dialog_that_ended_is_not_taken_up_again(tmp_path: Path) -> None:
    before = _notes(tmp_path)
    before.begun(DIALOG, [uuid4()], [], 0.0)

    before.ended(DIALOG)

    assert _notes(tmp_path).left_behind(DIALOG) == ()


def test_a_dialog_of_long_ago_is_forgotten(tmp_path: Path) -> None:
    _notes(tmp_path).begun(DIALOG, [uuid4()], [], 0.0)
    (note,) = (tmp_path / "siprec").glob("*.json")
    os.utime(note, (0, 0))

    assert _notes(tmp_path).left_behind(DIALOG) == ()
    assert not note.exists()


def test_a_transfer_finds_the_recordings_before_it_also_after_a_restart(tmp_path: Path) -> None:
    first, second = uuid4(), uuid4()
    running = _notes(tmp_path)
    running.begun(DIALOG, [first], ["group-1"], 0.0)
    running.begun(OTHER, [second], ["group-1"], 5.0)

    assert running.of_conversation(["group-1", "other"], 6.0) == (first, second)
    assert set(_notes(tmp_path).of_conversation(["group-1"], time.time())) == {first, second}
    assert running.of_conversation(["group-2"], 6.0) == ()


def test_a_conversation_is_forgotten_after_its_time(tmp_path: Path) -> None:
    running = _notes(tmp_path)
    running.begun(DIALOG, [uuid4()], ["group-1"], 0.0)

    assert running.of_conversation(["group-1"], notes.REMEMBER_S + 1) == ()


def test_what_is_remembered_does_not_grow_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "MAX_CONVERSATIONS", 3)
    running = _notes(tmp_path)
    ids = [uuid4() for _ in range(5)]

    for number, recording in enumerate(ids):
        running.begun(DIALOG, [recording], [f"group-{number}"], float(number))

    found = [running.of_conversation([f"group-{number}"], 5.0) for number in range(5)]
    assert found == [(), (), *((recording,) for recording in ids[2:])]


def test_one_recording_is_linked_with_a_bounded_number_of_others(tmp_path: Path) -> None:
    running = _notes(tmp_path)
    for _ in range(notes.MAX_LINKS + 4):
        running.begun(DIALOG, [uuid4()], ["group-1"], 0.0)

    assert len(running.of_conversation(["group-1"], 1.0)) == notes.MAX_LINKS


def test_nothing_on_the_disk_tells_of_the_call(tmp_path: Path) -> None:
    _notes(tmp_path).begun(DIALOG, [uuid4()], ["4bc2-group"], 0.0)

    written = [(path.name.encode(), path.read_bytes()) for path in (tmp_path / "siprec").iterdir()]

    told = b"".join(itertools.chain.from_iterable(written))
    assert len(written) == len(("the note", "the key"))
    assert not any(secret in told for secret in (b"a84b4c76", b"gateway", b"4bc2", b"there"))
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "siprec").iterdir())


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"recordings": 3, "conversation": []}', b"\xff" * 40_000]
)
def test_a_note_that_cannot_be_read_leads_nowhere_and_stops_nothing(tmp_path: Path, damage: bytes) -> None:
    _notes(tmp_path).begun(DIALOG, [UUID(int=7)], ["group-1"], 0.0)
    (note,) = (tmp_path / "siprec").glob("*.json")
    note.write_bytes(damage)

    after = _notes(tmp_path)

    assert after.left_behind(DIALOG) == ()
    assert after.of_conversation(["group-1"], 1.0) == ()
    assert not note.exists()
