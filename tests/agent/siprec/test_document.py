"""Documents of metadata: understood in every dialect, refused in none."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.siprec import document
from callseal.agent.siprec.document import read_metadata
from callseal.agent.siprec.model import Metadata
from support import siprec_bodies
from support.siprec_bodies import complete

NINE = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
ENDED = "<disassociate-time>2026-03-02T09:15:00Z</disassociate-time>"


def voices(read: Metadata) -> dict[str, tuple[str, ...]]:
    """Give the addresses that are heard under each label."""
    aors = {who.id: who.aors[0] if who.aors else "" for who in read.participants}
    return {stream.label: tuple(aors[who] for who in stream.sent_by) for stream in read.streams}


def test_cube_is_read_as_rfc_7865_has_it() -> None:
    read = read_metadata(siprec_bodies.CUBE)

    assert read.complete
    assert read.oddities == ()
    assert voices(read) == {"1": ("sip:8001@10.1.0.7",), "2": ("sip:13800138000@10.1.0.9",)}
    assert [who.names for who in read.participants] == [("",), ("Wang Fang",)]
    (session,) = read.sessions
    assert session.started_at == NINE.replace(microsecond=40_000)
    assert session.participants == tuple(who.id for who in read.participants)
    assert session.sip_session_ids == (
        "a1b2c3d4e5f60718293a4b5c6d7e8f90;remote=0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    )


def test_oracle_names_streams_within_participants_and_leaves_the_zone_out() -> None:
    read = read_metadata(siprec_bodies.ORACLE)

    assert voices(read) == {
        "201835599": ("sip:13800138000@10.1.0.9",),
        "201835600": ("sip:075595099@pbx.example",),
    }
    assert read.participants[0].names == ("WIRELESS CALLER",)
    assert read.sessions[0].started_at == NINE
    assert read.sessions[0].participants == tuple(who.id for who in read.participants)
    assert "a time has no zone; it was taken as UTC" in read.oddities


def test_sonus_prefixes_its_elements_crosses_its_labels_and_lives_in_1970() -> None:
    read = read_metadata(siprec_bodies.SONUS)

    assert voices(read) == {"1": ("13800138000@10.1.0.9",), "2": ("8001@10.1.0.7",)}
    assert read.participants[1].names == ("",)
    assert read.sessions[0].started_at is None
    assert read.sessions[0].group_id == read.groups[0].id == "c29udXMtZ3JvdXAtMDAwMQ=="
    assert read.oddities == ("a time is from a clock that was not set",)


def test_broadworks_has_a_root_of_its_own_and_one_mixed_stream() -> None:
    read = read_metadata(siprec_bodies.BROADWORKS)

    assert voices(read) == {"1": ("sip:li.wei@pbx.example", "sip:+8613800138000@10.1.0.9;user=phone")}
    assert read.streams[0].is_mixed
    assert read.sessions[0].started_at == NINE
    assert read.sessions[0].group_id == read.groups[0].id
    assert read.oddities == ()


def test_audiocodes_may_forget_to_escape_an_ampersand() -> None:
    read = read_metadata(siprec_bodies.AUDIOCODES)

    assert voices(read) == {"1": ("13800138000@10.1.0.9",), "2": ("8001@pbx.example",)}
    assert read.participants[1].names == ("Zhao & Partner",)
    assert read.oddities == ("the document is not well-formed XML",)


def test_labels_may_be_words_and_addresses_no_uris() -> None:
    read = read_metadata(siprec_bodies.SEMS)

    assert voices(read) == {"a_leg": ("sip:013800138000@10.1.0.9",), "b_leg": ("Extension-8001@pbx.example",)}


def test_one_participant_may_send_and_receive_one_stream() -> None:
    read = read_metadata(siprec_bodies.EMERGENCY_GATEWAY)

    (stream,) = read.streams
    assert stream.sent_by == stream.received_by == (read.participants[0].id,)
    assert read.sessions[0].started_at == NINE


def test_an_early_draft_is_read_and_its_partial_update_is_one() -> None:
    read = read_metadata(siprec_bodies.DRAFT)

    assert not read.complete
    assert read.participants[0].aors == ("sip:8001@pbx.example",)
    assert read.participants[0].names == ("Front desk",)
    assert read.streams[0].sent_by == (read.participants[0].id,)
    assert read.placed == (read.participants[0].id,)


def test_netsapiens_is_read_as_rfc_7865_has_it() -> None:
    read = read_metadata(siprec_bodies.netsapiens(agent="8001", group="58cc3154ca0bdd2b", sequence=0))

    assert voices(read) == {"1": ("sip:13800138000@pbx.example",), "2": ("sip:8001@pbx.example",)}
    assert read.oddities == ()


def test_empty_ids_are_told_apart_by_their_order_and_streams_by_their_labels() -> None:
    read = read_metadata(siprec_bodies.EMPTY_IDS)

    assert voices(read) == {"1": ("sip:13800138000@10.1.0.9",), "2": ("sip:8001@10.1.0.7",)}
    assert len({who.id for who in read.participants}) == 2
    assert "an id is missing or empty" in read.oddities


@pytest.mark.parametrize(
    "root", ["recording", "x:recording", "recording_metadata", "recording-metadata", "Recording"]
)
@pytest.mark.parametrize(
    "namespace",
    [
        "urn:ietf:params:xml:ns:recording:1",
        "urn:ietf:params:xml:ns:recording",
        "urn:ietf:params:xml:ns:siprec",
        "",
    ],
)
def test_roots_and_namespaces_of_all_times_are_one(root: str, namespace: str) -> None:
    text = f"<{root} xmlns='{namespace}' xmlns:x='{namespace}'><session id='s'/></{root}>"

    assert [session.id for session in read_metadata(text.encode()).sessions] == ["s"]


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("<recording><datamode>complete</datamode></recording>", True),
        ("<recording><dataMode>partial</dataMode></recording>", False),
        ("<recording><data-mode> Partial\n</data-mode></recording>", False),
        ("<recording dataMode='partial'/>", False),
        ("<recording/>", True),
    ],
)
def test_the_data_mode_is_found_wherever_it_stands(text: str, complete: bool) -> None:  # noqa: FBT001
    assert read_metadata(text.encode()).complete is complete


def test_a_data_mode_that_nobody_knows_is_taken_as_complete_and_told() -> None:
    read = read_metadata(b"<recording><datamode>delta</datamode></recording>")

    assert read.complete
    assert read.oddities == ("the data mode is neither complete nor partial; it was taken as complete",)


@pytest.mark.parametrize(
    ("inner", "aors", "names"),
    [
        ('<nameID aor="sip:1@h"><name>Li</name></nameID>', ("sip:1@h",), ("Li",)),
        ('<nameID aor="sip:1@h"/><name>Li</name>', ("sip:1@h",), ("Li",)),
        ("<nameID><aor>sip:1@h</aor><name>Li</name></nameID>", ("sip:1@h",), ("Li",)),
        ("<nameID>sip:1@h</nameID>", ("sip:1@h",), ("",)),
        ("<aor> sip:1@h\n</aor>", ("sip:1@h",), ("",)),
        ('<nameID aor="sip:1@h"/><nameID aor="tel:2"/>', ("sip:1@h", "tel:2"), ("", "")),
        ("<name>Li</name>", ("",), ("Li",)),
        ('<nameID aor=""/>', (), ()),
        ("", (), ()),
    ],
)
def test_an_address_is_found_however_it_is_written(
    inner: str, aors: tuple[str, ...], names: tuple[str, ...]
) -> None:
    text = f'<recording><participant participant_id="p">{inner}</participant></recording>'

    (who,) = read_metadata(text.encode()).participants

    assert (who.aors, who.names) == (aors, names)


def test_who_was_disassociated_has_left_until_told_otherwise() -> None:
    text = siprec_bodies.partial(
        '<participantsessionassoc participant_id="a" session_id="s">',
        "<associate-time>2026-03-02T09:00:00Z</associate-time>",
        "<disassociate-time>2026-03-02T09:15:00Z</disassociate-time></participantsessionassoc>",
        '<participantsessionassoc participant_id="b" session_id="s"><disassociate-time/>',
        "</participantsessionassoc>",
        '<participantsessionassoc participant_id="b" session_id="s"/>',
    )

    assert read_metadata(text).left == (("a", "s"),)


@pytest.mark.parametrize(
    "element",
    [
        '<session session_id="s"><stop-time>2026-03-02T09:15:00Z</stop-time></session>',
        f'<session session_id="s"/><sessionrecordingassoc session_id="s">{ENDED}</sessionrecordingassoc>',
        f'<sessionrecordingassoc session_id="s">{ENDED}</sessionrecordingassoc>',
        f'<session session_id="s">{ENDED}</session>',
    ],
)
def test_a_session_that_is_over_is_told_to_be(element: str) -> None:
    (session,) = read_metadata(siprec_bodies.partial(element)).sessions

    assert (session.is_over, session.stopped_at) == (True, NINE)


def test_streams_may_be_told_of_after_those_who_send_them_or_in_another_document() -> None:
    text = siprec_bodies.partial(
        '<participantstreamassoc participant_id="a"><send>s2</send><recv>s1</recv></participantstreamassoc>',
        '<stream stream_id="s2"><label>2</label></stream>',
    )

    read = read_metadata(text)

    assert [(stream.id, stream.label, stream.sent_by, stream.received_by) for stream in read.streams] == [
        ("s2", "2", ("a",), ()),
        ("s1", "", (), ("a",)),
    ]


def test_the_only_group_is_that_of_sessions_that_name_none() -> None:
    text = complete('<session session_id="s"/>', '<group group_id="g"/>')
    several = complete('<session session_id="s"/>', '<group group_id="g"/><group group_id="h"/>')

    assert [session.group_id for session in read_metadata(text).sessions] == ["g"]
    assert [session.group_id for session in read_metadata(several).sessions] == [""]


def test_more_of_everything_than_is_kept_is_told_and_dropped() -> None:
    many = "".join(
        f'<group group_id="g{n}"/><session session_id="s{n}"/><participant participant_id="p{n}"/>'
        f'<stream stream_id="m{n}"/>'
        for n in range(200)
    )

    read = read_metadata(siprec_bodies.complete(many))

    assert len(read.groups) == document.MAX_GROUPS
    assert len(read.sessions) == document.MAX_SESSIONS
    assert len(read.participants) == document.MAX_PARTICIPANTS
    assert len(read.streams) == document.MAX_STREAMS
    assert "the document has more participants, streams, sessions or groups than are kept" in read.oddities


@pytest.mark.parametrize("body", [b"", b"v=0\r\n", b"<", b"<html><p>no</p></html>", b"\xff\xfe", b"{}"])
def test_what_is_no_metadata_is_read_as_nothing_and_told(body: bytes) -> None:
    read = read_metadata(body)

    assert (len(read.participants), len(read.streams), len(read.sessions)) == (0, 0, 0)
    assert "the document says nothing of a recording" in read.oddities


def test_a_document_without_its_root_is_understood() -> None:
    read = read_metadata(b'<session session_id="s"/><participant participant_id="p"/>')

    assert [session.id for session in read.sessions] == ["s"]


SHAPES = [
    siprec_bodies.CUBE,
    siprec_bodies.ORACLE,
    siprec_bodies.SONUS,
    siprec_bodies.BROADWORKS,
    siprec_bodies.AUDIOCODES,
    siprec_bodies.EMPTY_IDS,
]


@given(st.sampled_from(SHAPES), st.data())
def test_a_document_that_is_damaged_anywhere_is_never_refused(shape: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(min_value=0, max_value=len(shape)))
    length = data.draw(st.integers(min_value=0, max_value=100))
    damage = data.draw(st.binary(max_size=20) | st.sampled_from([b"<", b"&", b'"', b">", b"</"]))

    read = read_metadata(shape[:start] + damage + shape[start + length :])

    assert all(who.id for who in read.participants)
    assert all(stream.id for stream in read.streams)


@given(st.sampled_from(SHAPES), st.data())
def test_oddities_name_nobody(shape: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(min_value=0, max_value=len(shape)))

    oddities = " ".join(read_metadata(shape[:cut] + b"<&" + shape[cut + 1 :]).oddities)

    assert not any(secret in oddities for secret in ("138", "8001", "Wang", "sip:"))
