"""``callseal list`` shows what there is, where it is, and what could not be read."""

import json
import shutil

import pytest

from support.bundle import Archive, flip, only
from support.commands import Commands

KEYS = [
    "id",
    "device",
    "site",
    "source",
    "direction",
    "started_at",
    "ended_at",
    "duration_s",
    "business_type",
    "result",
    "reasons",
    "size_bytes",
    "places",
    "parties",
    "conversation",
    "links",
    "attributes",
    "error",
]


def listed(callseal: Commands, archive: Archive, *more: str) -> list[str]:
    callseal.use(archive.office.config_file)
    ran = callseal("list", "--json", *more)
    assert ran.code == 0, ran.err
    return [row["id"] for row in json.loads(ran.out)["recordings"]]


def test_every_recording_is_listed_once_the_newest_first(callseal: Commands, whole_archive: Archive) -> None:
    ids = listed(callseal, whole_archive)

    expected = [*whole_archive.recordings, whole_archive.exempt]
    assert ids == [str(one) for one in reversed(expected)]


def test_the_table_says_when_how_long_and_where(callseal: Commands, whole_archive: Archive) -> None:
    callseal.use(whole_archive.office.config_file)

    ran = callseal("list")

    lines = {line.split()[0]: line for line in ran.out.splitlines()}
    first, _second, third = (str(one) for one in whole_archive.recordings)
    assert "outbound   Sales     0:09      ok" in lines[first]
    assert lines[first].endswith("primary, spool")
    assert lines[third].endswith("KiB  spool")
    assert "exempt: A rule says that this line is never recorded." in lines[str(whole_archive.exempt)]


def test_what_is_not_on_a_terminal_has_no_colour_no_frame_and_is_not_cut(
    callseal: Commands, whole_archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    callseal.use(whole_archive.office.config_file)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")

    ran = callseal("list")

    assert "\x1b" not in ran.out
    assert "│" not in ran.out
    assert len(ran.out.splitlines()) == 1 + 4


def test_on_a_terminal_the_table_has_a_frame(callseal: Commands, whole_archive: Archive) -> None:
    callseal.use(whole_archive.office.config_file)

    ran = callseal.at_terminal("", "list")

    assert ran.code == 0
    assert "┃" in ran.out


def test_json_has_the_same_names_in_the_same_order_for_every_recording(
    callseal: Commands, whole_archive: Archive
) -> None:
    callseal.use(whole_archive.office.config_file)

    document = json.loads(callseal("list", "--json").out)

    assert list(document) == ["type", "recordings"]
    assert document["type"] == "callseal-list/1"
    assert [list(row) for row in document["recordings"]] == [KEYS] * 4
    newest = document["recordings"][0]
    assert newest["result"] == "exempt"
    assert newest["reasons"] == ["rule-never"]
    assert newest["started_at"] == "2026-11-22T00:01:30.250Z"
    assert newest["places"] == ["primary", "spool"]
    assert [newest[name] for name in ("parties", "conversation", "links", "attributes")] == [None] * 4


def test_who_spoke_is_shown_to_who_holds_the_key(callseal: Commands, whole_archive: Archive) -> None:
    callseal.use(whole_archive.office.config_file)

    without = callseal("list")
    with_key = callseal("list", "-i", str(whole_archive.office.key_file))

    assert "+8613800138000" not in without.out
    assert with_key.out.count("+8613800138000") == 4
    assert "Wang Fang (sip:8001)" in with_key.out


def test_a_store_alone_is_listed_without_settings(callseal: Commands, whole_archive: Archive) -> None:
    ran = callseal("list", "--store", whole_archive.office.store_path, "--json")

    rows = json.loads(ran.out)["recordings"]
    assert ran.code == 0
    assert len(rows) == 3
    assert {tuple(row["places"]) for row in rows} == {(str(whole_archive.office.store_path),)}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--business", "sales"], [2, 1, 0]),
        (["--business", "service"], [3]),
        (["--result", "exempt"], [3]),
        (["--result", "degraded"], []),
        (["--since", "2026-11-22"], [3, 2]),
        (["--until", "2026-11-21"], [1, 0]),
        (["--since", "2026-11-21T23:59:00", "--until", "2026-11-22T00:00:45"], [2, 1]),
        (["--since", "2026-11-21T23:59:00+00:00"], [3, 2, 1]),
        (["--since", "2027-01-01"], []),
        (["--until", "2020-01-01"], []),
    ],
)
def test_a_filter_leaves_what_was_asked_for(
    callseal: Commands, whole_archive: Archive, options: list[str], expected: list[int]
) -> None:
    everything = [*whole_archive.recordings, whole_archive.exempt]

    ids = listed(callseal, whole_archive, *options)

    assert ids == [str(everything[number]) for number in expected]


def test_a_time_that_is_none_is_refused(callseal: Commands, whole_archive: Archive) -> None:
    ran = callseal("list", "--store", whole_archive.office.store_path, "--since", "yesterday")

    assert ran.code == 2
    assert "2026-11-21T09:30" in ran.err


def test_an_empty_store_lists_nothing(callseal: Commands, archive: Archive) -> None:
    shutil.rmtree(archive.office.store_path / "recordings")

    ran = callseal("list", "--store", archive.office.store_path)

    assert (ran.code, ran.out, ran.err) == (0, "", "no recordings\n")


def test_a_manifest_that_can_not_be_believed_is_a_row_a_warning_and_an_exit_code(
    callseal: Commands, archive: Archive
) -> None:
    callseal.use(archive.office.config_file)
    flip(archive.office.bundle(archive.recordings[2]) / "manifest.sig", 5)

    ran = callseal("list")

    assert ran.code == 13
    assert f"WARNING: {archive.recordings[2]}" in ran.err
    assert len(ran.out.splitlines()) == 1 + 4


def test_altered_metadata_is_told_and_the_rest_still_shown(callseal: Commands, archive: Archive) -> None:
    callseal.use(archive.office.config_file)
    flip(only(archive.office.bundle(archive.recordings[2]), "call-*.age"), -1)

    ran = callseal("list", "-i", str(archive.office.key_file))

    assert ran.code == 12
    assert ran.out.count("+8613800138000") == 3


def test_a_store_that_is_away_is_told_and_the_spool_still_shown(callseal: Commands, archive: Archive) -> None:
    callseal.use(archive.office.config_file)
    shutil.rmtree(archive.office.store_path)

    ran = callseal("list")

    assert ran.code == 20
    assert "WARNING: not everything could be looked through" in ran.err
    assert len(ran.out.splitlines()) == 1 + 4


def test_a_recording_that_is_still_being_brought_is_counted_and_not_listed(
    callseal: Commands, archive: Archive
) -> None:
    (archive.office.stored(archive.recordings[0]) / "manifest.json").unlink()

    ran = callseal("list", "--store", archive.office.store_path)

    assert ran.code == 0
    assert str(archive.recordings[0]) not in ran.out
    assert "1 recording has no manifest yet" in ran.err
