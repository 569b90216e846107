"""Metadata: what the recorder knows of a call stands in a vCon that anybody can read."""

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from callseal.agent import metadata
from callseal.agent.call import (
    Call,
    Digit,
    Disclosure,
    DisclosureFailed,
    Document,
    Ending,
    EndReason,
    Gap,
    Link,
    Linked,
    MediaLost,
    PartiesChanged,
    Party,
)
from callseal.agent.checks import Channel, Verdict
from callseal.agent.metadata import MAX_EARLIER, Audio, Facts
from callseal.codecs.level import FLOOR_DBOV, Second
from callseal.seal.vcon import content_hash, open_vcon, sign_vcon
from support.recorded_calls import CALL, CUSTOMER_NUMBER, HANGUP, OWNER, RATE_HZ, answered, bodies
from support.sealed_recordings import STARTED_AT, recording_id

SHA512 = hashlib.sha512(b"inner file").digest()
TOLD = Disclosure(
    name="zh",
    language="zh-CN",
    sha256="ab" * 32,
    start_samples=9_600,
    end_samples=41_600,
    complete=True,
    heard_by=("agent", "customer"),
)
SECOND = Second(samples=8000, rms_dbov=-26.04, peak_dbov=-9.51, clipped_samples=3)
CHANNEL = Channel(
    side="agent",
    seconds=(SECOND, replace(SECOND, rms_dbov=FLOOR_DBOV, peak_dbov=FLOOR_DBOV, clipped_samples=0)),
    judged_s=2.0,
    level_dbov=-26.0444,
    peak_dbov=-9.5123,
    clipped_ratio=0.0003751,
)
VERDICT = Verdict(
    outcome="fail", reasons=("too-quiet-customer",), channels=(CHANNEL, replace(CHANNEL, side="customer"))
)
FACTS = Facts(
    recording=recording_id(),
    created_at=STARTED_AT + timedelta(seconds=62),
    device=OWNER.device,
    site="北京",
    call=CALL,
    events=(answered(4_000), TOLD),
    audio=Audio(
        start=STARTED_AT,
        duration_samples=488_000,
        rate_hz=RATE_HZ,
        object_name="audio-" + "0" * 64 + ".age",
        plaintext_sha512=SHA512,
    ),
    end=HANGUP,
    result="degraded",
    reasons=("too-quiet-customer",),
    verdict=VERDICT,
)


def _document(facts: Facts) -> dict[str, Any]:
    """Sign the vCon as the recorder does, and read it as anybody else would."""
    document, chain = open_vcon(sign_vcon(metadata.describe(facts), OWNER.device_key, OWNER.chain))
    assert chain == OWNER.chain
    return document


def _call_body(facts: Facts) -> dict[str, Any]:
    (body,) = bodies(_document(facts), "analysis", "type", "call")
    return body


def test_the_parties_are_agent_customer_and_the_recorder_itself() -> None:
    assert _document(FACTS)["parties"] == [
        {"sip": "sip:8001@10.0.0.1", "name": "Desk 8001"},
        {
            "tel": CUSTOMER_NUMBER,
            "sip": "sip:013800138000@pbx.example:5060",
            "name": "Customer Wang Fang",
        },
        {"name": f"callseal {OWNER.device}"},
    ]


@pytest.mark.parametrize(
    ("party", "expected"),
    [
        (Party(number=""), {}),
        (Party(number="8001"), {"sip": "sip:8001"}),
        (Party(number="+8613800138000"), {"tel": "+8613800138000"}),
        (
            Party(number="", uri="sip:anonymous@invalid", name="匿名"),
            {"sip": "sip:anonymous@invalid", "name": "匿名"},
        ),
    ],
)
def test_of_a_party_only_what_is_known_is_written(party: Party, expected: dict[str, str]) -> None:
    document = _document(replace(FACTS, call=replace(CALL, customer=party)))

    assert document["parties"][1] == expected


def test_a_finished_recording_names_its_audio_by_object_and_hash() -> None:
    assert _document(FACTS)["dialog"] == [
        {
            "type": "recording",
            "start": "2026-11-21T23:58:30.250Z",
            "duration": 61.0,
            "parties": [0, 1],
            "mediatype": "audio/basic",
            "filename": "audio-" + "0" * 64 + ".age",
            "content_hash": content_hash(SHA512),
        }
    ]


def test_an_inbound_call_was_begun_by_the_customer() -> None:
    document = _document(replace(FACTS, call=replace(CALL, direction="inbound")))

    assert document["dialog"][0]["originator"] == 1


def test_while_the_call_runs_nothing_is_said_of_its_end() -> None:
    facts = replace(
        FACTS,
        audio=Audio(start=STARTED_AT, duration_samples=16_000, rate_hz=RATE_HZ),
        end=None,
        result="",
        reasons=(),
        verdict=None,
    )

    (dialog,) = _document(facts)["dialog"]
    body = _call_body(facts)
    (checks,) = bodies(_document(facts), "analysis", "type", "checks")

    assert dialog == {"type": "recording", "start": "2026-11-21T23:58:30.250Z", "parties": [0, 1]}
    assert (body["result"], body["ended_at"], body["ending"], body["reasons"]) == (
        "recording",
        None,
        None,
        [],
    )
    assert checks == {"outcome": "not-checked", "reasons": [], "channels": []}


def test_the_call_and_its_result_are_told_in_full() -> None:
    lost = MediaLost(position_samples=77, detail="the network was gone")
    end = replace(HANGUP, sip_code=200)

    body = _call_body(replace(FACTS, events=(*FACTS.events, lost), end=end))

    assert body == {
        "direction": "outbound",
        "source": "bridge",
        "device": OWNER.device,
        "site": "北京",
        "business_type": "sales",
        "retention_class": "sales-long",
        "sip_call_ids": ["leg-one", "leg-two"],
        "announcements_due": ["zh"],
        "started_at": "2026-11-21T23:58:30.250Z",
        "answered_at": "2026-11-21T23:58:30.750Z",
        "answered_at_sample": 4_000,
        "ended_at": "2026-11-21T23:59:31.250Z",
        "ending": "hangup",
        "ended_by": "customer",
        "sip_code": 200,
        "result": "degraded",
        "reasons": ["too-quiet-customer"],
        "complete": True,
        "media_lost": [{"from_sample": 77, "detail": "the network was gone"}],
    }


def test_an_announcement_is_told_with_its_place_in_the_recording() -> None:
    (attachment,) = _document(FACTS)["attachments"]

    assert attachment["purpose"] == "disclosure"
    assert attachment["party"] == 2
    assert attachment["body"] == {
        "announcement": "zh",
        "language": "zh-CN",
        "sha256": "ab" * 32,
        "start_sample": 9_600,
        "end_sample": 41_600,
        "complete": True,
        "heard_by": ["agent", "customer"],
    }


def test_an_announcement_that_could_not_be_played_is_told_too() -> None:
    failed = DisclosureFailed(detail="its player did not open")

    found = bodies(_document(replace(FACTS, events=(failed,))), "attachments", "purpose", "disclosure")

    assert found == [{"announcement": None, "complete": False, "failure": "its player did not open"}]


def test_the_checks_are_told_by_channel_and_second() -> None:
    (checks,) = bodies(_document(FACTS), "analysis", "type", "checks")

    channels = checks.pop("channels")
    assert checks == {"outcome": "fail", "reasons": ["too-quiet-customer"]}
    assert isinstance(channels, list)
    assert channels[0] == {
        "side": "agent",
        "judged_s": 2.0,
        "level_dbov": -26.04,
        "peak_dbov": -9.51,
        "clipped_ratio": 0.000375,
        "per_second": {
            "rms_dbov": [-26.0, -96.3],
            "peak_dbov": [-9.5, -96.3],
            "clipped_samples": [3, 0],
            "digital_silence": [False, True],
        },
    }
    assert isinstance(channels[1], dict)
    assert channels[1]["side"] == "customer"


@pytest.mark.parametrize(
    ("ending", "disposition"),
    [
        (Ending.BUSY, "busy"),
        (Ending.CANCELLED, "hung-up"),
        (Ending.NO_ANSWER, "no-answer"),
        (Ending.REJECTED, "failed"),
        (Ending.UNREACHABLE, "failed"),
        (Ending.REFUSED_BY_US, "congestion"),
    ],
)
def test_a_call_that_did_not_come_about_says_why(ending: Ending, disposition: str) -> None:
    end = EndReason(ending=ending, at=STARTED_AT + timedelta(seconds=9))

    document = _document(replace(FACTS, audio=None, events=(), end=end, verdict=None))

    (dialog,) = document["dialog"]
    assert (dialog["type"], dialog["disposition"]) == ("incomplete", disposition)
    assert bodies(document, "analysis", "type", "checks") == []


def test_a_call_that_was_not_recorded_keeps_its_length_and_has_no_content() -> None:
    facts = replace(FACTS, audio=None, verdict=None, result="exempt", reasons=("rule-never",))

    (dialog,) = _document(facts)["dialog"]

    assert dialog == {
        "type": "recording",
        "start": "2026-11-21T23:58:30.250Z",
        "duration": 61.0,
        "parties": [0, 1],
    }


def test_a_clock_that_was_set_back_makes_no_negative_length() -> None:
    earlier: datetime = STARTED_AT - timedelta(seconds=5)
    facts = replace(FACTS, audio=None, end=replace(HANGUP, at=earlier))

    assert _document(facts)["dialog"][0]["duration"] == 0.0


def test_a_call_of_which_nearly_nothing_is_known_can_still_be_told() -> None:
    bare = Call(
        source="bridge",
        direction="inbound",
        started_at=STARTED_AT,
        agent=Party(number=""),
        customer=Party(number=""),
    )

    body = _call_body(replace(FACTS, call=bare, events=(), audio=None, end=None, verdict=None))

    assert (body["business_type"], body["retention_class"]) == ("unclassified", None)
    assert (body["answered_at"], body["sip_call_ids"]) == (None, [])


NURSE, DOCTOR = Party(number="8002", name="Li"), Party(number="+861012345678")
GATEWAY_CALL = replace(
    CALL,
    source="siprec",
    direction="unknown",
    announced_by="gateway",
    others=(NURSE,),
    is_mixed=True,
    conversation="group-1",
    links=(Link(relation="same-conversation", recording=recording_id(3)),),
    attributes=(("oracle:ucid", "0001"), ("cisco:guid", "77")),
)
TRANSFER = PartiesChanged(
    position_samples=160_000,
    agent=DOCTOR,
    customer=CALL.customer,
    others=(NURSE, CALL.agent),
    conversation="group-2",
    attributes=(("oracle:ucid", "0002"),),
)


def test_what_a_gateway_says_of_a_call_is_told() -> None:
    body = _call_body(replace(FACTS, call=GATEWAY_CALL))

    assert (body["source"], body["direction"], body["announced_by"]) == ("siprec", "unknown", "gateway")
    assert (body["conversation"], body["is_mixed"], body["others"]) == ("group-1", True, [3])
    assert body["attributes"] == {"oracle:ucid": "0001", "cisco:guid": "77"}
    assert body["links"] == [{"relation": "same-conversation", "id": str(recording_id(3))}]
    assert "parties_changed" not in body


def test_who_else_takes_part_stands_behind_the_recorder() -> None:
    document = _document(replace(FACTS, call=GATEWAY_CALL))

    assert document["parties"][2] == {"name": f"callseal {OWNER.device}"}
    assert document["parties"][3] == {"sip": "sip:8002", "name": "Li"}
    assert document["dialog"][0]["parties"] == [0, 1]


def test_a_transfer_changes_nobodys_number_and_is_told_with_its_place() -> None:
    later = Linked(link=Link(relation="continues", recording=recording_id(4)))
    facts = replace(FACTS, call=GATEWAY_CALL, events=(answered(), TRANSFER, later, later))

    before, after = _document(replace(FACTS, call=GATEWAY_CALL)), _document(facts)
    body = _call_body(facts)

    assert after["parties"][:4] == before["parties"]
    assert after["parties"][4] == {"tel": "+861012345678"}
    assert body["parties_changed"] == [
        {"from_sample": 160_000, "agent": 4, "customer": 1, "others": [3, 0], "conversation": "group-2"}
    ]
    assert body["conversation"] == "group-2"
    assert body["attributes"] == {"oracle:ucid": "0002", "cisco:guid": "77"}
    assert [link["id"] for link in body["links"]] == [str(recording_id(3)), str(recording_id(4))]


def test_what_held_before_a_transfer_is_still_told() -> None:
    """Whoever looks for a call by the number that it had at first must find it."""
    back = replace(
        TRANSFER, conversation="group-3", attributes=(("oracle:ucid", "0003"), ("cisco:guid", "77"))
    )
    facts = replace(FACTS, call=GATEWAY_CALL, events=(answered(), TRANSFER, back))

    body, unchanged = _call_body(facts), _call_body(replace(FACTS, call=GATEWAY_CALL))

    assert body["attributes"] == {"oracle:ucid": "0003", "cisco:guid": "77"}
    assert body["earlier"] == {
        "conversations": ["group-1", "group-2"],
        "attributes": {"oracle:ucid": "0001, 0002"},
    }
    assert "earlier" not in unchanged


def test_a_gateway_that_always_says_something_new_does_not_fill_the_metadata() -> None:
    changes = [
        replace(TRANSFER, conversation=f"group-{number}", attributes=(("x:y", f"value {number}"),))
        for number in range(3 * MAX_EARLIER)
    ]

    earlier = _call_body(replace(FACTS, call=GATEWAY_CALL, events=(answered(), *changes)))["earlier"]

    assert len(earlier["conversations"]) == MAX_EARLIER
    assert earlier["conversations"][0] == "group-1"
    assert len(earlier["attributes"]["x:y"].split(", ")) == MAX_EARLIER


@pytest.mark.parametrize(
    ("body", "encoding", "expected"),
    [
        (b"INVITE sip:srs SIP/2.0\r\n\r\n", "none", "INVITE sip:srs SIP/2.0\r\n\r\n"),
        ("<name>王芳</name>".encode(), "none", "<name>王芳</name>"),
        (b"\xff\xfe", "base64url", "__4"),
        (b"a\0b", "base64url", "YQBi"),
        (b"\xed\xa0\x80", "base64url", "7aCA"),
        (b"", "none", ""),
    ],
)
def test_what_signalling_brought_is_kept_to_the_byte(body: bytes, encoding: str, expected: str) -> None:
    document = Document(at=HANGUP.at, kind="sip-message", content_type="message/sip", body=body)

    (attachment,) = _document(replace(FACTS, events=(document,)))["attachments"]

    assert attachment == {
        "purpose": "sip-message",
        "start": "2026-11-21T23:59:31.250Z",
        "party": 2,
        "dialog": 0,
        "mediatype": "message/sip",
        "encoding": encoding,
        "body": expected,
    }


@pytest.mark.parametrize("content_type", ["", "text/\x00", "名/字", "x/" + "y" * 1000])
def test_a_document_of_a_type_that_is_none_is_kept_all_the_same(content_type: str) -> None:
    document = Document(
        at=HANGUP.at, kind="rs-metadata", content_type=content_type, body=b"<x/>", is_cut=True
    )

    (attachment,) = _document(replace(FACTS, events=(document,)))["attachments"]

    assert (attachment["body"], attachment["cut"]) == ("<x/>", True)
    assert len(attachment["mediatype"]) <= 255
    assert attachment["mediatype"].isascii()


def test_what_there_is_no_room_for_is_counted() -> None:
    guests = tuple(Party(number=str(number)) for number in range(100))
    facts = replace(
        FACTS,
        call=replace(GATEWAY_CALL, others=guests),
        events=(Gap(channel=0, start_samples=0, end_samples=9, expected=False),),
        unlisted={Document: 7, Gap: 3, PartiesChanged: 1},
    )

    document, body = _document(facts), _call_body(facts)

    (streams,) = bodies(document, "analysis", "type", "streams")
    assert len(document["parties"]) == 64
    assert body["unlisted"] == {"documents": 7, "parties_changed": 1, "parties": 39}
    assert body["others"] == [*range(3, 64), *[None] * 39]
    assert streams["unlisted"] == {"gaps": 3}


def test_of_a_call_without_streams_nothing_is_told_of_any() -> None:
    assert bodies(_document(FACTS), "analysis", "type", "streams") == []


def test_of_a_key_only_place_and_length_are_told() -> None:
    pressed = Digit(channel=1, position_samples=4_000, duration_ms=120)

    (streams,) = bodies(_document(replace(FACTS, events=(pressed,))), "analysis", "type", "streams")

    assert streams["digits"] == [{"channel": 1, "sample": 4_000, "duration_ms": 120}]


def test_parties_of_whom_nothing_is_known_are_never_taken_for_one_another() -> None:
    nobody = Party(number="")
    unknown = replace(CALL, agent=nobody, customer=nobody, others=(nobody, NURSE))
    change = PartiesChanged(position_samples=9, agent=NURSE, customer=nobody, others=(nobody,))

    facts = replace(FACTS, call=unknown, events=(change, replace(change, agent=nobody, customer=NURSE)))

    document, body = _document(facts), _call_body(facts)
    assert [len(document["parties"]), body["others"]] == [4, [None, 3]]
    assert [(one["agent"], one["customer"], one["others"]) for one in body["parties_changed"]] == [
        (3, 1, [None]),
        (0, 3, [None]),
    ]
