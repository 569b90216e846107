"""The Merkle tree over all entries of a ledger, so that 32 bytes stand for its whole history.

A leaf is SHA-256(0x00 ‖ entry), a node SHA-256(0x01 ‖ left ‖ right): the first byte keeps an entry from
passing for a node. The tree over *n* leaves splits at the largest power of two below *n*.

`CompactRange` is what a writer has to keep: the roots of the perfect trees that the leaves so far make up,
one for each bit set in their number, largest first (its *peaks*). With all leaves at hand the root at any
earlier size is computed anew, so that two checkpoints are compared without a proof of consistency.

Conventions: hashes are 32 bytes; leaves are given as their hashes. A proof lists the hashes from the leaf up.
Pure. Source: RFC 6962 section 2.1, RFC 9162 section 2.1.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol, Self

from callseal.seal.errors import LedgerError

HASH_SIZE_BYTES: Final = 32
MAX_PROOF_LENGTH: Final = 64

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"


class Hashes(Protocol):
    """A row of hashes; a list of them is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> bytes: ...


class PackedHashes:
    """A row of hashes in one piece of memory: a year has most of a million of them."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes | bytearray = b"") -> None:
        if len(data) % HASH_SIZE_BYTES:
            raise ValueError(f"hashes are {HASH_SIZE_BYTES} bytes each")
        self._data = bytearray(data)

    def __len__(self) -> int:
        return len(self._data) // HASH_SIZE_BYTES

    def __getitem__(self, index: int, /) -> bytes:
        if not 0 <= index < len(self):
            raise IndexError(f"no hash {index}, there are {len(self)}")
        return bytes(self._data[index * HASH_SIZE_BYTES : (index + 1) * HASH_SIZE_BYTES])

    def __iter__(self) -> Iterator[bytes]:
        data = bytes(self._data)
        return (data[begin : begin + HASH_SIZE_BYTES] for begin in range(0, len(data), HASH_SIZE_BYTES))

    def append(self, value: bytes) -> None:
        """Add one; ValueError for another length."""
        if len(value) != HASH_SIZE_BYTES:
            raise ValueError(f"a hash is {HASH_SIZE_BYTES} bytes")
        self._data += value

    def extend(self, data: bytes) -> None:
        """Add several, given one behind the other; ValueError for another length."""
        if len(data) % HASH_SIZE_BYTES:
            raise ValueError(f"hashes are {HASH_SIZE_BYTES} bytes each")
        self._data += data

    def to_bytes(self) -> bytes:
        """Return all hashes, one behind the other."""
        return bytes(self._data)


class CompactRange:
    """The tree so far, as small as it can be and still grow."""

    __slots__ = ("_peaks", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._peaks: list[bytes] = []

    @classmethod
    def from_peaks(cls, size: int, peaks: Iterable[bytes]) -> Self:
        """Return the tree of `size` leaves with these peaks; ValueError if they can't be its."""
        tree = cls()
        tree._size, tree._peaks = size, list(peaks)
        if size < 0 or len(tree._peaks) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves does not have {len(tree._peaks)} peaks")
        if any(len(peak) != HASH_SIZE_BYTES for peak in tree._peaks):
            raise ValueError(f"a peak is not {HASH_SIZE_BYTES} bytes")
        return tree

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return self._size

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """The roots of the perfect trees, largest first."""
        return tuple(self._peaks)

    def append(self, leaf: bytes) -> None:
        """Add a leaf, given as its hash."""
        # Each one bit at the end of the old size is a perfect tree that the new leaf completes to the next.
        size, peaks = self._size, self._peaks
        while size & 1:
            leaf = node_hash(peaks.pop(), leaf)
            size >>= 1
        peaks.append(leaf)
        self._size += 1

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1]
        for peak in self._peaks[-2::-1]:
            root = node_hash(peak, root)
        return root


def first_difference(one: PackedHashes, other: PackedHashes) -> int | None:
    """Return the first index at which both rows have a hash, and not the same one."""
    low, high = 0, min(len(one), len(other))
    left, right = one.to_bytes(), other.to_bytes()
    if left[: high * HASH_SIZE_BYTES] == right[: high * HASH_SIZE_BYTES]:
        return None
    while high - low > 1:  # all before `low` is equal, something before `high` is not
        middle = (low + high) // 2
        part = slice(low * HASH_SIZE_BYTES, middle * HASH_SIZE_BYTES)
        low, high = (middle, high) if left[part] == right[part] else (low, middle)
    return low


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of the leaf with these bytes."""
    return hashlib.sha256(_LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node over two others."""
    return hashlib.sha256(_NODE + left + right).digest()


def root_at(leaves: Hashes, size: int) -> bytes:
    """Return the root over the first `size` leaves; ValueError if there are fewer."""
    if not 0 <= size <= len(leaves):
        raise ValueError(f"no tree of {size} leaves, there are {len(leaves)}")
    return _root(leaves, 0, size)


def inclusion_proof(leaves: Hashes, index: int, size: int) -> list[bytes]:
    """Return the proof that leaf `index` is in the tree of the first `size` leaves (RFC 9162, 2.1.3.1).

    ValueError if it is not.
    """
    if not 0 <= index < size <= len(leaves):
        raise ValueError(f"leaf {index} is not in a tree of {size} leaves, of which {len(leaves)} are there")
    proof: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            proof.append(_root(leaves, middle, end))
            end = middle
        else:
            proof.append(_root(leaves, begin, middle))
            begin = middle
    return proof[::-1]


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that `proof` leads to from leaf `index` of `size` (RFC 9162, 2.1.3.2).

    It is the tree's root if and only if the leaf is in the tree. LedgerError for a proof of another shape.
    """
    if not 0 <= index < size or len(proof) > MAX_PROOF_LENGTH:
        raise LedgerError(f"proof: leaf {index} can't be in a tree of {size}")
    if any(len(item) != HASH_SIZE_BYTES for item in (leaf, *proof)):
        raise LedgerError(f"proof: hashes of {HASH_SIZE_BYTES} bytes expected")
    node, last, root = index, size - 1, leaf
    for item in proof:
        if last == 0:
            raise LedgerError("proof: longer than the tree is high")
        if node & 1 or node == last:
            root = node_hash(item, root)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            root = node_hash(root, item)
        node, last = node >> 1, last >> 1
    if last:
        raise LedgerError("proof: shorter than the tree is high")
    return root


def _split(count: int) -> int:
    """Return the largest power of two below `count`, which is at least 2."""
    return 1 << (count - 1).bit_length() - 1


def _root(leaves: Hashes, begin: int, end: int) -> bytes:
    tree = CompactRange()
    for index in range(begin, end):
        tree.append(leaves[index])
    return tree.root()
