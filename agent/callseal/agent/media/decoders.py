"""The decoders of one stream, by payload type, and its packets turned into the recording's coding.

One stream at a time, packet by packet: decoding costs far more than the loop around it.
"""

from collections.abc import Sequence

import numpy as np

from callseal.agent.call import AudioFormat
from callseal.agent.media.coding import MAX_PACKET_MS, Packets
from callseal.agent.sdp.session import Format
from callseal.codecs import g711
from callseal.codecs.decoder import Decoder, decoder_for
from callseal.codecs.payload import Payload
from callseal.codecs.rtp import HEADER_BYTES


class StreamDecoders:
    """Decoders for those formats of a stream that need one."""

    def __init__(self, formats: Sequence[Format], into: AudioFormat) -> None:
        self._into = into
        self._decoders: dict[int, Decoder] = {}
        for item in reversed(formats):
            payload = Payload.of(item.name, clock_hz=item.clock_hz, channels=item.channels, fmtp=item.fmtp)
            decoder = decoder_for(payload, rate_hz=into.rate_hz) if payload is not None else None
            if decoder is not None:
                self._decoders[item.payload_type] = decoder

    def decode(self, packets: Packets) -> tuple[Packets, int]:
        """Give plain packets in the recording's coding, a line each, and how many could not be decoded.

        Of those nothing but the header is left.
        """
        law = self._into.encoding.law
        width = 1 if law is not None else 2
        most = self._into.rate_hz * MAX_PACKET_MS // 1000 * width
        rows = np.zeros((len(packets), HEADER_BYTES + most), np.uint8)
        rows[:, :HEADER_BYTES] = packets.rows[:, :HEADER_BYTES]
        lengths = np.full(len(packets), HEADER_BYTES, np.int64)
        types = packets.rows[:, 1] & 0x7F
        sequences = packets.rows[:, 2].astype(np.int64) << 8 | packets.rows[:, 3]
        broken = 0
        for payload_type in np.unique(types).tolist():
            which = np.flatnonzero(types == payload_type)
            decoder = self._decoders.get(payload_type)
            if decoder is None:  # agreed on, and not to be decoded on this machine
                broken += len(which)
                continue
            payloads = [packets.rows[at, HEADER_BYTES : packets.lengths[at]].tobytes() for at in which]
            decoded = decoder.decode(sequences[which].tolist(), payloads)
            for at, samples in zip(which.tolist(), decoded, strict=True):
                data = samples if law is None else g711.encode(samples, law)
                if not len(data) or data.nbytes > most:
                    broken += 1
                    continue
                rows[at, HEADER_BYTES : HEADER_BYTES + data.nbytes] = data.view(np.uint8)
                lengths[at] += data.nbytes
        return Packets(rows=rows, lengths=lengths), broken
