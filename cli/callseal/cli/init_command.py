"""``callseal init``: a documented settings file, and this device's identity.

::

    callseal.toml   0644   the settings, checked before they are written
    device.key      0600   the private signing key; never written over, whatever is asked
    device.pub      0644   its public half, for the organisation to certify

Conventions: what is there already is left alone and said so; only the settings file is written anew with
``--force``. No recipients are made here: whoever may read recordings makes keys elsewhere.
This module touches files.
"""

from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callseal.cli import device_files, output
from callseal.cli.commands import add
from callseal.cli.disk import is_there, writable
from callseal.cli.errors import UsageFault
from callseal.cli.i18n import _
from callseal.config.load import read_settings
from callseal.config.render import render_default
from callseal.seal.keys import device_id

SETTINGS_NAME: Final = "callseal.toml"
KEY_NAME: Final = "device.key"
PUBLIC_NAME: Final = "device.pub"
_FOLDER_MODE: Final = 0o700


def register(app: typer.Typer) -> None:
    """Add the command."""
    words = _(
        "Write a documented settings file and this device's identity. A file that is there already is left"
        " alone; --force writes the settings anew, never a key."
    )
    example = "callseal init --dir /etc/callseal --site bj --pbx sip:pbx.example:5060"
    add(app, "init", words, example)(_init)


def _init(
    *,
    folder: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help=_("The folder for the files; made if needed."))
    ] = Path(),
    site: Annotated[
        str, typer.Option("--site", metavar="NAME", help=_("Where this device stands, such as bj; public."))
    ],
    pbx: Annotated[
        str,
        typer.Option("--pbx", metavar="URI", help=_("The telephone system, such as sip:pbx.example:5060.")),
    ],
    phone: Annotated[
        str,
        typer.Option(
            "--phone",
            metavar="URI",
            help=_("A telephone of this machine that does not register, such as sip:6001@127.0.0.1:5070."),
            show_default=False,
        ),
    ] = "",
    agent: Annotated[
        str,
        typer.Option(
            "--agent", metavar="NAME", help=_("Who sits here: an extension or a name."), show_default=False
        ),
    ] = "",
    spool: Annotated[
        Path, typer.Option("--spool", metavar="DIR", help=_("Where recordings wait for upload."))
    ] = Path("/var/lib/callseal"),
    store: Annotated[
        Path,
        typer.Option(
            "--store", metavar="DIR", help=_("Where recordings are kept; a relative path starts at --dir.")
        ),
    ] = Path("store"),
    force: Annotated[
        bool, typer.Option("--force", help=_("Write the settings file anew; keys are never replaced."))
    ] = False,
) -> None:
    text = render_default(
        site=site, pbx=pbx, phone=phone, agent=agent, spool_path=str(spool), store_path=str(store)
    )
    target = folder / SETTINGS_NAME
    settings = read_settings(text.encode(), target.absolute())
    if is_there(target) and not force:
        raise UsageFault(
            _("{path}: is there already; nothing was written. --force writes it anew").format(path=target)
        )
    with writable(folder):
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    key, key_file = device_files.device_key(folder / KEY_NAME)
    # It follows from the key: writing it again loses nothing, and one of another key would mislead.
    public = device_files.write_public(folder / PUBLIC_NAME, _public_half(key), replace=True)
    device_files.replace_public(target, text.encode())
    for made in (device_files.Made(path=target, written=True), key_file, public):
        device_files.tell(made)
    output.line(_("device: {id}").format(id=device_id(key.public_key())))
    _next_steps(target, settings.seal.recipients_file)


def _public_half(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _next_steps(config: Path, recipients: Path) -> None:
    steps = (
        _("Next:"),
        _("1. Who may read recordings: make a key pair for daily use and one for recovery, elsewhere:"),
        "     callseal keys new -o reader.key",
        _("   and put both recipient lines (age1…) into {path}.").format(path=recipients),
        _("2. Ask for this device's certificate, have the root certify it, elsewhere, and bring both back:"),
        f"     callseal enroll --config {config}",
        "     callseal keys certify device.csr --root root.key -o device.pem",
        f"     callseal enroll --certificate device.pem --root root.key.pem --config {config}",
        _("3. Make the folder for recordings, and check everything:"),
        f"     callseal spool init --config {config}",
        f"     callseal store init --config {config}",
        f"     callseal config check --config {config}",
    )
    for step in steps:
        output.note(step)
