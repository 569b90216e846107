"""The agent as a service: puts the parts together, starts them in order, stops them in reverse.

Start: protect memory, read keys and announcements, take the spool, sweep up what a dead agent left, begin
to record. SIGTERM or SIGINT: no new calls, running ones may finish for `DRAIN_S`, at a gateway as long as the
settings say; a second signal ends them. Whatever fails before the sources run is raised to the caller with
its exit code.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Final
from uuid import UUID

import structlog

from callseal.agent import identity, memory, wiring
from callseal.agent.alarms import Alarms
from callseal.agent.announcement import Programme
from callseal.agent.chronicle import Chronicle
from callseal.agent.errors import AgentError
from callseal.agent.key_watch import KeyWatch
from callseal.agent.policy import policy_of
from callseal.agent.recorder import SpoolRecorder
from callseal.agent.spools import AtHand, Spools, take
from callseal.config import logs
from callseal.config.load import Loaded
from callseal.config.settings import Settings
from callseal.config.sources import SiprecSource as SiprecSettings
from callseal.seal import status
from callseal.seal.age import Recipient
from callseal.seal.bank import Bank
from callseal.seal.device import DeviceSigner
from callseal.seal.errors import SpoolError, UntrustedSigner
from callseal.seal.keyfile import read_recipients
from callseal.seal.keys import Role, TrustStore
from callseal.seal.ledger.clock import system_clocks
from callseal.seal.ledger.journal import Journal
from callseal.seal.manifest import Result
from callseal.seal.recovery import NotRecovered, Recovered, Recovery
from callseal.seal.spool import Spool
from callseal.seal.status import State, Status

if TYPE_CHECKING:
    from callseal.agent.call import Source

SERVICE: Final = "agent"
DRAIN_S: Final = 30.0
STATUS_EVERY_S: Final = 1.0
TICK_EVERY_S: Final = 0.25
"""How often the recorder looks what must be made safe: well below any flush interval."""
MEDIA_DIED: Final = "media-died"
ELSEWHERE: Final = "media_worker_recordings"
"""The counter of recordings that run in other processes of this agent."""
_MEBIBYTE: Final = 1024 * 1024
_TWO_READERS: Final = 2
_BUG: Final = 1

log = structlog.get_logger("callseal.agent")


def now() -> datetime:
    """Give the wall time, UTC."""
    return datetime.now(UTC)


def software() -> str:
    """Name this software and its version."""
    return f"callseal/{version('callseal')}"


def run(loaded: Loaded) -> int:
    """Run the agent in the foreground until it is told to stop; gives the exit code."""
    settings = loaded.settings
    logs.configure(settings.log)
    unprotected = memory.protect()
    recipients = read_recipients(settings.seal.recipients_file)
    signer, untrusted = identity.load(settings.device.key_file, settings.device.certificate_file, now())
    ready_to_play = wiring.programmes(settings)
    with contextlib.ExitStack() as locks:
        at_hand = take(settings.spool.folders(), locks)
        service = _Service(
            settings,
            at_hand=at_hand,
            recipients=recipients,
            signer=signer,
            ready_to_play=ready_to_play,
        )
        for words in unprotected:
            service.alarms.raise_("memory-unprotected", words)
        doubt = _doubt(settings, signer)
        if doubt and not untrusted:
            service.alarms.raise_("no-certificate", doubt)
        if at_hand.missing:
            service.alarms.raise_("second-spool", at_hand.missing)
        if untrusted:
            service.alarms.raise_("no-certificate", untrusted)
        if len(recipients) < _TWO_READERS:
            service.alarms.raise_(
                "one-recipient", "only one key can read the recordings: add an offline recovery key"
            )
        service.begin(loaded.sha256)
        return asyncio.run(service.run())


def _doubt(settings: Settings, signer: DeviceSigner) -> str:
    """Say in words why this machine itself would not believe what it signs; empty when it would.

    Without the organisation's root at hand nothing can be said: that is no fault of a device.
    """
    trust = TrustStore.from_files(settings.trust.roots_file, settings.trust.revocations_file)
    try:
        if trust.roots:
            trust.check(signer.chain, at=now(), role=Role.DEVICE)
    except UntrustedSigner as problem:
        return f"recordings of this device will not be believed: {problem}"
    return ""


class _Service:
    """The parts of a running agent."""

    def __init__(
        self,
        settings: Settings,
        *,
        at_hand: AtHand,
        recipients: tuple[Recipient, ...],
        signer: DeviceSigner,
        ready_to_play: dict[str, Programme],
    ) -> None:
        self.alarms = Alarms(now)
        self._started_at = now()
        self._version = version("callseal")  # read from a file each time it is asked for
        self._results: Counter[str] = Counter()
        self._stopping = False
        self._reporting = threading.Lock()
        self._said_last = False
        self._signer = signer
        self._sync_s = settings.seal.sync_s
        self._spools = Spools(
            at_hand.spools,
            min_free_bytes=settings.spool.min_free_mb * _MEBIBYTE,
            warn_percent=settings.spool.warn_percent,
            full_percent=settings.spool.full_percent,
            alarm=self.alarms.raise_,
            clear=self.alarms.clear,
        )
        self._chronicle = Chronicle(
            lambda: Journal(
                at_hand.ledgers,
                device=signer.device,
                key=signer.key,
                clocks=system_clocks,
            ),
            clocks=system_clocks,
            heartbeat_s=settings.ledger.heartbeat_s,
            publish_s=settings.ledger.publish_s,
            alarm=self.alarms.raise_,
            clear=self.alarms.clear,
        )
        self._keys = KeyWatch(
            settings.seal.recipients_file,
            recipients,
            signer,
            alarm=self.alarms.raise_,
            clear=self.alarms.clear,
        )
        self._policy = policy_of(settings, software())
        recovery = partial(
            Recovery,
            spools=at_hand.spools,
            whole=not at_hand.missing,
            recipients=recipients,
            signer=signer,
            ledger=self._chronicle,
            site=self._policy.site,
            # Nothing is known of what has no state: it goes wherever anything goes.
            stores=tuple(store.name for store in settings.stores),
            software=self._policy.software,
            now=now,
        )
        self._recovery = recovery()
        self._recovery_of_workers = recovery(reasons=(MEDIA_DIED,))
        self._recorder = SpoolRecorder(
            spools=self._spools,
            ledger=self._chronicle,
            recipients=recipients,
            signer=signer,
            policy=self._policy,
            now=now,
            monotonic=time.monotonic,
            random=secrets.token_bytes,
            alarm=self.alarms.raise_,
            finished=self._count,
        )
        self._drain_s = max(
            (one.drain_s if isinstance(one, SiprecSettings) else DRAIN_S for one in settings.sources),
            default=DRAIN_S,
        )
        self._sources: tuple[Source, ...] = wiring.sources(
            settings,
            ready_to_play,
            wiring.Surroundings(
                spools=self._spools,
                alarm=self.alarms.raise_,
                clear=self.alarms.clear,
                ledger=self._chronicle,
                recipients=recipients,
                signer=signer,
                finished=self._count,
                recover=self._recover,
                now=now,
                random=secrets.token_bytes,
            ),
        )

    def begin(self, settings_sha256: bytes) -> None:
        """Note the start, and complete what an agent that died left open, before the first call."""
        self._chronicle.started(software(), settings_sha256, self._signer.chain)
        for spool in self._spools.all:
            for name in spool.quarantine_strangers():
                log.error("spool.quarantined", name=name)
        recovered = self._tell(self._recovery.run())
        if any(spool.holds_quarantined() for spool in self._spools.all):
            self.alarms.raise_("quarantined", "something lies in quarantine/: a person has to look at it")
        if recovered:
            self.alarms.raise_(
                "recovered",
                f"an agent died here: {recovered} recording(s) were recovered, each with what was safe",
            )
        self._chronicle.publish()

    def _recover(self, recordings: Collection[UUID]) -> None:
        """Complete what a process of ours left open that has died; the other recordings go on meanwhile."""
        if recovered := self._tell(self._recovery_of_workers.run(recordings)):
            self.alarms.raise_(
                "recovered",
                f"a process that takes sound died: {recovered} recording(s) were recovered, "
                "each with what was safe",
            )

    def _tell(self, outcome: Iterable[Recovered | NotRecovered]) -> int:
        """Count and log what became of recordings; return how many were recovered."""
        recovered = 0
        for found in outcome:
            if isinstance(found, Recovered):
                recovered += 1
                self._count(found.result)
                log.warning(
                    "recording.recovered",
                    recording=str(found.id),
                    result=found.result.value,
                    duration_s=round(found.duration_s, 2),
                    carried_on=found.carried_on,
                )
            else:
                log.error("recording.not-recovered", recording=str(found.id), detail=str(found.problem))
                self.alarms.raise_("not-recovered", f"recording {found.id} stays in open/: {found.problem}")
        return recovered

    async def run(self) -> int:
        """Run the sources until a signal or a failure."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        chores = [asyncio.create_task(self._report_forever()), asyncio.create_task(self._tick_forever())]
        if self._policy.banked:
            chores += [asyncio.create_task(self._sync_forever(spool)) for spool in self._spools.all]
        running = [asyncio.create_task(source.run(self._recorder)) for source in self._sources]
        stopped = asyncio.create_task(stop.wait())
        log.info("agent.started", sources=[source.name for source in self._sources])
        code = 0
        state = State.STOPPING
        try:
            await asyncio.wait((stopped, *running), return_when=asyncio.FIRST_COMPLETED)
            failures = [task for task in running if task.done()]
            if not failures:
                await self._drain(stop)
            for task in failures or running:
                await task
        except (AgentError, SpoolError) as error:
            log.error("agent.failed", error=type(error).__name__, detail=str(error))  # noqa: TRY400
            self.alarms.raise_("source-failed", str(error))
            code, state = error.exit_code, State.FAILED
        except Exception:
            code, state = _BUG, State.FAILED  # and whoever called says which
            raise
        finally:
            self._stopping = True
            for unfinished in (*chores, stopped, *running):
                unfinished.cancel()
            await asyncio.gather(*chores, stopped, *running, return_exceptions=True)
            self._chronicle.stopped(code)
            self._report(state)
            log.info("agent.stopped", code=code)
        return code

    async def _drain(self, stop: asyncio.Event) -> None:
        log.info("agent.draining", limit_s=self._drain_s)
        self._stopping = True
        stop.clear()
        drains = asyncio.gather(*(source.drain(self._drain_s) for source in self._sources))
        again = asyncio.create_task(stop.wait())
        await asyncio.wait((drains, again), return_when=asyncio.FIRST_COMPLETED)
        if again.done():
            drains.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await drains
            await asyncio.gather(*(source.drain(0) for source in self._sources))
        again.cancel()

    async def _tick_forever(self) -> None:
        while True:
            with self._kept_alive("tick"):
                # In a thread: a disk that takes its time must not keep the telephone waiting.
                await asyncio.to_thread(self._tick)
            await asyncio.sleep(TICK_EVERY_S)

    def _tick(self) -> None:
        self._recorder.tick()
        elsewhere = sum(source.counters().get(ELSEWHERE, 0) for source in self._sources)
        self._chronicle.tick(self._recorder.running + elsewhere)

    async def _sync_forever(self, spool: Spool) -> None:
        """Bring the recordings in a spool to the disk, all at once, without keeping anybody waiting."""
        bank: Bank | None = None
        while True:
            with self._kept_alive("sync"):
                bank = bank or Bank(spool.root)
                await asyncio.to_thread(self._sync, bank, spool)
            await asyncio.sleep(self._sync_s)

    def _sync(self, bank: Bank, spool: Spool) -> None:
        staged = self._recorder.staged(spool)
        if not staged:
            return
        try:
            bank.sync()
        except SpoolError as error:
            self._recorder.sync_failed(spool, error)
        else:
            self._recorder.synced(staged)

    @contextlib.contextmanager
    def _kept_alive(self, chore: str) -> Iterator[None]:
        """Turn a bug in a chore into an alarm: ending here would end calls, silence would be worse."""
        try:
            yield
        except Exception as error:
            log.exception("agent.chore.failed", chore=chore)
            self.alarms.raise_("agent-faulty", f"a bug in callseal, please report it: {chore}: {error!r}")

    # --- status -------------------------------------------------------------------------------------

    async def _report_forever(self) -> None:
        while True:
            with self._kept_alive("report"):
                # As with the tick: the status lies on a disk too.
                await asyncio.to_thread(self._report, None)
            await asyncio.sleep(STATUS_EVERY_S)

    def _report(self, state: State | None) -> None:
        """Write the status; with a `state` it is the last one, whatever is still on its way in a thread."""
        with self._reporting:
            if not self._said_last:
                self._said_last = state is not None
                self._write_status(state)

    def _write_status(self, state: State | None) -> None:
        reasons = list(self._keys.why_not(now(), time.monotonic()))
        for source in self._sources:
            reasons += source.readiness().why_not
        if state is None:
            state = State.STOPPING if self._stopping else State.NOT_READY if reasons else State.READY
        self._spools.why_not()
        current = Status(
            service=SERVICE,
            pid=os.getpid(),
            started_at=self._started_at,
            updated_at=now(),
            state=state,
            reasons=tuple(dict.fromkeys(reasons)),
            alarms=self.alarms.standing(),
            counters=self._counters(),
            version=self._version,
        )
        try:
            status.write(self._spools.first.status_path, current)
        except SpoolError as error:
            # The status itself can't be written: the journal is what is left to say it in.
            log.error("status.failed", detail=str(error))  # noqa: TRY400

    def _counters(self) -> dict[str, int]:
        counted = {f"recordings_{name}": count for name, count in list(self._results.items())}
        for source in self._sources:
            counted |= source.counters()
        return counted

    def _count(self, result: Result) -> None:
        self._results[result.value] += 1
