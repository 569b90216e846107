"""``callseal keys``: makes, shows and certifies keys; what takes them back and re-wraps stands beside it.

JSON of ``keys show --json``: ``type "callseal-keys/1", file, kind, keys[]``. A key has, by its kind,

- ``recipients``, ``identities``: ``algorithm, recipient, fingerprint``;
- ``signing-key``, ``public-key``: ``device, fingerprint``; ``request``: ``site`` too;
- ``certificates``: ``subject, issuer, device, fingerprint, not_before, not_after``;
- ``revocations``: ``issuer, number, issued_at, next_update`` of a list, and behind it ``device, serial,
  since, reason`` of each of its entries.

Nothing secret is ever among them.
"""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from callseal.cli import keyring, keys_revoke, keys_rewrap, options, output, passphrase
from callseal.cli.commands import add
from callseal.cli.disk import is_there
from callseal.cli.errors import UsageFault
from callseal.cli.i18n import _
from callseal.seal.age import HybridIdentity, X25519Identity, fingerprint
from callseal.seal.enrolment import key_fingerprint
from callseal.seal.keyfile import write_identity
from callseal.seal.keys import (
    Role,
    certify,
    create_root,
    device_id,
    write_certificates,
    write_signing_key,
)

JSON_TYPE: Final = "callseal-keys/1"
ROOT_YEARS: Final = 20
"""The root outlives the ten years that recordings are kept."""
DEVICE_YEARS: Final = 3
MAX_YEARS: Final = 50

Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="FILE", help=_("The new file; one that is there is refused.")),
]
Years = typer.Option("--years", min=1, max=MAX_YEARS, help=_("How long the certificate holds."))


class CertifiedRole(StrEnum):
    """What a key may be certified for."""

    DEVICE = "device"
    CUSTODIAN = "custodian"


def register(app: typer.Typer) -> None:
    """Add the group's commands."""
    words = _(
        "Make a key pair that recordings are sealed to.\n\nIt is post-quantum unless --classic is given, and"
        " locked with a passphrase. With --signing, make the organisation's root instead, which certifies"
        " devices; keep it offline."
    )
    add(app, "new", words, "callseal keys new -o reader.key")(_new)
    words = _(
        "Show what a key file holds, without its secret.\n\nRecipients, fingerprints, device ids,"
        " certificates. A locked file asks for its passphrase."
    )
    add(app, "show", words, "callseal keys show recipients.txt")(_show)
    words = _(
        "Certify a device's key with the organisation's root.\n\nThe certificate goes back to the device."
        " Only the request, device.csr, or the public half, device.pub, needs to travel."
    )
    add(app, "certify", words, "callseal keys certify device.csr --root root.key -o device.pem")(_certify)
    keys_revoke.register(app)
    keys_rewrap.register(app)


def _new(
    *,
    out: Output,
    classic: Annotated[
        bool, typer.Option("--classic", help=_("X25519 instead of post-quantum; every age opens it."))
    ] = False,
    signing: Annotated[
        bool, typer.Option("--signing", help=_("The organisation's root key and certificate."))
    ] = False,
    organisation: Annotated[
        str,
        typer.Option(
            "--organisation",
            metavar="NAME",
            help=_("The organisation's name, for its root certificate."),
            show_default=False,
        ),
    ] = "",
    years: Annotated[int, Years] = ROOT_YEARS,
    open_: Annotated[
        bool, typer.Option("--no-passphrase", help=_("Leave the private key readable in the file."))
    ] = False,
    passphrase_file: options.PassphraseFile = None,
) -> None:
    if open_ and passphrase_file is not None:
        raise UsageFault(_("--no-passphrase and --passphrase-file do not go together"))
    if signing:
        if classic or open_:
            raise UsageFault(_("the organisation's root has one kind of key, and always a passphrase"))
        _new_root(out, organisation, years, passphrase_file)
        return
    if organisation:
        raise UsageFault(_("--organisation belongs to --signing"))
    _refuse_taken(out)
    secret = None if open_ else passphrase.new(out, passphrase_file)
    identity = X25519Identity.generate() if classic else HybridIdentity.generate()
    write_identity(out, identity, passphrase=secret, created=datetime.now(UTC))
    output.line(identity.recipient.text)
    output.note(_("written: {path} (the private key: keep it safe, and a copy elsewhere)").format(path=out))
    output.note(_("The line above is the recipient, the public half: put it into recipients.txt."))
    output.note(_("fingerprint: {fingerprint}").format(fingerprint=fingerprint(identity.recipient)))
    if classic:
        output.note(_("Every age opens what is sealed to it. A quantum computer could one day open it too."))
    else:
        output.note(
            _(
                "Post-quantum: age 1.3 or newer opens what is sealed to it, and npm's age-encryption;"
                " older ones, such as the age 1.1.1 of Debian 12, do not (--classic)."
            )
        )
    if open_:
        output.warning(_("the private key lies in {path} without a passphrase").format(path=out))


def _new_root(out: Path, organisation: str, years: int, passphrase_file: Path | None) -> None:
    if not organisation:
        raise UsageFault(_("--signing needs --organisation NAME"))
    certificate_file = out.with_name(out.name + keyring.CERTIFICATE_SUFFIX)
    _refuse_taken(out)
    _refuse_taken(certificate_file)
    key, certificate = create_root(organisation, now=datetime.now(UTC), years=years)
    write_signing_key(out, key, passphrase.new(out, passphrase_file))
    write_certificates(certificate_file, [certificate])
    output.line(_("written: {path} (the root's private key: keep it offline)").format(path=out))
    output.line(
        _("written: {path} (its certificate: give it to whoever verifies)").format(path=certificate_file)
    )
    output.note(_("fingerprint: {fingerprint}").format(fingerprint=key_fingerprint(key.public_key())))


def _refuse_taken(path: Path) -> None:
    # Said before a passphrase is thought of and typed twice; writing refuses it too.
    if is_there(path):
        raise UsageFault(_("{path}: is there already; a key file is never overwritten").format(path=path))


def _show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=_("The key file."))],
    *,
    passphrase_file: options.PassphraseFile = None,
    json_: options.Json = False,
) -> None:
    shown = keyring.read(file, passphrase.asked(file, passphrase_file))
    if json_:
        output.json_document(
            {"type": JSON_TYPE, "file": str(file), "kind": shown.kind.value, "keys": list(shown.keys)}
        )
        return
    output.line(keyring.words(shown.kind, locked=shown.locked))
    for key in shown.keys:
        output.facts([(name.replace("_", " "), str(value)) for name, value in key.items()])


def _certify(
    public: Annotated[
        Path, typer.Argument(metavar="PUBLIC", help=_("The device's device.csr or device.pub."))
    ],
    *,
    root: keyring.Root,
    root_certificate: keyring.RootCertificate = None,
    out: Output,
    role: Annotated[
        CertifiedRole, typer.Option("--role", help=_("What the key may sign for."))
    ] = CertifiedRole.DEVICE,
    years: Annotated[int, Years] = DEVICE_YEARS,
    passphrase_file: options.PassphraseFile = None,
) -> None:
    _refuse_taken(out)
    key = keyring.read_public(public)
    root_key, issuer = keyring.read_root(root, root_certificate, passphrase_file)
    certificate = certify(root_key, issuer, key, role=Role(role.value), now=datetime.now(UTC), years=years)
    write_certificates(out, [certificate])
    output.line(
        _("written: {path}: {device}, {role}, until {end}").format(
            path=out,
            device=device_id(key),
            role=role.value,
            end=certificate.not_valid_after_utc.date().isoformat(),
        )
    )
    output.line(_("fingerprint: {fingerprint}").format(fingerprint=key_fingerprint(key)))
    output.note(_("Compare it with what the device shows before you hand the certificate over."))
