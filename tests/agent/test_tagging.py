"""The rules decide about each call, and what no rule mentions is recorded."""

import pytest

from callseal.agent.call import Direction
from callseal.agent.numbering import Numbering
from callseal.agent.tagging import EMERGENCY, RULE_NEVER, Decision, Tagging
from support.settings_text import LEAST, settings_of

MOBILE = "+8613800138000"


def _tagging(rules: str) -> Tagging:
    settings = settings_of(LEAST + rules)
    numbering = Numbering(
        region=settings.numbers.region,
        outside_prefix=settings.numbers.outside_prefix,
        emergency=settings.numbers.emergency,
    )
    return Tagging.of(settings, numbering)


def test_a_call_that_no_rule_mentions_is_recorded_with_every_announcement() -> None:
    decision = _tagging("").decide(direction="inbound", called="8001", calling=MOBILE)

    assert decision == Decision(
        rule_index=None,
        record="always",
        announcements=("zh", "en"),
        business="unclassified",
        retention_class="unclassified",
    )


def test_the_first_rule_that_matches_counts() -> None:
    tagging = _tagging(
        '[[rule]]\ndirection = "inbound"\nbusiness = "service"\n'
        '[[rule]]\ncalled = "+861*"\nbusiness = "sales"\nannouncements = ["en"]\n'
        '[[rule]]\nbusiness = "claims"\n'
    )

    decision = tagging.decide(direction="outbound", called=MOBILE, calling="8001")

    assert decision == Decision(
        rule_index=1, record="always", announcements=("en",), business="sales", retention_class="sales"
    )


@pytest.mark.parametrize(
    ("rule", "direction", "called", "calling", "fits"),
    [
        ('direction = "outbound"', "outbound", MOBILE, "8001", True),
        ('direction = "outbound"', "inbound", "8001", MOBILE, False),
        ('direction = "any"', "inbound", "8001", MOBILE, True),
        ('calling = "8???"', "outbound", MOBILE, "8001", True),
        ('calling = "8???"', "outbound", MOBILE, "7001", False),
        ('called = "8*"\ncalling = "8*"', "outbound", "8002", "8001", True),
        ('called = "8*"\ncalling = "8*"', "outbound", "8002", MOBILE, False),
        ('calling = "+86*"', "inbound", "8001", "", False),
        ("", "inbound", "8001", "", True),
    ],
)
def test_a_rule_matches_only_when_all_that_it_names_fits(
    rule: str, direction: Direction, called: str, calling: str, *, fits: bool
) -> None:
    tagging = _tagging(f'[[rule]]\n{rule}\nbusiness = "claims"\n')

    decision = tagging.decide(direction=direction, called=called, calling=calling)

    assert (decision.business == "claims") is fits
    assert (decision.rule_index == 0) is fits


def test_a_private_line_is_neither_recorded_nor_announced() -> None:
    tagging = _tagging('[[rule]]\ncalled = "8*"\nrecord = "never"\nannouncements = ["zh"]\n')

    decision = tagging.decide(direction="outbound", called="8002", calling="8001")

    assert (decision.record, decision.announcements, decision.reason) == ("never", (), RULE_NEVER)
    assert decision.rule_index == 0


def test_a_call_for_help_wins_over_every_rule() -> None:
    tagging = _tagging('[[rule]]\ncalled = "*"\nrecord = "always"\nbusiness = "sales"\n')

    decision = tagging.decide(direction="outbound", called="110", calling="8001")

    assert decision == Decision(
        rule_index=None,
        record="never",
        announcements=(),
        business="unclassified",
        retention_class="unclassified",
        reason=EMERGENCY,
    )


def test_a_call_that_reaches_an_extension_120_is_no_call_for_help() -> None:
    decision = _tagging("").decide(direction="inbound", called="120", calling=MOBILE)

    assert decision.record == "always"


def test_an_empty_list_announces_nothing_where_the_key_left_out_announces_all() -> None:
    silent = _tagging("[[rule]]\nannouncements = []\n")
    default = _tagging("[[rule]]\n")

    assert silent.decide(direction="inbound", called="1", calling="2").announcements == ()
    assert default.decide(direction="inbound", called="1", calling="2").announcements == ("zh", "en")


def test_announcements_keep_the_order_that_the_rule_gives_them() -> None:
    tagging = _tagging('[[rule]]\nannouncements = ["en", "zh"]\n')

    assert tagging.decide(direction="inbound", called="1", calling="2").announcements == ("en", "zh")


def test_the_retention_class_follows_the_business_type_of_the_settings() -> None:
    tagging = _tagging(
        '[[rule]]\nbusiness = "sales"\n[[business]]\nid = "sales"\nretention_class = "sales-long"\n'
    )

    decision = tagging.decide(direction="outbound", called=MOBILE, calling="8001")

    assert decision.retention_class == "sales-long"
