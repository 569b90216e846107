"""A person names a recording as it suits them, and gets that one or none."""

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.cli import lookup, places
from callseal.cli.errors import Ambiguous, NotFound
from callseal.cli.places import Copy, Scan
from callseal.seal.verify import LocalFolder
from callseal.store.errors import StoreUnreachable
from support.bundle import Archive

FIRST = UUID("01a2008c-156a-77f6-a330-213dccdcff44")
SECOND = UUID("01a2008c-ffca-71f0-af1d-8ea212286482")


def copy_of(recording: UUID, place: str = "primary", *, complete: bool = True) -> Copy:
    reader = LocalFolder(Path("/nowhere"))
    return Copy(id=recording, place=place, prefix=f"{recording}/", reader=reader, complete=complete)


def scan_of(*copies: Copy) -> Scan:
    return Scan(copies=copies)


@pytest.mark.parametrize(
    "name",
    [
        str(FIRST),
        str(FIRST).upper(),
        FIRST.hex,
        "dcff44",
        "DCFF44",
        "213dccdcff44",
        "a330-213dccdcff44",
        "01a2008c-15",
        "01a2008c15",
    ],
)
def test_an_id_its_beginning_and_its_end_all_name_the_recording(name: str) -> None:
    found = lookup.find(name, scan_of(copy_of(FIRST), copy_of(SECOND)))

    assert found.id == FIRST


@pytest.mark.parametrize("name", ["", "cff44", "c-f-f44", "------", "hello world", "zzzzzz", FIRST.hex + "0"])
def test_what_is_no_id_is_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(NotFound, match="at least 6 digits"):
        lookup.find(name, scan_of(copy_of(FIRST)))


def test_an_id_that_nothing_has_is_not_found() -> None:
    with pytest.raises(NotFound, match="abcdef"):
        lookup.find("abcdef", scan_of(copy_of(FIRST)))


def test_the_middle_of_an_id_is_no_name() -> None:
    with pytest.raises(NotFound):
        lookup.find("77f6a3", scan_of(copy_of(FIRST)))


def test_a_name_that_two_recordings_have_shows_both_and_where_they_are() -> None:
    scan = scan_of(copy_of(FIRST), copy_of(FIRST, "spool"), copy_of(SECOND))

    with pytest.raises(Ambiguous) as caught:
        lookup.find("01a2008c", scan)

    assert caught.value.exit_code == 10
    assert f"{FIRST}  primary, spool" in str(caught.value)
    assert f"{SECOND}  primary" in str(caught.value)


def test_many_candidates_are_cut_and_said_to_be() -> None:
    copies = [copy_of(UUID(int=FIRST.int + number)) for number in range(30)]

    with pytest.raises(Ambiguous) as caught:
        lookup.find("01a2008c", scan_of(*copies))

    assert len(str(caught.value).splitlines()) == 1 + lookup.MAX_CANDIDATES + 1
    assert "30 recordings" in str(caught.value)


def test_several_copies_are_one_recording_and_the_first_whole_one_is_taken() -> None:
    scan = scan_of(copy_of(FIRST, complete=False), copy_of(FIRST, "spool"), copy_of(FIRST, "second"))

    found = lookup.find("dcff44", scan)

    assert found.place == "spool"


def test_a_place_that_can_not_be_read_is_told_rather_than_that_there_is_nothing() -> None:
    scan = Scan(copies=(copy_of(FIRST),), failures=(StoreUnreachable("the other store: gone"),))

    with pytest.raises(StoreUnreachable):
        lookup.find("abcdef", scan)


def test_a_recording_that_was_found_is_used_with_a_warning_about_the_other_place(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scan = Scan(copies=(copy_of(FIRST),), failures=(StoreUnreachable("the other store: gone"),))

    found = lookup.find("dcff44", scan)

    assert found.id == FIRST
    assert "the other store: gone" in capsys.readouterr().err


@given(st.lists(st.uuids(), unique=True, max_size=20), st.data())
def test_what_is_found_begins_or_ends_with_the_name(ids: list[UUID], data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([one.hex for one in ids]) if ids else st.just("0" * 32))
    length = data.draw(st.integers(min_value=lookup.MIN_DIGITS, max_value=32))
    name = data.draw(st.sampled_from([text[:length], text[-length:]]))

    found = lookup.matching(name, ids)

    expected = {one for one in ids if one.hex.startswith(name) or one.hex.endswith(name)}
    assert set(found) == expected
    assert len(found) == len(expected)


@given(st.text(max_size=40))
def test_any_text_is_an_id_or_refused(name: str) -> None:
    try:
        found = lookup.matching(name, [FIRST])
    except NotFound:
        return

    assert set(found) <= {FIRST}


def test_a_path_is_told_from_an_id_by_its_slash_or_its_manifest(
    whole_archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = whole_archive.office.spool_path / "ready"
    monkeypatch.chdir(ready)

    assert lookup.is_folder(str(whole_archive.recordings[0]))
    assert lookup.is_folder(f"./{whole_archive.recordings[0]}")
    assert lookup.is_folder("some/where")
    assert not lookup.is_folder("dcff44")


def test_a_folder_without_a_manifest_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"manifest\.json"):
        lookup.folder(str(tmp_path))


def test_a_folder_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such folder"):
        lookup.folder(str(tmp_path / "x"))


def test_the_places_of_an_office_are_its_stores_and_its_spool(whole_archive: Archive) -> None:
    office = whole_archive.office
    scope = places.scope_of(office.config_file, None, None)

    scan = places.scan(scope.places)

    found = [(copy.id, copy.place) for copy in scan.copies]
    first, second, third = whole_archive.recordings
    assert found == [
        (first, "primary"),
        (second, "primary"),
        (whole_archive.exempt, "primary"),
        (first, "spool"),
        (second, "spool"),
        (third, "spool"),
        (whole_archive.exempt, "spool"),
    ]
