"""`callseal demo`: two real calls, from the first ring to the opened recording, on this machine alone.

Nothing is pretended: the two telephones, the agent and the uploader are processes of their own, the calls
are SIP and RTP over loopback, and what is shown at the end was read back from the store with the key.
"""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from callseal.agent.sources.bridge.source import missing
from callseal.cli import exporting, labels, opening, output, places
from callseal.cli.conversation import Conversation
from callseal.cli.demo.central import BUCKET, DEVICE, READER, STORE, Central
from callseal.cli.demo.office import AGENT, CUSTODIAN, UPLOADER, Office
from callseal.cli.errors import CliError
from callseal.cli.exporting import Form
from callseal.cli.i18n import _
from callseal.cli.opening import Sealed
from callseal.cli.places import Copy, StorePlace
from callseal.cli.proving import Proof, gather
from callseal.config.business import BUILTIN
from callseal.seal.keyfile import read_identities
from callseal.seal.keys import TrustStore
from callseal.seal.manifest import Result
from callseal.seal.verify import Check, Outcome, Report
from callseal.store.directory import DirectoryStore
from callseal.store.opening import open_store

NO_SOURCE: Final = 40
INCOMPLETE: Final = 15
DIRECTORY: Final = "directory"
S3: Final = "s3"

_EXTENSION: Final = "6001"
_CUSTOMER: Final = "13800138000"
_RTP_PORTS: Final = 100
_START_LIMIT_S: Final = 30.0
_CALL_LIMIT_S: Final = 90.0
_STORE_LIMIT_S: Final = 30.0
_RECEIPT_LIMIT_S: Final = 90.0
_POLL_S: Final = 0.2
_AFTER_ANNOUNCEMENT_S: Final = {"zh": 9.5, "en": 5.0}
"""When the speakers begin, from the answer on: when the announcement is over."""
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


class DemoFailed(CliError):  # noqa: N818 - says what is wrong better than "...Error" would
    """A step of the demo did not succeed; the words say which, and where to look."""

    exit_code = NO_SOURCE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ports:
    bridge: int
    pbx: int
    phone: int
    rtp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """One recording as it came back from the store."""

    sealed: Sealed
    call: Conversation
    report: Report
    opened: Path | None
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shelf:
    """Where recordings go, and who works for that; `path` is there where it is a folder."""

    place: StorePlace
    services: tuple[str, ...]
    path: Path | None


def demo(out: Path | None, store: str = DIRECTORY) -> int:
    """Run the demo in `out`, a new or empty folder; gives the exit code.

    `store` is `DIRECTORY` or `S3`.
    """
    what = missing()
    if what:
        output.note(_("The demo cannot run here: {what}").format(what=what))
        return NO_SOURCE
    root = out or Path("callseal-demo") / datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    if root.exists() and any(root.iterdir()):
        raise DemoFailed(_("{path} is not empty: give a new folder with --out").format(path=root))
    ports = _free_ports()
    _say(_("Making keys, settings, spool and store in {path}").format(path=root))
    office = Office.create(
        root,
        listen=f"127.0.0.1:{ports.bridge}",
        pbx=f"sip:127.0.0.1:{ports.pbx}",
        phone=f"sip:{_EXTENSION}@127.0.0.1:{ports.phone}",
        rtp_ports=f"{ports.rtp}-{ports.rtp + _RTP_PORTS - 1}",
        rules=_RULES,
        now=datetime.now(UTC),
    )
    with _stopped_by_signals(), contextlib.ExitStack() as stack:
        shelf = _central(stack, office) if store == S3 else _directory(office)
        with office:
            copies = _record(office, ports, shelf)
        _say(_("Verifying and opening the recordings"))
        proof = _proof(office, shelf)
        return _show(office, shelf, [_read_back(office, copy, proof) for copy in copies])


def _directory(office: Office) -> _Shelf:
    """Let recordings go to a folder."""
    place = StorePlace(name="primary", store=DirectoryStore(office.store_path))
    return _Shelf(place=place, services=(AGENT, UPLOADER), path=office.store_path)


def _central(stack: contextlib.ExitStack, office: Office) -> _Shelf:
    """Let recordings go to an S3 store with its custodian, both on this machine."""
    _say(_("Starting an S3 store (SeaweedFS): a bucket that keeps what it has, an account for each role"))
    central = stack.enter_context(Central(office.root, office.device))
    office.use_store(central.table(DEVICE), central.table(CUSTODIAN), central.environment())
    place = StorePlace(name=STORE, store=open_store(central.settings(READER)))
    return _Shelf(place=place, services=(AGENT, UPLOADER, CUSTODIAN), path=None)


def _record(office: Office, ports: _Ports, shelf: _Shelf) -> list[Copy]:
    """Start the services, hold two calls, and wait until all is where it belongs."""
    _say(_("Starting the services: {names}").format(names=", ".join(shelf.services)))
    office.start(*shelf.services)
    for service in shelf.services:
        if not office.wait_ready(service, _START_LIMIT_S):
            raise DemoFailed(
                _("the {service} did not start; the end of its log:\n{log}").format(
                    service=service, log=office.log_tail(service)
                )
            )
    _say(_("Call 1, outbound: the agent calls a customer, in Chinese (about 25 s)"))
    _hold_call(office, ports, "zh", inbound=False)
    _say(_("Call 2, inbound: a customer calls the claims desk, in English (about 20 s)"))
    _hold_call(office, ports, "en", inbound=True)
    _say(_("Waiting until both recordings are in the store"))
    copies = _wait_for_store(office, shelf, 2)
    if CUSTODIAN in shelf.services:
        _say(_("Waiting for the custodian's receipts, on which the copies on this machine go"))
        _wait_for_receipts(office)
    _say(_("Stopping the services"))
    office.stop(AGENT)
    _wait_for_ledger(office, shelf)
    return copies


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
    """Find ports of loopback that nobody uses now."""
    with contextlib.ExitStack() as stack:
        found = []
        for _number in range(4):
            probe = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            probe.bind(("127.0.0.1", 0))
            found.append(int(probe.getsockname()[1]))
    # RTP takes even ports, and a range of them.
    rtp = min(found[3], 65_535 - _RTP_PORTS) // 2 * 2
    return _Ports(bridge=found[0], pbx=found[1], phone=found[2], rtp=rtp)


def _hold_call(office: Office, ports: _Ports, language: str, *, inbound: bool) -> None:
    """Let the two telephones talk, from ringing to hanging up."""
    delay_s = _AFTER_ANNOUNCEMENT_S[language]
    speech = files("callseal.cli.demo").joinpath("speech")
    bridge = f"127.0.0.1:{ports.bridge}"
    with contextlib.ExitStack() as stack:
        agent_wav = stack.enter_context(as_file(speech.joinpath(f"{language}-agent.wav")))
        customer_wav = stack.enter_context(as_file(speech.joinpath(f"{language}-customer.wav")))
        people = {
            "phone": [
                "--port", str(ports.phone), "--user", _EXTENSION, "--speech", str(agent_wav),
                *([] if inbound else ["--call", f"sip:{_CUSTOMER}@{bridge}"]),
            ],
            "customer": [
                "--port", str(ports.pbx), "--user", _CUSTOMER, "--speech", str(customer_wav),
                *(["--call", f"sip:{_EXTENSION}@{bridge}"] if inbound else []),
            ],
        }  # fmt: skip
        first, second = ("phone", "customer") if inbound else ("customer", "phone")
        waiting = stack.enter_context(_telephone(office, people[first], delay_s, linger_s=30))
        if waiting.stdout is None or not _hears(waiting, "ready"):
            raise DemoFailed(
                _("a telephone of the demo did not start; see {path}").format(path=office.root / "logs")
            )
        calling = stack.enter_context(_telephone(office, people[second], delay_s, linger_s=1))
        try:
            codes = [calling.wait(_CALL_LIMIT_S), waiting.wait(_CALL_LIMIT_S)]
        except subprocess.TimeoutExpired:
            raise DemoFailed(
                _("the call did not end; the agent's log:\n{log}").format(log=office.log_tail(AGENT))
            ) from None
        if any(codes):
            raise DemoFailed(
                _("the call was not answered; the agent's log:\n{log}").format(log=office.log_tail(AGENT))
            )


@contextlib.contextmanager
def _telephone(
    office: Office, options: list[str], delay_s: float, *, linger_s: float
) -> "Iterator[subprocess.Popen[bytes]]":
    with (office.root / "logs" / "telephones.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [
                sys.executable, "-m", "callseal.cli.demo.phone", *options,
                "--delay", str(delay_s), "--linger", str(linger_s),
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _hears(process: "subprocess.Popen[bytes]", word: str) -> bool:
    """Wait for a word of the telephone's; False when it ends without it."""
    stream = process.stdout
    return stream is not None and any(line.strip() == word.encode() for line in stream)


def _wait_for_store(office: Office, shelf: _Shelf, count: int) -> list[Copy]:
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


def _wait_for_ledger(office: Office, shelf: _Shelf) -> None:
    """Wait until the store has the ledger to its end, as the agent left it when it stopped."""
    deadline_s = time.monotonic() + _STORE_LIMIT_S
    while office.ledger_waits(shelf.place.store):
        if time.monotonic() > deadline_s:
            words = _("the ledger did not come to the store; the uploader's log:\n{log}")
            raise DemoFailed(words.format(log=office.log_tail(UPLOADER)))
        time.sleep(_POLL_S)


def _proof(office: Office, shelf: _Shelf) -> Proof:
    """Return what an inspector proves recordings by: the roots, and the ledger in the store."""
    trust = TrustStore.from_files(office.roots_file, office.revocations_file)
    return Proof(trust=trust, gathered=gather([shelf.place]))


def _read_back(office: Office, copy: Copy, proof: Proof) -> _Shown:
    """Verify and open one recording, as an inspector would."""
    trust = proof.trust
    report = proof.recording(copy, named=True)
    sealed = opening.open_manifest(copy, trust)
    identities = read_identities(office.key_file, passphrase=None)
    document = opening.open_call(sealed, identities)
    opened: Path | None = None
    if sealed.object(opening.AUDIO) is not None:
        opened = office.opened / f"{sealed.manifest.direction.value}-{sealed.manifest.id}.wav"
        pieces = opening.open_audio(sealed, document, identities)
        exporting.export(pieces, opened, Form.WAV, replace=False)
    return _Shown(
        sealed=sealed,
        call=Conversation(document=document),
        report=report,
        opened=opened,
        size_bytes=sum(item.size_bytes for item in sealed.manifest.objects),
    )


def _show(office: Office, shelf: _Shelf, shown: list[_Shown]) -> int:
    shown.sort(key=lambda one: one.sealed.manifest.started_at)
    output.line()
    columns = [_("Call"), *(str(number) for number, _one in enumerate(shown, 1))]
    facts = [list(_facts(office, shelf, one)) for one in shown]
    rows = [[row[0][0], *(cell[1] for cell in row)] for row in zip(*facts, strict=True)]
    output.table(columns, rows)
    output.line()
    audio = next((one for one in shown if one.sealed.object(opening.AUDIO) is not None), None)
    if audio is not None and shelf.path is not None:
        item = audio.sealed.object(opening.AUDIO)
        path = shelf.path / audio.sealed.copy.prefix / (item.name if item else "")
        output.line(_("Any age opens it by hand (Debian: apt install age), and sox or ffmpeg plays it:"))
        output.line(f"  age -d -i {office.key_file} {path} > call.au")
    output.line(_("The files in opened/ are unencrypted: delete them when you have listened."))
    good = len(shown) > 1 and all(one.report.ok and one.sealed.manifest.result is Result.OK for one in shown)
    if not good:
        output.warning(_("not every recording is ok and verified; see the table"))
    return 0 if good else INCOMPLETE


def _facts(office: Office, shelf: _Shelf, one: _Shown) -> Iterator[tuple[str, str]]:
    manifest = one.sealed.manifest
    agent, customer = one.call.parties()
    outbound = manifest.direction.value == "outbound"
    yield _("Direction"), labels.word(manifest.direction.value)
    yield _("From"), str(agent if outbound else customer)
    yield _("To"), str(customer if outbound else agent)
    yield _("Business"), labels.business(manifest.business_type, BUILTIN)
    yield _("Announcement"), "; ".join(one.call.announcements(manifest.rate_hz))
    checks = list(one.call.checks())
    for channel in (0, 1):
        yield (
            _("Level, channel {channel}").format(channel=channel),
            checks[channel] if len(checks) > channel else "-",
        )
    yield _("Result"), labels.result(manifest.result.value, manifest.reasons)
    yield _("Size, sealed"), output.size(one.size_bytes)
    prefix = one.sealed.copy.prefix
    yield _("In the store"), f"s3://{BUCKET}/{prefix}" if shelf.path is None else str(shelf.path / prefix)
    if CUSTODIAN in shelf.services:
        yield _("Receipt"), _receipt(one.report)
        here = (office.spool / "ready" / str(manifest.id)).exists()
        yield _("On this machine"), _("still here") if here else _("gone, on the receipt")
    yield _("Verified"), _("yes") if one.report.ok else _("NO ({code})").format(code=one.report.exit_code)
    yield _("Opened file"), "-" if one.opened is None else str(one.opened)


def _receipt(report: Report) -> str:
    found = [finding for finding in report.findings if finding.check is Check.RECEIPT]
    good = [finding for finding in found if finding.outcome is Outcome.OK]
    return good[0].words if good and len(good) == len(found) else _("NO")
