"""Telephone numbers as people dial them: to E.164, and whether one calls for help.

Conventions: a *user part* is what stands before the `@` of a SIP URI. A number that can be placed in a
numbering plan becomes E.164 with its plus ("+8613800138000"); extensions and short service numbers,
which have no E.164 form, stay as they are. Sources: RFC 3261 section 19.1.1 (user part), RFC 3966
(separators), ITU-T E.164, and the numbering plans of libphonenumber.

Emergency calls are recognised generously, because a call for help that is held up by an announcement
does harm and an unrecorded call does little. What is never taken for one is an ordinary number that
merely begins with the digits of an emergency number.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from re import compile as compile_pattern
from urllib.parse import unquote

import phonenumbers

__all__ = ["MAX_NUMBER_CHARS", "Numbering", "matches"]

# E.164 allows 15 digits; more than that, with prefixes and separators, is no number.
MAX_NUMBER_CHARS = 64

# A gateway's call asks for the same few numbers again and again, and each reading of a plan takes 0.1 ms.
MAX_REMEMBERED = 4096

# Area code and emergency number: "010110" asks for the police of Beijing from anywhere in China. No
# subscriber's number has three digits after its area code.
_REMOTE_EMERGENCY = {"CN": compile_pattern(r"0(?:10|2[0-9]|[3-9][0-9]{2})(1[0-9]{2})")}
_INTERNATIONAL_PREFIX = "00"  # ITU-T E.164 recommends it; others are the numbering plan's affair


def matches(glob: str, number: str) -> bool:
    """Say whether a number, as `normalise` gives it, fits a rule's glob. The letter's case counts."""
    return fnmatchcase(number, glob)


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbering:
    """How numbers are dialled at one place.

    `region` is the ISO 3166 code whose plan national numbers follow, `outside_prefix` what is dialled
    first for an outside line (or ""), `emergency` the numbers that call for help; those that the
    region's numbering plan knows count as well.
    """

    region: str
    outside_prefix: str
    emergency: tuple[str, ...]

    def normalise(self, user_part: str) -> str:
        """Give the E.164 form of a user part, its digits where it has none, or a name unchanged."""
        text = _plain(user_part)
        if not _is_dialled(text) or "*" in text or "#" in text:  # a feature code is no number either
            return user_part
        digits = _digits(text)
        if text.startswith("+"):
            return f"+{digits}"
        return self._e164(digits.removeprefix(self.outside_prefix)) or self._e164(digits) or digits

    def is_emergency(self, user_part: str) -> bool:
        """Say whether dialling this calls for help: dialled plainly, for outside, or with the country."""
        text = _plain(user_part)
        if not _is_dialled(text):
            return False
        return any(self._calls_for_help(digits) for digits in self._readings(_digits(text)))

    def _readings(self, digits: str) -> Iterator[str]:
        """Walk what the digits may mean: as they are, for an outside line, with the country code."""
        country = str(phonenumbers.country_code_for_region(self.region))
        for number in {digits, digits.removeprefix(self.outside_prefix)}:
            yield number
            yield number.removeprefix(country)
            yield number.removeprefix(_INTERNATIONAL_PREFIX).removeprefix(country)

    def _calls_for_help(self, digits: str) -> bool:
        if digits in self.emergency or _is_emergency(digits, self.region):
            return True
        remote = _REMOTE_EMERGENCY.get(self.region)
        found = remote.fullmatch(digits) if remote else None
        return found is not None and found[1] in self.emergency

    def _e164(self, digits: str) -> str | None:
        return _e164(digits, self.region)


@lru_cache(MAX_REMEMBERED)
def _e164(digits: str, region: str) -> str | None:
    """Give the E.164 form by a region's numbering plan, None for what has none there."""
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@lru_cache(MAX_REMEMBERED)
def _is_emergency(digits: str, region: str) -> bool:
    return phonenumbers.is_emergency_number(digits, region)


def _plain(user_part: str) -> str:
    """Give a user part without escapes, parameters, blanks and wide forms."""
    text = unicodedata.normalize("NFKC", unquote(user_part, errors="replace")).partition(";")[0]
    return "".join(char for char in text if char.isprintable() and not char.isspace())


def _is_dialled(text: str) -> bool:
    """Say whether a text is a number: it has digits, no letters, and no more than a number can have."""
    if len(text) > MAX_NUMBER_CHARS:
        return False
    return any(char.isdecimal() for char in text) and not any(char.isalpha() for char in text)


def _digits(text: str) -> str:
    return "".join(str(unicodedata.decimal(char)) for char in text if char.isdecimal())
