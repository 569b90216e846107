"""Sound in any coding that was agreed on: passed through where that is possible, else turned into one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from callseal.codecs import au, g711
from support.copied_sound import assert_whole, finish, offered, report, sound_of, stream
from support.desk import Recorded
from support.recording_server import (
    Copies,
    Datagram,
    RecordingServer,
    channels_of,
    metadata,
    multipart,
    session,
)
from support.rtp_sender import packet

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("siprec-media"),
]

SDP = "Content-Type: application/sdp\r\n"
ALAW_SILENCE = b"\xd5"


def test_a_law_sound_is_passed_through(server: RecordingServer, gateway: Copies) -> None:
    copy = offered(gateway, "8 101")
    legs = [replace(stream(copy, leg=leg), payload_type=8) for leg in (0, 1)]

    gateway.send(*legs)

    recorded = finish(server, copy)
    assert au.parse(recorded.inner).encoding is au.Encoding.ALAW
    assert channels_of(recorded.inner)[0].startswith(ALAW_SILENCE)
    assert_whole(recorded, legs[0].sound, legs[1].sound)


def samples_of(recorded: Recorded) -> Sequence[bytes]:
    """Give both channels of linear samples as bytes."""
    return [np.ascontiguousarray(channel).astype(np.int16).tobytes() for channel in recorded.audio]


def test_legs_of_different_laws_are_kept_as_samples(server: RecordingServer, gateway: Copies) -> None:
    first, second = session().split("m=audio 40002")
    offer = f"{first}m=audio 40002{second}".replace("40002 RTP/AVP 0", "40002 RTP/AVP 8")
    copy = gateway.copy(*multipart(offer, metadata()))
    mu, a = stream(copy), replace(stream(copy, leg=1), payload_type=8)

    gateway.send(mu, a)

    recorded = finish(server, copy)
    agent, customer = samples_of(recorded)
    header = au.parse(recorded.inner)
    assert (header.encoding, header.rate_hz) == (au.Encoding.PCM16, 8000)
    assert g711.decode(np.frombuffer(mu.sound, np.uint8), g711.Law.MU).tobytes() in agent
    assert g711.decode(np.frombuffer(a.sound, np.uint8), g711.Law.A).tobytes() in customer


def test_a_law_that_changes_by_agreement_is_turned_into_the_first(
    server: RecordingServer, gateway: Copies
) -> None:
    copy = offered(gateway, "0")
    before = stream(copy, 0.6)
    gateway.send(before, stream(copy, 0.6, leg=1))

    copy.again(session(formats="8", version=2), SDP)
    after = replace(before, sound=sound_of(0.6, 51), payload_type=8, sequence=65530, ts=before.ts + 4800)
    gateway.send(
        after, replace(stream(copy, 0.6, leg=1), payload_type=8, sequence=65530, ts=before.ts + 4800)
    )

    recorded = finish(server, copy)
    agent, _ = channels_of(recorded.inner)
    turned = g711.encode(g711.decode(np.frombuffer(after.sound, np.uint8), g711.Law.A), g711.Law.MU).tobytes()
    assert au.parse(recorded.inner).encoding is au.Encoding.ULAW
    assert 0 <= agent.find(before.sound) < agent.find(turned)
    assert report(recorded)["lost"] == 0
    assert [(one["channel"], one["codec"]) for one in recorded.streams["codec_changes"]] == [
        (0, "PCMA"),
        (1, "PCMA"),
    ]


def test_a_law_that_changes_from_one_packet_to_the_next_is_turned_as_well(
    server: RecordingServer, gateway: Copies
) -> None:
    copy = offered(gateway, "0 8")
    first, other = stream(copy), stream(copy, 0.8, leg=1)
    second = replace(
        first,
        sound=sound_of(0.4, 52),
        payload_type=8,
        sequence=first.sequence + 20,
        ts=first.ts + 3200,
        begins_s=0.4,
    )

    gateway.send(first, second, other)

    recorded = finish(server, copy)
    agent, customer = channels_of(recorded.inner)
    turned = g711.encode(
        g711.decode(np.frombuffer(second.sound, np.uint8), g711.Law.A), g711.Law.MU
    ).tobytes()
    assert first.sound + turned in agent
    assert other.sound in customer
    assert [(one["channel"], one["codec"]) for one in recorded.streams["codec_changes"]] == [(0, "PCMA")]


@dataclass(frozen=True)
class Coding:
    """A coding that needs a decoder."""

    encoder: str
    payload_type: int
    name: str
    rate_hz: int
    packet_ts: int


CODINGS = [
    Coding("g722", 9, "G722/8000", 16_000, 160),
    Coding("libopus", 96, "opus/48000/2", 48_000, 960),
]


@pytest.mark.parametrize("coding", CODINGS, ids=[coding.name for coding in CODINGS])
def test_other_codings_are_decoded(server: RecordingServer, gateway: Copies, coding: Coding) -> None:
    pytest.importorskip("av")
    from support.coded_speech import coded, strongest_hz, tone  # noqa: PLC0415 - needs the optional decoder

    number = coding.payload_type
    copy = offered(gateway, str(number), extra=f"a=rtpmap:{number} {coding.name}\r\n")
    tones_hz = (440.0, 1200.0)

    def packets(leg: int) -> Iterator[Datagram]:
        said = tone(coding.rate_hz, hz=tones_hz[leg])
        for index, frame in enumerate(coded(coding.encoder, said, rate_hz=coding.rate_hz)):
            data = packet(
                frame, sequence=index, ts=index * coding.packet_ts, ssrc=90 + leg, payload_type=number
            )
            yield Datagram(index * 0.02, data, copy.ports[leg])

    gateway.play([*packets(0), *packets(1)])

    recorded = finish(server, copy)
    header = au.parse(recorded.inner)
    assert header.encoding is au.Encoding.PCM16
    for channel, hz in zip(recorded.audio, tones_hz, strict=True):
        loud = np.flatnonzero(np.abs(channel) > 2000)
        middle = channel[loud[0] : loud[-1]][header.rate_hz // 5 : -header.rate_hz // 5]
        assert strongest_hz(middle.astype(np.int16), header.rate_hz) == pytest.approx(hz, abs=5)
    assert [one["lost"] for one in recorded.streams["streams"]] == [0, 0]
