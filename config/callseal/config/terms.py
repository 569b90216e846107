"""Retention terms: how long a recording of a class is kept, counted from which event, and who says so.

Terms are data, not code: `retention.toml` beside this module holds the law as it is understood, each term
with its source in words, to be checked by the customer's lawyers. A file of the customer's own has the same
form.

Conventions: a term is a least time. It counts from a *day*, wherever in the world that day is: it begins when
the day has ended in every time zone, so that no zone makes it shorter. A year later is the same day of the
calendar, and 1 March where that year has no 29 February. A class that is not listed takes the longest of
all. Dates end with the year `MAX_YEAR`: what lies beyond is a slip of the finger, and a protection until then
could never be taken back.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field, StringConstraints, ValidationError, model_validator

from callseal.config.errors import ConfigFileError, ConfigSyntaxError, ConfigValueError, Problem
from callseal.config.kinds import MAX_TABLES, TABLE

__all__ = [
    "MAX_YEAR",
    "MIN_YEAR",
    "SHIPPED_NAME",
    "Event",
    "Period",
    "RetentionClass",
    "Terms",
    "read_terms",
    "read_terms_file",
    "shipped_terms",
]

SHIPPED_NAME: Final = "retention.toml"
MIN_YEAR: Final = 1900
MAX_YEAR: Final = 2200
MAX_FILE_BYTES: Final = 256 * 1024
MAX_YEARS: Final = 100  # S3 Object Lock takes no more
MAX_DAYS: Final = 36_500

DAY_ENDED: Final = timedelta(days=1, hours=12)
"""From a day's midnight, UTC, until it has ended at UTC-12 too, the last place on earth."""

_DAYS_A_YEAR: Final = 366  # to compare terms with; a year is never longer
_FEBRUARY: Final = 2
_LEAP_DAY: Final = 29


class Event(StrEnum):
    """What a term counts from."""

    CONTRACT_END = "contract-end"
    DISPUTE_SETTLED = "dispute-settled"
    CALL = "call"


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A length of time by the calendar; ValueError for one that is nothing or too long."""

    years: int = 0
    days: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.years <= MAX_YEARS and 0 <= self.days <= MAX_DAYS):
            raise ValueError(f"at most {MAX_YEARS} years and {MAX_DAYS} days")
        if self.years + self.days == 0:
            raise ValueError("a term has years or days")

    def after(self, day: date) -> datetime:
        """Return when this time is over, counted from a day (UTC). ValueError beyond the calendar's end."""
        year = day.year + self.years
        if year > date.max.year:
            raise ValueError("a term that ends behind the calendar's end")
        # 29 February becomes 1 March: the day after would be a day too early.
        lost = (day.month, day.day) == (_FEBRUARY, _LEAP_DAY) and not _is_leap(year)
        later = date(year, _FEBRUARY + 1, 1) if lost else day.replace(year=year)
        try:
            return datetime.combine(later, time(), UTC) + timedelta(days=self.days) + DAY_ENDED
        except OverflowError as problem:
            raise ValueError("a term that ends behind the calendar's end") from problem

    @property
    def most_days(self) -> int:
        """The most days that it can last."""
        return self.years * _DAYS_A_YEAR + self.days


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionClass:
    """A class of recordings: its term, counted from an event, and the source of that in words."""

    id: str
    label_en: str
    label_zh: str
    event: Event
    period: Period
    source_en: str
    source_zh: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """All terms; `dispute` is how long a recording of any class is kept after its dispute was settled."""

    classes: Mapping[str, RetentionClass]
    dispute: Period
    dispute_source_en: str
    dispute_source_zh: str

    def of(self, name: str | None) -> RetentionClass:
        """Return the class of this name; for one that is unknown, or none, that with the longest term."""
        found = None if name is None else self.classes.get(name)
        return found if found is not None else self.longest

    @property
    def longest(self) -> RetentionClass:
        """The class that keeps longest: one that waits for an event before one that counts from the call."""
        return max(
            self.classes.values(), key=lambda item: (item.event is not Event.CALL, item.period.most_days)
        )


_Text = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=300, pattern=r"^[^\x00-\x1f]*$")
]
_Id = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
_Number = Annotated[int, Field(strict=True, ge=0, le=MAX_DAYS)]


class _DisputeTable(BaseModel):
    model_config = TABLE

    years: _Number = 0
    days: _Number = 0
    source_en: _Text
    source_zh: _Text

    @model_validator(mode="after")
    def _possible(self) -> "_DisputeTable":
        Period(years=self.years, days=self.days)
        return self


class _ClassTable(_DisputeTable):
    id: _Id
    label_en: _Text
    label_zh: _Text
    event: Event = Field(alias="from")


class _File(BaseModel):
    model_config = TABLE

    schema_version: Literal[1] = Field(alias="schema")
    dispute: _DisputeTable
    classes: tuple[_ClassTable, ...] = Field(alias="class", min_length=1, max_length=MAX_TABLES)

    @model_validator(mode="after")
    def _each_once(self) -> "_File":
        names = [item.id for item in self.classes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"each class stands there once, and {', '.join(twice)} does not")
        return self


@cache
def shipped_terms() -> Terms:
    """Return the terms that come with the package."""
    return read_terms(files("callseal.config").joinpath(SHIPPED_NAME).read_bytes(), Path(SHIPPED_NAME))


def read_terms_file(path: Path) -> Terms:
    """Return the terms in a file of the customer's own; raises ConfigError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as problem:
        raise ConfigFileError(_problem(path, f"can't be read: {problem.strerror}")) from problem
    return read_terms(data, path)


def read_terms(data: bytes, path: Path) -> Terms:
    """Return what the bytes of a file of terms say, which lies at `path`; raises ConfigError."""
    if len(data) > MAX_FILE_BYTES:
        raise ConfigFileError(_problem(path, f"is larger than {MAX_FILE_BYTES} bytes: not a file of terms"))
    try:
        document = tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as problem:
        raise ConfigFileError(_problem(path, "is not UTF-8: save the file as UTF-8")) from problem
    except (ValueError, RecursionError) as problem:  # TOMLDecodeError is a ValueError
        raise ConfigSyntaxError(_problem(path, f"not TOML: {_printable(str(problem))}")) from problem
    try:
        return _terms(_File.model_validate(document))
    except ValidationError as problem:
        raise ConfigValueError(*_explained(path, problem)) from problem


def _terms(file: _File) -> Terms:
    classes = {
        item.id: RetentionClass(
            id=item.id,
            label_en=item.label_en,
            label_zh=item.label_zh,
            event=item.event,
            period=Period(years=item.years, days=item.days),
            source_en=item.source_en,
            source_zh=item.source_zh,
        )
        for item in file.classes
    }
    return Terms(
        classes=MappingProxyType(classes),
        dispute=Period(years=file.dispute.years, days=file.dispute.days),
        dispute_source_en=file.dispute.source_en,
        dispute_source_zh=file.dispute.source_zh,
    )


def _explained(path: Path, error: ValidationError) -> Iterable[Problem]:
    for one in error.errors(include_url=False, include_input=False):
        # pydantic counts from 0; a person counts tables from 1.
        words = (f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in one["loc"])
        yield Problem(
            file=str(path), key="".join(words).removeprefix("."), value=None, allowed=_printable(one["msg"])
        )


def _problem(path: Path, allowed: str) -> Problem:
    return Problem(file=str(path), key="", value=None, allowed=allowed)


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
