"""Sound in codings other than G.711 to linear samples, by FFmpeg's decoders through PyAV, which is optional.

Conventions: a decoder belongs to one stream and takes its packets in the order of their sequence numbers,
for what a packet says depends on the ones before. Samples are int16, mono, shape (samples,). Nothing is made
up for a packet that was lost: the recording is silent there. PyAV is loaded when it is first asked for.

Source: RFC 3551 sections 4.5.2 (G.722) and 4.5.6 (G.729), RFC 7587 (Opus), RFC 4867 (AMR), RFC 3952 (iLBC).
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from callseal.codecs.amr import frames as amr_frames
from callseal.codecs.errors import PayloadError
from callseal.codecs.payload import Payload
from callseal.codecs.resampling import Resampler

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext

MAX_PACKET_MS: Final = 120
"""The longest packet there is (RFC 6716: Opus); what decodes to more is refused."""
REMEMBERED_PACKETS: Final = 8
"""Packets whose samples are kept, for one that comes twice must not be decoded twice."""

_Samples = NDArray[np.int16]
_NOTHING: Final[_Samples] = np.zeros(0, np.int16)
_FULL_SCALE: Final = 32768.0
_FRAME_HZ: Final = 50
_G729_FRAME_BYTES: Final = 10
_G729_SILENCE_BYTES: Final = 2
_G729_FRAME_SAMPLES: Final = 80
_ILBC_FRAME_BYTES: Final = {20: 38, 30: 50}
_ILBC_BITS_PER_S: Final = {20: 15200, 30: 13333}
_HALF: Final = 1 << 15

_DECODERS: Final[dict[str, tuple[str, ...]]] = {
    "G722": ("g722",),
    "G729": ("g729",),
    "OPUS": ("libopus", "opus"),
    "AMR": ("libopencore_amrnb", "amrnb"),
    "AMR-WB": ("libopencore_amrwb", "amrwb"),
    "ILBC": ("ilbc",),
}
"""FFmpeg's names, the better one first."""
_OWN_RATE_HZ: Final = {"OPUS": 48000}
"""At which a decoder gives its samples, where that is not what is recorded."""


@cache
def available() -> frozenset[str]:
    """Give the encodings that this machine can decode: G.711, and with PyAV what its FFmpeg can."""
    return frozenset(("PCMU", "PCMA", *(encoding for encoding in _DECODERS if _decoder_name(encoding))))


def decoder_for(payload: Payload, *, rate_hz: int) -> "Decoder | None":
    """Give a decoder whose samples come at `rate_hz`; None for G.711, which needs none, or without one."""
    if payload.encoding not in _DECODERS or payload.encoding not in available():
        return None
    return Decoder(payload, rate_hz=rate_hz)


class Decoder:
    """Decodes one stream."""

    def __init__(self, payload: Payload, *, rate_hz: int) -> None:
        """Begin; ValueError for an encoding without a decoder."""
        name = _decoder_name(payload.encoding)
        if name is None:
            raise ValueError(f"there is no decoder for {payload.encoding}")
        own_hz = _OWN_RATE_HZ.get(payload.encoding, payload.rate_hz)
        self.rate_hz = rate_hz
        self._payload = payload
        self._own_hz = own_hz
        self._context = _context(name, own_hz, _ILBC_BITS_PER_S[payload.frame_ms])
        self._resampler = Resampler(own_hz, rate_hz) if own_hz != rate_hz else None
        self._recent: OrderedDict[int, _Samples] = OrderedDict()

    def decode(self, sequences: Sequence[int], payloads: Sequence[bytes]) -> list[_Samples]:
        """Give the samples of some packets of the stream, in the order in which they are given.

        They are decoded in the order of their sequence numbers. Nothing, shape (0,), comes of a payload that
        is broken.
        """
        newest = next(reversed(self._recent), sequences[0] if sequences else 0)
        order = sorted(range(len(payloads)), key=lambda at: (sequences[at] - newest + _HALF) % (2 * _HALF))
        found = [_NOTHING] * len(payloads)
        for at in order:
            found[at] = self._once(sequences[at], payloads[at])
        return found

    def _once(self, sequence: int, payload: bytes) -> _Samples:
        known = self._recent.get(sequence)
        if known is not None:
            return known
        samples = self._decoded(payload)
        self._recent[sequence] = samples
        if len(self._recent) > REMEMBERED_PACKETS:
            self._recent.popitem(last=False)
        return samples

    def _decoded(self, payload: bytes) -> _Samples:
        longest = self._own_hz * MAX_PACKET_MS // 1000
        pieces: list[_Samples] = []
        try:
            for frame in self._frames(payload):
                pieces.append(frame if isinstance(frame, np.ndarray) else self._run(frame))
                if sum(map(len, pieces)) > longest:
                    return _NOTHING
        except PayloadError:
            return _NOTHING
        samples = np.concatenate(pieces) if pieces else _NOTHING
        return self._resampler.convert(samples) if self._resampler and len(samples) else samples

    def _frames(self, payload: bytes) -> "Sequence[bytes | _Samples]":
        """Take a payload apart into what the decoder takes; samples stand for a frame that says "silence"."""
        match self._payload.encoding:
            case "G729":
                # A descriptor of silence ends a payload (RFC 3551 section 4.5.6); what it describes is noise.
                size = len(payload) % _G729_FRAME_BYTES
                if size not in {0, _G729_SILENCE_BYTES}:
                    raise PayloadError("a payload of G.729 has an odd size")
                silence = [np.zeros(_G729_FRAME_SAMPLES, np.int16)] if size else []
                return [*_pieces(payload[: len(payload) - size], _G729_FRAME_BYTES), *silence]
            case "ILBC":
                size = _ILBC_FRAME_BYTES[self._payload.frame_ms]
                if len(payload) % size:
                    raise PayloadError("a payload of iLBC has an odd size")
                return _pieces(payload, size)
            case "AMR" | "AMR-WB" as encoding:
                aligned = self._payload.octet_aligned
                nothing = np.zeros(self._own_hz // _FRAME_HZ, np.int16)
                return [
                    frame or nothing
                    for frame in amr_frames(payload, encoding=encoding, octet_aligned=aligned)
                ]
            case _:
                return [payload] if payload else []

    def _run(self, frame: bytes) -> _Samples:
        import av  # noqa: PLC0415 - optional, and slow to load

        try:
            decoded = self._context.decode(av.Packet(frame))
        except av.FFmpegError as problem:
            raise PayloadError("the decoder refuses a payload") from problem
        return np.concatenate([_linear(one.to_ndarray()) for one in decoded]) if decoded else _NOTHING


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def _linear(samples: NDArray[np.generic]) -> _Samples:
    """Give int16 samples of what a decoder gives: int16 or float, shape (1, samples)."""
    flat = samples.reshape(-1)
    if flat.dtype == np.int16:
        return flat.astype(np.int16)
    scaled: NDArray[np.float32] = flat.astype(np.float32) * _FULL_SCALE
    return np.clip(np.rint(scaled), -32768, 32767).astype(np.int16)


def _decoder_name(encoding: str) -> str | None:
    try:
        import av  # noqa: PLC0415 - optional, and slow to load
    except ImportError:
        return None
    return next((name for name in _DECODERS[encoding] if name in av.codecs_available), None)


def _context(name: str, rate_hz: int, bits_per_s: int) -> "AudioCodecContext":
    from av.audio.codeccontext import AudioCodecContext  # noqa: PLC0415 - optional, and slow to load

    context = AudioCodecContext.create(name, "r")
    if not isinstance(context, AudioCodecContext):
        raise TypeError(f"{name} is no decoder of sound")
    context.sample_rate = rate_hz
    context.layout = "mono"
    if name == "ilbc":
        context.bit_rate = bits_per_s  # by which it knows the length of its frames
    return context
