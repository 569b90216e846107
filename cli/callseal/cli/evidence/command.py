"""What ``callseal open --evidence`` adds to the command: where it looks, and what it tells the person."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from callseal.cli import output, places
from callseal.cli.evidence import layout
from callseal.cli.evidence.export import Believed, Exported, export
from callseal.cli.evidence.sources import Sources, enclosing_store
from callseal.cli.i18n import _
from callseal.cli.opening import Sealed
from callseal.cli.output import JsonValue
from callseal.cli.places import Place, Scope
from callseal.seal.age import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked for: the folder to make, and where else to look.

    `recording` is the recording's folder, None for one that was found by its id. `ledgers` are copies of
    ledgers; `strict` makes an untrusted signer an error.
    """

    folder: Path
    recording: Path | None
    ledgers: tuple[Path, ...]
    strict: bool


def make(wish: Wish, sealed: Sealed, identities: Sequence[Identity], scope: Scope) -> Exported:
    """Make the evidence folder; raises what `export` raises, and NotFound for a ledger that is not there."""
    looked = [
        *_places(wish, scope),
        *(places.kept_place(path, scope.settings) for path in wish.ledgers),
    ]
    sources = Sources.of(sealed.manifest, looked)
    with _watched() as progress:
        return export(
            sealed,
            identities,
            wish.folder,
            sources=sources,
            believed=Believed(trust=scope.trust, stamp_roots=scope.stamp_roots, strict=wish.strict),
            software=f"callseal/{version('callseal')}",
            now=datetime.now(UTC),
            progress=progress,
        )


def settled(sealed: Sealed, exported: Exported) -> Sealed:
    """Return the recording with its signer as the export found it: time stamps and receipts may tell more."""
    signer = exported.case.proofs.signer
    return replace(sealed, signer=signer, doubt=sealed.doubt if signer is None else "")


def tell(exported: Exported) -> None:
    """Say where the evidence lies, what to note, and what it lacks."""
    gaps = list(dict.fromkeys(gap.code.value for gap in exported.case.proofs.gaps))
    if gaps:
        words = _("Not everything could be included or checked; the statement says what ({codes})")
        output.warning(words.format(codes=", ".join(gaps)))
    words = _("The evidence now lies UNENCRYPTED in {path}; how to check it: {english}, {chinese}")
    output.note(
        words.format(path=exported.folder, english=layout.STATEMENT_ENGLISH, chinese=layout.STATEMENT_CHINESE)
    )
    words = _("Note this where it is handed over, the SHA-256 of {name}: {digest}")
    output.note(words.format(name=layout.SUMS, digest=exported.sums_sha256.hex()))


def document(exported: Exported) -> dict[str, JsonValue]:
    """Return what programs are told."""
    return {
        "folder": str(exported.folder),
        "sums_sha256": exported.sums_sha256.hex(),
        "gaps": [gap.code.value for gap in exported.case.proofs.gaps],
    }


def _places(wish: Wish, scope: Scope) -> Sequence[Place]:
    """Return where proofs are looked for: where recordings are, or the store that the folder lies in."""
    if scope.places:
        return scope.places
    if scope.settings is not None:
        return places.places_of(scope.settings, scope.trust)
    return () if wish.recording is None else tuple(enclosing_store(wish.recording))


@contextmanager
def _watched() -> Iterator[Callable[[int], None]]:
    """Show how far it is, where somebody watches."""
    if not sys.stderr.isatty():
        yield lambda _entries: None
        return
    with Console(stderr=True).status(_("collecting the evidence")) as status:
        words = _("collecting the evidence: {entries} ledger entries read")
        yield lambda entries: status.update(words.format(entries=entries))
