"""One JSON object that came from outside, read field by field with its type and its limit.

Conventions: JSON as RFC 8259 means it, and stricter where readers of JSON differ: a name given twice, NaN,
Infinity, a number too large to be written again, and half a surrogate pair are refused. A number is read as
an integer only if it was written as one; true is no number. Names that nobody asks for are passed over.
Messages name the field and never repeat its value: a value may hold what does not belong in a log.

Every reading raises the error class that the caller gave, and nothing else.
"""

import base64
import binascii
import contextlib
import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final, Self, TypeAlias, TypeVar, cast

from callseal.seal.errors import SealError
from callseal.seal.timestamp import read_time

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]
Choice = TypeVar("Choice", bound=StrEnum)

MAX_NAMES: Final = 256
MAX_INTEGER: Final = (1 << 53) - 1  # what every reader of JSON keeps exactly (RFC 7493, section 2.2)

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def read_object(data: bytes, *, what: str, limit_bytes: int, error: type[SealError]) -> JsonObject:
    """Return the JSON object that `data` is, raising `error` if it is none; `what` names it in messages."""
    if len(data) > limit_bytes:
        raise error(f"{what}: {len(data)} bytes, more than the {limit_bytes} allowed")
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_no_name_twice,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as problem:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise error(f"{what}: not JSON as RFC 8259 means it") from problem
    if not isinstance(value, dict):
        raise error(f"{what}: a JSON object expected")
    return cast("JsonObject", value)


def write_object(values: Mapping[str, JsonValue]) -> bytes:
    """Return `values` as JSON in UTF-8, indented, in the order given, ended by a line feed.

    ValueError for NaN, Infinity and half a surrogate pair.
    """
    return (json.dumps(values, ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode()


class Fields:
    """The fields of one JSON object."""

    __slots__ = ("_error", "_values", "_where")

    def __init__(self, values: Mapping[str, JsonValue], *, where: str, error: type[SealError]) -> None:
        self._values = values
        self._where = where
        self._error = error

    def names(self) -> tuple[str, ...]:
        """Return the names of all fields, in the order of the document."""
        return tuple(self._values)

    def wrong(self, key: str, expected: str) -> SealError:
        """Return the error for field `key`, ready to be raised."""
        return self._error(f"{self._where}: {key}: {expected} expected")

    def is_null(self, key: str) -> bool:
        """Tell whether the field stands there as null; raises for one that is missing."""
        return self._value(key) is None

    def text(self, key: str, pattern: re.Pattern[str]) -> str:
        """Return a text that matches `pattern` from end to end."""
        return self._matched(key, self._value(key), pattern)

    def texts(self, key: str, pattern: re.Pattern[str], *, limit: int) -> tuple[str, ...]:
        """Return a list of at most `limit` texts."""
        return tuple(self._matched(key, value, pattern) for value in self._list(key, limit))

    def choice(self, key: str, choices: type[Choice]) -> Choice:
        """Return one of a fixed set of words."""
        value = self._value(key)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                return choices(value)
        raise self.wrong(key, " or ".join(choice.value for choice in choices))

    def integer(self, key: str, *, low: int = 0, high: int = MAX_INTEGER) -> int:
        """Return an integer from `low` to `high`, both allowed."""
        value = self._value(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(key, f"an integer from {low} to {high}")
        return value

    def time(self, key: str) -> datetime:
        """Return a point in time."""
        value = self._value(key)
        try:
            return read_time(value if isinstance(value, str) else "")
        except ValueError as problem:
            raise self.wrong(key, "a time like 2026-11-21T19:00:00.000Z") from problem

    def hexadecimal(self, key: str, *, size_bytes: int) -> bytes:
        """Return `size_bytes` bytes written as lower-case hexadecimal digits."""
        value = self._value(key)
        if not isinstance(value, str) or re.fullmatch(r"[0-9a-f]*", value) is None:
            raise self.wrong(key, "lower-case hexadecimal digits")
        if len(value) != 2 * size_bytes:
            raise self.wrong(key, f"{2 * size_bytes} hexadecimal digits")
        return bytes.fromhex(value)

    def base64_list(self, key: str, *, limit: int, limit_bytes: int) -> tuple[bytes, ...]:
        """Return at most `limit` byte strings, each of at most `limit_bytes`, written as padded base64."""
        return tuple(self._base64(key, value, limit_bytes) for value in self._list(key, limit))

    def child(self, key: str, *, limit: int = MAX_NAMES) -> Self:
        """Return the fields of the object that stands in field `key`, at most `limit` of them."""
        child = self._object(self._value(key), key)
        if len(child.names()) > limit:
            raise self.wrong(key, f"an object of at most {limit} names")
        return child

    def children(self, key: str, *, limit: int) -> tuple[Self, ...]:
        """Return the fields of each of at most `limit` objects."""
        return tuple(self._object(value, f"{key}[{n}]") for n, value in enumerate(self._list(key, limit)))

    def _value(self, key: str) -> JsonValue:
        if key not in self._values:
            raise self._error(f"{self._where}: {key}: missing")
        return self._values[key]

    def _list(self, key: str, limit: int) -> list[JsonValue]:
        value = self._value(key)
        if not isinstance(value, list) or len(value) > limit:
            raise self.wrong(key, f"a list of at most {limit}")
        return value

    def _matched(self, key: str, value: JsonValue, pattern: re.Pattern[str]) -> str:
        if not isinstance(value, str) or pattern.fullmatch(value) is None or _SURROGATE.search(value):
            raise self.wrong(key, f"text of the form {pattern.pattern}")
        return value

    def _base64(self, key: str, value: JsonValue, limit_bytes: int) -> bytes:
        try:
            data = base64.b64decode(value if isinstance(value, str) else "-", validate=True)
        except (binascii.Error, ValueError) as problem:
            raise self.wrong(key, "base64") from problem
        # The one spelling only: two texts for the same bytes would be two readings of one signature.
        if base64.b64encode(data).decode() != value or len(data) > limit_bytes:
            raise self.wrong(key, f"base64 of at most {limit_bytes} bytes")
        return data

    def _object(self, value: JsonValue, key: str) -> Self:
        if not isinstance(value, dict):
            raise self.wrong(key, "an object")
        return type(self)(value, where=f"{self._where}: {key}", error=self._error)


def _no_name_twice(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return values


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):  # 1e999: what was read could not be written again
        raise ValueError(f"{text} is too large a number")
    return value


def _no_constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is no JSON")
