"""``callseal keys rewrap``: copies of sealed recordings that other keys open.

Conventions: the originals stay as they are, and as readable as they were. What can't be copied is told and
stops nothing else; the exit code is the smallest that came up. A copy opens what its original holds, so that
re-wrapping is an access like opening, noted (`access`) before the first header is opened. What is there as a
path is one; other names are recordings, looked for in the stores.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from callseal.cli import lookup, options, output, passphrase, places
from callseal.cli.access import Opened, Visit, folder_opened
from callseal.cli.commands import add
from callseal.cli.disk import is_there
from callseal.cli.errors import CliError, NotFound
from callseal.cli.i18n import _, counted
from callseal.cli.places import Place, Scope
from callseal.cli.progress import progress
from callseal.cli.rewrapping import Item, Rewrapper, check_targets, plan, stored
from callseal.config.load import load
from callseal.seal.access import REWRAP
from callseal.seal.errors import SealError
from callseal.seal.keyfile import read_identities, read_recipients
from callseal.seal.keys import TrustStore
from callseal.store.errors import StoreError


def register(app: typer.Typer) -> None:
    """Add the command."""
    words = _(
        "Copy sealed recordings so that other keys open them.\n\nOnly the headers are written anew; what is"
        " sealed stays as it is and is not decrypted. The originals are left alone. They are files, folders,"
        " or recordings in the stores, by their ids."
    )
    example = "callseal keys rewrap store/recordings -i reader.key -R recipients.txt -o rewrapped"
    add(app, "rewrap", words, example)(_rewrap)


def _rewrap(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help=_(
                "Sealed files (.age), recordings' folders, folders with such below them, or ids of recordings"
                " in the stores."
            ),
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
    reason: options.Reason = None,
    store: options.Store = None,
    config: options.Config = None,
) -> None:
    wanted = read_recipients(recipients)
    names = [name for name in sources if not _is_path(name)]
    scope = _scope(config, store, looks=bool(names))
    visit = Visit.of(reason, scope)
    items = plan((Path(name) for name in sources if _is_path(name)), out)
    items += tuple(stored(lookup.search(name, scope.places), out) for name in dict.fromkeys(names))
    check_targets(items)
    if not items:
        raise NotFound(_("there is no recording and no sealed file (.age) in what was named"))
    identities = [
        one
        for path in identity
        for one in read_identities(path, passphrase=passphrase.asked(path, passphrase_file))
    ]
    visit.note(REWRAP, (_opened(item, visit, scope) for item in items), identities)
    if len(wanted) == 1:
        output.warning(_("only one key will open the copies: add one for recovery, kept offline"))
    rewrapper = Rewrapper(identities=identities, recipients=wanted)
    failures: list[CliError | SealError | StoreError] = []
    with places.versions_told(scope.places), progress(_("re-wrapping"), len(items)) as step:
        for item in items:
            try:
                rewrapper.copy(item)
            except (CliError, SealError, StoreError) as problem:
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


def _is_path(name: str) -> bool:
    """Tell whether a source is a file or a folder; what can be no recording's name is a missing one."""
    if "/" in name or is_there(Path(name)):
        return True
    try:
        lookup.matching(name, ())
    except NotFound:
        return True
    return False


def _scope(config: Path | None, store: str | None, *, looks: bool) -> Scope:
    """Return where recordings are looked for, and the settings, where there are any, for what they ask."""
    trust = TrustStore()
    settings = None
    if config is not None or (looks and store is None) or places.any_settings():
        settings = load(config, os.environ).settings
    found: list[Place] = []
    if store is not None:
        found.append(places.named_store(store, settings, trust))
    elif looks and settings is not None:
        found += places.places_of(settings, trust)
    return Scope(places=tuple(found), trust=trust, settings=settings)


def _opened(item: Item, visit: Visit, scope: Scope) -> Opened:
    if item.copy is not None:
        return visit.opened(item.copy)
    if item.folder is not None:
        return folder_opened(item.folder, item.recording, scope)
    return Opened(id=item.recording)
