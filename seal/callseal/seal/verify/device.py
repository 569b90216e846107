"""A device's whole ledger: the chain without holes, its checkpoints, its stamps, its signer, a second copy.

The public key is the one in the ledger's own ``started`` entries, which must be the key by which the device
is named; whether anybody vouches for it is for the roots to say. What a chain can't tell by itself, since
whoever holds the device's key can write another one, needs something from outside: time stamps, or a copy
that lies elsewhere. Without them the report says nothing against the ledger, and says that they are missing.

Conventions: findings about single recordings (opened and never ended, ended twice) have the check `presence`:
who asks for one recording is not concerned with the others.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callseal.seal import ledger as chains
from callseal.seal.errors import LedgerError, RemoteError, UntrustedSigner
from callseal.seal.keys import Role, TrustStore
from callseal.seal.ledger.chain import Chain, no_progress, verify_chain
from callseal.seal.ledger.checkpoint import LINE_PREFIX, read_line
from callseal.seal.ledger.findings import Code
from callseal.seal.stamp import Stamp, read_stamp
from callseal.seal.timestamp import write_time
from callseal.seal.verify.findings import (
    ALTERED,
    NOT_CHECKED,
    UNTRUSTED,
    Check,
    Finding,
    failed,
    gravest,
    note,
    refused,
    unchecked,
    well,
)
from callseal.seal.verify.ledger import Anchor, DeviceLedger
from callseal.seal.verify.presence import ARRIVAL
from callseal.seal.verify.reading import why
from callseal.seal.verify.segments import LedgerCopy, LedgerReader, Started, key_of, newest_line

NO_LEDGER: Final = "its ledger is not at hand: whether recordings are missing was not checked"
NO_KEY: Final = "no entry of its ledger carries the device's certificate: nothing in it was checked"
NO_CERTIFICATE: Final = "the device vouches for no entry with its certificate"
NO_STAMP: Final = "no time stamp: whoever has the device's key could have written it later"
NO_SECOND_COPY: Final = "the second copy holds nothing of this ledger"
ONLY_ELSEWHERE: Final = "its whole ledger is missing, and a second copy has it"

_OF_RECORDINGS: Final = frozenset(
    {Code.OPEN_WITHOUT_END, Code.STILL_OPEN, Code.END_WITHOUT_OPEN, Code.REPLACED}
)
# From such an entry on the checkpoints here are not over what was written.
_BROKEN: Final = frozenset({Code.ALTERED, Code.BAD_SIGNATURE, Code.GAP, Code.FORK})


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFacts:
    """How far a ledger goes; `anchor` is its newest time stamp that holds."""

    entries: int
    first_at: datetime | None
    newest_at: datetime | None
    checkpoints: int
    stamps: int
    anchor: Anchor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceReport:
    """All that was found of a device; `ledger` and `facts` are there if its chain could be gone through."""

    device: str
    places: tuple[str, ...]
    findings: tuple[Finding, ...]
    ledger: DeviceLedger | None = None
    facts: LedgerFacts | None = None

    @property
    def exit_code(self) -> int:
        """The gravest of all findings, 0 if everything was checked and is well."""
        return gravest(self.findings)

    @property
    def ok(self) -> bool:
        """Whether everything was checked, and somebody trusted vouches for it."""
        return self.exit_code == 0


def verify_device(
    device: str,
    copies: Sequence[LedgerCopy],
    trust: TrustStore,
    *,
    tsa_roots: Sequence[x509.Certificate] = (),
    against: Sequence[LedgerCopy] | None = None,
    every_signature: bool = False,
    progress: Callable[[int], None] = no_progress,
) -> DeviceReport:
    """Check a device's ledger, all copies of it that are at hand together.

    `against` are copies that were kept elsewhere: what they hold and is not here is missing. None means that
    no second copy was asked for. `progress` hears now and then how many entries are behind us.
    """
    run = _Verification(device, copies, trust, tsa_roots, every_signature=every_signature, progress=progress)
    try:
        run.chain(against)
    except OSError as problem:
        run.findings = [unchecked(device, Check.LEDGER, f"its ledger can't be read: {why(problem)}")]
        run.ledger = run.facts = None
    return DeviceReport(
        device=device,
        places=tuple(copy.place for copy in copies),
        findings=tuple(run.findings),
        ledger=run.ledger,
        facts=run.facts,
    )


class _Verification:
    """One run: collects findings."""

    def __init__(
        self,
        device: str,
        copies: Sequence[LedgerCopy],
        trust: TrustStore,
        tsa_roots: Sequence[x509.Certificate],
        *,
        every_signature: bool,
        progress: Callable[[int], None],
    ) -> None:
        self._device = device
        self._copies = copies
        self._trust = trust
        self._tsa_roots = tsa_roots
        self._every_signature = every_signature
        self._progress = progress
        self.findings: list[Finding] = []
        self.ledger: DeviceLedger | None = None
        self.facts: LedgerFacts | None = None

    def chain(self, against: Sequence[LedgerCopy] | None) -> None:
        if not any(copy.firsts() for copy in self._copies):
            elsewhere = any(copy.firsts() for copy in against or ())
            self.findings.append(
                failed(self._device, Check.COPY, ONLY_ELSEWHERE)
                if elsewhere
                else unchecked(self._device, Check.LEDGER, NO_LEDGER)
            )
            return
        key = key_of(self._device, self._copies)
        if key is None:
            self.findings.append(unchecked(self._device, Check.LEDGER, NO_KEY))
            return
        reader = LedgerReader(self._copies, (size for copy in self._copies for size in copy.stamp_sizes()))
        chain = verify_chain(
            reader,
            device=self._device,
            public_key=key,
            every_signature=self._every_signature,
            progress=self._progress,
        )
        self.findings += [as_finding(finding) for finding in chain.findings]
        if gravest(self.findings) == 0:
            words = f"{chain.size} entries, each signed and behind the one before it"
            self.findings.insert(0, well(self._device, Check.LEDGER, words))
        self._places(reader, chain)
        stamps, anchors = self._stamps(reader, chain)
        self.ledger = DeviceLedger(chain=chain, anchors=anchors)
        self._signer(reader.started)
        if against is not None:
            self._second_copy(chain, key, against)
        self.facts = LedgerFacts(
            entries=chain.size,
            first_at=chain.at(0),
            newest_at=chain.at(chain.size - 1),
            checkpoints=sum(1 for _size in chain.checkpoint_sizes()),
            stamps=stamps,
            anchor=max(anchors, key=lambda anchor: anchor.size, default=None),
        )

    def _places(self, reader: LedgerReader, chain: Chain) -> None:
        """Tell where the copies at hand differ, and what one of them lacks."""
        for first, one, other in reader.differing:
            words = f"the segment from entry {first} is not the same in {one} and in {other}"
            self.findings.append(failed(self._device, Check.COPY, words, code=Code.FORK.value))
        if len(self._copies) == 1:
            return
        known = sorted({first for copy in self._copies for first in copy.firsts()})
        for copy in self._copies:
            if not copy.keeps_all:
                continue
            there = set(copy.firsts())
            newest = max(there, default=-1)
            lacking = [first for first in known if first not in there]
            lost = [first for first in lacking if first < newest]
            if lost:
                words = f"{copy.place} lacks the segment from entry {lost[0]}, which another place has"
                self.findings.append(failed(self._device, Check.COPY, words, code=Code.GAP.value))
            elif lacking:
                self._lagging(copy.place, lacking[0], chain)

    def _lagging(self, place: str, first: int, chain: Chain) -> None:
        words = f"{place} ends before entry {first}, and the newest is {chain.size - 1}"
        since, newest_at = chain.at(first), chain.at(chain.size - 1)
        if since is not None and newest_at is not None and newest_at - since <= ARRIVAL:
            self.findings.append(note(self._device, Check.COPY, words))
        else:
            words += ": not brought there for more than a day, or cut off"
            self.findings.append(unchecked(self._device, Check.COPY, words, Code.CUT_OFF.value))

    def _stamps(self, reader: LedgerReader, chain: Chain) -> tuple[int, tuple[Anchor, ...]]:
        """Return how many stamps there are, and those that hold."""
        faults = [finding.sequence for finding in chain.findings if finding.code in _BROKEN]
        sound = min((chain.size if place is None else place for place in faults), default=chain.size)
        count = 0
        anchors: list[Anchor] = []
        held: list[chains.Stamp] = []
        for copy in self._copies:
            for size in copy.stamp_sizes():
                count += 1
                name = f"stamp on {size} entries"
                notes = reader.notes.get(size, [])
                if not notes:
                    words = (
                        f"it was made on {size} entries, and the ledger ends behind {chain.size}: cut off"
                        if size > chain.size
                        else "the checkpoint that it was made on is not in the ledger"
                    )
                    code = Code.CUT_OFF if size > chain.size else Code.REWRITTEN
                    self.findings.append(failed(name, Check.STAMP, words, code=code.value))
                    continue
                try:
                    stamp, stamped = _read_stamp(copy.stamp(size), notes, self._tsa_roots)
                except RemoteError as problem:
                    self.findings.append(refused(name, Check.STAMP, problem))
                    continue
                held.append(
                    chains.Stamp(size=size, note_sha256=hashlib.sha256(stamped).digest(), at=stamp.at)
                )
                words = f"{write_time(stamp.at)}, by {stamp.authority}"
                self.findings.append(well(name, Check.STAMP, words))
                if size <= sound:
                    anchors.append(Anchor(size=size, at=stamp.at, authority=stamp.authority))
        if not count:
            self.findings.append(note(self._device, Check.STAMP, NO_STAMP))
        self.findings += [as_finding(finding, Check.STAMP) for finding in chains.check_times(chain, held)]
        return count, tuple(sorted(anchors, key=lambda anchor: anchor.size))

    def _signer(self, started: Sequence[Started]) -> None:
        """Check who vouches for the device, by the newest certificate in its ledger."""
        ledger = self.ledger
        if ledger is None:
            return
        chain = ledger.chain
        told = [item for item in started if chain.authentic(item.sequence)]
        if not told:
            self.findings.append(unchecked(self._device, Check.SIGNER, NO_CERTIFICATE))
            return
        self.findings.append(
            check_signer(max(told, key=lambda item: item.sequence), self._device, ledger, self._trust)
        )

    def _second_copy(self, chain: Chain, key: Ed25519PublicKey, against: Sequence[LedgerCopy]) -> None:
        """Compare with what lies elsewhere."""
        count = len(self.findings)
        places = ", ".join(dict.fromkeys(copy.place for copy in against))
        if not any(copy.firsts() for copy in against) and not any(any(copy.notes()) for copy in against):
            self.findings.append(unchecked(self._device, Check.COPY, NO_SECOND_COPY))
            return
        reader = LedgerReader(against)
        other = verify_chain(reader, device=self._device, public_key=key, progress=self._progress)
        # A second copy may be a few checkpoints only: what it lacks says nothing against the first.
        for finding in other.findings:
            if finding.code in _BROKEN - {Code.GAP}:
                words = f"the second copy is itself not sound: {finding.words}"
                self.findings.append(unchecked(self._device, Check.COPY, words, finding.code.value))
        for first, one, another in reader.differing:
            words = f"the segment from entry {first} is not the same in {one} and in {another}"
            self.findings.append(failed(self._device, Check.COPY, words, code=Code.FORK.value))
        found = [*chains.compare_checkpoints(chain, _notes(against))]
        if other.size:
            found += chains.compare_copies(chain, other)
        self.findings += [as_finding(finding, Check.COPY) for finding in found]
        if gravest(self.findings[count:]) == 0:
            words = f"the same ledger lies in {places}, as far as that goes"
            self.findings.append(well(self._device, Check.COPY, words))


def check_signer(started: Started, device: str, ledger: DeviceLedger, trust: TrustStore) -> Finding:
    """Find who vouches for the device, by the certificate in an entry of its ledger."""
    earliest = min((anchor.at for anchor in ledger.anchors), default=None)
    name = f"entry {started.sequence}"
    try:
        signer = trust.check(started.x5c, at=started.at, role=Role.DEVICE, anchored_before=earliest)
    except UntrustedSigner as problem:
        return failed(name, Check.SIGNER, f"signer untrusted: {problem}", UNTRUSTED)
    if signer.device_id != device:
        words = f"signer untrusted: the certificate is that of {signer.device_id}"
        return failed(name, Check.SIGNER, words, UNTRUSTED)
    wrong = _outlived(signer.certificate, ledger.chain)
    if signer.revoked_since is not None:
        wrong = wrong or _unanchored(signer.revoked_since, ledger)
    if wrong:
        return failed(name, Check.SIGNER, f"signer untrusted: {wrong}", UNTRUSTED)
    issuer = signer.root.subject.rfc4514_string()
    return well(name, Check.SIGNER, f"{device}, vouched for by {issuer}")


def as_finding(finding: chains.Finding, check: Check = Check.LEDGER) -> Finding:
    """Return what a check of the ledger found as a finding of this part."""
    name = "ledger" if finding.sequence is None else f"entry {finding.sequence}"
    check = Check.PRESENCE if finding.code in _OF_RECORDINGS else check
    if finding.code is Code.NOT_COVERED:
        # The newest segment may be in the making where it is written; what has its name is finished.
        words = f"a segment was cut: {finding.words}"
        return failed(name, check, words, code=Code.CUT_OFF.value)
    if finding.exit_code == 0:
        return note(name, check, finding.words)
    if finding.exit_code == NOT_CHECKED:
        return unchecked(name, check, finding.words, finding.code.value)
    return failed(name, check, finding.words, finding.exit_code, finding.code.value)


def _read_stamp(
    data: bytes, notes: Iterable[bytes], tsa_roots: Sequence[x509.Certificate]
) -> tuple[Stamp, bytes]:
    """Return the stamp, and the note that it was made on; raises what `read_stamp` does."""
    problem: RemoteError | None = None
    # Two copies may have a checkpoint of the same size with other witnesses' signatures on it.
    for one in notes:
        try:
            return read_stamp(data, one, tsa_roots), one
        except RemoteError as found:
            problem = found if problem is None or found.exit_code != ALTERED else problem
    raise problem or LedgerError("no checkpoint of this size")


def _outlived(certificate: x509.Certificate, chain: Chain) -> str | None:
    newest_at, until = chain.at(chain.size - 1), certificate.not_valid_after_utc
    if newest_at is None or newest_at <= until:
        return None
    return f"its certificate ended at {write_time(until)}, and the ledger goes on to {write_time(newest_at)}"


def _unanchored(revoked_since: datetime, ledger: DeviceLedger) -> str | None:
    covered = max((anchor.size for anchor in ledger.anchors if anchor.at < revoked_since), default=0)
    size = ledger.chain.size
    if covered >= size:
        return None
    return (
        f"revoked since {write_time(revoked_since)}, and no time stamp from before that covers the entries"
        f" {covered} to {size - 1}"
    )


def _notes(copies: Sequence[LedgerCopy]) -> Iterator[bytes]:
    """Yield all checkpoints of some copies, those in their segments too."""
    for copy in copies:
        yield from copy.notes()
        for first in copy.firsts():
            line = newest_line(copy.segment(first))
            if line.startswith(LINE_PREFIX):
                try:
                    yield read_line(line)
                except LedgerError:
                    continue  # told by the check of that copy's chain
