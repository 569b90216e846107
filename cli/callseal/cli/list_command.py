"""``callseal list``: which recordings there are, in the stores and still in the spool.

JSON: ``type "callseal-list/1", recordings[]``, the newest first, each with ``id, device, site, source,
direction, started_at, ended_at (UTC), duration_s, business_type, result, reasons[], size_bytes, places[],
parties {agent, customer, others[]}, conversation, links[] {relation, id}, attributes {}, error | null``. From
`parties` to `attributes` all is sealed, and null without ``-i``; a party has what is known of ``tel, sip,
name``; `attributes` are texts by name; `error` says what could not be read.

With ``--access`` it lists who opened recordings instead: see `access_list`.

Conventions: a list shows what the manifests say; only their signatures are checked. `callseal verify` proves
the rest. Who spoke is sealed: showing it is an access, of all recordings of the list at once, and so is
looking for something in it. What can't be read stays in the list whatever was looked for: it may be the one.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

import typer

from callseal.cli import access_list, labels, opening, options, output, passphrase, places
from callseal.cli.access import Visit
from callseal.cli.commands import add
from callseal.cli.conversation import Conversation, Told
from callseal.cli.errors import CliError, UsageFault
from callseal.cli.i18n import _, counted
from callseal.cli.opening import Sealed
from callseal.cli.output import JsonValue
from callseal.cli.places import Copy, Scan, Scope
from callseal.cli.progress import progress
from callseal.cli.search import Search, Wish
from callseal.cli.times import read_time
from callseal.config.business import BUILTIN, BusinessType
from callseal.seal.access import LIST
from callseal.seal.age import Identity
from callseal.seal.errors import SealError
from callseal.seal.keyfile import read_identities
from callseal.seal.manifest import Manifest, Result
from callseal.seal.timestamp import write_time
from callseal.seal.uuid7 import time_ms
from callseal.store.errors import StoreError

JSON_TYPE: Final = "callseal-list/1"
_DAY: Final = timedelta(days=1)
_DATE_LENGTH: Final = len("2026-11-21")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A recording in the list; `problem` says why its manifest or its metadata could not be read."""

    id: UUID
    places: tuple[str, ...]
    sealed: Sealed | None = None
    told: Told | None = None
    """None while it is sealed."""
    problem: CliError | SealError | StoreError | None = None

    @property
    def manifest(self) -> Manifest | None:
        """What its device signed."""
        return None if self.sealed is None else self.sealed.manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which recordings are wanted; None wants all. `until` is not wanted any more itself."""

    since: datetime | None
    until: datetime | None
    business: str | None
    result: Result | None

    def may_have(self, recording: UUID) -> bool:
        """Tell by the time in its id whether a recording can be wanted; a day's room is left."""
        at_ms = time_ms(recording)
        if at_ms is None:
            return True
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        return not (
            (self.since is not None and at < self.since - _DAY)
            or (self.until is not None and at > self.until + _DAY)
        )

    def has(self, manifest: Manifest) -> bool:
        """Tell whether a recording is wanted."""
        return (
            (self.since is None or manifest.started_at >= self.since)
            and (self.until is None or manifest.started_at < self.until)
            and (self.business is None or manifest.business_type == self.business)
            and (self.result is None or manifest.result is self.result)
        )


def register(app: typer.Typer) -> None:
    """Add the command."""
    words = _(
        "List the recordings in the stores and in the spool, the newest first. With -i, who spoke is shown"
        " too. The list shows what the manifests say; `callseal verify` proves it. With --access, list who"
        " opened recordings, and why, instead."
    )
    add(app, "list", words, "callseal list --since 2026-11-01 --business sales")(_list)


def _list(
    *,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help=_("Calls from this day or time on, such as 2026-11-21 or 2026-11-21T09:30."),
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="TIME", help=_("Calls up to this day or time, included."), show_default=False
        ),
    ] = None,
    business: Annotated[
        str | None,
        typer.Option("--business", metavar="ID", help=_("Calls of this business type."), show_default=False),
    ] = None,
    result: Annotated[
        Result | None, typer.Option("--result", help=_("Calls with this result."), show_default=False)
    ] = None,
    party: Annotated[
        list[str],
        typer.Option(
            "--party",
            metavar="NUMBER",
            help=_(
                "With -i: calls that this number, SIP address or name took part in; * stands for any signs,"
                " ? for one. Given several times, all took part."
            ),
            show_default=False,
        ),
    ] = [],  # noqa: B006 - typer copies it
    conversation: Annotated[
        str | None,
        typer.Option(
            "--conversation",
            metavar="ID",
            help=_("With -i: calls of what the telephone system calls this conversation; * and ? as above."),
            show_default=False,
        ),
    ] = None,
    attribute: Annotated[
        list[str],
        typer.Option(
            "--attribute",
            metavar="NAME=VALUE",
            help=_(
                "With -i: calls of which the gateway said this, such as *:ucid=00FA*; * and ? as above. Given"
                " several times, all must hold."
            ),
            show_default=False,
        ),
    ] = [],  # noqa: B006 - typer copies it
    identity: options.Keys = [],  # noqa: B006 - typer copies it
    passphrase_file: options.PassphraseFile = None,
    reason: options.Reason = None,
    accesses: Annotated[
        bool,
        typer.Option("--access", help=_("List who opened recordings, when, where and why, instead.")),
    ] = False,
    recording: Annotated[
        str | None,
        typer.Option(
            "--recording",
            metavar="RECORDING",
            help=_("With --access: only this recording, by its id or at least 6 digits of it."),
            show_default=False,
        ),
    ] = None,
    store: options.Store = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    wanted = Filter(
        since=None if since is None else _time(since, end=False),
        until=None if until is None else _time(until, end=True),
        business=business,
        result=result,
    )
    wish = Wish(parties=party, conversation=conversation, attributes=attribute)
    if accesses:
        if business is not None or result is not None or identity or reason is not None or wish:
            raise UsageFault(_("--access goes with --since, --until, --recording, --store and --json only"))
        scope = places.scope_of(config, store, None)
        asked = access_list.Asked(since=wanted.since, until=wanted.until, recording=recording)
        with places.versions_told(scope.places):
            raise typer.Exit(access_list.show(asked, scope.places, json_=json_))
    if recording is not None:
        raise UsageFault(_("--recording goes with --access; `callseal open` shows one recording"))
    if reason is not None and not identity:
        raise UsageFault(_("--reason goes with -i: without a key nothing is opened"))
    if wish and not identity:
        raise UsageFault(
            _("--party, --conversation and --attribute go with -i: what they look for is sealed")
        )
    scope = places.scope_of(config, store, None, opens=bool(identity))
    search = Search.of(wish, scope.settings)
    visit = Visit.of(reason, scope) if identity else None
    identities = [
        one
        for path in identity
        for one in read_identities(path, passphrase=passphrase.asked(path, passphrase_file))
    ]
    with places.versions_told(scope.places):
        scan = places.scan(scope.places, places.days_between(wanted.since, wanted.until))
        rows = _rows(scan.copies, wanted, scope)
        if visit is not None:
            rows = [one for one in _opened(rows, visit, identities) if _may_fit(one, search)]
    if json_:
        output.json_document({"type": JSON_TYPE, "recordings": [_json(row) for row in rows]})
    else:
        _print(rows, BUILTIN if scope.settings is None else scope.settings.business_types(), bool(identities))
    raise typer.Exit(_end(rows, scan))


def _time(text: str, *, end: bool) -> datetime:
    """Read a day or a time; a whole day ends where the next begins."""
    if not end:
        return read_time(text)
    return read_time(text, plus=_DAY if len(text) == _DATE_LENGTH else timedelta(milliseconds=1))


def _rows(copies: Sequence[Copy], wanted: Filter, scope: Scope) -> list[Row]:
    by_id: defaultdict[UUID, list[Copy]] = defaultdict(list)
    for copy in copies:
        if copy.id is not None and copy.complete and wanted.may_have(copy.id):
            by_id[copy.id].append(copy)
    rows = []
    with progress(_("reading the manifests"), len(by_id)) as step:
        for one, found in by_id.items():
            row = _row(one, found, scope)
            if row.manifest is None or wanted.has(row.manifest):
                rows.append(row)
            step()
    return sorted(rows, key=_newest_first, reverse=True)


def _newest_first(row: Row) -> tuple[float, UUID]:
    started = (
        row.manifest.started_at.timestamp() if row.manifest is not None else (time_ms(row.id) or 0) / 1000
    )
    return started, row.id


def _row(one: UUID, copies: Sequence[Copy], scope: Scope) -> Row:
    where = tuple(dict.fromkeys(copy.place for copy in copies))
    try:
        sealed = opening.open_manifest(copies[0], scope.trust)
    except (CliError, SealError, StoreError) as problem:
        return Row(id=one, places=where, problem=problem)
    return Row(id=one, places=where, sealed=sealed)


def _opened(rows: Sequence[Row], visit: Visit, identities: Sequence[Identity]) -> list[Row]:
    """Return the rows with who spoke; the access is noted for all of them before the first is opened."""
    sealed = [row.sealed for row in rows if row.sealed is not None]
    if not sealed:
        return list(rows)
    visit.note(LIST, [visit.opened(one.copy) for one in sealed], identities)
    with progress(_("opening who spoke"), len(rows)) as step:
        return [_read(row, identities, step) for row in rows]


def _may_fit(row: Row, search: Search) -> bool:
    """Tell whether a recording is looked for; of one that could not be read nobody knows."""
    return row.told is None or search.fits(row.told)


def _read(row: Row, identities: Sequence[Identity], step: Callable[[], None]) -> Row:
    step()
    if row.sealed is None:
        return row
    try:
        document = opening.open_call(row.sealed, identities)
    except (CliError, SealError, StoreError) as problem:
        return replace(row, problem=problem)
    return replace(row, told=Conversation(document=document).told())


def _end(rows: Sequence[Row], scan: Scan) -> int:
    """Warn of what could not be read, and return the exit code."""
    for row in rows:
        if row.problem is not None:
            output.warning(f"{row.id}: {row.problem}")
    incomplete = len({copy.id for copy in scan.copies} - {copy.id for copy in scan.copies if copy.complete})
    if incomplete:
        words = counted(
            "{number} recording has no manifest yet: it is still being brought to the store,"
            " or its manifest is gone",
            "{number} recordings have no manifest yet: they are still being brought to the store,"
            " or their manifests are gone",
            incomplete,
        )
        output.note(words.format(number=incomplete))
    codes = [
        places.warn_of(scan.failures),
        *(0 if row.problem is None else row.problem.exit_code for row in rows),
    ]
    return min((code for code in codes if code), default=0)


def _print(rows: Sequence[Row], types: Mapping[str, BusinessType], with_parties: bool) -> None:  # noqa: FBT001
    columns = [_("Recording"), _("Started"), _("Direction"), _("Business"), _("Duration"), _("Result")]
    columns += [_("Size"), _("Where")]
    if with_parties:
        columns[2:2] = [_("Agent"), _("Customer")]
    if not rows:
        output.note(_("no recordings"))
        return
    output.table(columns, [_cells(row, types, with_parties=with_parties) for row in rows])


def _cells(row: Row, types: Mapping[str, BusinessType], *, with_parties: bool) -> list[str]:
    manifest = row.manifest
    if manifest is None:
        cells = [str(row.id), "", "", "", "", _("can't be read"), "", ", ".join(row.places)]
    else:
        cells = [
            str(row.id),
            output.local_time(manifest.started_at),
            labels.word(manifest.direction.value),
            labels.business(manifest.business_type, types),
            output.duration(_duration_s(manifest)),
            labels.result(manifest.result.value, manifest.reasons),
            output.size(_size_bytes(manifest)),
            ", ".join(row.places),
        ]
    if with_parties:
        told = row.told
        unread = "" if row.problem is None or manifest is None else _("can't be read")
        cells[2:2] = (unread, "") if told is None else (str(told.agent), str(told.customer))
    return cells


def _json(row: Row) -> Mapping[str, JsonValue]:
    manifest = row.manifest

    def of(value: Callable[[Manifest], JsonValue]) -> JsonValue:
        return None if manifest is None else value(manifest)

    return {
        "id": str(row.id),
        "device": of(lambda known: known.device),
        "site": of(lambda known: known.site),
        "source": of(lambda known: known.source),
        "direction": of(lambda known: known.direction.value),
        "started_at": of(lambda known: write_time(known.started_at)),
        "ended_at": of(lambda known: write_time(known.ended_at)),
        "duration_s": of(_duration_s),
        "business_type": of(lambda known: known.business_type),
        "result": of(lambda known: known.result.value),
        "reasons": of(lambda known: list(known.reasons)),
        "size_bytes": of(_size_bytes),
        "places": list(row.places),
        **_told_json(row.told),
        "error": None if row.problem is None else str(row.problem),
    }


def _told_json(told: Told | None) -> Mapping[str, JsonValue]:
    if told is None:
        return dict.fromkeys(("parties", "conversation", "links", "attributes"))
    return {
        "parties": {
            "agent": told.agent.to_json(),
            "customer": told.customer.to_json(),
            "others": [party.to_json() for party in told.others],
        },
        "conversation": told.conversation or None,
        "links": [linked.to_json() for linked in told.links],
        "attributes": told.attributes,
    }


def _duration_s(manifest: Manifest) -> float:
    if manifest.rate_hz is None:
        return (manifest.ended_at - manifest.started_at).total_seconds()
    return manifest.duration_samples / manifest.rate_hz


def _size_bytes(manifest: Manifest) -> int:
    return sum(item.size_bytes for item in manifest.objects)
