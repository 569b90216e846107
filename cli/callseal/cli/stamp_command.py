"""``callseal stamp``: has the ledgers in the stores stamped by somebody outside. Run centrally, by a timer.

JSON: ``type "callseal-stamp/1", exit_code, devices[]``, each with ``store, device, size (entries that the
stamp covers, null if unknown), outcome ("stamped", "already", "failed"), at, authority, checked, error``.

Conventions: the exit code is the smallest of what was found: 15 something could not be read or checked
(always, without an authority's root), 20 authority or store can't be reached, 21 refused.
"""

import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography import x509

from callseal.archive.authority import Authority
from callseal.archive.stamping import DeviceStamp, Outcome, Stamper
from callseal.cli import options, output, places
from callseal.cli.commands import add
from callseal.cli.disk import is_there
from callseal.cli.errors import NotFound, UsageFault
from callseal.cli.i18n import _
from callseal.cli.output import JsonValue
from callseal.cli.places import StorePlace
from callseal.config.load import load
from callseal.config.settings import Settings
from callseal.seal.keys import TrustStore, read_certificates
from callseal.seal.stamp import MAX_NONCE_BITS
from callseal.seal.timestamp import write_time
from callseal.store.errors import StoreError

JSON_TYPE: Final = "callseal-stamp/1"


def register(app: typer.Typer) -> None:
    """Add the command."""
    words = _(
        "Let a time-stamping authority (RFC 3161) stamp the newest checkpoint of every device's ledger in the"
        " stores: it proves that all entries so far were there at that time. What is stamped already is left"
        " alone. Run it centrally, by a timer; it needs the right to read the stores and to add to them."
    )
    add(app, "stamp", words, "callseal stamp --tsa https://tsa.example/ --tsa-roots tsa.pem")(_stamp)


def _stamp(
    *,
    tsa: Annotated[
        str,
        typer.Option(
            "--tsa", metavar="URL", help=_("The authority's address, http or https."), show_default=False
        ),
    ],
    tsa_roots: Annotated[
        Path | None,
        typer.Option(
            "--tsa-roots",
            metavar="PEM",
            help=_("The authority's root certificates, instead of those of the settings."),
            show_default=False,
        ),
    ] = None,
    store: options.Store = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    try:
        authority = Authority(url=tsa)
    except ValueError as problem:
        words = _("--tsa: an address like https://tsa.example/ expected, without a name or password in it")
        raise UsageFault(words) from problem
    needed = store is None or config is not None
    named = store is not None and "/" not in store and places.any_settings()
    settings = load(config, os.environ).settings if needed or named else None
    roots = _roots(tsa_roots, settings)
    done: list[tuple[str, DeviceStamp]] = []
    failures: list[StoreError] = []
    looked = _stores(store, settings)
    with places.versions_told(looked):
        for place in looked:
            stamper = Stamper(
                place.store,
                authority,
                roots,
                now=lambda: datetime.now(UTC),
                nonce=_nonce,
                reader=place.reader,
            )
            try:
                done += ((place.name, found) for found in stamper.run())
            except StoreError as problem:
                failures.append(problem)
    code = min((one for one in (places.warn_of(failures), *_codes(done)) if one), default=0)
    if json_:
        output.json_document(
            {
                "type": JSON_TYPE,
                "exit_code": code,
                "devices": [_json(name, found) for name, found in done],
            }
        )
    else:
        _print(done)
    for name, found in done:
        if found.problem is not None:
            output.warning(f"{name}: {found.device}: {found.problem}")
    if not roots:
        words = _(
            "No root certificate of a time-stamping authority is known here, so no stamp was checked: give"
            " the authority's with --tsa-roots."
        )
        output.note(words)
    raise typer.Exit(code)


def _stores(store: str | None, settings: Settings | None) -> list[StorePlace]:
    trust = TrustStore()
    if store is not None:
        return [places.named_store(store, settings, trust)]
    found = [places.store_place(item, trust) for item in (() if settings is None else settings.stores)]
    if not found:
        raise UsageFault(_("the settings name no store; name one with --store"))
    return found


def _roots(path: Path | None, settings: Settings | None) -> Sequence[x509.Certificate]:
    if path is not None:
        if not is_there(path):
            raise NotFound(_("{path}: there is no such file of root certificates").format(path=path))
        return read_certificates(path)
    if settings is None or not is_there(settings.trust.stamp_roots_file):
        return ()
    return read_certificates(settings.trust.stamp_roots_file)


def _nonce() -> int:
    return secrets.randbits(MAX_NONCE_BITS - 1) + 1


def _codes(done: Sequence[tuple[str, DeviceStamp]]) -> list[int]:
    return [found.exit_code for _name, found in done]


def _print(done: Sequence[tuple[str, DeviceStamp]]) -> None:
    if not done:
        output.note(_("no device has a ledger there: nothing to stamp"))
        return
    columns = [_("Device"), _("Store"), _("Entries"), _("Stamp"), _("Stamped at"), _("Authority")]
    output.table(columns, [_cells(name, found) for name, found in done])


def _cells(name: str, found: DeviceStamp) -> list[str]:
    words = {
        Outcome.STAMPED: _("new"),
        Outcome.ALREADY: _("there already"),
        Outcome.FAILED: _("failed"),
    }[found.outcome]
    if found.stamp is not None and not found.checked:
        words = _("{outcome}, not checked").format(outcome=words)
    stamp = found.stamp
    return [
        found.device,
        name,
        "" if found.size is None else str(found.size),
        words,
        "" if stamp is None else output.local_time(stamp.at),
        "" if stamp is None else stamp.authority,
    ]


def _json(name: str, found: DeviceStamp) -> Mapping[str, JsonValue]:
    stamp = found.stamp
    return {
        "store": name,
        "device": found.device,
        "size": found.size,
        "outcome": found.outcome.value,
        "at": None if stamp is None else write_time(stamp.at),
        "authority": None if stamp is None else stamp.authority,
        "checked": found.checked,
        "error": None if found.problem is None else str(found.problem),
    }
