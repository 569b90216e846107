"""The languages of the command line: English, and Chinese wherever the locale begins with ``zh``.

Conventions: English text is the key, ``locale/zh_CN/LC_MESSAGES/callseal.po`` holds the Chinese; a place to
fill is written ``{name}`` and filled after translation. `install` is called once, at the start, before any
command's module is imported: help texts are translated when their module is. Machine-readable output
(``--json``) and logs are never translated. The errors of the parts below are English; the words around
them are not.

Source: GNU gettext manual, "Locale Environment Variables" (LANGUAGE, LC_ALL, LC_MESSAGES, LANG, in that
order).
"""

import gettext
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

from callseal.seal.reasons import Language

DOMAIN: Final = "callseal"
LOCALE_PATH: Final = Path(__file__).parent / "locale"
CATALOGUE: Final = "zh_CN"


_installed: gettext.NullTranslations = gettext.NullTranslations()
_language: Language = Language.ENGLISH


def language_of(env: MutableMapping[str, str]) -> Language:
    """Return the language that an environment asks for; English where it asks for none that is known."""
    locale = next((env[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if env.get(name)), "")
    # "LANGUAGE is ignored if the locale is set to C."
    wanted = [] if _is_c(locale) and locale else env.get("LANGUAGE", "").split(":")
    for name in (*wanted, locale):
        tag = name.lower()
        if tag.startswith("zh"):
            return Language.CHINESE
        if tag.startswith("en") or (name and _is_c(name)):
            return Language.ENGLISH
    return Language.ENGLISH


def install(env: MutableMapping[str, str]) -> None:
    """Choose the language by the environment, also for typer's own texts, which read LANGUAGE there."""
    global _installed, _language  # noqa: PLW0603 - a process speaks one language, chosen once
    _language = language_of(env)
    if _language is Language.CHINESE:
        _installed = gettext.translation(DOMAIN, LOCALE_PATH, languages=[CATALOGUE])
        env["LANGUAGE"] = CATALOGUE
    else:
        _installed = gettext.NullTranslations()
        env["LANGUAGE"] = "en"
    gettext.bindtextdomain(DOMAIN, LOCALE_PATH)
    gettext.textdomain(DOMAIN)


def language() -> Language:
    """Return the language that was chosen."""
    return _language


def _(message: str) -> str:
    """Return a message in the language that was chosen."""
    return _installed.gettext(message)


def counted(one: str, many: str, number: int) -> str:
    """Return the form of a message that goes with a number, in the language that was chosen."""
    return _installed.ngettext(one, many, number)


def mark(message: str) -> str:
    """Leave a message as it is: it is translated later, by `_`, where it is shown."""
    return message


def _is_c(locale: str) -> bool:
    return locale.partition(".")[0] in {"C", "POSIX"}
