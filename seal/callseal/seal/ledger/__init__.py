"""The ledger: one signed chain a device, of what happened to each recording and that the agent was there.

`Journal` writes it; `verify_chain` and the comparisons read it with public material only. `entry`, `merkle`
and `checkpoint` are its formats, byte by byte as in ``docs/format.md``.
"""

from callseal.seal.ledger.chain import Chain, End, verify_chain
from callseal.seal.ledger.checkpoint import (
    Checkpoint,
    open_checkpoint,
    sign_checkpoint,
    signature_of,
    signed_text,
)
from callseal.seal.ledger.clock import Clocks, stepped_ms, system_clocks
from callseal.seal.ledger.comparison import Stamp, check_times, compare_checkpoints, compare_copies
from callseal.seal.ledger.entry import (
    ENDS,
    Entry,
    Kind,
    entry_hash,
    parse_entry,
    sign_line,
    split_line,
    verify_line,
)
from callseal.seal.ledger.findings import Code, Finding
from callseal.seal.ledger.journal import Journal
from callseal.seal.ledger.merkle import inclusion_proof, leaf_hash, root_from_inclusion
from callseal.seal.ledger.snapshot import Snapshot, read_snapshot

__all__ = [
    "ENDS",
    "Chain",
    "Checkpoint",
    "Clocks",
    "Code",
    "End",
    "Entry",
    "Finding",
    "Journal",
    "Kind",
    "Snapshot",
    "Stamp",
    "check_times",
    "compare_checkpoints",
    "compare_copies",
    "entry_hash",
    "inclusion_proof",
    "leaf_hash",
    "open_checkpoint",
    "parse_entry",
    "read_snapshot",
    "root_from_inclusion",
    "sign_checkpoint",
    "sign_line",
    "signature_of",
    "signed_text",
    "split_line",
    "stepped_ms",
    "system_clocks",
    "verify_chain",
    "verify_line",
]
