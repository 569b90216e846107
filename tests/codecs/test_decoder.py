"""Sound in codings other than G.711: decoded at the rate that is wanted, broken or not."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callseal.codecs.decoder import MAX_PACKET_MS, Decoder, available, decoder_for
from callseal.codecs.payload import Payload
from support.coded_speech import LEVEL, TONE_HZ, coded, level, strongest_hz, tone

WHOLE = {
    "G722": Payload(encoding="G722", clock_hz=8000, rate_hz=16000),
    "G729": Payload(encoding="G729", clock_hz=8000, rate_hz=8000),
    "OPUS": Payload(encoding="OPUS", clock_hz=48000, rate_hz=16000),
    "AMR": Payload(encoding="AMR", clock_hz=8000, rate_hz=8000, octet_aligned=True),
    "AMR-WB": Payload(encoding="AMR-WB", clock_hz=16000, rate_hz=16000, octet_aligned=True),
    "ILBC": Payload(encoding="ILBC", clock_hz=8000, rate_hz=8000, frame_ms=30),
}
ENCODERS = {
    "G722": ("g722", 16000, 0),
    "OPUS": ("libopus", 48000, 64000),
    "AMR": ("libopencore_amrnb", 8000, 12200),
}
NO_REQUEST = b"\xf0"


def _decoder(encoding: str, *, rate_hz: int = 16000) -> Decoder:
    decoder = decoder_for(WHOLE[encoding], rate_hz=rate_hz)
    assert decoder is not None
    return decoder


def _packets(encoding: str) -> list[bytes]:
    encoder, rate_hz, bits_per_s = ENCODERS[encoding]
    frames = coded(encoder, tone(rate_hz), rate_hz=rate_hz, bits_per_s=bits_per_s)
    return [NO_REQUEST + frame for frame in frames] if encoding == "AMR" else frames


def test_the_extra_brings_all_that_is_promised() -> None:
    assert available() == {"PCMU", "PCMA", *WHOLE}


@pytest.mark.parametrize("encoding", ENCODERS)
@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_a_tone_is_the_same_tone_when_it_is_decoded(encoding: str, rate_hz: int) -> None:
    packets = _packets(encoding)

    pieces = _decoder(encoding, rate_hz=rate_hz).decode(range(len(packets)), packets)

    sound = np.concatenate(pieces)[rate_hz // 4 : rate_hz * 3 // 4]
    assert {len(piece) for piece in pieces} == {rate_hz // 50}
    assert strongest_hz(sound, rate_hz) == pytest.approx(TONE_HZ, abs=2)
    assert level(sound) == pytest.approx(LEVEL, rel=0.1)


@pytest.mark.parametrize(
    ("encoding", "payload", "milliseconds"),
    [
        ("G722", bytes(80), 10),
        ("G722", bytes(240), 30),
        ("G729", bytes(20), 20),
        ("G729", bytes(60), 60),
        ("G729", bytes(12), 20),
        ("G729", bytes(2), 10),
        ("ILBC", bytes(50), 30),
        ("ILBC", bytes(100), 60),
        ("AMR", NO_REQUEST + b"\x7c", 20),
        ("AMR", NO_REQUEST + b"\xbc\x3c" + bytes(31) + bytes(31), 40),
        ("AMR-WB", NO_REQUEST + b"\x44" + bytes(60), 20),
        ("OPUS", b"\x08", 20),
    ],
)
def test_a_packet_gives_as_much_sound_as_it_lasts(encoding: str, payload: bytes, milliseconds: int) -> None:
    (samples,) = _decoder(encoding).decode([1], [payload])

    assert len(samples) == 16 * milliseconds


def test_frames_of_ilbc_may_be_shorter() -> None:
    payload = Payload(encoding="ILBC", clock_hz=8000, rate_hz=8000, frame_ms=20)
    decoder = decoder_for(payload, rate_hz=8000)

    assert decoder is not None
    assert [len(samples) for samples in decoder.decode([1, 2], [bytes(38), bytes(76)])] == [160, 320]


@pytest.mark.parametrize(
    "order", [[0, 1, 2, 3, 4, 5], [1, 0, 3, 2, 5, 4], [5, 4, 3, 2, 1, 0], [0, 0, 1, 2, 2, 3, 4, 5]]
)
def test_packets_in_disorder_or_twice_decode_as_if_they_had_come_in_order(order: list[int]) -> None:
    packets = _packets("G722")[:6]
    expected = _decoder("G722").decode(range(65533, 65539), packets)

    pieces = _decoder("G722").decode([(65533 + at) % 65536 for at in order], [packets[at] for at in order])

    assert all(np.array_equal(piece, expected[at]) for at, piece in zip(order, pieces, strict=True))


def test_a_packet_that_comes_again_in_a_later_batch_is_not_decoded_twice() -> None:
    packets = _packets("G722")[:4]
    expected = _decoder("G722").decode(range(4), packets)
    decoder = _decoder("G722")
    decoder.decode([0, 1, 2], packets[:3])

    again, last = decoder.decode([1, 3], [packets[1], packets[3]])

    assert np.array_equal(again, expected[1])
    assert np.array_equal(last, expected[3])


@pytest.mark.parametrize(
    ("encoding", "payload"),
    [
        ("G722", b""),
        ("G722", bytes(8 * MAX_PACKET_MS + 1)),
        ("G729", bytes(11)),
        ("G729", bytes(10 * MAX_PACKET_MS)),
        ("ILBC", bytes(49)),
        ("AMR", b""),
        ("AMR", b"\xf0"),
        ("AMR", b"\xf0\x3c" + bytes(30)),
        ("AMR", b"\xf0\x64" + bytes(30)),
        ("AMR", b"\xf0" + b"\xfc" * 100),
        ("OPUS", b""),
    ],
)
def test_a_broken_packet_gives_nothing_and_the_next_one_is_heard(encoding: str, payload: bytes) -> None:
    good = {"G729": bytes(20), "ILBC": bytes(50)}.get(encoding) or _packets(encoding)[0]

    broken, heard = _decoder(encoding).decode([1, 2], [payload, good])

    assert len(broken) == 0
    assert len(heard) > 0


@pytest.mark.parametrize("encoding", WHOLE)
@settings(max_examples=40)
@given(payloads=st.lists(st.binary(max_size=300), max_size=4))
def test_whatever_comes_nothing_is_raised_and_no_packet_lasts_for_ever(
    encoding: str, payloads: list[bytes]
) -> None:
    pieces = _decoder(encoding).decode(range(len(payloads)), payloads)

    assert len(pieces) == len(payloads)
    assert all(len(piece) <= 16 * MAX_PACKET_MS for piece in pieces)


def test_g711_and_what_nobody_decodes_have_no_decoder() -> None:
    assert decoder_for(Payload(encoding="PCMU", clock_hz=8000, rate_hz=8000), rate_hz=8000) is None
    assert decoder_for(Payload(encoding="SPEEX", clock_hz=8000, rate_hz=8000), rate_hz=8000) is None


def test_without_the_extra_there_is_g711(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    available.cache_clear()

    try:
        assert available() == {"PCMU", "PCMA"}
        assert decoder_for(WHOLE["G722"], rate_hz=16000) is None
        with pytest.raises(ValueError, match="no decoder"):
            Decoder(WHOLE["G722"], rate_hz=16000)
    finally:
        available.cache_clear()
