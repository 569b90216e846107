"""The documented settings file that `init` writes, and the effective settings that are shown."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.config.keys import Key, known_keys
from callseal.config.load import read_settings
from callseal.config.render import effective, render_default, template, to_toml
from callseal.config.settings import Settings
from support.settings_text import FILE, LEAST, problems_of, settings_of

FILLED = render_default(site="bj", pbx="sip:pbx.example:5060")
TYPED = {"source", "store"}
# Examples of what has no default, or of a type of one's own.
EXAMPLES = {"business", "announcement"}


def _everything() -> dict[str, Any]:
    """Read the file with all that is switched off switched on."""
    switched_on = re.sub(r"^#(?=\S)", "", FILLED, flags=re.MULTILINE)
    return tomllib.loads(switched_on)


def _tables(document: dict[str, Any], key: Key) -> list[dict[str, Any]]:
    """Find the tables of the file that can hold a key."""
    *above, _ = key.path
    if not above:
        return [document]
    found = document.get(above[0], [])
    tables = found if isinstance(found, list) else [found]
    return [table for table in tables if above[0] not in TYPED or table["type"] == above[1]]


def test_the_file_that_init_writes_loads() -> None:
    settings = settings_of(FILLED)

    assert settings.device.site == "bj"
    assert str(settings.sources[0].type) == "bridge"
    assert settings.stores[0].name == "primary"


def test_it_says_nothing_else_than_the_defaults() -> None:
    store = '[[store]]\nname = "primary"\ntype = "directory"\npath = "store"\n'

    assert settings_of(FILLED) == settings_of(LEAST + store)


@pytest.mark.parametrize("key", known_keys().values(), ids=lambda key: ".".join(key.path))
def test_every_key_is_documented_there(key: Key) -> None:
    tables = _tables(_everything(), key)

    assert any(key.path[-1] in table for table in tables)


@pytest.mark.parametrize(
    "key",
    [
        key
        for key in known_keys().values()
        if key.default is not None and len(key.path) > 1 and key.path[0] not in EXAMPLES
    ],
    ids=lambda key: ".".join(key.path),
)
def test_every_value_there_is_the_default(key: Key) -> None:
    tables = _tables(_everything(), key)

    assert [table[key.path[-1]] for table in tables] == [key.default] * len(tables)


@pytest.mark.parametrize("key", known_keys().values(), ids=lambda key: ".".join(key.path))
def test_every_key_has_words_for_people(key: Key) -> None:
    assert key.description.endswith(".")
    assert key.allowed


def test_the_examples_that_are_switched_off_are_valid_settings() -> None:
    later = [f"source[{number}].type" for number in (3, 4)]
    text = re.sub(r"^#(?=\S)", "", FILLED, flags=re.MULTILINE)

    problems = problems_of(text)

    assert [line.partition(" =")[0] for line in problems] == later
    assert all("not available in this version yet" in line for line in problems)


def test_the_template_itself_is_toml() -> None:
    assert tomllib.loads(template())["device"]["site"] == "@site@"


def test_no_place_stays_unfilled() -> None:
    assert '"@' not in FILLED


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_whatever_is_filled_in_arrives_as_it_was(text: str) -> None:
    document = tomllib.loads(render_default(site=text, pbx=text, phone=text, store_path=text))

    assert document["device"]["site"] == text
    assert document["source"][0]["pbx"] == text
    assert document["source"][0]["phone"] == text
    assert document["store"][0]["path"] == text


def _same_file(settings: Settings) -> Settings:
    return read_settings(to_toml(settings).encode(), Path("/elsewhere/callseal.toml"))


def test_the_effective_settings_load_as_the_same_settings() -> None:
    settings = settings_of(
        FILLED + '[[rule]]\ncalled = "8*"\nrecord = "never"\n'
        '[[business]]\nid = "renewal"\nlabel_zh = "续保"\nlabel_en = "Renewal"\nretention_class = "sales"\n'
    )

    again = _same_file(settings)

    assert effective(again) == effective(settings)
    assert again.spool == settings.spool
    assert again.sources == settings.sources


def test_the_effective_settings_show_what_a_rule_leaves_open() -> None:
    shown = effective(settings_of(LEAST + "[[rule]]\n"))

    assert shown["rule"] == [
        {
            "direction": "any",
            "called": "*",
            "calling": "*",
            "record": "always",
            "announcements": ["zh", "en"],
            "business": "unclassified",
        }
    ]


def test_the_effective_settings_show_every_key_that_is_not_of_another_type() -> None:
    shown = effective(settings_of(FILLED + "[[rule]]\n[custodian]\n"))

    for key in known_keys().values():
        tables = _tables(shown, key)
        assert all(key.path[-1] in table for table in tables), key.path


def test_paths_are_shown_as_they_take_effect() -> None:
    shown = tomllib.loads(to_toml(settings_of(FILLED)))

    assert shown["device"]["key_file"] == str(FILE.parent / "device.key")
