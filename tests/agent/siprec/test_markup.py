"""What is meant to be XML: read as any parser would where it is well-formed, and read where it is not."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.siprec import markup
from callseal.agent.siprec.markup import Element, read_markup, walk

NAMES = st.sampled_from(["recording", "session", "a", "group-ref", "_x", "nameID", "名"])
TEXTS = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Cn"]), max_size=20)
TREES = st.recursive(
    st.builds(ET.Element, NAMES, st.dictionaries(NAMES, TEXTS, max_size=3)),
    lambda children: st.builds(
        lambda name, text, inner: _with(ET.Element(name), text, inner),
        NAMES,
        TEXTS,
        st.lists(children, max_size=4),
    ),
    max_leaves=20,
)


def _with(element: ET.Element, text: str, children: list[ET.Element]) -> ET.Element:
    element.text = text
    element.extend(children)
    return element


def _shape(element: Element) -> object:
    inner = tuple(_shape(child) for child in element.children)
    return (element.name, dict(element.attributes), element.text, inner)


def _shape_of_parsed(element: ET.Element) -> object:
    inner = tuple(_shape_of_parsed(child) for child in element)
    own = "".join((element.text or "", *(child.tail or "" for child in element)))
    return (element.tag, element.attrib, own.strip(), inner)


def only(document: bytes | str) -> Element:
    """Read a document and give its outermost element."""
    body = document if isinstance(document, bytes) else document.encode()
    (element,) = read_markup(body).elements
    return element


@given(TREES)
def test_a_well_formed_document_reads_as_any_parser_reads_it(tree: ET.Element) -> None:
    body = ET.tostring(tree, encoding="utf-8", xml_declaration=True)

    read = read_markup(body)

    assert _shape(read.elements[0]) == _shape_of_parsed(ET.fromstring(body))  # noqa: S314 - our own text
    assert read.oddities == ()


@given(st.binary(max_size=400))
def test_bytes_of_any_kind_are_read_without_an_error(body: bytes) -> None:
    assert isinstance(read_markup(body).elements, tuple)


@given(st.text(alphabet="<>/=\"'&;#x! -[]?ab:\u4e2d ", max_size=200))
def test_angle_brackets_in_any_order_are_read_without_an_error(text: str) -> None:
    read = read_markup(text.encode())

    assert all(isinstance(element.text, str) for top in read.elements for element in walk(top))


@given(st.integers(min_value=0, max_value=200))
def test_a_document_that_was_cut_anywhere_keeps_what_came_before_the_cut(length: int) -> None:
    whole = b'<r><p id="1"><nameID aor="sip:a@b">Li</nameID></p><p id="2">' + b"x" * 150 + b"</p></r>"

    read = read_markup(whole[:length])

    if length > 40:
        assert read.elements[0].children[0].children[0].attributes == {"aor": "sip:a@b"}
        assert read.oddities


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("<n>Smith & Sons</n>", "Smith & Sons"),
        ("<n>a < b</n>", "a < b"),
        ("<n>1 <2 and 3> 2</n>", "1 <2 and 3> 2"),
        ("<n>&lt;sip:a@b&gt; &amp; &#20013;&#x6587;</n>", "<sip:a@b> & 中文"),
        ("<n>&nbsp;&unknown;</n>", "&nbsp;&unknown;"),
        ("<n><![CDATA[a <b> & c]]></n>", "a <b> & c"),
        ("<n>before<!-- <x> -->after</n>", "beforeafter"),
        ("<n>&#0;&#xD800;&#x110000;</n>", "\ufffd\ufffd\ufffd"),
        ("<n>a\x00b\x1bc</n>", "a\ufffdb\ufffdc"),
        ("<n>open", "open"),
    ],
)
def test_characters_that_were_not_escaped_are_taken_as_they_stand(text: str, value: str) -> None:
    assert only(text).text == value


@pytest.mark.parametrize(
    ("tag", "attributes"),
    [
        ("<n a=\"1\" b='2'/>", {"a": "1", "b": "2"}),
        ("<n label=P-Asserted-Identity>", {"label": "P-Asserted-Identity"}),
        ("<n label=P-Asserted-Identity/>", {"label": "P-Asserted-Identity"}),
        ('<n aor="<sip:1@h>">', {"aor": "<sip:1@h>"}),
        ('<n a="x>y">', {"a": "x>y"}),
        ('<n a="&lt;&amp;"/>', {"a": "<&"}),
        ('<n a = "1"\n\tb="2" />', {"a": "1", "b": "2"}),
        ('<n xml:lang="en">', {"lang": "en"}),
        ('<n a="1" a="2">', {"a": "1"}),
        ("<n flag>", {}),
    ],
)
def test_attributes_are_read_with_quotes_and_without(tag: str, attributes: dict[str, str]) -> None:
    assert only(tag).attributes == attributes


def test_a_prefix_gives_an_element_its_namespace_wherever_it_was_declared() -> None:
    root = only(
        '<t:r xmlns:t="one" xmlns="two"><a/><t:b/><c xmlns="three" xmlns:v="four"><d/><t:f/></c><u:e/></t:r>'
    )

    found = {element.name: (element.prefix, element.namespace) for element in walk(root)}

    assert found == {
        "r": ("t", "one"),
        "a": ("", "two"),
        "b": ("t", "one"),
        "c": ("", "three"),
        "d": ("", "three"),
        "f": ("t", "one"),
        "e": ("u", ""),
    }


@pytest.mark.parametrize("text", ["<a><b>1</a>", "<a></x><b>1</b></a>", "<a><b>1</b></a></a>"])
def test_ends_that_do_not_match_cost_no_element(text: str) -> None:
    read = read_markup(text.encode())

    assert read.elements[0].children[0].text == "1"
    assert read.oddities == ("the document is not well-formed XML",)


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf<n>\xe6\xb1\x9f</n>",
        "<n>江</n>".encode("utf-16"),
        "<n>江</n>".encode("utf-16-le"),
        "<n>江</n>".encode("utf-16-be"),
        '<?xml version="1.0" encoding="GB2312"?><n>江</n>'.encode("gb18030"),
        '<?xml version="1.0" encoding="UTF-16"?><n>江</n>'.encode(),
        '<?xml version="1.0" encoding="ISO-8859-1"?><n>江</n>'.encode(),
        '<?xml version="1.0" encoding="no-such-thing"?><n>江</n>'.encode(),
    ],
)
def test_a_name_is_legible_whatever_encoding_the_document_has_or_claims(body: bytes) -> None:
    assert only(body).text == "江"


def test_bytes_in_no_encoding_at_all_cost_no_more_than_themselves() -> None:
    read = read_markup(b"<r><n>\xff\xfe\xfa</n><m>Li</m></r>")

    assert [child.text for child in read.elements[0].children] == ["\ufffd\ufffd\ufffd", "Li"]
    assert "the document's bytes are not in the encoding that it names" in read.oddities


def test_entities_of_a_document_type_are_neither_declared_nor_expanded_nor_fetched() -> None:
    body = b"""<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;"><!ENTITY x SYSTEM "file:///etc/passwd">]>
    <r><n>&b;</n><m>&x;</m></r>"""

    read = read_markup(body)

    assert [child.text for child in read.elements[-1].children] == ["&b;", "&x;"]
    assert "the document has a document type, which was not read" in read.oddities


def test_a_document_deeper_than_any_real_one_is_read_to_a_limit() -> None:
    read = read_markup(b"<a>" * 10_000)

    depth = 0
    element = read.elements[0]
    while element.children:
        element, depth = element.children[0], depth + 1
    assert depth < markup.MAX_DEPTH
    assert "the document is longer or deeper than is read" in read.oddities


@pytest.mark.parametrize("piece", [b"<a/>", b"<a b='1'>x</a>", b"<", b"<a ", b"<!--", b"&amp;", b'<a b="'])
def test_a_document_longer_than_any_real_one_is_read_to_a_limit(piece: bytes) -> None:
    read = read_markup(b"<r>" + piece * (2 * markup.MAX_DOCUMENT_BYTES // len(piece)))

    assert sum(1 for top in read.elements for _ in walk(top)) <= markup.MAX_ELEMENTS + 1
    assert all(len(element.text) <= markup.MAX_TEXT_CHARS for top in read.elements for element in walk(top))
    assert "the document is longer or deeper than is read" in read.oddities


def test_an_element_keeps_no_more_attributes_than_the_limit() -> None:
    tag = "<n " + " ".join(f'a{number}="1"' for number in range(1000)) + "/>"

    assert len(only(tag).attributes) == markup.MAX_ATTRIBUTES
