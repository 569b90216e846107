"""What lanes work with: stores, limits, and what all of them share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from callseal.archive.identity import CustodianIdentity
from callseal.archive.memory import Memory
from callseal.seal.durable import Step, no_step
from callseal.seal.keys import TrustStore
from callseal.store.interface import CentralStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A store of the settings: its name, and whether the custodian fills it from the others."""

    name: str
    store: CentralStore
    filled: bool = False


def full_scan_note(site: Site) -> str:
    """Return the name under which is noted when a store was last looked through from its beginning."""
    return f"full scan of {site.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the settings say about rounds."""

    full_scan: timedelta
    incomplete: timedelta
    scrub_share: float


@dataclass(slots=True, kw_only=True)
class Done:
    """What a round did."""

    received: int = 0
    copied: int = 0
    read_again: int = 0
    read_again_bytes: int = 0
    full: bool = False

    def add(self, more: "Done") -> None:
        """Count what another round did too."""
        self.received += more.received
        self.copied += more.copied
        self.read_again += more.read_again
        self.read_again_bytes += more.read_again_bytes
        self.full = self.full or more.full


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What all lanes work with. `chance` gives numbers from 0 up to 1, `scratch` is for sealed bytes."""

    identity: CustodianIdentity
    trust: TrustStore
    memory: Memory
    scratch: Path
    limits: Limits
    now: Callable[[], datetime]
    chance: Callable[[], float]
    stopped: Callable[[], bool] = field(default=lambda: False)
    step: Step = no_step
