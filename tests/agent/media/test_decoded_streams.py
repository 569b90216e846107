"""Codings that need a decoder: they become the recording's samples, in their place."""

import numpy as np
import pytest
from numpy.typing import NDArray

from callseal.agent.call import AudioFormat, CodecChanged, StreamReport
from callseal.agent.sdp.session import Format
from callseal.codecs import g711
from support.media_room import G722, KEYS, NOISE, PCMU, ULAW, WIDE, MediaRoom, media_room, plan
from support.rtp_sender import Stream, codes

SECOND = 8000
UNKNOWN = Format(payload_type=97, name="SPEEX", clock_hz=8000)


def tone(rate_hz: int, seconds: float) -> NDArray[np.int16]:
    at = np.arange(int(rate_hz * seconds))
    return (8000 * np.sin(2 * np.pi * 440 * at / rate_hz)).astype(np.int16)


def g722(samples: NDArray[np.int16]) -> bytes:
    av = pytest.importorskip("av")
    encoder = av.CodecContext.create("g722", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 16000, "mono", "s16"
    out = b""
    for begin in range(0, len(samples), 320):
        frame = av.AudioFrame.from_ndarray(
            samples[np.newaxis, begin : begin + 320], format="s16", layout="mono"
        )
        frame.sample_rate = 16000
        out += b"".join(bytes(one) for one in encoder.encode(frame))
    return out


def level(sound: NDArray[np.generic]) -> float:
    return float(np.sqrt((sound.astype(float) ** 2).mean()))


def recorded(room: MediaRoom, form: AudioFormat, leg: bytes, formats: tuple[Format, ...]) -> StreamReport:
    reserved = room.reserve()
    streams = [plan(port, number, formats=formats) for number, port in enumerate(reserved.ports)]
    room.open(reserved, streams, form)
    room.play([Stream(port=reserved.ports[0], sound=leg, payload_type=9)], 3.2)
    room.close(reserved)
    return next(iter(room.recorder.kept.values())).of(StreamReport)[0]


def test_wideband_sound_is_decoded_into_a_wideband_recording() -> None:
    with media_room() as room:
        report = recorded(room, WIDE, g722(tone(16000, 3)), (G722, PCMU, NOISE, KEYS))

        (kept,) = room.recorder.kept.values()
        heard = np.flatnonzero(np.abs(kept.sound[:, 0].astype(int)) > 500)
        assert 2.9 * 16000 <= heard[-1] - heard[0] <= 3.0 * 16000
        middle = kept.sound[heard[0] + 1600 : heard[-1] - 1600, 0]
        assert level(middle) == pytest.approx(8000 / 2**0.5, rel=0.1)
        assert (report.codec, report.placed, report.malformed) == ("G722", 150, 0)


def test_wideband_sound_in_a_call_that_began_in_g711_is_turned_into_it() -> None:
    with media_room() as room:
        report = recorded(room, ULAW, g722(tone(16000, 3)), (PCMU, G722))

        (kept,) = room.recorder.kept.values()
        linear = g711.decode(kept.sound[:, 0].astype(np.uint8), g711.Law.MU)
        heard = np.flatnonzero(np.abs(linear.astype(int)) > 500)
        assert 2.9 * SECOND <= heard[-1] - heard[0] <= 3.0 * SECOND
        assert level(linear[heard[0] + 800 : heard[-1] - 800]) == pytest.approx(8000 / 2**0.5, rel=0.1)
        assert report.codec == "G722"


def test_narrowband_sound_beside_wideband_has_its_length_and_level() -> None:
    coded = g711.encode(tone(8000, 3), g711.Law.MU)
    with media_room() as room:
        reserved = room.reserve()
        streams = [plan(port, number, formats=(G722, PCMU)) for number, port in enumerate(reserved.ports)]
        recording = room.open(reserved, streams, WIDE)

        room.play([Stream(port=reserved.ports[1], sound=coded.tobytes())], 3.2)
        room.close(reserved)

        sound = room.kept(recording).sound[:, 1].astype(int)
        heard = np.flatnonzero(np.abs(sound) > 500)
        assert 2.9 * 16000 <= heard[-1] - heard[0] <= 3.0 * 16000
        assert level(sound[heard[0] : heard[-1]]) == pytest.approx(8000 / 2**0.5, rel=0.05)
        steps = np.abs(np.diff(sound[heard[0] + 1600 : heard[-1] - 1600]))
        assert steps.max() < 3000


def test_what_can_not_be_decoded_here_is_silent_and_counted() -> None:
    with media_room() as room:
        reserved = room.reserve(1)
        recording = room.open(reserved, [plan(reserved.ports[0], 0, formats=(UNKNOWN, PCMU))])
        leg = Stream(port=reserved.ports[0], sound=codes(1, SECOND).tobytes(), payload_type=97)

        room.play([leg], 1.2)
        room.close(reserved)

        kept = room.kept(recording)
        assert (kept.sound == g711.silence(g711.Law.MU)).all()
        report = kept.of(StreamReport)[0]
        assert (report.packets, report.placed) == (50, 0)
        assert report.malformed >= 50
        assert not room.faults


def test_a_change_to_another_clock_goes_on_in_its_place() -> None:
    opus = Format(payload_type=111, name="OPUS", clock_hz=48000, channels=2)
    first = codes(2, 2 * SECOND)
    with media_room() as room:
        reserved = room.reserve(1)
        recording = room.open(reserved, [plan(reserved.ports[0], 0, formats=(PCMU, opus))], WIDE)
        room.play([Stream(port=reserved.ports[0], sound=first.tobytes())], 2.0)

        silent = bytes([0xF8, 0xFF, 0xFE])
        later = Stream(
            port=reserved.ports[0],
            sound=silent * 100,
            packet_bytes=3,
            packet_ts=960,
            payload_type=111,
            sequence=65600,
            ts=5,
        )
        room.play([later], 2.1)
        room.close(reserved)

        kept = room.kept(recording)
        assert [change.codec for change in kept.of(CodecChanged)] == ["OPUS"]
        report = kept.of(StreamReport)[0]
        assert (report.placed, report.lost) == (200, 0)
        assert report.unreceived_samples < 2 * 16000
