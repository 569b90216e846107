"""Whatever a settings file holds, nothing but ConfigError comes out of reading it."""

import contextlib

import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from callseal.config.errors import ConfigError
from callseal.config.keys import known_keys
from callseal.config.load import read_settings
from callseal.config.settings import Settings
from support.settings_text import FILE

_SCALARS = st.one_of(
    st.booleans(),
    st.integers(min_value=-(2**70), max_value=2**70),
    st.floats(),
    st.text(max_size=20),
    st.datetimes(),
    st.dates(),
    st.times(),
    st.sampled_from(["", "1", "sip:a", "sip:[::1]", "127.0.0.1:5060", "builtin:zh", "bridge", "s3"]),
)
_NAMES = st.one_of(
    st.sampled_from(sorted({path[-1] for path in known_keys()})),
    st.sampled_from(["password", "_env_file", "self", "__init__"]),
    st.text(max_size=8),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_NAMES, inner, max_size=6)),
    max_leaves=30,
)


def _read(data: bytes) -> Settings | ConfigError:
    try:
        return read_settings(data, FILE)
    except ConfigError as error:
        return error


@given(st.binary(max_size=200))
def test_bytes_raise_only_the_configuration_error(data: bytes) -> None:
    result = _read(data)

    assert isinstance(result, ConfigError)
    assert result.problems


@given(st.lists(st.sampled_from(list("[]{}=\"'\n.,#ab1:-+_\\u0te ")), max_size=60).map("".join))
def test_text_that_is_nearly_toml_raises_only_the_configuration_error(text: str) -> None:
    result = _read(text.encode())

    assert isinstance(result, ConfigError)
    assert all(line.isprintable() for line in str(result).splitlines())


@given(st.dictionaries(_NAMES, _VALUES, max_size=8))
def test_any_toml_document_raises_only_the_configuration_error(document: dict[str, object]) -> None:
    with contextlib.suppress(UnicodeEncodeError):  # lone surrogates are no UTF-8
        result = _read(tomli_w.dumps(document).encode())

        assert isinstance(result, ConfigError)
        assert all(line.isprintable() for line in str(result).splitlines())


_TEMPLATE: dict[str, object] = {
    "schema": 1,
    "device": {"site": "bj"},
    "source": [{"type": "bridge", "pbx": "sip:pbx.example"}],
}


@given(st.sampled_from([path for path in known_keys() if len(path) > 1]), _VALUES)
def test_any_value_of_any_key_is_taken_or_refused_with_its_place(
    path: tuple[str, ...], value: object
) -> None:
    table: dict[str, object] = {"type": path[1], path[-1]: value} if len(path) > 2 else {path[-1]: value}
    array = known_keys()[path[:1]].is_array
    document = {**_TEMPLATE, path[0]: [table] if array else table}

    with contextlib.suppress(UnicodeEncodeError):
        result = _read(tomli_w.dumps(document).encode())

        if isinstance(result, ConfigError):
            assert all(problem.key for problem in result.problems)
        else:
            assert isinstance(result, Settings)
