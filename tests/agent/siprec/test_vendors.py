"""What makers add of their own: kept, and searchable by one name each."""

import pytest

from callseal.agent.siprec import vendors
from callseal.agent.siprec.conversation import Conversation
from callseal.agent.siprec.document import read_metadata
from callseal.agent.siprec.model import Attribute
from support import siprec_bodies


def told(body: bytes) -> tuple[Attribute, ...]:
    """Give all that makers added to a document."""
    return Conversation().take(read_metadata(body)).all_attributes


@pytest.mark.parametrize(
    ("body", "attributes"),
    [
        (
            siprec_bodies.ORACLE,
            [
                ("oracle:ucid", "00FA080019001038F725B3;encoding=hex"),
                ("oracle:callerOrig", "true"),
                ("oracle:callingParty", "true"),
                ("oracle:callingParty", "false"),
                ("oracle:request-uri", "sip:95099@10.1.0.7:5060"),
                ("oracle:in-realm", "trunk"),
                ("oracle:header.Diversion", "<sip:8003@pbx.example>;reason=no-answer"),
                ("oracle:header.Diversion", "<sip:8004@pbx.example>;reason=busy"),
                ("oracle:header.Call-ID", "3848276298220188511@10.1.0.9"),
            ],
        ),
        (
            siprec_bodies.SONUS,
            [
                ("sonus:fromhdr", '"Front desk" <sip:8001@10.1.0.7>;tag=Serryv'),
                ("sonus:tohdr", "<sip:13800138000@10.1.0.9>;tag=gK00801b2d"),
                ("sonus:callid", "5d07c1b2-0a4c-1235-aa11-52540000beef"),
                ("sonus:gcid", "241205267"),
            ],
        ),
        (
            siprec_bodies.BROADWORKS,
            [
                ("broadworks:extTrackingID", "142208:1"),
                ("broadworks:userID", "li.wei@pbx.example"),
                ("broadworks:callID", "callhalf-11473743407:0"),
                ("broadworks:callType.origCall.callingPartyNumber", "sip:li.wei@pbx.example"),
                ("broadworks:recordingType", "on"),
                ("ext:initiator", "sip:li.wei@pbx.example"),
            ],
        ),
        (
            siprec_bodies.AUDIOCODES,
            [
                ("audiocodes:AvayaUCID", "FA080019001038F725B3"),
                ("audiocodes:GenesysUUID", "4BOKLLA3VH66JF112M1CC9VHKS14F0KP"),
            ],
        ),
        (
            siprec_bodies.netsapiens(
                agent="8001", group="58cc3154ca0bdd2b", sequence=1, transferred_group="9f"
            ),
            [
                ("netsapiens:groupSeq", "1"),
                ("netsapiens:user.userID", "8001@pbx.example"),
                ("netsapiens:user.site", "Shenzhen"),
                ("netsapiens:callingParty.participant_id", "58cc3154ca0bdd2b"),
                ("netsapiens:calledParty.number", "8001"),
                ("netsapiens:xferredGroupID", "9f"),
            ],
        ),
        (siprec_bodies.EMERGENCY_GATEWAY, [("ext:channel", "SIP/8001-073e"), ("ext:role", "calling")]),
    ],
)
def test_each_makers_extensions_are_kept_under_its_name(body: bytes, attributes: list[Attribute]) -> None:
    assert set(attributes) <= set(told(body))


@pytest.mark.parametrize(
    ("element", "attribute"),
    [
        ('<guid xmlns="http://www.cisco.com/siprec">1-2-3-4</guid>', ("cisco:guid", "1-2-3-4")),
        (
            '<extensiondata><m:callId xmlns:m="http://metaswitch.com/r">7</m:callId></extensiondata>',
            ("metaswitch:callId", "7"),
        ),
        ("<extensiondata><apkt:ucid>00FA08</apkt:ucid></extensiondata>", ("oracle:ucid", "00FA08")),
        (
            "<extensiondata xmlns:apkt=http:/acmepacket.com/x><apkt:ucid>0</apkt:ucid></extensiondata>",
            ("oracle:ucid", "0"),
        ),
        ('<z:q xmlns:z="urn:example:nobody"><z:name>claims</z:name></z:q>', ("ext:q.name", "claims")),
        ("<my tag='x'>a  b\n c</my>", ("ext:my", "a b c")),
        ("<a><b c='1'/></a>", ("ext:a.b.c", "1")),
    ],
)
@pytest.mark.parametrize("place", ["session", "participant", "group", "recording"])
def test_an_extension_is_found_wherever_it_stands(place: str, element: str, attribute: Attribute) -> None:
    inner = element if place == "recording" else f"<{place} id='x'>{element}</{place}>"

    assert attribute in told(siprec_bodies.complete(inner))


def test_extensions_beyond_the_limit_are_dropped() -> None:
    many = "".join(f"<x{number}>1</x{number}>" for number in range(1000))

    assert (
        len(told(siprec_bodies.complete(f"<extensiondata>{many}</extensiondata>"))) == vendors.MAX_EXTENSIONS
    )
    assert len(told(siprec_bodies.complete(many))) == vendors.MAX_EXTENSIONS


def test_names_and_values_of_any_length_are_cut() -> None:
    deep = "<ab>" * 15 + "x" * 3000 + "</ab>" * 15

    ((name, value),) = told(siprec_bodies.complete(f"<{'n' * 300}>{deep}</{'n' * 300}>"))

    assert (len(name), len(value)) == (vendors.MAX_NAME_CHARS, vendors.MAX_VALUE_CHARS)
