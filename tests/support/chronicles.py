"""A ledger as an agent keeps it, for tests of what writes to it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callseal.agent.chronicle import Chronicle
from callseal.seal.keys import device_id
from callseal.seal.ledger.clock import Clocks
from callseal.seal.ledger.journal import Journal

BOOT = "0123456789abcdef"
BOOT_MS = 1_000_000


def clocks_of(now: Callable[[], datetime], elapsed_s: Callable[[], float]) -> Callable[[], Clocks]:
    """Give both clocks, driven by a test's own."""
    return lambda: Clocks(at=now(), boot=BOOT, uptime_ms=BOOT_MS + round(elapsed_s() * 1000))


def chronicle(
    folders: Sequence[Path],
    key: Ed25519PrivateKey,
    clocks: Callable[[], Clocks],
    *,
    alarm: Callable[[str, str], None] = lambda _code, _words: None,
    clear: Callable[[str], object] = lambda _code: None,
) -> Chronicle:
    """Open a device's ledger in these folders."""
    return Chronicle(
        lambda: Journal(folders, device=device_id(key.public_key()), key=key, clocks=clocks),
        clocks=clocks,
        heartbeat_s=60.0,
        publish_s=60.0,
        alarm=alarm,
        clear=clear,
    )
