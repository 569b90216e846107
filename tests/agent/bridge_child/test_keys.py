"""When a key is told."""

from callseal.agent.sources.bridge.keys import SILENT_S, Keys


class Told:
    def __init__(self) -> None:
        self.of: list[tuple[str, int]] = []
        self.keys = Keys(lambda side, _at_s, duration_ms: self.of.append((side, duration_ms)))


def test_a_key_is_told_once_when_it_is_let_go() -> None:
    told = Told()
    told.keys.heard("agent", 20, first=True, last=False, now_s=0.0)
    told.keys.heard("agent", 60, first=False, last=False, now_s=0.04)
    assert told.of == []
    told.keys.heard("agent", 100, first=False, last=True, now_s=0.08)
    told.keys.heard("agent", 100, first=False, last=True, now_s=0.08)
    told.keys.turn(9.0)

    assert told.of == [("agent", 100)]


def test_a_key_that_comes_whole_is_told_at_once() -> None:
    told = Told()
    told.keys.heard("customer", 160, first=True, last=True, now_s=0.0)

    assert told.of == [("customer", 160)]


def test_the_next_key_ends_the_one_before() -> None:
    told = Told()
    told.keys.heard("agent", 60, first=True, last=False, now_s=0.0)
    told.keys.heard("agent", 20, first=True, last=False, now_s=0.1)
    assert told.of == [("agent", 60)]
    told.keys.close()

    assert told.of == [("agent", 60), ("agent", 20)]


def test_a_key_that_fell_silent_is_told() -> None:
    told = Told()
    told.keys.heard("agent", 60, first=True, last=False, now_s=0.0)
    told.keys.heard("customer", 20, first=True, last=False, now_s=SILENT_S)
    told.keys.turn(SILENT_S + 0.1)

    assert told.of == [("agent", 60)]


def test_both_sides_may_press_at_once() -> None:
    told = Told()
    told.keys.heard("agent", 40, first=True, last=False, now_s=0.0)
    told.keys.heard("customer", 80, first=True, last=True, now_s=0.0)
    told.keys.heard("agent", 90, first=False, last=True, now_s=0.0)

    assert told.of == [("customer", 80), ("agent", 90)]
