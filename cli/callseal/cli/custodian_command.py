"""``callseal custodian``: reads back what arrives in the stores and vouches for it. Run centrally.

How a custodian is made: on the central machine ``callseal custodian --enroll`` makes its key, where
``[custodian] key_file`` names it, and writes a request; ``callseal keys certify --role custodian`` certifies
that, on the machine with the organisation's root; what comes back is put where ``certificate_file`` names it.

JSON of ``--once``: ``type "callseal-custodian/1", exit_code, stores[]``. A store has ``store, received_now,
copied_now, read_again, read_again_bytes, full_scan, recordings {received, waiting, incomplete, refused},
copies_waiting, error`` (null where the round was done) and ``troubles[]`` of ``device, subject, code,
exit_code, words, since``.

Conventions: ``--once`` ends with the gravest of what is wrong: 12 altered, 13 bad signature, 14 signer
untrusted, 15 not everything could be checked yet, 20 a store can't be reached, 21 it refuses. The service
ends with 0 when it is told to stop; without a certificate of its role neither starts (78, 14). Roots,
revocation list and certificate are read again when one of the files changes; a custodian that was revoked
ends so (14).
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from callseal.archive import identity, service
from callseal.archive.custodian import State
from callseal.archive.memory import Memory
from callseal.archive.service import Round, Service
from callseal.archive.wiring import Trusted, Workshop, limits_of
from callseal.cli import device_files, options, output
from callseal.cli.commands import add
from callseal.cli.disk import is_there, readable, stamp_of
from callseal.cli.errors import UsageFault
from callseal.cli.i18n import _
from callseal.cli.output import JsonValue
from callseal.config import logs
from callseal.config.central import Custodian
from callseal.config.errors import ConfigValueError, Problem
from callseal.config.load import load
from callseal.config.settings import Settings
from callseal.seal.enrolment import key_fingerprint, request
from callseal.seal.keys import TrustStore, device_id, read_certificates
from callseal.seal.timestamp import write_time

JSON_TYPE: Final = "callseal-custodian/1"
REQUEST_NAME: Final = "custodian.csr"
MAX_SHOWN: Final = 50
"""How many troubles of a store are printed for people; --json has all."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    words = _(
        "Read back what arrives in the stores, check it, and vouch for it with a receipt: the service, in the"
        " foreground, until it is told to stop (SIGTERM, Ctrl-C).\n\nIt copies what belongs elsewhere too,"
        " watches the devices' ledgers, reads old recordings again, and renews protections. It can open no"
        " recording. Any number of them may run. The log goes to standard error."
    )
    add(app, "custodian", words, "callseal custodian --config /etc/callseal/callseal.toml")(_custodian)


def _custodian(
    *,
    once: Annotated[
        bool, typer.Option("--once", help=_("Do one round, say what was found, and end; for a timer."))
    ] = False,
    json_: options.Json = False,
    enroll: Annotated[
        bool,
        typer.Option(
            "--enroll", help=_("Make this custodian's key and the request for its certificate, and end.")
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help=_("The request, custodian.csr if not named; it is public."),
            show_default=False,
        ),
    ] = None,
    config: options.Config = None,
) -> None:
    if json_ and not once:
        raise UsageFault(_("--json goes with --once"))
    if enroll and once:
        raise UsageFault(_("--enroll and --once do not go together"))
    if out is not None and not enroll:
        raise UsageFault(_("--output goes with --enroll"))
    loaded = load(config, os.environ)
    settings = loaded.settings
    custodian = settings.custodian
    if custodian is None:
        allowed = "missing: must be a table; this machine is no custodian without it"
        raise ConfigValueError(Problem(file=str(loaded.path), key="custodian", value=None, allowed=allowed))
    if enroll:
        _enroll(settings, custodian, out or Path(REQUEST_NAME))
        return
    if not settings.stores:
        raise UsageFault(_("the settings name no store"))
    logs.configure(settings.log)
    if once:
        with _working(settings, custodian, lambda: False) as (workshop, memory):
            rounds = service.once(workshop.sites, workshop.lane, memory)
        _show(rounds, json_=json_)
        raise typer.Exit(_gravest(rounds))
    told = threading.Event()
    service.stop_on_signals(told)
    while not told.is_set():
        _serve(settings, custodian, told)


def _serve(settings: Settings, custodian: Custodian, told: threading.Event) -> None:
    """Run the service until it is told to stop, or whom it may believe is another question.

    A device or this custodian itself may be revoked at any time: then all is read and judged anew.
    """
    trust = settings.trust
    files = (
        trust.roots_file,
        trust.revocations_file,
        trust.stamp_roots_file,
        custodian.key_file,
        custodian.certificate_file,
    )
    seen = [stamp_of(path) for path in files]
    stop = threading.Event()

    def ends() -> bool:
        return told.is_set() or [stamp_of(path) for path in files] != seen

    with _working(settings, custodian, stop.is_set) as (workshop, memory):
        Service(
            workshop.sites,
            workshop.lane,
            memory,
            custodian.path,
            scan_s=custodian.scan_s,
            incomplete=limits_of(custodian).incomplete,
            stop=stop,
            ends=ends,
        ).run()


@contextmanager
def _working(
    settings: Settings, custodian: Custodian, stopped: Callable[[], bool]
) -> Iterator[tuple[Workshop, Memory]]:
    """Give what lanes are made of, and the memory; keys, certificates and lists are read now."""
    trusted = _trusted(settings)
    who = identity.load(
        custodian.key_file, custodian.certificate_file, trusted.trust, datetime.now(UTC), env=os.environ
    )
    with Memory(custodian.path) as memory:
        yield (
            Workshop(custodian, settings.stores, who, trusted=trusted, memory=memory, stopped=stopped),
            memory,
        )


def _trusted(settings: Settings) -> Trusted:
    trust = settings.trust
    with readable(trust.roots_file):
        roots = TrustStore.from_files(trust.roots_file, trust.revocations_file)
    stamp_roots = read_certificates(trust.stamp_roots_file) if is_there(trust.stamp_roots_file) else ()
    return Trusted(trust=roots, stamp_roots=stamp_roots)


def _enroll(settings: Settings, custodian: Custodian, out: Path) -> None:
    key, key_file = device_files.device_key(identity.key_path(custodian.key_file, os.environ))
    device_files.tell(key_file)
    asked = request(key, site=settings.device.site)
    device_files.tell(device_files.write_public(out, asked, replace=False))
    public_key = key.public_key()
    output.line(_("custodian: {id}").format(id=device_id(public_key)))
    output.line(_("fingerprint: {fingerprint}").format(fingerprint=key_fingerprint(public_key)))
    for step in (
        _("Next:"),
        _("1. Bring {path} to whoever keeps the organisation's root. There, offline:").format(path=out),
        f"     callseal keys certify {out.name} --role custodian --root root.key -o custodian.pem",
        _("   It shows a fingerprint: read it to one another on the telephone. If a digit differs, stop."),
        _("2. Bring back the certificate as {certificate}, and the root's as {roots}.").format(
            certificate=custodian.certificate_file, roots=settings.trust.roots_file
        ),
    ):
        output.note(step)


def _show(rounds: Sequence[Round], *, json_: bool) -> None:
    if json_:
        output.json_document(
            {"type": JSON_TYPE, "exit_code": _gravest(rounds), "stores": [_json(one) for one in rounds]}
        )
        return
    columns = [
        _("Store"),
        _("New receipts"),
        _("Copied"),
        _("Received"),
        _("Waiting"),
        _("Incomplete"),
        _("Refused"),
        _("Read again"),
    ]
    output.table(columns, [_cells(one) for one in rounds])
    for one in rounds:
        if one.problem is not None:
            output.warning(f"{one.store}: {one.problem}")
        for told in one.troubles[:MAX_SHOWN]:
            output.warning(f"{one.store}: {told.device} {told.trouble.code}: {told.trouble.words}")
        if len(one.troubles) > MAX_SHOWN:
            more = _("{store}: and {number} more; --json has all")
            output.warning(more.format(store=one.store, number=len(one.troubles) - MAX_SHOWN))


def _cells(one: Round) -> list[str]:
    return [
        one.store,
        str(one.done.received),
        str(one.done.copied),
        str(one.totals[State.RECEIVED]),
        str(one.totals[State.WAITING]),
        str(one.totals[State.INCOMPLETE]),
        str(one.totals[State.REFUSED]),
        str(one.done.read_again),
    ]


def _json(one: Round) -> Mapping[str, JsonValue]:
    return {
        "store": one.store,
        "received_now": one.done.received,
        "copied_now": one.done.copied,
        "read_again": one.done.read_again,
        "read_again_bytes": one.done.read_again_bytes,
        "full_scan": one.done.full,
        "recordings": {state.value: count for state, count in one.totals.items()},
        "copies_waiting": one.copies,
        "error": None if one.problem is None else str(one.problem),
        "troubles": [
            {
                "device": told.device,
                "subject": told.subject,
                "code": told.trouble.code,
                "exit_code": told.trouble.exit_code,
                "words": told.trouble.words,
                "since": write_time(told.since),
            }
            for told in one.troubles
        ],
    }


def _gravest(rounds: Sequence[Round]) -> int:
    return min((one.exit_code for one in rounds if one.exit_code), default=0)
