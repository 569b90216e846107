"""What it costs to keep safe the chunk that is not full: our tail beside the other ways that there are.

    taskset -c 0 python bench/tail.py [FOLDER]

FOLDER lies on the disk to be measured; without one it is that of temporary files. A call is stereo G.711,
16 kB a second, flushed every 0.5 s; each way does a minute of it as fast as it can, in turn, several times,
and the least processor time counts. Each loses the same at most, what came since the last flush: 0.5 s.

    slots     the whole chunk so far sealed again, into one slot after the other; the product's, under the
              call's own passphrase, or sealed to the recipients each time
    padded    one age file a chunk of sound, to which each flush appends 64 KiB: what is new, and zeros
    pieces    an age file for what is new alone, one behind the other

The figure to watch is the product's processor time over that of the cheapest other way. What is written
counts whole pages of 4 KiB. The rest is the whole writer, and one syncfs beside many fdatasync.
"""

import itertools
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from callseal.seal.age import (
    CHUNK_SIZE_BYTES,
    Encryptor,
    HybridIdentity,
    Recipient,
    ScryptRecipient,
    X25519Identity,
)
from callseal.seal.bank import Bank
from callseal.seal.secret import Secret
from callseal.seal.tail import SLOT_SIZE_BYTES, SLOTS, TailFile
from callseal.seal.writer import SealedFile

BYTES_A_SECOND = 16_000
FLUSH_S = 0.5
CALL_S = 60
ROUNDS = 5
PAGE_BYTES = 4096
FILES = 200
CLASSIC: tuple[Recipient, ...] = tuple(X25519Identity.generate().recipient for _ in range(2))
POST_QUANTUM: tuple[Recipient, ...] = tuple(HybridIdentity.generate().recipient for _ in range(2))
PASSPHRASE = ScryptRecipient(passphrase=Secret(secrets.token_urlsafe(32)), work_factor=1)
HEADER_BYTES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a minute of a call cost."""

    cpu_s: float
    written_bytes: int

    def __str__(self) -> str:
        flushes = CALL_S / FLUSH_S
        return (
            f"{self.cpu_s / flushes * 1e6:7.0f} µs a flush {self.cpu_s / CALL_S * 1e6:7.0f} µs a second"
            f" {self.written_bytes / CALL_S / 1000:7.1f} kB/s"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Flush:
    """What a flush has to keep safe: the chunk so far, and what of it is new."""

    chunk: int
    held: bytes
    new: bytes


Way = Callable[[Path, bool], int]
"""Does a minute of a call in a folder, with or without fdatasync; gives the bytes of all pages written."""


def flushes() -> Iterator[Flush]:
    piece = os.urandom(int(BYTES_A_SECOND * FLUSH_S))
    chunk, held = 0, b""
    for _ in range(int(CALL_S / FLUSH_S)):
        held += piece
        new = piece
        if len(held) > CHUNK_SIZE_BYTES:
            chunk, held = chunk + 1, held[CHUNK_SIZE_BYTES:]
            new = held
        yield Flush(chunk=chunk, held=held, new=new)


def pages(start_bytes: int, size_bytes: int) -> int:
    first, last = start_bytes // PAGE_BYTES, (start_bytes + size_bytes - 1) // PAGE_BYTES
    return (last - first + 1) * PAGE_BYTES


def sealed(recipients: Sequence[Recipient], plaintext: bytes) -> bytes:
    encryptor = Encryptor(recipients)
    return b"".join((encryptor.header(), encryptor.update(plaintext), encryptor.finish()))


def product(folder: Path, sync: bool) -> int:  # noqa: FBT001 - a way's shape
    tail, written_bytes = TailFile(folder, CLASSIC), 0
    for flush in flushes():
        written_bytes += pages(0, tail.put(flush.chunk, flush.held))
        if sync:
            tail.sync()
    tail.release()
    return written_bytes


def slots(recipients: Sequence[Recipient]) -> Way:
    def way(folder: Path, sync: bool) -> int:  # noqa: FBT001 - a way's shape
        written_bytes = 0
        with (folder / "slots").open("wb", buffering=0) as file:
            file.write(bytes(SLOTS * SLOT_SIZE_BYTES))
            for number, flush in enumerate(flushes()):
                data = bytes(HEADER_BYTES) + sealed(recipients, flush.held)
                os.pwrite(file.fileno(), data, number % SLOTS * SLOT_SIZE_BYTES)
                written_bytes += pages(0, len(data))
                if sync:
                    os.fdatasync(file.fileno())
        return written_bytes

    return way


def padded(recipients: Sequence[Recipient]) -> Way:
    def way(folder: Path, sync: bool) -> int:  # noqa: FBT001 - a way's shape
        written_bytes, position = 0, 0
        with (folder / "padded").open("wb", buffering=0) as file:
            for _chunk, of_chunk in itertools.groupby(flushes(), key=lambda flush: flush.chunk):
                position = 0
                encryptor = Encryptor(recipients)
                data = encryptor.header()
                for flush in of_chunk:
                    # A chunk is given out once a byte more has come: kept at hand, it is sealed at once.
                    space = CHUNK_SIZE_BYTES - len(flush.new)
                    data += encryptor.update(flush.new + bytes(space + (0 if position else 1)))
                    os.pwrite(file.fileno(), data, position)
                    written_bytes += pages(position, len(data))
                    position += len(data)
                    data = b""
                    if sync:
                        os.fdatasync(file.fileno())
        return written_bytes

    return way


def pieces(recipients: Sequence[Recipient]) -> Way:
    def way(folder: Path, sync: bool) -> int:  # noqa: FBT001 - a way's shape
        written_bytes, position, chunk = 0, 0, 0
        with (folder / "pieces").open("wb", buffering=0) as file:
            file.write(bytes(2 * SLOT_SIZE_BYTES))
            for flush in flushes():
                if flush.chunk != chunk:
                    chunk, position = flush.chunk, 0
                data = bytes(HEADER_BYTES) + sealed(recipients, flush.new)
                start = flush.chunk % 2 * SLOT_SIZE_BYTES + position
                os.pwrite(file.fileno(), data, start)
                written_bytes += pages(start, len(data))
                position += len(data)
                if sync:
                    os.fdatasync(file.fileno())
        return written_bytes

    return way


def whole(recipients: Sequence[Recipient]) -> Way:
    def way(folder: Path, sync: bool) -> int:  # noqa: FBT001 - a way's shape
        writer = SealedFile(folder / "audio.age", recipients, banked=not sync)
        piece = os.urandom(BYTES_A_SECOND // 10)
        for tenth in range(CALL_S * 10):
            writer.write(piece)
            if tenth % int(FLUSH_S * 10) == 0:
                if sync:
                    writer.flush()
                else:
                    writer.stage()
        writer.close()
        return writer.size_bytes

    return way


def measured(root: Path, ways: dict[str, Way], *, sync: bool) -> dict[str, Cost]:
    best: dict[str, Cost] = {}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory(dir=root) as folder:
                start_s = time.process_time()
                written_bytes = way(Path(folder), sync)
                cpu_s = time.process_time() - start_s
            if name not in best or cpu_s < best[name].cpu_s:
                best[name] = Cost(cpu_s=cpu_s, written_bytes=written_bytes)
    return best


def banks(root: Path) -> tuple[float, float]:
    """Give the seconds that it takes to bring many tails to the disk: one by one, and all at once."""
    one_by_one_s = at_once_s = float("inf")
    with tempfile.TemporaryDirectory(dir=root) as folder:
        files = [os.open(Path(folder, str(number)), os.O_WRONLY | os.O_CREAT) for number in range(FILES)]
        bank = Bank(Path(folder))
        data = os.urandom(CHUNK_SIZE_BYTES // 2)
        for round_number in range(2 * ROUNDS + 1):
            for file in files:
                os.pwrite(file, data, 0)
            start_s = time.perf_counter()
            if round_number % 2:
                for file in files:
                    os.fdatasync(file)
            else:
                bank.sync()
            took_s = time.perf_counter() - start_s
            if round_number % 2:
                one_by_one_s = min(one_by_one_s, took_s)
            elif round_number:  # the first one brings everything else that waited as well
                at_once_s = min(at_once_s, took_s)
        bank.close()
        for file in files:
            os.close(file)
    return one_by_one_s, at_once_s


def main(root: Path) -> int:
    named = {
        "1 X25519": CLASSIC[:1],
        "2 X25519": CLASSIC,
        "1 post-quantum": POST_QUANTUM[:1],
        "2 post-quantum": POST_QUANTUM,
    }
    ours = "slots, a passphrase (product)"
    ways: dict[str, Way] = {ours: product}
    for name, recipients in named.items():
        ways[f"slots, {name}"] = slots(recipients)
    for name, recipients in named.items():
        ways[f"padded, {name}"] = padded(recipients)
    for name, recipients in named.items():
        ways[f"pieces, {name}"] = pieces(recipients)
    ways["pieces, a passphrase"] = pieces([PASSPHRASE])
    writers = {name: whole(recipients) for name, recipients in named.items()}
    for sync in (False, True):
        print("with fdatasync" if sync else "without fdatasync")
        costs = measured(root, ways, sync=sync)
        for name, cost in costs.items():
            print(f"  {name:30} {cost}")
        others = {name: cost for name, cost in costs.items() if name != ours}
        cheapest = min(others, key=lambda name: others[name].cpu_s)
        ratio = costs[ours].cpu_s / others[cheapest].cpu_s
        print(f"  product over the cheapest other ({cheapest}): {ratio:.2f}")
        print("the whole writer, its file made and closed")
        for name, cost in measured(root, writers, sync=sync).items():
            print(f"  {name:30} {cost.cpu_s / CALL_S * 1e6:7.0f} µs a second of a call")
    one_by_one_s, at_once_s = banks(root)
    print(f"{FILES} tails: {1000 * one_by_one_s:.1f} ms one by one, {1000 * at_once_s:.1f} ms at once")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.gettempdir())))
