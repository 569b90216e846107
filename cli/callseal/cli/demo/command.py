"""`callseal demo`: real calls, from the first ring to the opened recording, on this machine alone.

Nothing is pretended: telephones, agent and uploader are processes of their own, the calls are SIP and RTP
over loopback, and what is shown at the end was read back from the store with the key. Two calls go through a
desk's bridge, where its library is installed; one is copied by a gateway, on every platform.
"""

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from callseal.agent.sources.bridge.source import missing
from callseal.cli import output, places
from callseal.cli.demo.central import DEVICE, READER, STORE, Central
from callseal.cli.demo.desk_calls import CUSTOMER, EXTENSION, DeskPorts, hold_call
from callseal.cli.demo.errors import DemoFailed
from callseal.cli.demo.gateway import Gateway, GatewayError, Speaker
from callseal.cli.demo.office import AGENT, CUSTODIAN, UPLOADER, Office
from callseal.cli.demo.ports import free_ports
from callseal.cli.demo.shown import Shelf, read_back, show
from callseal.cli.demo.voices import on_the_line
from callseal.cli.i18n import _
from callseal.cli.places import Copy, StorePlace
from callseal.cli.proving import Proof, gather
from callseal.seal.keys import TrustStore
from callseal.store.directory import DirectoryStore
from callseal.store.opening import open_store

DIRECTORY: Final = "directory"
S3: Final = "s3"

_HOUSE: Final = "example.com"
_SIGNALLING_PORTS: Final = 4
_RTP_PORTS: Final = 100
_START_LIMIT_S: Final = 30.0
_STORE_LIMIT_S: Final = 30.0
_RECEIPT_LIMIT_S: Final = 90.0
_POLL_S: Final = 0.2
_RULES: Final = """
[[rule]]
direction = "outbound"
announcements = ["zh"]
business = "sales"

[[rule]]
direction = "inbound"
announcements = ["en"]
business = "claims"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ports:
    desk: DeskPorts
    recorder: int
    rtp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """What the demo has to play with; without a desk, only the gateway's call is held."""

    office: Office
    ports: _Ports
    shelf: Shelf
    has_desk: bool

    @property
    def calls(self) -> int:
        """How many calls there will be."""
        return 3 if self.has_desk else 1


def demo(out: Path | None, store: str = DIRECTORY) -> int:
    """Run the demo in `out`, a new or empty folder; gives the exit code.

    `store` is `DIRECTORY` or `S3`.
    """
    root = out or Path("callseal-demo") / datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    if root.exists() and any(root.iterdir()):
        raise DemoFailed(_("{path} is not empty: give a new folder with --out").format(path=root))
    what = missing()
    if what:
        _say(_("Without the calls at a desk: {what}").format(what=what))
    ports = _free_ports()
    _say(_("Making keys, settings, spool and store in {path}").format(path=root))
    office = _office(root, ports, has_desk=not what)
    with _stopped_by_signals(), contextlib.ExitStack() as stack:
        shelf = _central(stack, office) if store == S3 else _directory(office)
        stage = _Stage(office=office, ports=ports, shelf=shelf, has_desk=not what)
        with office:
            copies = _record(stage)
        _say(_("Verifying and opening the recordings"))
        proof = _proof(office, shelf)
        return show(office, shelf, [read_back(office, copy, proof) for copy in copies], stage.calls)


def _office(root: Path, ports: _Ports, *, has_desk: bool) -> Office:
    """Make the installation: one agent, with a bridge for the desk and a recording server for the gateway."""
    office = Office.create(
        root,
        listen=f"127.0.0.1:{ports.desk.bridge}",
        pbx=f"sip:127.0.0.1:{ports.desk.pbx}",
        phone=f"sip:{EXTENSION}@127.0.0.1:{ports.desk.phone}",
        rtp_ports=_range(ports.rtp),
        rules=_RULES,
        now=datetime.now(UTC),
    )
    table = (
        f'[[source]]\ntype = "siprec"\nlisten = "127.0.0.1:{ports.recorder}"\n'
        f'rtp_ports = "{_range(ports.rtp + _RTP_PORTS)}"\nmax_calls = 10\n'
    )
    office.use_gateway(table, beside_desk=has_desk)
    return office


def _range(first: int) -> str:
    return f"{first}-{first + _RTP_PORTS - 1}"


def _directory(office: Office) -> Shelf:
    """Let recordings go to a folder."""
    place = StorePlace(name="primary", store=DirectoryStore(office.store_path))
    return Shelf(place=place, services=(AGENT, UPLOADER), path=office.store_path)


def _central(stack: contextlib.ExitStack, office: Office) -> Shelf:
    """Let recordings go to an S3 store with its custodian, both on this machine."""
    _say(_("Starting an S3 store (SeaweedFS): a bucket that keeps what it has, an account for each role"))
    central = stack.enter_context(Central(office.root, office.device))
    office.use_store(central.table(DEVICE), central.table(CUSTODIAN), central.environment())
    place = StorePlace(name=STORE, store=open_store(central.settings(READER)))
    return Shelf(place=place, services=(AGENT, UPLOADER, CUSTODIAN), path=None)


def _record(stage: _Stage) -> list[Copy]:
    """Start the services, hold the calls, and wait until all is where it belongs."""
    office, shelf = stage.office, stage.shelf
    _say(_("Starting the services: {names}").format(names=", ".join(shelf.services)))
    office.start(*shelf.services)
    for service in shelf.services:
        if not office.wait_ready(service, _START_LIMIT_S):
            raise DemoFailed(
                _("the {service} did not start; the end of its log:\n{log}").format(
                    service=service, log=office.log_tail(service)
                )
            )
    _hold_calls(stage)
    _say(_("Waiting until all recordings are in the store"))
    copies = _wait_for_store(office, shelf, stage.calls)
    if CUSTODIAN in shelf.services:
        _say(_("Waiting for the custodian's receipts, on which the copies on this machine go"))
        _wait_for_receipts(office)
    _say(_("Stopping the services"))
    office.stop(AGENT)
    _wait_for_ledger(office, shelf)
    return copies


def _hold_calls(stage: _Stage) -> None:
    office, ports = stage.office, stage.ports
    if stage.has_desk:
        _say(_("Call 1, outbound: the agent calls a customer, in Chinese (about 25 s)"))
        hold_call(office, ports.desk, "zh", inbound=False)
        _say(_("Call 2, inbound: a customer calls the claims desk, in English (about 20 s)"))
        hold_call(office, ports.desk, "en", inbound=True)
    words = _("Call {number}, at a gateway: it copies a call to the recording server by SIPREC (about 12 s)")
    _say(words.format(number=stage.calls))
    _copy_call(office, ports.recorder)


def _copy_call(office: Office, port: int) -> None:
    """Let a gateway copy a call: a customer who speaks with the claims desk."""
    customer = Speaker(uri=f"sip:{CUSTOMER}@{_HOUSE}", name="Customer", speech=on_the_line("en-customer"))
    agent = Speaker(uri=f"sip:{EXTENSION}@{_HOUSE}", name="Agent", speech=on_the_line("en-agent"))
    try:
        with Gateway(port) as gateway:
            gateway.copy(customer, agent)
    except GatewayError as error:
        words = _("the recording server did not take the call: {error}; the agent's log:\n{log}")
        raise DemoFailed(words.format(error=error, log=office.log_tail(AGENT))) from error


def _say(words: str) -> None:
    output.note(f"· {words}")


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does, so that its processes are stopped."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _free_ports() -> _Ports:
    """Find ports for the desk, the gateway and their sound."""
    found = free_ports(_SIGNALLING_PORTS + 2 * _RTP_PORTS)
    if found is None:
        raise DemoFailed(_("no free ports for the demo's calls on this machine"))
    bridge, pbx, phone, recorder, *sound = found
    desk = DeskPorts(bridge=bridge, pbx=pbx, phone=phone)
    return _Ports(desk=desk, recorder=recorder, rtp=sound[0])


def _wait_for_store(office: Office, shelf: Shelf, count: int) -> list[Copy]:
    deadline_s = time.monotonic() + _STORE_LIMIT_S
    while True:
        copies = [copy for copy in places.scan([shelf.place]).copies if copy.complete]
        if len(copies) >= count:
            return copies
        if time.monotonic() > deadline_s:
            raise DemoFailed(
                _("only {found} of {count} recordings came to the store; the uploader's log:\n{log}").format(
                    found=len(copies), count=count, log=office.log_tail(UPLOADER)
                )
            )
        time.sleep(_POLL_S)


def _wait_for_receipts(office: Office) -> None:
    """Wait until the uploader has let go of its copies, which it does on receipts alone."""
    deadline_s = time.monotonic() + _RECEIPT_LIMIT_S
    while list((office.spool / "ready").iterdir()):
        if time.monotonic() > deadline_s:
            words = _("the receipts did not come; the ends of the logs:\n{log}")
            log = "\n".join(office.log_tail(service) for service in (UPLOADER, CUSTODIAN))
            raise DemoFailed(words.format(log=log))
        time.sleep(_POLL_S)


def _wait_for_ledger(office: Office, shelf: Shelf) -> None:
    """Wait until the store has the ledger to its end, as the agent left it when it stopped."""
    deadline_s = time.monotonic() + _STORE_LIMIT_S
    while office.ledger_waits(shelf.place.store):
        if time.monotonic() > deadline_s:
            words = _("the ledger did not come to the store; the uploader's log:\n{log}")
            raise DemoFailed(words.format(log=office.log_tail(UPLOADER)))
        time.sleep(_POLL_S)


def _proof(office: Office, shelf: Shelf) -> Proof:
    """Return what an inspector proves recordings by: the roots, and the ledger in the store."""
    trust = TrustStore.from_files(office.roots_file, office.revocations_file)
    return Proof(trust=trust, gathered=gather([shelf.place]))
