"""Find the settings file, read it and check it: the one place here that touches files.

Order of search: `--config`, `$CALLSEAL_CONFIG`, `$XDG_CONFIG_HOME/callseal/callseal.toml` (by default
`~/.config`), `/etc/callseal/callseal.toml`. What was named and is missing is an error; the others are
passed over. Relative paths in the file start at the file's own folder. Whatever the file holds, only
`ConfigError` is raised, and it carries every problem at once.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from callseal.config.available import unavailable
from callseal.config.errors import ConfigFileError, ConfigSyntaxError, ConfigValueError, Problem
from callseal.config.explain import explained, secret_keys, unknown_key
from callseal.config.masking import is_secret_key, shown
from callseal.config.references import contradictions
from callseal.config.settings import Settings

__all__ = ["MAX_FILE_BYTES", "SYSTEM_CONFIG", "Loaded", "candidates", "load", "read_settings"]

SYSTEM_CONFIG = Path("/etc/callseal/callseal.toml")
# A thousand rules fit in; a recording that was named by mistake does not.
MAX_FILE_BYTES = 256 * 1024

_NOWHERE = "no settings file in any of these places; `callseal init` writes one, --config names another"
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)")

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Settings that were read and checked, their file's absolute path, and the SHA-256 of what it held."""

    settings: Settings
    path: Path
    sha256: bytes


def load(explicit: Path | None, env: Mapping[str, str], *, system: Path = SYSTEM_CONFIG) -> Loaded:
    """Find, read and check the settings; raises ConfigError.

    `explicit` is what `--config` named, `env` the environment, `system` the file that a machine has.
    """
    places = candidates(explicit, env, system=system)
    for path in places:
        data = _read(path)
        if data is not None:
            absolute = path.absolute()
            return Loaded(
                settings=read_settings(data, absolute), path=absolute, sha256=hashlib.sha256(data).digest()
            )
    named = explicit is not None or bool(env.get("CALLSEAL_CONFIG"))
    raise ConfigFileError(
        Problem(
            file=", ".join(str(path) for path in places),
            key="",
            value=None,
            allowed="there is no such file" if named else _NOWHERE,
        )
    )


def candidates(
    explicit: Path | None, env: Mapping[str, str], *, system: Path = SYSTEM_CONFIG
) -> tuple[Path, ...]:
    """Give the places where the settings may be, in order; a named place is the only one."""
    if explicit is not None:
        return (explicit,)
    if env.get("CALLSEAL_CONFIG"):
        return (Path(env["CALLSEAL_CONFIG"]),)
    # "If an implementation encounters a relative path in any of these variables it should consider
    # the path invalid and ignore it." (XDG Base Directory Specification)
    homes = (env.get("XDG_CONFIG_HOME", ""), f"{env['HOME']}/.config" if env.get("HOME") else "")
    home = next((Path(one) for one in homes if one.startswith("/")), None)
    own = () if home is None else (home / "callseal" / "callseal.toml",)
    return (*own, system)


def read_settings(data: bytes, path: Path) -> Settings:
    """Check the bytes of a settings file that lies at `path`, an absolute path; raises ConfigError."""
    file = str(path)
    document = _document(data, file)
    known = {field.alias or name for name, field in Settings.model_fields.items()}
    settings: Settings | None = None
    errors: list[Problem] = []
    try:
        # Only known names may go into the constructor: pydantic-settings takes options there too.
        settings = Settings(**{key: value for key, value in document.items() if key in known})
    except ValidationError as error:
        errors = list(explained(file, error.errors(include_url=False)))
    strangers = [key for key in document if key not in known and not is_secret_key(key)]
    problems = tuple(
        dict.fromkeys(
            chain(
                secret_keys(file, document),
                (unknown_key(file, (key,)) for key in strangers),
                errors,
                _clashes(file, document),
            )
        )
    )
    if settings is None or problems:
        raise ConfigValueError(*problems)
    return _anchored(settings, path.parent)


def _clashes(file: str, document: Mapping[str, object]) -> Iterator[Problem]:
    for clash in chain(contradictions(document), unavailable(document)):
        value = None if clash.value is None else shown(clash.key.rpartition(".")[2], clash.value)
        yield Problem(file=file, key=clash.key, value=value, allowed=clash.allowed)


def _read(path: Path) -> bytes | None:
    """Read a file up to the limit; None when there is none."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigFileError(_whole_file(str(path), f"can't be read: {reason}")) from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigFileError(
            _whole_file(str(path), f"is larger than {MAX_FILE_BYTES} bytes: not a settings file")
        )
    return data


def _document(data: bytes, file: str) -> dict[str, Any]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigFileError(
            _whole_file(file, f"byte {data[error.start]:#04x} is not UTF-8: save the file as UTF-8", line)
        ) from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        at = _AT_LINE.search(message)
        line = int(at[1]) if at else text.count("\n") + 1  # "(at end of document)"
        reason = "".join(char if char.isprintable() else "\ufffd" for char in _AT_LINE.sub("", message))
        raise ConfigSyntaxError(_whole_file(file, f"not TOML: {reason.strip()}", line)) from error
    except ValueError as error:  # int() takes 4,300 digits
        raise ConfigSyntaxError(_whole_file(file, "not TOML: a number is too long")) from error
    except RecursionError as error:
        raise ConfigSyntaxError(_whole_file(file, "not TOML: lists or tables nest too deep")) from error


def _whole_file(file: str, allowed: str, line: int | None = None) -> Problem:
    return Problem(file=file, key="", value=None, allowed=allowed, line=line)


def _anchored(model: Model, folder: Path) -> Model:
    """Let every relative path in a model start at `folder`."""
    changed = {name: _anchored_value(value, folder) for name, value in model}
    return model.model_copy(update=changed)


def _anchored_value(value: object, folder: Path) -> object:
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, BaseModel):
        return _anchored(value, folder)
    if isinstance(value, tuple):
        return tuple(_anchored_value(one, folder) for one in value)
    return value
