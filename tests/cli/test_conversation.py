"""What a device wrote into a recording's metadata is shown as far as it makes sense, and breaks nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.cli.conversation import Conversation, Told
from callseal.cli.search import Search, Wish
from callseal.seal.fields import MAX_INTEGER, JsonObject, JsonValue

NAMES = [
    *("parties", "tel", "sip", "name", "attributes", "earlier", "conversation", "conversations", "links"),
    *("relation", "id", "is_mixed", "streams", "channel", "codec", "packets", "lost", "channels"),
    *("level_dbov", "peak_dbov", "clipped_ratio", "side"),
]
values: st.SearchStrategy[JsonValue] = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, 1, -1, MAX_INTEGER, 10**400, 1.7e308, -0.5])
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=30,
)


def analysed(kind: str, body: JsonValue) -> JsonObject:
    return {"analysis": [{"type": kind, "body": body}]}


@given(parties=values, body=values, kind=st.sampled_from(["call", "streams", "checks"]))
def test_whatever_stands_in_metadata_can_be_shown_and_searched(
    parties: JsonValue, body: JsonValue, kind: str
) -> None:
    conversation = Conversation(document={"parties": parties, **analysed(kind, body)})
    told = conversation.told()

    lines = [*conversation.streams(), *conversation.checks(), *map(str, told.links)]
    fits = Search.of(Wish(parties=["*"], conversation=None, attributes=[]), None).fits(told)

    assert all(isinstance(line, str) for line in lines)
    assert fits == any(party.to_json() for party in told.parties)


@pytest.mark.parametrize("wrong", [10**400, -5, 0.5, "7", None, [7]])
def test_a_count_that_is_none_is_not_added_up(wrong: JsonValue) -> None:
    report: JsonObject = {"channel": 0, "codec": "PCMA", "packets": 7, "lost": wrong}

    lines = list(Conversation(document=analysed("streams", {"streams": [report, report]})).streams())

    assert lines == ["agent: PCMA, packets: 14, lost: 0"]


def test_what_has_no_metadata_of_a_gateway_is_found_by_no_wish_for_it() -> None:
    told: Told = Conversation(document={}).told()

    by_name = Search.of(Wish(parties=[], conversation="*", attributes=[]), None)
    by_attribute = Search.of(Wish(parties=[], conversation=None, attributes=["*=*"]), None)

    assert not by_name.fits(told)
    assert not by_attribute.fits(told)
