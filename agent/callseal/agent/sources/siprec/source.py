"""The SIPREC source: starts the media engine and the SIP server, and says whether gateways are welcome.

A gateway asks with OPTIONS, and takes another recorder where the answer is 503: so the answer is what
`readiness` says, looked at every second.
"""

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

import structlog

from callseal.agent.call import Ending, EndReason, Readiness, Recorder
from callseal.agent.errors import SourceError
from callseal.agent.media.plans import MediaEngine
from callseal.agent.sip.endpoint import Endpoint
from callseal.agent.sip.events import Event
from callseal.agent.sip.flow import Flow
from callseal.agent.sip.peers import Peers
from callseal.agent.sip.server import SipServer
from callseal.agent.sip.tls import ServerTls
from callseal.agent.sources.siprec.describing import House
from callseal.agent.sources.siprec.notes import Notes
from callseal.agent.sources.siprec.sessions import RETRY_AFTER_S, Sessions

LOOK_EVERY_S: Final = 1.0
"""How often it is decided anew whether gateways are welcome."""
GOODBYE_S: Final = 2.0
"""How long we wait for the answers to our last BYEs, which by UDP are sent again after 0.5 and 1.5 s."""
PART_LOOK_S: Final = 0.05
NOTES_FOLDER: Final = "siprec"
SILENCE_LOOK_S: Final = 30.0
"""How often it is asked of which calls nothing comes any more."""
CALLS_REFUSED: Final = "calls-refused"

log = structlog.get_logger("callseal.siprec")


class RunningEngine(MediaEngine, Protocol):
    """A media engine with a beginning and an end."""

    @property
    def capacity(self) -> int:
        """Calls at a time."""

    def start(self, recorder: Recorder, changed: Callable[[Collection[int]], None]) -> None:
        """Begin to take sound.

        `changed` hears when more or less of it can be taken, and of which reservations it is not any more.
        """

    async def stop(self, end: EndReason) -> None:
        """End what still runs."""

    async def silent(self, for_s: float) -> tuple[UUID, ...]:
        """Give the recordings of which nothing has come for so long."""

    def why_not(self) -> str | None:
        """Give the code that says why no sound can be taken now."""

    def counters(self) -> Mapping[str, int]:
        """Give what is counted, for the status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where gateways find the server, and who may be one."""

    address: tuple[str, int]
    tls_address: tuple[str, int] | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    peer_ca_file: Path | None = None
    peers: tuple[str, ...] = ()
    peer_names: tuple[str, ...] = ()


class SiprecSource:
    """Calls that gateways copy (RFC 7866)."""

    name = "siprec"

    def __init__(
        self,
        *,
        listen: Listen,
        house: House,
        engine: RunningEngine,
        spool: Path,
        room: Callable[[], str | None],
        now: Callable[[], datetime],
        random: Callable[[int], bytes],
        alarm: Callable[[str, str], None],
    ) -> None:
        """`spool` is the folder whose notes tell what a process before this one was doing."""
        self._listen = listen
        self._house = house
        self._engine = engine
        self._spool = spool
        self._room = room
        self._now = now
        self._random = random
        self._alarm = alarm
        self._endpoint = Endpoint(contact=self._contact, random=random)
        self._server: SipServer | None = None
        self._sessions: Sessions | None = None
        self._draining = False
        self._over = asyncio.Event()

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it listens by UDP and TCP, once it does."""
        return None if self._server is None else self._server.address

    @property
    def tls_address(self) -> tuple[str, int] | None:
        """Where it listens by TLS, if it does."""
        return None if self._server is None else self._server.tls_address

    def readiness(self) -> Readiness:
        """Say whether a call would be taken right now."""
        reasons = [] if self._sessions is not None else ["siprec-starting"]
        if self._draining:
            reasons = ["siprec-stopping"]
        if self._sessions is not None and self._sessions.running >= self._capacity:
            reasons.append("siprec-full")
        for why in (self._engine.why_not() if self._sessions else None, self._room()):
            if why is not None:
                reasons.append(why)
        return Readiness(ready=not reasons, why_not=tuple(reasons))

    def counters(self) -> Mapping[str, int]:
        """Give what is counted, for the status."""
        counted: dict[str, int] = {f"media_{name}": value for name, value in self._engine.counters().items()}
        if self._server is not None:
            counted |= {f"sip_{name}": value for name, value in asdict(self._server.counters()).items()}
        if self._sessions is not None:
            counted |= {
                "siprec_running": self._sessions.running,
                "siprec_taken": self._sessions.taken,
                "siprec_refused": self._refused,
            }
        return counted

    async def run(self, recorder: Recorder) -> None:
        """Take calls until drained."""
        tls = self._tls()
        notes = await asyncio.to_thread(self._notes)
        self._engine.start(recorder, self._media_changed)
        peers = Peers(self._listen.peers, self._listen.peer_names)
        server = SipServer(self._endpoint, on_event=self._take, peers=peers, tls=tls)
        sessions = Sessions(
            house=self._house,
            sip=server,
            engine=self._engine,
            notes=notes,
            why_not=self._why_not,
            now=self._now,
            random=self._random,
            bug=self._bug,
        )
        try:
            await server.start(self._listen.address, self._listen.tls_address)
            self._server, self._sessions = server, sessions
            self._welcome()
            log.info("siprec.listening", port=server.address[1], capacity=self._capacity)
            silence = asyncio.create_task(self._end_silent(sessions))
            try:
                await self._look_until_over()
            finally:
                silence.cancel()
        finally:
            self._server, self._sessions = None, None
            await server.stop()
            with contextlib.suppress(SourceError):
                await self._engine.stop(EndReason(ending=Ending.SOURCE_DIED, at=self._now()))

    async def drain(self, limit_s: float) -> None:
        """Take no new calls, let the running ones finish, end what still runs after `limit_s`."""
        self._draining = True
        self._welcome()
        if self._sessions is not None:
            await self._sessions.drain(limit_s)
            await self._part()
        self._over.set()

    # --- inside ---------------------------------------------------------------------------------------

    @property
    def _capacity(self) -> int:
        return min(self._house.max_calls, self._engine.capacity)

    @property
    def _refused(self) -> int:
        """How many calls were turned away."""
        here = 0 if self._sessions is None else self._sessions.refused
        return here + self._endpoint.counts.refused

    def _why_not(self) -> str | None:
        return next(iter(self.readiness().why_not), None)

    def _welcome(self) -> None:
        self._endpoint.set_readiness(self.readiness().ready, RETRY_AFTER_S)

    async def _part(self) -> None:
        """Stay until gateways know that their calls are over here, or do not answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                while self._endpoint.dialogs:  # noqa: ASYNC110 - nobody tells when the last one is over
                    await asyncio.sleep(PART_LOOK_S)

    async def _look_until_over(self) -> None:
        refused = 0
        while not self._over.is_set():
            self._welcome()
            if self._refused > refused:
                refused = self._refused
                self._alarm(
                    CALLS_REFUSED,
                    f"{refused} call(s) were refused since the start: what the gateway copies elsewhere, "
                    "or not at all, is not recorded here",
                )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._over.wait()

    async def _end_silent(self, sessions: Sessions) -> None:
        """End calls whose gateway has gone away without a word."""
        limit_s = self._house.media_timeout_s
        while limit_s:
            await asyncio.sleep(min(SILENCE_LOOK_S, limit_s / 2))
            try:
                sessions.end_silent(await self._engine.silent(limit_s))
            except SourceError:  # an engine that is down has told of it
                continue
            except Exception as error:  # noqa: BLE001 - told by `_bug`; the next look may do better
                self._bug(error)

    def _take(self, event: Event) -> None:
        if self._sessions is not None:
            self._sessions.take(event)

    def _media_changed(self, lost: Collection[int]) -> None:
        if self._sessions is not None:
            self._sessions.lose(lost)
        self._welcome()

    def _contact(self, flow: Flow) -> str:
        """Return where the peer of a flow reaches this server."""
        host, port = flow.local[:2]
        if ipaddress.ip_address(host).version == 6:  # noqa: PLR2004 - the protocol's name
            host = f"[{host}]"
        return f"<sip:{host}:{port};transport={flow.transport.value.lower()}>;+sip.srs"

    def _tls(self) -> ServerTls | None:
        certificate, key = self._listen.certificate_file, self._listen.key_file
        if self._listen.tls_address is None or certificate is None or key is None:
            return None
        return ServerTls(certificate, key, self._listen.peer_ca_file)

    def _notes(self) -> Notes:
        folder = self._spool / NOTES_FOLDER
        try:
            return Notes(folder, random=self._random, now_s=self._now().timestamp())
        except OSError as error:
            raise SourceError(f"{folder}: {error.strerror}") from error

    def _bug(self, error: BaseException) -> None:
        log.error("siprec.bug", exc_info=error)
        self._alarm("agent-faulty", f"a bug in callseal, please report it: siprec: {type(error).__name__}")
