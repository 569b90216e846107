"""Which formats are understood, and how fast their clocks and their samples run."""

import pytest

from callseal.codecs.payload import OFFERED, Payload


@pytest.mark.parametrize(
    ("encoding", "clock_hz", "channels", "rate_hz"),
    [
        ("PCMU", 8000, 1, 8000),
        ("pcma", 8000, 1, 8000),
        ("G722", 8000, 1, 16000),
        ("G722", 16000, 1, 16000),
        ("G729", 8000, 1, 8000),
        ("OPUS", 48000, 2, 16000),
        ("OPUS", 48000, 1, 16000),
        ("AMR", 8000, 1, 8000),
        ("AMR-WB", 16000, 1, 16000),
        ("ILBC", 8000, 1, 8000),
    ],
)
def test_clock_and_samples_of_what_is_understood(
    encoding: str, clock_hz: int, channels: int, rate_hz: int
) -> None:
    payload = Payload.of(encoding, clock_hz=clock_hz, channels=channels)

    assert payload is not None
    assert (payload.encoding, payload.clock_hz, payload.rate_hz) == (encoding.upper(), clock_hz, rate_hz)


@pytest.mark.parametrize(
    ("encoding", "clock_hz", "channels", "fmtp"),
    [
        ("PCMU", 16000, 1, ""),
        ("PCMA", 8000, 2, ""),
        ("OPUS", 48000, 3, ""),
        ("OPUS", 16000, 1, ""),
        ("AMR", 8000, 2, ""),
        ("AMR", 8000, 1, "octet-align=1; crc=1"),
        ("AMR", 8000, 1, "robust-sorting=1"),
        ("AMR-WB", 16000, 1, "INTERLEAVING=4"),
        ("ILBC", 8000, 1, "mode=25"),
        ("SPEEX", 8000, 1, ""),
        ("", 0, 0, ""),
    ],
)
def test_what_is_not_understood_is_none(encoding: str, clock_hz: int, channels: int, fmtp: str) -> None:
    assert Payload.of(encoding, clock_hz=clock_hz, channels=channels, fmtp=fmtp) is None


def test_parameters_say_how_frames_are_packed_and_how_long_they_are() -> None:
    aligned = Payload.of("AMR", clock_hz=8000, fmtp="mode-set=0,2,5,7; Octet-Align = 1 ;crc=0")
    packed = Payload.of("AMR", clock_hz=8000, fmtp="mode-set=7")
    short = Payload.of("ILBC", clock_hz=8000, fmtp="mode=20")
    usual = Payload.of("ILBC", clock_hz=8000)

    assert (aligned is not None and aligned.octet_aligned, packed is not None and packed.octet_aligned) == (
        True,
        False,
    )
    assert (short and short.frame_ms, usual and usual.frame_ms) == (20, 30)


def test_what_we_would_offer_we_understand() -> None:
    assert all(
        Payload.of(one.encoding, clock_hz=one.clock_hz, channels=one.channels, fmtp=one.fmtp)
        for one in OFFERED
    )
