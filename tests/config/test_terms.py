"""Retention terms: data with a source, read strictly, and never shorter than the calendar says."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.config.business import BUILTIN
from callseal.config.errors import ConfigError, ConfigFileError, ConfigSyntaxError, ConfigValueError
from callseal.config.terms import (
    MAX_YEAR,
    MIN_YEAR,
    Event,
    Period,
    read_terms,
    read_terms_file,
    shipped_terms,
)

FILE = Path("/etc/callseal/terms.toml")
WORDS = 'label_en = "A"\nlabel_zh = "甲"\nsource_en = "law"\nsource_zh = "法"\n'
DISPUTE = '[dispute]\nyears = 2\nsource_en = "law"\nsource_zh = "法"\n'
LEAST = f'schema = 1\n{DISPUTE}[[class]]\nid = "a"\nfrom = "call"\nyears = 1\n{WORDS}'


def test_the_shipped_terms_are_the_law_as_understood() -> None:
    terms = shipped_terms()

    assert terms.of("sales-short").period == Period(years=5)
    assert terms.of("sales-long").period == Period(years=10)
    assert terms.of("sales-short").event is Event.CONTRACT_END
    assert terms.of("sales-long").event is Event.CONTRACT_END
    assert terms.of("dispute").event is Event.DISPUTE_SETTLED
    assert terms.dispute == Period(years=2)


def test_every_class_of_the_built_in_businesses_has_a_term() -> None:
    assert {business.retention_class for business in BUILTIN.values()} <= set(shipped_terms().classes)


def test_every_term_has_labels_and_a_source_in_both_languages() -> None:
    for item in shipped_terms().classes.values():
        assert all((item.label_en, item.label_zh, item.source_en, item.source_zh)), item.id
        assert item.label_zh != item.label_en
        assert item.source_zh != item.source_en


@pytest.mark.parametrize("name", [None, "", "no-such-class", "Sales"])
def test_a_class_that_is_not_listed_takes_the_longest_term(name: str | None) -> None:
    terms = shipped_terms()

    found = terms.of(name)

    assert found == terms.longest
    assert found.event is not Event.CALL
    assert found.period.most_days == max(item.period.most_days for item in terms.classes.values())


@pytest.mark.parametrize(
    ("period", "day", "over"),
    [
        (Period(years=5), "2026-11-21", "2031-11-22T12:00"),
        (Period(years=10), "2026-12-31", "2037-01-01T12:00"),
        (Period(years=1), "2024-02-29", "2025-03-02T12:00"),
        (Period(years=4), "2024-02-29", "2028-03-01T12:00"),
        (Period(days=30), "2026-11-21", "2026-12-22T12:00"),
        (Period(years=1, days=1), "2026-11-21", "2027-11-23T12:00"),
    ],
)
def test_a_term_is_over_when_its_last_day_has_ended_everywhere(period: Period, day: str, over: str) -> None:
    assert period.after(date.fromisoformat(day)) == datetime.fromisoformat(over).replace(tzinfo=UTC)


@given(st.dates(date(MIN_YEAR, 1, 1), date(MAX_YEAR, 12, 31)), st.integers(1, 100))
def test_no_term_is_shorter_than_its_years(day: date, years: int) -> None:
    over = Period(years=years).after(day)

    assert over.year - day.year >= years
    assert over - datetime(day.year, day.month, day.day, tzinfo=UTC) >= timedelta(days=365 * years + 1)


def test_a_term_behind_the_calendars_end_is_refused() -> None:
    with pytest.raises(ValueError, match="calendar"):
        Period(years=1).after(date.max)
    with pytest.raises(ValueError, match="calendar"):
        Period(days=2).after(date.max)


@pytest.mark.parametrize("values", [{}, {"years": -1}, {"years": 101}, {"days": 40_000}])
def test_a_period_that_is_nothing_or_too_long_is_not_constructed(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="years"):
        Period(**values)


def test_a_file_of_ones_own_has_the_same_form(tmp_path: Path) -> None:
    path = tmp_path / "terms.toml"
    path.write_text(LEAST)

    terms = read_terms_file(path)

    assert list(terms.classes) == ["a"]
    assert terms.longest.period == Period(years=1)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        (LEAST.replace("schema = 1", "schema = 2"), ConfigValueError, "schema"),
        (LEAST.replace('from = "call"', 'from = "moon"'), ConfigValueError, r"class\[1\].from"),
        (LEAST.replace("years = 1\n", 'years = "1"\n'), ConfigValueError, r"class\[1\].years"),
        (LEAST.replace("years = 1\n", "years = 0\n"), ConfigValueError, "a term has years or days"),
        (LEAST.replace("years = 1\n", "years = 1000\n"), ConfigValueError, "at most 100 years"),
        (LEAST.replace('id = "a"', 'id = "A b"'), ConfigValueError, r"class\[1\].id"),
        (
            LEAST.replace('source_en = "law"\nsource_zh = "法"\n[[', "[["),
            ConfigValueError,
            "dispute.source_en",
        ),
        (LEAST + "extra = 1\n", ConfigValueError, r"class\[1\].extra"),
        (f"schema = 1\n{DISPUTE}", ConfigValueError, "class"),
        (LEAST + LEAST[LEAST.index("[[class]]") :], ConfigValueError, "each class stands there once"),
        ("schema = ", ConfigSyntaxError, "not TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(text: str, error: type[ConfigError], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        read_terms(text.encode(), FILE)

    assert str(caught.value).startswith(f"{FILE}: ")


def test_a_file_that_is_missing_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match=r"missing\.toml"):
        read_terms_file(tmp_path / "missing.toml")
    with pytest.raises(ConfigFileError, match="UTF-8"):
        read_terms(b"\xff", FILE)
    with pytest.raises(ConfigFileError, match="larger"):
        read_terms(b"#" * (1024 * 1024), FILE)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_raise_only_a_config_error(data: bytes) -> None:
    with pytest.raises(ConfigError):
        read_terms(data, FILE)
