"""The schedule of an endpoint: everything comes when it is due, and nothing that changed is left behind."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.sip.schedule import Schedule


def drain(schedule: Schedule[int], now_s: float) -> list[int]:
    taken = []
    while (item := schedule.take_due(now_s)) is not None:
        taken.append(item)
    return taken


def test_nothing_is_due_of_an_empty_schedule() -> None:
    schedule: Schedule[int] = Schedule()

    assert schedule.due_s() is None
    assert schedule.take_due(1e9) is None


def test_what_is_due_comes_in_order_and_once() -> None:
    schedule: Schedule[int] = Schedule()
    for item, due_s in ((1, 3.0), (2, 1.0), (3, 2.0), (4, 9.0)):
        schedule.set(item, due_s)

    assert drain(schedule, 3.0) == [2, 3, 1]
    assert drain(schedule, 3.0) == []
    assert schedule.due_s() == 9.0


def test_a_changed_time_replaces_the_one_before() -> None:
    schedule: Schedule[int] = Schedule()
    schedule.set(1, 1.0)
    schedule.set(2, 9.0)

    schedule.set(1, 5.0)
    schedule.set(2, 4.0)

    assert schedule.due_s() == 4.0
    assert drain(schedule, 5.0) == [2, 1]


def test_what_is_dropped_does_not_come() -> None:
    schedule: Schedule[int] = Schedule()
    schedule.set(1, 1.0)

    schedule.drop(1)
    schedule.drop(7)

    assert schedule.due_s() is None
    assert len(schedule) == 0


def test_changing_times_all_the_time_costs_no_memory() -> None:
    schedule: Schedule[int] = Schedule()
    tracemalloc.start()

    for change in range(20_000):
        schedule.set(change % 3, 1000.0 + change)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < 100_000
    assert schedule.due_s() == 20_997.0
    assert len(schedule) == 3


@given(
    st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), st.floats(0, 100))), max_size=300),
    st.floats(0, 100),
)
def test_however_times_change_what_is_due_is_what_was_said_last(
    changes: list[tuple[int, float | None]], now_s: float
) -> None:
    schedule: Schedule[int] = Schedule()
    wanted: dict[int, float] = {}
    for item, due_s in changes:
        if due_s is None:
            schedule.drop(item)
            wanted.pop(item, None)
        else:
            schedule.set(item, due_s)
            wanted[item] = due_s

    assert schedule.due_s() == min(wanted.values(), default=None)
    due = drain(schedule, now_s)

    assert sorted(due) == sorted(item for item, due_s in wanted.items() if due_s <= now_s)
    assert [wanted[item] for item in due] == sorted(wanted[item] for item in due)
    assert len(schedule) == len(wanted) - len(due)
