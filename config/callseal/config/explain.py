"""From what pydantic found to problems that a person can act on.

pydantic names a place by a path with positions from 0 and, for a table of several types, its type;
a person reads `source[1].listen`.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from pydantic_core import ErrorDetails

from callseal.config.errors import Problem
from callseal.config.keys import LIST_OF, Key, known_keys
from callseal.config.masking import is_secret_key, quoted_key, shown
from callseal.config.settings import CROSS_CHECK

__all__ = ["explained", "secret_keys", "unknown_key"]

MAX_DEPTH = 16  # of tables within tables; the settings themselves need 2
_NO_SECRETS = (
    "a secret has no place in this file: leave it to boto3's credentials chain "
    "or to a systemd credential, and change it, for it was written down"
)
_TYPED_ARRAYS = frozenset({"source", "store"})


def explained(file: str, errors: list[ErrorDetails]) -> Iterator[Problem]:
    """Turn pydantic's errors into problems; what the cross checks and secret keys say is left out."""
    for error in errors:
        place = error["loc"]
        if error["type"] == CROSS_CHECK or any(
            isinstance(part, str) and is_secret_key(part) for part in place
        ):
            continue
        # pydantic counts valid elements only: a list of one wrong element is reported for the element.
        if error["type"] == "too_short" and error["input"]:
            continue
        yield _problem(file, error)


def _problem(file: str, error: ErrorDetails) -> Problem:
    place = error["loc"]
    kind = error["type"]
    name = str(place[-1]) if place else ""
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        tag = error["input"].get("type") if isinstance(error["input"], Mapping) else None
        return Problem(
            file=file,
            key=f"{_written(place)}.type",
            value=None if tag is None else shown("type", tag),
            allowed=("missing: " if tag is None else "") + f"must be {_types(str(place[0]))}",
        )
    if kind == "extra_forbidden":
        return unknown_key(file, place)
    key = known_keys().get(_path(place))
    if kind == "missing":
        allowed = f"missing: must be {key.allowed}. {key.description}" if key else "missing"
        return Problem(file=file, key=_written(place), value=None, allowed=allowed)
    return Problem(
        file=file, key=_written(place), value=shown(name, error["input"]), allowed=_words(error, key)
    )


def _words(error: ErrorDetails, key: Key | None) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] in {"too_long", "too_short"}:
        limit = error["ctx"].get("max_length", error["ctx"].get("min_length"))
        return f"must hold {'at most' if error['type'] == 'too_long' else 'at least'} {limit}"
    if key is None:
        return error["msg"]
    in_list = bool(error["loc"]) and isinstance(error["loc"][-1], int)
    return f"must be {key.allowed.removeprefix(LIST_OF) if in_list else key.allowed}"


def unknown_key(file: str, place: tuple[int | str, ...]) -> Problem:
    """Report a key that no table of this kind has, with the nearest one that it has."""
    above = _path(place[:-1])
    siblings = [path[-1] for path in known_keys() if path[:-1] == above and path != (*above, "type")]
    near = get_close_matches(str(place[-1]), siblings, n=1)
    hint = f'; did you mean "{near[0]}"?' if near else f"; known here: {', '.join(siblings) or 'type'}"
    return Problem(file=file, key=_written(place), value=None, allowed=f"unknown key{hint}")


def secret_keys(file: str, document: Mapping[str, object]) -> Iterator[Problem]:
    """Report every key, however deep, whose name promises a secret."""
    waiting: list[tuple[tuple[int | str, ...], object]] = [((), document)]
    while waiting:
        place, value = waiting.pop(0)
        inner: list[tuple[int | str, object]] = []
        if isinstance(value, Mapping):
            inner = list(value.items())
        elif isinstance(value, list):
            inner = list(enumerate(value))
        for name, entry in inner:
            if isinstance(name, str) and is_secret_key(name):
                key = _written((*place, name), typed=False)
                yield Problem(file=file, key=key, value=shown(name, entry), allowed=_NO_SECRETS)
            elif len(place) < MAX_DEPTH:
                waiting.append(((*place, name), entry))


def _types(array: str) -> str:
    tags = [path[1] for path in known_keys() if path[0] == array and path[2:] == ("type",)]
    return " or ".join(f'"{tag}"' for tag in tags)


def _path(place: tuple[int | str, ...]) -> tuple[str, ...]:
    """Give the path under which `known_keys` has the key at a place."""
    return tuple(part for part in place if isinstance(part, str))


def _written(place: tuple[int | str, ...], *, typed: bool = True) -> str:
    """Write a place as people read it; `typed` says that the type stands after a position."""
    parts: list[str] = []
    for position, part in enumerate(place):
        is_type = typed and position == 2 and place[0] in _TYPED_ARRAYS  # noqa: PLR2004 - after the index
        if isinstance(part, int):
            parts[-1:] = [f"{parts[-1] if parts else ''}[{part + 1}]"]
        elif not is_type:
            parts.append(quoted_key(part))
    return ".".join(parts)
