"""``callseal keys rewrap``: copies of sealed recordings that other keys open.

Conventions: the originals stay as they are, and as readable as they were. What can't be copied is told and
stops nothing else; the exit code is the smallest that came up.
"""

from pathlib import Path
from typing import Annotated

import typer

from callseal.cli import options, output, passphrase
from callseal.cli.commands import add
from callseal.cli.errors import CliError, NotFound
from callseal.cli.i18n import _, counted
from callseal.cli.progress import progress
from callseal.cli.rewrapping import Rewrapper, plan
from callseal.seal.errors import SealError
from callseal.seal.keyfile import read_identities, read_recipients


def register(app: typer.Typer) -> None:
    """Add the command."""
    words = _(
        "Copy sealed recordings so that other keys open them.\n\nOnly the headers are written anew; what is"
        " sealed stays as it is and is not decrypted. The originals are left alone."
    )
    example = "callseal keys rewrap store/recordings -i reader.key -R recipients.txt -o rewrapped"
    add(app, "rewrap", words, example)(_rewrap)


def _rewrap(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE_OR_FOLDER",
            help=_("Sealed files (.age), recordings' folders, or folders with such below them."),
            show_default=False,
        ),
    ],
    *,
    identity: options.Keys,
    recipients: Annotated[
        Path,
        typer.Option(
            "--recipients-file", "-R", metavar="FILE", help=_("Who opens the copies: recipients, one a line.")
        ),
    ],
    out: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help=_("The folder for the copies."))],
    passphrase_file: options.PassphraseFile = None,
) -> None:
    wanted = read_recipients(recipients)
    items = plan(sources, out)
    if not items:
        raise NotFound(_("there is no recording and no sealed file (.age) in what was named"))
    identities = [
        one
        for path in identity
        for one in read_identities(path, passphrase=passphrase.asked(path, passphrase_file))
    ]
    if len(wanted) == 1:
        output.warning(_("only one key will open the copies: add one for recovery, kept offline"))
    rewrapper = Rewrapper(identities=identities, recipients=wanted)
    failures: list[CliError | SealError] = []
    with progress(_("re-wrapping"), len(items)) as step:
        for item in items:
            try:
                rewrapper.copy(item)
            except (CliError, SealError) as problem:
                failures.append(problem)
                output.warning(str(problem))
            step()
    number = len(items) - len(failures)
    words = counted(
        "{number} recording or file re-wrapped into {path}, {wrong} not",
        "{number} recordings or files re-wrapped into {path}, {wrong} not",
        number,
    )
    output.line(words.format(number=number, path=out, wrong=len(failures)))
    if any(item.whole for item in items) and number:
        for text in (
            _("The manifests' sizes and SHA-256 are those of the originals: keep these as the evidence."),
            _("The manifests' SHA-512 of what is inside holds for the copies too; age opens them."),
        ):
            output.note(text)
    output.note(
        _("Whoever has an old key and an original opens it as before: re-wrapping takes nothing away.")
    )
    raise typer.Exit(min((problem.exit_code for problem in failures), default=0))
