"""Where the settings are looked for, and what is said of a file that can't be read."""

import hashlib
from pathlib import Path

import pytest

from callseal.config.errors import ConfigFileError, ConfigValueError
from callseal.config.load import MAX_FILE_BYTES, load
from support.settings_text import LEAST


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """Lay a valid file, told apart by its site, in every place where settings are looked for."""
    files = {
        "explicit": tmp_path / "explicit" / "my.toml",
        "variable": tmp_path / "variable" / "my.toml",
        "xdg": tmp_path / "xdg" / "callseal" / "callseal.toml",
        "home": tmp_path / "home" / ".config" / "callseal" / "callseal.toml",
        "system": tmp_path / "system" / "callseal.toml",
    }
    for name, path in files.items():
        path.parent.mkdir(parents=True)
        path.write_text(LEAST.replace('"bj"', f'"{name}"'))
    return files


def _environment(places: dict[str, Path], *names: str) -> dict[str, str]:
    known = {
        "CALLSEAL_CONFIG": str(places["variable"]),
        "XDG_CONFIG_HOME": str(places["xdg"].parents[1]),
        "HOME": str(places["home"].parents[2]),
    }
    return {name: known[name] for name in names}


@pytest.mark.parametrize(
    ("option", "names", "found"),
    [
        ("explicit", ("CALLSEAL_CONFIG", "XDG_CONFIG_HOME", "HOME"), "explicit"),
        (None, ("CALLSEAL_CONFIG", "XDG_CONFIG_HOME", "HOME"), "variable"),
        (None, ("XDG_CONFIG_HOME", "HOME"), "xdg"),
        (None, ("HOME",), "home"),
        (None, (), "system"),
    ],
)
def test_the_nearest_place_wins(
    places: dict[str, Path], option: str | None, names: tuple[str, ...], found: str
) -> None:
    named = places[option] if option else None

    loaded = load(named, _environment(places, *names), system=places["system"])

    assert loaded.settings.device.site == found
    assert loaded.path == places[found]


def test_a_place_without_a_file_is_passed_over(places: dict[str, Path]) -> None:
    places["xdg"].unlink()
    environment = _environment(places, "XDG_CONFIG_HOME")

    loaded = load(None, environment, system=places["system"])

    assert loaded.settings.device.site == "system"


def test_a_relative_xdg_folder_is_ignored_as_its_specification_asks(places: dict[str, Path]) -> None:
    environment = {"XDG_CONFIG_HOME": "relative", **_environment(places, "HOME")}

    loaded = load(None, environment, system=places["system"])

    assert loaded.settings.device.site == "home"


@pytest.mark.parametrize("way", ["--config", "CALLSEAL_CONFIG"])
def test_a_named_file_that_is_missing_is_never_replaced_by_another(places: dict[str, Path], way: str) -> None:
    missing = places["explicit"].with_name("gone.toml")
    environment = {} if way == "--config" else {"CALLSEAL_CONFIG": str(missing)}

    with pytest.raises(ConfigFileError) as caught:
        load(missing if way == "--config" else None, environment, system=places["system"])

    assert str(caught.value) == f"{missing}: there is no such file"


def test_no_file_anywhere_says_where_it_was_looked_for_and_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError) as caught:
        load(None, {"HOME": str(tmp_path)}, system=tmp_path / "system.toml")

    message = str(caught.value)
    assert f"{tmp_path}/.config/callseal/callseal.toml, {tmp_path}/system.toml: " in message
    assert "callseal init" in message


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match="can't be read: Is a directory"):
        load(tmp_path, {})


def test_a_file_beyond_the_limit_is_not_read_on(tmp_path: Path) -> None:
    path = tmp_path / "callseal.toml"
    path.write_bytes(b"#" * (MAX_FILE_BYTES + 1))

    with pytest.raises(ConfigFileError, match=f"larger than {MAX_FILE_BYTES} bytes"):
        load(path, {})


def test_a_file_that_is_not_utf_8_names_the_line_and_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "callseal.toml"
    path.write_bytes("schema = 1\n# 录音\n".encode("gb18030"))

    with pytest.raises(ConfigFileError) as caught:
        load(path, {})

    assert str(caught.value) == f"{path}:2: byte 0xd2 is not UTF-8: save the file as UTF-8"


def test_a_byte_order_mark_from_an_editor_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "callseal.toml"
    path.write_text(LEAST, encoding="utf-8-sig")

    assert load(path, {}).settings.device.site == "bj"


def test_relative_paths_start_at_the_folder_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "callseal.toml"
    path.write_text(
        LEAST + '[spool]\npath = "spool"\nsecond_path = "/mnt/spool"\n'
        '[[announcement]]\nname = "own"\nlanguage = "zh-CN"\nfile = "sound/own.wav"\n'
        '[[store]]\nname = "primary"\ntype = "directory"\npath = "store"\n'
    )

    settings = load(path, {}).settings

    assert settings.device.key_file == tmp_path / "device.key"
    assert settings.seal.recipients_file == tmp_path / "recipients.txt"
    assert settings.trust.roots_file == tmp_path / "trust.pem"
    assert settings.spool.path == tmp_path / "spool"
    assert settings.spool.second_path == Path("/mnt/spool")
    assert settings.announcements[0].file == tmp_path / "sound" / "own.wav"
    assert [store.type == "directory" and store.path for store in settings.stores] == [tmp_path / "store"]


def test_the_environment_changes_no_key(places: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOG", "log", "SPOOL", "SCHEMA", "SCHEMA_VERSION", "CALLSEAL_LOG"):
        monkeypatch.setenv(name, '{"level": "debug"}')

    settings = load(places["explicit"], {}).settings

    assert settings.log.level == "info"


def test_problems_carry_the_path_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "callseal.toml"
    path.write_text("schema = 1\n")

    with pytest.raises(ConfigValueError) as caught:
        load(path, {})

    assert {problem.file for problem in caught.value.problems} == {str(path)}


def test_the_hash_is_that_of_the_bytes_that_were_read_whatever_lies_there_since(
    places: dict[str, Path],
) -> None:
    path = places["explicit"]
    data = path.read_bytes()

    loaded = load(path, {})
    path.unlink()

    assert loaded.sha256 == hashlib.sha256(data).digest()
