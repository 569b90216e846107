"""What a gateway sends of one call after another, packet by packet, and what is told of it afterwards."""

from typing import Any

from support.desk import Recorded
from support.recording_server import (
    SECOND_SAMPLES,
    Copies,
    Copy,
    Datagram,
    RecordingServer,
    channels_of,
    metadata,
    multipart,
    session,
)
from support.rtp_sender import Stream, codes

SILENCE = b"\xff"
"""Of mu-law."""
EVENT = 101
"""The payload type of keys that are pressed."""


def offered(gateway: Copies, formats: str = "0 101", *, extra: str = "") -> Copy:
    """Begin a call of two streams; `extra` are lines of each m-line."""
    offer = session(formats=formats).replace("a=sendonly\r\n", f"{extra}a=sendonly\r\n")
    return gateway.copy(*multipart(offer, metadata()))


def sound_of(seconds: float, seed: int) -> bytes:
    """Give sound that no other seed gives."""
    return codes(seed, round(seconds * SECOND_SAMPLES)).tobytes()


def stream(copy: Copy, seconds: float = 0.4, *, leg: int = 0) -> Stream:
    """Give a usual stream of one leg."""
    return Stream(port=copy.ports[leg], sound=sound_of(seconds, 11 + leg), ssrc=100 + leg)


def datagrams(one: Stream) -> list[Datagram]:
    """Give what is sent of a stream."""
    return [Datagram(at_s, data, one.port, one.source) for at_s, data in one.packets()]


def finish(server: RecordingServer, copy: Copy) -> Recorded:
    """End a call, and open what was recorded."""
    copy.bye()
    return server.of(copy)[0]


def report(recorded: Recorded, leg: int = 0) -> dict[str, Any]:
    """Give what is told of a leg's stream."""
    found: dict[str, Any] = next(one for one in recorded.streams["streams"] if one["label"] == str(leg + 1))
    return found


def gaps_of(recorded: Recorded, channel: int) -> list[dict[str, Any]]:
    """Give the gaps of a channel."""
    return [gap for gap in recorded.streams["gaps"] if gap["channel"] == channel]


def assert_whole(recorded: Recorded, *sounds: bytes) -> None:
    """Check that both legs are in their channels, byte for byte, and that nothing is told to be amiss."""
    for leg, (channel, sound) in enumerate(zip(channels_of(recorded.inner), sounds, strict=True)):
        assert sound in channel
        told = report(recorded, leg)
        assert told["placed"] == told["packets"]
        assert not any(told[name] for name in ("lost", "late", "strangers", "malformed", "duplicates"))
