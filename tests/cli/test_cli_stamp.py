"""``callseal stamp`` has the ledgers stamped, and says of each device what came of it."""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callseal.seal.keys import Role, chain_der, device_id, self_signed
from callseal.seal.ledger import Clocks, Journal, Kind
from callseal.store.directory import DirectoryStore
from callseal.store.names import ledger_name, stamp_name
from support.commands import Commands
from support.settings_text import LEAST
from support.tsa import Reply, StampingAuthority, serving

KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
DEVICE: Final = device_id(KEY.public_key())


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> StampingAuthority:
    return StampingAuthority(tmp_path_factory.mktemp("tsa") / "authority")


@pytest.fixture
def url(tsa: StampingAuthority, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(tsa.answer) as found:
        yield found


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store that holds one device's ledger of one entry."""
    store = DirectoryStore.create(tmp_path / "store")
    clocks = Clocks(at=datetime(2026, 11, 21, 19, 0, tzinfo=UTC), boot="0123456789abcdef", uptime_ms=1000)
    journal = Journal([tmp_path / "ledger"], device=DEVICE, key=KEY, clocks=lambda: clocks)
    chain = chain_der([self_signed(KEY, role=Role.DEVICE, now=clocks.at, years=1)])
    journal.append(Kind.STARTED, software="callseal/test", settings=bytes(32), x5c=chain)
    segment = journal.publish()
    journal.close()
    if segment is None:
        raise RuntimeError("an entry, and no segment")
    store.put(ledger_name(DEVICE, 0), segment, hashlib.sha256(segment.read_bytes()).digest())
    return store.root


pytestmark = pytest.mark.integration


def test_a_ledger_is_stamped_once(callseal: Commands, tsa: StampingAuthority, url: str, store: Path) -> None:
    command = ("stamp", "--tsa", url, "--store", store, "--tsa-roots", tsa.roots_file)

    first = callseal(*command)
    again = callseal(*command)

    assert (first.code, again.code) == (0, 0)
    assert (store / stamp_name(DEVICE, 1)).is_file()
    for ran, words in ((first, "new"), (again, "there already")):
        row = ran.out.splitlines()[1]
        assert row.startswith(DEVICE)
        assert words in row
        assert row.endswith("CN=Example TSA")
        assert ran.err == ""


def test_the_stores_and_the_root_are_those_of_the_settings(
    callseal: Commands, tsa: StampingAuthority, url: str, store: Path, tmp_path: Path
) -> None:
    (tmp_path / "tsa.pem").write_bytes(tsa.roots_file.read_bytes())
    config = tmp_path / "callseal.toml"
    table = f'[[store]]\nname = "primary"\ntype = "directory"\npath = "{store}"\n'
    config.write_text(f"{LEAST}{table}")

    ran = callseal("stamp", "--tsa", url, "--config", config)

    assert ran.code == 0
    assert f"{DEVICE}  primary  1        new" in ran.out


def test_without_a_root_nothing_is_ever_checked(callseal: Commands, url: str, store: Path) -> None:
    ran = callseal("stamp", "--tsa", url, "--store", store)

    assert ran.code == 15
    assert "new, not checked" in ran.out
    assert "--tsa-roots" in ran.err


def test_json_says_the_same(callseal: Commands, tsa: StampingAuthority, url: str, store: Path) -> None:
    ran = callseal("stamp", "--tsa", url, "--store", store, "--tsa-roots", tsa.roots_file, "--json")

    document = json.loads(ran.out)
    assert list(document) == ["type", "exit_code", "devices"]
    assert (document["type"], document["exit_code"]) == ("callseal-stamp/1", 0)
    (device,) = document["devices"]
    at = device.pop("at")
    assert at.endswith(".000Z")
    assert device == {
        "store": str(store),
        "device": DEVICE,
        "size": 1,
        "outcome": "stamped",
        "authority": "CN=Example TSA",
        "checked": True,
        "error": None,
    }


@pytest.mark.parametrize(
    ("status", "said"), [(503, (20, "out of order")), (404, (21, "is this an authority's address?"))]
)
def test_an_authority_that_does_not_answer_well_is_named_with_the_device(
    callseal: Commands, tsa: StampingAuthority, store: Path, status: int, said: tuple[int, str]
) -> None:
    with serving(lambda _question: Reply(status=status)) as url:
        ran = callseal("stamp", "--tsa", url, "--store", store, "--tsa-roots", tsa.roots_file)

    assert ran.code == said[0]
    assert f"WARNING: {store}: {DEVICE}: {url}" in ran.err
    assert said[1] in ran.err


def test_a_store_that_is_away_is_named(
    callseal: Commands, tsa: StampingAuthority, url: str, tmp_path: Path
) -> None:
    ran = callseal("stamp", "--tsa", url, "--store", tmp_path / "away", "--tsa-roots", tsa.roots_file)

    assert ran.code == 20
    assert "away" in ran.err


def test_a_store_without_a_ledger_is_well(
    callseal: Commands, tsa: StampingAuthority, url: str, tmp_path: Path
) -> None:
    DirectoryStore.create(tmp_path / "empty")

    ran = callseal("stamp", "--tsa", url, "--store", tmp_path / "empty", "--tsa-roots", tsa.roots_file)

    assert ran.code == 0
    assert ran.err == "no device has a ledger there: nothing to stamp\n"


@pytest.mark.parametrize("address", ["tsa.example", "ftp://tsa.example/", "https://me:secret@tsa.example/"])
def test_what_is_no_address_is_refused_and_not_repeated(
    callseal: Commands, store: Path, address: str
) -> None:
    ran = callseal("stamp", "--tsa", address, "--store", store)

    assert ran.code == 2
    assert "--tsa: an address like https://tsa.example/ expected" in ran.err
    assert "secret" not in ran.err


def test_an_address_must_be_given(callseal: Commands, store: Path) -> None:
    ran = callseal("stamp", "--store", store)

    assert ran.code == 2
    assert "--tsa" in ran.err


def test_a_root_file_that_is_named_must_be_there(
    callseal: Commands, url: str, store: Path, tmp_path: Path
) -> None:
    ran = callseal("stamp", "--tsa", url, "--store", store, "--tsa-roots", tmp_path / "gone.pem")

    assert ran.code == 10
    assert "gone.pem" in ran.err


def test_settings_without_a_store_leave_nothing_to_stamp(
    callseal: Commands, url: str, tmp_path: Path
) -> None:
    config = tmp_path / "callseal.toml"
    config.write_text(LEAST)

    ran = callseal("stamp", "--tsa", url, "--config", config)

    assert ran.code == 2
    assert "--store" in ran.err
