"""Which stores a recording is meant for: those that take all, and for what is important the others too."""

import pytest

from callseal.config.settings import Settings
from support.settings_text import LEAST, settings_of

STORES = """
[[store]]
name = "near"
type = "directory"
path = "near"
[[store]]
name = "far"
type = "directory"
path = "far"
takes = "important"
"""


def _settings(rules: str) -> Settings:
    return settings_of(f"{LEAST}{STORES}{rules}")


@pytest.mark.parametrize(
    ("rules", "important"),
    [
        ("", False),
        ("[[important]]\n", True),
        ('[[important]]\nbusiness = "sales"\n', True),
        ('[[important]]\nbusiness = "claims"\n', False),
        ('[[important]]\nbusiness = "claims"\n[[important]]\ndirection = "outbound"\n', True),
        ('[[important]]\nbusiness = "sales"\ndirection = "inbound"\n', False),
        ('[[important]]\nresult = "degraded"\n', False),
        ('[[important]]\nresult = "ok"\n', True),
        ('[[important]]\ntag = "vip"\n', True),
        ('[[important]]\ntag = "group"\n', False),
    ],
)
def test_every_condition_of_a_table_must_fit_and_one_table_is_enough(rules: str, *, important: bool) -> None:
    stores = _settings(rules).stores_for(business="sales", direction="outbound", result="ok", tags={"vip"})

    assert stores == (("near", "far") if important else ("near",))
