"""``callseal store`` makes stores, shows what each role must be allowed, and examines stores by trying it."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from callseal.cli import store_words
from callseal.config.central import S3Store
from callseal.store.policies import Role, place_of, policies, text_of
from callseal.store.promises import Expected, table
from callseal.store.trial import Party
from callseal.store.verdicts import Cause, Outcome
from support.bad_store import ADMIN, BadStore, Fault, serving
from support.commands import Commands
from support.settings_text import LEAST

DEVICE: Final = "dev-abcdefghijkl"
_ROLES: Final = {
    "agent": Role.DEVICE,
    "custodian": Role.CUSTODIAN,
    "supervisor": Role.READER,
}
_EVERYBODY: Final = (
    *("--agent-profile", "agent", "--device", DEVICE),
    *("--custodian-profile", "custodian", "--supervisor-profile", "supervisor"),
)
_ADMIN: Final = ("--admin-profile", ADMIN)


@pytest.fixture
def store() -> BadStore:
    return BadStore()


@pytest.fixture
def endpoint(store: BadStore) -> Iterator[str]:
    with serving(store) as found:
        yield found


@pytest.fixture
def item(endpoint: str) -> S3Store:
    return S3Store(name="central", type="s3", endpoint=endpoint, bucket="rec", lock_days=30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def config(  # noqa: PLR0917 - fixtures are asked for by name
    callseal: Commands,
    store: BadStore,
    item: S3Store,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Return settings of a folder and an S3 store; all know their credentials, and have their rights."""
    for party, role in _ROLES.items():
        store.allow(party, text_of(policies(place_of(item), DEVICE)[role]))
    credentials = tmp_path / "credentials"
    credentials.write_text(
        "".join(
            f"[{name}]\naws_access_key_id = {name}\naws_secret_access_key = x\n" for name in (ADMIN, *_ROLES)
        )
    )
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    path = tmp_path / "callseal.toml"
    path.write_text(
        f"{LEAST}"
        f'[[store]]\nname = "desk"\ntype = "directory"\npath = "{folder}"\n'
        f'[[store]]\nname = "central"\ntype = "s3"\nendpoint = "{item.endpoint}"\nbucket = "rec"\n'
        'lock_days = 30\nprofile = "agent"\n'
    )
    callseal.use(path)
    return path


def test_a_folder_that_is_named_becomes_a_store(callseal: Commands, folder: Path) -> None:
    ran = callseal("store", "init", folder)

    assert (ran.code, ran.out, ran.err) == (0, f"{folder} is a store\n", "")


def test_all_stores_of_the_settings_are_made(
    callseal: Commands, config: Path, store: BadStore, folder: Path
) -> None:
    ran = callseal("store", "init", "--profile", ADMIN)

    assert ran.code == 0
    assert ran.out.startswith(f"{folder} is a store\n")
    assert (folder / ".callseal-store").is_file()
    assert store.buckets["rec"].retention == ("COMPLIANCE", 30)
    assert store.buckets["rec-fleet"].retention is None
    assert "policy of the role custodian, store central:" in ran.err


def test_only_the_store_that_is_named_is_made(
    callseal: Commands, config: Path, store: BadStore, folder: Path
) -> None:
    ran = callseal("store", "init", "--store", "desk")

    assert ran.code == 0
    assert folder.is_dir()
    assert store.buckets == {}


def test_the_second_time_everything_is_there_already(callseal: Commands, config: Path) -> None:
    first = callseal("store", "init", "--store", "central", "--profile", ADMIN, "--json")
    again = callseal("store", "init", "--store", "central", "--profile", ADMIN, "--json")

    states = [
        {one["state"] for one in json.loads(ran.out)["stores"][0]["findings"]} for ran in (first, again)
    ]
    assert (first.code, again.code) == (0, 0)
    assert states == [{"made", "there"}, {"there"}]


def test_services_credentials_in_the_settings_are_not_used_to_make_a_store(
    callseal: Commands, config: Path, store: BadStore
) -> None:
    ran = callseal("store", "init", "--store", "central")

    assert ran.code == 21
    assert "credentials" in ran.err
    assert store.buckets == {}


def test_who_is_no_administrator_is_told_so(callseal: Commands, config: Path, store: BadStore) -> None:
    ran = callseal("store", "init", "--store", "central", "--profile", "agent")

    assert ran.code == 21
    assert "--profile" in ran.err
    assert store.buckets == {}


@pytest.mark.parametrize(
    ("weaken", "words"),
    [
        ({"locks": False}, "name another bucket"),
        ({"retention": ("COMPLIANCE", 29)}, "COMPLIANCE, 29 d"),
        ({"retention": ("GOVERNANCE", 400)}, "GOVERNANCE, 400 d"),
    ],
)
def test_what_is_weaker_than_the_settings_is_an_error_that_says_what_to_do(
    callseal: Commands, config: Path, store: BadStore, weaken: dict[str, object], words: str
) -> None:
    callseal("store", "init", "--store", "central", "--profile", ADMIN)
    for name, value in weaken.items():
        setattr(store.buckets["rec"], name, value)

    ran = callseal("store", "init", "--store", "central", "--profile", ADMIN)

    assert ran.code == 21
    assert "WARNING" in ran.err
    assert words in ran.err
    for name, value in weaken.items():
        assert getattr(store.buckets["rec"], name) == value, "it was changed"


def test_a_store_that_keeps_no_settings_is_not_believed(
    callseal: Commands, config: Path, store: BadStore
) -> None:
    store.faults.add(Fault.KEEPS_NO_SETTINGS)

    ran = callseal("store", "init", "--store", "central", "--profile", ADMIN, "--json")

    states = {(one["feature"], one["state"]) for one in json.loads(ran.out)["stores"][0]["findings"]}
    assert ran.code == 21
    assert ("retention", "weaker") in states


def test_policies_are_shown_without_credentials_and_nothing_is_changed(
    callseal: Commands, config: Path, store: BadStore, item: S3Store
) -> None:
    ran = callseal("store", "init", "--policies", "--device", DEVICE, "--json")

    (shown,) = json.loads(ran.out)["stores"]
    assert ran.code == 0
    assert store.buckets == {}
    assert shown["policies"] == {
        role.value: text_of(policy) for role, policy in policies(place_of(item), DEVICE).items()
    }


def test_a_device_that_is_a_pattern_gets_no_policy(callseal: Commands, config: Path) -> None:
    ran = callseal("store", "init", "--policies", "--device", "*")

    assert ran.code == 2
    assert ran.out == ""


def test_a_store_that_keeps_its_promises_passes(callseal: Commands, config: Path, item: S3Store) -> None:
    callseal("store", "init", "--store", "central", "--profile", ADMIN)

    ran = callseal("store", "check", *_EVERYBODY, *_ADMIN)

    rows = ran.out.splitlines()[1:]
    assert ran.code == 0
    assert len(rows) == len(table(item, administrator=True))
    assert all(row.rstrip().endswith("ok") for row in rows)


@pytest.mark.parametrize(
    ("fault", "row"),
    [
        (Fault.TAKES_WRONG_HASH, "an object with a wrong hash is refused"),
        (Fault.DELETES_LOCKED, "delete a version for good"),
        (Fault.SHORTENS, "shorten an object's lock"),
        (Fault.ALLOWS_EVERYTHING, "put a recording of another device"),
    ],
)
def test_a_bad_store_fails_loudly_and_the_row_says_where(
    callseal: Commands, config: Path, store: BadStore, fault: Fault, row: str
) -> None:
    callseal("store", "init", "--store", "central", "--profile", ADMIN)
    store.faults.add(fault)

    ran = callseal("store", "check", *_EVERYBODY, *_ADMIN)

    assert ran.code == 21
    assert "FAILED" in next(line for line in ran.out.splitlines() if row in line and "FAILED" in line)
    assert "promises are broken" in ran.err


def test_what_could_not_be_tried_is_told_and_is_no_success(callseal: Commands, config: Path) -> None:
    callseal("store", "init", "--store", "central", "--profile", ADMIN)

    ran = callseal("store", "check", "--custodian-profile", "custodian", "--json")

    (shown,) = json.loads(ran.out)["stores"]
    assert (ran.code, json.loads(ran.out)["exit_code"]) == (15, 15)
    assert {row["cause"] for row in shown["rows"] if row["who"] == "agent"} == {"no-account"}
    assert not any(row["outcome"] == "failed" for row in shown["rows"])


def test_no_key_is_ever_printed(callseal: Commands, config: Path, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text(credentials.read_text().replace("= x", "= Zm9yLW5vYm9keXMtZXllcw"))
    callseal("store", "init", "--store", "central", "--profile", ADMIN)

    ran = callseal("store", "check", *_EVERYBODY, "--json")

    assert "Zm9yLW5vYm9keXMtZXllcw" not in ran.out + ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("check",),
        ("check", "--agent-profile", "agent"),
        ("check", "--device", DEVICE, "--custodian-profile", "custodian"),
        ("check", "--store", "desk", "--custodian-profile", "custodian"),
        ("check", "--store", "nowhere", "--custodian-profile", "custodian"),
        ("check", "--agent-profile", "agent", "--device", "dev-*"),
        ("init", "--store", "nowhere"),
        ("init", "--policies", "--store", "desk"),
        ("init", "folder", "--policies"),
    ],
    ids=" ".join,
)
def test_what_does_not_go_together_is_a_usage_error(
    callseal: Commands, config: Path, arguments: tuple[str, ...]
) -> None:
    ran = callseal("store", *arguments)

    assert ran.code == 2
    assert ran.err.startswith(("callseal:", "Usage"))


def test_a_store_that_is_not_there_is_unreachable(callseal: Commands, config: Path) -> None:
    text = config.read_text()
    config.write_text(re.sub(r"http://127.0.0.1:[0-9]+", "http://127.0.0.1:9", text))

    ran = callseal("store", "check", "--custodian-profile", "custodian")

    assert ran.code == 20
    assert "central" in ran.err


def test_every_row_has_words(item: S3Store) -> None:
    rows = [
        row
        for filled_by in ("uploader", "custodian")
        for row in table(item.model_copy(update={"filled_by": filled_by}), administrator=True)
    ]

    assert {row.code for row in rows} == set(store_words.ROWS)
    assert set(Party) == set(store_words.PARTIES)
    assert set(Expected) == set(store_words.EXPECTED)
    assert set(Outcome) == set(store_words.OUTCOMES)
    assert set(Cause) - {Cause.NONE} == set(store_words.CAUSES)
