"""Recordings of one conversation find one another, those of different ones do not."""

from collections.abc import Mapping

import pytest

from callseal.agent.siprec.grouping import conversation_keys
from support import siprec_bodies
from support.siprec_bodies import complete
from support.siprec_roles import conversation, headers

GROUP = "58cc3154ca0bdd2b0efbf9a04139526e"
CONSULTATION = "5ed05251-7abca882-e05368bf@10.1.0.12"


def keys(body: bytes | None = None, fields: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Give the keys of a session with this document and these headers."""
    return conversation_keys(conversation(*([body] if body else [])), headers(**(fields or {})))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            siprec_bodies.CUBE,
            ("session:a1b2c3d4e5f60718293a4b5c6d7e8f90", "session:0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
        ),
        (siprec_bodies.ORACLE, ("ucid:00025000160955721139", "call:3848276298220188511@10.1.0.9")),
        (
            siprec_bodies.SONUS,
            ("group:c29udXMtZ3JvdXAtMDAwMQ==", "call:5d07c1b2-0a4c-1235-aa11-52540000beef"),
        ),
        (
            siprec_bodies.BROADWORKS,
            ("group:urn:uuid:22222222-3333-4444-8555-666666666666", "tracking:142208:1"),
        ),
        (
            siprec_bodies.AUDIOCODES,
            ("group:00000000-0000-0005-8e4b-00908fa1b2c3", "ucid:00025000160955721139"),
        ),
        (siprec_bodies.CALL_ID_AS_SESSION, ("session:2d8abbf0769c66e15bb349f509693d60@10.1.0.9",)),
        (siprec_bodies.EMPTY_IDS, ()),
    ],
)
def test_each_gateway_gives_a_conversation_what_it_can_be_known_by(
    body: bytes, expected: tuple[str, ...]
) -> None:
    assert keys(body) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"user_to_user": "00FA080019001038F725B3;encoding=hex"}, ("ucid:00025000160955721139",)),
        ({"x_ucid": "00025000160955721139"}, ("ucid:00025000160955721139",)),
        (
            {"cisco_guid": "2432917800-1464078823-2314850559-1455670872"},
            ("guid:91036128574411e789f9d0ff56c3c658",),
        ),
        ({"call_id": "1234567890abcdef@10.1.0.9"}, ()),
    ],
)
def test_identifiers_in_headers_count_as_well(fields: dict[str, str], expected: tuple[str, ...]) -> None:
    assert keys(fields=fields) == expected


@pytest.mark.parametrize("group", ["", "1", "group", "000000000000", "default"])
def test_an_identifier_that_could_come_again_joins_nothing(group: str) -> None:
    assert keys(complete(f'<group group_id="{group}"/>')) == ()


def test_a_transfer_in_a_session_of_its_own_is_known_by_the_call_and_by_the_consultation() -> None:
    call = siprec_bodies.netsapiens(agent="8001", group=GROUP, sequence=0)
    consultation = siprec_bodies.netsapiens(agent="8002", group=CONSULTATION, sequence=0)
    after = siprec_bodies.netsapiens(agent="8002", group=GROUP, sequence=1, transferred_group=CONSULTATION)

    assert not set(keys(call)) & set(keys(consultation))
    assert set(keys(after)) & set(keys(call))
    assert set(keys(after)) & set(keys(consultation))
