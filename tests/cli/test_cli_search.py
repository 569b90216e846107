"""``callseal list`` finds recordings by what is sealed in them, for who holds the key alone."""

import json
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest

from callseal.seal import access
from support.bundle import flip, only
from support.commands import Commands, Ran
from support.gateway_calls import (
    CONVERSATION,
    GUID,
    SECOND_UCID,
    THIRD_UCID,
    UCID,
    Switchboard,
    open_switchboard,
)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Switchboard:
    """Return recordings that tests read and never change."""
    return open_switchboard(tmp_path_factory.mktemp("switchboard"))


@pytest.fixture
def own_board(tmp_path: Path) -> Switchboard:
    """Return recordings of the test's own."""
    return open_switchboard(tmp_path / "switchboard")


def looked_for(callseal: Commands, board: Switchboard, *options: str | Path) -> Ran:
    callseal.use(board.office.config_file)
    return callseal("list", "-i", board.office.key_file, *options)


def found(callseal: Commands, board: Switchboard, *options: str | Path) -> list[UUID]:
    ran = looked_for(callseal, board, "--json", *options)
    assert ran.code == 0, ran.err
    return [UUID(row["id"]) for row in json.loads(ran.out)["recordings"]]


def named(board: Switchboard, names: Sequence[str]) -> list[UUID]:
    every = {"before": board.before, "after": board.after, "unrelated": board.unrelated}
    return [every[name] for name in names]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (f"oracle:ucid={UCID}", ["before"]),
        (f"oracle:ucid={SECOND_UCID}", ["after", "before"]),
        (f"oracle:ucid={UCID}, {SECOND_UCID}", ["before"]),
        (f"oracle:ucid={THIRD_UCID}", ["before"]),
        (f"ORACLE:UCID={UCID.lower()}", ["before"]),
        ("oracle:ucid=00FA08001?803B*", ["after", "before"]),
        (f"*:ucid={UCID}", ["before"]),
        (f"*={GUID}", ["before"]),
        (f"cisco:guid={GUID.lower()}", ["before"]),
        ("cisco:guid=*", ["before"]),
        ("header:x-queue=claims [motor]", ["before"]),
        ("header:x-queue=claims [a-z]motor]", []),
        ("header:x-queue=claims", []),
        ("oracle:ucid=", []),
        (f"oracle={UCID}", []),
        ("header:x-queue=claims*=*", []),
        (f"oracle:ucid={UCID[:-1]}", []),
        ("*=*", ["after", "before"]),
    ],
)
def test_a_recording_is_found_by_what_its_gateway_said(
    callseal: Commands, board: Switchboard, wish: str, expected: list[str]
) -> None:
    ids = found(callseal, board, "--attribute", wish)

    assert ids == named(board, expected)


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("+8613800138000", ["after", "before"]),
        ("13800138000", ["after", "before"]),
        ("138 0013 8000", ["after", "before"]),
        ("013800138000", ["after", "before"]),
        ("sip:013800138000@carrier.example;user=phone", ["after", "before"]),
        ("+8621*", ["unrelated"]),
        ("8001", ["unrelated", "before"]),
        ("800?", ["unrelated", "after", "before"]),
        ("8009", ["before"]),
        ("8002", ["after", "before"]),
        ("li na", ["after", "before"]),
        ("sip:8009@*", ["before"]),
        ("0013800", []),
        ("callseal*", []),
    ],
)
def test_a_recording_is_found_by_each_of_who_took_part_however_the_number_is_written(
    callseal: Commands, board: Switchboard, wish: str, expected: list[str]
) -> None:
    """The recorder itself is nobody who took part."""
    ids = found(callseal, board, "--party", wish)

    assert ids == named(board, expected)


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (CONVERSATION, ["after", "before"]),
        (CONVERSATION.upper(), ["after", "before"]),
        ("a second name", ["before"]),
        ("b1946ac9*", ["after", "before"]),
        ("*", ["after", "before"]),
        ("b1946ac9", []),
    ],
)
def test_all_recordings_of_a_conversation_are_found_by_any_name_that_it_ever_had(
    callseal: Commands, board: Switchboard, wish: str, expected: list[str]
) -> None:
    ids = found(callseal, board, "--conversation", wish)

    assert ids == named(board, expected)


def test_of_several_wishes_all_must_hold(callseal: Commands, board: Switchboard) -> None:
    both = found(callseal, board, "--party", "8001", "--party", "8009")
    one_only = found(callseal, board, "--party", "8009", "--party", "+862112345678")
    mixed = found(callseal, board, "--conversation", CONVERSATION, "--attribute", f"*:guid={GUID}")
    with_time = found(callseal, board, "--party", "8001", "--business", "service")

    assert both == [board.before]
    assert one_only == []
    assert mixed == [board.before]
    assert with_time == [board.before]


@pytest.mark.parametrize(
    "options", [["--attribute", "oracle:ucid=1"], ["--conversation", "1"], ["--party", "8001"]]
)
def test_without_a_key_it_is_said_that_what_is_looked_for_is_sealed(
    callseal: Commands, board: Switchboard, options: list[str]
) -> None:
    callseal.use(board.office.config_file)

    ran = callseal("list", *options)

    assert (ran.code, ran.out) == (2, "")
    assert "-i" in ran.err
    assert "sealed" in ran.err


@pytest.mark.parametrize(
    "options",
    [
        ["--attribute", "oracle:ucid"],
        ["--attribute", "=00FA"],
        ["--party", ""],
        ["--conversation", ""],
        ["--access", "--party", "8001"],
    ],
)
def test_what_can_not_be_looked_for_is_a_wrong_use_and_nothing_is_opened(
    callseal: Commands, board: Switchboard, options: list[str]
) -> None:
    ran = looked_for(callseal, board, *options)

    assert (ran.code, ran.out) == (2, "")


def test_json_has_what_was_sealed_for_who_holds_the_key_and_null_for_others(
    callseal: Commands, board: Switchboard
) -> None:
    callseal.use(board.office.config_file)

    without = json.loads(callseal("list", "--json").out)["recordings"]
    with_key = json.loads(looked_for(callseal, board, "--json").out)["recordings"]

    unrelated, after, before = with_key
    assert {row["attributes"] for row in without} == {None}
    assert before["attributes"] == {
        "oracle:ucid": THIRD_UCID,
        "cisco:guid": GUID,
        "header:x-queue": "claims [motor]",
    }
    assert [one["name"] for one in before["parties"]["others"]] == ["Zhao Min", "Li Na"]
    assert after["conversation"] == CONVERSATION
    assert after["links"] == [{"relation": "same-conversation", "id": str(board.before)}]
    assert (unrelated["conversation"], unrelated["links"], unrelated["attributes"]) == (None, [], {})


def test_a_search_is_an_access_of_all_that_it_looked_through(
    callseal: Commands, own_board: Switchboard
) -> None:
    """Whoever looks for a number learns of every recording whether it is there: of those not found too."""
    office = own_board.office
    text = office.config_file.read_text()
    office.config_file.write_text(text + "ask_reason = true\n")

    refused = looked_for(callseal, own_board, "--party", "8009")
    ran = looked_for(callseal, own_board, "--party", "8009", "--reason", "complaint 12")

    (path,) = office.store_path.glob("access/*/*/*/*.json")
    record = access.read(path.read_bytes())
    assert (refused.code, refused.out) == (2, "")
    assert ran.code == 0
    assert record.action == access.LIST
    assert set(record.recordings) == {own_board.before, own_board.after, own_board.unrelated}
    assert "8009" not in path.read_text()


def test_what_can_not_be_read_is_not_lost_from_a_search(callseal: Commands, own_board: Switchboard) -> None:
    """Altering a recording's metadata must not be a way to hide it."""
    flip(only(own_board.office.bundle(own_board.unrelated), "call-*.age"), -1)

    ran = looked_for(callseal, own_board, "--party", "8009")

    lines = {line.split()[0]: line for line in ran.out.splitlines()[1:]}
    assert ran.code == 12
    assert set(lines) == {str(own_board.before), str(own_board.unrelated)}
    assert "can't be read" in lines[str(own_board.unrelated)]
    assert f"WARNING: {own_board.unrelated}" in ran.err


def test_nothing_found_is_said(callseal: Commands, board: Switchboard) -> None:
    ran = looked_for(callseal, board, "--party", "9999")

    assert (ran.code, ran.out, ran.err) == (0, "", "no recordings\n")
