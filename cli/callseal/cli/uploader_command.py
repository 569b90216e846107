"""``callseal uploader``: brings finished recordings to the stores, in the foreground until told to stop."""

import os
import threading

import typer

from callseal.cli import options
from callseal.cli.commands import add
from callseal.cli.i18n import _
from callseal.config import logs
from callseal.config.load import load
from callseal.config.settings import DirectoryStore as DirectorySettings
from callseal.config.settings import Settings
from callseal.store.directory import DirectoryStore
from callseal.store.interface import StoreWriter
from callseal.uploader import service


def register(app: typer.Typer) -> None:
    """Add the command."""
    words = _(
        "Bring finished recordings from the spool to the stores: the service, in the foreground, until it is"
        " told to stop (SIGTERM, Ctrl-C). It never deletes anything. The log goes to standard error."
    )
    add(app, "uploader", words, "callseal uploader --config /etc/callseal/callseal.toml")(_uploader)


def stores_of(settings: Settings) -> list[tuple[str, StoreWriter]]:
    """Return the stores of the settings, by name; what is of no kind known here was refused on loading."""
    return [
        (item.name, DirectoryStore(item.path))
        for item in settings.stores
        if isinstance(item, DirectorySettings)
    ]


def _uploader(*, config: options.Config = None) -> None:
    settings = load(config, os.environ).settings
    logs.configure(settings.log)
    stop = threading.Event()
    service.stop_on_signals(stop)
    service.run(settings.spool.folders(), stores_of(settings), settings.uploader.scan_s, stop)
