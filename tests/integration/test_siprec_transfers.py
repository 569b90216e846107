"""People come and go while a call lasts: its recordings tell who was there when, and find one another."""

import itertools

import pytest

from callseal.cli.demo.office import AGENT
from callseal.seal.manifest import Result
from support.desk import Recorded
from support.recording_server import (
    Copies,
    RecordingServer,
    channels_of,
    metadata,
    multipart,
    recording_server,
    session,
)
from support.rtp_sender import Stream, codes
from support.siprec_bodies import netsapiens, partial

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("siprec"),
]

TALK_S = 0.4
METADATA = "Content-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session\r\n"
FIRST_AGENT = "sip:6001@house.example"
SECOND_AGENT = "sip:6002@house.example"
_groups = itertools.count(1)


@pytest.fixture
def group() -> str:
    """Name a conversation that no other test has."""
    return f"g-{next(_groups)}-58e0c74b12fa"


def parties_at(recorded: Recorded) -> list[tuple[str, str]]:
    """Give agent and customer: at the beginning, and after each change."""
    parties = [party.get("tel") or party.get("sip", "") for party in recorded.vcon["parties"]]
    changes = recorded.call.get("parties_changed", [])
    pairs = [(0, 1), *((change["agent"], change["customer"]) for change in changes)]
    return [(parties[agent], parties[customer]) for agent, customer in pairs]


def links_of(recorded: Recorded) -> list[tuple[str, str]]:
    """Give relation and recording of each link."""
    return [(link["relation"], link["id"]) for link in recorded.call.get("links", [])]


def name_of(recorded: Recorded) -> str:
    """Give the recording's own id."""
    return str(recorded.manifest.id)


def faults(server: RecordingServer) -> list[str]:
    """Give the lines of the log that tell of mistakes of our own."""
    lines = server.office.log_tail(AGENT, 200).splitlines()
    return [line for line in lines if "siprec.bug" in line or "media.fault" in line]


# --- a transfer within one session ------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_transfer_that_the_running_session_tells_of_stays_in_one_recording(
    server: RecordingServer, gateway: Copies, group: str, method: str
) -> None:
    copy = gateway.copy(*multipart(session(), metadata(agent="6001", group=group)))
    before = gateway.talk(copy, TALK_S)

    answer = copy.again(*multipart(session(version=2), metadata(agent="6002", group=group)), method)
    after = gateway.talk(copy, TALK_S, seed=2)
    copy.bye()

    recorded = server.of(copy)[0]
    agent, customer = channels_of(recorded.inner)
    assert answer.code == 200
    assert 0 <= agent.find(before[0]) < agent.find(after[0])
    assert 0 <= customer.find(before[1]) < customer.find(after[1])
    assert parties_at(recorded) == [(FIRST_AGENT, "+8613800138000"), (SECOND_AGENT, "+8613800138000")]
    assert recorded.call["parties_changed"][0]["from_sample"] > 0
    assert recorded.call["conversation"] == group
    assert links_of(recorded) == []


def test_a_transfer_that_changes_the_streams_too_keeps_each_voice_on_its_channel(
    server: RecordingServer, gateway: Copies, group: str
) -> None:
    copy = gateway.copy(*multipart(session(), metadata(agent="6001", group=group)))
    before = gateway.talk(copy, 2.5)
    crosswise = metadata(agent="6002", group=group).replace("<label>1<", "<label>x<")
    crosswise = crosswise.replace("<label>2<", "<label>1<").replace("<label>x<", "<label>2<")

    copy.again(*multipart(session(version=2), crosswise))
    after = gateway.talk(copy, TALK_S, seed=2)
    copy.bye()

    # What a late packet may still change when the news comes, the last two seconds, goes with what follows.
    agent, customer = channels_of(server.of(copy)[0].inner)
    assert before[0][:3200] in agent
    assert before[1][:3200] in customer
    assert after[0] in customer
    assert after[1] in agent


def test_streams_that_get_other_labels_keep_their_voices(
    server: RecordingServer, gateway: Copies, group: str
) -> None:
    copy = gateway.copy(*multipart(session(), metadata(group=group)))
    document = metadata(group=group).replace("<label>1<", "<label>901<").replace("<label>2<", "<label>902<")

    copy.again(*multipart(session(labels=("901", "902"), version=2), document))
    sounds = gateway.talk(copy, TALK_S)
    copy.bye()

    recorded = server.of(copy)[0]
    agent, customer = channels_of(recorded.inner)
    assert sounds[0] in agent
    assert sounds[1] in customer
    assert recorded.call.get("parties_changed", []) == []


def test_a_partial_update_adds_to_what_is_known(server: RecordingServer, gateway: Copies, group: str) -> None:
    copy = gateway.copy(*multipart(session(), metadata(group=group)))
    joins = partial(
        '<participant participant_id="p-third"><nameID aor="sip:6003@house.example"/></participant>',
        '<participantsessionassoc participant_id="p-third" session_id="cs-1"/>',
    ).decode()
    leaves = partial(
        '<participantsessionassoc participant_id="p-third" session_id="cs-1">'
        "<disassociate-time>2026-03-02T09:20:00Z</disassociate-time></participantsessionassoc>"
    ).decode()

    answers = [copy.again(document, METADATA, "UPDATE").code for document in (joins, leaves)]
    sounds = gateway.talk(copy, TALK_S)
    copy.bye()

    recorded = server.of(copy)[0]
    agent, customer = channels_of(recorded.inner)
    joined, left = recorded.call["parties_changed"]
    assert answers == [200, 200]
    assert sounds[0] in agent
    assert sounds[1] in customer
    assert [recorded.vcon["parties"][number]["sip"] for number in joined["others"]] == [
        "sip:6003@house.example"
    ]
    assert left["others"] == []
    assert (left["agent"], left["customer"]) == (0, 1)


def test_metadata_in_an_info_are_taken_too(server: RecordingServer, gateway: Copies, group: str) -> None:
    copy = gateway.copy(*multipart(session(), metadata(agent="6001", group=group)))

    answer = copy.again(metadata(agent="6002", group=group), METADATA, "INFO")
    copy.bye()

    assert answer.code == 200
    assert parties_at(server.of(copy)[0])[-1] == (SECOND_AGENT, "+8613800138000")


def test_a_call_that_turns_out_to_be_one_that_is_never_recorded_is_destroyed(
    server: RecordingServer, gateway: Copies, group: str
) -> None:
    copy = gateway.copy(*multipart(session(), metadata(agent="6001", group=group)))
    gateway.talk(copy, TALK_S)

    told = copy.again(metadata(agent="9999", group=group), METADATA, "UPDATE")
    held = copy.again(session(version=2), "Content-Type: application/sdp\r\n")
    ended = copy.bye()

    (recorded,) = server.all_of(copy)
    assert [answer.code for answer in (told, held, ended)] == [200, 200, 200]
    assert held.body.count("a=inactive") == len(copy.ports)
    assert recorded.manifest.result is Result.EXEMPT
    assert recorded.manifest.reasons == ("rule-never",)
    assert recorded.inner == b""
    assert faults(server) == []


def test_what_was_said_at_a_line_that_is_never_recorded_stays_out_of_what_follows_a_transfer(
    server: RecordingServer, gateway: Copies, group: str
) -> None:
    copy = gateway.copy(*multipart(session(), metadata(agent="9999", group=group)))
    private = gateway.talk(copy, 2 * TALK_S)

    copy.again(*multipart(session(version=2), metadata(agent="6001", group=group)))
    business = gateway.talk(copy, TALK_S, seed=2)
    copy.bye()

    (recorded,) = server.all_of(copy)
    agent, customer = channels_of(recorded.inner)
    assert business[0] in agent
    assert business[1] in customer
    for heard, said in zip((agent, customer), private, strict=True):
        assert not [at for at in range(0, len(said), 160) if said[at : at + 160] in heard]


# --- a transfer from one session to the next --------------------------------------------------------------


def test_a_transfer_that_comes_as_another_session_of_the_group_is_linked_with_the_first(
    server: RecordingServer, gateway: Copies, group: str
) -> None:
    first = gateway.copy(*multipart(session(), metadata(agent="6001", group=group)))
    before = gateway.talk(first, TALK_S)
    first.bye()

    second = gateway.copy(*multipart(session(), metadata(agent="6002", group=group)))
    after = gateway.talk(second, TALK_S, seed=2)
    second.bye()

    earlier, later = server.of(first, second)
    assert before[0] in channels_of(earlier.inner)[0]
    assert after[0] in channels_of(later.inner)[0]
    assert parties_at(earlier) == [(FIRST_AGENT, "+8613800138000")]
    assert parties_at(later) == [(SECOND_AGENT, "+8613800138000")]
    assert earlier.call["conversation"] == later.call["conversation"] == group
    assert links_of(later) == [("same-conversation", name_of(earlier))]


def test_a_new_session_that_begins_before_the_old_one_ends_is_linked_as_well(
    server: RecordingServer, gateway: Copies, group: str
) -> None:
    first = gateway.copy(*multipart(session(), metadata(agent="6001", group=group)))
    second = gateway.copy(*multipart(session(), metadata(agent="6002", group=group)))

    sounds = gateway.talk_in([first, second], TALK_S)
    first.bye()
    second.bye()

    earlier, later = server.of(first, second)
    assert sounds[0][0] in channels_of(earlier.inner)[0]
    assert sounds[1][0] in channels_of(later.inner)[0]
    assert links_of(later) == [("same-conversation", name_of(earlier))]


def test_a_transfer_that_only_the_makers_extension_tells_of_is_linked(
    server: RecordingServer, gateway: Copies
) -> None:
    old, new = "20260302091500000777", "20260302092000000778"
    documents = (
        netsapiens(agent="8001", group=old, sequence=1),
        netsapiens(agent="8002", group=new, sequence=2, transferred_group=old),
    )

    copies = []
    for document in documents:
        copies.append(gateway.copy(*multipart(session(), document.decode())))
        copies[-1].bye()

    earlier, later = server.of(*copies)
    assert links_of(later) == [("same-conversation", name_of(earlier))]


def test_sessions_of_one_call_without_a_group_are_linked_by_the_telephone_systems_own_identifier(
    server: RecordingServer, gateway: Copies
) -> None:
    ucid = "User-to-User: 00FA0800190010AB38F725B3;encoding=hex\r\n"

    copies = []
    for _leg in range(2):
        copies.append(gateway.copy(session(), f"Content-Type: application/sdp\r\n{ucid}"))
        gateway.talk(copies[-1], 0.1)
        copies[-1].bye()

    earlier, later = server.of(*copies)
    assert links_of(later) == [("same-conversation", name_of(earlier))]
    assert earlier.call["attributes"]["avaya:ucid"] == later.call["attributes"]["avaya:ucid"]


def test_calls_of_other_conversations_are_not_linked(server: RecordingServer, gateway: Copies) -> None:
    copies = []
    for group in ("g-one-77aa01bc93", "g-two-77aa01bc93"):
        copies.append(gateway.copy(*multipart(session(), metadata(group=group))))
        copies[-1].bye()

    recorded = server.of(*copies)

    assert [links_of(one) for one in recorded] == [[], []]


# --- more than two streams --------------------------------------------------------------------------------

THREE = """
  <participant participant_id="p-third"><nameID aor="sip:6003@house.example"/></participant>
  <participantsessionassoc participant_id="p-third" session_id="cs-1"/>
  <stream stream_id="s-3" session_id="cs-1"><label>3</label></stream>
  <participantstreamassoc participant_id="p-third"><send>s-3</send><recv>s-1</recv>
  <recv>s-2</recv></participantstreamassoc>
</recording>"""


def three(group: str) -> tuple[str, str]:
    """Give an offer of three streams, of two agents and a customer."""
    document = metadata(group=group).replace("</recording>", THREE)
    return multipart(session(labels=("1", "2", "3"), version=2), document)


def test_who_joins_is_mixed_into_the_channel_of_the_own_side(
    server: RecordingServer, gateway: Copies, group: str
) -> None:
    copy = gateway.copy(*multipart(session(), metadata(group=group)))
    before = gateway.talk(copy, TALK_S)
    ports = copy.ports
    copy.again(*three(group))
    joined, customer_says = codes(71, 3200).tobytes(), codes(72, 3200).tobytes()

    gateway.send(
        Stream(port=copy.ports[2], sound=joined, ssrc=71),
        Stream(port=copy.ports[1], sound=customer_says, ssrc=72),
    )
    copy.bye()

    recorded = server.of(copy)[0]
    agent, customer = channels_of(recorded.inner)
    assert copy.ports[:2] == ports
    assert 0 <= agent.find(before[0]) < agent.find(joined)
    assert customer_says in customer
    assert [one["label"] for one in recorded.streams["streams"]] == ["1", "2", "3"]


def test_a_stream_that_leaves_again_takes_no_other_with_it(
    server: RecordingServer, gateway: Copies, group: str
) -> None:
    copy = gateway.copy(*three(group))
    offer = session(labels=("1", "2", "3"), version=3)
    gone = offer.replace("m=audio 40004 ", "m=audio 0 ")

    copy.again(*multipart(gone, metadata(group=group)))
    sounds = gateway.talk(copy, TALK_S)
    copy.bye()

    agent, customer = channels_of(server.of(copy)[0].inner)
    assert [bool(port) for port in copy.ports] == [True, True, False]
    assert sounds[0] in agent
    assert sounds[1] in customer


def test_who_joins_may_have_a_recording_of_their_own(
    tmp_path_factory: pytest.TempPathFactory, group: str
) -> None:
    root = tmp_path_factory.mktemp("link")
    with recording_server(root, source='more_parties = "link"') as server, server.gateway() as gateway:
        copy = gateway.copy(*multipart(session(), metadata(group=group)))
        copy.again(*three(group))

        sounds = gateway.talk(copy, TALK_S)
        copy.bye()

        first, other = server.all_of(copy, 2)
    agent, customer = channels_of(first.inner)
    assert sounds[0] in agent
    assert sounds[1] in customer
    assert sounds[2] in channels_of(other.inner)[0]
    assert links_of(first) == [("same-call", name_of(other))]
    assert links_of(other) == [("same-call", name_of(first))]
