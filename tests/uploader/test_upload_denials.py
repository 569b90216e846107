"""Denials: the account is blamed until something else is taken, and then what is denied again."""

import pytest

from callseal.uploader.denials import MAX_ASIDE, MAX_IN_A_ROW, PICKY_S, Denials


@pytest.fixture
def denials() -> Denials:
    return Denials()


def test_the_first_denial_blames_the_account_and_is_set_aside(denials: Denials) -> None:
    blamed = denials.denied("one", 0.0)

    assert not blamed
    assert set(denials.aside) == {"one"}


def test_what_is_denied_again_after_something_else_was_taken_is_to_blame(denials: Denials) -> None:
    denials.denied("one", 0.0)
    denials.taken("other")

    assert not denials.aside
    assert denials.denied("one", 1.0)
    assert denials.denied("another of its kind", 2.0), "the site is known to be choosy now"


def test_an_account_that_was_mended_leaves_no_suspicion(denials: Denials) -> None:
    denials.denied("one", 0.0)
    denials.taken("other")
    denials.taken("one")

    assert not denials.denied("two", 1.0)


def test_a_site_is_not_choosy_for_ever(denials: Denials) -> None:
    denials.denied("one", 0.0)
    denials.taken("other")
    denials.denied("one", 0.0)

    assert not denials.denied("two", PICKY_S)


def test_too_many_in_a_row_are_about_the_account_again(denials: Denials) -> None:
    denials.denied("one", 0.0)
    denials.taken("other")

    blamed = [denials.denied(number or "one", 1.0) for number in range(MAX_IN_A_ROW + 1)]

    assert blamed == [True] * MAX_IN_A_ROW + [False]


def test_days_of_denials_gather_little(denials: Denials) -> None:
    for number in range(10 * MAX_ASIDE):
        denials.denied(number, float(number))

    assert len(denials.aside) == MAX_ASIDE
