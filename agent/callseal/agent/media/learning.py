"""Who sends a stream: the first source is learned and locked, strangers are not recorded.

The rules, for one stream:

- The first source that is heard is learned. Where the gateway announced an address (c= of its session
  description), a source at that address takes over from another one within `PREFER_S`: nothing is lost with
  gateways that send from elsewhere, and a stranger who is faster than the gateway has one second at most.
- From then on the source is locked: address and port.
- The same address with another port takes over at once when it goes on with the stream's SSRC (the gateway's
  socket or a NAT on the way has changed), and with another SSRC when the learned source has been silent for
  `RELEARN_S`.
- Another address never takes over, save one that signalling announces anew.

All others are strangers: counted, not recorded. An encrypted stream needs none of this: its key tells.

Conventions: a *key* is a row of `KEY_WORDS` unsigned 64-bit words, the bytes of family, port and address as
the kernel writes them (`sockets`), so that a batch is compared at once.
"""

from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

import numpy as np
from numpy.typing import NDArray

PREFER_S: Final = 1.0
"""Gateways send from the announced address within one packet's time, or never."""
RELEARN_S: Final = 1.0
"""Longer than the pauses between packets, shorter than what a listener would take for the end of a call."""
KEY_WORDS: Final = 3

_V4_ADDRESS: Final = slice(4, 8)
_V6_ADDRESS: Final = slice(8, 24)

Keys = NDArray[np.uint64]
"""Shape (packets, KEY_WORDS)."""


def packed(address: str) -> bytes:
    """Give the bytes of an IP address as in a key; empty for a name, or nothing."""
    try:
        return ip_address(address.partition("%")[0]).packed
    except ValueError:
        return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What is known of a stream's learned source when a batch comes."""

    at_s: float
    """When it was last heard, by the monotonic clock."""
    ssrc: int
    """With which SSRC."""


class Learner:
    """The source of one stream, for those batches in which it is not alone."""

    def __init__(self, announced: str) -> None:
        self._announced = packed(announced)
        self._learned_s = 0.0
        self.key: Keys | None = None
        """Shape (KEY_WORDS,), or None before the first packet."""

    def announce(self, address: str) -> None:
        """Take another address from signalling: a source there may take over, whatever was learned before."""
        announced = packed(address)
        if announced and announced != self._announced:
            self._announced = announced
            self._learned_s = np.inf

    def is_neighbour(self, key: Keys) -> bool:
        """Say whether a key, shape (KEY_WORDS,), has the address of the learned source, whatever its port."""
        return bool(self.key is not None and self._address(key) == self._address(self.key))

    def choose(self, keys: Keys, ssrcs: NDArray[np.uint32], now_s: float, heard: Heard) -> NDArray[np.bool_]:
        """Say which packets of a batch are the stream's, and learn of them.

        keys: shape (packets, KEY_WORDS); ssrcs: shape (packets,).
        """
        if not len(keys):
            return np.zeros(0, np.bool_)
        if self.key is None:
            first = int(np.argmax(self._at_announced(keys)))
            self._learn(keys[first], now_s)
            heard = replace(heard, ssrc=int(ssrcs[first]))
        ours = self._are(keys)
        if not ours.all():
            ours = self._take_over(keys, ssrcs, now_s, heard, ours)
        return ours

    def _take_over(
        self,
        keys: Keys,
        ssrcs: NDArray[np.uint32],
        now_s: float,
        heard: Heard,
        ours: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Let another source take over where the rules say so; gives the packets of either in this batch."""
        if now_s - self._learned_s <= PREFER_S and not self._at_announced(self._learned()).any():
            expected = self._at_announced(keys)
            if expected.any():
                first = int(np.argmax(expected))
                self._learn(keys[first], now_s)
                before = np.arange(len(keys)) < first
                return (ours & before) | self._are(keys)
        neighbours = self._at(keys, self._address(self._learned()[0])) & ~ours
        is_silent = not ours.any() and now_s - heard.at_s >= RELEARN_S
        successors = neighbours & ((ssrcs == heard.ssrc) | is_silent)
        if not successors.any():
            return ours
        self._learn(keys[int(np.argmax(successors))], now_s)
        return ours | self._are(keys)

    def _are(self, keys: Keys) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (keys == self._learned()).all(1)
        return found

    def _learn(self, key: Keys, now_s: float) -> None:
        self.key = key.copy()
        self._learned_s = now_s

    def _learned(self) -> Keys:
        return np.zeros((1, KEY_WORDS), np.uint64) if self.key is None else self.key[np.newaxis]

    def _at_announced(self, keys: Keys) -> NDArray[np.bool_]:
        return self._at(keys, self._announced)

    @staticmethod
    def _at(keys: Keys, address: bytes) -> NDArray[np.bool_]:
        """Say which keys have that address, (packets,); none has an empty one."""
        if not address:
            return np.zeros(len(keys), np.bool_)
        part = _V4_ADDRESS if len(address) == len(range(24)[_V4_ADDRESS]) else _V6_ADDRESS
        data = np.ascontiguousarray(keys).view(np.uint8)[:, part]
        return np.asarray((data == np.frombuffer(address, np.uint8)).all(1))

    @staticmethod
    def _address(key: Keys) -> bytes:
        data = key.tobytes()
        # A key of IPv4 has nothing behind its first word.
        return data[_V6_ADDRESS] if any(data[_V6_ADDRESS]) else data[_V4_ADDRESS]
