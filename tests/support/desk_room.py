"""A desk as it stands in a house: its agent between a softphone and Kamailio, and people outside.

The softphone registers with Kamailio through the desk. Whoever is outside has a number, an ear, and a UDP
port that Kamailio sends calls to and takes calls from.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from callseal.agent.sources.bridge.source import missing
from callseal.cli.demo.office import AGENT, Office
from callseal.seal.status import Reading, State
from support import programs, scripted_party
from support.desk import NO_ANNOUNCEMENT, Desk, Recorded
from support.ear import Ear
from support.kamailio import Kamailio, Transport
from support.process import children
from support.programs import free_udp_port
from support.scripted_party import Scenario
from support.sip_certificates import Authority, Identity
from support.sipp import Sipp
from support.softphone import Codec, Softphone, Srtp
from support.softphone import Transport as PhoneTransport
from support.sound import RATE_HZ, Samples

AGENT_USER = "6001"
COLLEAGUE = "6002"
PASSWORDS = {AGENT_USER: "pa55-of-the-agent", COLLEAGUE: "pa55-of-the-colleague"}
CUSTOMER = "13800138000"
SECOND = "13900139000"
THIRD = "13700137000"
RTP_PORTS = 200
_READY_S = 20.0


@dataclass
class Room:
    """The house while its services run."""

    folder: Path
    at: Desk
    pbx: Kamailio
    outside: Mapping[str, int]
    """Numbers, and the UDP ports of who has them."""
    pbx_face: int
    """Where the desk takes what comes from Kamailio."""
    _number: Iterator[int] = field(default_factory=lambda: iter(range(1_000)))

    @property
    def desk_port(self) -> int:
        """Where the desk takes what comes from the telephone."""
        return self.at.bridge_port

    def children(self) -> list[int]:
        """Give the process ids of the bridge's child, while there is one."""
        return children(self.at.office.process(AGENT).pid)

    @property
    def child(self) -> int:
        """The process id of the bridge's child."""
        (child,) = self.children()
        return child

    @property
    def log(self) -> str:
        """All that the agent wrote."""
        return (self.at.office.root / "logs" / "agent.log").read_text(errors="replace")

    @contextmanager
    def softphone(
        self,
        says: Samples,
        *,
        user: str = AGENT_USER,
        password: str | None = None,
        transport: PhoneTransport = "udp",
        answers: bool = True,
        srtp: Srtp = "off",
        codecs: Sequence[Codec] = ("PCMU/8000/1",),
        through_desk: bool = True,
    ) -> Iterator[Softphone]:
        """Run a softphone that is registered; one without the desk in between is a colleague's."""
        with Softphone.start(
            self.new_folder("phone"),
            user,
            registrar=f"127.0.0.1:{self.pbx.port}",
            password=PASSWORDS[user] if password is None else password,
            outbound=self.desk_port if through_desk else self.pbx.port,
            transport=transport,
            says=says,
            answers=answers,
            srtp=srtp,
            codecs=codecs,
        ) as phone:
            if password is None:
                phone.wait_registered()
            yield phone

    @contextmanager
    def person(
        self,
        scenario: Scenario,
        ear: Ear | None = None,
        *,
        number: str = CUSTOMER,
        calls: str = AGENT_USER,
        pause_s: float = 1.0,
        header: str = "Subject: a call",
        lost_percent: int = 0,
        **keys: str,
    ) -> Iterator[Sipp]:
        """Let somebody outside take a call at a number, or call a user from it."""
        is_caller = scenario.startswith("caller")
        with scripted_party.run(
            self.new_folder(scenario),
            scenario,
            port=self.outside[number],
            remote=self.pbx.port,
            pbx=self.pbx.port,
            user=number,
            number=calls if is_caller else "",
            ear=ear.port if ear else 40_000,
            pause_s=pause_s,
            header=header,
            lost_percent=lost_percent,
            keys=keys,
        ) as running:
            yield running

    @contextmanager
    def script_phone(
        self,
        scenario: Scenario,
        ear: Ear | None = None,
        *,
        calls: str = CUSTOMER,
        pause_s: float = 1.0,
        header: str = "Subject: a call",
        lost_percent: int = 0,
        **keys: str,
    ) -> Iterator[Sipp]:
        """Let a scenario be the desk's telephone, at the port that the settings name."""
        is_caller = scenario.startswith("caller")
        with scripted_party.run(
            self.new_folder(scenario),
            scenario,
            port=self.at.phone_port,
            remote=self.desk_port,
            pbx=self.pbx.port,
            user=AGENT_USER,
            number=calls if is_caller else "",
            ear=ear.port if ear else 40_002,
            pause_s=pause_s,
            header=header,
            lost_percent=lost_percent,
            keys=keys,
        ) as running:
            yield running

    def uri(self, number: str) -> str:
        """Give what one dials for a number or a user."""
        return f"sip:{number}@127.0.0.1:{self.pbx.port}"

    def count(self) -> int:
        """Say how many bundles there are."""
        return len(list((self.at.office.spool / "ready").iterdir()))

    def left(self, before: int, count: int = 1, limit_s: float = 15.0) -> list[Recorded]:
        """Wait for the bundles that came after the first `before`; there must be just `count` of them."""
        recordings = self.at.wait_for(before + count, limit_s)
        assert len(recordings) == before + count, self.at.office.log_tail(AGENT, 30)
        return recordings[before:]

    def status(self) -> Reading:
        """Give what the agent last said of itself."""
        reading = self.at.office.status(AGENT)
        assert reading is not None, self.log
        return reading

    def wait_ready(self, limit_s: float = _READY_S) -> None:
        """Wait until the agent says that it would take and record a call."""
        if not self.at.office.wait_ready(AGENT, limit_s):
            raise AssertionError(f"not ready: {self.status().status.reasons}\n{self.log[-3000:]}")

    def wait_reason(self, reason: str, limit_s: float = _READY_S, *, gone: bool = False) -> None:
        """Wait until a reason why the agent is not ready is told, or no longer told."""
        deadline_s = time.monotonic() + limit_s
        while True:
            reading = self.at.office.status(AGENT)
            if reading is not None and (reason in reading.status.reasons) is not gone:
                assert gone or reading.status.state is not State.READY
                return
            if time.monotonic() > deadline_s:
                told = reading.status.reasons if reading else "nothing"
                raise AssertionError(
                    f"{reason} {'still' if gone else 'not'} told: {told}\n{self.log[-3000:]}"
                )
            time.sleep(0.1)

    def new_folder(self, name: str) -> Path:
        """Make a folder for a program's files."""
        folder = self.folder / f"{next(self._number):03}-{name}"
        folder.mkdir()
        return folder


@contextmanager
def room(
    folder: Path,
    *,
    transport: Transport = "udp",
    rules: str = NO_ANNOUNCEMENT,
    settings: str = "",
    edit: tuple[tuple[str, str], ...] = (),
    phone_registers: bool = True,
    challenges_calls: bool = True,
    certificate: Identity | None = None,
    authority: Authority | None = None,
    expires_s: int = 300,
    may_complain: bool = False,
) -> Iterator[Room]:
    """Run a house. `settings` are lines for the `[[source]]` table, `edit` replaces text in the rest.

    Without `phone_registers` the settings name the telephone's address. A certificate and who signed it are
    made anew for TLS unless they are given. Kamailio must find no fault with what it gets, unless it
    `may_complain`.
    """
    what = missing()
    if what:
        programs.missing(what, "none; `pip install callseal[bridge]`")
    folder.mkdir(parents=True, exist_ok=True)
    if transport == "tls" and authority is None:
        authority = Authority(folder / "authority")
        certificate = authority.issue("pbx", "127.0.0.1")
    desk_port, pbx_face, phone_port = (free_udp_port(2) for _ in range(3))
    outside = {number: free_udp_port(2) for number in (CUSTOMER, SECOND, THIRD)}
    with contextlib.ExitStack() as stack:
        pbx = stack.enter_context(
            Kamailio.start(
                folder / "pbx",
                users=PASSWORDS,
                outside=outside,
                fixed={} if phone_registers else {AGENT_USER: pbx_face},
                tls=certificate,
                challenges_calls=challenges_calls,
                expires_s=expires_s,
            )
        )
        lines = [
            "[[source]]",
            'type = "bridge"',
            f'listen = "127.0.0.1:{desk_port}"',
            f'pbx = "{pbx.uri(transport)}"',
            f'pbx_listen = "127.0.0.1:{pbx_face}"',
            f'rtp_ports = "{_rtp_ports()}"',
            'agent = "6001"',
        ]
        if not phone_registers:
            lines.append(f'phone = "sip:{AGENT_USER}@127.0.0.1:{phone_port}"')
        if authority is not None:
            lines.append(f'pbx_ca_file = "{authority.file}"')
        office = Office.create(
            folder / "office",
            listen=f"127.0.0.1:{desk_port}",
            pbx=pbx.uri(),
            phone="",
            rtp_ports=_rtp_ports(),
            rules=rules,
            now=datetime.now(UTC),
        )
        office.use_gateway("\n".join([*lines, settings]) + "\n", beside_desk=False)
        _edit(office, edit)
        stack.enter_context(office)
        office.start(AGENT)
        desk = Desk(office=office, bridge_port=desk_port, pbx_port=pbx.port, phone_port=phone_port)
        house = Room(folder=folder, at=desk, pbx=pbx, outside=outside, pbx_face=pbx_face)
        house.wait_reason("bridge-starting", gone=True)
        if not phone_registers:
            house.wait_ready()
        yield house
        assert may_complain or pbx.alarms() == []


def seconds(recording: Recorded) -> float:
    """Give how long a recording lasts."""
    return (recording.manifest.duration_samples or 0) / RATE_HZ


def _rtp_ports() -> str:
    first = free_udp_port(RTP_PORTS)
    return f"{first}-{first + RTP_PORTS - 1}"


def _edit(office: Office, edit: tuple[tuple[str, str], ...]) -> None:
    text = office.config_file.read_text()
    for old, new in edit:
        if old not in text:
            pytest.fail(f"the settings do not hold {old!r}")
        text = text.replace(old, new)
    office.config_file.write_text(text)
