"""What a gateway's calls cost from their samples to the disk: recorder, checks and seal, without any socket.

    taskset -c 1 python bench/bank.py [--calls N] [--seconds S] [--folder FOLDER]

N calls are opened in banks of 128. Then comes a block of each bank every 0.8 s, by a clock that nobody waits
for: what has come to stay, a second of G.711 at a time, 0.75 s and more late, and behind it what is still
tentative. All of it is sealed to two post-quantum recipients and handed to the kernel at each block; the
banks are synced every 3.5 s. At the end the calls are closed, by one thread and by four, and some recordings
are opened and compared byte by byte.

    whole     processor time of a second of a call
    measure   of that: the levels of both channels
    append    of that: taking plaintext, with its chunks and hashes
    tail      of that: keeping safe the chunk that is not full, and what is tentative
    other     the rest: gaps, bookkeeping

FOLDER lies on the disk to be measured; without one it is memory (/dev/shm).
"""

import argparse
import hashlib
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, ParamSpec, TypeVar
from unittest import mock
from uuid import UUID

import numpy as np
import structlog
from numpy.typing import NDArray

from callseal.agent.binding import Policy
from callseal.agent.call import Answered, AudioFormat, Block, Call, Document, Ending, EndReason, Party
from callseal.agent.checks import Limits
from callseal.agent.chronicle import Chronicle
from callseal.agent.recorder import SpoolRecorder
from callseal.agent.spools import Spools
from callseal.codecs.au import HEADER_BYTES, Encoding
from callseal.codecs.level import Gauge
from callseal.seal.age import HybridIdentity, decrypt
from callseal.seal.bank import Bank
from callseal.seal.device import DeviceSigner
from callseal.seal.keys import Role, chain_der, device_id, generate_signing_key, self_signed
from callseal.seal.ledger.clock import system_clocks
from callseal.seal.ledger.journal import Journal
from callseal.seal.spool import Spool
from callseal.seal.tail import TailFile
from callseal.seal.writer import SealedFile

RATE_HZ: Final = 8000
BANK_CALLS: Final = 128
"""Calls of one block: 256 streams."""
WRITE_S: Final = 0.8
LATE_S: Final = 0.75
SYNC_S: Final = 3.5
CHECKED_BANKS: Final = 5
CLOSERS: Final = 4
"""Threads that close calls."""
FORM: Final = AudioFormat(encoding=Encoding.ULAW, rate_hz=RATE_HZ)
LIMIT_US: Final = 200
OPENED_A_SECOND: Final = 200
READER: Final = HybridIdentity.generate()
RECIPIENTS: Final = (READER.recipient, HybridIdentity.generate().recipient)
INVITE: Final = b"INVITE sip:srs@example.com SIP/2.0\r\n" + b"X-Filler: 0123456789\r\n" * 200

P = ParamSpec("P")
R = TypeVar("R")


class Stages:
    """How long it was in what, in processor time."""

    def __init__(self) -> None:
        self.spent_s = dict.fromkeys(("measure", "append", "tail"), 0.0)

    def timed(self, name: str, work: Callable[P, R]) -> Callable[P, R]:
        """Return the work, timed."""

        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            start_s = time.thread_time()
            try:
                return work(*args, **kwargs)
            finally:
                self.spent_s[name] += time.thread_time() - start_s

        return run


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._began = datetime.now(UTC)

    def monotonic(self) -> float:
        return self.now_s

    def now(self) -> datetime:
        return self._began + timedelta(seconds=self.now_s)


class Line:
    """What the calls of one bank say: windows on the same noise, each call at a place of its own."""

    def __init__(self, first: int, calls: int, seconds: int) -> None:
        self.calls = calls
        self.recordings: tuple[UUID, ...] = ()
        self._noise = np.random.default_rng(first).integers(0, 256, (seconds + 4) * RATE_HZ * 2, np.uint8)
        self._first = first
        self.final_samples = 0

    def said(self, call: int, start: int, end: int) -> NDArray[np.uint8]:
        """Return what a call says from one sample to another, shape (samples, 2)."""
        place = (self._first + call) % RATE_HZ
        return self._noise[2 * (start + place) : 2 * (end + place)].reshape(-1, 2)

    def block(self, now_s: float) -> Block:
        """Return what there is at this moment."""
        whole = int(max(0.0, now_s - LATE_S)) * RATE_HZ
        # At most one second comes to stay at a time, as an engine closes them.
        end = min(whole, self.final_samples + RATE_HZ)
        now = int(now_s * RATE_HZ)
        payload = np.empty((self.calls, now - self.final_samples, 2), np.uint8)
        for call in range(self.calls):
            payload[call] = self.said(call, self.final_samples, now)
        block = Block(
            recordings=self.recordings,
            start_samples=np.full(self.calls, self.final_samples, np.int64),
            payload=payload,
            present=np.ones((self.calls, 2, payload.shape[1] // 80), np.bool_),
            tentative_samples=now - end,
        )
        self.final_samples = end
        return block


@contextmanager
def recorder_on(folder: Path, clock: Clock) -> Iterator[tuple[SpoolRecorder, Spool]]:
    key = generate_signing_key()
    device = device_id(key.public_key())
    chain = chain_der([self_signed(key, role=Role.DEVICE, now=clock.now(), years=1)])
    spool = Spool.create(folder / "spool")
    with spool.lock():
        ledger = Chronicle(
            lambda: Journal([spool.ledger_path], device=device, key=key, clocks=system_clocks),
            clocks=system_clocks,
            heartbeat_s=60.0,
            publish_s=60.0,
            alarm=alarm,
            clear=lambda _code: None,
        )
        ledger.started("bench", hashlib.sha256(b"").digest(), chain)
        recorder = SpoolRecorder(
            spools=Spools([spool], min_free_bytes=0, alarm=alarm, clear=lambda _code: None),
            ledger=ledger,
            recipients=RECIPIENTS,
            signer=DeviceSigner(device=device, key=key, chain=chain),
            policy=Policy(
                site="bench",
                stores=lambda _call, _result: ("primary",),
                flush_s=0.75,
                limits=Limits(
                    min_level_dbov=-35.0, max_clipped_ratio=0.001, silent_channel_dbov=-60.0, silent_s=10.0
                ),
                software="callseal/bench",
                banked=True,
            ),
            now=clock.now,
            monotonic=clock.monotonic,
            random=secrets.token_bytes,
            alarm=alarm,
            finished=lambda _result: None,
        )
        yield recorder, spool


def alarm(code: str, words: str) -> None:
    raise SystemExit(f"{code}: {words}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run cost; processor time, and for opening and closing wall time as well."""

    talk_s: float
    tick_s: float
    opened_s: tuple[float, float]
    closed_s: tuple[float, float]
    closed_at_once_s: tuple[float, float]
    written_bytes: int
    wrong: int


def take_part(number: int, clock: Clock) -> Call:
    return Call(
        source="siprec",
        direction="inbound",
        started_at=clock.now(),
        agent=Party(number=str(8000 + number), uri=f"sip:{8000 + number}@example.com", name="Agent"),
        customer=Party(number=f"+861380013{number % 10_000:04}"),
        sip_call_ids=(secrets.token_hex(16),),
        attributes=(("oracle:ucid", secrets.token_hex(10)),),
    )


def document(clock: Clock, kind: str) -> Document:
    if kind == "sip-message":
        return Document(at=clock.now(), kind="sip-message", content_type="message/sip", body=INVITE)
    return Document(
        at=clock.now(), kind="rs-metadata", content_type="application/rs-metadata+xml", body=INVITE[:2500]
    )


def run(folder: Path, calls: int, seconds: int, stages: Stages | None) -> Run:
    clock = Clock()
    written = Counter[str]()
    with ExitStack() as used:
        recorder, spool = used.enter_context(recorder_on(folder, clock))
        if stages is not None:
            for owner, method, name in (
                (Gauge, "measure", "measure"),
                (SealedFile, "write", "append"),
                (TailFile, "put", "tail"),
            ):
                timed = stages.timed(name, getattr(owner, method))
                used.enter_context(mock.patch.object(owner, method, timed))
        put = TailFile.put

        def counted(tail: TailFile, *args: object) -> int:
            size_bytes = put(tail, *args)  # type: ignore[arg-type]
            written["tail"] += -(-size_bytes // 4096) * 4096
            return size_bytes

        used.enter_context(mock.patch.object(TailFile, "put", counted))
        bank = Bank(spool.root)
        used.callback(bank.close)
        banks = [
            Line(first, min(BANK_CALLS, calls - first), seconds) for first in range(0, calls, BANK_CALLS)
        ]
        opened_s = spent(lambda: open_all(recorder, clock, banks))
        talk_s, tick_s = talk(recorder, clock, banks, seconds, lambda: sync(recorder, spool, bank))
        grown = sum(path.stat().st_size for path in spool.root.glob("open/*/audio.age"))
        every = [recording for line in banks for recording in line.recordings]
        closed_s = spent(lambda: close_all(recorder, clock, every[::2]))
        closed_at_once_s = spent(lambda: close_at_once(recorder, clock, every[1::2]))
        checked = banks[:: max(1, len(banks) // CHECKED_BANKS)]
        wrong = sum(not is_whole(spool, line, seconds) for line in checked)
    return Run(
        talk_s=talk_s,
        tick_s=tick_s,
        opened_s=opened_s,
        closed_s=closed_s,
        closed_at_once_s=closed_at_once_s,
        written_bytes=written["tail"] + grown,
        wrong=wrong,
    )


def open_all(recorder: SpoolRecorder, clock: Clock, banks: Sequence[Line]) -> None:
    for line in banks:
        found = []
        for call in range(line.calls):
            recording = recorder.open(take_part(call, clock), FORM)
            recorder.event(recording, document(clock, "sip-message"))
            recorder.event(recording, document(clock, "rs-metadata"))
            recorder.event(recording, Answered(at=clock.now(), position_samples=0))
            found.append(recording)
        line.recordings = tuple(found)
    # What is known of the calls is sealed a moment later: that is a part of opening them.
    clock.now_s += 0.7
    for _ in range(0, sum(line.calls for line in banks), 100):
        recorder.tick()
    clock.now_s -= 0.7


def talk(
    recorder: SpoolRecorder, clock: Clock, banks: Sequence[Line], seconds: int, sync: Callable[[], None]
) -> tuple[float, float]:
    talk_s = tick_s = synced_s = 0.0
    while clock.now_s < seconds:
        clock.now_s += WRITE_S
        for line in banks:
            block = line.block(clock.now_s)
            talk_s += spent(lambda block=block: recorder.write(block))[0]  # type: ignore[misc]
        for _ in range(3):
            tick_s += spent(recorder.tick)[0]
        if clock.now_s - synced_s >= SYNC_S:
            synced_s = clock.now_s
            sync()
    return talk_s, tick_s


def sync(recorder: SpoolRecorder, spool: Spool, bank: Bank) -> None:
    staged = recorder.staged(spool)
    bank.sync()
    recorder.synced(staged)


def close_all(recorder: SpoolRecorder, clock: Clock, recordings: Sequence[UUID]) -> None:
    end = EndReason(ending=Ending.HANGUP, at=clock.now(), by="customer")
    for recording in recordings:
        recorder.close(recording, end)


def close_at_once(recorder: SpoolRecorder, clock: Clock, recordings: Sequence[UUID]) -> None:
    parts = [recordings[number::CLOSERS] for number in range(CLOSERS)]
    with ThreadPoolExecutor(CLOSERS) as threads:
        list(threads.map(lambda part: close_all(recorder, clock, part), parts))


def is_whole(spool: Spool, line: Line, seconds: int) -> bool:
    """Tell whether the first call of a bank holds all that was said, to the byte."""
    (path,) = (spool.ready_path / str(line.recordings[0])).glob("audio-*")
    with path.open("rb") as file:
        inner = b"".join(decrypt(file, [READER]))
    samples = (len(inner) - HEADER_BYTES) // 2
    return samples >= seconds * RATE_HZ and inner[HEADER_BYTES:] == line.said(0, 0, samples).tobytes()


def spent(work: Callable[[], object]) -> tuple[float, float]:
    """Do a piece of work; return its processor time and its wall time."""
    start_s, began_s = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - start_s, time.perf_counter() - began_s


def tell(name: str, spent_s: tuple[float, float], calls: float) -> None:
    cpu_s, wall_s = spent_s
    print(
        f"{name:16} {1e6 * cpu_s / calls:6.0f} µs of a core, {calls / cpu_s:,.0f} a second of a core;"
        f" {1e6 * wall_s / calls:.0f} µs in all"
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=512)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"))  # noqa: S108 - memory
    given = parser.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    stages = Stages()
    runs = []
    for measured in (None, stages):
        folder = Path(tempfile.mkdtemp(dir=given.folder))
        try:
            runs.append(run(folder, given.calls, given.seconds, measured))
        finally:
            shutil.rmtree(folder)
    plain, split = runs
    call_seconds = given.calls * given.seconds
    whole_us = 1e6 * (plain.talk_s + plain.tick_s) / call_seconds
    print(f"{given.calls} calls, {given.seconds} s, {given.folder}")
    print(f"whole    {whole_us:7.1f} µs a second of a call (limit {LIMIT_US}): {1e6 / whole_us:,.0f} calls")
    for name, stage_s in stages.spent_s.items():
        print(f"{name:8} {1e6 * stage_s / call_seconds:7.1f}")
    other_s = split.talk_s - sum(stages.spent_s.values())
    print(f"{'other':8} {1e6 * other_s / call_seconds:7.1f}")
    print(f"{'ticks':8} {1e6 * plain.tick_s / call_seconds:7.1f}")
    print(f"disk     {plain.written_bytes / call_seconds / 1000:7.1f} kB a second of a call")
    tell("open", plain.opened_s, given.calls)
    tell("close", plain.closed_s, given.calls / 2)
    tell(f"close, {CLOSERS} threads", plain.closed_at_once_s, given.calls / 2)
    well = not plain.wrong and whole_us <= LIMIT_US and given.calls / plain.opened_s[0] >= OPENED_A_SECOND
    print("every byte there" if not plain.wrong else f"WRONG: {plain.wrong} recordings")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
