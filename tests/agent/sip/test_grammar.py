"""What SIP headers are made of: lists, parameters and quotes are taken apart where they end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.grammar import (
    MAX_FIELDS,
    find_param,
    long_name,
    read_fields,
    read_params,
    split_list,
    split_name_addr,
    unquote,
    write_params,
    written_name,
)

LONG = 100_000
ODD = st.text(st.sampled_from('",;<>\\=:@ \ta'), max_size=40) | st.text(max_size=40)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("timer, 100rel ,\treplaces", ["timer", "100rel", "replaces"]),
        ("", []),
        (" , ,, ", []),
        ('"A, B" <sip:a,b@x>;q=1, <sip:c@y>', ['"A, B" <sip:a,b@x>;q=1', "<sip:c@y>"]),
        (r'"say \", no" <sip:a@x>, b', [r'"say \", no" <sip:a@x>', "b"]),
        (r'"ends with \\" <sip:a@x>, b', [r'"ends with \\" <sip:a@x>', "b"]),
        ('"no end, b', ['"no end, b']),
        ("<no end, b", ["<no end, b"]),
        ("<<<>>>, b", ["<<<>>>", "b"]),
        ("*", ["*"]),
    ],
)
def test_a_list_is_split_at_commas_outside_quotes_and_brackets(text: str, items: list[str]) -> None:
    assert split_list(text) == items


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("", ()),
        (";lr", (("lr", ""),)),
        (" ; Tag = One;lr ;q=0.5", (("tag", "One"), ("lr", ""), ("q", "0.5"))),
        (";;a;;", (("a", ""),)),
        (';x="a;tag=b";tag=c', (("x", '"a;tag=b"'), ("tag", "c"))),
        (";x=<a;b>;y=1=2", (("x", "<a;b>"), ("y", "1=2"))),
    ],
)
def test_parameters_are_read(text: str, params: tuple[tuple[str, str], ...]) -> None:
    assert read_params(text) == params


def test_parameters_are_written_as_they_were_read() -> None:
    text = ';branch=z9hG4bK-1;rport;x="a; b"'

    assert write_params(read_params(text)) == text


def test_of_two_parameters_of_one_name_the_first_counts() -> None:
    params = read_params(";tag=a;TAG=b")

    assert find_param(params, "tag") == "a"
    assert find_param(params, "lr") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"A \\"B\\" \\\\"', 'A "B" \\'),
        ("plain", "plain"),
        ('""', ""),
        ('"', '"'),
        ('"half', '"half'),
        ('"\\\0"', "\0"),
    ],
)
def test_a_quoted_string_says_what_it_says(text: str, said: str) -> None:
    assert unquote(text) == said


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<sip:a@x>;tag=1", ("", "sip:a@x", ";tag=1")),
        ("Alice <sip:a@x;lr>;tag=1", ("Alice", "sip:a@x;lr", ";tag=1")),
        ("sip:a@x;tag=1", ("", "sip:a@x", ";tag=1")),
        ('"A <b>;tag=no" <sip:a@x>;tag=1', ('"A <b>;tag=no"', "sip:a@x", ";tag=1")),
        ('A "B" c<sip:a@x>', ('A "B" c', "sip:a@x", "")),
        ('sip:a@x;x="<";tag=1', ("", "sip:a@x", ';x="<";tag=1')),
        ('<sip:a@x>;x="half', ("", "sip:a@x", ';x="half')),
        ("", ("", "", "")),
    ],
)
def test_an_address_is_taken_apart(text: str, parts: tuple[str, str, str]) -> None:
    assert split_name_addr(text) == parts


@pytest.mark.parametrize("text", ['"A <sip:a@x>;tag=1', "A <sip:a@x;tag=1", '"A" "<sip:a@x>', '"'])
def test_half_a_quote_and_half_a_bracket_are_refused(text: str) -> None:
    with pytest.raises(SipSyntaxError) as caught:
        split_name_addr(text)

    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("name", "long"),
    [
        ("Via", "via"),
        ("v", "via"),
        ("V", "via"),
        ("I \t", "call-id"),
        ("X-Own", "x-own"),
        ("a b", ""),
        ("", ""),
        ("é", ""),
    ],
)
def test_names_are_long_and_lower_case(name: str, long: str) -> None:
    assert long_name(name) == long


@pytest.mark.parametrize(
    "name", ["Call-ID", "CSeq", "RSeq", "MIME-Version", "WWW-Authenticate", "Session-Expires", "X-Own"]
)
def test_names_are_written_as_rfcs_write_them(name: str) -> None:
    assert written_name(name.lower()) == name
    assert long_name(name) == name.lower()


def test_fields_beyond_the_limit_are_not_kept() -> None:
    fields, is_whole = read_fields(["Supported: " + ",".join("abcd" * 100)] * 3)

    assert len(fields) == MAX_FIELDS
    assert not is_whole


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece", ['"', '\\"', '"a', "<", "<<>", ",", ";", " ", "=", 'a"', "a", '"a\\', '"\\" ']
)
def test_no_text_takes_longer_than_its_length(piece: str) -> None:
    """Backtracking over one of these would take until the end of the year."""
    text = piece * (LONG // len(piece))

    assert sum(map(len, split_list(text))) <= len(text)
    assert sum(len(name) + len(value) for name, value in read_params(text)) <= len(text)
    assert sum(map(len, _parts(text))) <= len(text)


@given(text=ODD)
def test_any_text_is_taken_apart_or_is_the_peers_fault(text: str) -> None:
    params = read_params(text)

    assert all(split_list(text))
    assert len(unquote(text)) <= len(text)
    assert read_params(write_params(params)) == params
    assert sum(map(len, _parts(text))) <= len(text)


def _parts(text: str) -> tuple[str, ...]:
    try:
        return split_name_addr(text)
    except SipSyntaxError:
        return ()
