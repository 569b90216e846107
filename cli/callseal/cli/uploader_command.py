"""``callseal uploader``: brings finished recordings to the stores, in the foreground until told to stop."""

import os
import threading
from datetime import UTC, datetime
from typing import Final

import typer

from callseal.cli import options
from callseal.cli.commands import add
from callseal.cli.i18n import _
from callseal.config import logs
from callseal.config.load import load
from callseal.config.settings import Settings
from callseal.store.opening import open_store
from callseal.uploader import service
from callseal.uploader.pacing import Limit
from callseal.uploader.receipts import KeptTrust, Receipts
from callseal.uploader.service import Orders, Site

_MEBIBYTE: Final = 1024 * 1024  # what spool.min_free_mb is counted in


def register(app: typer.Typer) -> None:
    """Add the command."""
    words = _(
        "Bring finished recordings from the spool to the stores: the service, in the foreground, until it is"
        " told to stop (SIGTERM, Ctrl-C). A local copy is deleted only once every store that it is meant for"
        " has the receipt of a custodian whom this machine trusts. The log goes to standard error."
    )
    add(app, "uploader", words, "callseal uploader --config /etc/callseal/callseal.toml")(_uploader)


def sites_of(settings: Settings) -> list[Site]:
    """Return the stores of the settings, opened where it is the uploader that fills them."""
    return [
        Site(
            name=item.name,
            store=open_store(item, connections=settings.uploader.connections + 1)
            if item.filled_by == "uploader"
            else None,
        )
        for item in settings.stores
    ]


def orders_of(settings: Settings) -> Orders:
    """Return what the settings say of how uploading is done."""
    mine, spool = settings.uploader, settings.spool
    return Orders(
        scan_s=mine.scan_s,
        connections=mine.connections,
        kbit_s=mine.kbit_s,
        limits=tuple(Limit.between(one.begin, one.end, one.kbit_s) for one in settings.bandwidth),
        pause_during_calls=mine.pause_during_calls,
        keep_days=mine.keep_days,
        warn_percent=spool.warn_percent,
        full_percent=spool.full_percent,
        min_free_bytes=spool.min_free_mb * _MEBIBYTE,
    )


def _uploader(*, config: options.Config = None) -> None:
    settings = load(config, os.environ).settings
    logs.configure(settings.log)
    stop = threading.Event()
    service.stop_on_signals(stop)
    trust = KeptTrust(settings.trust.roots_file, settings.trust.revocations_file)
    service.run(
        settings.spool.folders(),
        sites_of(settings),
        Receipts(trust, now=_utc_now),
        orders_of(settings),
        stop,
    )


def _utc_now() -> datetime:
    return datetime.now(UTC)
