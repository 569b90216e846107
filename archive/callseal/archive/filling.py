"""Filling a store from the others: their ledgers, what is wanted there, and the receipts for the devices.

Conventions: a StoreError is that of the store that is filled. Where another one fails, what depended on it
waits and is tried again; its own lane tells of it.
"""

from collections.abc import Callable, Sequence
from typing import Final

from callseal.archive.copying import Copier
from callseal.archive.custodian import Outcome
from callseal.archive.errors import CopyRefused, SourceFailed
from callseal.archive.patience import Patience
from callseal.archive.receipting import Given, Receipts
from callseal.archive.tools import Done, Site, Tools
from callseal.archive.troubles import Code, Trouble, trouble
from callseal.seal.manifest import Manifest
from callseal.seal.verify import NOT_CHECKED
from callseal.store.errors import StoreError
from callseal.store.names import LEDGER, RecordingName

MAX_COPIES: Final = 200
"""How many recordings are copied in one round."""

_COPY: Final = "copy of "
_LEDGER_COPY: Final = "copy of its ledger"


class Filling:
    """Fills one store; `sources` are those that the devices themselves bring recordings to.

    `receive` receives a recording in this store, `tell` remembers what is wrong with a subject of a device.
    """

    def __init__(
        self,
        site: Site,
        sources: Sequence[Site],
        tools: Tools,
        *,
        receive: Callable[[RecordingName, Done], Outcome | None],
        tell: Callable[[str, str, Sequence[Trouble]], None],
    ) -> None:
        self.site = site
        self._sources = tuple(sources)
        self._tools = tools
        self._receive = receive
        self._tell = tell
        self._own = Receipts(site.store, site.name, tools.trust, step=tools.step)

    def ledgers(self) -> None:
        """Bring the segments that this store lacks, and with them the stamps."""
        patience = Patience()
        for source in self._sources:
            copier = self._copier(source)
            try:
                devices = list(source.store.folders(LEDGER))
            except StoreError:
                continue  # its own lane tells
            for device in devices:
                if self._tools.stopped():
                    return
                try:
                    told = self._ledger(copier, source, device, patience)
                except SourceFailed:
                    break
                self._tell(device, _LEDGER_COPY, told)

    def _ledger(self, copier: Copier, source: Site, device: str, patience: Patience) -> Sequence[Trouble]:
        """Bring what is new of a device's ledger; return what is wrong with it."""
        memory = self._tools.memory
        note = f"ledger of {device} from {source.name} in {self.site.name}"
        try:
            progress = copier.ledger(device, memory.note(note))
            memory.set_note(note, progress.following)
            if progress.copied:
                copier.stamps(device)
        except (CopyRefused, ValueError) as problem:
            return (trouble(Code.LEDGER_NOT_COPIED, str(problem)),)
        except StoreError as problem:
            patience.bear(problem)
            return (trouble(Code.LEDGER_NOT_COPIED, f"{device}: {problem}", NOT_CHECKED),)
        patience.renew()
        return ()

    def recordings(self, done: Done) -> None:
        """Copy what is wanted here, receive it, and let the devices read the receipts."""
        memory, patience = self._tools.memory, Patience()
        for name in memory.copies_due(self.site.name, self._tools.now(), MAX_COPIES):
            if self._tools.stopped():
                return
            failed: StoreError | None = None
            try:
                problem = self._copy_one(name, done)
            except StoreError as failure:
                failed = failure
                problem = trouble(Code.COPY_FAILED, f"{name.prefix}: {failure}", NOT_CHECKED)
            subject = _COPY + str(name.id)
            if problem is None:
                memory.copied(self.site.name, name)
                self._tell(name.device, subject, ())
            else:
                memory.copy_later(self.site.name, name, self._tools.now())
                self._tell(name.device, subject, (problem,))
            if failed is None:
                patience.renew()
            else:
                patience.bear(failed)

    def _copy_one(self, name: RecordingName, done: Done) -> Trouble | None:
        """Do what is left to do of one copy; return what keeps it from being done."""
        if self._own.read(name.device, name.id).given is None:
            problem = self._bring(name)
            if problem is not None:
                return problem
            done.copied += 1
        outcome = self._receive(name, done)
        if outcome is None or outcome.given is None or outcome.manifest is None:
            words = f"{name.prefix}: copied, and not received: see what is told of it"
            return trouble(Code.COPY_FAILED, words, NOT_CHECKED)
        return self._pass_on(outcome.given, outcome.manifest)

    def _bring(self, name: RecordingName) -> Trouble | None:
        """Copy a recording from the first store that has it."""
        problem = trouble(Code.COPY_FAILED, f"{name.prefix}: no store has it with a receipt", NOT_CHECKED)
        for source in self._sources:
            try:
                given = self._receipts(source).read(name.device, name.id).given
            except StoreError as failed:
                problem = trouble(Code.COPY_FAILED, f"{source.name}: {failed}", NOT_CHECKED)
                continue
            if given is None or given.folder != name:
                continue
            try:
                self._copier(source).recording(given)
            except CopyRefused as refused:
                problem = trouble(Code.COPY_FAILED, f"{source.name}: {refused}", refused.found)
            except SourceFailed as failed:
                problem = trouble(Code.COPY_FAILED, f"{source.name}: {failed}", NOT_CHECKED)
            else:
                return None
        return problem

    def _pass_on(self, given: Given, manifest: Manifest) -> Trouble | None:
        for source in self._sources:
            if source.name not in manifest.stores:
                continue
            try:
                kept = self._receipts(source).pass_on(given)
            except StoreError as failed:
                words = f"{source.name}: the receipt can't be put there yet: {failed}"
                return trouble(Code.COPY_FAILED, words, NOT_CHECKED)
            if kept.given is None:
                return kept.troubles[0]
        return None

    def _receipts(self, site: Site) -> Receipts:
        return Receipts(site.store, site.name, self._tools.trust, step=self._tools.step)

    def _copier(self, source: Site) -> Copier:
        return Copier(source.store, self.site.store, self._tools.scratch, step=self._tools.step)
