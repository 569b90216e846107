"""Which codings are offered, and what is left of an answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.sources.bridge import coding
from support.sip_peer import describe

ANSWER = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/SAVP 9 0 8 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:KEY\r\na=sendrecv\r\nm=video 0 RTP/AVP 31\r\n"
)


@pytest.mark.parametrize(
    ("formats", "extra", "rate_hz", "expected"),
    [
        ("0 8 101", "", 8000, ("PCMU", "PCMA")),
        ("8 0", "", 8000, ("PCMA", "PCMU")),
        ("9 0", "", 8000, ("PCMU",)),
        ("9 0", "", 16_000, ("G722", "PCMU")),
        ("18 96", "a=rtpmap:96 opus/48000/2\r\n", 16_000, ()),
        ("97 98", "a=rtpmap:97 pcma/8000\r\na=rtpmap:98 G722/8000\r\n", 16_000, ("PCMA", "G722")),
        ("0 0 0", "", 8000, ("PCMU",)),
    ],
)
def test_the_callers_codings_are_known_in_its_order(
    formats: str, extra: str, rate_hz: int, expected: tuple[str, ...]
) -> None:
    assert coding.offered(describe(formats=formats, extra=extra), rate_hz) == expected


def test_only_the_first_audio_counts() -> None:
    text = describe(formats="8") + "m=audio 5000 RTP/AVP 0\r\n"

    assert coding.offered("m=video 1 RTP/AVP 0\r\n" + text, 8000) == ("PCMA",)
    assert coding.offered("", 8000) == ()


@pytest.mark.parametrize(
    ("heard", "rate_hz", "expected"),
    [
        (("PCMA",), 8000, ("PCMA", "PCMU")),
        (("PCMA", "PCMU"), 8000, ("PCMA", "PCMU")),
        (("PCMU",), 16_000, ("PCMU", "PCMA")),
        (("PCMA", "G722"), 16_000, ("PCMA", "G722", "PCMU")),
        (("G722",), 16_000, ("G722", "PCMU", "PCMA")),
        ((), 8000, ("PCMU", "PCMA")),
        ((), 16_000, ("G722", "PCMU", "PCMA")),
    ],
)
def test_the_called_side_is_offered_the_callers_codings_first_and_all_of_g711(
    heard: tuple[str, ...], rate_hz: int, expected: tuple[str, ...]
) -> None:
    assert coding.extended(heard, rate_hz) == expected


def test_an_answer_keeps_one_coding_keys_and_everything_else() -> None:
    kept = coding.narrowed(ANSWER, "PCMA")

    assert "m=audio 4000 RTP/SAVP 8 101\r\n" in kept
    assert "a=rtpmap:9 " not in kept
    assert "a=rtpmap:0 " not in kept
    for line in (
        "a=rtpmap:8 PCMA/8000",
        "a=fmtp:101 0-16",
        "inline:KEY",
        "a=sendrecv",
        "m=video 0 RTP/AVP 31",
    ):
        assert line in kept


@pytest.mark.parametrize("name", ["OPUS", ""])
def test_an_answer_that_has_not_that_coding_stays_as_it_is(name: str) -> None:
    assert coding.narrowed(ANSWER, name) == ANSWER


def test_preferences_are_told_by_the_librarys_names() -> None:
    assert coding.priorities(("PCMA", "PCMU")) == {"PCMA/8000/1": 255, "PCMU/8000/1": 254, "G722/16000/1": 0}


@given(st.text(), st.sampled_from(["PCMU", "PCMA", "G722"]))
def test_no_description_is_too_strange(text: str, name: str) -> None:
    coding.offered(text, 8000)
    coding.narrowed(text, name)
    coding.offered(f"m=audio {text}\na=rtpmap:{text}", 16_000)
    coding.narrowed(f"m=audio {text}\r\na=rtpmap:{text}", name)
