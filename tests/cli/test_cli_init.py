"""``callseal init`` sets a device up, and takes nothing away that is there."""

from pathlib import Path

import pytest

from callseal.config.load import load
from callseal.seal.keys import device_id, read_signing_key
from support.commands import Commands, Ran


def init(callseal: Commands, folder: Path, *more: str) -> Ran:
    return callseal("init", "--dir", folder, "--site", "bj", "--pbx", "sip:pbx.example", *more)


def test_settings_key_and_public_half_are_written_and_the_next_steps_told(
    callseal: Commands, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "callseal"

    ran = init(callseal, folder, "--phone", "sip:6001@127.0.0.1:5070", "--agent", "8001")

    settings = load(folder / "callseal.toml", {}).settings
    name = device_id(read_signing_key(folder / "device.key").public_key())
    assert ran.code == 0
    assert settings.device.site == "bj"
    assert sorted(path.name for path in folder.iterdir()) == ["callseal.toml", "device.key", "device.pub"]
    assert f"device: {name}" in ran.out
    steps = ("keys new", "recipients.txt", "keys certify device.csr", "enroll --certificate device.pem")
    for step in (*steps, "store init", "config check"):
        assert step in ran.err


def test_only_the_key_is_for_its_owner_alone(callseal: Commands, tmp_path: Path) -> None:
    init(callseal, tmp_path)

    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("*.*")}
    assert modes == {"callseal.toml": 0o644, "device.key": 0o600, "device.pub": 0o644}


def test_a_second_time_nothing_is_touched(callseal: Commands, tmp_path: Path) -> None:
    init(callseal, tmp_path)
    before = contents(tmp_path)

    ran = init(callseal, tmp_path, "--agent", "other")

    assert ran.code == 2
    assert "callseal.toml: is there already" in ran.err
    assert contents(tmp_path) == before


def test_force_writes_the_settings_anew_and_keeps_the_key(callseal: Commands, tmp_path: Path) -> None:
    init(callseal, tmp_path)
    before = contents(tmp_path)

    ran = init(callseal, tmp_path, "--agent", "Wang Fang", "--force")

    after = contents(tmp_path)
    assert ran.code == 0
    assert f"kept, was there already: {tmp_path / 'device.key'}" in ran.out
    assert b"Wang Fang" in after.pop("callseal.toml")
    assert after.items() <= before.items()


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (["--site", "Beijing!", "--pbx", "sip:pbx.example"], "device.site"),
        (["--site", "bj", "--pbx", "http://pbx"], "source[1].pbx"),
        (["--site", "bj", "--pbx", "sip:pbx.example", "--phone", "6001"], "source[1].phone"),
    ],
)
def test_a_wrong_value_is_named_and_nothing_is_written(
    callseal: Commands, tmp_path: Path, options: list[str], key: str
) -> None:
    ran = callseal("init", "--dir", tmp_path / "d", *options)

    assert ran.code == 78
    assert key in ran.err
    assert not (tmp_path / "d").exists()


def test_a_folder_that_can_not_be_made_is_said_so(callseal: Commands, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    ran = init(callseal, tmp_path / "file" / "d")

    assert ran.code == 2
    assert "can't be written" in ran.err


def test_a_store_is_made_from_the_settings(callseal: Commands, tmp_path: Path) -> None:
    init(callseal, tmp_path)

    made = callseal("store", "init", "--config", tmp_path / "callseal.toml")
    listed = callseal("list", "--store", tmp_path / "store")

    assert (made.code, listed.code) == (0, 0)
    assert made.out == f"{tmp_path / 'store'} is a store\n"


def test_a_store_is_made_where_it_is_told(callseal: Commands, tmp_path: Path) -> None:
    made = callseal("store", "init", tmp_path / "s")

    assert made.code == 0
    assert callseal("list", "--store", tmp_path / "s").code == 0


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
