"""Settings files for tests: the least that is valid, and a way to read a changed one."""

from pathlib import Path

from callseal.config.errors import ConfigError
from callseal.config.load import read_settings
from callseal.config.settings import Settings

FILE = Path("/etc/callseal/callseal.toml")
DEVICE = '[device]\nsite = "bj"\n'
SOURCE = '[[source]]\ntype = "bridge"\npbx = "sip:pbx.example"\n'
LEAST = f"schema = 1\n{DEVICE}{SOURCE}"


def settings_of(text: str, path: Path = FILE) -> Settings:
    """Read settings from the text of a file."""
    return read_settings(text.encode(), path)


def problems_of(text: str) -> list[str]:
    """Give the lines that a person sees, without the file's name; empty for valid settings."""
    try:
        settings_of(text)
    except ConfigError as error:
        return [line.removeprefix(f"{FILE}: ") for line in str(error).splitlines()]
    return []
