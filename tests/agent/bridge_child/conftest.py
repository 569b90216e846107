"""One child for the tests that leave it whole."""

from collections.abc import Iterator

import pytest

from support.child_room import Room, room


@pytest.fixture(scope="module")
def standing() -> Iterator[Room]:
    with room() as made:
        yield made


@pytest.fixture
def at(standing: Room) -> Iterator[Room]:
    yield standing
    standing.forget()
