"""``callseal keys revoke``: the root takes back what it vouched for, from a day on.

Conventions: the file holds the root's list, and may hold those of other roots, which are left alone. What was
revoked before stays revoked, and since no later a day. Without certificates the list is renewed, which is due
once a year. The file is replaced whole or not at all.
This module touches files.
"""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography import x509

from callseal.cli import device_files, keyring, options, output
from callseal.cli.commands import add
from callseal.cli.i18n import _
from callseal.cli.times import read_time
from callseal.seal.keys import chain_der, device_id, leaf_public_key, read_certificates
from callseal.seal.revocation import VALID_FOR, Revocations, number_of, revoke, write_pem
from callseal.seal.timestamp import write_time


class Reason(StrEnum):
    """Why a key is taken back."""

    KEY_COMPROMISE = "key-compromise"
    SUPERSEDED = "superseded"
    CESSATION = "cessation-of-operation"


_REASONS: Final = {
    Reason.KEY_COMPROMISE: x509.ReasonFlags.key_compromise,
    Reason.SUPERSEDED: x509.ReasonFlags.superseded,
    Reason.CESSATION: x509.ReasonFlags.cessation_of_operation,
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    words = _(
        "Take back what the root vouched for, from a day on.\n\nThe file, if it is there, is carried on:"
        " nothing in it is ever forgotten. Without certificates it is renewed, which is due once a year."
    )
    example = "callseal keys revoke device.pem --since 2026-11-18 --root root.key -o revoked.pem"
    add(app, "revoke", words, example)(_revoke)


def _revoke(
    certificates: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="CERTIFICATE", help=_("Certificates of what was stolen or retired."), show_default=False
        ),
    ] = None,
    *,
    root: keyring.Root,
    root_certificate: keyring.RootCertificate = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help=_("The last moment at which the key was surely safe; now, if not given."),
            show_default=False,
        ),
    ] = None,
    reason: Annotated[Reason, typer.Option("--reason", help=_("Why."))] = Reason.KEY_COMPROMISE,
    out: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help=_("The list; one that is there is carried on.")),
    ],
    passphrase_file: options.PassphraseFile = None,
) -> None:
    now = datetime.now(UTC)
    from_when = now if since is None else read_time(since)
    taken_back = [one for path in certificates or [] for one in read_certificates(path)]
    known = Revocations.from_file(out)
    root_key, issuer = keyring.read_root(root, root_certificate, passphrase_file)
    own = known.by_root(issuer)
    made = revoke(root_key, issuer, own, taken_back, since=from_when, reason=_REASONS[reason], now=now)
    others = [item for item in known.lists if item not in own]
    device_files.replace_public(out, write_pem([*others, made]))
    current = Revocations([made])
    for one in taken_back:
        output.line(
            _("revoked: {device}, since {since}").format(
                device=device_id(leaf_public_key(chain_der([one]))),
                since=write_time(current.since(one) or from_when),
            )
        )
    output.line(
        _("written: {path}: list {number}, to be renewed before {end}").format(
            path=out, number=number_of(made), end=(now + VALID_FOR).date().isoformat()
        )
    )
    output.note(
        _("Bring the file to every machine that verifies, to where [trust] revocations_file names it.")
    )
    if taken_back:
        output.note(
            _(
                "What these keys signed counts from now on only with a proof from before that time: a"
                " custodian's receipt or a time stamp. Without one it verifies as 'signer untrusted'."
            )
        )
