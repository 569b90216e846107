"""Pairs of UDP sockets, and reading many datagrams with one system call.

Shell: sockets. ``recvmmsg`` is called through ctypes with the interpreter's lock held: it never blocks here,
and a thread that gave the lock away for each of thousands of sockets would wait for it as often. Where the
system has no ``recvmmsg``, datagrams are read one by one.

Conventions: a row is one datagram in `ROW_BYTES`; its *key* tells where it came from (`learning`).
Source: recvmmsg(2), udp(7), socket(7), sock_diag(7) for the words of SO_MEMINFO.
"""

import contextlib
import ctypes
import errno
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from callseal.agent.media.learning import KEY_WORDS, Keys

ROW_BYTES: Final = 2048
"""More than an Ethernet frame holds; what is longer is no packet of sound."""
ROWS: Final = 6144
"""One tick of 256 streams at 50 packets/s, with some to spare."""
BATCH: Final = 64
"""Datagrams read from a socket at once, so that none keeps the others waiting."""
RECEIVE_BUFFER_BYTES: Final = 512 * 1024
"""The kernel doubles it. A datagram is charged 0.8 to 4 kB, by driver: 5 s of a stream at the worst."""
SMALLEST_CHARGE_BYTES: Final = 640
"""The kernel charges a datagram no less, whatever its size: what a full buffer can hold at most."""

_MAX_DATAGRAM_BYTES: Final = 65_535
_NAME_BYTES: Final = 32
_NAME_WORDS: Final = _NAME_BYTES // 8
_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("9I")
_DROPS: Final = 8
_NOTHING_THERE: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR, errno.ECONNREFUSED})
_V6_KEY_MASK: Final = int.from_bytes(b"\xff" * 4 + b"\0" * 4, sys.byteorder)
"""Leaves the flow label out of a key's first word: it may change from packet to packet (RFC 6437)."""


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iov_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("header", _Msghdr), ("length", ctypes.c_uint32))


_Receive = Callable[[int, int, int, int, None], int]


def _find_recvmmsg() -> _Receive | None:
    try:
        function = ctypes.PyDLL(None, use_errno=True).recvmmsg
    except (AttributeError, OSError, TypeError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
    function.restype = ctypes.c_int
    return cast("_Receive", function)


_RECVMMSG: Final = _find_recvmmsg() if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketPair:
    """The two sockets of a stream, bound to neighbouring ports."""

    port: int
    rtp: socket.socket
    rtcp: socket.socket

    def dropped(self) -> int:
        """How many RTP datagrams the kernel had no room for; 0 where it does not tell."""
        with contextlib.suppress(OSError, struct.error):
            data = self.rtp.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
            return int(_MEMINFO.unpack(data)[_DROPS])
        return 0

    def empty(self) -> None:
        """Throw away what has come and was not read, up to as much as there can be at once."""
        for receiver in (self.rtp, self.rtcp):
            for _ in range(2 * RECEIVE_BUFFER_BYTES // SMALLEST_CHARGE_BYTES):
                try:
                    receiver.recv(_MAX_DATAGRAM_BYTES)
                except OSError:
                    break

    def close(self) -> None:
        """Give both back to the system."""
        self.rtp.close()
        self.rtcp.close()


def family_of(address: str) -> socket.AddressFamily:
    """Say of which family an IP address is."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def bind_pair(address: str, port: int) -> SocketPair | None:
    """Bind `port` and the one after it; None where another program has either. Other OSErrors pass."""
    family = family_of(address)
    rtp = socket.socket(family, socket.SOCK_DGRAM)
    rtcp = None
    try:
        rtp.setblocking(False)
        rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        rtp.bind((address, port))
        rtcp = socket.socket(family, socket.SOCK_DGRAM)
        rtcp.setblocking(False)
        rtcp.bind((address, port + 1))
    except OSError as problem:
        rtp.close()
        if rtcp is not None:
            rtcp.close()
        if problem.errno in (errno.EADDRINUSE, errno.EACCES):
            return None
        raise
    return SocketPair(port=port, rtp=rtp, rtcp=rtcp)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What one pass over some sockets brought; rows of `Inbox`, grouped by socket."""

    sockets: list[int]
    """Which of the sockets had something, ascending."""
    counts: list[int]
    """How many datagrams each of these had."""
    next: int
    """Which socket comes next; as many as there are when the pass is done."""


class Inbox:
    """Room for the datagrams of one pass, read from many sockets, used again and again.

    rows: uint8, shape (ROWS, ROW_BYTES); lengths: the datagrams' sizes, also of those that were cut;
    keys: uint64, shape (ROWS, KEY_WORDS).
    """

    def __init__(self, family: socket.AddressFamily, *, receive: _Receive | None = _RECVMMSG) -> None:
        """`receive=None` reads one by one, as where the system has no ``recvmmsg``."""
        self._receive = receive
        self._is_v6 = family == socket.AF_INET6
        self.rows: NDArray[np.uint8] = np.zeros((ROWS, ROW_BYTES), np.uint8)
        self._names: NDArray[np.uint64] = np.zeros((ROWS, _NAME_WORDS), np.uint64)
        self._headers = (_Mmsghdr * ROWS)()
        self._vectors = (_Iovec * ROWS)()
        self._lengths: NDArray[np.uint32] = np.ndarray(
            (ROWS,),
            np.uint32,
            buffer=memoryview(self._headers).cast("B"),
            offset=_Mmsghdr.length.offset,
            strides=(ctypes.sizeof(_Mmsghdr),),
        )
        self._cached: dict[tuple[str, int], NDArray[np.uint64]] = {}
        for index in range(ROWS):
            self._vectors[index].base = self.rows.ctypes.data + index * ROW_BYTES
            self._vectors[index].size = ROW_BYTES
            header = self._headers[index].header
            header.name = self._names.ctypes.data + index * _NAME_BYTES
            header.name_size = _NAME_BYTES
            header.iov = ctypes.addressof(self._vectors) + index * ctypes.sizeof(_Iovec)
            header.iov_count = 1
        self._base = ctypes.addressof(self._headers)

    def read(self, sockets: Sequence[socket.socket], descriptors: Sequence[int], begin: int) -> Drained:
        """Read what each socket from number `begin` on has, `BATCH` at most, while there is room."""
        if self._receive is None:
            return self._read_one_by_one(sockets, begin)
        return self._read_many(self._receive, descriptors, begin)

    def _read_many(self, receive: _Receive, descriptors: Sequence[int], begin: int) -> Drained:
        found: list[int] = []
        counts: list[int] = []
        base, step, flags = self._base, ctypes.sizeof(_Mmsghdr), socket.MSG_DONTWAIT | socket.MSG_TRUNC
        at = 0
        index = begin
        last = ROWS - BATCH
        while index < len(descriptors) and at <= last:
            count = receive(descriptors[index], base + at * step, BATCH, flags, None)
            if count > 0:
                found.append(index)
                counts.append(count)
                at += count
            elif count < 0 and ctypes.get_errno() not in _NOTHING_THERE:
                raise OSError(ctypes.get_errno(), "a socket for sound can't be read")
            index += 1
        if self._is_v6:
            self._names[:at, 0] &= np.uint64(_V6_KEY_MASK)
        return Drained(sockets=found, counts=counts, next=index)

    def _read_one_by_one(self, sockets: Sequence[socket.socket], begin: int) -> Drained:
        found: list[int] = []
        counts: list[int] = []
        at = 0
        index = begin
        while index < len(sockets) and at <= ROWS - BATCH:
            count = 0
            with contextlib.suppress(BlockingIOError, ConnectionRefusedError, InterruptedError):
                while count < BATCH:
                    size, source = sockets[index].recvfrom_into(self.rows[at + count])
                    # A datagram that fills the row may have been cut, and is told as if it had been.
                    self._lengths[at + count] = size if size < ROW_BYTES else ROW_BYTES + 1
                    self._names[at + count] = self._name(source[0], source[1])
                    count += 1
            if count:
                found.append(index)
                counts.append(count)
                at += count
            index += 1
        return Drained(sockets=found, counts=counts, next=index)

    def _name(self, host: str, port: int) -> NDArray[np.uint64]:
        """Give the words that the kernel would have written."""
        words = self._cached.get((host, port))
        if words is None:
            if len(self._cached) >= ROWS:  # strangers with ever new ports
                self._cached.clear()
            address = host.partition("%")[0]
            if self._is_v6:
                name = struct.pack("=HHI16s", socket.AF_INET6, socket.htons(port), 0, _v6(address))
            else:
                name = struct.pack("=HH4s", socket.AF_INET, socket.htons(port), socket.inet_aton(address))
            words = np.frombuffer(name.ljust(_NAME_BYTES, b"\0"), np.uint64)
            self._cached[host, port] = words
        return words

    def lengths(self, count: int) -> NDArray[np.int64]:
        """Give the sizes of the first `count` datagrams."""
        return self._lengths[:count].astype(np.int64)

    def keys(self, count: int) -> Keys:
        """Give the sources of the first `count` datagrams, shape (count, KEY_WORDS); a view."""
        return self._names[:count, :KEY_WORDS]


def _v6(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, address)
