"""``callseal enroll``: this device asks for its certificate, and takes it.

::

    here                                  offline, with the root
    callseal enroll          device.csr ──────▶ callseal keys certify
    callseal enroll --certificate … ◀────── device.pem, root.key.pem

Conventions: the key is made where the settings name it if there is none, and never replaced. What comes back
is checked as every verifier will check it, before anything is written; another certificate or root that is
there already is replaced only with ``--force``. The fingerprints are for two people who know each other's
voice: whoever brings the files could have swapped them.
This module touches files.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from callseal.agent.identity import key_path
from callseal.cli import device_files, options, output
from callseal.cli.commands import add
from callseal.cli.device_files import Made
from callseal.cli.disk import is_there, readable
from callseal.cli.errors import UsageFault
from callseal.cli.i18n import _
from callseal.config.load import load
from callseal.config.settings import Settings
from callseal.seal.enrolment import check_certificate, key_fingerprint, request
from callseal.seal.errors import KeyFileError
from callseal.seal.keys import chain_der, device_id, leaf_public_key, read_certificates, read_signing_key

REQUEST_NAME: Final = "device.csr"


def register(app: typer.Typer) -> None:
    """Add the command."""
    words = _(
        "Have the organisation vouch for this device.\n\nFirst it writes a request, which the organisation's"
        " root certifies on its offline machine. With --certificate and --root it checks what came back and"
        " puts it where the settings name it."
    )
    add(app, "enroll", words, "callseal enroll -o device.csr")(_enroll)


def _enroll(
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help=_("The request, device.csr if not named; it is public."),
            show_default=False,
        ),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(
            "--certificate",
            metavar="PEM",
            help=_("Install this certificate; goes with --root."),
            show_default=False,
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            "--root", metavar="PEM", help=_("The certificate of the root that made it."), show_default=False
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help=_("Replace what is there already; the private key never is."))
    ] = False,
    config: options.Config = None,
) -> None:
    if (certificate is None) is not (root is None):
        raise UsageFault(_("--certificate and --root go together"))
    settings = load(config, os.environ).settings
    if certificate is None or root is None:
        _ask(settings, out or Path(REQUEST_NAME), replace=force)
        return
    if out is not None:
        raise UsageFault(_("--output is for the request, and goes not with --certificate"))
    _install(settings, certificate, root, replace=force)


def _ask(settings: Settings, out: Path, *, replace: bool) -> None:
    key, key_file = device_files.device_key(key_path(settings.device.key_file, os.environ))
    device_files.tell(key_file)
    device_files.tell(
        device_files.write_public(out, request(key, site=settings.device.site), replace=replace)
    )
    public_key = key.public_key()
    output.line(_("device: {id}").format(id=device_id(public_key)))
    output.line(_("fingerprint: {fingerprint}").format(fingerprint=key_fingerprint(public_key)))
    for step in (
        _("Next:"),
        _("1. Bring {path} to whoever keeps the organisation's root. There, offline:").format(path=out),
        f"     callseal keys certify {out.name} --root root.key -o device.pem",
        _("   It shows a fingerprint: read it to one another on the telephone. If a digit differs, stop."),
        _("2. Bring back the certificate and the root's, and install them:"),
        "     callseal enroll --certificate device.pem --root root.key.pem",
    ):
        output.note(step)


def _install(settings: Settings, certificate: Path, root: Path, *, replace: bool) -> None:
    leaf = read_certificates(certificate)[0]
    issuer = _only(root)
    key = read_signing_key(key_path(settings.device.key_file, os.environ))
    try:
        signer = check_certificate(leaf, issuer, key.public_key(), now=datetime.now(UTC))
    except KeyFileError as problem:
        raise KeyFileError(problem.message, path=certificate) from problem
    targets = (
        (settings.trust.roots_file, issuer, issuer in _certificates(settings.trust.roots_file)),
        # The agent signs with the first in the file, whatever follows it.
        (settings.device.certificate_file, leaf, leaf in _certificates(settings.device.certificate_file)[:1]),
    )
    # Both are looked at before either is written: half an enrolment would be hard to understand.
    for path, _one, there in targets:
        if not (there or replace) and is_there(path):
            raise device_files.differs(path)
    for path, one, there in targets:
        if not there:
            device_files.replace_public(path, one.public_bytes(Encoding.PEM))
        device_files.tell(Made(path=path, written=not there))
    output.line(
        _("{device}, vouched for until {end}").format(
            device=signer.device_id, end=leaf.not_valid_after_utc.date().isoformat()
        )
    )
    root_key = leaf_public_key(chain_der([issuer]))
    output.line(_("root: {name}").format(name=issuer.subject.rfc4514_string()))
    output.line(_("fingerprint: {fingerprint}").format(fingerprint=key_fingerprint(root_key)))
    output.note(_("Compare the root's fingerprint too: this machine believes it from now on."))
    output.note(_("A running agent signs with the new certificate once it is restarted."))


def _only(path: Path) -> x509.Certificate:
    found = read_certificates(path)
    if len(found) != 1:
        words = _("{path}: holds {number} certificates; --root takes the root's alone")
        raise UsageFault(words.format(path=path, number=len(found)))
    return found[0]


def _certificates(path: Path) -> Sequence[x509.Certificate]:
    """Return what a file holds; one of something else, or a missing one, holds none."""
    if not is_there(path):
        return ()
    with readable(path):
        data = path.read_bytes()
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        return ()
