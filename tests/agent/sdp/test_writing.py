"""Writing session descriptions: what is written says what was meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.sdp.parsing import parse_session
from callseal.agent.sdp.session import Crypto, Direction, Format, Media, Session
from callseal.agent.sdp.writing import bytes_of

_WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)
_FORMATS = st.builds(
    Format,
    payload_type=st.integers(96, 127),
    name=st.sampled_from(["OPUS", "TELEPHONE-EVENT", "CN", "AMR-WB", "ILBC"]),
    clock_hz=st.sampled_from([8000, 16000, 48000]),
    channels=st.integers(1, 2),
    fmtp=st.sampled_from(["", "0-15", "octet-align=1; mode-set=0,2"]),
)
_CRYPTOS = st.builds(
    Crypto,
    tag=st.integers(0, 99),
    suite=st.just("AEAD_AES_128_GCM"),
    key_and_salt=st.binary(min_size=28, max_size=28),
    mki=st.binary(max_size=2),
)


@st.composite
def _media(draw: st.DrawFn) -> Media:
    formats = draw(st.lists(_FORMATS, unique_by=lambda known: known.payload_type, max_size=4))
    return Media(
        kind=draw(st.sampled_from(["audio", "video"])),
        port=draw(st.integers(0, 65535)),
        protocol=draw(st.sampled_from(["RTP/AVP", "RTP/SAVP"])),
        formats=tuple(formats),
        payload_types=tuple(str(known.payload_type) for known in formats),
        address=draw(st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1"])),
        direction=draw(st.sampled_from(Direction)),
        label=draw(st.just("") | _WORDS),
        ptime_ms=draw(st.none() | st.integers(1, 200)),
        rtcp_port=draw(st.none() | st.integers(1, 65535)),
        rtcp_mux=draw(st.booleans()),
        crypto=tuple(draw(st.lists(_CRYPTOS, max_size=2))),
        attributes=tuple(draw(st.lists(st.tuples(st.sampled_from(["mid", "maxptime"]), _WORDS), max_size=2))),
    )


@given(
    st.builds(
        Session,
        username=_WORDS,
        session_id=st.integers(0, 2**63).map(str),
        session_version=st.integers(0, 2**63),
        address=st.sampled_from(["192.0.2.1", "2001:db8::1"]),
        media=st.lists(_media(), max_size=3).map(tuple),
        name=_WORDS,
        attributes=st.just((("group", "BUNDLE 1 2"), ("ice-lite", ""))),
    )
)
def test_what_is_written_is_read_again(session: Session) -> None:
    assert parse_session(bytes_of(session)) == session


def test_the_lines_stand_in_the_order_of_the_rfc_and_end_as_it_says() -> None:
    media = Media(
        kind="audio",
        port=30000,
        protocol="RTP/AVP",
        formats=(Format(payload_type=101, name="TELEPHONE-EVENT", clock_hz=8000, fmtp="0-15"),),
        payload_types=("101",),
        address="192.0.2.9",
        direction=Direction.RECVONLY,
        label="1",
    )
    session = Session(
        username="callseal", session_id="5", session_version=1, address="192.0.2.9", media=(media,)
    )

    text = bytes_of(session)

    assert text == (
        b"v=0\r\no=callseal 5 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
        b"m=audio 30000 RTP/AVP 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
        b"a=recvonly\r\na=label:1\r\n"
    )


def test_a_value_that_would_end_a_line_is_not_written() -> None:
    session = Session(
        username="-", session_id="1", session_version=1, address="::1", media=(), name="a\r\nm=audio"
    )

    with pytest.raises(ValueError, match="control character"):
        bytes_of(session)
