"""The queue of one spool: what has to be sent to which site, and how far that is.

Conventions: times are wall clock milliseconds since 1970. A time before which nothing happens is believed
only as far as such a wait can last: a clock that was set back must not stop the uploads. What was changed
is durable when it returns (`database`). What is due is found by index; nothing that is only waiting is ever
held in memory.
"""

# ruff: noqa: S608 - what is put into statements here are this module's own constants and names of tables

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from callseal.store.interface import Part, Span
from callseal.uploader import schema
from callseal.uploader.database import Database
from callseal.uploader.outcome import RowState, Verdict, Wait
from callseal.uploader.retry import LONGEST_WAIT_S
from callseal.uploader.schema import Key, Planned, PlannedPart, Row

SECOND_MS: Final = 1000
FIRST_POLL_S: Final = 10.0
"""How soon a receipt is looked for after the last object was stored; a custodian needs some seconds."""
DOUBT_S: Final = 600.0
"""How long a receipt may decide about an object in doubt before it is put again."""
LONGEST_AGAIN_S: Final = 24 * 3600.0
"""The longest wait of what is refused, broken or in doubt."""

_NO_SEGMENT: Final = -1
_SITES: Final = "sites"
_COLUMNS: Final = (
    "o.site, o.id, o.place, o.file, r.prefix, o.size_bytes, o.sha256, o.state, o.upload, o.attempted, o.tries"
)
_FROM: Final = "FROM object o JOIN recording r ON r.id = o.id"
_DUE: Final = "(o.not_before_ms <= :now OR o.not_before_ms > :now + :longest)"
_OF: Final = "id = :id AND site = :site"
_AT: Final = f"{_OF} AND place = :place"


class Queue:
    """What is to be sent from one spool; used from any number of threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def compare(self, names: Sequence[str], now_ms: int) -> tuple[list[str], list[str]]:
        """Return which of the recordings in ``ready/`` are to be planned, and which known ones are gone."""

        def work(cursor: sqlite3.Cursor) -> tuple[list[str], list[str]]:
            cursor.execute(
                "CREATE TEMP TABLE IF NOT EXISTS here (id TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID"
            )
            cursor.execute("DELETE FROM here")
            cursor.executemany("INSERT OR IGNORE INTO here VALUES (?)", ((name,) for name in names))
            cursor.execute(
                "SELECT id FROM here WHERE id NOT IN (SELECT id FROM recording)"
                " UNION SELECT id FROM recording WHERE planned = 0 AND id IN (SELECT id FROM here)"
                " AND (not_before_ms <= :now OR not_before_ms > :now + :longest) ORDER BY 1",
                {"now": now_ms, "longest": int(LONGEST_AGAIN_S * SECOND_MS)},
            )
            new = [name for (name,) in cursor]
            cursor.execute("SELECT id FROM recording WHERE id NOT IN (SELECT id FROM here)")
            gone = [name for (name,) in cursor]
            cursor.execute("DELETE FROM here")
            return new, gone

        return self._database.write(work)

    def add(self, recordings: Iterable[Planned]) -> None:
        """Take recordings in; what is known of one already is kept."""
        batch = tuple(recordings)

        def work(cursor: sqlite3.Cursor) -> None:
            for item in batch:
                _add(cursor, item)

        self._database.write(work)

    def add_broken(self, recording: str, words: str, *, ready_at_ms: int, not_before_ms: int) -> None:
        """Note a folder in ``ready/`` that can't be planned, and when it is looked at again."""
        values = {"id": recording, "words": words, "ready": ready_at_ms, "not_before": not_before_ms}
        self._database.write(
            lambda cursor: cursor.execute(
                "INSERT INTO recording VALUES (:id, '', '', x'', 0, :ready, 0, 'broken', 0, :not_before,"
                " :words)"
                " ON CONFLICT (id) DO UPDATE SET not_before_ms = :not_before, error = :words",
                values,
            )
        )

    def forget(self, recordings: Iterable[str]) -> None:
        """Drop all that is known of recordings that are no longer here."""
        batch = [(item,) for item in recordings]

        def work(cursor: sqlite3.Cursor) -> None:
            _forget(cursor, batch)

        self._database.write(work)

    def next_object(
        self, site: str, now_ms: int, busy: Collection[Key], *, newest: bool = False
    ) -> Row | None:
        """Return what is to be sent next to a site, the oldest recording first; `busy` is under way already.

        What was refused, is broken or in doubt comes after all else. With `newest` it is the newest recording
        first, and its objects in any order.
        """
        order = "o.id DESC, o.place DESC" if newest else "o.id, o.place"

        def work(cursor: sqlite3.Cursor) -> Row | None:
            values = {"site": site, "now": now_ms, "longest": int(LONGEST_WAIT_S * SECOND_MS)}
            cursor.execute(
                f"SELECT {_COLUMNS} {_FROM} WHERE o.site = :site AND o.state = 'waiting' AND {_DUE}"
                f" ORDER BY {order}",
                values,
            )
            found = _first_free(cursor, busy)
            if found is not None:
                return found
            values["longest"] = int(LONGEST_AGAIN_S * SECOND_MS)
            cursor.execute(
                f"SELECT {_COLUMNS} {_FROM} WHERE o.site = :site"
                f" AND o.state IN ('doubt', 'refused', 'broken') AND {_DUE} ORDER BY o.not_before_ms",
                values,
            )
            return _first_free(cursor, busy)

        return self._database.read(work)

    def next_due_ms(self, site: str, now_ms: int) -> int | None:
        """Return when the next thing that waits for its time may be sent; None if nothing does."""

        def work(cursor: sqlite3.Cursor) -> int | None:
            cursor.execute(
                "SELECT min(not_before_ms) FROM object WHERE site = :site AND not_before_ms > :now"
                " AND state = 'waiting' UNION ALL SELECT min(not_before_ms) FROM object"
                " WHERE site = :site AND not_before_ms > :now AND state IN ('doubt', 'refused', 'broken')",
                {"site": site, "now": now_ms},
            )
            return min((value for (value,) in cursor if value is not None), default=None)

        return self._database.read(work)

    def hasten(self, site: str) -> None:
        """Let what waits because the site could not be reached go now: it can be reached again."""
        self._database.write(
            lambda cursor: cursor.execute(
                "UPDATE object SET not_before_ms = 0 WHERE site = ? AND state = 'waiting'"
                " AND not_before_ms > 0",
                (site,),
            )
        )

    def attempt(self, key: Key) -> None:
        """Note, before the request that makes an object visible leaves, that it may have arrived."""
        self._database.write(
            lambda cursor: cursor.execute(f"UPDATE object SET attempted = 1 WHERE {_AT}", _values(key))
        )

    def begin_parts(self, key: Key, upload: str, parts: Iterable[PlannedPart]) -> None:
        """Note what the store calls the undertaking, and the parts, before the first of them leaves."""
        rows = [
            (key.id, key.site, key.place, p.number, p.span.offset_bytes, p.span.size_bytes, p.sha256, p.tag)
            for p in parts
        ]

        def work(cursor: sqlite3.Cursor) -> None:
            cursor.execute(f"DELETE FROM part WHERE {_AT}", _values(key))
            cursor.executemany("INSERT INTO part VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            cursor.execute(
                f"UPDATE object SET upload = :upload WHERE {_AT}",
                {**_values(key), "upload": upload},
            )

        self._database.write(work)

    def parts(self, key: Key) -> list[PlannedPart]:
        """Return the parts of an object, in order."""

        def work(cursor: sqlite3.Cursor) -> list[PlannedPart]:
            cursor.execute(
                f"SELECT number, offset_bytes, size_bytes, sha256, tag FROM part WHERE {_AT} ORDER BY number",
                _values(key),
            )
            return [
                PlannedPart(
                    number=number, span=Span(offset_bytes=offset, size_bytes=size), sha256=sha256, tag=tag
                )
                for number, offset, size, sha256, tag in cursor
            ]

        return self._database.read(work)

    def store_part(self, key: Key, upload: str, part: Part) -> None:
        """Note that the store has a part of this undertaking."""
        values = {**_values(key), "upload": upload, "number": part.number, "tag": part.tag}

        def work(cursor: sqlite3.Cursor) -> None:
            # It gets on: what fails next has failed once, and not as often as a slow line broke before.
            cursor.execute(f"UPDATE object SET tries = 0 WHERE {_AT} AND upload = :upload", values)
            if cursor.rowcount == 1:
                cursor.execute(f"UPDATE part SET tag = :tag WHERE {_AT} AND number = :number", values)

        self._database.write(work)

    def settle(
        self,
        row: Row,
        found: Verdict,
        *,
        version: str | None,
        now_ms: int,
        not_before_ms: int,
        words: str,
    ) -> bool:
        """Note what became of a try; tell whether its whole recording is at the site now, for the first time.

        A `version` of None is one that we were never told, or not for certain.
        """
        values = {
            **_values(row.key),
            "sha256": row.sha256,
            "state": found.state.value,
            "version": version,
            "not_before": not_before_ms,
            "words": words,
            "unchanged": found.unchanged,
            "attempted": row.attempted,
            "restart": found.restart,
        }

        def work(cursor: sqlite3.Cursor) -> bool:
            cursor.execute(
                "UPDATE object SET state = :state, version = :version,"
                " tries = CASE WHEN :state = 'doubt' AND state <> 'doubt' THEN 1 ELSE tries + 1 END,"
                " not_before_ms = :not_before, error = :words,"
                " attempted = CASE WHEN :unchanged THEN :attempted ELSE attempted END,"
                " upload = CASE WHEN :restart THEN '' ELSE upload END"
                # A row made anew for another manifest is not the one that was tried.
                f" WHERE {_AT} AND state <> 'stored' AND sha256 = :sha256",
                values,
            )
            if found.restart:
                cursor.execute(f"DELETE FROM part WHERE {_AT}", values)
            if found.wait is Wait.RETRY:
                # Next comes another recording: if that goes, it was not the site that failed.
                cursor.execute(
                    "UPDATE object SET not_before_ms = max(not_before_ms, :not_before)"
                    f" WHERE {_OF} AND state = 'waiting'",
                    values,
                )
            return _advance(cursor, row.key.id, row.key.site, now_ms)

        return self._database.write(work)

    def segment_sent(self, site: str) -> int:
        """Return the first entry of the newest segment of the ledger that a site has; -1 for none."""
        return self._segment(site)[0]

    def segment_attempted(self, site: str, first: int) -> bool:
        """Tell whether this segment was attempted before, with an answer that we don't know."""
        return self._segment(site)[1] == first

    def attempt_segment(self, site: str, first: int) -> None:
        """Note, before a segment leaves, that it may have arrived."""
        self._put_segment(site, attempted=first)

    def withdraw_segment(self, site: str) -> None:
        """Note that the segment that was attempted did certainly not arrive."""
        self._put_segment(site, attempted=_NO_SEGMENT)

    def store_segment(self, site: str, first: int) -> None:
        """Note that a site has a segment, and all before it."""
        self._put_segment(site, sent=first, attempted=_NO_SEGMENT)

    def plan_for(self, sent_to: Iterable[str], awaited: Iterable[str]) -> None:
        """Note which sites we fill and of which we only await receipts.

        Where that is another than before, all that lies here is planned once more.
        """
        sites = {**dict.fromkeys(sent_to, schema.SENDING), **dict.fromkeys(awaited, schema.AWAITED)}
        text = " ".join(f"{name}={kind}" for name, kind in sorted(sites.items()))

        def work(cursor: sqlite3.Cursor) -> None:
            found = cursor.execute("SELECT value FROM note WHERE name = ?", (_SITES,)).fetchone()
            if found is not None and found[0] == text:
                return
            # What each delivery says counts, not what the settings were last time: a store may have left them
            # for a while.
            for site, kind in sites.items():
                others = "('awaited')" if kind == schema.SENDING else "('sending', 'sent')"
                for table in ("part", "poll", "object", "delivery"):  # the delivery last: it is asked
                    cursor.execute(
                        f"DELETE FROM {table} WHERE site = :site AND id IN"
                        f" (SELECT id FROM delivery WHERE site = :site AND state IN {others})",
                        {"site": site},
                    )
            if found is not None:
                cursor.execute("UPDATE recording SET planned = 0 WHERE state = 'open'")
            cursor.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (_SITES, text))

        self._database.write(work)

    def _segment(self, site: str) -> tuple[int, int]:
        def work(cursor: sqlite3.Cursor) -> tuple[int, int]:
            cursor.execute("SELECT sent, attempted FROM segment WHERE site = ?", (site,))
            found = cursor.fetchone()
            return (_NO_SEGMENT, _NO_SEGMENT) if found is None else (int(found[0]), int(found[1]))

        return self._database.read(work)

    def _put_segment(self, site: str, *, attempted: int, sent: int | None = None) -> None:
        self._database.write(
            lambda cursor: cursor.execute(
                "INSERT INTO segment VALUES (:site, coalesce(:sent, -1), :attempted) ON CONFLICT (site)"
                " DO UPDATE SET sent = coalesce(:sent, sent), attempted = :attempted",
                {"site": site, "sent": sent, "attempted": attempted},
            )
        )


def _values(key: Key) -> dict[str, str | int | bytes | None]:
    return {"id": key.id, "site": key.site, "place": key.place}


def _first_free(cursor: sqlite3.Cursor, busy: Collection[Key]) -> Row | None:
    for site, recording, place, file, prefix, size, sha256, state, upload, attempted, tries in cursor:
        key = Key(id=recording, site=site, place=place)
        if key not in busy:
            return Row(
                key=key,
                file=file,
                name=prefix + file,
                size_bytes=size,
                sha256=sha256,
                state=RowState(state),
                upload=upload,
                attempted=bool(attempted),
                tries=tries,
            )
    return None


def _forget(cursor: sqlite3.Cursor, ids: Sequence[tuple[str]]) -> None:
    for table in ("part", "poll", "object", "delivery", "recording"):
        cursor.executemany(f"DELETE FROM {table} WHERE id = ?", ids)


def _add(cursor: sqlite3.Cursor, item: Planned) -> None:
    size = sum(put.size_bytes for put in item.puts)
    # What was sent, and what was vouched for, belongs to the manifest that lay here then.
    cursor.execute(
        "SELECT 1 FROM recording WHERE id = ? AND manifest NOT IN (x'', ?)", (item.id, item.manifest_sha256)
    )
    if cursor.fetchone() is not None:
        _forget(cursor, [(item.id,)])
    cursor.execute(
        "INSERT INTO recording VALUES (?, ?, ?, ?, ?, ?, ?, 'open', 1, 0, '') ON CONFLICT (id) DO UPDATE SET"
        " device = excluded.device, prefix = excluded.prefix, manifest = excluded.manifest,"
        " ended_at_ms = excluded.ended_at_ms, size_bytes = excluded.size_bytes, state = 'open', planned = 1,"
        " not_before_ms = 0, error = ''",
        (item.id, item.device, item.prefix, item.manifest_sha256, item.ended_at_ms, item.ready_at_ms, size),
    )
    states = [(site, schema.SENDING) for site in item.sites] + [
        (site, schema.AWAITED) for site in item.awaited
    ]
    cursor.executemany(
        "INSERT OR IGNORE INTO delivery VALUES (?, ?, ?, 0, 0, '')",
        ((item.id, site, state) for site, state in states),
    )
    last = len(item.puts) - 1
    cursor.executemany(
        "INSERT OR IGNORE INTO object VALUES (?, ?, ?, ?, ?, ?, ?, '', 0, NULL, 0, 0, '')",
        (
            (
                item.id,
                site,
                place,
                put.file,
                put.size_bytes,
                put.sha256,
                "held" if place == last else "waiting",
            )
            for site in item.sites
            for place, put in enumerate(item.puts)
        ),
    )
    # A store that the custodian filled, and that has its receipt, needs nothing from us any more.
    cursor.execute(
        "DELETE FROM object WHERE id = :id AND state IN ('waiting', 'held') AND site IN"
        " (SELECT site FROM delivery WHERE id = :id AND state IN ('awaited', 'receipted'))",
        {"id": item.id},
    )
    # A site that was added later: of one that has the recording already, what is awaited elsewhere is new.
    cursor.execute(
        "INSERT OR IGNORE INTO poll SELECT a.id, a.site, s.site, 0, 0 FROM delivery a JOIN delivery s"
        " ON s.id = a.id WHERE a.id = ? AND a.state = 'awaited' AND s.state IN ('sent', 'receipted')",
        (item.id,),
    )


def _advance(cursor: sqlite3.Cursor, recording: str, site: str, now_ms: int) -> bool:
    """Let the manifest go once all else is there; once it is, wait for receipts. Tells of the latter."""
    values = {"id": recording, "site": site, "now": now_ms, "poll": now_ms + int(FIRST_POLL_S * SECOND_MS)}
    cursor.execute(
        f"UPDATE object SET state = 'waiting', not_before_ms = 0 WHERE {_OF} AND state = 'held'"
        f" AND NOT EXISTS (SELECT 1 FROM object WHERE {_OF} AND state NOT IN ('stored', 'doubt', 'held'))",
        values,
    )
    cursor.execute(
        f"UPDATE delivery SET state = 'sent', sent_at_ms = :now WHERE {_OF} AND state = 'sending'"
        f" AND NOT EXISTS (SELECT 1 FROM object WHERE {_OF} AND state NOT IN ('stored', 'doubt'))",
        values,
    )
    if cursor.rowcount != 1:
        return False
    # Only from now on can there be a receipt that decides.
    cursor.execute(
        f"UPDATE object SET not_before_ms = max(not_before_ms, :doubt) WHERE {_OF} AND state = 'doubt'",
        {**values, "doubt": now_ms + int(DOUBT_S * SECOND_MS)},
    )
    cursor.execute(
        "INSERT OR IGNORE INTO poll SELECT id, site, :site, 0, :poll FROM delivery"
        " WHERE id = :id AND (site = :site OR state = 'awaited')",
        values,
    )
    return True
