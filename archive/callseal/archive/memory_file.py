"""The tables that the custodian's memory is in.

Conventions: times are milliseconds since 1970. Another version of the tables is another file: see `memory`.
"""

import sqlite3
from pathlib import Path
from typing import Final

from callseal.archive.cache_file import connect as connect_cache

_SCHEMA_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS recordings (
    store TEXT NOT NULL, device TEXT NOT NULL, day TEXT NOT NULL, id TEXT NOT NULL,
    state TEXT NOT NULL, names INTEGER NOT NULL, versions INTEGER NOT NULL, newest_ms INTEGER NOT NULL,
    tries INTEGER NOT NULL, again_ms INTEGER NOT NULL,
    PRIMARY KEY (store, device, day, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS open_recordings ON recordings (store, again_ms) WHERE state != 'received';
CREATE TABLE IF NOT EXISTS troubles (
    store TEXT NOT NULL, device TEXT NOT NULL, subject TEXT NOT NULL, number INTEGER NOT NULL,
    code TEXT NOT NULL, exit_code INTEGER NOT NULL, words TEXT NOT NULL, since_ms INTEGER NOT NULL,
    PRIMARY KEY (store, device, subject, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS copies (
    target TEXT NOT NULL, device TEXT NOT NULL, day TEXT NOT NULL, id TEXT NOT NULL,
    tries INTEGER NOT NULL, again_ms INTEGER NOT NULL,
    PRIMARY KEY (target, device, day, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lots (
    store TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (store, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sites (device TEXT PRIMARY KEY, site TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


def connect(path: Path | None) -> sqlite3.Connection:
    """Open the memory and make its tables; sqlite3.DatabaseError for a file that is none of ours."""
    # Each statement is by itself unless a transaction is begun; a lock keeps threads apart.
    return connect_cache(path, version=_SCHEMA_VERSION, schema=_SCHEMA, isolation_level=None)
