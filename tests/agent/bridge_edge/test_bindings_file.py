"""Registrations outlive the agent, and a file that is damaged costs them, never the start."""

import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.sources.bridge.edge.bindings import Saved
from callseal.agent.sources.bridge.edge.bindings_file import FILE_NAME, MAX_FILE_BYTES, load, save

SAVED = Saved(
    aor="100@pbx.example.com",
    token="100",  # noqa: S106 - a telephone's name
    uri="sip:100@127.0.0.1:6000;ob",
    told="sip:100@192.0.2.10:5060",
    transport="UDP",
    instance="<urn:uuid:1>",
    left_s=600.0,
)


def test_what_was_saved_is_there_again_for_the_time_that_is_left(tmp_path: Path) -> None:
    save(tmp_path / FILE_NAME, [SAVED], wall_s=1000.0)

    found = load(tmp_path / FILE_NAME, wall_s=1100.0)

    assert found.problem == ""
    assert [(each.aor, each.uri, each.left_s) for each in found.saved] == [(SAVED.aor, SAVED.uri, 500.0)]


def test_what_is_over_meanwhile_is_left_out(tmp_path: Path) -> None:
    save(tmp_path / FILE_NAME, [SAVED], wall_s=1000.0)

    assert load(tmp_path / FILE_NAME, wall_s=1600.0).saved == ()


def test_a_clock_that_was_set_back_makes_nothing_last_longer(tmp_path: Path) -> None:
    save(tmp_path / FILE_NAME, [SAVED], wall_s=1000.0)

    assert load(tmp_path / FILE_NAME, wall_s=10.0).saved == (SAVED,)


def test_the_file_is_for_this_account_alone_and_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    save(path, [SAVED], wall_s=1.0)

    save(path, [], wall_s=2.0)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load(path, wall_s=2.0).saved == ()
    assert [each.name for each in tmp_path.iterdir()] == [FILE_NAME]


def test_no_file_is_no_problem(tmp_path: Path) -> None:
    found = load(tmp_path / FILE_NAME, wall_s=1.0)

    assert (found.saved, found.problem) == ((), "")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"version": 2, "saved_s": 1, "registrations": []}',
        b'{"version": 1, "saved_s": "now", "registrations": []}',
        b'{"version": 1, "saved_s": NaN, "registrations": []}',
        b'{"version": 1, "saved_s": 1e999, "registrations": []}',
        b'{"version": 1, "saved_s": 1' + b"0" * 400 + b', "registrations": []}',
        b'{"version": 1, "saved_s": 1, "registrations": {}}',
        b'{"version": 1, "saved_s": 1, "registrations": [[]]}',
        b'{"version": 1, "saved_s": 1, "registrations": [{"aor": 1}]}',
        json.dumps({"version": 1, "saved_s": 1, "registrations": [[]] * 33}).encode(),
        b" " * (MAX_FILE_BYTES + 1),
    ],
)
def test_a_damaged_file_is_an_empty_one_with_a_word_about_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(content)

    found = load(path, wall_s=1.0)

    assert found.saved == ()
    assert found.problem


def test_one_damaged_registration_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    save(path, [SAVED, SAVED], wall_s=1.0)
    content = json.loads(path.read_bytes())
    content["registrations"][0]["left_s"] = "long"
    path.write_text(json.dumps(content))

    found = load(path, wall_s=1.0)

    assert (found.saved, bool(found.problem)) == ((SAVED,), True)


def test_a_folder_in_its_place_is_a_problem_in_words(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()

    assert load(tmp_path / FILE_NAME, wall_s=1.0).problem.startswith("it cannot be read: ")


@given(data=st.binary(max_size=200), cut=st.integers(0, 400))
def test_no_content_at_all_ends_the_start(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cut: int
) -> None:
    path = tmp_path_factory.mktemp("bindings") / FILE_NAME
    save(path, [SAVED], wall_s=1.0)
    path.write_bytes(path.read_bytes()[:cut] + data)

    found = load(path, wall_s=1.0)

    assert found.saved in ((), (SAVED,))
