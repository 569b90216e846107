"""Metadata in the shapes in which gateways send it: made up here, down to the last number.

The agent is 8001 or 95099 of this house, the customer +86 138 0013 8000; a second agent is 8002.
"""

from typing import Final

CUSTOMER: Final = "+8613800138000"

CUBE: Final = b"""<?xml version="1.0" encoding="UTF-8"?>
<recording xmlns="urn:ietf:params:xml:ns:recording:1">
<datamode>complete</datamode>
<session session_id="c2Vzc2lvbi1vbmU6Y3ViZQ==">
<sipSessionID>a1b2c3d4e5f60718293a4b5c6d7e8f90;remote=0f1e2d3c4b5a69788796a5b4c3d2e1f0</sipSessionID>
<start-time>2026-03-02T09:15:00.040Z</start-time>
</session>
<participant participant_id="cGFydHktYWdlbnQ6Y3ViZQ==">
<nameID aor="sip:8001@10.1.0.7">
</nameID>
</participant>
<participantsessionassoc participant_id="cGFydHktYWdlbnQ6Y3ViZQ==" session_id="c2Vzc2lvbi1vbmU6Y3ViZQ==">
<associate-time>2026-03-02T09:15:00.040Z</associate-time>
</participantsessionassoc>
<stream stream_id="c3RyZWFtLTE6Y3ViZQ==" session_id="c2Vzc2lvbi1vbmU6Y3ViZQ==">
<label>1</label>
</stream>
<participant participant_id="cGFydHktY3VzdDpjdWJl">
<nameID aor="sip:13800138000@10.1.0.9">
<name xml:lang="en">Wang Fang</name>
</nameID>
</participant>
<participantsessionassoc participant_id="cGFydHktY3VzdDpjdWJl" session_id="c2Vzc2lvbi1vbmU6Y3ViZQ==">
<associate-time>2026-03-02T09:15:00.040Z</associate-time>
</participantsessionassoc>
<stream stream_id="c3RyZWFtLTI6Y3ViZQ==" session_id="c2Vzc2lvbi1vbmU6Y3ViZQ==">
<label>2</label>
</stream>
<participantstreamassoc participant_id="cGFydHktYWdlbnQ6Y3ViZQ==">
<send>c3RyZWFtLTE6Y3ViZQ==</send>
<recv>c3RyZWFtLTI6Y3ViZQ==</recv>
</participantstreamassoc>
<participantstreamassoc participant_id="cGFydHktY3VzdDpjdWJl">
<send>c3RyZWFtLTI6Y3ViZQ==</send>
<recv>c3RyZWFtLTE6Y3ViZQ==</recv>
</participantstreamassoc>
</recording>
"""
"""Cisco CUBE: RFC 7865 as it stands; the leg that is recorded first."""

ORACLE: Final = b"""<?xml version='1.0' encoding='UTF-8'?>
<recording xmlns='urn:ietf:params:xml:ns:recording'>
\t<datamode>complete</datamode>
\t<session id="b3JhY2xlLXNlc3Npb24tMQ==">
\t\t<associate-time>2026-03-02T09:15:00</associate-time>
\t\t<extensiondata xmlns:apkt="http:/acmepacket.com/siprec/extensiondata">
\t\t\t<apkt:ucid>00FA080019001038F725B3;encoding=hex</apkt:ucid>
\t\t\t<apkt:callerOrig>true</apkt:callerOrig>
\t\t</extensiondata>
\t</session>
\t<participant id="b3JhY2xlLWNhbGxlcg==" session="b3JhY2xlLXNlc3Npb24tMQ==">
\t\t<nameID aor="sip:13800138000@10.1.0.9">
\t\t\t<name>"WIRELESS CALLER"</name>
\t\t</nameID>
\t\t<send>b3JhY2xlLXN0cmVhbS0x</send>
\t\t<associate-time>2026-03-02T09:15:00</associate-time>
\t\t<extensiondata xmlns:apkt="http://acmepacket.com/siprec/extensiondata">
\t\t\t<apkt:callingParty>true</apkt:callingParty>
\t\t\t<apkt:request-uri>sip:95099@10.1.0.7:5060\t</apkt:request-uri>
\t\t\t<apkt:in-realm>trunk</apkt:in-realm>
\t\t\t<apkt:header label=Diversion>
\t\t\t\t<value>&lt;sip:8003@pbx.example&gt;;reason=no-answer</value>
\t\t\t\t<value>&lt;sip:8004@pbx.example&gt;;reason=busy</value></apkt:header>
\t\t\t<apkt:header label="Call-ID"><value>3848276298220188511@10.1.0.9</value></apkt:header>
\t\t</extensiondata>
\t</participant>
\t<participant id="b3JhY2xlLWNhbGxlZQ==" session="b3JhY2xlLXNlc3Npb24tMQ==">
\t\t<nameID aor="sip:075595099@pbx.example">
\t\t\t<name>95099</name>
\t\t</nameID>
\t\t<send>b3JhY2xlLXN0cmVhbS0y</send>
\t\t<associate-time>2026-03-02T09:15:00</associate-time>
\t\t<extensiondata xmlns:apkt="http://acmepacket.com/siprec/extensiondata">
\t\t\t<apkt:callingParty>false</apkt:callingParty>
\t\t</extensiondata>
\t</participant>
\t<stream id="b3JhY2xlLXN0cmVhbS0x" session="b3JhY2xlLXNlc3Npb24tMQ==">
\t\t<label>201835599</label>
\t\t<mode>separate</mode>
\t\t<associate-time>2026-03-02T09:15:00</associate-time>
\t</stream>
\t<stream id="b3JhY2xlLXN0cmVhbS0y" session="b3JhY2xlLXNlc3Npb24tMQ==">
\t\t<label>201835600</label>
\t\t<mode>separate</mode>
\t\t<associate-time>2026-03-02T09:15:00</associate-time>
\t</stream>
</recording>
"""
"""Oracle: the older namespace, `id`, streams within participants, no zone, attributes without quotes."""

SONUS: Final = b"""<?xml version="1.0" encoding="UTF-8"?>
<tns:recording xmlns:tns='urn:ietf:params:xml:ns:recording'>
    <tns:datamode>complete</tns:datamode>
    <tns:group group_id="c29udXMtZ3JvdXAtMDAwMQ==">
        <tns:associate-time>1970-05-13T03:29:05Z</tns:associate-time>
        <callData xmlns='urn:ietf:params:xml:ns:callData'>
            <fromhdr>"Front desk" &lt;sip:8001@10.1.0.7&gt;;tag=Serryv</fromhdr>
            <tohdr>&lt;sip:13800138000@10.1.0.9&gt;;tag=gK00801b2d</tohdr>
            <callid>5d07c1b2-0a4c-1235-aa11-52540000beef</callid>
            <gcid>241205267</gcid>
        </callData>
    </tns:group>
    <tns:session session_id="c29udXMtc2Vzc2lvbi0wMQ==">
        <tns:group-ref>c29udXMtZ3JvdXAtMDAwMQ==</tns:group-ref>
        <tns:start-time>1970-05-13T03:29:05Z</tns:start-time>
    </tns:session>
    <tns:participant participant_id="c29udXMtcGFydHktMQ==">
        <tns:nameID aor="8001@10.1.0.7">
            <tns:name xml:lang="en">Front desk</tns:name>
        </tns:nameID>
    </tns:participant>
    <tns:participant participant_id="c29udXMtcGFydHktMg==">
        <tns:nameID aor="13800138000@10.1.0.9">
            <tns:name xml:lang="en"> </tns:name>
        </tns:nameID>
    </tns:participant>
    <tns:stream stream_id="c29udXMtc3RyZWFtLTE=" session_id="c29udXMtc2Vzc2lvbi0wMQ==">
        <tns:label>1</tns:label>
    </tns:stream>
    <tns:stream stream_id="c29udXMtc3RyZWFtLTI=" session_id="c29udXMtc2Vzc2lvbi0wMQ==">
        <tns:label>2</tns:label>
    </tns:stream>
    <tns:participantstreamassoc participant_id="c29udXMtcGFydHktMQ==">
        <tns:send>c29udXMtc3RyZWFtLTI=</tns:send>
        <tns:recv>c29udXMtc3RyZWFtLTE=</tns:recv>
    </tns:participantstreamassoc>
    <tns:participantstreamassoc participant_id="c29udXMtcGFydHktMg==">
        <tns:send>c29udXMtc3RyZWFtLTE=</tns:send>
        <tns:recv>c29udXMtc3RyZWFtLTI=</tns:recv>
    </tns:participantstreamassoc>
</tns:recording>
"""
"""Ribbon (Sonus): prefixed elements, a clock that was not set, aors that are no URIs, labels crosswise."""

BROADWORKS: Final = b"""<?xml version="1.0" encoding="UTF-8"?><recording_metadata \
xmlns="urn:ietf:params:xml:ns:siprec"><dataMode>complete</dataMode><recording \
id="urn:uuid:11111111-2222-4333-8444-555555555555"><requestor>SRC</requestor><type>selective</type></recording>\
<group id="urn:uuid:22222222-3333-4444-8555-666666666666" \
recording="urn:uuid:11111111-2222-4333-8444-555555555555"><initiator>sip:li.wei@pbx.example</initiator></group>\
<session id="urn:uuid:33333333-4444-4555-8666-777777777777" \
group="urn:uuid:22222222-3333-4444-8555-666666666666"><start-time>2026-03-02T17:15:00+0800</start-time></session>\
<participant id="urn:uuid:44444444-5555-4666-8777-888888888888" \
session="urn:uuid:33333333-4444-4555-8666-777777777777"><aor>sip:li.wei@pbx.example</aor><send>\
<id>urn:uuid:66666666-7777-4888-8999-aaaaaaaaaaaa</id></send></participant>\
<participant id="urn:uuid:55555555-6666-4777-8888-999999999999" \
session="urn:uuid:33333333-4444-4555-8666-777777777777"><aor>sip:+8613800138000@10.1.0.9;user=phone</aor><send>\
<id>urn:uuid:66666666-7777-4888-8999-aaaaaaaaaaaa</id></send></participant>\
<stream id="urn:uuid:66666666-7777-4888-8999-aaaaaaaaaaaa" \
session="urn:uuid:33333333-4444-4555-8666-777777777777"><label>1</label><mode>mixed</mode></stream>\
<extensiondata id="urn:uuid:77777777-8888-4999-8aaa-bbbbbbbbbbbb" \
parent="urn:uuid:33333333-4444-4555-8666-777777777777"><broadWorksRecordingMetadata \
xmlns="http://schema.broadsoft.com/broadworksCallRecording" version="3.0">\
<extTrackingID>142208:1</extTrackingID>\
<serviceProviderID>Insurer</serviceProviderID><groupID>Claims</groupID><userID>li.wei@pbx.example</userID>\
<callID>callhalf-11473743407:0</callID><callType><origCall>\
<callingPartyNumber>sip:li.wei@pbx.example</callingPartyNumber>\
<calledPartyNumber>sip:+8613800138000@10.1.0.9;user=phone</calledPartyNumber>\
<dialedDigits>sip:013800138000@pbx.example</dialedDigits></origCall></callType>\
<recordingType>on</recordingType></broadWorksRecordingMetadata></extensiondata></recording_metadata>"""
"""BroadWorks: a root of its own, `aor` as an element, `send` with an `id`, one mixed stream, +0800."""

AUDIOCODES: Final = b"""<?xml version="1.0" encoding="UTF-8"?>
<recording xmlns="urn:ietf:params:xml:ns:recording:1" xmlns:ac="http://AudioCodes">
  <datamode>complete</datamode>
  <group group_id="00000000-0000-0005-8e4b-00908fa1b2c3">
    <associate-time>2026-03-02T09:15:00Z</associate-time>
  </group>
  <session session_id="0000-0000-0001-8e4b-00908fa1b2c3">
    <group-ref>00000000-0000-0005-8e4b-00908fa1b2c3</group-ref>
    <ac:AvayaUCID xmlns="urn:ietf:params:xml:ns:Avaya"> FA080019001038F725B3</ac:AvayaUCID>
    <ac:GenesysUUID xmlns="urn:ietf:params:xml:ns:Genesys">4BOKLLA3VH66JF112M1CC9VHKS14F0KP</ac:GenesysUUID>
  </session>
  <participant participant_id="10000000-0000-4000-8000-000000000001"
      session_id="0000-0000-0001-8e4b-00908fa1b2c3">
    <nameID aor="13800138000@10.1.0.9"/>
  </participant>
  <participant participant_id="20000000-0000-4000-8000-000000000002"
      session_id="0000-0000-0001-8e4b-00908fa1b2c3">
    <nameID aor="8001@pbx.example"><name>Zhao & Partner</name></nameID>
  </participant>
  <stream stream_id="30000000-0000-4000-8000-000000000003" session_id="0000-0000-0001-8e4b-00908fa1b2c3">
    <label>1</label>
  </stream>
  <stream stream_id="40000000-0000-4000-8000-000000000004" session_id="0000-0000-0001-8e4b-00908fa1b2c3">
    <label>2</label>
  </stream>
  <participantstreamassoc participant_id="10000000-0000-4000-8000-000000000001">
    <send>30000000-0000-4000-8000-000000000003</send>
    <recv>40000000-0000-4000-8000-000000000004</recv>
  </participantstreamassoc>
  <participantstreamassoc participant_id="20000000-0000-4000-8000-000000000002">
    <send>40000000-0000-4000-8000-000000000004</send>
    <recv>30000000-0000-4000-8000-000000000003</recv>
  </participantstreamassoc>
</recording>
"""
"""AudioCodes: elements of its own in others' namespaces; a bare ampersand."""

SEMS: Final = b"""<?xml version="1.0" encoding="UTF-8"?>
<recording xmlns='urn:ietf:params:xml:ns:recording:1'>
<datamode>complete</datamode>
<session session_id="c2Vtcy1zZXNzaW9uLTAwMQ==">
<start-time>2026-03-02T09:15:00Z</start-time>
</session>
<participant participant_id="c2Vtcy1jYWxsZXItMDE=">
<nameID aor="sip:013800138000@10.1.0.9"><name>013800138000</name></nameID>
</participant>
<participant participant_id="c2Vtcy1jYWxsZWUtMDE=">
<nameID aor="Extension-8001@pbx.example"><name>Main line 8001</name></nameID>
</participant>
<stream stream_id="c2Vtcy1zdHJlYW0tYQ==" session_id="c2Vtcy1zZXNzaW9uLTAwMQ=="><label>a_leg</label></stream>
<stream stream_id="c2Vtcy1zdHJlYW0tYg==" session_id="c2Vtcy1zZXNzaW9uLTAwMQ=="><label>b_leg</label></stream>
<participantsessionassoc participant_id="c2Vtcy1jYWxsZXItMDE=" session_id="c2Vtcy1zZXNzaW9uLTAwMQ=="/>
<participantsessionassoc participant_id="c2Vtcy1jYWxsZWUtMDE=" session_id="c2Vtcy1zZXNzaW9uLTAwMQ=="/>
<participantstreamassoc participant_id="c2Vtcy1jYWxsZXItMDE=">
<send>c2Vtcy1zdHJlYW0tYQ==</send><recv>c2Vtcy1zdHJlYW0tYg==</recv>
</participantstreamassoc>
<participantstreamassoc participant_id="c2Vtcy1jYWxsZWUtMDE=">
<send>c2Vtcy1zdHJlYW0tYg==</send><recv>c2Vtcy1zdHJlYW0tYQ==</recv>
</participantstreamassoc>
</recording>
"""
"""A SEMS-based gateway: labels that are words, an aor that is a line's name."""

EMERGENCY_GATEWAY: Final = b"""<?xml version="1.0" encoding="UTF-8"?>
<recording xmlns='urn:ietf:params:xml:ns:recording:1'>
<dataMode>complete</dataMode>
<group group_id="ZW1lcmdlbmN5LWdyb3VwLTAx"><associate-time>2026-03-02T12:15:00+0300</associate-time></group>
<session session_id="ZW1lcmdlbmN5LXNlc3Npb24x">
<start-time>2026-03-02T12:15:00+0300</start-time>
<group-ref>ZW1lcmdlbmN5LWdyb3VwLTAx</group-ref>
</session>
<stream stream_id="ZW1lcmdlbmN5LXN0cmVhbTE=" session_id="ZW1lcmdlbmN5LXNlc3Npb24x"><label>1</label></stream>
<participant participant_id="ZW1lcmdlbmN5LXBhcnR5LTE=">
<nameID aor="13800138000@10.1.0.9:5060"><name xml:lang="en"></name></nameID>
<channel>SIP/8001-073e</channel>
<role>calling</role>
</participant>
<participantstreamassoc participant_id="ZW1lcmdlbmN5LXBhcnR5LTE=">
<send>ZW1lcmdlbmN5LXN0cmVhbTE=</send>
<recv>ZW1lcmdlbmN5LXN0cmVhbTE=</recv>
</participantstreamassoc>
</recording>
"""
"""A call-taking system: one participant that sends and receives one stream; `dataMode`; +0300."""

CALL_ID_AS_SESSION: Final = b"""<?xml version="1.0" encoding="UTF-8"?>
<recording xmlns='urn:ietf:params:xml:ns:recording:1'>
  <datamode>complete</datamode>
  <session session_id="b3NzLXNlc3Npb24tMDAwMQ==">
    <sipSessionID>2d8abbf0769c66e15bb349f509693d60@10.1.0.9</sipSessionID>
  </session>
  <participant participant_id="b3NzLXBhcnR5LTE=">
    <nameID aor="sip:8001@10.1.0.7"><name>test_user;lang=en-US;id=22</name></nameID>
  </participant>
  <participant participant_id="b3NzLXBhcnR5LTI="><nameID aor="sip:13800138000@trunk.example"/></participant>
  <stream stream_id="b3NzLXN0cmVhbS0x" session_id="b3NzLXNlc3Npb24tMDAwMQ=="><label>1</label></stream>
  <stream stream_id="b3NzLXN0cmVhbS0y" session_id="b3NzLXNlc3Npb24tMDAwMQ=="><label>2</label></stream>
</recording>
"""
"""OpenSIPS: a Call-ID in the place of a session id; nothing says who sends which stream."""

DRAFT: Final = b"""<?xml version='1.0' encoding='UTF-8'?>
<recording-metadata xmlns='urn:ietf:params:xml:ns:recording'>
  <dataMode>partial</dataMode>
  <session id="urn:uuid:79b2fcd8-5c7f-455c-783f-db334e5d57d0">
    <start-time>2026-03-02T09:15:00</start-time>
  </session>
  <participant id="urn:uuid:10ac9063-76b7-40bb-4587-08ba290d7327"
      session="urn:uuid:79b2fcd8-5c7f-455c-783f-db334e5d57d0">
    <aor>sip:8001@pbx.example</aor>
    <name>Front desk </name>
    <send>urn:uuid:07868c77-ef8e-4d6f-6dd5-a02ff53a1329</send>
  </participant>
</recording-metadata>
"""
"""An early draft's form: ids are URNs, `name` beside `aor`."""

EMPTY_IDS: Final = b"""<recording xmlns="urn:ietf:params:xml:ns:recording:1">
<datamode>complete</datamode>
<session session_id=""/>
<participant participant_id=""><nameID aor="sip:13800138000@10.1.0.9"/></participant>
<participant participant_id=""><nameID aor="sip:8001@10.1.0.7"/></participant>
<stream stream_id="" session_id=""><label>1</label></stream>
<stream stream_id="" session_id=""><label>2</label></stream>
<participantstreamassoc participant_id=""><send>1</send><recv></recv></participantstreamassoc>
<participantstreamassoc participant_id=""><send>2</send><recv></recv></participantstreamassoc>
</recording>
"""
"""Ids that are empty, streams that are called by their labels."""

DUMMY: Final = b"""<recording xmlns="urn:ietf:params:xml:ns:recording:1">
<datamode>complete</datamode>
<session session_id="ZHVtbXktc2Vzc2lvbi0wMQ=="/>
<participant participant_id="ZHVtbXktcGFydHktMQ=="><nameID aor="sip:dummy@0.0.0.0"/></participant>
<participant participant_id="ZHVtbXktcGFydHktMg=="><nameID aor="sip:13800138000@10.1.0.9"/></participant>
<participant participant_id="ZHVtbXktcGFydHktMw=="><nameID aor="sip:8001@10.1.0.7"/></participant>
<participant participant_id="ZHVtbXktcGFydHktNA=="/>
<stream stream_id="ZHVtbXktc3RyZWFtLTE="><label>1</label></stream>
<stream stream_id="ZHVtbXktc3RyZWFtLTI="><label>2</label></stream>
<participantstreamassoc participant_id="ZHVtbXktcGFydHktMg=="><send>ZHVtbXktc3RyZWFtLTE=</send>\
</participantstreamassoc>
<participantstreamassoc participant_id="ZHVtbXktcGFydHktMw=="><send>ZHVtbXktc3RyZWFtLTI=</send>\
</participantstreamassoc>
</recording>
"""
"""Participants that only hold a place."""

METASWITCH: Final = b"""<?xml version="1.0" encoding="utf-8"?>
<rs:recording xmlns:rs="urn:ietf:params:xml:ns:recording:1">
<rs:datamode>complete</rs:datamode>
<rs:session session_id="bWV0YS1zZXNzaW9u"/>
<rs:participant participant_id="bWV0YS1wYXJ0LTE=">
<rs:nameID aor="tel:+8613800138000"/>
<m:callInfo xmlns:m="http://metaswitch.example/siprec/1"><m:trunkGroup>carrier-7</m:trunkGroup></m:callInfo>
</rs:participant>
<rs:participant participant_id="bWV0YS1wYXJ0LTI="><rs:nameID aor="sip:8001@10.1.0.7"/></rs:participant>
<rs:stream stream_id="bWV0YS1zdHJlYW0x" session_id="bWV0YS1zZXNzaW9u"><rs:label>caller</rs:label>
</rs:stream>
<rs:stream stream_id="bWV0YS1zdHJlYW0y" session_id="bWV0YS1zZXNzaW9u"><rs:label>callee</rs:label>
</rs:stream>
<rs:participantstreamassoc participant_id="bWV0YS1wYXJ0LTE=">
<rs:send>bWV0YS1zdHJlYW0x</rs:send><rs:recv>bWV0YS1zdHJlYW0y</rs:recv>
</rs:participantstreamassoc>
<rs:participantstreamassoc participant_id="bWV0YS1wYXJ0LTI=">
<rs:send>bWV0YS1zdHJlYW0y</rs:send><rs:recv>bWV0YS1zdHJlYW0x</rs:recv>
</rs:participantstreamassoc>
</rs:recording>
"""
"""A session controller that prefixes each element, calls its labels by words and gives `tel:` addresses."""


def netsapiens(*, agent: str, group: str, sequence: int, transferred_group: str = "") -> bytes:
    """Write what NetSapiens sends: after a transfer a new session of the same group, with the next number."""
    transferred = f"<xferredGroupID>{transferred_group}</xferredGroupID>" if transferred_group else ""
    return f"""<recording xmlns="urn:ietf:params:xml:ns:recording:1">
  <datamode>complete</datamode>
  <group group_id="{group}"><associate-time>2026-03-02T09:15:00Z</associate-time></group>
  <session session_id="2026030209150000063{sequence}">
    <group-ref>{group}</group-ref>
    <sipSessionID>{group};remote=20260302091500-{agent}@pbx.example</sipSessionID>
  </session>
  <participant participant_id="{group}">
    <nameID aor="sip:13800138000@pbx.example"><name>Wang Fang</name></nameID>
  </participant>
  <participant participant_id="20260302091500-{agent}@pbx.example">
    <nameID aor="sip:{agent}@pbx.example"><name>Agent {agent}</name></nameID>
  </participant>
  <stream stream_id="wJwvQ18yqrywIhoZ" session_id="2026030209150000063{sequence}"><label>1</label></stream>
  <stream stream_id="LjU9KTyGQlU7nWe8" session_id="2026030209150000063{sequence}"><label>2</label></stream>
  <participantstreamassoc participant_id="{group}">
    <send>wJwvQ18yqrywIhoZ</send><recv>LjU9KTyGQlU7nWe8</recv>
  </participantstreamassoc>
  <participantstreamassoc participant_id="20260302091500-{agent}@pbx.example">
    <send>LjU9KTyGQlU7nWe8</send><recv>wJwvQ18yqrywIhoZ</recv>
  </participantstreamassoc>
  <netsapiensExtension xmlns="http://schema.netsapiens.com/netsapiensSipRec" version="1.1">
    <groupSeq>{sequence}</groupSeq>
    <user userID="{agent}@pbx.example"><site>Shenzhen</site><callType>termCall</callType></user>
    <callingParty participant_id="{group}"><number>13800138000</number></callingParty>
    <calledParty participant_id="20260302091500-{agent}@pbx.example"><number>{agent}</number></calledParty>
    {transferred}
  </netsapiensExtension>
</recording>
""".encode()


def partial(*elements: str) -> bytes:
    """Write a partial update."""
    inner = "".join(elements)
    namespace = "urn:ietf:params:xml:ns:recording:1"
    return f'<recording xmlns="{namespace}"><datamode>partial</datamode>{inner}</recording>'.encode()


def complete(*elements: str) -> bytes:
    """Write a complete document."""
    return partial(*elements).replace(b">partial<", b">complete<")
