"""Every key that the settings know, with the words that docs and error messages have for it.

The list is read off the models, so neither can tell another story than the check itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from callseal.config.kinds import Allowed
from callseal.config.settings import Settings

__all__ = ["LIST_OF", "Key", "known_keys"]

LIST_OF = "a list, each of it "

_NUMBERS = {float: "a number", int: "a whole number"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key.

    `path` has no positions but, after an array of several types, the type: `("source", "bridge",
    "listen")`. `is_table` and `is_array` are set for what holds other keys. `default` is the value as
    TOML would hold it, None where one must be given.
    """

    path: tuple[str, ...]
    description: str
    allowed: str
    required: bool
    default: object
    is_table: bool = False
    is_array: bool = False


@cache
def known_keys() -> Mapping[tuple[str, ...], Key]:
    """Give every key of the settings by its path, in the order of the models."""
    return MappingProxyType({key.path: key for key in _keys(Settings, ())})


def _keys(model: type[BaseModel], at: tuple[str, ...]) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        path = (*at, field.alias or name)
        yield _key(model, name, field, path)
        yield from _inner(field.annotation, path)


def _inner(annotation: object, path: tuple[str, ...]) -> Iterator[Key]:
    """Walk what a key holds: a table, tables of one type, or tables of several types."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _keys(annotation, path)
    elif get_origin(annotation) in (Union, UnionType):
        for variant in get_args(annotation):
            yield from _inner(variant, path)
    elif get_origin(annotation) is tuple:
        element = get_args(annotation)[0]
        if get_origin(element) is Annotated:
            for variant in get_args(get_args(element)[0]):
                if isinstance(variant, type) and issubclass(variant, BaseModel):
                    tag = get_args(variant.model_fields["type"].annotation)[0]
                    yield from _keys(variant, (*path, tag))
        else:
            yield from _inner(element, path)


def _key(model: type[BaseModel], name: str, field: FieldInfo, path: tuple[str, ...]) -> Key:
    holds_keys = next(_inner(field.annotation, path), None) is not None
    is_array = holds_keys and get_origin(field.annotation) is tuple
    return Key(
        path=path,
        description=field.description or "",
        allowed=_allowed(field, path, holds_keys=holds_keys, is_array=is_array),
        required=field.is_required(),
        default=None if holds_keys else _default(model, name, field),
        is_table=holds_keys and not is_array,
        is_array=is_array,
    )


def _default(model: type[BaseModel], name: str, field: FieldInfo) -> object:
    value = field.get_default(call_default_factory=False)
    if value is PydanticUndefined:
        return None
    return model.model_construct(**{name: value}).model_dump(mode="json", include={name})[name]


def _allowed(field: FieldInfo, path: tuple[str, ...], *, holds_keys: bool, is_array: bool) -> str:
    if holds_keys:
        name = ".".join(path)
        return f"tables, each under [[{name}]]" if is_array else f"a table, under [{name}]"
    for one in field.metadata:
        if isinstance(one, Allowed):
            return one.words
    return _words(field.annotation, field.metadata)


def _words(annotation: Any, metadata: list[Any]) -> str:
    """Say what a plain type takes; raises TypeError for a type that settings do not use."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    words: str | None = None
    if origin is Literal:
        words = " or ".join(_quoted(value) for value in arguments)
    elif origin is Annotated:
        inner, *more = arguments
        words = next((one.words for one in more if isinstance(one, Allowed)), None) or _words(inner, more)
    elif origin is tuple:
        words = LIST_OF + _words(arguments[0], [])
    elif origin in (Union, UnionType):
        words = _words(next(one for one in arguments if one is not NoneType), metadata)
    elif annotation is bool:
        words = "true or false"
    elif annotation in _NUMBERS:
        words = _NUMBERS[annotation] + _range(annotation, metadata)
    if words is None:
        raise TypeError(f"no words for {annotation}")
    return words


def _range(annotation: object, metadata: list[Any]) -> str:
    low = next((one.ge for one in metadata if hasattr(one, "ge")), None)
    high = next((one.le for one in metadata if hasattr(one, "le")), None)
    if low is None or high is None:
        return ""
    # 1,000,000 as "1e+06" would help nobody.
    form = "g" if annotation is float else "d"
    return f" from {low:{form}} to {high:{form}}"


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
