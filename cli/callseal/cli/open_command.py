"""``callseal open``: decrypts a recording, checks it on the way, shows it or writes its sound into a file.

JSON: ``type "callseal-open/1", id, place, manifest`` (as in ``manifest.json``)``, signer {device, trusted,
issuer, doubt}, vcon`` (as sealed)``, output {file, form, rate_hz, channels, samples} | null``; with
``--evidence`` also ``evidence {folder, sums_sha256, gaps[]}``, the gaps as codes of `evidence.gaps`.

Conventions: everything is checked before anything is shown, the sound included, also where it is only hashed
and thrown away. An untrusted signer is a warning, because an inspector may have the root elsewhere;
``--strict`` makes it an error. What is noted of the access (`access`) is in the store before anything is
decrypted.
"""

import json
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from callseal.cli import access, exporting, labels, lookup, opening, options, output, passphrase, places
from callseal.cli.commands import add
from callseal.cli.conversation import Conversation
from callseal.cli.errors import NotFound, Untrusted, UsageFault
from callseal.cli.evidence import command as exhibit
from callseal.cli.evidence.export import refuse_taken
from callseal.cli.exporting import Exported, Form
from callseal.cli.i18n import _
from callseal.cli.opening import AUDIO, Sealed
from callseal.cli.output import JsonValue
from callseal.config.business import BUILTIN
from callseal.seal.access import EVIDENCE, OPEN
from callseal.seal.age import Identity
from callseal.seal.fields import JsonObject
from callseal.seal.keyfile import read_identities
from callseal.seal.manifest import Manifest
from callseal.seal.recovery import RECOVERED
from callseal.store.names import RECORDINGS

JSON_TYPE: Final = "callseal-open/1"


def register(app: typer.Typer) -> None:
    """Add the command."""
    words = _(
        "Decrypt a recording with its private key, and show who spoke, what was announced and how it sounds;"
        " with -o, write the sound into a file. Signature and hashes are checked on the way: of an altered"
        " recording nothing is given out. With --evidence, make a folder for a court: the sound, everything"
        " that proves it, and a statement of how to check each step with age, openssl and sha256sum."
    )
    add(app, "open", words, "callseal open 3f9a1c -i reader.key -o call.wav")(_open)


def _open(
    recording: Annotated[
        str,
        typer.Argument(
            metavar="RECORDING",
            help=_("A folder, an id, or at least 6 digits of an id's beginning or end."),
        ),
    ],
    *,
    identity: options.Keys,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help=_("Write the sound into this file, unencrypted: .wav or .flac, agent left, customer right."),
            show_default=False,
        ),
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help=_("Write the inner .au file exactly as it was sealed."))
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help=_("Replace the file if it is there already."))
    ] = False,
    evidence: Annotated[
        Path | None,
        typer.Option(
            "--evidence",
            metavar="DIR",
            help=_("Make this folder, unencrypted: the sound, all that proves it, how to check it by hand."),
            show_default=False,
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help=_("Refuse a recording whose signer is not trusted."))
    ] = False,
    reason: options.Reason = None,
    store: options.Store = None,
    ledger: Annotated[
        list[Path] | None,
        typer.Option(
            "--ledger",
            metavar="DIR",
            help=_("For --evidence, where else there are ledgers: a store, or a folder with a copy."),
            show_default=False,
        ),
    ] = None,
    roots: options.Roots = None,
    revoked: Annotated[
        Path | None,
        typer.Option(
            "--revoked",
            metavar="PEM",
            help=_("Revocation list, instead of that of the settings."),
            show_default=False,
        ),
    ] = None,
    stamp_roots: Annotated[
        Path | None,
        typer.Option(
            "--stamp-roots",
            metavar="PEM",
            help=_("Root certificates of time-stamping authorities, instead of those of the settings."),
            show_default=False,
        ),
    ] = None,
    passphrase_file: options.PassphraseFile = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    if raw and out is None:
        raise UsageFault(_("--raw needs -o FILE"))
    if evidence is not None:
        if out is not None:
            raise UsageFault(_("--evidence makes files of its own, the sound among them: leave -o away"))
        refuse_taken(evidence)
    form = None
    if out is not None:
        form = exporting.form_of(out, raw=raw)
        exporting.refuse_taken(out, replace=force)
    by_path = lookup.is_folder(recording)
    scope = places.scope_of(
        config, store, roots, revocations=revoked, stamp_roots=stamp_roots, places=not by_path, opens=True
    )
    visit = access.Visit.of(reason, scope)
    with places.versions_told(scope.places):
        copy = lookup.folder(recording) if by_path else lookup.search(recording, scope.places)
        sealed = opening.open_manifest(copy, scope.trust)
        if evidence is None:
            _doubt(sealed, strict=strict)
        identities = [
            one
            for path in identity
            for one in read_identities(path, passphrase=passphrase.asked(path, passphrase_file))
        ]
        opened = (
            access.folder_opened(Path(recording), sealed.manifest.id, scope)
            if by_path
            else visit.opened(copy)
        )
        visit.note(OPEN if evidence is None else EVIDENCE, [opened], identities)
        made = None
        if evidence is not None:
            wish = exhibit.Wish(
                folder=evidence,
                recording=Path(recording) if by_path else None,
                ledgers=tuple(ledger or ()),
                strict=strict,
            )
            made = exhibit.make(wish, sealed, identities, scope)
            sealed = exhibit.settled(sealed, made)
            _doubt(sealed, strict=strict)
            document, exported = made.case.contents.document, None
        else:
            document = opening.open_call(sealed, identities)
            exported = _sound(sealed, document, identities, out, form, replace=force)
        if json_:
            more = {} if made is None else {"evidence": exhibit.document(made)}
            output.json_document({**_json(sealed, document, exported), **more})
        else:
            types = BUILTIN if scope.settings is None else scope.settings.business_types()
            business = labels.business(sealed.manifest.business_type, types)
            output.facts(list(_facts(sealed, Conversation(document=document), business)))
            _tell(exported)
        if made is not None:
            exhibit.tell(made)


def _doubt(sealed: Sealed, *, strict: bool) -> None:
    """Warn of a signer whom nobody vouches for; Untrusted, if that was asked for."""
    if not sealed.doubt:
        return
    words = _("signer untrusted: {doubt}").format(doubt=sealed.doubt)
    if strict:
        raise Untrusted(f"{sealed.manifest.id}: {words}")
    output.warning(words)


def _tell(exported: Exported | None) -> None:
    if exported is None:
        return
    words = _(
        "The sound now lies UNENCRYPTED in {path} ({form}, {rate} Hz, {duration}): delete it after use."
    )
    output.note(
        words.format(
            path=exported.path,
            form=exported.form.value,
            rate=exported.header.rate_hz,
            duration=output.duration(exported.duration_s),
        )
    )


def _sound(
    sealed: Sealed,
    document: JsonObject,
    identities: Sequence[Identity],
    out: Path | None,
    form: Form | None,
    *,
    replace: bool,
) -> Exported | None:
    if out is None or form is None:
        if sealed.object(AUDIO) is not None:
            deque(opening.open_audio(sealed, document, identities, missing=_warn_missing), maxlen=0)
        return None
    if sealed.object(AUDIO) is None:
        raise NotFound(opening.without_sound(sealed.manifest))
    pieces = opening.open_audio(sealed, document, identities, missing=_warn_missing)
    return exporting.export(pieces, out, form, replace=replace)


def _warn_missing(size_bytes: int) -> None:
    words = _(
        "{number} bytes of the sound are missing before its last part, and stand there as silence: the"
        " recorder's disk lost them"
    )
    output.warning(words.format(number=size_bytes))


def _facts(sealed: Sealed, call: Conversation, business: str) -> Iterator[tuple[str, str]]:
    manifest = sealed.manifest
    told = call.told()
    yield _("Recording"), str(manifest.id)
    yield _("Result"), labels.result(manifest.result.value, manifest.reasons)
    yield _("Direction"), labels.word(manifest.direction.value)
    yield _("Agent"), str(told.agent)
    yield _("Customer"), str(told.customer)
    for party in told.others:
        yield _("Also there"), str(party)
    yield _("Started"), output.local_time(manifest.started_at)
    answered = call.time("answered_at")
    yield _("Answered"), "-" if answered is None else output.local_time(answered)
    yield _("Ended"), f"{output.local_time(manifest.ended_at)}  {call.ending()}".rstrip()
    if told.conversation:
        yield _("Conversation"), told.conversation
    for name in told.earlier_conversations:
        yield _("Before that"), name
    for linked in told.links:
        yield _("Belongs to"), str(linked)
    yield _("Business"), business
    yield _("Sound"), _sound_words(manifest)
    for line in call.announcements(manifest.rate_hz):
        yield _("Announcement"), line
    for line in call.checks():
        yield _("Level"), line
    for line in call.streams():
        yield _("Stream"), line
    for name, value in told.attributes.items():
        yield _("Gateway said"), f"{name}: {value}"
    for name, value in told.earlier_attributes.items():
        yield _("Said before"), f"{name}: {value}"
    yield _("Device"), f"{manifest.device}  {manifest.site}  {manifest.source}  {manifest.software}"
    yield _("Signature"), _signature_words(sealed)
    yield _("Found in"), _place(sealed)


def _sound_words(manifest: Manifest) -> str:
    if manifest.rate_hz is None:
        return _("none")
    seconds = manifest.duration_samples / manifest.rate_hz
    words = (
        _("{duration}, {rate} Hz, recovered: what was safe when the recorder died, intact")
        if RECOVERED in manifest.reasons
        else _("{duration}, {rate} Hz, intact")
    )
    return words.format(duration=output.duration(seconds), rate=manifest.rate_hz)


def _signature_words(sealed: Sealed) -> str:
    if sealed.signer is None:
        return _("fits; signer UNTRUSTED: {doubt}").format(doubt=sealed.doubt)
    issuer = sealed.signer.root.subject.rfc4514_string()
    return _("fits; vouched for by {issuer}").format(issuer=issuer)


def _place(sealed: Sealed) -> str:
    prefix = sealed.copy.prefix
    return f"{sealed.copy.place}: {prefix}" if prefix.startswith(RECORDINGS) else sealed.copy.place


def _json(sealed: Sealed, document: JsonObject, exported: Exported | None) -> dict[str, JsonValue]:
    signer = sealed.signer
    return {
        "type": JSON_TYPE,
        "id": str(sealed.manifest.id),
        "place": sealed.copy.place,
        "manifest": json.loads(sealed.manifest.to_bytes()),
        "signer": {
            "device": sealed.manifest.device,
            "trusted": signer is not None,
            "issuer": None if signer is None else signer.root.subject.rfc4514_string(),
            "doubt": sealed.doubt or None,
        },
        "vcon": document,
        "output": None
        if exported is None
        else {
            "file": str(exported.path),
            "form": exported.form.value,
            "rate_hz": exported.header.rate_hz,
            "channels": exported.header.channels,
            "samples": exported.samples,
        },
    }
