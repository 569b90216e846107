"""SRTP received, a bank of streams at a time.

::

    RTP header | encrypted payload | MKI | tag        in: `length` bytes of a row; with GCM: tag | MKI
    RTP header | payload           | leavings         out: a shorter `length`

Conventions: packets are rows of a matrix, uint8, shape (packets, row bytes), in which everything happens in
place; those of one stream lie together, which is how they are read. An *index* is the 48 bits of roll-over
counter and sequence number; a *source* is one SSRC of a stream, with an index and a replay list of its own.

No Python is run a packet save for its authentication (docs/adr/014). All indexes of a batch are estimated
from the highest that was authentic before it: what RFC 3711 does, as long as a batch has fewer than 2^15
packets of a stream, and a socket's buffer holds a hundredth of that.

Who joins a stream that runs already does not know its roll-over counter, since SDP does not say it (RFC 4568
section 6.4), and so it is searched for: twelve hours of a call are `ROLL_OVERS` attempts, made once.

Source: RFC 3711 sections 3.3 and 4, appendix A; RFC 6188; RFC 7714.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from callseal.codecs.srtp_batch import MAX_TAG_BYTES, NONE, Batch, read_batch
from callseal.codecs.srtp_cipher import (
    BLOCK_BYTES,
    NONCE_BYTES,
    ROC_BYTES,
    CounterCipher,
    GcmCipher,
    StreamCipher,
    cipher_of,
)
from callseal.codecs.srtp_suite import SessionKeys, Suite, session_keys

SOURCES: Final = 4
"""Sources of one stream that are remembered; the one that was begun first makes place for a fifth."""
REPLAY_PACKETS: Final = 128
"""How far behind the newest packet one may come (RFC 3711 section 3.3.2 wants 64 at least)."""
ROLL_OVERS: Final = 34
"""Roll-over counters that are tried for a new source: 12 hours at 50 packets a second."""
SEARCHES: Final = 8
"""How often in a row they are tried in vain, before it is taken that the key is wrong."""
NEW_SOURCES: Final = 2
"""New sources that are tried for a stream in one batch."""
MAX_STREAMS: Final = 1 << 20

_FEW: Final = 2
"""Roll-over counters that are tried after that."""
_CHUNK_ROWS: Final = 512
"""Rows that are decrypted at a time: their key stream stays in the cache, and small where one row is long."""

_Rows = NDArray[np.uint8]
_Ints = NDArray[np.int64]
_Bools = NDArray[np.bool_]


class SrtpBank:
    """All SRTP streams of a bank, each with its key."""

    def __init__(self) -> None:
        self._ciphers: list[StreamCipher | None] = []
        self._free: list[int] = []
        self._tag_bytes = np.zeros(0, np.int64)
        self._mki_bytes = np.zeros(0, np.int64)
        self._is_gcm = np.zeros(0, np.bool_)
        self._is_open = np.zeros(0, np.bool_)
        self._searches = np.zeros(0, np.int64)
        self._next_source = np.zeros(0, np.int64)
        self._salts = np.zeros((0, BLOCK_BYTES), np.uint8)
        self._mkis: list[bytes] = []
        self._source_ssrcs = np.zeros((0, SOURCES), np.int64)
        self._highest = np.zeros(0, np.int64)
        self._seen = np.zeros((0, REPLAY_PACKETS), np.int64)

    def open(self, suite: Suite, key_and_salt: bytes, *, mki: bytes = b"") -> int:
        """Begin a stream, and give its number; ValueError for a key of the wrong length."""
        return self.open_keyed(session_keys(suite, key_and_salt), mki=mki)

    def open_keyed(self, keys: SessionKeys, *, mki: bytes = b"") -> int:
        """Begin a stream whose session keys are known already, and give its number."""
        if not self._free:
            self._grow()
        stream = self._free.pop()
        cipher = cipher_of(keys)
        self._ciphers[stream] = cipher
        self._tag_bytes[stream] = keys.suite.shape.tag_bytes
        self._mki_bytes[stream] = len(mki)
        self._is_gcm[stream] = keys.suite.shape.is_aead
        self._is_open[stream] = True
        self._mkis[stream] = mki
        self._searches[stream] = SEARCHES
        self._next_source[stream] = 0
        self._salts[stream] = 0
        self._salts[stream, : len(cipher.salt)] = cipher.salt
        self._source_ssrcs[stream] = NONE
        return stream

    def close(self, stream: int) -> None:
        """End a stream and forget its key; its number may come again. KeyError for one that is not open."""
        if not 0 <= stream < len(self._ciphers) or self._ciphers[stream] is None:
            raise KeyError(stream)
        self._ciphers[stream] = None
        self._is_open[stream] = False
        self._mkis[stream] = b""
        self._salts[stream] = 0
        self._free.append(stream)

    def unprotect(self, streams: _Ints, rows: _Rows, lengths: _Ints) -> tuple[_Ints, _Bools]:
        """Check and decrypt packets in place.

        streams: (packets,), the number of each one's stream; packets of a closed one are refused. rows:
        uint8, (packets, row bytes), C-contiguous. lengths: (packets,), no longer than a row.

        Result: lengths without tag and MKI, 0 where a packet is not to be used, and which are authentic and
        came for the first time. What a row holds behind its length is of no meaning, nor is a refused row.
        """
        if not rows.flags.c_contiguous or not rows.flags.writeable:
            raise ValueError("the rows have to lie together, and to be writable")
        lengths = lengths.astype(np.int64)
        if not len(rows):
            return lengths, np.zeros(0, np.bool_)
        batch = self._read(rows, streams.astype(np.int64), lengths)
        self._adopt_new(batch)
        good = self._authentic(batch, np.flatnonzero(batch.sound & (batch.contexts != NONE)))
        lost = self._adopt_lost(batch, good)
        if len(lost):
            good[lost] = self._authentic(batch, lost)[lost]
        good = self._first_of_each(batch, good)
        self._remember(batch, good)
        self._decrypt(batch, good)
        return np.where(good, batch.ends, 0), good

    def _grow(self) -> None:
        before = len(self._ciphers)
        more = max(before, 16)
        if before + more > MAX_STREAMS:
            raise ValueError("a bank of SRTP streams has no room for more")
        self._ciphers += [None] * more
        self._mkis += [b""] * more
        self._free = list(range(before + more - 1, before - 1, -1))
        for name in ("_tag_bytes", "_mki_bytes", "_searches", "_next_source"):
            setattr(self, name, np.append(getattr(self, name), np.zeros(more, np.int64)))
        for name in ("_is_gcm", "_is_open"):
            setattr(self, name, np.append(getattr(self, name), np.zeros(more, np.bool_)))
        self._salts = np.append(self._salts, np.zeros((more, BLOCK_BYTES), np.uint8), axis=0)
        self._source_ssrcs = np.append(self._source_ssrcs, np.full((more, SOURCES), NONE), axis=0)
        self._highest = np.append(self._highest, np.full(more * SOURCES, NONE))
        self._seen = np.append(self._seen, np.zeros((more * SOURCES, REPLAY_PACKETS), np.int64), axis=0)

    def _read(self, rows: _Rows, streams: _Ints, lengths: _Ints) -> Batch:
        batch = read_batch(
            rows,
            streams,
            lengths,
            tag_bytes=self._tag_bytes[streams],
            mki_bytes=self._mki_bytes[streams],
            is_gcm=self._is_gcm[streams],
        )
        batch.sound &= self._is_open[streams]
        for stream in np.unique(streams[batch.sound & (self._mki_bytes[streams] > 0)]).tolist():
            self._check_mki(batch, stream)
        self._find(batch)
        return batch

    def _check_mki(self, batch: Batch, stream: int) -> None:
        """Refuse packets that name another master key."""
        mki = np.frombuffer(self._mkis[stream], np.uint8)
        own = np.flatnonzero((batch.streams == stream) & batch.sound)
        at = batch.ends[own] + (self._tag_bytes[stream] if self._is_gcm[stream] else 0)
        named = batch.rows[own[:, None], at[:, None] + np.arange(len(mki))]
        batch.sound[own] = (named == mki).all(axis=1)

    def _find(self, batch: Batch) -> None:
        same = self._source_ssrcs[batch.streams] == batch.ssrcs[:, None]
        known = same.any(axis=1)
        batch.contexts = np.where(known, batch.streams * SOURCES + same.argmax(axis=1), NONE)

    def _adopt_new(self, batch: Batch) -> None:
        """Begin a source for an SSRC that was not known, once one of its packets is authentic."""
        unknown = np.flatnonzero(batch.sound & (batch.contexts == NONE))
        if not len(unknown):
            return
        pairs = batch.streams[unknown] << 32 | batch.ssrcs[unknown]
        _, firsts = np.unique(pairs, return_index=True)
        tried: dict[int, int] = {}
        for first in np.sort(firsts).tolist():
            stream, ssrc = int(batch.streams[unknown[first]]), int(batch.ssrcs[unknown[first]])
            tried[stream] = tried.get(stream, 0) + 1
            if tried[stream] > NEW_SOURCES:
                continue
            # One packet may be broken by chance; that the other one is too is none.
            last = int(np.flatnonzero(pairs == pairs[first])[-1])
            index = self._search(batch, int(unknown[first]), first=0)
            if index is None and last != first:
                index = self._search(batch, int(unknown[last]), first=0)
            if index is not None:
                place = int(self._next_source[stream])
                self._next_source[stream] = (place + 1) % SOURCES
                self._source_ssrcs[stream, place] = ssrc
                self._begin(stream * SOURCES + place, index)
        self._find(batch)

    def _adopt_lost(self, batch: Batch, good: _Bools) -> _Ints:
        """Find a source again of which nothing is authentic any more: its roll-over counter went on unseen.

        Gives the rows to look at again.
        """
        members = np.flatnonzero(batch.sound & (batch.contexts != NONE) & ~good)
        contexts, indexes = batch.contexts[members], batch.indexes[members]
        repeated = self._seen[contexts, indexes % REPLAY_PACKETS] == indexes + 1
        failed = np.setdiff1d(contexts[~repeated], batch.contexts[good])
        again = []
        for context in failed.tolist():
            own = members[contexts == context]
            row = int(own[-1])
            # The lowest roll-over counter with which the packet is newer than all before it.
            first = (int(self._highest[context]) - int(batch.sequences[row]) >> 16) + 1
            index = self._search(batch, row, first=first)
            if index is not None:
                self._begin(context, index)
                again.append(own)
        return np.concatenate(again) if again else np.zeros(0, np.int64)

    def _begin(self, context: int, index: int) -> None:
        self._highest[context] = index
        self._seen[context] = 0

    def _search(self, batch: Batch, row: int, *, first: int) -> int | None:
        """Give the index of a packet, from the first roll-over counter with which it is authentic."""
        stream = int(batch.streams[row])
        cipher = self._ciphers[stream]
        attempts = ROLL_OVERS if self._searches[stream] > 0 else _FEW
        self._searches[stream] = max(self._searches[stream] - 1, 0)
        end, header = int(batch.ends[row]), int(batch.headers[row])
        packet = batch.rows[row, :end].tobytes()
        tag = batch.tags[row, : self._tag_bytes[stream]].tobytes()
        ssrc, sequence = int(batch.ssrcs[row]), int(batch.sequences[row])
        for roll_over in range(first, first + attempts):
            index = roll_over << 16 | sequence
            if isinstance(cipher, CounterCipher):
                found = cipher.is_authentic(packet + roll_over.to_bytes(ROC_BYTES, "big"), tag)
            elif cipher is None:
                raise KeyError(stream)
            else:
                nonce = cipher.nonce(ssrc=ssrc, index=index)
                found = cipher.opened(nonce, packet[header:] + tag, packet[:header]) is not None
            if found:
                return index
        return None

    def _authentic(self, batch: Batch, members: _Ints) -> _Bools:
        """Estimate the indexes of some rows and check them; those under GCM are decrypted by it."""
        good = np.zeros(len(batch.rows), np.bool_)
        contexts = batch.contexts[members]
        highest = self._highest[contexts]
        ahead = batch.sequences[members] - highest & 0xFFFF
        indexes = highest + np.where(ahead < 1 << 15, ahead, ahead - (1 << 16))
        batch.indexes[members] = indexes
        fresh = (indexes >= 0) & (indexes > highest - REPLAY_PACKETS)
        fresh &= self._seen[contexts, indexes % REPLAY_PACKETS] <= indexes
        members = members[fresh]
        gcm = self._is_gcm[batch.streams[members]]
        for is_gcm, check in ((False, self._check_tags), (True, self._open)):
            these = members[gcm == is_gcm]
            if len(these):
                good[these] = check(batch, these)
        return good

    def _runs(self, batch: Batch, members: _Ints) -> Iterator[tuple[StreamCipher, slice]]:
        """Walk through the streams of some rows: which of `members` are of each."""
        streams = batch.streams[members]
        borders = [0, *(np.flatnonzero(np.diff(streams)) + 1).tolist(), len(members)]
        for start, stop in pairwise(borders):
            cipher = self._ciphers[int(streams[start])]
            if cipher is None:
                raise KeyError(int(streams[start]))
            yield cipher, slice(start, stop)

    def _check_tags(self, batch: Batch, members: _Ints) -> _Bools:
        """Compare the tags of rows; the roll-over counter is written behind the payload, to be read too."""
        rows, ends = batch.rows, batch.ends[members]
        behind = ends[:, None] + np.arange(ROC_BYTES)
        rows[members[:, None], behind] = _big_endian(batch.indexes[members] >> 16, ROC_BYTES)
        starts = members * rows.shape[1]
        spans = list(zip(starts.tolist(), (starts + ends + ROC_BYTES).tolist(), strict=True))
        view = rows.reshape(-1).data
        wholes: list[bytes] = []
        for cipher, run in self._runs(batch, members):
            if isinstance(cipher, CounterCipher):
                wholes += cipher.tags(view, spans[run])
        whole = np.frombuffer(b"".join(wholes), np.uint8).reshape(len(members), -1)[:, :MAX_TAG_BYTES]
        beyond = np.arange(MAX_TAG_BYTES) >= self._tag_bytes[batch.streams[members]][:, None]
        same: _Bools = ((whole == batch.tags[members]) | beyond).all(axis=1)
        return same

    def _open(self, batch: Batch, members: _Ints) -> _Bools:
        """Check and decrypt rows under GCM."""
        iv = self._salts[batch.streams[members], :NONCE_BYTES]  # a copy
        iv[:, 2:6] ^= _big_endian(batch.ssrcs[members], 4)
        iv[:, 6:12] ^= _big_endian(batch.indexes[members], 6)
        nonces = iv.tobytes()
        starts = members * batch.rows.shape[1]
        ends = starts + batch.ends[members]
        spans = list(
            zip(starts.tolist(), (starts + batch.headers[members]).tolist(), ends.tolist(), strict=True)
        )
        view = batch.rows.reshape(-1).data
        good: list[bool] = []
        for cipher, run in self._runs(batch, members):
            if isinstance(cipher, GcmCipher):
                good += cipher.open_all(view, nonces[run.start * NONCE_BYTES :], spans[run])
        return np.array(good, np.bool_)

    def _first_of_each(self, batch: Batch, good: _Bools) -> _Bools:
        """Refuse what comes twice in one batch; what came before it was refused already."""
        members = np.flatnonzero(good)
        # The lower half of an index suffices: a batch does not span 2^32 packets.
        which = batch.contexts[members] << 32 | batch.indexes[members] & 0xFFFFFFFF
        _, firsts = np.unique(which, return_index=True)
        first = np.zeros(len(good), np.bool_)
        first[members[firsts]] = True
        return first

    def _remember(self, batch: Batch, good: _Bools) -> None:
        contexts, indexes = batch.contexts[good], batch.indexes[good]
        self._searches[batch.streams[good]] = SEARCHES
        np.maximum.at(self._highest, contexts, indexes)
        np.maximum.at(self._seen, (contexts, indexes % REPLAY_PACKETS), indexes + 1)

    def _decrypt(self, batch: Batch, good: _Bools) -> None:
        """Decrypt authentic rows under counter mode."""
        members = np.flatnonzero(good & ~self._is_gcm[batch.streams])
        for start in range(0, len(members), _CHUNK_ROWS):
            self._decrypt_chunk(batch, members[start : start + _CHUNK_ROWS])

    def _decrypt_chunk(self, batch: Batch, members: _Ints) -> None:
        headers = batch.headers[members]
        blocks = int(-(-(batch.ends[members] - headers).max() // BLOCK_BYTES))
        if blocks == 0:
            return
        # RFC 3711 section 4.1.1: salt XOR SSRC XOR index, then the block's number in the last 16 bits.
        iv = self._salts[batch.streams[members]]  # a copy
        iv[:, 4:8] ^= _big_endian(batch.ssrcs[members], 4)
        iv[:, 8:14] ^= _big_endian(batch.indexes[members], 6)
        counters = np.repeat(iv[:, None, :], blocks, axis=1)
        counters[:, :, 14:] = _big_endian(np.arange(blocks), 2)
        row_bytes = blocks * BLOCK_BYTES
        stream = np.empty(len(members) * row_bytes + BLOCK_BYTES, np.uint8)
        source, target = counters.reshape(-1).data, stream.data
        for cipher, run in self._runs(batch, members):
            if isinstance(cipher, CounterCipher):
                span = slice(run.start * row_bytes, run.stop * row_bytes)
                cipher.key_stream(source[span], target[span.start : span.stop + BLOCK_BYTES])
        key_stream = stream[:-BLOCK_BYTES].reshape(len(members), row_bytes)
        for header in np.unique(headers).tolist():
            same = np.flatnonzero(headers == header)
            size = min(row_bytes, batch.rows.shape[1] - header)
            batch.rows[members[same], header : header + size] ^= key_stream[same, :size]


def _big_endian(values: _Ints, size_bytes: int) -> _Rows:
    """Give the last bytes of whole numbers, shape (…, bytes)."""
    return values.astype(">i8").view(np.uint8).reshape(*values.shape, 8)[..., 8 - size_bytes :]
