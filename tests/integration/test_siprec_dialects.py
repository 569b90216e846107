"""Every gateway has its own way to say the same: whatever it says, its calls are recorded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from support.desk import Recorded
from support.recording_server import (
    REQUIRE,
    Copies,
    Copy,
    RecordingServer,
    channels_of,
    metadata,
    multipart,
    ports_of,
    session,
)
from support.siprec_bodies import (
    AUDIOCODES,
    BROADWORKS,
    CALL_ID_AS_SESSION,
    CUBE,
    CUSTOMER,
    DRAFT,
    DUMMY,
    EMERGENCY_GATEWAY,
    EMPTY_IDS,
    METASWITCH,
    ORACLE,
    SEMS,
    SONUS,
    netsapiens,
)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("siprec"),
]

SOUND_S = 0.4
BOUNDARY = "cut-here"
SDP_PART = f"Content-Type: application/sdp\r\n\r\n{session()}"
METADATA_PART = (
    "Content-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session\r\n\r\n" + metadata()
)


@pytest.fixture(scope="module")
def gateway(server: RecordingServer) -> Iterator[Copies]:
    with server.gateway() as copies:
        yield copies


# --- the INVITE itself ----------------------------------------------------------------------------------


def _contact(parameters: str) -> Callable[[str], str]:
    """Give the Contact these parameters."""
    return lambda invite: invite.replace("\r\nMax-Forwards", f"{parameters}\r\nMax-Forwards", 1)


def _require(line: str) -> Callable[[str], str]:
    return lambda invite: invite.replace(REQUIRE, line)


INVITES: dict[str, Callable[[str], str]] = {
    "require absent": _require(""),
    "require with reliable provisional responses": _require("Require: 100rel,siprec\r\n"),
    "require in two lines": _require("Require: 100rel\r\nRequire: siprec\r\n"),
    "contact as RFC 7866 has it": _contact(";+sip.src"),
    "contact with a bare tag": _contact(";src"),
    "contact of a focus": _contact(";isfocus"),
    "no contact": lambda invite: "".join(
        line for line in invite.splitlines(keepends=True) if not line.startswith("Contact:")
    ),
    "header names cut short": lambda invite: invite.replace("Content-Type:", "c:").replace("Call-ID:", "i:"),
    "headers of other things": _require("Require: siprec\r\nX-Anything: \xff\xfe\r\nAccept: */*\r\n"),
}


def _parts(*parts: str, opening: str = f"--{BOUNDARY}\r\n", closing: str = f"--{BOUNDARY}--\r\n") -> str:
    return "".join(f"{opening}{part}\r\n" for part in parts) + closing


_GTD = (
    "Content-Type: application/gtd;charset=utf-8\r\n"
    "Content-Disposition: signal;handling=optional\r\n\r\nIAM,\r\n"
)
_MULTIPART = f"Content-Type: multipart/mixed;boundary={BOUNDARY}\r\n"
_USUAL = _parts(SDP_PART, METADATA_PART)

BODIES: dict[str, tuple[str, str]] = {
    "metadata before the description": (_parts(METADATA_PART, SDP_PART), _MULTIPART),
    "a quoted boundary": (
        _parts(SDP_PART, METADATA_PART, opening="--a b=c:1\r\n", closing="--a b=c:1--\r\n"),
        'Content-Type: multipart/mixed;boundary="a b=c:1"\r\n',
    ),
    "blanks behind the boundary": (
        _parts(SDP_PART, METADATA_PART, opening=f"--{BOUNDARY}  \r\n"),
        _MULTIPART,
    ),
    "bare line feeds": (_USUAL.replace("\r\n", "\n"), _MULTIPART),
    "parts that nobody asked for": (_parts(_GTD, SDP_PART, METADATA_PART, _GTD), _MULTIPART),
    "no last boundary": (_parts(SDP_PART, METADATA_PART, closing=""), _MULTIPART),
    "the newer media type": (_USUAL.replace("rs-metadata+xml", "rs-metadata"), _MULTIPART),
    "media types in capitals": (
        _USUAL.replace("application/sdp", "Application/SDP"),
        f"Content-Type: Multipart/Mixed; Boundary={BOUNDARY}\r\n",
    ),
    "a boundary that nothing begins with": (_USUAL, "Content-Type: multipart/mixed;boundary=other\r\n"),
    "a preamble": (f"This message has several parts.\r\n{_USUAL}", _MULTIPART),
}


def _length(change: Callable[[int], int]) -> Callable[[str], str]:
    def edit(invite: str) -> str:
        head, _, body = invite.partition("\r\n\r\n")
        return f"{head.replace(f'Length: {len(body)}', f'Length: {change(len(body))}')}\r\n\r\n{body}"

    return edit


LENGTHS: dict[str, Callable[[str], str]] = {
    "a length that promises more": _length(lambda size: size + 200),
    "a length without the line's end behind the last boundary": _length(lambda size: size - 2),
    "a length that cuts the metadata's end": _length(lambda size: size - 60),
}


@pytest.fixture(scope="module")
def odd_calls(server: RecordingServer, gateway: Copies) -> dict[str, tuple[Recorded, list[bytes]]]:
    """Copy one call in each of these ways, all at the same time."""
    copies: dict[str, Copy] = {}
    usual, headers = multipart(session(), metadata())
    for name, edit in (INVITES | LENGTHS).items():
        copies[name] = gateway.copy(usual, headers, edit=edit)
    for name, (body, how) in BODIES.items():
        copies[name] = gateway.copy(body, how)
    sounds = gateway.talk_in(list(copies.values()), SOUND_S)
    for copy in copies.values():
        copy.bye()
    recorded = server.of(*copies.values())
    return dict(zip(copies, zip(recorded, sounds, strict=True), strict=True))


@pytest.mark.parametrize("name", [*INVITES, *LENGTHS, *BODIES])
def test_an_invite_of_any_shape_is_understood(
    odd_calls: dict[str, tuple[Recorded, list[bytes]]], name: str
) -> None:
    recorded, sounds = odd_calls[name]

    agent, customer = channels_of(recorded.inner)

    assert sounds[0] in agent
    assert sounds[1] in customer
    assert recorded.vcon["parties"][1]["tel"] == CUSTOMER
    assert recorded.call["conversation"] == "g-7f3a90cc5d1e"


def test_the_invite_and_each_document_of_metadata_are_kept_as_they_came(
    server: RecordingServer, gateway: Copies
) -> None:
    body, headers = multipart(session(), metadata(agent="6009"))
    sent: list[str] = []

    def seen(invite: str) -> str:
        sent.append(invite)
        return invite

    copy = gateway.copy(body, headers, edit=seen)
    later = metadata(agent="6010")

    copy.again(later, "Content-Type: application/rs-metadata+xml\r\n", "UPDATE")
    copy.bye()

    kept = server.of(copy)[0].vcon["attachments"]
    messages = [one["body"] for one in kept if one["purpose"] == "sip-message"]
    documents = [one["body"] for one in kept if one["purpose"] == "rs-metadata"]
    assert messages[0] == sent[0]
    assert messages[1].startswith("UPDATE ")
    assert documents == [metadata(agent="6009"), later]


def test_who_takes_part_may_be_told_in_an_update_right_behind_the_invite(
    server: RecordingServer, gateway: Copies
) -> None:
    copy = gateway.copy(session(), "Content-Type: application/sdp\r\n")
    document = metadata(agent="+8613800138000", customer="6002")
    headers = "Content-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session\r\n"

    answer = copy.again(document, headers, "UPDATE")
    sounds = gateway.talk(copy, SOUND_S)
    copy.bye()

    recorded = server.of(copy)[0]
    agent, customer = channels_of(recorded.inner)
    assert answer.code == 200
    assert answer.body == ""
    assert sounds[1] in agent
    assert sounds[0] in customer
    assert recorded.vcon["parties"][0]["sip"] == "sip:6002@carrier.example"
    assert "parties_changed" not in recorded.call


def test_an_update_may_come_before_the_answer_was_acknowledged(
    server: RecordingServer, gateway: Copies
) -> None:
    headers = "Content-Type: application/rs-metadata+xml\r\n"
    dialog = gateway.peer.call("srs", user="gateway")
    dialog.ask("INVITE", session())
    taken = dialog.final("INVITE")
    dialog.remote = taken.header("To")
    dialog.ask("UPDATE", metadata(agent="6003"), headers)
    updated = dialog.final("UPDATE")

    dialog.acknowledge(taken)
    copy = Copy(dialog=dialog, answer=taken, ports=ports_of(taken))
    sounds = gateway.talk(copy, SOUND_S)
    copy.bye()

    recorded = server.of(copy)[0]
    assert updated.code == 200
    assert sounds[0] in channels_of(recorded.inner)[0]
    assert recorded.vcon["parties"][0]["sip"] == "sip:6003@house.example"


@pytest.mark.parametrize(
    "document",
    [
        "<recording",
        "",
        "no markup at all",
        '<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/passwd">]><recording>&e;</recording>',
    ],
)
def test_metadata_that_nobody_can_read_cost_no_sound(
    server: RecordingServer, gateway: Copies, document: str
) -> None:
    body, headers = multipart(session(), document)
    copy = gateway.copy(body, headers)

    sounds = gateway.talk(copy, SOUND_S)
    copy.bye()

    recorded = server.of(copy)[0]
    agent, customer = channels_of(recorded.inner)
    assert sounds[0] in customer
    assert sounds[1] in agent
    assert "root:" not in str(recorded.vcon)


# --- the makers' dialects -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dialect:
    """How a maker's gateway tells of a call, and what a recorder has to understand."""

    document: bytes
    labels: tuple[str, ...] = ("1", "2")
    agent: int | None = 0
    """Which m-line has the agent's voice; None where one has all voices."""
    party: str = "sip:8001@10.1.0.7"
    direction: str = "unknown"
    attributes: dict[str, str] = field(default_factory=dict)
    headers: str = ""


DIALECTS: dict[str, Dialect] = {
    "Cisco CUBE": Dialect(
        document=CUBE,
        headers="User-Agent: Cisco-SIPGateway/IOS-17.9\r\n"
        "Cisco-Guid: 2712847316-3858764305-2147484160-0200148480\r\n",
        attributes={"cisco:guid": "a1b2c3d4e6001211800002000bee0600"},
    ),
    "Oracle": Dialect(
        document=ORACLE,
        labels=("201835599", "201835600"),
        agent=1,
        party="sip:075595099@pbx.example",
        direction="inbound",
        attributes={
            "oracle:ucid": "00FA080019001038F725B3;encoding=hex",
            "oracle:callerOrig": "true",
            "oracle:in-realm": "trunk",
            "oracle:header.Call-ID": "3848276298220188511@10.1.0.9",
        },
    ),
    "Ribbon": Dialect(
        document=SONUS,
        agent=1,
        party="8001@10.1.0.7",
        direction="outbound",
        attributes={
            "sonus:gcid": "241205267",
            "sonus:callid": "5d07c1b2-0a4c-1235-aa11-52540000beef",
        },
    ),
    "BroadWorks": Dialect(
        document=BROADWORKS,
        labels=("1",),
        agent=None,
        party="sip:li.wei@pbx.example",
        direction="outbound",
        attributes={
            "broadworks:extTrackingID": "142208:1",
            "broadworks:serviceProviderID": "Insurer",
            "broadworks:callID": "callhalf-11473743407:0",
            "broadworks:callType.origCall.dialedDigits": "sip:013800138000@pbx.example",
        },
    ),
    "AudioCodes": Dialect(
        document=AUDIOCODES,
        agent=1,
        party="8001@pbx.example",
        direction="inbound",
        attributes={
            "audiocodes:AvayaUCID": "FA080019001038F725B3",
            "audiocodes:GenesysUUID": "4BOKLLA3VH66JF112M1CC9VHKS14F0KP",
        },
    ),
    "NetSapiens": Dialect(
        document=netsapiens(agent="8001", group="20260302091500000631", sequence=1),
        agent=1,
        party="sip:8001@pbx.example",
        direction="inbound",
        attributes={
            "netsapiens:groupSeq": "1",
            "netsapiens:user.userID": "8001@pbx.example",
            "netsapiens:user.site": "Shenzhen",
            "netsapiens:callingParty.number": "13800138000",
        },
    ),
    "Metaswitch": Dialect(
        document=METASWITCH,
        labels=("caller", "callee"),
        agent=1,
        direction="inbound",
        attributes={"metaswitch:callInfo.trunkGroup": "carrier-7"},
    ),
    "SEMS": Dialect(
        document=SEMS,
        labels=("a_leg", "b_leg"),
        agent=1,
        party="Extension-8001@pbx.example",
        direction="inbound",
    ),
    "OpenSIPS": Dialect(document=CALL_ID_AS_SESSION, direction="outbound"),
    "empty ids": Dialect(document=EMPTY_IDS, agent=1, direction="inbound"),
    "dummies": Dialect(document=DUMMY, agent=1, direction="inbound"),
    "an early draft": Dialect(document=DRAFT, labels=("1",), agent=None, party="sip:8001@pbx.example"),
    "a call-taking system": Dialect(document=EMERGENCY_GATEWAY, labels=("1",), agent=None, party=""),
}


@pytest.fixture(scope="module")
def makers(server: RecordingServer, gateway: Copies) -> dict[str, tuple[Recorded, list[bytes]]]:
    """Copy one call in each maker's way, all at the same time."""
    copies = {}
    for name, dialect in DIALECTS.items():
        document = dialect.document.decode("latin-1")
        body, headers = multipart(session(labels=dialect.labels), document, "uniqueBoundary")
        copies[name] = gateway.copy(body, headers + dialect.headers)
    sounds = gateway.talk_in(list(copies.values()), SOUND_S)
    for copy in copies.values():
        copy.bye()
    recorded = server.of(*copies.values())
    return dict(zip(copies, zip(recorded, sounds, strict=True), strict=True))


@pytest.mark.parametrize("name", DIALECTS)
def test_each_makers_gateway_is_understood(
    makers: dict[str, tuple[Recorded, list[bytes]]], name: str
) -> None:
    recorded, sounds = makers[name]
    dialect = DIALECTS[name]

    channels = channels_of(recorded.inner)

    if dialect.agent is None:
        assert all(sounds[0] in channel for channel in channels)
    else:
        assert sounds[dialect.agent] in channels[0]
        assert sounds[1 - dialect.agent] in channels[1]
    assert recorded.vcon["parties"][0].get("sip", "") == dialect.party
    assert recorded.call["direction"] == dialect.direction
    assert dialect.attributes.items() <= recorded.call.get("attributes", {}).items()
