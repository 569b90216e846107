"""The legal export: one recording with everything that proves it, to be checked without Callseal.

::

    sources ──▶ history (ledger entries, proofs, checkpoint) ─┐
            └─▶ witnesses (time stamp, receipt) ──────────────┤
    opening ──▶ contents (sealed, re-wrapped, opened) ────────┴─▶ statement ──▶ export: the folder

The statement claims what was checked here and nothing more; what could not be is said there in words, and is
one of `gaps`. Its steps run with `age`, `openssl` and `sha256sum`.
"""
