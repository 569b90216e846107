"""``callseal open`` shows what a gateway's call was a part of, and gives its sound in each coding."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from callseal.agent.call import AudioFormat
from callseal.codecs import au
from support.bundle import Office, open_office, record_call
from support.commands import Commands, Ran
from support.gateway_calls import (
    CONVERSATION,
    FORMS,
    LI,
    SECOND_UCID,
    THIRD_UCID,
    UCID,
    WANG,
    Switchboard,
    heard,
    open_switchboard,
    wave,
)
from support.recorded_calls import QUIET

each_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.encoding.name)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Switchboard:
    """Return recordings that tests read and never change."""
    return open_switchboard(tmp_path_factory.mktemp("switchboard"))


def shown(callseal: Commands, office: Office, recording: object, *more: str | Path) -> Ran:
    callseal.use(office.config_file)
    return callseal("open", str(recording), "-i", office.key_file, *more)


def values(ran: Ran, name: str) -> list[str]:
    lines = [line for line in ran.out.splitlines() if line.startswith(f"{name}  ")]
    return [line.removeprefix(name).strip() for line in lines]


def test_whoever_took_part_and_what_the_conversation_was_called_is_shown(
    callseal: Commands, board: Switchboard
) -> None:
    ran = shown(callseal, board.office, board.before)

    assert ran.code == 0
    assert values(ran, "Agent") == [f"{WANG.name} ({WANG.uri})"]
    assert values(ran, "Also there") == ["Zhao Min (sip:8009@sbc.example)", f"{LI.name} ({LI.uri})"]
    assert values(ran, "Conversation") == ["a second name"]
    assert values(ran, "Before that") == [CONVERSATION]
    assert f"oracle:ucid: {THIRD_UCID}" in values(ran, "Gateway said")
    assert values(ran, "Said before") == [f"oracle:ucid: {UCID}, {SECOND_UCID}"]


def test_a_linked_recording_is_named_with_how_it_belongs_here(callseal: Commands, board: Switchboard) -> None:
    ran = shown(callseal, board.office, board.after)

    assert values(ran, "Belongs to") == [f"{board.before}  the same conversation, before or after a transfer"]


def test_what_came_and_what_did_not_is_summed_up_for_each_side(
    callseal: Commands, board: Switchboard
) -> None:
    ran = shown(callseal, board.office, board.before)

    assert values(ran, "Stream") == [
        "agent: PCMU, packets: 150, lost: 2",
        "customer: PCMU, packets: 149, lost: 0, not taken: 7",
    ]


def test_of_a_mixed_stream_neither_side_is_said_to_be_the_one_that_came(
    callseal: Commands, board: Switchboard
) -> None:
    ran = shown(callseal, board.office, board.unrelated)

    assert values(ran, "Stream") == ["both sides: G722, packets: 150, lost: 0"]
    assert "Both sides came in one stream and can't be told apart." in ran.out


def test_a_call_of_which_no_gateway_said_anything_shows_nothing_of_one(
    callseal: Commands, tmp_path: Path
) -> None:
    office = open_office(tmp_path / "office")
    recording = record_call(office, 0, QUIET, wave(FORMS[0]), form=FORMS[0])

    ran = shown(callseal, office, recording)

    assert ran.code == 0
    for name in (
        "Also there",
        "Conversation",
        "Before that",
        "Belongs to",
        "Stream",
        "Gateway said",
        "Said before",
    ):
        assert values(ran, name) == []


@pytest.mark.parametrize("name", ["call.wav", "call.flac"])
@each_form
def test_each_coding_becomes_a_sound_file_with_every_sample_at_its_own_rate(
    callseal: Commands, tmp_path: Path, form: AudioFormat, name: str
) -> None:
    office = open_office(tmp_path / "office")
    recording = record_call(office, 0, QUIET, wave(form), form=form)

    ran = shown(callseal, office, recording, "-o", tmp_path / name)

    samples, rate_hz = soundfile.read(tmp_path / name, dtype="int16")
    assert ran.code == 0
    assert rate_hz == form.rate_hz
    np.testing.assert_array_equal(samples, heard(form))


@each_form
def test_raw_keeps_the_coding_to_the_byte(callseal: Commands, tmp_path: Path, form: AudioFormat) -> None:
    office = open_office(tmp_path / "office")
    recording = record_call(office, 0, QUIET, wave(form), form=form)

    shown(callseal, office, recording, "--raw", "-o", tmp_path / "call.au")

    inner = (tmp_path / "call.au").read_bytes()
    header = au.parse(inner)
    assert (header.encoding, header.rate_hz, header.channels) == (form.encoding, form.rate_hz, 2)
    assert inner[header.data_offset_bytes :] == au.to_bytes(wave(form))
