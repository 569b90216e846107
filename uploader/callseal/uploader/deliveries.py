"""What became of what was sent: the receipts that are waited for, those that came, and what may then go.

The other half of the queue, on the same tables (`schema`). Conventions: as in `queue`.
"""

# ruff: noqa: S608 - what is put into statements here are this module's own constants and names of tables

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from callseal.uploader.clearing import Receipted
from callseal.uploader.database import Database
from callseal.uploader.queue import SECOND_MS
from callseal.uploader.receipts import Accepted, Sent, SentObject
from callseal.uploader.retry import limit_s
from callseal.uploader.schema import Fault, Poll, Tally

FIRST_POLL_AGAIN_S: Final = 20.0
LONGEST_POLL_S: Final = 3600.0
"""How seldom a receipt that does not come is looked for: who has none for an hour waits for a person."""
CLEAR_AGAIN_S: Final = 600.0
"""How soon a copy that may not go yet is looked at again."""
MAX_FAULTS: Final = 16
"""So many of a kind are named one by one; a status has room for 64 alarms in all."""
STUCK_TRIES: Final = 16
"""An object that failed so often, about half an hour long, fails for a reason of its own."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS: Final = 24 * 3600 * SECOND_MS
_DUE: Final = "(not_before_ms <= :now OR not_before_ms > :now + :longest)"
_OF: Final = "id = :id AND site = :site"


class Deliveries:
    """The receipts of one spool's recordings; used from any number of threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def next_poll(self, via: str, now_ms: int) -> Poll | None:
        """Return which receipt is to be looked for next in a store; None if none is due."""

        def work(cursor: sqlite3.Cursor) -> Poll | None:
            cursor.execute(
                "SELECT p.id, r.device, p.site, p.via, p.tries FROM poll p JOIN recording r ON r.id = p.id"
                f" WHERE p.via = :via AND {_DUE.replace('not_before_ms', 'p.not_before_ms')}"
                " ORDER BY p.not_before_ms LIMIT 1",
                {"via": via, "now": now_ms, "longest": int(LONGEST_POLL_S * SECOND_MS)},
            )
            found = cursor.fetchone()
            if found is None:
                return None
            recording, device, site, where, tries = found
            return Poll(id=recording, device=device, site=site, via=where, tries=tries)

        return self._database.read(work)

    def next_poll_ms(self, via: str) -> int | None:
        """Return when the next receipt is to be looked for in a store; None if none is waited for."""

        def work(cursor: sqlite3.Cursor) -> int | None:
            cursor.execute("SELECT min(not_before_ms) FROM poll WHERE via = ?", (via,))
            found: int | None = cursor.fetchone()[0]
            return found

        return self._database.read(work)

    def sent(self, poll: Poll) -> Sent | None:
        """Return what was sent, as the receipt must say it; None if the recording is gone."""

        def work(cursor: sqlite3.Cursor) -> Sent | None:
            cursor.execute(
                "SELECT device, prefix, manifest, ended_at_ms FROM recording WHERE id = ?", (poll.id,)
            )
            found = cursor.fetchone()
            if found is None:
                return None
            device, prefix, manifest, ended_at_ms = found
            # Of a site that the custodian fills we have sent nothing: it must be what we sent elsewhere.
            cursor.execute(
                "SELECT site, file, size_bytes, sha256, version FROM object WHERE id = :id AND site ="
                " (SELECT site FROM object WHERE id = :id ORDER BY site <> :site, site <> :via LIMIT 1)",
                {"id": poll.id, "site": poll.site, "via": poll.via},
            )
            objects = tuple(
                SentObject(
                    name=prefix + file,
                    size_bytes=size,
                    sha256=sha256,
                    version=(version or "") if site == poll.site else "",
                )
                for site, file, size, sha256, version in cursor
            )
            return Sent(
                id=UUID(poll.id),
                device=device,
                site=poll.site,
                manifest=manifest,
                ended_at=_EPOCH + timedelta(milliseconds=ended_at_ms),
                objects=objects,
            )

        return self._database.read(work)

    def postpone(self, poll: Poll, now_ms: int, random: float, *, refused: str | None = None) -> None:
        """Look for a receipt later, longer each time.

        `refused` is why the one that is there does not count; empty where there is none, None if that is not
        known.
        """
        longest = limit_s(poll.tries + 1, first_s=FIRST_POLL_AGAIN_S, longest_s=LONGEST_POLL_S)
        wait_s = longest * (0.5 + 0.5 * random)
        values = {
            "id": poll.id,
            "site": poll.site,
            "via": poll.via,
            "not_before": now_ms + int(wait_s * SECOND_MS),
            "words": refused,
        }

        def work(cursor: sqlite3.Cursor) -> None:
            cursor.execute(
                f"UPDATE poll SET tries = tries + 1, not_before_ms = :not_before WHERE {_OF} AND via = :via",
                values,
            )
            if refused is not None:
                cursor.execute(f"UPDATE delivery SET error = :words WHERE {_OF} AND error <> :words", values)

        self._database.write(work)

    def accept(self, poll: Poll, accepted: Accepted) -> bool:
        """Note a receipt that counts; tell whether it was the last one that the recording waited for."""
        received = (accepted.received_at - _EPOCH) // timedelta(milliseconds=1)
        values = {"id": poll.id, "site": poll.site, "received": received}
        versions = [
            {**values, "file": name.rpartition("/")[2], "version": version}
            for name, version in accepted.versions.items()
        ]

        def work(cursor: sqlite3.Cursor) -> bool:
            cursor.executemany(
                "UPDATE object SET state = 'stored', version = :version, upload = '', not_before_ms = 0,"
                f" error = '' WHERE {_OF} AND file = :file",
                versions,
            )
            cursor.execute(f"DELETE FROM part WHERE {_OF}", values)
            cursor.execute(f"DELETE FROM poll WHERE {_OF}", values)
            cursor.execute(
                "UPDATE delivery SET state = 'receipted', received_at_ms = :received, error = ''"
                f" WHERE {_OF}",
                values,
            )
            cursor.execute(
                "UPDATE recording SET state = 'done', not_before_ms = 0 WHERE id = :id AND state = 'open'"
                " AND NOT EXISTS (SELECT 1 FROM delivery WHERE id = :id AND state <> 'receipted')",
                values,
            )
            return cursor.rowcount == 1

        return self._database.write(work)

    def newest_received_at(self) -> datetime | None:
        """Return the newest time that a custodian has signed, of what is still here."""

        def work(cursor: sqlite3.Cursor) -> int | None:
            cursor.execute("SELECT max(received_at_ms) FROM delivery WHERE state = 'receipted'")
            found: int | None = cursor.fetchone()[0]
            return found

        found = self._database.read(work)
        return None if found is None else _EPOCH + timedelta(milliseconds=found)

    def clearable(self, keep_days: float, now: datetime | None, wall_ms: int, limit: int) -> list[str]:
        """Return recordings whose copies may go, as far as is known; `now` is what is sure of the time."""
        until = None if now is None else int((now - _EPOCH) / timedelta(milliseconds=1) - keep_days * _DAY_MS)
        values = {
            "until": until,
            "keeps": keep_days > 0,
            "limit": limit,
            "now": wall_ms,
            "longest": int(CLEAR_AGAIN_S * SECOND_MS),
        }

        def work(cursor: sqlite3.Cursor) -> list[str]:
            cursor.execute(
                f"SELECT r.id FROM recording r WHERE r.state = 'done' AND {_DUE}"
                " AND (NOT :keeps OR (:until IS NOT NULL AND r.ready_at_ms <= :until AND NOT EXISTS"
                " (SELECT 1 FROM delivery d WHERE d.id = r.id AND d.received_at_ms > :until)))"
                " ORDER BY r.id LIMIT :limit",
                values,
            )
            return [recording for (recording,) in cursor]

        return self._database.read(work)

    def receipts(self, recording: str) -> Mapping[str, Receipted]:
        """Return the receipts that counted, by site."""

        def work(cursor: sqlite3.Cursor) -> Mapping[str, Receipted]:
            cursor.execute(
                "SELECT d.site, d.received_at_ms, r.manifest FROM delivery d JOIN recording r ON r.id = d.id"
                " WHERE d.id = ? AND d.state = 'receipted'",
                (recording,),
            )
            return {
                site: Receipted(received_at=_EPOCH + timedelta(milliseconds=received), manifest=manifest)
                for site, received, manifest in cursor
            }

        return self._database.read(work)

    def keep(self, recording: str, not_before_ms: int, words: str) -> None:
        """Look at a copy that may not go after all only later; `words` say why."""
        self._database.write(
            lambda cursor: cursor.execute(
                "UPDATE recording SET not_before_ms = ?, error = ? WHERE id = ?",
                (not_before_ms, words, recording),
            )
        )

    def tally(self) -> Tally:
        """Return the queue in figures."""

        def work(cursor: sqlite3.Cursor) -> Tally:
            cursor.execute(
                "SELECT count(DISTINCT d.id), min(r.ready_at_ms) FROM delivery d"
                " JOIN recording r ON r.id = d.id"
                " WHERE d.state = 'sending'"
            )
            sending, oldest = cursor.fetchone()
            cursor.execute("SELECT count(*), min(ready_at_ms) FROM recording WHERE state = 'broken'")
            broken, oldest_broken = cursor.fetchone()
            cursor.execute(
                "SELECT coalesce(sum(size_bytes), 0) FROM object WHERE state = 'waiting' UNION ALL SELECT"
                " coalesce(sum(size_bytes), 0) FROM object WHERE state IN ('refused', 'broken')"
            )
            size = sum(value for (value,) in cursor)
            cursor.execute("SELECT count(*) FROM recording WHERE state <> 'done'")
            (unreceipted,) = cursor.fetchone()
            cursor.execute("SELECT coalesce(sum(size_bytes), 0) FROM recording")
            (local,) = cursor.fetchone()
            return Tally(
                waiting=sending + broken,
                waiting_bytes=size,
                oldest_waiting_ms=min((at for at in (oldest, oldest_broken) if at is not None), default=None),
                unreceipted=unreceipted,
                local_bytes=local,
            )

        return self._database.read(work)

    def faulty_objects(self, state: str) -> list[Fault]:
        """Return recordings of which an object is refused, or broken: the oldest `MAX_FAULTS`."""
        return self._faults(
            "SELECT site, id, min(error) FROM object WHERE state = :state"
            " AND state IN ('doubt', 'refused', 'broken') GROUP BY site, id LIMIT :limit",
            {"state": state, "limit": MAX_FAULTS},
        )

    def faulty_recordings(self) -> list[Fault]:
        """Return what can't be planned, or not any more: the oldest `MAX_FAULTS`."""
        return self._faults(
            "SELECT '', id, error FROM recording WHERE planned = 0 AND error <> '' ORDER BY id LIMIT :limit",
            {"limit": MAX_FAULTS},
        )

    def kept_copies(self) -> list[Fault]:
        """Return copies that have all their receipts and can't go all the same: the oldest `MAX_FAULTS`."""
        return self._faults(
            "SELECT '', id, error FROM recording WHERE state = 'done' AND not_before_ms > 0 AND error <> ''"
            " ORDER BY id LIMIT :limit",
            {"limit": MAX_FAULTS},
        )

    def stuck_objects(self) -> list[Fault]:
        """Return recordings of which an object fails again and again: the oldest `MAX_FAULTS`."""
        return self._faults(
            "SELECT site, id, 'tried ' || max(tries) || ' times: ' || min(error) FROM object"
            " WHERE state = 'waiting' AND not_before_ms > 0 AND tries >= :tries GROUP BY site, id"
            " LIMIT :limit",
            {"tries": STUCK_TRIES, "limit": MAX_FAULTS},
        )

    def refused_receipts(self) -> list[Fault]:
        """Return whose receipts do not count, and why: the oldest `MAX_FAULTS`."""
        return self._faults(
            "SELECT site, id, error FROM delivery WHERE state <> 'receipted' AND error <> ''"
            " ORDER BY id LIMIT :limit",
            {"limit": MAX_FAULTS},
        )

    def late_receipts(self, sent_before_ms: int, now_ms: int) -> list[Fault]:
        """Return, for each site, how many receipts should have come: words with the number.

        What was sent in a day to come, by a clock that was set back since, was sent nobody knows when.
        """
        late = "(sent_at_ms < :before OR sent_at_ms > :now + :day)"
        return self._faults(
            "SELECT site, min(id), count(*) || ' recordings' FROM delivery"
            f" WHERE state = 'sent' AND {late} GROUP BY site"
            " UNION ALL SELECT a.site, min(a.id), count(*) || ' recordings' FROM delivery a"
            " WHERE a.state = 'awaited' AND EXISTS (SELECT 1 FROM delivery WHERE id = a.id"
            f" AND state IN ('sent', 'receipted') AND {late}) GROUP BY a.site LIMIT :limit",
            {"before": sent_before_ms, "now": now_ms, "day": _DAY_MS, "limit": MAX_FAULTS},
        )

    def without_site(self, known: Iterable[str]) -> list[Fault]:
        """Return the sites that recordings are meant for and nobody knows (empty: none was named at all)."""
        names = tuple(known)
        marks = ", ".join("?" for _ in names)

        def work(cursor: sqlite3.Cursor) -> list[Fault]:
            cursor.execute(
                "SELECT site, min(id), count(*) || ' recordings' FROM delivery WHERE state <> 'receipted'"
                f" AND site NOT IN ({marks}) GROUP BY site LIMIT {MAX_FAULTS}",
                names,
            )
            found = [Fault(site=site, id=recording, words=words) for site, recording, words in cursor]
            cursor.execute(
                "SELECT '', min(id), count(*) || ' recordings' FROM recording r WHERE state = 'open'"
                " AND planned = 1 AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.id = r.id)"
                " HAVING count(*) > 0"
            )
            return found + [Fault(site=site, id=recording, words=words) for site, recording, words in cursor]

        return self._database.read(work)

    def _faults(self, statement: str, values: Mapping[str, object]) -> list[Fault]:
        def work(cursor: sqlite3.Cursor) -> list[Fault]:
            cursor.execute(statement, dict(values))
            return [Fault(site=site, id=recording, words=words) for site, recording, words in cursor]

        return self._database.read(work)
