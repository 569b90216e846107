"""What can be wrong with the settings.

    ConfigError                 something that the operator has to put right
    ├── ConfigFileError         the file is missing, unreadable, too large or not UTF-8
    ├── ConfigSyntaxError       the file is not TOML
    ├── ConfigValueError        keys or values that are unknown, missing or not allowed
    └── AnnouncementError       the audio of an announcement can't be read

Every error carries all problems that were found, not only the first. Nothing but these classes
leaves `load`, whatever bytes the file holds. Values that look like a secret are masked before they
become part of a problem (`masking`).
"""

from dataclasses import dataclass
from typing import ClassVar

__all__ = [
    "AnnouncementError",
    "ConfigError",
    "ConfigFileError",
    "ConfigSyntaxError",
    "ConfigValueError",
    "Problem",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong: where it stands, what stands there, what would be allowed.

    `key` counts the tables of an array from 1 (`rule[2].business`) and is empty when the whole file
    is meant. `value` is the text to show, already masked, and None when nothing stands there.
    """

    file: str
    key: str
    value: str | None
    allowed: str
    line: int | None = None

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        what = self.key if self.value is None else f"{self.key} = {self.value}"
        return ": ".join(part for part in (where, what, self.allowed) if part)


class ConfigError(Exception):
    """The settings can't be used as they are; `str()` gives one problem a line."""

    exit_code: ClassVar[int] = 78
    permanent: ClassVar[bool] = True

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems: tuple[Problem, ...] = problems

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class ConfigFileError(ConfigError):
    """The file is missing, unreadable, too large or not UTF-8."""


class ConfigSyntaxError(ConfigError):
    """The file is not TOML."""


class ConfigValueError(ConfigError):
    """Keys or values that are unknown, missing or not allowed."""


class AnnouncementError(ConfigError):
    """The audio of an announcement can't be read."""
