"""``callseal store init``: makes folders and buckets stores, and shows the policies of the roles.

JSON: ``type "callseal-store-init/1", exit_code, stores[]``, each with ``store, type``; a directory's has
``path``, an S3 store's ``findings[]`` of ``{bucket, feature, state, found}`` and ``policies`` (by role).

Conventions: the exit code is 21 where something is weaker than the settings ask for, else 0; what goes wrong
is raised. S3 is spoken to with the profile that was named, or the usual credentials, never with those that
the settings name: they are a service's, and no service may do this.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from callseal.cli import options, output
from callseal.cli.errors import UsageFault
from callseal.cli.i18n import _, mark
from callseal.cli.output import JsonValue
from callseal.config.central import S3Store as S3Settings
from callseal.config.central import Store as StoreSettings
from callseal.config.load import load
from callseal.store.directory import DirectoryStore
from callseal.store.errors import StoreRefused
from callseal.store.policies import place_of, policies, text_of

if TYPE_CHECKING:
    from callseal.store.preparing import Finding

JSON_TYPE: Final = "callseal-store-init/1"

_FEATURES: Final = {
    "bucket": mark("bucket"),
    "versions": mark("versions"),
    "lock": mark("lock"),
    "retention": mark("default retention"),
    "expiry": mark("rule that removes objects"),
    "stale-parts": mark("unfinished uploads go after a week"),
    "replaced": mark("replaced versions go after a day"),
    "not-public": mark("closed to the public"),
}
_STATES: Final = {
    "made": mark("done"),
    "there": mark("there already"),
    "unsupported": mark("the store has no such thing"),
    "weaker": mark("WEAKER than the settings ask for"),
}
_ADVICE: Final = {
    "versions": mark(
        "bucket {bucket}: versions could not be switched on, so an object can be replaced and is then lost:"
        " take another service"
    ),
    "lock": mark(
        "bucket {bucket}: its lock is not what it should be, and that can't be changed afterwards: name"
        " another bucket in the settings and run this again; what lies in the old one can be copied"
    ),
    "retention": mark(
        "bucket {bucket}: new objects are protected by {found}, which is less than the settings ask for, and"
        " was left so: raise it with your store's own means, or lower lock and lock_days in the settings"
    ),
    "expiry": mark(
        "bucket {bucket}: the lifecycle rule {found} hides or removes objects by their age: remove it, or"
        " limit it to names that are not ours"
    ),
}

Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        help=_("The administrator's credentials, by the profile's name; otherwise the usual ones."),
        show_default=False,
    ),
]


def init(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR", help=_("The folder; otherwise the stores of the settings."), show_default=False
        ),
    ] = None,
    *,
    store: Annotated[
        list[str] | None,
        typer.Option(
            "--store",
            metavar="NAME",
            help=_("Only this store of the settings; may be given several times."),
            show_default=False,
        ),
    ] = None,
    profile: Profile = None,
    only_policies: Annotated[
        bool, typer.Option("--policies", help=_("Change nothing: show what each role must be allowed."))
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="ID",
            help=_("The device whose policy is shown; otherwise a word stands in its place."),
            show_default=False,
        ),
    ] = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """Set up stores; see `register`."""
    if folder is not None:
        if store or profile is not None or only_policies or device is not None:
            raise UsageFault(_("a folder is named: --store, --profile, --policies and --device are for S3"))
        chosen: Sequence[StoreSettings | Path] = [folder]
    else:
        chosen = _chosen(load(config, os.environ).settings.stores, store or ())
    if only_policies and not any(isinstance(one, S3Settings) for one in chosen):
        raise UsageFault(_("only a store of the type s3 has policies, and none is among them"))
    code, documents = 0, []
    for one in chosen:
        if isinstance(one, S3Settings):
            document = _s3(one, profile, device, only_policies=only_policies, quiet=json_)
            code = max(code, _code(document))
            documents.append(document)
        elif not only_policies:
            documents.append(_directory(one if isinstance(one, Path) else one.path, quiet=json_))
    if json_:
        output.json_document({"type": JSON_TYPE, "exit_code": code, "stores": documents})
    raise typer.Exit(code)


def named(stores: Sequence[StoreSettings], name: str) -> StoreSettings:
    """Return the store of that name; UsageFault where the settings have none."""
    found = next((one for one in stores if one.name == name), None)
    if found is None:
        names = ", ".join(one.name for one in stores) or "-"
        words = _("the settings name no store {name}; they name: {names}")
        raise UsageFault(words.format(name=name, names=names))
    return found


def _chosen(stores: Sequence[StoreSettings], names: Sequence[str]) -> Sequence[StoreSettings]:
    chosen = [named(stores, name) for name in names] or stores
    if not chosen:
        raise UsageFault(_("the settings name no store; name a folder"))
    return chosen


def _directory(folder: Path, *, quiet: bool) -> Mapping[str, JsonValue]:
    DirectoryStore.create(folder)
    if not quiet:
        output.line(_("{path} is a store").format(path=folder))
    return {"store": str(folder), "type": "directory", "path": str(folder)}


def _s3(
    item: S3Settings, profile: str | None, device: str | None, *, only_policies: bool, quiet: bool
) -> Mapping[str, JsonValue]:
    try:
        documents = policies(place_of(item), device)
    except ValueError as problem:
        words = _("--device: a device's id is expected, dev- and 12 letters and digits")
        raise UsageFault(words) from problem
    texts = {role.value: text_of(policy) for role, policy in documents.items()}
    found = [] if only_policies else _prepared(item, profile)
    if not quiet:
        if found:
            _print_findings(item, found)
        for role, text in texts.items():
            output.note(_("policy of the role {role}, store {store}:").format(role=role, store=item.name))
            output.text(text)
        _advise(found)
    return {
        "store": item.name,
        "type": "s3",
        "findings": [
            {"bucket": one.bucket, "feature": one.feature, "state": one.state, "found": one.found}
            for one in found
        ],
        "policies": texts,
    }


def _prepared(item: S3Settings, profile: str | None) -> "list[Finding]":
    # They bring boto3, which takes its time; a folder needs none of it.
    from callseal.store.accounts import Account  # noqa: PLC0415
    from callseal.store.preparing import prepare  # noqa: PLC0415

    return list(prepare(Account(item, profile), item))


def _code(document: Mapping[str, JsonValue]) -> int:
    findings = document["findings"]
    weaker = isinstance(findings, list) and any(
        isinstance(one, dict) and one["state"] == "weaker" for one in findings
    )
    return StoreRefused.exit_code if weaker else 0


def _print_findings(item: S3Settings, found: "Sequence[Finding]") -> None:
    columns = [_("Store"), _("Bucket"), _("What"), _("Found"), _("Value")]
    output.table(
        columns,
        [
            [item.name, one.bucket, _(_FEATURES[one.feature]), _(_STATES[one.state]), one.found]
            for one in found
        ],
    )


def _advise(found: "Sequence[Finding]") -> None:
    for one in found:
        if one.state == "weaker":
            output.warning(_(_ADVICE[one.feature]).format(bucket=one.bucket, found=one.found or "-"))
