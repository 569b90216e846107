"""What a custodian tells of one device by its ledger: the chain, its signer, its clocks, its silence.

The chain's own findings come from `seal.ledger`; here stands what needs more than the chain: our clock, the
times at which the store took the segments, the roots that we trust.

Conventions: findings as in `seal.verify`, each with a code that stays the same: those of
`seal.ledger.findings.Code`, of `arrivals`, ``signer-untrusted`` and ``never-ended``. That a recording is
still open is no finding. What is only worth knowing has the exit code 0. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callseal.archive.arrivals import Arrival, clock_findings, heard_at
from callseal.archive.ledger_memory import Base, Beat, Beginning, Kept
from callseal.seal.errors import LedgerError, UntrustedSigner
from callseal.seal.keys import TrustStore, device_id, leaf_public_key
from callseal.seal.ledger import Chain, Code, Kind, parse_entry, split_line
from callseal.seal.ledger import Finding as ChainFinding
from callseal.seal.ledger.walk import broken_link
from callseal.seal.timestamp import write_time
from callseal.seal.verify.device import NO_CERTIFICATE, as_finding, check_signer
from callseal.seal.verify.findings import Check, Finding, failed, unchecked
from callseal.seal.verify.ledger import DeviceLedger
from callseal.seal.verify.presence import ARRIVAL, NEVER_ENDED
from callseal.seal.verify.segments import Started

UNTRUSTED: Final = "signer-untrusted"
LATE: Final = "heartbeat-late"

_STARTED: Final = b'"kind":"started"'
_HEARTBEAT: Final = b'"kind":"heartbeat"'
_STOPPED: Final = b'"kind":"stopped"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """The newest signs of life: the agent's beginning, a heartbeat, and whether it ended in order since."""

    beginning: Beginning | None
    beat: Beat | None
    stopped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a device's silence is judged by.

    `heard_at` is when it was last heard of, None where nothing more is to come; `running` are the recordings
    that have no end yet, the entries that opened them, and when.
    """

    newest: int
    heard_at: datetime | None
    running: tuple[tuple[UUID, int, datetime], ...]


def key_in(device: str, data: bytes) -> Ed25519PublicKey | None:
    """Return the device's public key, if a segment gives it: the key by which the device is named."""
    for beginning in _beginnings(data):
        try:
            key = leaf_public_key(beginning.x5c)
        except UntrustedSigner:
            continue
        if device_id(key) == device:
            return key
    return None


def signs(chain: Chain, base: Base | None, tail: Sequence[Kept]) -> Signs:
    """Return the newest signs of life that the device vouches for."""
    beginning = None if base is None else base.beginning
    for kept in tail:
        if _STARTED in kept.data:
            for found in _beginnings(kept.data):
                if chain.authentic(found.sequence) and (
                    beginning is None or found.sequence > beginning.sequence
                ):
                    beginning = found
    beat = _newest_beat(chain, tail) or (None if base is None else base.beat)
    stopped = base is not None and base.snapshot.last_kind is Kind.STOPPED
    if tail:
        stopped = _ends_stopped(tail[-1].data)
    return Signs(beginning=beginning, beat=beat, stopped=stopped)


def arrivals(chain: Chain, tail: Sequence[Kept]) -> list[Arrival]:
    """Return when the tail's segments came, those of which that is told."""
    found: list[Arrival] = []
    for index, kept in enumerate(tail):
        end = tail[index + 1].first if index + 1 < len(tail) else chain.size
        at = chain.at(end - 1)
        if at is not None and kept.arrived_at is not None and chain.authentic(end - 1):
            found.append(Arrival(sequence=end - 1, at=at, arrived_at=kept.arrived_at))
    return found


def judge(
    chain: Chain,
    found: Signs,
    came: Sequence[Arrival],
    trust: TrustStore,
) -> tuple[Finding, ...]:
    """Return what is wrong by all that came so far."""
    findings = list(_of_chain(chain))
    if found.beginning is None:
        findings.append(unchecked(chain.device, Check.SIGNER, NO_CERTIFICATE, UNTRUSTED))
    else:
        began = found.beginning
        started = Started(sequence=began.sequence, at=began.at, x5c=began.x5c)
        signer = check_signer(started, chain.device, DeviceLedger(chain=chain), trust)
        if signer.exit_code:
            findings.append(replace(signer, code=UNTRUSTED))
    findings += clock_findings(came)
    return tuple(findings)


def expected(chain: Chain, found: Signs, came: Sequence[Arrival]) -> Expected:
    """Return what there is to come of a device by its ledger."""
    newest, since = chain.size - 1, None
    if chain.clocks is not None and not found.stopped:
        at = chain.clocks.at
        arrival = Arrival(sequence=newest, at=at, arrived_at=at)
        if came and came[-1].sequence == newest:
            arrival = came[-1]
        since = heard_at(arrival, came)
    opened = ((recording, entry, chain.opened_at(recording)) for recording, entry in chain.running())
    running = tuple((recording, entry, at) for recording, entry, at in opened if at is not None)
    return Expected(newest=newest, heard_at=since, running=running)


def judge_silence(waited: Expected, *, now: datetime, late_after: timedelta) -> tuple[Finding, ...]:
    """Return what is wrong by what did not come until `now`."""
    findings: list[Finding] = []
    if waited.heard_at is not None and now - waited.heard_at > late_after:
        since = write_time(waited.heard_at)
        words = f"nothing was heard since {since}, and no entry says that the agent ended"
        findings.append(unchecked(f"entry {waited.newest}", Check.LEDGER, words, LATE))
    for recording, entry, at in waited.running:
        if now - at > ARRIVAL:
            words = f"opened at {write_time(at)} by entry {entry}, and nothing was told of its end"
            findings.append(unchecked(str(recording), Check.PRESENCE, words, NEVER_ENDED))
    return tuple(findings)


def _of_chain(chain: Chain) -> Iterable[Finding]:
    for finding in chain.findings:
        if finding.code is Code.STILL_OPEN:
            continue
        if _rewritten(chain, finding):
            words = f"{finding.words}, and the device signed both: its history was exchanged"
            yield failed(f"entry {finding.sequence}", Check.LEDGER, words, code=Code.REWRITTEN.value)
        else:
            told = as_finding(finding)
            yield told if told.code is not None else replace(told, code=finding.code.value)


def _rewritten(chain: Chain, finding: ChainFinding) -> bool:
    """Tell whether the device itself went on behind another entry than the one that is here."""
    sequence = finding.sequence
    if finding.code is not Code.ALTERED or sequence is None or finding.words != broken_link(sequence):
        return False
    known = sequence == chain.base - 1 or chain.authentic(sequence)
    return known and chain.authentic(sequence + 1)


def _beginnings(data: bytes) -> Iterable[Beginning]:
    for line in data.splitlines(keepends=True):
        if _STARTED not in line:
            continue
        try:
            said = parse_entry(split_line(line)[0])
        except LedgerError:
            continue  # told by the check of the chain
        if said.kind is Kind.STARTED and said.software is not None:
            yield Beginning(sequence=said.sequence, at=said.at, x5c=said.x5c, software=said.software)


def _newest_beat(chain: Chain, tail: Sequence[Kept]) -> Beat | None:
    for kept in reversed(tail):
        for line in reversed(kept.data.splitlines(keepends=True)):
            if _HEARTBEAT not in line:
                continue
            try:
                said = parse_entry(split_line(line)[0])
            except LedgerError:
                continue
            if said.kind is Kind.HEARTBEAT and said.open is not None and chain.authentic(said.sequence):
                return Beat(sequence=said.sequence, at=said.at, open=said.open)
    return None


def _ends_stopped(data: bytes) -> bool:
    entries = [line for line in data.splitlines() if line.startswith(b'{"entry":')]
    return bool(entries) and _STOPPED in entries[-1]
