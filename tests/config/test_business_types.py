"""Business types: the built-in ones and what settings make of them."""

import dataclasses

from callseal.config.business import BUILTIN, UNCLASSIFIED
from support.settings_text import LEAST, settings_of


def test_the_businesses_of_an_insurer_are_built_in_with_labels_in_both_languages() -> None:
    assert list(BUILTIN) == [
        "sales",
        "underwriting",
        "claims",
        "service",
        "query",
        "follow-up",
        "complaint",
        UNCLASSIFIED,
    ]
    assert BUILTIN["claims"].label_zh == "理赔"
    assert all(all(dataclasses.astuple(business)) for business in BUILTIN.values())


def test_settings_change_a_built_in_type_by_its_id_and_keep_the_rest() -> None:
    settings = settings_of(LEAST + '[[business]]\nid = "sales"\nretention_class = "sales-long"\n')

    sales = settings.business_types()["sales"]

    assert sales.retention_class == "sales-long"
    assert sales.label_zh == BUILTIN["sales"].label_zh
    assert settings.business_types()["claims"] == BUILTIN["claims"]


def test_settings_add_a_type_that_rules_can_name() -> None:
    settings = settings_of(
        LEAST + '[[business]]\nid = "renewal"\nlabel_zh = "续保"\nlabel_en = "Renewal"\n'
        'retention_class = "sales"\n[[rule]]\nbusiness = "renewal"\n'
    )

    assert settings.business_types()["renewal"].label_en == "Renewal"
    assert settings.rules[0].business == "renewal"


def test_changes_of_one_device_do_not_reach_the_built_in_types() -> None:
    before = dict(BUILTIN)

    settings_of(LEAST + '[[business]]\nid = "sales"\nlabel_en = "Selling"\n').business_types()

    assert dict(BUILTIN) == before
