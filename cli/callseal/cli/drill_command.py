"""``callseal store drill``: reads some of the received recordings again, to their last byte. A restore drill.

JSON: ``type "callseal-drill/1", exit_code, stores[]``, each with ``store, recordings, objects, size_bytes,
error`` and ``troubles[]`` of ``receipt, code, exit_code, words``.

Conventions: which recordings is decided by lot, by the receipts in each store; they are read by version and
compared with the receipt, whose signature is checked first. Nothing is opened: what is sealed is compared as
it lies there. Exit codes: 12 altered or gone, 13 and 14 a receipt that does not count, 15 nothing was
received yet, so that nothing could be checked, 20 and 21 the store.
"""

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

import typer

from callseal.archive.scrubbing import Chance, Scrubbed, draw_count, draw_share, scrub
from callseal.archive.troubles import Trouble
from callseal.cli import options, output
from callseal.cli.disk import readable
from callseal.cli.errors import UsageFault
from callseal.cli.i18n import _
from callseal.cli.output import JsonValue
from callseal.config.load import load
from callseal.config.settings import Settings
from callseal.config.settings import Store as StoreSettings
from callseal.seal.keys import TrustStore
from callseal.seal.verify import NOT_CHECKED
from callseal.store.errors import StoreError
from callseal.store.interface import Store
from callseal.store.opening import open_store

JSON_TYPE: Final = "callseal-drill/1"
DEFAULT_SHARE: Final = 0.001
MAX_COUNT: Final = 100_000
EXAMPLE: Final = "callseal store drill --count 20"


@dataclass(slots=True, kw_only=True)
class _Drilled:
    """What came of one store."""

    store: str
    read: list[Scrubbed] = field(default_factory=list)
    problem: StoreError | None = None

    @property
    def troubles(self) -> list[tuple[str, Trouble]]:
        return [(one.name, item) for one in self.read for item in one.troubles]

    @property
    def exit_code(self) -> int:
        codes = [item.exit_code for _name, item in self.troubles]
        codes += [] if self.problem is None else [self.problem.exit_code]
        if self.problem is None and not self.read:
            codes.append(NOT_CHECKED)
        return min((code for code in codes if code), default=0)


def words() -> str:
    """Return the command's help."""
    return _(
        "Read some of the received recordings again, to the last byte, and compare them with their receipts."
        "\n\nWhich ones is decided by lot. It finds what rotted unread, or was deleted. Nothing is decrypted,"
        " and nothing is written."
    )


def drill(
    *,
    store: Annotated[
        str | None,
        typer.Option(
            "--store", metavar="NAME", help=_("Only this store of the settings."), show_default=False
        ),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(
            "--share",
            metavar="SHARE",
            min=0.0,
            max=1.0,
            help=_("Which share of the recordings, from 0 to 1; at least one. Otherwise as in the settings."),
            show_default=False,
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            "--count",
            metavar="NUMBER",
            min=1,
            max=MAX_COUNT,
            help=_("How many recordings of each store."),
            show_default=False,
        ),
    ] = None,
    json_: options.Json = False,
    config: options.Config = None,
) -> None:
    """Read some of the received recordings again."""
    if share is not None and count is not None:
        raise UsageFault(_("--share and --count do not go together"))
    settings = load(config, os.environ).settings
    with readable(settings.trust.roots_file):
        trust = TrustStore.from_files(settings.trust.roots_file, settings.trust.revocations_file)
    chance = random.SystemRandom().random
    if share is None:
        share = DEFAULT_SHARE if settings.custodian is None else settings.custodian.scrub_share
    done = [
        _drill(item.name, open_store(item), trust, chance, share=share, count=count)
        for item in _chosen(settings, store)
    ]
    code = min((one.exit_code for one in done if one.exit_code), default=0)
    _show(done, code, json_=json_)
    raise typer.Exit(code)


def _chosen(settings: Settings, name: str | None) -> Sequence[StoreSettings]:
    if not settings.stores:
        raise UsageFault(_("the settings name no store"))
    found = [item for item in settings.stores if name in {None, item.name}]
    if not found:
        names = ", ".join(item.name for item in settings.stores)
        raise UsageFault(_("--store: the settings name these stores: {names}").format(names=names))
    return found


def _drill(
    name: str, store: Store, trust: TrustStore, chance: Chance, *, share: float, count: int | None
) -> _Drilled:
    done = _Drilled(store=name)
    try:
        lot = draw_share(store, share, chance) if count is None else draw_count(store, count, chance)
        for receipt in lot:
            done.read.append(scrub(store, name, receipt, trust))
    except StoreError as problem:
        done.problem = problem
    return done


def _show(done: Sequence[_Drilled], code: int, *, json_: bool) -> None:
    if json_:
        output.json_document({"type": JSON_TYPE, "exit_code": code, "stores": [_json(one) for one in done]})
        return
    columns = [_("Store"), _("Recordings"), _("Objects"), _("Read"), _("Wrong")]
    output.table(columns, [_cells(one) for one in done])
    for one in done:
        if one.problem is not None:
            output.warning(f"{one.store}: {one.problem}")
        elif not one.read:
            output.note(_("{store}: nothing was received there yet: nothing to read").format(store=one.store))
        for _name, item in one.troubles:
            output.warning(f"{one.store}: {item.code}: {item.words}")


def _cells(one: _Drilled) -> list[str]:
    return [
        one.store,
        str(len(one.read)),
        str(sum(item.objects for item in one.read)),
        output.size(sum(item.size_bytes for item in one.read)),
        str(sum(bool(item.troubles) for item in one.read)),
    ]


def _json(one: _Drilled) -> Mapping[str, JsonValue]:
    return {
        "store": one.store,
        "recordings": len(one.read),
        "objects": sum(item.objects for item in one.read),
        "size_bytes": sum(item.size_bytes for item in one.read),
        "error": None if one.problem is None else str(one.problem),
        "troubles": [
            {"receipt": name, "code": item.code, "exit_code": item.exit_code, "words": item.words}
            for name, item in one.troubles
        ],
    }
