"""Bodies of several parts: taken apart however a gateway put them together."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.errors import MetadataError
from callseal.agent.siprec import multipart
from callseal.agent.siprec.multipart import metadata_of, parts_of, sdp_of
from support import siprec_bodies

SDP = b"v=0\r\no=- 1 1 IN IP4 10.1.0.9\r\ns=-\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\na=label:1\r\n"
GTD = b"IAM,\r\nGCI,91036128574411e789f9d0ff56c3c658\r\n"


def part(content_type: str, content: bytes, *headers: str, end: bytes = b"\r\n") -> bytes:
    """Write one part with its headers."""
    lines = [f"Content-Type: {content_type}".encode(), *(header.encode() for header in headers)]
    return end.join(lines) + end + end + content


def body(*parts: bytes, boundary: str = "foobar", end: bytes = b"\r\n", closed: bool = True) -> bytes:
    """Write a body of several parts."""
    line = b"--" + boundary.encode()
    last = line + b"--" + end if closed else b""
    return b"".join(line + end + one + end for one in parts) + last


SDP_PART = part("application/sdp", SDP)
METADATA_PART = part(
    "application/rs-metadata+xml", siprec_bodies.CUBE, "Content-Disposition: recording-session"
)
MIXED = "multipart/mixed;boundary=foobar"
USUAL = body(SDP_PART, METADATA_PART)


def pair(content_type: str, whole: bytes) -> tuple[bytes | None, tuple[bytes, ...]]:
    """Give the session description and the metadata of a body."""
    parts = parts_of(content_type, whole)
    return sdp_of(parts), metadata_of(parts)


@pytest.mark.parametrize(
    "content_type",
    [
        MIXED,
        'multipart/mixed;boundary="foobar"',
        "Multipart/Mixed ; boundary=foobar",
        'multipart/mixed; Boundary="foobar" ; x=y',
        "multipart/mixed; boundary = foobar",
        'multipart/mixed; x="a;boundary=no"; boundary=foobar',
        "multipart/mixed;boundary=foobar  ",
        r'multipart/mixed;boundary="foo\bar"',
        "multipart/related; type=application/sdp; boundary=foobar",
        "multipart/mixed",
        "multipart/mixed;boundary=",
        "multipart/mixed;boundary=another",
    ],
)
def test_a_boundary_is_found_however_the_header_names_it(content_type: str) -> None:
    assert pair(content_type, USUAL) == (SDP, (siprec_bodies.CUBE,))


@pytest.mark.parametrize(
    "whole",
    [
        body(METADATA_PART, SDP_PART),
        body(SDP_PART, part("application/gtd", GTD), METADATA_PART),
        body(SDP_PART, METADATA_PART, closed=False).removesuffix(b"\r\n"),
        b"This is a message with several parts.\r\n" + USUAL + b"and this comes behind them\r\n",
        b"\r\n" + USUAL,
        USUAL.replace(b"--foobar\r\n", b"--foobar \t \r\n"),
        body(part("application/sdp", SDP, "Content-Length: 5"), METADATA_PART),
        body(part("application/sdp", SDP, "Content-Length: 99999"), METADATA_PART),
        body(part("application/SDP ; charset=utf-8", SDP), METADATA_PART),
        body(SDP_PART, METADATA_PART.replace(b"+xml", b"")),
        body(SDP_PART, METADATA_PART.replace(b"Content-Type: ", b"content-type:")),
        body(SDP_PART, METADATA_PART.replace(b"Content-Type: ", b"Content-Type\t:\r\n  ")),
        body(SDP_PART, METADATA_PART.replace(b"application/rs-metadata+xml", b"application/ +xml")),
        body(SDP_PART, METADATA_PART.replace(b"Content-Type: application/rs-metadata+xml\r\n", b"")),
        body(b"\r\n" + SDP, METADATA_PART),
        body(SDP_PART.replace(b"\r\n\r\n", b"\r\n", 1), METADATA_PART),
    ],
)
def test_both_parts_are_found_in_any_order_among_others_and_with_any_headers(whole: bytes) -> None:
    assert pair(MIXED, whole) == (SDP, (siprec_bodies.CUBE,))


def test_bare_line_feeds_end_lines_as_well() -> None:
    sdp = SDP.replace(b"\r\n", b"\n")
    metadata = siprec_bodies.SONUS
    whole = body(
        part("application/sdp", sdp, end=b"\n"),
        part("application/rs-metadata", metadata, end=b"\n"),
        end=b"\n",
    )

    assert pair(MIXED, whole) == (sdp, (metadata,))


def test_parts_that_nobody_asked_for_are_kept_as_they_are() -> None:
    isup = part(
        "application/vnd.example.isup", b"\x01\x02\x00\xff", "Content-Disposition: signal;handling=optional"
    )

    parts = parts_of(MIXED, body(SDP_PART, isup, part("application/gtd", GTD)))

    assert [one.content_type for one in parts] == [
        "application/sdp",
        "application/vnd.example.isup",
        "application/gtd",
    ]
    assert (parts[1].body, parts[1].disposition) == (b"\x01\x02\x00\xff", "signal")
    assert parts[2].body == GTD


def test_a_multipart_within_another_is_taken_apart_and_a_deeper_one_kept_whole() -> None:
    deepest = part("multipart/mixed;boundary=third", body(SDP_PART, boundary="third"))
    inner = body(SDP_PART, METADATA_PART, deepest, boundary="second")
    whole = body(part("multipart/alternative;boundary=second", inner), part("application/gtd", GTD))

    parts = parts_of(MIXED, whole)

    assert [one.content_type for one in parts] == [
        "application/sdp",
        "application/rs-metadata+xml",
        "multipart/mixed",
        "application/gtd",
    ]
    assert (sdp_of(parts), metadata_of(parts)) == (SDP, (siprec_bodies.CUBE,))


@pytest.mark.parametrize(
    ("content_type", "whole", "sdp", "metadata"),
    [
        ("application/sdp", SDP, SDP, ()),
        ("application/rs-metadata+xml", siprec_bodies.CUBE, None, (siprec_bodies.CUBE,)),
        ("application/rs-metadata", siprec_bodies.ORACLE, None, (siprec_bodies.ORACLE,)),
        ("", SDP, SDP, ()),
        ("", siprec_bodies.SONUS, None, (siprec_bodies.SONUS,)),
        ("multipart/mixed;boundary=foobar", SDP, SDP, ()),
        ("multipart/mixed;boundary=foobar", siprec_bodies.CUBE, None, (siprec_bodies.CUBE,)),
        ("application/xml", siprec_bodies.BROADWORKS, None, (siprec_bodies.BROADWORKS,)),
        ("text/plain", siprec_bodies.CUBE, None, ()),
        ("application/pidf+xml", b"<presence/>", None, ()),
        ("application/sdp", b"", None, ()),
        ("multipart/mixed;boundary=foobar", b"  \r\n", None, ()),
    ],
)
def test_one_part_may_come_alone(
    content_type: str, whole: bytes, sdp: bytes | None, metadata: tuple[bytes, ...]
) -> None:
    assert pair(content_type, whole) == (sdp, metadata)


def test_several_documents_of_metadata_are_given_in_their_order() -> None:
    second = part("application/rs-metadata", siprec_bodies.DRAFT)

    assert metadata_of(parts_of(MIXED, body(METADATA_PART, SDP_PART, second))) == (
        siprec_bodies.CUBE,
        siprec_bodies.DRAFT,
    )


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("base64", base64.encodebytes(siprec_bodies.CUBE)),
        ("quoted-printable", siprec_bodies.CUBE.replace(b"=", b"=3D")),
        ("binary", siprec_bodies.CUBE),
        ("base64", siprec_bodies.CUBE),
    ],
)
def test_a_transfer_encoding_is_undone_where_it_really_is_one(encoding: str, content: bytes) -> None:
    encoded = part("application/rs-metadata", content, f"Content-Transfer-Encoding: {encoding}")

    assert metadata_of(parts_of(MIXED, body(encoded))) == (siprec_bodies.CUBE,)


def test_a_boundary_that_begins_like_another_line_does_not_end_a_part() -> None:
    gtd = part("application/gtd", b"--foobarbaz\r\n--foo\r\nx--foobar\r\n")

    (one,) = parts_of(MIXED, body(gtd))

    assert one.body == b"--foobarbaz\r\n--foo\r\nx--foobar\r\n"


def test_a_body_without_any_boundary_is_refused() -> None:
    with pytest.raises(MetadataError, match="none can be told"):
        parts_of(MIXED, b"nothing of what the header says")


def test_a_body_larger_than_a_message_may_be_is_refused() -> None:
    with pytest.raises(MetadataError, match="larger"):
        parts_of(MIXED, body(part("application/gtd", bytes(multipart.MAX_BODY_BYTES))))


def test_more_parts_than_any_gateway_sends_are_refused() -> None:
    many = [part("application/gtd", GTD)] * multipart.MAX_PARTS

    parts = parts_of(MIXED, body(*many))

    assert len(parts) == multipart.MAX_PARTS
    with pytest.raises(MetadataError, match="more parts"):
        parts_of(MIXED, body(*many, SDP_PART))


def test_nested_parts_count_towards_the_same_limit() -> None:
    inner = body(*[SDP_PART] * 33, boundary="second")
    nested = part("multipart/mixed;boundary=second", inner)

    with pytest.raises(MetadataError, match="more parts"):
        parts_of(MIXED, body(nested, nested))


def test_a_part_keeps_no_more_headers_than_the_limit() -> None:
    (one,) = parts_of(MIXED, body(part("application/gtd", GTD, *(f"X-{n}: 1" for n in range(100)))))

    assert len(one.headers) == multipart.MAX_HEADERS
    assert one.body == GTD


@given(st.integers(min_value=0, max_value=len(USUAL)))
def test_a_body_that_was_cut_anywhere_is_taken_apart_or_refused(length: int) -> None:
    try:
        parts = parts_of(MIXED, USUAL[:length])
    except MetadataError:
        assert length < 12
    else:
        assert len(parts) <= 2


@given(
    st.text(max_size=60) | st.sampled_from([MIXED, "multipart/mixed", 'multipart/x;boundary="']),
    st.binary(max_size=200)
    | st.lists(
        st.sampled_from([b"--foobar", b"--", b"\r\n", b"\n", b"a: b", b"v=0", b" ", b"--foobar--"])
    ).map(b"".join),
)
def test_any_body_gives_parts_or_the_one_error(content_type: str, whole: bytes) -> None:
    try:
        parts = parts_of(content_type, whole)
    except MetadataError:
        return
    assert sum(len(one.body) for one in parts) <= len(whole)
