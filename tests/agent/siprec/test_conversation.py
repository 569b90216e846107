"""A conversation: what it is after each document."""

from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.siprec import conversation as module
from callseal.agent.siprec import document
from callseal.agent.siprec.conversation import Conversation
from callseal.agent.siprec.document import read_metadata
from support import siprec_bodies
from support.siprec_bodies import complete, partial
from support.siprec_roles import conversation

TWO = complete(
    '<group group_id="first-group"/>',
    '<session session_id="s"><group-ref>first-group</group-ref></session>',
    '<participant participant_id="a"><nameID aor="sip:8001@pbx.example"/></participant>',
    '<participant participant_id="b"><nameID aor="sip:13800138000@trunk.example"/></participant>',
    '<participantsessionassoc participant_id="a" session_id="s"/>',
    '<participantsessionassoc participant_id="b" session_id="s"/>',
    '<stream stream_id="1" session_id="s"><label>one</label></stream>',
    '<stream stream_id="2" session_id="s"><label>two</label></stream>',
    '<participantstreamassoc participant_id="a"><send>1</send><recv>2</recv></participantstreamassoc>',
    '<participantstreamassoc participant_id="b"><send>2</send><recv>1</recv></participantstreamassoc>',
)
LEFT = "<disassociate-time>2026-03-02T09:20:00Z</disassociate-time>"
TRANSFER = partial(
    f'<participantsessionassoc participant_id="a" session_id="s">{LEFT}</participantsessionassoc>',
    '<participant participant_id="c"><nameID aor="sip:8002@pbx.example"/></participant>',
    '<participantsessionassoc participant_id="c" session_id="s"/>',
    '<participantstreamassoc participant_id="c"><send>1</send><recv>2</recv></participantstreamassoc>',
)


def people(known: Conversation) -> list[str]:
    """Give the ids of those who take part."""
    return [who.id for who in known.participants]


def senders(known: Conversation) -> dict[str, tuple[str, ...]]:
    """Give who is heard under each label."""
    return {stream.label: stream.sent_by for stream in known.streams}


def test_the_first_document_brings_everybody_and_everything() -> None:
    known = conversation(TWO)

    assert people(known) == ["a", "b"]
    assert senders(known) == {"one": ("a",), "two": ("b",)}
    assert known.group_id == "first-group"


def test_the_same_document_again_changes_nothing() -> None:
    assert conversation(TWO, TWO) == conversation(TWO)


def test_a_transfer_by_a_partial_update_puts_one_in_the_place_of_another() -> None:
    after = conversation(TWO, TRANSFER)

    assert people(after) == ["b", "c"]
    assert senders(after) == {"one": ("c",), "two": ("b",)}


def test_a_transfer_by_a_complete_document_leaves_nothing_of_what_was_before() -> None:
    after = conversation(
        TWO,
        complete(
            '<session session_id="t"/>',
            '<participant participant_id="c"><nameID aor="sip:8002@h"/></participant>',
            '<participant participant_id="b"><nameID aor="sip:13800138000@trunk.example"/></participant>',
            '<stream stream_id="2"><label>two</label></stream>',
            '<participantstreamassoc participant_id="b"><send>2</send></participantstreamassoc>',
        ),
    )

    assert people(after) == ["c", "b"]
    assert senders(after) == {"two": ("b",)}
    assert after.group_id == ""


def test_a_partial_update_leaves_what_it_does_not_name() -> None:
    after = conversation(
        TWO, partial('<participant participant_id="a"/><stream stream_id="1"/><session session_id="s"/>')
    )

    assert after == conversation(TWO)


def test_a_caller_whose_number_is_told_later_is_renamed() -> None:
    update = partial('<participant participant_id="b"><nameID aor="tel:+8613900139000"/></participant>')

    after = conversation(TWO, update)

    assert people(after) == ["a", "b"]
    assert after.participants[1].aors == ("tel:+8613900139000",)


def test_on_hold_a_stream_stays_that_of_whom_it_was() -> None:
    hold = partial('<participantstreamassoc participant_id="a"><recv>2</recv></participantstreamassoc>')
    hold_of_all = complete(
        '<session session_id="s"/><participant participant_id="a"/><participant participant_id="b"/>',
        '<stream stream_id="1"><label>one</label></stream><stream stream_id="2"><label>two</label></stream>',
    )

    assert senders(conversation(TWO, hold)) == {"one": ("a",), "two": ("b",)}
    assert senders(conversation(TWO, hold_of_all)) == {"one": ("a",), "two": ("b",)}
    assert senders(conversation(TWO, hold, hold_of_all)) == {"one": ("a",), "two": ("b",)}


def test_somebody_who_joins_may_share_a_stream() -> None:
    after = conversation(
        TWO,
        partial(
            '<participant participant_id="c"><nameID aor="sip:8002@h"/></participant>',
            '<participantsessionassoc participant_id="c" session_id="s"/>',
            '<participantstreamassoc participant_id="c"><send>1</send></participantstreamassoc>',
        ),
    )

    assert people(after) == ["a", "b", "c"]
    assert senders(after) == {"one": ("a", "c"), "two": ("b",)}


def test_somebody_who_left_may_come_back() -> None:
    back = partial(
        '<participant participant_id="a"><nameID aor="sip:8001@pbx.example"/></participant>',
        '<participantsessionassoc participant_id="a" session_id="s"/>',
    )

    assert people(conversation(TWO, TRANSFER, back)) == ["b", "c", "a"]


def test_who_goes_from_one_session_to_the_next_stays_in_the_conversation() -> None:
    after = conversation(
        TWO,
        partial(
            '<session session_id="s"><stop-time>2026-03-02T09:20:00Z</stop-time></session>',
            '<session session_id="t"><group-ref>first-group</group-ref></session>',
            '<participantsessionassoc participant_id="b" session_id="t"/>',
            '<participant participant_id="c"><nameID aor="sip:8002@h"/></participant>',
            '<participantsessionassoc participant_id="c" session_id="t"/>',
        ),
    )

    assert people(after) == ["b", "c"]


def test_the_last_word_on_a_call_is_not_that_nobody_was_in_it() -> None:
    everybody_left = partial(
        '<session session_id="s"><stop-time>2026-03-02T09:20:00Z</stop-time></session>',
        f'<participantsessionassoc participant_id="a" session_id="s">{LEFT}</participantsessionassoc>',
        f'<participantsessionassoc participant_id="b" session_id="s">{LEFT}</participantsessionassoc>',
    )

    assert people(conversation(TWO, everybody_left)) == ["a", "b"]
    assert people(conversation(TWO, complete())) == ["a", "b"]


def test_a_new_stream_takes_a_label_over() -> None:
    moved = partial(
        '<stream stream_id="3"><label>one</label></stream>',
        '<participantstreamassoc participant_id="a"><send>3</send></participantstreamassoc>',
    )

    assert senders(conversation(TWO, moved)) == {"two": ("b",), "one": ("a",)}
    assert "1" not in {stream.id for stream in conversation(TWO, moved).streams}


def test_a_stream_that_comes_without_its_id_is_known_again_by_its_label() -> None:
    nameless = partial('<stream stream_id=""><label>one</label></stream>')

    assert conversation(TWO, nameless).streams == conversation(TWO).streams


def test_the_group_is_that_of_the_session_that_runs() -> None:
    regrouped = partial(
        '<group group_id="second"/><session session_id="s"><group-ref>second</group-ref></session>'
    )

    assert conversation(TWO).group_id == "first-group"
    assert conversation(TWO, regrouped).group_id == "second"


def test_an_attribute_that_is_told_again_has_its_new_value_alone() -> None:
    first = partial("<queue>claims</queue><queue>fraud</queue><site>A</site>")
    second = partial("<queue>sales</queue>")

    after = conversation(TWO, first, second)

    assert after.all_attributes == (("ext:site", "A"), ("ext:queue", "sales"))


def test_oddities_of_all_documents_are_kept_up_to_a_limit() -> None:
    known = conversation(TWO, b"<", partial("<session/>"), TWO)

    assert "the document says nothing of a recording" in known.oddities
    assert "an id is missing or empty" in known.oddities
    assert len(known.oddities) <= module.MAX_ODDITIES


def test_updates_without_end_do_not_make_a_conversation_grow_without_end() -> None:
    known = Conversation()
    for number in range(300):
        known = known.take(
            read_metadata(
                partial(
                    f'<group group_id="g{number}"/><stream stream_id="m{number}"/>',
                    f'<session session_id="s{number}"><q{number}>1</q{number}></session>',
                    f'<participant participant_id="p{number}"/><x{number}>1</x{number}>',
                )
            )
        )

    assert len(known.groups) <= document.MAX_GROUPS
    assert len(known.sessions) <= document.MAX_SESSIONS
    assert len(known.participants) <= document.MAX_PARTICIPANTS
    assert len(known.streams) <= document.MAX_STREAMS
    assert known.participants[-1].id == "p299"


ELEMENTS = st.sampled_from(
    [
        '<session session_id="s"/>',
        '<session session_id="s"><stop-time/></session>',
        *(f'<participant participant_id="{who}"/>' for who in "abc"),
        *(f'<participantsessionassoc participant_id="{who}" session_id="s"/>' for who in "abc"),
        *(
            f'<participantsessionassoc participant_id="{who}" session_id="s">{LEFT}</participantsessionassoc>'
            for who in "abc"
        ),
        *(
            f'<participantstreamassoc participant_id="{who}"><send>{stream}</send></participantstreamassoc>'
            for who in "abc"
            for stream in "12"
        ),
        '<stream stream_id="1"><label>one</label></stream>',
        '<stream stream_id="2"><label>one</label></stream>',
        '<stream stream_id=""><label>two</label></stream>',
    ]
)
DOCUMENTS = st.builds(
    lambda make, elements: make(*elements),
    st.sampled_from([partial, complete]),
    st.lists(ELEMENTS, max_size=8),
)


@given(st.lists(DOCUMENTS, max_size=6))
def test_whoever_is_heard_takes_part_whatever_documents_come(documents: list[bytes]) -> None:
    known = Conversation()
    for body in documents:
        known = known.take(read_metadata(body))

        assert {who for stream in known.streams for who in stream.sent_by} <= set(people(known))


def test_all_shapes_can_follow_one_another() -> None:
    shapes = (siprec_bodies.CUBE, siprec_bodies.SONUS, siprec_bodies.DRAFT, siprec_bodies.BROADWORKS)

    assert people(conversation(*shapes)) == people(conversation(siprec_bodies.BROADWORKS))
