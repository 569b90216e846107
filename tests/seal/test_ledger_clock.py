"""A wall clock that is set shows, and nothing else passes for it."""

from datetime import datetime, timedelta

import pytest

from callseal.seal.ledger import Clocks, stepped_ms, system_clocks
from support.ledgers import BEGAN, BOOT

BEFORE = Clocks(at=BEGAN, boot=BOOT, uptime_ms=5_000_000)


def later(*, wall_s: float, uptime_s: float, boot: str = BOOT) -> Clocks:
    """Return what the clocks show so much later."""
    return Clocks(
        at=BEGAN + timedelta(seconds=wall_s), boot=boot, uptime_ms=5_000_000 + round(uptime_s * 1000)
    )


@pytest.mark.parametrize(
    ("wall_s", "uptime_s", "step_ms"),
    [
        (60, 60, 0),
        (60.999, 60, 0),
        (61, 60, 1000),
        (59.001, 60, 0),
        (59, 60, -1000),
        (3660, 60, 3_600_000),
        (-3600, 60, -3_660_000),
        (8 * 3600, 8 * 3600, 0),
    ],
)
def test_a_step_is_what_the_wall_clock_went_and_the_uptime_did_not(
    wall_s: float, uptime_s: float, step_ms: int
) -> None:
    assert stepped_ms(BEFORE, later(wall_s=wall_s, uptime_s=uptime_s)) == step_ms


def test_nothing_can_be_said_at_the_first_reading_or_after_a_new_start() -> None:
    assert stepped_ms(None, BEFORE) == 0
    assert stepped_ms(BEFORE, later(wall_s=-7200, uptime_s=0, boot="f" * 16)) == 0


def test_this_machines_clocks_go_the_same_way() -> None:
    first = system_clocks()
    second = system_clocks()

    assert stepped_ms(first, second) == 0
    assert first.boot == second.boot
    assert second.uptime_ms >= first.uptime_ms > 0
    assert second.at.microsecond % 1000 == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"at": datetime(2026, 11, 21)},  # noqa: DTZ001 - the time without a zone is what is refused
        {"boot": "BOOT"},
        {"uptime_ms": -1},
    ],
)
def test_clocks_that_none_could_show_are_refused(wrong: dict[str, object]) -> None:
    values: dict[str, object] = {"at": BEGAN, "boot": BOOT, "uptime_ms": 1}

    with pytest.raises(ValueError, match=r"at|boot|uptime"):
        Clocks(**values | wrong)  # type: ignore[arg-type]
