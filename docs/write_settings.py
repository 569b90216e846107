"""Writes `docs/settings.md` from the settings' own models, so that the page can't tell another story.

Run as ``python docs/write_settings.py``: the page beside this script is replaced. With ``-`` it goes to
standard output.
"""
# ruff: noqa: INP001 - a script beside the page that it writes, part of no package

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from callseal.config.business import BUILTIN
from callseal.config.keys import Key, known_keys
from callseal.config.settings import IMPLEMENTED_SOURCES, IMPLEMENTED_STORES

PAGE: Final = Path(__file__).with_name("settings.md")

HEAD: Final = """\
# Settings

Made by `docs/write_settings.py` from the program's own words: change them there, then run it again.

One TOML file. It is looked for in this order: `--config FILE`, `$CALLSEAL_CONFIG`,
`$XDG_CONFIG_HOME/callseal/callseal.toml` (by default `~/.config/callseal/callseal.toml`),
`/etc/callseal/callseal.toml`. What is named must exist; the others are passed over. Relative paths start at
the file's own folder. Nothing else changes a key, no environment variable either. `callseal init` writes a
file in which every key is explained in Chinese and English, `callseal config check` names every mistake at
once, `callseal config show` prints what takes effect.

No password and no private key stands in it, ever: a key whose name promises one is refused.

**Narrower than their words:** `when_down` is about a running agent whose bridge can't take a call; while the
agent itself does not run there are no calls through it ([what then](on-your-desk.md#when-it-fails)).
`on_failure` is about an announcement whose player does not open; one that is broken off, by a hang-up for
instance, is noted in the recording and ends nothing.
"""

BUSINESS: Final = """\
## Business types that are there from the start

`[[business]]` changes one by its `id`, or adds others. The retention class is a name in the manifest; its
term in years is decided where recordings are kept.

| id | 中文 | English | retention class |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Give the page's text."""
    rows = (
        f"| `{one.id}` | {one.label_zh} | {one.label_en} | `{one.retention_class}` |\n"
        for one in BUILTIN.values()
    )
    return "\n".join([HEAD, *_sections(), BUSINESS + "".join(rows)])


def _sections() -> Iterator[str]:
    keys = known_keys().values()
    single = [key for key in keys if len(key.path) == 1 and not key.is_table and not key.is_array]
    yield _section("Before all tables", [], single)
    for table in (key for key in keys if key.is_table or key.is_array):
        (name,) = table.path
        inside = [key for key in keys if key.path[0] == name and len(key.path) > 1]
        title = f"`[[{name}]]`" if table.is_array else f"`[{name}]`"
        kinds = dict.fromkeys(key.path[1] for key in inside if key.path[2:])
        if not kinds:
            yield _section(title, [table.description], inside)
            continue
        now = [kind for kind in kinds if kind in IMPLEMENTED_SOURCES | IMPLEMENTED_STORES]
        later = ", ".join(f'`"{kind}"`' for kind in kinds if kind not in now)
        words = [table.description]
        if later:
            words.append(f"Of a later version, and refused for now: {later}.")
        for kind in now:
            of_kind = [key for key in inside if key.path[1] == kind]
            yield _section(f'{title}, `type = "{kind}"`', words, of_kind)


def _section(title: str, words: list[str], keys: list[Key]) -> str:
    lines = [f"## {title}", "", *([" ".join(words), ""] if words else [])]
    lines += ["| key | what it says | allowed | left out |", "| --- | --- | --- | --- |"]
    for key in keys:
        cells = (f"`{key.path[-1]}`", _cell(key.description), _cell(key.allowed), _default(key))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _default(key: Key) -> str:
    if key.required:
        return "must be given"
    # Texts, numbers, truth values and lists of them are written alike in JSON and TOML.
    return "as described" if key.default is None else f"`{json.dumps(key.default, ensure_ascii=False)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


if __name__ == "__main__":
    if sys.argv[1:] == ["-"]:
        sys.stdout.buffer.write(page().encode())
    else:
        PAGE.write_text(page(), encoding="utf-8")
