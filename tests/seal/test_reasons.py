"""Reasons: every code has words in both languages, and codes are what a manifest can carry."""

import re

import pytest

from callseal.seal.reasons import REASONS, Language, words

# Codes that recordings carry already. One may be added, none may go or be spelt anew.
KEPT = (
    "rule-never",
    "emergency",
    "refused",
    "caller-not-allowed",
    "spool-full",
    "over-capacity",
    "bridge-down",
    "unanswered-busy",
    "unanswered-cancelled",
    "unanswered-rejected",
    "unanswered-unreachable",
    "unanswered-timeout",
    "disclosure-failed",
    "disclosure-incomplete",
    "disclosure-missing",
    "too-quiet-agent",
    "too-quiet-customer",
    "clipped-agent",
    "clipped-customer",
    "silent-agent",
    "silent-customer",
    "noisy-agent",
    "noisy-customer",
    "media-lost",
    "no-media",
    "write-failed",
    "bridge-died",
    "agent-died",
)


@pytest.mark.parametrize("code", KEPT)
def test_no_code_is_ever_lost(code: str) -> None:
    assert REASONS[code].code == code


@pytest.mark.parametrize("code", REASONS)
def test_every_reason_is_a_sentence_in_english_and_in_chinese(code: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)
    assert re.fullmatch(r"[A-Z][\x20-\x7e]+\.", words(code, Language.ENGLISH))
    assert re.fullmatch(r"[\u3000-\uffef]+。", words(code, Language.CHINESE))


def test_no_two_reasons_read_the_same() -> None:
    for language in Language:
        assert len({reason.words(language) for reason in REASONS.values()}) == len(REASONS)


def test_a_reason_from_a_later_version_is_shown_by_its_code() -> None:
    assert words("moon-phase", Language.CHINESE) == "moon-phase"
