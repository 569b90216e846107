"""What happened in a call: nothing that a gateway tells can fill the memory, and what matters is kept."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.call import (
    CodecChanged,
    Digit,
    Disclosure,
    Document,
    Event,
    Gap,
    Held,
    Link,
    Linked,
    Party,
)
from callseal.agent.call import PartiesChanged as Changed
from callseal.agent.happenings import (
    MAX_CHANGES,
    MAX_DOCUMENT_BYTES,
    MAX_DOCUMENTS,
    MAX_DOCUMENTS_BYTES,
    MAX_OF_A_KIND,
    Happenings,
    moved,
)
from support.recorded_calls import answered
from support.sealed_recordings import recording_id

AT = datetime(2026, 11, 22, tzinfo=UTC)
INVITE = Document(at=AT, kind="sip-message", content_type="message/sip", body=b"INVITE")
NOBODY = Party(number="")


def test_events_come_out_in_the_order_in_which_they_came() -> None:
    events: list[Event] = [
        answered(),
        INVITE,
        Digit(channel=0, position_samples=5, duration_ms=1),
        INVITE,
        answered(),
    ]
    found = Happenings()

    for event in events:
        found.add(event)

    assert list(found) == events
    assert not any(found.unlisted.values())


def test_of_too_many_the_first_and_the_newest_are_kept_and_the_rest_is_counted() -> None:
    found = Happenings()
    found.add(INVITE)

    for number in range(3 * MAX_OF_A_KIND):
        found.add(Gap(channel=0, start_samples=number, end_samples=number + 1, expected=False))

    first, *newest = [event.start_samples for event in found if isinstance(event, Gap)]
    assert first == 0
    assert newest == list(range(2 * MAX_OF_A_KIND + 1, 3 * MAX_OF_A_KIND))
    assert dict(found.unlisted) == {Gap: 2 * MAX_OF_A_KIND}
    assert INVITE in list(found)


def test_the_first_invite_stays_however_many_documents_follow() -> None:
    found = Happenings()
    found.add(INVITE)

    for number in range(1000):
        found.add(replace(INVITE, body=b"%d" % number * 10_000))

    kept = [event for event in found if isinstance(event, Document)]
    assert kept[0] == INVITE
    assert kept[-1].body.startswith(b"999999")
    assert sum(len(event.body) for event in kept) <= MAX_DOCUMENTS_BYTES
    assert found.unlisted[Document] == 1001 - len(kept)


def test_a_document_that_is_too_long_is_cut_and_says_so() -> None:
    found = Happenings()

    found.add(replace(INVITE, body=b"x" * (MAX_DOCUMENT_BYTES + 1)))
    found.add(replace(INVITE, body=b"x" * MAX_DOCUMENT_BYTES))

    longer, whole = [event for event in found if isinstance(event, Document)]
    assert (len(longer.body), longer.is_cut) == (MAX_DOCUMENT_BYTES, True)
    assert (len(whole.body), whole.is_cut) == (MAX_DOCUMENT_BYTES, False)


def test_small_documents_and_changes_of_the_parties_have_a_limit_too() -> None:
    found = Happenings()

    for number in range(1000):
        found.add(INVITE)
        found.add(Changed(position_samples=number, agent=NOBODY, customer=NOBODY))

    kinds = [type(event) for event in found]
    assert (kinds.count(Document), kinds.count(Changed)) == (MAX_DOCUMENTS, MAX_CHANGES)


@given(st.lists(st.integers(0, 70_000), max_size=40))
def test_documents_never_take_more_than_their_room(sizes: list[int]) -> None:
    found = Happenings()

    for size in sizes:
        found.add(replace(INVITE, body=bytes(size)))

    kept = [event for event in found if isinstance(event, Document)]
    assert sum(len(event.body) for event in kept) <= MAX_DOCUMENTS_BYTES
    assert len(kept) + found.unlisted[Document] == len(sizes)


def test_every_position_is_moved_when_a_call_goes_on_as_another_recording() -> None:
    told = Disclosure(
        name="zh",
        language="zh-CN",
        sha256="",
        start_samples=110,
        end_samples=None,
        complete=False,
        heard_by=(),
    )
    linked = Linked(link=Link(relation="continues", recording=recording_id()))

    assert moved(Gap(channel=0, start_samples=110, end_samples=120, expected=True), -100) == Gap(
        channel=0, start_samples=10, end_samples=20, expected=True
    )
    for event in (
        Digit(channel=0, position_samples=110, duration_ms=9),
        Held(channel=0, position_samples=110, held=False),
        CodecChanged(channel=0, position_samples=110, codec="x"),
        Changed(position_samples=110, agent=NOBODY, customer=NOBODY),
    ):
        assert moved(event, -100) == replace(event, position_samples=10)
    assert moved(told, -100) == replace(told, start_samples=10)
    assert moved(linked, -100) is linked
    assert moved(INVITE, -100) is INVITE
