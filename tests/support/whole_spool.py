"""What `verify` makes of a whole spool: the device's ledger, each recording in it, and that none is gone."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from callseal.seal.verify import Finding, LocalFolder, verify_device, verify_presence, verify_recording
from support.kept_ledgers import AtHand, KeptLedger
from support.sealed_recordings import Organisation


def faults(root: Path, owner: Organisation) -> list[Finding]:
    """Return all that is not well, and all that could not be checked."""
    paths = (root / "ledger").glob("[0-9]*.jsonl")
    copy = KeptLedger(segments={int(path.stem): path.read_bytes() for path in paths})
    device = verify_device(owner.device, [copy], owner.trust, every_signature=True)
    findings = list(device.findings)
    ready = list((root / "ready").iterdir())
    for path in ready:
        folder = LocalFolder(path)
        report = verify_recording(folder, folder.prefix, owner.trust, AtHand(kept=device.ledger))
        findings += report.findings
    here = {UUID(path.name) for path in ready}
    findings += verify_presence(device.ledger, (), here, owner.trust, settled_before=datetime.now(UTC))
    return [finding for finding in findings if finding.exit_code]
