"""Reading session descriptions: what gateways write, oddly or not, and what is refused."""

from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.errors import SdpError
from callseal.agent.sdp.parsing import MAX_LINE_CHARS, MAX_LINES, MAX_MEDIA, MAX_SIZE_BYTES, parse_session
from callseal.agent.sdp.session import Direction, Format, Media, Session

USUAL = """\
    v=0
    o=SBC 20518 3 IN IP4 203.0.113.141
    s=SIP Media Capabilities
    c=IN IP4 203.0.113.141
    t=0 0
    m=audio 49170 RTP/AVP 0 18 101
    a=rtpmap:0 PCMU/8000
    a=rtpmap:18 G729/8000
    a=fmtp:18 annexb=no
    a=rtpmap:101 telephone-event/8000
    a=fmtp:101 0-15
    a=ptime:20
    a=sendonly
    a=label:96
"""


def _text(lines: str, end: str = "\r\n") -> bytes:
    return end.join([*dedent(lines).splitlines(), ""]).encode()


def _only(lines: str) -> Media:
    (media,) = parse_session(_text(lines)).media
    return media


def test_what_a_session_border_controller_usually_offers() -> None:
    session = parse_session(_text(USUAL))

    assert session == Session(
        username="SBC",
        session_id="20518",
        session_version=3,
        address="203.0.113.141",
        name="SIP Media Capabilities",
        media=(
            Media(
                kind="audio",
                port=49170,
                protocol="RTP/AVP",
                formats=(
                    Format(payload_type=0, name="PCMU", clock_hz=8000),
                    Format(payload_type=18, name="G729", clock_hz=8000, fmtp="annexb=no"),
                    Format(payload_type=101, name="TELEPHONE-EVENT", clock_hz=8000, fmtp="0-15"),
                ),
                payload_types=("0", "18", "101"),
                address="203.0.113.141",
                direction=Direction.SENDONLY,
                label="96",
                ptime_ms=20,
            ),
        ),
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n"])
def test_any_end_of_line_will_do(end: str) -> None:
    assert parse_session(_text(USUAL, end)) == parse_session(_text(USUAL))


def test_static_payload_types_need_no_explanation() -> None:
    media = _only("m=audio 4000 RTP/AVP 0 8 9 13 18 97")

    assert [(known.name, known.clock_hz) for known in media.formats] == [
        ("PCMU", 8000),
        ("PCMA", 8000),
        ("G722", 8000),
        ("CN", 8000),
        ("G729", 8000),
    ]
    assert media.payload_types == ("0", "8", "9", "13", "18", "97")


def test_an_rtpmap_counts_more_than_the_table() -> None:
    media = _only("m=audio 4000 RTP/AVP 0\na=rtpmap:0 pcma/8000")

    assert media.formats == (Format(payload_type=0, name="PCMA", clock_hz=8000),)


def test_channels_and_parameters_of_a_format_are_kept() -> None:
    media = _only("m=audio 4000 RTP/AVP 111\na=rtpmap:111 opus/48000/2\na=fmtp:111 useinbandfec=1; stereo=0")

    assert media.formats == (
        Format(payload_type=111, name="OPUS", clock_hz=48000, channels=2, fmtp="useinbandfec=1; stereo=0"),
    )


def test_letters_case_and_the_order_of_lines_do_not_count() -> None:
    media = _only("A=SendOnly\nM=Audio 4000 rtp/avp 8\na=Label: x \nC=in ip4 192.0.2.7\nV=0")

    assert (media.kind, media.protocol, media.label) == ("audio", "RTP/AVP", "x")
    assert (media.direction, media.address) == (Direction.SENDONLY, "192.0.2.7")


def test_the_number_of_ports_and_the_time_to_live_are_cut_off() -> None:
    media = _only("m=audio 49170/2 RTP/AVP 0\nc=IN IP4 224.2.1.1/127/3")

    assert (media.port, media.address) == (49170, "224.2.1.1")


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        ("v=0\no=- 1 1 IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 0", ""),
        ("v=0\nc=IN IP4 192.0.2.2\nm=audio 4000 RTP/AVP 0", "192.0.2.2"),
        ("c=IN IP4 192.0.2.2\nm=audio 4000 RTP/AVP 0\nc=IN IP4 192.0.2.3\nc=IN IP4 192.0.2.4", "192.0.2.3"),
        ("m=audio 4000 RTP/AVP 0\nc=IN IP6 2001:db8::7", "2001:db8::7"),
        ("m=audio 4000 RTP/AVP 0\nc=ATM NSAP 47.0091", ""),
    ],
)
def test_where_sound_comes_from_is_the_first_address_of_its_own_or_the_sessions(
    lines: str, address: str
) -> None:
    assert _only(lines).address == address


def test_the_sessions_direction_holds_for_streams_that_say_nothing() -> None:
    session = parse_session(b"a=inactive\nm=audio 4000 RTP/AVP 0\nm=audio 4002 RTP/AVP 0\na=sendonly\n")

    assert [media.direction for media in session.media] == [Direction.INACTIVE, Direction.SENDONLY]


def test_reports_may_come_elsewhere_or_together_with_the_sound() -> None:
    media = _only("m=audio 4000 RTP/AVP 0\na=rtcp:53020 IN IP4 192.0.2.3\na=rtcp-mux")

    assert (media.rtcp_port, media.rtcp_mux) == (53020, True)


def test_what_is_not_understood_is_kept() -> None:
    session = parse_session(
        b"v=0\na=group:BUNDLE 1\nm=audio 4000 RTP/AVP 0\na=maxptime:60\na=mid:1\nz=0\nnonsense\n"
    )

    assert session.attributes == (("group", "BUNDLE 1"),)
    assert session.media[0].attributes == (("maxptime", "60"), ("mid", "1"))
    assert session.media[0].attribute("maxptime") == "60"


def test_a_stream_that_is_no_rtp_keeps_its_formats_as_they_stand() -> None:
    media = _only("m=image 4000 udptl t38")

    assert (media.protocol, media.payload_types, media.formats) == ("UDPTL", ("t38",), ())


def test_a_key_never_shows_in_what_is_printed() -> None:
    key = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
    session = parse_session(
        f"m=audio 4000 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}|2^20\n"
        f"a=crypto:x broken inline:{key}\n".encode()
    )

    assert len(session.media[0].crypto) == 1
    assert key not in repr(session)
    assert repr(session.media[0].crypto[0].key_and_salt) not in repr(session)


def test_a_control_character_can_not_end_a_line_of_our_answer() -> None:
    session = parse_session(b"m=audio 4000 RTP/AVP 0\na=label:1\x0b\x00\x1b2")

    assert session.media[0].label == "12"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\r\n\r\n",
        b"<?xml version='1.0'?><recording/>",
        b"m=audio",
        b"m=audio 99999999 RTP/AVP 0",
        b"m=audio 65536 RTP/AVP 0",
        b"m=audio -1 RTP/AVP 0",
        "m=audio ４０００ RTP/AVP 0".encode(),
        b"m=audio " + b"9" * 4000 + b" RTP/AVP 0",
        b"v=0\n" + b"a=x\n" * MAX_LINES,
        b"v=0\n" + b"m=audio 4000 RTP/AVP 0\n" * (MAX_MEDIA + 1),
        b"v=0\na=" + b"x" * MAX_LINE_CHARS,
        b"v=0\n" + b"a=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n" * (MAX_SIZE_BYTES // 40),
        b"m=audio 4000 RTP/AVP" + b" 0" * 200,
    ],
)
def test_what_is_no_session_description_is_refused(text: bytes) -> None:
    with pytest.raises(SdpError):
        parse_session(text)


@pytest.mark.parametrize(
    "line",
    [
        "a=rtpmap:0",
        "a=rtpmap:999 PCMU/8000",
        "a=rtpmap:0 /8000",
        "a=rtpmap:0 PCMU",
        "a=rtpmap:0 PCMU/fast",
        "a=rtpmap:0 PCMU/99999999999999",
        "a=fmtp:",
        "a=ptime:-20",
        "a=ptime:99999",
        "a=rtcp:",
        "a=rtcp:0",
        "a=crypto:",
        "a=:",
        "a=",
        "o=",
        "o=- - -",
        "o=- 1 " + "9" * 300 + " IN IP4 x",
        "c=",
        "c=IN",
        "b=AS:64",
        "=",
    ],
)
def test_one_bad_line_costs_that_line_and_no_more(line: str) -> None:
    media = _only(f"m=audio 4000 RTP/AVP 0\n{line}")

    assert media == Media(
        kind="audio",
        port=4000,
        protocol="RTP/AVP",
        formats=(Format(payload_type=0, name="PCMU", clock_hz=8000),),
        payload_types=("0",),
        attributes=media.attributes,
    )


_LINES = st.sampled_from(
    [
        "v=0",
        "o=",
        "c=IN IP4 ",
        "m=audio ",
        "m=",
        "a=rtpmap:",
        "a=fmtp:",
        "a=crypto:",
        "a=label:",
        "a=rtcp:",
        "a=ptime:",
    ]
)


@given(st.binary(max_size=400) | st.lists(st.tuples(_LINES, st.text(max_size=40))).map(repr).map(str.encode))
def test_whatever_comes_only_the_remote_error_is_raised(text: bytes) -> None:
    try:
        session = parse_session(text)
    except SdpError:
        return

    assert isinstance(session, Session)


@given(st.lists(st.tuples(_LINES, st.text(max_size=60)), max_size=12))
def test_whatever_stands_in_its_lines_only_the_remote_error_is_raised(lines: list[tuple[str, str]]) -> None:
    text = "\n".join(start + rest for start, rest in lines).encode("utf-8", "replace")

    try:
        session = parse_session(text)
    except SdpError:
        return

    assert all(0 <= media.port <= 65535 for media in session.media)
