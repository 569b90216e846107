"""The custodian at one recording: read back, judged, vouched for. The sole writer of receipts.

::

    receipt there? ──yes──▶ it counts ──▶ compare with what lies there ──▶ received
         │ no                   └─ no ──▶ told; examined all the same, and never vouched for over it
         ▼
    manifest there? ──no──▶ incomplete
         │ yes
         ▼
    every version looked at, the right ones checked (`examining`) ──15──▶ waiting ──12,13,14──▶ refused
         │ 0
         ▼
    receipt put ──▶ received

Conventions: doing it again does nothing again, whoever does it and wherever it was broken off: what was done
is what lies in the store. No private decryption key is here or anywhere near. Raises StoreError where the
store fails; nothing else is raised for what is found.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from callseal.archive.bundles import Lying, look, read_version
from callseal.archive.examining import Ledgers, compare, examine
from callseal.archive.identity import CustodianIdentity
from callseal.archive.receipting import Given, Receipts
from callseal.archive.store_clock import Clock, ClocksDiffer
from callseal.archive.troubles import Code, Trouble, trouble
from callseal.seal.durable import Step, no_step
from callseal.seal.errors import ManifestError
from callseal.seal.keys import TrustStore
from callseal.seal.manifest import MANIFEST_NAME, MAX_SIZE_BYTES, Manifest, parse
from callseal.seal.verify import ALTERED, NOT_CHECKED
from callseal.store.errors import StoreRefused
from callseal.store.interface import Store
from callseal.store.names import RecordingName


class State(StrEnum):
    """What became of a recording in one store."""

    RECEIVED = "received"
    WAITING = "waiting"
    INCOMPLETE = "incomplete"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a recording, and what was found beside it.

    `manifest` and `given` are there where it is received, `new` says that the receipt was given now.
    """

    name: RecordingName
    state: State
    lying: Lying
    troubles: tuple[Trouble, ...] = ()
    manifest: Manifest | None = None
    given: Given | None = None
    new: bool = False


class Custodian:
    """Receives recordings in one store; `site` is its name in the settings."""

    def __init__(
        self,
        store: Store,
        site: str,
        identity: CustodianIdentity,
        trust: TrustStore,
        ledgers: Ledgers,
        *,
        now: Callable[[], datetime],
        clock: Clock | None = None,
        step: Step = no_step,
    ) -> None:
        """`clock` is asked before a receipt is given: its time can't be taken back."""
        self._store = store
        self._site = site
        self._identity = identity
        self._trust = trust
        self._ledgers = ledgers
        self._now = now
        self._clock = clock
        self._step = step
        self._receipts = Receipts(store, site, trust, step=step)

    @property
    def receipts(self) -> Receipts:
        """The receipts in this store."""
        return self._receipts

    def receive(self, name: RecordingName) -> Outcome:
        """Do what is to be done for a recording."""
        self._step("look")
        kept = self._receipts.read(name.device, name.id)
        lying = look(self._store, name)
        if kept.given is not None:
            return self._received(lying, kept.given, kept.troubles)
        if MANIFEST_NAME not in lying.versions and not lying.crowded:
            state = State.REFUSED if kept.troubles else State.INCOMPLETE
            return Outcome(name=name, state=state, lying=lying, troubles=kept.troubles)
        self._step("examine")
        found = examine(self._store, lying, self._trust, self._ledgers)
        troubles = (*kept.troubles, *found.troubles)
        if found.exit_code == 0 and found.manifest is not None and kept.free:
            doubt = self._clock_doubt(name)
            if doubt is not None:
                return Outcome(name=name, state=State.WAITING, lying=lying, troubles=(*troubles, doubt))
            after = self._receipts.give(
                self._identity, found.manifest, found.manifest_sha256, found.objects, now=self._now
            )
            given = after.given
            if given is not None and given.receipt.manifest == found.manifest_sha256:
                return Outcome(
                    name=name,
                    state=State.RECEIVED,
                    lying=lying,
                    troubles=(*troubles, *after.troubles),
                    manifest=found.manifest,
                    given=given,
                    new=after.new,
                )
            words = f"{name.prefix}: a receipt came in between that is about another manifest"
            differs = () if given is None else (trouble(Code.FORGED, words),)
            troubles = (*troubles, *after.troubles, *differs)
            return Outcome(name=name, state=State.REFUSED, lying=lying, troubles=troubles)
        waiting = found.exit_code == NOT_CHECKED and kept.free
        state = State.WAITING if waiting else State.REFUSED
        return Outcome(name=name, state=state, lying=lying, troubles=troubles)

    def _clock_doubt(self, name: RecordingName) -> Trouble | None:
        """Tell why no receipt can be dated now; None where nothing is known against our clock."""
        if self._clock is None:
            return None
        try:
            self._clock.check(self._now())
        except ClocksDiffer as problem:
            return trouble(Code.CLOCKS_DIFFER, f"{name.prefix}: no receipt: {problem}", problem.exit_code)
        except StoreRefused:
            return None  # where the fleet's state can't be written either, which is told
        return None

    def _received(self, lying: Lying, given: Given, troubles: tuple[Trouble, ...]) -> Outcome:
        """Compare what lies there with a receipt that counts; nobody's word but a custodian's is needed."""
        if given.folder != lying.name:
            words = f"{lying.name.prefix}: its recording was received in {given.folder.prefix}"
            return Outcome(
                name=lying.name,
                state=State.REFUSED,
                lying=lying,
                troubles=(*troubles, trouble(Code.EXTRA_OBJECT, words, ALTERED)),
            )
        found = compare(self._store, lying, given.objects())
        manifest = None
        if not any(item.code == Code.GONE for item in found):
            manifest = read_manifest(self._store, given)
        return Outcome(
            name=lying.name,
            state=State.RECEIVED,
            lying=lying,
            troubles=(*troubles, *found),
            manifest=manifest,
            given=given,
        )


def read_manifest(store: Store, given: Given) -> Manifest | None:
    """Return the manifest that a receipt vouches for; None if other bytes lie there. Raises StoreError."""
    version = given.version(MANIFEST_NAME) if store.capabilities.versions else ""
    data = read_version(store, given.folder.prefix + MANIFEST_NAME, version, MAX_SIZE_BYTES)
    if hashlib.sha256(data).digest() != given.receipt.manifest:
        return None
    try:
        return parse(data)
    except ManifestError:
        return None
